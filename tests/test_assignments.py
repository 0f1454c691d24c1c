import subprocess
import sys
import zipfile

import nbformat
import pytest

pytest.importorskip("nbgrader", reason="grading needs the extra srcnn-tf[instructor]")

import assignments
import grade
from assignments import Assignment, read_assignment, select


def test_every_exercise_can_be_assigned_alone(tmp_path):
    for exercise in {name for name, _ in grade.exercises_by_cell(select(Assignment())).values()}:
        for notebook in select(Assignment(exercises=[exercise])).values():
            nbformat.write(notebook, tmp_path / f"{exercise}.ipynb")
    assert len(list(tmp_path.iterdir())) >= 28
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", str(tmp_path)]
    undefined = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert undefined.returncode == 0, undefined.stdout


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
    assert "Points: E01.2 5, E02.1 1, E02.2 2" in everything
    assert "## E01.2 · A number ★ · 5 points" in everything


def test_a_handed_out_notebook_leads_nowhere_wrong():
    badge = "[![Open in Colab](https://colab.google/b.svg)](https://colab.google/public.ipynb)\n\n"
    links = "[lesson](../01_a.ipynb#x), [there](#down), [web](https://a.org/b)"
    assert assignments.outside(f"# Title\n\n{badge}{links}", "https://g/r") == (
        "# Title\n\n[lesson](https://g/r/blob/main/notebooks/01_a.ipynb#x), [there](#down), "
        "[web](https://a.org/b)"
    )


SLIPS = {
    "unknown key": ('exercise = ["E01.1"]', "unknown key 'exercise': there are name, solutions"),
    "type": ('exercises = "E01.1"', "exercises = 'E01.1' is of another type"),
    "name": ('name = "../up"', "may hold letters, digits"),
    "folder": ('solutions = "gone"', "there is no folder"),
    "exercise": ('exercises = ["E07.1"]', "no exercise 'E07.1' in"),
    "not assigned": ('exercises = ["E01.1"]\npoints = {"E02.1" = 1}', "points for 'E02.1', which"),
    "points": ('points = {"E01.1" = -1}', "cannot give -1 points"),
    "infinite points": ('points = {"E01.1" = inf}', "cannot give inf points"),
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
