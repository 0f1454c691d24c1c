"""Pairs of clips: aligned crops in space and time, and clips made of still photographs."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from srcnn_tf.environment import cores
from srcnn_tf.images.pixels import as_float, quantise, to_channels
from srcnn_tf.images.resizing import resize
from srcnn_tf.pairs.crops import check_patch, steady
from srcnn_tf.pairs.degradation import BICUBIC, AnyDegradation
from srcnn_tf.pairs.whole_images import image_pair
from srcnn_tf.ranges import check_number, check_seed


def clip_pair(
    clip: Sequence[np.ndarray],
    scale: int,
    channels: int = 1,
    degradation: AnyDegradation = BICUBIC,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a clip into its (LR, HR) pair, frame by frame; see `image_pair`.

    Args:
        clip: frames `[H, W, c]` of one size.
        scale: 2, 3 or 4.
        channels: 1 for luma, 3 for RGB.
        degradation: see `degrade`; each frame has noise of its own.
        seed: of the noise.

    Returns:
        float32 `[t, h, w, channels]` and `[t, s·h, s·w, channels]` in [0, 1].
    """
    pairs = [
        image_pair(frame, scale, channels, degradation, (seed, number))
        for number, frame in enumerate(clip)
    ]
    lr_clip, hr_clip = zip(*pairs, strict=True)
    return np.stack(lr_clip), np.stack(hr_clip)


def windows(clip: np.ndarray, frames: int = 5) -> np.ndarray:
    """Return the `frames` frames around each frame, the first and the last repeated at the ends.

    `[t, h, w, c]` becomes `[t, frames, h, w, c]`.
    """
    around = np.arange(len(clip))[:, None] + np.arange(frames) - frames // 2
    return clip[around.clip(0, len(clip) - 1)]


def clip_crops(
    clips: Sequence[Sequence[np.ndarray]],
    scale: int,
    hr_patch: int = 48,
    batch_size: int = 8,
    *,
    frames: int = 5,
    channels: int = 1,
    degradation: AnyDegradation = BICUBIC,
    seed: int = 0,
    first_batch: int = 0,
) -> tf.data.Dataset:
    """Degrade whole clips once, then draw aligned crops of successive frames for ever.

    Every place in space and time of every clip is equally likely, as are the eight turns of a crop
    and its two directions in time. Batch n does not depend on the batches before it.

    Args:
        clips: see `clip_pair`.
        scale: 2, 3 or 4.
        hr_patch: side of an HR crop in pixels, a multiple of the scale.
        batch_size: crops in a batch.
        frames: successive LR frames in a crop, odd; the HR crop belongs to the middle one.
        channels: 1 for luma, 3 for RGB.
        degradation: see `clip_pair`.
        seed: of places, turns and noise.
        first_batch: number of batches to pass over.

    Returns:
        An endless dataset of (float32 `[n, frames, h, w, channels]`, float32
        `[n, s·h, s·w, channels]`) in [0, 1].

    Raises:
        ValueError: no clip, one with fewer frames or smaller frames than a crop, an argument out of
            its range.

    Derived in lesson 13.
    """
    check_patch(scale, hr_patch, batch_size)
    check_seed(seed)
    check_number("first_batch", first_batch, whole=True, least=0)
    check_number("frames", frames, whole=True, least=1)
    pairs = [clip_pair(clip, scale, channels, degradation, seed) for clip in clips]
    side = hr_patch // scale
    room = np.array([np.subtract(lr.shape[:3], (frames, side, side)) + 1 for lr, _ in pairs])
    if not pairs or room.min() < 1 or frames % 2 == 0:
        told = f"crops of {frames} frames of {hr_patch}×{hr_patch} pixels"
        raise ValueError(f"{told} need an odd number of frames, and clips at least as large")
    ends = np.cumsum(room.prod(axis=1))

    def batch(number):
        generator, drawn = np.random.default_rng([seed, number]), []
        for place in generator.integers(ends[-1], size=batch_size):
            which = np.searchsorted(ends, place, side="right")
            lr_clip, hr_clip = pairs[which]
            t, y, x = np.unravel_index(place - (ends - room.prod(axis=1))[which], room[which])
            middle, top, left = t + frames // 2, y * scale, x * scale
            lr_crop = lr_clip[t : t + frames, y : y + side, x : x + side]
            hr_crop = hr_clip[middle, top : top + hr_patch, left : left + hr_patch]
            turns, mirrored, backwards = generator.integers((4, 2, 2))
            mirror = slice(None, None, -1 if mirrored else 1)
            lr_crop = np.rot90(lr_crop[:: -1 if backwards else 1, :, mirror], turns, (1, 2))
            drawn.append((lr_crop, np.rot90(hr_crop[:, mirror], turns)))
        return [np.stack(crops) for crops in zip(*drawn, strict=True)]

    def pair(number):
        lr_crops, hr_crops = tf.numpy_function(batch, [number], [tf.float32, tf.float32])
        lr_crops.set_shape([batch_size, frames, side, side, channels])
        return lr_crops, tf.ensure_shape(hr_crops, [batch_size, hr_patch, hr_patch, channels])

    numbers = tf.data.Dataset.counter(first_batch)
    return steady(numbers.map(pair, cores(), deterministic=True).prefetch(4))


def moving_still(
    image: np.ndarray,
    frames: int = 9,
    speed: float = 1.5,
    shrink: int = 2,
    channels: int = 1,
    seed: int = 0,
) -> np.ndarray:
    """Make a clip of a still photograph: a camera that drifts and trembles.

    Frames are cut at whole pixels of the photograph, then shrunk, so that they move by fractions of
    their pixels and no interpolation between pixels blurs them.

    Args:
        image: `[H, W, c]`, see `images.as_float`.
        frames: of the clip.
        speed: the largest drift along an axis, in pixels of the clip from frame to frame.
        shrink: by how much frames are smaller than what is cut.
        channels: 1 for luma, 3 for RGB.
        seed: of the drift, and of the tremble, half a pixel each way.

    Returns:
        float32 `[frames, h, w, channels]` in [0, 1].

    Raises:
        ValueError: a photograph too small for the way; see also `images.as_float`.

    Derived in lesson 13.
    """
    check_seed(seed)
    check_number("frames", frames, whole=True, least=1)
    check_number("speed", speed, least=0)
    check_number("shrink", shrink, whole=True, least=1)
    generator = np.random.default_rng(seed)
    drift = generator.uniform(-speed, speed, 2) * np.arange(frames)[:, None]
    places = np.rint(shrink * (drift + generator.uniform(-0.5, 0.5, (frames, 2)))).astype(int)
    places -= places.min(axis=0)
    image = to_channels(as_float(image), channels)
    size = (np.subtract(image.shape[:2], places.max(axis=0)) // shrink).clip(0)
    if min(size) < 1:
        raise ValueError(f"{image.shape[:2]} pixels are too few for {frames} frames at {speed}")
    height, width = size * shrink
    cuts = (image[y : y + height, x : x + width] for y, x in places)
    return np.stack([quantise(resize(cut, tuple(size))) for cut in cuts])
