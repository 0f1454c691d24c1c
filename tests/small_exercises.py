"""Small solution notebooks, from which the tests make exercises and assignments."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

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


def write_solutions(folder):
    folder.mkdir(parents=True)
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    for name, first in (("01_one", 11), ("02_two", 21)):
        cells = [new_markdown_cell("# Title")]
        cells += exercise(f"E{name[:2]}.1", first) + exercise(f"E{name[:2]}.2", first + 1, 2)
        nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")


def fill_in(notebook, **sources):
    """Return a copy with other sources in some cells, by grade_id."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        cell.source = sources.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    return notebook
