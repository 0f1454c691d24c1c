import errno
import struct
import subprocess
import sys
import zlib
from io import BytesIO

import numpy as np
import pytest
import skimage
import tensorflow as tf
from PIL import Image, ImageCms, ImageFile, ImageOps

from srcnn_tf import images
from srcnn_tf.images import io, read_image, resize, resize_weights, write_image

SHAPES = {"grey": (13, 18, 1), "rgb": (13, 18, 3), "rgba": (13, 18, 4)}


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def smooth(height, width, channels):
    """Return what JPEG keeps nearly unchanged."""
    y, x, c = np.ogrid[0 : 1 : height * 1j, 0 : 1 : width * 1j, 0:channels]
    return np.rint(60 + 90 * y + 60 * x + 10 * c).astype(np.uint8)


def matlab_resize(image, new_size, kernel, kernel_width, antialias):
    """State MATLAB's `imresize` pixel by pixel, after the comments in its source."""
    for axis in (0, 1):
        image = np.moveaxis(image, axis, 0)
        size, scale = len(image), new_size[axis] / len(image)
        shrink = scale if antialias and scale < 1 else 1
        rows = []
        for x in range(1, new_size[axis] + 1):  # counts from 1, as MATLAB does
            u = x / scale + 0.5 * (1 - 1 / scale)
            left = int(np.floor(u - kernel_width / shrink / 2))
            total, weight_sum = 0.0, 0.0
            for index in range(left, left + int(np.ceil(kernel_width / shrink)) + 2):
                weight = shrink * kernel(shrink * (u - index))
                mirrored = (index - 1) % (2 * size)
                total += weight * image[min(mirrored, 2 * size - 1 - mirrored)]
                weight_sum += weight
            rows.append(total / weight_sum)
        image = np.moveaxis(np.array(rows), 0, axis)
    return image


def cubic(x):
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def triangle(x):
    return max(0.0, 1 - abs(x))


def box(x):
    return 1.0 if -0.5 <= x < 0.5 else 0.0


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels, depth=16, clear=None):
    """Encode by hand, since Pillow writes no 16-bit colour and no grey of 2 or 4 bits."""
    height, width, channels = pixels.shape
    colour = {1: 0, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    bits = pixels.reshape(height, -1, 1) >> np.arange(depth)[::-1] & 1
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    if clear is not None:
        parts.insert(1, chunk(b"tRNS", struct.pack(">H", clear)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# Files


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        *[(".png", "grey"), (".png", "rgb"), (".png", "rgba"), (".bmp", "grey"), (".bmp", "rgb")],
        *[(".webp", "rgb"), (".webp", "rgba")],
        *[(".tif", "grey"), (".tiff", "rgb"), (".tif", "rgba")],
    ],
)
def test_lossless_files_hold_every_8_bit_value(tmp_path, suffix, kind):
    pixels = noise(*SHAPES[kind])
    path = tmp_path / f"image{suffix}"
    write_image(path, pixels / 255)
    np.testing.assert_array_equal(np.asarray(Image.open(path)).reshape(pixels.shape), pixels)
    image = read_image(path)
    assert image.dtype == np.float32
    assert image.shape == pixels.shape
    np.testing.assert_array_equal(image, (pixels / 255).astype(np.float32))


@pytest.mark.parametrize("kind", ["grey", "rgb"])
@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpeg_keeps_smooth_pixels_to_three_levels(tmp_path, suffix, kind):
    pixels = smooth(*SHAPES[kind])
    write_image(tmp_path / f"image{suffix}", pixels)
    image = read_image(tmp_path / f"image{suffix}")
    assert image.shape == pixels.shape
    assert np.abs(image * 255 - pixels).max() < 3.01
    assert Image.open(tmp_path / f"image{suffix}").format == "JPEG"


def test_writing_takes_grey_without_a_channel_axis_and_replaces_when_asked(tmp_path):
    pixels = noise(5, 7)
    write_image(tmp_path / "a.png", noise(5, 7, seed=1))
    write_image(tmp_path / "a.png", pixels, overwrite=True)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels)


def test_a_palette_becomes_rgb_and_its_transparent_entry_alpha_0(tmp_path):
    index = noise(6, 8) % 4
    colours = noise(4, 3, seed=1)
    image = Image.fromarray(index, "P")
    image.putpalette(colours.tobytes())
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "clear.png", transparency=2)
    image.save(tmp_path / "opaque.bmp")

    expected = colours[index] / np.float32(255)
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.png"), expected)
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.bmp"), expected)
    clear = read_image(tmp_path / "clear.png")
    np.testing.assert_array_equal(clear[..., :3], expected)
    np.testing.assert_array_equal(clear[..., 3], index != 2)


def test_grey_with_alpha_becomes_rgba_and_black_and_white_becomes_grey(tmp_path):
    grey, alpha = noise(5, 6), noise(5, 6, seed=1)
    Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]).save(tmp_path / "la.png")
    image = read_image(tmp_path / "la.png")
    expected = np.stack([grey, grey, grey, alpha], -1) / np.float32(255)
    np.testing.assert_array_equal(image, expected)

    Image.fromarray(grey > 127).save(tmp_path / "one_bit.png")
    np.testing.assert_array_equal(read_image(tmp_path / "one_bit.png")[..., 0], grey > 127)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_png_is_read_and_written_without_loss(tmp_path, channels):
    pixels = noise(5, 7, channels, dtype=np.uint16)
    (tmp_path / "given.png").write_bytes(png(pixels))
    image = read_image(tmp_path / "given.png")
    np.testing.assert_array_equal(image, (pixels / 65535).astype(np.float32))

    write_image(tmp_path / "written.png", pixels)
    assert (tmp_path / "written.png").read_bytes()[24] == 16  # the bit depth in the header
    np.testing.assert_array_equal(read_image(tmp_path / "written.png"), image)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_level_of_a_grey_png_becomes_alpha_0(tmp_path, depth):
    levels = np.arange(16).reshape(2, 8) % 2**depth
    clear = 2 ** min(depth, 4) - 1
    (tmp_path / "clear.png").write_bytes(png(levels[..., None], depth, clear))
    image = read_image(tmp_path / "clear.png")
    np.testing.assert_allclose(image[..., 0], levels / (2**depth - 1), rtol=1e-6)
    np.testing.assert_array_equal(image[..., 3], levels != clear)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path, copy = tmp_path / f"turned{suffix}", tmp_path / "copy.png"
    Image.fromarray(noise(6, 9, 3)).save(path, exif=exif)

    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    image = read_image(path)
    np.testing.assert_array_equal(image, expected / np.float32(255))

    write_image(copy, image)
    assert not Image.open(copy).getexif()
    np.testing.assert_array_equal(read_image(copy), image)


@pytest.mark.parametrize("exif", [b"Exif\0\0no such block", b"Exif\0\0MM", b"Exif\0\0II*\0\x08\0"])
def test_a_broken_exif_block_does_not_spoil_the_pixels(tmp_path, exif):
    pixels = noise(6, 9, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels / np.float32(255))


def test_a_cmyk_jpeg_shows_its_colours(tmp_path):
    colours = np.array([[[200, 40, 60]], [[30, 160, 90]]], np.uint8).repeat(16, 0).repeat(16, 1)
    Image.fromarray(colours).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    image = read_image(tmp_path / "print.jpg")
    assert image.shape == (32, 16, 3)
    assert np.abs(image * 255 - colours)[[4, 28]].max() < 4  # away from the edge that JPEG blurs


def test_overshoot_is_clipped_where_it_is_written(tmp_path):
    write_image(tmp_path / "a.png", np.array([[-0.2, 0.0, 0.5, 1.0, 1.2]], np.float32))
    written = np.asarray(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(written, [[0, 0, 128, 255, 255]])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_single_pixel_is_an_image(tmp_path, channels):
    pixel = noise(1, 1, channels)
    write_image(tmp_path / "dot.png", pixel)
    np.testing.assert_array_equal(read_image(tmp_path / "dot.png"), pixel / np.float32(255))


# What surrounds the pixels


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = SRGB[:16] + b"GRAY" + SRGB[20:]


def with_chunks(data, *chunks):
    return data[:33] + b"".join(chunk(*c) for c in chunks) + data[33:]


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000)))],
        [(b"iTXt", b"XML\0\1\0\0\0" + zlib.compress(bytes(2_000_000)))],
        [(b"pHYs", b"\0\0")],
        [(b"iCCP", b"")],
        [(b"iCCP", b"name\0\0no zlib")],
        [(b"eXIf", b"MM")],
        [(b"gAMA", b""), (b"cHRM", b"\0")],
    ],
)
@pytest.mark.parametrize("depth", [8, 16])
def test_no_metadata_blocks_the_pixels_of_a_png(tmp_path, chunks, depth, capfd):
    pixels = noise(5, 6, 3, dtype=np.uint16) >> (16 - depth)
    whole = png(pixels, depth)
    late = whole[:-12] + b"".join(chunk(*c) for c in chunks) + whole[-12:]
    bad_sum = with_chunks(whole, *chunks).replace(chunk(*chunks[0])[-4:], b"\0\0\0\0")
    for data in (with_chunks(whole, *chunks), late, bad_sum):
        (tmp_path / "a.png").write_bytes(data)
        image, around = io.read_with_surroundings(tmp_path / "a.png")
        np.testing.assert_array_equal(image, (pixels / (2**depth - 1)).astype(np.float32))
        said = b"iCCP" in dict(chunks)
        assert ("colour profile that does not fit" in " ".join(around.remarks)) == said
    assert capfd.readouterr().err == ""


def test_a_large_profile_and_what_a_png_says_of_its_colours_are_read_and_written(tmp_path):
    profile = SRGB + bytes(1_500_000)
    chunks = {b"cICP": b"\x09\x10\0\1", b"gAMA": struct.pack(">I", 100000), b"cHRM": bytes(32)}
    packed = b"p\0\0" + zlib.compress(profile)
    data = with_chunks(png(noise(5, 6, 3), 8), (b"iCCP", packed), *chunks.items())
    (tmp_path / "a.png").write_bytes(data)
    around = io.read_with_surroundings(tmp_path / "a.png")[1]
    assert (around.bits, around.profile, around.remarks) == (8, profile, ())
    assert dict(around.chunks) == chunks
    write_image(tmp_path / "b.png", noise(5, 6, 3), False, around._replace(profile=SRGB))
    again = io.read_with_surroundings(tmp_path / "b.png")[1]
    assert (again.profile, dict(again.chunks)) == (SRGB, chunks)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif"])
def test_profile_and_resolution_are_written_where_the_format_holds_them(tmp_path, suffix):
    around = io.Surroundings(profile=SRGB, dpi=(300, 150), chunks={b"gAMA": bytes(4)})
    write_image(tmp_path / f"a{suffix}", noise(5, 6, 3), False, around)
    read = io.read_with_surroundings(tmp_path / f"a{suffix}")[1]
    lost = io.not_held(tmp_path / f"a{suffix}", around)
    assert read.profile == (None if "a colour profile" in lost else SRGB)
    if "a resolution in dpi" in lost:
        assert read.dpi is None
    else:
        assert read.dpi == pytest.approx((300, 150), abs=0.02)
    assert ("a colour profile" in lost, "a resolution in dpi" in lost) == (
        suffix == ".bmp",
        suffix == ".webp",
    )
    # Where there is a profile, gAMA has no say.
    assert not any("gAMA" in what for what in lost)
    lost = io.not_held(tmp_path / f"a{suffix}", around._replace(profile=None))
    assert any("gAMA" in what for what in lost) == (suffix != ".png")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_with_alpha_keeps_its_profile(tmp_path, suffix):
    grey = np.dstack([noise(5, 6), noise(5, 6, seed=1)])
    Image.fromarray(grey, "LA").save(tmp_path / f"a{suffix}", icc_profile=GREY)
    image, around = io.read_with_surroundings(tmp_path / f"a{suffix}")
    assert around.profile == GREY
    write_image(tmp_path / f"b{suffix}", image, around=io.Surroundings(profile=GREY))
    with Image.open(tmp_path / f"b{suffix}") as written:
        assert (written.mode, written.info["icc_profile"]) == ("LA", GREY)
        np.testing.assert_array_equal(np.asarray(written), grey)
    assert io.not_held("b.webp", around) == ["a profile for grey"]
    write_image(tmp_path / "b.webp", image, around=io.Surroundings(profile=GREY))
    with Image.open(tmp_path / "b.webp") as written:
        assert "icc_profile" not in written.info


def test_cmyk_is_converted_by_its_profile_or_said_to_be_taken_roughly(tmp_path, monkeypatch):
    inks = Image.fromarray(smooth(16, 16, 4), "CMYK")
    inks.save(tmp_path / "a.tif", icc_profile=b"no profile")
    image, around = io.read_with_surroundings(tmp_path / "a.tif")
    np.testing.assert_array_equal(image, np.asarray(inks.convert("RGB")) / np.float32(255))
    assert around.profile is None
    assert "without a profile" in around.remarks[0]

    def convert(image, inks, screen, outputMode):
        return Image.new(outputMode, image.size, (10, 20, 30))

    monkeypatch.setattr(ImageCms, "profileToProfile", convert)
    monkeypatch.setattr(ImageCms, "ImageCmsProfile", lambda file: file)
    image, around = io.read_with_surroundings(tmp_path / "a.tif")
    assert (image == np.float32([10, 20, 30]) / np.float32(255)).all()
    assert (around.profile, around.remarks) == (None, ())


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_files_of_several_images_are_refused(tmp_path, suffix):
    frames = [Image.fromarray(noise(5, 6, 3, seed=i)) for i in range(3)]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(
        ValueError, match=rf"a\{suffix} cannot be .*3 images: save the one you want"
    ):
        read_image(tmp_path / f"a{suffix}")


def test_the_first_image_of_a_camera_s_several_is_taken_and_that_is_said(tmp_path):
    frames = [Image.fromarray(smooth(16, 16, 3) + i) for i in range(2)]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    image, around = io.read_with_surroundings(tmp_path / "a.jpg")
    np.testing.assert_allclose(image * 255, np.asarray(frames[0]), atol=3)
    assert around.remarks == ("holds 2 images, of which the first is taken",)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_tiff_is_read_and_written_without_loss(tmp_path, channels, capfd):
    pixels = noise(5, 7, channels, dtype=np.uint16)
    write_image(tmp_path / "a.tif", pixels)
    image, around = io.read_with_surroundings(tmp_path / "a.tif")
    np.testing.assert_array_equal(image, (pixels / 65535).astype(np.float32))
    assert around.bits == 16
    assert capfd.readouterr() == ("", "")


def test_tiffs_that_a_decoder_gets_wrong_are_refused(tmp_path):
    deep = Image.fromarray(noise(5, 7, dtype=np.uint16))
    for name, image, options in [
        ("white is 0", deep, {"tiffinfo": {262: 0}}),
        ("32 bits", Image.fromarray(np.zeros((5, 7), np.int32)), {}),
        ("floats", Image.fromarray(np.zeros((5, 7), np.float32)), {}),
    ]:
        image.save(tmp_path / f"{name}.tif", **options)
        with pytest.raises(ValueError, match=rf"{name}\.tif cannot be read.*save it as a"):
            read_image(tmp_path / f"{name}.tif")


@pytest.mark.parametrize("alpha", [0, 9])
def test_a_bmp_whose_alpha_is_all_0_is_opaque(tmp_path, alpha):
    pixels = noise(4, 5, 4)
    pixels[..., 3] = alpha
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = struct.pack("<IiiHHIIiiII", 108, 5, -4, 1, 32, 3, 80, 0, 0, 0, 0) + masks + bytes(52)
    head = b"BM" + struct.pack("<IHHI", 122 + 80, 0, 0, 122)
    (tmp_path / "a.bmp").write_bytes(head + info + pixels[..., [2, 1, 0, 3]].tobytes())
    expected = pixels if alpha else pixels[..., :3]
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), expected / np.float32(255))


# Bad files


def encoded(pixels, **options):
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"quality": 95, "subsampling": 0}],
)
def test_a_jpeg_that_lost_bytes_is_refused_and_a_sound_one_is_not(tmp_path, options, capfd):
    data = encoded(smooth(120, 160, 3), **options)
    middle = data.index(b"\xff\xda") + 20
    for name, sound in [
        ("whole", data),
        ("followed", data + bytes(999)),
        ("filled", data[:-2] + bytes(64) + data[-2:]),  # as some cameras write
    ]:
        (tmp_path / f"{name}.jpg").write_bytes(sound)
        assert read_image(tmp_path / f"{name}.jpg").shape == (120, 160, 3)
    (tmp_path / "lost.jpg").write_bytes(data[:middle] + data[middle + 64 :])
    with pytest.raises(ValueError, match=r"lost\.jpg cannot be read .*(end of data|bad Huffman)"):
        read_image(tmp_path / "lost.jpg")
    assert capfd.readouterr().err == ""


def test_a_jpeg_without_an_end_or_of_another_size_than_it_says_is_refused(tmp_path, monkeypatch):
    data = encoded(smooth(40, 50, 3))
    size = data.index(b"\xff\xc0") + 5
    larger = data[:size] + struct.pack(">HH", 900, 900) + data[size + 4 :]
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # which others may have set
    for bad in (larger, data[:-2], data[:-40]):
        (tmp_path / "a.jpg").write_bytes(bad)
        with pytest.raises(ValueError, match=r"a\.jpg cannot be read as an image \(.*[Pp]rematur"):
            read_image(tmp_path / "a.jpg")


def rows_of(data, rows):
    """Return a PNG file with its pixels cut to so many bytes, but sound in all else."""
    start = data.index(b"IDAT")
    length = struct.unpack(">I", data[start - 4 : start])[0]
    pixels = zlib.decompress(data[start + 4 : start + 4 + length])[:rows]
    return data[: start - 4] + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def test_damaged_pngs_are_refused_without_chatter(tmp_path, capfd):
    whole, deep = png(noise(8, 9, 3), 8), png(noise(8, 9, 3, dtype=np.uint16))
    palette = BytesIO()
    Image.fromarray(noise(8, 9) % 4, "P").save(palette, "PNG")
    palette = palette.getvalue()
    start = palette.index(b"PLTE") - 4
    end = start + 12 + struct.unpack(">I", palette[start : start + 4])[0]
    bad_zlib = chunk(b"IDAT", zlib.compress(bytes(8 * 28))[:-4] + bytes(4))
    for data, message in [
        (rows_of(whole, 7 * 28), "its last rows are missing"),
        (rows_of(deep, 7 * 55), "its last rows are missing"),
        (palette[:start] + palette[end:], "its palette is missing"),
        (whole[:60] + b"\1" + whole[61:], "its IDAT chunk is damaged"),
        (whole[:33] + bad_zlib + whole[-12:], "incorrect data check"),
        (whole[:33] + whole[-12:], "all pixels are missing"),
    ]:
        (tmp_path / "a.png").write_bytes(data)
        with pytest.raises(ValueError, match=rf"a\.png cannot be read as an image \(.*{message}"):
            read_image(tmp_path / "a.png")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 2), (5, 1), (9, 17)])
@pytest.mark.parametrize("depth", [1, 8])
def test_interlaced_pngs_are_read_whole_or_refused(tmp_path, height, width, depth):
    levels = noise(height, width) >> (8 - depth)
    rows = b""
    for x, y, across, down in [
        *[(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)],
        *[(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)],
    ]:
        for row in levels[y::down, x::across]:
            bits = row[:, None] >> np.arange(depth)[::-1] & 1
            rows += b"\0" * (row.size > 0) + np.packbits(bits).tobytes()
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 1)
    for pixels in (rows, rows[:-1]):
        parts = [(b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*p) for p in parts))
        if pixels == rows:
            expected = np.float32(levels / (2**depth - 1))
            np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], expected)
        else:
            with pytest.raises(ValueError, match="last rows are missing"):
                read_image(tmp_path / "a.png")


def test_any_error_of_a_decoder_names_the_file(tmp_path, monkeypatch):
    write_image(tmp_path / "a.bmp", noise(4, 4, 3))

    def fail(*_, **__):
        raise IndexError("index out of range")

    monkeypatch.setattr(Image.Image, "load", fail)
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ValueError, match=r"a\.bmp cannot be read as an image \(index out of range"):
        read_image(tmp_path / "a.bmp")


@pytest.mark.parametrize("part", [0, 0.05, 0.5, 0.95])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_a_truncated_file_is_refused_by_name(tmp_path, suffix, part):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    write_image(whole, noise(40, 50, 3))
    data = whole.read_bytes()
    cut.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ValueError, match=rf"cut\{suffix} cannot be read as an image"):
        read_image(cut)


def test_a_truncated_16_bit_png_is_refused(tmp_path):
    data = png(noise(40, 50, 3, dtype=np.uint16))
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"cut\.png cannot be read as an image"):
        read_image(tmp_path / "cut.png")


def test_text_and_other_formats_named_png_are_refused(tmp_path):
    (tmp_path / "text.png").write_text("no pixels here\n")
    Image.fromarray(noise(4, 4)).save(tmp_path / "gif.png", "GIF")
    for name in ("text.png", "gif.png"):
        with pytest.raises(ValueError, match=f"{name} cannot be read.*whole PNG, JPEG, BMP, WebP"):
            read_image(tmp_path / name)


def test_a_missing_file_and_a_folder_are_no_image_files(tmp_path):
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"no image file at {path}"):
            read_image(path)


@pytest.mark.parametrize("side", [12, 15])  # Pillow only warns below twice the limit
def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch, side):
    write_image(tmp_path / "bomb.png", noise(side, side))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"bomb\.png is refused as a decompression bomb.*100 pix"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((4, 4, 3), np.nan), "from nan to nan.*none may be NaN"),
        (np.full((4, 4, 3), [0.1, 0.2, np.inf]), "from 0.1 to inf"),
        (np.linspace(0, 255, 48).reshape(4, 4, 3), "from 0 to 255.*divide 8-bit values by 255"),
        (np.ma.masked_less(np.ones((4, 4, 3)), 2), "masked pixels"),
        (np.full((4, 4, 3), 7), "must be floats in .*not int64"),
        (np.zeros((4, 4, 2)), r"the PNG image has shape \(4, 4, 2\)"),
        (np.zeros((0, 4, 3)), r"the PNG image has shape \(0, 4, 3\)"),
        (np.zeros((1, 4, 4, 3)), r"the PNG image has shape \(1, 4, 4, 3\)"),
    ],
)
def test_what_is_no_image_is_not_written(tmp_path, pixels, message):
    with pytest.raises(ValueError, match=message):
        write_image(tmp_path / "a.png", pixels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "pixels", "message"),
    [
        (
            "a.gif",
            noise(4, 4, 3),
            r"a\.gif: its suffix must be one of \.png, .*\.webp, \.tif, \.tiff",
        ),
        ("a", noise(4, 4, 3), "its suffix must be one of"),
        ("a.jpg", noise(4, 4, 4), r"the JPEG image has shape \(4, 4, 4\)"),
        ("a.bmp", noise(4, 4, 4), r"the BMP image has shape \(4, 4, 4\)"),
        ("a.jpg", noise(4, 4, 3, dtype=np.uint16), "JPEG holds 8 bits"),
    ],
)
def test_what_a_format_cannot_hold_is_not_written(tmp_path, name, pixels, message):
    with pytest.raises(ValueError, match=message):
        write_image(tmp_path / name, pixels)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_kept_unless_overwriting_is_asked_for(tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"mine\.png exists; overwrite=True"):
        write_image(path, noise(4, 4, 3))
    assert path.read_bytes() == b"precious"


def test_a_missing_folder_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"there is no folder {tmp_path / 'none'}"):
        write_image(tmp_path / "none" / "a.png", noise(4, 4, 3))
    assert not (tmp_path / "none").exists()


REFUSED_WRITE = """
import os, pathlib, sys
import numpy as np
from srcnn_tf.images import write_image
folder = pathlib.Path(sys.argv[1])
image = np.random.default_rng(0).random((64, 64, 3))
write_image(folder / "mine.png", image)  # also loads what Pillow imports late
before = (folder / "mine.png").read_bytes()
{}
for name in ("mine.png", "new.png"):
    try:
        write_image(folder / name, 1 - image, overwrite=True)
    except OSError as error:
        print(error.errno, error)
assert (folder / "mine.png").read_bytes() == before
print(os.listdir(folder))
"""


def refused_write(folder, what_refuses):
    code = REFUSED_WRITE.format(what_refuses)
    run = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_a_full_disk_leaves_the_old_file_and_no_part_of_the_new_one(tmp_path):
    pytest.importorskip("resource")
    # A limit on file sizes stops the write in its middle, as a full disk does.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    *errors, left = refused_write(tmp_path, limit)
    assert [line.split(" ")[0] for line in errors] == [str(errno.EFBIG)] * 2
    assert "new.png (File too large); nothing was written" in errors[1]
    assert left == "['mine.png']"


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no write permission on Windows")
def test_a_read_only_folder_is_said_to_be_one_and_stays_as_it_was(tmp_path_factory):
    folder = tmp_path_factory.mktemp("read_only")
    # Permissions do not bind root, so root steps down; standing in the folder, it needs no
    # permission for those above.
    step_down = "\n".join(
        [
            "os.chdir(folder); folder.chmod(0o555); folder = pathlib.Path('.')",
            "if os.geteuid() == 0: os.seteuid(65534)",
        ]
    )
    *errors, left = refused_write(folder, step_down)
    folder.chmod(0o755)
    assert [line.split(" ")[0] for line in errors] == [str(errno.EACCES)] * 2
    assert "cannot write new.png (Permission denied); nothing was written" in errors[1]
    assert left == "['mine.png']"


# Pixels


def test_as_float_divides_by_each_type_s_largest_value_and_keeps_floats():
    fifths = np.float32([0, 0.2, 1])
    np.testing.assert_array_equal(images.as_float(np.array([0, 51, 255], np.uint8)), fifths)
    np.testing.assert_array_equal(images.as_float(np.array([0, 13107, 65535], np.uint16)), fifths)
    given = np.array([0.0, 0.2, 1.0])
    assert images.as_float(given).dtype == np.float32
    np.testing.assert_array_equal(images.as_float(given), given.astype(np.float32))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ([0.5, np.nan], "crop has values from nan.*none may be NaN"),
        ([0.0, 1.01], "crop has values from 0 to 1.01"),
        ([-0.01, 1.0], "crop has values from -0.01 to 1"),
        ([0.0, 255.0], "divide 8-bit values by 255"),
        ([0, 1], "crop must be floats in .*not int64"),
    ],
)
def test_as_float_refuses_what_is_no_image(pixels, message):
    with pytest.raises(ValueError, match=message):
        images.as_float(np.array(pixels), "crop")


def test_quantise_rounds_to_the_levels_of_an_8_bit_file():
    given = np.array([-0.3, 0.0, 0.3 / 255, 0.7 / 255, 0.5, 254.6 / 255, 1.4])
    levels = [0, 0, 0, 1, 128, 255, 255]
    np.testing.assert_array_equal(images.quantise(given, np.uint8), levels)
    np.testing.assert_array_equal(images.quantise(given), np.float32(levels) / np.float32(255))


def test_ycbcr_equals_scikit_image_both_ways():
    rgb = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    expected = skimage.color.rgb2ycbcr(rgb)
    ycbcr = images.rgb_to_ycbcr(rgb)
    assert ycbcr.dtype == np.float32
    np.testing.assert_allclose(ycbcr * 255, expected, atol=1e-4)
    np.testing.assert_allclose(
        images.to_channels(rgb, 1)[..., 0] * 255, expected[..., 0], atol=1e-4
    )

    # scikit-image inverts rounded coefficients, so its way back is good to three digits only.
    back = images.ycbcr_to_rgb(ycbcr)
    np.testing.assert_allclose(back, rgb, atol=1e-6)
    np.testing.assert_allclose(back, skimage.color.ycbcr2rgb(expected), atol=1e-3)


def test_luma_of_the_primary_colours_is_that_of_bt_601():
    colours = np.array([[[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], np.float32)
    luma = images.to_channels(colours, 1)[0, :, 0] * 255
    np.testing.assert_allclose(luma, [16, 235, 81.481, 144.553, 40.966], atol=1e-4)


def test_grey_is_its_own_luma_and_alpha_is_dropped():
    grey = np.random.default_rng(0).random((4, 5, 1)).astype(np.float32)
    np.testing.assert_array_equal(images.to_channels(grey, 1), grey)
    np.testing.assert_array_equal(images.to_channels(grey, 3), grey.repeat(3, 2))
    rgba = np.random.default_rng(1).random((4, 5, 4)).astype(np.float32)
    np.testing.assert_array_equal(images.to_channels(rgba, 3), rgba[..., :3])
    np.testing.assert_array_equal(images.to_channels(rgba, 1), images.to_channels(rgba[..., :3], 1))


@pytest.mark.parametrize(("shape", "channels"), [((4, 4), 1), ((4, 4, 2), 3), ((4, 4, 3), 2)])
def test_to_channels_knows_only_luma_and_rgb(shape, channels):
    with pytest.raises(ValueError, match=f"cannot make {channels} channels from shape"):
        images.to_channels(np.zeros(shape, np.float32), channels)


@pytest.mark.parametrize(("scale", "shape"), [(2, (10, 12, 3)), (3, (9, 12, 3)), (4, (8, 12, 3))])
def test_crop_to_multiple_cuts_the_end_only(scale, shape):
    image = noise(11, 13, 3)
    cropped = images.crop_to_multiple(image, scale)
    assert cropped.shape == shape
    np.testing.assert_array_equal(cropped, image[: shape[0], : shape[1]])


def test_crop_to_multiple_refuses_to_leave_nothing():
    with pytest.raises(ValueError, match="2×9 pixels is too small for scale 3"):
        images.crop_to_multiple(noise(2, 9, 3), 3)
    for scale in (-2, 0, 2.5):
        with pytest.raises(ValueError, match=f"scale is {scale}: it must be a whole number of at"):
            images.crop_to_multiple(noise(9, 9, 3), scale)


GATED = {
    "quantise": images.quantise,
    "rgb_to_ycbcr": images.rgb_to_ycbcr,
    "ycbcr_to_rgb": images.ycbcr_to_rgb,
    "resize": lambda image: resize(image, (3, 5)),
    "to_channels": lambda image: images.to_channels(image, 1),
}


@pytest.mark.parametrize("function", GATED.values(), ids=GATED)
def test_every_function_takes_the_same_images_and_refuses_the_same(function):
    pixels = noise(6, 8, 3)
    expected = function((pixels / 255).astype(np.float32))
    deep = pixels.astype(np.uint16) * 257
    for same in (pixels, deep, deep.astype(">u2"), Image.fromarray(pixels), np.ma.array(pixels)):
        np.testing.assert_array_equal(function(same), expected)
    np.testing.assert_allclose(function((pixels / 255).tolist()), expected, atol=1e-6)
    assert np.isfinite(function(np.full((6, 8, 3), [-0.2, 0.5, 1.2]))).all()
    for bad, message in (
        (pixels.astype(float), "divide 8-bit values by 255"),
        (np.where(pixels == pixels[2, 3], np.nan, 0.5), "from nan.*none may be NaN"),
        (np.where(pixels == pixels[2, 3], np.inf, 0.5), "to inf"),
        (np.ma.masked_equal(pixels, pixels[2, 3, 0]), "masked pixels"),
        (pixels.astype(int), "floats in .*uint8 or uint16, not int64"),
        (Image.fromarray(pixels).convert("CMYK"), "Pillow image of mode CMYK"),
        ("photo.png", "must be an array of numbers, not str; read_image reads a file"),
    ):
        with pytest.raises(ValueError, match=message):
            function(bad)


# Resizing

SIZES = [
    ((12, 15), (6, 5)),
    ((12, 15), (36, 60)),
    ((11, 17), (7, 23)),  # odd sides, shrinking one and enlarging the other
    ((9, 8), (4, 3)),
    ((1, 7), (3, 2)),
    ((5, 1), (1, 1)),
    ((2, 3), (1, 13)),
]


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(
    ("method", "kernel", "width"),
    [("bicubic", cubic, 4), ("bilinear", triangle, 2), ("nearest", box, 1)],
)
@pytest.mark.parametrize(("size", "new_size"), SIZES)
def test_resize_is_matlab_s_to_the_border(size, new_size, method, kernel, width, antialias):
    image = np.random.default_rng(0).random((*size, 3))
    resized = resize(image, new_size, method, antialias)
    assert resized.dtype == np.float32
    assert resized.shape == (*new_size, 3)
    antialias = antialias and method != "nearest"  # which MATLAB never stretches unasked
    expected = matlab_resize(image, new_size, kernel, width, antialias)
    np.testing.assert_allclose(resized, expected, atol=1e-5)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_enlarging_equals_scikit_image_where_it_has_the_method(factor):
    image = np.random.default_rng(0).random((9, 14, 3))
    size = (9 * factor, 14 * factor)
    for method, order in (("nearest", 0), ("bilinear", 1)):
        expected = skimage.transform.resize(image, size, order, "symmetric", anti_aliasing=False)
        np.testing.assert_allclose(resize(image, size, method), expected, atol=1e-6)


@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
@pytest.mark.parametrize("new_size", [(16, 20), (12, 15), (96, 120)])
def test_resize_agrees_with_tensorflow_away_from_the_borders(method, new_size):
    image = np.random.default_rng(0).random((48, 60, 3)).astype(np.float32)
    ours = resize(image, new_size, method)
    theirs = tf.image.resize(image, new_size, method, antialias=True).numpy()
    inner = slice(4, -4)
    np.testing.assert_allclose(ours[inner, inner], theirs[inner, inner], atol=1e-6)


def test_lanczos_keeps_what_the_image_can_hold():
    x = np.arange(60)
    wave = 0.5 + 0.4 * np.sin(2 * np.pi * x / 12)
    image = np.broadcast_to(wave[None, :, None], (4, 60, 1))
    centres = (np.arange(180) + 0.5) / 3 - 0.5
    expected = 0.5 + 0.4 * np.sin(2 * np.pi * centres / 12)
    enlarged = resize(image, (4, 180), "lanczos")[0, :, 0]
    np.testing.assert_allclose(enlarged[12:-12], expected[12:-12], atol=5e-3)
    assert np.abs(resize(image, (4, 180), "bilinear")[0, :, 0] - expected)[12:-12].max() > 5e-3


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("size", "new_size"), [(10, 5), (5, 10), (11, 7), (1, 4), (4, 1), (7, 7)])
def test_resize_weights_sum_to_1_in_every_row(size, new_size, method, antialias):
    weights = resize_weights(size, new_size, method, antialias)
    assert weights.shape == (new_size, size)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_resizing_to_the_same_size_changes_nothing(method):
    image = np.random.default_rng(0).random((5, 7, 3)).astype(np.float32)
    np.testing.assert_allclose(resize(image, (5, 7), method), image, atol=1e-7)


def test_resize_names_what_it_cannot_do():
    image = np.zeros((4, 4, 1), np.float32)
    with pytest.raises(ValueError, match="'cubic': choose one of nearest, bilinear, bicubic, lan"):
        resize(image, (2, 2), "cubic")
    with pytest.raises(ValueError, match="new_size is 0: it must be a whole number of at least 1"):
        resize(image, (2, 0))
    with pytest.raises(ValueError, match=r"an image is \[h, w, c\].*\(4, 4\)"):
        resize(image[..., 0], (2, 2))


def test_an_image_in_memory_is_not_changed_by_resizing_or_writing():
    image = np.random.default_rng(0).random((6, 6, 3))
    before = image.copy()
    resize(image, (3, 3))
    images.to_channels(image, 1)
    images.quantise(image)
    np.testing.assert_array_equal(image, before)
