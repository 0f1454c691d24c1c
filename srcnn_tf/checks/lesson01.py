"""Checks of the exercises to lesson 01, the problem and the protocol."""

from functools import cache

import numpy as np

from srcnn_tf import datasets, metrics
from srcnn_tf.checks.answers import array, call, demand, exercise, number
from srcnn_tf.images import apply_weights, quantise, resize, resize_weights
from srcnn_tf.metrics import Protocol
from srcnn_tf.pairs import Degradation, degrade, image_pair


@exercise("E01.1")
def weights_by_hand(_rng, weights) -> str:
    """Compare eight weights with one row of the library's matrix."""
    given = array(weights, what="`weights`").ravel()
    without = resize_weights(20, 10, antialias=False)[4, 7:11]
    if given.size == 4:
        stretched = "Your weights are those without antialiasing: stretch the kernel by the scale."
        demand(not np.allclose(given, without, atol=1e-3), stretched)
    demand(given.size == 8, f"Your weights are {given.size}; there are eight.")
    expected = resize_weights(20, 10)[4, 5:13]
    demand(
        not np.allclose(given, 2 * expected, atol=1e-3),
        "Your weights sum to 2: a white image would become twice as bright.",
    )
    demand(abs(given.sum() - 1) < 1e-3, f"Your weights sum to {given.sum():.3f}; a mean needs 1.")
    demand(
        np.allclose(given, given[::-1], atol=1e-6),
        "Your weights are not even, as the kernel is: the left half mirrors the right.",
    )
    demand(
        np.allclose(given, expected, atol=1e-3),
        "Your weights sum to 1, but their values differ: which distances do you put into k?",
    )
    return "Outer pixels count negatively: that is the halo at edges."


def _shrink_weights(size: int, scale: int, a: float, antialias: bool) -> np.ndarray:
    """Shrink with any a, as E01.3 asks: `resize_weights` has Keys' -1/2 alone."""
    centres = (np.arange(size // scale) + 0.5) * scale - 0.5
    places = np.arange(-2 * scale, size + 2 * scale)
    t = np.abs(places - centres[:, None]) / (scale if antialias else 1)
    near, far = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
    kernel = np.select([t <= 1, t <= 2], [near, far])
    mirror = np.pad(np.eye(size), ((2 * scale, 2 * scale), (0, 0)), mode="symmetric")
    weights = kernel @ mirror
    return weights / weights.sum(axis=1, keepdims=True)


@cache
def _moved(**settings) -> float:
    """Return how far settings of `_shrink_weights` move bicubic's PSNR at ×3, in dB."""
    scores: dict[str, list[float]] = {"protocol": [], "slip": []}
    for photograph in datasets.load("samples", "test"):
        lr_image, hr_image = image_pair(photograph, 3)
        matrices = (
            _shrink_weights(side, 3, **{"a": -0.5, "antialias": True, **settings})
            for side in hr_image.shape[:2]
        )
        slipped = quantise(apply_weights(hr_image, *matrices))
        for name, lr in (("protocol", lr_image), ("slip", slipped)):
            sr_image = resize(lr, hr_image.shape[:2])
            scores[name].append(float(metrics.psnr(hr_image, sr_image, Protocol(border=3))))
    return float(np.mean(scores["slip"]) - np.mean(scores["protocol"]))


@exercise("E01.3")
def shrinking(rng, shrink_weights, moved_by_a, moved_by_antialiasing) -> str:
    """Hold a shrinking matrix against ours for several sizes, scales and kernels."""
    for scale in rng.permutation([2, 3, 4]).tolist():
        size = scale * int(rng.integers(10, 14))
        for a, antialias in ((-0.5, True), (-0.5, False), (float(rng.uniform(-1, -0.6)), True)):
            given = call(shrink_weights, size, scale, a=a, antialias=antialias)
            given = array(given, (size // scale, size), "Your matrix")
            where = f"at ×{scale} with a = {a:.3g}, antialias = {antialias}"
            demand(
                np.allclose(given.sum(axis=1), 1, atol=1e-6), f"Your rows do not sum to 1 {where}."
            )
            expected = _shrink_weights(size, scale, a, antialias)
            inner, outer = np.arange(size // scale)[2:-2], np.array([0, -1])
            hints = [(inner, f"Your interior weights differ {where}.")]
            hints += [(outer, f"Your border is not right, the inside is, {where}: mirror.")]
            for rows, hint in hints:
                demand(np.allclose(given[rows], expected[rows], atol=1e-6), hint)
    given = [array(moved).ravel() for moved in (moved_by_a, moved_by_antialiasing)]
    a, antialiasing = _moved(a=-0.75), _moved(antialias=False)
    demand(
        not np.allclose(given, [[antialiasing], [a]], atol=0.005),
        "Your two changes are swapped.",
    )
    hint = "It is the slip's score minus the protocol's."
    number(given[0], a, 0.005, hint, {-a: hint}, "Your `moved_by_a`")
    number(
        given[1], antialiasing, 0.005, hint, {-antialiasing: hint}, "Your `moved_by_antialiasing`"
    )
    return f"a is worth {a:+.2f} dB, missing antialiasing {antialiasing:+.2f} dB."


@cache
def _blurred(sigma: float, border: int) -> float:
    """Return bicubic's mean PSNR at ×4 on LR images that were blurred first, in dB."""
    scores = []
    for photograph in datasets.load("samples", "test"):
        lr_image, hr_image = image_pair(photograph, 4, degradation=Degradation(blur=sigma))
        sr_image = resize(lr_image, hr_image.shape[:2])
        scores.append(float(metrics.psnr(hr_image, sr_image, Protocol(border=border))))
    return float(np.mean(scores))


@exercise("E01.4")
def blur(rng, blurred_psnr) -> str:
    """Compare the score of blurred LR images at several widths."""
    for sigma in (0.0, *rng.uniform(1, 3, 1).round(2).tolist()):
        slips = {
            _blurred(sigma, 0): "You keep the border: Protocol(border=4).",
            _blurred(0.0, 4): "Is the blur in it?",
        }
        given = call(blurred_psnr, sigma)
        number(given, _blurred(sigma, 4), 0.006, f"σ is {sigma}.", slips, "Your PSNR")
    return "The curve starts flat: the blur of antialiasing is wider, and variances add up."


@exercise("E01.5")
def peak_and_bytes(rng, psnr, off_by_db) -> str:
    """Score bright and dark 8-bit images."""
    for brightest in (256, 100, 30):
        hr_image = rng.integers(20, brightest, (12, 10, 1), dtype=np.uint8)
        sr_image = hr_image + rng.integers(-40, 41, hr_image.shape)
        sr_image = np.clip(sr_image, 0, 255).astype(np.uint8)
        error = np.mean((hr_image.astype(float) - sr_image) ** 2)
        right = 10 * np.log10(255**2 / error)
        wrapped = 10 * np.log10(255**2 / np.mean((hr_image - sr_image) ** 2))
        peak = 10 * np.log10(int(hr_image.max()) ** 2 / error)
        slips = {
            wrapped: "Bytes still wrap round: 3 - 5 is 254.",
            right - 20 * np.log10(255): "Its peak is 1, its values go to 255.",
        }
        if abs(peak - right) > 1e-3:
            slips[peak] = "It depends on the brightest pixel; 8 bits have one peak."
        number(call(psnr, hr_image, sr_image), right, 1e-3, "", slips, "Your PSNR")
    black, white = (np.full((12, 10, 1), level, np.uint8) for level in (0, 255))
    for pair in ((black, white), (white, black)):
        given = np.asarray(call(psnr, *pair))
        hint = "Your PSNR of black against white is {}, not 0: does its type hold 255 squared?"
        demand(given.size == 1 and abs(given.item()) < 1e-3, hint.format(given))
    off = 20 * np.log10(100 / 255)
    slips = {
        -off: "The faulty score is the lower one there: mind the sign.",
        off / 2: "The peak is squared: 20 log, not 10.",
    }
    number(off_by_db, off, 0.05, "", slips, "Your `off_by_db`")
    return "The same error must cost a dark photograph no more than a bright one."


@exercise("E01.6")
def hidden_message(rng, hide) -> str:
    """Hide patterns in photographs and compare the LR images."""
    for photograph in datasets.load("samples", "test")[:2]:
        top, left = rng.integers(0, 100, 2)
        _, hr_image = image_pair(photograph[top : top + 120, left : left + 120], 3)
        signs = rng.choice([-1, 1], (30, 30)).repeat(4, 0).repeat(4, 1)
        pattern = 24 / 255 * (signs * (-1.0) ** np.add.outer(range(120), range(120)))[..., None]
        given = call(hide, hr_image, pattern)
        hidden = array(given, hr_image.shape, "Your image")
        if np.asarray(given).dtype == np.uint8:
            hidden /= 255
        demand(hidden.min() >= 0 and hidden.max() <= 1, "Your values leave [0, 1]: clip them.")
        hint = "Your image is not on the 256 levels of a file: quantise last."
        demand(np.allclose(hidden, quantise(hidden), atol=1e-6), hint)
        differs = np.mean(degrade(hidden, 3) != degrade(hr_image, 3))
        demand(not differs, f"Your LR image differs in {differs:.1%} of its pixels.")
        rms = 255 * np.sqrt(np.mean((hidden - hr_image) ** 2))
        demand(
            rms >= 15,
            f"Your LR image is equal, but only {rms:.1f} levels are hidden (root mean square).",
        )
        likeness = np.corrcoef((hidden - hr_image).ravel(), pattern.ravel())[0, 1]
        demand(
            likeness > 0.8,
            f"Your LR image is equal, but the pattern is not in HR ({likeness:.2f}).",
        )
    return "Two files, one LR file: no network can tell them apart."
