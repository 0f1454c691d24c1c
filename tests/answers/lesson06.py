"""Right and typically wrong answers to the exercises of lesson 06."""

import numpy as np
import tensorflow as tf

from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.toy_network import MOMENTA, SCHEDULES, score, walk

RATE = 1e-4 * 441 / 2


def adam(gradients, rate, betas=(0.9, 0.999), correct=True):
    m = v = np.zeros(gradients.shape[1])
    places = [m]
    for t, gradient in enumerate(gradients, 1):
        m = betas[0] * m + (1 - betas[0]) * gradient
        v = betas[1] * v + (1 - betas[1]) * gradient**2
        corrections = [1 - beta**t for beta in betas] if correct else (1, 1)
        size = np.sqrt(v / corrections[1]) + 1e-7
        places.append(places[-1] - rate * m / corrections[0] / size)
    return np.stack(places)


def sgd(gradients, rate):
    return np.concatenate([0 * gradients[:1], -rate * np.cumsum(gradients, axis=0)])


def difference(base, other, ddof=1):
    apart = np.subtract(other, base)
    return apart.mean(), apart.std(ddof=ddof) / np.sqrt(len(apart))


def unpaired(base, other):
    variances = np.var(base, ddof=1) + np.var(other, ddof=1)
    return np.mean(other) - np.mean(base), np.sqrt(variances / len(base))


ARMS = [[score(walk(s, learning_rate=rate)[-1]) for s in range(8)] for rate in (0.2, 0.16)]
SLOWER = difference(*ARMS)
NEEDED = 8 * (unpaired(*ARMS)[1] / SLOWER[1]) ** 2


def gradients(model, lr_images, hr_images, training=True, clip=False):
    with tf.GradientTape() as tape:
        sr_images = model(lr_images, training=training)
        sr_images = tf.clip_by_value(sr_images, 0, 1) if clip else sr_images
        loss = tf.reduce_mean(tf.square(hr_images - sr_images))
    return tape.gradient(loss, model.trainable_variables)


def batch_score(model, lr_images, hr_images, training=False):
    return np.mean(psnr(hr_images, np.asarray(model(lr_images, training=training)), Protocol(2)))


def average(weights, momentum, start=None):
    mean = weights[0] if start is None else start
    for each in weights[1:]:
        mean = momentum * mean + (1 - momentum) * each
    return mean


def measure(seeds):
    gains = [
        [[score(average(w, m)) - score(w[-1]) for m in MOMENTA] for w in (walk(s, **changes),)]
        for changes in SCHEDULES.values()
        for s in seeds
    ]
    return np.reshape(gains, (4, len(seeds), 3)).mean(axis=1)


GAINS = measure(range(4))

RIGHT = {
    "E06.1": [(RATE, 1e-4), (tf.constant(RATE), np.float32(1e-4))],
    "E06.2": [(adam,), (lambda g, rate: tf.constant(adam(g, rate), tf.float32),)],
    "E06.3": [
        (difference, SLOWER, NEEDED),
        (lambda *arms: tf.stack(difference(*arms)), list(SLOWER), round(NEEDED)),
    ],
    "E06.4": [
        (gradients, batch_score),
        (
            lambda *a: [tf.convert_to_tensor(g).numpy() for g in gradients(*a)],
            lambda model, lr, hr: batch_score(
                lambda x, training: model.predict(x, verbose=0), lr, hr
            ),
        ),
    ],
    "E06.5": [
        (average, GAINS),
        (lambda w, m: tf.constant(average(w, m)), GAINS.astype(np.float32).tolist()),
    ],
}
WRONG = {
    "E06.1": [
        ((2 * RATE, 1e-4), "half"),
        ((1e-4 / 220.5, 1e-4), "smaller gradient"),
        ((1e-4 * 33**2 / 2, 1e-4), "33×33"),
        ((1e-4, 1e-4), "grows with the gradient"),
        ((RATE, RATE), "m / √v"),
        (("much", 1e-4), "should be numbers"),
    ],
    "E06.2": [
        ((lambda g, rate: np.zeros((len(g) + 1, g.shape[1])),), "does not go down"),
        ((lambda g, rate: -adam(g, rate),), "does not go down"),
        ((sgd,), "should be 1 η"),
        ((lambda g, rate: adam(g, rate, correct=False),), "should be 1 η"),
        ((lambda g, rate: adam(g, rate)[1:],), "shape"),
        ((lambda g, rate: adam(g, rate, betas=(0.9, 0.9)),), "remembers"),
        ((lambda g, rate: adam(np.sign(g), rate),), "remembers"),
    ],
    "E06.3": [
        ((unpaired, SLOWER, NEEDED), "share seeds"),
        ((lambda *arms: difference(*arms, ddof=0), SLOWER, NEEDED), "ddof=1"),
        ((lambda *arms: difference(*arms[::-1]), SLOWER, NEEDED), "sign"),
        ((lambda base, other: (-0.02, 0.005), SLOWER, NEEDED), "The mean"),
        ((difference, (-SLOWER[0], SLOWER[1]), NEEDED), "sign"),
        ((difference, SLOWER, NEEDED / 8), "times 8"),
        ((difference, SLOWER, np.nan), "NaN"),
    ],
    "E06.4": [
        ((lambda *a: gradients(*a, clip=True), batch_score), "no gradient"),
        ((lambda *a: gradients(*a, training=False), batch_score), "own batch"),
        (
            (lambda model, *_: [tf.zeros(v.shape) for v in model.trainable_variables], batch_score),
            "mean squared error",
        ),
        ((lambda *a: 0.0, batch_score), "a list"),
        ((gradients, lambda *a: batch_score(*a, training=True)), "beside it"),
        ((gradients, lambda *a: 31.2), "The score"),
    ],
    "E06.5": [
        ((lambda weights, momentum: weights.mean(axis=0), GAINS), "count alike"),
        ((lambda weights, momentum: weights[-1], GAINS), "last weights"),
        ((lambda weights, momentum: 5 + 0 * weights[0], GAINS), "The average differs"),
        ((lambda weights, momentum: average(weights, 1 - momentum), GAINS), "share"),
        ((lambda w, m: average(np.concatenate([w[:1], w]), m, 0 * w[0]), GAINS), "not at zero"),
        ((average, -GAINS), "sign"),
        ((average, measure([0])), "seeds"),
        ((average, GAINS.T), "shape"),
    ],
}
