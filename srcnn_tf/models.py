"""The networks: SRCNN and FSRCNN as `keras.Sequential`, with their bicubic start.

Every model maps an LR batch `[n, h, w, c]` to an HR batch `[n, s·h, s·w, c]`, float32 in [0, 1],
for any h and w.

Bicubic start: the weights begin as a bicubic interpolator. One feature map per colour channel
carries the image through kernels that are 1 in the centre and 0 elsewhere; the last layer passes
it on and ignores the other feature maps until training gives them a say. Those start at random
and answer to edges alone (filters of zero mean, no input from the image's own maps), so that the
first steps of an optimiser, which move all weights alike, do not shift flat areas.
"""

from collections.abc import Sequence
from functools import partial

import keras
import numpy as np
from keras import initializers, layers

from srcnn_tf.images import resize_weights
from srcnn_tf.layers import BicubicUpsampling, Deconvolution
from srcnn_tf.pairs import check_scale

STARTS = ("bicubic", "random")

# Keeps the image's own feature map above zero, where ReLU passes it unchanged: bicubic
# interpolation undershoots, by at most 0.28 for an image in [0, 1].
_LIFT = 0.5

# Where PReLU's slopes start: He et al., "Delving Deep into Rectifiers", 2015, section 2.1.
_SLOPE = 0.25


def srcnn(
    scale: int,
    kernels: Sequence[int] = (9, 1, 5),
    filters: Sequence[int] = (64, 32),
    channels: int = 1,
    start: str = "bicubic",
    seed: int = 0,
) -> keras.Sequential:
    """Build SRCNN: patch extraction, non-linear mapping, reconstruction.

    The interpolated image that the paper feeds in is made by a weightless first layer, so one set
    of weights serves every scale.

    Args:
        scale: 2, 3 or 4.
        kernels: f1, f2, f3; (9, 1, 5), (9, 3, 5) or (9, 5, 5) in the paper. Odd.
        filters: n1, n2.
        channels: 1 for luma, 3 for RGB.
        start: "bicubic" or "random" (the paper's: Gaussian of standard deviation 0.001, biases 0).
        seed: of the random weights.

    Returns:
        A built model `[n, h, w, channels]` to `[n, s·h, s·w, channels]`.

    Raises:
        ValueError: an argument out of its range.

    Reference: Dong et al., "Image Super-Resolution Using Deep Convolutional Networks", TPAMI 2016,
    section 3.1 (architecture) and 3.3 (start). Derived in lesson 03.
    """
    _check(scale, channels, start)
    if len(kernels) != len(filters) + 1 or any(f < 1 or f % 2 == 0 for f in kernels):
        raise ValueError(
            f"kernels {tuple(kernels)} and filters {tuple(filters)} do not fit: kernels are odd, "
            "and there is one more of them than of filters"
        )
    if min(filters) < channels:
        raise ValueError(f"filters {tuple(filters)}: each layer needs at least {channels}")
    names = ["patch_extraction", *_numbered("mapping", len(filters) - 1)]
    model = keras.Sequential(name="srcnn")
    model.add(keras.Input((None, None, channels)))
    model.add(BicubicUpsampling(scale, name="bicubic"))
    for name, n, f in zip(names, filters, kernels, strict=False):
        model.add(layers.Conv2D(n, f, padding="same", activation="relu", name=name))
    model.add(layers.Conv2D(channels, kernels[-1], padding="same", name="reconstruction"))

    generator = np.random.default_rng(seed)
    convolutions = model.layers[1:]
    for layer in convolutions:
        shape = layer.kernel.shape
        if start == "random":
            layer.kernel.assign(generator.normal(0, 0.001, shape))
            continue
        kernel, bias = _he_normal(generator, shape), np.zeros(shape[-1])
        if layer is convolutions[0]:
            bias[:channels] = _LIFT
        elif layer is convolutions[-1]:
            kernel[:], bias[:] = 0, -_LIFT
        layer.set_weights([_carrying_image(kernel, channels), bias])
    return model


def fsrcnn(
    scale: int,
    d: int = 56,
    s: int = 12,
    m: int = 4,
    channels: int = 1,
    start: str = "bicubic",
    seed: int = 0,
) -> keras.Sequential:
    """Build FSRCNN(d, s, m): extract, shrink, map m times, expand, deconvolve.

    Args:
        scale: 2, 3 or 4; the stride of the deconvolution.
        d: feature maps at low resolution (56; 32 in FSRCNN-s).
        s: feature maps after shrinking (12; 5 in FSRCNN-s).
        m: mapping layers (4; 1 in FSRCNN-s).
        channels: 1 for luma, 3 for RGB.
        start: "bicubic" or "random" (the paper's: He for the convolutions, Gaussian of standard
            deviation 0.001 for the deconvolution). PReLU's slopes start at 0.25 in both.
        seed: of the random weights.

    Returns:
        A built model `[n, h, w, channels]` to `[n, s·h, s·w, channels]`.

    Raises:
        ValueError: an argument out of its range.

    Reference: Dong, Loy and Tang, "Accelerating the Super-Resolution Convolutional Neural
    Network", ECCV 2016, section 3.2. Derived in lesson 05.
    """
    _check(scale, channels, start)
    if min(d, s) < channels or m < 0:
        raise ValueError(f"d = {d} and s = {s} must be at least {channels}, m = {m} at least 0")
    model = keras.Sequential(name="fsrcnn")
    model.add(keras.Input((None, None, channels)))
    parts = [("feature_extraction", d, 5), ("shrinking", s, 1)]
    parts += [(name, s, 3) for name in _numbered("mapping", m)]
    parts += [("expanding", d, 1)]
    for name, n, f in parts:
        model.add(layers.Conv2D(n, f, padding="same", name=name))
        model.add(
            layers.PReLU(initializers.Constant(_SLOPE), shared_axes=[1, 2], name=f"{name}_prelu")
        )
    model.add(Deconvolution(channels, 9, scale, name="deconvolution"))

    generator = np.random.default_rng(seed)
    for layer in model.layers[:-1:2]:
        kernel = _he_normal(generator, layer.kernel.shape)
        if start == "bicubic":
            kernel = _carrying_image(kernel, channels)
        layer.set_weights([kernel, np.zeros(kernel.shape[-1])])
    deconvolution = model.layers[-1]
    kernel = generator.normal(0, 0.001, deconvolution.kernel.shape)
    if start == "bicubic":
        kernel[:] = 0
        for channel in range(channels):
            kernel[:, :, channel, channel] = _keys_deconvolution(scale)
    deconvolution.set_weights([kernel, np.zeros(channels)])
    return model


MODELS = {
    "srcnn-9-1-5": srcnn,
    "srcnn-9-3-5": partial(srcnn, kernels=(9, 3, 5)),
    "srcnn-9-5-5": partial(srcnn, kernels=(9, 5, 5)),
    "fsrcnn": fsrcnn,
    "fsrcnn-s": partial(fsrcnn, d=32, s=5, m=1),
}


def build(name: str, scale: int, **options) -> keras.Sequential:
    """Build a network of the papers by its name.

    Args:
        name: a key of `MODELS`.
        scale: 2, 3 or 4.
        **options: other arguments of the builder, such as `channels`, `start` and `seed`.

    Raises:
        ValueError: unknown name (the message lists what there is); see also the builders.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}: there are {', '.join(MODELS)}")
    return MODELS[name](scale, **options)


def scale_of(model: keras.Model) -> int:
    """Return the factor by which a model enlarges."""
    return model.compute_output_shape((1, 16, 16, model.input_shape[-1]))[1] // 16


def _check(scale: int, channels: int, start: str) -> None:
    check_scale(scale)
    if channels not in (1, 3):
        raise ValueError(f"channels is {channels}: it must be 1 (luma) or 3 (RGB)")
    if start not in STARTS:
        raise ValueError(f"unknown start {start!r}: choose {' or '.join(STARTS)}")


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}_{i + 1}" for i in range(count)]


def _he_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape)


def _carrying_image(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Return a kernel whose first maps copy the first inputs, and whose others do without them."""
    if kernel.shape[2] == channels:  # the first layer has no other inputs
        kernel = kernel - kernel.mean(axis=(0, 1, 2))
    else:
        kernel[:, :, :channels] = 0
    centre = kernel.shape[0] // 2
    kernel[:, :, :, :channels] = 0
    kernel[centre, centre, range(channels), range(channels)] = 1
    return kernel


def _keys_deconvolution(scale: int, size: int = 9) -> np.ndarray:
    """Sample Keys' kernel at the taps of a "same" deconvolution.

    The kernel is 4·scale wide, so `size` taps cut its ends off; what is left is renormalised for
    each output phase, without which flat areas would show a grid.
    """
    # Row i of the resize matrix holds output pixel i's weights: read one column, an input pixel's
    # contributions to the outputs around it. "same" starts (size - scale) // 2 before its block.
    pixels = 2 * size + 1
    column = resize_weights(pixels, pixels * scale)[:, size]
    first = size * scale - (size - scale) // 2
    taps = column[first : first + size].copy()
    for phase in range(scale):
        taps[phase::scale] /= taps[phase::scale].sum()
    return np.outer(taps, taps)
