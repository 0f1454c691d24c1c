"""Choose exercises for an assignment and pack them for students: `make assignment`.

Without a file, an assignment holds every exercise of the course. A file says otherwise:

    name = "week3"
    solutions = "my_solutions"        # a folder beside the file; default: notebooks/solutions
    exercises = ["E01.1", "E03.*"]    # in the order of the notebooks
    points = {"E01.1" = 4}            # default: what the solution notebook says
    cell_seconds = 60                 # how long a cell may take when it is graded,
    notebook_seconds = 600            # and a notebook,
    memory_gb = 8                     # and how much memory it may have
"""

import argparse
import math
import posixpath
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatch
from pathlib import Path

import nbformat
from make_exercises import make_exercise
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
HEADING = re.compile(r"## (\S+) · ")
README = """\
{name}: exercises on image super-resolution

Notebooks: {notebooks}
Points: {points}

In Colab: File > Upload notebook; its first code cell installs what is missing.
On your machine: python -m pip install git+{repository} jupyterlab, then jupyter lab.

Data: the photographs come with scikit-image. Nothing is downloaded, and nothing has to be
handed in but the notebooks.

Write your answers where it says "Your answer here", run the check below each, save the
notebook under its own name and hand it in. You may add cells. Checks cannot be edited: graders
put them back, and run them on other inputs too.
"""


@dataclass
class Assignment:
    """What is assigned, and what its grading may cost."""

    name: str = "course"
    solutions: Path = ROOT / "notebooks" / "solutions"
    exercises: list[str] = field(default_factory=lambda: ["*"])
    points: dict[str, float] = field(default_factory=dict)
    cell_seconds: int = 60
    notebook_seconds: int = 600
    memory_gb: float = 8


def read_assignment(path: Path | None) -> Assignment:
    """Read an assignment's file; None gives all exercises of the course.

    Raises:
        FileNotFoundError: there is no such file, or no solutions.
        ValueError: an unknown key, a value of another type, or a name that is no file name.
    """
    if path is None:
        return Assignment()
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    kinds = {f.name: type(getattr(Assignment(), f.name)) for f in fields(Assignment)}
    for key, value in entries.items():
        if key not in kinds:
            raise ValueError(f"{path}: unknown key {key!r}: there are {', '.join(kinds)}")
        wanted = {"solutions": str, "memory_gb": (int, float)}.get(key, kinds[key])
        if not isinstance(value, wanted):
            raise ValueError(f"{path}: {key} = {value!r} is of another type than {key} should be")
    if "solutions" in entries:
        entries["solutions"] = path.resolve().parent / entries["solutions"]
    assignment = Assignment(**{"name": path.stem, **entries})
    if not re.fullmatch(r"[\w-]+", assignment.name):
        raise ValueError(f"{path}: name {assignment.name!r} may hold letters, digits, - and _")
    if not assignment.solutions.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {assignment.solutions}")
    return assignment


def split(notebook: NotebookNode) -> Iterator[tuple[str, list[NotebookNode]]]:
    """Yield the exercises of a notebook with their cells; what stands before them is named ''."""
    name, cells = "", []
    for cell in notebook.cells:
        heading = HEADING.match(cell.source) if cell.cell_type == "markdown" else None
        if heading:
            yield name, cells
            name, cells = heading[1], []
        cells.append(cell)
    yield name, cells


def grade_cells(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Return the cells that give points."""
    return [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")]


def grade_id(cell: NotebookNode) -> str | None:
    """Return nbgrader's name of a cell."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def select(assignment: Assignment) -> dict[str, NotebookNode]:
    """Return the solution notebooks, by name, with the assignment's exercises and points.

    Raises:
        ValueError: an exercise that is wanted or given points does not exist, or has no check.
    """
    chosen, known, notebooks = set(), set(), {}
    for path in sorted(assignment.solutions.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        (_, kept), *exercises = split(notebook)
        for name, cells in exercises:
            known.add(name)
            if not any(fnmatch(name, pattern) for pattern in assignment.exercises):
                continue
            chosen.add(name)
            kept = kept + cells
            _demand_points(name, grade_cells(cells))
            if name in assignment.points:
                _set_points(name, cells, assignment.points[name])
        if chosen.intersection(name for name, _ in exercises):
            notebook.cells = kept
            notebooks[path.stem] = notebook
    for pattern in assignment.exercises:
        if not any(fnmatch(name, pattern) for name in known):
            raise ValueError(f"no exercise {pattern!r} in {assignment.solutions}: {_list(known)}")
    for name in assignment.points.keys() - chosen:
        raise ValueError(f"points for {name!r}, which is not assigned: {_list(chosen)}")
    return notebooks


def _set_points(name: str, cells: list[NotebookNode], points: float) -> None:
    """Change an exercise's points, and say so in its heading."""
    graded = grade_cells(cells)
    if len(graded) != 1:
        raise ValueError(f"{name} has {len(graded)} cells with points: change them in the notebook")
    graded[0].metadata.nbgrader.points = points
    _demand_points(name, graded)
    heading, *text = cells[0].source.split("\n")
    cells[0].source = "\n".join([f"{heading} · {points:g} point{'s' * (points != 1)}", *text])


def _demand_points(name: str, graded: list[NotebookNode]) -> None:
    for points in (cell.metadata.nbgrader.get("points") for cell in graded):
        number = isinstance(points, int | float) and not isinstance(points, bool)
        if not (number and 0 <= points < math.inf):
            raise ValueError(
                f"{name} cannot give {points!r} points: a number from 0 on is accepted"
            )


def _list(names: set[str]) -> str:
    return f"there are {', '.join(sorted(names))}" if names else "there are none"


def points_by_exercise(solutions: dict[str, NotebookNode]) -> dict[str, float]:
    """Return what each exercise is worth."""
    return {
        exercise: sum(cell.metadata.nbgrader.points for cell in grade_cells(cells))
        for notebook in solutions.values()
        for exercise, cells in split(notebook)
        if exercise
    }


def outside(markdown: str, repository: str) -> str:
    """Return a text of notebooks/exercises/ as it is right in a file without a repository.

    Its badge goes: Colab would open the public notebook. Relative links lead to the repository.
    """
    markdown = re.sub(r"\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\)\n*", "", markdown)

    def absolute(link: re.Match) -> str:
        place = posixpath.normpath(f"notebooks/exercises/{link[1]}")
        return f"]({repository}/blob/main/{place})"

    return re.sub(r"\]\((?!#|[a-z]+:)([^)\s]+)\)", absolute, markdown)


def pack(assignment: Assignment, folder: Path) -> Path:
    """Write the students' zip file and return its path."""
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    solutions = select(assignment)
    exercises = {name: make_exercise(book) for name, book in solutions.items()}
    names = ", ".join(f"{name}.ipynb" for name in exercises)
    worth = points_by_exercise(solutions)
    points = ", ".join(f"{exercise} {most:g}" for exercise, most in worth.items())
    readme = README.format(name=assignment.name, notebooks=names, points=points, repository=address)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{assignment.name}.zip"
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{assignment.name}/README.txt", readme)
        for name, notebook in exercises.items():
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = outside(cell.source, address)
            archive.writestr(f"{assignment.name}/{name}.ipynb", nbformat.writes(notebook) + "\n")
    return partial.replace(target)


def main(argv: Sequence[str] | None = None, folder: Path = ROOT / "build" / "assignments") -> int:
    """Pack an assignment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assignment", nargs="?", type=Path, help="a .toml file; default: all")
    try:
        print(pack(read_assignment(parser.parse_args(argv).assignment), folder))
    except (OSError, ValueError) as error:
        parser.exit(2, f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
