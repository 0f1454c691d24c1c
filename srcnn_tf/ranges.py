"""What arguments may be: numbers in their ranges, seeds, one of a few choices."""

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import field, fields
from functools import partial
from numbers import Integral, Real
from typing import Any

LARGEST_SEED = 2**32 - 1  # what NumPy, TensorFlow and Keras all take

_BOUNDS = {
    "least": (operator.ge, " of at least "),
    "above": (operator.gt, " above "),
    "most": (operator.le, " at most "),
    "below": (operator.lt, " below "),
}


def check_number(
    name: str, value: Any, whole: bool = False, optional: bool = False, **bounds: float
) -> None:
    """Raise a ValueError unless an argument is a finite number inside its bounds.

    Args:
        name: what the error calls it.
        value: what was given; True and False are no numbers.
        whole: only whole numbers are taken, of Python's or NumPy's types: 2 and not 2.0.
        optional: None is taken too.
        **bounds: any of `least`, `above`, `most`, `below`.
    """
    fits = (
        isinstance(value, Integral if whole else Real)
        and not isinstance(value, bool)
        and -math.inf < value < math.inf  # type: ignore[operator]
        and all(_BOUNDS[word][0](value, end) for word, end in bounds.items())
    )
    if not fits and not (optional and value is None):
        raise ValueError(
            f"{name} is {value!r}: it must be a {'whole' if whole else 'finite'} number"
            + " and".join(f"{_BOUNDS[word][1]}{end}" for word, end in bounds.items())
            + (", or None" if optional else "")
        )


def check_seed(seed: Any) -> None:
    """Raise a ValueError unless a seed is a whole number from 0 to 2³² - 1."""
    check_number("seed", seed, whole=True, least=0, most=LARGEST_SEED)


def check_choice(name: str, value: Any, known: Iterable) -> None:
    """Raise a ValueError unless an argument is one of a few, and of its type: 1 is not True."""
    if not any(isinstance(value, type(one)) and value == one for one in known):
        choices = ", ".join(map(str, known))
        raise ValueError(f"unknown {name} {value!r}: choose one of {choices}")


def held(default: Any, check: Callable, **how: Any) -> Any:
    """Make a dataclass field of a default and what it is held to: `check(name, value, **how)`."""
    return field(default=default, metadata={"check": partial(check, **how)})


def check_fields(instance: Any) -> None:
    """Raise a ValueError unless every field of a dataclass is what it is held to."""
    for each in fields(instance):
        if "check" in each.metadata:
            each.metadata["check"](each.name, getattr(instance, each.name))
