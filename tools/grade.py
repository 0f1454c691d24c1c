"""Grade submitted notebooks: `make grade SUBMISSIONS=folder`.

The folder holds one folder for each student, and that the notebooks, under the names they were
given out with. Each notebook is graded by nbgrader in a process of its own, with limits on time and
memory, a home folder of its own and, where the system allows it, no network. docs/teaching.md says
what that protects from.
"""

import argparse
import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from assignments import ROOT, Assignment, grade_cells, read_assignment, select, split
from make_exercises import make_exercise
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import Config

# No network, and process numbers of its own: what a submission starts dies with it.
UNSHARE = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]


@dataclass
class Graded:
    """What a student's notebook got: points by grade_id, and what went wrong."""

    points: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    feedback: str = ""


def restore(submission: NotebookNode, exercise: NotebookNode) -> NotebookNode:
    """Put the cells that were given out back into a submission.

    Locked cells get their text back and all their metadata; lost cells come back before the one
    that followed them. What the student wrote and added stays.
    """
    given = {c.metadata.nbgrader.grade_id: c for c in exercise.cells if "nbgrader" in c.metadata}
    cells: list[NotebookNode] = []
    seen = set()
    for cell in submission.cells:
        name = cell.metadata.pop("nbgrader", {}).get("grade_id")
        if name in given and name not in seen:
            seen.add(name)
            original = given[name]
            if original.metadata.nbgrader.locked or cell.cell_type != original.cell_type:
                cell = nbformat.from_dict(original)
            cell.metadata["nbgrader"] = original.metadata.nbgrader
        cells.append(cell)
    place = len(cells)
    for name, original in reversed(given.items()):
        places = [i for i, cell in enumerate(cells) if _grade_id(cell) == name]
        if places:
            place = places[0]
        else:
            cells.insert(place, nbformat.from_dict(original))
    restored = nbformat.from_dict(exercise)
    restored.cells = cells
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return restored


def _grade_id(cell: NotebookNode) -> str | None:
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def find(folder: Path, name: str) -> Path | None:
    """Return a student's notebook of that name; a browser or Colab may have added to the name."""
    paths = [p for p in sorted(folder.rglob("*.ipynb")) if ".ipynb_checkpoints" not in p.parts]
    exact = [path for path in paths if path.stem == name]
    return next(iter(exact + [path for path in paths if name in path.stem]), None)


def confinement() -> tuple[list[str], str]:
    """Return the command prefix that confines a process, and what it does in words."""
    if (
        shutil.which("unshare")
        and not subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode
    ):
        return UNSHARE, "no network, processes isolated"
    return [], "WITH network: this system does not let us take it away"


def prepare(assignment: Assignment, folder: Path) -> dict[str, NotebookNode]:
    """Write the gradebook that holds the exercises and their hidden tests; return the exercises."""
    # nbgrader starts alembic, which stands beside this interpreter.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    sources = select(assignment)
    for name, notebook in sources.items():
        target = folder / "source" / name / f"{name}.ipynb"
        target.parent.mkdir(parents=True)
        nbformat.write(notebook, target)
    config = Config()
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.db_url = f"sqlite:///{folder / 'gradebook.db'}"
    config.Exchange.root = str(folder)  # not used, but nbgrader complains if it cannot write there
    api = NbGraderAPI(config=config)
    for name in sources:
        outcome = api.generate_assignment(name)
        if not outcome["success"]:
            raise ValueError(f"{name}: nbgrader refuses it: {outcome.get('log', '')[-800:]}")
    return {name: make_exercise(notebook) for name, notebook in sources.items()}


@dataclass
class Grader:
    """Grades notebooks, each in a folder and a process of its own.

    Args:
        assignment: whose exercises and limits hold.
        folder: empty; receives the gradebook with the exercises and their hidden tests.
    """

    assignment: Assignment
    folder: Path

    def __post_init__(self):
        """Write the gradebook."""
        self.prefix, self.confined = confinement()
        self.exercises = prepare(self.assignment, self.folder)

    def grade(self, submission: Path, name: str) -> Graded:
        """Grade a student's notebook; whatever is wrong with it stands in the notes."""
        graded = Graded()
        try:
            notebook = restore(nbformat.read(submission, as_version=4), self.exercises[name])
        except Exception as error:  # somebody else's file: anything can be wrong with it
            graded.notes.append(f"{name}: not a readable notebook ({type(error).__name__})")
            return graded
        with tempfile.TemporaryDirectory(prefix="grade-") as folder:
            course = Path(folder)
            self._set_up(course, name, notebook)
            output = self._run(course, name)
            if output is None:
                seconds = self.assignment.notebook_seconds
                graded.notes.append(f"{name}: stopped after {seconds} s")
                return graded
            executed = course / "autograded" / "student" / name / f"{name}.ipynb"
            if not executed.exists():
                reason = "the kernel died" if "DeadKernel" in output else _last_error(output)
                graded.notes.append(f"{name}: {reason}")
                return graded
            graded.points = self._points(course, name)
            graded.notes += [
                f"{cell}: stopped after {self.assignment.cell_seconds} s"
                for cell in _timed_out(nbformat.read(executed, as_version=4))
            ]
            page = course / "feedback" / "student" / name / f"{name}.html"
            graded.feedback = page.read_text(encoding="utf-8") if page.exists() else ""
        return graded

    def _set_up(self, course: Path, name: str, notebook: NotebookNode) -> None:
        (course / "home").mkdir()
        submitted = course / "submitted" / "student" / name
        submitted.mkdir(parents=True)
        nbformat.write(notebook, submitted / f"{name}.ipynb")
        shutil.copy(self.folder / "gradebook.db", course)

    def _run(self, course: Path, name: str) -> str | None:
        """Run grade_one.py and return what it printed, or None if time ran out."""
        kept = ("PATH", "LANG", "SRCNN_TF_DATA", "PYTHONPATH")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {
            "HOME": str(course / "home"),
            "TMPDIR": str(course / "home"),
            "JUPYTER_PATH": str(Path(sys.prefix) / "share" / "jupyter"),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        command = [sys.executable, str(ROOT / "tools" / "grade_one.py"), str(course), name]
        command += ["--cell-seconds", str(self.assignment.cell_seconds)]
        command += ["--memory", str(int(self.assignment.memory_gb * 2**30))]
        with subprocess.Popen(
            [*self.prefix, *command, *(["--loopback"] if self.prefix else [])],
            cwd=course,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                return process.communicate(timeout=self.assignment.notebook_seconds)[0]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return None

    def _points(self, course: Path, name: str) -> dict[str, float]:
        with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
            grades = gradebook.find_submission_notebook(name, name, "student").grades
            return {grade.name: grade.score for grade in grades}


def _last_error(output: str) -> str:
    errors = re.findall(r"(?:\[.*ERROR\]|\w+Error:) *(\S.*)", output)
    return errors[-1][:200] if errors else "not graded"


def _timed_out(notebook: NotebookNode) -> list[str]:
    return [
        _grade_id(cell) or "a cell of the student's own"
        for cell in notebook.cells
        if any(output.get("ename") == "CellTimeoutError" for output in cell.get("outputs", []))
    ]


def exercises_by_cell(sources: dict[str, NotebookNode]) -> dict[str, tuple[str, float]]:
    """Return exercise and greatest points of every cell that gives points, by its grade_id."""
    return {
        _grade_id(cell): (exercise, cell.metadata.nbgrader.points)
        for notebook in sources.values()
        for exercise, cells in split(notebook)
        for cell in grade_cells(cells)
        if cell.metadata.nbgrader.points
    }


def grade_all(submissions: Path, assignment: Assignment, out: Path) -> Path:
    """Grade every student's folder; write grades.csv and feedback/STUDENT/NOTEBOOK.html.

    Returns:
        The path of the CSV: a line for each student, a column for each exercise, then the sum,
        the greatest sum, and what could not be graded and why.

    Raises:
        FileNotFoundError: no folder of submissions, or no student's folder in it.
        ValueError: the assignment names exercises that there are not.
    """
    students = sorted(path for path in submissions.glob("[!.]*") if path.is_dir())
    if not students:
        raise FileNotFoundError(
            f"{submissions}: a folder is needed that holds one folder for each student"
        )
    worth = exercises_by_cell(select(assignment))
    columns = list(dict.fromkeys(exercise for exercise, _ in worth.values()))
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "feedback", ignore_errors=True)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["student", *columns, "points", "of", "notes"])
    with tempfile.TemporaryDirectory(prefix="gradebook-") as folder:
        grader = Grader(assignment, Path(folder))
        print(f"{len(students)} students, {len(grader.exercises)} notebooks: {grader.confined}")
        # Two at a time: each kernel holds a TensorFlow.
        with ThreadPoolExecutor(max_workers=2) as pool:
            waiting = {
                student.name: {
                    name: pool.submit(grader.grade, path, name)
                    for name in grader.exercises
                    if (path := find(student, name))
                }
                for student in students
            }
            for student, jobs in waiting.items():
                points, notes = dict.fromkeys(columns, 0.0), []
                for name in grader.exercises:
                    if name not in jobs:
                        notes.append(f"{name}: not handed in")
                        continue
                    graded = jobs[name].result()
                    for cell, score in graded.points.items():
                        if cell in worth:
                            points[worth[cell][0]] += score
                    notes += graded.notes
                    if graded.feedback:
                        page = out / "feedback" / student / f"{name}.html"
                        page.parent.mkdir(parents=True, exist_ok=True)
                        page.write_text(graded.feedback, encoding="utf-8")
                total, most = sum(points.values()), sum(most for _, most in worth.values())
                shown = [f"{value:g}" for value in (*points.values(), total, most)]
                table.writerow([student, *shown, "; ".join(notes)])
                print(f"{student}: {total:g} of {most:g}" + "".join(f"\n  {n}" for n in notes))
    path = out / "grades.csv"
    partial = path.with_suffix(".partial")
    partial.write_text(text.getvalue(), encoding="utf-8")
    return partial.replace(path)


def main(argv: Sequence[str] | None = None, build: Path = ROOT / "build") -> int:
    """Grade a folder of submissions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("submissions", type=Path, help="a folder with one folder for each student")
    parser.add_argument("assignment", nargs="?", type=Path, help="a .toml file; default: all")
    options = parser.parse_args(argv)
    try:
        assignment = read_assignment(options.assignment)
        print(grade_all(options.submissions, assignment, build / "grades" / assignment.name))
    except (OSError, ValueError) as error:
        parser.exit(2, f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
