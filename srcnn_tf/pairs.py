"""`tf.data` pipelines of (low-resolution, high-resolution) pairs.

Two routes make training pairs. `random_crops` degrades whole images once, keeps them in memory
and cuts aligned crops out of both: crop borders are as true as the rest, and it is fast.
`crop_then_degrade` cuts first and degrades each crop: it streams sets that do not fit in memory.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter1d

from srcnn_tf.images import (
    apply_weights,
    as_float,
    crop_to_multiple,
    quantise,
    resize,
    resize_weights,
    to_channels,
)

SCALES = (2, 3, 4)


def check_scale(scale: int) -> None:
    """Raise a ValueError unless the scale is 2, 3 or 4."""
    if scale not in SCALES or isinstance(scale, float):
        raise ValueError(f"scale {scale!r} is not supported: choose 2, 3 or 4")


def degrade_weights(
    size: int, scale: int, blur_sigma: float = 0.0, antialias: bool = True
) -> np.ndarray:
    """Return the matrix that takes one axis from high to low resolution.

    Args:
        size: high-resolution pixels along the axis, a multiple of the scale.
        scale: 2, 3 or 4.
        blur_sigma: standard deviation of a Gaussian blur before downscaling, in HR pixels.
        antialias: see `images.resize_weights`.

    Returns:
        float64 `[size / scale, size]`.
    """
    weights = resize_weights(size, size // scale, "bicubic", antialias)
    if blur_sigma:
        # Blurring the identity gives the blur's own matrix, borders mirrored as in the resize.
        weights = weights @ gaussian_filter1d(np.eye(size), blur_sigma, axis=0, mode="reflect")
    return weights


def degrade(
    hr_image: np.ndarray, scale: int, blur_sigma: float = 0.0, antialias: bool = True
) -> np.ndarray:
    """Make the low-resolution image of the protocol: blur (optional), bicubic, round to 8 bits.

    Args:
        hr_image: `[s·h, s·w, c]` in [0, 1], both sides multiples of the scale.
        scale: 2, 3 or 4.
        blur_sigma: standard deviation of a Gaussian blur before downscaling, in HR pixels.
        antialias: False reproduces the slip of most tutorials.

    Returns:
        float32 `[h, w, c]` in [0, 1], on the 256 levels of an 8-bit file.

    Raises:
        ValueError: scale outside 2–4, sides that are no multiples of it, a negative blur, values
            outside [0, 1].

    Derived in lesson 01.
    """
    check_scale(scale)
    hr_image = as_float(hr_image, "hr_image")
    if hr_image.ndim != 3:
        raise ValueError(f"an image is [h, w, c]; this array has shape {hr_image.shape}")
    height, width = hr_image.shape[:2]
    if height % scale or width % scale:
        raise ValueError(
            f"an image of {height}×{width} pixels cannot be divided by {scale}: "
            "use images.crop_to_multiple first"
        )
    _check_blur(blur_sigma)
    rows = degrade_weights(height, scale, blur_sigma, antialias)
    columns = degrade_weights(width, scale, blur_sigma, antialias)
    return quantise(apply_weights(hr_image, rows, columns))


def _check_blur(blur_sigma: float) -> None:
    if not 0 <= blur_sigma < np.inf:
        raise ValueError(f"blur_sigma is {blur_sigma}: it must be 0 (no blur) or more HR pixels")


def image_pair(
    image: np.ndarray, scale: int, channels: int = 1, blur_sigma: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a photograph into one (LR, HR) pair under the protocol.

    Args:
        image: `[H, W, c]` in [0, 1]; cropped to a multiple of the scale.
        scale: 2, 3 or 4.
        channels: 1 for luma, 3 for RGB.
        blur_sigma: see `degrade`.

    Returns:
        lr_image float32 `[h, w, channels]`, hr_image float32 `[s·h, s·w, channels]`.

    Raises:
        ValueError: see `degrade`.
    """
    check_scale(scale)
    hr_image = quantise(to_channels(crop_to_multiple(as_float(image), scale), channels))
    return degrade(hr_image, scale, blur_sigma), hr_image


def evaluation_pairs(
    images: Iterable[np.ndarray], scale: int, channels: int = 1
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Make whole-image pairs for scoring, each as a batch of one.

    Args:
        images: photographs `[H, W, c]` in [0, 1].
        scale: 2, 3 or 4.
        channels: 1 for luma, 3 for RGB.

    Returns:
        A list of (float32 `[1, h, w, channels]`, float32 `[1, s·h, s·w, channels]`).
    """
    pairs = [image_pair(image, scale, channels) for image in images]
    return [(lr_image[None], hr_image[None]) for lr_image, hr_image in pairs]


def rescaled(images: Iterable[np.ndarray], factors: Sequence[float]) -> list[np.ndarray]:
    """Return the images and a smaller copy of each for every factor.

    Args:
        images: `[h, w, c]` in [0, 1].
        factors: 0.9, 0.8, 0.7, 0.6 in the FSRCNN paper (section 4.1, "Data augmentation").

    Raises:
        ValueError: a factor outside (0, 1).
    """
    images = list(images)
    if any(not 0 < factor < 1 for factor in factors):
        raise ValueError(f"rescaling factors {tuple(factors)} must lie between 0 and 1")
    copies = [
        np.clip(resize(image, [round(side * factor) for side in image.shape[:2]]), 0, 1)
        for factor in factors
        for image in images
    ]
    return images + copies


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
    blur_sigma: float = 0.0,
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
        blur_sigma: see `degrade`.
        seed: of the crops' positions and turns.
        first_batch: number of batches to pass over.

    Returns:
        An endless dataset of (float32 `[n, h, w, channels]`, float32 `[n, s·h, s·w, channels]`)
        in [0, 1].

    Raises:
        ValueError: no images, an image smaller than a crop, or an argument out of its range.

    Derived in lesson 02.
    """
    _check_patch(scale, hr_patch, batch_size)
    images = [to_channels(as_float(image), channels) for image in images]
    _check_sizes(images, hr_patch)
    images = [image for image in rescaled(images, rescale) if min(image.shape[:2]) >= hr_patch]
    pairs = [image_pair(image, scale, channels, blur_sigma) for image in images]

    # All pixels of all images lie in one row for LR and one for HR, 8 bits each as in a file. A
    # crop is a block of addresses in that row, and a turn only reorders the addresses. XLA fuses
    # address, look-up and conversion into one loop, three times as fast as op by op.
    patch = hr_patch // scale
    heights, widths = np.array([lr_image.shape[:2] for lr_image, _ in pairs]).T
    counts = (heights - patch + 1) * (widths - patch + 1)
    if (heights * widths).sum() * scale**2 >= 2**31:
        raise ValueError("these images hold over 2³¹ pixels: use crop_then_degrade")
    with tf.device("/CPU:0"):  # where tf.data runs, on machines with a GPU too
        lr_pixels, hr_pixels = (tf.constant(_one_row(side)) for side in zip(*pairs, strict=True))
        widths, starts, columns, ends = (
            tf.constant(values, tf.int32)
            for values in (
                widths,
                np.cumsum(heights * widths) - heights * widths,
                widths - patch + 1,
                np.cumsum(counts),
            )
        )
        turns = tf.constant(_turns(flips, rotations), tf.int32)

    def crops(pixels, start, width, top, left, turn, side):
        transpose, row_step, column_step = tf.unstack(turn, axis=1)
        top += (side - 1) * tf.cast(row_step < 0, tf.int32)
        left += (side - 1) * tf.cast(column_step < 0, tf.int32)
        down, right = row_step * width, column_step
        down, right = tf.where(transpose == 1, right, down), tf.where(transpose == 1, down, right)
        steps = tf.range(side)
        address = (start + top * width + left)[:, None, None]
        address += (down[:, None] * steps)[:, :, None] + (right[:, None] * steps)[:, None, :]
        return tf.cast(tf.gather(pixels, address), tf.float32) / 255

    @tf.function(jit_compile=True)
    def batch(number):
        def draw(what, below):
            key = tf.stack([tf.constant(seed, tf.int64), 2 * number + what])
            return tf.random.stateless_uniform([batch_size], key, 0, below, tf.int32, alg="philox")

        place, turn = draw(0, ends[-1]), tf.gather(turns, draw(1, len(turns)))
        image = tf.searchsorted(ends, place, side="right")
        place -= tf.gather(tf.concat([[0], ends], 0), image)
        column = tf.gather(columns, image)
        start, width = tf.gather(starts, image), tf.gather(widths, image)
        top, left = place // column, place % column
        hr_place = (start * scale**2, width * scale, top * scale, left * scale)
        return (
            crops(lr_pixels, start, width, top, left, turn, patch),
            crops(hr_pixels, *hr_place, turn, hr_patch),
        )

    numbers = tf.data.Dataset.counter(first_batch)
    return numbers.map(batch, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def crop_then_degrade(
    images: tf.data.Dataset | Sequence[np.ndarray],
    scale: int,
    hr_patch: int = 48,
    batch_size: int = 16,
    *,
    channels: int = 1,
    flips: bool = True,
    rotations: bool = True,
    blur_sigma: float = 0.0,
    shuffle: int = 64,
    seed: int = 0,
) -> tf.data.Dataset:
    """Cut one random crop out of each image and degrade the crop: the first tutorial's order.

    Nothing but the shuffle buffer is held in memory. Pixels near a crop's border are degraded
    from a mirrored crop instead of the photograph, which `random_crops` avoids.

    Args:
        images: a dataset (or list) of photographs `[H, W, c]`, uint8 or floats in [0, 1].
        scale: 2, 3 or 4.
        hr_patch: side of an HR crop in pixels, a multiple of the scale.
        batch_size: pairs in a batch, each from another photograph.
        channels: 1 for luma, 3 for RGB.
        flips: reverse rows and columns at random.
        rotations: turn by multiples of 90° at random.
        blur_sigma: see `degrade`.
        shuffle: photographs in the shuffle buffer.
        seed: of the order, the crops and their turns.

    Returns:
        An endless dataset as `random_crops` returns it; each pass over the images draws new crops.
        A newly built dataset repeats under the same seed (and TensorFlow's global seed, on which
        the order of `shuffle` depends too).

    Raises:
        ValueError: an argument out of its range; for a list, an image smaller than a crop.
        tf.errors.InvalidArgumentError: while iterating, an image smaller than a crop.

    Derived in lesson 02.
    """
    _check_patch(scale, hr_patch, batch_size)
    _check_blur(blur_sigma)
    if not isinstance(images, tf.data.Dataset):
        photographs = [to_channels(as_float(image), channels) for image in images]
        _check_sizes(photographs, hr_patch)
        spec = tf.TensorSpec([None, None, channels], tf.float32)
        images = tf.data.Dataset.from_generator(lambda: iter(photographs), output_signature=spec)
        images = images.cache()
    weights = tf.constant(degrade_weights(hr_patch, scale, blur_sigma), tf.float32)
    turns = _turns(flips, rotations)

    def crop(number, image):
        seeds = tf.random.split([tf.cast(seed, tf.int64), number], 2)
        tf.debugging.assert_greater_equal(
            tf.reduce_min(tf.shape(image)[:2]),
            hr_patch,
            f"an image is smaller than the crop of {hr_patch}×{hr_patch} pixels",
        )
        size = [hr_patch, hr_patch, image.shape[-1]]
        hr = tf.image.stateless_random_crop(image, size, seeds[0])
        hr = to_channels(tf.image.convert_image_dtype(hr, tf.float32), channels)
        kind = tf.random.stateless_uniform([], seeds[1], 0, len(turns), tf.int32)
        return hr, tf.constant(turns)[kind]

    @tf.function(jit_compile=True)
    def degrade_batch(hr, turn):
        hr = tf.ensure_shape(hr, [batch_size, hr_patch, hr_patch, channels])
        transpose, row_step, column_step = tf.split(turn[..., None, None], 3, axis=1)
        hr = tf.where(row_step < 0, hr[:, ::-1], hr)
        hr = tf.where(column_step < 0, hr[:, :, ::-1], hr)
        hr = tf.where(transpose == 1, tf.transpose(hr, [0, 2, 1, 3]), hr)
        lr = tf.einsum("jw,niwc->nijc", weights, tf.einsum("ih,nhwc->niwc", weights, hr))
        return tf.round(tf.clip_by_value(lr, 0, 1) * 255) / 255, hr

    stream = images.shuffle(shuffle, seed=seed).repeat()
    crops = tf.data.Dataset.zip(tf.data.Dataset.counter(), stream)
    crops = crops.map(crop, tf.data.AUTOTUNE, deterministic=True).batch(batch_size)
    return crops.map(degrade_batch, tf.data.AUTOTUNE, deterministic=True).prefetch(2)


def subimages(
    images: Iterable[np.ndarray],
    scale: int,
    hr_patch: int = 33,
    stride: int = 14,
    *,
    channels: int = 1,
    blur_sigma: float = 0.0,
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
        blur_sigma: see `degrade`.

    Returns:
        float32 `[n, h, w, channels]` and float32 `[n, s·h, s·w, channels]` in [0, 1].

    Raises:
        ValueError: no images, an image smaller than a sub-image, or an argument out of its range.
    """
    _check_patch(scale, hr_patch, 1)
    if stride < scale:
        raise ValueError(f"stride {stride} is smaller than the scale {scale}")
    images = [as_float(image) for image in images]
    _check_sizes(images, hr_patch)
    lr_crops, hr_crops = [], []
    for image in images:
        lr_image, hr_image = image_pair(image, scale, channels, blur_sigma)
        patch = hr_patch // scale
        rows, columns = (
            np.arange(0, side - hr_patch + 1, stride) // scale for side in hr_image.shape[:2]
        )
        for top in rows:
            for left in columns:
                lr_crops.append(lr_image[top : top + patch, left : left + patch])
                y, x = top * scale, left * scale
                hr_crops.append(hr_image[y : y + hr_patch, x : x + hr_patch])
    return np.stack(lr_crops), np.stack(hr_crops)


def _one_row(images: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([quantise(i, np.uint8).reshape(-1, i.shape[-1]) for i in images])


def _turns(flips: bool, rotations: bool) -> list[tuple[int, int, int]]:
    """List the turns of a square crop as (transpose, row step, column step)."""
    if rotations:
        turns = [(0, 1, 1), (1, -1, 1), (0, -1, -1), (1, 1, -1)]
        mirrored = [(transpose, -row, column) for transpose, row, column in turns]
        return turns + mirrored if flips else turns
    return [(0, row, column) for row in (1, -1) for column in (1, -1)][: 4 if flips else 1]


def _check_patch(scale: int, hr_patch: int, batch_size: int) -> None:
    check_scale(scale)
    if not isinstance(hr_patch, (int, np.integer)):
        raise ValueError(f"hr_patch is {hr_patch!r}: it must be a whole number of pixels")
    if hr_patch < scale or hr_patch % scale:
        below = max(hr_patch // scale, 1) * scale
        raise ValueError(
            f"hr_patch {hr_patch} is no multiple of the scale {scale}: "
            f"try {below} or {below + scale}"
        )
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: it must be at least 1")


def _check_sizes(images: Sequence[np.ndarray], hr_patch: int) -> None:
    if not images:
        raise ValueError("there are no images to cut crops from")
    small = [
        f"number {i} ({image.shape[0]}×{image.shape[1]})"
        for i, image in enumerate(images)
        if min(image.shape[:2]) < hr_patch
    ]
    if small:
        raise ValueError(
            f"{len(small)} of {len(images)} images are smaller than the crop of "
            f"{hr_patch}×{hr_patch} pixels: {', '.join(small[:5])}; leave them out or cut "
            "smaller crops"
        )
