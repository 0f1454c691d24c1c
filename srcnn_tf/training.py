"""One recipe that says how a model is trained, and one function that does it.

`fit` is Keras's `model.fit` with the course's habits built in: random crops that never repeat,
PSNR on held-out training images, averaged weights, checkpoints that survive a kill.
"""

import contextlib
import json
import math
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from srcnn_tf.images import as_float, write_file
from srcnn_tf.metrics import PSNR, Protocol
from srcnn_tf.models import scale_of
from srcnn_tf.optimizers import SOAP
from srcnn_tf.pairs import image_pair, random_crops

OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "soap": SOAP,
    "sgd": lambda **settings: keras.optimizers.SGD(momentum=0.9, **settings),
}
SCHEDULES = ("cosine", "constant", "exponential")
WARM_UP = 0.1  # part of a cosine schedule in which the rate rises
_VALIDATION_SIDE = 192
_PROGRESS = "progress.json"


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. The defaults suit SRCNN and FSRCNN with a bicubic start.

    Attributes:
        steps: length of the run in batches, or None for a run of `minutes`.
        minutes: length of the run in minutes of training, or None for a run of `steps`.
        optimizer: "adam", "soap" (`optimizers.SOAP`), "rmsprop", or "sgd" (with momentum 0.9).
        learning_rate: the rate that the schedule multiplies.
        rate_factors: layer name to a factor of its rate, such as `{"reconstruction": 0.1}`, the
            SRCNN paper's; layers that are not named have 1.
        schedule: "cosine" (up from 0 in the first tenth, then down to 0), "constant", or
            "exponential" (times `decay` after each batch).
        decay: factor of the exponential schedule, in (0, 1].
        average: momentum of the moving average of weights that is validated and kept, or None.
        clipnorm: largest norm of a step's whole gradient, or None.
        loss: a Keras loss or its name.
        hr_patch: side of an HR crop in pixels, a multiple of the model's scale.
        batch_size: crops in a batch.
        flips: see `pairs.random_crops`, as the next three.
        rotations: turn crops by multiples of 90°.
        rescale: factors of additional smaller copies of the images.
        blur_sigma: Gaussian blur before downscaling, in HR pixels.
        steps_per_epoch: batches from one validation and checkpoint to the next.
        patience: epochs without a better validation PSNR before the run stops early, or None.
        seed: of the crops. (The weights' seed belongs to the model's builder.)
        jit_compile: as in `model.compile`: "auto" uses XLA where there is a GPU. What it does to
            a step on a CPU, `benchmarks/steps.py` measures.
    """

    steps: int | None = 4000
    minutes: float | None = None
    optimizer: str = "adam"
    learning_rate: float = 2e-3
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    schedule: str = "cosine"
    decay: float = 0.9975
    average: float | None = 0.99
    clipnorm: float | None = 0.1
    loss: str | Callable = "mse"
    hr_patch: int = 48
    batch_size: int = 16
    flips: bool = True
    rotations: bool = True
    rescale: Sequence[float] = ()
    blur_sigma: float = 0.0
    steps_per_epoch: int = 100
    patience: int | None = None
    seed: int = 0
    jit_compile: bool | str = "auto"

    def __post_init__(self):
        """Check what Keras and `random_crops` would not.

        Raises:
            ValueError: an unknown name, or a number out of its range.
        """
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either steps or minutes, and None for the other")
        for name in ("steps", "minutes", "learning_rate", "steps_per_epoch", "patience"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}: it must be above 0")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay is {self.decay}: it must be above 0 and at most 1")
        for name, factor in self.rate_factors.items():
            if factor < 0:
                raise ValueError(f"the rate factor of {name!r} is {factor}: it must be at least 0")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}: choose one of {', '.join(known)}"
                )

    def done(self, step: int, seconds: float) -> float:
        """Return which part of the run is over, in [0, 1]."""
        return min(1.0, step / self.steps if self.steps else seconds / (60 * self.minutes))

    def rate(self, step: int, seconds: float) -> float:
        """Return the learning rate after so many steps and seconds."""
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "exponential":
            return self.learning_rate * self.decay**step
        done = self.done(step, seconds)
        return self.learning_rate * min(1, done / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * done))


@dataclass
class History:
    """What a run measured, one entry for each epoch.

    Attributes:
        step: batches since the start.
        seconds: time spent in training since the start, validation and checkpoints included.
        loss: training loss, mean over the epoch.
        psnr: validation PSNR in dB, of the averaged weights.
    """

    step: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)

    @property
    def best(self) -> int:
        """The epoch with the highest validation PSNR, counted from 0."""
        return int(np.argmax(self.psnr))


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
    if not 1 < every <= len(images):
        raise ValueError(f"cannot hold out one in {every} of {len(images)} images")
    held_out = list(images[every - 1 :: every])
    train = [
        image for image in images if not any(np.array_equal(image, other) for other in held_out)
    ]
    return train, held_out


def fit(
    model: keras.Model,
    train_images: Sequence[np.ndarray],
    validation_images: Sequence[np.ndarray],
    recipe: Recipe,
    folder: str | Path | None = None,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    about: Mapping | None = None,
) -> History:
    """Train a model; it ends with the averaged weights of the best validation epoch.

    Scale and channels are the model's own. Progress is one line with the time left. With a folder,
    each epoch leaves there `progress.json`, the state to resume from, and the best epoch's averaged
    weights, `best-N.weights.h5`; a kill loses no more than the epoch it falls into.

    Args:
        model: maps `[n, h, w, c]` to `[n, s·h, s·w, c]`; compiled anew here.
        train_images: photographs `[H, W, c']` in [0, 1].
        validation_images: training images that are held out, never test images. A centre crop
            of each is scored after every epoch, under the protocol; all crops are as large as
            the smallest of the images, and at most 192 pixels a side.
        recipe: how to train.
        folder: where to keep checkpoints; made if it is not there. None keeps none.
        resume: go on with the run in `folder`, if there is one.
        callbacks: more of Keras's callbacks; in `on_test_end` they see the averaged weights.
        about: what else the run depends on, such as its data, as JSON; kept in `folder`.

    Returns:
        The run's history, from its very start if resumed.

    Raises:
        ValueError: images or recipe do not fit the model (see `pairs.random_crops`); the run in
            `folder` followed another recipe, or depended on something else.
        FileExistsError: `folder` holds a run and `resume` is false.
        FloatingPointError: the loss became NaN or infinite.
        KeyboardInterrupt: Ctrl-C, or a notebook's stop button; the last checkpoint is whole.

    Derived in lesson 03.
    """
    channels = model.input_shape[-1]
    scale = scale_of(model)
    with tempfile.TemporaryDirectory() as scratch:
        run = _Run(recipe, Path(folder or scratch), resume, about)
        batches = random_crops(
            train_images,
            scale,
            recipe.hr_patch,
            recipe.batch_size,
            channels=channels,
            flips=recipe.flips,
            rotations=recipe.rotations,
            rescale=recipe.rescale,
            blur_sigma=recipe.blur_sigma,
            seed=recipe.seed,
            first_batch=run.step,
        )
        lr_images, hr_images = _validation_batch(validation_images, scale, channels, recipe)
        model.compile(
            _optimizer(model, recipe),
            loss=recipe.loss,
            metrics=[PSNR(Protocol(border=scale))],
            jit_compile=recipe.jit_compile,
        )
        run.restore(model)
        # Outermost first: when `run` sees the end of a validation, the averaged weights are
        # still in the model; at the end of an epoch, the trained ones are back.
        swap = [keras.callbacks.SwapEMAWeights()] if recipe.average is not None else []
        done = len(run.history.step)
        left = (
            math.ceil((recipe.steps - run.step) / recipe.steps_per_epoch) if recipe.steps else 10**9
        )
        with _interrupts_noted(run):
            model.fit(
                batches,
                validation_data=(lr_images, hr_images),
                validation_batch_size=len(lr_images),
                initial_epoch=done,
                epochs=done + left,
                steps_per_epoch=recipe.steps_per_epoch,
                callbacks=[run, *callbacks, *swap],
                shuffle=False,  # the crops are random already
                verbose=0,
            )
        model.set_weights(run.best_weights())
    return run.history


def load_history(folder: str | Path) -> History:
    """Return the history of a run that `fit` keeps in a folder; empty before its first epoch."""
    path = Path(folder) / _PROGRESS
    return History(**json.loads(path.read_text())["history"]) if path.exists() else History()


def _optimizer(model: keras.Model, recipe: Recipe) -> keras.optimizers.Optimizer:
    """Make the recipe's optimizer, with a rate of its own for each layer that the recipe names."""
    optimizer = OPTIMIZERS[recipe.optimizer](
        learning_rate=recipe.learning_rate,
        global_clipnorm=recipe.clipnorm,
        use_ema=recipe.average is not None,
        ema_momentum=recipe.average or 0.99,
    )
    layers = {layer.name: layer for layer in model.layers if layer.trainable_variables}
    for name in recipe.rate_factors:
        if name not in layers:
            raise ValueError(
                f"rate_factors names {name!r}; the layers that train are {', '.join(layers)}"
            )
    factors = [
        recipe.rate_factors.get(layer.name, 1)
        for layer in layers.values()
        for _ in layer.trainable_variables
    ]
    update = optimizer.update_step

    def update_at_own_rate(gradient, variable, rate):
        # By its place: on TensorFlow, Keras passes its own variable's inner one.
        update(gradient, variable, rate * factors[optimizer._get_variable_index(variable)])

    optimizer.update_step = update_at_own_rate
    return optimizer


def _validation_batch(
    images: Sequence[np.ndarray], scale: int, channels: int, recipe: Recipe
) -> tuple[np.ndarray, np.ndarray]:
    """Cut one centre crop from each image, all of one size: XLA compiles anew for each size."""
    if not images:
        raise ValueError("there are no validation images: hold some out with split_validation")
    images = [as_float(image) for image in images]
    side = min(_VALIDATION_SIDE, *(side for image in images for side in image.shape[:2]))
    if side < recipe.hr_patch:
        raise ValueError(
            f"a validation image has a side of {side} pixels: it must be at least as large as the "
            f"training crops, {recipe.hr_patch}"
        )
    pairs = []
    for image in images:
        top, left = ((length - side) // 2 for length in image.shape[:2])
        crop = image[top : top + side, left : left + side]
        pairs.append(image_pair(crop, scale, channels, recipe.blur_sigma))
    lr_images, hr_images = zip(*pairs, strict=True)
    return np.stack(lr_images), np.stack(hr_images)


@contextlib.contextmanager
def _interrupts_noted(run: "_Run"):
    """Let the first Ctrl-C end the run after a whole batch, and a second one at once.

    Python drops a KeyboardInterrupt that falls into a destructor, and the end of a Keras epoch runs
    many: the training would go on.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone hears of signals
        yield
        return

    def note(number, frame):
        run.interrupted = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Run(keras.callbacks.Callback):
    """The state of a run: schedule, history, checkpoints, progress line, reasons to stop."""

    def __init__(self, recipe: Recipe, folder: Path, resume: bool, about: Mapping | None):
        super().__init__()
        self.recipe, self.folder, self.about = recipe, folder, dict(about or {})
        self.history, self.step, self.averaged = History(), 0, None
        self.interrupted = False
        self.state = None
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / _PROGRESS).exists():
            if not resume:
                raise FileExistsError(
                    f"{folder} holds a run: pass resume=True to go on with it, or another folder"
                )
            self.state = json.loads((folder / _PROGRESS).read_text())
            self._check_same()
            self.history = History(**self.state["history"])
            self.step = self.history.step[-1]

    def _check_same(self) -> None:
        """Refuse another recipe or other data; only length and compiler may change."""
        free = dict.fromkeys(["steps", "minutes", "patience", "jit_compile"])
        now = {**recipe_as_json(self.recipe), **free, **self.about}
        before = {**self.state["recipe"], **free, **self.state.get("about", {})}
        changed = [name for name in now if now[name] != before.get(name)]
        if changed:
            raise ValueError(
                f"{self.folder} holds another run: "
                + ", ".join(f"{name} was {before.get(name)!r}" for name in changed)
            )

    def restore(self, model: keras.Model) -> None:
        """Put the last checkpoint, optimizer included, into a compiled model."""
        # The weights file of a compiled model holds its optimizer too.
        self.plain = type(model).from_config(model.get_config())
        model.optimizer.build(model.trainable_variables)
        if self.state:
            model.load_weights(self.folder / self.state["last"])

    def best_weights(self) -> list[np.ndarray]:
        """Read the averaged weights of the best epoch."""
        self.plain.load_weights(self.folder / self.state["best"])
        return self.plain.get_weights()

    def on_train_begin(self, logs=None):
        self.started = time.perf_counter() - (self.history.seconds or [0])[-1]
        self.bar = tqdm(
            total=100,
            desc=f"training {self.model.name}",
            bar_format="{desc}: {percentage:3.0f} % |{bar:20}| {elapsed}<{remaining}{postfix}",
            file=sys.stdout,
            mininterval=1,
        )
        self._report()

    def _seconds(self) -> float:
        return time.perf_counter() - self.started

    def _report(self) -> None:
        self.bar.n = round(100 * self.recipe.done(self.step, self._seconds()), 1)
        text = f" step {self.step}"
        if self.history.step:
            text += f", loss {self.history.loss[-1]:.5f}, PSNR {self.history.psnr[-1]:.2f} dB"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.refresh()

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate.assign(self.recipe.rate(self.step, self._seconds()))

    def on_train_batch_end(self, batch, logs=None):
        if self.interrupted:
            raise KeyboardInterrupt
        self.step += 1
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss became {logs['loss']} at step {self.step}. Try a lower learning rate "
                f"than {self.recipe.learning_rate:g}, or a clipnorm; the last checkpoint is whole"
            )
        if self.recipe.done(self.step, self._seconds()) >= 1:
            self.model.stop_training = True

    def on_test_end(self, logs=None):
        self.averaged = self.model.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (
            ("step", self.step),
            ("seconds", self._seconds()),
            ("loss", float(logs["loss"])),
            ("psnr", float(logs["val_psnr"])),
        ):
            getattr(self.history, name).append(value)
        self._checkpoint(epoch)
        self._report()
        patience = self.recipe.patience
        if patience is not None and epoch - self.history.best >= patience:
            self.model.stop_training = True

    def _checkpoint(self, epoch: int) -> None:
        """Save the epoch under names of its own, then make them the state in one move."""
        before = self.state or {}
        self.state = {
            "recipe": recipe_as_json(self.recipe),
            "about": self.about,
            "history": asdict(self.history),
            "last": f"last-{epoch}.weights.h5",
            "best": f"best-{epoch}.weights.h5",
        }
        self.model.save_weights(self.folder / self.state["last"])
        if self.history.best == epoch:
            self.plain.set_weights(self.averaged)
            self.plain.save_weights(self.folder / self.state["best"])
        else:
            self.state["best"] = before["best"]
        write_file(
            self.folder / _PROGRESS, json.dumps(self.state, indent=1).encode(), overwrite=True
        )
        for name in ("last", "best"):
            if name in before and before[name] != self.state[name]:
                (self.folder / before[name]).unlink(missing_ok=True)

    def on_train_end(self, logs=None):
        self.bar.close()


def recipe_as_json(recipe: Recipe) -> dict:
    """Return a recipe as JSON gives it back: tuples as lists, a loss by its name or settings."""
    loss = recipe.loss
    if isinstance(loss, keras.losses.Loss):
        loss = loss.get_config()
    elif not isinstance(loss, str):
        loss = loss.__name__
    return json.loads(json.dumps(asdict(replace(recipe, loss=loss))))
