import re

import lesson_page
import nbformat
import pytest
from html_page import Page


@pytest.mark.parametrize("formula", [r"x_1_2", r"\nosuchcommand x"])
def test_a_formula_that_cannot_be_shown_is_named(formula):
    cell = nbformat.v4.new_markdown_cell(f"${formula}$")
    with pytest.raises(ValueError, match=re.escape(repr(formula))):
        lesson_page.render(nbformat.v4.new_notebook(cells=[cell]))


def test_every_formula_of_the_course_becomes_mathml():
    paths = sorted((lesson_page.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    cells = [cell for path in paths for cell in nbformat.read(path, as_version=4).cells]
    texts = [cell for cell in cells if cell.cell_type == "markdown"]
    formulas = sum(len(re.findall(r"\$\$.+?\$\$|\$.+?\$", cell.source, re.S)) for cell in texts)
    page = Page(lesson_page.render(nbformat.v4.new_notebook(cells=texts)))
    assert page.tags.count("math") == formulas > 0
    assert not page.loads
