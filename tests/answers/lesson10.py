"""Right and typically wrong answers to the exercises of lesson 10."""

import numpy as np
import tensorflow as tf
from scipy.ndimage import convolve, correlate
from scipy.signal import convolve2d
from scipy.stats import multivariate_normal

from srcnn_tf.checks.lesson10 import _crossing, _gain, restored_db

CROSSING, LOST = _crossing(), -_gain(10)
KNOWN, WRONG_DB = restored_db(1.6), restored_db(2.4)


def ellipse(one, other, angle, side):
    """By a rotation matrix and SciPy's density."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    covariance = turn @ np.diag([one**2, other**2]) @ turn.T  # of (x, y)
    y, x = np.mgrid[:side, :side] - side // 2
    weights = multivariate_normal([0, 0], covariance).pdf(np.dstack([x, y]))
    return weights / weights.sum()


def measured(kernel):
    y, x = np.indices(kernel.shape)
    y, x = y - (kernel * y).sum(), x - (kernel * x).sum()
    yy, xy, xx = ((kernel * part).sum() for part in (y * y, x * y, x * x))
    half, rest = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    return np.sqrt(half + rest), np.sqrt(half - rest)


def around_the_middle(kernel):
    places = np.indices(kernel.shape).reshape(2, -1) - np.reshape(kernel.shape, (2, 1)) // 2
    return np.sqrt(np.linalg.eigvalsh(kernel.ravel() * places @ places.T)[::-1])


def by_loops(image, kernel):
    kernel = kernel[::-1, ::-1] / kernel.sum()
    padded = np.pad(image, len(kernel) // 2, "symmetric")
    result = np.zeros_like(image)
    for y in range(len(kernel)):
        for x in range(len(kernel)):
            result += kernel[y, x] * padded[y : y + image.shape[0], x : x + image.shape[1]]
    return result


def by_tensorflow(image, kernel):
    kernel, r = kernel / kernel.sum(), len(kernel) // 2
    padded = tf.pad(tf.constant(image), [(r, r), (r, r)], "SYMMETRIC")[None, ..., None]
    return tf.nn.conv2d(padded, kernel[::-1, ::-1, None, None].copy(), 1, "VALID")[0, ..., 0]


def mode(name, turned=True, unit=True):
    """Return a blur with other borders, not turned, or not divided by the sum."""
    function = convolve if turned else correlate

    def blur(image, kernel):
        return function(image, kernel / kernel.sum() if unit else kernel, mode=name)

    return blur


def wiener(image, kernel, r, conjugate=True, rolled=True):
    point = np.zeros(image.shape)
    point[0, 0] = 1
    whole = convolve(point, kernel, mode="wrap")  # the kernel around the origin
    if not rolled:
        whole = np.zeros(image.shape)
        whole[: kernel.shape[0], : kernel.shape[1]] = kernel
    k = np.fft.fft2(whole)
    upper = k.conj() if conjugate else k
    return np.real(np.fft.ifft2(upper * np.fft.fft2(image) / (abs(k) ** 2 + r)))


def by_tensorflows_spectrum(image, kernel, r):
    rows, columns = image.shape
    whole = np.pad(kernel, ((0, rows - kernel.shape[0]), (0, columns - kernel.shape[1])))
    whole = np.roll(whole, (-(kernel.shape[0] // 2), -(kernel.shape[1] // 2)), (0, 1))
    k, y = (tf.signal.fft2d(tf.cast(part, tf.complex128)) for part in (whole, image))
    divisor = tf.cast(tf.abs(k) ** 2 + r, tf.complex128)
    return tf.math.real(tf.signal.ifft2d(tf.math.conj(k) * y / divisor))


RIGHT = {
    "E10.1": [
        (2.5, 4, 2601),
        ("2.5", [4.0], 51**2),
        (np.hypot(1.5, 2), np.float32(12 / 3), 2601.0),
        (tf.constant(2.5), 4, (255 / 5) ** 2),
    ],
    "E10.2": [
        (ellipse, measured),
        (lambda *a: ellipse(*a).tolist(), lambda kernel: list(measured(kernel))),
        (lambda *a: tf.constant(ellipse(*a)), lambda kernel: np.array(measured(kernel))),
    ],
    "E10.3": [
        (CROSSING, LOST),
        (str(round(CROSSING, 1)), [LOST]),
        (CROSSING + 0.08, round(LOST, 2)),
    ],
    "E10.4": [
        (by_loops,),
        (by_tensorflow,),
        (mode("reflect"),),
        (lambda image, k: convolve2d(image, k / k.sum(), "same", "symm").tolist(),),
    ],
    "E10.5": [
        (wiener, KNOWN, WRONG_DB),
        (by_tensorflows_spectrum, str(KNOWN), [WRONG_DB]),
        (lambda *a: wiener(*a).tolist(), round(KNOWN, 2), round(WRONG_DB, 2)),
    ],
}
WRONG = {
    "E10.1": [
        ((3.5, 4, 2601), "Variances add up"),
        ((6.25, 4, 2601), "variance"),
        ((2, 4, 2601), "not lost"),
        ((2.5, 12 / 9, 2601), "*variance* falls"),
        ((2.5, 12 / 3**0.5, 2601), "3×3 pixels"),
        ((2.5, 12, 2601), "steadier"),
        ((2.5, 4, 51), "1/√P"),
        ((2.5, 4, 25), "255 levels"),
        ((2.5, 4, 10.2), "compare parts"),
    ],
    "E10.2": [
        ((lambda *a: 2 * ellipse(*a), measured), "sum should be 1"),
        ((lambda one, other, *a: ellipse(other, one, *a), measured), "along the direction"),
        ((lambda a, b, angle, side: ellipse(a, b, -angle, side), measured), "points down"),
        ((lambda a, b, angle, side: ellipse(a, b, 0, side), measured), "turned by"),
        ((lambda a, b, angle, side: ellipse(a, b, np.pi / 2 - angle, side), measured), "x axis"),
        ((lambda a, b, *rest: ellipse(a**0.5, b**0.5, *rest), measured), "Square"),
        ((lambda a, b, *rest: ellipse(a / 2**0.5, b / 2**0.5, *rest), measured), "mind the 2"),
        ((lambda a, b, angle, side: np.full((side, side), side**-2.0), measured), "Gaussian's"),
        ((ellipse, lambda kernel: measured(kernel)[::-1]), "larger one comes first"),
        ((ellipse, lambda kernel: np.square(measured(kernel))), "roots"),
        ((ellipse, around_the_middle), "centre of mass"),
        ((ellipse, lambda kernel: (1.0, 1.0)), "eigenvalues"),
    ],
    "E10.3": [
        ((_gain(0), LOST), "without noise"),
        ((CROSSING / 255, LOST), "grey levels"),
        ((CROSSING + 1, LOST), "Halve"),
        ((CROSSING, -LOST), "positive here"),
        ((CROSSING, _gain(0) + LOST), "against bicubic"),
    ],
    "E10.4": [
        ((mode("reflect", unit=False),), "the sum"),
        ((mode("reflect", turned=False, unit=False),), "not turned"),
        ((mode("reflect", turned=False),), "smears left"),
        ((mode("constant", turned=False),), "frame dark"),
        ((mode("constant"),), "no mirror"),
        ((lambda image, kernel: by_loops(image, kernel[:, ::-1]),), "both axes"),
        ((mode("nearest"),), "the edge alone"),
        ((mode("mirror"),), "repeated"),
        ((mode("wrap"),), "joined"),
        ((lambda image, kernel: image,), "become the kernel"),
    ],
    "E10.5": [
        ((lambda *a: wiener(*a, rolled=False), KNOWN, WRONG_DB), "shifted"),
        ((lambda *a: wiener(*a, conjugate=False), KNOWN, WRONG_DB), "conjugate"),
        ((lambda image, k, r: wiener(image, k, 0), KNOWN, WRONG_DB), "dividing by zero"),
        ((lambda image, k, r: image, KNOWN, WRONG_DB), "Multiply spectra"),
        ((wiener, -KNOWN, WRONG_DB), "upwards"),
        ((wiener, KNOWN, KNOWN), "true kernel"),
        ((wiener, KNOWN, WRONG_DB - KNOWN), "not against"),
    ],
}
