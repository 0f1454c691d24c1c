"""Pixels: their types, RGB and luma, crops.

An image is a float32 array `[h, w, c]` with values in [0, 1]; `c` is 1 (grey or luma), 3 (RGB) or
4 (RGBA).
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from srcnn_tf.ranges import check_number

# How far floats may lie outside [0, 1] where overshoot is let through. Bicubic interpolation leaves
# it by little, an untrained network by more, and an image in 0 to 255 by more still.
OVERSHOOT = 10

# BT.601 studio swing: RGB in [0, 1] to luma in [16, 235] / 255 and chroma in [16, 240] / 255.
_TO_YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112], [112, -93.786, -18.214]])
_TO_YCBCR /= 255
_YCBCR_OFFSET = np.array([16.0, 128.0, 128.0]) / 255


def as_array(image: Any, name: str = "this image", channels: Sequence[int] = ()) -> np.ndarray:
    """Return what holds pixels as an array, its type and values as they are.

    Args:
        image: an array, a list, a tensor, or a Pillow image: grey, RGB or RGBA.
        name: what an error calls it.
        channels: if any, it must be an image `[h, w, c]` with c one of these.

    Returns:
        An array in this machine's byte order; the image itself if it is one.

    Raises:
        ValueError: pixels that a mask hides; a Pillow image in other colours; no numbers; another
            shape.
    """
    if np.ma.is_masked(image):
        raise ValueError(f"{name} has masked pixels: fill them first, as `.filled(0)` does")
    # Pillow images have a mode; so have arrays that lie in files, another one.
    mode = "RGB" if isinstance(image, np.ndarray) else getattr(image, "mode", "RGB")
    if mode not in ("L", "RGB", "RGBA", "I;16", "I;16B"):
        raise ValueError(f'{name} is a Pillow image of mode {mode}: convert it, .convert("RGB")')
    pixels = np.asarray(image)
    if pixels.dtype.kind in "OSU":
        kind = type(image).__name__
        raise ValueError(f"{name} must be an array of numbers, not {kind}; read_image reads a file")
    if channels and (pixels.ndim != 3 or pixels.shape[2] not in channels or 0 in pixels.shape):
        some = " or ".join(map(str, channels))
        raise ValueError(f"an image is [h, w, c] with c = {some}; {name} has shape {pixels.shape}")
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def with_channels(image: Any, name: str = "this image", channels: Sequence[int] = (1, 3, 4)) -> Any:
    """Return an image `[h, w]` or `[h, w, c]` as `[h, w, c]`; see `as_array`."""
    image = as_array(image, name)
    return as_array(image[..., None] if image.ndim == 2 else image, name, channels)


def as_float(
    image: Any, name: str = "this image", overshoot: bool = False, channels: Sequence[int] = ()
) -> np.ndarray:
    """Return pixels as float32 in [0, 1], whatever their type: the gate of all that takes images.

    Args:
        image: see `as_array`; uint8 is divided by 255, uint16 by 65535, floats must lie in [0, 1].
        name: what an error calls the image.
        overshoot: let floats through that lie outside [0, 1] by up to `OVERSHOOT`, unclipped.
        channels: see `as_array`; none takes any shape.

    Raises:
        ValueError: floats outside these bounds, NaN, or another type; see also `as_array`.
    """
    image = as_array(image, name, channels)
    if image.dtype in (np.uint8, np.uint16):
        # In float32 at once: by way of float64 it takes more time, and twice the memory.
        return np.divide(image, np.float32(np.iinfo(image.dtype).max), dtype=np.float32)
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"{name} must be floats in [0, 1], uint8 or uint16, not {image.dtype}")
    slack = OVERSHOOT if overshoot else 0
    # False for NaN too.
    if image.size and not (image.min() >= -slack and image.max() <= 1 + slack):
        told = f"{name} has values from {image.min():.4g} to {image.max():.4g}; floats must lie in"
        raise ValueError(f"{told} [0, 1] (divide 8-bit values by 255) and none may be NaN")
    return image.astype(np.float32, copy=False)


def as_float_or_tensor(image: Any, name: str = "this image", overshoot: bool = False) -> Any:
    """Return what `as_float` returns; but a tensor of floats stays one, and keeps its gradients.

    Its values are checked where it has any: in a graph, nothing is added.

    Raises:
        ValueError: a tensor of another type; see also `as_float`.
    """
    dtype = getattr(image, "dtype", None)
    if dtype is None or isinstance(dtype, np.dtype):
        return as_float(image, name, overshoot)
    if "float" not in repr(dtype):
        raise ValueError(f"{name} must be floats in [0, 1], not a tensor of {dtype!r}")
    with contextlib.suppress(AttributeError, NotImplementedError):  # in a graph
        as_float(image.numpy(), name, overshoot)
    return image


def check_sides(
    images: Sequence[np.ndarray],
    least: int,
    names: Sequence[str] = (),
    what: str = "images",
    why: str = "the size of a crop",
) -> None:
    """Raise a ValueError if there are no images, or some are too small; it names these.

    Args:
        images: `[h, w, c]`.
        least: pixels that each side must have.
        names: of the images; the default is their numbers from 1 up.
        what: the error calls them all.
        why: they must be so large, in words.
    """
    if not images:
        raise ValueError(f"there are no {what}: give at least one")
    names = names or [f"number {n}" for n in range(1, len(images) + 1)]
    sizes = [(name, *image.shape[:2]) for name, image in zip(names, images, strict=True)]
    small = [f"{name} ({h}×{w})" for name, h, w in sizes if min(h, w) < least]
    if small:
        told = (
            f"{len(small)} of {len(images)} {what} are smaller than {least}×{least} pixels, {why}"
        )
        raise ValueError(f"{told}: {', '.join(small[:5])}; leave them out")


def quantise(image: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Clip to [0, 1] and round to the 256 levels of an 8-bit file.

    Args:
        image: any shape; see `as_float`, overshoot is let through.
        dtype: `np.float32` for values in [0, 1], `np.uint8` for 0 to 255.

    Returns:
        An array of this type; the image itself if it is one of bytes, and these are asked for.

    Raises:
        ValueError: see `as_float`.
    """
    image = as_array(image)
    if image.dtype == np.dtype(dtype) == np.uint8:
        return image
    levels = np.rint(np.clip(as_float(image, overshoot=True), 0, 1) * 255)
    return (levels if np.dtype(dtype) == np.uint8 else levels / 255).astype(dtype)


def rgb_to_ycbcr(image: np.ndarray) -> np.ndarray:
    """Convert RGB to YCbCr, BT.601 studio swing, as MATLAB's `rgb2ycbcr`.

    Args:
        image: `[..., 3]`; see `as_float`, overshoot is let through.

    Returns:
        float32 `[..., 3]`: luma in [16, 235] / 255, chroma in [16, 240] / 255.

    Raises:
        ValueError: not three channels; see also `as_float`.

    Derived in lesson 01.
    """
    return (_colours(image) @ _TO_YCBCR.T + _YCBCR_OFFSET).astype(np.float32)


def ycbcr_to_rgb(image: np.ndarray) -> np.ndarray:
    """Convert YCbCr (BT.601 studio swing) back to RGB.

    Args:
        image: `[..., 3]` as `rgb_to_ycbcr` returns it; see `as_float`, overshoot is let through.

    Returns:
        float32 `[..., 3]`; outside [0, 1] where the YCbCr triple is no RGB colour.

    Raises:
        ValueError: not three channels; see also `as_float`.
    """
    return ((_colours(image) - _YCBCR_OFFSET) @ np.linalg.inv(_TO_YCBCR).T).astype(np.float32)


def _colours(image: np.ndarray) -> np.ndarray:
    image = as_float(image, overshoot=True)
    if image.shape[-1:] != (3,):
        raise ValueError(f"colours are [..., 3]; this array has shape {image.shape}")
    return image


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Return an image as luma (1 channel) or RGB (3 channels); alpha is dropped.

    A greyscale image is its own luma: it is not squeezed into studio swing.

    Args:
        image: `[..., c]`, c = 1, 3 or 4, an array or a tensor; see `as_float_or_tensor`, overshoot
            is let through.
        channels: 1 or 3.

    Raises:
        ValueError: other numbers of channels; see also `as_float_or_tensor`.
    """
    image = as_float_or_tensor(image, overshoot=True)
    if len(image.shape) < 3 or image.shape[-1] not in (1, 3, 4) or channels not in (1, 3):
        told = f"cannot make {channels} channels from shape {tuple(image.shape)}: images are"
        raise ValueError(f"{told} [h, w, c], c = 1, 3 or 4, and channels is 1 (luma) or 3 (RGB)")
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
        image: `[h, w, c]`, of any type, which it keeps; see `as_array`.
        scale: the super-resolution factor, a whole number.

    Raises:
        ValueError: not an image; a scale below 1; a side is shorter than the scale, so nothing
            would be left.
    """
    image = as_array(image)
    check_number("scale", scale, whole=True, least=1)
    if image.ndim != 3:
        raise ValueError(f"an image is [h, w, c]; this array has shape {image.shape}")
    height, width = image.shape[0] // scale * scale, image.shape[1] // scale * scale
    if not (height and width):
        raise ValueError(f"{image.shape[0]}×{image.shape[1]} pixels is too small for scale {scale}")
    return image[:height, :width]
