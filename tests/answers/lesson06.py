"""Right and typically wrong answers to the exercises of lesson 06."""

import numpy as np
import tensorflow as tf
from scipy.signal import lfilter
from scipy.stats import sem

from srcnn_tf.checks.toy_network import MOMENTA, SCHEDULES, score, walk
from srcnn_tf.metrics import Protocol, psnr

RATE = 1e-4 * 441 / 2


def adam(gradients, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7, correct=True, inside=False):
    m = v = np.zeros(gradients.shape[1])
    places = [m]
    for t, gradient in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        corrections = [1 - beta**t for beta in (beta_1, beta_2)] if correct else (1, 1)
        size = v / corrections[1]
        size = np.sqrt(size + epsilon) if inside else np.sqrt(size) + epsilon
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


def in_float32(gradients, rate, *others):
    return tf.constant(adam(gradients, rate, *others), tf.float32)


def by_filters(gradients, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Walk without a loop over places: means of the past are recursive filters."""
    t = np.arange(1, len(gradients) + 1)[:, None]
    m = lfilter([1 - beta_1], [1, -beta_1], gradients, axis=0) / (1 - beta_1**t)
    v = lfilter([1 - beta_2], [1, -beta_2], gradients**2, axis=0) / (1 - beta_2**t)
    steps = -rate * m / (np.sqrt(v) + epsilon)
    return np.vstack([0 * gradients[:1], np.cumsum(steps, axis=0)])


def by_sem(base, other):
    apart = np.asarray(other) - np.asarray(base)
    return [float(np.mean(apart)), float(sem(apart))]


def image_by_image(model, lr_images, hr_images, training=False):
    return np.mean(
        [
            batch_score(model, lr[None], hr[None], training)
            for lr, hr in zip(lr_images, hr_images, strict=True)
        ]
    )


def summed(model, lr_images, hr_images):
    return [hr_images.size * g for g in gradients(model, lr_images, hr_images)]


def by_weights(weights, momentum):
    """Average in one sum: the first weights have what the others leave."""
    shares = (1 - momentum) * momentum ** np.arange(len(weights) - 1, -1.0, -1)
    shares[0] = momentum ** (len(weights) - 1)
    return np.tensordot(shares, weights, 1)


RIGHT = {
    "E06.1": [
        (0.022, 1e-4),
        ("2.205e-2", [1e-4]),
        (RATE, 1e-4),
        (tf.constant(RATE), np.float32(1e-4)),
    ],
    "E06.2": [(by_filters,), (lambda *a: [list(row) for row in adam(*a)],), (adam,), (in_float32,)],
    "E06.3": [
        (by_sem, np.array(SLOWER), str(NEEDED)),
        (
            lambda *arms: np.reshape(difference(*map(list, arms)), 2),
            tf.constant(SLOWER),
            np.ceil(NEEDED),
        ),
        (difference, SLOWER, NEEDED),
        (lambda *arms: tf.stack(difference(*arms)), list(SLOWER), round(NEEDED)),
    ],
    "E06.4": [
        (gradients, image_by_image),
        (lambda *a: tuple(gradients(*a)), lambda *a: tf.constant(batch_score(*a))),
        (gradients, batch_score),
        (
            lambda *a: [tf.convert_to_tensor(g).numpy() for g in gradients(*a)],
            lambda model, lr, hr: batch_score(
                lambda x, training: model.predict(x, verbose=0), lr, hr
            ),
        ),
    ],
    "E06.5": [
        (by_weights, GAINS.round(3)),
        (lambda w, m: average(list(w), m), [[str(v) for v in row] for row in GAINS]),
        (average, GAINS),
        (lambda w, m: tf.constant(average(w, m)), GAINS.astype(np.float32).tolist()),
    ],
}
WRONG = {
    "E06.1": [
        ((RATE, 1e-4 / 220.5), "m / √v"),
        ((1e-4 * 21 / 2, 1e-4), "two sides"),
        ((1e-4, RATE), "grows with the gradient"),
        ((2 * RATE, 1e-4), "half"),
        ((1e-4 / 220.5, 1e-4), "smaller gradient"),
        ((1e-4 * 33**2 / 2, 1e-4), "33×33"),
        ((1e-4, 1e-4), "grows with the gradient"),
        ((RATE, RATE), "m / √v"),
        (("much", 1e-4), "should be numbers"),
    ],
    "E06.2": [
        ((lambda *a: adam(*a, inside=True),), "outside of the root"),
        ((lambda g, rate, *_: adam(g, rate),), "all three"),
        ((lambda g, rate, *_: adam(g, rate / 2),), "should be 1 η"),
        ((lambda g, rate: np.zeros((len(g) + 1, g.shape[1])),), "does not go down"),
        ((lambda g, rate: -adam(g, rate),), "does not go down"),
        ((sgd,), "should be 1 η"),
        ((lambda g, rate: adam(g, rate, correct=False),), "should be 1 η"),
        ((lambda g, rate: adam(g, rate)[1:],), "shape"),
        ((lambda g, rate: adam(g, rate, beta_2=0.9),), "remembers"),
        ((lambda g, rate: adam(np.sign(g), rate),), "remembers"),
    ],
    "E06.3": [
        (
            (lambda base, other: difference(np.sort(base), np.sort(other)), SLOWER, NEEDED),
            "standard error",
        ),
        ((difference, (SLOWER[0], 2 * SLOWER[1]), NEEDED), "error in `slower`"),
        ((difference, SLOWER, np.sqrt(NEEDED)), "Square"),
        ((unpaired, SLOWER, NEEDED), "share seeds"),
        ((lambda *arms: difference(*arms, ddof=0), SLOWER, NEEDED), "ddof=1"),
        ((lambda *arms: difference(*arms[::-1]), SLOWER, NEEDED), "sign"),
        ((lambda base, other: (-0.02, 0.005), SLOWER, NEEDED), "Your mean"),
        ((difference, (-SLOWER[0], SLOWER[1]), NEEDED), "sign"),
        ((difference, SLOWER, NEEDED / 8), "times 8"),
        ((difference, SLOWER, np.nan), "NaN"),
    ],
    "E06.4": [
        ((gradients, lambda *a: image_by_image(*a, training=True)), "by the averages"),
        ((summed, batch_score), "mean squared error"),
        ((gradients, lambda *a: -batch_score(*a)), "score"),
        ((lambda *a: gradients(*a, clip=True), batch_score), "no gradient"),
        ((lambda *a: gradients(*a, training=False), batch_score), "own batch"),
        (
            (lambda model, *_: [tf.zeros(v.shape) for v in model.trainable_variables], batch_score),
            "mean squared error",
        ),
        ((lambda *a: 0.0, batch_score), "a list"),
        ((gradients, lambda *a: batch_score(*a, training=True)), "beside it"),
        ((gradients, lambda *a: 31.2), "Your score"),
    ],
    "E06.5": [
        ((lambda w, m: average(w[::-1], m), GAINS), "order"),
        ((lambda w, m: average(w[1:], m), GAINS), "order"),
        ((average, GAINS[::-1]), "mean over seeds"),
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
