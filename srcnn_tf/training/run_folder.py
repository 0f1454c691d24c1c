"""What a run keeps in its folder: written whole or not at all, checked when it is read."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from srcnn_tf.files import write_file
from srcnn_tf.training.recipe import History

PROGRESS = "progress.json"
_HDF5_BYTES = 8192  # more than HDF5 adds to a variable's own, or to all of them


def write_weights(path: str | Path, model: keras.Model) -> None:
    """Write a model's weights over those that are there; its optimizer's too if it is compiled.

    Args:
        path: ends in `.weights.h5`, as Keras's `load_weights` wants it.
        model: any built model; with an `Adversarial`, its discriminator goes too.

    Raises:
        OSError: see `files.write_file`; there is no room for a temporary file of that size.
    """
    variables = list(model.variables)
    for name in ("optimizer", "discriminator", "discriminator_optimizer"):
        variables += getattr(getattr(model, name, None), "variables", ())
    room = _HDF5_BYTES + sum(variable.numpy().nbytes + _HDF5_BYTES for variable in variables)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole.weights.h5"
        # HDF5 crashes Python when the disk fills under it: let it write only where there is room.
        write_file(whole, bytes(room))
        model.save_weights(whole)
        write_file(path, whole.read_bytes(), overwrite=True)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Path]:
    """Name the file of a run that cannot be read, and say what can be done, as a ValueError."""
    try:
        yield path
    except Exception as error:  # h5py, Keras and JSON raise many kinds
        told = f"{path} is missing, damaged or another network's, and its run cannot go on"
        raise ValueError(f"{told}: delete the folder {path.parent} to train anew") from error


def read_progress(folder: Path) -> dict:
    """Return what a run's `progress.json` holds, its history as `History`; {} if it is not there.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / PROGRESS
    if not path.exists():
        return {}
    with reading(path):
        saved = json.loads(path.read_text())
        saved["history"] = History(**saved["history"])
        *curves, of_scales, adversarial = vars(saved["history"]).values()
        # This raises where lengths differ.
        measured = np.array([*curves, *of_scales.values(), *adversarial.values()])
        sound = (
            measured.ndim == 2
            and measured.size
            and measured.dtype.kind == "f"
            and all(isinstance(saved[name], str) for name in ("last", "best"))
            and all(isinstance(part, dict) for part in (saved["recipe"], saved.get("about", {})))
        )
        if not sound:
            raise ValueError("not what a run writes")
    return saved


def load_history(folder: str | Path) -> History:
    """Return the history of a run that `fit` keeps in a folder; empty before its first epoch.

    Raises:
        ValueError: the folder's `progress.json` is damaged.
    """
    return read_progress(Path(folder)).get("history", History())
