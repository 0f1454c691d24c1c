import numpy as np
import pytest

from srcnn_tf.images import resize
from srcnn_tf.layers import BicubicUpsampling, depth_to_space
from srcnn_tf.models import srresnet
from srcnn_tf.probes import multiply_adds, reach


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_weights_as_the_paper_counts_them_and_without_batch_normalisation():
    model = srresnet(4)
    kernels = {w.path: int(np.prod(w.shape)) for w in model.weights if w.shape.rank == 4}
    ends, middle, enlarging = 9 * 9 * 3 * 64, 9 * 64 * 64, 9 * 64 * 256
    assert sum(kernels.values()) == 2 * ends + 33 * middle + 2 * enlarging == 1_542_528
    biases, slopes, norms = 3 + 64 + 2 * 64, (1 + 16 + 2) * 64, 33 * 2 * 64
    assert trainable(model) == 1_542_528 + biases + slopes + norms
    assert trainable(srresnet(4, batch_norm=False)) == trainable(model) - 33 * 64
    block = [layer.name.removeprefix("block_1_") for layer in model.layers[3:9]]
    assert block == ["conv_1", "conv_1_bn", "prelu", "conv_2", "conv_2_bn", "sum"]
    # Most weights work at low resolution, some at twice its size, the tail at the full one.
    per_pixel = (ends + 33 * middle + enlarging) / 16 + enlarging / 4 + ends
    assert multiply_adds(model) == pytest.approx(per_pixel)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_reach_is_that_of_its_layers(scale):
    # 4 of the head, 2 of each block, 1 after them; enlarging and the tail's 4 HR pixels are 3 more.
    assert reach(srresnet(scale, blocks=6, width=2)) == 4 + 12 + 1 + 3


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_it_starts_as_bicubic_interpolation(scale, batch_norm):
    image = np.random.default_rng(0).random((7, 9, 3), np.float32)
    model = srresnet(scale, blocks=2, width=8, batch_norm=batch_norm)
    expected = resize(image, (7 * scale, 9 * scale))
    np.testing.assert_allclose(model(image[None])[0], expected, atol=1e-5)


def test_the_papers_form_has_no_interpolation_and_hes_start():
    model = srresnet(3, blocks=1, bicubic_skip=False, start="random")
    assert not any(isinstance(layer, BicubicUpsampling) for layer in model.layers)
    inputs = {"enlarging_1": 64}
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            kernel = np.asarray(layer.kernel)
            taps = 3 * 3 * inputs[layer.name] if layer.name in inputs else np.prod(kernel.shape[:3])
            assert kernel.std() == pytest.approx(np.sqrt(2 / taps), rel=0.1)


def test_it_enlarges_by_a_convolution_and_depth_to_space():
    layer = srresnet(3, blocks=0, width=4).get_layer("enlarging_1")
    maps = np.random.default_rng(0).random((1, 5, 6, 4), np.float32)
    # Each output position inside a pixel has every third row and column of the kernel, turned.
    kernel = np.asarray(layer.kernel).reshape(3, 3, 3, 3, 4, 4)[::-1, :, ::-1]
    kernel = kernel.transpose(0, 2, 5, 1, 3, 4).reshape(3, 3, 4, 36)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    phases = np.einsum("nhwcyx,yxco->nhwo", windows, kernel)
    np.testing.assert_allclose(layer(maps), depth_to_space(phases, 3), atol=1e-5)


def test_without_batch_normalisation_training_and_inference_agree_and_sums_stay_small():
    image = np.random.default_rng(0).random((1, 12, 12, 3), np.float32)
    plain = srresnet(4, width=16, batch_norm=False, bicubic_skip=False, start="random")
    np.testing.assert_array_equal(plain(image, training=True), plain(image))
    assert 0.1 < np.std(plain(image)) < 10
    model = srresnet(4, blocks=2, width=8, start="random")
    assert np.abs(model(image, training=True) - model(image)).max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": -1}, "blocks is -1"),
        ({"width": 0}, "width is 0"),
        ({"bicubic_skip": False}, "needs bicubic_skip: choose start='random'"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        srresnet(2, **arguments)
