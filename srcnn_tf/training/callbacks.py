"""The callbacks of `fit`, each of one role; what they share is a `Run`."""

import contextlib
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from srcnn_tf.files import write_file
from srcnn_tf.training.recipe import History, Recipe, recipe_as_json
from srcnn_tf.training.run_folder import PROGRESS, read_progress, reading, write_weights


@dataclass
class Run:
    """Where a run stands.

    Attributes:
        recipe: what it follows.
        history: what it has measured.
        step: batches since its start.
        started: time of its start, as if it had never stopped.
    """

    recipe: Recipe
    history: History = field(default_factory=History)
    step: int = 0
    started: float = 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def done(self) -> float:
        """Which part of the run is over, in [0, 1]."""
        return self.recipe.done(self.step, self.seconds)


def plain_copy(model: keras.Model) -> keras.Model:
    """Return a new model of the same graph, uncompiled; of an `Adversarial`, its generator."""
    plain = keras.Model(model.inputs, model.outputs, name=model.name)
    return keras.Model.from_config(plain.get_config())


class _OfRun(keras.callbacks.Callback):
    def __init__(self, run: Run):
        super().__init__()
        self.run = run


class Pace(_OfRun):
    """Keep time, count steps, set the learning rate."""

    def on_train_begin(self, logs=None):
        self.run.started = time.perf_counter() - (self.run.history.seconds or [0])[-1]

    def on_train_batch_begin(self, batch, logs=None):
        rate = self.run.recipe.rate(self.run.step, self.run.seconds)
        self.model.optimizer.learning_rate.assign(rate)

    def on_train_batch_end(self, batch, logs=None):
        self.run.step += 1


class Recorder(_OfRun):
    """Write the history, and keep the EMA of the weights that was validated."""

    ema_weights: Sequence[np.ndarray] = ()

    def on_test_end(self, logs=None):
        self.ema_weights = self.model.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        history = self.run.history
        history.step.append(self.run.step)
        history.seconds.append(self.run.seconds)
        history.loss.append(float(logs["loss"]))
        history.psnr.append(float(logs["val_psnr"]))
        for name in (f"x{scale}" for scale in self.run.recipe.scales or ()):
            history.psnr_of.setdefault(name, []).append(float(logs[f"val_psnr_{name}"]))
        for name in getattr(self.model, "curves", ()):
            curve = history.adversarial.setdefault(name.removeprefix("val_"), [])
            curve.append(float(logs[name]))


class Checkpoints(_OfRun):
    """Save each epoch, so that a kill loses no more than the one it falls into.

    `best` has the averaged weights of the best epoch, once there is one.

    Args:
        run: goes on where the folder's run stands, if there is one, and with what its "auto" chose.
        recorder: has the weights of the best epoch.
        folder: where to save; made if it is not there.
        about: what else the run depends on, as JSON; of image sets, by name, the digests alone.
        resume: whether to go on with a run that is there.

    Raises:
        FileExistsError: the folder holds a run and `resume` is false.
        ValueError: that run followed another recipe, depended on something else, or is damaged.
    """

    def __init__(self, run: Run, recorder: Recorder, folder: Path, about: Mapping, resume: bool):
        super().__init__(run)
        self.recorder, self.folder, self.about = recorder, folder, dict(about)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / PROGRESS).exists() and not resume:
            raise FileExistsError(f"{folder} holds a run: pass resume=True, or another folder")
        self.saved = read_progress(folder)
        if self.saved:
            before = self.saved["recipe"]
            auto = [name for name in before if getattr(run.recipe, name, None) == "auto"]
            run.recipe = replace(run.recipe, **{name: before[name] for name in auto})
            self._check_same()
            run.history = self.saved["history"]
            run.step = run.history.step[-1]

    def _check_same(self) -> None:
        """Refuse another recipe or other data; only length and compiler may change."""
        free = dict.fromkeys(["steps", "minutes", "patience", "jit_compile"])
        now = {**recipe_as_json(self.run.recipe), **free, **self.about}
        before = {**self.saved["recipe"], **free, **self.saved.get("about", {})}
        changed = [name for name in now if _contents(now[name]) != _contents(before.get(name))]
        if changed:
            differences = ", ".join(f"{name} was {before.get(name)!r}" for name in changed)
            raise ValueError(f"{self.folder} holds another run: {differences}")

    def restore(self, model: keras.Model) -> None:
        """Put the last checkpoint, optimizer included, into a compiled model.

        Raises:
            ValueError: a checkpoint is missing or damaged.
        """
        # The weights file of a compiled model would hold its optimizer too.
        self.best = plain_copy(model)
        model.optimizer.build(model.trainable_variables)
        if self.saved:
            for each, name in ((self.best, "best"), (model, "last")):
                with reading(self.folder / self.saved[name]) as path:
                    each.load_weights(path)

    def on_epoch_end(self, epoch, logs=None):
        """Save the epoch under names of its own, then make them the run's in one move."""
        best = self.run.history.best == epoch
        if best:
            self.best.set_weights(self.recorder.ema_weights)
        if not self.model.distribute_strategy.extended.should_checkpoint:
            return  # of several machines, one writes
        self.saved = {
            "recipe": recipe_as_json(self.run.recipe),
            "about": self.about,
            "history": asdict(self.run.history),
            "last": f"last-{epoch}.weights.h5",
            "best": f"best-{epoch}.weights.h5" if best else self.saved["best"],
        }
        write_weights(self.folder / self.saved["last"], self.model)
        if best:
            write_weights(self.folder / self.saved["best"], self.best)
        text = json.dumps(self.saved, indent=1)
        write_file(self.folder / PROGRESS, text.encode(), overwrite=True)
        for name in ("last", "best"):  # those too that a full disk has left without a record
            for path in self.folder.glob(f"{name}-*.weights.h5"):
                if path.name != self.saved[name]:
                    path.unlink()


def _contents(value: object) -> object:
    """Return what decides: of image sets their digests, since a path has many spellings."""
    if isinstance(value, dict) and all(isinstance(part, dict) for part in value.values()):
        return list(value.values())
    return value


class ProgressLine(_OfRun):
    """Show one line: the part that is done, the time left, the latest scores."""

    def on_train_begin(self, logs=None):
        self.bar = tqdm(
            total=100,
            desc=f"training {self.model.name}",
            bar_format="{desc}: {percentage:3.0f} % |{bar:20}| {elapsed}<{remaining}{postfix}",
            file=sys.stdout,
            mininterval=1,
        )
        self.on_epoch_end(-1)

    def on_epoch_end(self, epoch, logs=None):
        history = self.run.history
        self.bar.n = round(100 * self.run.done, 1)
        text = f" step {self.run.step}"
        if history.step:
            text += f", loss {history.loss[-1]:.5f}, PSNR {history.psnr[-1]:.2f} dB"
        self.bar.set_postfix_str(text)

    def on_train_end(self, logs=None):
        self.bar.close()


class Precision(_OfRun):
    """Train in bfloat16, all layers with weights but the last, and validate in float32."""

    def __init__(self, run: Run, model: keras.Model):
        super().__init__(run)
        self.layers: list[keras.Layer] = []
        if run.recipe.precision == "mixed":
            for player in (model, getattr(model, "discriminator", model)):
                self.layers += [layer for layer in player.layers if layer.weights][:-1]

    def _compute_in(self, policy: str) -> None:
        for layer in self.layers:
            layer.dtype_policy = policy

    def on_train_begin(self, logs=None):
        self._compute_in("mixed_bfloat16")

    def on_test_begin(self, logs=None):
        self.close()

    on_test_end = on_train_begin

    def close(self) -> None:
        """Leave the model computing in float32."""
        self._compute_in("float32")


class Stopping(_OfRun):
    """End a run: its budget is spent, patience is lost, the loss broke off, Ctrl-C or the like."""

    interrupted = False

    @contextlib.contextmanager
    def interrupts_noted(self) -> Iterator[None]:
        """Let the first Ctrl-C end the run after a whole batch, and a second one at once.

        So does every signal that raises a KeyboardInterrupt, as SIGTERM on the command line.
        Python drops a KeyboardInterrupt that falls into a destructor, and the end of a Keras epoch
        runs many: the training would go on.
        """
        if threading.current_thread() is not threading.main_thread():  # which alone hears signals
            yield
            return

        raises = signal.default_int_handler

        def note(number, frame):
            self.interrupted = True
            signal.signal(number, raises)

        # Not those that are ignored, as Ctrl-C is in a script's background, or handled elsewhere.
        raising = [n for n in signal.valid_signals() if signal.getsignal(n) is raises]
        try:
            for number in raising:
                signal.signal(number, note)
            yield
        finally:
            for number in raising:
                signal.signal(number, raises)

    def on_train_batch_end(self, batch, logs=None):
        if self.interrupted:
            raise KeyboardInterrupt
        if not math.isfinite(logs["loss"]):
            told = f"the loss became {logs['loss']} at step {self.run.step}"
            cure = f"a lower learning rate than {self.run.recipe.learning_rate:g}, or a clipnorm"
            raise FloatingPointError(f"{told}. Try {cure}")
        if self.run.done >= 1:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        patience = self.run.recipe.patience
        if patience is not None and epoch - self.run.history.best >= patience:
            self.model.stop_training = True
