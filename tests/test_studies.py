"""Studies: what is kept is not trained again, what has changed is; a failure is an outcome."""

import importlib
import json
import linecache
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from test_training import RECIPE, images

from srcnn_tf import studies
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.models import fsrcnn
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.studies import Arm
from srcnn_tf.training import History

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


@pytest.mark.parametrize("name", ["end.weights.h5", "outcome.json", "progress.json"])
def test_a_damaged_file_is_named(study, name):
    folder, (outcome, *_) = study
    path = outcome.folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[:10])
    with pytest.raises(ValueError, match=f"{path} is missing, damaged"):
        outcome.model() if name[:3] == "end" else studies.run(ARMS, *images(), folder, (0, 1))
    path.write_bytes(whole)


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


# What a run's numbers come from, and a change of each kind that moves them.
DECIDES = {
    "training/fitting.py": ("_VALIDATION_SIDE = 192", "_VALIDATION_SIDE = 96"),
    "training/recipe.py": ("WARM_UP = 0.1", "WARM_UP = 0.2"),
    "pairs/crops.py": ("2 * number + what", "3 * number + what"),
    "pairs/degradation.py": ('"bicubic", degradation', '"bilinear", degradation'),
    "images/resizing.py": ("0.5 * x + 2.5", "0.75 * x + 2.5"),
    "images/pixels.py": ("65.481", "65.738"),
    "layers.py": ("_KEYS = 2", "_KEYS = 3"),
    "losses.py": ("epsilon: float = 1e-3", "epsilon: float = 1e-2"),
    "metrics.py": ("255.0**2", "1.0**2"),
    "optimizers.py": ("shampoo_beta: float = 0.95", "shampoo_beta: float = 0.9"),
}
# What nothing depends on.
LEAVES = {
    "slider.py": ("_WIDTH = 640", "_WIDTH = 641"),
    "figures.py": ("columns: int = 4", "columns: int = 5"),
    "cli.py": ("minutes = 10", "minutes = 11"),
    "checks/answers.py": ("1e-6", "1e-5"),
    "upscaling.py": ("TILE = 192", "TILE = 256"),
    "training/fitting.py": ('"""Hold out every tenth', '"""Keep every tenth'),
    "pairs/crops.py": ("# A reversed axis begins at its far end.", "# Begin at the far end."),
    "optimizers.py": ("# Where no gradient flows", "# Where nothing flows"),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "srcnn_tf"
    shutil.copytree(Path(studies.__file__).parent, copy, ignore=shutil.ignore_patterns("weights"))
    return copy


@pytest.mark.parametrize(
    ("file", "change", "decides"),
    [
        *((file, change, True) for file, change in DECIDES.items()),
        *((file, change, False) for file, change in LEAVES.items()),
    ],
)
def test_code_that_decides_the_numbers_is_in_the_key_and_other_code_is_not(
    package, file, change, decides
):
    text = (package / file).read_text()
    assert change[0] in text
    before = studies.training_code.__wrapped__(package)
    (package / file).write_text(text.replace(*change, 1))
    after = studies.training_code.__wrapped__(package)
    (package / file).write_text(text)
    assert (before != after) == decides


def test_no_module_that_training_loads_drops_out_of_the_key(package):
    """Also one in a folder that is yet to come: what `fit` imports is what is hashed."""
    code = "import sys, srcnn_tf.training, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = [n for n in json.loads(done.stdout.splitlines()[-1]) if n.startswith("srcnn_tf.")]
    assert "srcnn_tf.training.callbacks" in modules
    before = studies.training_code.__wrapped__(package)
    for module in modules:
        path = package.joinpath(*module.split(".")[1:])
        if path.is_dir():  # a package only hands names on
            continue
        file = path.with_suffix(".py")
        text = file.read_text()
        file.write_text(text + "\nCHANGED = True\n")
        assert studies.training_code.__wrapped__(package) != before, module
        file.write_text(text)


def test_a_loss_or_layer_of_ones_own_that_changes_trains_again(tmp_path, capsys, monkeypatch):
    arms = []
    for number, error in enumerate(("difference * difference", "abs(difference)")):
        (tmp_path / f"own_{number}").mkdir()
        (tmp_path / f"own_{number}" / "own.py").write_text(
            f"def error(truth, made):\n    difference = truth - made\n    return {error}\n"
        )
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path / f"own_{number}")
            patch.delitem(sys.modules, "own", raising=False)
            own = importlib.import_module("own")
        arms.append(Arm("own loss", replace(SHORT, loss=own.error), small))
    linecache.clearcache()
    for arm in (*arms, arms[1]):
        studies.run([arm], *images(), tmp_path / "study")
    assert trained_now(capsys) == ["own loss, seed 0"] * 2


def test_names_that_keras_makes_up_change_nothing(tmp_path, capsys):
    def unnamed(seed):
        inputs = keras.Input((None, None, 1))
        doubled = keras.layers.UpSampling2D(2, interpolation="nearest")(inputs)
        residual = keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="zeros")(doubled)
        return keras.Model(inputs, keras.layers.Add()([doubled, residual]))

    for _ in range(2):
        studies.run([Arm("unnamed", SHORT, unnamed)], *images(), tmp_path)
    assert trained_now(capsys) == ["unnamed, seed 0"]


def outcome(name, seed, psnr, folder=None):
    history = History([10, 20], [1.0, 2.0], [0.1, 0.1], [psnr + 1, psnr])
    return studies.Outcome(Arm(name, SHORT, small), seed, history, None, folder)


def test_table_has_means_and_differences_seed_by_seed():
    outcomes = [outcome("a", 0, 30.0), outcome("a", 1, 30.2)]
    outcomes += [outcome("b", 1, 31.5), outcome("c", 0, 30.1), outcome("c", 1, 30.1)]
    rows = [line.split() for line in studies.to_text(outcomes).splitlines()[1:]]
    assert rows == [
        ["a", "30.10", "+0.00", "–", "31.10", "2"],
        ["b", "31.50", "+1.30", "–", "32.50", "2"],
        ["c", "30.10", "+0.00", "-0.10", "to", "+0.10", "31.10", "2"],
    ]


def test_what_is_stored_reads_back_without_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "_FULL_RUN", tmp_path / "full_run.json")
    outcomes = [outcome("a", 0, 30.123456), outcome("b", 1, 31.5)]
    studies._FULL_RUN.write_text(studies.to_json("today", outcomes), encoding="utf-8")
    about, (found,) = studies.full_run([Arm("b", SHORT, small), Arm("new", SHORT, small)])
    assert about == "today"
    assert (found.arm.name, found.seed, found.history) == ("b", 1, outcomes[1].history)
    with pytest.raises(ValueError, match="curves alone were kept"):
        found.model()


def test_the_full_run_has_the_arms_of_lesson_06():
    lesson = Path(__file__).parent.parent / "notebooks" / "06_training_choices.ipynb"
    named = re.findall(r'\b(?:arm|with_batch)\(\\"([^"\\]+)', lesson.read_text(encoding="utf-8"))
    stored = json.loads(studies._FULL_RUN.read_text(encoding="utf-8"))["outcomes"]
    assert len(named) > 20
    assert set(named) <= stored.keys()
    for rows in stored.values():
        assert rows[0]["error"] or len(rows[0]["history"]["psnr"]) >= 10


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [([], (0,), "at least one"), (["a"], (), "at least one"), (["a", "a"], (0,), "one name")],
)
def test_bad_studies_are_refused(names, seeds, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        studies.run([Arm(name, SHORT, small) for name in names], *images(), tmp_path, seeds)
    assert not list(tmp_path.iterdir())
