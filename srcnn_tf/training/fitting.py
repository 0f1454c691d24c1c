"""`fit`: Keras's `model.fit` with the course's habits built in.

Random crops that never repeat, PSNR on held-out training images, averaged weights, checkpoints that
survive a kill.
"""

import contextlib
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf.images.pixels import as_array, as_float, check_sides
from srcnn_tf.images.resizing import resize
from srcnn_tf.layers import BicubicUpsampling
from srcnn_tf.metrics import PSNR, Protocol, mse
from srcnn_tf.optimizers import OPTIMIZERS, AdjustablyClippedSGD, LayerRates
from srcnn_tf.pairs import image_pair, random_crops
from srcnn_tf.pairs.crops import steady
from srcnn_tf.pairs.mixed_scales import mixed_scale_crops
from srcnn_tf.probes import scale_of
from srcnn_tf.ranges import check_choice, check_number
from srcnn_tf.training import callbacks as roles
from srcnn_tf.training.devices import check_same, together
from srcnn_tf.training.recipe import History, Recipe, recipe_as_json
from srcnn_tf.training.timing import settled

_VALIDATION_SIDE = 192
_TELLING_MSE = 0.5  # of bicubic interpolation, in squared grey levels: rounding makes up to 0.33
_HIGHEST_PSNR = 100.0  # dB, for an image that is restored without error


def split_validation(
    images: Sequence[np.ndarray], every: int = 10
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Hold out every tenth training image for validation; test images choose nothing.

    Exact copies of held-out images are dropped (T91 holds one photograph twice).

    Args:
        images: the training images; neighbours in the list that show one scene may be parted.
        every: hold out one image in so many.

    Returns:
        The images to train on and the images to validate on.

    Raises:
        ValueError: too few images to hold one out.
    """
    check_number("every", every, whole=True)
    if not 1 < every <= len(images):
        told = f"cannot hold out one in {every} of {len(images)} images"
        raise ValueError(f"{told}: give at least {max(every, 2)}, of which one is not trained on")
    contents = lambda image: (np.shape(image), hash(np.asarray(image).tobytes()))  # noqa: E731
    held_out = list(images[every - 1 :: every])
    seen = {contents(image) for image in held_out}
    return [image for image in images if contents(image) not in seen], held_out


def fit(
    model: keras.Model,
    train_images: Sequence[np.ndarray],
    validation_images: Sequence[np.ndarray],
    recipe: Recipe,
    folder: str | Path | None = None,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    about: Mapping | None = None,
    names: Sequence[str] = (),
) -> History:
    """Train a model; it ends with the averaged weights of the best validation epoch.

    Scale and channels are the model's own, unless `recipe.scales` names several: then it learns,
    and is validated, at all of them; only its interpolation differs. Progress is one line with the
    time left. Devices share each batch where the model was built in the scope of
    `devices.strategy()`. With a folder, each epoch leaves there `progress.json`, the state to
    resume from, and the best epoch's averaged weights, `best-N.weights.h5`; a kill loses no more
    than the epoch it falls into.

    Args:
        model: maps `[n, h, w, c]` to `[n, s·h, s·w, c]`; compiled anew here. Or an
            `adversarial.Adversarial` of such a model, which keeps the last epoch's weights.
        train_images: photographs `[H, W, c']` in [0, 1].
        validation_images: training images that are held out, never test images. A centre crop
            of each is scored after every epoch, under the protocol; all crops are as large as
            the smallest of the images, and at most 192 pixels a side. Blank crops, which bicubic
            interpolation restores as well, are reported and left out: their PSNR, infinite or
            close to it, would decide alone.
        recipe: how to train.
        folder: where to keep checkpoints; made if it is not there. None keeps none.
        resume: go on with the run in `folder`, if there is one.
        callbacks: more of Keras's callbacks; in `on_test_end` they see the averaged weights.
        about: what else the run depends on, such as its data, as JSON; kept in `folder`.
        names: what messages call the validation images; the default is their numbers from 1 up.

    Returns:
        The run's history, from its very start if resumed.

    Raises:
        ValueError: images or recipe do not fit the model (see `pairs.random_crops`); all
            validation images are blank; the run in `folder` followed another recipe, depended on
            something else, or is damaged.
        FileExistsError: `folder` holds a run and `resume` is false.
        FloatingPointError: the loss became NaN or infinite.
        ConnectionError: of several workers one is lost.
        KeyboardInterrupt: Ctrl-C, or a notebook's stop button. What `folder` holds stays whole
            whatever is raised.
        OSError: a checkpoint cannot be written: the disk is full, for one.

    Derived in lesson 03.
    """
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    _check_devices(strategy, recipe)
    trained = _after_interpolation(model) if recipe.scales else model
    scales = tuple(recipe.scales or [scale_of(model)])
    with tempfile.TemporaryDirectory() as scratch:
        run = roles.Run(recipe)
        recorder, stopping = roles.Recorder(run), roles.Stopping(run)
        place = Path(scratch if folder is None else folder)
        about = {**(about or {}), **getattr(model, "about", {})}
        checkpoints = roles.Checkpoints(run, recorder, place, about, resume)
        check_same(strategy, json.dumps([recipe_as_json(run.recipe), checkpoints.about, run.step]))
        batches = _batches(model, train_images, recipe, run.step)
        names = names or [f"number {n}" for n in range(1, len(validation_images) + 1)]
        inputs, hr_images = _validation_batch(model, validation_images, names, recipe)
        shared = len(inputs) - len(inputs) % replicas
        if shared < len(inputs):
            if not shared:
                raise ValueError(f"hold out more: {replicas} devices share the validation images")
            print(f"{replicas} devices validate on {shared} of {len(inputs)} images, evenly shared")
            inputs, hr_images = inputs[:shared], hr_images[:shared]
        run.recipe = recipe = settled(run.recipe, trained, batches, _optimizer)
        with strategy.scope():
            parts = [PSNR(Protocol(border=max(scales)), most=_HIGHEST_PSNR)]
            parts += [_PSNRAt(scales, scale) for scale in recipe.scales or ()]
            jit_compile: Any = "auto" if recipe.jit_compile is None else recipe.jit_compile
            optimizer = _optimizer(trained, recipe)
            trained.compile(optimizer, recipe.loss, metrics=parts, jit_compile=jit_compile)
            checkpoints.restore(trained)
        # Outermost first: when the recorder sees the end of a validation, the averaged weights are
        # still in the model; at the end of an epoch, the trained ones are back.
        own = [roles.Pace(run), recorder, checkpoints, roles.ProgressLine(run), stopping]
        swap = [keras.callbacks.SwapEMAWeights()] if recipe.ema is not None else []
        done = len(run.history.step)
        epochs = done if recipe.steps and run.done == 1 else sys.maxsize  # which `stopping` ends
        precision = roles.Precision(run, trained)
        with stopping.interrupts_noted(), contextlib.closing(precision), together():
            trained.fit(
                batches,
                validation_data=steady(tf.data.Dataset.from_tensors((inputs, hr_images))),
                initial_epoch=done,
                epochs=epochs,
                steps_per_epoch=recipe.steps_per_epoch,
                callbacks=[*own, precision, *callbacks, *swap],
                shuffle=False,  # the crops are random already
                verbose=0,
            )
        model.set_weights(checkpoints.best.get_weights())
    return run.history


def _check_devices(strategy: tf.distribute.Strategy, recipe: Recipe) -> None:
    replicas = strategy.num_replicas_in_sync
    if recipe.minutes and isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        raise ValueError("several machines train for steps, not for minutes: their clocks differ")
    if recipe.batch_size % replicas:
        told = f"batch_size is {recipe.batch_size}: {replicas} devices share each batch, so it must"
        raise ValueError(f"{told} be a multiple of {replicas} (CUDA_VISIBLE_DEVICES hides some)")
    if recipe.scales and replicas > 1:
        cure = "build the model outside of a strategy's scope, or train one scale"
        raise ValueError(f"several scales train on one device, not on {replicas}: {cure}")


def _after_interpolation(model: keras.Model) -> keras.Model:
    """Return what comes after a model's first layer, which enlarges: the same for every scale."""
    first, *rest = (it for it in model.layers if not isinstance(it, keras.layers.InputLayer))
    if not isinstance(first, BicubicUpsampling) or hasattr(model, "discriminator"):
        told = f"the model {model.name!r} does not begin with BicubicUpsampling, or is adversarial"
        raise ValueError(f"{told}: it fits one scale, so leave `scales` of the recipe at None")
    if isinstance(model, keras.Sequential):
        shape = (None, None, model.input_shape[-1])
        return keras.Sequential([keras.Input(shape), *rest], name=model.name)
    return keras.Model(first.output, model.output, name=model.name)


def _batches(
    model: keras.Model, images: Sequence[np.ndarray], recipe: Recipe, first: int
) -> tf.data.Dataset:
    make: Any = mixed_scale_crops if recipe.scales else random_crops
    shared = ("hr_patch", "batch_size", "flips", "rotations", "rescale", "degradation", "seed")
    options = {name: getattr(recipe, name) for name in shared}
    scale = recipe.scales or scale_of(model)
    return make(images, scale, channels=model.input_shape[-1], first_batch=first, **options)


class _PSNRAt(PSNR):
    """PSNR of one scale's share of a batch, in which the scales follow each other."""

    def __init__(self, scales: Sequence[int], scale: int):
        super().__init__(Protocol(border=scale), f"psnr_x{scale}", _HIGHEST_PSNR)
        self.place, self.parts = scales.index(scale), len(scales)

    def update_state(self, y_true, y_pred, sample_weight=None):
        share = tf.shape(y_true)[0] // self.parts
        own = slice(self.place * share, (self.place + 1) * share)
        return super().update_state(y_true[own], y_pred[own])


def _optimizer(model: keras.Model, recipe: Recipe) -> keras.optimizers.Optimizer:
    """Make the recipe's optimizer, with a rate of its own for each layer that the recipe names."""
    make = OPTIMIZERS[recipe.optimizer]
    if recipe.theta is not None:
        make = partial(AdjustablyClippedSGD, recipe.theta)
    settings: dict = {"learning_rate": recipe.learning_rate, "global_clipnorm": recipe.clipnorm}
    if recipe.ema is not None:
        settings |= {"use_ema": True, "ema_momentum": recipe.ema}
    if not recipe.rate_factors and model.distribute_strategy.num_replicas_in_sync == 1:
        return make(**settings)
    layers = {layer.name: layer for layer in model.layers if layer.trainable_variables}
    for name in recipe.rate_factors:
        check_choice("layer of rate_factors", name, layers)
    factors: list[float] = []
    for name, layer in layers.items():
        factors += [recipe.rate_factors.get(name, 1)] * len(layer.trainable_variables)
    return LayerRates(make(), factors, **settings)


def _validation_batch(
    model: keras.Model, images: Sequence[np.ndarray], names: Sequence[str], recipe: Recipe
) -> tuple[np.ndarray, np.ndarray]:
    """Cut one centre crop from each image, all of one size: XLA compiles anew for each size."""
    scales, channels = recipe.scales or [scale_of(model)], model.input_shape[-1]
    images = [as_array(image) for image in images]
    check_sides(images, recipe.hr_patch, names, "validation images")
    side = min(_VALIDATION_SIDE, *(min(image.shape[:2]) for image in images))
    if recipe.scales:
        side -= side % math.lcm(*scales)
    crops: list[np.ndarray] = []
    blank: list[str] = []
    for name, image in zip(names, images, strict=True):
        top, left = ((length - side) // 2 for length in image.shape[:2])
        crop = as_float(image[top : top + side, left : left + side])
        lr_image, hr_image = image_pair(crop, min(scales), channels)
        interpolated = resize(lr_image, hr_image.shape[:2])
        if mse(hr_image, interpolated, Protocol(border=min(scales))) > _TELLING_MSE:
            crops.append(crop)
        else:
            blank.append(name)
    if blank:
        told = f"of {len(images)} validation images, {len(blank)} are blank: {', '.join(blank)}"
        if not crops:
            raise ValueError(f"{told}. Bicubic restores them as well: take photographs")
        print(f"{told}; left out")
    pairs = []
    for scale in scales:
        for number, crop in enumerate(crops):
            lr_image, hr_image = image_pair(crop, scale, channels, recipe.degradation, number)
            pairs.append((resize(lr_image, (side, side)) if recipe.scales else lr_image, hr_image))
    inputs, hr_images = zip(*pairs, strict=True)
    return np.stack(inputs), np.stack(hr_images)
