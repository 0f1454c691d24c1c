"""The shipped weights: all there, small, as good as the papers' and as their table says."""

import os
from importlib.resources import files
from pathlib import Path

import keras
import make_weights
import numpy as np
import pytest
import readme_table

from srcnn_tf import load_pretrained
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.models import build
from srcnn_tf.networks import find, shipped
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.pretrained import available, card, default_recipe
from srcnn_tf.probes import graph_function
from srcnn_tf.training import recipe_as_json

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
SHIPPED = sorted(shipped())


def test_every_network_is_there_at_every_scale():
    assert available() == SHIPPED


@pytest.mark.parametrize(("name", "scale"), SHIPPED)
def test_weights_are_small_whole_and_described(name, scale):
    path = files("srcnn_tf") / "weights" / f"{name}-x{scale}.weights.h5"
    assert os.path.getsize(path) <= 300_000
    model = load_pretrained(name, scale)
    assert isinstance(model, keras.Sequential)
    assert model.compute_output_shape((1, 10, 11, 1)) == (1, 10 * scale, 11 * scale, 1)
    told = card(name, scale)
    assert (told["model"], told["scale"]) == (name, scale)
    assert told["parameters"] == model.count_params()
    assert set(told["data"]) <= {"t91", "general100", "bsd200"}
    assert {"recipe", "steps", "seconds", "cores", "versions", "validation_psnr_db"} <= set(told)


@pytest.mark.parametrize(("name", "scale"), SHIPPED)
def test_weights_are_what_make_weights_trains(name, scale):
    told, words = card(name, scale), make_weights.command(name, scale)
    recipe = recipe_as_json(default_recipe(name, scale))
    # The oldest cards lack settings that came later.
    assert told["recipe"].items() <= recipe.items()
    assert (told["start"], tuple(told["data"])) == ("bicubic", find(name).data)
    assert words[words.index("--steps") + 1] == str(told["steps"]) == str(recipe["steps"])
    assert words[words.index("--data") + 1].split("+") == list(told["data"])


def test_a_recipe_of_minutes_has_no_steps():
    recipe = default_recipe("fsrcnn", 3, minutes=2.0)
    assert (recipe.steps, recipe.minutes, recipe.hr_patch) == (None, 2.0, 48)


@pytest.mark.parametrize("name", ["set5", "set14"])
@pytest.mark.parametrize(("network", "scale"), SHIPPED)
def test_scores_are_those_of_the_table_and_reach_their_floors(load_or_skip, network, scale, name):
    upscale = graph_function(load_pretrained(network, scale))
    pairs = evaluation_pairs(load_or_skip(name), scale)
    found, told = evaluate(upscale, pairs, Protocol(scale)), readme_table.scores(README)
    assert found.psnr == pytest.approx(told[network, scale, name].psnr, abs=0.0051)
    assert found.ssim == pytest.approx(told[network, scale, name].ssim, abs=0.000051)
    short = find(network).floors[scale][name] - found.psnr
    if name in find(network).unreached[scale]:
        assert short > 0, "it reaches its floor: take it off the unreached"
        pytest.xfail(f"{short:.2f} dB short of its floor")
    assert short <= 0


def test_what_is_not_there_is_told():
    with pytest.raises(ValueError, match=r"no weights for 'nosuch' ×3; there are fsrcnn ×2, "):
        load_pretrained("nosuch", 3)
    with pytest.raises(ValueError, match=r"no weights for 'fsrcnn' ×5"):
        card("fsrcnn", 5)


def test_loaded_weights_are_not_the_start():
    start, trained = build("fsrcnn", 3), load_pretrained("fsrcnn", 3)
    assert any(
        np.abs(a - b).max() > 0.1
        for a, b in zip(start.get_weights(), trained.get_weights(), strict=True)
    )
