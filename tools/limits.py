"""What a process and all that it started may take together."""

import contextlib
import os
import signal
import threading
import time

import psutil

MOST_PROCESSES = 256


def kill(process: int) -> None:
    """Kill a process and all that it started."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(process)
        for each in [*root.children(recursive=True), root]:
            with contextlib.suppress(psutil.Error):
                each.kill()


class Watch(threading.Thread):
    """Ends a process and all that it started, when it is told to or when they take too much."""

    def __init__(self, process: int, seconds: float, memory_gb: float):
        super().__init__(daemon=True)
        self.root, self.seconds, self.memory = psutil.Process(process), seconds, memory_gb * 2**30
        self.seen: set[psutil.Process] = set()
        self.over, self.reason = threading.Event(), ""

    def run(self) -> None:
        deadline = time.monotonic() + self.seconds
        while not self.over.wait(0.5):
            if time.monotonic() > deadline:
                self.end(f"stopped after {self.seconds} s")
            with contextlib.suppress(psutil.Error):
                processes = self.processes()
                if len(processes) > MOST_PROCESSES:
                    self.end(f"stopped: more than {MOST_PROCESSES} processes")
                elif self._memory(processes) > self.memory:
                    self.end(f"stopped: more than {self.memory / 2**30:g} GB of memory")

    def processes(self) -> list[psutil.Process]:
        processes = [self.root, *self.root.children(recursive=True)]
        self.seen.update(processes)
        return processes

    def _memory(self, processes: list[psutil.Process]) -> float:
        if sum(process.memory_info().rss for process in processes) < self.memory:
            return 0
        full = [process.memory_full_info() for process in processes]  # slow; counts shares once
        return sum(getattr(each, "pss", each.uss) for each in full)

    def interrupt(self) -> None:
        """Press Ctrl-C in the process that executes: the last of the chain that started it."""
        with contextlib.suppress(psutil.Error):
            self.kernel.send_signal(signal.SIGINT)

    def end(self, reason: str = "") -> None:
        self.reason = self.reason or reason
        self.over.set()
        kill(self.root.pid)
        for process in self.seen:  # whose parents ended before
            with contextlib.suppress(psutil.Error):
                process.kill()


def most_threads() -> int:
    """Return what stops a fork bomb; some systems count what else their user runs."""
    running = sum(p.info["num_threads"] or 0 for p in psutil.process_iter(["num_threads"]))
    for_tensorflow = 16 * (os.cpu_count() or 1)
    return running + MOST_PROCESSES + for_tensorflow
