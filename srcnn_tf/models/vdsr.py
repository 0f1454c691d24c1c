"""VDSR: twenty layers that learn what bicubic interpolation lacks."""

import keras
import numpy as np
from keras import layers

from srcnn_tf.layers import BicubicUpsampling
from srcnn_tf.models.bicubic_start import check_arguments, he_normal
from srcnn_tf.ranges import check_number


def vdsr(
    scale: int,
    depth: int = 20,
    width: int = 64,
    channels: int = 1,
    start: str = "bicubic",
    seed: int = 0,
    use_bias: bool = True,
    name: str = "vdsr",
) -> keras.Model:
    """Build VDSR: 3×3 convolutions on the enlarged image, whose output is added to that image.

    The first layer, which enlarges, has no weights, so one set of weights serves every scale.

    Args:
        scale: 2, 3 or 4.
        depth: convolutions, at least 2.
        width: feature maps between them.
        channels: 1 for luma, 3 for RGB.
        start: "bicubic" (the last convolution begins at zero: nothing is added) or "random" (He's,
            the paper's, in every convolution).
        seed: of the random weights.
        use_bias: whether convolutions have biases.
        name: of the model.

    Returns:
        A built model `[n, h, w, channels]` to `[n, s·h, s·w, channels]`.

    Raises:
        ValueError: an argument out of its range.

    Reference: Kim, Lee and Lee, "Accurate Image Super-Resolution Using Very Deep Convolutional
    Networks", CVPR 2016, section 3.
    """
    check_arguments(scale, channels, start, seed)
    check_number("depth", depth, whole=True, least=2)
    check_number("width", width, whole=True, least=1)
    lr_images = keras.Input((None, None, channels))
    enlarged = maps = BicubicUpsampling(scale, name="bicubic")(lr_images)
    generator = np.random.default_rng(seed)
    for number in range(1, depth + 1):
        last = number == depth
        layer = layers.Conv2D(
            channels if last else width,
            3,
            padding="same",
            activation=None if last else "relu",
            use_bias=use_bias,
            name="residual" if last else f"conv_{number}",
        )
        maps = layer(maps)
        kernel = he_normal(generator, layer.kernel.shape)
        layer.kernel.assign(0 * kernel if last and start == "bicubic" else kernel)
    return keras.Model(lr_images, layers.Add(name="sum")([enlarged, maps]), name=name)
