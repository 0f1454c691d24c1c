"""Every check against right answers, the untouched stub and typical wrong answers."""

import importlib
from pathlib import Path

import pytest

from srcnn_tf import checks
from srcnn_tf.checks.answers import EXERCISES

ANSWERS = [
    importlib.import_module(f"answers.{path.stem}")
    for path in sorted((Path(__file__).parent / "answers").glob("lesson*.py"))
]
RIGHT = [
    pytest.param(exercise, answers, id=f"{exercise}-{number}")
    for lesson in ANSWERS
    for exercise, cases in lesson.RIGHT.items()
    for number, answers in enumerate(cases)
]
WRONG = [
    pytest.param(exercise, answers, hint, id=f"{exercise}-{number}")
    for lesson in ANSWERS
    for exercise, cases in lesson.WRONG.items()
    for number, (answers, hint) in enumerate(cases)
]


@pytest.mark.parametrize(("exercise", "answers"), RIGHT)
def test_right_answers_pass(exercise, answers, capsys):
    checks.check(exercise, *answers)
    assert capsys.readouterr().out.startswith(f"{exercise}: right. ")


@pytest.mark.parametrize("exercise", sorted({param.values[0] for param in RIGHT}))
def test_graders_hold_the_same_against_other_inputs(exercise):
    right, wrong = (
        next(param.values[1] for param in params if param.values[0] == exercise)
        for params in (RIGHT, WRONG)
    )
    checks.require(exercise, *right)
    with pytest.raises(AssertionError, match=f"{exercise}: not yet. "):
        checks.require(exercise, *wrong)


@pytest.mark.parametrize(("exercise", "answers", "hint"), WRONG)
def test_wrong_answers_get_a_hint(exercise, answers, hint, capsys):
    checks.check(exercise, *answers)
    printed = capsys.readouterr().out
    assert printed.startswith(f"{exercise}: not yet. ")
    assert hint in printed


@pytest.mark.parametrize("exercise", sorted({param.values[0] for param in RIGHT}))
def test_stubs_are_not_attempted_yet(exercise, capsys):
    (answers,) = (lesson.RIGHT[exercise][0] for lesson in ANSWERS if exercise in lesson.RIGHT)
    empty = [(lambda *_, **__: None) if callable(answer) else ... for answer in answers]
    for stub in (empty, [...] * len(answers), [None] * len(answers)):
        checks.check(exercise, *stub)
        assert capsys.readouterr().out == f"{exercise}: not attempted yet.\n"
        with pytest.raises(AssertionError, match="not attempted yet"):
            checks.require(exercise, *stub)


def test_every_check_has_right_answers_and_two_wrong_ones():
    right = {exercise for lesson in ANSWERS for exercise in lesson.RIGHT}
    wrong = {e for lesson in ANSWERS for e, cases in lesson.WRONG.items() if len(cases) >= 2}
    for lesson in ANSWERS:
        importlib.import_module(lesson.__name__.replace("answers", "srcnn_tf.checks"))
    assert right == wrong == EXERCISES.keys()


@pytest.mark.parametrize("name", ["E01.9", "E99.1", "e01.1", "01", ""])
def test_unknown_exercises_are_an_error(name):
    with pytest.raises(ValueError, match="there is no check for"):
        checks.check(name, 1)


def test_the_number_of_answers_must_fit():
    with pytest.raises(ValueError, match=r"E01\.5 takes 2 answers, not 1"):
        checks.check("E01.5", 1)
