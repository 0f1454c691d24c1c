"""Exercise notebooks, assignments and grading, on small notebooks of the test's own."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbgrader", reason="grading needs the extra srcnn-tf[instructor]")

import assignments
import grade
import make_exercises
from assignments import Assignment, read_assignment, select
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from replica import as_saved_by_colab

ROOT = Path(__file__).resolve().parent.parent
SOLUTION = "answer = ...\n### BEGIN SOLUTION\nanswer = {answer}\n### END SOLUTION"
TEST = "print('checked')\n### BEGIN HIDDEN TESTS\nassert answer == {answer}\n### END HIDDEN TESTS"


def nbgrader(grade_id, points=None, **flags):
    meta = {"grade": points is not None, "locked": points is not None, "solution": points is None}
    meta |= {"grade_id": grade_id, "schema_version": 3, "task": False, **flags}
    return {"nbgrader": meta if points is None else {**meta, "points": points}}


def exercise(name, answer, points=1):
    grade_id = name.replace(".", "_")
    return [
        new_markdown_cell(f"## {name} · A number ★"),
        new_code_cell(SOLUTION.format(answer=answer), metadata=nbgrader(grade_id)),
        new_code_cell(TEST.format(answer=answer), metadata=nbgrader(f"{grade_id}_check", points)),
    ]


@pytest.fixture
def solutions(tmp_path):
    folder = tmp_path / "notebooks" / "solutions"
    folder.mkdir(parents=True)
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    for name, first in (("01_one", 11), ("02_two", 21)):
        cells = [new_markdown_cell("# Title")]
        cells += exercise(f"E{name[:2]}.1", first) + exercise(f"E{name[:2]}.2", first + 1, 2)
        nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")
    return folder


def fill_in(notebook, **sources):
    """Return a copy with other sources in some cells, by grade_id."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        cell.source = sources.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    return notebook


# -- exercises from solutions -----------------------------------------------------------------


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


# -- the form of the course's own exercises ----------------------------------------------------

HEADING = re.compile(r"## (E(\d\d)\.\d) · \S.*? (★{1,3}) \((\d+) min, ([a-z ]+)\)\n")
KINDS = {"by hand", "in words", "in code", "experiment", "find the bug"}
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("lesson", LESSONS)
def test_exercises_of_a_lesson_have_the_form_of_the_house(lesson):
    notebook = nbformat.read(ROOT / "notebooks" / "solutions" / f"{lesson}.ipynb", 4)
    (_, head), *exercises = assignments.split(notebook)
    assert head[0].source.startswith(f"# Exercises {lesson[:2]} · ")
    assert f"blob/main/notebooks/exercises/{lesson}.ipynb)" in head[0].source
    assert 4 <= len(exercises) <= 6
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert max(len(source.splitlines()) for source in sources) <= 25
    for _, cells in exercises:  # a section that several need would be lost where one is assigned
        assert not any(c.source.startswith("## ") for c in cells[1:] if c.cell_type == "markdown")
    kinds, stars = set(), set()
    for number, (name, cells) in enumerate(exercises, 1):
        heading = HEADING.match(cells[0].source)
        assert heading, cells[0].source
        assert name == heading[1] == f"E{lesson[:2]}.{number}"
        kinds.add(heading[5])
        stars.add(len(heading[3]))
        graded = assignments.grade_cells(cells)
        if heading[5] == "in words":
            assert [cell.metadata.nbgrader.points for cell in graded] == [0]
            continue
        statement = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        assert "**Expected:**" in statement
        assert "<details><summary>Hint</summary>" in statement
        assert [cell.metadata.nbgrader.points for cell in graded] == [len(heading[3])]
        visible, hidden = graded[0].source.split("### BEGIN HIDDEN TESTS")
        assert f'checks.check("{name}", ' in visible
        assert f'require("{name}", ' in hidden
        assert "from srcnn_tf.checks import require" in hidden
    assert kinds <= KINDS
    assert kinds >= {"in code", "experiment", "find the bug"}
    assert kinds & {"by hand", "in words"}
    assert stars == {1, 2, 3}


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_lists_its_exercises_as_they_are(lesson):
    text = "\n".join(
        cell.source for cell in nbformat.read(ROOT / "notebooks" / f"{lesson}.ipynb", 4).cells
    )
    assert f"](exercises/{lesson}.ipynb)" in text
    listed = re.findall(r"\*\*(E\d\d\.\d)\*\* (★+) \((\d+) min, ([a-z ]+)\)", text)
    notebook = nbformat.read(ROOT / "notebooks" / "solutions" / f"{lesson}.ipynb", 4)
    headings = [HEADING.match(cell.source) for cell in notebook.cells]
    assert listed == [found.group(1, 3, 4, 5) for found in headings if found]


def test_every_exercise_can_be_assigned_alone(tmp_path):
    for exercise in {name for name, _ in grade.exercises_by_cell(select(Assignment())).values()}:
        for notebook in select(Assignment(exercises=[exercise])).values():
            nbformat.write(notebook, tmp_path / f"{exercise}.ipynb")
    assert len(list(tmp_path.iterdir())) >= 28
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", str(tmp_path)]
    undefined = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert undefined.returncode == 0, undefined.stdout


# -- assignments ------------------------------------------------------------------------------


def test_an_assignment_is_a_choice_of_exercises_with_points(solutions, tmp_path):
    path = tmp_path / "week3.toml"
    path.write_text(
        'solutions = "notebooks/solutions"\nexercises = ["E01.2", "E02.*"]\n'
        'points = {"E01.2" = 5}\ncell_seconds = 7\n'
    )
    assignment = read_assignment(path)
    assert (assignment.name, assignment.cell_seconds) == ("week3", 7)
    chosen = {
        name: [exercise for exercise, _ in assignments.split(notebook)]
        for name, notebook in select(assignment).items()
    }
    assert chosen == {"01_one": ["", "E01.2"], "02_two": ["", "E02.1", "E02.2"]}
    worth = grade.exercises_by_cell(select(assignment))
    assert worth == {
        "E01_2_check": ("E01.2", 5),
        "E02_1_check": ("E02.1", 1),
        "E02_2_check": ("E02.2", 2),
    }
    packed = assignments.pack(assignment, tmp_path / "out")
    with zipfile.ZipFile(packed) as archive:
        assert sorted(archive.namelist()) == [
            "week3/01_one.ipynb",
            "week3/02_two.ipynb",
            "week3/README.txt",
        ]
        assert "01_one.ipynb, 02_two.ipynb" in archive.read("week3/README.txt").decode()
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert "Your answer here" in everything
    assert "assert answer" not in everything
    assert "E01.1" not in everything


SLIPS = {
    "unknown key": ('exercise = ["E01.1"]', "unknown key 'exercise': there are name, solutions"),
    "type": ('exercises = "E01.1"', "exercises = 'E01.1' is of another type"),
    "name": ('name = "../up"', "may hold letters, digits"),
    "folder": ('solutions = "gone"', "there is no folder"),
    "exercise": ('exercises = ["E07.1"]', "no exercise 'E07.1' in"),
    "not assigned": ('exercises = ["E01.1"]\npoints = {"E02.1" = 1}', "points for 'E02.1', which"),
    "points": ('points = {"E01.1" = -1}', "cannot give -1 points"),
    "toml": ("name = ", "week.toml: Invalid value"),
}


@pytest.mark.parametrize(("toml", "message"), SLIPS.values(), ids=SLIPS)
def test_slips_in_an_assignment_are_told(solutions, tmp_path, capsys, toml, message):
    path = tmp_path / "week.toml"
    solutions_line = "" if "solutions" in toml else 'solutions = "notebooks/solutions"\n'
    path.write_text(solutions_line + toml)
    with pytest.raises(SystemExit) as stopped:
        assignments.main([str(path)], tmp_path / "out")
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# -- grading ----------------------------------------------------------------------------------


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
