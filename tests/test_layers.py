"""BicubicUpsampling is MATLAB's, Deconvolution is Keras's, and both know which pixels they see."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from srcnn_tf.images import resize
from srcnn_tf.layers import BicubicUpsampling, Deconvolution, depth_to_space


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
    assert layer.compute_output_shape((None, None, 5, 1)) == (None, None, 15, 1)


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
    with pytest.raises(
        ValueError, match="kernel_size is 2: it must be a whole number of at least 3"
    ):
        Deconvolution(1, 2, 3)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("scale", [1, 3])
def test_depth_to_space_is_tensorflows(scale, xla):
    phases = np.random.default_rng(0).random((2, 3, 5, 18)).astype(np.float32)
    signature = [tf.TensorSpec([None, None, None, 18])]
    ours = tf.function(lambda x: depth_to_space(x, scale), signature, jit_compile=xla)
    expected = tf.nn.depth_to_space(phases, scale) if scale > 1 else phases
    np.testing.assert_array_equal(ours(phases), expected)


@pytest.mark.parametrize(
    "layer",
    [
        *(BicubicUpsampling(scale) for scale in (1, 2, 3, 4)),
        *(Deconvolution(1, kernel, scale) for kernel, scale in [(9, 2), (9, 3), (9, 4), (4, 3)]),
    ],
    ids=lambda layer: f"{layer.name}-{layer.scale}",
)
def test_a_window_holds_all_pixels_that_an_output_pixel_sees(layer):
    size = 9
    layer.build((None, size, size, 1))
    layer.set_weights([np.ones(weight.shape) for weight in layer.weights])
    impulses = np.eye(size, dtype=np.float32)[:, :, None, None]  # one lit row in each image
    seen = np.asarray(layer(impulses)[:, :, 0, 0]) != np.asarray(layer(impulses[:1] * 0))[0, 0, 0]
    first, last = layer.window(size)
    pixels = np.arange(size)[:, None]
    inside = (pixels >= first) & (pixels <= last)
    assert inside.shape == seen.shape == (size, size * layer.scale)
    if isinstance(layer, Deconvolution):
        np.testing.assert_array_equal(seen, inside)
    else:  # five pixels for every phase; each phase of Keys' kernel uses four of them, or one
        assert not (seen & ~inside)[:, 2 * layer.scale : -2 * layer.scale].any()
