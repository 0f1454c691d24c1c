"""Training pairs per second: `random_crops` against the first tutorial's pipeline, side by side.

Both run in one process on the same photographs, already decoded and in memory, in turns; the
figures are medians over the turns. The tutorial's pairs are (interpolated, HR), ours (LR, HR):
our models enlarge by themselves. A third pipeline is ours with its pixels in a file, as those of
sets that do not fit in memory, all of which the system holds in memory here. At last the same from
the disk itself: of a file of many copies of the photographs that the system was told to forget.

    make speed
"""

import os
import statistics
import time
from unittest.mock import patch

import numpy as np
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.images import quantise, to_channels
from srcnn_tf.pairs import crops, pixel_row, random_crops

SCALE, BATCH, TURNS = 2, 128, 7
COPIES = 100  # of the photographs in the file that is read from the disk
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


def from_file(images: list, *arguments, channels: int, forget: bool = False) -> tf.data.Dataset:
    """Return `random_crops` from a file, which the system may be told to forget."""
    rows = []

    class Row(pixel_row.PixelRow):
        def tensor(self):
            rows.append(self._file.fileno())
            return super().tensor()

    with patch.object(crops, "PixelRow", Row), patch.object(pixel_row, "IN_MEMORY", 1):
        dataset = random_crops(images, *arguments, channels=channels)
    for row in rows if forget else ():
        os.fsync(row)
        os.posix_fadvise(row, 0, 0, os.POSIX_FADV_DONTNEED)
    return dataset


def main() -> None:
    """Measure both and print a line for each kind of crop."""
    try:
        name, photographs = "t91", datasets.load("t91")
    except ConnectionError as error:
        print(f"{error}\nMeasuring on the samples instead.")
        name, photographs = "samples", datasets.load("samples", "train")
    print(f"{name}, ×{SCALE}, batches of {BATCH}, {os.cpu_count()} cores, medians of {TURNS} turns")
    for side, channels in ((48, 1), (128, 3)):
        images = [to_channels(i, channels) for i in photographs if min(i.shape[:2]) >= side]
        stored = [quantise(image, np.uint8) for image in images]
        sizes = (SCALE, side, BATCH)
        pipelines = {
            "ours": random_crops(images, *sizes, channels=channels),
            "file": from_file(images, *sizes, channels=channels),
            "tutorial": tutorial_pairs(stored, side),
        }
        turns = [{k: seconds(pipeline) for k, pipeline in pipelines.items()} for _ in range(TURNS)]
        rate = {k: BATCH * BATCHES / statistics.median(t[k] for t in turns) for k in pipelines}
        ratio = statistics.median(turn["tutorial"] / turn["ours"] for turn in turns)
        filed = statistics.median(turn["ours"] / turn["file"] for turn in turns)
        disk = from_file(stored * COPIES, *sizes, channels=channels, forget=True)
        first = BATCH * BATCHES / seconds(disk)
        print(
            f"{side}×{side}×{channels}: ours {rate['ours']:,.0f} pairs/s, "
            f"tutorial {rate['tutorial']:,.0f} pairs/s, ratio {ratio:.1f}; "
            f"from a file {rate['file']:,.0f} pairs/s, {filed:.2f} of those from memory, "
            f"from the disk {first:,.0f} pairs/s"
        )


if __name__ == "__main__":
    main()
