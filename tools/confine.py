"""Start a command with a file system, processes and a network of its own.

`Confinement` writes the command line for bubblewrap. Where bubblewrap is missing, this file does
the same when util-linux's `unshare` starts it: it understands those options that we use.
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
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
    emulated = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    ways = {
        "bubblewrap": ["bwrap", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"],
        "unshare": [*UNSHARE, "--user", "--map-root-user", *emulated],
    }
    if os.geteuid() == 0:  # who can become another user, which is better
        ways = {"unshare, as another user": [*UNSHARE, *emulated], **ways}
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


# What follows does what bubblewrap does.

RDONLY, NOSUID, NODEV, BIND, RECURSIVE, DETACH = 1, 2, 4, 4096, 16384, 2
AT_RECURSIVE, MOUNT_SETATTR = 0x8000, 442  # the call's number on every architecture
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
OLD, NEW = Path("/oldroot"), Path("/newroot")
LIBC = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments) -> None:
    texts = [str(a).encode() if isinstance(a, str | Path) else a for a in arguments]
    if getattr(LIBC, name)(*texts) < 0:
        raise OSError(ctypes.get_errno(), f"{name} {arguments}")


def _mount(source: str | Path, target: Path, kind: str | None, flags: int, data: str = "") -> None:
    _call("mount", source, target, kind, ctypes.c_ulong(flags), data)


def _set(target: Path, attributes: int, flags: int = 0) -> None:
    wanted = struct.pack("QQQQ", attributes, 0, 0, 0)
    _call("syscall", MOUNT_SETATTR, -100, target, flags, wanted, ctypes.c_size_t(len(wanted)))


def _inside(path: str) -> Path:
    return NEW / path.lstrip("/")


def _tmpfs(path: str, size: str = "1m") -> None:
    _inside(path).mkdir(parents=True, exist_ok=True)
    _mount("tmpfs", _inside(path), "tmpfs", NOSUID | NODEV, f"mode=1777,size={size}")


def _bind(source: str, target: str, attributes: int = RDONLY | NOSUID | NODEV) -> None:
    origin, place = OLD / source.lstrip("/"), _inside(target)
    if origin.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    elif not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    _mount(origin, place, None, BIND | RECURSIVE)
    _set(place, attributes, AT_RECURSIVE)


def _devices(path: str) -> None:
    _tmpfs(path)
    for name in ("null", "zero", "full", "random", "urandom"):
        _bind(f"/dev/{name}", f"{path}/{name}", NOSUID)
    for link, target in (("fd", "/proc/self/fd"), ("ptmx", "pts/ptmx")):
        _inside(f"{path}/{link}").symlink_to(target)
    _inside(f"{path}/pts").mkdir()
    settings = "newinstance,ptmxmode=0666,mode=620"
    _mount("devpts", _inside(f"{path}/pts"), "devpts", NOSUID, settings)
    _tmpfs(f"{path}/shm", "64m")


def _read(arguments: list[str]) -> list[tuple[str, str, str]]:
    """Return options with their one or two values; sources are resolved while they can be."""
    words, steps = iter(arguments), []
    for option in words:
        value = next(words)
        if option.startswith("--ro-bind"):
            source, value = os.path.realpath(value), next(words)
            if option == "--ro-bind" or os.path.exists(source):
                steps.append(("--ro-bind", value, source))
        else:
            steps.append((option, value, ""))
    return steps


def main(arguments: list[str]) -> None:
    """Build a root folder from bubblewrap's options, and become the command after `--`."""
    with socket.socket() as any_socket:  # 127.0.0.1 is off in a new network namespace
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
    end = arguments.index("--")
    steps, command = _read(arguments[:end]), arguments[end + 1 :]
    user = os.stat("/proc/self/ns/pid").st_ino  # nobody else: its processes can be counted
    _mount("tmpfs", Path("/tmp"), "tmpfs", NOSUID | NODEV, "mode=755")
    for folder in (OLD, NEW):
        Path(f"/tmp{folder}").mkdir()
    _call("pivot_root", "/tmp", f"/tmp{OLD}")
    os.chdir("/")
    _mount("tmpfs", NEW, "tmpfs", NOSUID | NODEV, "mode=755,size=1m")
    size = "1m"
    for option, value, source in steps:
        match option:
            case "--size":
                size = value
            case "--tmpfs":
                _tmpfs(value, size)
                size = "1m"
            case "--ro-bind":
                _bind(source, value)
            case "--proc":
                _inside(value).mkdir(exist_ok=True)
                _mount("proc", _inside(value), "proc", NOSUID | NODEV)
            case "--dev":
                _devices(value)
            case "--remount-ro":
                _set(_inside(value), RDONLY)
            case "--chdir":
                start = value
            case _:
                raise ValueError(f"{option} is not known here")
    os.chdir(NEW)
    _call("pivot_root", ".", ".")
    _call("umount2", ".", DETACH)  # the old root, which now lies upon the new one
    os.chdir(start)
    for capability in range(64):
        LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # it fails for those there are not
    with contextlib.suppress(OSError):  # where there is no other user to become
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    child = os.fork()
    if not child:
        os.execv(command[0], command)
    while True:  # the first process of a namespace buries the others
        process, status = os.wait()
        if process == child:
            sys.exit(os.waitstatus_to_exitcode(status) != 0)


if __name__ == "__main__":
    main(sys.argv[1:])
