"""Networks in other run times: each file against Keras, and nothing half-written."""

import json
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest
import tensorflow as tf

from srcnn_tf import cli, datasets, eight_bits, export
from srcnn_tf.export import FORMATS, WholeImages, run_exported
from srcnn_tf.layers import mirrored
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.models import fsrcnn, srcnn, vdsr
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.pretrained import load_pretrained
from srcnn_tf.probes import reach
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


# -- 8 bits ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crops():
    photographs = datasets.load("samples", "train")[:3]
    return np.stack([p[y : y + 32, y : y + 32, 1:2] for p in photographs for y in (0, 50, 90)])


@pytest.mark.parametrize("build", [fsrcnn, srcnn])
def test_a_network_rewritten_for_8_bits_is_the_same_but_for_its_steps(build, crops, monkeypatch):
    network = build(2)
    for layer in network.layers:
        if isinstance(layer, keras.layers.PReLU):
            slopes = np.random.default_rng(0).uniform(-0.5, 1.2, layer.alpha.shape)
            layer.alpha.assign(slopes)
    monkeypatch.setattr(eight_bits, "_HIGHEST", 3.0)  # nothing is cut off
    as_they_are = lambda *given: [it.astype(np.float32) for it in given[:2]]  # noqa: E731
    monkeypatch.setattr(eight_bits, "rounded", as_they_are)
    run, margin = eight_bits.rewritten(network, crops), 2 * reach(network)
    inner = slice(margin, -margin)
    found, expected = np.asarray(run(crops)), np.clip(network(crops), 0, 6)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[:, inner, inner], expected[:, inner, inner], atol=1e-5)


def test_weights_are_rounded_so_that_errors_cancel(crops):
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(0, 1, (3, 3, 1, 6)), generator.normal(0, 1, 6)
    found, moved = eight_bits.rounded(kernel, bias, crops)
    steps = np.abs(kernel).max((0, 1, 2)) / 127
    codes = found / steps
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)
    np.testing.assert_allclose(np.abs(codes).max((0, 1, 2)), 127, rtol=1e-5)

    def error(weights, shift):
        off = tf.nn.conv2d(crops, (weights - kernel).astype(np.float32), 1, "VALID")
        return float(tf.reduce_mean((off + (shift - bias).astype(np.float32)) ** 2))

    assert error(found, moved) < 0.5 * error(steps * np.round(kernel / steps), bias)


def test_networks_that_cannot_be_rewritten_stay_as_they_are(crops):
    network = vdsr(2, depth=3, width=4)
    assert eight_bits.rewritten(network, crops) is network


def test_8_bits_cost_fsrcnn_a_tenth_of_a_decibel_at_most(load_or_skip, tmp_path):
    installed(".tflite")
    photographs, test_images = load_or_skip("t91"), load_or_skip("set5")
    network, path = load_pretrained("fsrcnn", 3), tmp_path / "a.tflite"
    card = json.loads(export.export(network, path, photographs=photographs).read_text())
    assert card["bits"] == 8
    assert card["psnr_lost_db"] < 0.1
    assert path.stat().st_size < 80_000
    pairs, run = evaluation_pairs(test_images, 3), run_exported(path)
    scores = [evaluate(enlarge, pairs, Protocol(3)).psnr for enlarge in (WholeImages(network), run)]
    assert scores[0] - scores[1] < 0.10


def test_8_bits_are_refused_where_they_cannot_be(tmp_path, monkeypatch):
    network, photographs = fsrcnn(2, d=4, s=2, m=1), datasets.load("samples", "train")
    with pytest.raises(ValueError, match=r"must end in \.tflite"):
        export.export(network, tmp_path / "a.saved_model", photographs=photographs)
    installed(".tflite")
    with pytest.raises(ValueError, match="64×64 pixels at least"):
        export.export(network, tmp_path / "a.tflite", photographs=[np.zeros((63, 90, 1))])
    monkeypatch.setattr(export, "_convert_to_8_bits", lambda *_: 1.5)
    with pytest.raises(ValueError, match=r"lose 1\.50 dB"):
        export.export(network, tmp_path / "a.tflite", photographs=photographs)
    assert not list(tmp_path.iterdir())


def test_a_colour_file_of_one_size_in_8_bits(tmp_path, capfd):
    installed(".tflite")
    words = ["export", "fsrcnn-s", "--scale", "2", "--to", "litert", "--int8", "--colour"]
    words += ["--data", "samples", "--size", "40", "48", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    run = run_exported(tmp_path / "fsrcnn-s-x2-int8.tflite")
    image = datasets.load("samples", "test")[0][60:100, 90:138]
    found, expected = (
        run(image[None]),
        WholeImages(load_pretrained("fsrcnn-s", 2), True)(image[None]),
    )
    assert 255 * np.sqrt(np.mean((found - expected) ** 2)) < 2.5
