"""Image files and pixels: read and write, RGB and luma, resize, crop.

An image is a float32 array `[h, w, c]` with values in [0, 1]; `c` is 1 (grey or luma), 3 (RGB) or
4 (RGBA).
"""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP"}

# BT.601 studio swing: RGB in [0, 1] to luma in [16, 235] / 255 and chroma in [16, 240] / 255.
_TO_YCBCR = (
    np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
    / 255
)
_YCBCR_OFFSET = np.array([16.0, 128.0, 128.0]) / 255

# What an EXIF orientation asks of the stored pixels before they are shown.
_ORIENT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
_EXIF_ORIENTATION = 0x0112


def read_image(path: str | Path) -> np.ndarray:
    """Read a PNG, JPEG or BMP file, upright.

    Palettes become RGB, transparency an alpha channel, 16-bit PNGs keep their precision, and an
    EXIF orientation is applied.

    Args:
        path: the image file.

    Returns:
        float32 `[h, w, c]` in [0, 1]; c = 1 for grey, 3 for RGB, 4 for RGBA.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a whole PNG, JPEG or BMP image, or holds more pixels than
            Pillow's decompression-bomb limit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no image file at {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", module="PIL.TiffImagePlugin")
            with Image.open(path, formats=sorted(set(FORMATS.values()))) as image:
                image.load()
                orientation = 1
                with contextlib.suppress(Exception):  # a broken EXIF block spoils no pixels
                    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
                pixels = (_read_16_bit if is_16_bit(path) else _pixels)(path, image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} is refused as a decompression bomb: {error}. Images of at most "
            f"{Image.MAX_IMAGE_PIXELS:,} pixels are read; cut yours into parts"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read as an image ({error}); it must be a whole PNG, JPEG or BMP file"
        ) from error
    pixels = _ORIENT.get(orientation, lambda a: a)(pixels)
    return np.ascontiguousarray(as_float(pixels))


def is_16_bit(path: str | Path) -> bool:
    """Tell whether a file is a PNG of 16 bits a channel."""
    return _png_depth(path) == 16


def _png_depth(path: str | Path) -> int | None:
    with Path(path).open("rb") as file:
        head = file.read(25)
    return head[24] if head.startswith(b"\x89PNG") else None  # the bit depth in the IHDR chunk


def icc_profile(path: str | Path, channels: int) -> bytes | None:
    """Return the ICC profile of an image file, if it is one for so many channels.

    Where `read_image` converts colours, as from CMYK to RGB, the file's profile no longer fits.

    Args:
        path: an image file.
        channels: 1 for grey, 3 or 4 for RGB.
    """
    with Image.open(path, formats=sorted(set(FORMATS.values()))) as image:
        profile = image.info.get("icc_profile") or b""
    # Bytes 16 to 19 of a profile name the colours that it is for (ICC.1, section 7.2.8).
    return profile if profile[16:20] == (b"GRAY" if channels == 1 else b"RGB ") else None


def _read_16_bit(path: Path, image: Image.Image) -> np.ndarray:
    """Decode with OpenCV, since Pillow cuts 16-bit colour to 8 bits."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("OpenCV cannot decode this 16-bit PNG")
    if pixels.ndim == 2:
        level = image.info.get("transparency")  # which OpenCV passes over in grey images
        alpha = [] if level is None else [np.where(pixels == level, 0, 65535).astype(np.uint16)]
        return np.dstack([*[pixels] * (3 if alpha else 1), *alpha])
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]  # BGR(A) to RGB(A)


def _pixels(path: Path, image: Image.Image) -> np.ndarray:
    depth, level = _png_depth(path), image.info.get("transparency")
    if image.mode == "L" and depth in (2, 4) and level is not None and level < 2**depth:
        # Pillow stretches the pixels to 8 bits, but not the level that is transparent.
        image.info["transparency"] = level * 255 // (2**depth - 1)
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return np.asarray(image.convert("L"))[..., None]
    transparent = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if transparent else "RGB"))


def write_image(
    path: str | Path,
    image: np.ndarray,
    overwrite: bool = False,
    profile: bytes | None = None,
) -> None:
    """Write an image file, whole or not at all.

    Pixels are written upright and without an EXIF block, so no orientation can be applied twice.

    Args:
        path: the file to make; its suffix (.png, .jpg, .jpeg, .bmp) chooses the format.
        image: `[h, w]` or `[h, w, c]`, c = 1, 3 or 4 (PNG only). Floats in [0, 1] are rounded to
            8 bits, with a network's overshoot clipped; uint8 is written as it is, uint16 to
            16-bit PNG.
        overwrite: replace a file that is there.
        profile: ICC profile for an 8-bit PNG or JPEG file; BMP holds none.

    Raises:
        FileExistsError: the file is there and `overwrite` is false.
        FileNotFoundError: there is no such folder.
        ValueError: unknown suffix; NaN or values far outside [0, 1]; a shape or type that the
            format cannot hold.
        OSError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    check_target(path, overwrite)
    kind = FORMATS[path.suffix.lower()]
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    channels = (1, 3, 4) if kind == "PNG" else (1, 3)
    if image.ndim != 3 or image.shape[2] not in channels or 0 in image.shape:
        raise ValueError(
            f"cannot write an array of shape {image.shape} as {kind}: "
            f"it must be [h, w, c] with c one of {channels}"
        )
    if image.dtype == np.uint16:
        if kind != "PNG":
            raise ValueError(f"{kind} holds 8 bits: write 16-bit images as .png, or divide by 257")
        swapped = image[..., [2, 1, 0, 3][: image.shape[2]]] if image.shape[2] > 1 else image
        data = cv2.imencode(".png", swapped)[1].tobytes()
    else:
        buffer = io.BytesIO()
        pixels = to_bytes(image)
        Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(
            buffer, kind, icc_profile=profile, **({"quality": 95} if kind == "JPEG" else {})
        )
        data = buffer.getvalue()
    write_file(path, data, overwrite)


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


def write_file(path: str | Path, data: bytes, overwrite: bool = False) -> None:
    """Write bytes to a file so that it is there whole or not at all.

    Raises:
        FileExistsError: the file is there and `overwrite` is false.
        FileNotFoundError: there is no such folder.
        OSError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    check_place(path, overwrite)
    partial = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot write {path} ({error.strerror}); nothing was written"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def check_target(path: str | Path, overwrite: bool = False) -> None:
    """Raise what `write_image` would raise for this path, before any work is done.

    Raises:
        FileExistsError: the file is there and `overwrite` is false.
        FileNotFoundError: there is no such folder.
        IsADirectoryError: the path is a folder.
        ValueError: unknown suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"cannot write {path}: its suffix must be one of {', '.join(FORMATS)}")
    check_place(path, overwrite)


def check_place(path: Path, overwrite: bool = False) -> None:
    """Raise what `write_file` would raise for this path, before any work is done."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists and is kept; overwrite=True, or --overwrite, replaces it"
        )


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


def _box(x: np.ndarray) -> np.ndarray:
    return ((x >= -0.5) & (x < 0.5)).astype(float)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(x))


def _keys(x: np.ndarray) -> np.ndarray:
    """Cubic convolution with a = -0.5 (Keys, 1981, equation 15)."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def _lanczos3(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


_KERNELS = {
    "nearest": (_box, 1),
    "bilinear": (_triangle, 2),
    "bicubic": (_keys, 4),
    "lanczos": (_lanczos3, 6),
}


def resize_weights(
    size: int, new_size: int, method: str = "bicubic", antialias: bool = True
) -> np.ndarray:
    """Return the matrix that resizes one axis, as MATLAB's `imresize` does.

    Row i holds the weights of the old pixels in new pixel i. Pixels are squares (their centres at
    half-integers), and borders are mirrored with the edge pixel repeated.

    Args:
        size: pixels along the axis now.
        new_size: pixels wanted.
        method: "nearest", "bilinear", "bicubic" (Keys, a = -0.5) or "lanczos" (three lobes).
        antialias: stretch the kernel when shrinking, so that it covers the old pixels that fall
            into each new one.

    Returns:
        float64 `[new_size, size]`; every row sums to 1.

    Raises:
        ValueError: unknown method, or sizes below 1.

    Derived in lesson 01.
    """
    if method not in _KERNELS:
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(_KERNELS)}")
    if size < 1 or new_size < 1:
        raise ValueError(f"cannot resize {size} pixels to {new_size}: both must be at least 1")
    kernel, width = _KERNELS[method]
    scale = new_size / size
    stretch = min(scale, 1.0) if antialias and method != "nearest" else 1.0
    centres = (np.arange(new_size) + 0.5) / scale - 0.5
    first = np.floor(centres - width / stretch / 2).astype(int)
    taps = first[:, None] + np.arange(int(np.ceil(width / stretch)) + 2)
    weights = kernel((centres[:, None] - taps) * stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = np.r_[np.arange(size), np.arange(size)[::-1]][taps % (2 * size)]
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], mirrored), weights)
    return matrix


def resize(
    image: np.ndarray,
    size: tuple[int, int],
    method: str = "bicubic",
    antialias: bool = True,
) -> np.ndarray:
    """Resize an image as MATLAB's `imresize` does, borders included.

    Args:
        image: floats `[h, w, c]`.
        size: new (height, width).
        method: "nearest", "bilinear", "bicubic" or "lanczos".
        antialias: see `resize_weights`; makes no difference when enlarging.

    Returns:
        float32 `[*size, c]`, not clipped: bicubic and Lanczos overshoot at edges.

    Raises:
        ValueError: unknown method, sizes below 1, or an array that is not `[h, w, c]`.
    """
    if image.ndim != 3:
        raise ValueError(f"an image is [h, w, c]; this array has shape {image.shape}")
    rows = resize_weights(image.shape[0], size[0], method, antialias)
    columns = resize_weights(image.shape[1], size[1], method, antialias)
    return apply_weights(image, rows, columns)


def apply_weights(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Multiply both axes of an image `[h, w, c]` with weights `[new, old]`; returns float32."""
    channels = np.moveaxis(np.asarray(image, np.float64), -1, 0)
    return np.ascontiguousarray(np.moveaxis(rows @ channels @ columns.T, 0, -1), np.float32)
