"""Checks of the exercises to lesson 11, ZSSR."""

from functools import cache

import numpy as np
from scipy.ndimage import convolve

from srcnn_tf import datasets
from srcnn_tf.checks.answers import Wrong, array, call, demand, exercise, number
from srcnn_tf.images import quantise, resize
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.pairs import Degradation, degrade, image_pair
from srcnn_tf.training.zero_shot import back_project

LEVELS = 3.0  # of noise, in exercise 3
TIMES = range(13)


@exercise("E11.1")
def counting(_rng, weights, sees, price) -> str:
    """Count weights, pixels seen, and the work of eight turns in VDSR's."""
    right = 9 * (3 * 64 + 6 * 64**2 + 64 * 3)
    slips = {
        right + 7 * 64 + 3: "ZSSR has no biases.",
        9 * (64 + 6 * 64**2 + 64): "The paper's network takes RGB: three maps in, three out.",
        9 * 8 * 64**2: "The first layer has three maps in, the last one three maps out.",
        9 * (3 * 64 + 7 * 64**2 + 64 * 3): "Eight layers: six of them lie between two of 64 maps.",
    }
    number(weights, right, hint="Count layer by layer: f·f·in·out.", slips=slips, what="`weights`")
    slips = {
        16: "The pixel in the middle counts too.",
        8: "That is to one side.",
        24: "Layers overlap: each adds a pixel on each side.",
        9: "That is one side and the middle.",
    }
    number(sees, 17, hint="Each layer 3×3 adds a pixel on each side.", slips=slips, what="`sees`")
    luma, vdsr = 9 * (64 + 6 * 64**2 + 64), 664_704
    slips = {
        luma / vdsr: "That is one turn of the eight.",
        vdsr / (8 * luma): "It is the other way round.",
        8 * right / vdsr: "For luma, as VDSR: one map in, one out.",
    }
    number(price, 8 * luma / vdsr, 0.02, "Eight times ZSSR's weights.", slips, "`price`")
    return "Eight witnesses of a small network cost more than one run of VDSR."


@exercise("E11.2")
def twins(rng, distances) -> str:
    """Hide patches, at other brightness, among made-up ones."""
    own = rng.normal(0, 0.1, (6, 5, 5)) + rng.uniform(0.3, 0.6, (6, 1, 1))
    others = rng.normal(0, 0.1, (40, 5, 5)) + rng.uniform(0.3, 0.6, (40, 1, 1))
    others[7] = own[2] + 0.2
    others[31] = own[4] + rng.normal(0, 0.01, (5, 5))
    difference = _centred(own)[:, None] - _centred(others)
    right = np.sqrt((difference**2).mean((2, 3)).min(1))
    given = array(call(distances, own, others), (6,), "What `distances` returns")
    raw = (own[:, None] - others) ** 2
    for slip, hint in (
        (np.sqrt(raw.mean((2, 3)).min(1)), "Take each patch's own mean off first."),
        ((difference**2).mean((2, 3)).min(1), "The root is missing."),
        (np.sqrt((difference**2).sum((2, 3)).min(1)), "Root *mean* square: 25 pixels."),
        (np.sqrt((difference**2).mean((2, 3)).mean(1)), "The nearest, not the mean over all."),
        (np.abs(difference).mean((2, 3)).min(1), "Root mean *square*, not absolute."),
        (np.sqrt((difference**2).mean((2, 3)).max(1)), "The nearest, not the farthest."),
    ):
        demand(not np.allclose(given, slip, atol=1e-6), hint)
    hint = "For each patch of the first array, one distance: to the nearest of the second."
    demand(np.allclose(given, right, atol=1e-6), hint)
    return "A twin at another brightness is a twin."


def _centred(patches: np.ndarray) -> np.ndarray:
    return patches - patches.mean(axis=(1, 2), keepdims=True)


@cache
def projections(noise: float) -> np.ndarray:
    """Return the PSNR of bicubic interpolation after each of `TIMES` back-projections."""
    photograph = datasets.load("samples", "test")[1][60:188, 130:258]
    lr_image, hr_image = image_pair(photograph, 2, degradation=Degradation(noise=noise))
    start = resize(lr_image, hr_image.shape[:2]).clip(0, 1)
    found = [back_project(start, lr_image, Degradation(), times) for times in TIMES]
    return np.array([float(psnr(hr_image, quantise(it), Protocol(2))) for it in found])


@exercise("E11.3")
def debts(rng, step, gain_db, best_noisy) -> str:
    """Take one step on random images, then compare with what the photograph gives."""
    hr_image = rng.uniform(0.4, 0.6, (12, 16, 1)).astype(np.float32)
    lr_image = rng.uniform(0.4, 0.6, (6, 8, 1)).astype(np.float32)
    back = degrade(hr_image, 2, Degradation(rounding=False))
    right = hr_image + resize(lr_image - back, (12, 16))
    given = array(call(step, hr_image, lr_image), right.shape, "What `step` returns")
    for slip, hint in (
        (hr_image - resize(lr_image - back, (12, 16)), "Mind the sign: what is missing is added."),
        (hr_image + resize(lr_image, (12, 16)), "Add what is missing, not the whole image."),
        (resize(lr_image - back, (12, 16)), "Add the debt to the image."),
    ):
        demand(not np.allclose(given.clip(0, 1), slip.clip(0, 1), atol=1e-4), hint)
    close = np.allclose(given.clip(0, 1), right.clip(0, 1), atol=3e-3)  # rounded, or clipped
    demand(close, "Shrink, subtract from lr_image, enlarge, add.")
    clean, noisy = projections(0.0), projections(LEVELS)
    gain = float(clean[10] - clean[0])
    slips = {
        -gain: "Mind the sign.",
        float(clean[10]): "Take bicubic's own PSNR off.",
        float(noisy[10] - noisy[0]): "That is with noise.",
        float(clean[1] - clean[0]): "That is after one step, not ten.",
    }
    number(gain_db, gain, 0.03, "Ten steps from bicubic, without noise.", slips, "`gain_db`")
    slips = {float(clean.argmax()): "That is without noise."}
    hint = "Score after 0, 1, 2, … steps on the noisy image, and take the best."
    number(best_noisy, float(noisy.argmax()), 0, hint, slips, "`best_noisy`")
    return "Whoever believes a noisy image to the last level gets its noise, enlarged."


def eight_turns(kernel: np.ndarray) -> list[np.ndarray]:
    """Return the eight turns of a kernel: as it is and mirrored left to right, each turned."""
    return [np.rot90(it, turns) for it in (kernel, kernel[:, ::-1]) for turns in range(4)]


@exercise("E11.4")
def allowed(rng, kept) -> str:
    """Try kernels of all symmetries, and blur an image to see."""
    row = rng.uniform(0.1, 1, 5)
    even = row + row[::-1]
    # Which of the eight: as it is and mirrored, each by 0, 90, 180 and 270 degrees.
    cases: list[tuple[str, np.ndarray]] = [
        ("a round kernel", np.outer(even, even)),
        ("one longer along rows", np.outer([1, 2, 1], even)),
        ("a diagonal one", np.eye(5) + 0.2 * np.fliplr(np.eye(5))),
        ("a lopsided one", rng.uniform(0.1, 1, (5, 5))),
        ("one that is mirrored left to right alone", np.outer(row, even)),
    ]
    image = rng.uniform(0, 1, (9, 9))
    for name, kernel in cases:
        kernel = kernel / kernel.sum()
        right = [
            turned.shape == kernel.shape
            and np.allclose(convolve(image, turned), convolve(image, kernel), atol=1e-9)
            for turned in eight_turns(kernel)
        ]
        given = array(call(kept, kernel), (8,), "What `kept` returns").astype(bool).tolist()
        demand(given[0], f"For {name}: an image that is not turned at all may always be used.")
        demand(
            name == "a round kernel" or not all(given),
            f"For {name}, not every turn is allowed: which kernel has blurred a turned image?",
        )
        order = [right[4 * half + turns] for turns in range(4) for half in (0, 1)]
        hint = f"For {name}: first the four turns of the image, then the four of its mirror image."
        demand(given == right or given != order, hint)
        hint = f"For {name}, {sum(right)} of the eight are allowed; yours differ."
        demand(given == right, hint)
    return "A turned pair is a pair only where the kernel turns into itself."


@exercise("E11.5")
def policy(rng, next_rate) -> str:
    """Feed in errors that fall, that are flat, and that rise."""
    steps = np.arange(300, 900, 30.0)
    for fall, scatter, lower in (
        (1e-5, 1e-6, False),
        (0.0, 1e-3, True),
        (-1e-5, 1e-4, True),
        (3e-6, 1e-4, False),
        (2e-8, 1e-3, True),
    ):
        wobble = rng.normal(0, 1, steps.size)
        # Take out what would tilt the line, so that its slope is the one that was meant.
        wobble -= np.polyval(np.polyfit(steps, wobble, 1), steps)
        errors = 0.05 - fall * steps + scatter * wobble
        (slope, _), covariance = np.polyfit(steps, errors, 1, cov=True)
        assert (-1.5 * slope < np.sqrt(covariance[0, 0])) == lower
        rate = float(rng.uniform(1e-4, 1e-2))
        given = float(array(call(next_rate, rate, steps, errors), (), "What `next_rate` returns"))
        right = rate / 10 if lower else rate
        _hint_at_rate(given, rate, right, fall)
    return "A tenth of the rate, as soon as progress is lost in the scatter."


def _hint_at_rate(given: float, rate: float, right: float, fall: float) -> None:
    if np.isclose(given, right, rtol=1e-6):
        return
    demand(
        np.isclose(given, rate, rtol=1e-6) or np.isclose(given, rate / 10, rtol=1e-6),
        "The rate should stay as it is, or be divided by ten.",
    )
    if fall < 0:
        raise Wrong("The error *rises* here: −1.5 · slope is negative, below any deviation.")
    demand(right < rate, "The error falls steadily here, well beyond its scatter: keep the rate.")
    raise Wrong("The slope here is small beside its own standard deviation: divide the rate.")
