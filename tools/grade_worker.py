"""Execute notebooks, confined, and score them from outside: `grade.py` starts some of these.

A worker takes one notebook after the other. The student's cells run in a process (grade_kernel.py)
that is confined and new for each notebook; check cells run here, and ask that process for answers.
So no test, no right answer and no score is ever within a student's reach.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import nbformat
from assignments import grade_cells, grade_id, split
from confine import HOME, LIBRARY, Confinement
from grade_answers import Gone, Late, Session
from grade_checks import Checker
from limits import Watch, kill, most_threads
from nbformat import NotebookNode
from nbformat.v4 import new_output

TEMPORARY = "srcnn-tf-grade"
MOST_MEGABYTES = 1024  # to write into each of two folders


@dataclass
class Task:
    """A notebook to grade.

    Args:
        name: of the notebook.
        notebook: the submission, put back into what was given out.
        solution: what that was made from, with hidden tests.
        cell_seconds: how long a cell may take,
        notebook_seconds: and all of them,
        memory_gb: and how much memory they may have.
    """

    name: str
    notebook: NotebookNode
    solution: NotebookNode
    cell_seconds: int
    notebook_seconds: int
    memory_gb: float


@dataclass
class Graded:
    """What a student's notebook got: points by grade_id, and what went wrong.

    `final` says whether a second try can be spared.
    """

    points: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    page: str = ""
    final: bool = True


@contextlib.contextmanager
def _kernel(task: Task, way: Confinement) -> Iterator[Session]:
    """Start the process that a notebook runs in; end it, and what it started, afterwards."""
    prefix = f"{TEMPORARY}-{os.getpid()}-"
    ours, theirs = socket.socketpair()
    with (
        tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder,
        Connection(ours.detach()) as line,
    ):
        kernel = Path(LIBRARY if way.prefix else Path(__file__).parent, "grade_kernel.py")
        package = LIBRARY if way.prefix else os.pathsep.join(filter(None, sys.path))
        home = (
            {"HOME": HOME, "TMPDIR": "/tmp"} if way.prefix else {"HOME": folder, "TMPDIR": folder}
        )
        kept = ("PATH", "LANG", "LC_ALL", "SRCNN_TF_DATA", "TF_CPP_MIN_LOG_LEVEL")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"PYTHONPATH": package, "PYTHONNOUSERSITE": "1", **home}
        environment["USER"] = "student"
        environment["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        data = [Path(os.environ[name]) for name in ["SRCNN_TF_DATA"] if name in os.environ]
        command = [sys.executable, str(kernel), str(theirs.fileno())]
        command += [str(int(task.memory_gb * 2**30)), str(most_threads())]
        with theirs:
            process = subprocess.Popen(
                way.command(*command, megabytes=MOST_MEGABYTES, show=data),
                env=environment,
                cwd=folder,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        watch = Watch(process.pid, task.notebook_seconds, task.memory_gb)
        try:
            session = Session(line, watch.interrupt)
            watch.kernel = watch.processes()[-1]
            watch.start()
            yield session
        except Gone as error:
            raise Gone(watch.reason or str(error)) from error
        finally:
            watch.end()
            process.wait()


def _run(cell: NotebookNode, session: Session) -> bool:
    """Execute a cell; return whether it took too long."""
    late = False
    try:
        with contextlib.suppress(Exception):  # a kernel may reply anything
            session.ask("execute", cell.source)
    except Late:
        late = True
    cell.outputs = _outputs(session)
    return late


def _outputs(session: Session) -> list[NotebookNode]:
    shown, session.shown = session.shown, []
    return [nbformat.from_dict(output) for output in shown]


def _execute(task: Task, way: Confinement, graded: Graded) -> None:
    """Execute and score; what goes wrong becomes a note."""
    checker, failed = Checker(task.solution), []
    with _kernel(task, way) as session:
        for cell in task.notebook.cells:
            session.left = task.cell_seconds
            if grade_id(cell) in checker.sources:
                if not _check(cell, checker, session, task, graded):
                    failed.append(cell)
            elif cell.cell_type == "code" and _run(cell, session):
                what = grade_id(cell) or "a cell of the student's own"
                graded.notes.append(f"{what}: stopped after {task.cell_seconds} s")
        for cell in failed:  # what they need may stand below them
            session.left = task.cell_seconds
            _check(cell, checker, session, task, graded)


def _check(
    cell: NotebookNode, checker: Checker, session: Session, task: Task, graded: Graded
) -> bool:
    """Score a check cell; return whether a second try can be spared."""
    name = grade_id(cell)
    graded.points.setdefault(name, 0.0)
    try:
        done, text = checker.check(name, session)
    except Late:
        graded.notes.append(f"{name}: stopped after {task.cell_seconds} s")
        return True
    if done:
        graded.points[name] = float(cell.metadata.nbgrader.points)
    with contextlib.suppress(Exception):
        session.ask("execute", "")  # brings what the student's code printed meanwhile
    cell.outputs = [new_output("stream", text=text), *_outputs(session)]
    return done


def grade(task: Task, way: Confinement) -> Graded:
    """Grade a notebook; whatever is wrong with it stands in the notes."""
    import feedback  # takes two seconds, and who only starts workers need not wait

    graded = Graded()
    try:
        _execute(task, way, graded)
    except Gone as error:
        graded.notes.append(f"{task.name}: {error}")
    try:
        exercises = {
            grade_id(cell): exercise
            for exercise, cells in split(task.solution)
            for cell in grade_cells(cells)
        }
        graded.page = feedback.page(task.name, task.notebook, graded.points, exercises)
    except Exception as error:  # a notebook can be unlike anything that a renderer expects
        graded.notes.append(f"{task.name}: no feedback page ({type(error).__name__})")
    return graded


def _end_with_the_grader() -> None:
    """Wait for the end of the process that started this one, which may be killed."""
    multiprocessing.parent_process().join()
    kill(os.getpid())


def main(line: Connection, way: Confinement) -> None:
    """Grade what comes, until nothing comes any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the grader ends us
    threading.Thread(target=_end_with_the_grader, daemon=True).start()
    os.environ["MPLBACKEND"] = "agg"
    for descriptor in (1, 2):  # TensorFlow's chatter
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    with contextlib.suppress(EOFError):
        while True:
            task = line.recv()
            try:
                graded = grade(task, way)
            except Exception as error:  # the next student must not suffer for it
                reason = f"{task.name}: not graded ({type(error).__name__}: {error})"
                graded = Graded(notes=[reason], final=False)
            line.send(graded)
