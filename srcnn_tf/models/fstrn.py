"""FSTRN: five frames in, the one in the middle out, enlarged."""

import keras
import numpy as np
from keras import layers

from srcnn_tf.layers import BicubicUpsampling, Deconvolution, MiddleFrames
from srcnn_tf.models.bicubic_start import SLOPE, check_arguments, he_normal
from srcnn_tf.ranges import check_choice, check_number


def fstrn(
    scale: int,
    width: int = 64,
    blocks: int = 5,
    frames: int = 5,
    factorised: bool = True,
    channels: int = 1,
    start: str = "bicubic",
    seed: int = 0,
) -> keras.Model:
    """Build FSTRN: residual blocks of 3-D convolutions, factorised into space and time.

    A block is PReLU, 1×3×3 and 3×1×1, added to its input. After the blocks the first layer's maps
    are added, and one 3×3×3 convolution, at the middle frame alone, merges time (the middle three
    frames are channels there: the same weights, the same result). At high resolution the
    bicubically enlarged middle frame is added. The paper's dropout is left out.

    It is no entry of `networks.toml`, whose networks enlarge single images.

    Args:
        scale: 2, 3 or 4 (the paper: 4).
        width: feature maps.
        blocks: residual blocks.
        frames: of the clip that goes in, odd, at least 3.
        factorised: False puts one 3×3×3 convolution into each block, to compare.
        channels: 1 for luma, 3 for RGB.
        start: "bicubic" (the last convolution begins at zero: nothing is added) or "random" (He's).
        seed: of the random weights.

    Returns:
        A built model `[n, frames, h, w, channels]` to `[n, s·h, s·w, channels]`.

    Raises:
        ValueError: an argument out of its range.

    Reference: Li et al., "Fast Spatio-Temporal Residual Network for Video Super-Resolution", CVPR
    2019, section 3. Derived in lesson 13.
    """
    check_arguments(scale, channels, start, seed)
    for name, count, least in (("width", width, 1), ("blocks", blocks, 0), ("frames", frames, 3)):
        check_number(name, count, whole=True, least=least)
    if frames % 2 == 0:
        raise ValueError(f"frames is {frames}: it must be odd, with one frame in the middle")
    check_choice("factorised", factorised, (True, False))
    generator = np.random.default_rng(seed)

    def conv(maps, kind: type, *shape, name: str):
        layer = kind(*shape, padding="same", name=name)
        maps = layer(maps)
        layer.kernel.assign(he_normal(generator, layer.kernel.shape))
        return maps

    def prelu(maps, name: str):
        slopes = keras.initializers.Constant(SLOPE)
        shared = list(range(1, len(maps.shape) - 1))
        return layers.PReLU(slopes, shared_axes=shared, name=f"{name}_prelu")(maps)

    lr_clips = keras.Input((frames, None, None, channels))
    first = maps = conv(lr_clips, layers.Conv3D, width, 3, name="extraction")
    sizes = {"space": (1, 3, 3), "time": (3, 1, 1)} if factorised else {"both": (3, 3, 3)}
    for number in range(1, blocks + 1):
        inner = prelu(maps, f"block_{number}")
        for which, size in sizes.items():
            inner = conv(inner, layers.Conv3D, width, size, name=f"block_{number}_{which}")
        maps = layers.Add(name=f"block_{number}_sum")([maps, inner])
    maps = prelu(layers.Add(name="lr_sum")([maps, first]), "merging")
    maps = MiddleFrames(3, name="middle_three")(maps)
    maps = prelu(conv(maps, layers.Conv2D, width, 3, name="merging"), "deconvolution")
    deconvolution = Deconvolution(width, 2 * scale, scale, name="deconvolution")
    maps = deconvolution(maps)
    kernel = he_normal(generator, deconvolution.kernel.shape)
    deconvolution.kernel.assign(scale * kernel)  # each output sees a scale²-th part of the taps
    residual = layers.Conv2D(channels, 3, padding="same", name="residual")
    maps = residual(maps)
    kernel = he_normal(generator, residual.kernel.shape)
    residual.kernel.assign(0 * kernel if start == "bicubic" else kernel)
    enlarged = BicubicUpsampling(scale, name="bicubic")(MiddleFrames(name="middle")(lr_clips))
    return keras.Model(lr_clips, layers.Add(name="sum")([enlarged, maps]), name="fstrn")
