"""Precision and compiler, where a recipe leaves them open: what a short timing says."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import keras
import tensorflow as tf

from srcnn_tf.environment import without_bfloat16
from srcnn_tf.training.callbacks import Precision, Run, plain_copy
from srcnn_tf.training.devices import mean_of_workers
from srcnn_tf.training.recipe import Recipe

_TURNS = 5
_NO_WORSE = 1.1  # times the shortest: then what comes first is taken, the plain before the special


def settled(recipe: Recipe, model: keras.Model, batches: tf.data.Dataset, make: Callable) -> Recipe:
    """Return a recipe without "auto": with what is quickest on this machine for this network.

    Copies of the network train on one batch, in turns, and the shortest step of each counts. What
    cannot be compiled here is not taken. Prints what it measured.

    Args:
        recipe: precision and `jit_compile` may be "auto".
        model: what is to be trained; it stays as it is.
        batches: of inputs and targets; devices share each.
        make: returns the optimizer for a model and a recipe.
    """
    if recipe.precision == "mixed" and (device := without_bfloat16()):
        print(f"{device} imitates bfloat16, slowly: 'auto' or 'float32' may suit the recipe better")
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    precisions = ("float32", "mixed") if recipe.precision == "auto" else (recipe.precision,)
    can_compile = (False, True) if replicas == 1 else (False,)  # XLA takes one device
    compiling: Any = can_compile if recipe.jit_compile == "auto" else (recipe.jit_compile,)
    choices = product(precisions, compiling)
    ways = [replace(recipe, precision=precision, jit_compile=xla) for precision, xla in choices]
    if len(ways) == 1:
        return ways[0]
    share = [part[: len(part) // replicas] for part in next(iter(batches))]
    seconds = mean_of_workers(strategy, _seconds_of_a_step(ways, model, share, make))
    names = [way.precision + " with XLA" * (way.jit_compile is True) for way in ways]
    taken = next(n for n, took in enumerate(seconds) if took <= _NO_WORSE * min(seconds))
    told = ", ".join(f"{n} {1000 * took:.1f}" for n, took in zip(names, seconds, strict=True))
    print(f"milliseconds of a training step of {model.name}: {told}; taking {names[taken]}")
    return ways[taken]


def _seconds_of_a_step(ways: Sequence[Recipe], model, batch, make) -> list[float]:
    """Return the shortest step of each recipe; infinity where it fails."""
    copies, seconds = [], [math.inf] * len(ways)
    for way in ways:
        copies.append(copy := plain_copy(model))
        copy.compile(make(copy, way), way.loss, jit_compile=bool(way.jit_compile))
        Precision(Run(way), copy).on_train_begin()
    for turn, (place, copy) in product(range(_TURNS + 1), enumerate(copies)):
        start = time.perf_counter()
        with contextlib.suppress(tf.errors.OpError):
            copy.train_on_batch(*batch)
            if turn:  # the first turn compiles
                seconds[place] = min(seconds[place], time.perf_counter() - start)
    return seconds
