"""Making weights: train a network of the table, write its weights and its card.

`python -m srcnn_tf train` calls `train`; `make weights` calls that for all that is shipped.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from srcnn_tf import datasets, figures
from srcnn_tf.environment import cores, versions
from srcnn_tf.files import write_file
from srcnn_tf.images.pixels import check_sides, quantise
from srcnn_tf.images.resizing import resize
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.models import STARTS, build, discriminator
from srcnn_tf.networks import find
from srcnn_tf.pairs.crops import degradation_margin
from srcnn_tf.pairs.degradation import AnyDegradation
from srcnn_tf.pairs.mixed_scales import crop_margin
from srcnn_tf.pairs.pixel_row import PixelRow
from srcnn_tf.pairs.whole_images import image_pair
from srcnn_tf.pretrained import load_pretrained, stem
from srcnn_tf.probes import scale_of
from srcnn_tf.training import History, Recipe, fit, split_validation, write_weights
from srcnn_tf.training.adversarial import Adversarial, content_loss
from srcnn_tf.training.devices import strategy
from srcnn_tf.training.run_folder import read_progress
from srcnn_tf.upscaling import upscale

_HELD_OUT = 100  # images at most, or nearly: they are validated as one batch


def train(
    name: str,
    scale: int,
    data: Sequence[str],
    recipe: Recipe,
    folder: str | Path,
    start: str | None = None,
    resume: bool = False,
    channels: int | None = None,
    tensorboard: bool = False,
) -> History:
    """Train a network; write its weights, its card and two figures.

    `folder` receives `NAME-xSCALE.weights.h5`, the card `NAME-xSCALE.json`, the run's curves and a
    held-out image before and after as `NAME-xSCALE-curves.png` and `…-example.png`, and, in
    `NAME-xSCALE-run/`, the checkpoints to resume from. One training image in ten is held out for
    validation, at least one, and of many images about a hundred. `pretrained.load_pretrained` reads
    what is written.

    Args:
        name: a network of the table (`networks.toml`).
        scale: 2, 3 or 4.
        data: image sets by name, or folders; of sets of `datasets.PARTED`, the part to train on.
        recipe: how to train; its seed is that of the random weights too. A network that the table
            gives an adversary minimises `adversarial.content_loss` in place of the recipe's loss.
        folder: where to write; made if it is not there.
        start: "bicubic" or "random"; or whose weights it goes on from: a name, folder or file as
            for `pretrained.load_pretrained`; None for what the table has.
        resume: go on with the run in `folder`, if there is one.
        channels: 1 for luma, 3 for RGB; None for what the table has.
        tensorboard: write a log for TensorBoard too, into `NAME-xSCALE-log/`.

    Returns:
        The run's history.

    Raises:
        ValueError: unknown model, scale or set; a start of other weights than the model's; a test
            set, a copy of one of its files, or an image smaller than a crop among the data; see
            also `fit`.
        FileExistsError: `folder` holds such a run and `resume` is false, or such weights alone.
        ImportError: TensorBoard is asked for and not installed.
        ConnectionError: a set is not in the cache and cannot be fetched.
    """
    if tensorboard and not find_spec("tensorboard"):
        raise ImportError("TensorBoard is not installed: pip install tensorboard")
    network = find(name)
    channels = network.channels if channels is None else channels
    start = network.start if start is None else start
    with strategy(one=bool(recipe.scales) or network.adversary is not None).scope():
        own = {"start": start} if start in STARTS else {}
        model = build(name, scale, channels=channels, seed=recipe.seed, **own)
        if not own:
            model.set_weights(_weights_to_start_from(start, model))
        if network.adversary is not None:
            options = {"channels": channels, "seed": recipe.seed, **network.adversary}
            model = Adversarial(model, discriminator(None, **options))
            recipe = replace(recipe, loss=content_loss())
    folder, files = Path(folder), stem(name, scale)
    weights, run = folder / f"{files}.weights.h5", folder / f"{files}-run"
    if weights.exists() and not (resume and run.exists()):
        raise FileExistsError(f"{weights} exists: choose another folder, or resume the run {run}")
    patch = recipe.hr_patch + 2 * max(map(crop_margin, recipe.scales or ()), default=0)
    patch += 2 * degradation_margin(recipe.degradation, scale)
    kept, names, sets = PixelRow(), list[str](), {}
    for source in dict.fromkeys(data):
        digest, before = hashlib.sha256(), len(names)
        for file, image in _training_images(source):
            kept.append(pixels := quantise(image, np.uint8))
            digest.update(pixels.tobytes())
            names.append(file)
        sets[source] = {"images": len(names) - before, "pixels_sha256": digest.hexdigest()}
    origin = {"start": start, "channels": channels, "data": sets}
    images = kept.images()
    check_sides(images, patch, names)
    every = max(min(10, len(images)), len(images) // _HELD_OUT)
    train_images, validation_images = split_validation(images, every)
    names = names[every - 1 :: every]
    chief = model.distribute_strategy.extended.should_checkpoint  # of several workers, one writes
    log = [keras.callbacks.TensorBoard(folder / f"{files}-log")] if tensorboard and chief else []
    history = fit(
        model, train_images, validation_images, recipe, run, resume, log, about=origin, names=names
    )
    if not chief:
        return history
    # The weights file of a compiled model would hold its optimizer too.
    plain = build(name, scale, channels=channels)
    plain.set_weights(model.get_weights())
    write_weights(weights, plain, network.half)
    about = {
        "model": name,
        "scale": scale,
        **origin,
        "parameters": model.count_params(),
        "recipe": read_progress(run)["recipe"],
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
    title = f"{name} ×{scale}"
    _write_figure(folder / f"{files}-curves.png", figures.training_curves({title: history}))
    example = _example(plain, title, validation_images[0], names[0], recipe.degradation)
    _write_figure(folder / f"{files}-example.png", example)
    return history


def _weights_to_start_from(start: str, model: keras.Model) -> list[np.ndarray]:
    weights = load_pretrained(start, scale_of(model)).get_weights()
    if [w.shape for w in weights] != [w.shape for w in model.get_weights()]:
        raise ValueError(
            f"the weights of {start} do not fit {model.name} for {model.input_shape[-1]} channels: "
            f"start from its own kind, or choose {' or '.join(STARTS)}"
        )
    return weights


def _example(
    model: keras.Model, title: str, image: np.ndarray, name: str, degradation: AnyDegradation
) -> Figure:
    """Show the middle of a held-out image before and after, beside the truth."""
    scale = scale_of(model)
    lr_image, hr_image = image_pair(image, scale, image.shape[2], degradation)
    height, width = hr_image.shape[:2]
    images = {
        "bicubic": np.clip(resize(lr_image, (height, width)), 0, 1),
        title: upscale(lr_image, model),
        "original": hr_image,
    }
    protocol = Protocol(border=scale)
    scores = {
        method: f"{float(psnr(hr_image, images[method], protocol)):.2f} dB"
        for method in ("bicubic", title)
    }
    side = min(height, width, 96)
    box = ((height - side) // 2, (width - side) // 2, side, side)
    return figures.comparison(images, box, scores, title=f"{Path(name).name}, held out")


def _write_figure(path: Path, figure: Figure) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_file(path, buffer.getvalue(), overwrite=True)


def _training_images(name: str) -> Iterator[tuple[str, np.ndarray]]:
    unscorable = "a network that has seen it cannot be scored on it"
    # By its name or as a folder: files that were written anew can be told by nothing else.
    parts = (*Path(name).parts, Path(name).resolve().name)
    if any(part.lower() in datasets.TEST_SETS for part in parts):
        raise ValueError(f"{name} is a test set, or in one: {unscorable}")
    for file, image in datasets.iterate_named(name, "train" if name in datasets.PARTED else None):
        known = None if name in datasets.NAMES else datasets.name_in_test_sets(file)
        if known:
            raise ValueError(f"{file} is {known}, an image of a test set: {unscorable}")
        yield file, image
