"""Pairs of whole images, as scoring takes them and training cuts them up."""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from srcnn_tf.images.pixels import as_float, crop_to_multiple, quantise, to_channels
from srcnn_tf.images.resizing import resize
from srcnn_tf.pairs.degradation import BICUBIC, AnyDegradation, degrade
from srcnn_tf.scales import check_scale


def image_pair(
    image: np.ndarray,
    scale: int,
    channels: int = 1,
    degradation: AnyDegradation = BICUBIC,
    seed: int | Sequence[int] = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a photograph into one (LR, HR) pair.

    Args:
        image: `[H, W, c]`, see `images.as_float`; cropped to a multiple of the scale.
        scale: 2, 3 or 4.
        channels: 1 for luma, 3 for RGB.
        degradation: see `degrade`, as the next.
        seed: of the noise.

    Returns:
        lr_image float32 `[h, w, channels]`, hr_image float32 `[s·h, s·w, channels]`.

    Raises:
        ValueError: not an image; see also `degrade`.

    >>> lr_image, hr_image = image_pair(np.zeros((10, 11, 3)), scale=3)
    >>> lr_image.shape, hr_image.shape
    ((3, 3, 1), (9, 9, 1))
    """
    check_scale(scale)
    hr_image = quantise(to_channels(crop_to_multiple(as_float(image), scale), channels))
    return degrade(hr_image, scale, degradation, seed), hr_image


def evaluation_pairs(
    images: Iterable[np.ndarray],
    scale: int,
    channels: int = 1,
    degradation: AnyDegradation = BICUBIC,
    seed: Sequence[int] = (),
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Make whole-image pairs for scoring, each as a batch of one.

    Args:
        images: photographs `[H, W, c]` in [0, 1].
        scale: 2, 3 or 4.
        channels: 1 for luma, 3 for RGB.
        degradation: see `degrade`; the noise of each image, and what it draws from a space, is its
            own, the same in every call.
        seed: of that, whole numbers; none for those of validation.

    Returns:
        A list of (float32 `[1, h, w, channels]`, float32 `[1, s·h, s·w, channels]`).
    """
    pairs = [
        image_pair(image, scale, channels, degradation, [*seed, n])
        for n, image in enumerate(images)
    ]
    return [(lr_image[None], hr_image[None]) for lr_image, hr_image in pairs]


def rescaled(images: Iterable[np.ndarray], factors: Sequence[float]) -> list[np.ndarray]:
    """Return the images and a smaller copy of each for every factor.

    Args:
        images: `[h, w, c]` in [0, 1].
        factors: 0.9, 0.8, 0.7, 0.6 in the FSRCNN paper (section 4.1, "Data augmentation").

    Raises:
        ValueError: a factor outside (0, 1).
    """
    images = [as_float(image) for image in images]
    if any(not 0 < factor < 1 for factor in factors):
        raise ValueError(f"rescaling factors {tuple(factors)} must lie between 0 and 1")
    copies = []
    for factor, image in product(factors, images):
        size = round(image.shape[0] * factor), round(image.shape[1] * factor)
        copies.append(np.clip(resize(image, size), 0, 1))
    return images + copies
