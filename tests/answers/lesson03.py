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


GAIN = 0.0850  # of E03.3, which the solution notebook computes

RIGHT = {
    "E03.1": [(24513, 57281, 20099), ([24513], np.float32(57281), tf.constant(20099))],
    "E03.2": [
        (receptive_field, measured_field),
        (lambda kernels: tf.constant(receptive_field(kernels)), field_by_gradient),
    ],
    "E03.3": [(ensemble, GAIN), (lambda *a: tf.constant(ensemble(*a)), np.float32(GAIN))],
    "E03.4": [(score,), (score_by_loop,)],
    "E03.5": [(noisy_start, 0.24, 300, 1649), (by_initialiser, tf.constant(0.15), 300.0, 1640)],
}
WRONG = {
    "E03.1": [
        ((24416, 57281, 20099), "weights alone"),
        ((6369, 57281, 20099), "spans all 64 maps"),
        ((24513, 57281, 8129), "three channels"),
        ((24513, 57281, 24387), "colour"),
        ((24513, 24513, 20099), "too small"),
    ],
    "E03.2": [
        ((lambda kernels: 13, measured_field), "receptive_field"),
        ((sum, measured_field), "f - 1"),
        ((lambda kernels: receptive_field(kernels) - 1, measured_field), "itself"),
        ((max, measured_field), "shoulders"),
        ((receptive_field, lambda network: measured_field(network, area=True)), "side"),
        ((receptive_field, lambda network: 13), "measured_field"),
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
        ((ensemble, -GAIN), "minus one"),
        ((ensemble, 1.0), "too large"),
    ],
    "E03.4": [
        ((faulty_score,), "whole test images"),
        ((lambda network, train, test, scale: score(network, test, train, scale),), "training"),
        ((lambda *a: 29.98,), "Your score is"),
        ((pooled,), "mean of PSNRs"),
        ((scored_by(border=0),), "border"),
        ((scored_by(rounding=False),), "8 bits"),
    ],
    "E03.5": [
        ((lambda sigma: srcnn(3, filters=(16, 8)), 0.24, 300, 1649), "standard deviation"),
        ((lambda sigma: noisy_start(0.001), 0.24, 300, 1649), "standard deviation"),
        ((lambda sigma: srcnn(3), 0.24, 300, 1649), "layers"),
        ((lambda sigma: sigma, 0.24, 300, 1649), "Keras model"),
        ((lambda sigma: noisy_start(sigma, slice(None)), 0.24, 300, 1649), "map 0"),
        ((lambda sigma: noisy_start(sigma, slice(None), -2), 0.24, 300, 1649), "last layer"),
        ((lambda sigma: noisy_start(sigma, mean=1.0), 0.24, 300, 1649), "mean 0"),
        ((noisy_start, 0.001, 300, 1649), "grey levels"),
        ((noisy_start, 0.24, 201, 1649), "carry the image"),
        ((noisy_start, 0.24, 1649, 1649), "exactly 0"),
        ((noisy_start, 0.24, 300, 300), "too small"),
    ],
}
