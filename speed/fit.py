"""What the pipeline costs in training: `fit` on `random_crops` against `fit` on one batch.

Both train copies of the same model in one process, in turns; the figures are medians over the
turns. A ratio near 1 means that the pipeline is never what training waits for.

    make speed
"""

import os
import statistics
import time

import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.models import fsrcnn, srcnn
from srcnn_tf.pairs import random_crops

SCALE, PATCH, BATCH, STEPS, TURNS = 3, 48, 16, 100, 7


def main() -> None:
    """Measure both and print a line for each model."""
    images = datasets.load("samples", "train", channels=1)
    print(
        f"samples, ×{SCALE}, {BATCH} crops of {PATCH}×{PATCH}, {os.cpu_count()} cores, "
        f"medians of {TURNS} turns of {STEPS} steps"
    )
    for build in (srcnn, fsrcnn):
        crops = random_crops(images, SCALE, PATCH, BATCH)
        constant = tf.data.Dataset.from_tensors(next(iter(crops))).repeat()
        times = {"pipeline": [], "one batch": []}
        models = {}
        for kind in times:
            models[kind] = build(SCALE)
            models[kind].compile("adam", "mse", jit_compile=True)
        for turn in range(TURNS + 1):
            for kind, data in (("pipeline", crops), ("one batch", constant)):
                start = time.perf_counter()
                models[kind].fit(data, steps_per_epoch=STEPS, shuffle=False, verbose=0)
                if turn:  # the first turn compiles
                    times[kind].append(time.perf_counter() - start)
        ratio = statistics.median(
            a / b for a, b in zip(times["pipeline"], times["one batch"], strict=True)
        )
        milliseconds = {k: 1000 * statistics.median(v) / STEPS for k, v in times.items()}
        print(
            f"{build.__name__}: {milliseconds['pipeline']:.1f} ms a step on the pipeline, "
            f"{milliseconds['one batch']:.1f} on one batch, ratio {ratio:.2f}"
        )


if __name__ == "__main__":
    main()
