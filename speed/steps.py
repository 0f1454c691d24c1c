"""Milliseconds of a training step: where FSRCNN's and SRCNN's time goes, and what shortens it.

FSRCNN with Keras's own deconvolution against `layers.Deconvolution`, graph against XLA, on one
constant batch, in turns; the figures are medians over the turns.

    make speed
"""

import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf.environment import cores
from srcnn_tf.models import build

SCALE, BATCH, STEPS, TURNS = 3, 16, 50, 7


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
    makers = {
        stock: (lambda: with_keras_deconvolution(build("fsrcnn", SCALE)), 48),
        "fsrcnn, Deconvolution": (lambda: build("fsrcnn", SCALE), 48),
        "fsrcnn-s": (lambda: build("fsrcnn-s", SCALE), 48),
        "srcnn-9-1-5": (lambda: build("srcnn-9-1-5", SCALE), 33),
        "srcnn-9-5-5": (lambda: build("srcnn-9-5-5", SCALE), 33),
    }
    runs, generator = {}, np.random.default_rng(0)
    for name, (make, side) in makers.items():
        shapes = [(BATCH, side // SCALE, side // SCALE, 1), (BATCH, side, side, 1)]
        pair = tuple(generator.random(shape).astype(np.float32) for shape in shapes)
        batches = tf.data.Dataset.from_tensors(pair).repeat()
        for kind in ("graph", "XLA"):
            model = make()
            model.compile(
                keras.optimizers.Adam(1e-4, use_ema=True), "mse", jit_compile=kind == "XLA"
            )
            runs[name, kind] = (model, batches)
    times = {key: [] for key in runs}
    for turn in range(TURNS + 1):
        for key, (model, batches) in runs.items():
            start = time.perf_counter()
            model.fit(batches, steps_per_epoch=STEPS, verbose=0)
            if turn:  # the first turn compiles
                times[key].append(1000 * (time.perf_counter() - start) / STEPS)
    print(f"×{SCALE}, {BATCH} crops, {cores()} cores, medians of {TURNS} turns of {STEPS} steps")
    print(f"{'milliseconds a step':24}{'graph':>8}{'XLA':>8}")
    for name in makers:
        row = [statistics.median(times[name, kind]) for kind in ("graph", "XLA")]
        print(f"{name:24}" + "".join(f"{value:8.1f}" for value in row))


if __name__ == "__main__":
    main()
