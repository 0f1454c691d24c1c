"""Checks of the exercises to lesson 12, deployment."""

from functools import cache

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.checks.answers import array, call, demand, exercise, number
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.pretrained import load_pretrained


@exercise("E12.1")
def by_hand(_rng, scale, zero_point, psnr) -> str:
    """Compare a scale, a zero point, and the decibels that rounding leaves."""
    step = 2.5 / 255
    slips: dict[float, str] = {
        2.5 / 256: "256 codes have 255 steps between them.",
        1 / 255: "That is an image's; this map's range is wider.",
        2 / 255: "The range begins below zero.",
        255 / 2.5: "That is codes per unit: the other way round.",
    }
    number(scale, step, 1e-5, "Range over steps.", slips, "`scale`")
    slips = {0: "Code 0 stands for the lowest value.", 128: "That is the middle of the codes."}
    hint = "How many steps is 0 above the lowest value?"
    number(zero_point, 51, 1e-6, hint, slips, "`zero_point`")
    right = 10 * np.log10(12 / step**2)
    slips = {
        10 * np.log10(1 / step**2): "The error is not a whole step: its mean square is Δ²/12.",
        10 * np.log10(4 / step**2): "Half a step is the largest error, not the rms.",
        10 * np.log10(12 * 255**2): "The peak is 1, white, not the range; steps are not 1/255.",
        20 * np.log10(12 / step**2): "10 times the logarithm of a ratio of squares.",
    }
    number(psnr, right, 0.02, "Peak 1, mean square Δ²/12.", slips, "`psnr`")
    return "A range 2.5 times as wide costs 8 dB."


@cache
def _ratio() -> float:
    """Return the error of one scale over that of a scale for each filter."""
    kernel = load_pretrained("fsrcnn", 3).get_layer("shrinking").get_weights()[0]
    errors = []
    for largest in (np.abs(kernel).max(), np.abs(kernel).max((0, 1, 2))):
        step = largest / 127
        errors.append(np.mean((step * np.round(kernel / step) - kernel) ** 2))
    return float(errors[0] / errors[1])


@exercise("E12.2")
def per_filter_scales(rng, per_filter, ratio) -> str:
    """Round kernels whose filters differ in size, one of them zero."""
    kernel = rng.normal(0, 1, (3, 3, 4, 6)) * np.array([1, 0.1, 5, 0, 0.01, 2])
    given = call(per_filter, kernel)
    demand(isinstance(given, list | tuple) and len(given) == 2, "Return two: codes and scales.")
    codes = array(given[0], kernel.shape, "The codes")
    scales = array(given[1], None, "The scales").ravel()
    demand(scales.size != 1, "One scale for all: each filter wants its own.")
    demand(scales.size != 4, "A scale for each *filter*, the last axis, not for each map it sees.")
    demand(scales.size == 6, f"Six filters have six scales, not {scales.size}.")
    demand(np.all(codes == np.round(codes)), "Codes are whole numbers.")
    top = np.abs(codes).max((0, 1, 2))
    demand(top.max() <= 127, "Codes go from −127 to 127.")
    demand(np.all(top[[0, 1, 2, 4, 5]] == 127), "The largest weight of a filter becomes ±127.")
    near = np.abs(codes * scales - kernel) <= scales / 2 + 1e-9
    demand(np.all(near), "Codes times scales are more than half a step from the kernel: round.")
    right = _ratio()
    slips = {
        1 / right: "It is the other way round: one scale over a scale for each.",
        np.sqrt(right): "Squared errors, no root.",
    }
    number(ratio, right, 0.02 * right, "Mean over all weights of squares.", slips, "`ratio`")
    return "Quiet filters keep their steps when a loud one does not set them."


@cache
def _network() -> tuple[keras.Model, dict[str, tuple[float, float]], list, float]:
    """Return FSRCNN, the ranges of its maps, test pairs, and its PSNR on them."""
    network = load_pretrained("fsrcnn", 3)
    pairs = evaluation_pairs([p[120:192, 200:272] for p in datasets.load("samples", "test")], 3)
    examples = evaluation_pairs([p[60:204, 60:204] for p in datasets.load("samples", "train")], 3)
    maps, ranges = tf.concat([lr for lr, _ in examples], 0), {}
    for layer in network.layers:
        maps = layer(maps)
        ranges[layer.name] = float(tf.reduce_min(maps)), float(tf.reduce_max(maps))
    return network, ranges, pairs, evaluate(network, pairs, Protocol(3)).psnr


@cache
def lost_db(bits: int) -> float:
    """Return the dB that FSRCNN ×3 loses on three crops when its maps are stored in some bits.

    Args:
        bits: 2 to 16.
    """
    network, ranges, pairs, whole = _network()

    def run(maps):
        for layer in network.layers:
            low, high = ranges[layer.name]
            step = (high - low) / (2**bits - 1)
            maps = tf.round(tf.clip_by_value(layer(maps), low, high) / step) * step
        return maps

    return float(whole - evaluate(run, pairs, Protocol(3)).psnr)


@exercise("E12.3")
def how_many_bits(_rng, bits, factor) -> str:
    """Compare with the losses of eight to twelve bits."""
    losses = {count: lost_db(count) for count in range(8, 13)}
    right = min(count for count, loss in losses.items() if loss < 0.1)
    slips: dict[float, str] = {
        right + 1: "One bit fewer still costs less than 0.1 dB.",
        right - 1: "That costs more than 0.1 dB.",
        8: "Eight cost more: see above.",
    }
    number(bits, right, 1e-6, "Try 8 to 12.", slips, "`bits`")
    added = [10 ** (losses[count] / 10) - 1 for count in (8, 11)]
    whole = added[0] / added[1]
    slips = {
        whole: "That is three bits together: take the cube root.",
        2.0: "Half the step is a quarter of its square.",
        whole ** (1 / 4): "From 8 to 11 there are three bits.",
        1 / whole ** (1 / 3): "By how much does it *fall*: the other way round.",
        (losses[8] / losses[11]) ** (1 / 3): "Decibels first turn into e/E.",
    }
    number(factor, whole ** (1 / 3), 0.05, "The cube root of e(8)/e(11).", slips, "`factor`")
    return "Half a step, a quarter of the power: six decibels a bit."


@exercise("E12.4")
def combed(rng, depth_to_space, order) -> str:
    """Rearrange made-up phases, then find PyTorch's channels."""
    for scale, colours in ((2, 3), (3, 1)):
        phases = rng.uniform(0, 1, (2, 4, 5, scale**2 * colours)).astype(np.float32)
        right = tf.nn.depth_to_space(phases, scale).numpy()
        given = array(call(depth_to_space, phases, scale), right.shape, "The image")
        demand(not np.allclose(given, phases.reshape(right.shape)), "Reshaped alone: still combed.")
        parts = phases.reshape(2, 4, 5, scale, scale, colours)
        turned = parts.transpose(0, 1, 4, 2, 3, 5).reshape(right.shape)
        demand(not np.allclose(given, turned), "Rows and columns of each block are exchanged.")
        other = phases.reshape(2, 4, 5, colours, scale, scale).transpose(0, 1, 4, 2, 5, 3)
        if colours > 1:
            mixed = np.allclose(given, other.reshape(right.shape))
            demand(not mixed, "That is PyTorch's order: colours come first in a channel's number.")
        demand(np.allclose(given, right), "Row a, column b, colour k: which axes are neighbours?")
    given = array(order, (12,), "`order`")
    right = np.arange(12).reshape(3, 4).T.ravel()
    back = np.arange(12).reshape(4, 3).T.ravel()
    demand(not np.array_equal(given, back), "That is the way back, from TensorFlow to PyTorch.")
    demand(sorted(given) == list(range(12)), "Each of the 12 channels once.")
    demand(np.array_equal(given, right), "First colours 0, 1, 2 of the block's first pixel.")
    return "With one channel nobody would have noticed."


@exercise("E12.5")
def merging(rng, merge, work) -> str:
    """Run two made-up convolutions after each other, and as one."""
    for f, g in ((3, 1), (3, 3), (2, 3)):
        first, second = rng.normal(0, 1, (f, f, 2, 5)), rng.normal(0, 1, (g, g, 5, 3))
        biases = rng.normal(0, 1, 5), rng.normal(0, 1, 3)
        images = rng.normal(0, 1, (1, 9, 8, 2))
        given = call(merge, first, biases[0], second, biases[1])
        demand(isinstance(given, list | tuple) and len(given) == 2, "Return kernel and bias.")
        side = f + g - 1
        kernel = array(given[0], (side, side, 2, 3), "The kernel")
        bias = array(given[1], (3,), "The bias")
        inner = tf.nn.conv2d(images, first, 1, "VALID") + biases[0]
        right = (tf.nn.conv2d(inner, second, 1, "VALID") + biases[1]).numpy()
        linear = right - _bias(second, *biases)
        found = tf.nn.conv2d(images, kernel, 1, "VALID").numpy()
        flipped = tf.nn.conv2d(images, kernel[::-1, ::-1], 1, "VALID").numpy()
        demand(not (side > 1 and np.allclose(flipped, linear)), "The kernel is upside down.")
        demand(np.allclose(found, linear), f"The kernel of {f}×{f} and {g}×{g} is not right yet.")
        biased = {
            "The first bias passes through the second kernel.": biases[1],
            "Add the second bias too.": _bias(second, biases[0], 0 * biases[1]),
            "Not added as they are: the first passes through *all* taps.": biases[1]
            + biases[0] @ second[0, 0],
        }
        whole = _bias(second, *biases)
        for hint, slip in biased.items():
            demand(not np.allclose(bias, slip) or np.allclose(bias, whole), hint)
        demand(np.allclose(bias, whole), "The bias is not right yet.")
    right = (9 * 12 * 64 + 64 * 12) / (9 * 12 * 12)
    slips: dict[float, str] = {
        64 / 12: "The 1×1 layer works too.",
        1 / right: "It is the other way round.",
        right * 9: "Both layers run on the same grid.",
    }
    number(work, right, 0.01, "Weights of two layers over weights of one.", slips, "`work`")
    return "What trains wide need not run wide."


def _bias(second: np.ndarray, first_bias: np.ndarray, second_bias: np.ndarray) -> np.ndarray:
    """Return the bias of two convolutions together."""
    return second_bias + first_bias @ second.sum((0, 1))
