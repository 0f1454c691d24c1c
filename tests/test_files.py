"""Files are written whole or not at all, over files alone, and what a kill has left is swept."""

import os
import subprocess
import sys

import pytest

from srcnn_tf import files
from srcnn_tf.files import check_place, write_file

posix = pytest.mark.skipif(os.name != "posix", reason="devices and links as Unix has them")


@posix
def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    target, link = tmp_path / "target.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    link.symlink_to(target.name)
    with pytest.raises(FileExistsError, match=r"link\.png exists; overwrite=True"):
        write_file(link, b"new")
    write_file(link, b"new", overwrite=True)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@posix
def test_a_dangling_link_is_written_through(tmp_path):
    link = tmp_path / "link.png"
    link.symlink_to("not_yet.png")
    write_file(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "not_yet.png").read_bytes() == b"new"


@posix
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_not_replaced(tmp_path, kind):
    place = tmp_path / "pipe"
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place = "/dev/null"
    for write in (check_place, lambda path, overwrite: write_file(path, b"x", overwrite)):
        with pytest.raises(OSError, match="it is a device or a pipe; only files are replaced"):
            write(place, overwrite=True)
    assert not os.path.isfile(place)


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        write_file(tmp_path, b"x", overwrite=True)


@posix
def test_parts_of_dead_processes_are_swept_and_no_others(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    number = int(dead.stdout)
    host = files._HOST
    gone = [f".{number}-1.part", f".{host}-{number}-1.part"]
    kept = [
        f".{os.getpid()}-1.part",
        f".{host}-{os.getppid()}-1.part",
        f".elsewhere-{number}-1.part",
    ]
    kept += [".mine.part", "part"]
    for name in (*gone, *kept):
        (tmp_path / name).touch()
    write_file(tmp_path / "a", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "a"])
