"""Right and typically wrong answers to the exercises of lesson 08."""

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf import datasets, load_pretrained
from srcnn_tf.layers import BicubicUpsampling
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.pairs import evaluation_pairs

WEIGHTS = 664_704
RATIO = WEIGHTS * 9 / 12464


def by_number(gradients, rate, theta):
    return [np.minimum(np.maximum(g, -theta / rate), theta / rate) for g in gradients]


def by_norm(gradients, limit):
    return tf.clip_by_global_norm([tf.constant(g, tf.float32) for g in gradients], limit)[0]


def farthest(theta, momentum, steps):
    velocity = distance = 0.0
    for _ in range(steps):
        velocity = momentum * velocity + theta
        distance += velocity
    return distance


def by_keras(theta, momentum, steps):
    """Let a steep slope pull a weight, clipped, at the rate 1."""
    weight = keras.Variable(0.0)
    optimizer = keras.optimizers.SGD(1.0, momentum, clipvalue=theta)
    for _ in range(steps):
        optimizer.apply([tf.constant(1e6)], [weight])
    return -weight.numpy()


def in_closed_form(theta, momentum, steps):
    rest = momentum * (1 - momentum**steps) / (1 - momentum)
    return theta / (1 - momentum) * (steps - rest)


def each_by_itself(gradients, limit):
    return [g * min(1, limit / np.linalg.norm(g)) for g in gradients]


def always_to_the_limit(gradients, limit):
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    return [g * limit / norm for g in gradients]


RATES = [3.8 / depth for depth in (2, 5, 10, 20)]


def target(hr_levels, enlarged_levels):
    return (hr_levels / 255 - enlarged_levels / 255).astype(np.float32)


def add_up(enlarged, residual):
    return tf.clip_by_value(enlarged + residual, 0, 1)


def opinions(enlarge, lr_images, undo=True):
    """Turn by transposing and reversing axes, which come back in the opposite order."""
    found = []
    for transposed in (False, True):
        for rows in (1, -1):
            for columns in (1, -1):
                images = lr_images[:, ::rows, ::columns]
                images = images.swapaxes(1, 2) if transposed else images
                enlarged = np.asarray(enlarge(np.ascontiguousarray(images)))
                if undo:
                    enlarged = enlarged.swapaxes(1, 2) if transposed else enlarged
                    enlarged = enlarged[:, ::rows, ::columns]
                found.append(enlarged)
    return np.stack(found)


def by_tensorflow(enlarge, lr_images):
    found = []
    for turns in range(4):
        for mirrored in (False, True):
            images = tf.image.rot90(lr_images, turns)
            images = tf.image.flip_up_down(images) if mirrored else images
            enlarged = enlarge(images)
            enlarged = tf.image.flip_up_down(enlarged) if mirrored else enlarged
            found.append(tf.image.rot90(enlarged, -turns))
    return tf.stack(found)


def turns_alone(enlarge, lr_images):
    four = by_tensorflow(enlarge, lr_images)[::2]
    return tf.concat([four, four], 0)


def undone_in_the_same_order(enlarge, lr_images):
    found = []
    for mirror in (1, -1):
        for turns in range(4):
            images = np.rot90(lr_images[:, :, ::mirror], turns, axes=(1, 2))
            enlarged = np.asarray(enlarge(np.ascontiguousarray(images)))[:, :, ::mirror]
            found.append(np.rot90(enlarged, -turns, axes=(1, 2)))
    return np.stack(found)


def mean_and_spread(images, hr_images):
    return np.mean((images - hr_images) ** 2), np.mean(np.var(images, axis=0))


def from_the_mean(images, hr_images):
    mean = np.mean(images, axis=0)
    variance = np.mean((images - mean) ** 2)
    return [float(np.mean((mean - hr_images) ** 2) + variance), float(variance)]


CROPS = [photograph[120:192, 200:272] for photograph in datasets.load("samples", "test")]
PAIRS = evaluation_pairs(CROPS, 3)
VDSR, BICUBIC = load_pretrained("vdsr", 3), BicubicUpsampling(3)


def score(enlarge):
    return float(np.mean([psnr(hr, np.asarray(enlarge(lr)), Protocol(3))[0] for lr, hr in PAIRS]))


VDSR_DB, BICUBIC_DB = score(VDSR), score(BICUBIC)
BRIGHTER_DB = score(lambda lr: np.maximum(VDSR(lr), BICUBIC(lr)))
LOST, GAIN = VDSR_DB - BRIGHTER_DB, score(lambda lr: opinions(VDSR, lr).mean(axis=0)) - VDSR_DB

RIGHT = {
    "E08.1": [
        (WEIGHTS, 8, RATIO),
        ("664704", [8.0], 480),
        (float(WEIGHTS), tf.constant(8), 479.97),
        ([[WEIGHTS]], "8", np.float32(RATIO)),
    ],
    "E08.2": [
        (by_number, by_norm, farthest),
        (lambda *a: tuple(map(tf.constant, by_number(*a))), by_norm, by_keras),
        (lambda *a: [g.tolist() for g in by_number(*a)], by_norm, lambda *a: [farthest(*a)]),
        (by_number, lambda *a: tuple(by_norm(*a)), in_closed_form),
    ],
    "E08.3": [
        (RATES, 3.8),
        ([1.89, "0.757", 0.383, 0.19], "3.79"),
        (np.array(RATES, np.float32), np.mean([2 * 1.9, 5 * 0.757])),
        (tf.constant(RATES), [3.8]),
    ],
    "E08.4": [
        (target, add_up, LOST),
        (
            lambda hr, enlarged: np.subtract(hr, enlarged, dtype=np.int16) / 255,
            lambda enlarged, residual: (enlarged + residual).clip(0, 1).tolist(),
            str(LOST),
        ),
        (
            lambda hr, enlarged: tf.cast(hr, tf.float32) / 255 - enlarged / np.float32(255),
            add_up,
            [LOST],
        ),
        (
            target,
            lambda enlarged, residual: np.minimum(1, np.maximum(0, residual + enlarged)),
            round(LOST, 2),
        ),
    ],
    "E08.5": [
        (opinions, mean_and_spread, GAIN),
        (by_tensorflow, from_the_mean, str(GAIN)),
        (
            lambda *a: opinions(*a).tolist(),
            lambda *a: tf.constant(mean_and_spread(*a)),
            round(GAIN, 3),
        ),
        (lambda *a: opinions(*a)[::-1], mean_and_spread, np.float32(GAIN)),
    ],
}
WRONG = {
    "E08.1": [
        ((WEIGHTS + 1217, 8, RATIO), "Biases"),
        ((737_280, 8, RATIO), "one map in"),
        ((663_552, 8, RATIO), "first and the last"),
        ((WEIGHTS - 576, 8, RATIO), "last layer has weights"),
        ((1000, 8, RATIO), "layer by layer"),
        ((WEIGHTS, 16, RATIO), "*each* side"),
        ((WEIGHTS, 17, RATIO), "*each* side"),
        ((WEIGHTS, 6, RATIO), "9-1-5"),
        ((WEIGHTS, 9, RATIO), "without any layer"),
        ((WEIGHTS, 8, RATIO / 9), "grids"),
        ((WEIGHTS, 8, RATIO / 3), "two sides"),
        ((WEIGHTS, 8, 1 / RATIO), "other way round"),
    ],
    "E08.2": [
        ((lambda g, rate, theta: by_number(g, 1, theta), by_norm, farthest), "rises"),
        ((lambda g, rate, theta: by_number(g, 1 / rate, theta), by_norm, farthest), "not times"),
        (
            (
                lambda gradients, rate, theta: [np.minimum(g, theta / rate) for g in gradients],
                by_norm,
                farthest,
            ),
            "Negative",
        ),
        (
            (lambda g, rate, theta: by_norm(g, theta / rate), by_norm, farthest),
            "cut each number off",
        ),
        ((lambda *a: by_number(*a)[0], by_norm, farthest), "a list"),
        ((by_number, each_by_itself, farthest), "one factor"),
        ((by_number, always_to_the_limit, farthest), "stay as they are"),
        ((by_number, lambda g, limit: by_number(g, 1, limit), farthest), "keep the direction"),
        ((by_number, by_norm, lambda theta, momentum, steps: theta * steps), "without momentum"),
        (
            (by_number, by_norm, lambda theta, momentum, steps: theta * steps / (1 - momentum)),
            "full size",
        ),
        (
            (by_number, by_norm, lambda t, m, steps: t * (1 - m**steps) / (1 - m)),
            "last velocity",
        ),
    ],
    "E08.3": [
        ((RATES[::-1], 3.8), "longer chain"),
        (([2 / 2, 2 / 5, 2 / 10, 2 / 20], 2), "without momentum"),
        (([1.9, 0.76, 0.38, 0.16], 3.8), "for 20 weights"),
        (([1.9, 0.76], 3.8), "shape"),
        ((RATES, 1 / 3.8), "other way round"),
        ((RATES, np.mean(RATES)), "by its D first"),
        ((RATES, 2.0), "by its D"),
    ],
    "E08.4": [
        ((lambda hr, enlarged: (hr - enlarged) / 255, add_up, LOST), "counts on"),
        ((lambda *a: np.abs(target(*a)), add_up, LOST), "has a sign"),
        ((lambda *a: np.maximum(target(*a), 0), add_up, LOST), "has a sign"),
        ((lambda *a: -target(*a), add_up, LOST), "mind the sign"),
        ((lambda *a: 255 * target(*a), add_up, LOST), "between −1 and 1"),
        ((lambda hr, enlarged: hr / 255, add_up, LOST), "not the difference"),
        ((target, lambda e, r: e + np.clip(r, 0, 1), LOST), "darker"),
        ((target, lambda e, r: np.clip(e + np.maximum(r, 0), 0, 1), LOST), "darker"),
        ((target, lambda e, r: e + r, LOST), "end at 0"),
        ((target, lambda e, r: np.clip(e - r, 0, 1), LOST), "then clip"),
        ((target, add_up, -LOST), "positive"),
        ((target, add_up, BRIGHTER_DB), "VDSR's own"),
        ((target, add_up, BRIGHTER_DB - BICUBIC_DB), "left over bicubic"),
        ((target, add_up, VDSR_DB - BICUBIC_DB), "all that VDSR gains"),
    ],
    "E08.5": [
        (
            (lambda f, x: np.stack([np.asarray(f(x))] * 8), mean_and_spread, GAIN),
            "untouched",
        ),
        ((turns_alone, mean_and_spread, GAIN), "4 of the eight"),
        ((undone_in_the_same_order, mean_and_spread, GAIN), "undone in order"),
        ((lambda f, x: opinions(f, x).mean(axis=0), mean_and_spread, GAIN), "shape"),
        ((lambda f, x: opinions(f, x, undo=False), mean_and_spread, GAIN), "raises"),
        (
            (
                opinions,
                lambda images, hr: (np.mean((images.mean(axis=0) - hr) ** 2), 0.08),
                GAIN,
            ),
            "mean image's error",
        ),
        (
            (opinions, lambda images, hr: (mean_and_spread(images, hr)[0], images.var()), GAIN),
            "Pixel by pixel",
        ),
        (
            (
                opinions,
                lambda images, hr: (
                    mean_and_spread(images, hr)[0],
                    np.mean(np.var(images, axis=0, ddof=1)),
                ),
                GAIN,
            ),
            "by 8, not by 7",
        ),
        ((opinions, mean_and_spread, -GAIN - 1), "The mean *image*"),
        ((opinions, mean_and_spread, VDSR_DB + GAIN), "VDSR's own PSNR"),
        ((opinions, mean_and_spread, VDSR_DB + GAIN - BICUBIC_DB), "over bicubic"),
    ],
}
