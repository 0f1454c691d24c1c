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

SHORT = replace(RECIPE, steps=20)


def small(seed, start="bicubic"):
    return fsrcnn(2, d=8, s=4, m=1, start=start, seed=seed)


def trained_now(capsys):
    """Return which arms have trained since the last call."""
    lines = capsys.readouterr().out.splitlines()
    return [line.split(": ")[1] for line in lines if " of " in line and ", seed " in line]


def test_arms_train_once_and_again_when_something_changed(tmp_path, capsys):
    arms = [Arm("ours", SHORT, small), Arm("slow", replace(SHORT, learning_rate=1e-4), small)]
    first = studies.run(arms, *images(), tmp_path, seeds=(0, 1))
    assert trained_now(capsys) == ["ours, seed 0", "ours, seed 1", "slow, seed 0", "slow, seed 1"]
    again = studies.run(arms, *images(), tmp_path, seeds=(0, 1))
    assert trained_now(capsys) == []
    assert [o.history for o in again] == [o.history for o in first]

    def changed(arm, *data):
        studies.run([arm], *(data or images()), tmp_path)
        return bool(trained_now(capsys))

    assert not changed(replace(arms[0], name="another name"))
    assert changed(replace(arms[0], recipe=replace(SHORT, learning_rate=3e-3)))
    assert changed(replace(arms[0], build=lambda seed: small(seed, "random")))
    assert changed(arms[0], images()[0][1:], images()[1])

    def decayed(seed):
        model = small(seed)
        model.layers[0].kernel.regularizer = keras.regularizers.L2(1e-4)
        return model

    assert changed(replace(arms[0], build=decayed))


def test_names_that_keras_makes_up_change_nothing(tmp_path, capsys):
    def unnamed(seed):
        inputs = keras.Input((None, None, 1))
        doubled = keras.layers.UpSampling2D(2, interpolation="nearest")(inputs)
        residual = keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="zeros")(doubled)
        return keras.Model(inputs, keras.layers.Add()([doubled, residual]))

    for _ in range(2):
        studies.run([Arm("unnamed", SHORT, unnamed)], *images(), tmp_path)
    assert trained_now(capsys) == ["unnamed, seed 0"]


def test_seeds_reach_weights_and_crops(tmp_path):
    one, other = studies.run([Arm("ours", SHORT, small)], *images(), tmp_path, seeds=(0, 1))
    assert one.history.psnr != other.history.psnr
    assert (one.seed, other.seed) == (0, 1)


def test_model_has_the_weights_that_were_scored(tmp_path):
    (outcome,) = studies.run([Arm("ours", SHORT, small)], *images(), tmp_path)
    pairs = evaluation_pairs(images()[1], 2)
    assert evaluate(outcome.model(), pairs, Protocol(2)).psnr == pytest.approx(
        outcome.psnr, abs=1e-3
    )


def test_a_run_that_breaks_off_is_an_outcome_and_is_not_repeated(tmp_path, capsys):
    wild = replace(SHORT, optimizer="sgd", learning_rate=1e18, clipnorm=None, schedule="constant")
    arms = [Arm("ours", SHORT, small), Arm("wild", wild, small)]
    ours, broken = studies.run(arms, *images(), tmp_path)
    assert "lower learning rate" in broken.error
    assert np.isnan(broken.psnr)
    assert ours.error is None
    with pytest.raises(ValueError, match="'wild' has no weights"):
        broken.model()
    trained_now(capsys)
    studies.run(arms, *images(), tmp_path)
    assert trained_now(capsys) == []
    table = studies.to_text([ours, broken]).splitlines()
    assert f"{ours.psnr:.2f}" in table[1]
    assert table[2].startswith("wild  broke off")


def test_table_has_means_differences_and_ranges(tmp_path):
    def outcome(name, seed, psnr):
        history = studies.History([10, 20], [1.0, 2.0], [0.1, 0.1], [psnr - 1, psnr])
        return studies.Outcome(Arm(name, SHORT, small), seed, history, None, tmp_path)

    outcomes = [outcome("a", 0, 30.0), outcome("a", 1, 30.2), outcome("b", 0, 31.5)]
    rows = [line.split() for line in studies.to_text(outcomes).splitlines()[1:]]
    assert rows == [
        ["a", "30.10", "+0.00", "0.20", "20", "2"],
        ["b", "31.50", "+1.40", "0.00", "20", "2"],
    ]


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [([], (0,), "at least one"), (["a"], (), "at least one"), (["a", "a"], (0,), "one name")],
)
def test_bad_studies_are_refused(names, seeds, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        studies.run([Arm(name, SHORT, small) for name in names], *images(), tmp_path, seeds)
    assert not list(tmp_path.iterdir())
