"""Checks of the exercises to lesson 14, the benchmark."""

from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq

from srcnn_tf import datasets
from srcnn_tf.checks.answers import array, call, demand, exercise, number
from srcnn_tf.images import resize, resize_weights
from srcnn_tf.metrics import Protocol, detail
from srcnn_tf.pairs import image_pair

APART = np.array([0.31, -0.05, 0.12, 0.02, 0.10])


@exercise("E14.1")
def five_images(_rng, mean, error, images) -> str:
    """Reckon a mean, its standard error, and the images that it would take."""
    number(mean, 0.1, 1e-3, "Add the five, minding the sign, and divide by five.", what="`mean`")
    spread, right = APART.std(ddof=1), APART.std(ddof=1) / 5**0.5
    slips = {
        spread: "That is the standard deviation of one image: divide by √5.",
        APART.std() / 5**0.5: "With the mean taken from the same five, divide by 4, not 5.",
        spread / 5: "Divide by √5, not by 5.",
        spread**2 / 5: "That is its square.",
    }
    number(error, right, 5e-4, "Standard deviation over √5.", slips, "`error`")
    needed = (2 * spread / 0.05) ** 2
    slips = {
        np.ceil((spread / 0.05) ** 2): "That is for one standard error.",
        np.floor(needed): "That is not quite enough: round up.",
        np.ceil(2 * spread / 0.05): "Square it: the error falls with the root of n.",
        np.ceil((2 * right / 0.05) ** 2): "Begin with the standard deviation of one image.",
    }
    hint = "Twice the standard deviation over √n is 0.05."
    number(images, np.ceil(needed), 0.1, hint, slips, "`images`")
    return "Set5 has five; 0.05 dB between such networks is out of its sight."


@cache
def _images() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, smooth and sharp of the notebook."""
    photograph = datasets.load("samples", "test")[0]
    lr_image, truth = image_pair(photograph[60:156, 180:276], 4)
    smooth = resize(lr_image, truth.shape[:2])
    return truth, smooth, smooth + 4 * (smooth - gaussian_filter(smooth, (2, 2, 0)))


def _psnr(image: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((image - _images()[0]) ** 2)))


def _share(a: np.ndarray, b: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sum((a - b) * (truth - b)) / np.sum((a - b) ** 2))


@exercise("E14.2")
def mixture(rng, best_share, gained_db) -> str:
    """Mix random images, then the notebook's two."""
    for _ in range(3):
        a, b, truth = rng.normal(size=(3, 8, 9, 1))
        truth = truth / 4 + rng.uniform(-0.5, 1.5) * (a - b) + b
        right = _share(a, b, truth)
        slips = {
            1 - right: "That is the share of b.",
            np.clip(right, 0, 1): "w may be any number: do not clip it.",
            -right: "Mind the sign: from b towards a.",
            right / 2: "The derivative of a square has a factor 2, on both sides.",
        }
        slips = {slip: hint for slip, hint in slips.items() if abs(slip - right) > 1e-4}
        hint = "Is the derivative of the squared error zero there?"
        number(call(best_share, a, b, truth), right, 1e-4, hint, slips, "The share")
    truth, smooth, sharp = _images()
    w = _share(sharp, smooth, truth)
    mixed = _psnr(w * sharp + (1 - w) * smooth)
    slips = {
        _psnr(sharp) - mixed: "Mind the sign: the mixture's PSNR minus sharp's.",
        mixed - _psnr(smooth): "That is over smooth; over sharp is asked for.",
        mixed: "Take sharp's own PSNR off.",
        _psnr((sharp + smooth) / 2) - _psnr(sharp): "That is half of each: take the best share.",
    }
    hint = "psnr of the mixture minus psnr(sharp)."
    number(gained_db, mixed - _psnr(sharp), 0.01, hint, slips, "`gained_db`")
    return "PSNR pays for caution: what looks like neither scores above both."


@cache
def _matrix() -> np.ndarray:
    return resize_weights(96, 24)


def _hidden(pattern: np.ndarray) -> np.ndarray:
    matrix = _matrix()
    inverse = np.linalg.pinv(matrix)
    return pattern - inverse @ (matrix @ pattern @ matrix.T) @ inverse.T


@cache
def _strength(seen: bool = False) -> float:
    """Return the strength of hidden noise, or of noise as it is, that makes detail the truth's."""
    truth, smooth, _ = _images()
    noise = np.random.default_rng(14).normal(size=(96, 96))
    grain = (noise if seen else _hidden(noise))[..., None]

    def missing(strength: float) -> float:
        image = (smooth + strength * grain).astype(np.float32)
        return float(detail(truth, image, Protocol(border=4))) - 1

    return brentq(missing, 0, 1, xtol=1e-5)


@exercise("E14.3")
def hiding(rng, hidden, strength, paid_db) -> str:
    """Shrink what is hidden, then weigh the notebook's noise."""
    pattern, matrix = rng.normal(size=(96, 96)), _matrix()
    given = array(call(hidden, pattern), (96, 96), "What `hidden` returns")
    demand(not np.allclose(given, pattern), "That is the pattern itself.")
    seen = pattern - _hidden(pattern)
    demand(not np.allclose(given, seen, atol=1e-4), "That is what shrinking sees: take it off.")
    shrunk = np.abs(matrix @ given @ matrix.T).max()
    demand(shrunk < 1e-3, f"Shrunk, a number as large as {shrunk:.2g} is left. Both axes?")
    hint = "Shrinking does not see it, but more was taken off than need be."
    demand(np.allclose(given, _hidden(pattern), atol=1e-3), hint)
    right, (_, smooth, _) = _strength(), _images()
    slips = {_strength(seen=True): "That is for the noise itself; add hidden(noise)."}
    slips = {slip: hint for slip, hint in slips.items() if abs(slip - right) > 0.02 * right}
    hint = "At which strength does detail cross 1?"
    number(strength, right, 0.02 * right, hint, slips, "`strength`")
    noise = np.random.default_rng(14).normal(size=(96, 96))
    paid = _psnr(smooth) - _psnr(smooth + right * _hidden(noise)[..., None])
    slips = {-paid: "Mind the sign: what is paid is positive."}
    hint = "psnr(smooth) minus psnr of smooth with the grain."
    number(paid_db, paid, 0.05, hint, slips, "`paid_db`")
    return "The right power in the wrong places: no one metric may stand alone."


def _spectrum(
    image: np.ndarray, rings: int, sides=np.fft.fftfreq, fade=True, centre=True, mean=True
) -> np.ndarray:
    size = len(image)
    image = image - image.mean() if centre else image
    image = image * np.outer(np.hanning(size), np.hanning(size)) if fade else image
    power = np.abs(np.fft.fft2(image)) ** 2
    frequency = sides(size)
    ring = (2 * rings * np.hypot(frequency[:, None], frequency)).astype(int).ravel()
    total, count = np.bincount(ring, power.ravel(), rings), np.bincount(ring, minlength=rings)
    return (total / np.maximum(count, 1) if mean else total)[:rings]


@exercise("E14.4")
def rings_of_power(rng, spectrum) -> str:
    """Take noise and ramps of several sizes."""
    for size, rings in ((48, 8), (65, 12)):
        ramp = np.linspace(0, 3, size)
        image = rng.normal(0, 0.2, (size, size)) + ramp + ramp[:, None]
        given = array(call(spectrum, image, rings), (rings,), "What `spectrum` returns")

        def near(given=given, image=image, rings=rings, **how) -> bool:
            return np.allclose(given, _spectrum(image, rings, **how), rtol=1e-3)

        wrong: list[tuple[dict, str]] = [
            ({"mean": False}, "A ring's *mean*: outer rings have more members."),
            ({"fade": False}, "Fade the borders: a ramp's two ends meet."),
            ({"centre": False}, "Take the mean off before fading, or the window itself is seen."),
            ({"sides": lambda n: np.arange(n) / n}, "Frequencies above ½ are negative ones."),
        ]
        for how, hint in wrong:
            demand(not near(**how), hint)
        hint = (
            "Mean off, window, transform, signed frequencies, mean of each ring: which is missing?"
        )
        demand(near(), hint)
    return "White is flat, and a ramp stays where it belongs: in the first rings."


def _wrong_way(apart: np.ndarray, size: int, rng: np.random.Generator) -> float:
    draws = rng.choice(apart, (20_000, size)).mean(axis=1)
    return float(np.mean(draws * apart.mean() <= 0))


@exercise("E14.5")
def bootstrap(rng, wrong_way, enough) -> str:
    """Draw sets of made-up scores whose images differ far more than the networks."""
    for count, size in ((14, 5), (40, 9)):
        other = rng.normal(30, 3, count)
        apart = rng.normal(0, 0.2, count)
        apart += 0.08 * np.sign(apart.mean()) - apart.mean()
        for sign in (1, -1):
            one = other + sign * apart
            right = _wrong_way(sign * apart, size, rng)
            shares = rng.choice(one, (20_000, size)).mean(1) - rng.choice(
                other, (20_000, size)
            ).mean(1)
            alone = float(np.mean(shares * np.mean(sign * apart) <= 0))
            slips = {
                1 - right: "That is the share of sets that are right.",
                alone: "Both networks must be scored on the *same* images of a set.",
                float(np.mean(sign * apart * np.mean(sign * apart) <= 0)): "That is for one image.",
            }
            slips = {slip: hint for slip, hint in slips.items() if abs(slip - right) > 0.04}
            hint = f"Of {count} images, in sets of {size}: which sign has a set's mean difference?"
            share = call(wrong_way, one, other, size, np.random.default_rng(int(rng.integers(99))))
            demand(array(share).max() <= 1, "A share lies between 0 and 1.")
            number(share, right, 0.02, hint, slips, "The share")
            ratio = apart.std() / abs(apart.mean())
            slips = {
                np.ceil(1.645 * ratio): "Square it: the spread falls with the root of n.",
                np.floor((1.645 * ratio) ** 2): "Round up.",
                np.ceil((1.96 * ratio) ** 2): "One side only: 1.645.",
                np.ceil(
                    (1.645 * one.std() / apart.mean()) ** 2
                ): "The spread of the *differences*.",
            }
            right = np.ceil((1.645 * ratio) ** 2)
            slips = {slip: hint for slip, hint in slips.items() if slip != right}
            hint = "Where is the mean 1.645 standard deviations of itself away from zero?"
            number(call(enough, one, other), right, 0.1, hint, slips, "The number of images")
    return "Pairs take the images' own difficulty out; only the quarrel is left."
