"""Right and typically wrong answers to the exercises of lesson 11."""

import numpy as np
import tensorflow as tf

from srcnn_tf.checks.lesson11 import LEVELS, eight_turns, projections
from srcnn_tf.images import resize
from srcnn_tf.pairs import Degradation, degrade

WEIGHTS = 224_640
PRICE = 8 * 222_336 / 664_704


def distances(patches, others):
    patches = patches - patches.mean(axis=(1, 2), keepdims=True)
    others = others - others.mean(axis=(1, 2), keepdims=True)
    return [np.sqrt(((others - patch) ** 2).mean(axis=(1, 2))).min() for patch in patches]


def by_products(patches, others):
    a, b = (it.reshape(len(it), -1) for it in (patches, others))
    a, b = (it - it.mean(axis=1, keepdims=True) for it in (a, b))
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return tf.sqrt(tf.reduce_min(squares, axis=1) / a.shape[1])


def uncentred(patches, others):
    return [np.sqrt(((others - patch) ** 2).mean(axis=(1, 2))).min() for patch in patches]


def step(sr_image, lr_image):
    debt = lr_image - degrade(sr_image, 2, Degradation(rounding=False))
    return (sr_image + resize(debt, sr_image.shape[:2])).clip(0, 1)


def rounded(sr_image, lr_image):
    return sr_image + resize(lr_image - degrade(sr_image, 2), sr_image.shape[:2])


def with_sign_lost(sr_image, lr_image):
    return 2 * sr_image - step(sr_image, lr_image)


def whole(sr_image, lr_image):
    return sr_image + resize(lr_image, sr_image.shape[:2])


CLEAN, NOISY = projections(0.0), projections(LEVELS)
GAIN, BEST = CLEAN[10] - CLEAN[0], int(NOISY.argmax())


def kept(kernel):
    turns = eight_turns(kernel)
    return [it.shape == kernel.shape and np.allclose(it, kernel) for it in turns]


def by_blurring(kernel):
    """Turn an image, blur it, turn it back: is that the blurred image?"""
    image = np.random.default_rng(0).random((9, 9))
    blur = lambda it: np.fft.ifft2(np.fft.fft2(it) * np.fft.fft2(kernel, it.shape)).real  # noqa: E731
    found = []
    for mirror in (1, -1):
        for turns in range(4):
            turned = np.rot90(image[:, ::mirror], turns)
            back = np.rot90(blur(turned), -turns)[:, ::mirror]
            shifts = [np.roll(back, (y, x), (0, 1)) for y in range(9) for x in range(9)]
            found.append(int(any(np.allclose(it, blur(image)) for it in shifts)))
    return found


def next_rate(rate, steps, errors):
    (slope, _), covariance = np.polyfit(steps, errors, 1, cov=True)
    return rate / 10 if -1.5 * slope < covariance[0, 0] ** 0.5 else rate


def by_formula(rate, steps, errors):
    x, y = steps - steps.mean(), errors - errors.mean()
    slope = (x * y).sum() / (x**2).sum()
    left = ((y - slope * x) ** 2).sum() / (len(x) - 2)
    return np.float32(rate / 10) if 1.5 * slope > -np.sqrt(left / (x**2).sum()) else rate


def by_scatter_of_errors(rate, steps, errors):
    slope = np.polyfit(steps, errors, 1)[0]
    return rate / 10 if -1.5 * slope < np.std(errors) else rate


def by_size_of_slope(rate, steps, errors):
    (slope, _), covariance = np.polyfit(steps, errors, 1, cov=True)
    return rate / 10 if 1.5 * abs(slope) < covariance[0, 0] ** 0.5 else rate


RIGHT = {
    "E11.1": [
        (WEIGHTS, 17, PRICE),
        ("224640", [17.0], 2.68),
        (tf.constant(WEIGHTS), "17", np.float32(PRICE)),
    ],
    "E11.2": [
        (distances,),
        (by_products,),
        (lambda *a: np.array(distances(*a), np.float64),),
    ],
    "E11.3": [
        (step, GAIN, BEST),
        (rounded, str(GAIN), float(BEST)),
        (lambda *a: tf.constant(step(*a)), round(GAIN, 2), [BEST]),
    ],
    "E11.4": [(kept,), (by_blurring,), (lambda kernel: np.array(kept(kernel)),)],
    "E11.5": [(next_rate,), (by_formula,), (lambda *a: str(next_rate(*a)),)],
}
WRONG = {
    "E11.1": [
        ((WEIGHTS + 451, 17, PRICE), "no biases"),
        ((222_336, 17, PRICE), "RGB"),
        ((294_912, 17, PRICE), "three maps in"),
        ((WEIGHTS + 9 * 64**2, 17, PRICE), "six of them"),
        ((WEIGHTS, 16, PRICE), "middle counts"),
        ((WEIGHTS, 8, PRICE), "one side"),
        ((WEIGHTS, 24, PRICE), "overlap"),
        ((WEIGHTS, 17, PRICE / 8), "one turn"),
        ((WEIGHTS, 17, 1 / PRICE), "other way round"),
        ((WEIGHTS, 17, 8 * WEIGHTS / 664_704), "For luma"),
    ],
    "E11.2": [
        ((uncentred,), "own mean"),
        ((lambda *a: np.square(distances(*a)),), "root is missing"),
        ((lambda *a: 5 * np.array(distances(*a)),), "Root *mean* square"),
        ((lambda a, b: distances(b, a),), "shape"),
        ((lambda a, b: np.array(distances(a, b)) + 0.01,), "to the nearest of the second"),
    ],
    "E11.3": [
        ((with_sign_lost, GAIN, BEST), "sign"),
        ((whole, GAIN, BEST), "not the whole image"),
        ((lambda *a: step(*a) - a[0], GAIN, BEST), "Add the debt"),
        ((lambda sr, lr: sr, GAIN, BEST), "Shrink, subtract"),
        ((step, -GAIN, BEST), "sign"),
        ((step, CLEAN[10], BEST), "own PSNR"),
        ((step, NOISY[10] - NOISY[0], BEST), "with noise"),
        ((step, GAIN, int(CLEAN.argmax())), "without noise"),
        ((step, GAIN, BEST + 3), "0, 1, 2"),
    ],
    "E11.4": [
        ((lambda kernel: [True] * 8,), "not every turn is allowed"),
        ((lambda kernel: [True] + [False] * 7,), "of the eight are allowed"),
        ((lambda kernel: [False] * 8,), "not turned at all"),
        ((lambda kernel: [kept(kernel)[n] for n in (0, 4, 1, 5, 2, 6, 3, 7)],), "first the four"),
        ((lambda kernel: kept(kernel)[:4],), "shape"),
    ],
    "E11.5": [
        ((lambda rate, steps, errors: rate,), "divide the rate"),
        ((lambda rate, steps, errors: rate / 10,), "keep the rate"),
        ((by_size_of_slope,), "*rises*"),
        ((by_scatter_of_errors,), "keep the rate"),
        ((lambda rate, steps, errors: rate / 2,), "divided by ten"),
    ],
}
