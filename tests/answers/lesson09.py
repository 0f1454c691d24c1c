"""Right and typically wrong answers to the exercises of lesson 09."""

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf import datasets, load_pretrained
from srcnn_tf.images import to_channels
from srcnn_tf.pairs import degrade_weights

FACTOR = 1 / 162.5625


def losses(on_hr, on_sr):
    softplus = tf.nn.softplus
    made = tf.reduce_mean(softplus(on_sr))
    return tf.reduce_mean(softplus(-on_sr)), tf.reduce_mean(softplus(-on_hr)) + made


def by_keras(on_hr, on_sr):
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    ones, zeros = np.ones(on_hr.shape), np.zeros(on_sr.shape)
    return [float(entropy(ones, on_sr)), float(entropy(ones, on_hr) + entropy(zeros, on_sr))]


def by_cases(on_hr, on_sr):
    def minus_log_d(logit):
        small = np.log1p(np.exp(-np.abs(logit)))
        return np.mean(np.maximum(-logit, 0) + small)

    return np.array([minus_log_d(on_sr), minus_log_d(on_hr) + minus_log_d(-on_sr)])


def sigmoid(logit):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logit))


def overflowing(on_hr, on_sr):
    with np.errstate(divide="ignore"):
        told = -np.log(sigmoid(on_hr)).mean() - np.log(1 - sigmoid(on_sr)).mean()
        return -np.log(sigmoid(on_sr)).mean(), told


def cut_off(on_hr, on_sr):
    hr, sr = (np.clip(sigmoid(logit), 1e-7, 1 - 1e-7) for logit in (on_hr, on_sr))
    return -np.log(sr).mean(), -np.log(hr).mean() - np.log(1 - sr).mean()


def changed(adversarial=lambda a, d: a, discriminator=lambda a, d: d):
    def answer(on_hr, on_sr):
        pair = by_cases(on_hr, on_sr)
        return adversarial(*pair), discriminator(*pair)

    return answer


def gradients(generator, d, lr_images, hr_images, weight):
    with tf.GradientTape() as ours, tf.GradientTape() as its:
        sr_images = generator(lr_images)
        on_hr, on_sr = d(hr_images), d(sr_images)
        entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        real, made = tf.ones_like(on_hr), tf.zeros_like(on_hr)
        content = tf.reduce_mean(tf.square(hr_images - sr_images))
        loss = content + weight * entropy(real, on_sr)
        telling = entropy(real, on_hr) + entropy(made, on_sr)
    return (
        ours.gradient(loss, generator.trainable_variables),
        its.gradient(telling, d.trainable_variables),
    )


def one_after_the_other(generator, d, lr_images, hr_images, weight):
    """Stop the generator's images for D, and let NumPy carry the results."""
    with tf.GradientTape() as tape:
        sr_images = generator(lr_images)
        pull = tf.math.softplus(-d(sr_images))
        loss = tf.reduce_mean((sr_images - hr_images) ** 2) + weight * tf.reduce_mean(pull)
    ours = tape.gradient(loss, generator.trainable_variables)
    with tf.GradientTape() as tape:
        on_sr = d(tf.stop_gradient(sr_images))
        told = tf.reduce_mean(tf.nn.softplus(-d(hr_images))) + tf.reduce_mean(tf.nn.softplus(on_sr))
    return [g.numpy() for g in ours], tuple(tape.gradient(told, d.trainable_variables))


def mistaken(
    prepare=lambda images: images, pull=lambda on_sr: tf.nn.softplus(-on_sr), sees_sr=True
):
    def answer(generator, d, lr_images, hr_images, weight):
        with tf.GradientTape(persistent=True) as tape:
            sr_images = prepare(generator(lr_images))
            on_hr, on_sr = d(hr_images), d(sr_images)
            content = tf.reduce_mean((hr_images - sr_images) ** 2)
            loss = content + weight * tf.reduce_mean(pull(on_sr))
            made = tf.reduce_mean(tf.nn.softplus(on_sr))
            telling = tf.reduce_mean(tf.nn.softplus(-on_hr)) + (made if sees_sr else 0.0)
        return (
            tape.gradient(loss, generator.trainable_variables),
            tape.gradient(telling, d.trainable_variables),
        )

    return answer


T = np.sqrt(10**0.1 - 1)


def shrunk(image):
    rows, columns = (degrade_weights(side, 4) for side in image.shape[:2])
    return np.stack([rows @ image[..., c] @ columns.T for c in range(image.shape[2])], axis=-1)


def consistent(sr_image, lr_image):
    """Solve for the whole shrinking at once."""
    height, width, channels = sr_image.shape
    matrix = np.kron(degrade_weights(height, 4), degrade_weights(width, 4))
    result = np.empty_like(sr_image)
    for c in range(channels):
        missing = lr_image[..., c].ravel() - matrix @ sr_image[..., c].ravel()
        step = np.linalg.lstsq(matrix, missing, rcond=None)[0]
        result[..., c] = sr_image[..., c] + step.reshape(height, width)
    return result


def by_steps(sr_image, lr_image):
    """Walk down the slope of the squared error of LR, which leads by the shortest way."""
    rows, columns = (degrade_weights(side, 4) for side in sr_image.shape[:2])
    image = tf.cast(sr_image, tf.float64)
    for _ in range(300):
        missing = lr_image - tf.einsum("ij,jkc,lk->ilc", rows, image, columns)
        image = image + 12 * tf.einsum("ij,ilc,lk->jkc", rows, missing, columns)
    return image


def by_blocks(steps):
    """Spread what is missing evenly over each LR pixel's block."""

    def answer(sr_image, lr_image):
        for _ in range(steps):
            missing = lr_image - shrunk(sr_image)
            sr_image = sr_image + missing.repeat(4, axis=0).repeat(4, axis=1)
        return sr_image

    return answer


NETWORK, SCORES = load_pretrained("fsrcnn", 4), []
for photo in datasets.load("samples", "test"):
    truth = to_channels(photo[120:216, 200:280], 1).astype(np.float64)
    lr = shrunk(truth).clip(0, 1)
    sr = np.asarray(NETWORK(lr[None].astype(np.float32))[0], np.float64)
    rows_back, columns_back = (np.linalg.pinv(degrade_weights(side, 4)) for side in (96, 80))
    moved = sr + (rows_back @ (lr - shrunk(sr))[..., 0] @ columns_back.T)[..., None]
    SCORES.append([-10 * np.log10(np.mean((image - truth) ** 2)) for image in (sr, moved)])
BEFORE, AFTER = np.mean(SCORES, axis=0)
GAIN = AFTER - BEFORE

RIGHT = {
    "E09.1": [
        (2 * np.log(2), 999, FACTOR),
        ("1.3863", [999.0], 0.00615),
        (np.float32(1.386), tf.constant(999.0), "0.006152"),
    ],
    "E09.2": [(losses,), (by_keras,), (by_cases,)],
    "E09.3": [(gradients,), (one_after_the_other,)],
    "E09.4": [
        (2, T, T**2),
        ("1.97", [0.51], tf.constant(0.26)),
        (np.float32(2.03), 0.5, 0.25),
    ],
    "E09.5": [
        (consistent, GAIN),
        (by_steps, str(GAIN)),
        (lambda sr, lr: consistent(sr, lr).tolist(), [round(GAIN, 3)]),
    ],
}
WRONG = {
    "E09.1": [
        ((np.log(2), 999, FACTOR), "two terms"),
        ((0.602, 999, FACTOR), "natural"),
        ((2, 999, FACTOR), "base 2"),
        ((-1.386, 999, FACTOR), "sign"),
        ((1, 999, FACTOR), "not of probabilities"),
        ((0, 999, FACTOR), "right and certain"),
        ((1.386, 1 / 999, FACTOR), "other way round"),
        ((1.386, 1000, FACTOR), "not quite 1"),
        ((1.386, 0.999, FACTOR), "one slope"),
        ((1.386, -999, FACTOR), "without the signs"),
        ((1.386, 999, 1 / 12.75), "a square"),
        ((1.386, 999, 162.5625), "divided"),
        ((1.386, 999, 12.75), "divided"),
        ((1.386, 999, 0.006), "three digits"),
    ],
    "E09.2": [
        ((overflowing,), "NaN or infinity"),
        ((cut_off,), "cut off"),
        ((lambda *a: sum(by_cases(*a)),), "shape"),
        ((lambda hr, sr: 6 * by_cases(hr, sr),), "not sums"),
        ((lambda hr, sr: (-np.logaddexp(0, sr).mean(), by_cases(hr, sr)[1]),), "flat"),
        ((lambda hr, sr: (np.logaddexp(0, sr).mean(), by_cases(hr, sr)[1]),), "*real*"),
        ((changed(adversarial=lambda a, d: -a),), "Mind the sign"),
        ((changed(discriminator=lambda a, d: -d),), "Mind the sign"),
        ((changed(discriminator=lambda a, d: d / 2),), "added, not averaged"),
        ((lambda hr, sr: (by_cases(hr, sr)[0], by_cases(-hr, -sr)[1]),), "real for made"),
        ((lambda hr, sr: (by_cases(hr, sr)[0], np.logaddexp(0, -hr).mean()),), "made images too"),
        ((changed(adversarial=lambda a, d: 1.1 * a),), "adversarial loss is"),
    ],
    "E09.3": [
        ((mistaken(lambda images: np.clip(images, 0, 1)),), "lost sight"),
        ((mistaken(lambda images: tf.clip_by_value(images, 0, 1)),), "do not clip"),
        ((mistaken(pull=lambda on_sr: -tf.nn.softplus(on_sr)),), "turned round"),
        ((mistaken(pull=lambda on_sr: 0 * on_sr),), "does not feel D"),
        ((mistaken(pull=lambda on_sr: -tf.nn.softplus(-on_sr)),), "Mind the sign"),
        ((mistaken(pull=lambda on_sr: 2 * tf.nn.softplus(-on_sr)),), "mean squared error"),
        ((mistaken(sees_sr=False),), "see SR too"),
        ((lambda *a: gradients(*a)[0],), "two lists"),
        ((lambda *a: (gradients(*a)[0][:-1], gradients(*a)[1]),), "for each variable"),
    ],
    "E09.4": [
        ((0.5, T, T**2), "other way round"),
        ((3.01, T, T**2), "decibels"),
        ((1, T, T**2), "*same* truth"),
        ((1.414, T, T**2), "no root"),
        ((2.5, T, T**2), "too large"),
        ((2, T**2, T**2), "take the root"),
        ((2, 0.122, T**2), "not (1 + t)²"),
        ((2, 0.332, T**2), "not linear"),
        ((2, 0.8, T**2), "Try several t"),
        ((2, T, T), "mean *square*"),
        ((2, T, 0.1), "too small"),
    ],
    "E09.5": [
        ((lambda sr, lr: sr, GAIN), "pseudo-inverses"),
        ((by_blocks(1), GAIN), "pseudo-inverses"),
        ((by_blocks(300), GAIN), "a nearer image"),
        ((lambda sr, lr: consistent(0 * sr, lr), GAIN), "a nearer image"),
        ((lambda sr, lr: consistent(sr, lr).clip(0, 1), GAIN), "Do not clip"),
        ((lambda sr, lr: consistent(sr, lr)[..., 0], GAIN), "shape"),
        ((consistent, -GAIN), "after minus before"),
        ((consistent, AFTER), "untouched output off"),
        ((consistent, BEFORE), "untouched output's"),
        ((consistent, GAIN + 1), "difference of two"),
    ],
}
