"""The command line: what it writes, how it resumes, what it says when it cannot."""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import keras
import numpy as np
import pytest
import readme_table

import srcnn_tf
from srcnn_tf import cli, datasets, making, pretrained, score_table
from srcnn_tf.cli import main
from srcnn_tf.images import read_image, write_image
from srcnn_tf.models import build

TRAIN = ["train", "fsrcnn-s", "--scale", "2", "--data", "samples"]
QUICK = {"optimizer": "adam", "steps_per_epoch": 9}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of nine small photographs, which are quickly degraded."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, image in enumerate(datasets.load("samples", "train")):
        top, left = (side // 2 for side in image.shape[:2])
        write_image(folder / f"{number}.png", image[top - 48 : top + 48, left - 60 : left + 60])
    return str(folder)


@pytest.fixture
def quick(monkeypatch):
    """Train with Adam, which is traced in a third of SOAP's time, in short epochs."""
    recipe_of = pretrained.default_recipe
    changed = lambda *args, **options: replace(recipe_of(*args, **options), **QUICK)  # noqa: E731
    monkeypatch.setattr(pretrained, "default_recipe", changed)


def test_train_writes_weights_and_a_card_and_resumes(tmp_path, photographs, capsys, quick):
    command = [*TRAIN[:4], "--data", photographs, "--out", str(tmp_path / "out"), "--seed", "3"]
    assert main([*command, "--steps", "20"]) == 0
    printed = capsys.readouterr().out
    weights = tmp_path / "out" / "fsrcnn-s-x2.weights.h5"
    card = json.loads((tmp_path / "out" / "fsrcnn-s-x2.json").read_text())
    (told,) = re.findall(r"validation PSNR (\d+\.\d\d) dB at step 20 of 20", printed)
    assert float(told) == pytest.approx(card["validation_psnr_db"], abs=0.006)
    assert (card["steps"], card["recipe"]["seed"], card["recipe"]["hr_patch"]) == (20, 3, 32)
    assert card["images"] == {"train": 8, "validation": 1}
    assert card["data"][photographs]["images"] == 9
    assert len(card["data"][photographs]["pixels_sha256"]) == 64
    model, start = build("fsrcnn-s", 2, seed=3), build("fsrcnn-s", 2, seed=3).get_weights()
    model.load_weights(weights)
    assert any((a != b).any() for a, b in zip(model.get_weights(), start, strict=True))
    assert weights.stat().st_size < 60_000  # 4,086 numbers, and no optimizer

    before = weights.read_bytes()
    assert main([*command, "--steps", "30"]) == 2
    assert "resume the run" in capsys.readouterr().err
    assert weights.read_bytes() == before
    assert main([*command, "--steps", "30", "--resume"]) == 0
    card = json.loads((tmp_path / "out" / "fsrcnn-s-x2.json").read_text())
    assert card["steps"] == 30


def test_from_your_own_photographs_to_your_own_network(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for name, image in zip("abc", datasets.load("samples", "train", channels=3), strict=False):
        write_image(tmp_path / "photos" / f"{name}.png", image[100:196, 100:220])
    mine = tmp_path / "mine"
    words = ["--scale", "2", "--channels", "3", "--steps", "10", "--tensorboard"]
    data = ["--data", str(tmp_path / "photos"), "--out", str(mine)]
    assert main(["train", "fsrcnn-s", *words, *data]) == 0
    written = {path.name for path in mine.iterdir()}
    suffixes = (".weights.h5", ".json", "-run", "-log", "-curves.png", "-example.png")
    assert written == {f"fsrcnn-s-x2{suffix}" for suffix in suffixes}
    assert list(mine.glob("fsrcnn-s-x2-log/**/events.*"))
    for figure in mine.glob("*.png"):
        assert read_image(figure).std() > 0.05

    photograph = tmp_path / "photos" / "a.png"
    assert main(["upscale", str(photograph), "--model", str(mine)]) == 0
    enlarged = read_image(tmp_path / "photos" / "a_x2.png")
    assert enlarged.shape == (192, 240, 3)
    network = srcnn_tf.load_pretrained(mine)
    assert network.input_shape[-1] == 3
    expected = srcnn_tf.upscale(read_image(photograph), network)
    np.testing.assert_array_equal(enlarged, expected)

    network.save(tmp_path / "mine.keras")
    models = [str(mine), str(tmp_path / "mine.keras"), "fsrcnn-s", "bicubic"]
    (tmp_path / "test").mkdir()
    os.replace(photograph, tmp_path / "test" / "a.png")
    table = tmp_path / "table.csv"
    words = ["--sets", str(tmp_path / "test"), "--csv", str(table)]
    assert main(["benchmark", "--models", *models, *words]) == 0
    rows = {(row.method, row.scale): row for row in readme_table.from_csv(table.read_text())}
    assert {method for method, scale in rows if scale == 3} == {"fsrcnn-s", "bicubic"}
    own, saved, shipped, bicubic = (rows[model, 2] for model in models)
    assert (own.psnr, own.parameters) == (saved.psnr, network.count_params())
    assert abs(own.psnr - bicubic.psnr) < 1 < shipped.psnr - bicubic.psnr + 1
    assert own.published_psnr is None


@pytest.mark.parametrize(
    ("words", "data"),
    [
        (["t91", "my folder"], ("t91", "my folder")),
        (["t91+general100"], ("t91", "general100")),
        (["cats+dogs", "t91+general100"], ("cats+dogs", "t91", "general100")),
    ],
)
def test_data_are_words_or_joined_by_plus(tmp_path, monkeypatch, words, data):
    (tmp_path / "cats+dogs").mkdir()
    monkeypatch.chdir(tmp_path)

    def told(name, scale, data, *_):
        raise ValueError(data)

    monkeypatch.setattr("srcnn_tf.making.train", told)
    options = cli._parser().parse_args([*TRAIN[:4], "--data", *words, "--out", "out"])
    with pytest.raises(ValueError, match="t91") as caught:
        options.run(options)
    assert caught.value.args == (data,)


def test_sets_with_parts_are_trained_on_by_their_part_for_it():
    files = [file for file, _ in making._training_images("samples")]
    assert files == list(map(str, datasets.image_paths("samples", "train")))


def test_resuming_with_other_data_or_another_start_is_refused(tmp_path, photographs, capsys, quick):
    command = [*TRAIN[:4], "--data", photographs, "--out", str(tmp_path / "out"), "--steps", "2"]
    assert main(command) == 0
    kept = (tmp_path / "out" / "fsrcnn-s-x2.json").read_bytes()
    photograph = datasets.load("samples", "train")[0]
    for i in range(2):
        write_image(tmp_path / f"{i}.png", photograph)
    for words, changed in (
        (["--start", "random"], "start was 'bicubic'"),
        (["--channels", "3"], "channels was 1"),
        (["--data", str(tmp_path)], f"data was {{'{photographs}'"),
    ):
        assert main([*command, "--resume", *words]) == 2
        assert changed in capsys.readouterr().err
    assert (tmp_path / "out" / "fsrcnn-s-x2.json").read_bytes() == kept


def test_finished_weights_are_not_replaced_by_a_run_from_nothing(tmp_path, capsys):
    weights = tmp_path / "fsrcnn-s-x2.weights.h5"
    weights.write_bytes(b"finished")
    assert main([*TRAIN, "--out", str(tmp_path), "--steps", "2", "--resume"]) == 2
    assert "exists: choose another" in capsys.readouterr().err
    assert weights.read_bytes() == b"finished"


WITH_QUICK_RECIPES = f"""
import runpy
from dataclasses import replace
from srcnn_tf import pretrained

recipe_of = pretrained.default_recipe
pretrained.default_recipe = lambda *a, **k: replace(recipe_of(*a, **k), **{QUICK})
runpy.run_module("srcnn_tf", run_name="__main__", alter_sys=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_a_polite_end_loses_no_checkpoint(tmp_path, photographs, quick):
    # SIGTERM comes as a Ctrl-C does; tests/test_training.py sends that.
    words = [*TRAIN[:4], "--data", photographs, "--out", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_QUICK_RECIPES, *words, "--minutes", "5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    progress = tmp_path / "fsrcnn-s-x2-run" / "progress.json"
    deadline = time.monotonic() + 600
    while not progress.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "the same command with --resume goes on" in out
    assert "Traceback" not in err
    steps = json.loads(progress.read_text())["history"]["step"][-1]
    assert not (tmp_path / "fsrcnn-s-x2.weights.h5").exists()
    assert main([*words, "--minutes", "0.001", "--resume"]) == 0
    card = json.loads((tmp_path / "fsrcnn-s-x2.json").read_text())
    assert card["steps"] == steps + 1


def test_copies_of_test_images_are_not_trained_on(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    write_image(folder / "holiday.png", datasets.load("samples", "train")[0])
    digest = hashlib.sha256((folder / "holiday.png").read_bytes()).hexdigest()
    monkeypatch.setattr(datasets, "_test_images", lambda: {digest: "set5/baby.bmp"})
    words = ["--data", str(folder), "--out", str(tmp_path / "out")]
    assert main([*TRAIN[:4], *words]) == 2
    said = capsys.readouterr().err
    assert f"{folder / 'holiday.png'} is set5/baby.bmp, an image of a test set" in said
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_registries_name_the_test_images():
    known = datasets._test_images()
    assert len(known) == 5 + 14 + 100 + 100
    assert {name.split("/")[0] for name in known.values()} == set(datasets.TEST_SETS)


@pytest.mark.parametrize(("network", "side"), [("fsrcnn", 20), ("vdsr", 63)])
def test_small_training_images_are_named(tmp_path, capsys, network, side):
    # VDSR's crops of 48 pixels need 8 more on each side for the interpolation at x4.
    for name, length in (("tiny.png", side), ("large.png", 80)):
        write_image(tmp_path / name, np.random.default_rng(0).random((length, length, 3)))
    words = ["train", network, "--scale", "2", "--data", str(tmp_path), "--out"]
    assert main([*words, str(tmp_path / "out")]) == 2
    assert f"{tmp_path / 'tiny.png'} ({side}×{side})" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "set5"], "set5 is a test set"),
        (["--data", "downloads/Set14/"], "Set14/ is a test set"),
        (["--data", "set6"], "unknown image set 'set6'"),
        (["--data", "samples", "set6"], "unknown image set 'set6'"),
        (["--data", "samples+set5"], "set5 is a test set"),
        (["--steps", "0"], "steps is 0: it must be a whole number of at least 1"),
        (["--minutes", "-1"], "minutes is -1.0: it must be a finite number above 0"),
        (["--minutes", "0"], "minutes is 0.0: it must be a finite number above 0"),
        (["--minutes", "inf"], "minutes is inf"),
        (["--seed", "-1"], "seed is -1: it must be a whole number of at least 0"),
        (["--seed", str(2**64)], "seed is 18446744073709551616"),
    ],
)
def test_train_says_what_is_wrong_and_writes_nothing(tmp_path, capsys, words, message):
    assert main([*TRAIN, "--out", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize(
    "words",
    [
        ["train", "nosuch", "--scale", "2", "--out", "x"],
        ["train", "fsrcnn", "--out", "x"],
        ["train", "fsrcnn", "--scale", "2", "--out", ""],
        ["upscale", ""],
        ["upscale", "in.png", ""],
        ["benchmark", "--csv", ""],
        [],
    ],
)
def test_unknown_words_are_told_by_argparse(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / "photo.png"
    write_image(path, datasets.load("samples", "test")[1][:40, :50])
    return path


def test_upscale_beside_the_image_and_to_a_folder(tmp_path, photograph, capsys):
    assert main(["upscale", str(photograph)]) == 0
    told = re.escape(f"wrote {tmp_path / 'photo_x3.png'} (") + r"\d+\.\d megapixels a second\)"
    assert re.search(told, capsys.readouterr().out)
    once = read_image(tmp_path / "photo_x3.png")
    assert once.shape == (120, 150, 3)
    expected = pretrained.load_pretrained("fsrcnn", 3)
    from srcnn_tf.upscaling import upscale

    np.testing.assert_array_equal(once, upscale(read_image(photograph), expected, engine="auto"))
    (tmp_path / "in").mkdir()
    os.replace(photograph, tmp_path / "in" / "photo.png")
    folder = [str(tmp_path / "in"), str(tmp_path / "out"), "--scale", "3", "--model", "fsrcnn"]
    assert main(["upscale", *folder]) == 0
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "photo.png"), once)


def test_where_to_write_may_be_a_folder_that_is_there(tmp_path, photograph, capsys):
    (tmp_path / "out").mkdir()
    assert main(["upscale", str(photograph), str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo_x3.png"]
    for words, message in [
        ([str(tmp_path / "kept.txt")], "kept.txt is a file, no folder"),
        ([str(tmp_path / "kept.txt" / "out")], "kept.txt is a file, no folder"),
        ([str(tmp_path), "--overwrite"], "would be enlarged into itself"),
    ]:
        (tmp_path / "kept.txt").write_text("dear")
        assert main(["upscale", str(tmp_path), *words]) == 2
        assert message in capsys.readouterr().err
    assert main([*TRAIN, "--steps", "2", "--out", str(tmp_path / "kept.txt")]) == 2
    assert "kept.txt is a file, no folder" in capsys.readouterr().err
    assert (tmp_path / "kept.txt").read_text() == "dear"


def test_upscale_says_what_is_wrong_and_loses_nothing(tmp_path, photograph, capsys):
    kept = tmp_path / "kept.png"
    kept.write_bytes(b"dear")
    for words, message in [
        ([str(tmp_path / "none.png")], "there is no file or folder"),
        ([str(photograph), str(kept)], "--overwrite"),
        ([str(photograph), str(tmp_path / "out.gif")], "suffix must be one of"),
        ([str(photograph), str(tmp_path / "no" / "out.png")], "there is no folder"),
        (
            [str(photograph), "--model", "nosuch"],
            "there is no network, file or folder nosuch; networks are srcnn",
        ),
        ([str(kept)], "cannot be read as an image"),
    ]:
        assert main(["upscale", *words]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
    assert kept.read_bytes() == b"dear"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.png", "photo.png"]


def test_benchmark_prints_a_table_and_writes_it(tmp_path, capsys):
    table = tmp_path / "table.csv"
    command = ["benchmark", "--models", "nearest", "bicubic", "--sets", "samples", "--scales", "4"]
    assert main([*command, "--csv", str(table)]) == 0
    assert "samples    ×4    bicubic" in capsys.readouterr().out
    assert len(table.read_text().splitlines()) == 3
    assert main([*command, "--csv", str(table)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--csv", str(table), "--overwrite"]) == 0
    assert main(["benchmark", "--models", "nosuch", "--sets", "samples"]) == 2
    assert "unknown method 'nosuch'" in capsys.readouterr().err


BENCHMARK = ["benchmark", "--models", "nearest", "bicubic", "--sets", "samples", "--scales", "4"]


def test_benchmark_writes_a_page_of_any_metrics_and_degradation(tmp_path, capsys):
    page = tmp_path / "page.html"
    how = ["--metrics", "psnr", "detail", "--degradation", "blur=1.6", "antialias=false"]
    assert main([*BENCHMARK, *how, "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert "SSIM      detail" in said
    assert f"wrote {page}" in said
    assert "×4 on samples; LR by blur=1.6, antialias=false" in page.read_text()
    for words, told in [
        (["--degradation", "fog=3"], "unknown degradation 'fog': choose one of blur, noise, "),
        (["--degradation", "blur"], "blur has no value that is a number, true or false"),
        (["--degradation", "blur=-1"], "blur is -1: it must be a finite number of at least 0"),
        (["--metrics", "lpips"], "unknown metric 'lpips'"),
        (["--html", str(page)], "--overwrite, replaces it"),
        (["--html", str(tmp_path / "none" / "page.html")], "there is no folder"),
    ]:
        assert main([*BENCHMARK, *words]) == 2
        assert told in capsys.readouterr().err


def test_what_is_measured_before_a_stop_is_in_the_file(tmp_path, monkeypatch, capsys):
    rows = score_table.run(["nearest"], ["samples"], [4])

    def stopped(*_):
        yield from rows
        raise KeyboardInterrupt

    monkeypatch.setattr(score_table, "run", stopped)
    assert main([*BENCHMARK, "--csv", str(tmp_path / "table.csv")]) == 130
    (row,) = readme_table.from_csv((tmp_path / "table.csv").read_text())
    assert row.method == "nearest"
    assert "samples    ×4    nearest" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_terminal_without_the_letters_costs_no_result(tmp_path, monkeypatch, name):
    written = io.BytesIO()
    monkeypatch.setattr(sys, name, io.TextIOWrapper(written, "ascii", write_through=True))
    assert main([*BENCHMARK, "--csv", str(tmp_path / "table.csv")]) == 0
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 3
    assert (b"samples    ?4    bicubic" in written.getvalue()) == (name == "stdout")
    assert main(["benchmark", "--sets", "日本"]) == 2


def test_settings_of_keras_for_another_backend_or_channels_first_stop_nothing(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    settings = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "nosuch"}
    write_image(tmp_path / "a.png", datasets.load("samples", "test")[1][:40, :40])
    command = ["benchmark", "--models", "fsrcnn", "fsrcnn-s", "--sets", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "srcnn_tf", *command],
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "retracing" not in done.stderr  # each of the six networks is traced once


def test_keras_on_another_backend_is_named(monkeypatch):
    monkeypatch.setattr("keras.config.backend", lambda: "jax")
    with pytest.raises(ImportError, match="needs Keras on TensorFlow, and it runs on jax: set KER"):
        srcnn_tf._register(keras)


def test_channels_first_is_said_and_set_right():
    keras.config.set_image_data_format("channels_first")
    with pytest.warns(
        UserWarning, match="was set to channels_first; srcnn_tf, .* to channels_last"
    ):
        srcnn_tf._register(keras)
    assert keras.config.image_data_format() == "channels_last"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes as Unix has them")
def test_output_that_is_read_no_further_ends_a_command_quietly():
    code = (
        "import sys; from srcnn_tf import cli; cli.load_tensorflow = lambda: None;"
        "vars(cli)['_upscale'].__code__ = "
        "(lambda options: [print('row', flush=True) for _ in range(10**6)]).__code__;"
        "sys.exit(cli.main(['upscale', 'a.png']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141
