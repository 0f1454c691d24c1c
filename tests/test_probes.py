"""Probes: reach proved by moving pixels, costs counted by hand, models left as they were."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.signal import correlate2d

from srcnn_tf.images import resize
from srcnn_tf.layers import BicubicUpsampling, Deconvolution
from srcnn_tf.models import build, fsrcnn, srcnn
from srcnn_tf.probes import feature_maps, filters, graph_function, multiply_adds, reach, scale_of

IMAGE = np.random.default_rng(0).random((12, 16, 1)).astype(np.float32)
ANY_SIZE = (None, None, 1)


def conv(maps, kernel, **options):
    return layers.Conv2D(maps, kernel, padding="same", **options)


def sequential(*parts, name=None):
    return keras.Sequential([keras.Input(ANY_SIZE), *parts], name=name)


# -- models of every shape ------------------------------------------------------------------------


def u_shaped():
    image = keras.Input(ANY_SIZE)
    whole = conv(2, 3, activation="relu")(image)
    half = conv(3, 3, strides=2)(whole)
    quarter = layers.PReLU(shared_axes=[1, 2])(conv(4, 5, strides=2)(half))
    up = layers.Concatenate()([Deconvolution(3, 5, 2)(quarter), half])
    up = layers.Conv2DTranspose(2, 4, strides=2, padding="same")(up)
    return keras.Model(image, Deconvolution(1, 9, 2)(layers.Add()([up, whole])))


def residual():
    image = keras.Input(ANY_SIZE)
    x = head = conv(4, 5, name="head")(image)
    for i in range(3):
        inside = ops.relu(conv(4, 3, name=f"in_{i}")(x))
        x = x + 0.5 * conv(4, 3, name=f"out_{i}")(inside)
    x = layers.Dropout(0.5)(layers.BatchNormalization()(x)) + head
    return keras.Model(image, Deconvolution(1, 7, 3, name="up")(x))


def dilated():
    return sequential(
        conv(2, 3, dilation_rate=4),
        layers.ZeroPadding2D(((5, 5), (2, 2))),
        layers.Cropping2D(((1, 1), (0, 0))),
        layers.Conv2D(2, (5, 3), dilation_rate=2, padding="valid"),
        layers.UpSampling2D(2),
        conv(1, 3),
    )


def depthwise():
    return sequential(
        conv(4, 1),
        layers.DepthwiseConv2D(5, padding="same", depth_multiplier=2),
        layers.LayerNormalization(center=False, scale=False, epsilon=1),
        layers.SeparableConv2D(6, 3, padding="same", activation="relu"),
        conv(4, 3, groups=2),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.Dense(1),
    )


def nested():
    maps = keras.Input((None, None, 4))
    convolved = conv(4, 3, name="conv")(conv(4, 5, name="wide")(maps))
    outer = keras.Model(maps, layers.Add(name="sum")([maps, convolved]), name="outer")
    block = keras.Sequential([keras.Input((None, None, 4)), outer, layers.ReLU(name="relu")])
    block.name = "block"
    image, small = keras.Input(ANY_SIZE), keras.Input((None, None, 4))
    up = layers.Conv2DTranspose(1, 4, 2, "same", name="up")(small)
    x = block(block(conv(4, 3, name="head")(image)))
    return keras.Model(image, keras.Model(small, up, name="tail")(x))


def shared():
    """Recursion, as in DRCN: one layer is called again and again, and all results are merged."""
    image = keras.Input(ANY_SIZE)
    again, states = conv(3, 3, name="again"), [conv(3, 3)(image)]
    for _ in range(4):
        states.append(again(states[-1]))
    return keras.Model(image, conv(1, 1)(layers.Average()(states[1:])))


def branched():
    image = keras.Input(ANY_SIZE)
    tall, wide = conv(2, (7, 1))(image), conv(2, (3, 5))(image)
    pooled = layers.MaxPooling2D(3, strides=1, padding="same")(wide)
    mean = layers.AveragePooling2D((1, 11), strides=1, padding="same")(tall)
    return keras.Model(image, conv(1, 1)(layers.Concatenate()([tall, pooled, mean])))


def strided():
    return sequential(
        conv(2, 4, strides=3),
        layers.MaxPooling2D(2, padding="same"),
        conv(2, 3),
        layers.Conv2DTranspose(1, 7, strides=6, padding="same"),
    )


# How each is built, sides of images to try, what moves it by one period, its cost by hand.
MODELS = {
    "u_shaped": (
        u_shaped,
        [60, 64],
        4,
        (9 * 2 + 9 * 6 / 4 + 25 * 12 / 16 + 25 * 12 / 16 + 16 * 12 / 4 + 81 * 2) / 4,
    ),
    "residual": (residual, [41], 1, (25 * 4 + 6 * 9 * 16 + 49 * 4) / 9),
    "dilated": (dilated, [41], 1, (9 * 2 + 15 * 4 + 4 * 9 * 2) / 4),
    "depthwise": (depthwise, [41], 1, (4 + 25 * 8 + 9 * 8 + 8 * 6 + 9 * 3 * 4 + 4 * 4) / 4),
    "nested": (nested, [41], 1, (9 * 4 + 2 * (25 * 16 + 9 * 16) + 16 * 4) / 4),
    "shared": (shared, [41], 1, 9 * 3 + 4 * 9 * 9 + 3),
    "branched": (branched, [41], 1, 7 * 2 + 15 * 2 + 6),
    "strided": (strided, range(60, 66), 6, (16 * 2) / 9 + (9 * 4 + 49 * 2) / 36),
}


def moved(model, side, period):
    """Light one pixel in the middle of a black image; return how far away something changes.

    No layer of a network here has a bias that is not 0, and weights are positive: a black image
    stays black, and no path from a pixel can cancel out or be cut.
    """
    generator = np.random.default_rng(0)
    for weight in model.trainable_weights:
        random = generator.uniform(0.5, 1.5, weight.shape) / np.sqrt(np.prod(weight.shape))
        weight.assign(0 * random if "bias" in weight.name or "beta" in weight.name else random)
    centre = side // 2 + np.arange(period)
    images = np.zeros((period, side, side, 1), np.float32)
    images[np.arange(period), centre, centre] = 1
    image, *place, _ = np.nonzero(np.asarray(model(images, training=False)))
    return max(np.abs(axis // scale_of(model) - centre[image]).max() for axis in place)


@pytest.mark.parametrize("name", MODELS)
def test_reach_is_how_far_a_moved_pixel_is_seen(name):
    make, sides, period, _ = MODELS[name]
    model = make()
    assert reach(model) == max(moved(model, side, period) for side in sides)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("scale", [2, 3])
def test_reach_of_keras_own_interpolations(interpolation, scale):
    model = sequential(layers.UpSampling2D(scale, interpolation=interpolation))
    assert reach(model) == moved(model, 21, 1)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (4, 2), (8, 3), (2, 2), (3, 5)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_reach_of_transposed_convolutions(kernel, stride, padding):
    extra = max(0, kernel - stride) if padding == "valid" else 0
    model = sequential(
        layers.Conv2DTranspose(1, kernel, stride, padding),
        layers.Cropping2D(((extra // 2, extra - extra // 2), (0, extra))),
    )
    assert 0 <= reach(model) - moved(model, 21, 1) <= (kernel < stride)


@pytest.mark.skipif(not hasattr(ops, "depth_to_space"), reason="this Keras has no depth_to_space")
def test_reach_of_a_sub_pixel_convolution():
    image = keras.Input(ANY_SIZE)
    model = keras.Model(image, ops.depth_to_space(conv(9, 5)(image), 3))
    assert (scale_of(model), reach(model)) == (3, 2)
    assert multiply_adds(model) == 25


def test_reach_of_a_large_one_and_of_one_size_only():
    assert reach(sequential(*(conv(1, 31) for _ in range(20)))) == 300
    fixed = keras.Sequential([keras.Input((24, 20, 1)), conv(1, 5), BicubicUpsampling(2)])
    assert (scale_of(fixed), reach(fixed), multiply_adds(fixed)) == (2, 4, 25 / 4)


@pytest.mark.parametrize(
    "model", [build("srcnn-9-5-5", 3), build("fsrcnn", 2), build("fsrcnn", 3), build("fsrcnn-s", 4)]
)
def test_reach_is_where_gradients_end(model):
    """All weights positive and no bias: no path from an input pixel can cancel or be cut."""
    model.set_weights([np.full(w.shape, 0.01) for w in model.get_weights()])
    for layer in model.layers:
        if isinstance(layer, layers.PReLU):
            layer.alpha.assign(np.ones(layer.alpha.shape))
    side, scale = 41, scale_of(model)
    image = np.zeros((1, side, side, 1), np.float32)
    dark = graph_function(model)(image).numpy()
    image[0, side // 2, side // 2] = 1
    changed = np.argwhere(np.abs(graph_function(model)(image).numpy() - dark)[0, :, :, 0] > 1e-12)
    reached = np.abs(changed // scale - side // 2).max()
    assert 0 <= reach(model) - reached <= 1


@pytest.mark.parametrize(
    ("name", "reaches"),
    [
        ("srcnn-9-1-5", (5, 4, 4)),
        ("srcnn-9-5-5", (6, 5, 4)),
        ("fsrcnn", (8, 7, 7)),
        ("fsrcnn-s", (5, 4, 4)),
    ],
)
def test_reach_of_the_shipped_networks(name, reaches):
    assert tuple(reach(build(name, scale)) for scale in (2, 3, 4)) == reaches


# -- multiply-adds and scale ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "scale", "weights"),
    [
        ("srcnn-9-1-5", 2, 8032),
        ("srcnn-9-1-5", 4, 8032),
        ("srcnn-9-5-5", 3, 57184),
        ("fsrcnn", 2, 12464 / 4),
        ("fsrcnn", 3, 12464 / 9),
        ("fsrcnn-s", 4, 3937 / 16),
    ],
)
def test_multiply_adds_are_the_papers(name, scale, weights):
    """SRCNN uses every weight once per HR pixel, FSRCNN once per LR pixel."""
    assert multiply_adds(build(name, scale)) == pytest.approx(weights)


@pytest.mark.parametrize("name", MODELS)
def test_multiply_adds_are_those_counted_by_hand(name):
    make, *_, by_hand = MODELS[name]
    assert multiply_adds(make()) == pytest.approx(by_hand)


def test_scale_is_a_whole_number_the_same_in_both_directions():
    assert [scale_of(make()) for make, *_ in MODELS.values()] == [2, 3, 2, 2, 2, 1, 1, 1]
    for layer in (
        conv(1, 3, strides=2),
        layers.Conv2D(1, 3),
        layers.UpSampling2D((2, 3)),
        layers.GlobalAveragePooling2D(),
    ):
        for probe in (scale_of, reach, multiply_adds):
            with pytest.raises(ValueError, match="the same whole multiple"):
                probe(sequential(layer))


# -- what probes do not know ----------------------------------------------------------------------


class Blur(layers.Layer):
    def call(self, images):
        return images[:, 1:-1]


class Box(layers.Layer):
    """A layer of a learner's own, which tells its reach."""

    def call(self, images):
        return ops.average_pool(images, 5, 1, "same")

    def window(self, size):
        return np.arange(size) - 2, np.arange(size) + 2


class Secret(layers.Layer):
    def __init__(self, what):
        super().__init__()

    def call(self, images):
        return images


def attending():
    image = keras.Input((8, 8, 1))
    return keras.Model(image, layers.MultiHeadAttention(1, 1, name="odd")(image, image))


class OddConvolution(layers.Conv2D):
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda: sequential(layers.ZeroPadding2D((1, 0)), Blur(name="odd")),
        lambda: sequential(keras.Sequential([OddConvolution(1, 1, name="odd")], name="block")),
        lambda: sequential(layers.Lambda(lambda x: x, name="odd")),
        attending,
    ],
    ids=["custom", "subclass", "lambda", "attention"],
)
@pytest.mark.parametrize("probe", [reach, multiply_adds])
def test_an_unknown_layer_is_named(make, probe):
    with pytest.raises(ValueError, match=r"layer '(block/)?odd' \(\w+\) is unknown here"):
        probe(make())


def test_an_unknown_operation_and_odd_options_are_named():
    image = keras.Input(ANY_SIZE)
    with pytest.raises(ValueError, match=r"\(Flip\) is unknown"):
        reach(keras.Model(image, ops.flip(image, 1)))
    odd = layers.Conv2DTranspose(1, 3, 2, "same", output_padding=1)
    with pytest.raises(ValueError, match=r"\(Conv2DTranspose\) is unknown"):
        reach(sequential(odd))
    first = layers.Permute((3, 1, 2)), conv(1, 3, data_format="channels_first")
    with pytest.raises(ValueError, match=r"\(Conv2D\) is unknown"):
        multiply_adds(sequential(*first, layers.Permute((2, 3, 1))))


def test_a_layer_that_tells_its_window_is_known():
    model = sequential(Box(), conv(1, 3))
    assert (reach(model), multiply_adds(model)) == (3, 9)


def test_a_window_of_a_wrong_size_is_told():
    image, liar = keras.Input(ANY_SIZE), Box()
    liar.window = lambda size: (np.arange(3), np.arange(3))
    with pytest.raises(ValueError, match="do not fit"):
        reach(keras.Model(image, image + liar(image)))


def test_a_layer_that_cannot_be_saved_is_told():
    with pytest.raises(ValueError, match=r"cannot be read: Object Secret .* implement `get_config"):
        reach(sequential(Secret(object())))


@pytest.mark.parametrize(
    "norm", [None, layers.GroupNormalization(1), layers.LayerNormalization([1, 2, 3])]
)
def test_what_sees_the_whole_image_has_no_reach_and_costs_what_its_layers_cost(norm):
    image = keras.Input((8, 8, 4))
    if norm is None:  # squeeze and excitation
        squeezed = layers.GlobalAveragePooling2D(keepdims=True)(image)
        outputs = image * layers.Dense(4, activation="sigmoid")(layers.Dense(2)(squeezed))
    else:
        outputs = norm(image)
    model = keras.Model(image, outputs)
    assert multiply_adds(model) == (0 if norm else 16 / 64)
    with pytest.raises(ValueError, match="sees the whole image: this model has no finite reach"):
        reach(model)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.inside = conv(1, 3)

    def call(self, images):
        return self.inside(images)


def two_inputs():
    one, two = keras.Input(ANY_SIZE), keras.Input(ANY_SIZE)
    return keras.Model([one, two], one + two)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Subclassed, "has no graph.* Sequential or functional model, built"),
        (lambda: keras.Sequential([conv(1, 3)]), "has no graph"),
        (two_inputs, "takes inputs of shapes"),
        (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]), "takes inputs of shapes"),
    ],
)
@pytest.mark.parametrize(
    "probe",
    [
        scale_of,
        reach,
        multiply_adds,
        graph_function,
        lambda model: feature_maps(model, IMAGE),
        lambda model: filters(model, "conv"),
    ],
)
def test_a_model_without_a_graph_is_told(make, message, probe):
    with pytest.raises(ValueError, match=message):
        probe(make())


# -- inside the network ---------------------------------------------------------------------------


def test_first_layer_feature_map_equals_one_computed_by_hand():
    model = srcnn(2, start="random", seed=3)
    maps = feature_maps(model, IMAGE)
    assert list(maps) == ["bicubic", "patch_extraction", "mapping", "reconstruction"]
    kernels = filters(model, "patch_extraction")
    bias = model.get_layer("patch_extraction").get_weights()[1]
    enlarged = resize(IMAGE, (24, 32))[..., 0]
    for i in (0, 7, 63):
        by_hand = np.maximum(0, correlate2d(enlarged, kernels[:, :, 0, i], "same") + bias[i])
        np.testing.assert_allclose(maps["patch_extraction"][..., i], by_hand, atol=1e-6)
    np.testing.assert_allclose(maps["reconstruction"], model(IMAGE[None])[0], atol=1e-6)


def test_feature_maps_of_a_nested_model_equal_those_computed_by_hand():
    model = nested()
    maps, outer = feature_maps(model, IMAGE), model.get_layer("block").get_layer("outer")
    inside = ["outer/wide", "outer/conv", "outer/sum", "relu"]
    calls = [f"block/{name}{number}" for number in ("", ":2") for name in inside]
    assert list(maps) == ["head", *calls, "tail/up"]
    x = np.asarray(model.get_layer("head")(IMAGE[None]))
    for number in ("", ":2"):
        wide = outer.get_layer("wide")(x)
        x = np.maximum(0, x + outer.get_layer("conv")(wide))
        np.testing.assert_allclose(maps[f"block/outer/wide{number}"], wide[0], atol=1e-6)
        np.testing.assert_allclose(maps[f"block/relu{number}"], x[0], atol=1e-6)
    np.testing.assert_allclose(maps["tail/up"], model(IMAGE[None])[0], atol=1e-6)


def test_the_last_call_of_a_functional_model_is_the_output():
    maps, image = keras.Input(ANY_SIZE), keras.Input(ANY_SIZE)
    inner = keras.Model(maps, conv(1, 3, name="conv")(maps), name="inner")
    inner(image)  # a call outside the model that follows
    model = keras.Model(image, inner(inner(image)))
    last = feature_maps(model, IMAGE)["inner/conv:2"]
    np.testing.assert_allclose(last, model(IMAGE[None])[0], atol=1e-6)
    assert (reach(model), multiply_adds(model)) == (2, 18)


def test_feature_maps_of_a_residual_model_equal_those_computed_by_hand():
    model = residual()
    maps = feature_maps(model, IMAGE)
    x = np.asarray(model.get_layer("head")(IMAGE[None]))
    for i in range(3):
        np.testing.assert_allclose(maps[f"in_{i}"], model.get_layer(f"in_{i}")(x)[0], atol=1e-6)
        inside = np.maximum(0, maps[f"in_{i}"][None])
        by_hand = np.asarray(model.get_layer(f"out_{i}")(inside))
        np.testing.assert_allclose(maps[f"out_{i}"], by_hand[0], atol=1e-6)
        x = x + by_hand / 2
    np.testing.assert_allclose(maps["up"], model(IMAGE[None], training=False)[0], atol=1e-6)


def test_feature_maps_refuse_an_image_of_other_channels():
    with pytest.raises(ValueError, match="h, w, 1"):
        feature_maps(srcnn(3), np.zeros((8, 8, 3)))


def test_graphs_hold_slices_constants_and_several_outputs():
    image = keras.Input((None, None, 4))
    half, rest = ops.split(image[..., :2] * np.array([2, 3], np.float32), 2, axis=-1)
    model = keras.Model(image, conv(1, 1, name="last")(1 - half + rest))
    lr_image = np.random.default_rng(0).random((5, 6, 4)).astype(np.float32)
    maps = feature_maps(model, lr_image)
    np.testing.assert_allclose(maps["last"], model(lr_image[None])[0], atol=1e-6)
    assert multiply_adds(model) == 1


def test_filters_of_a_deconvolution_have_inputs_before_outputs():
    assert filters(fsrcnn(3), "deconvolution").shape == (9, 9, 56, 1)
    assert filters(srcnn(3, channels=3), "patch_extraction").shape == (9, 9, 3, 64)


def test_filters_of_inner_models_are_found():
    model = nested()
    kernel = model.get_layer("block").get_layer("outer").get_layer("wide").kernel
    np.testing.assert_array_equal(filters(model, "block/outer/wide"), np.asarray(kernel))


@pytest.mark.parametrize(
    ("model", "there"),
    [
        (srcnn(3), "patch_extraction, mapping, reconstruction"),
        (nested(), "there are head, block/outer/wide, block/outer/conv, tail/up$"),
        (sequential(layers.Dense(2), conv(1, 3, name="only")), "there are only$"),
    ],
)
def test_unknown_layer_lists_the_convolutions(model, there):
    with pytest.raises(ValueError, match=there):
        filters(model, "conv2d")


# -- the graph function, and what a probe leaves behind -------------------------------------------


def test_graph_function_follows_the_weights_and_does_not_keep_models_alive():
    model, lr_images, generator = fsrcnn(2), IMAGE[None], np.random.default_rng(0)
    before = graph_function(model)(lr_images).numpy()
    assert graph_function(model) is graph_function(model)
    assert graph_function(fsrcnn(2))(lr_images).shape == (1, 24, 32, 1)
    model.set_weights([w + generator.normal(0, 0.05, w.shape) for w in model.get_weights()])
    after = graph_function(model)(lr_images).numpy()
    np.testing.assert_allclose(after, np.asarray(model(lr_images)), atol=1e-5)
    assert np.abs(after - before).max() > 0.01
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("make", [lambda: fsrcnn(2), residual, nested, u_shaped])
def test_probes_leave_a_model_as_it_was(make):
    model = make()
    config, weights = model.get_config(), model.get_weights()
    inner = ("block", "tail")  # whose outputs lie in graphs of their own
    outputs = {layer.name: layer.output for layer in model.layers if layer.name not in inner}
    scale_of(model), reach(model), multiply_adds(model), graph_function(model)(IMAGE[None])
    feature_maps(model, IMAGE)
    assert model.get_config() == config
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for name, output in outputs.items():
        assert model.get_layer(name).output is output
    inside = keras.Model(model.inputs[0], list(outputs.values()))
    assert len(inside(IMAGE[None])) == len(outputs)
