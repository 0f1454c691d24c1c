"""What a run keeps is whole or not there; what is damaged is named."""

import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from srcnn_tf.models import fsrcnn
from srcnn_tf.training import History, load_history, run_folder, write_weights
from srcnn_tf.training.run_folder import read_progress

SOUND = {
    "recipe": {},
    "about": {},
    "history": {"step": [1], "seconds": [0.5], "loss": [0.1], "psnr": [30.0]},
    "last": "last-0.weights.h5",
    "best": "best-0.weights.h5",
}


def test_weights_written_are_read_back(tmp_path):
    one, other = fsrcnn(2, seed=1), fsrcnn(2, seed=2)
    write_weights(tmp_path / "a.weights.h5", one)
    write_weights(tmp_path / "a.weights.h5", other)  # over those that are there
    one.load_weights(tmp_path / "a.weights.h5")
    for read, written in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(read, written)
    assert [path.name for path in tmp_path.iterdir()] == ["a.weights.h5"]


def one_number():
    return keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1, use_bias=False)]
    )


def with_optimizer():
    model = fsrcnn(2)
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.parametrize("make", [one_number, with_optimizer])
def test_room_is_made_for_all_that_hdf5_writes(tmp_path, monkeypatch, make):
    """HDF5 crashes Python when the disk fills under it: the file has its size before."""
    rooms, model = [], make()
    monkeypatch.setattr(run_folder, "write_file", lambda path, data, **_: rooms.append(len(data)))
    write_weights(tmp_path / "a.weights.h5", model)
    model.save_weights(tmp_path / "a.weights.h5")
    assert rooms[0] >= (tmp_path / "a.weights.h5").stat().st_size


def test_a_full_disk_ends_in_a_sentence_and_keeps_what_was_there(tmp_path):
    pytest.importorskip("resource")
    script = textwrap.dedent(
        f"""
        import resource
        from srcnn_tf.models import srcnn
        from srcnn_tf.training import run_folder

        model, write_file = srcnn(2), run_folder.write_file

        def with_room(path, data, overwrite=False):  # 1 kB, for the last file or for all
            limit = 1000 if overwrite or everywhere else -1
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
            write_file(path, data, overwrite)

        run_folder.write_file = with_room
        for everywhere in (False, True):
            try:
                run_folder.write_weights({str(tmp_path / "a.weights.h5")!r}, model)
            except OSError as error:
                print(error)
        """
    )
    (tmp_path / "a.weights.h5").write_bytes(b"dear")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr  # HDF5 would crash at the end
    for line, name in zip(done.stdout.splitlines(), ("a", "whole"), strict=True):
        assert f"{name}.weights.h5 (File too large); nothing was written" in line
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"dear"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(SOUND)[:-40],
        "[]",
        "{}",
        json.dumps(SOUND | {"history": {"step": [1], "seconds": [], "loss": [], "psnr": []}}),
        json.dumps(SOUND | {"history": {"step": [], "seconds": [], "loss": [], "psnr": []}}),
        json.dumps(SOUND | {"last": 3}),
        json.dumps(SOUND | {"recipe": None}),
    ],
)
def test_damaged_progress_is_named_with_what_can_be_done(tmp_path, text):
    (tmp_path / "progress.json").write_text(text)
    with pytest.raises(ValueError, match=r"progress.json is missing, damaged.*delete the folder"):
        load_history(tmp_path)


def test_sound_progress_is_read(tmp_path):
    assert load_history(tmp_path) == History()
    (tmp_path / "progress.json").write_text(json.dumps(SOUND))
    assert read_progress(tmp_path)["last"] == SOUND["last"]
    assert load_history(tmp_path) == History([1], [0.5], [0.1], [30.0])
    scales = SOUND["history"] | {"psnr_of": {"x2": [31.0], "x3": [29.0]}}
    (tmp_path / "progress.json").write_text(json.dumps(SOUND | {"history": scales}))
    assert load_history(tmp_path).psnr_of["x3"] == [29.0]
    players = SOUND["history"] | {"adversarial": {"d_hr": [0.6]}}
    (tmp_path / "progress.json").write_text(json.dumps(SOUND | {"history": players}))
    assert load_history(tmp_path).adversarial == {"d_hr": [0.6]}
