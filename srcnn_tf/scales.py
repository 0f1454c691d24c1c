"""The factors by which this course enlarges."""

SCALES = (2, 3, 4)


def check_scale(scale: int) -> None:
    """Raise a ValueError unless the scale is 2, 3 or 4."""
    if scale not in SCALES or isinstance(scale, float):
        raise ValueError(f"scale {scale!r} is not supported: choose 2, 3 or 4")
