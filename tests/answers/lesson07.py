"""Right and typically wrong answers to the exercises of lesson 07."""

import keras
import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq

from srcnn_tf.losses import vgg_features
from srcnn_tf.metrics import Protocol, psnr

FIRST, SECOND = 9 * (3 * 64 + 64 * 64), 9 * (64 * 128 + 128 * 128)
WEIGHTS = FIRST + SECOND
VGG = 48**2 * FIRST + 24**2 * SECOND
FSRCNN = 12**2 * 24336
PHI = vgg_features(weights="random")
MEANS = np.array([104, 117, 124], np.uint8)


def footprint(features, position=0.5, flat=False):
    image = tf.constant(np.random.default_rng(0).random((1, 48, 48, 3)), tf.float32)
    image = 0 * image if flat else image
    with tf.GradientTape() as tape:
        tape.watch(image)
        maps = features(image)
        place = int(position * maps.shape[1])
        seen = tf.reduce_sum(maps[0, place, place])
    return np.any(tape.gradient(seen, image)[0].numpy(), axis=(0, 2)).sum()


def moved(features):
    image = np.full((1, 48, 48, 3), 0.5, np.float32)
    before = features(image).numpy()
    image[0, 24, 24] = 1
    return (np.abs(features(image).numpy() - before) > 1e-3).any(axis=(0, 1, 3)).sum()


def distances(window, shift, border=4, sigma=None, wrap=False):
    original, shifted = window[:-shift, :-shift], window[shift:, shift:]
    if wrap:
        shifted = np.roll(original, (-shift, -shift), (0, 1))
    target = float(psnr(original, shifted, Protocol(border)))

    def blurred(sigma):
        return gaussian_filter(original, (sigma, sigma, 0))

    def missing(sigma):
        return float(psnr(original, blurred(sigma), Protocol(border))) - target

    images = shifted, blurred(sigma or brentq(missing, 0.05, 30, xtol=1e-4))
    return [np.sqrt(np.mean((PHI(original[None]) - PHI(image[None])) ** 2)) for image in images]


def invert(phi, features, side, steps=200, largest=1):
    image = tf.Variable(tf.fill((1, side, side, 3), 0.5))
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build([image])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(phi(image) - features))
        optimizer.apply(tape.gradient(loss, [image]))

    for _ in range(steps):
        step()
    return largest * np.clip(image, 0, 1)


KEPT = [80.0, 38.0, 12.0]  # of E07.5, which the solution notebook measures


def footprint_of_squares(features):
    image = tf.random.stateless_uniform((1, 40, 40, 3), (1, 2))
    with tf.GradientTape() as tape:
        tape.watch(image)
        maps = features(image)
        seen = tf.reduce_sum(maps[0, maps.shape[1] // 2, maps.shape[2] // 2] ** 2)
    rows = np.flatnonzero(tape.gradient(seen, image).numpy().any(axis=(0, 2, 3)))
    return np.ptp(rows) + 1


def bisected(window, shift):
    original, shifted = window[:-shift, :-shift], window[shift:, shift:]
    low, high, target = 0.05, 30.0, psnr(original, shifted, Protocol(4))
    for _ in range(30):
        middle = (low + high) / 2
        blurred = gaussian_filter(original, (middle, middle, 0))
        low, high = (
            (middle, high) if psnr(original, blurred, Protocol(4)) > target else (low, middle)
        )
    return [
        tf.sqrt(tf.reduce_mean((PHI(original[None]) - PHI(i[None])) ** 2))
        for i in (shifted, blurred)
    ]


RIGHT = {
    "E07.1": [
        (260_000, 2.16e8, 3.5e6),
        (str(WEIGHTS), [VGG], FSRCNN),
        (WEIGHTS, VGG, FSRCNN),
        (float(WEIGHTS), np.int64(VGG), tf.constant(FSRCNN)),
    ],
    "E07.2": [
        (footprint_of_squares,),
        (lambda features: str(footprint(features, position=0.45)),),
        (footprint,),
        (lambda features: tf.constant([float(footprint(features))]),),
    ],
    "E07.3": [
        (bisected,),
        (lambda window, shift: np.float32(distances(window, shift)),),
        (distances,),
        (lambda window, shift: tf.stack(distances(window, shift)),),
    ],
    "E07.4": [
        (lambda image: np.stack([image[..., 2 - c] - float(MEANS[c]) for c in range(3)], -1),),
        (lambda image: (np.flip(image, -1).astype(np.int16) - MEANS).tolist(),),
        (lambda image: keras.applications.vgg16.preprocess_input(image.astype(np.float32)),),
        (lambda image: tf.cast(image[..., ::-1], tf.float32) - tf.cast(MEANS, tf.float32),),
        (lambda image: image[..., ::-1].astype(int) - MEANS,),
    ],
    "E07.5": [
        (lambda *a: invert(*a, steps=300).astype(np.float16), tuple(KEPT)),
        (lambda *a: invert(*a).tolist(), [60.0, "31", 9]),
        (invert, KEPT),
        (lambda *a: tf.constant(invert(*a)), np.array(KEPT, np.float32)),
    ],
}
WRONG = {
    "E07.1": [
        ((WEIGHTS, VGG, 12**2 * 10_800), "eight layers"),
        ((WEIGHTS, 9e7, FSRCNN), "layer by layer"),
        ((3 * WEIGHTS, VGG, FSRCNN), "maps in"),
        ((260160, VGG, FSRCNN), "biases"),
        ((WEIGHTS - 9 * 2 * 64, VGG, FSRCNN), "three channels"),
        ((WEIGHTS, WEIGHTS * 48**2, FSRCNN), "pooling"),
        ((WEIGHTS, 2 * VGG, FSRCNN), "One image"),
        ((WEIGHTS, VGG, 16 * FSRCNN), "12×12"),
        ((WEIGHTS, VGG, 12**2 * 12464), "RGB"),
        ((WEIGHTS, VGG, "few"), "should be numbers"),
    ],
    "E07.2": [
        ((lambda features: footprint(features) - 1,), "Your footprint of"),
        ((lambda features: features(np.zeros((1, 48, 48, 3))).shape[1],), "Your footprint of"),
        ((lambda features: 14,), "Your footprint of"),
        ((lambda features: footprint(features) ** 2,), "a side"),
        ((lambda features: footprint(features, position=0),), "border"),
        ((lambda features: footprint(features, flat=True),), "random image"),
        ((moved,), "Your footprint of"),
        ((lambda features: features.missing,), "AttributeError"),
    ],
    "E07.3": [
        ((lambda window, shift: distances(window, 1),), "Your distance of"),
        ((lambda *a: [distances(*a)[0]] * 2,), "blurred image"),
        ((lambda *a: (18.89, 25.54),), "Your distance of"),
        ((lambda *a: distances(*a)[::-1],), "swapped"),
        ((lambda *a: np.square(distances(*a)),), "root"),
        ((lambda *a: distances(*a, sigma=2.1),), "blurred image"),
        ((lambda *a: distances(*a, border=0),), "Protocol(4)"),
        ((lambda *a: distances(*a, wrap=True),), "wrap"),
    ],
    "E07.4": [
        ((lambda image: 255.0 - image[..., ::-1] - MEANS,), "Black"),
        ((lambda image: image[..., [2, 0, 1]].astype(float) - MEANS,), "colours are not"),
        ((lambda image: (image - MEANS).astype(np.float32),), "bytes wrap"),
        ((lambda image: (image[..., ::-1] - MEANS).astype(np.float32),), "bytes wrap"),
        ((lambda image: image.astype(np.float32) - MEANS,), "BGR"),
        ((lambda image: image.astype(np.float32) - MEANS[::-1],), "Blue"),
        ((lambda image: image[..., ::-1] / 255 - MEANS,), "0 to 255"),
        ((lambda image: np.zeros(image.shape),), "Black"),
    ],
    "E07.5": [
        ((invert, [29, 28, 12]), "more than that"),
        ((lambda phi, features, side: 1 - invert(phi, features, side), KEPT), "dB"),
        ((lambda phi, features, side: np.full((1, side, side, 3), 0.5), KEPT), "dB"),
        ((lambda *a: invert(*a, steps=30), KEPT), "More steps"),
        ((lambda *a: invert(*a, largest=255), KEPT), "dB"),
        ((lambda *a: invert(*a)[0], KEPT), "shape"),
        ((invert, KEPT[::-1]), "deeper"),
        ((invert, [80, 38, 37]), "block3_conv3"),
    ],
}
