"""Image files: what surrounds the pixels, what blocks none, and damage that is refused."""

import io
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageCms, PngImagePlugin

from srcnn_tf import datasets
from srcnn_tf.images import read_image, write_image
from srcnn_tf.images.io import not_held, read_with_surroundings
from srcnn_tf.models import srcnn
from srcnn_tf.upscaling import upscale_file, upscale_folder


@pytest.fixture
def photograph():
    return np.uint8(np.rint(255 * datasets.load("samples", "test")[1][60:124, 80:160]))


@pytest.fixture(scope="module")
def bicubic():
    """A network that is bicubic interpolation, to the grey level."""
    return srcnn(2)


def profile_of(space):
    """Return a small ICC profile; only its colour space is made up for grey and CMYK."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[16:20] = space
    return bytes(data)


def saved(pixels, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, body):
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(data, *chunks):
    """Put chunks behind the header of a PNG file."""
    return data[:33] + b"".join(chunks) + data[33:]


def put(path, data):
    path.write_bytes(data)
    return path


# -- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".tiff", ".bmp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_come_back_as_they_were_written(tmp_path, photograph, suffix, channels):
    if (suffix, channels) == (".bmp", 4):
        pytest.skip("BMP files get no alpha channel")
    pixels = np.dstack([photograph, photograph[..., 0]])[..., :channels]
    write_image(tmp_path / f"a{suffix}", pixels)
    read = np.rint(255 * read_image(tmp_path / f"a{suffix}"))
    assert read.shape[2] == (3 if (suffix, channels) == (".webp", 1) else channels)
    np.testing.assert_array_equal(read[..., :channels], pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_come_back(tmp_path, suffix, channels):
    pixels = np.random.default_rng(0).integers(0, 2**16, (9, 7, channels), np.uint16)
    write_image(tmp_path / f"a{suffix}", pixels)
    read, around = read_with_surroundings(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(np.rint(65535 * read), pixels)
    assert around.bits == 16


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.heic", b"", "HEIC"),
        ("a.avif", b"", "AVIF"),
        ("a.png", b"\0\0\0\x1cftypheic", "HEI"),
        ("a.png", b"\0\0\0\x18ftypavif", "AVIF"),
        ("a.gif", b"GIF89a", "GIF"),
        ("a.jpg", b"GIF89a", "GIF"),
        ("a.pdf", b"%PDF-1.4", "PDF"),
        ("a.nef", b"II*\0", "NEF"),
        ("a.svg", b"<?xml version='1.0'?><svg/>", "SVG"),
    ],
)
def test_formats_that_are_not_read_are_named_with_advice(tmp_path, name, head, kind):
    with pytest.raises(
        ValueError, match=rf"{name} .*{kind}\w* is not read: convert it to PNG or JPEG"
    ):
        read_image(put(tmp_path / name, head + bytes(40)))


def test_a_folder_says_which_formats_it_passes_over(tmp_path, photograph, capsys):
    for name in ("a.heic", "b.HEIC", "c.gif", "notes.txt"):
        (tmp_path / name).touch()
    advice = r"\(2 HEIC, 1 GIF: convert them to PNG or JPEG\)"
    with pytest.raises(FileNotFoundError, match=advice):
        datasets.image_paths(tmp_path)
    write_image(tmp_path / "d.webp", photograph)
    assert [path.name for path in datasets.image_paths(tmp_path)] == ["d.webp"]
    assert "passing over 4 files" in (said := capsys.readouterr().out)
    assert "2 HEIC, 1 GIF" in said


# -- what surrounds the pixels --------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_profile_and_dpi_are_carried_over(tmp_path, photograph, bicubic, suffix):
    profile = profile_of(b"RGB ")
    data = saved(photograph, "PNG", icc_profile=profile, dpi=(300, 300))
    upscale_file(put(tmp_path / "a.png", data), tmp_path / f"out{suffix}", bicubic)
    around = read_with_surroundings(tmp_path / f"out{suffix}")[1]
    assert around.profile == profile
    if suffix != ".webp":
        np.testing.assert_allclose(around.dpi, 300, atol=0.5)


def test_chunks_about_colours_are_carried_to_png_and_told_elsewhere(
    tmp_path, photograph, bicubic, capsys
):
    gamma, primaries = chunk(b"gAMA", struct.pack(">I", 100000)), chunk(b"cHRM", bytes(range(32)))
    source = put(tmp_path / "a.png", with_chunks(saved(photograph, "PNG"), gamma, primaries))
    upscale_file(source, tmp_path / "out.png", bicubic)
    assert {b"gAMA", b"cHRM"} <= read_with_surroundings(tmp_path / "out.png")[1].chunks.keys()
    assert "cannot hold" not in capsys.readouterr().out
    upscale_file(source, tmp_path / "out.jpg", bicubic)
    assert "has PNG chunks about its colours (gAMA, cHRM), which" in capsys.readouterr().out


def test_a_profile_for_grey_stays_with_grey_and_alpha(tmp_path, photograph, bicubic):
    profile = profile_of(b"GRAY")
    data = saved(photograph[..., [0, 1]], "PNG", icc_profile=profile)  # "LA"
    upscale_file(put(tmp_path / "a.png", data), tmp_path / "out.png", bicubic)
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "LA"
        assert image.info["icc_profile"] == profile
    assert not_held(tmp_path / "x.webp", read_with_surroundings(tmp_path / "out.png")[1]) == [
        "a profile for grey"
    ]


def test_cmyk_becomes_rgb_and_says_how(tmp_path, photograph):
    inks = Image.fromarray(photograph).convert("CMYK")
    inks.save(tmp_path / "a.jpg", quality=98)
    pixels, around = read_with_surroundings(tmp_path / "a.jpg")
    assert "CMYK colours without a profile" in around.remarks[0]
    assert np.abs(255 * pixels - np.asarray(inks.convert("RGB"))).mean() < 3


def test_a_profile_that_does_not_fit_is_dropped_and_told(tmp_path, photograph):
    data = saved(photograph, "PNG", icc_profile=profile_of(b"CMYK"))
    around = read_with_surroundings(put(tmp_path / "a.png", data))[1]
    assert around.profile is None
    assert "profile that does not fit its pixels; it is dropped" in around.remarks[0]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused(tmp_path, photograph, kind):
    frames = [Image.fromarray(photograph), Image.fromarray(255 - photograph)]
    path = tmp_path / f"a.{kind.lower()}"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="it holds 2 images: save the one you want as a PNG"):
        read_image(path)


# -- what blocks no pixels ------------------------------------------------------------------------


def test_metadata_never_blocks_pixels(tmp_path, photograph):
    plain = saved(photograph, "PNG")
    text = PngImagePlugin.PngInfo()
    text.add_text("notes", "x" * (2 << 20), zip=True)
    files = {
        "text": saved(photograph, "PNG", pnginfo=text),
        "large profile": with_chunks(plain, chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(2**21)))),
        "broken profile": with_chunks(plain, chunk(b"iCCP", b"p\0\0nonsense")),
        "empty profile": with_chunks(plain, chunk(b"iCCP", b"")),
        "late profile": plain[:-12] + chunk(b"iCCP", b"") + plain[-12:],
        "wrong checksum": with_chunks(plain, chunk(b"tEXt", b"a\0b")[:-1] + b"\0"),
        "broken EXIF": with_chunks(plain, chunk(b"eXIf", b"MM nonsense")),
    }
    for name, data in files.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pixels = read_image(put(tmp_path / "a.png", data))
        np.testing.assert_array_equal(np.rint(255 * pixels), photograph, err_msg=name)


@pytest.mark.parametrize(("alpha", "channels"), [(0, 3), (7, 4)])
def test_a_bmp_file_whose_alpha_is_all_0_is_opaque(tmp_path, photograph, alpha, channels):
    height, width, _ = photograph.shape
    rows = np.dstack([photograph[..., ::-1], np.full((height, width), alpha, np.uint8)])[::-1]
    masks = struct.pack(">IIII", 0x0000FF00, 0x00FF0000, 0xFF000000, 0x000000FF)
    body = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, rows.size, 0, 0, 0, 0)
    body += masks + struct.pack("<I", 0x73524742) + bytes(48)
    head = b"BM" + struct.pack("<IHHI", 14 + len(body) + rows.size, 0, 0, 14 + len(body))
    pixels = read_image(put(tmp_path / "a.bmp", head + body + rows.tobytes()))
    assert pixels.shape[2] == channels
    np.testing.assert_array_equal(np.rint(255 * pixels[..., :3]), photograph)


# -- damage ----------------------------------------------------------------------------------------


def damaged_pngs(photograph):
    plain = saved(photograph, "PNG")
    height, width, _ = photograph.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in photograph)
    start, end = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header), chunk(b"IEND", b"")
    few = chunk(b"IDAT", zlib.compress(rows[: len(rows) // 2]))
    palette = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    indices = zlib.compress(bytes(height * (width + 1)))
    return {
        "cut": plain[: len(plain) // 2],
        "turned": plain[:200] + bytes([plain[200] ^ 255]) + plain[201:],
        "rows": start + few + end,
        "palette": start[:8] + chunk(b"IHDR", palette) + chunk(b"IDAT", indices) + end,
        "empty": start + end,
    }


@pytest.mark.parametrize("kind", ["cut", "turned", "rows", "palette", "empty"])
def test_a_damaged_png_file_is_refused(tmp_path, photograph, kind):
    path = put(tmp_path / "a.png", damaged_pngs(photograph)[kind])
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image"):
        read_image(path)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 4}])
def test_a_jpeg_file_that_is_cut_off_is_refused(tmp_path, photograph, options, capfd):
    data = saved(photograph, "JPEG", quality=95, **options)
    read_image(put(tmp_path / "sound.jpg", data))
    for lost in (1, 2, 3, 20, 200, len(data) // 2):
        for end in (b"", b"\xff\xd9"):
            if lost > 2 + 2 * bool(end):
                with pytest.raises(ValueError, match=r"a\.jpg cannot be read as an image"):
                    read_image(put(tmp_path / "a.jpg", data[:-lost] + end))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("progressive", [False, True])
def test_what_libjpeg_says_of_lost_bytes_is_never_passed_over(tmp_path, photograph, progressive):
    # Where libjpeg finds its way to the end, there is nothing to see.
    data, told = saved(photograph, "JPEG", quality=95, progressive=progressive), []
    for place in range(700, len(data) - 80, len(data) // 40):
        path = put(tmp_path / "a.jpg", data[:place] + data[place + 64 :])
        try:
            remarks = read_with_surroundings(path)[1].remarks
        except ValueError as error:
            remarks = [str(error)]
        try:
            simplejpeg.decode_jpeg(path.read_bytes(), "RGB")
        except ValueError as error:
            told.append(str(error))
            assert told[-1] in "".join(remarks)
        else:
            assert not remarks
    assert len(told) > 6


def test_a_jpeg_file_with_padding_is_read_and_told_of(tmp_path, photograph):
    data = saved(photograph, "JPEG")
    sound, _ = read_with_surroundings(put(tmp_path / "sound.jpg", data))
    padded = put(tmp_path / "a.jpg", data[:-2] + bytes(32) + data[-2:])
    pixels, around = read_with_surroundings(padded)
    assert np.array_equal(pixels, sound)
    assert "extraneous bytes" in around.remarks[0]


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_sound_jpeg_files_need_no_remark(tmp_path, photograph, mode, progressive):
    data = io.BytesIO()
    Image.fromarray(photograph).convert(mode).save(data, "JPEG", progressive=progressive)
    around = read_with_surroundings(put(tmp_path / "a.jpg", data.getvalue() + b"a video, say"))[1]
    assert not [remark for remark in around.remarks if "damaged" in remark]


def test_a_tiny_file_that_declares_a_huge_picture_is_refused(tmp_path, photograph):
    data = bytearray(saved(photograph, "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 9000, 9000)
    with pytest.raises(ValueError, match=r"a\.jpg cannot be read as an image"):
        read_image(put(tmp_path / "a.jpg", bytes(data)))


@pytest.mark.parametrize("error", [IndexError("list"), MemoryError(), cv2.error("inside")])
def test_whatever_a_decoder_raises_names_the_file(
    tmp_path, photograph, bicubic, monkeypatch, error
):
    put(tmp_path / "a.png", saved(photograph, "PNG"))
    put(tmp_path / "b.png", saved(photograph, "PNG", dpi=(72, 72)))
    original, calls = Image.open, []

    def broken(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise error
        return original(*arguments, **options)

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(ValueError, match=r"1 of 2 files were not enlarged:\n.*a\.png cannot"):
        upscale_folder(tmp_path, tmp_path / "out", bicubic)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]
