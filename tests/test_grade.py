import json
import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell
from replica import as_saved_by_colab
from small_exercises import fill_in

pytest.importorskip("nbgrader", reason="grading needs the extra srcnn-tf[instructor]")

import grade
import make_exercises
from assignments import Assignment


@pytest.fixture
def given(solutions):
    """The notebooks as they are given out."""
    return {
        path.stem: make_exercises.make_exercise(nbformat.read(path, 4))
        for path in sorted(solutions.glob("*.ipynb"))
    }


def test_restore_puts_back_what_was_given_out(given):
    notebook = given["01_one"]
    tampered = fill_in(notebook, E01_1="answer = 3", E01_1_check="pass", E01_2="answer = 4")
    _, _, first, check, _, second, _ = tampered.cells
    check.metadata.nbgrader.points = 100
    second.metadata.nbgrader.grade_id = "E01_2_check"  # two cells of that name
    own = new_code_cell("helper = 1")
    tampered.cells = [own, check, first, second]
    restored = grade.restore(tampered, notebook)
    texts = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in restored.cells}
    assert list(texts) == [None, "E01_1_check", "E01_1", "E01_2", "E01_2_check"]
    assert texts["E01_1"].source == "answer = 3"
    assert texts["E01_1_check"].source == "print('checked')"
    assert texts["E01_1_check"].metadata.nbgrader.points == 1
    assert restored.cells[0].source == "helper = 1"
    nbformat.validate(restored)


@pytest.fixture(autouse=True)
def own_path(monkeypatch):
    monkeypatch.setenv("PATH", os.environ["PATH"])  # which grade.py extends


CONFINED = """
import os, socket
try:
    memory = bytearray(10**11)
except MemoryError:
    memory = None
networks = [name for _, name in socket.if_nameindex()]
confined = memory is None and "grade-" in os.environ["HOME"]
answer = 12 if confined and (networks == ["lo"]) == {no_network} else 0
"""


def test_grading_names_what_failed_and_grades_the_rest(given, solutions, tmp_path):
    one, two = given.values()
    no_network = bool(grade.confinement()[0])
    hands_in = {
        "bob": (one,),
        "colab": (
            fill_in(one, E01_1="answer = 11", E01_2="answer = 12"),
            fill_in(two, E02_1="answer = 21", E02_2="answer = 0"),
        ),
        "crash": (fill_in(one, E01_1="import os; os._exit(1)", E01_2="answer = 12"),),
        "hang": (
            fill_in(one, E01_1="while True: pass", E01_2=CONFINED.format(no_network=no_network)),
        ),
    }
    submissions = tmp_path / "submissions"
    for student, notebooks in hands_in.items():
        (submissions / student / "deeper").mkdir(parents=True)
        for name, notebook in zip(given, notebooks, strict=False):
            copy = submissions / student / "deeper" / f"Copy of {name}.ipynb"
            saved = as_saved_by_colab(notebook) if student == "colab" else notebook
            copy.write_text(json.dumps(saved))
    (submissions / "broken").mkdir()
    (submissions / "broken" / "01_one.ipynb").write_text("{")
    assignment = Assignment(name="tiny", solutions=solutions, cell_seconds=5)
    table = grade.grade_all(submissions, assignment, tmp_path / "out")
    assert table.read_text() == (
        "student,E01.1,E01.2,E02.1,E02.2,points,of,notes\n"
        "bob,0,0,0,0,0,6,02_two: not handed in\n"
        "broken,0,0,0,0,0,6,01_one: not a readable notebook (NotJSONError); "
        "02_two: not handed in\n"
        "colab,1,2,1,0,4,6,\n"
        "crash,0,0,0,0,0,6,01_one: the kernel died; 02_two: not handed in\n"
        "hang,0,2,0,0,2,6,E01_1: stopped after 5 s; 02_two: not handed in\n"
    )
    assert "checked" in (tmp_path / "out" / "feedback" / "colab" / "01_one.html").read_text()
    assert not (tmp_path / "out" / "feedback" / "broken").exists()


def test_a_notebook_that_never_ends_is_stopped(given, solutions, tmp_path):
    endless = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    submission = tmp_path / "01_one.ipynb"
    nbformat.write(fill_in(given["01_one"], E01_1=endless), submission)
    assignment = Assignment(
        solutions=solutions, exercises=["E01.*"], cell_seconds=60, notebook_seconds=15
    )
    (tmp_path / "grader").mkdir()
    graded = grade.Grader(assignment, tmp_path / "grader").grade(submission, "01_one")
    assert (graded.points, graded.notes) == ({}, ["01_one: stopped after 15 s"])


def test_grading_needs_a_folder_for_each_student(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(SystemExit) as stopped:
            grade.main([str(folder)], tmp_path / "build")
        assert stopped.value.code == 2
        assert "one folder for each student" in capsys.readouterr().err
    assert not (tmp_path / "build").exists()
