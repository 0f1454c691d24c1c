"""EDRN: a U-shaped network for images that were degraded in an unknown way."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from srcnn_tf.layers import BicubicUpsampling, CroppedTo, Deconvolution
from srcnn_tf.models.bicubic_start import check_arguments, he_normal
from srcnn_tf.ranges import check_choice, check_number


def edrn(
    scale: int,
    width: int = 64,
    groups: Sequence[int] = (4, 2, 1),
    blocks: int = 10,
    batch_norm: bool = True,
    attention: bool = True,
    channels: int = 3,
    start: str = "bicubic",
    seed: int = 0,
) -> keras.Model:
    """Build EDRN: two steps down, residual groups at a quarter of the size, at half and at full.

    The paper's network keeps the size of its image: here the bicubically enlarged one goes in, and
    what comes out is added to it. The paper's weight normalisation, another way to write the same
    kernels, is left out.

    Args:
        scale: 2, 3 or 4.
        width: feature maps at full size; twice as many at half, four times at a quarter.
        groups: residual groups at a quarter of the size, at half, at full. "Coarse to fine": most
            of the depth where it costs least.
        blocks: residual blocks in a group.
        batch_norm: normalise where the size changes. Without, no statistics of training images come
            between a photograph and its enlargement.
        attention: weigh the maps of each block by a function of their means over the whole image.
            Without, an output pixel sees a part of the image only (see `probes.reach`).
        channels: 1 for luma, 3 for RGB.
        start: "bicubic" (the last convolution begins at zero: nothing is added to the enlarged
            image) or "random" (He's).
        seed: of the random weights.

    Returns:
        A built model `[n, h, w, channels]` to `[n, s·h, s·w, channels]`.

    Raises:
        ValueError: an argument out of its range.

    Reference: Cheng et al., "Encoder-Decoder Residual Network for Real Super-Resolution", CVPR
    Workshops 2019. Lesson 10.
    """
    check_arguments(scale, channels, start, seed)
    for name, count, least in (("width", width, 1), ("blocks", blocks, 0)):
        check_number(name, count, whole=True, least=least)
    if not isinstance(groups, Sequence) or len(groups) != 3:
        raise ValueError(f"groups is {groups!r}: it must be three numbers, at ¼, ½ and full size")
    for count in groups:
        check_number("a count of groups", count, whole=True, least=0)
    check_choice("batch_norm", batch_norm, (True, False))
    check_choice("attention", attention, (True, False))
    generator = np.random.default_rng(seed)

    def conv(maps, name: str, filters: int, size: int = 3, share: float = 1, **options):
        layer = layers.Conv2D(filters, size, name=name, **{"padding": "same", **options})
        maps = layer(maps)
        layer.kernel.assign(share * he_normal(generator, layer.kernel.shape))
        return maps

    def resampled(maps, name: str):
        if batch_norm:
            maps = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(maps)
        return layers.ReLU(name=f"{name}_relu")(maps)

    def down(maps, name: str):
        # "same" would begin at another pixel in images of odd sides than in those of even ones.
        padded = layers.ZeroPadding2D(1, name=f"{name}_pad")(maps)
        filters = 2 * maps.shape[-1]
        return resampled(conv(padded, name, filters, strides=2, padding="valid"), name)

    def up(maps, name: str, like):
        layer = Deconvolution(like.shape[-1], 3, 2, name=name)
        maps = layer(maps)
        # A kernel of 3 at stride 2: each output pixel sees 9/4 taps of each map, in the mean.
        deviation = np.sqrt(8 / 9 / layer.kernel.shape[-1])
        layer.kernel.assign(generator.normal(0, deviation, layer.kernel.shape))
        return CroppedTo(name=f"{name}_cropped")([resampled(maps, name), like])

    def block(maps, name: str):
        filters = maps.shape[-1]
        # Variances add up: with He's kernels they would double in every block, and more.
        inside = conv(maps, f"{name}_conv_1", filters, activation="relu")
        inside = conv(inside, f"{name}_conv_2", filters, share=0.1)
        if attention:
            means = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_means")(inside)
            few = conv(means, f"{name}_squeeze", max(1, filters // 16), 1, activation="relu")
            weights = conv(few, f"{name}_excite", filters, 1, activation="sigmoid")
            inside = layers.Multiply(name=f"{name}_attention")([inside, weights])
        return layers.Add(name=f"{name}_sum")([maps, inside])

    def stage(maps, name: str, count: int, skip):
        for number in range(1, count + 1):
            group = maps
            for which in range(1, blocks + 1):
                maps = block(maps, f"{name}_{number}_block_{which}")
            maps = conv(maps, f"{name}_{number}_conv", maps.shape[-1], share=0.1)
            maps = layers.Add(name=f"{name}_{number}_sum")([group, maps])
        maps = conv(maps, f"{name}_conv", maps.shape[-1], share=0.1)
        return layers.Add(name=f"{name}_skip")([maps, skip])

    lr_images = keras.Input((None, None, channels))
    enlarged = BicubicUpsampling(scale, name="bicubic")(lr_images)
    full = conv(enlarged, "head", width)
    half = down(full, "down_1")
    quarter = down(half, "down_2")
    maps = stage(quarter, "quarter", groups[0], quarter)
    maps = stage(up(maps, "up_1", half), "half", groups[1], half)
    maps = stage(up(maps, "up_2", full), "full", groups[2], full)
    residual = conv(maps, "residual", channels, share=0 if start == "bicubic" else 1)
    return keras.Model(lr_images, layers.Add(name="sum")([enlarged, residual]), name="edrn")
