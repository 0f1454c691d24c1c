"""One network trained on several scales at once, and VDSR's clipping and schedule."""

from dataclasses import replace

import numpy as np
import pytest
from test_training import images

from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.models import fsrcnn, srcnn, vdsr
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.training import Recipe, fit

SCALES = (2, 3, 4)
RECIPE = Recipe(
    steps=60,
    scales=SCALES,
    optimizer="soap",
    learning_rate=5e-3,
    hr_patch=24,
    batch_size=6,
    steps_per_epoch=20,
    ema=0.9,
)


def train(recipe=RECIPE, folder=None, resume=False):
    model = vdsr(2, depth=4, width=8)
    return model, fit(model, *images(), recipe, folder, resume)


@pytest.fixture(scope="module")
def trained():
    return train()


def test_one_network_learns_all_scales(trained):
    model, history = trained
    assert list(history.psnr_of) == ["x2", "x3", "x4"]
    for scale in SCALES:
        start, network = vdsr(scale, depth=4, width=8), vdsr(scale, depth=4, width=8)
        network.set_weights(model.get_weights())
        pairs = evaluation_pairs(images()[1], scale)
        before, after = (evaluate(each, pairs, Protocol(scale)).psnr for each in (start, network))
        assert after > before + 0.05
        assert history.psnr_of[f"x{scale}"][history.best] == pytest.approx(after, abs=2e-3)
    assert history.psnr_of["x2"][-1] > history.psnr_of["x4"][-1] + 3


def test_a_resumed_run_ends_with_the_very_same_weights(tmp_path):
    changes = {"scales": (2, 3), "optimizer": "adam"}  # which is traced in a third of SOAP's time
    recipe = replace(RECIPE, **changes, schedule="constant", steps_per_epoch=4, steps=8)
    train(replace(recipe, steps=4), tmp_path)
    resumed, straight = train(recipe, tmp_path, resume=True), train(recipe)
    assert resumed[1].psnr == straight[1].psnr
    assert resumed[1].psnr_of == straight[1].psnr_of
    for one, other in zip(resumed[0].get_weights(), straight[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_any_network_that_begins_with_the_interpolation_will_do():
    model = srcnn(3, (5, 1, 3), (6, 4))
    history = fit(model, *images(), replace(RECIPE, steps=20, scales=(2, 4), precision="mixed"))
    assert list(history.psnr_of) == ["x2", "x4"]
    with pytest.raises(ValueError, match="'fsrcnn' does not begin with BicubicUpsampling"):
        fit(fsrcnn(2), *images(), RECIPE)


def test_adjustable_clipping_survives_a_rate_that_breaks_off_without():
    high = replace(
        RECIPE, optimizer="sgd", learning_rate=20.0, clipnorm=None, ema=None, schedule="constant"
    )
    with pytest.raises(FloatingPointError):
        train(replace(high, steps=200))
    assert np.isfinite(train(replace(high, theta=1e-4, steps=40))[1].loss).all()


def test_theta_is_for_sgd():
    with pytest.raises(ValueError, match="theta clips for the optimizer 'sgd', not for 'soap'"):
        replace(RECIPE, theta=0.01)


def test_the_rate_falls_to_a_tenth_after_each_quarter():
    recipe = Recipe(steps=80, schedule="steps", learning_rate=0.1)
    rates = [recipe.rate(step, 0) for step in (0, 19, 20, 40, 79, 80)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.001, 1e-4, 1e-4])
