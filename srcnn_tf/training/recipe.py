"""How a model is trained, and what a run of it measured."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import NoneType
from typing import Any

import keras
import numpy as np

from srcnn_tf.optimizers import OPTIMIZERS
from srcnn_tf.pairs.degradation import BICUBIC, AnyDegradation, Degradation, DegradationSpace
from srcnn_tf.ranges import LARGEST_SEED, check_choice, check_fields, check_number, held
from srcnn_tf.scales import check_scale

SCHEDULES = ("cosine", "constant", "exponential", "steps")
WARM_UP = 0.1  # part of a cosine schedule in which the rate rises

# Of what type the fields must be that have no range.
_KINDS: dict[str, tuple[Any, str]] = {
    "rate_factors": (Mapping, "a mapping from layer names to factors"),
    "loss": ((str, Callable), "a Keras loss or its name"),
    "scales": ((Sequence, NoneType), "a list or tuple of scales, or None"),
    "rescale": (Sequence, "a list or tuple of factors"),
    "degradation": ((Degradation, DegradationSpace), "a pairs.Degradation or DegradationSpace"),
}


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. The defaults suit SRCNN and FSRCNN with a bicubic start.

    Attributes:
        steps: length of the run in batches, or None for a run of `minutes`.
        minutes: length of the run in minutes of training, or None for a run of `steps`.
        optimizer: a key of `optimizers.OPTIMIZERS`: "adam", "soap", "rmsprop", or "sgd" (with
            momentum 0.9).
        learning_rate: the rate that the schedule multiplies.
        rate_factors: layer name to a factor of its rate, such as `{"reconstruction": 0.1}`, the
            SRCNN paper's; layers that are not named have 1.
        schedule: "cosine" (up from 0 in the first tenth, then down to 0), "constant",
            "exponential" (times `decay` after each batch), or "steps" (a tenth after each quarter
            of the run).
        decay: factor of the exponential schedule, in (0, 1].
        ema: momentum of the exponential moving average of weights that is validated and kept, from
            0 (the latest weights alone) to below 1, or None for none.
        clipnorm: largest norm of a step's whole gradient, or None.
        theta: clip each number of the gradient to ±theta / rate, or None; for "sgd", see
            `optimizers.AdjustablyClippedSGD`.
        scales: train one network on these scales at once, from 2, 3 and 4, or None for the model's
            own; the model must begin with `layers.BicubicUpsampling`. See
            `pairs.mixed_scales.mixed_scale_crops`.
        loss: a Keras loss or its name.
        hr_patch: side of an HR crop in pixels, a multiple of the model's scale, or of each of
            `scales`.
        batch_size: crops in a batch.
        flips: see `pairs.random_crops`, as the next three.
        rotations: turn crops by multiples of 90°.
        rescale: factors of additional smaller copies of the images.
        degradation: what makes the LR images; see `pairs.Degradation`, and `pairs.DegradationSpace`
            for one of its own for every crop.
        steps_per_epoch: batches from one validation and checkpoint to the next.
        patience: epochs without a better validation PSNR before the run stops early, or None.
        seed: of the crops. (The weights' seed belongs to the model's builder.)
        precision: "float32", or "mixed": layers compute in bfloat16, the last one, all weights and
            the loss stay in float32. For residual networks: layers that carry the image itself, as
            SRCNN's and FSRCNN's do, would round it. "auto" times both at the start of the run.
        jit_compile: whether XLA compiles the steps. None leaves it to Keras, which does so where
            there is one GPU; "auto" times both at the start of the run. A run that is resumed goes
            on with what "auto" chose. `speed/steps.py` measures what either does.

    Raises:
        ValueError: an unknown name, or a number out of its range.
    """

    steps: int | None = held(4000, check_number, whole=True, optional=True, least=1)
    minutes: float | None = held(None, check_number, optional=True, above=0)
    optimizer: str = held("adam", check_choice, known=tuple(OPTIMIZERS))
    learning_rate: float = held(2e-3, check_number, above=0)
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    schedule: str = held("cosine", check_choice, known=SCHEDULES)
    decay: float = held(0.9975, check_number, above=0, most=1)
    ema: float | None = held(0.99, check_number, optional=True, least=0, below=1)
    clipnorm: float | None = held(0.1, check_number, optional=True, above=0)
    theta: float | None = held(None, check_number, optional=True, above=0)
    loss: str | Callable = "mse"
    scales: Sequence[int] | None = None
    hr_patch: int = held(48, check_number, whole=True, least=1)
    batch_size: int = held(16, check_number, whole=True, least=1)
    flips: bool = held(True, check_choice, known=(True, False))
    rotations: bool = held(True, check_choice, known=(True, False))
    rescale: Sequence[float] = ()
    degradation: AnyDegradation = BICUBIC
    steps_per_epoch: int = held(100, check_number, whole=True, least=1)
    patience: int | None = held(None, check_number, whole=True, optional=True, least=1)
    seed: int = held(0, check_number, whole=True, least=0, most=LARGEST_SEED)
    precision: str = held("float32", check_choice, known=("float32", "mixed", "auto"))
    jit_compile: bool | str | None = held(None, check_choice, known=(None, True, False, "auto"))

    def __post_init__(self):
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either steps or minutes, and None for the other")
        check_fields(self)
        for name, (kind, wanted) in _KINDS.items():
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be {wanted}")
        for name, factor in self.rate_factors.items():
            check_number(f"the rate factor of {name!r}", factor, least=0)
        for factor in self.rescale:
            check_number("a factor of rescale", factor, above=0, below=1)
        for scale in self.scales if self.scales is not None else ():
            check_scale(scale)
        if self.theta is not None and self.optimizer != "sgd":
            raise ValueError(f"theta clips for the optimizer 'sgd', not for {self.optimizer!r}")

    def done(self, step: int, seconds: float) -> float:
        """Return which part of the run is over, in [0, 1]."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        return min(1.0, seconds / (60 * self.minutes))  # type: ignore[operator]

    def rate(self, step: int, seconds: float) -> float:
        """Return the learning rate after so many steps and seconds."""
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "exponential":
            return self.learning_rate * self.decay**step
        done = self.done(step, seconds)
        if self.schedule == "steps":
            return self.learning_rate * 0.1 ** min(3, int(4 * done))
        return self.learning_rate * min(1, done / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * done))


@dataclass
class History:
    """What a run measured, one entry for each epoch.

    Attributes:
        step: batches since the start.
        seconds: time spent in training since the start, validation and checkpoints included.
        loss: training loss, mean over the epoch.
        psnr: validation PSNR in dB, of the averaged weights; over all scales of the recipe.
        psnr_of: the same for each scale, "x2" for one, if the recipe has several.
        adversarial: what `adversarial.Adversarial` logs, by name, if it is what was trained:
            the losses `content`, `adversarial` and `discriminator`, D's mean probabilities `d_hr`
            and `d_sr`, and `detail`, of validation (see `metrics.detail`).
    """

    step: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    psnr_of: dict[str, list[float]] = field(default_factory=dict)
    adversarial: dict[str, list[float]] = field(default_factory=dict)

    @property
    def best(self) -> int:
        """The epoch with the highest validation PSNR, counted from 0.

        The last one of an adversarial run: PSNR falls while its images become sharper.
        """
        return len(self.psnr) - 1 if self.adversarial else int(np.argmax(self.psnr))


def recipe_as_json(recipe: Recipe) -> dict:
    """Return a recipe as JSON gives it back: tuples as lists, a loss by its name or settings."""
    loss = recipe.loss
    if isinstance(loss, keras.losses.Loss):
        loss = loss.get_config()
    elif not isinstance(loss, str):
        loss = loss.__name__
    # asdict would copy a loss with all its weights. NumPy's numbers become Python's.
    settings = asdict(replace(recipe, loss="mse")) | {"loss": loss}
    return json.loads(json.dumps(settings, default=np.generic.item))
