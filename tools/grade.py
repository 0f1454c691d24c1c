"""Grade submitted notebooks: `make grade SUBMISSIONS=folder`.

The folder holds a folder or a zip file for each student. Workers (grade_worker.py) execute and
score; here their results become a table, which grows with each student. What has been graded is not
graded again until submission, exercises, limits or code change. docs/teaching.md says what a
submission is kept from.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import confine
import grade_worker
import psutil
from assignments import ROOT, Assignment, read_assignment, select
from grade_table import Table, exercises_by_cell, write
from grade_worker import Graded, Task
from handed_in import NOISE, collect
from limits import kill
from make_exercises import make_exercise
from restore import Restored

# Workers are copies of one process that has imported what they need.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["grade_worker", "feedback"])
# What a submission has no need of: no fault by itself, but worth a look.
SUSPICIOUS = re.compile(
    r"\bchecks\.(?!check\b)\w+|srcnn_tf\.checks|get_ipython|sqlite3|_getframe|\bbuiltins\b|/proc\b|"
    r"grade_kernel|sys\.modules|\bgc\.\w+|\bctypes\b"
)


class Worker:
    """A process of grade_worker.py, started when it is needed, and again when it has died."""

    def __init__(self, way: confine.Confinement):
        self.way, self.process, self.over = way, None, False

    def grade(self, task: Task) -> Graded:
        """Grade a notebook; a worker that dies of it is named in the notes."""
        if self.over:
            raise RuntimeError("grading was stopped")
        if self.process is None or not self.process.is_alive():
            self.line, theirs = FORKED.Pipe()
            with theirs:
                self.process = FORKED.Process(target=grade_worker.main, args=(theirs, self.way))
                self.process.start()
        try:
            self.line.send(task)
            if self.line.poll(task.notebook_seconds + 300):
                return self.line.recv()
            reason = "took too long outside its kernel"
        except (EOFError, OSError):
            reason = "ended its grader's process"
        self.end()
        return Graded(notes=[f"{task.name}: not graded: it {reason}"], final=False)

    def end(self) -> None:
        """End the process, and with it the kernel that it has."""
        if self.process is not None:
            kill(self.process.pid)
            self.process.join()


@dataclass
class Grader:
    """Grades notebooks of an assignment.

    Args:
        assignment: whose exercises and limits hold.
        submissions: the students' folders; no submission sees them.
        kept: a folder that keeps results for the next run.
        jobs: how many notebooks are graded at once.
    """

    assignment: Assignment
    submissions: Path
    kept: Path
    jobs: int

    def __post_init__(self):
        """Choose the exercises, and the way to confine submissions."""
        self.solutions = select(self.assignment)
        self.exercises = {name: make_exercise(book) for name, book in self.solutions.items()}
        private = [
            self.submissions,
            self.assignment.solutions,
            self.kept.parent,
            ROOT / "notebooks",
        ]
        self.way = confine.find(private)
        self.code = hashlib.sha256(str(bool(self.way.prefix)).encode())
        package = Path(find_spec("srcnn_tf").submodule_search_locations[0])
        for path in sorted([*(ROOT / "tools").glob("*.py"), *package.rglob("*.py")]):
            self.code.update(path.read_bytes())
        self.workers = threading.local()
        self.started: list[Worker] = []

    def grade(self, name: str, restored: Restored) -> Graded:
        """Grade a notebook, or return what it got the last time."""
        limits = ("cell_seconds", "notebook_seconds", "memory_gb")
        task = Task(
            name,
            restored.notebook,
            self.solutions[name],
            **{limit: getattr(self.assignment, limit) for limit in limits},
        )
        key = self.code.copy()
        key.update(json.dumps(asdict(task), sort_keys=True, default=str).encode())
        path = self.kept / f"{key.hexdigest()}.json"
        try:
            return Graded(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # new, or cut off while it was written
            pass
        if not hasattr(self.workers, "own"):
            self.workers.own = Worker(self.way)
            self.started.append(self.workers.own)
        graded = self.workers.own.grade(task)
        own = [c.source for c in restored.notebook.cells if c.cell_type == "code"]
        given = {cell.source for cell in self.exercises[name].cells}
        found = {m[0] for source in own if source not in given for m in SUSPICIOUS.finditer(source)}
        if found:
            graded.notes.append(f"{name}: read its code: {', '.join(sorted(found))}")
        if graded.final:
            write(path, json.dumps(asdict(graded)))
        return graded

    def __enter__(self):
        """Remove what killed runs have left."""
        for folder in Path(tempfile.gettempdir()).glob(f"{grade_worker.TEMPORARY}-*"):
            process = folder.name.removeprefix(f"{grade_worker.TEMPORARY}-").split("-")[0]
            if not (process.isdecimal() and psutil.pid_exists(int(process))):
                shutil.rmtree(folder, ignore_errors=True)
        self.kept.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_):
        """End all workers."""
        for worker in self.started:
            worker.over = True
            worker.end()


def students_in(submissions: Path) -> tuple[dict[str, Path], list[str]]:
    """Return each student's folder or zip file by name, and what else lies beside them.

    Raises:
        FileNotFoundError: there is no student.
    """
    students, others = {}, []
    entries = sorted(submissions.iterdir()) if submissions.is_dir() else []
    for path in sorted(entries, key=lambda path: not path.is_dir()):
        if NOISE.fullmatch(path.name):
            continue
        is_zip = path.suffix.lower() == ".zip" and path.is_file()
        name = path.stem if is_zip else path.name
        if path.is_symlink() or not (path.is_dir() or is_zip) or name in students:
            others.append(path.name)
        else:
            students[name] = path
    if not students:
        raise FileNotFoundError(
            f"{submissions}: a folder is needed that holds one folder for each student"
        )
    return students, others


def grade_all(
    submissions: Path, assignment: Assignment, out: Path, jobs: int | None = None
) -> Path:
    """Grade every student; write grades.csv and feedback/STUDENT/NOTEBOOK.html as they are done.

    Returns:
        The path of the CSV: a line for each student, a column for each exercise, then the sum,
        the greatest sum, and what could not be graded and why, or was strange.

    Raises:
        FileNotFoundError: no folder of submissions, or no student's folder in it.
        ValueError: the assignment names exercises that there are not.
    """
    students, others = students_in(submissions)
    grader = Grader(assignment, submissions, out / "kept", jobs or os.cpu_count() or 1)
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "feedback", ignore_errors=True)
    table = Table(out / "grades.csv", exercises_by_cell(grader.solutions))
    table.save()
    print(f"{len(students)} students, {len(grader.exercises)} notebooks: {grader.way.words}")
    if others:
        table.add_nobodys(f"beside the students' folders, not graded: {', '.join(others)}")
    with grader, ThreadPoolExecutor(grader.jobs) as pool:

        def one(student: str) -> tuple[list[Graded], list[str]]:
            handed_in = collect(students[student], grader.exercises)
            graded = []
            for name, restored in handed_in.notebooks.items():
                try:
                    graded.append(grader.grade(name, restored))
                    if graded[-1].page:
                        (out / "feedback" / student).mkdir(parents=True, exist_ok=True)
                        write(out / "feedback" / student / f"{name}.html", graded[-1].page)
                except Exception as error:  # no other notebook's result is lost by it
                    graded.append(Graded(notes=[f"{name}: {type(error).__name__}: {error}"]))
            return graded, handed_in.notes + [note for each in graded for note in each.notes]

        work = {pool.submit(one, student): student for student in students}
        try:
            for future in as_completed(work):
                try:
                    graded, notes = future.result()
                except Exception as error:  # nor any other student's
                    graded, notes = [], [f"not graded ({type(error).__name__}: {error})"]
                table.add(work[future], graded, notes)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            grader.__exit__()
            raise
    return table.path


def main(argv: Sequence[str] | None = None, build: Path = ROOT / "build") -> int:
    """Grade a folder of submissions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("submissions", type=Path, help="a folder with one folder for each student")
    parser.add_argument("assignment", nargs="?", type=Path, help="a .toml file; default: all")
    parser.add_argument("--jobs", type=int, help="notebooks at once; default: one for each core")
    options = parser.parse_args(argv)
    try:
        assignment = read_assignment(options.assignment)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        out = build / "grades" / assignment.name
        print(grade_all(options.submissions, assignment, out, options.jobs))
    except KeyboardInterrupt:
        print(
            "Stopped: grades.csv holds who is done, and the same command goes on.", file=sys.stderr
        )
        return 130
    except (OSError, ValueError) as error:
        parser.exit(2, f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
