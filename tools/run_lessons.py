"""Execute the lessons with papermill and check their results: `make notebooks`.

Every lesson runs in a folder of its own, build/NN_topic/, which then holds the executed notebook,
its HTML, its results.json, and in kernel.log what was written to standard error.
notebooks/lessons.toml says which parameters a lesson is given and between which bounds its results
must lie.
"""

import argparse
import ast
import codecs
import contextlib
import json
import math
import operator
import os
import shutil
import string
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lesson_page
import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

ROOT = Path(__file__).resolve().parent.parent
PROFILES = {"fast": 300, "full": 7200}  # the seconds that one cell may take
STUDIES = "studies"  # the folder in which `srcnn_tf.studies` keeps what it has trained
FAST_SECONDS = 120  # what a lesson should stay under in the fast profile
LOG_SECONDS = 30  # how often a log, which is no terminal, hears of progress
BOUNDS = {
    "min": ("at least", operator.ge),
    "max": ("at most", operator.le),
    "equals": ("exactly", operator.eq),
}


@dataclass
class Lesson:
    """A lesson, what it is given, what is expected of it, and what came of it."""

    notebook: Path
    defaults: dict[str, Any]
    parameters: dict[str, Any]
    expect: dict[str, dict]
    key_results: list[str]
    summary: str
    seconds: float = 0
    results: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.notebook.stem


def read_lessons(folder: Path, profile: str) -> list[Lesson]:
    """Read the lessons of a folder and their entries in its lessons.toml.

    Raises:
        ValueError: everything that does not fit, a line each. A notebook that cannot be read stops
            no other: its lesson has failed.
    """
    try:
        entries = tomllib.loads((folder / "lessons.toml").read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"lessons.toml: {error}") from error
    notebooks = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    wrong = [f"lessons.toml: {name} has no notebook" for name in sorted(entries.keys() - notebooks)]
    lessons = []
    for name, notebook in notebooks.items():
        if name not in entries:
            wrong.append(f"lessons.toml: {name} has no entry")
            continue
        entry, defaults, failures = entries[name], {}, []
        try:
            defaults = read_parameters(notebook)
        except ValueError as error:
            failures.append(str(error))
        else:
            wrong += check_entry(name, entry, defaults)
        chosen = entry.get(profile, {})
        parameters = chosen.get("parameters", {})
        expect = entry.get("expect", {}) | chosen.get("expect", {})
        keys, summary = entry.get("key_results", []), entry.get("summary", "")
        lessons.append(
            Lesson(notebook, defaults, parameters, expect, keys, summary, failures=failures),
        )
    if wrong:
        raise ValueError("\n".join(wrong))
    return lessons


def read_parameters(notebook: Path) -> dict[str, Any]:
    """Return the names and values that the parameters cell of a notebook assigns."""
    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except Exception as error:  # nbformat has many
        reason = "it begins with a byte order mark" if _has_bom(notebook) else error
        raise ValueError(
            f"{notebook.name} cannot be read ({reason}): save it as a notebook in UTF-8"
        ) from error
    source = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    try:
        statements = ast.parse("\n".join(source)).body
        return {line.targets[0].id: ast.literal_eval(line.value) for line in statements}
    except (SyntaxError, AttributeError, ValueError) as error:
        raise ValueError(f"{notebook.name}: parameters are lines of NAME = literal") from error


def _has_bom(path: Path) -> bool:
    return path.read_bytes().startswith(codecs.BOM_UTF8)


def check_entry(name: str, entry: dict, defaults: dict) -> Iterator[str]:
    """Yield what is misspelt in a lesson's entry, in all profiles."""
    parts = {name: entry} | {f"{name}.{key}": entry[key] for key in PROFILES if key in entry}
    for title, part in parts.items():
        known = ["parameters", "expect"]
        if part is entry:
            known = ["key_results", "summary", "expect", *PROFILES]
        for key in part.keys() - known:
            yield f"lessons.toml: [{title}] has {key!r}, and may have {', '.join(known)}"
        for result, bounds in part.get("expect", {}).items():
            for key in bounds.keys() - BOUNDS:
                yield f"lessons.toml: [{title}] {result} has {key!r}, not {', '.join(BOUNDS)}"
        yield from check_parameters(title, part.get("parameters", {}), defaults)


def check_parameters(title: str, parameters: dict, defaults: dict) -> Iterator[str]:
    """Yield the parameters that the notebook does not have, or has with another type."""
    for name, value in parameters.items():
        if name not in defaults:
            there_are = f"there are {', '.join(defaults)}"
            if not defaults:
                there_are = "there are none, since no cell is tagged parameters"
            yield f"{title}: unknown parameter {name!r}: {there_are}"
            continue
        given, kind = type(value), type(defaults[name])
        if given is not kind and (given, kind) not in [(int, float), (list, tuple)]:
            yield f"{title}: parameter {name} = {value!r} should be of type {kind.__name__}"


def select(lessons: list[Lesson], wanted: Sequence[str]) -> list[Lesson]:
    """Return the lessons with the wanted numbers or names; all of them if none are wanted."""

    def matches(lesson: Lesson, want: str) -> bool:
        return lesson.name == want or lesson.name.startswith(f"{want:0>2}_")

    for want in wanted:
        if not any(matches(lesson, want) for lesson in lessons):
            there_are = ", ".join(lesson.name for lesson in lessons)
            raise ValueError(f"unknown lesson {want!r}: there are {there_are}")
    return [one for one in lessons if not wanted or any(matches(one, want) for want in wanted)]


def override(lesson: Lesson, name: str, text: str) -> None:
    """Give a lesson a parameter from the command line, as the type that it has there."""
    value: Any = text
    if not isinstance(lesson.defaults.get(name), str):
        with contextlib.suppress(SyntaxError, ValueError):
            value = ast.literal_eval(text)
    wrong = list(check_parameters(lesson.name, {name: value}, lesson.defaults))
    if wrong:
        raise ValueError(wrong[0])
    lesson.parameters[name] = value


def progress(lesson: Lesson) -> Callable[..., None]:
    """Return what papermill calls after each cell: it prints how far the lesson is."""
    cells = nbformat.read(lesson.notebook, as_version=4).cells
    total = sum(cell.cell_type == "code" for cell in cells) + bool(lesson.parameters)
    done, start = 0, time.monotonic()
    shown = start

    def show(**_: Any) -> None:
        nonlocal done, shown
        done, now = done + 1, time.monotonic()
        line = f"{lesson.name}: {done}/{total} cells, {now - start:.0f} s"
        if sys.stdout.isatty():
            print(f"\r{line}", end="", flush=True)
        elif now - shown >= LOG_SECONDS:
            shown = now
            print(line, flush=True)

    return show


@contextlib.contextmanager
def stderr_to(path: Path) -> Iterator[None]:
    """Send what this process and its kernels write to standard error into a file."""
    saved = os.dup(2)
    with path.open("w") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def run(lesson: Lesson, folder: Path, cell_seconds: int) -> None:
    """Execute a lesson in an emptied folder, write its HTML, and check its results.

    What its studies have trained stays: they know themselves what has changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for item in folder.iterdir():
        if item.is_dir() and item.name != STUDIES:
            shutil.rmtree(item)
        elif item.is_file():
            item.unlink()
    executed = folder / lesson.notebook.name
    start = time.monotonic()
    try:
        with stderr_to(folder / "kernel.log"):
            notebook = papermill.execute_notebook(
                lesson.notebook,
                executed,
                lesson.parameters,
                kernel_name="python3",
                language="python",
                cwd=folder,
                progress_bar=False,
                execution_timeout=cell_seconds,
                on_cell_executed=progress(lesson),
                # TensorFlow's C++ messages belong in the log, not in the lesson.
                extra_arguments=["--IPKernelApp.capture_fd_output=False"],
            )
        for cell in notebook.cells:  # to papermill, sys.exit(0) is no error
            if any(output.get("ename") == "SystemExit" for output in cell.get("outputs", [])):
                lesson.failures.append(
                    f"In [{cell.execution_count}]: SystemExit: the lesson ends here; leave out "
                    "sys.exit"
                )
        check_results(lesson, folder / "results.json")
    except PapermillExecutionError as error:
        lesson.failures.append(f"In [{error.exec_count}]: {error.ename}: {error.evalue}")
    except Exception as error:  # a cell out of time, a kernel that died: the others still run
        lesson.failures.append(f"{type(error).__name__}: {error}")
    lesson.seconds = time.monotonic() - start
    if executed.exists():
        notebook = nbformat.read(executed, as_version=4)
        # Colab saves the widgets of its last run in a form of its own, on which nbconvert stops.
        if not any("state" in kind for kind in notebook.metadata.get("widgets", {}).values()):
            notebook.metadata.pop("widgets", None)
        try:
            page = lesson_page.render(notebook, "../{name}/{name}.html")
            executed.with_suffix(".html").write_text(page, encoding="utf-8")
        except ValueError as error:
            lesson.failures.append(str(error))


def check_results(lesson: Lesson, path: Path) -> None:
    """Read the results that a lesson wrote, and note those that are not as expected."""
    if not path.exists():
        lesson.failures.append("the lesson wrote no results.json")
        return
    lesson.results = dict(json.loads(path.read_text(encoding="utf-8")))
    told = [name for _, name, _, _ in string.Formatter().parse(lesson.summary) if name]
    for name in dict.fromkeys([*lesson.expect, *lesson.key_results, *told]):
        if name not in lesson.results:
            lesson.failures.append(f"result {name} is missing from results.json")
    for name, value in lesson.results.items():
        if isinstance(value, float) and not math.isfinite(value):
            lesson.failures.append(f"result {name} = {value}, expected a finite number")
            continue
        for bound, limit in lesson.expect.get(name, {}).items():
            words, holds = BOUNDS[bound]
            if not holds(value, limit):
                lesson.failures.append(f"result {name} = {value}, expected {words} {limit}")


def report(lessons: list[Lesson]) -> None:
    """Print the closing table, and below it what failed."""
    width = max(len(lesson.name) for lesson in lessons)
    print(f"\n{'lesson':{width}}  seconds  status  key results")
    for lesson in lessons:
        values = ((name, lesson.results.get(name, "–")) for name in lesson.key_results)
        shown = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values]
        status = "FAILED" if lesson.failures else "ok"
        row = f"{lesson.name:{width}}  {lesson.seconds:7.1f}  {status:6}  {', '.join(shown)}"
        print(row.rstrip())
    for lesson in lessons:
        for failure in lesson.failures:
            print(f"{lesson.name}: {' '.join(failure.split())[:300]}")


def set_environment() -> None:
    """Make the kernel this interpreter's own, and its start quiet."""
    os.environ["JUPYTER_PATH"] = str(Path(sys.prefix) / "share" / "jupyter")
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # before a kernel of the user's with that name
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.pop("MPLBACKEND", None)  # figures belong in the notebook


def main(
    argv: Sequence[str] | None = None,
    folder: Path = ROOT / "notebooks",
    build: Path = ROOT / "build",
) -> int:
    """Run the lessons of a folder and return the exit status: 1 if any of them failed.

    Args:
        argv: the command line's arguments.
        folder: where lessons.toml and the notebooks are.
        build: where a folder is made for each lesson.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", choices=PROFILES, default="fast", help="default: fast")
    parser.add_argument(
        "--lesson", action="append", default=[], help="a number or name; repeatable"
    )
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    options = parser.parse_args(argv)
    try:
        lessons = select(read_lessons(folder, options.profile), options.lesson)
        for lesson in (lesson for lesson in lessons if not lesson.failures):
            for name, text in options.p:
                override(lesson, name, text)
    except ValueError as error:
        parser.exit(2, f"{error}\n")
    if not lessons:
        parser.exit(2, f"there are no lessons in {folder}\n")
    set_environment()
    for lesson in (lesson for lesson in lessons if not lesson.failures):
        print(f"{lesson.name}: running, profile {options.profile}", flush=True)
        run(lesson, build / lesson.name, PROFILES[options.profile])
        over = "\r" if sys.stdout.isatty() else ""  # the line of progress
        status = "FAILED" if lesson.failures else "ok"
        print(f"{over}{lesson.name}: {status} after {lesson.seconds:.0f} s{over and ' ' * 9}")
        if options.profile == "fast" and lesson.seconds > FAST_SECONDS:
            print(f"{lesson.name}: warning: slower than the {FAST_SECONDS} s of the fast profile")
    report(lessons)
    print(f"Executed notebooks and their HTML: {os.path.relpath(build)}/NN_topic/")
    return int(any(lesson.failures for lesson in lessons))


if __name__ == "__main__":
    sys.exit(main())
