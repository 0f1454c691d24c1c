"""The site loads nothing from elsewhere, breaks no link, and says what the lessons gave."""

import json
import re
from urllib.parse import urlsplit

import lesson_page
import make_site
import nbformat
import pytest
from html_page import Page

COLAB = "https://colab.research.google.com"
HEAD = (
    "# 0{n} · Size of `tf.data`\n\n[![Open in Colab]({colab}/assets/colab-badge.svg)]({colab}/x)",
    "**What you will learn**\n\n- to count;\n\n**Time:** about {n}0 minutes, in lesson 0{n}.",
)
BODY = """## A formula

Inline $\\sqrt{{x_1}}$ beside [the formula](#A-formula), then

$$\\frac{{a}}{{b}} \\le \\hat Y$$

and [another](0{other}_size.ipynb#A-formula), an [exercise](exercises/E0{n}.ipynb),
the [README](../README.md) and <https://example.org/paper>.
"""
TOML = """
[01_size]
key_results = ["gain_db", "images"]
expect = {gain_db = {min = 0.5}}
[01_size.fast]
parameters = {STEPS = 3}
[02_size]
"""


def write_lesson(folder, build, n, parameters, results):
    """Write a lesson, and what executing it would have left."""
    values = {"n": n, "other": 3 - n, "colab": COLAB}
    texts = [text.format(**values) for text in (*HEAD, BODY)]
    cells = list(map(nbformat.v4.new_markdown_cell, texts))
    long = "STEPS = 1  # " + 40 * "long "
    cells.insert(2, nbformat.v4.new_code_cell(long, metadata={"tags": ["parameters"]}))
    notebook = nbformat.v4.new_notebook(cells=cells)
    executed = build / f"0{n}_size" / f"0{n}_size.ipynb"
    executed.parent.mkdir(parents=True)
    nbformat.write(notebook, folder / executed.name)
    injected = nbformat.v4.new_code_cell("STEPS = 3", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(3, injected)
    picture = nbformat.v4.new_output("display_data", {"text/html": "<img src='data:,' alt=''>"})
    notebook.cells.append(nbformat.v4.new_code_cell("show()", outputs=[picture]))
    nbformat.write(notebook, folder / executed.name)
    notebook.metadata.papermill = {"parameters": parameters}
    nbformat.write(notebook, executed)
    (executed.parent / "results.json").write_text(json.dumps(results))


def write_course(folder):
    """Write two executed lessons; return the folder of the lessons and that of the executed."""
    notebooks, build = folder / "notebooks", folder / "build"
    notebooks.mkdir()
    write_lesson(notebooks, build, 1, {"STEPS": 3}, {"gain_db": 0.51234, "images": 14})
    write_lesson(notebooks, build, 2, {}, {})
    (notebooks / "lessons.toml").write_text(TOML)
    return notebooks, build


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folders = write_course(tmp_path_factory.mktemp("course"))
    assert make_site.main([], *folders) == 0
    return folders[1] / "site"


@pytest.fixture(scope="module")
def pages(site):
    return {path.name: Page(path.read_text()) for path in site.iterdir()}


def test_pages_load_nothing_from_elsewhere(pages):
    assert sorted(pages) == ["01_size.html", "02_size.html", "index.html"]
    for page in pages.values():
        assert all(address.startswith("data:") for address in page.loads)
        assert not {"script", "iframe", "object", "embed", "base"} & set(page.tags)
        assert "@import" not in page.html
        assert not re.search(r"url\((?!['\"]?(data:|#))", page.html)
    assert "img" in pages["01_size.html"].tags


def test_every_link_leads_somewhere(pages):
    for name, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if address.netloc:
                assert address.scheme == "https"
                continue
            target = pages[address.path or name]
            assert not address.fragment or address.fragment in target.ids, link
    links = pages["01_size.html"].links
    source = f"{lesson_page.REPOSITORY}/blob/main"
    assert {"index.html", "02_size.html#A-formula", f"{COLAB}/x"} <= set(links)
    assert {f"{source}/notebooks/exercises/E01.ipynb", f"{source}/README.md"} <= set(links)
    assert {"01_size.html", "02_size.html", f"{COLAB}/x"} <= set(pages["index.html"].links)


def test_formulas_are_mathml(pages):
    for name in ("01_size.html", "02_size.html"):
        assert pages[name].tags.count("math") == 2
        assert {"msqrt", "msub", "mfrac", "mover"} <= set(pages[name].tags)
        assert "$" not in pages[name].words.split("</style>")[-1].split("A formula")[-1]


def test_index_says_minutes_results_and_their_profile(pages):
    words = " ".join(pages["index.html"].words.split())
    first, second = words[words.index("01 · Size") :].split("02 · Size")
    assert "Open in Colab" in first
    assert "about 10 minutes" in first
    assert "Results (fast profile" in first
    assert first.rstrip(" ¶").endswith("gain 0.5123 dB · images 14")
    assert "about 20 minutes" in second
    assert "Results (full profile" in second
    assert "fast profile" in pages["01_size.html"].words


@pytest.mark.parametrize("name", ["index", "01_size"])
def test_pages_fit_a_phone(browser, site, name):
    browser.set_window_size(500, 800)  # Chromium's windows are no narrower
    browser.get((site / f"{name}.html").as_uri())
    widths = "return [document.documentElement.scrollWidth, innerWidth]"
    scrolled, inner = browser.execute_script(widths)
    assert scrolled <= inner < 600
    code = browser.find_elements("css selector", ".jp-InputArea-editor pre")
    assert all(pre.size["width"] < inner for pre in code)


def spoil_results(folder, build):
    (build / "01_size" / "results.json").write_text('{"gain_db": 0.1, "images": 14}')


def spoil_lesson(folder, build):
    path = folder / "01_size.ipynb"
    path.write_text(path.read_text().replace("to count", "to count anew"))


def spoil_parameters(folder, build):
    path = build / "01_size" / "01_size.ipynb"
    path.write_text(path.read_text().replace('"STEPS": 3', '"STEPS": 4'))


def remove_results(folder, build):
    """The lesson is executed anew, and this one writes no results."""
    (build / "01_size" / "results.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_results, "01_size: result gain_db = 0.1, expected at least 0.5"),
        (spoil_lesson, "01_size: what was executed is another version of the lesson"),
        (spoil_parameters, "`make notebooks LESSON=01` executes it anew"),
        (remove_results, "A lesson failed; the table above says why."),
    ],
)
def test_a_lesson_without_its_results_is_told_and_the_old_site_stays(
    tmp_path, capsys, monkeypatch, spoil, message
):
    fails = lambda lesson, *_: lesson.failures.append("ValueError")  # noqa: E731
    monkeypatch.setattr(make_site.run_lessons, "run", fails)
    folders = write_course(tmp_path)
    old = folders[1] / "site" / "index.html"
    old.parent.mkdir()
    old.write_text("old")
    spoil(*folders)
    assert make_site.main([], *folders) == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.endswith("No site was made.\n")
    assert old.read_text() == "old"
