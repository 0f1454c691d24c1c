"""Resizing as MATLAB's `imresize` does it, borders included."""

import numpy as np

from srcnn_tf.images.pixels import as_array, as_float
from srcnn_tf.ranges import check_choice, check_number


def _box(x: np.ndarray) -> np.ndarray:
    return ((x >= -0.5) & (x < 0.5)).astype(float)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(x))


def _keys(x: np.ndarray) -> np.ndarray:
    """Cubic convolution with a = -0.5 (Keys, 1981, equation 15)."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def _lanczos3(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


_KERNELS = {
    "nearest": (_box, 1),
    "bilinear": (_triangle, 2),
    "bicubic": (_keys, 4),
    "lanczos": (_lanczos3, 6),
}


def resize_weights(
    size: int, new_size: int, method: str = "bicubic", antialias: bool = True
) -> np.ndarray:
    """Return the matrix that resizes one axis, as MATLAB's `imresize` does.

    Row i holds the weights of the old pixels in new pixel i. Pixels are squares (their centres at
    half-integers), and borders are mirrored with the edge pixel repeated.

    Args:
        size: pixels along the axis now.
        new_size: pixels wanted.
        method: "nearest", "bilinear", "bicubic" (Keys, a = -0.5) or "lanczos" (three lobes).
        antialias: stretch the kernel when shrinking, so that it covers the old pixels that fall
            into each new one.

    Returns:
        float64 `[new_size, size]`; every row sums to 1.

    Raises:
        ValueError: unknown method, or sizes below 1.

    Derived in lesson 01.
    """
    check_choice("method", method, _KERNELS)
    for name, pixels in (("size", size), ("new_size", new_size)):
        check_number(name, pixels, whole=True, least=1)
    kernel, width = _KERNELS[method]
    scale = new_size / size
    stretch = min(scale, 1.0) if antialias and method != "nearest" else 1.0
    centres = (np.arange(new_size) + 0.5) / scale - 0.5
    first = np.floor(centres - width / stretch / 2).astype(int)
    taps = first[:, None] + np.arange(int(np.ceil(width / stretch)) + 2)
    weights = kernel((centres[:, None] - taps) * stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = np.r_[np.arange(size), np.arange(size)[::-1]][taps % (2 * size)]
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], mirrored), weights)
    return matrix


def resize(
    image: np.ndarray, size: tuple[int, int], method: str = "bicubic", antialias: bool = True
) -> np.ndarray:
    """Resize an image as MATLAB's `imresize` does, borders included.

    Args:
        image: `[h, w, c]`; see `pixels.as_float`, overshoot is let through.
        size: new (height, width).
        method: "nearest", "bilinear", "bicubic" or "lanczos".
        antialias: see `resize_weights`; makes no difference when enlarging.

    Returns:
        float32 `[*size, c]`, not clipped: bicubic and Lanczos overshoot at edges.

    Raises:
        ValueError: unknown method, sizes below 1, or an array that is not `[h, w, c]`; see also
            `pixels.as_float`.
    """
    image = as_array(image)
    if image.ndim != 3:
        raise ValueError(f"an image is [h, w, c]; this array has shape {image.shape}")
    rows = resize_weights(image.shape[0], size[0], method, antialias)
    columns = resize_weights(image.shape[1], size[1], method, antialias)
    return apply_weights(image, rows, columns)


def apply_weights(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Multiply both axes of an image `[h, w, c]` with weights `[new, old]`; returns float32.

    Raises:
        ValueError: see `pixels.as_float`; overshoot is let through.
    """
    channels = np.moveaxis(as_float(image, overshoot=True).astype(np.float64), -1, 0)
    return np.ascontiguousarray(np.moveaxis(rows @ channels @ columns.T, 0, -1), np.float32)
