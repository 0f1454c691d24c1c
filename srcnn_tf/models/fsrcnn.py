"""FSRCNN: at low resolution until the last layer, a deconvolution."""

import keras
import numpy as np
from keras import layers

from srcnn_tf.layers import Deconvolution
from srcnn_tf.models import bicubic_start
from srcnn_tf.ranges import check_number


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
    bicubic_start.check_arguments(scale, channels, start, seed)
    for name, count, least in (("d", d, channels), ("s", s, channels), ("m", m, 0)):
        check_number(name, count, whole=True, least=least)
    model = keras.Sequential(name="fsrcnn")
    model.add(keras.Input((None, None, channels)))
    parts = [("feature_extraction", d, 5), ("shrinking", s, 1)]
    parts += [(name, s, 3) for name in bicubic_start.numbered("mapping", m)]
    parts += [("expanding", d, 1)]
    for name, n, f in parts:
        model.add(layers.Conv2D(n, f, padding="same", name=name))
        model.add(bicubic_start.prelu(f"{name}_prelu"))
    model.add(Deconvolution(channels, 9, scale, name="deconvolution"))

    generator = np.random.default_rng(seed)
    for layer in model.layers[:-1:2]:
        kernel = bicubic_start.he_normal(generator, layer.kernel.shape)
        if start == "bicubic":
            kernel = bicubic_start.carrying_image(kernel, channels)
        layer.set_weights([kernel, np.zeros(kernel.shape[-1])])
    deconvolution = model.layers[-1]
    kernel = generator.normal(0, 0.001, deconvolution.kernel.shape)
    if start == "bicubic":
        kernel[:], keys = 0, bicubic_start.keys_deconvolution(scale)
        kernel[:, :, range(channels), range(channels)] = keys[..., None]
    deconvolution.set_weights([kernel, np.zeros(channels)])
    return model
