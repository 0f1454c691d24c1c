"""upscale: tiles change nothing, colour and alpha are right, files are whole or not there."""

import errno
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from PIL import Image, ImageCms

import srcnn_tf
from srcnn_tf import datasets
from srcnn_tf.images import quantise, read_image, resize, rgb_to_ycbcr, write_image
from srcnn_tf.images.io import Surroundings, read_with_surroundings
from srcnn_tf.models import build, fsrcnn, srcnn
from srcnn_tf.networks import find, networks
from srcnn_tf.pairs import image_pair
from srcnn_tf.pretrained import available, load_pretrained
from srcnn_tf.probes import graph_function, reach
from srcnn_tf.upscaling import (
    upscale,
    upscale_file,
    upscale_folder,
)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def shaken(model: keras.Sequential, strength: float = 0.05) -> keras.Sequential:
    """Give every weight a say, as training does: the start alone ignores most feature maps."""
    generator = np.random.default_rng(0)
    model.set_weights([w + generator.normal(0, strength, w.shape) for w in model.get_weights()])
    return model


def inner(pixels: np.ndarray, model: keras.Model, scale: int) -> np.ndarray:
    """Mark what the network sees without its padding."""
    border, marked = reach(model) * scale, np.zeros(pixels.shape, bool)
    marked[border:-border, border:-border] = True
    return marked


@pytest.fixture(scope="module")
def photograph():
    return datasets.load("samples", "test", channels=3)[1][:90, :140]


@pytest.fixture(scope="module")
def bicubic():
    """A network that is bicubic interpolation, to the grey level."""
    return srcnn(2)


# -- tiles ----------------------------------------------------------------------------------------


SEQUENTIAL = [n for n in networks() if find(n).builder in ("srcnn", "fsrcnn")]


@pytest.mark.parametrize("name", SEQUENTIAL)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_tiles_leave_no_trace(photograph, name, scale):
    model = shaken(build(name, scale))
    whole = upscale(photograph, model, np.uint8)
    tiled = upscale(photograph, model, np.uint8, tile=2 * reach(model) + 13)
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    assert whole.std() > 5


@pytest.mark.parametrize(
    ("name", "scale", "sizes"),
    [("vdsr", 2, {"depth": 6, "width": 6}), ("srresnet", 4, {"blocks": 1, "width": 4})],
)
def test_tiles_leave_no_trace_where_layers_are_skipped(name, scale, sizes, monkeypatch):
    model = build(name, scale, start="random", **sizes)
    image = np.random.default_rng(2).random((30, 40, 3), np.float32)
    whole = upscale(image, model, np.uint8).astype(int)
    assert np.abs(whole - upscale(image, model, np.uint8, tile=2 * reach(model) + 9)).max() <= 1
    monkeypatch.setattr("srcnn_tf.upscaling.reach", lambda model, local: 2)
    assert np.abs(whole - upscale(image, model, np.uint8, tile=13)).max() > 1  # it could show


def test_a_smaller_overlap_would_show(photograph, monkeypatch):
    model = shaken(fsrcnn(3))
    whole = upscale(photograph, model, np.uint8)
    monkeypatch.setattr("srcnn_tf.upscaling.reach", lambda model, local: 2)
    tiled = upscale(photograph, model, np.uint8, tile=27)
    assert np.abs(whole.astype(int) - tiled).max() > 1


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (5, 3)])
def test_small_images(bicubic, size):
    image = np.random.default_rng(0).random((*size, 1)).astype(np.float32)
    expected = resize(image, (size[0] * 2, size[1] * 2))
    np.testing.assert_allclose(upscale(image, bicubic), np.clip(expected, 0, 1), atol=0.6 / 255)


# -- borders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "scale"), available())
def test_a_flat_image_stays_flat_to_its_border(name, scale):
    # With the networks' zero padding it had a frame, up to 29 levels bright; and below luma 16,
    # where no network was trained, FSRCNN-s drew a texture of its own, up to 6 levels bright.
    model = load_pretrained(name, scale)
    for colour in [[0], [5], [16], [128], [255], [0, 0, 0], [255, 255, 255], [200, 40, 90]]:
        image = np.full((9, 40, len(colour)), colour, np.uint8)
        assert np.abs(upscale(image, model, np.uint8).astype(int) - colour).max() <= 1


def test_flat_areas_end_where_the_network_sees_something_else():
    model = shaken(fsrcnn(2))
    far = reach(model)
    image = np.full((1, 4 * far, 1), 0.25, np.float32)
    image[0, 2 * far] = 0.75
    changed = np.flatnonzero(upscale(image, model)[0, :, 0] != quantise(image)[0, 0, 0]) // 2
    assert far - 2 <= 2 * far - changed.min() <= far
    assert far - 2 <= changed.max() - 2 * far <= far


def test_mirrored_borders_are_no_worse_than_zeros(load_or_skip):
    model, network = load_pretrained("fsrcnn", 3), graph_function(load_pretrained("fsrcnn", 3))
    errors = []
    for photograph in load_or_skip("set5", channels=1):
        lr_image, hr_image = image_pair(photograph, 3)
        frame = np.ones(hr_image.shape, bool)
        frame[3:-3, 3:-3] = False
        zeros = quantise(network(lr_image[None])[0].numpy())
        both = [upscale(lr_image, model), zeros]
        errors.append([255 * np.sqrt(np.mean((i - hr_image)[frame] ** 2)) for i in both])
    mirrored, zeros = np.transpose(errors)
    assert (mirrored < zeros + 0.1).all()


# -- colour ---------------------------------------------------------------------------------------


def test_luma_is_the_networks_and_chroma_and_alpha_are_bicubic(photograph):
    model = shaken(fsrcnn(2), 0.005)
    alpha = np.linspace(0.01, 1, photograph.shape[1], dtype=np.float32) * np.ones((90, 1))
    size = (180, 280)
    ycbcr = rgb_to_ycbcr(0.2 + 0.5 * photograph)
    image = np.dstack([0.2 + 0.5 * photograph, alpha]).astype(np.float32)
    result = upscale(image, model)
    luma = np.asarray(model(ycbcr[None, ..., :1]))[0]
    inside = ((result[..., :3] > 0) & (result[..., :3] < 1)).all(axis=2)
    assert inside.mean() > 0.9
    sr_ycbcr = rgb_to_ycbcr(result[..., :3])
    expected = np.dstack([luma, resize(ycbcr[..., 1:], size)])
    inside &= inner(inside, model, 2)
    assert np.abs(sr_ycbcr - expected)[inside].max() < 1 / 255
    np.testing.assert_array_equal(
        result[..., 3:], quantise(resize(alpha[..., None].astype(np.float32), size))
    )


def test_grey_is_its_own_luma(photograph):
    model, grey = shaken(fsrcnn(3)), photograph[..., :1]
    expected = quantise(np.asarray(model(grey[None]))[0])
    inside = inner(expected[..., 0], model, 3)
    np.testing.assert_allclose(upscale(grey, model)[inside], expected[inside], atol=1.01 / 255)


def test_types_of_the_image_and_of_the_result_agree(photograph, bicubic):
    levels = quantise(photograph, np.uint8)
    floats = upscale(levels / np.float32(255), bicubic)
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(np.rint(floats * 255), upscale(levels, bicubic, np.uint8))
    np.testing.assert_array_equal(upscale(levels.astype(np.uint16) * 257, bicubic), floats)


def test_a_network_for_rgb_sees_the_colours(photograph):
    model = srcnn(2, channels=3)
    expected = np.clip(resize(photograph, (180, 280)), 0, 1)
    np.testing.assert_allclose(upscale(photograph, model), expected, atol=1.01 / 255)
    grey = upscale(photograph[..., :1], model)
    assert grey.shape == (180, 280, 1)
    np.testing.assert_allclose(grey, expected[..., :1], atol=1.01 / 255)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((4, 4), np.float32), {}, r"shape \(4, 4\)"),
        (np.zeros((4, 4, 2), np.float32), {}, "c = 1 or 3 or 4"),
        (np.zeros((0, 4, 1), np.float32), {}, "shape"),
        (np.full((4, 4, 1), 7.0), {}, "divide 8-bit values by 255"),
        (
            np.zeros((40, 40, 1), np.float32),
            {"tile": 8},
            "tile is 8: it must be a whole number of at least",
        ),
        (np.zeros((40, 40, 1), np.float32), {"tile": 99.5}, "tile is 99.5: it must be a whole"),
        (np.zeros((4, 4, 1), np.float32), {"dtype": np.uint16}, "np.float32 or np.uint8"),
    ],
)
def test_bad_input_is_told(bicubic, image, options, message):
    with pytest.raises(ValueError, match=message):
        upscale(image, bicubic, **options)


def test_public_names_are_lazy_and_there():
    assert srcnn_tf.upscale is upscale
    with pytest.raises(AttributeError, match="no attribute 'upscal'"):
        srcnn_tf.upscal  # noqa: B018
    code = "import sys, srcnn_tf, srcnn_tf.cli; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# -- files ----------------------------------------------------------------------------------------


def save(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def kinds(folder: Path, photograph: np.ndarray) -> dict[str, tuple[Path, str]]:
    """One file of each kind, with the Pillow mode its enlargement should have."""
    rgb = Image.fromarray(quantise(photograph, np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(rgb.convert("L"))
    turned = Image.Exif()
    turned[0x0112] = 6
    levels = np.rint(photograph * 65535).astype(np.uint16)
    cv2.imwrite(str(folder / "deep.png"), levels[..., ::-1])
    cv2.imwrite(str(folder / "deep_grey.png"), levels[..., 0])
    return {
        "grey": (save(folder / "grey.png", rgb.convert("L")), "L"),
        "rgb": (save(folder / "rgb.bmp", rgb), "RGB"),
        "rgba": (save(folder / "rgba.png", rgba), "RGBA"),
        "palette": (save(folder / "palette.png", rgb.convert("P")), "RGB"),
        "exif": (save(folder / "exif.jpg", rgb, exif=turned), "RGB"),
        "16-bit RGB": (folder / "deep.png", "RGB"),
        "16-bit grey": (folder / "deep_grey.png", "L"),
    }


@pytest.mark.parametrize(
    "kind", ["grey", "rgb", "rgba", "palette", "exif", "16-bit RGB", "16-bit grey"]
)
def test_every_kind_of_file(tmp_path, photograph, bicubic, capsys, kind):
    source, mode = kinds(tmp_path, photograph)[kind]
    target = tmp_path / "out.png"
    upscale_file(source, target, bicubic)
    assert ("holds 16 bits" in capsys.readouterr().out) == ("16-bit" in kind)
    with Image.open(target) as written:
        assert written.mode == mode
    image = read_image(source)
    if kind == "exif":
        assert image.shape[:2] == (140, 90)
    enlarged = read_image(target)
    assert enlarged.shape == (2 * image.shape[0], 2 * image.shape[1], image.shape[2])
    np.testing.assert_array_equal(enlarged, upscale(image, bicubic))
    assert np.abs(enlarged - np.clip(resize(image, enlarged.shape[:2]), 0, 1)).max() < 0.05


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_icc_profile_is_kept(tmp_path, photograph, bicubic, suffix):
    rgb = Image.fromarray(quantise(photograph, np.uint8))
    source = save(tmp_path / "in.png", rgb, icc_profile=SRGB)
    upscale_file(source, tmp_path / f"out{suffix}", bicubic, progress=False)
    with Image.open(tmp_path / f"out{suffix}") as written:
        assert written.info["icc_profile"] == SRGB


def test_what_a_file_says_of_its_pixels_is_kept_or_its_loss_is_said(tmp_path, bicubic, capsys):
    pixels = np.full((6, 7, 3), 90, np.uint8)
    chunks = {b"gAMA": (100_000).to_bytes(4, "big")}
    write_image(tmp_path / "a.png", pixels, around=Surroundings(dpi=(300, 300), chunks=chunks))
    upscale_file(tmp_path / "a.png", tmp_path / "b.png", bicubic, progress=False)
    around = read_with_surroundings(tmp_path / "b.png")[1]
    assert (dict(around.chunks), around.dpi) == (chunks, pytest.approx((300, 300), abs=0.02))
    assert capsys.readouterr().out == ""
    for name, losses in [
        ("b.jpg", ["gAMA"]),
        ("b.tif", ["gAMA"]),
        ("b.webp", ["a resolution in dpi", "gAMA"]),
    ]:
        upscale_file(tmp_path / "a.png", tmp_path / name, bicubic, progress=False)
        said = capsys.readouterr().out.splitlines()
        assert all(name in line and what in line for what, line in zip(losses, said, strict=True))
        assert read_image(tmp_path / name).shape == (12, 14, 3)


def test_a_folder_of_newer_formats_goes_on_after_damaged_and_unread_files(
    tmp_path, bicubic, capsys
):
    rgb = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 8, 3), np.uint8))
    rgb.save(tmp_path / "a.webp")
    rgb.save(tmp_path / "b.tif")
    (tmp_path / "c.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0")
    rgb.save(tmp_path / "d.png", save_all=True, append_images=[rgb.rotate(180)])
    (tmp_path / "e.avif").touch()
    with pytest.raises(ValueError, match=r"(?s)2 of 4 files were not.*HEI.* is not read.*2 images"):
        upscale_folder(tmp_path, tmp_path / "out", bicubic)
    assert "not read (1 AVIF: convert them to PNG or JPEG)" in capsys.readouterr().out
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["a.png", "b.png"]


def test_a_profile_for_other_colours_is_dropped(tmp_path, photograph, bicubic):
    cmyk = SRGB[:16] + b"CMYK" + SRGB[20:]
    rgb = Image.fromarray(quantise(photograph, np.uint8))
    source = save(tmp_path / "in.jpg", rgb.convert("CMYK"), icc_profile=cmyk)
    upscale_file(source, tmp_path / "out.png", bicubic, progress=False)
    with Image.open(tmp_path / "out.png") as written:
        assert written.mode == "RGB"
        assert "icc_profile" not in written.info


def test_a_file_that_is_there_is_kept_unless_told_otherwise(tmp_path, photograph, bicubic):
    write_image(tmp_path / "in.png", photograph)
    target = tmp_path / "out.png"
    target.write_bytes(b"dear")
    with pytest.raises(FileExistsError, match="--overwrite"):
        upscale_file(tmp_path / "in.png", target, bicubic)
    assert target.read_bytes() == b"dear"
    upscale_file(tmp_path / "in.png", target, bicubic, overwrite=True)
    assert read_image(target).shape == (180, 280, 3)


def test_nothing_is_left_behind_where_writing_fails(tmp_path, photograph, bicubic, monkeypatch):
    write_image(tmp_path / "in.png", photograph)

    def full_disk(path, data):
        path.open("wb").write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="nothing was written"):
        upscale_file(tmp_path / "in.png", tmp_path / "out.png", bicubic)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_alpha_needs_a_format_that_holds_it(tmp_path, photograph, bicubic, suffix):
    source = kinds(tmp_path, photograph)["rgba"][0]
    with pytest.raises(ValueError, match=r"alpha channel: only \.png, \.webp and \.tif hold it"):
        upscale_file(source, tmp_path / f"out{suffix}", bicubic)


def test_a_folder(tmp_path, photograph, bicubic, capsys):
    source = tmp_path / "in"
    source.mkdir()
    kinds(source, photograph)
    (source / "notes.txt").write_text("not an image")
    upscale_folder(source, tmp_path / "out", bicubic)
    assert "passing over 1 files" in capsys.readouterr().out
    names = {path.stem for path in source.iterdir()} - {"notes"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{n}.png" for n in names}
    made = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    lost, kept, *_ = made
    lost.unlink()
    kept.write_bytes(b"dear")
    upscale_folder(source, tmp_path / "out", bicubic)  # goes on with what is missing
    count = f"{len(made) - 1} of {len(made)} images are in"
    assert count in capsys.readouterr().out
    assert (lost.read_bytes(), kept.read_bytes()) == (made[lost], b"dear")
    upscale_folder(source, tmp_path / "out", bicubic, overwrite=True)
    assert kept.read_bytes() == made[kept]


def test_a_broken_file_in_a_folder_is_named_and_stops_no_other(tmp_path, photograph, bicubic):
    for name in ("a", "c"):
        write_image(tmp_path / f"{name}.png", photograph)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"1 of 3 files were not enlarged:\n.*b\.png"):
        upscale_folder(tmp_path, tmp_path / "out", bicubic)
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["a.png", "c.png"]


def test_hidden_colours_leave_no_fringe(bicubic):
    cutout = np.zeros((12, 12, 4), np.uint8)
    cutout[:, :6] = 255  # white beside what is transparent and black
    result = upscale(cutout, bicubic, np.uint8)
    assert result[..., :3].min() == 255
    assert result[0, [0, -1], 3].tolist() == [255, 0]


def test_a_full_disk_ends_a_folder_and_a_file_that_cannot_be_written_does_not(
    tmp_path, photograph, bicubic, monkeypatch
):
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png", photograph)

    def fail(code):
        def write(path, *_):
            if path.stem == "a":
                raise OSError(code, "no")
            path.touch()

        monkeypatch.setattr("srcnn_tf.images.io.write_image", write)

    fail(errno.EACCES)
    with pytest.raises(ValueError, match="1 of 2 files were not enlarged"):
        upscale_folder(tmp_path, tmp_path / "out", bicubic)
    assert (tmp_path / "out" / "b.png").exists()
    fail(errno.ENOSPC)
    with pytest.raises(OSError, match="no"):
        upscale_folder(tmp_path, tmp_path / "full", bicubic)
    assert not (tmp_path / "full" / "b.png").exists()


def test_a_name_as_long_as_the_file_system_takes(tmp_path, photograph, bicubic):
    write_image(tmp_path / "a.png", photograph)
    upscale_file(tmp_path / "a.png", tmp_path / f"{'b' * 251}.png", bicubic)
    assert (tmp_path / f"{'b' * 251}.png").exists()


def test_what_jpeg_and_bmp_cannot_hold_is_said(tmp_path, photograph, bicubic, capsys):
    write_image(tmp_path / "wide.png", np.zeros((1, 32751)))
    with pytest.raises(ValueError, match="JPEG holds 65500 a side"):
        upscale_file(tmp_path / "wide.png", tmp_path / "out.jpg", bicubic)
    write_image(tmp_path / "a.png", photograph, around=Surroundings(profile=SRGB))
    upscale_file(tmp_path / "a.png", tmp_path / "out.bmp", bicubic)
    assert "colour profile" in capsys.readouterr().out


def test_names_that_would_collide(tmp_path, photograph, bicubic):
    for name in ("a.png", "a.jpg"):
        write_image(tmp_path / name, photograph)
    with pytest.raises(ValueError, match=r"a\.jpg and a\.png of .* both become a\.png"):
        upscale_folder(tmp_path, tmp_path / "out", bicubic)
    assert not (tmp_path / "out").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="there are no images"):
        upscale_folder(tmp_path / "empty", tmp_path / "out", bicubic)
