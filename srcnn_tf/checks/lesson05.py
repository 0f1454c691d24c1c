"""Checks of the exercises to lesson 05, FSRCNN."""

from functools import cache

import keras
import numpy as np

from srcnn_tf import datasets
from srcnn_tf.checks.answers import array, call, demand, exercise, number
from srcnn_tf.layers import BicubicUpsampling, Deconvolution
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.models import build, fsrcnn, srcnn
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.pretrained import load_pretrained
from srcnn_tf.probes import multiply_adds


@exercise("E05.1")
def counting(_rng, weights, ratios, corrected) -> str:
    """Count weights and multiply-adds."""
    small = build("fsrcnn-s", 3)
    count = int(sum(np.prod(layer.kernel.shape) for layer in small.layers[::2]))
    slips = {
        small.count_params(): "Biases and slopes are not counted.",
        count - 81 * 32: "The deconvolution has weights too.",
        count + 9 * 25: "m = 1: one mapping layer.",
    }
    number(weights, count, hint="Count layer by layer: f·f·in·out.", slips=slips, what="`weights`")
    given = array(ratios, what="`ratios`").ravel()
    demand(given.size == 2, "`ratios` should be two numbers, at ×3 and at ×2.")
    for value, scale in zip(given, (3, 2), strict=True):
        right = multiply_adds(srcnn(scale)) / multiply_adds(build("fsrcnn-s", scale))
        slips = {
            right / scale**2: "The grids differ: how many HR pixels are there to an LR pixel?",
            right / scale: "Pixels have two sides.",
            1 / right: "It is the other way round.",
        }
        number(value, right, 0.06, "", slips, f"The ratio at ×{scale}")
    old, new = srcnn(2, kernels=(9, 5, 5)), fsrcnn(2)
    right = multiply_adds(old) / multiply_adds(new)
    slips = {
        41.29: "That is at ×3, where each LR pixel stands for nine.",
        right / 4: "The grids differ: how many HR pixels are there to an LR pixel?",
    }
    hint = "Weights times pixels of the grid, at ×2."
    number(corrected, right, 0.06, hint, slips, "`corrected`")
    return "A speed-up without its scale is half a number."


def _deconvolved(maps: np.ndarray, kernel: np.ndarray, scale: int) -> np.ndarray:
    layer = Deconvolution(1, 9, scale, use_bias=False)
    layer.build(maps.shape)
    layer.set_weights([kernel])
    return np.asarray(layer(maps))


@exercise("E05.2")
def two_phases(rng, subpixel) -> str:
    """Compare with a deconvolution for several sizes and numbers of maps."""
    for d, h, w in ((1, 7, 9), (6, 8, 5)):
        maps = rng.normal(size=(2, h, w, d)).astype(np.float32)
        kernel = rng.normal(size=(9, 9, 1, d)).astype(np.float32)
        right = _deconvolved(maps, kernel, 2)
        given = array(call(subpixel, maps, kernel), right.shape, "The output")
        shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
        inner = np.s_[:, 5:-5, 5:-5] if min(h, w) > 6 else np.s_[:, 4:-4, 4:-4]
        for y, x in shifts:
            moved = np.roll(given, (y, x), (1, 2))[inner]
            hint = "Every pixel is displaced by one: pad the kernel at its other end."
            demand(not np.allclose(moved, right[inner], atol=1e-3), hint)
        hint = "Values differ: which taps does a phase own, and in which order does it meet pixels?"
        demand(np.allclose(given[inner], right[inner], atol=1e-3), hint)
        demand(np.allclose(given, right, atol=1e-3), "The inside is right, the border is not.")
    return "Any stride will do: pad the kernel until the stride divides it."


@cache
def _pairs_x4() -> list[tuple[np.ndarray, np.ndarray]]:
    crops = [photograph[30:190, 100:260] for photograph in datasets.load("samples", "test")]
    return evaluation_pairs(crops, 4)


def _psnr(enlarge) -> float:
    return evaluate(enlarge, _pairs_x4(), Protocol(border=4)).psnr


@cache
def _bicubic_db() -> float:
    return _psnr(BicubicUpsampling(4))


@cache
def _shipped() -> keras.Sequential:
    return load_pretrained("fsrcnn", 3)


def _gain_at_x4(kernel: np.ndarray) -> float:
    """Score a kernel for ×4 on the shipped ×3 convolutions: dB above bicubic."""
    network = fsrcnn(4)
    network.set_weights([*_shipped().get_weights()[:-2], kernel, _shipped().get_weights()[-1]])
    return _psnr(network) - _bicubic_db()


def _level(kernel: np.ndarray, sums: np.ndarray, scale: int, how: str) -> np.ndarray:
    kernel = kernel.copy()
    for p, q in np.ndindex(scale, scale):
        phase = kernel[p::scale, q::scale]
        found = phase.sum(axis=(0, 1, 2))
        if how == "scale":
            phase *= sums / found
        else:
            phase += (sums - found) / phase[..., 0].size
    return kernel


@cache
def _levelled_gains() -> dict[str, float]:
    kernel = _shipped().layers[-1].kernel.numpy()
    taps = [(np.arange(9) - (9 - s) // 2 - (s - 1) / 2) / s for s in (3, 4)]
    read = np.maximum(0, 1 - 3 * np.abs(taps[1][:, None] - taps[0]))
    start, sums = np.einsum("yi,xj,ijcd->yxcd", read, read, kernel), kernel.sum((0, 1, 2)) / 9
    return {how: _gain_at_x4(_level(start, sums, 4, how)) for how in ("scale", "add")}


@exercise("E05.3")
def levelling(rng, level, gain_by_scaling, gain_by_adding) -> str:
    """Level random kernels, then score the learned ones."""
    for scale in (4, 2, 3):
        d = int(rng.integers(2, 5))
        kernel, sums = rng.uniform(0.5, 1.5, (9, 9, 1, d)), rng.uniform(1, 2, d)
        for how, other in (("scale", "add"), ("add", "scale")):
            given = call(level, kernel, sums, scale, how)
            given = array(given, kernel.shape, "The kernel")
            where = f"at ×{scale}, by {'scaling' if how == 'scale' else 'adding'}"
            for p, q in np.ndindex(scale, scale):
                found = given[p::scale, q::scale].sum(axis=(0, 1, 2))
                demand(np.allclose(found, sums, atol=1e-4), f"Phases miss their sums {where}.")
            swapped = np.allclose(given, _level(kernel, sums, scale, other), atol=1e-4)
            demand(not swapped, f"You do {other!r} where {how!r} is asked for.")
            right = _level(kernel, sums, scale, how)
            hint = f"The sums are right {where}; treat all taps of a phase alike."
            demand(np.allclose(given, right, atol=1e-4), hint)
    scaling, adding = _levelled_gains().values()
    hint = "Level `start` at ×4 and score it."
    for name, value, gain, other_gain in (
        ("`gain_by_scaling`", gain_by_scaling, scaling, adding),
        ("`gain_by_adding`", gain_by_adding, adding, scaling),
    ):
        slips = {
            other_gain: "The two gains are swapped.",
            gain + _bicubic_db(): "Take bicubic's PSNR off.",
        }
        number(value, gain, 0.02, hint, slips, name)
    return "Flat areas are flat both ways; what a tap does to an edge is another matter."


def _at_other_scale(network: keras.Sequential) -> keras.Sequential:
    """Do what the tutorial does: use a network's weights at ×4 as they are."""
    other = (fsrcnn if network.name == "fsrcnn" else srcnn)(4)
    other.set_weights(network.get_weights())
    return other


@cache
def _gains_of_x2_network() -> tuple[float, float]:
    network = load_pretrained("srcnn-9-1-5", 2)
    faulty, mended = _at_other_scale(network), lambda lr_images: network(network(lr_images))
    return _psnr(faulty) - _bicubic_db(), _psnr(mended) - _bicubic_db()


@exercise("E05.4")
def other_scale(rng, enlarge_x4, faulty_gain_db, mended_gain_db) -> str:
    """Enlarge with two ×2 networks; compare on a crop of a photograph."""
    top, left = rng.integers(0, 100, 2)
    photograph = datasets.load("samples", "test")[0]
    lr_images = evaluation_pairs([photograph[top : top + 120, left : left + 160]], 4)[0][0]
    for name in ("srcnn-9-1-5", "fsrcnn"):
        network = load_pretrained(name, 2)
        right = np.clip(network(network(lr_images)), 0, 1)
        given = array(call(enlarge_x4, network, lr_images), right.shape, "The output")
        given = np.clip(given, 0, 1)
        faulty = np.clip(_at_other_scale(network)(lr_images), 0, 1)
        hint = "The network still meets a ×4 enlargement, which it was not trained for."
        demand(not np.allclose(given, faulty, atol=1e-3), hint)
        twice = BicubicUpsampling(2)
        half = {
            "the first": twice(network(lr_images)),
            "the second": network(twice(lr_images)),
        }
        for which, image in half.items():
            hint = f"Better. {which.capitalize()} doubling has the network; what of the other?"
            demand(not np.allclose(given, np.clip(image, 0, 1), atol=1e-3), hint)
        hint = f"This is not what the ×2 network {name} makes of it: what else is in there?"
        demand(np.abs(given - right).mean() < 0.002, hint)
    faulty, mended = _gains_of_x2_network()
    slips = {faulty + _bicubic_db(): "Take bicubic's PSNR off.", mended: "That is the mended one."}
    hint = "Score the faulty lines with psnr_x4."
    number(faulty_gain_db, faulty, 0.02, hint, slips, "`faulty_gain_db`")
    slips = {mended + _bicubic_db(): "Take bicubic's PSNR off.", faulty: "That is the faulty one."}
    number(mended_gain_db, mended, 0.03, "SRCNN 9-1-5 is asked for.", slips, "`mended_gain_db`")
    return "Off its scale the network loses all it had learnt; on it, it works twice."


def _solve(maps: np.ndarray, hr_images: np.ndarray, scale: int) -> np.ndarray:
    """Solve for a deconvolution's kernel through its normal equations."""
    size, d, reach = maps.shape[1:3], maps.shape[-1], 9 // scale // 2 + 1
    ends = (reach, reach)
    padded = np.pad(np.asarray(maps, float), ((0, 0), ends, ends, (0, 0)))
    kernel = np.zeros((9, 9, 1, d))
    for p, q in np.ndindex(scale, scale):
        # Tap t takes an LR pixel j to the HR pixel scale·j + t - before.
        taps = [[t for t in range(9) if (t - (9 - scale) // 2 - x) % scale == 0] for x in (p, q)]
        places = [
            [reach + (x + (9 - scale) // 2 - t) // scale for t in along]
            for x, along in zip((p, q), taps, strict=True)
        ]
        columns = [
            padded[:, y : y + size[0], x : x + size[1]] for y in places[0] for x in places[1]
        ]
        design = np.concatenate(columns, axis=-1).reshape(-1, len(columns) * d)
        target = hr_images[:, p::scale, q::scale].ravel()
        solved = np.linalg.lstsq(design.T @ design, design.T @ target)[0]
        kernel[np.ix_(*taps)] = solved.reshape(len(taps[0]), len(taps[1]), 1, d)
    return kernel


@cache
def _solved_gain() -> float:
    crops = [photograph[100:292, 100:292] for photograph in datasets.load("samples", "train")]
    lr_images, hr_images = map(np.concatenate, zip(*evaluation_pairs(crops, 4), strict=True))
    body = keras.Model(_shipped().inputs[0], _shipped().layers[-2].output)
    bias = _shipped().layers[-1].bias.numpy()
    return _gain_at_x4(_solve(np.asarray(body(lr_images)), hr_images - bias, 4))


@exercise("E05.5")
def solving(rng, least_squares, solved_gain_db) -> str:
    """Recover kernels from what they make of random maps, then compare the score."""
    for scale in (3, 4, 2):
        d = int(rng.integers(2, 4))
        maps = rng.normal(size=(2, 15, 17, d)).astype(np.float32)
        kernel = rng.normal(size=(9, 9, 1, d)).astype(np.float32)
        hr_images = _deconvolved(maps, kernel, scale)
        given = array(call(least_squares, maps, hr_images, scale), kernel.shape, "The kernel")
        flipped = np.allclose(given[::-1, ::-1], kernel, atol=0.01)
        demand(not flipped, "The kernel is turned round: a deconvolution stamps, tap by tap.")
        left = np.mean((_deconvolved(maps, given.astype(np.float32), scale) - hr_images) ** 2)
        demand(
            np.allclose(given, kernel, atol=0.01),
            f"At ×{scale} an error of {left:.3g} is left where there is a kernel without any.",
        )
    right = _solved_gain()
    slips = {
        right + _bicubic_db(): "Take bicubic's PSNR off.",
        _levelled_gains()["add"]: "That is the levelled kernel of E05.3.",
    }
    hint = "Solve with all of `maps`, and mind the bias that at_x4 adds."
    number(solved_gain_db, right, 0.1, hint, slips, "`solved_gain_db`")
    return "The best last layer for these photographs, without a learning rate."
