"""Pixels: their types, RGB and luma, crops.

An image is a float32 array `[h, w, c]` with values in [0, 1]; `c` is 1 (grey or luma), 3 (RGB) or
4 (RGBA).
"""

import numpy as np

# BT.601 studio swing: RGB in [0, 1] to luma in [16, 235] / 255 and chroma in [16, 240] / 255.
_TO_YCBCR = (
    np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
    / 255
)
_YCBCR_OFFSET = np.array([16.0, 128.0, 128.0]) / 255


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Return pixels as uint8: floats in [0, 1] are rounded, with a network's overshoot clipped.

    Args:
        image: any shape, floats or uint8.

    Raises:
        ValueError: NaN or values far outside [0, 1]; another type.
    """
    if image.dtype == np.uint8:
        return image
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(
            "pixels must be floats in [0, 1] or uint8 (in a PNG file also uint16), "
            f"not {image.dtype}"
        )
    low, high = image.min(), image.max()
    # Networks overshoot by a little; an image in 0..255 does so by a lot.
    if not (low >= -1 and high <= 2):
        raise ValueError(
            f"pixel values run from {low:.4g} to {high:.4g}; floats must lie in [0, 1] "
            "(divide 8-bit values by 255) and none may be NaN"
        )
    return quantise(image, np.uint8)


def as_float(image: np.ndarray, name: str = "image") -> np.ndarray:
    """Return pixels as float32 in [0, 1], whatever their type.

    Args:
        image: any shape; uint8 is divided by 255, uint16 by 65535, floats must lie in [0, 1].
        name: what an error calls the array.

    Raises:
        ValueError: floats outside [0, 1], NaN, or another type.
    """
    image = np.asarray(image)
    if image.dtype in (np.uint8, np.uint16):
        return (image / np.iinfo(image.dtype).max).astype(np.float32)
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"{name} must be floats in [0, 1], uint8 or uint16, not {image.dtype}")
    if image.size and not (image.min() >= 0 and image.max() <= 1):  # false for NaN too
        raise ValueError(
            f"{name} has values from {image.min():.4g} to {image.max():.4g}; floats must lie in "
            "[0, 1] (divide 8-bit values by 255) and none may be NaN"
        )
    return image.astype(np.float32)


def quantise(image: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Clip to [0, 1] and round to the 256 levels of an 8-bit file.

    Args:
        image: floats, any shape.
        dtype: `np.float32` for values in [0, 1], `np.uint8` for 0 to 255.
    """
    levels = np.rint(np.clip(image, 0, 1) * 255)
    return (
        levels.astype(np.uint8)
        if np.dtype(dtype) == np.uint8
        else (levels / 255).astype(np.float32)
    )


def rgb_to_ycbcr(image: np.ndarray) -> np.ndarray:
    """Convert RGB to YCbCr, BT.601 studio swing, as MATLAB's `rgb2ycbcr`.

    Args:
        image: floats `[..., 3]` in [0, 1].

    Returns:
        float32 `[..., 3]`: luma in [16, 235] / 255, chroma in [16, 240] / 255.

    Derived in lesson 01.
    """
    return (image @ _TO_YCBCR.T + _YCBCR_OFFSET).astype(np.float32)


def ycbcr_to_rgb(image: np.ndarray) -> np.ndarray:
    """Convert YCbCr (BT.601 studio swing) back to RGB.

    Args:
        image: floats `[..., 3]` as `rgb_to_ycbcr` returns them.

    Returns:
        float32 `[..., 3]`; outside [0, 1] where the YCbCr triple is no RGB colour.
    """
    return ((image - _YCBCR_OFFSET) @ np.linalg.inv(_TO_YCBCR).T).astype(np.float32)


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Return an image as luma (1 channel) or RGB (3 channels); alpha is dropped.

    A greyscale image is its own luma: it is not squeezed into studio swing.

    Args:
        image: floats `[..., c]` in [0, 1], c = 1, 3 or 4; an array or a tensor.
        channels: 1 or 3.

    Raises:
        ValueError: other numbers of channels.
    """
    if len(image.shape) < 3 or image.shape[-1] not in (1, 3, 4) or channels not in (1, 3):
        raise ValueError(
            f"cannot make {channels} channels from shape {tuple(image.shape)}: images are "
            "[h, w, c] with c = 1, 3 or 4, and channels is 1 (luma) or 3 (RGB)"
        )
    if image.shape[-1] == 1:
        return image * np.ones(channels, np.float32)
    if channels == 3:
        return image[..., :3]
    red, green, blue = _TO_YCBCR[0].astype(np.float32)
    luma = red * image[..., 0:1] + green * image[..., 1:2] + blue * image[..., 2:3]
    return luma + np.float32(_YCBCR_OFFSET[0])


def crop_to_multiple(image: np.ndarray, scale: int) -> np.ndarray:
    """Cut rows and columns off the end until both sides are multiples of the scale.

    Args:
        image: `[h, w, c]`.
        scale: the super-resolution factor.

    Raises:
        ValueError: a side is shorter than the scale, so nothing would be left.
    """
    height, width = image.shape[0] // scale * scale, image.shape[1] // scale * scale
    if not (height and width):
        raise ValueError(
            f"an image of {image.shape[0]}×{image.shape[1]} pixels is too small for scale {scale}"
        )
    return image[:height, :width]
