"""Grade made-up students on the course's own exercises: `make grade-selftest`.

solved      every answer of the solution notebooks            all points
colab       the same, saved by Colab, its checks tampered with all points
untouched   the notebooks as they are given out               no points
tampered    untouched, its checks tampered with               no points
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from assignments import Assignment, select
from grade import grade_all
from make_exercises import make_exercise
from nbformat import NotebookNode
from replica import as_saved_by_colab

ROOT = Path(__file__).resolve().parent.parent


def solve(exercise: NotebookNode, solution: NotebookNode) -> NotebookNode:
    """Return what a student hands in who has every answer: no hidden test, own outputs."""
    answers = {cell.id: cell.source for cell in solution.cells if _nbgrader(cell).get("solution")}
    solved = nbformat.from_dict(exercise)
    for cell in solved.cells:
        cell.source = answers.get(cell.id, cell.source)
    return solved


def tamper(notebook: NotebookNode) -> NotebookNode:
    """Empty one check, delete the next, and so on; raise points; shadow the checks' name."""
    tampered = nbformat.from_dict(notebook)
    checks = [cell for cell in tampered.cells if _nbgrader(cell).get("locked")]
    for cell in checks[::2]:
        cell.source = "pass"
        cell.metadata.nbgrader.points = 100
    deleted = {cell.id for cell in checks[1::2]}
    tampered.cells = [cell for cell in tampered.cells if cell.id not in deleted]
    shadow = "class checks:\n    check = require = staticmethod(lambda *answers: None)"
    first = next(i for i, cell in enumerate(tampered.cells) if "import checks" in cell.source)
    tampered.cells.insert(first + 1, nbformat.v4.new_code_cell(shadow))
    return tampered


def _nbgrader(cell: NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def main(argv: Sequence[str] | None = None) -> int:
    """Grade the made-up students and compare their points."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(argv)
    # Time is not what is tested.
    assignment = Assignment(name="selftest", cell_seconds=600, notebook_seconds=3600)
    with tempfile.TemporaryDirectory() as folder:
        submissions = Path(folder)
        for name, solution in select(assignment).items():
            untouched = make_exercise(solution)
            solved = solve(untouched, solution)
            students = {
                "solved": solved,
                "colab": nbformat.from_dict(as_saved_by_colab(tamper(solved))),
                "untouched": untouched,
                "tampered": tamper(untouched),
            }
            for student, notebook in students.items():
                (submissions / student).mkdir(exist_ok=True)
                path = submissions / student / f"{name}.ipynb"
                path.write_text(nbformat.writes(notebook), encoding="utf-8")
        table = grade_all(submissions, assignment, ROOT / "build" / "grades" / assignment.name)
    status = 0
    with table.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            expected = row["of"] if row["student"] in ("solved", "colab") else "0"
            if row["points"] != expected or row["notes"]:
                print(f"{row['student']}: expected {expected} points and no notes")
                status = 1
    print("selftest " + ("FAILED" if status else "ok"))
    return status


if __name__ == "__main__":
    sys.exit(main())
