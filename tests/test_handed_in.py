import zipfile

import pytest

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
    for name in "cdefg":
        (tmp_path / f"{name}.txt").write_text("text")
    limit, count = "(more than 0 MB in all)", "and what follows (more than 6 files)"
    assert handed_in.collect(tmp_path, {}).notes == [
        f"not read: a.ipynb {limit}",
        f"not read: b.zip/bomb.ipynb {limit}",
        "not graded: b.zip/small.txt",
        "not graded: c.txt",
        "not graded: d.txt",
        f"not read: e.txt {count}",
    ]
