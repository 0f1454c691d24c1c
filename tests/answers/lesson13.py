"""Right and typically wrong answers to the exercises of lesson 13."""

from itertools import pairwise

import numpy as np
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.images import to_channels
from srcnn_tf.pairs import moving_still

WEIGHTS = 12 * 64**2
SHARE = 12 / 27


def window(t, count, cuts, frames=5):
    first = max([0, *(cut for cut in cuts if cut <= t)])
    last = min([count, *(cut for cut in cuts if cut > t)]) - 1
    return np.clip(np.arange(t - frames // 2, t + frames // 2 + 1), first, last)


def by_scenes(t, count, cuts, frames=5):
    edges = [0, *cuts, count]
    scene = next(range(a, b) for a, b in pairwise(edges) if a <= t < b)
    wanted = range(t - frames // 2, t + frames // 2 + 1)
    return [min(max(n, scene[0]), scene[-1]) for n in wanted]


def cut_is_the_last(t, count, cuts, frames=5):
    return window(t, count, [cut + 1 for cut in cuts], frames)


def without_cuts(t, count, cuts, frames=5):
    return window(t, count, [], frames)


def without_ends(t, count, cuts, frames=5):
    return np.arange(t - frames // 2, t + frames // 2 + 1)


def slid(t, count, cuts, frames=5):
    """Move the whole window into the film, so that t leaves the middle."""
    first = min(max(0, t - frames // 2), count - frames)
    return np.arange(first, first + frames)


def middle_repeated(t, count, cuts, frames=5):
    around = np.arange(t - frames // 2, t + frames // 2 + 1)
    return np.where(window(t, count, cuts, frames) == around, around, t)


def smoothed(clip):
    return (clip[:-2] + clip[1:-1] + clip[2:]) / 3


def by_windows(clip):
    views = np.lib.stride_tricks.sliding_window_view(clip, 3, axis=0)
    return tf.constant(views.mean(axis=-1))


def flicker(found, truth):
    return 255 * np.sqrt(np.mean((np.diff(found, axis=0) - np.diff(truth, axis=0)) ** 2))


def of_the_error(found, truth):
    error = np.asarray(found) - truth
    return [float(255 * np.mean((error[1:] - error[:-1]) ** 2) ** 0.5)]


def psnr(found, truth):
    return float(-10 * np.log10(np.mean((found - truth) ** 2)))


photograph = to_channels(datasets.load("samples", "test")[1], 1)[40:200, 60:220]
moving = moving_still(photograph, 9, 1.5, 1, seed=1)
still = np.repeat(moving[:1], len(moving), axis=0)
noise = np.random.default_rng(0).normal(0, 10 / 255, moving.shape)
STILL, MOVING = (
    psnr(smoothed(truth + noise), truth[1:-1]) - psnr((truth + noise)[1:-1], truth[1:-1])
    for truth in (still, moving)
)


def as_channels(clips):
    n, t, h, w, c = clips.shape
    return np.moveaxis(clips, 1, 3).reshape(n, h, w, t * c)


def reshaped(clips):
    n, t, h, w, c = clips.shape
    return clips.reshape(n, h, w, t * c)


def colours_first(clips):
    n, t, h, w, c = clips.shape
    return clips.transpose(0, 2, 3, 4, 1).reshape(n, h, w, t * c)


def shift(frame, other):
    gradients = np.gradient((frame + other) / 2)
    matrix = np.stack([gradient.ravel() for gradient in gradients], axis=1)
    return np.linalg.lstsq(matrix, (frame - other).ravel(), rcond=None)[0]


def by_normal_equations(frame, other):
    rows, columns = np.gradient(frame)
    change = frame - other
    matrix = [
        [np.sum(rows**2), np.sum(rows * columns)],
        [np.sum(rows * columns), np.sum(columns**2)],
    ]
    right = [np.sum(rows * change), np.sum(columns * change)]
    return tuple(np.linalg.solve(matrix, right))


def each_alone(frame, other):
    return [np.sum((frame - other) * g) / np.sum(g**2) for g in np.gradient(frame)]


RIGHT = {
    "E13.1": [
        (WEIGHTS, SHARE, 13),
        ("49152", [0.444], 13.0),
        (float(WEIGHTS), np.float32(SHARE), tf.constant(13)),
        ([[WEIGHTS]], str(4 / 9), "13"),
    ],
    "E13.2": [
        (window,),
        (by_scenes,),
        (lambda *a: tf.constant(window(*a)),),
        (lambda *a: tuple(window(*a).tolist()),),
    ],
    "E13.3": [
        (smoothed, flicker, STILL, MOVING),
        (by_windows, of_the_error, str(STILL), np.float32(MOVING)),
        (lambda clip: smoothed(clip).tolist(), flicker, round(STILL, 2), round(MOVING, 2)),
        (smoothed, lambda *a: tf.constant(flicker(*a)), [STILL], [[MOVING]]),
    ],
    "E13.4": [
        (as_channels,),
        (lambda clips: np.concatenate(list(clips.swapaxes(0, 1)), axis=-1),),
        (lambda clips: tf.concat(tf.unstack(clips, axis=1), axis=-1),),
        (lambda clips: as_channels(clips).tolist(),),
    ],
    "E13.5": [
        (shift,),
        (by_normal_equations,),
        (lambda *a: tf.constant(shift(*a)),),
        (lambda *a: shift(*a).tolist(),),
    ],
}
WRONG = {
    "E13.1": [
        ((WEIGHTS + 128, SHARE, 13), "Biases"),
        ((27 * 64**2, SHARE, 13), "one kernel 3×3×3"),
        ((9 * 64**2, SHARE, 13), "the one in time"),
        ((3 * 64**2, SHARE, 13), "the one in space"),
        ((12 * 64, SHARE, 13), "every map in"),
        ((WEIGHTS, 27 / 12, 13), "other way round"),
        ((WEIGHTS, 0.5, 13), "27 taps"),
        ((WEIGHTS, SHARE, 11), "first layer"),
        ((WEIGHTS, SHARE, 7), "*each* side"),
        ((WEIGHTS, SHARE, 12), "middle frame counts"),
        ((WEIGHTS, SHARE, 5), "longer clip"),
    ],
    "E13.2": [
        ((cut_is_the_last,), "*first* frame"),
        ((without_cuts,), "another scene"),
        ((without_ends,), "has an end"),
        ((slid,), "into the middle"),
        ((middle_repeated,), "nearest to it"),
        ((lambda *a: window(*a)[::-1],), "stay in order"),
        ((lambda t, count, cuts, frames: window(t, count, cuts),), "shape"),
    ],
    "E13.3": [
        ((lambda clip: smoothed(clip) * 3, flicker, STILL, MOVING), "mean of three"),
        ((lambda clip: clip[1:-1], flicker, STILL, MOVING), "mean of three"),
        ((lambda clip: clip, flicker, STILL, MOVING), "shape"),
        (
            (smoothed, lambda a, b: 255 * np.sqrt(np.mean(np.diff(a, axis=0) ** 2)), STILL, MOVING),
            "changes in the truth",
        ),
        (
            (smoothed, lambda a, b: 255 * np.sqrt(np.mean((a - b) ** 2)), STILL, MOVING),
            "error itself",
        ),
        ((smoothed, lambda a, b: flicker(a, b) / 255, STILL, MOVING), "grey levels"),
        ((smoothed, flicker, -STILL, MOVING), "sign"),
        ((smoothed, flicker, STILL, -MOVING), "sign"),
        ((smoothed, flicker, 3.0, MOVING), "less that of the noisy"),
    ],
    "E13.4": [
        ((reshaped,), "order of numbers in memory"),
        ((colours_first,), "Frame after frame"),
        ((lambda clips: as_channels(clips[:, ::-1]),), "channel k of frame t"),
        ((lambda clips: clips[:, 2],), "shape"),
    ],
    "E13.5": [
        ((lambda *a: -shift(*a),), "way back"),
        ((lambda *a: shift(*a)[::-1],), "rows come first"),
        ((lambda *a: shift(*a) / 2,), "factor of two"),
        ((lambda *a: shift(*a) * 2,), "factor of two"),
        ((each_alone,), "both at once"),
        ((lambda *a: np.zeros(2),), "yours is"),
        ((lambda *a: shift(*a)[0],), "shape"),
    ],
}
