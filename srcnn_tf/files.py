"""Bytes to disk, whole or not at all; needs nothing but Python."""

import contextlib
import os
import threading
from pathlib import Path


def write_file(path: str | Path, data: bytes, overwrite: bool = False) -> None:
    """Write bytes to a file so that it is there whole or not at all.

    Raises:
        FileExistsError: the file is there and `overwrite` is false.
        FileNotFoundError: there is no such folder.
        OSError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    check_place(path, overwrite)
    partial = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot write {path} ({error.strerror}); nothing was written"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def check_place(path: Path, overwrite: bool = False) -> None:
    """Raise what `write_file` would raise for this path, before any work is done."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists and is kept; overwrite=True, or --overwrite, replaces it"
        )
