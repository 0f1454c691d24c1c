"""Right and typically wrong answers to the exercises of lesson 12."""

import numpy as np
import tensorflow as tf
from scipy.signal import convolve2d

from srcnn_tf import load_pretrained
from srcnn_tf.checks.lesson12 import lost_db

STEP, PSNR = 2.5 / 255, float(10 * np.log10(12 / (2.5 / 255) ** 2))


def per_filter(kernel):
    largest = np.abs(kernel).max(axis=(0, 1, 2))
    scales = np.where(largest > 0, largest, 1) / 127
    return np.round(kernel / scales), scales


def by_loop(kernel):
    columns = kernel.reshape(-1, kernel.shape[-1]).T
    scales = [max(np.abs(column).max(), 1e-9) / 127 for column in columns]
    codes = [np.rint(column / scale) for column, scale in zip(columns, scales, strict=True)]
    return [np.stack(codes, -1).reshape(kernel.shape).astype(np.int8), scales]


def one_scale(kernel):
    scale = np.abs(kernel).max() / 127
    return np.round(kernel / scale), scale


def not_rounded(kernel):
    scales = per_filter(kernel)[1]
    return kernel / scales, scales


def cut_off(kernel):
    scales = per_filter(kernel)[1]
    return np.trunc(kernel / scales + 1e-9 * np.sign(kernel)), scales


def up_to_128(kernel):
    scales = per_filter(kernel)[1]
    return np.round(kernel / (scales * 127 / 128)), scales * 127 / 128


KERNEL = load_pretrained("fsrcnn", 3).get_layer("shrinking").get_weights()[0]
ERRORS = [
    np.mean((codes * scales - KERNEL) ** 2)
    for codes, scales in map(lambda function: function(KERNEL), (one_scale, per_filter))
]
RATIO = float(ERRORS[0] / ERRORS[1])

LOSSES = {bits: lost_db(bits) for bits in range(8, 13)}
BITS = min(bits for bits, loss in LOSSES.items() if loss < 0.1)
WHOLE = (10 ** (LOSSES[8] / 10) - 1) / (10 ** (LOSSES[11] / 10) - 1)
FACTOR = WHOLE ** (1 / 3)


def depth_to_space(phases, scale):
    n, h, w, channels = phases.shape
    parts = phases.reshape(n, h, w, scale, scale, channels // scale**2)
    return parts.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * scale, w * scale, -1)


def by_slices(phases, scale):
    n, h, w, channels = phases.shape
    colours = channels // scale**2
    image = np.zeros((n, h * scale, w * scale, colours))
    for number in range(scale**2):
        part = phases[..., number * colours : (number + 1) * colours]
        image[:, number // scale :: scale, number % scale :: scale] = part
    return image


def combed(phases, scale):
    n, h, w, channels = phases.shape
    return phases.reshape(n, h * scale, w * scale, channels // scale**2)


def exchanged(phases, scale):
    return by_slices(phases.swapaxes(1, 2), scale).swapaxes(1, 2)


def as_pytorch(phases, scale):
    n, h, w, channels = phases.shape
    parts = phases.reshape(n, h, w, channels // scale**2, scale, scale)
    return parts.transpose(0, 1, 4, 2, 5, 3).reshape(n, h * scale, w * scale, -1)


ORDER = np.arange(12).reshape(3, 4).T.ravel()


def merge(first, first_bias, second, second_bias):
    f, g = len(first), len(second)
    kernel = np.zeros((f + g - 1, f + g - 1, first.shape[2], second.shape[3]))
    for u in range(g):
        for v in range(g):
            kernel[u : u + f, v : v + f] += first @ second[u, v]
    return kernel, second_bias + first_bias @ second.sum(axis=(0, 1))


def by_scipy(first, first_bias, second, second_bias):
    kernel = [
        [
            sum(convolve2d(first[..., i, m], second[..., m, o]) for m in range(first.shape[3]))
            for o in range(second.shape[3])
        ]
        for i in range(first.shape[2])
    ]
    bias = tf.einsum("m,yxmo->o", first_bias, second) + second_bias
    return [np.transpose(kernel, (2, 3, 0, 1)), bias]


def upside_down(*arguments):
    kernel, bias = merge(*arguments)
    return kernel[::-1, ::-1], bias


WORK = 7680 / 1296

RIGHT = {
    "E12.1": [
        (STEP, 51, PSNR),
        ("0.009804", "51", str(round(PSNR, 2))),
        (np.float32(STEP), 51.0, [PSNR]),
        (tf.constant(STEP), tf.constant(51), tf.constant(PSNR)),
    ],
    "E12.2": [
        (per_filter, RATIO),
        (by_loop, str(RATIO)),
        (lambda kernel: tuple(map(tf.constant, per_filter(kernel))), [RATIO]),
    ],
    "E12.3": [
        (BITS, FACTOR),
        (str(BITS), round(FACTOR, 2)),
        ([float(BITS)], np.float32(FACTOR)),
    ],
    "E12.4": [
        (depth_to_space, ORDER),
        (by_slices, ORDER.tolist()),
        (tf.nn.depth_to_space, (0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11)),
    ],
    "E12.5": [
        (merge, WORK),
        (by_scipy, "5.926"),
        (lambda *a: tuple(map(tf.constant, merge(*a))), [WORK]),
    ],
}
WRONG = {
    "E12.1": [
        ((2.5 / 256, 51, PSNR), "256 codes"),
        ((1 / 255, 51, PSNR), "an image's"),
        ((2 / 255, 51, PSNR), "below zero"),
        ((102, 51, PSNR), "other way round"),
        ((STEP, 0, PSNR), "lowest value"),
        ((STEP, 128, PSNR), "middle"),
        ((STEP, 51, PSNR - 10 * np.log10(12)), "whole step"),
        ((STEP, 51, PSNR - 10 * np.log10(3)), "largest error"),
        ((STEP, 51, 10 * np.log10(12 * 255**2)), "not the range"),
        ((STEP, 51, 2 * PSNR), "10 times"),
    ],
    "E12.2": [
        ((one_scale, RATIO), "its own"),
        ((not_rounded, RATIO), "whole numbers"),
        ((cut_off, RATIO), "half a step"),
        ((up_to_128, RATIO), "127"),
        ((lambda kernel: per_filter(kernel)[0], RATIO), "two"),
        ((per_filter, 1 / RATIO), "other way round"),
        ((per_filter, np.sqrt(RATIO)), "no root"),
    ],
    "E12.3": [
        ((BITS + 1, FACTOR), "One bit fewer"),
        ((BITS - 1, FACTOR), "more than 0.1 dB"),
        ((BITS, WHOLE), "cube root"),
        ((BITS, 2), "a quarter"),
        ((BITS, 1 / FACTOR), "other way round"),
    ],
    "E12.4": [
        ((combed, ORDER), "still combed"),
        ((exchanged, ORDER), "exchanged"),
        ((as_pytorch, ORDER), "PyTorch's order"),
        ((depth_to_space, np.arange(12).reshape(4, 3).T.ravel()), "the way back"),
        ((depth_to_space, [0] * 12), "once"),
        ((depth_to_space, np.arange(12)), "first pixel"),
    ],
    "E12.5": [
        ((upside_down, WORK), "upside down"),
        ((lambda *a: (merge(*a)[0] / 2, merge(*a)[1]), WORK), "not right yet"),
        ((lambda *a: (merge(*a)[0], a[3]), WORK), "through the second kernel"),
        ((lambda *a: (merge(*a)[0], merge(*a)[1] - a[3]), WORK), "second bias too"),
        ((lambda *a: (merge(*a)[0], a[3] + a[1] @ a[2][0, 0]), WORK), "all"),
        ((lambda *a: merge(*a)[0], WORK), "kernel and bias"),
        ((merge, 64 / 12), "1×1 layer"),
        ((merge, 1 / WORK), "other way round"),
    ],
}
