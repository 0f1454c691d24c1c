"""Checks of the exercises to lesson 10, real images."""

from functools import cache

import numpy as np
from scipy.ndimage import convolve, correlate, gaussian_filter

from srcnn_tf import datasets
from srcnn_tf.checks.answers import array, call, demand, exercise, number
from srcnn_tf.images import resize, to_channels
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.pairs import Degradation, evaluation_pairs
from srcnn_tf.pretrained import load_pretrained


@exercise("E10.1")
def sums(_rng, sigma, noise, photons) -> str:
    """Add variances, average noise, count photons."""
    slips: dict[float, str] = {
        3.5: "Variances add up, not standard deviations.",
        6.25: "That is the variance.",
        2.0: "The first blur is not lost.",
    }
    hint = "Squares add up."
    number(sigma, 2.5, 0.01, hint, slips, "`sigma`")
    slips = {
        12 / 9: "The *variance* falls by 9.",
        12.0: "A mean of nine is steadier than one.",
        12 / np.sqrt(3): "Shrinking by 3 averages 3×3 pixels, not 3.",
    }
    number(
        noise,
        4,
        0.01,
        "The variance of a mean of n is that of one, divided by n.",
        slips,
        "`noise`",
    )
    slips = {
        51.0: "P photons vary by √P: the part √P / P = 1/√P is 5/255.",
        25.0: "White is 255 levels: take 5 as a part of that.",
        255 / 25: "P is not in levels: compare parts, 1/√P with 5/255.",
    }
    number(photons, 51**2, 1, "P photons vary by √P.", slips, "`photons`")
    return "A quarter of the light has half the noise in levels, and twice in parts."


def _ellipse(one: float, other: float, angle: float, side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side // 2
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-((along / one) ** 2 + (across / other) ** 2) / 2)
    return kernel / kernel.sum()


def _measured(kernel: np.ndarray) -> np.ndarray:
    places = np.indices(kernel.shape).reshape(2, -1)
    covariance = np.cov(places, aweights=kernel.ravel(), ddof=0)
    return np.sqrt(np.linalg.eigvalsh(covariance)[::-1])


@exercise("E10.2")
def kernels(rng, ellipse, measured) -> str:
    """Compare ellipses, then measure them, and kernels that are none."""
    for _ in range(3):
        one, other, angle = (float(v) for v in rng.uniform((2.5, 0.8, 0.3), (4, 1.6, 1.2)))
        side = int(rng.choice([23, 31]))
        right = _ellipse(one, other, angle, side)
        given = array(call(ellipse, one, other, angle, side), (side, side), "The kernel")
        demand(abs(given.sum() - 1) < 1e-6, "The kernel's sum should be 1: divide by it.")
        for slip, hint in (
            (_ellipse(other, one, angle, side), "`one` is the deviation along the direction."),
            (_ellipse(one, other, -angle, side), "The y axis points down, as rows are counted."),
            (_ellipse(one, other, 0, side), "The direction is turned by `angle`."),
            (_ellipse(one, other, np.pi / 2 - angle, side), "Angles count from the x axis."),
            (_ellipse(np.sqrt(one), np.sqrt(other), angle, side), "Square the deviations too."),
            (_ellipse(one / 2**0.5, other / 2**0.5, angle, side), "exp(−(u/σ)² / 2): mind the 2."),
        ):
            demand(not np.allclose(given, slip, atol=1e-6), hint)
        demand(np.allclose(given, right, atol=1e-6), "The weights are others than a Gaussian's.")
        moved = rng.random((5, 9)) * (rng.random((5, 9)) < 0.4)
        for kernel in (right, np.pad(right, ((0, 6), (3, 0))), moved / moved.sum()):
            given = array(call(measured, kernel), (2,), "What `measured` returns")
            wanted = _measured(kernel)
            middle = np.indices(kernel.shape).reshape(2, -1)
            middle = middle - np.reshape(kernel.shape, (2, 1)) // 2
            around = np.linalg.eigvalsh(kernel.ravel() * middle @ middle.T)[::-1]
            for slip, hint in (
                (wanted[::-1], "The larger one comes first."),
                (wanted**2, "Those are the variances: take their roots."),
                (np.sqrt(around), "Take the places from the kernel's centre of mass."),
            ):
                same = np.allclose(slip, wanted, rtol=1e-3)
                demand(same or not np.allclose(given, slip, rtol=1e-3), hint)
            hint = "Weigh the places by the kernel, and take the covariance matrix's eigenvalues."
            demand(np.allclose(given, wanted, rtol=1e-3), hint)
    return "A kernel's covariance is all that a Gaussian has; section 7 estimates it."


@cache
def _gain(noise: float) -> float:
    crops = [photograph[120:184, 200:264] for photograph in datasets.load("samples", "test")]
    pairs = evaluation_pairs(crops, 2, degradation=Degradation(noise=noise))
    methods = load_pretrained("fsrcnn", 2), lambda lr: resize(lr[0], (64, 64))[None]
    network, bicubic = (evaluate(method, pairs, Protocol(border=2)).psnr for method in methods)
    return network - bicubic


@cache
def _crossing() -> float:
    low, high = 0.0, 10.0
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if _gain(middle) > 0 else (low, middle)
    return low


@exercise("E10.3")
def crossing_of(_rng, crossing, lost_db) -> str:
    """Halve the interval ourselves."""
    hint = "Halve the interval until it is shorter than 0.1."
    slips: dict[float, str] = {
        _gain(0): "That is the gain without noise, in dB: the noise is asked for.",
        _crossing() / 255: "In grey levels, please.",
    }
    number(crossing, _crossing(), 0.12, hint, slips, "`crossing`")
    slips = {
        _gain(10): "Lost decibels are positive here.",
        _gain(0) - _gain(10): "Lost against bicubic, not against its gain without noise.",
    }
    number(lost_db, -_gain(10), 0.02, "It is gain(10), its sign turned.", slips, "`lost_db`")
    return "So little noise is in many a photograph: it takes training to bear it."


@exercise("E10.4")
def blurring(rng, blur) -> str:
    """Hold it against SciPy's, and against each mistake."""
    for sides in ((5, 5), (7, 7)):
        image, kernel = rng.random((17, 22)), rng.random(sides) ** 3
        unit = kernel / kernel.sum()
        given = array(call(blur, image, kernel), image.shape, "The image")
        for slip, hint in (
            (convolve(image, kernel, mode="reflect"), "A flat image gets brighter: the sum."),
            (correlate(image, kernel, mode="reflect"), "Brighter, and the kernel is not turned."),
            (correlate(image, unit, mode="reflect"), "A camera that moves left smears left: turn."),
            (correlate(image, unit, mode="constant"), "The kernel is not turned, the frame dark."),
            (convolve(image, unit, mode="constant"), "The frame is dark: zeros are no mirror."),
            (convolve(image, unit[:, ::-1], mode="reflect"), "Turn by 180°: both axes."),
            (convolve(image, unit[::-1], mode="reflect"), "Turn by 180°: both axes."),
            (convolve(image, unit, mode="nearest"), "Mirrored borders, not the edge alone."),
            (convolve(image, unit, mode="mirror"), "The edge pixel itself is repeated, too."),
            (convolve(image, unit, mode="wrap"), "The borders are joined instead of mirrored."),
        ):
            demand(not np.allclose(given, slip, atol=1e-5), hint)
        right = convolve(image, unit, mode="reflect")
        demand(np.allclose(given, right, atol=1e-5), "A white pixel should become the kernel.")
    return "Most libraries' conv2d is a correlation: test with a kernel that is not symmetric."


def gaussian(sigma: float) -> np.ndarray:
    """Return the exercise's Gaussian kernel `[21, 21]`."""
    point = np.zeros((21, 21))
    point[10, 10] = 1
    kernel = gaussian_filter(point, sigma, mode="constant")
    return kernel / kernel.sum()


def _wiener(image: np.ndarray, kernel: np.ndarray, r: float, middle: bool = True) -> np.ndarray:
    whole = np.zeros(image.shape)
    whole[: kernel.shape[0], : kernel.shape[1]] = kernel
    if middle:
        whole = np.roll(whole, [-(side // 2) for side in kernel.shape], axis=(0, 1))
    spectrum = np.fft.fft2(whole)
    divided = np.conj(spectrum) / (np.abs(spectrum) ** 2 + r) * np.fft.fft2(image)
    return np.fft.ifft2(divided).real


@cache
def restored_db(sigma: float) -> float:
    """Return what Wiener's filter gains on the exercise's image, in dB, if σ is believed in."""
    photograph = to_channels(datasets.load("samples", "test")[0], 1)
    sharp = photograph[100:228, 150:278, 0].astype(float)
    blurred = convolve(sharp, gaussian(1.6), mode="wrap")
    blurred += np.random.default_rng(0).normal(0, 1 / 255, blurred.shape)
    errors = (
        np.mean((it - sharp) ** 2) for it in (blurred, _wiener(blurred, gaussian(sigma), 0.002))
    )
    before, after = errors
    return float(10 * np.log10(before / after))


@exercise("E10.5")
def undoing(rng, wiener, known_db, wrong_db) -> str:
    """Undo random kernels, then compare decibels."""
    for sides in ((5, 5), (3, 9)):
        image, kernel, r = rng.random((24, 30)), rng.random(sides), float(rng.uniform(0.01, 0.1))
        kernel /= kernel.sum()
        given = array(call(wiener, image, kernel, r), image.shape, "The image")
        right = _wiener(image, kernel, r)
        moved = _wiener(image, kernel, r, middle=False)
        demand(not np.allclose(given, moved, atol=1e-5), "It is shifted: K's middle at (0, 0).")
        turned = _wiener(image, kernel[::-1, ::-1], r)
        demand(not np.allclose(given, turned, atol=1e-5), "K blurs it twice the way: conjugate K.")
        careless = _wiener(image, kernel, 0)
        demand(not np.allclose(given, careless, atol=1e-5), "r keeps it from dividing by zero.")
        demand(np.allclose(given, right, atol=1e-5), "Multiply spectra, as the equation has it.")
    slips: dict[float, str] = {-restored_db(1.6): "A gain counts upwards."}
    number(known_db, restored_db(1.6), 0.02, "Against `blurred`, with σ 1.6.", slips, "`known_db`")
    slips = {
        restored_db(1.6): "That is with the true kernel.",
        restored_db(2.4) - restored_db(1.6): "Against `blurred`, not against the true kernel's.",
    }
    number(wrong_db, restored_db(2.4), 0.02, "Against `blurred`, with σ 2.4.", slips, "`wrong_db`")
    return "A kernel that is too wide does harm; one that is too narrow helps less."
