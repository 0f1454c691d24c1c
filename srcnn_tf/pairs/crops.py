"""`tf.data` pipelines of (LR, HR) crops.

Two routes make training pairs. `random_crops` degrades whole images once, keeps them in memory,
or on disk where they are many, and cuts aligned crops out of both: crop borders are as true as the
rest, and it is fast. `crop_then_degrade` cuts first and degrades each crop.
"""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import tensorflow as tf

from srcnn_tf.environment import cores
from srcnn_tf.images.pixels import as_array, as_float, check_sides, to_channels
from srcnn_tf.pairs.degradation import (
    BICUBIC,
    REACH,
    AnyDegradation,
    Degradation,
    DegradationSpace,
    degrade_weights,
    through_jpeg,
)
from srcnn_tf.pairs.pixel_row import PixelRow
from srcnn_tf.pairs.whole_images import image_pair, rescaled
from srcnn_tf.ranges import check_number, check_seed
from srcnn_tf.scales import check_scale

_FEW = 2**31  # numbers, whose places fit in 32 bits


def random_crops(
    images: Sequence[np.ndarray],
    scale: int,
    hr_patch: int = 48,
    batch_size: int = 16,
    *,
    channels: int = 1,
    flips: bool = True,
    rotations: bool = True,
    rescale: Sequence[float] = (),
    degradation: AnyDegradation = BICUBIC,
    seed: int = 0,
    first_batch: int = 0,
) -> tf.data.Dataset:
    """Degrade whole images once, then draw aligned random crops for ever.

    Every crop position of every image is equally likely. The same arguments give the same batches
    in the same order, and batch n does not depend on the batches before it: `first_batch` resumes.

    Args:
        images: photographs `[H, W, c]` in [0, 1].
        scale: 2, 3 or 4.
        hr_patch: side of an HR crop in pixels, a multiple of the scale.
        batch_size: pairs in a batch.
        channels: 1 for luma, 3 for RGB.
        flips: reverse rows and columns at random.
        rotations: turn by multiples of 90° at random.
        rescale: factors of additional smaller copies, see `rescaled`; copies smaller than a crop
            are left out.
        degradation: see `degrade`; the noise of each image is drawn once. Of a space, each crop
            draws a degradation of its own: cut with a margin, degraded, the margin cut off.
        seed: of the crops' positions and turns, and of the noise.
        first_batch: number of batches to pass over.

    Returns:
        An endless dataset of (float32 `[n, h, w, channels]`, float32 `[n, s·h, s·w, channels]`)
        in [0, 1].

    Raises:
        ValueError: no images, an image smaller than a crop, or an argument out of its range.

    Derived in lesson 02.
    """
    check_patch(scale, hr_patch, batch_size)
    check_seed(seed)
    check_number("first_batch", first_batch, whole=True, least=0)
    images = [as_array(image) for image in images]
    check_sides(images, hr_patch + 2 * degradation_margin(degradation, scale))
    if isinstance(degradation, DegradationSpace):
        margin = degradation_margin(degradation, scale)
        crops = random_crops(
            images,
            scale,
            hr_patch + 2 * margin,
            batch_size,
            channels=channels,
            flips=flips,
            rotations=rotations,
            rescale=rescale,
            seed=seed,
            first_batch=first_batch,
        )
        return _each_degraded(crops, scale, margin, batch_size, degradation, seed, first_batch)

    # All pixels of all images lie in one row for LR and one for HR, 8 bits each as in a file. A
    # crop is a block of addresses in that row, and a turn only reorders the addresses. XLA fuses
    # address, look-up and conversion into one loop, three times as fast as op by op.
    lr_row, hr_row = PixelRow(np.uint8 if degradation.rounding else np.float32), PixelRow()
    for factor, image in product((None, *rescale), images):
        photograph = to_channels(as_float(image), channels)
        if factor is not None:
            photograph = rescaled([photograph], [factor])[1]
        if min(photograph.shape[:2]) >= hr_patch:
            noise_seed = (seed, len(hr_row.shapes))
            pair = image_pair(photograph, scale, channels, degradation, noise_seed)
            for row, part in zip((lr_row, hr_row), pair, strict=True):
                levels = part * np.float32(255)
                row.append(np.rint(levels) if row is hr_row or degradation.rounding else levels)
    patch = hr_patch // scale
    heights, widths = np.array(lr_row.shapes)[:, :2].T
    sizes, row_counts = heights * widths, widths - patch + 1  # of crop positions in a row
    kind = tf.int32 if sizes.sum() * scale**2 * channels < _FEW else tf.int64
    with tf.device("/CPU:0"):  # where tf.data runs, on machines with a GPU too
        lr_pixels, hr_pixels = lr_row.tensor(), hr_row.tensor()
        ends = np.cumsum((heights - patch + 1) * row_counts)
        table = tf.constant([widths, np.cumsum(sizes) - sizes, row_counts, ends], kind)
        width_of, start_of, row_count_of, end_of = tf.unstack(table)
        turns = tf.constant(_turns(flips, rotations), kind)

    @tf.function(jit_compile=True)
    def batch(number):
        def draw(what, below):
            key = tf.stack([tf.constant(seed, tf.int64), 2 * number + what])
            return tf.random.stateless_uniform([batch_size], key, 0, below, kind, alg="philox")

        position, turn = draw(0, end_of[-1]), tf.gather(turns, draw(1, len(turns)))
        image = tf.searchsorted(end_of, position, side="right")
        position -= tf.gather(tf.pad(end_of, [[1, 0]]), image)  # among those of its image
        row_count = tf.gather(row_count_of, image)
        top, left = position // row_count, position % row_count
        start, width = tf.gather(start_of, image), tf.gather(width_of, image)
        lr_place = start, width, top, left
        hr_place = start * scale**2, width * scale, top * scale, left * scale
        lr_crops = _look_up(lr_pixels, _addresses(*lr_place, turn, patch))
        return lr_crops, _look_up(hr_pixels, _addresses(*hr_place, turn, hr_patch))

    numbers = tf.data.Dataset.counter(first_batch)
    return steady(numbers.map(batch, 2 * cores(), deterministic=True).prefetch(16))


def degradation_margin(degradation: AnyDegradation, scale: int) -> int:
    """Return how many HR pixels `random_crops` cuts beyond a crop, to be degraded and cut off."""
    space = isinstance(degradation, DegradationSpace)
    return -(-REACH // scale) * scale + 2 * scale if space else 0


def _each_degraded(
    crops: tf.data.Dataset,
    scale: int,
    margin: int,
    batch_size: int,
    space: DegradationSpace,
    seed: int,
    first_batch: int,
) -> tf.data.Dataset:
    def degrade_crop(number, pair):
        key = tf.stack([tf.constant(seed, tf.int64), -1 - number])  # batches count from 0 up
        lr_image = tf.ensure_shape(space.degraded(pair[1], scale, key), pair[0].shape)
        inner, outer = slice(margin // scale, -margin // scale), slice(margin, -margin)
        return lr_image[inner, inner], pair[1][outer, outer]

    numbered = crops.unbatch().enumerate(first_batch * batch_size)
    pairs = numbered.map(degrade_crop, 2 * cores(), deterministic=True)
    return steady(pairs.batch(batch_size, drop_remainder=True).prefetch(4))


def steady(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Switch off a pipeline's tuning, whose thread lets the end of some iterators wait a minute."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _addresses(start, width, top, left, turn, side: int) -> tf.Tensor:
    """Return where the pixels of n turned crops lie in the row of all pixels: `[n, side, side]`."""
    transpose, row_step, column_step = tf.unstack(turn, axis=1)
    # A reversed axis begins at its far end.
    top += (side - 1) * tf.cast(row_step < 0, turn.dtype)
    left += (side - 1) * tf.cast(column_step < 0, turn.dtype)
    first = start + top * width + left
    next_row, next_column = row_step * width, column_step
    down = tf.where(transpose == 1, next_column, next_row)
    right = tf.where(transpose == 1, next_row, next_column)
    steps = tf.range(side, dtype=turn.dtype)
    rows, columns = (down[:, None] * steps)[:, :, None], (right[:, None] * steps)[:, None, :]
    return first[:, None, None] + rows + columns


def _look_up(row: tf.Tensor, addresses: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.gather(row, addresses), tf.float32) / 255


def crop_then_degrade(
    images: tf.data.Dataset | Sequence[np.ndarray],
    scale: int,
    hr_patch: int = 48,
    batch_size: int = 16,
    *,
    channels: int = 1,
    flips: bool = True,
    rotations: bool = True,
    degradation: Degradation = BICUBIC,
    shuffle: int = 64,
    seed: int = 0,
) -> tf.data.Dataset:
    """Cut one random crop out of each image and degrade the crop: the first tutorial's order.

    Nothing but the shuffle buffer is held in memory. Pixels near a crop's border are degraded
    from a mirrored crop instead of the photograph, which `random_crops` avoids.

    Args:
        images: a dataset (or list) of photographs `[H, W, c]`, uint8, uint16 or floats in [0, 1].
            The floats of a dataset are not looked at.
        scale: 2, 3 or 4.
        hr_patch: side of an HR crop in pixels, a multiple of the scale.
        batch_size: pairs in a batch, each from another photograph.
        channels: 1 for luma, 3 for RGB.
        flips: reverse rows and columns at random.
        rotations: turn by multiples of 90° at random.
        degradation: see `degrade`; each crop has noise of its own.
        shuffle: photographs in the shuffle buffer.
        seed: of the order, the crops, their turns and their noise.

    Returns:
        An endless dataset as `random_crops` returns it; each pass over the images draws new crops.
        A newly built dataset repeats under the same seed (and TensorFlow's global seed, on which
        the order of `shuffle` depends too).

    Raises:
        ValueError: an argument out of its range; for a list, an image smaller than a crop.
        tf.errors.InvalidArgumentError: while iterating, an image smaller than a crop.

    Derived in lesson 02.
    """
    check_patch(scale, hr_patch, batch_size)
    check_seed(seed)
    check_number("shuffle", shuffle, whole=True, least=1)
    if isinstance(degradation, DegradationSpace):
        raise ValueError("crop_then_degrade takes one Degradation; random_crops draws from a space")
    if max(np.shape(degradation.kernel or [[1]])) > 2 * hr_patch:
        raise ValueError(f"the blur kernel is more than twice as large as a crop of {hr_patch}")
    if not isinstance(images, tf.data.Dataset):
        photographs = [to_channels(as_float(image), channels) for image in images]
        check_sides(photographs, hr_patch)
        spec = tf.TensorSpec([None, None, channels], tf.float32)
        images = tf.data.Dataset.from_generator(lambda: iter(photographs), output_signature=spec)
        images = images.cache()
    spec = images.element_spec
    kind = spec.dtype if isinstance(spec, tf.TensorSpec) else tf.string
    if not (kind.is_floating or kind in (tf.uint8, tf.uint16)):
        raise ValueError(f"a dataset must hold images alone, uint8, uint16 or floats, not {spec}")
    weights = tf.constant(degrade_weights(hr_patch, scale, degradation), tf.float32)
    turns = _turns(flips, rotations)

    def crop(number, image):
        seeds = tf.random.split([tf.cast(seed, tf.int64), number], 2)
        told = f"an image is smaller than the crop of {hr_patch}×{hr_patch} pixels"
        tf.debugging.assert_greater_equal(tf.reduce_min(tf.shape(image)[:2]), hr_patch, told)
        size = [hr_patch, hr_patch, image.shape[-1]]
        hr = tf.image.stateless_random_crop(image, size, seeds[0])
        hr = to_channels(tf.image.convert_image_dtype(hr, tf.float32), channels)
        kind = tf.random.stateless_uniform([], seeds[1], 0, len(turns), tf.int32)
        return hr, tf.constant(turns)[kind], number

    @tf.function(jit_compile=True)
    def degrade_batch(hr, turn, numbers):
        hr = tf.ensure_shape(hr, [batch_size, hr_patch, hr_patch, channels])
        transpose, row_step, column_step = tf.split(turn[..., None, None], 3, axis=1)
        hr = tf.where(row_step < 0, hr[:, ::-1], hr)
        hr = tf.where(column_step < 0, hr[:, :, ::-1], hr)
        hr = tf.where(transpose == 1, tf.transpose(hr, [0, 2, 1, 3]), hr)
        lr = hr if degradation.kernel is None else _blurred(hr, np.array(degradation.kernel))
        lr = tf.einsum("jw,niwc->nijc", weights, tf.einsum("ih,nhwc->niwc", weights, lr))
        if degradation.noise:
            key = tf.stack([tf.constant(seed, tf.int64), -1 - numbers[0]])  # crops count from 0 up
            noise = tf.random.stateless_normal(lr.shape, key, alg="philox")
            lr += degradation.noise / 255 * noise
        lr = tf.clip_by_value(lr, 0, 1)
        return tf.round(lr * 255) / 255 if degradation.rounding else lr, hr

    def compress(lr, hr):
        return tf.map_fn(lambda image: through_jpeg(image, degradation.jpeg_quality), lr), hr

    stream = images.shuffle(shuffle, seed=seed).repeat()
    crops = tf.data.Dataset.zip(tf.data.Dataset.counter(), stream)
    crops = crops.map(crop, cores(), deterministic=True).batch(batch_size)
    pairs = crops.map(degrade_batch, cores(), deterministic=True)
    if degradation.jpeg_quality is not None:  # apart, since XLA has no JPEG
        pairs = pairs.map(compress, cores(), deterministic=True)
    return steady(pairs.prefetch(2))


def _blurred(images: tf.Tensor, kernel: np.ndarray) -> tf.Tensor:
    """Convolve `[n, h, w, c]` with a kernel, borders mirrored as in `degrade`."""
    rows, columns = (side // 2 for side in kernel.shape)
    padded = tf.pad(images, [(0, 0), (rows, rows), (columns, columns), (0, 0)], "SYMMETRIC")
    flipped = tf.constant(kernel[::-1, ::-1, None, None], tf.float32)  # conv2d correlates
    filters = tf.tile(flipped, [1, 1, images.shape[-1], 1])
    return tf.nn.depthwise_conv2d(padded, filters, [1, 1, 1, 1], "VALID")


def subimages(
    images: Iterable[np.ndarray],
    scale: int,
    hr_patch: int = 33,
    stride: int = 14,
    *,
    channels: int = 1,
    degradation: AnyDegradation = BICUBIC,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut whole-image pairs into a fixed grid of sub-images, as the SRCNN paper does.

    Grid positions are rounded down to multiples of the scale, so that every LR crop starts on a
    whole pixel (SRCNN paper, section 4: 33×33 at stride 14).

    Args:
        images: photographs `[H, W, c]` in [0, 1].
        scale: 2, 3 or 4.
        hr_patch: side of an HR sub-image in pixels, a multiple of the scale.
        stride: HR pixels from one sub-image to the next, at least the scale.
        channels: 1 for luma, 3 for RGB.
        degradation: see `degrade`.

    Returns:
        float32 `[n, h, w, channels]` and float32 `[n, s·h, s·w, channels]` in [0, 1].

    Raises:
        ValueError: no images, an image smaller than a sub-image, or an argument out of its range.
    """
    check_patch(scale, hr_patch, 1)
    check_number("stride", stride, whole=True, least=scale)
    images = [as_float(image) for image in images]
    check_sides(images, hr_patch)
    lr_crops, hr_crops = [], []
    for number, image in enumerate(images):
        lr_image, hr_image = image_pair(image, scale, channels, degradation, number)
        patch = hr_patch // scale
        ends = [side - hr_patch + 1 for side in hr_image.shape[:2]]
        for top, left in product(*(np.arange(0, end, stride) // scale for end in ends)):
            lr_crops.append(lr_image[top : top + patch, left : left + patch])
            y, x = top * scale, left * scale
            hr_crops.append(hr_image[y : y + hr_patch, x : x + hr_patch])
    return np.stack(lr_crops), np.stack(hr_crops)


def _turns(flips: bool, rotations: bool) -> list[tuple[int, int, int]]:
    """List the turns of a square crop as (transpose, row step, column step)."""
    if rotations:
        turns = [(0, 1, 1), (1, -1, 1), (0, -1, -1), (1, 1, -1)]
        mirrored = [(transpose, -row, column) for transpose, row, column in turns]
        return turns + mirrored if flips else turns
    return [(0, row, column) for row in (1, -1) for column in (1, -1)][: 4 if flips else 1]


def check_patch(scale: int, hr_patch: int, batch_size: int) -> None:
    """Raise a ValueError for crops that do not suit a scale, or an empty batch."""
    check_scale(scale)
    check_number("hr_patch", hr_patch, whole=True)
    check_number("batch_size", batch_size, whole=True, least=1)
    if hr_patch < scale or hr_patch % scale:
        below = max(hr_patch // scale, 1) * scale
        near = f"{below} or {below + scale}"
        raise ValueError(f"hr_patch {hr_patch} is no multiple of the scale {scale}: try {near}")
