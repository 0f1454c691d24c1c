"""The factors by which this course enlarges."""

from numbers import Integral

SCALES = (2, 3, 4)


def check_scale(scale: int) -> None:
    """Raise a ValueError unless the scale is 2, 3 or 4."""
    if not isinstance(scale, Integral) or scale not in SCALES:
        raise ValueError(f"scale {scale!r} is not supported: choose 2, 3 or 4")
