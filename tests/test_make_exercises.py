import nbformat
import pytest
from small_exercises import fill_in

pytest.importorskip("nbgrader", reason="grading needs the extra srcnn-tf[instructor]")

import make_exercises


def test_exercises_are_up_to_date(capsys):
    assert make_exercises.main(["--check"]) == 0, capsys.readouterr().out


def test_exercises_hold_no_answer_and_no_hidden_test(solutions, capsys):
    folder = solutions.parent
    assert make_exercises.main(["--check"], folder) == 1
    assert not (folder / "exercises").exists()
    assert make_exercises.main([], folder) == 0
    assert make_exercises.main(["--check"], folder) == 0
    _, _, stub, check, *_ = nbformat.read(folder / "exercises" / "01_one.ipynb", 4).cells
    assert stub.source == "answer = ...\n# Your answer here."
    assert check.source == "print('checked')"
    assert check.metadata.editable is False
    (folder / "exercises" / "03_stray.ipynb").write_text("{}")
    capsys.readouterr()
    assert make_exercises.main(["--check"], folder) == 1
    assert "03_stray.ipynb: has no solution notebook" in capsys.readouterr().out


def test_an_open_solution_region_is_an_error(solutions):
    notebook = nbformat.read(solutions / "01_one.ipynb", 4)
    notebook = fill_in(notebook, E01_1="### BEGIN SOLUTION\nanswer = 1")
    with pytest.raises(ValueError, match="no end solution"):
        make_exercises.make_exercise(notebook)
