"""Checks of the exercises to lesson 08, VDSR."""

from collections.abc import Callable
from functools import cache

import keras
import numpy as np

from srcnn_tf import datasets
from srcnn_tf.checks.answers import array, call, demand, exercise, number
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.models import fsrcnn, srcnn, vdsr
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.pretrained import load_pretrained
from srcnn_tf.probes import multiply_adds


@cache
def _counts() -> tuple[int, int, float]:
    """Return VDSR's weights and parameters, and its multiply-adds in FSRCNN's at ×3."""
    model = vdsr(3)
    work = multiply_adds(model)
    return round(work), model.count_params(), work / multiply_adds(fsrcnn(3))


@exercise("E08.1")
def counting(_rng, weights, depth, ratio) -> str:
    """Count weights, layers to a receptive field, and multiply-adds."""
    count, with_biases, right = _counts()
    slips: dict[float, str] = {
        with_biases: "Biases are not counted.",
        20 * 9 * 64**2: "The first layer has one map in, the last one map out.",
        count - 9 * 64: "The last layer has weights too.",
        18 * 9 * 64**2: "The first and the last layer have weights too.",
    }
    number(weights, count, hint="Count layer by layer: f·f·in·out.", slips=slips, what="`weights`")
    sees = 1 + sum(side - 1 for side in (9, 5, 5))
    slips = {
        sees: "That is how many pixels it sees; a layer adds a pixel on *each* side.",
        sees - 1: "A layer adds a pixel on *each* side.",
        6: "That is SRCNN 9-1-5.",
        9: "The first pixel is there without any layer.",
    }
    hint = "How many pixels does 9-5-5 see? How many do D layers?"
    number(depth, (sees - 1) // 2, hint=hint, slips=slips, what="`depth`")
    slips = {
        right / 9: "The grids differ: how many HR pixels are there to an LR pixel?",
        right / 3: "Pixels have two sides.",
        1 / right: "It is the other way round.",
    }
    number(ratio, right, 0.5, "Weights times pixels of the grid.", slips, "`ratio`")
    return "Fifty times the weights, on a grid nine times as large."


def _farthest(theta: float, momentum: float, steps: int) -> float:
    velocities = theta * (1 - momentum ** np.arange(1, steps + 1)) / (1 - momentum)
    return float(velocities.sum())


@exercise("E08.2")
def clipping(rng, by_number, by_norm, farthest) -> str:
    """Clip made-up gradients, large and small, then compare distances."""
    shapes = ((3, 3, 2, 4), (4,), (2, 5))
    for rate in (0.1, 0.003):
        theta = float(rng.uniform(0.01, 0.1))
        limit = theta / rate
        gradients = [limit * rng.normal(0, 2, shape) for shape in shapes]
        given = _list(call(by_number, gradients, rate, theta), gradients, "`by_number`")
        for slip, hint in (
            (theta, "The limit is θ/γ: it rises as the rate falls."),
            (theta * rate, "The limit is θ divided by γ, not times γ."),
        ):
            wrong = [np.clip(g, -slip, slip) for g in gradients]
            demand(not _near(given, wrong), hint)
        one_sided = [np.minimum(g, limit) for g in gradients]
        demand(not _near(given, one_sided), "Negative numbers have a limit too.")
        right = [np.clip(g, -limit, limit) for g in gradients]
        demand(_near(given, right), "`by_number` should cut each number off, the others as before.")
    for size in (5.0, 0.1):
        gradients = [size * rng.normal(0, 1, shape) for shape in shapes]
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        limit = float(rng.uniform(2, 3))
        given = _list(call(by_norm, gradients, limit), gradients, "`by_norm`")
        each = [g * min(1, limit / np.linalg.norm(g)) for g in gradients]
        always = [g * limit / norm for g in gradients]
        right = [g * min(1, limit / norm) for g in gradients]
        if norm > limit:
            demand(not _near(given, each), "One norm of all arrays together: one factor for all.")
        else:
            demand(not _near(given, always), "Gradients within the limit stay as they are.")
        demand(_near(given, right), "`by_norm` should keep the direction and bring the norm down.")
    for steps in (1, 2, int(rng.integers(5, 30))):
        theta, momentum = float(rng.uniform(0.01, 1)), float(rng.uniform(0.5, 0.95))
        most = _farthest(theta, momentum, steps)
        slips = {
            theta * steps: "That is without momentum.",
            theta * steps / (1 - momentum): "The velocity has not its full size at once.",
            theta * (1 - momentum**steps) / (1 - momentum): "That is the last velocity: add all.",
        }
        slips = {slip: hint for slip, hint in slips.items() if abs(slip - most) > 1e-6}
        value = call(farthest, theta, momentum, steps)
        hint = f"That is after {steps} steps, all pulled the same way."
        number(value, most, 1e-5 * most, hint, slips, "The distance")
    return "With momentum 0.9 a clipped weight moves by ten θ in a step at most."


def _list(given, like: list[np.ndarray], what: str) -> list[np.ndarray]:
    right = isinstance(given, list | tuple) and len(given) == len(like)
    demand(right, f"{what} should return a list, an array for each one that it gets.")
    pairs = zip(given, like, strict=True)
    return [array(one, other.shape, f"An array of {what}") for one, other in pairs]


def _near(given: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.allclose(*pair, rtol=1e-4, atol=1e-6) for pair in zip(given, other, strict=True))


@exercise("E08.3")
def chains(_rng, rates, constant) -> str:
    """Compare with the stability limit of SGD with momentum, 2(1 + μ) / curvature."""
    depths = (2, 5, 10, 20)
    given = array(rates, (4,), "`rates`")
    demand(given[0] > given[-1], "The longer chain settles at the *lower* rate: 2, 5, 10, 20.")
    for depth, value in zip(depths, given, strict=True):
        slips = {2 / depth: "That would be the limit without momentum; `error` has 0.9."}
        what = f"The rate for {depth} weights"
        hint = "Halve the interval further: one end settles, the other does not."
        number(value, 3.8 / depth, 0.015 * 3.8 / depth, hint, slips, what)
    slips = {
        1 / 3.8: "It is the other way round: rate = constant / D.",
        3.8 * 5 / 2: "Is the mean over all four?",
        float(given.mean()): "Multiply each rate by its D first.",
    }
    number(constant, 3.8, 0.06, "Multiply each rate by its D.", slips, "`constant`")
    return "Twice as deep, half the rate: clipping lets a run begin above it."


@cache
def _pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    crops = [photograph[120:192, 200:272] for photograph in datasets.load("samples", "test")]
    return evaluation_pairs(crops, 3)


def _psnr(enlarge: Callable) -> float:
    return evaluate(enlarge, _pairs(), Protocol(border=3)).psnr


@cache
def _shipped() -> keras.Model:
    return load_pretrained("vdsr", 3)


@cache
def _psnr_of_vdsr() -> float:
    return _psnr(_shipped())


@cache
def _psnr_of_bicubic() -> float:
    return _psnr(_shipped().get_layer("bicubic"))


@cache
def _psnr_without_darkening() -> float:
    """Score VDSR with the negative half of its residual cut off."""

    def enlarge(lr_images: np.ndarray) -> np.ndarray:
        enlarged = np.asarray(_shipped().get_layer("bicubic")(lr_images))
        return enlarged + np.clip(np.asarray(_shipped()(lr_images)) - enlarged, 0, 1)

    return _psnr(enlarge)


@exercise("E08.4")
def signs(rng, target, add_up, lost_db) -> str:
    """Take random 8-bit images and residuals of both signs, then score the shipped network."""
    hr, enlarged = rng.integers(0, 256, (2, 5, 9, 7, 1)).astype(np.uint8)
    right = (hr.astype(float) - enlarged) / 255
    given = array(call(target, hr, enlarged), right.shape, "The target")
    for slip, hint in (
        ((hr - enlarged) / 255, "np.uint8 counts on from 255 at 0: 3 − 5 is 254."),
        (np.abs(right), "A residual has a sign."),
        (np.maximum(right, 0), "A residual has a sign."),
        (-right, "It is what has to be added to the enlarged image: mind the sign."),
        (255 * right, "In units of [0, 1], it should lie between −1 and 1."),
    ):
        demand(not np.allclose(given, slip, atol=1e-4), hint)
    demand(np.allclose(given, right, atol=1e-4), "The target is not the difference of the images.")
    enlarged = rng.uniform(0, 1, (2, 6, 8, 1)).astype(np.float32)
    residual = rng.normal(0, 0.4, enlarged.shape).astype(np.float32)
    given = array(call(add_up, enlarged, residual), enlarged.shape, "What `add_up` returns")
    faulty = enlarged + np.clip(residual, 0, 1)
    half_mended = np.clip(faulty, 0, 1)
    for slip in (faulty, half_mended):
        hint = "Where the image should become darker, it stays as it is."
        demand(not np.allclose(given, slip, atol=1e-5), hint)
    hint = "The image should end at 0 and at 1."
    demand(not np.allclose(given, enlarged + residual, atol=1e-5), hint)
    right = np.clip(enlarged + residual, 0, 1)
    demand(np.allclose(given, right, atol=1e-5), "`add_up` should add the residual, then clip.")
    lost = _psnr_of_vdsr() - _psnr_without_darkening()
    slips = {
        -lost: "Mind the sign: what is lost is positive.",
        _psnr_without_darkening(): "Take it off VDSR's own PSNR.",
        _psnr_without_darkening() - _psnr_of_bicubic(): "That is what is left over bicubic.",
        _psnr_of_vdsr() - _psnr_of_bicubic(): "That is all that VDSR gains over bicubic.",
    }
    hint = "Clip the residual of body as the colleague does, nothing else, and score."
    number(lost_db, lost, 0.02, hint, slips, "`lost_db`")
    return "Half of all corrections make a pixel darker."


def _lopsided(rng: np.random.Generator) -> keras.Sequential:
    """Build a small ×2 network that treats every turn differently."""
    model = srcnn(2, (3, 3, 3), (4, 4), start="random")
    for layer in model.layers[1:]:
        layer.kernel.assign(rng.normal(0, 0.3, layer.kernel.shape))
    return model


def _turned(images: np.ndarray, mirror: bool, turns: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(images[:, :, ::-1] if mirror else images, turns, (1, 2)))


def _opinions(enlarge: Callable, lr_images: np.ndarray) -> np.ndarray:
    found = []
    for mirror in (False, True):
        for turns in range(4):
            turned = np.asarray(enlarge(_turned(lr_images, mirror, turns)))
            back = np.rot90(turned, -turns, (1, 2))
            found.append(back[:, :, ::-1] if mirror else back)
    return np.stack(found)


@cache
def _psnr_of_eight() -> float:
    return _psnr(lambda lr_images: _opinions(_shipped(), lr_images).mean(axis=0))


@exercise("E08.5")
def eight(rng, opinions, mean_and_spread, gain_db) -> str:
    """Ask a lopsided network about oblong images, then score the shipped one."""
    network = _lopsided(rng)
    lr_images = rng.uniform(0, 1, (2, 7, 9, 1)).astype(np.float32)
    right = _opinions(network, lr_images)
    given = array(call(opinions, network, lr_images), right.shape, "What `opinions` returns")
    alone = np.asarray(network(lr_images))
    demand(not np.allclose(given, alone, atol=1e-4), "All eight are the untouched image's.")
    found = [any(np.allclose(one, other, atol=1e-4) for other in given) for one in right]
    distinct = len(np.unique(given.reshape(8, -1).round(4), axis=0))
    hint = f"{sum(found)} of the eight opinions are there, {distinct} of yours are different. "
    demand(all(found), hint + "Are there four turns of each of two mirrorings, undone in order?")
    images, truth = rng.uniform(0, 1, (8, 2, 6, 5, 1)), rng.uniform(0, 1, (2, 6, 5, 1))
    pair = array(call(mean_and_spread, images, truth), (2,), "What `mean_and_spread` returns")
    error, variance = np.mean((images - truth) ** 2), np.mean(np.var(images, axis=0))
    slips = {
        np.mean((images.mean(axis=0) - truth) ** 2): "That is the mean image's error.",
        np.sqrt(error): "Squared errors, no root.",
    }
    number(pair[0], error, 1e-5, "Average over all eight and all pixels.", slips, "The error")
    slips = {
        np.var(images): "Pixel by pixel: how do the eight differ at one place?",
        variance * 8 / 7: "Divide by 8, not by 7: the identity is about these eight.",
        np.mean(np.std(images, axis=0)): "The variance, not its root.",
        error - variance: "That is the mean image's error.",
    }
    number(pair[1], variance, 1e-5, "np.var over the first axis.", slips, "The variance")
    gain = _psnr_of_eight() - _psnr_of_vdsr()
    slips = {
        -gain: "Mind the sign: the mean of eight minus VDSR alone.",
        _psnr_of_eight(): "Take VDSR's own PSNR off.",
        _psnr_of_eight() - _psnr_of_bicubic(): "That is over bicubic; VDSR alone is asked for.",
    }
    hint = "The mean *image* of the eight, scored like any other."
    number(gain_db, gain, 0.01, hint, slips, "`gain_db`")
    return "An average cannot be worse than its parts are on average."
