"""Right and typically wrong answers to the exercises of lesson 03."""

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf.metrics import Protocol, evaluate, mse, psnr
from srcnn_tf.models import srcnn
from srcnn_tf.pairs import evaluation_pairs, image_pair, random_crops


def receptive_field(kernels):
    return 1 + sum(f - 1 for f in kernels)


def measured_field(network, area=False):
    flat = np.full((1, 51, 51, 1), 0.5, np.float32)
    perturbed = flat.copy()
    perturbed[0, 25, 25] = 1
    moved = np.abs(network(perturbed) - network(flat)) > 1e-6
    return moved.sum() if area else moved.any(axis=(0, 1, 3)).sum()


def field_by_gradient(network):
    image = tf.fill([1, 41, 41, 1], 0.5)
    with tf.GradientTape() as tape:
        tape.watch(image)
        centre = network(image)[0, 20, 20, 0]
    return np.count_nonzero(np.any(tape.gradient(centre, image)[0, :, :, 0], axis=0))


def field_by_kernels(network):
    return receptive_field(layer.kernel.shape[0] for layer in network.layers[1:])


def ensemble(network, lr_images, rotations=4, mirrors=(1, -1), total=np.mean):
    answers = []
    for k in range(rotations):
        for step in mirrors:
            turned = np.rot90(lr_images, k, (1, 2))[:, ::step]
            answers.append(np.rot90(np.asarray(network(turned))[:, ::step], -k, (1, 2)))
    return total(answers, axis=0)


def ensemble_by_transposes(network, lr_images):
    """Reversed rows, reversed columns, transposed: the same eight turns, in other words."""
    total = 0
    for down in (1, -1):
        for right in (1, -1):
            turned = lr_images[:, ::down, ::right]
            total += np.asarray(network(turned))[:, ::down, ::right]
            back = np.asarray(network(turned.transpose(0, 2, 1, 3))).transpose(0, 2, 1, 3)
            total += back[:, ::down, ::right]
    return total / 8


def ensemble_by_tf(network, lr_images):
    mean = 0
    for k in range(4):
        turned = tf.image.rot90(lr_images, k)
        mean += tf.image.rot90(network(turned), -k) / 8
        mirrored = tf.image.flip_up_down(network(tf.image.flip_up_down(turned)))
        mean += tf.image.rot90(mirrored, -k) / 8
    return mean


def turned_back_wrongly(network, lr_images):
    answers = []
    for k in (0, 2):  # of the same shape
        for step in (1, -1):
            turned = np.rot90(lr_images[:, :, ::step], k, (1, 2))
            answers.append(np.asarray(network(turned))[:, :, ::step])
    return np.mean(answers, axis=0)


def score(network, train_images, test_images, scale):
    return evaluate(network, evaluation_pairs(test_images, scale), Protocol(border=scale)).psnr


def score_by_loop(network, train_images, test_images, scale):
    scores = []
    for image in test_images:
        lr_image, hr_image = image_pair(image, scale)
        scores.append(psnr(hr_image, network(lr_image[None])[0], Protocol(border=scale)))
    return tf.reduce_mean(scores)


def faulty_score(network, train_images, test_images, scale):
    lr_images, hr_images = next(iter(random_crops(train_images, scale, batch_size=64)))
    error = tf.reduce_mean((network(lr_images) - hr_images) ** 2)
    return -10 * tf.math.log(error) / tf.math.log(10.0)


def score_by_hand(network, train_images, test_images, scale):
    """The protocol in NumPy alone."""
    scores = []
    for lr_images, hr_images in evaluation_pairs(test_images, scale):
        sr_images = np.rint(255 * np.clip(network.predict(lr_images, verbose=0), 0, 1))
        error = (np.rint(255 * hr_images) - sr_images)[:, scale:-scale, scale:-scale]
        scores.append(10 * np.log10(255**2 / np.mean(error.astype(float) ** 2)))
    return sum(scores) / len(scores)


def cropped(network, train_images, test_images, scale):
    return score(network, None, [image[:60, :60] for image in test_images], scale)


def pooled(network, train_images, test_images, scale):
    pairs = evaluation_pairs(test_images, scale)
    errors = [mse(hr_images, network(lr_images), Protocol(scale)) for lr_images, hr_images in pairs]
    return 10 * np.log10(255**2 / np.mean(errors))


def scored_by(**settings):
    def score(network, train_images, test_images, scale):
        protocol = Protocol(**{"border": scale, **settings})
        return evaluate(network, evaluation_pairs(test_images, scale), protocol).psnr

    return score


def noisy_start(sigma, maps=slice(1, None), layer=-1, seed=0, mean=0.0):
    network = srcnn(3, filters=(16, 8), seed=seed)
    kernel, bias = network.layers[layer].get_weights()
    noise = np.random.default_rng(seed + 1).normal(mean * sigma, sigma, kernel.shape)
    kernel[:, :, maps] = noise[:, :, maps]
    network.layers[layer].set_weights([kernel, bias])
    return network


def by_initialiser(sigma):
    network = srcnn(3, filters=(16, 8), seed=3)
    kernel = network.layers[-1].kernel
    noise = keras.random.normal(kernel.shape, stddev=sigma, seed=5)
    kernel.assign(tf.concat([kernel[:, :, :1], noise[:, :, 1:]], axis=2))
    return network


KERNELS = (((9, 3, 5), 1), ((9, 5, 5), 1), ((9, 1, 5), 3))
GAIN = 0.0850  # of E03.3, which the solution notebook computes

RIGHT = {
    "E03.1": [
        (24513, 57281, 20099),
        ([24513], np.float32(57281), tf.constant(20099)),
        (24513.0, "57281", np.array([[20099]])),
        tuple(srcnn(3, k, channels=c).count_params() for k, c in KERNELS),
    ],
    "E03.2": [
        (receptive_field, measured_field),
        (lambda kernels: tf.constant(receptive_field(kernels)), field_by_gradient),
        (
            lambda kernels: 2 * sum(f // 2 for f in kernels) + 1,
            lambda n: measured_field(n, True) ** 0.5,
        ),
        (
            lambda kernels: [float(receptive_field(kernels))],
            lambda n: np.float32(measured_field(n)),
        ),
    ],
    "E03.3": [
        (ensemble, GAIN),
        (lambda *a: tf.constant(ensemble(*a)), np.float32(GAIN)),
        (ensemble_by_transposes, 0.09),
        (ensemble_by_tf, 0.08),
    ],
    "E03.4": [
        (score,),
        (score_by_loop,),
        (score_by_hand,),
        (lambda *a: np.round([[score(*a)]], 3),),
    ],
    "E03.5": [
        (noisy_start, 0.24, 300, 1649),
        (by_initialiser, tf.constant(0.15), 300.0, 1640),
        (lambda sigma: noisy_start(np.float32(sigma), seed=9), [[0.2]], np.int32(301), 1600),
        (lambda sigma: keras.Sequential(by_initialiser(sigma).layers), 0.3, 299, tf.constant(1649)),
    ],
}
WRONG = {
    "E03.1": [
        ((24416, 57281, 20099), "weights alone"),
        ((6369, 57281, 20099), "spans all 64 maps"),
        ((24513, 57281, 8129), "three channels"),
        ((24513, 57281, 24387), "colour"),
        ((24513, 24513, 20099), "too small"),
        ((57281, 24513, 20099), "too large"),
        ((24513, 57281, 18497), "last layer, too"),
    ],
    "E03.2": [
        ((lambda kernels: 13, measured_field), "receptive_field"),
        ((sum, measured_field), "f - 1"),
        ((lambda kernels: receptive_field(kernels) - 1, measured_field), "itself"),
        ((max, measured_field), "shoulders"),
        ((receptive_field, lambda network: measured_field(network, area=True)), "side"),
        ((receptive_field, lambda network: 13), "measured_field"),
        ((lambda kernels: sum(f // 2 for f in kernels), measured_field), "one side"),
        ((receptive_field, lambda network: (measured_field(network) + 1) / 2), "too small"),
        ((receptive_field, field_by_kernels), "Measure the network"),
    ],
    "E03.3": [
        ((lambda network, lr_images: network(lr_images), GAIN), "plain one"),
        ((lambda *a: ensemble(*a, mirrors=[1]), GAIN), "mirror images are not"),
        ((lambda *a: ensemble(*a, rotations=1), GAIN), "not the mean of eight"),
        ((lambda network, lr_images: np.zeros((2, 10, 14, 1)), GAIN), "turn each answer back"),
        ((turned_back_wrongly, GAIN), "turn each answer back"),
        ((lambda *a: ensemble(*a, total=np.sum), GAIN), "turn each answer back"),
        ((lambda network, lr_images: network(lr_images, 8), GAIN), "raises"),
        ((lambda *a: ensemble(*a, mirrors=[1, 1]), GAIN), "mirror images are not"),
        ((lambda *a: ensemble(*a, total=np.median), GAIN), "not the mean of eight"),
        ((ensemble, -GAIN), "minus one"),
        ((ensemble, 1.0), "too large"),
    ],
    "E03.4": [
        ((faulty_score,), "whole test images"),
        ((lambda network, train, test, scale: score(network, test, train, scale),), "training"),
        ((lambda *a: 29.98,), "Your score is"),
        ((pooled,), "mean of PSNRs"),
        ((cropped,), "whole test images"),
        ((lambda *a: np.round(score(*a)),), "Your score is"),
        ((scored_by(border=0),), "border"),
        ((scored_by(rounding=False),), "8 bits"),
    ],
    "E03.5": [
        ((lambda sigma: srcnn(3, filters=(16, 8)), 0.24, 300, 1649), "standard deviation"),
        ((lambda sigma: noisy_start(0.001), 0.24, 300, 1649), "standard deviation"),
        ((lambda sigma: srcnn(3), 0.24, 300, 1649), "layers"),
        ((lambda sigma: sigma, 0.24, 300, 1649), "Keras model"),
        ((lambda sigma: noisy_start(sigma, slice(None)), 0.24, 300, 1649), "map 0"),
        (
            (lambda sigma: noisy_start(sigma, slice(None), -2), 0.24, 300, 1649),
            "before the last layer",
        ),
        ((lambda sigma: noisy_start(sigma, mean=1.0), 0.24, 300, 1649), "noise has mean"),
        ((lambda sigma: noisy_start(sigma, slice(1, 4)), 0.24, 300, 1649), "Your noise"),
        ((noisy_start, 61.2, 300, 1649), "grey levels"),
        ((noisy_start, 0.001, 300, 1649), "grey levels"),
        ((noisy_start, 0.24, 201, 1649), "carry the image"),
        ((noisy_start, 0.24, 1649, 1649), "exactly 0"),
        ((noisy_start, 0.24, 300, 300), "too small"),
    ],
}
