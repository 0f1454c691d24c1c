import csv
import json
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
from small_exercises import exercise, nbgrader

pytest.importorskip("nbgrader", reason="grading needs the extra srcnn-tf[instructor]")

import confine
import grade
import grade_worker
import handed_in
import limits
import make_exercises
import restore
from assignments import Assignment

FUNCTION = """def double(x):
    ...
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


### BEGIN SOLUTION
import math
### END SOLUTION"""
TESTS = """print('tried')
### BEGIN HIDDEN TESTS
given = np.arange(3.0)
expected = 2 * given
np.testing.assert_allclose(double(given), expected)
assert (given == np.arange(3.0)).all() and math.isclose(double(1.5), 3)
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


def files(folder):
    paths = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
    return {path: path.read_bytes() for path in paths}


def test_every_submission_gets_what_it_must(given, solutions, tmp_path):
    handed_in, out = tmp_path / "handed_in", tmp_path / "out"
    owned = (handed_in, out, grade.ROOT, Path(site.getsitepackages()[0]))
    cases = dict(submissions.CASES)
    if confine.find().prefix:
        outside = submissions.outside(*owned)
        cases["looks_outside"] = submissions.Case(
            submissions.writes(E05_1=outside), note="read its code: /proc"
        )
    for student, case in cases.items():
        (handed_in / student).mkdir(parents=True)
        case.write(handed_in / student, nbformat.from_dict(given))
    (handed_in / "loose.ipynb").write_text("{}")
    before = files(handed_in)
    assignment = Assignment(name="tiny", solutions=solutions, cell_seconds=9, memory_gb=0.7)
    # Many at once, because some wait for a limit.
    found = rows(grade.grade_all(handed_in, assignment, out, jobs=6))
    assert files(handed_in) == before
    assert not any((folder / "left-by-a-submission").exists() for folder in owned)
    assert "loose.ipynb" in found.pop("(no student)")["notes"]
    wrong = []
    for student, case in cases.items():
        row = found.pop("'" + student if student.startswith("=") else student)
        fits = case.note in row["notes"] if case.note else not row["notes"]
        if f"{row['E05.1']},{row['E05.2']}" != case.points or not fits:
            wrong.append((student, case.points, case.note, row))
    assert not wrong
    assert not found
    assert not (out / "feedback" / "empty").exists()
    page = (out / "feedback" / "shows_a_script" / f"{submissions.NAME}.html").read_text()
    for forbidden in ("<script", 'src="x"', 'href="javascript', 'href="../', "assert", "expected"):
        assert forbidden not in page
    assert not re.search(r"<[^>]*\son\w+=", page)
    assert len(page) < 100_000
    for wanted in ("Content-Security-Policy", "E05.1: 1 of 1", "E05.2: 2 of 2", "characters more"):
        assert wanted in page


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


def test_a_stopped_run_leaves_a_true_table_and_no_process(given, solutions, tmp_path):
    handed_in = tmp_path / "handed_in"
    submissions.save(handed_in / "ann" / f"{submissions.NAME}.ipynb", submissions.solved(given))
    endless = submissions.solved(given, E05_2="import time; time.sleep(500)")
    submissions.save(handed_in / "bob" / f"{submissions.NAME}.ipynb", endless)
    (tmp_path / "week.toml").write_text(f'solutions = "{solutions}"\ncell_seconds = 300\n')
    start = (
        "import grade, pathlib, sys; sys.exit(grade.main(sys.argv[2:], pathlib.Path(sys.argv[1])))"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(["tools", os.environ.get("PYTHONPATH", "")])
    }
    started = {}
    for how in (signal.SIGTERM, signal.SIGKILL):
        out = tmp_path / how.name
        command = [sys.executable, "-c", start, out, handed_in, tmp_path / "week.toml", "--jobs=1"]
        started[how] = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    for how, process in started.items():
        assert any(line.startswith("ann: 3 of 3") for line in process.stdout)
        time.sleep(1)
        running = grade.psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        assert process.wait(20) == (130 if how == signal.SIGTERM else -how)
        process.stdout.close()
        table = rows(tmp_path / how.name / "grades" / "week" / "grades.csv")
        assert (list(table), table["ann"]["points"]) == (["ann"], "3")
        assert running
        _, alive = grade.psutil.wait_procs(running, 5)
        assert not alive


def graded_here(given, solutions, way, seconds, **sources):
    cells = handed_in.read(json.dumps(submissions.solved(given, **sources)).encode())
    solution = nbformat.read(solutions / f"{submissions.NAME}.ipynb", 4)
    notebook = restore.restore(cells, given).notebook
    task = grade.Task(submissions.NAME, notebook, solution, 60, seconds, memory_gb=4)
    return grade_worker.grade(task, way)


def test_a_notebook_that_leaves_the_grader_waiting_is_stopped(given, solutions):
    graded = graded_here(given, solutions, confine.find(), 3, E05_2=submissions.HALF_A_WORD)
    assert graded.notes == [f"{submissions.NAME}: stopped after 3 s"]
    assert graded.points["E05_1_check"] == 1


def test_where_nothing_can_confine_it_says_so_and_grades(given, solutions, monkeypatch):
    monkeypatch.setenv("PATH", "")
    way = confine.find()
    assert "NOT confined" in way.words
    graded = graded_here(given, solutions, way, 600)
    assert (graded.points, graded.notes) == ({"E05_1_check": 1, "E05_2_check": 2}, [])


GREEDY = {
    "for _ in range(300): subprocess.Popen(['sleep', '60'])": "more than 256 processes",
    "hoard = 'import time; kept = b\"k\" * 2**27; time.sleep(60)'\n"
    "for _ in range(3): subprocess.Popen([sys.executable, '-c', hoard])": "0.3 GB of memory",
}


def test_what_a_group_takes_is_limited():
    """Its processes count together: none of them takes too much alone."""
    started = []
    for code in GREEDY:
        code = f"import subprocess, sys, time\n{code}\ntime.sleep(60)"
        process = subprocess.Popen([sys.executable, "-c", code])
        started.append((process, limits.Watch(process.pid, 60, memory_gb=0.3)))
        started[-1][1].start()
    for (process, watch), reason in zip(started, GREEDY.values(), strict=True):
        assert process.wait(50) == -signal.SIGKILL
        assert reason in watch.reason
        _, alive = grade.psutil.wait_procs(watch.seen, 5)
        assert not alive


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


def test_no_name_breaks_the_table(tmp_path, capsys):
    table = grade.Table(tmp_path / "grades.csv", {"check": ("E1", 2)})
    for name in ("(no student)", "+1", 'a"\n,b', "\udcff", "\x1b[31m"):
        table.add(name, [grade.Graded({"check": 2})], ["=1", "\ud800"])
    table.add_nobodys("@else")
    lines = list(csv.reader((tmp_path / "grades.csv").open(encoding="utf-8", newline="")))
    names = ["student", "(no student)", "?[31m", "(no student)", "'+1", 'a"?,b', "?"]
    assert [line[0] for line in lines] == names
    assert [line[2] for line in lines[1:]] == ["", *["2"] * 5]
    assert all(line[-1] == "'=1; ?" for line in lines[2:])
    assert "\x1b" not in capsys.readouterr().out
