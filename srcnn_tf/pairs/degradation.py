"""What turns an HR image into an LR one: the protocol's bicubic shrinking, and others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from scipy.ndimage import convolve, gaussian_filter1d

from srcnn_tf.images.pixels import as_float, quantise
from srcnn_tf.images.resizing import apply_weights, resize_weights
from srcnn_tf.ranges import check_choice, check_fields, check_number, check_seed, held
from srcnn_tf.scales import check_scale


@dataclass(frozen=True)
class Degradation:
    """Blur, shrink by bicubic interpolation, add noise, round to 8 bits, compress: in this order.

    The default is the literature's protocol, bit by bit: nothing but antialiased bicubic shrinking
    and rounding.

    Attributes:
        blur: standard deviation of a Gaussian blur, in HR pixels. Borders are mirrored.
        kernel: in place of the Gaussian, a blur kernel `[rows, columns]` in HR pixels, both sides
            odd, with a sum of 1.
        antialias: see `images.resize_weights`; False reproduces the slip of most tutorials.
        noise: standard deviation of Gaussian noise on the LR image, in grey levels of 0 to 255.
        jpeg_quality: of a JPEG file that holds the LR image, from 1 to 100, or None for no file.
        rounding: round the LR image to the 256 levels of an 8-bit file.

    Raises:
        ValueError: a field out of its range, or two that exclude each other.

    Derived in lesson 01.
    """

    blur: float = held(0.0, check_number, least=0)
    kernel: Sequence[Sequence[float]] | None = None
    antialias: bool = held(True, check_choice, known=(True, False))
    noise: float = held(0.0, check_number, least=0)
    jpeg_quality: int | None = held(
        None, check_number, whole=True, optional=True, least=1, most=100
    )
    rounding: bool = held(True, check_choice, known=(True, False))

    def __post_init__(self):
        check_fields(self)
        if self.kernel is not None:
            kernel = np.asarray(self.kernel, np.float64)
            if kernel.ndim != 2 or not all(side % 2 for side in kernel.shape):
                raise ValueError(f"kernel has the shape {kernel.shape}: it must have two odd sides")
            if not abs(kernel.sum() - 1) < 1e-3:  # false for NaN too
                raise ValueError(f"kernel has a sum of {kernel.sum():.4g}, not 1: divide by it")
            if self.blur:
                raise ValueError("give blur, for a Gaussian, or a kernel, but not both")
            object.__setattr__(self, "kernel", tuple(map(tuple, kernel.tolist())))  # comparable
        if self.jpeg_quality is not None and not self.rounding:
            raise ValueError("a JPEG file holds 8 bits: rounding=False does not go with it")


BICUBIC = Degradation()


def degrade_weights(size: int, scale: int, degradation: Degradation = BICUBIC) -> np.ndarray:
    """Return the matrix that takes one axis from high to low resolution.

    It holds what is linear and treats both axes alike: Gaussian blur and shrinking.

    Args:
        size: high-resolution pixels along the axis, a multiple of the scale.
        scale: 2, 3 or 4.
        degradation: its blur kernel, noise, rounding and JPEG are no part of the matrix.

    Returns:
        float64 `[size / scale, size]`.
    """
    weights = resize_weights(size, size // scale, "bicubic", degradation.antialias)
    if degradation.blur:
        # Blurring the identity gives the blur's own matrix, borders mirrored as in the resize.
        weights = weights @ gaussian_filter1d(np.eye(size), degradation.blur, 0, mode="reflect")
    return weights


def degrade(
    hr_image: np.ndarray,
    scale: int,
    degradation: Degradation = BICUBIC,
    seed: int | Sequence[int] = 0,
) -> np.ndarray:
    """Make the low-resolution image of a photograph.

    Args:
        hr_image: `[s·h, s·w, c]`, both sides multiples of the scale, c = 1, 3 or, without JPEG, 4;
            see `images.as_float`.
        scale: 2, 3 or 4.
        degradation: how; the default is the protocol's bicubic shrinking.
        seed: of the noise: a whole number below 2³², or several.

    Returns:
        float32 `[h, w, c]` in [0, 1], on the 256 levels of an 8-bit file unless the degradation
        says otherwise.

    Raises:
        ValueError: scale outside 2–4, sides that are no multiples of it, another number of
            channels, a bad seed; see also `images.as_float`.

    Derived in lesson 01.

    >>> degrade(np.full((4, 6, 1), 0.5), scale=2)[..., 0].round(3)
    array([[0.502, 0.502, 0.502],
           [0.502, 0.502, 0.502]], dtype=float32)
    """
    check_scale(scale)
    for part in seed if isinstance(seed, Sequence) else [seed]:
        check_seed(part)
    channels = (1, 3, 4) if degradation.jpeg_quality is None else (1, 3)
    lr_image = as_float(hr_image, "hr_image", channels=channels)
    height, width = lr_image.shape[:2]
    if height % scale or width % scale:
        raise ValueError(
            f"{height}×{width} pixels cannot be divided by {scale}: use images.crop_to_multiple"
        )
    if degradation.kernel is not None:
        lr_image = convolve(lr_image, np.array(degradation.kernel)[..., None], mode="reflect")
    rows, columns = (degrade_weights(side, scale, degradation) for side in (height, width))
    lr_image = apply_weights(lr_image, rows, columns)
    if degradation.noise:
        noise = np.random.default_rng(seed).standard_normal(lr_image.shape, np.float32)
        lr_image += degradation.noise / 255 * noise
    if not degradation.rounding:
        return lr_image.clip(0, 1)
    lr_image = quantise(lr_image)
    if degradation.jpeg_quality is not None:
        return through_jpeg(lr_image, degradation).numpy()
    return lr_image


def through_jpeg(image: tf.Tensor | np.ndarray, degradation: Degradation) -> tf.Tensor:
    """Return what the degradation's JPEG file of an image `[h, w, 1 or 3]` in [0, 1] holds."""
    levels = tf.cast(tf.round(image * 255), tf.uint8)
    data = tf.io.encode_jpeg(levels, quality=degradation.jpeg_quality)
    kept = tf.io.decode_jpeg(data, levels.shape[-1])
    return tf.ensure_shape(tf.cast(kept, tf.float32) / 255, image.shape)
