"""The table of points: grades.csv, which grows with each student."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from assignments import grade_cells, grade_id, split
from grade_worker import Graded
from nbformat import NotebookNode

NOBODY = ""  # a name that no folder has


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all; half of a pair of surrogates becomes a question mark."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8", errors="replace", newline="")
    partial.replace(path)


def exercises_by_cell(sources: dict[str, NotebookNode]) -> dict[str, tuple[str, float]]:
    """Return exercise and greatest points of every cell that gives points, by its grade_id."""
    return {
        grade_id(cell): (exercise, cell.metadata.nbgrader.points)
        for notebook in sources.values()
        for exercise, cells in split(notebook)
        for cell in grade_cells(cells)
        if cell.metadata.nbgrader.points
    }


def cell_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula and no terminal for a command."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


class Table:
    """grades.csv: a line for each student who is done, in the order of their names."""

    def __init__(self, path: Path, worth: dict[str, tuple[str, float]]):
        self.path, self.worth, self.rows = path, worth, {}
        self.columns = list(dict.fromkeys(exercise for exercise, _ in worth.values()))
        self.most = sum(points for _, points in worth.values())

    def add(self, student: str, graded: Sequence[Graded], notes: list[str]) -> None:
        """Add a student, and write the table anew."""
        points = dict.fromkeys(self.columns, 0.0)
        for one in graded:
            for cell, score in one.points.items():
                if cell in self.worth:
                    exercise, most = self.worth[cell]
                    if not 0 <= score <= most:
                        notes.append(
                            f"{cell}: {score:g} points of {most:g} cannot be: counted as 0"
                        )
                        score = 0
                    points[exercise] += score
        total = sum(points.values())
        shown = [f"{value:g}" for value in (*points.values(), total, self.most)]
        self.rows[student] = [student, *shown, "; ".join(notes)]
        self.save()
        print(f"{cell_text(student)}: {total:g} of {self.most:g}", flush=True)
        for note in notes:
            print(f"  {cell_text(note)}", flush=True)

    def add_nobodys(self, note: str) -> None:
        """Add a line, without points, on what belongs to no student."""
        self.rows[NOBODY] = ["(no student)", *[""] * (len(self.columns) + 2), note]
        self.save()
        print(cell_text(note), flush=True)

    def save(self) -> None:
        """Write what there is so far."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["student", *self.columns, "points", "of", "notes"])
        lines.writerows(map(cell_text, self.rows[student]) for student in sorted(self.rows))
        write(self.path, text.getvalue())
