"""Put a submission back into the notebook that was given out.

Checks, headings and lost cells come from what was given out, with all their metadata; what the
student wrote stays, all of it: answers in their places, other cells behind the cell they followed.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

import nbformat
from assignments import grade_id
from grade_checks import bound, parse
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell


@dataclass
class Cell:
    """What counts of a cell that was handed in."""

    kind: str
    source: str
    names: tuple[str, ...] = ()  # its id, and nbgrader's name for it
    attachments: dict = field(default_factory=dict)


@dataclass
class Restored:
    """A notebook to execute; whether its student did anything; what was strange about it."""

    notebook: NotebookNode
    touched: bool
    notes: list[str]


def is_answer(cell: NotebookNode) -> bool:
    """Say whether students write into a cell that was given out."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def match(cells: Sequence[Cell], exercise: NotebookNode) -> dict[int, int]:
    """Return which of the submitted cells is which of those given out, by their numbers.

    Names decide first, then equal text, then what stands between the same neighbours: the cell that
    gives values to an answer's variables, or is most like it.
    """
    found: dict[int, int] = {}
    for names in (lambda cell: (grade_id(cell),), lambda cell: (cell.get("id"),)):
        for number, given in enumerate(exercise.cells):
            wanted = [n for n in names(given) if n]
            free = [i for i, c in enumerate(cells) if i not in found and set(wanted) & set(c.names)]
            if free and number not in found.values():
                written = [i for i in free if cells[i].source.strip() != given.source.strip()]
                found[(written or free)[0]] = number
    place = 0
    for number, given in enumerate(exercise.cells):
        same = [
            i
            for i, c in enumerate(cells)
            if i >= place and i not in found and c.source.strip() == given.source.strip()
        ]
        if number not in found.values() and same:
            found[same[0]] = number
        place = max([i + 1 for i, n in found.items() if n == number] or [place])
    for number, given in enumerate(exercise.cells):
        if is_answer(given) and number not in found.values():
            low = max([i for i, n in found.items() if n < number], default=-1)
            high = min([i for i, n in found.items() if n > number], default=len(cells))
            between = [i for i in range(low + 1, high) if i not in found]
            if between:
                best = max(between, key=lambda i: _likeness(cells[i], given))
                if _likeness(cells[best], given) > 0.3:
                    found[best] = number
    return found


def _likeness(cell: Cell, given: NotebookNode) -> float:
    if given.cell_type == "markdown":
        return 0.5 + 0.5 * (cell.kind == "markdown")
    ours, theirs = bound(parse(given.source)), bound(parse(cell.source))
    ratio = difflib.SequenceMatcher(None, cell.source[:2000], given.source[:2000]).quick_ratio()
    return len(ours & theirs) + ratio / 2


def restore(cells: Sequence[Cell], exercise: NotebookNode) -> Restored:
    """Return the submission in the notebook that was given out."""
    found = match(cells, exercise)
    placed = {number: i for i, number in found.items()}
    followers: dict[int, list[Cell]] = {}
    stubs = {given.source.strip() for given in exercise.cells if is_answer(given)}
    last = -1
    for i, cell in enumerate(cells):
        number = found.get(i)
        if number is not None:
            last = max(last, number)
        elif cell.source.strip() and cell.source.strip() not in stubs:
            followers.setdefault(last, []).append(cell)
    notes: list[str] = []
    result = [_own(cell) for cell in followers.get(-1, [])]
    for number, given in enumerate(exercise.cells):
        cell, own = nbformat.from_dict(given), cells[placed[number]] if number in placed else None
        place = len(result)
        if own is None or own.source.strip() == given.source.strip():
            if is_answer(given):
                place = _before_its_names(cell, result)
        elif given.metadata.get("nbgrader", {}).get("locked"):
            result.append(_own(own))  # a changed check: the student's may run, ours counts
            place += 1
        else:
            cell.source, cell.metadata["own"] = own.source, "nbgrader" in given.metadata
            if own.attachments:
                cell["attachments"] = own.attachments
            if own.kind != given.cell_type and is_answer(given):
                notes.append(
                    f"{grade_id(given)}: was turned into a {own.kind} cell, and turned back"
                )
        result.insert(place, cell)
        result += [_own(each) for each in followers.get(number, [])]
    restored = nbformat.from_dict(exercise)
    restored.cells = result
    for number, cell in enumerate(result):
        cell["id"] = f"cell-{number}"
    return Restored(restored, any(cell.metadata.get("own") for cell in result), notes)


def _before_its_names(empty: NotebookNode, cells: Sequence[NotebookNode]) -> int:
    """Return where an empty answer can stand and overwrite nothing that its student wrote."""
    names = bound(parse(empty.source))
    for place, cell in enumerate(cells):
        if cell.metadata.get("own") and names & bound(parse(cell.source)):
            return place
    return len(cells)


def _own(cell: Cell) -> NotebookNode:
    make = new_code_cell if cell.kind == "code" else new_markdown_cell
    own = make(cell.source, metadata={"own": True})
    if cell.attachments and cell.kind == "markdown":
        own["attachments"] = cell.attachments
    return own
