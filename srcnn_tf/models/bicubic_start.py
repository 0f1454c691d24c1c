"""The bicubic start: weights that begin as a bicubic interpolator.

One feature map per colour channel carries the image through kernels that are 1 in the centre and 0
elsewhere; the last layer passes it on and ignores the other feature maps until training gives them
a say. Those start at random and answer to edges alone (filters of zero mean, no input from the
image's own maps), so that the first steps of an optimiser, which move all weights alike, do not
shift flat areas.
"""

import numpy as np
from keras import initializers, layers

from srcnn_tf.images.resizing import resize_weights
from srcnn_tf.ranges import check_choice, check_seed
from srcnn_tf.scales import check_scale

STARTS = ("bicubic", "random")

# Keeps the image's own feature map above zero, where ReLU passes it unchanged: bicubic
# interpolation undershoots, by at most 0.28 for an image in [0, 1].
LIFT = 0.5

# Where PReLU's slopes start: He et al., "Delving Deep into Rectifiers", 2015, section 2.1.
SLOPE = 0.25


def check_arguments(scale: int, channels: int, start: str, seed: int) -> None:
    """Raise a ValueError for what no builder takes."""
    check_scale(scale)
    check_seed(seed)
    if channels not in (1, 3) or isinstance(channels, bool | float):
        raise ValueError(f"channels is {channels}: it must be 1 (luma) or 3 (RGB)")
    check_choice("start", start, STARTS)


def numbered(name: str, count: int) -> list[str]:
    """Name layers of a kind: `mapping`, or `mapping_1`, `mapping_2` and so on."""
    return [name] if count == 1 else [f"{name}_{i + 1}" for i in range(count)]


def prelu(name: str) -> layers.PReLU:
    """Make a PReLU with one slope for each feature map, whatever the size of the images."""
    return layers.PReLU(initializers.Constant(SLOPE), shared_axes=[1, 2], name=name)


def he_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw the kernel of a convolution or dense layer as He et al. start it (2015, section 2.2)."""
    return generator.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)


def carrying_image(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Return a kernel whose first maps copy the first inputs, and whose others do without them."""
    if kernel.shape[2] == channels:  # the first layer has no other inputs
        kernel = kernel - kernel.mean(axis=(0, 1, 2))
    else:
        kernel[:, :, :channels] = 0
    centre = kernel.shape[0] // 2
    kernel[:, :, :, :channels] = 0
    kernel[centre, centre, range(channels), range(channels)] = 1
    return kernel


def keys_deconvolution(scale: int, size: int = 9) -> np.ndarray:
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
