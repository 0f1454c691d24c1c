"""Image files: formats, bit depths, orientation, colour profiles."""

import contextlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from srcnn_tf.files import check_place, write_file
from srcnn_tf.images.pixels import as_array, as_float, to_bytes

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP"}

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
    if image.mode == "1" and level:  # nor for 1 bit, before version 12
        image.info["transparency"] = 255
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
    image = as_array(image)
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
