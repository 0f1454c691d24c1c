"""Right and typically wrong answers to the exercises of lesson 04."""

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.models import srcnn
from srcnn_tf.probes import scale_of


def influence(network, lr_image, row, column):
    images = tf.Variable(lr_image[None])
    with tf.GradientTape() as tape:
        pixel = network(images)[0, row, column, 0]
    return tape.gradient(pixel, images)[0, ..., 0]


def whole_influence(network, lr_image, row, column):
    images = tf.Variable(lr_image[None])
    with tf.GradientTape() as tape:
        output = network(images)
    return tape.gradient(output, images)[0, ..., 0]


def edited(network, edit):
    """Return a copy of a network after `edit` has worked on the list of its weights."""
    copy = keras.models.clone_model(network)
    weights = network.get_weights()
    edit(*weights)
    copy.set_weights(weights)
    return copy


def price(network, pairs, indices, border=3, leave_bias=False):
    def edit(first, bias, second, *_):
        if leave_bias:
            first[..., indices] = 0
        else:
            second[:, :, indices] = 0

    protocol, copy = Protocol(border=border), edited(network, edit)
    scores = [[psnr(y, n(x), protocol) for x, y in pairs] for n in (network, copy)]
    return np.mean(scores[0]) - np.mean(scores[1])


def price_on_the_original(network, pairs, indices):
    whole = [psnr(y, network(x), Protocol(border=3)) for x, y in pairs]
    weights = network.get_weights()
    weights[2][:, :, indices] = 0
    network.set_weights(weights)
    return np.mean(whole) - np.mean([psnr(y, network(x), Protocol(border=3)) for x, y in pairs])


def silence(network, index):
    def edit(_first, _bias, _second, _bias_2, third, _bias_3):
        third[:, :, index] = 0

    return edited(network, edit)


def silence_but_for_bias(network, index):
    def edit(_first, _bias, second, *_):
        second[..., index] = 0

    return edited(network, edit)


def to_bytes(image):
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def prune(network, keep):
    kernel, bias, next_kernel, *others = network.get_weights()
    small = srcnn(scale_of(network), filters=(len(keep), 32))
    small.set_weights([kernel[..., keep], bias[keep], next_kernel[:, :, keep], *others])
    return small


def prune_the_first_maps(network, keep):
    return prune(network, list(range(len(keep))))


# What the solution notebook computes.
KEEP = [0, 4, 7, 9, 10, 11, 13, 14, 16, 17, 18, 19, 21, 22, 23, 24]
KEEP += [26, 31, 32, 37, 38, 40, 43, 44, 46, 48, 54, 55, 57, 58, 59, 62]


def influence_by_chain_rule(network, lr_image, row, column):
    images = tf.Variable(lr_image[None])
    with tf.GradientTape() as tape:
        output = network(images)
    chosen = np.zeros(output.shape, np.float32)
    chosen[0, row, column] = 1
    return tape.gradient(output, images, output_gradients=tf.constant(chosen))[0, :, :, 0]


def influence_in_a_graph(network, lr_image, row, column):
    def derive(images):
        return tf.gradients(network(images)[0, row, column, 0], images)

    return tf.function(derive)(tf.constant(lr_image[None]))[0].numpy().squeeze()


def influence_of_its_square(network, lr_image, row, column):
    images = tf.Variable(lr_image[None])
    with tf.GradientTape() as tape:
        pixel = network(images)[0, row, column, 0] ** 2
    return tape.gradient(pixel, images)[0, ..., 0]


def silence_by_its_bias(network, index):
    def edit(_first, _bias, second, bias_2, *_):
        second[..., index], bias_2[index] = 0, -1e3

    return edited(network, edit)


def drop_its_bias(network, index):
    def edit(_first, _bias, _second, bias_2, *_):
        bias_2[index] = 0

    return edited(network, edit)


def prune_without_bias(network, keep):
    small = prune(network, keep)
    small.layers[1].bias.assign(np.zeros(len(keep)))
    return small


RIGHT = {
    "E04.1": [
        (range(15, 18, 2), np.int64(21)),
        ([[15], ["17"]], [[21.0]]),
        ((15, 17), 21),
        (np.float32([15, 17]), tf.constant([21])),
    ],
    "E04.2": [
        (influence_by_chain_rule, ["16", "17"]),
        (influence_in_a_graph, tf.constant([16, 17])),
        (influence, (16, 17)),
        (lambda *a: influence(*a).numpy().tolist(), np.array([16, 17])),
    ],
    "E04.3": [
        (lambda n, p, s: price(n, p[::-1], tuple(s)), [[23], [55]], (18, 23)),
        (lambda n, p, s: np.float16(price(n, p, s)), (55, 23), tf.constant([18, 23])),
        (price, (23, 55), (18, 23)),
        (lambda *a: tf.constant([price(*a)]), np.array([55, 23]), [23.0, 18.0]),
    ],
    "E04.4": [
        (silence_by_its_bias, (31, 0, 30)),
        (lambda n, i: lambda x: silence(n, i)(x).numpy(), np.array([[0, 30, 31]])),
        (silence, [0, 30, 31]),
        (silence, tf.constant([31, 30, 0])),
    ],
    "E04.5": [
        (
            lambda x: np.searchsorted((np.arange(255) + 0.5) / 255, x, "right").astype(np.uint8),
            "129",
        ),
        (lambda x: np.rint(x.clip(0, 1) * 255).astype("B"), [129]),
        (to_bytes, 129),
        (lambda x: tf.constant(to_bytes(x)), np.float32(129)),
    ],
    "E04.6": [
        (lambda network, keep: prune(network, sorted(keep)), tf.constant(KEEP)),
        (prune, np.array(KEEP, float).tolist()),
        (prune, KEEP),
        (prune, np.array(KEEP[::-1])),
    ],
}
WRONG = {
    "E04.1": [
        (((13, 17), 21), "Your field of 9-3-5 is 13"),
        (((15, 17), 20), "Which layers spread"),
        (((17, 19), 21), "width 1"),
        (((14, 16), 21), "middle"),
        (((15, 17), 23), "s apart"),
        (((15, 17), 33), "m = 4"),
        (((15, 17), 12), "spreads"),
        ((15, 21), "two numbers"),
    ],
    "E04.2": [
        ((lambda *a: abs(influence(*a).numpy()), (16, 17)), "signs"),
        ((influence_of_its_square, (16, 17)), "differ"),
        ((influence, (16, 16)), "Your width at odd places"),
        ((whole_influence, (16, 17)), "whole output"),
        ((lambda net, x, i, j: influence(net, x, j, i), (16, 17)), "swapped"),
        ((lambda net, x, i, j: np.ones(x.shape[:2]), (16, 17)), "differ"),
        ((lambda net, x, i, j: 1.0, (16, 17)), "shape"),
        ((influence, (17, 16)), "swapped"),
        ((influence, (32, 34)), "not HR"),
    ],
    "E04.3": [
        ((lambda n, p, s: price(n, p[:1], s), (23, 55), (18, 23)), "Your price"),
        ((lambda n, p, s: price(n, p, s[:1]), (23, 55), (18, 23)), "Your price"),
        ((price, (23, 60), (18, 23)), "two of"),
        ((lambda *_: 0.65, (23, 55), (18, 23)), "Your price"),
        ((lambda net, p, s: sum(price(net, p, [i]) for i in s), (23, 55), (18, 23)), "together"),
        ((lambda *a: price(*a, leave_bias=True), (23, 55), (18, 23)), "max(0, B)"),
        ((lambda *a: price(*a, border=0), (23, 55), (18, 23)), "border"),
        ((lambda *a: -price(*a), (23, 55), (18, 23)), "positive"),
        ((price_on_the_original, (23, 55), (18, 23)), "copy"),
        ((price, (18, 23), (23, 55)), "swapped"),
        ((price, (23, 32), (18, 23)), "another pair"),
        ((price, (23, 23), (18, 23)), "different"),
    ],
    "E04.4": [
        ((drop_its_bias, [0, 30, 31]), "other, than"),
        ((lambda n, i: silence(n, (i + 1) % 32), [0, 30, 31]), "other, than"),
        ((silence, [5]), "right price"),
        ((silence_but_for_bias, [0, 30, 31]), "constant"),
        ((lambda network, index: network, [0, 30, 31]), "full say"),
        ((lambda network, index: silence(network, 0), [0, 30, 31]), "other, than"),
        ((lambda network, index: lambda x: np.zeros((1, 1)), [0, 30, 31]), "shape"),
        ((lambda network, index: 0, [0, 30, 31]), "function"),
        ((silence, [i for i in range(32) if i not in (0, 30, 31)]), "no harm"),
        ((silence, [30, 31]), "missing"),
        ((silence, [0, 5, 30, 31]), "right price"),
    ],
    "E04.5": [
        ((lambda x: np.ceil(255 * np.clip(x, 0, 1)).astype(np.uint8), 129), "levels from"),
        ((lambda x: (256 * x).clip(0, 255).astype(np.uint8), 129), "levels from"),
        ((to_bytes, 255), "Which bytes"),
        ((lambda x: (x * 127.5 + 127.5).astype(np.uint8), 129), "unused"),
        ((lambda x: np.round(255 * x).astype(int).astype(np.uint8), 129), "wraps"),
        ((lambda x: (255 * np.clip(x, 0, 1)).astype(np.uint8), 129), "cuts"),
        ((lambda x: np.round(255 * np.clip(x, 0, 1)), 129), "float"),
        ((lambda x: np.full(x.shape, 128, np.uint8), 129), "levels from"),
        ((to_bytes, 128), "Count"),
        ((to_bytes, 256), "darker"),
    ],
    "E04.6": [
        ((prune_without_bias, KEEP), "biases"),
        ((prune, [i for i in range(64) if i not in KEEP]), "loses"),
        ((lambda network, keep: network, KEEP), "parameters are left"),
        ((prune_the_first_maps, KEEP), "output is not"),
        ((lambda network, keep: srcnn(scale_of(network), filters=(len(keep), 32)), KEEP), "output"),
        ((lambda network, keep: 32, KEEP), "Keras model"),
        ((prune, list(range(32))), "loses"),
        ((prune, [0] * 32), "different"),
        ((prune, 0), "shape"),
    ],
}
