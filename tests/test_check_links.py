import check_links
import pytest
from nbformat import write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

OURS = "https://github.com/a-b/c.d"
COLAB = "https://colab.research.google.com/github/a-b/c.d/blob/main"
README = """
# Zwei Wörter: `x_1`!

A [page](docs/page.md "its title"), a [folder](docs/), a [heading](docs/page.md#size--shape), the
[second](docs/page.md#size-1) of that name, [this page](#zwei-wörter-x_1), [spaces](docs/a%20b.md),
![picture](docs/x.png), <img alt="" src="docs/x.png"> and <a href="docs/page.md#here">HTML</a>.

[reference]: docs/page.md
A [reference], [ours]({OURS}/blob/main/docs/page.md#size), [ours]({OURS}/tree/main/docs),
[the root]({OURS}/tree/main), [Colab]({COLAB}/notebooks/deep/1.ipynb),
[not a file]({OURS}/issues), [theirs](https://github.com/them/c.d/blob/main/gone.md),
[mail](mailto:me@example.org), <https://example.org/gone.md> and [line](docs/x.png#L3).

Code is no link: `[x](gone.md)`, `<img src="gone.png">`, $a[i](gone.md)$.

```
[x](gone.md) <a href="gone.md">
```
<!-- [x](gone.md) -->
"""
PAGE = "# Size & Shape\n\n## Size\n\n<a id='here'></a>\n\n```\n## Code\n```\n\n## Size\n"
NOTEBOOK = (
    "# Size & shape\n\n[up](../../README.md), [Jupyter's](#Size-&-shape), [GitHub's](#size--shape)"
)


@pytest.fixture
def tree(tmp_path):
    """A repository whose links are right."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{OURS}"\n')
    (tmp_path / "README.md").write_text(README.replace("{OURS}", OURS).replace("{COLAB}", COLAB))
    (tmp_path / "docs" / "page.md").write_text(PAGE)
    (tmp_path / "docs" / "a b.md").write_text("[up](..)")
    (tmp_path / "docs" / "x.png").touch()
    cells = [new_markdown_cell(NOTEBOOK), new_markdown_cell("[1](1.ipynb#Size-&-shape)")]
    cells[1].source += " ![](attachment:x.png)"
    cells[1].attachments = {"x.png": {"image/png": "AAAA"}}
    cells.append(new_code_cell("text = '[x](gone.md)'"))
    write(new_notebook(cells=cells), tmp_path / "notebooks" / "deep" / "1.ipynb")
    return tmp_path


def test_right_links_are_not_named(tree, capsys):
    assert check_links.main(tree) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "link", "wrong"),
    [
        ("[x](docs/gone.md)", "docs/gone.md", "file"),
        ("[x](page.md)", "page.md", "file"),  # it stands in docs/
        ("![x](docs/a%20c.png)", "docs/a c.png", "file"),
        ('<p align="center"><img src="gone.png"></p>', "gone.png", "file"),
        ('<a\nhref="gone/">x</a>', "gone/", "file"),
        ("[x][1]\n\n[1]: gone.md", "gone.md", "file"),
        ("[`x`](gone.md)", "gone.md", "file"),
        ("[x]()", "", "file"),
        ("[x](../)", "../", "file"),  # whose it is, nobody knows
        ("[x](/docs/page.md)", "/docs/page.md", "file"),
        (f"[x]({OURS}/blob/main/gone.md)", f"{OURS}/blob/main/gone.md", "file"),
        (f"[x]({OURS}/tree/main/gone)", f"{OURS}/tree/main/gone", "file"),
        (f"[x]({COLAB}/1.ipynb)", f"{COLAB}/1.ipynb", "file"),
        ("[x](#gone)", "#gone", "heading"),
        ("[x](docs/page.md#Size)", "docs/page.md#Size", "heading"),  # Jupyter's, not GitHub's
        ("[x](docs/page.md#size-2)", "docs/page.md#size-2", "heading"),
        ("[x](docs/page.md#code)", "docs/page.md#code", "heading"),
        ("[x](notebooks/deep/1.ipynb#size)", "notebooks/deep/1.ipynb#size", "heading"),
        (f"[x]({OURS}/blob/main/docs/page.md#go)", f"{OURS}/blob/main/docs/page.md#go", "heading"),
    ],
)
def test_a_wrong_link_is_named_with_what_is_wrong(tree, capsys, text, link, wrong):
    (tree / "MORE.md").write_text(f"# More\n\n{text}\n")
    assert check_links.main(tree) == 1
    assert capsys.readouterr().out == f"MORE.md: {link}: there is no such {wrong}\n"


@pytest.mark.parametrize("name", ["docs/deep/x.md", ".github/x.md", "notebooks/deep/2.ipynb"])
def test_every_file_of_the_repository_is_read(tree, capsys, name):
    (tree / name).parent.mkdir(exist_ok=True)
    if name.endswith(".md"):
        (tree / name).write_text("[x](gone.md)")
    else:
        write(new_notebook(cells=[new_markdown_cell("[x](gone.md)")]), tree / name)
    assert check_links.main(tree) == 1
    assert capsys.readouterr().out == f"{name}: gone.md: there is no such file\n"


@pytest.mark.parametrize("folder", [".venv-old/docs", "build/site", "docs/.ipynb_checkpoints"])
def test_what_is_not_of_the_repository_is_not_read(tree, folder):
    (tree / folder).mkdir(parents=True)
    (tree / folder / "x.md").write_text("[x](gone.md)")
    assert check_links.main(tree) == 0


def test_the_links_of_this_repository_lead_somewhere(capsys):
    assert check_links.main() == 0, capsys.readouterr().out
