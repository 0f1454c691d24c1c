"""Damage in PNG and JPEG files that decoders pass over in silence."""

import io
import struct
import zlib

import simplejpeg
from PIL import Image

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by a PNG's type of colour
# First column and row of each pass of an interlaced PNG, and the steps between them.
_ADAM7 = ["0088", "4088", "0448", "2044", "0224", "1022", "0112"]


def sound_png(data: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Return a PNG file without all that could block its pixels, and its other chunks.

    The pixels are checked, and no longer packed: unpacking them again would cost time.

    Returns:
        The file, and the first chunk of each kind: empty where it is damaged, or stands too late.

    Raises:
        ValueError: pixels, or a chunk that they need, are damaged or missing.
        Image.DecompressionBombError: it is too large for Pillow; for a little, a warning.
    """
    chunks: dict[bytes, bytes] = {}
    parts, place = [], 8
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body, end = memoryview(data)[place + 8 : place + 8 + length], place + 12 + length
        sound = data[end - 4 : end] == zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT") and not sound:
            raise ValueError(f"its {kind.decode()} chunk is damaged or cut off")
        if kind == b"IDAT":
            parts.append(body)
        elif kind not in chunks:
            chunks[kind] = bytes(body) if sound and (not parts or kind == b"eXIf") else b""
        place = end
    if len(chunks.get(b"IHDR", b"")) != 13 or not parts:
        raise ValueError("its header or all pixels are missing")
    width, height, depth, colour, _, _, laced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if colour == 3 and not chunks.get(b"PLTE"):
        raise ValueError("its palette is missing")
    Image.open(io.BytesIO(_png({**chunks, b"IDAT": b""}))).close()  # is it too large?
    expected = 0
    for left, top, right, down in (map(int, steps) for steps in (_ADAM7 if laced else ["0011"])):
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0:
            expected += rows * (1 - -columns * depth * _CHANNELS[colour] // 8)
    # One byte more, so that the checksum at the end is looked at.
    pixels = zlib.decompressobj().decompress(b"".join(parts), expected + 1)
    if len(pixels) < expected:
        raise ValueError("its last rows are missing")
    return _png({**chunks, b"IDAT": zlib.compress(pixels, 0)}), chunks


def _png(chunks: dict[bytes, bytes]) -> bytes:
    kinds = [kind for kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT") if kind in chunks]
    parts = [png_chunk(kind, chunks[kind]) for kind in kinds]
    return b"".join([b"\x89PNG\r\n\x1a\n", *parts, png_chunk(b"IEND", b"")])


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk as it stands in a PNG file."""
    check = zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")
    return b"".join([struct.pack(">I4s", len(body), kind), body, check])


def check_jpeg(data: bytes) -> str | None:
    """Return what libjpeg warns of in a JPEG file of which no data are missing, if anything.

    Pillow passes over libjpeg's warnings. Most tell that a decoder made up a part of the picture.
    Bytes that it did not need may be what is left of a damaged picture, or a camera's padding.

    Raises:
        ValueError: parts of the picture are damaged or missing.
    """
    try:
        simplejpeg.decode_jpeg(data, "GRAY")
    except ValueError as error:
        if "extraneous bytes" not in str(error):
            raise
        return str(error)
    return None
