"""Checks of the exercises to lesson 07, perceptual loss, on VGG16 with random weights."""

from functools import cache

import keras
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq

from srcnn_tf import datasets
from srcnn_tf.checks.answers import array, call, demand, exercise, number
from srcnn_tf.images import quantise
from srcnn_tf.losses import vgg_features
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.models import fsrcnn
from srcnn_tf.probes import multiply_adds

PHI = "block2_conv2"


@cache
def _phi(layer: str = PHI) -> keras.Model:
    return vgg_features(layer, weights="random")


@exercise("E07.1")
def price_of_features(_rng, weights, vgg_work, fsrcnn_work) -> str:
    """Count weights and multiply-adds for a crop of 48×48."""
    layers = [layer for layer in _phi().layers[-1].layers if layer.weights]
    kernels = [layer.kernel.shape for layer in layers]
    right = sum(int(np.prod(kernel)) for kernel in kernels)
    biases = sum(kernel[-1] for kernel in kernels)
    slips = {
        right + biases: "Without biases: they take part in no multiplication.",
        right - 9 * 2 * 64: "The first layer sees three channels.",
    }
    number(weights, right, 300, "3 · 3 · maps in · maps out, four times.", slips, "`weights`")
    sides = [48 if layer.name.startswith("block1") else 24 for layer in layers]
    work = [int(np.prod(k)) * side**2 for k, side in zip(kernels, sides, strict=True)]
    slips = {
        right * 48**2: "After the pooling, an image has a quarter of the positions.",
        2 * sum(work): "One image; the loss looks at two, but that is not asked here.",
    }
    hint = "Weights times positions, layer by layer."
    number(vgg_work, sum(work), 0.005 * sum(work), hint, slips, "`vgg_work`")
    small = multiply_adds(fsrcnn(4, channels=3)) * 48**2
    slips = {
        16 * small: "All of FSRCNN works on the LR image: 12×12.",
        multiply_adds(fsrcnn(4)) * 48**2: "RGB: three channels come in and go out.",
    }
    hint = "Sum the weights of all eight layers, then count LR pixels."
    number(fsrcnn_work, small, 0.005 * small, hint, slips, "`fsrcnn_work`")
    return f"Looking at one output costs {sum(work) / small:.0f} times what making it does."


def _stack(rng: np.random.Generator) -> tuple[list[keras.layers.Layer], keras.Model]:
    """Build a small network whose features see a square of another size than VGG's."""
    sizes = rng.permutation([3, 5, 7]).tolist()
    layers = [keras.layers.Conv2D(4, size, padding="same") for size in sizes]
    layers.insert(int(rng.integers(1, 3)), keras.layers.AveragePooling2D(2))
    return layers, keras.Sequential([keras.Input((None, None, 3)), *layers])


def _seen(layers: list[keras.layers.Layer]) -> int:
    """Return the side of the square that one feature sees."""
    side = jump = 1
    for layer in layers:
        size = getattr(layer, "kernel_size", None) or layer.pool_size
        side += (size[0] - 1) * jump
        jump *= layer.strides[0]
    return side


@exercise("E07.2")
def footprint_by_gradient(rng, footprint) -> str:
    """Ask for the footprint of several layers of VGG16 and of networks nobody knows."""
    cases = [
        (layer, _phi(layer).layers[-1].layers[1:], _phi(layer))
        for layer in (PHI, str(rng.choice(["block1_conv2", "block2_conv1"])))
    ]
    for name, layers, features in [*cases, ("a network of our own", *_stack(rng))]:
        right = _seen(layers)
        slips = {right**2: "That is the number of its pixels; asked for is a side."}
        hint = "A random image, a position far from its border, all maps there?"
        number(call(footprint, features), right, 0.5, hint, slips, f"The footprint of {name}")
    return "Each feature of block2_conv2 sees 14×14 pixels."


def _feature_distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((_phi()(one[None]) - _phi()(other[None])) ** 2)))


@cache
def _distances(number_of: int, top: int, left: int, shift: int) -> tuple[float, float, float]:
    """Return feature distances from a window to it shifted, blurred to equal PSNR, and rolled."""
    window = _window(number_of, top, left)
    original, shifted = window[:-shift, :-shift], window[shift:, shift:]
    target = float(psnr(original, shifted, Protocol(4)))

    def blurred(sigma: float) -> np.ndarray:
        return gaussian_filter(original, (sigma, sigma, 0))

    def missing(sigma: float) -> float:
        return float(psnr(original, blurred(sigma), Protocol(4))) - target

    sigma = brentq(missing, 0.05, 30, xtol=1e-3)
    rolled = np.roll(original, (-shift, -shift), (0, 1))
    return (
        _feature_distance(original, shifted),
        _feature_distance(original, blurred(sigma)),
        _feature_distance(original, rolled),
    )


def _window(number_of: int, top: int, left: int) -> np.ndarray:
    return datasets.load("samples", "test")[number_of][top : top + 80, left : left + 80]


@exercise("E07.3")
def shift_against_blur(rng, distances) -> str:
    """Compare both distances on two windows, at several shifts."""
    for number_of, shift in enumerate(rng.permutation([2, 4]).tolist()):
        top, left = rng.integers(96, 112, 2).tolist()  # where a blur of equal PSNR exists
        *right, rolled = _distances(number_of, top, left, shift)
        given = call(distances, _window(number_of, top, left), shift)
        given = array(given, (2,), "What `distances` returns")
        demand(
            not np.allclose(given, right[::-1], rtol=0.01),
            "The two are swapped: first the shifted, then the blurred image.",
        )
        squares = "That is ℓ; a distance is its root."
        slips = {right[0] ** 2: squares, right[1] ** 2: squares}
        wrapped = {rolled: "Cut the window, do not wrap it round."}
        where = f"(shift {shift})"
        what = f"The distance of the shifted image {where}"
        number(given[0], right[0], 0.01 * right[0], "", slips | wrapped, what)
        hint = "Is its PSNR that of the shifted image, under Protocol(4)?"
        what = f"The distance of the blurred image {where}"
        number(given[1], right[1], 0.01 * right[1], hint, slips, what)
    return "A shift is forgiven more than a blur; but two pixels cost what the blur for one does."


@exercise("E07.4")
def vgg_preparation(rng, prepare) -> str:
    """Prepare black, red and random 8-bit images."""
    means = np.array([103.939, 116.779, 123.68])

    def prepared(image: np.ndarray) -> np.ndarray:
        return array(call(prepare, image), image.shape, "What `prepare` returns")

    def equal(given: np.ndarray, expected: np.ndarray) -> bool:
        return np.allclose(given, expected, atol=0.6)  # means may be whole numbers

    black = prepared(np.zeros((1, 2, 2, 3), np.uint8))
    demand((black <= 0).all(), "Black comes out bright: bytes wrap round, 0 - 104 is 152.")
    demand(not equal(black, -means[::-1]), "Blue's mean is the first, of the first channel.")
    demand(equal(black, -means), "Black should come out as minus the means.")
    white = prepared(np.full((1, 2, 2, 3), 255, np.uint8))
    demand(equal(white, 255 - means), "White is wrong: VGG16 knows values from 0 to 255.")
    red = prepared(np.full((1, 2, 2, 3), [255, 0, 0], np.uint8))
    hint = "A red image comes out blue: VGG16 was trained on BGR."
    demand(not equal(red, [255, 0, 0] - means), hint)
    for shape in ((6, 5, 3), (2, 4, 7, 3)):
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        hint = "Black and white are right, colours are not."
        demand(equal(prepared(image), image[..., ::-1] - means), hint)
    return "Nothing else would have told you: the faulty one runs as smoothly."


@exercise("E07.5")
def inversion(rng, invert, kept) -> str:
    """Read what was measured, then recover a crop from its features."""
    given = array(kept, (3,), "`kept`")
    hint = "The deeper the layer, the less should come back."
    demand(given[0] > given[1] > given[2], hint)
    demand(given[1] >= 30, "block2_conv2 gives back more than that.")
    demand(given[2] < 25, "block3_conv3 gives back less in so few steps: are these its features?")
    top, left = rng.integers(80, 200, 2)
    crop = datasets.load("samples", "test")[0][top : top + 24, left : left + 24][None]
    image = array(call(invert, _phi(), _phi()(crop), 24), crop.shape, "The image")
    value = float(psnr(crop, quantise(np.clip(image, 0, 1)), Protocol(0, "rgb"))[0])
    hint = f"From {PHI}, your image has {value:.1f} dB; 30 can be had. More steps?"
    demand(value >= 30, hint)
    return "This relu2_2 keeps nearly every pixel; deeper, a small ℓ promises no likeness."
