"""SRResNet: residual blocks at low resolution; the generator of SRGAN."""

import keras
import numpy as np
from keras import layers

from srcnn_tf.layers import BicubicUpsampling, Deconvolution
from srcnn_tf.models.bicubic_start import check_arguments, he_normal, prelu
from srcnn_tf.ranges import check_number


def srresnet(
    scale: int,
    blocks: int = 16,
    width: int = 64,
    batch_norm: bool = True,
    bicubic_skip: bool = True,
    tail: int = 9,
    channels: int = 3,
    start: str = "bicubic",
    seed: int = 0,
) -> keras.Model:
    """Build SRResNet: a head, residual blocks inside a long skip, sub-pixel enlargement, a tail.

    The paper enlarges by a convolution to s² times as many maps, then depth to space: here a
    `Deconvolution` of the same kernels, whose biases the s² positions share (Shi et al., 2016).
    The paper's tanh, for images in [-1, 1], is left out.

    Args:
        scale: 2, 3 or 4; 4 enlarges by 2 twice.
        blocks: B, residual blocks of two convolutions.
        width: feature maps.
        batch_norm: normalise after the convolutions of the blocks and after the one that follows
            them. Without, these have biases, and the last kernel before each sum starts at a tenth:
            no statistics of training images come between a photograph and its enlargement.
        bicubic_skip: add the bicubically enlarged image at the end. The paper does not.
        tail: side of the last kernel, 9 in the paper: costly, at the size of the enlarged image.
        channels: 1 for luma, 3 for RGB.
        start: "bicubic" (the tail begins at zero: nothing is added to the enlarged image) or
            "random" (He's in every convolution).
        seed: of the random weights.

    Returns:
        A built model `[n, h, w, channels]` to `[n, s·h, s·w, channels]`.

    Raises:
        ValueError: an argument out of its range; a bicubic start without the bicubic skip.

    Reference: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative
    Adversarial Network", CVPR 2017, section 2.1 and figure 4.
    """
    check_arguments(scale, channels, start, seed)
    check_number("blocks", blocks, whole=True, least=0)
    check_number("width", width, whole=True, least=1)
    check_number("tail", tail, whole=True, least=1)
    if start == "bicubic" and not bicubic_skip:
        raise ValueError("a bicubic start needs bicubic_skip: choose start='random' without it")
    generator = np.random.default_rng(seed)

    def conv(maps, name: str, size: int, filters: int, share: float = 1, bias: bool = True):
        layer = layers.Conv2D(filters, size, padding="same", use_bias=bias, name=name)
        maps = layer(maps)
        layer.kernel.assign(share * he_normal(generator, layer.kernel.shape))
        return maps

    def normalised(maps, name: str, share: float = 1):
        maps = conv(maps, name, 3, width, 1 if batch_norm else share, not batch_norm)
        norm = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")
        return norm(maps) if batch_norm else maps

    lr_images = keras.Input((None, None, channels))
    maps = head = prelu("head_prelu")(conv(lr_images, "head", 9, width))
    for number in range(1, blocks + 1):
        name = f"block_{number}"
        inside = prelu(f"{name}_prelu")(normalised(maps, f"{name}_conv_1"))
        # Variances add up: with He's kernels they would double in every block, and more.
        inside = normalised(inside, f"{name}_conv_2", 0.1)
        maps = layers.Add(name=f"{name}_sum")([maps, inside])
    maps = layers.Add(name="long_skip")([head, normalised(maps, "after_blocks", 0.1)])
    for number, factor in enumerate([2, 2] if scale == 4 else [scale], 1):
        layer = Deconvolution(width, 3 * factor, factor, name=f"enlarging_{number}")
        maps = prelu(f"enlarging_{number}_prelu")(layer(maps))
        kernel = he_normal(generator, (3, 3, width, factor**2 * width))
        layer.kernel.assign(kernel.reshape(layer.kernel.shape))
    sr_images = conv(maps, "tail", tail, channels, 0 if start == "bicubic" else 1)
    if bicubic_skip:
        enlarged = BicubicUpsampling(scale, name="bicubic")(lr_images)
        sr_images = layers.Add(name="sum")([enlarged, sr_images])
    return keras.Model(lr_images, sr_images, name="srresnet")
