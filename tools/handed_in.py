"""Find what a student handed in: one notebook for each lesson, and a note on everything else.

A notebook is known by its cells, then by its name: "Copy of 01.ipynb", "01 (1).ipynb.json" and
"homework.ipynb" are found, in folders of folders and in zip files too.
"""

import io
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePath
from typing import IO

import nbformat
from assignments import grade_id
from nbformat import NotebookNode
from restore import Cell, Restored, restore

MOST_BYTES, MOST_FILES, MOST_LEVELS = 2**27, 200, 20
Found = tuple[str, float, bytes]  # label, time and content
NOISE = re.compile(r"\..*|__MACOSX|Thumbs\.db|desktop\.ini|__pycache__", re.IGNORECASE)
CHECKPOINTS = ".ipynb_checkpoints"
SAME_TIME = 2.0  # seconds: what zip files and unpacking leave of an order


@dataclass
class Version:
    """A notebook that was handed in."""

    label: str
    time: float
    restored: Restored

    def rank(self) -> tuple:
        """Return what to sort by: the version to grade is the greatest."""
        number = re.search(r"\((\d+)\)|-(\d+)$", PurePath(self.label).stem)
        counted = int(next(filter(None, number.groups()))) if number else 0
        own = CHECKPOINTS not in self.label
        return self.restored.touched, own, self.time // SAME_TIME, counted, self.time


@dataclass
class HandedIn:
    """The version to grade of each lesson, and notes."""

    notebooks: dict[str, Restored] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def printable(text: str) -> str:
    """Return a text that any file can hold: half of a pair of surrogates becomes a mark."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def collect(place: Path, exercises: Mapping[str, NotebookNode]) -> HandedIn:
    """Return what lies in a student's folder, or zip file.

    Args:
        place: only regular files in it are read; links are not followed.
        exercises: the notebooks that were given out, by name.
    """
    found, unreadable = HandedIn(), {}
    versions: dict[str, list[Version]] = {name: [] for name in exercises}
    for label, time, content in _Reader(found.notes).read(place):
        try:
            cells = read(content)
        except Exception as error:  # somebody else's file: anything can be wrong with it
            reason = f"{label} is not a readable notebook ({type(error).__name__})"
            unreadable[label] = _by_name(label, exercises), reason
            continue
        name = identify(label, cells, exercises)
        if name is None:
            found.notes.append(f"not graded: {label} is none of the notebooks given out")
        else:
            versions[name].append(Version(label, time, restore(cells, exercises[name])))
    for name, handed_in in versions.items():
        told = [reason for lesson, reason in unreadable.values() if lesson == name]
        found.notes += [f"{name}: {reason}" for reason in told]
        if not handed_in:
            found.notes += [] if told else [f"{name}: not handed in"]
            continue
        *others, best = sorted(handed_in, key=Version.rank)
        found.notebooks[name] = best.restored
        found.notes += [f"{name}: {note}" for note in best.restored.notes]
        others = [other.label for other in others if CHECKPOINTS not in other.label]
        if others or CHECKPOINTS in best.label:
            also = f", not {', '.join(others)}" if others else ""
            found.notes.append(f"{name}: graded {best.label}{also}")
    found.notes += [reason for lesson, reason in unreadable.values() if lesson is None]
    return found


def read(content: bytes) -> list[Cell]:
    """Read a notebook of any format and encoding.

    Raises:
        Exception: it is none.
    """
    notebook = json.loads(content.decode(json.detect_encoding(content), "replace"))
    if "worksheets" in notebook:
        notebook = nbformat.convert(nbformat.from_dict(notebook), 4)
    cells = []
    for cell in notebook["cells"]:
        source, metadata = cell.get("source", ""), cell.get("metadata") or {}
        if isinstance(source, list):
            source = "".join(source)
        mark = metadata.get("nbgrader") or {}
        names = (cell.get("id"), metadata.get("id"), mark.get("grade_id"))
        kind = "code" if cell["cell_type"] == "code" else "markdown"
        attachments = cell.get("attachments") or {}
        text = printable(source).replace("\r\n", "\n")
        cells.append(Cell(kind, text, tuple(n for n in names if isinstance(n, str)), attachments))
    return cells


def identify(label: str, cells: list[Cell], exercises: Mapping[str, NotebookNode]) -> str | None:
    """Return the name of the notebook that these cells began as."""
    ids = {name for cell in cells for name in cell.names}
    texts = {cell.source.strip() for cell in cells}

    def evidence(name: str) -> int:
        given = exercises[name].cells
        known = sum((c.get("id") in ids) + (grade_id(c) in ids) for c in given)
        return known + sum(c.source.strip() in texts for c in given)

    by_name = _by_name(label, exercises)
    best = max(exercises, key=lambda name: (evidence(name), name == by_name))
    return best if evidence(best) else by_name


def _by_name(label: str, exercises: Mapping[str, NotebookNode]) -> str | None:
    stem = PurePath(label).name.casefold()
    fitting = [name for name in exercises if name.casefold() in stem]
    return max(fitting, key=len, default=None)


class _Reader:
    """Reads notebooks and zip files, and no more of them than anybody means to hand in.

    Args:
        notes: receives what was not read, and why.
    """

    def __init__(self, notes: list[str]):
        self.notes, self.files, self.bytes = notes, MOST_FILES, MOST_BYTES
        self.others: list[str] = []

    def read(self, place: Path) -> Iterator[Found]:
        """Yield what may be a notebook; what cannot be one is noted."""
        yield from self._read(place)
        if self.others:
            more = f" and {len(self.others) - 9} more" if len(self.others) > 9 else ""
            self.notes.append(f"not graded: {', '.join(self.others[:9])}{more}")

    def _read(self, place: Path) -> Iterator[Found]:
        if place.is_file():
            yield from self._file(place, place.name)
            return
        for folder, folders, names in os.walk(place, onerror=lambda e: self._skip("", e)):
            shown = Path(folder).relative_to(place)
            folders[:] = sorted(f for f in folders if f == CHECKPOINTS or not NOISE.fullmatch(f))
            for name in folders:
                if Path(folder, name).is_symlink():
                    self._skip(shown / name, "a link to a folder")
            if len(shown.parts) >= MOST_LEVELS and folders:
                self._skip(shown / folders[0], f"folders {MOST_LEVELS} levels deep")
                folders.clear()
            for name in sorted(n for n in names if not NOISE.fullmatch(n)):
                yield from self._file(Path(folder, name), str(shown / name))

    def _skip(self, label: object, reason: object) -> None:
        self.notes.append(f"not read: {label} ({reason})")

    def _file(self, path: Path, label: str) -> Iterator[Found]:
        """Open a file, if it is one: a pipe would wait for ever, a link may lead anywhere."""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(os.open(path, flags), "rb") as file:
                status = os.fstat(file.fileno())
                if stat.S_ISREG(status.st_mode):
                    yield from self._content(label, status.st_mtime, status.st_size, file)
                else:
                    self._skip(label, "it is no regular file")
        except OSError as error:
            self._skip(label, "it is a link" if path.is_symlink() else error.strerror)

    def _content(self, label: str, time: float, size: int, file: IO[bytes]) -> Iterator[Found]:
        start = file.read(1000)
        if start.startswith(b"PK"):
            if self._take(label, size):
                yield from self._unpacked(label, start + file.read(size))
        elif start.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1] != b"{" and (
            ".ipynb" not in label.lower()
        ):
            self.others.append(label)
        elif self._take(label, size):
            yield label, time, start + file.read(size)

    def _take(self, label: str, size: int) -> bool:
        """Say whether there is room for a notebook or zip file; other files take none."""
        self.files -= 1
        if self.files == -1:
            self._skip(f"{label} and what follows", f"more than {MOST_FILES} notebooks")
        elif size > self.bytes:
            self._skip(label, f"more than {MOST_BYTES >> 20} MB in all")
        elif self.files >= 0:
            self.bytes -= size
            return True
        return False

    def _unpacked(self, label: str, content: bytes) -> Iterator[Found]:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for entry in archive.infolist():
                    parts = PurePath(entry.filename).parts
                    noise = any(NOISE.fullmatch(p) for p in parts if p not in ("..", CHECKPOINTS))
                    if entry.is_dir() or noise:
                        continue
                    year, month, day, *clock = entry.date_time  # 0 where nobody cared
                    time = datetime(year, max(month, 1), max(day, 1), *clock).timestamp()
                    inside = f"{label}/{entry.filename}"
                    with archive.open(entry) as file:
                        yield from self._content(inside, time, entry.file_size, file)
        except Exception as error:  # damaged, encrypted, of a method that nobody knows
            self._skip(label, error)
