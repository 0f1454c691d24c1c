"""Making weights: train a network of the table, write its weights and its card.

`python -m srcnn_tf train` calls `train`; `make weights` calls that for all that is shipped.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from srcnn_tf import datasets
from srcnn_tf.environment import cores, versions
from srcnn_tf.files import write_file
from srcnn_tf.images.pixels import quantise
from srcnn_tf.models import build
from srcnn_tf.pairs.mixed_scales import crop_margin
from srcnn_tf.pretrained import stem
from srcnn_tf.training import (
    History,
    Recipe,
    fit,
    recipe_as_json,
    split_validation,
    write_weights,
)


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
        name: a network of the table (`networks.toml`).
        scale: 2, 3 or 4.
        data: image sets by name, or folders; of `samples` and `tf_flowers`, their training part.
        recipe: how to train; its seed is that of the random weights too.
        folder: where to write; made if it is not there.
        start: "bicubic" or "random".
        resume: go on with the run in `folder`, if there is one.

    Returns:
        The run's history.

    Raises:
        ValueError: unknown model, scale or set; a test set, a copy of one of its files, or an
            image smaller than a crop among the data; see also `fit`.
        FileExistsError: `folder` holds such a run and `resume` is false, or such weights alone.
        ConnectionError: a set is not in the cache and cannot be fetched.
    """
    model = build(name, scale, start=start, seed=recipe.seed)
    folder, files = Path(folder), stem(name, scale)
    weights, run = folder / f"{files}.weights.h5", folder / f"{files}-run"
    if weights.exists() and not (resume and run.exists()):
        raise FileExistsError(
            f"{weights} exists and is kept: choose another folder, or resume the run in {run}"
        )
    patch = recipe.hr_patch + 2 * max(map(crop_margin, recipe.scales or ()), default=0)
    sets = {name: _training_images(name, patch) for name in data}
    names = [name for named in sets.values() for name, _ in named]
    images = [image for named in sets.values() for _, image in named]
    every = min(10, len(images))
    train_images, validation_images = split_validation(images, every)
    origin = {
        "start": start,
        "data": {
            name: {"images": len(named), "pixels_sha256": _digest([image for _, image in named])}
            for name, named in sets.items()
        },
    }
    history = fit(
        model,
        train_images,
        validation_images,
        recipe,
        run,
        resume,
        about=origin,
        names=names[every - 1 :: every],
    )
    # The weights file of a compiled model would hold its optimizer too.
    plain = build(name, scale)
    plain.set_weights(model.get_weights())
    write_weights(weights, plain)
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
    card = json.dumps(about, indent=1) + "\n"
    write_file(folder / f"{files}.json", card.encode(), overwrite=True)
    return history


def _training_images(name: str, hr_patch: int) -> list[tuple[str, np.ndarray]]:
    unscorable = "a network that has seen it cannot be scored on it"
    # By its name or as a folder: files that were written anew can be told by nothing else.
    parts = (*Path(name).parts, Path(name).resolve().name)
    if any(part.lower() in datasets.TEST_SETS for part in parts):
        raise ValueError(f"{name} is a test set, or in one: {unscorable}")
    named, small = [], []
    for file, image in datasets.iterate_named(name, "train" if name in datasets.PARTED else None):
        known = None if name in datasets.NAMES else datasets.name_in_test_sets(file)
        if known:
            raise ValueError(f"{file} is {known}, an image of a test set: {unscorable}")
        if min(image.shape[:2]) < hr_patch:
            small.append(f"{file} ({image.shape[0]}×{image.shape[1]})")
        named.append((file, image))
    if small:
        raise ValueError(
            f"{len(small)} of {len(named)} images are smaller than the crop of "
            f"{hr_patch}×{hr_patch} pixels: {', '.join(small[:5])}; leave them out"
        )
    return named


def _digest(images: Sequence[np.ndarray]) -> str:
    """Return the SHA-256 of the images' 8-bit pixels, one after the other."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(quantise(image, np.uint8).tobytes())
    return digest.hexdigest()
