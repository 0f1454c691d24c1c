"""What checks share: their register, and how they read a learner's answers."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# By exercise: the function that checks it, and how many answers that takes.
EXERCISES: dict[str, tuple[Callable[..., str], int]] = {}


class NotAttempted(Exception):
    """An answer is still the stub."""


class Wrong(Exception):
    """An answer is wrong; the message hints at why."""


def exercise(name: str) -> Callable:
    """Register the check of an exercise.

    The function takes a NumPy random generator, from which its inputs come, and the learner's
    answers. It returns what is right about them in a sentence, or raises `Wrong`.
    """

    def register(function: Callable[..., str]) -> Callable[..., str]:
        EXERCISES[name] = function, len(inspect.signature(function).parameters) - 1
        return function

    return register


def is_open(answer) -> bool:
    """Say whether an answer is still `...`, or nothing at all."""
    return answer is ... or answer is None


def demand(condition, hint: str) -> None:
    """Raise `Wrong` with a hint unless the condition holds."""
    if not condition:
        raise Wrong(hint)


def array(answer, shape: tuple[int, ...] | None = None, what: str = "Your answer") -> np.ndarray:
    """Return an answer as a float64 array: a list, NumPy's, TensorFlow's or Keras's.

    Raises:
        NotAttempted: it is a stub, or holds one.
        Wrong: no finite numbers, or another shape than asked for.
    """
    if is_open(answer) or (isinstance(answer, list | tuple) and any(map(is_open, answer))):
        raise NotAttempted
    try:
        values = np.asarray(answer).astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f"{what} should be numbers; it is of type {type(answer).__name__}.") from None
    if shape is not None and values.shape != shape:
        raise Wrong(f"{what} should have the shape {shape}; it has {values.shape}.")
    demand(np.isfinite(values).all(), f"{what} holds NaN or infinity.")
    return values


def number(
    answer,
    expected: float,
    tolerance: float = 1e-6,
    hint: str = "",
    slips: Mapping[Any, str] | None = None,
    what: str = "Your answer",
) -> None:
    """Compare an answer with a number.

    Args:
        answer: anything with one number in it.
        expected: the right number.
        tolerance: the largest difference that is still right.
        hint: what to say of a wrong number.
        slips: by wrong number, what it shows that the learner did.
        what: how the messages call the answer.
    """
    given = array(answer, what=what)
    demand(given.size == 1, f"{what} should be one number; it holds {given.size}.")
    value = float(given.reshape(()))
    if abs(value - expected) <= tolerance:
        return
    yours = f"Your {what.removeprefix('Your ').removeprefix('The ')} is {value:g}"
    for slip, meaning in (slips or {}).items():
        demand(abs(value - slip) > tolerance, f"{yours}. {meaning}")
    raise Wrong(f"{yours}, which is {_direction(value, expected)}. {hint}".rstrip())


def _direction(value: float, expected: float) -> str:
    return "too large" if value > expected else "too small"


def call(function, *arguments, **options):
    """Call a learner's function on copies of the arguments.

    Raises:
        NotAttempted: it returns nothing.
        Wrong: it is no function, or raises.
    """
    demand(
        callable(function),
        f"Your answer is of type {type(function).__name__}; a function is asked for.",
    )
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    try:
        result = function(*copies, **options)
    except Exception as error:
        raise Wrong(
            f"Your function raises {type(error).__name__}: {error} "
            f"(called with {', '.join(map(_describe, arguments))})."
        ) from None
    if is_open(result):
        raise NotAttempted
    return result


def _describe(argument) -> str:
    if isinstance(argument, np.ndarray) and argument.ndim:
        return f"{argument.dtype} {list(argument.shape)}"
    return type(argument).__name__ if callable(argument) else f"{argument!r:.40}"
