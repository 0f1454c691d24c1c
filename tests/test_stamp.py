import nbformat
import stamp


def test_the_address_is_stamped_everywhere(capsys):
    assert stamp.main(["--check"]) == 0, capsys.readouterr().out


def test_stamp_writes_the_address_and_the_lesson_s_own_path(tmp_path):
    old = "https://colab.research.google.com/github/me/old.name/blob/main/notebooks/00_copied.ipynb"
    badge = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({old})"
    cells = [
        nbformat.v4.new_markdown_cell(f"{badge}\n\n# 01 · Größe\n\n[next]({old})"),
        nbformat.v4.new_code_cell("%pip install -q --no-deps git+https://github.com/me/old.name"),
        nbformat.v4.new_markdown_cell("Not ours: https://github.com/them/theirs"),
    ]
    lesson = tmp_path / "notebooks" / "01_size.ipynb"
    lesson.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), lesson)
    (tmp_path / "README.md").write_text(f"git clone https://github.com/me/old.name\n\n{badge}\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/a-b/c.d"\n'
    )
    before = lesson.read_text()
    assert stamp.main(["--check"], tmp_path) == 1
    assert lesson.read_text() == before
    assert stamp.main([], tmp_path) == 0
    assert stamp.main(["--check"], tmp_path) == 0
    first, setup, foreign = nbformat.read(lesson, as_version=4).cells
    assert "github/a-b/c.d/blob/main/notebooks/01_size.ipynb)\n" in first.source
    assert "[next](https://colab.research.google.com/github/a-b/c.d/blob/main/notebooks/00_" in (
        first.source
    )
    assert setup.source == "%pip install -q --no-deps git+https://github.com/a-b/c.d"
    assert foreign.source == cells[2].source
    assert lesson.read_text() == before.replace("me/old.name", "a-b/c.d").replace(
        "00_copied.ipynb)\\n", "01_size.ipynb)\\n", 1
    )
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("git clone https://github.com/a-b/c.d\n")
    assert "00_copied" in page
