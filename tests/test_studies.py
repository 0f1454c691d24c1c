"""Studies: what is kept is not trained again, what has changed is; a failure is an outcome."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from test_training import RECIPE, images

from srcnn_tf import studies
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.models import fsrcnn
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.studies import Arm

SHORT = replace(RECIPE, steps=4, steps_per_epoch=2)
WILD = replace(SHORT, optimizer="sgd", learning_rate=1e18, clipnorm=None, schedule="constant")


def small(seed, start="bicubic"):
    return fsrcnn(2, d=8, s=4, m=1, start=start, seed=seed)


ARMS = [Arm("ours", SHORT, small), Arm("wild", WILD, small)]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return folder, studies.run(ARMS, *images(), folder, seeds=(0, 1))


def trained_now(capsys):
    """Return which arms have trained since the last call."""
    lines = capsys.readouterr().out.splitlines()
    return [line.split(": ")[1] for line in lines if " of " in line and ", seed " in line]


def test_a_study_trains_once(study, capsys):
    folder, first = study
    again = studies.run(ARMS, *images(), folder, seeds=(0, 1))
    assert trained_now(capsys) == []
    assert [o.history for o in again] == [o.history for o in first]
    assert [outcome.arm.name for outcome in again] == ["ours", "ours", "wild", "wild"]
    assert [outcome.seed for outcome in again] == [0, 1, 0, 1]


def decayed(seed):
    model = small(seed)
    model.layers[0].kernel.regularizer = keras.regularizers.L2(1e-4)
    return model


@pytest.mark.parametrize(
    ("arm", "photographs"),
    [
        (Arm("ours", replace(SHORT, learning_rate=3e-3), small), slice(None)),
        (Arm("ours", SHORT, lambda seed: small(seed, "random")), slice(None)),
        (Arm("ours", SHORT, decayed), slice(None)),
        (Arm("ours", SHORT, small), slice(1, None)),
    ],
    ids=["recipe", "first weights", "regulariser", "images"],
)
def test_what_has_changed_trains_again(study, capsys, arm, photographs):
    folder, _ = study
    train_images, validation_images = images()
    studies.run([arm], train_images[photographs], validation_images, folder)
    assert trained_now(capsys) == ["ours, seed 0"]


def test_a_name_alone_changes_nothing(study, capsys):
    folder, _ = study
    studies.run([Arm("another name", SHORT, small)], *images(), folder)
    assert trained_now(capsys) == []


def test_seeds_reach_weights_and_crops(study):
    one, other = study[1][:2]
    assert one.history.psnr != other.history.psnr


def test_model_has_the_weights_that_were_scored(study):
    for outcome in study[1][:2]:
        found = evaluate(outcome.model(), evaluation_pairs(images()[1], 2), Protocol(2)).psnr
        assert found == pytest.approx(outcome.psnr, abs=1e-3)


def test_a_run_that_breaks_off_is_an_outcome(study):
    ours, _, broken, _ = study[1]
    assert "lower learning rate" in broken.error
    assert np.isnan(broken.psnr)
    assert ours.error is None
    with pytest.raises(ValueError, match="'wild' has no weights"):
        broken.model()
    lines = studies.to_text([ours, broken]).splitlines()
    assert f"{ours.psnr:.2f}" in lines[1]
    assert lines[2].startswith("wild  broke off")


def test_names_that_keras_makes_up_change_nothing(tmp_path, capsys):
    def unnamed(seed):
        inputs = keras.Input((None, None, 1))
        doubled = keras.layers.UpSampling2D(2, interpolation="nearest")(inputs)
        residual = keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="zeros")(doubled)
        return keras.Model(inputs, keras.layers.Add()([doubled, residual]))

    for _ in range(2):
        studies.run([Arm("unnamed", SHORT, unnamed)], *images(), tmp_path)
    assert trained_now(capsys) == ["unnamed, seed 0"]


def test_table_has_means_differences_and_ranges(tmp_path):
    def outcome(name, seed, psnr):
        history = studies.History([10, 20], [1.0, 2.0], [0.1, 0.1], [psnr + 1, psnr])
        return studies.Outcome(Arm(name, SHORT, small), seed, history, None, tmp_path)

    outcomes = [outcome("a", 0, 30.0), outcome("a", 1, 30.2), outcome("b", 0, 31.5)]
    rows = [line.split() for line in studies.to_text(outcomes).splitlines()[1:]]
    assert rows == [
        ["a", "30.10", "+0.00", "0.20", "31.10", "2"],
        ["b", "31.50", "+1.40", "0.00", "32.50", "2"],
    ]


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [([], (0,), "at least one"), (["a"], (), "at least one"), (["a", "a"], (0,), "one name")],
)
def test_bad_studies_are_refused(names, seeds, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        studies.run([Arm(name, SHORT, small) for name in names], *images(), tmp_path, seeds)
    assert not list(tmp_path.iterdir())
