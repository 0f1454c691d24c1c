"""Training pairs per second: `random_crops` against the first tutorial's pipeline, side by side.

Both run in one process on the same photographs, already decoded and in memory, in turns; the
figures are medians over the turns. The tutorial's pairs are (interpolated, HR), ours (LR, HR):
our models enlarge by themselves.

    make speed
"""

import os
import statistics
import time

import numpy as np
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.images import quantise, to_channels
from srcnn_tf.pairs import random_crops

SCALE, BATCH, TURNS = 2, 128, 7
WARM_UP, BATCHES = 10, 60  # batches of a turn: not timed, timed


def tutorial_pairs(images: list, patch: int) -> tf.data.Dataset:
    """Crop, then shrink (bilinear, aliased), then enlarge (bicubic), image by image."""

    def pair(image):
        image = tf.cast(image, tf.float32) / 255
        hr_image = tf.image.random_crop(image, [patch, patch, image.shape[-1]])
        lr_image = tf.image.resize(hr_image, [patch // SCALE, patch // SCALE])
        return tf.image.resize(lr_image, [patch, patch], method="bicubic"), hr_image

    spec = tf.TensorSpec([None, None, images[0].shape[-1]], tf.uint8)
    stored = tf.data.Dataset.from_generator(lambda: iter(images), output_signature=spec).cache()
    pairs = stored.map(pair, num_parallel_calls=tf.data.AUTOTUNE).repeat()
    return pairs.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def seconds(dataset: tf.data.Dataset) -> float:
    """Time one turn of a pipeline that runs alone, and not from what it prefetched before."""
    iterator = iter(dataset)
    for _ in range(WARM_UP):
        next(iterator)
    start = time.perf_counter()
    for _ in range(BATCHES):
        next(iterator)
    return time.perf_counter() - start


def main() -> None:
    """Measure both and print a line for each kind of crop."""
    try:
        name, photographs = "t91", datasets.load("t91")
    except ConnectionError as error:
        print(f"{error}\nMeasuring on the samples instead.")
        name, photographs = "samples", datasets.load("samples", "train")
    print(f"{name}, ×{SCALE}, batches of {BATCH}, {os.cpu_count()} cores, medians of {TURNS} turns")
    for patch, channels in ((48, 1), (128, 3)):
        images = [to_channels(i, channels) for i in photographs if min(i.shape[:2]) >= patch]
        stored = [quantise(image, np.uint8) for image in images]
        pipelines = {
            "ours": random_crops(images, SCALE, patch, BATCH, channels=channels),
            "tutorial": tutorial_pairs(stored, patch),
        }
        turns = [{k: seconds(pipeline) for k, pipeline in pipelines.items()} for _ in range(TURNS)]
        rate = {k: BATCH * BATCHES / statistics.median(t[k] for t in turns) for k in pipelines}
        ratio = statistics.median(turn["tutorial"] / turn["ours"] for turn in turns)
        print(
            f"{patch}×{patch}×{channels}: ours {rate['ours']:,.0f} pairs/s, "
            f"tutorial {rate['tutorial']:,.0f} pairs/s, ratio {ratio:.1f}"
        )


if __name__ == "__main__":
    main()
