"""Image files: formats, bit depths, orientation, and what files say of their pixels."""

import contextlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from srcnn_tf.files import check_place, write_file
from srcnn_tf.images.damage import check_jpeg, png_chunk, sound_png
from srcnn_tf.images.pixels import as_float, quantise, with_channels

FORMATS = {
    **{".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG"},
    **{".bmp": "BMP", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"},
}
_KINDS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}  # pixels
_OPTIONS: dict[str, dict] = {
    "PNG": {"compress_level": 3},  # a third of the default's time; files grow by some percent
    "JPEG": {"quality": 95},
    "WEBP": {"lossless": True, "exact": True},  # exact: in transparent pixels too
    "TIFF": {"compression": "tiff_lzw"},
}
# What people have and we do not read: suffixes, and beginnings of files that are named otherwise.
_NOT_READ = ".heic .heif .hif .avif .gif .jxl .jp2 .svg .pdf .psd .ico "
_NOT_READ += ".dng .nef .cr2 .cr3 .arw .orf .raf .rw2 .pef .srw"
_BEGINNINGS = (
    rb"....ftyp(?P<HEIC>hei|hev|mif|msf)|....ftyp(?P<AVIF>avi)|(?P<GIF>GIF8)|(?P<PDF>%PDF)"
    rb"|(?P<PSD>8BPS)|.{,200}(?P<SVG><svg)"
)

# What makes pixels stored with an EXIF orientation upright: which are mirrored, from side to side,
# and by how many quarters they are turned to the left then.
_MIRRORED, _QUARTERS = (2, 4, 5, 7), {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS, _TIFF_COLOURS, _TIFF_PLANES, _TIFF_EXTRA = 258, 262, 284, 338
_PNG_COLOURS = (b"cICP", b"mDCV", b"cLLI", b"sRGB", b"gAMA", b"cHRM")


class Surroundings(NamedTuple):
    """What an image file says of its pixels.

    Attributes:
        bits: of a channel, 8 or 16.
        profile: their ICC profile.
        dpi: pixels per inch, across and down.
        chunks: PNG's other chunks about colours, as gAMA and cICP, by name.
        remarks: what is lost already: sentences whose subject, the file, is left out.
    """

    bits: int = 8
    profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    chunks: Mapping[bytes, bytes] = MappingProxyType({})
    remarks: tuple[str, ...] = ()


NOTHING = Surroundings()


def read_image(path: str | Path) -> np.ndarray:
    """Read a PNG, JPEG, BMP, WebP or TIFF file, upright.

    Palettes become RGB, transparency an alpha channel, CMYK sRGB, 16-bit PNGs and TIFFs keep their
    precision, and an EXIF orientation is applied. An alpha channel that would hide the whole of a
    BMP file is passed over, as viewers do.

    Args:
        path: the image file.

    Returns:
        float32 `[h, w, c]` in [0, 1]; c = 1 for grey, 3 for RGB, 4 for RGBA.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or in another format; it is an animation or has several
            pages; it holds more pixels than Pillow's decompression-bomb limit.
    """
    return read_with_surroundings(path)[0]


def read_with_surroundings(path: str | Path) -> tuple[np.ndarray, Surroundings]:
    """Read an image file as `read_image` does, and what it says of its pixels."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no image file at {path}")
    try:
        data = path.read_bytes()
        if kind := format_not_read(path, data[:256]):
            raise ValueError(f"{kind} is not read: convert it to PNG or JPEG")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what surrounds the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _decode(data)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        most = f"Images of at most {Image.MAX_IMAGE_PIXELS:,} pixels are read; cut yours into parts"
        raise ValueError(f"{path} is refused as a decompression bomb: {error}. {most}") from error
    except Exception as error:  # decoders raise what they like
        what = "no known format" if isinstance(error, UnidentifiedImageError) else error
        wanted = "a whole PNG, JPEG, BMP, WebP or TIFF file"
        raise ValueError(
            f"{path} cannot be read as an image ({what}): it must be {wanted}"
        ) from error


def format_not_read(path: str | Path, head: bytes = b"") -> str | None:
    """Return the name of an image format that is not read, by a file's suffix and first bytes."""
    if re.match(rb"\x89PNG|\xff\xd8|BM|RIFF", head):
        return None  # whatever the file's name
    if (suffix := Path(path).suffix.lower()) in _NOT_READ.split():
        return suffix[1:].upper()
    begins = re.match(_BEGINNINGS, head, re.DOTALL)
    return begins.lastgroup if begins else None


def _decode(data: bytes) -> tuple[np.ndarray, Surroundings]:
    chunks: dict[bytes, bytes] = {}
    remarks = []
    if data.startswith(b"\x89PNG"):
        data, chunks = sound_png(data)
    with Image.open(io.BytesIO(data), formats=_KINDS) as image:
        frames = int.from_bytes(chunks.get(b"acTL", b"")[:4]) or getattr(image, "n_frames", 1)
        if image.format == "MPO":
            remarks.append(f"holds {frames} images, of which the first is taken")
        elif frames > 1:
            raise ValueError(f"it holds {frames} images: save the one you want as a PNG file")
        if image.format in ("JPEG", "MPO") and (warning := check_jpeg(data)):
            remarks.append(f"may be damaged (libjpeg: {warning}): look at the result")
        tags = getattr(image, "tag_v2", {_TIFF_BITS: chunks.get(b"IHDR", b"")[8:9]})
        depth = max(tags.get(_TIFF_BITS, ()), default=8)
        profile = image.info.get("icc_profile", b"" if b"iCCP" in chunks else None)
        with contextlib.suppress(zlib.error):  # behind its name, and a byte
            packed = chunks.get(b"iCCP", b"").partition(b"\0")[2][1:]
            profile = zlib.decompressobj().decompress(packed, 2**26) or profile
        if image.mode == "CMYK":
            pixels, profile = _from_cmyk(image, profile, remarks), None
        else:
            pixels = _read_16_bit(data, image) if depth == 16 else _pixels(image, depth)
        if image.format == "BMP" and pixels.shape[2] == 4 and not pixels[..., 3].any():
            pixels = pixels[..., :3]
        # Bytes 16 to 19 of a profile name the colours that it is for (ICC.1, section 7.2.8).
        fit = b"GRAY" if image.mode[0] in "1LI" else b"RGB "
        if profile is not None and profile[16:20] != fit:
            remarks.append("has a colour profile that does not fit its pixels; it is dropped")
            profile = None
        if chunks:
            image.info["exif"] = b"Exif\0\0" + chunks.get(b"eXIf", b"")
        orientation, dpi = 1, None
        with contextlib.suppress(Exception):  # a broken EXIF block spoils no pixels
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
        with contextlib.suppress(Exception):
            dpi = _dpi(image, chunks)
    pixels = as_float(pixels[:, ::-1] if orientation in _MIRRORED else pixels)
    pixels = np.ascontiguousarray(np.rot90(pixels, _QUARTERS.get(orientation, 0)))
    colours = {kind: chunks[kind] for kind in _PNG_COLOURS if chunks.get(kind)}
    return pixels, Surroundings(16 if depth == 16 else 8, profile, dpi, colours, tuple(remarks))


def _is_for_grey(profile: bytes | None) -> bool:
    return (profile or b"")[16:20] == b"GRAY"


def _dpi(image: Image.Image, chunks: Mapping[bytes, bytes]) -> tuple[float, float] | None:
    across, down = image.info.get("dpi", (0, 0))
    if b"pHYs" in chunks:
        across, down, unit = struct.unpack(">IIB", chunks[b"pHYs"])
        across, down = across * unit * 0.0254, down * unit * 0.0254  # unit: 1 for metres, or 0
    said = min(across, down) > 1 and max(across, down) < 2**16  # 1 is what Pillow takes for unsaid
    return (float(across), float(down)) if said else None


def _from_cmyk(image: Image.Image, profile: bytes | None, remarks: list[str]) -> np.ndarray:
    """Return CMYK pixels in sRGB: by their profile, or roughly, which is remarked."""
    image.load()
    with contextlib.suppress(ImageCms.PyCMSError, OSError):
        inks = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        screen = ImageCms.createProfile("sRGB")
        return np.asarray(ImageCms.profileToProfile(image, inks, screen, outputMode="RGB"))
    remarks.append("has CMYK colours without a profile for them; they are taken roughly")
    return np.asarray(image.convert("RGB"))


def _read_16_bit(data: bytes, image: Image.Image) -> np.ndarray:
    """Decode with OpenCV, since Pillow cuts 16-bit colour to 8 bits."""
    tags = getattr(image, "tag_v2", {_TIFF_COLOURS: 2})
    plain = tags.get(_TIFF_COLOURS) in (1, 2) and tags.get(_TIFF_PLANES, 1) == 1
    if not plain or tags.get(_TIFF_EXTRA) == (1,):  # colours multiplied by alpha
        raise ValueError("16-bit TIFFs of its kind are not read: save it as a 16-bit PNG")
    log = getattr(cv2.utils, "logging", cv2)  # in OpenCV 5; in 4
    level = log.setLogLevel(0)  # or it prints what it does not know of a TIFF file
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    log.setLogLevel(level)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("OpenCV cannot decode its 16 bits a channel")
    if pixels.ndim == 2:
        level = image.info.get("transparency")  # which OpenCV passes over in grey images
        alpha = [] if level is None else [np.where(pixels == level, 0, 65535).astype(np.uint16)]
        return np.dstack([*[pixels] * (3 if alpha else 1), *alpha])
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]  # BGR(A) to RGB(A)


def _pixels(image: Image.Image, depth: int) -> np.ndarray:
    if image.mode[0] in "IF":
        raise ValueError("its channels hold neither 8 nor 16 bits: save it as a PNG file")
    level = image.info.get("transparency")
    if image.mode == "L" and depth in (2, 4) and level is not None and level < 2**depth:
        # Pillow stretches the pixels to 8 bits, but not the level that is transparent.
        image.info["transparency"] = level * 255 // (2**depth - 1)
    if image.mode == "1" and level:  # nor for 1 bit, before version 12
        image.info["transparency"] = 255
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return np.asarray(image.convert("L"))[..., None]
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return np.asarray(image if image.mode == mode else image.convert(mode))  # a copy costs time


def write_image(
    path: str | Path, image: np.ndarray, overwrite: bool = False, around: Surroundings = NOTHING
) -> None:
    """Write an image file, whole or not at all.

    Pixels are written upright and without an EXIF block, so no orientation can be applied twice.
    WebP is written without loss.

    Args:
        path: the file to make; its suffix (.png, .jpg, .jpeg, .jfif, .bmp, .webp, .tif, .tiff)
            chooses the format.
        image: `[h, w]` or `[h, w, c]`, c = 1, 3 or 4 (not in JPEG and BMP). Floats in [0, 1] are
            rounded to 8 bits, with a network's overshoot clipped; uint8 is written as it is, uint16
            to 16-bit PNG or TIFF.
        overwrite: replace a file that is there.
        around: what the file says of 8-bit pixels: profile, dpi, a PNG file's chunks. `not_held`
            tells which of these a format cannot hold: there they are left out. With a profile for
            grey, 4 channels are written as grey and alpha.

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
    channels = (1, 3) if kind in ("JPEG", "BMP") else (1, 3, 4)
    image = with_channels(image, f"the {kind} image", channels)
    if image.dtype == np.uint16:
        if kind not in ("PNG", "TIFF"):
            raise ValueError(f"{kind} holds 8 bits: write 16-bit images as .png, or divide by 257")
        swapped = image[..., [2, 1, 0, 3][: image.shape[2]]] if image.shape[2] > 1 else image
        data = cv2.imencode(f".{kind.lower()}", swapped)[1].tobytes()
    else:
        buffer = io.BytesIO()
        pixels = quantise(image, np.uint8)
        if image.shape[2] == 4 and _is_for_grey(around.profile):
            pixels = pixels[..., [0, 3]]
        options = _OPTIONS.get(kind, {}) | ({"dpi": around.dpi} if around.dpi else {})
        if not (kind == "WEBP" and _is_for_grey(around.profile)):  # its pixels are RGB
            options["icc_profile"] = around.profile
        pixels = pixels.squeeze(2) if pixels.shape[2] == 1 else pixels
        Image.fromarray(pixels).save(buffer, kind, **options)
        data = buffer.getvalue()
    if kind == "PNG":  # whose first 33 bytes are signature and header
        data = data[:33] + b"".join(png_chunk(*part) for part in around.chunks.items()) + data[33:]
    write_file(path, data, overwrite)


def not_held(path: str | Path, around: Surroundings) -> list[str]:
    """Return what a file of this suffix cannot say of its pixels, in words."""
    kind, profile = FORMATS[Path(path).suffix.lower()], around.profile
    # A profile or an sRGB chunk makes gAMA and cHRM void, and sRGB is what all else is taken for.
    void = b"cICP" not in around.chunks and (profile or b"sRGB" in around.chunks)
    names = b", ".join(around.chunks).decode()
    lost = {
        "a colour profile": profile and kind == "BMP",
        "a profile for grey": _is_for_grey(profile) and kind == "WEBP",
        "a resolution in dpi": around.dpi and kind == "WEBP",
        f"PNG chunks about its colours ({names})": names and not void and kind != "PNG",
    }
    return [what for what, is_lost in lost.items() if is_lost]


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
