import zipfile

import pytest
from nbformat.v4 import new_notebook

pytest.importorskip("nbgrader", reason="grading needs the extra srcnn-tf[instructor]")

import handed_in


def test_no_more_is_read_than_anybody_hands_in(tmp_path, monkeypatch):
    monkeypatch.setattr(handed_in, "MOST_BYTES", 5000)
    monkeypatch.setattr(handed_in, "MOST_FILES", 6)
    with (tmp_path / "a.ipynb").open("wb") as sparse:
        sparse.truncate(10**10)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.ipynb", bytes(10**6))
        archive.writestr("small.txt", "text")
    for number in range(20):
        (tmp_path / f"c{number:02}.png").write_bytes(b"\x89PNG" * 1000)
    for number in range(9):
        (tmp_path / f"d{number}.ipynb").write_text('{"cells": []}')
    limit, count = "(more than 0 MB in all)", "and what follows (more than 6 notebooks)"
    pictures = ", ".join(f"c{number:02}.png" for number in range(8))
    given = {"lesson": new_notebook()}
    assert handed_in.collect(tmp_path, given).notes == [
        f"not read: a.ipynb {limit}",
        f"not read: b.zip/bomb.ipynb {limit}",
        *(f"not graded: d{n}.ipynb is none of the notebooks given out" for n in range(3)),
        f"not read: d3.ipynb {count}",
        f"not graded: b.zip/small.txt, {pictures} and 12 more",
        "lesson: not handed in",
    ]
