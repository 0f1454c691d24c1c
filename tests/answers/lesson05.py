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


def by_tensorflow(maps, kernel):
    n, h, w, _ = maps.shape
    return tf.nn.conv2d_transpose(maps, kernel, (n, 2 * h, 2 * w, 1), 2)


def by_stamping(maps, kernel):
    n, h, w, d = maps.shape
    stamped = np.zeros((n, 2 * h + 7, 2 * w + 7))
    for y, x, k in np.ndindex(h, w, d):
        stamped[:, 2 * y : 2 * y + 9, 2 * x : 2 * x + 9] += (
            maps[:, y, x, k, None, None] * kernel[..., 0, k]
        )
    return stamped[:, 3 : 2 * h + 3, 3 : 2 * w + 3, None]


RIGHT = {
    "E05.1": [
        (3937, (18.4, 8.2), 18.35),
        ("3937", [[18.361], [8.16]], tf.constant(18.3518)),
        (3937, RATIOS, 57184 * 4 / 12464),
        (3937.0, [18.36, 8.16], np.float32(18.4)),
    ],
    "E05.2": [(by_tensorflow,), (by_stamping,), (subpixel,), (transposed,)],
    "E05.3": [
        (lambda *a: level(*a).tolist(), -0.77, 1.37),
        (lambda *a: level(*a).astype(np.float32), [LEVELLED[0]], str(LEVELLED[1])),
        (level, *LEVELLED),
        (lambda *a: tf.constant(level(*a), tf.float32), *map(np.float32, LEVELLED)),
    ],
    "E05.4": [
        (lambda net, x: net.predict(net.predict(x, verbose=0), verbose=0), *GAINS),
        (lambda net, x: tf.clip_by_value(net(tf.clip_by_value(net(x), 0, 1)), 0, 1), -0.01, [1.65]),
        (enlarge_x4, *GAINS),
        (lambda net, x: net(quantise(net(x).numpy())), *map(tf.constant, GAINS)),
    ],
    "E05.5": [
        (lambda *a: least_squares(*a).astype(np.float32), "1.6"),
        (lambda *a: least_squares(*a).tolist(), np.float64(1.62)),
        (least_squares, SOLVED),
        (lambda *a: tf.constant(least_squares(*a)), [1.56]),
    ],
}
WRONG = {
    "E05.1": [
        ((3937, (6.12, 4.08), 18.35), "two sides"),
        ((3937, RATIOS, 9.18), "Weights times pixels"),
        ((3712, RATIOS, 18.35), "Count layer by layer"),
        ((4086, RATIOS, 18.35), "Biases"),
        ((1345, RATIOS, 18.35), "deconvolution"),
        ((3937, (2.04, 2.04), 18.35), "grids"),
        ((3937, RATIOS[::-1], 18.35), "too small"),
        ((3937, 18.36, 18.35), "two numbers"),
        ((3937, RATIOS, 41.3), "at ×3"),
        ((3937, RATIOS, 4.588), "grids"),
    ],
    "E05.2": [
        ((lambda maps, kernel: subpixel(maps, kernel.swapaxes(0, 1)),), "differ"),
        ((lambda *a: 0.5 * subpixel(*a),), "differ"),
        ((lambda *a: subpixel(*a, before=0),), "displaced"),
        ((lambda *a: subpixel(*a, turn=False),), "order"),
        ((lambda *a: subpixel(*a, padding="SYMMETRIC"),), "border"),
        ((lambda *a: subpixel(*a, padding="VALID"),), "shape"),
        ((lambda maps, kernel: np.zeros((2, *np.multiply(maps.shape[1:3], 2), 1)),), "differ"),
    ],
    "E05.3": [
        (
            (lambda kernel, sums, scale, how: level(kernel, sums / scale, scale, how), *LEVELLED),
            "miss",
        ),
        ((level, LEVELLED[0] + 28.4637, LEVELLED[1]), "off"),
        ((lambda kernel, *_: kernel, *LEVELLED), "miss"),
        ((lambda *a: level(*a, count=9), *LEVELLED), "by adding"),
        ((lambda *a: level(*a[:3], "add"), *LEVELLED), "asked for"),
        ((level_one_tap, *LEVELLED), "alike"),
        ((level, *LEVELLED[::-1]), "swapped"),
        ((level, LEVELLED[0], LEVELLED[1] + 28.4637), "off"),
        ((level, LEVELLED[0], 0.59), "too small"),
    ],
    "E05.4": [
        ((lambda net, x: net(net(net(x))), *GAINS), "shape"),
        ((lambda net, x: np.repeat(np.repeat(x, 4, 1), 4, 2), *GAINS), "not what"),
        ((enlarge_x4, *GAINS[::-1]), "mended one"),
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
        ((lambda *a: 2 * least_squares(*a), SOLVED), "left"),
        ((lambda *a: least_squares(*a).swapaxes(0, 1), SOLVED), "left"),
        ((least_squares, 30.1), "off"),
        ((lambda *a: least_squares(*a)[::-1, ::-1], SOLVED), "turned"),
        ((lambda maps, hr, scale: np.ones((9, 9, 1, maps.shape[-1])), SOLVED), "left"),
        ((lambda maps, hr, scale: np.ones(9), SOLVED), "shape"),
        ((least_squares, LEVELLED[1]), "levelled"),
        ((least_squares, 1.89), "too large"),
    ],
}
