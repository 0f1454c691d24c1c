"""Make the exercise notebooks from their solutions: `make exercises`.

A solution notebook holds answers between BEGIN SOLUTION and END SOLUTION, and in its check cells
hidden tests; nbgrader takes both out. What learners get stands in notebooks/exercises/.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from jsonschema import ValidationError
from nbformat import NotebookNode
from nbgrader import preprocessors as steps
from traitlets.config import Config

ROOT = Path(__file__).resolve().parent.parent
STUB = Config({"ClearSolutions": {"code_stub": {"python": "# Your answer here."}}})
STUB.ClearSolutions.text_stub = "*Your answer here.*"


def make_exercise(notebook: NotebookNode) -> NotebookNode:
    """Return what a learner gets: no answers, no hidden tests, locked checks, empty outputs.

    Raises:
        ValueError: a region without an end, or one outside a cell made for it.
    """
    notebook = nbformat.from_dict(notebook)
    resources: dict = {}
    for step in (
        steps.LockCells,
        steps.ClearSolutions,
        steps.ClearOutput,
        steps.ClearHiddenTests,
        steps.ComputeChecksums,
        steps.CheckCellMetadata,
    ):
        try:
            notebook, resources = step(config=STUB).preprocess(notebook, resources)
        except (RuntimeError, ValidationError) as error:
            raise ValueError(str(error)) from error
    return notebook


def main(argv: Sequence[str] | None = None, folder: Path = ROOT / "notebooks") -> int:
    """Write all exercise notebooks, or with --check name those that are out of date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; name what is old")
    check = parser.parse_args(argv).check
    sources = sorted((folder / "solutions").glob("*.ipynb"))
    targets = {folder / "exercises" / source.name: source for source in sources}
    stray = set((folder / "exercises").glob("*.ipynb")) - targets.keys()
    status = 0
    for target, source in targets.items():
        text = nbformat.writes(make_exercise(nbformat.read(source, as_version=4))) + "\n"
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        print(f"{target.name}: {'out of date; run make exercises' if check else 'written'}")
        if check:
            status = 1
        else:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
    for target in sorted(stray):
        print(f"{target.name}: has no solution notebook; remove it")
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
