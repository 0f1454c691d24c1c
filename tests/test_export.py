"""Networks in other run times: each file against Keras, and nothing half-written."""

import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from srcnn_tf import cli, datasets, export
from srcnn_tf.export import FORMATS, WholeImages, run_exported
from srcnn_tf.layers import mirrored
from srcnn_tf.models import fsrcnn, vdsr
from srcnn_tf.pretrained import load_pretrained
from srcnn_tf.upscaling import upscale

SUFFIXES = [suffix for suffix, _, _ in FORMATS.values()]


@pytest.fixture
def photograph():
    return datasets.load("samples", "test")[0][60:111, 90:160]


def installed(suffix):
    for _, (own, _, packages) in FORMATS.items():
        if own == suffix and not all(map(find_spec, packages)):
            pytest.skip("this test needs srcnn-tf[export]")


@pytest.mark.parametrize("height", [1, 2, 5])
def test_mirrors_are_those_of_numpy(height):
    images = np.random.default_rng(0).random((2, height, 3, 2), np.float32)
    expected = np.pad(images, [(0, 0), (7, 7), (7, 7), (0, 0)], "symmetric")
    np.testing.assert_array_equal(mirrored(images, 7), expected)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_exported_colour_network_enlarges_as_upscale_does(suffix, photograph, tmp_path):
    installed(suffix)
    network, path = load_pretrained("fsrcnn-s", 2), tmp_path / f"network{suffix}"
    card = json.loads(export.export(network, path, colour=True).read_text())
    assert card["largest_difference_levels"] <= 0.01
    assert (card["scale"], card["channels"], card["size"]) == (2, 3, None)
    run = run_exported(path)
    half_flat = np.where(np.arange(70)[:, None] < 50, np.float32(1), photograph)
    for image in (photograph, photograph[:9, :40], half_flat):
        found = run(image[None])[0]
        np.testing.assert_allclose(found, WholeImages(network, True)(image[None])[0], atol=4e-5)
        assert np.abs(255 * (found - upscale(image, network))).max() < 1.01


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_exported_luma_network_of_one_size(suffix, photograph, tmp_path):
    installed(suffix)
    network, path = vdsr(3, depth=3, width=4, start="random"), tmp_path / f"network{suffix}"
    card = json.loads(export.export(network, path, size=(20, 31)).read_text())
    assert (card["channels"], card["size"]) == (1, [20, 31])
    image = photograph[None, :20, :31, :1]
    np.testing.assert_allclose(run_exported(path)(image), WholeImages(network)(image), atol=4e-5)


@pytest.mark.parametrize(("colour", "channels"), [(False, 1), (True, 3)])
def test_flat_images_stay_flat(colour, channels):
    flat = np.full((1, 30, 31, channels), 0.9, np.float32)
    enlarged = WholeImages(load_pretrained("fsrcnn-s", 2), colour)(flat)
    np.testing.assert_allclose(enlarged, np.full((1, 60, 62, channels), 0.9), atol=1e-5)


@pytest.mark.parametrize("engine", ["openvino", "onnx", "auto"])
def test_engines_agree_to_one_level(engine, photograph):
    installed(".xml")
    installed(".onnx")
    network = load_pretrained("fsrcnn", 3)
    image = np.dstack([photograph, photograph[..., :1]])
    expected = upscale(image, network, np.uint8, tile=40).astype(int)
    found = upscale(image, network, np.uint8, tile=40, engine=engine)
    assert np.abs(found - expected).max() <= 1
    assert np.mean(found != expected) < 0.001
    assert sys.modules.get("openvino_telemetry") is None  # it would tell Google of each import


def test_a_file_that_does_not_agree_is_not_written(tmp_path, monkeypatch):
    def shifted(path):
        run = run_exported(path)
        return lambda images: run(images) + 1e-4

    monkeypatch.setattr(export, "run_exported", shifted)
    with pytest.raises(ValueError, match=r"differ from Keras by 0\.02\d* grey levels"):
        export.export(fsrcnn(2, d=4, s=2, m=1), tmp_path / "a.saved_model")
    assert not list(tmp_path.iterdir())


def test_files_that_are_there_stay_until_asked(tmp_path):
    network, path = fsrcnn(2, d=4, s=2, m=1), tmp_path / "a.saved_model"
    export.export(network, path)
    with pytest.raises(FileExistsError, match="overwrite"):
        export.export(network, path)
    card = json.loads(export.export(network, path, size=(3, 4), overwrite=True).read_text())
    assert card["size"] == [3, 4]
    assert sorted(part.name for part in tmp_path.iterdir()) == [
        "a.saved_model",
        "a.saved_model.json",
    ]


def test_what_lies_beside_an_openvino_file_is_not_lost(tmp_path):
    installed(".xml")
    (tmp_path / "a.bin").write_text("somebody's")
    with pytest.raises(FileExistsError, match=r"a\.bin exists"):
        export.export(fsrcnn(2, d=4, s=2, m=1), tmp_path / "a.xml")
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_folder_in_the_place_of_a_file_is_not_replaced(tmp_path):
    installed(".onnx")
    (tmp_path / "a.onnx").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a\.onnx"):
        export.export(fsrcnn(2, d=4, s=2, m=1), tmp_path / "a.onnx", overwrite=True)


def test_what_cannot_be_exported_says_why(tmp_path, monkeypatch, photograph):
    network = fsrcnn(2, d=4, s=2, m=1)
    with pytest.raises(ValueError, match=r"'\.pb'.*\.onnx"):
        export.export(network, tmp_path / "a.pb")
    with pytest.raises(ValueError, match="size is 0"):
        export.export(network, tmp_path / "a.saved_model", size=(0, 4))
    with pytest.raises(ValueError, match=r"'cuda'.*openvino"):
        upscale(photograph, network, engine="cuda")
    monkeypatch.setattr(export, "find_spec", lambda package: None)
    with pytest.raises(ImportError, match=r"need tf2onnx, onnx, onnxruntime: pip install"):
        upscale(photograph, network, engine="onnx")


def test_the_command_line_exports(tmp_path, capsys):
    words = ["export", "fsrcnn-s", "--to", "saved_model", "--out", str(tmp_path / "new")]
    assert cli.main([*words, "--scale", "2"]) == 0
    assert (tmp_path / "new" / "fsrcnn-s-x2.saved_model").is_dir()
    assert "fsrcnn-s-x2.saved_model.json" in capsys.readouterr().out
    assert cli.main(words) == 2
    assert "fsrcnn-s has several scales: choose one of ×2, ×3, ×4" in capsys.readouterr().err
