"""SRCNN: three layers on the enlarged image."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from srcnn_tf.layers import BicubicUpsampling
from srcnn_tf.models.bicubic_start import LIFT, carrying_image, check_arguments, he_normal, numbered
from srcnn_tf.ranges import check_number


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
    check_arguments(scale, channels, start, seed)
    for name, sizes in (("kernels", kernels), ("filters", filters)):
        if not isinstance(sizes, Sequence):
            raise ValueError(f"{name} is {sizes!r}: it must be a list or tuple of numbers")
    for f in kernels:
        check_number("a side of kernels", f, whole=True, least=1)
    for n in filters:
        check_number("a count of filters", n, whole=True, least=channels)
    if len(kernels) != len(filters) + 1 or any(f % 2 == 0 for f in kernels):
        told = f"kernels {tuple(kernels)} and filters {tuple(filters)} do not fit: kernels are odd"
        raise ValueError(f"{told}, and there is one more of them than of filters")
    names = ["patch_extraction", *numbered("mapping", len(filters) - 1)]
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
        kernel, bias = he_normal(generator, shape), np.zeros(shape[-1])
        if layer is convolutions[0]:
            bias[:channels] = LIFT
        elif layer is convolutions[-1]:
            kernel[:], bias[:] = 0, -LIFT
        layer.set_weights([carrying_image(kernel, channels), bias])
    return model
