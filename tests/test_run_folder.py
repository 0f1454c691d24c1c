"""What a run keeps is whole or not there; what is damaged is named."""

import json

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


def test_room_is_made_for_all_that_hdf5_writes(tmp_path, monkeypatch):
    """HDF5 crashes Python when the disk fills under it: the file has its size before."""
    rooms = []
    monkeypatch.setattr(run_folder, "write_file", lambda path, data, **_: rooms.append(len(data)))
    model = fsrcnn(2)
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    write_weights(tmp_path / "a.weights.h5", model)
    model.save_weights(tmp_path / "a.weights.h5")
    assert rooms[0] >= (tmp_path / "a.weights.h5").stat().st_size


def test_a_full_disk_keeps_the_old_weights(tmp_path, monkeypatch):
    write_weights(tmp_path / "a.weights.h5", fsrcnn(2))
    before = (tmp_path / "a.weights.h5").read_bytes()

    def full(path, data, **_):
        raise OSError(28, f"cannot write {path} (No space left on device); nothing was written")

    monkeypatch.setattr(run_folder, "write_file", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_weights(tmp_path / "a.weights.h5", fsrcnn(2, seed=1))
    assert (tmp_path / "a.weights.h5").read_bytes() == before


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
