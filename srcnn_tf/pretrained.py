"""The shipped weights: how they are trained, and how to load them.

Weights lie in `weights/` as `MODEL-xSCALE.weights.h5`, each beside a card, `MODEL-xSCALE.json`,
that says how it was made. `train` makes both; `python -m srcnn_tf train` calls it.
"""

import hashlib
import json
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

import keras
import numpy as np

from srcnn_tf import datasets
from srcnn_tf.environment import cores, versions
from srcnn_tf.images import quantise, write_file
from srcnn_tf.models import build
from srcnn_tf.training import History, Recipe, fit, recipe_as_json, split_validation

TEST_SETS = ("set5", "set14", "bsd100", "urban100")
_WEIGHTS = files("srcnn_tf") / "weights"
# SOAP's rates: the smaller the layers, the higher; the longer the run, the lower.
_RATES = {"fsrcnn-s": 8e-3, "fsrcnn-s-x2": 3e-3, "srcnn-9-5-5": 2e-3}


def available() -> list[tuple[str, int]]:
    """Return (model, scale) of every set of weights that is shipped, sorted."""
    names = [file.name for file in _WEIGHTS.iterdir() if file.name.endswith(".weights.h5")]
    split = [name.removesuffix(".weights.h5").rsplit("-x", 1) for name in names]
    return sorted((name, int(scale)) for name, scale in split)


def load_pretrained(name: str, scale: int) -> keras.Sequential:
    """Load a network of the papers with the weights that this course trained.

    Args:
        name: "srcnn-9-1-5", "srcnn-9-5-5", "fsrcnn" or "fsrcnn-s".
        scale: 2, 3 or 4.

    Returns:
        A built model from luma `[n, h, w, 1]` to luma `[n, s·h, s·w, 1]`, float32 in [0, 1].

    Raises:
        ValueError: no such weights; the message lists what there is.

    Used from lesson 04 on.
    """
    _check_available(name, scale)
    model = build(name, scale)
    with as_file(_WEIGHTS / f"{_stem(name, scale)}.weights.h5") as path:
        model.load_weights(path)
    return model


def card(name: str, scale: int) -> dict:
    """Return the card of a set of shipped weights: data, recipe, versions, scores.

    Raises:
        ValueError: no such weights; the message lists what there is.
    """
    _check_available(name, scale)
    return json.loads((_WEIGHTS / f"{_stem(name, scale)}.json").read_text())


def _check_available(name: str, scale: int) -> None:
    if (name, scale) not in available():
        there_are = ", ".join(f"{name} ×{scale}" for name, scale in available())
        raise ValueError(f"there are no weights for {name!r} ×{scale!r}; there are {there_are}")


def _stem(name: str, scale: int) -> str:
    return f"{name}-x{scale}"


def default_recipe(name: str, scale: int, **settings) -> Recipe:
    """Return the recipe of the shipped weights, but for its length.

    FSRCNN trains on LR crops of 16×16, SRCNN on HR crops of 33×33, as in its paper (32×32 where 33
    is no multiple of the scale).

    Args:
        name: a key of `models.MODELS`.
        scale: 2, 3 or 4.
        **settings: fields of `Recipe` to set otherwise, such as `steps` or `minutes`.

    Lesson 06 compares it with others.
    """
    small = name.startswith("fsrcnn")
    ours = {
        "hr_patch": 16 * scale if small else 33 // scale * scale,
        "optimizer": "soap",
        "learning_rate": _RATES.get(_stem(name, scale), _RATES.get(name, 4e-3)),
        "average": 0.999,
        "rescale": (0.9, 0.8, 0.7, 0.6),
        "steps_per_epoch": 500,
    }
    return Recipe(**{**ours, **settings})


def train(
    name: str,
    scale: int,
    data: Sequence[str],
    recipe: Recipe,
    folder: str | Path,
    start: str = "bicubic",
    resume: bool = False,
) -> History:
    """Train a network and write its weights and its card.

    `folder` receives `NAME-xSCALE.weights.h5`, `NAME-xSCALE.json` and, in `NAME-xSCALE-run/`, the
    checkpoints to resume from. One training image in ten, at least one, is held out for validation.

    Args:
        name: a key of `models.MODELS`.
        scale: 2, 3 or 4.
        data: image sets by name, or folders; of `samples` and `tf_flowers`, their training part.
        recipe: how to train; its seed is that of the random weights too.
        folder: where to write; made if it is not there.
        start: "bicubic" or "random".
        resume: go on with the run in `folder`, if there is one.

    Returns:
        The run's history.

    Raises:
        ValueError: unknown model, scale or set; a test set among the data; see also `fit`.
        FileExistsError: `folder` holds such a run and `resume` is false, or such weights alone.
        ConnectionError: a set is not in the cache and cannot be fetched.
    """
    model = build(name, scale, start=start, seed=recipe.seed)
    folder, stem = Path(folder), _stem(name, scale)
    weights, run = folder / f"{stem}.weights.h5", folder / f"{stem}-run"
    if weights.exists() and not (resume and run.exists()):
        raise FileExistsError(
            f"{weights} exists and is kept: choose another folder, or resume the run in {run}"
        )
    sets = {name: _training_images(name) for name in data}
    images = [image for images in sets.values() for image in images]
    train_images, validation_images = split_validation(images, min(10, len(images)))
    origin = {
        "start": start,
        "data": {
            name: {"images": len(images), "pixels_sha256": _digest(images)}
            for name, images in sets.items()
        },
    }
    history = fit(model, train_images, validation_images, recipe, run, resume, about=origin)
    # The weights file of a compiled model would hold its optimizer too.
    plain = build(name, scale)
    plain.set_weights(model.get_weights())
    partial = run / weights.name
    plain.save_weights(partial)
    partial.replace(weights)
    about = {
        "model": name,
        "scale": scale,
        "parameters": model.count_params(),
        "start": origin["start"],
        "recipe": recipe_as_json(recipe),
        "data": origin["data"],
        "images": {"train": len(train_images), "validation": len(validation_images)},
        "steps": history.step[-1],
        "seconds": round(history.seconds[-1]),
        "best_step": history.step[history.best],
        "validation_psnr_db": round(history.psnr[history.best], 3),
        "cores": cores(),
        "versions": versions(),
    }
    data = json.dumps(about, indent=1).encode() + b"\n"
    write_file(folder / f"{stem}.json", data, overwrite=True)
    return history


def _training_images(name: str) -> list[np.ndarray]:
    if Path(name).resolve().name.lower() in TEST_SETS:  # by its name or as a folder
        raise ValueError(f"{name} is a test set: a network that has seen it cannot be scored on it")
    return datasets.load(name, "train" if name in ("samples", "tf_flowers") else None)


def _digest(images: Sequence[np.ndarray]) -> str:
    """Return the SHA-256 of the images' 8-bit pixels, one after the other."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(quantise(image, np.uint8).tobytes())
    return digest.hexdigest()
