"""Right and typically wrong answers to the exercises of lesson 14."""

from itertools import pairwise

import numpy as np
import tensorflow as tf
from scipy.optimize import minimize_scalar

from srcnn_tf.checks import lesson14
from srcnn_tf.images import resize_weights

ERROR = lesson14.APART.std(ddof=1) / 5**0.5


def best_share(a, b, truth):
    return np.sum((a - b) * (truth - b)) / np.sum((a - b) ** 2)


def by_search(a, b, truth):
    return minimize_scalar(lambda w: np.sum((w * a + (1 - w) * b - truth) ** 2)).x


TRUTH, SMOOTH, SHARP = lesson14._images()
W = best_share(SHARP, SMOOTH, TRUTH)
MIXED = lesson14._psnr(W * SHARP + (1 - W) * SMOOTH)
GAINED = MIXED - lesson14._psnr(SHARP)
R = resize_weights(96, 24)
INVERSE = np.linalg.pinv(R)


def hidden(pattern):
    return pattern - INVERSE @ R @ pattern @ (INVERSE @ R).T


def by_solving(pattern):
    rows = np.linalg.lstsq(R, R @ pattern @ R.T, rcond=None)[0]
    return tf.constant(pattern - np.linalg.lstsq(R, rows.T, rcond=None)[0].T)


STRENGTH = lesson14._strength()
GRAIN = hidden(np.random.default_rng(14).normal(size=(96, 96)))[..., None]
PAID = lesson14._psnr(SMOOTH) - lesson14._psnr(SMOOTH + STRENGTH * GRAIN)


def spectrum(image, rings):
    window = np.hanning(len(image))
    power = np.abs(np.fft.fft2((image - image.mean()) * window * window[:, None])) ** 2
    frequency = np.fft.fftfreq(len(image))
    radius = np.hypot(frequency[:, None], frequency)
    ends = np.arange(rings + 1) / (2 * rings)
    return [power[(radius >= a) & (radius < b)].mean() for a, b in pairwise(ends)]


def spoilt(**how):
    return lambda image, rings: lesson14._spectrum(image, rings, **how)


def wrong_way(one, other, size, rng):
    better = np.mean(one) > np.mean(other)
    picks = rng.integers(len(one), size=(20_000, size))
    first, second = one[picks].mean(axis=1), other[picks].mean(axis=1)
    return np.mean(first <= second) if better else np.mean(first >= second)


def each_its_own(one, other, size, rng):
    first, second = (rng.choice(scores, (20_000, size)).mean(axis=1) for scores in (one, other))
    return np.mean((first - second) * (one.mean() - other.mean()) <= 0)


def enough(one, other):
    apart = one - other
    return np.ceil((1.645 * apart.std() / abs(apart.mean())) ** 2)


RIGHT = {
    "E14.1": [
        (0.1, ERROR, 30),
        ("0.1", [0.0606], np.float32(30)),
        (0.1, tf.constant(0.0605), "30"),
    ],
    "E14.2": [
        (best_share, GAINED),
        (by_search, str(GAINED)),
        (lambda *images: tf.constant(best_share(*images)), round(GAINED, 2)),
    ],
    "E14.3": [
        (hidden, STRENGTH, PAID),
        (by_solving, str(STRENGTH), [PAID]),
        (lambda pattern: hidden(pattern).tolist(), 1.01 * STRENGTH, round(PAID, 2)),
    ],
    "E14.4": [
        (spectrum,),
        (spoilt(),),
        (lambda image, rings: tf.constant(spectrum(image, rings)),),
    ],
    "E14.5": [
        (wrong_way, enough),
        (
            lambda one, other, size, rng: lesson14._wrong_way(one - other, size, rng),
            lambda one, other: int(enough(other, one)),
        ),
    ],
}
WRONG = {
    "E14.1": [
        ((0.12, ERROR, 30), "minding the sign"),
        ((0.1, ERROR * 5**0.5, 30), "of one image"),
        ((0.1, ERROR * 0.8**0.5, 30), "divide by 4"),
        ((0.1, ERROR / 5**0.5, 30), "not by 5"),
        ((0.1, ERROR, 29), "round up"),
        ((0.1, ERROR, 8), "one standard error"),
        ((0.1, ERROR, 6), "one image"),
    ],
    "E14.2": [
        ((lambda *images: 1 - best_share(*images), GAINED), "share of b"),
        ((lambda *images: np.clip(best_share(*images), 0, 1), GAINED), "do not clip"),
        ((lambda *images: best_share(*images) / 2, GAINED), "on both sides"),
        ((lambda *images: 0.5, GAINED), "derivative"),
        ((best_share, -GAINED), "Mind the sign"),
        ((best_share, MIXED), "own PSNR"),
        ((best_share, MIXED - lesson14._psnr(SMOOTH)), "over smooth"),
        (
            (best_share, lesson14._psnr((SHARP + SMOOTH) / 2) - lesson14._psnr(SHARP)),
            "half of each",
        ),
    ],
    "E14.3": [
        ((lambda pattern: pattern, STRENGTH, PAID), "the pattern itself"),
        ((lambda pattern: pattern - hidden(pattern), STRENGTH, PAID), "take it off"),
        ((lambda pattern: pattern - pattern.mean(), STRENGTH, PAID), "Both axes"),
        ((lambda pattern: pattern - INVERSE @ R @ pattern, STRENGTH, PAID), "than need be"),
        ((hidden, 2 * STRENGTH, PAID), "cross 1"),
        ((hidden, STRENGTH, -PAID), "Mind the sign"),
        ((hidden, STRENGTH, PAID + 1), "with the grain"),
    ],
    "E14.4": [
        ((spoilt(mean=False),), "outer rings"),
        ((spoilt(fade=False),), "Fade"),
        ((spoilt(centre=False),), "mean off before"),
        ((spoilt(sides=lambda n: np.arange(n) / n),), "negative ones"),
        ((lambda image, rings: spectrum(image, rings)[1:],), "shape"),
        ((lambda image, rings: np.sqrt(spectrum(image, rings)),), "which is missing"),
    ],
    "E14.5": [
        ((each_its_own, enough), "*same* images"),
        ((lambda *a: 1 - wrong_way(*a), enough), "sets that are right"),
        ((lambda *a: 100 * wrong_way(*a), enough), "between 0 and 1"),
        ((lambda a, b, size, rng: wrong_way(a, b, 1, rng), enough), "one image"),
        ((wrong_way, lambda *a: enough(*a) - 1), "Round up"),
        ((wrong_way, lambda a, b: np.ceil(1.645 * (a - b).std() / abs((a - b).mean()))), "Square"),
        ((wrong_way, lambda *a: 10_000), "standard deviations of itself"),
    ],
}
