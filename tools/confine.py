"""Start a command with a file system, processes and a network of its own.

`Confinement` writes the command line for bubblewrap. Where bubblewrap is missing, confine.sh does
the same when util-linux's `unshare` starts it: it understands those options that we use.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

HOME, LIBRARY = "/home/student", "/grade"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
SETTINGS = ("ld.so.cache", "alternatives", "fonts", "localtime", "passwd", "group", "nsswitch.conf")
ORPHANS_DIE = ["setpriv", "--pdeathsig", "KILL"]
UNSHARE = [*ORPHANS_DIE, "unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork"]
UNSHARE += ["--kill-child"]


@dataclass(frozen=True)
class Confinement:
    """A way to start commands confined.

    Args:
        prefix: what stands before bubblewrap's options; nothing where no way works.
        words: what it does, for people.
        private: folders that must not be seen, should they lie in one that is shown.
    """

    prefix: list[str] = field(default_factory=list)
    words: str = ""
    private: tuple[Path, ...] = ()

    def command(self, *command: str, megabytes: int, show: Sequence[Path] = ()) -> list[str]:
        """Return a command line.

        Args:
            *command: what to run, with paths as they are inside.
            megabytes: how much may be written to each of its two writable folders.
            show: files that it sees besides system, interpreter and library, under their own paths.
        """
        if not self.prefix:
            return list(command)
        interpreter = [Path(sys.prefix), Path(sys.base_prefix)]
        seen = [
            *map(Path, SYSTEM),
            *(Path("/etc") / name for name in SETTINGS),
            *interpreter,
            *show,
        ]
        size = str(megabytes * 2**20)
        options = ["--size", size, "--tmpfs", "/tmp", "--tmpfs", "/home"]
        options += ["--size", size, "--tmpfs", HOME]
        for path in dict.fromkeys(seen):
            options += ["--ro-bind-try", str(path), str(path)]
        package = find_spec("srcnn_tf").submodule_search_locations[0]
        kernel = Path(__file__).with_name("grade_kernel.py")
        options += ["--ro-bind", package, f"{LIBRARY}/srcnn_tf"]
        options += ["--ro-bind", str(kernel), f"{LIBRARY}/{kernel.name}"]
        for path in self.private:
            if any(path.is_relative_to(shown) for shown in seen):
                options += ["--tmpfs", str(path), "--remount-ro", str(path)]
        options += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]
        options += ["--remount-ro", "/home", "--remount-ro", "/", "--chdir", HOME]
        return [*self.prefix, *options, "--", *command]


def find(private: Sequence[Path] = ()) -> Confinement:
    """Return the best confinement that works here: each is tried with the interpreter it is for."""
    emulated = ["sh", str(Path(__file__).with_name("confine.sh").resolve()), sys.executable]
    ways = {
        "bubblewrap": ["bwrap", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"],
        "unshare": [*UNSHARE, "--user", "--map-root-user", *emulated, "-"],
    }
    if os.geteuid() == 0:  # who can become another user, which is better
        ways = {"unshare, as another user": [*UNSHARE, *emulated, "own"], **ways}
    folders = tuple(path.resolve() for path in private)
    for name, prefix in ways.items():
        way = Confinement(prefix, f"confined by {name}: no network, files of its own", folders)
        command = way.command(sys.executable, "-c", "import IPython, numpy, srcnn_tf", megabytes=1)
        environment = os.environ | {"PYTHONPATH": LIBRARY, "TF_CPP_MIN_LOG_LEVEL": "3"}
        with contextlib.suppress(OSError):  # no such program
            if not subprocess.run(
                command, env=environment, capture_output=True, check=False
            ).returncode:
                return way
    return Confinement(
        words="NOT confined: a submission can read and change whatever you can, and has the "
        "network; docs/teaching.md says what to do"
    )
