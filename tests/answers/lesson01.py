"""Right and typically wrong answers to the exercises of lesson 01."""

from fractions import Fraction
from functools import cache

import numpy as np
import tensorflow as tf
from skimage.metrics import peak_signal_noise_ratio

from srcnn_tf import datasets, metrics
from srcnn_tf.images import apply_weights, quantise, resize, resize_weights
from srcnn_tf.metrics import Protocol
from srcnn_tf.pairs import Degradation, degrade, degrade_weights, image_pair

HALF = np.array([111, 29, -9, -3]) / 256
WEIGHTS = np.array([*HALF[::-1], *HALF])


def shrink_weights(size, scale, a=-0.5, antialias=True, mirror=True):
    def k(t):
        t = abs(t)
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t <= 2 else 0

    weights = np.zeros((size // scale, size))
    for i in range(size // scale):
        for j in range(-2 * scale, size + 2 * scale):
            inside = -1 - j if j < 0 else 2 * size - 1 - j if j >= size else j
            if inside == j or mirror:
                centre = (i + 0.5) * scale - 0.5
                weights[i, inside] += k((j - centre) / (scale if antialias else 1))
    return weights / weights.sum(1, keepdims=True)


def shrink_by_identity(size, scale, a=-0.5, antialias=True):
    """The same by columns: what becomes of each HR pixel; single precision."""
    places = np.arange(-2 * scale, size + 2 * scale)
    centres = (np.arange(size // scale)[:, None] + 0.5) * scale - 0.5
    t = np.abs(places - centres) / (scale if antialias else 1)
    inner, outer = np.polyval([a + 2, -a - 3, 0, 1], t), a * np.polyval([1, -5, 8, -4], t)
    weights = np.where(t <= 1, inner, np.where(t <= 2, outer, 0))
    weights = weights @ np.pad(np.eye(size), [(2 * scale, 2 * scale), (0, 0)], "symmetric")
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


@cache
def blurred_psnr(sigma, border=4, scale=4, colour="luma"):
    scores, camera = [], Degradation(blur=sigma)
    for photograph in datasets.load("samples", "test"):
        channels = 3 if colour == "rgb" else 1
        lr_image, hr_image = image_pair(photograph, scale, channels, degradation=camera)
        sr_image = resize(lr_image, hr_image.shape[:2])
        scores.append(metrics.psnr(hr_image, sr_image, Protocol(border, colour)))
    return np.mean(scores)


def psnr(hr, sr):
    return 10 * np.log10(255**2 / np.mean((hr.astype(float) - sr) ** 2))


def psnr_by_int16(hr, sr):
    with np.errstate(invalid="ignore"):
        return 10 * np.log10(255**2 / np.mean((hr.astype(np.int16) - sr) ** 2))


def psnr_by_sum(hr, sr):
    error = hr.astype(np.int64).ravel() - sr.ravel()
    return float(20 * np.log10(255 / np.sqrt(error @ error / error.size)))


def hide(hr_image, pattern):
    rows, columns = (degrade_weights(side, 3) for side in hr_image.shape[:2])
    seen = apply_weights(pattern, rows, columns)
    unseen = pattern - apply_weights(seen, np.linalg.pinv(rows), np.linalg.pinv(columns))
    hidden, rng = quantise(hr_image + unseen), np.random.default_rng(3)
    while (differs := degrade(hidden, 3) != degrade(hr_image, 3)).any():
        step = np.sign(apply_weights(hidden - hr_image, rows, columns)) * differs / 255
        hidden = quantise(hidden - np.kron(step, np.eye(9)[rng.integers(9)].reshape(3, 3, 1)))
    return hidden


MOVED = (0.1105, -1.0728)  # of E01.3, which the solution notebook computes

RIGHT = {
    "E01.1": [
        (WEIGHTS,),
        (WEIGHTS.tolist(),),
        (tf.constant(WEIGHTS[None], tf.float32),),
        ([Fraction(int(256 * weight), 256) for weight in WEIGHTS],),
        (WEIGHTS.round(3)[:, None],),
    ],
    "E01.3": [
        (shrink_weights, *MOVED),
        (lambda *a, **k: tf.constant(shrink_weights(*a, **k)), *map(np.float32, MOVED)),
        (shrink_by_identity, 0.11, -1.07),
        (lambda *a, **k: shrink_weights(*a, **k).tolist(), [MOVED[0]], np.array([[MOVED[1]]])),
    ],
    "E01.4": [
        (blurred_psnr,),
        (lambda sigma: tf.constant([blurred_psnr(sigma)]),),
        (lambda sigma: round(float(blurred_psnr(sigma)), 2),),
        (lambda sigma: str(blurred_psnr(sigma)),),
    ],
    "E01.5": [
        (psnr, -8.13),
        (lambda hr, sr: tf.constant(psnr(hr, sr)), np.float32(-8.131)),
        (psnr_by_sum, [-8.1308]),
        (lambda hr, sr: peak_signal_noise_ratio(hr, sr, data_range=255), "-8.13"),
    ],
    "E01.6": [
        (hide,),
        (lambda *pair: tf.constant(hide(*pair)),),
        (lambda *pair: quantise(hide(*pair), np.uint8),),
        (lambda hr_image, pattern: hide(hr_image, 0.8 * pattern).astype(np.float64),),
    ],
}
WRONG = {
    "E01.1": [
        ((resize_weights(20, 10, antialias=False)[4, 7:11],), "stretch the kernel"),
        ((2 * WEIGHTS,), "sum to 2"),
        ((np.full(8, 1 / 8),), "which distances"),
        ((np.roll(WEIGHTS, 1),), "even"),
        ((["a"] * 8,), "should be numbers"),
        ((256 * WEIGHTS,), "sum to 256"),
        ((np.abs(WEIGHTS) / np.abs(WEIGHTS).sum(),), "which distances"),
    ],
    "E01.3": [
        ((lambda size, scale, a, antialias: np.eye(size)[::scale], *MOVED), "interior weights"),
        (
            (lambda s, c, a, antialias: resize_weights(s, s // c, antialias=antialias), *MOVED),
            "a =",
        ),
        ((lambda *b, **k: shrink_weights(*b, mirror=False, **k), *MOVED), "border"),
        ((shrink_weights, *MOVED[::-1]), "swapped"),
        ((shrink_weights, -MOVED[0], MOVED[1]), "slip's score minus"),
        ((lambda *b, **k: 3 * shrink_weights(*b, **k), *MOVED), "do not sum to 1"),
        ((lambda *b, a, antialias: shrink_weights(*b, a), *MOVED), "antialias = False"),
        ((shrink_weights, MOVED[0], -0.76), "too large"),
    ],
    "E01.4": [
        ((lambda sigma: 28.53,), "PSNR"),
        ((lambda sigma: blurred_psnr(sigma, border=0),), "border"),
        ((lambda sigma: blurred_psnr(0),), "blur"),
        ((lambda sigma: 1 / 0,), "ZeroDivisionError"),
        ((lambda sigma: blurred_psnr(sigma, colour="rgb"),), "too small"),
        ((lambda sigma: blurred_psnr(sigma, scale=3),), "too large"),
    ],
    "E01.5": [
        ((lambda hr, sr: 10 * np.log10(255**2 / np.mean((hr - sr) ** 2)), -8.13), "wrap"),
        ((lambda hr, sr: psnr(hr, sr) + 20 * np.log10(hr.max() / 255), -8.13), "brightest"),
        ((lambda hr, sr: psnr(hr, sr) - 20 * np.log10(255), -8.13), "peak is 1"),
        ((psnr, 8.13), "sign"),
        ((psnr, -4.07), "squared"),
        ((psnr_by_int16, -8.13), "255 squared"),
        ((lambda hr, sr: psnr(hr, sr) / 2, -8.13), "Your PSNR is"),
    ],
    "E01.6": [
        ((lambda hr_image, pattern: hr_image,), "hidden"),
        ((lambda hr_image, pattern: np.clip(hr_image + 0.9 * pattern, 0, 1),), "256 levels"),
        ((lambda hr_image, pattern: quantise(hr_image + pattern),), "of its pixels"),
        ((lambda hr_image, pattern: 255 * hide(hr_image, pattern),), "leave [0, 1]"),
        ((lambda hr_image, pattern: hide(hr_image, np.abs(pattern)),), "hidden"),
        ((lambda hr_image, pattern: hide(hr_image, np.roll(pattern, 1, 1)),), "not in HR"),
    ],
}
