"""The checks that the exercise notebooks call.

`check` tells a learner what is right, or what is wrong with a hint towards it. `require` holds the
same against other inputs and raises: it is what a grader runs. What an exercise asks is checked in
`lessonNN.py`, by a function that is registered under the exercise's name.
"""

from importlib import import_module
from importlib.util import find_spec

import numpy as np

from srcnn_tf.checks.answers import EXERCISES, NotAttempted, Wrong, is_open

__all__ = ["check", "require"]


def check(exercise: str, *answers) -> None:
    """Print whether the answers to an exercise are right; never raise because they are not.

    Args:
        exercise: its name, such as "E01.3".
        *answers: what the exercise asks for, in its order: numbers, arrays or functions.

    Raises:
        ValueError: there is no such exercise, or it takes another number of answers.
    """
    print(f"{exercise}: {_verdict(exercise, answers, seed=0)[1]}")


def require(exercise: str, *answers) -> None:
    """Raise unless the answers to an exercise are right, on other inputs than `check` uses.

    Args:
        exercise: its name, such as "E01.3".
        *answers: see `check`.

    Raises:
        AssertionError: not attempted, or wrong; the message is what `check` would print.
        ValueError: see `check`.
    """
    right, message = _verdict(exercise, answers, seed=1)
    if not right:
        raise AssertionError(f"{exercise}: {message}")


def _verdict(exercise: str, answers: tuple, seed: int) -> tuple[bool, str]:
    function, count = _find(exercise)
    if len(answers) != count:
        raise ValueError(f"{exercise} takes {count} answers, not {len(answers)}")
    try:
        if any(is_open(answer) for answer in answers):
            raise NotAttempted
        return True, f"right. {function(np.random.default_rng(seed), *answers)}"
    except NotAttempted:
        return False, "not attempted yet."
    except Wrong as wrong:
        return False, f"not yet. {wrong}"


def _find(exercise: str):
    lesson = f"srcnn_tf.checks.lesson{str(exercise)[1:3]}"
    if find_spec(lesson):
        import_module(lesson)
    if exercise not in EXERCISES:
        raise ValueError(f"there is no check for {exercise!r}; names are like 'E01.3'")
    return EXERCISES[exercise]
