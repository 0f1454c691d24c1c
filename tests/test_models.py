"""BicubicUpsampling, SRCNN and FSRCNN: sizes, starts, XLA."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.images import resize
from srcnn_tf.layers import BicubicUpsampling, Deconvolution, space_from_depth
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.models import build, fsrcnn, srcnn
from srcnn_tf.pairs import image_pair

SCALES = [2, 3, 4]


@pytest.fixture(scope="module")
def photograph():
    return datasets.load("samples", "test")[1]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 3), (7, 5)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
def test_upsampling_layer_is_matlabs_enlargement(scale, size, channels):
    # images.resize is itself held to a direct statement of MATLAB's algorithm in test_images.
    image = np.random.default_rng(0).random((*size, channels)).astype(np.float32)
    layer = BicubicUpsampling(scale)
    enlarged = np.asarray(layer(image[None]))
    expected = resize(image, (size[0] * scale, size[1] * scale))
    np.testing.assert_allclose(enlarged[0], expected, atol=1e-5)
    assert layer.compute_output_shape((1, *image.shape)) == enlarged.shape


def test_upsampling_layer_survives_its_config_and_has_no_weights():
    layer = BicubicUpsampling.from_config(BicubicUpsampling(3, name="up").get_config())
    assert (layer.scale, layer.name, layer.weights) == (3, "up", [])


def test_keras_own_bicubic_upsampling_does_not_compile_under_xla_and_ours_does():
    images = tf.zeros((1, 6, 6, 1))
    stock = tf.function(keras.layers.UpSampling2D(2, interpolation="bicubic"), jit_compile=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="ResizeBicubic"):
        stock(images)
    assert tf.function(BicubicUpsampling(2), jit_compile=True)(images).shape == (1, 12, 12, 1)


@pytest.mark.parametrize("scale", [0, 2.0, "2"])
def test_upsampling_layer_refuses_other_scales(scale):
    with pytest.raises(ValueError, match="whole number"):
        BicubicUpsampling(scale)


@pytest.mark.parametrize(("kernel", "scale"), [(9, 1), (9, 2), (9, 3), (9, 4), (5, 5), (4, 3)])
@pytest.mark.parametrize("maps", [(1, 1), (4, 3)])
def test_deconvolution_is_keras_own_with_the_same_weights(kernel, scale, maps):
    generator = np.random.default_rng(0)
    images = generator.random((2, 5, 7, maps[0])).astype(np.float32)
    options = {"padding": "same", "activation": "relu"}
    keras_own = keras.layers.Conv2DTranspose(maps[1], kernel, scale, **options)
    ours = Deconvolution(maps[1], kernel, scale, activation="relu")
    for layer in (keras_own, ours):
        layer.build(images.shape)
        layer.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in layer.weights])
    expected = np.asarray(keras_own(images))
    np.testing.assert_allclose(np.asarray(ours(images)), expected, atol=1e-5)
    assert tuple(ours.compute_output_shape(images.shape)) == expected.shape
    again = Deconvolution.from_config(ours.get_config())
    again.build(images.shape)
    again.set_weights(ours.get_weights())
    np.testing.assert_allclose(np.asarray(again(images)), expected, atol=1e-5)


def test_deconvolution_refuses_a_kernel_that_leaves_gaps():
    with pytest.raises(ValueError, match="kernel_size 2 and scale 3"):
        Deconvolution(1, 2, 3)


def test_space_from_depth_is_tensorflows_depth_to_space():
    phases = np.random.default_rng(0).random((2, 3, 5, 18)).astype(np.float32)
    np.testing.assert_array_equal(space_from_depth(phases, 3), tf.nn.depth_to_space(phases, 3))


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (build("srcnn-9-1-5", 3), 8129),
        (build("srcnn-9-3-5", 3), 24513),
        (build("srcnn-9-5-5", 3), 57281),
        (srcnn(2, filters=(64, 64), channels=3), 24579),  # the first tutorial's RGB 64-64-3
        (build("fsrcnn", 3), 12809),
        (build("fsrcnn-s", 3), 4086),
    ],
)
def test_parameters_are_the_papers(model, parameters):
    assert isinstance(model, keras.Sequential)
    assert model.count_params() == parameters


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", SCALES)
def test_srcnn_starts_at_bicubic_within_a_grey_level(photograph, scale, channels):
    lr_image, hr_image = image_pair(photograph, scale, channels)
    # A white square on black makes the undershoot that ReLU would cut.
    lr_image[30:70, 30:70] = 0
    lr_image[40:60, 40:60] = 1
    bicubic = resize(lr_image, hr_image.shape[:2])
    assert bicubic.min() < -0.05
    first = np.asarray(srcnn(scale, channels=channels)(lr_image[None]))[0]
    assert 255 * np.abs(first - bicubic).max() < 1


@pytest.mark.parametrize(("scale", "least"), [(2, 45), (3, 45), (4, 40)])
def test_fsrcnn_starts_near_bicubic(photograph, scale, least):
    lr_image, hr_image = image_pair(photograph, scale)
    bicubic = resize(lr_image, hr_image.shape[:2])
    first = np.asarray(fsrcnn(scale)(lr_image[None]))[0]
    distance = psnr(np.clip(bicubic, 0, 1), first, Protocol(border=scale, rounding=False))
    assert float(distance) >= least


def test_fsrcnn_starts_without_a_grid_on_flat_areas():
    flat = np.full((1, 12, 12, 1), 0.5, np.float32)
    inside = np.asarray(fsrcnn(4)(flat))[0, 8:-8, 8:-8]
    np.testing.assert_allclose(inside, 0.5, atol=1e-6)


@pytest.mark.parametrize("start", ["bicubic", "random"])
@pytest.mark.parametrize("builder", [srcnn, fsrcnn])
def test_seed_decides_the_weights(builder, start):
    one, same, other = (builder(2, start=start, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_srcnn_random_start_is_the_papers():
    model = srcnn(3, start="random")
    kernel, bias = model.get_layer("patch_extraction").get_weights()
    assert kernel.std() == pytest.approx(0.001, rel=0.05)
    assert not bias.any()


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (17, 3)])
@pytest.mark.parametrize("model", [srcnn(3), fsrcnn(3), srcnn(2, channels=3), fsrcnn(4, 32, 5, 1)])
def test_any_image_size_comes_out_enlarged_under_xla(model, size):
    images = np.random.default_rng(0).random((2, *size, model.input_shape[-1])).astype(np.float32)
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)
    expected = model.compute_output_shape(images.shape)
    enlarged = np.asarray(compiled(images))
    assert enlarged.shape == expected
    assert enlarged.shape[1] // size[0] == enlarged.shape[2] // size[1] >= 2
    np.testing.assert_allclose(enlarged, np.asarray(model(images)), atol=1e-4)


@pytest.mark.parametrize("builder", [srcnn, fsrcnn])
@pytest.mark.parametrize("start", ["bicubic", "random"])
def test_every_weight_learns_under_xla(builder, start):
    model = builder(2, start=start)
    generator = np.random.default_rng(0)
    lr_images = generator.random((4, 8, 8, 1)).astype(np.float32)
    hr_images = generator.random((4, 16, 16, 1)).astype(np.float32)
    before = model.get_weights()
    model.compile("adam", "mse", jit_compile=True)
    model.fit(lr_images, hr_images, epochs=3, verbose=0)
    for name, old, new in zip(
        [weight.path for weight in model.weights], before, model.get_weights(), strict=True
    ):
        assert not np.array_equal(old, new), name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build("vdsr", 3), "srcnn-9-1-5, srcnn-9-3-5, srcnn-9-5-5, fsrcnn, fsrcnn-s"),
        (lambda: srcnn(5), "2, 3 or 4"),
        (lambda: fsrcnn(1), "2, 3 or 4"),
        (lambda: srcnn(3, channels=2), "1 .luma. or 3 .RGB."),
        (lambda: srcnn(3, start="zeros"), "bicubic or random"),
        (lambda: srcnn(3, kernels=(9, 2, 5)), "odd"),
        (lambda: srcnn(3, kernels=(9, 5)), "one more"),
        (lambda: srcnn(3, filters=(64, 2), channels=3), "at least 3"),
        (lambda: fsrcnn(3, s=2, channels=3), "at least 3"),
    ],
)
def test_builders_refuse_what_they_cannot_build(make, message):
    with pytest.raises(ValueError, match=message):
        make()
