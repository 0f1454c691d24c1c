"""Execute notebooks, confined, and score them from outside: `grade.py` starts some of these.

A worker takes one notebook after the other. The student's cells run in a kernel (grade_kernel.py)
that is confined and new for each notebook; check cells run here, and ask that kernel for answers.
So no test, no right answer and no score is ever within a student's reach.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import feedback
import psutil
from assignments import grade_cells, grade_id, split
from confine import HOME, LIBRARY, Confinement
from grade_answers import Checker, Session, Stopped, bound, parse
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output

SERVE = "__import__('grade_kernel').serve()"
TIMEOUT = {"ename": "CellTimeoutError", "evalue": "the cell took too long", "traceback": []}
TEMPORARY = "srcnn-tf-grade"
MOST_PROCESSES, MOST_MEGABYTES, MOST_OUTPUTS, MOST_CHARACTERS = 256, 1024, 1000, 2 * 10**7


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


class _Manager(AsyncKernelManager):
    """Starts a kernel by a command of ours; interrupts it by message, which confinement passes."""

    command: list[str]

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(argv=self.command, language="python", interrupt_mode="message")


class _Client(NotebookClient):
    """Executes cells, and keeps no more of their output than anybody can want."""

    characters = 0

    def output(self, outs, msg, display_id, cell_index):
        content = msg["content"]
        self.characters += len(str(content.get("text", ""))) + len(str(content.get("data", "")))
        if self.characters > MOST_CHARACTERS or len(outs) > MOST_OUTPUTS:
            return None
        return super().output(outs, msg, display_id, cell_index)


class _Watch(threading.Thread):
    """Ends a kernel and all that it started, when it is told to or when they take too much."""

    def __init__(self, process: int, memory_gb: float):
        super().__init__(daemon=True)
        self.root, self.memory = psutil.Process(process), memory_gb * 2**30
        self.seen: set[psutil.Process] = set()
        self.over, self.reason, self.starter = threading.Event(), "", os.getppid()

    def run(self) -> None:
        while not self.over.wait(0.5):
            if os.getppid() != self.starter:  # whom nobody can answer any more
                self.end()
                os._exit(1)
            with contextlib.suppress(psutil.Error):
                processes = [self.root, *self.root.children(recursive=True)]
                self.seen.update(processes)
                if len(processes) > MOST_PROCESSES:
                    self.end(f"stopped: more than {MOST_PROCESSES} processes")
                elif self._memory(processes) > self.memory:
                    self.end(f"stopped: more than {self.memory / 2**30:g} GB of memory")

    def _memory(self, processes: list[psutil.Process]) -> float:
        if sum(process.memory_info().rss for process in processes) < self.memory:
            return 0
        full = [process.memory_full_info() for process in processes]  # slow; counts shares once
        return sum(getattr(each, "pss", each.uss) for each in full)

    def end(self, reason: str = "") -> None:
        self.reason = self.reason or reason
        self.over.set()
        with contextlib.suppress(psutil.Error):
            self.seen.update([self.root, *self.root.children(recursive=True)])
        for process in self.seen:
            with contextlib.suppress(psutil.Error):
                process.kill()


async def _start(task: Task, way: Confinement, folder: Path) -> tuple[_Manager, Connection, int]:
    """Start a kernel; return its manager, the line to it, and its folder as a descriptor."""
    home = HOME if way.prefix else str(folder)
    kernel = Path(LIBRARY if way.prefix else Path(__file__).parent, "grade_kernel.py")
    package = LIBRARY if way.prefix else os.pathsep.join(filter(None, sys.path))
    kept = ("PATH", "LANG", "LC_ALL", "SRCNN_TF_DATA", "TF_CPP_MIN_LOG_LEVEL")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": home, "TMPDIR": "/tmp" if way.prefix else home}
    data = [Path(os.environ[name]) for name in ["SRCNN_TF_DATA"] if name in os.environ]
    # Its sockets lie in a folder that only it has; what it sends of that takes this number.
    inside = os.open(folder, os.O_RDONLY)
    seen = f"/proc/self/fd/{inside}" if sys.platform == "linux" else home
    connection = str(folder / "connection.json")
    manager = _Manager(transport="ipc", ip=f"{seen}/.kernel", connection_file=connection)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, str(kernel), str(theirs.fileno())]
        command += [str(int(task.memory_gb * 2**30))]
        manager.command = way.command(*command, megabytes=MOST_MEGABYTES, show=data)
        await manager.start_kernel(
            env=environment | {"PYTHONPATH": package, "PYTHONNOUSERSITE": "1"},
            cwd=folder,
            pass_fds=[theirs.fileno()],
            independent=True,  # it does not know us by our number
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        line = Connection(os.dup(ours.fileno()))
        told = {"key": manager.session.key.decode(), "ip": f"{home}/.kernel"}
        line.send_bytes(json.dumps(manager.get_connection_info() | told).encode())
        if not line.poll(60):
            raise OSError("the kernel did not start")
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    for descriptor in descriptors:
        os.dup2(descriptor, inside)
        os.close(descriptor)
    return manager, line, inside


class _Run:
    """One notebook from its first cell to its last."""

    def __init__(self, task: Task):
        self.task, self.graded, self.client = task, Graded(), None
        codes = [cell for cell in task.solution.cells if cell.cell_type == "code"]
        marks = [(cell, cell.metadata.get("nbgrader", {})) for cell in codes]
        self.checks = {grade_id(cell): cell for cell, mark in marks if mark.get("grade")}
        self.checker = Checker(
            (cell.source, mark.get("solution", False))
            for cell, mark in marks
            if not mark.get("grade")
        )

    def note(self, text: str) -> None:
        self.graded.notes.append(text)

    async def execute(self, way: Confinement, folder: Path) -> None:
        """Execute and score; what goes wrong becomes a note."""
        task = self.task
        self.manager, self.connection, inside = await _start(task, way, folder)
        watch = _Watch(self.manager.provisioner.pid, task.memory_gb)
        watch.start()
        try:
            async with asyncio.timeout(task.notebook_seconds) as limit:
                await self._cells()
        except (TimeoutError, DeadKernelError, RuntimeError, Stopped) as error:
            reason = watch.reason or str(error)
            if limit.expired():
                reason = f"stopped after {task.notebook_seconds} s"
            elif isinstance(error, DeadKernelError) and not watch.reason:
                reason = "the kernel died"
            self.note(f"{task.name}: {reason}")
        finally:
            watch.end()
            if self.client and self.client.kc:
                self.client.kc.stop_channels()
            self.connection.close()
            os.close(inside)
            await self.manager.cleanup_resources()

    async def _cells(self) -> None:
        def executed(cell, cell_index, execute_reply):
            if execute_reply["content"].get("ename") == TIMEOUT["ename"]:
                what = grade_id(cell) or "a cell of the student's own"
                self.note(f"{what}: stopped after {self.task.cell_seconds} s")

        self.client = _Client(
            self.task.notebook,
            km=self.manager,
            timeout_func=lambda cell: None if cell.source == SERVE else self.task.cell_seconds,
            interrupt_on_timeout=True,
            error_on_timeout=TIMEOUT,
            allow_errors=True,
            record_timing=False,
            store_widget_state=False,
            iopub_timeout=5,
            on_cell_executed=executed,
        )
        self.client.reset_execution_trackers()
        cells = self.task.notebook.cells
        await self.client.async_start_new_kernel_client()
        for index, cell in enumerate(cells):
            if grade_id(cell) in self.checks:
                await self._check(cell, index)
            elif cell.cell_type == "code":
                await self.client.async_execute_cell(cell, index, store_history=True)
        for index, cell in enumerate(cells):
            name = grade_id(cell)
            later = [each.source for each in cells[index:] if each.cell_type == "code"]
            if name in self.checks and not self.graded.points[name]:
                asked, _ = self.checker.needed(self.checks[name].source)
                if asked & set().union(*map(bound, map(parse, later))):
                    await self._check(cell, index)

    async def _check(self, cell: NotebookNode, index: int) -> None:
        """Score a check cell; what it says, and what the student's code printed, is its output."""
        source, name = self.checks[grade_id(cell)].source, grade_id(cell)
        self.graded.points[name] = 0.0
        serve = new_code_cell(SERVE)
        serving = asyncio.ensure_future(self.client.async_execute_cell(serve, index))
        session = Session(self.connection, self.task.cell_seconds)
        right, text = False, ""
        try:
            right, text = await asyncio.to_thread(self.checker.check, source, session)
        except Stopped:
            if session.left <= 0:
                self.note(f"{name}: stopped after {self.task.cell_seconds} s")
                await self.manager.interrupt_kernel()
        with contextlib.suppress(OSError):
            self.connection.send_bytes(b"")
        done, _ = await asyncio.wait([serving], timeout=10)
        if not done:
            serving.cancel()
            raise Stopped(f"{name} could not be stopped, and what follows it not be graded")
        serving.result()
        self.task.notebook.cells[index] = cell
        cell.outputs = [new_output("stream", text=text)] if text else []
        cell.outputs += serve.outputs
        if right:
            self.graded.points[name] = float(cell.metadata.nbgrader.points)


def grade(task: Task, way: Confinement) -> Graded:
    """Grade a notebook; whatever is wrong with it stands in the notes."""
    run = _Run(task)
    prefix = f"{TEMPORARY}-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        asyncio.run(run.execute(way, Path(folder)))
    try:
        exercises = {
            grade_id(cell): exercise
            for exercise, cells in split(task.solution)
            for cell in grade_cells(cells)
        }
        run.graded.page = feedback.page(task.name, task.notebook, run.graded.points, exercises)
    except Exception as error:  # a notebook can be unlike anything that a renderer expects
        run.note(f"{task.name}: no feedback page ({type(error).__name__})")
    return run.graded


def main(descriptor: str) -> None:
    """Grade what comes, until nothing comes any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(int(descriptor)) as line, contextlib.suppress(EOFError):
        way = line.recv()
        while task := line.recv():
            try:
                graded = grade(task, way)
            except Exception as error:  # the next student must not suffer for it
                reason = f"{task.name}: not graded ({type(error).__name__}: {error})"
                graded = Graded(notes=[reason], final=False)
            line.send(graded)


if __name__ == "__main__":
    import grade_worker  # by this name, so that the other end knows its classes

    grade_worker.main(sys.argv[1])
