"""ZSSR: eight layers that learn from the one image that they enlarge."""

import keras

from srcnn_tf.models.vdsr import vdsr


def zssr(
    scale: int,
    depth: int = 8,
    width: int = 64,
    channels: int = 3,
    start: str = "bicubic",
    seed: int = 0,
) -> keras.Model:
    """Build ZSSR's network: a short `vdsr` without biases. `training.zero_shot` trains it.

    Args:
        scale: 2, 3 or 4.
        depth: convolutions, at least 2.
        width: feature maps between them.
        channels: 1 for luma, 3 for RGB (the paper's).
        start: see `vdsr`; the paper's is "random".
        seed: of the random weights.

    Returns:
        A built model `[n, h, w, channels]` to `[n, s·h, s·w, channels]`.

    Raises:
        ValueError: an argument out of its range.

    Reference: Shocher, Cohen and Irani, "Zero-Shot" Super-Resolution using Deep Internal Learning,
    CVPR 2018, section 3.2. Lesson 11 trains it.
    """
    return vdsr(scale, depth, width, channels, start, seed, use_bias=False, name="zssr")
