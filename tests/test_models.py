"""The contract of every network in the table: parameters, sizes, starts, XLA, files of Keras."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from srcnn_tf import models
from srcnn_tf.models import STARTS, build
from srcnn_tf.networks import networks

NAMES = list(networks())
# Of the deep networks shallow ones will do, in a part of the compiler's time.
SHALLOW = {
    "vdsr": {"depth": 5},
    "zssr": {"depth": 3},
    "srresnet": {"blocks": 2, "width": 8},
    "edrn": {"groups": (1, 1, 1), "blocks": 1},
}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_the_papers(name):
    for scale in networks()[name].recipes:
        assert build(name, scale).count_params() == networks()[name].parameters


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_the_weights(name, start):
    options = {"start": start, **SHALLOW.get(name, {})}
    one, same, other = (build(name, 2, seed=n, **options).get_weights() for n in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_any_image_size_comes_out_enlarged_under_xla(name, channels):
    scale = 3
    model = build(name, scale, channels=channels, **SHALLOW.get(name, {}))
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)
    for height, width in ((1, 1), (5, 8), (17, 3)):
        images = np.random.default_rng(0).random((2, height, width, channels), np.float32)
        enlarged = np.asarray(compiled(images))
        assert enlarged.shape == (2, scale * height, scale * width, channels)
        assert enlarged.shape == model.compute_output_shape(images.shape)
        assert enlarged.dtype == np.float32
        np.testing.assert_allclose(enlarged, np.asarray(model(images)), atol=1e-4)


# One network of each builder also from the random start.
BUILDERS = {it.builder: it.name for it in reversed(networks().values())}
# Of networks that are built alike, as SRGAN is like SRResNet, the first.
ALIKE = {(it.builder, str(it.arguments)): it.name for it in reversed(networks().values())}
FROM = [*((n, "bicubic") for n in ALIKE.values()), *((n, "random") for n in BUILDERS.values())]


@pytest.mark.parametrize(("name", "start"), FROM)
def test_every_weight_learns_under_xla(name, start):
    model = build(name, 2, channels=1, start=start, **SHALLOW.get(name, {}))
    generator = np.random.default_rng(0)
    lr_images, hr_images = (generator.random((4, n, n, 1), np.float32) for n in (8, 16))
    before = model.get_weights()
    model.compile("adam", "mse", jit_compile=True)
    model.fit(lr_images, hr_images, epochs=3, verbose=0)
    paths = [weight.path for weight in model.weights]
    for path, old, new in zip(paths, before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new), path


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize(
    ("scale", "options", "message"),
    [
        (5, {}, "2, 3 or 4"),
        (1, {}, "2, 3 or 4"),
        (3, {"channels": 2}, "1 .luma. or 3 .RGB."),
        (3, {"channels": True}, "channels is True"),
        (3, {"start": "zeros"}, "choose one of bicubic, random"),
        (3, {"seed": 2**64}, "seed is 18446744073709551616: .* at most 4294967295"),
        (3, {"seed": -1}, "seed is -1"),
        (3, {"seed": 1.5}, r"seed is 1\.5"),
        (3, {"seed": True}, "seed is True"),
    ],
)
def test_builders_refuse_what_they_cannot_build(builder, scale, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(models, builder)(scale, **options)


def test_an_unknown_name_lists_the_table():
    with pytest.raises(
        ValueError, match=f"unknown model 'nosuch': choose one of {', '.join(NAMES)}"
    ):
        build("nosuch", 3)


# What building and loading a network must do without. Keras itself loads requests.
ALONE = """
import sys
sys.modules |= dict.fromkeys(["cv2", "PIL", "pooch"])
from srcnn_tf.models import build
build("fsrcnn", 3)
import srcnn_tf
model = srcnn_tf.load_pretrained("fsrcnn", 3)
assert "srcnn_tf.datasets" not in sys.modules
"""


def test_building_and_loading_take_neither_opencv_nor_pillow_nor_pooch():
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
