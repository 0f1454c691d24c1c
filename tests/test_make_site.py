"""The site loads nothing from elsewhere, breaks no link, and says what the lessons gave."""

import json
import re
from urllib.parse import urlsplit

import lesson_page
import make_site
import nbformat
import pytest
from html_page import Page

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
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

## Another

The end.
"""
TOML = """
[01_size]
key_results = ["gain_db", "images"]
summary = "It gains {gain_db:.2f} dB on {images} images."
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
    long = 'STEPS = 1  # scored on "set5" ' + 40 * "long "
    cells.insert(2, nbformat.v4.new_code_cell(long, metadata={"tags": ["parameters"]}))
    notebook = nbformat.v4.new_notebook(cells=cells)
    executed = build / f"0{n}_size" / f"0{n}_size.ipynb"
    executed.parent.mkdir(parents=True)
    nbformat.write(notebook, folder / executed.name)
    injected = nbformat.v4.new_code_cell("STEPS = 3", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(3, injected)
    slider = '<div class="before-after"><img src="data:," alt=""></div>'
    outputs = [
        nbformat.v4.new_output("display_data", {"text/html": slider}),
        nbformat.v4.new_output("display_data", {"image/png": PIXEL}),
    ]
    cell = nbformat.v4.new_code_cell("show()", outputs=outputs, metadata={"tags": ["cover"]})
    notebook.cells.append(cell)
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


@pytest.fixture(scope="module", autouse=True)
def no_sets(tmp_path_factory):
    """The lessons, which name a set, stay in the fast profile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRCNN_TF_DATA", str(tmp_path_factory.mktemp("sets")))
        yield


@pytest.fixture(scope="module", autouse=True)
def no_npm():
    """`test_browser_page.py` makes the page that needs npm."""

    def missing(folder):
        raise FileNotFoundError("npm is not installed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_site.make_browser, "make", missing)
        yield


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
        assert not {"iframe", "object", "embed", "base"} & set(page.tags)
        assert "@import" not in page.html
        assert not re.search(r"url\((?!['\"]?(data:|#))", page.html)
    assert "img" in pages["01_size.html"].tags


def test_the_index_leads_to_the_page_for_photographs_if_it_was_made(tmp_path, monkeypatch, capsys):
    folders = write_course(tmp_path)
    index = folders[1] / "site" / "index.html"
    assert make_site.main([], *folders) == 0
    assert "The page that enlarges photographs is left out: npm is not" in capsys.readouterr().out
    assert "photograph/index.html" not in index.read_text()

    def made(folder):
        folder.mkdir()
        (folder / "index.html").touch()

    monkeypatch.setattr(make_site.make_browser, "make", made)
    assert make_site.main([], *folders) == 0
    assert "photograph/index.html" in Page(index.read_text()).links
    assert (index.parent / "photograph" / "index.html").exists()


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


def test_index_shows_picture_minutes_results_and_their_profile(pages):
    index = pages["index.html"]
    words = " ".join(index.words.split()).split("A course in notebooks")[-1]
    first, second = words[words.index("01 · Size") :].split("02 · Size")
    assert "Open in Colab" in first
    assert "about 10 minutes" in first
    assert "It gains 0.51 dB on 14 images. (fast profile" in first
    assert "about 20 minutes" in second
    assert "(full profile" in second
    assert "fast profile" in pages["01_size.html"].words
    assert f"data:image/png;base64,{PIXEL}" in index.loads
    assert index.html.index("before-after") < index.html.rindex("01 · Size")


def test_lessons_lead_to_their_neighbours_and_sections(pages):
    first, second = (pages[f"0{n}_size.html"] for n in (1, 2))
    assert first.html.count('href="02_size.html" rel="next"') == 2  # above and below
    assert second.html.count('href="01_size.html" rel="prev"') == 2
    assert 'rel="prev"' not in first.html
    assert {"#A-formula", "#Another"} <= set(first.links)


def test_search_finds_sections(browser, site):
    browser.get((site / "02_size.html").as_uri())
    box = browser.find_element("name", "q")
    box.send_keys("README")
    box.submit()
    found = [
        link.get_attribute("href") for link in browser.find_elements("css selector", "#found a")
    ]
    assert [link.rsplit("/", 1)[1] for link in found] == [
        "01_size.html#A-formula",
        "02_size.html#A-formula",
    ]
    box = browser.find_element("name", "q")
    box.clear()
    box.send_keys("<b>nowhere")
    assert browser.find_element("id", "found").text == "Nothing found"


def test_pages_are_dark_where_the_reader_wants_it(browser, site):
    browser.get((site / "01_size.html").as_uri())
    shades = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        colour = "return getComputedStyle(document.body).backgroundColor"
        shades.append(sum(map(int, re.findall(r"\d+", browser.execute_script(colour))[:3])))
    assert shades[0] > 700 > 200 > shades[1]


@pytest.mark.parametrize(("cached", "profile"), [(["t91", "tfds"], "full"), (["t91"], "fast")])
def test_full_profile_where_the_sets_are_at_hand(tmp_path, monkeypatch, cached, profile):
    monkeypatch.setenv("SRCNN_TF_DATA", str(tmp_path))
    for name in cached:
        (tmp_path / name).mkdir()
    cell = nbformat.v4.new_code_cell('DATA = "t91+tf_flowers"')
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "01_size.ipynb")
    (tmp_path / "lessons.toml").write_text("[01_size]")
    ran = []
    monkeypatch.setattr(make_site.run_lessons, "main", lambda argv, *_: ran.append(argv) or 1)
    assert make_site.main([], tmp_path, tmp_path / "build") == 1
    assert ran == [["--lesson=01_size", f"--profile={profile}"]]


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
