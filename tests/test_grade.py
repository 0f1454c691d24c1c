import csv
import os
import re
import signal
import site
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import submissions
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from small_exercises import exercise, fill_in, nbgrader

pytest.importorskip("nbgrader", reason="grading needs the extra srcnn-tf[instructor]")

import confine
import grade
import make_exercises
import restore
from assignments import Assignment

FUNCTION = """def double(x):
    ...
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION"""
TESTS = """print('tried')
### BEGIN HIDDEN TESTS
given = np.arange(3.0)
expected = 2 * given
np.testing.assert_allclose(double(given), expected)
assert (given == np.arange(3.0)).all() and abs(double(1.5) - 3) < 1e-9
### END HIDDEN TESTS"""


@pytest.fixture(scope="module")
def solutions(tmp_path_factory):
    """A solution notebook with a number and a function."""
    folder = tmp_path_factory.mktemp("course") / "solutions"
    folder.mkdir()
    cells = [new_markdown_cell("# Five"), new_code_cell("import numpy as np")]
    cells += exercise("E05.1", 11)
    cells += [
        new_markdown_cell("## E05.2 · A function ★★"),
        new_code_cell(FUNCTION, metadata=nbgrader("E05_2")),
        new_code_cell(TESTS, metadata=nbgrader("E05_2_check", 2)),
    ]
    nbformat.write(new_notebook(cells=cells), folder / f"{submissions.NAME}.ipynb")
    return folder


@pytest.fixture
def given(solutions):
    """The notebook as it is given out."""
    return make_exercises.make_exercise(nbformat.read(solutions / f"{submissions.NAME}.ipynb", 4))


def rows(table):
    with table.open(encoding="utf-8", newline="") as lines:
        return {row["student"]: row for row in csv.DictReader(lines)}


def test_every_submission_gets_what_it_must(given, solutions, tmp_path):
    handed_in = tmp_path / "handed_in"
    cases = dict(submissions.CASES)
    for student, case in cases.items():
        (handed_in / student).mkdir(parents=True)
        case.write(handed_in / student, nbformat.from_dict(given))
    (handed_in / "loose.ipynb").write_text("{}")
    before = {p: p.read_bytes() for p in handed_in.rglob("*") if p.is_file() and not p.is_symlink()}
    assignment = Assignment(name="tiny", solutions=solutions, cell_seconds=6)
    table = grade.grade_all(handed_in, assignment, tmp_path / "out", jobs=2)
    found = rows(table)
    assert "loose.ipynb" in found.pop("(no student)")["notes"]
    wrong = []
    for student, case in cases.items():
        row = found.pop("'" + student if student.startswith("=") else student)
        fits = case.note in row["notes"] if case.note else not row["notes"]
        if f"{row['E05.1']},{row['E05.2']}" != case.points or not fits:
            wrong.append((student, case.points, case.note, row))
    assert not wrong
    assert not found
    after = {p: p.read_bytes() for p in handed_in.rglob("*") if p.is_file() and not p.is_symlink()}
    assert after == before
    feedback = tmp_path / "out" / "feedback"
    page = (feedback / "a_script_in_outputs" / f"{submissions.NAME}.html").read_text()
    for forbidden in ("<script", 'src="x"', 'href="javascript', 'href="../', "assert", "expected"):
        assert forbidden not in page
    assert not re.search(r"<[^>]*\son\w+=", page)
    assert len(page) < 100_000
    for wanted in ("Content-Security-Policy", "E05.1: 1 of 1", "E05.2: 2 of 2", "characters more"):
        assert wanted in page
    assert not (feedback / "empty").exists()


def test_a_second_run_grades_only_what_is_new(given, solutions, tmp_path, monkeypatch):
    handed_in = tmp_path / "handed_in"
    submissions.save(handed_in / "ann" / f"{submissions.NAME}.ipynb", submissions.solved(given))
    assignment = Assignment(name="tiny", solutions=solutions)
    first = grade.grade_all(handed_in, assignment, tmp_path / "out", jobs=1).read_text()
    tasks = []
    monkeypatch.setattr(grade.Worker, "grade", lambda _, task: tasks.append(task) or grade.Graded())
    assert grade.grade_all(handed_in, assignment, tmp_path / "out", jobs=1).read_text() == first
    assert not tasks
    left = tmp_path / f"{grade.grade_worker.TEMPORARY}-999999999-x"  # by a killed run
    left.mkdir()
    monkeypatch.setattr(grade.tempfile, "tempdir", str(tmp_path))
    new = submissions.solved(given, E05_1="answer = 12")
    submissions.save(handed_in / "bob" / f"{submissions.NAME}.ipynb", new)
    grade.grade_all(handed_in, assignment, tmp_path / "out", jobs=1)
    assert len(tasks) == 1
    assert not left.exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_a_true_table_and_no_process(given, solutions, tmp_path, how):
    handed_in = tmp_path / "handed_in"
    submissions.save(handed_in / "ann" / f"{submissions.NAME}.ipynb", submissions.solved(given))
    endless = submissions.solved(given, E05_2="import time; time.sleep(500)")
    submissions.save(handed_in / "bob" / f"{submissions.NAME}.ipynb", endless)
    (tmp_path / "week.toml").write_text(f'solutions = "{solutions}"\ncell_seconds = 300\n')
    start = (
        "import grade, pathlib, sys; sys.exit(grade.main(sys.argv[2:], pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", start, tmp_path, handed_in, tmp_path / "week.toml", "--jobs=1"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(["tools", os.environ.get("PYTHONPATH", "")])
    }
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert any(line.startswith("ann: 3 of 3") for line in process.stdout)
        time.sleep(2)
        running = grade.psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        assert process.wait(20) == (130 if how == signal.SIGTERM else -how)
    table = rows(tmp_path / "grades" / "week" / "grades.csv")
    assert (list(table), table["ann"]["points"]) == (["ann"], "3")
    assert running
    _, alive = grade.psutil.wait_procs(running, 5)
    assert not alive


def test_a_submission_sees_and_changes_nothing_of_others(given, solutions, tmp_path):
    if not confine.find().prefix:
        pytest.skip("this system lets nobody confine a process: no bubblewrap, no namespaces")
    handed_in, out = tmp_path / "handed_in", tmp_path / "out"
    outside = submissions.OUTSIDE.format(
        submissions=handed_in, root=grade.ROOT, out=out, site=site.getsitepackages()[0]
    )
    eve = submissions.solved(given, E05_1=outside)
    submissions.save(handed_in / "eve" / f"{submissions.NAME}.ipynb", eve)
    table = grade.grade_all(handed_in, Assignment(name="tiny", solutions=solutions), out)
    assert rows(table)["eve"]["points"] == "3"
    for folder in (handed_in, grade.ROOT, out, Path(site.getsitepackages()[0])):
        assert not (folder / "left-by-a-submission").exists()


def test_what_a_group_takes_is_limited(given, solutions, tmp_path):
    forks = "import subprocess\nfor _ in range(400): subprocess.Popen(['sleep', '60'])\n"
    hoard = "import time\nkept = bytearray(b'1') * 700 * 2**20\ntime.sleep(3)"
    for student, code in (("forks", forks + "import time\ntime.sleep(3)"), ("hoards", hoard)):
        path = tmp_path / "handed_in" / student / f"{submissions.NAME}.ipynb"
        submissions.save(path, submissions.solved(given, E05_1=code))
    assignment = Assignment(name="tiny", solutions=solutions, memory_gb=0.5)
    limit = grade.grade_worker.MOST_PROCESSES
    table = rows(grade.grade_all(tmp_path / "handed_in", assignment, tmp_path / "out"))
    assert f"more than {limit} processes" in table["forks"]["notes"]
    assert table["hoards"]["E05.1"] == "0"


def test_a_notebook_that_never_ends_is_stopped(given, solutions, tmp_path):
    endless = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    path = tmp_path / "handed_in" / "ann" / f"{submissions.NAME}.ipynb"
    submissions.save(path, fill_in(given, E05_1=endless))
    assignment = Assignment(name="tiny", solutions=solutions, notebook_seconds=6)
    table = rows(grade.grade_all(tmp_path / "handed_in", assignment, tmp_path / "out"))
    assert table["ann"]["notes"] == f"{submissions.NAME}: stopped after 6 s"


def test_the_students_text_is_never_lost(given):
    cells = [restore.Cell("code", f"mine = {i}") for i in range(3)]
    texts = [cell.source for cell in restore.restore(cells, given).notebook.cells]
    assert {cell.source for cell in cells} <= set(texts)
    assert [t for t in texts if not t.startswith("mine")] == [c.source for c in given.cells]


def test_grading_needs_a_folder_for_each_student(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(SystemExit) as stopped:
            grade.main([str(folder)], tmp_path / "build")
        assert stopped.value.code == 2
        assert "one folder for each student" in capsys.readouterr().err
    assert not (tmp_path / "build").exists()


def test_a_score_outside_its_bounds_counts_as_nothing(tmp_path):
    table = grade.Table(tmp_path / "grades.csv", {"check": ("E1", 2)})
    table.add("eve", [grade.Graded({"check": 200.0})], [])
    assert rows(tmp_path / "grades.csv")["eve"]["points"] == "0"
    assert "200 points of 2 cannot be" in rows(tmp_path / "grades.csv")["eve"]["notes"]
