"""Bytes to disk, whole or not at all; needs nothing but Python."""

import contextlib
import os
import platform
import re
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_HOST = re.sub(r"\W", "_", platform.node())  # a process has its number on one machine only


def write_file(path: str | Path, data: bytes, overwrite: bool = False) -> None:
    """Write bytes to a file so that it is there whole or not at all; see `whole`."""
    with whole(path, overwrite) as partial:
        partial.write_bytes(data)


@contextlib.contextmanager
def whole(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a place to write at, which becomes the file at the end, or vanishes at any error.

    A link's target is written. What a killed process has left half-written in the folder is
    removed.

    Raises:
        FileExistsError: the file is there and `overwrite` is false.
        FileNotFoundError: there is no such folder.
        OSError: the path is a folder, device or pipe, the folder cannot be written to, or the disk
            is full.
    """
    check_place(path, overwrite)
    place = _target(path)
    _sweep(place.parent)
    partial = place.with_name(f".{_HOST}-{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield partial
        partial.replace(place)
    except OSError as error:
        told = f"cannot write {path} ({error.strerror}); nothing was written"
        raise OSError(error.errno, told) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def check_place(path: str | Path, overwrite: bool = False) -> None:
    """Raise what `write_file` would raise for this path, before any work is done."""
    place = _target(path)
    if not place.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {place.parent}")
    if place.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    if place.exists() and not place.is_file():
        raise OSError(f"cannot write {path}: it is a device or a pipe; only files are replaced")
    if place.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; overwrite=True, or --overwrite, replaces it")


def _target(path: str | Path) -> Path:
    return Path(os.path.realpath(path) if os.path.islink(path) else path)


@cache  # once for each folder: a large one takes long to list
def _sweep(folder: Path) -> None:
    """Remove what processes of this machine that are no more have left half-written in a folder."""
    if os.name != "posix":  # elsewhere os.kill ends the process that it asks for
        return
    try:
        partial = list(folder.glob(".*.part"))
    except OSError:  # what cannot be looked into cannot be written to
        return
    for path in partial:
        # Before files were named after the machine, they had the numbers alone.
        if match := re.fullmatch(rf"\.(?:{_HOST}-)?(\d+)-\d+\.part", path.name):
            try:
                os.kill(int(match[1]), 0)
            except ProcessLookupError:
                with contextlib.suppress(OSError):
                    path.unlink()
            except (OSError, OverflowError):  # another user's, which lives
                continue
