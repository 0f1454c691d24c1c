import keras
import numpy as np
import pytest

from srcnn_tf.images import resize
from srcnn_tf.models import vdsr
from srcnn_tf.probes import multiply_adds, reach


def test_weights_as_the_paper_counts_them_and_as_built():
    model = vdsr(2)
    assert sum(int(np.prod(w.shape)) for w in model.weights if w.shape.rank == 4) == 664_704
    assert model.count_params() == 664_704 + 19 * 64 + 1
    assert [layer.name for layer in model.layers[2:4]] == ["conv_1", "conv_2"]
    assert multiply_adds(model) == 664_704


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_starts_as_bicubic_interpolation(scale, channels):
    image = np.random.default_rng(0).random((7, 9, channels), np.float32)
    model = vdsr(scale, depth=4, width=8, channels=channels)
    expected = resize(image, (7 * scale, 9 * scale))
    np.testing.assert_allclose(model(image[None])[0], expected, atol=1e-5)


def test_random_start_is_hes_in_every_layer_and_seeded():
    models = [vdsr(3, start="random", seed=seed) for seed in (0, 0, 1)]
    first, same, other = (model.get_weights() for model in models)
    for kernel in first[::2]:
        assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * kernel.shape[2])), rel=0.15)
    assert all(np.array_equal(*pair) for pair in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_one_set_of_weights_serves_every_scale():
    two = vdsr(2, depth=5, width=4, start="random")
    two.set_weights([weight / 4 for weight in two.get_weights()])
    three = vdsr(3, depth=5, width=4)
    three.set_weights(two.get_weights())
    image = np.random.default_rng(1).random((1, 12, 12, 1), np.float32)
    body = keras.Model(two.get_layer("bicubic").output, two.output)
    enlarged = three.get_layer("bicubic")(image)
    np.testing.assert_allclose(three(image), body(enlarged), atol=1e-6)


@pytest.mark.parametrize(("scale", "lr_pixels"), [(2, 12), (3, 9), (4, 7)])
def test_reach_is_that_of_twenty_layers_and_the_interpolation(scale, lr_pixels):
    assert reach(vdsr(scale)) == lr_pixels  # 20 pixels of the enlarged image, and Keys' two


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"depth": 1}, "depth is 1"), ({"width": 0}, "width is 0"), ({"start": "he"}, "start 'he'")],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        vdsr(2, **arguments)
