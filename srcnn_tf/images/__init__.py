"""Image files and pixels: read and write, RGB and luma, resize, crop.

An image is a float32 array `[h, w, c]` with values in [0, 1]; `c` is 1 (grey or luma), 3 (RGB) or
4 (RGBA).
"""

from importlib import import_module
from typing import TYPE_CHECKING

from srcnn_tf.images.pixels import (
    as_float,
    crop_to_multiple,
    quantise,
    rgb_to_ycbcr,
    to_channels,
    ycbcr_to_rgb,
)
from srcnn_tf.images.resizing import apply_weights, resize, resize_weights

if TYPE_CHECKING:
    from srcnn_tf.images.io import FORMATS, check_target, read_image, write_image

_OF_FILES = {"FORMATS", "check_target", "read_image", "write_image"}


def __getattr__(name: str) -> object:
    """Load OpenCV and Pillow with the first file: networks are built without them."""
    if name in _OF_FILES:
        return getattr(import_module("srcnn_tf.images.io"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
