"""Right and typically wrong answers to the exercises of lesson 05."""

import numpy as np
import tensorflow as tf
from keras.layers import Conv2DTranspose

from srcnn_tf import load_pretrained
from srcnn_tf.images import quantise
from srcnn_tf.layers import BicubicUpsampling
from srcnn_tf.models import fsrcnn, srcnn


def subpixel(maps, kernel, before=1, turn=True, padding="SAME"):
    ends = (before, 1 - before)
    kernel = np.pad(kernel, (ends, ends, (0, 0), (0, 0)))
    step = -1 if turn else 1
    parts = [kernel[p::2, q::2][::step, ::step] for p in range(2) for q in range(2)]
    filters = np.concatenate(parts, axis=2).swapaxes(2, 3)
    if padding == "SYMMETRIC":
        maps = np.pad(maps, ((0, 0), (2, 2), (2, 2), (0, 0)), "symmetric")
        padding = "VALID"
    return tf.nn.depth_to_space(tf.nn.conv2d(maps, filters, 1, padding), 2)


def transposed(maps, kernel):
    layer = Conv2DTranspose(1, 9, strides=2, padding="same", use_bias=False)
    layer.build(maps.shape)
    layer.set_weights([kernel])
    return layer(maps).numpy().astype(np.float64)


def level(kernel, sums, scale, how, count=None):
    result = np.zeros_like(kernel)
    for p in range(scale):
        for q in range(scale):
            phase = kernel[p::scale, q::scale]
            if how == "scale":
                result[p::scale, q::scale] = phase * (sums / phase.sum((0, 1, 2)))
            else:
                taps = count or phase.shape[0] * phase.shape[1]
                result[p::scale, q::scale] = phase + (sums - phase.sum((0, 1, 2))) / taps
    return result


def level_one_tap(kernel, sums, scale, how):
    kernel = kernel.copy()
    for p, q in np.ndindex(scale, scale):
        kernel[p, q] += sums - kernel[p::scale, q::scale].sum((0, 1, 2))
    return kernel


def enlarge_x4(network, lr_images):
    return network(network(lr_images))


def as_in_the_tutorial(network, lr_images):
    wide = (fsrcnn if network.name == "fsrcnn" else srcnn)(4)
    wide.set_weights(network.get_weights())
    return wide(lr_images)


def least_squares(maps, hr_images, scale):
    """Solve all phases at once: a column for each tap, made by the deconvolution itself."""
    (n, h, w, d), columns = maps.shape, []
    for y, x, k in np.ndindex(9, 9, d):
        image, top, left = np.zeros((n, (h + 9) * scale, (w + 9) * scale)), y, x
        image[:, top : top + h * scale : scale, left : left + w * scale : scale] = maps[..., k]
        before = (9 - scale) // 2
        columns.append(image[:, before:, before:][:, : h * scale, : w * scale].ravel())
    design = np.stack(columns, axis=1)
    solved = np.linalg.solve(design.T @ design, design.T @ np.ravel(hr_images))
    return solved.reshape(9, 9, 1, d)


RATIOS = (8032 * 9 / 3937, 8032 * 4 / 3937)
LEVELLED = (-0.7727, 1.375)  # of E05.3, which the solution notebook computes
GAINS = (-0.0148, 1.6564)  # of E05.4
SOLVED = 1.60  # of E05.5
TWICE = BicubicUpsampling(2)

RIGHT = {
    "E05.1": [(3937, RATIOS, 57184 * 4 / 12464), (3937.0, [18.36, 8.16], np.float32(18.4))],
    "E05.2": [(subpixel,), (transposed,)],
    "E05.3": [
        (level, *LEVELLED),
        (lambda *a: tf.constant(level(*a), tf.float32), *map(np.float32, LEVELLED)),
    ],
    "E05.4": [
        (enlarge_x4, *GAINS),
        (lambda net, x: net(quantise(net(x).numpy())), *map(tf.constant, GAINS)),
    ],
    "E05.5": [(least_squares, SOLVED), (lambda *a: tf.constant(least_squares(*a)), [1.56])],
}
WRONG = {
    "E05.1": [
        ((4086, RATIOS, 18.35), "Biases"),
        ((1345, RATIOS, 18.35), "deconvolution"),
        ((3937, (2.04, 2.04), 18.35), "grids"),
        ((3937, RATIOS[::-1], 18.35), "too small"),
        ((3937, 18.36, 18.35), "two numbers"),
        ((3937, RATIOS, 41.3), "at ×3"),
        ((3937, RATIOS, 4.588), "grids"),
    ],
    "E05.2": [
        ((lambda *a: subpixel(*a, before=0),), "displaced"),
        ((lambda *a: subpixel(*a, turn=False),), "order"),
        ((lambda *a: subpixel(*a, padding="SYMMETRIC"),), "border"),
        ((lambda *a: subpixel(*a, padding="VALID"),), "shape"),
        ((lambda maps, kernel: np.zeros((2, *np.multiply(maps.shape[1:3], 2), 1)),), "differ"),
    ],
    "E05.3": [
        ((lambda kernel, *_: kernel, *LEVELLED), "miss"),
        ((lambda *a: level(*a, count=9), *LEVELLED), "by adding"),
        ((lambda *a: level(*a[:3], "add"), *LEVELLED), "asked for"),
        ((level_one_tap, *LEVELLED), "alike"),
        ((level, *LEVELLED[::-1]), "swapped"),
        ((level, LEVELLED[0], LEVELLED[1] + 28.4637), "off"),
        ((level, LEVELLED[0], 0.59), "too small"),
    ],
    "E05.4": [
        ((as_in_the_tutorial, *GAINS), "not trained"),
        ((lambda net, x: TWICE(net(x)), *GAINS), "other"),
        ((lambda net, x: net(TWICE(x)), *GAINS), "other"),
        ((lambda net, x: BicubicUpsampling(4)(x), *GAINS), "not what"),
        ((lambda net, x: load_pretrained("fsrcnn", 4)(x), *GAINS), "not what"),
        ((lambda net, x: net(x), *GAINS), "shape"),
        ((enlarge_x4, GAINS[1], GAINS[1]), "mended one"),
        ((enlarge_x4, GAINS[0], 30.12), "off"),
    ],
    "E05.5": [
        ((lambda *a: least_squares(*a)[::-1, ::-1], SOLVED), "turned"),
        ((lambda maps, hr, scale: np.ones((9, 9, 1, maps.shape[-1])), SOLVED), "left"),
        ((lambda maps, hr, scale: np.ones(9), SOLVED), "shape"),
        ((least_squares, LEVELLED[1]), "levelled"),
        ((least_squares, 1.89), "too large"),
    ],
}
