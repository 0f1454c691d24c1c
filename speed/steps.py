"""Milliseconds of a training step: where FSRCNN's and SRCNN's time goes, and what shortens it.

FSRCNN with Keras's own deconvolution against `layers.Deconvolution`; graph against XLA; float32
against mixed precision. On one constant batch, in turns; the figures are medians over the turns.

    make speed
"""

import statistics
import time
from itertools import product

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf.environment import cores
from srcnn_tf.models import build
from srcnn_tf.training import Recipe
from srcnn_tf.training.callbacks import Precision, Run

SCALE, BATCH, TURNS = 3, 16, 7


def with_keras_deconvolution(model: keras.Sequential) -> keras.Sequential:
    """Return a copy of FSRCNN whose last layer is Keras's own."""
    layers = [keras.Input(model.input_shape[1:]), *model.layers[:-1]]
    tail = keras.layers.Conv2DTranspose(1, 9, SCALE, padding="same")
    copy = keras.Sequential([*layers, tail])
    tail.set_weights(model.layers[-1].get_weights())
    return copy


def main() -> None:
    """Measure and print a line for each network and way of running it."""
    stock = "fsrcnn, Conv2DTranspose"
    makers = {  # and the side of a crop, and the steps of a turn
        stock: (lambda: with_keras_deconvolution(build("fsrcnn", SCALE)), 48, 50),
        "fsrcnn, Deconvolution": (lambda: build("fsrcnn", SCALE), 48, 50),
        "fsrcnn-s": (lambda: build("fsrcnn-s", SCALE), 48, 50),
        "srcnn-9-1-5": (lambda: build("srcnn-9-1-5", SCALE), 33, 50),
        "srcnn-9-5-5": (lambda: build("srcnn-9-5-5", SCALE), 33, 50),
        "vdsr": (lambda: build("vdsr", SCALE), 48, 2),
    }
    ways = list(product(("float32", "mixed"), (False, True)))
    runs, generator = {}, np.random.default_rng(0)
    for name, (make, side, steps) in makers.items():
        shapes = [(BATCH, side // SCALE, side // SCALE, 1), (BATCH, side, side, 1)]
        pair = tuple(generator.random(shape).astype(np.float32) for shape in shapes)
        batches = tf.data.Dataset.from_tensors(pair).repeat()
        for precision, xla in ways:
            model = make()
            model.compile(keras.optimizers.Adam(1e-4, use_ema=True), "mse", jit_compile=xla)
            Precision(Run(Recipe(precision=precision)), model).on_train_begin()
            runs[name, precision, xla] = (model, batches, steps)
    times = {key: [] for key in runs}
    for turn in range(TURNS + 1):
        for key, (model, batches, steps) in runs.items():
            start = time.perf_counter()
            model.fit(batches, steps_per_epoch=steps, verbose=0)
            if turn:  # the first turn compiles
                times[key].append(1000 * (time.perf_counter() - start) / steps)
    print(f"×{SCALE}, {BATCH} crops, {cores()} cores, medians of {TURNS} turns")
    print(f"{'milliseconds a step':24}  float32  with XLA    mixed  with XLA  float32 / mixed")
    for name in makers:
        row = [statistics.median(times[name, *way]) for way in ways]
        gain = min(row[:2]) / min(row[2:])
        print(f"{name:24}" + "{:9.1f}{:10.1f}{:9.1f}{:10.1f}".format(*row) + f"{gain:17.2f}")


if __name__ == "__main__":
    main()
