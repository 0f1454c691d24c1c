"""The slider holds its images' very pixels, loads nothing, and follows mouse and keyboard."""

import base64
import io
import socket
import subprocess
import sys
from html.parser import HTMLParser

import IPython.display
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from srcnn_tf.slider import before_after

BEFORE, AFTER = np.random.default_rng(0).integers(0, 256, (2, 100, 150, 3), np.uint8)
GREY = np.linspace(-0.1, 1.1, 12, dtype=np.float32).reshape(3, 4)


class Page(HTMLParser):
    """The start tags of a page and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_notebook_shows_html_and_a_static_figure(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    slider = before_after(GREY, GREY[..., None] / 2, ("bicubic", "SRCNN"), title="Look here")
    assert not shown
    slider._ipython_display_()
    html, figure = shown
    assert html.data == slider.html
    assert isinstance(figure, Figure)
    assert [axes.get_title() for axes in figure.axes] == ["bicubic", "SRCNN"]
    assert figure.get_suptitle() == "Look here"
    drawn = figure.axes[0].get_images()[0].get_array()
    np.testing.assert_allclose(drawn, np.clip(GREY, 0, 1), atol=0.5 / 255)


def test_html_holds_the_pixels_and_loads_nothing():
    page = Page(before_after(BEFORE, AFTER / 255).html)
    assert {tag for tag, _ in page.tags} == {
        *("style", "div", "figure", "img", "figcaption", "input"),
    }
    for attributes, image in zip(page.all("img"), (BEFORE, AFTER), strict=True):
        kind, data = attributes["src"].split(",")
        assert kind == "data:image/png;base64"
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        np.testing.assert_array_equal(pixels, image)
    (style,) = (text for text in page.texts if "before-after" in text)
    assert "url(" not in style
    assert "@import" not in style


def test_labels_and_title_are_text_whatever_they_hold():
    labels = ("<script>alert('x')</script>", 'a "b" & <c>')
    page = Page(before_after(GREY, GREY, labels, title="1 < 2 <i>").html)
    assert not page.all("script")
    assert not page.all("i")
    assert [attributes["alt"] for attributes in page.all("img")] == list(labels)
    assert {*labels, "1 < 2 <i>"} <= set(page.texts)
    (bar,) = page.all("input")
    assert all(label in bar["aria-label"] for label in labels)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ((GREY, GREY[1:]), ("a", "b"), r"one height and width, not \[\(2, 4\), \(3, 4\)\]"),
        ((GREY[0], GREY), ("a", "b"), r"an image is .* shape \(4,\)"),
        ((GREY, np.zeros((3, 4, 2))), ("a", "b"), r"c = 1 or 3 or 4; this image has shape"),
        ((GREY, 255 * GREY), ("a", "b"), "divide 8-bit values by 255"),
        ((GREY, np.full((3, 4), np.nan)), ("a", "b"), "none may be NaN"),
        ((GREY, GREY), ("a", "a"), "two different names"),
    ],
)
def test_what_cannot_be_shown_is_told(images, labels, message):
    with pytest.raises(ValueError, match=message):
        before_after(*images, labels)


def assert_divided_at(element, position):
    """Assert that an element shows BEFORE, fourfold, up to a place, and AFTER from there on."""
    seen = np.asarray(Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB"))
    before, after = (np.kron(image, np.ones((4, 4, 1), np.uint8)) for image in (BEFORE, AFTER))
    assert seen.shape == before.shape
    below = slice(30, None)  # the labels are above
    left, right = slice(0, position - 18), slice(position + 18, None)  # the knob between
    np.testing.assert_array_equal(seen[below, left], before[below, left])
    np.testing.assert_array_equal(seen[below, right], after[below, right])
    bar = seen[below, position - 1 : position + 1]
    assert (bar[:100] == 255).all(), "the bar is not where the images meet"


def test_bar_follows_mouse_and_arrow_keys(browser, tmp_path):
    from selenium.webdriver import ActionChains, Keys

    slider = before_after(BEFORE, AFTER).html
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{slider}{slider}", encoding="utf-8")
    browser.set_window_size(1000, 1100)
    browser.get(page.as_uri())
    first, second = browser.find_elements("class name", "before-after")
    assert_divided_at(first, 300)

    ActionChains(browser).drag_and_drop_by_offset(first, 150, 0).perform()
    assert_divided_at(first, 450)
    ActionChains(browser).drag_and_drop_by_offset(first, -270, 0).perform()
    assert_divided_at(first, 30)

    ActionChains(browser).send_keys(Keys.TAB, *[Keys.ARROW_LEFT] * 5).perform()
    assert_divided_at(second, 300 - 5 * 6)
    assert second.value_of_css_property("outline-style") == "solid", "the focus cannot be seen"
    ActionChains(browser).send_keys(*[Keys.ARROW_RIGHT] * 3).perform()
    assert_divided_at(second, 300 - 2 * 6)
    assert_divided_at(first, 30)


def test_arrow_keys_move_the_bar_in_jupyterlab_too(browser, tmp_path, monkeypatch):
    # There, arrow keys move from cell to cell unless the slider keeps them.
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.support.ui import WebDriverWait

    pytest.importorskip("jupyterlab")
    for place in ("DATA", "CONFIG", "RUNTIME"):
        (tmp_path / place).mkdir()
        monkeypatch.setenv(f"JUPYTER_{place}_DIR", str(tmp_path / place))
    html = {"text/html": before_after(BEFORE, AFTER).html}
    output = nbformat.v4.new_output("display_data", html)
    cells = [nbformat.v4.new_code_cell(outputs=[output]), nbformat.v4.new_code_cell()]
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.sign.NotebookNotary().sign(notebook)  # as if its cells had been run here
    nbformat.write(notebook, tmp_path / "slider.ipynb")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lab = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    lab += ["--IdentityProvider.token=", f"--ServerApp.root_dir={tmp_path}"]

    def steps_made(browser):
        bar = browser.find_element("css selector", ".before-after input")
        ActionChains(browser).click(bar).perform()
        start = float(bar.get_property("value"))
        ActionChains(browser).send_keys(*[Keys.ARROW_LEFT] * 5, *[Keys.ARROW_UP] * 2).perform()
        return float(bar.get_property("value")) - start

    with (tmp_path / "log").open("w") as log, subprocess.Popen(lab, stderr=log) as server:
        try:
            # While JupyterLab loads, what is on the page comes and goes.
            wait = WebDriverWait(browser, 90, ignored_exceptions=[Exception])
            url = f"http://127.0.0.1:{port}/lab/tree/slider.ipynb"
            wait.until(lambda browser: browser.get(url) or True)
            assert wait.until(steps_made) == -3
        finally:
            server.terminate()


def test_slider_fits_a_phone(browser, tmp_path):
    page = tmp_path / "page.html"
    html = before_after(BEFORE, AFTER).html
    page.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{html}", encoding="utf-8")
    browser.set_window_size(500, 800)  # Chromium's windows are no narrower
    browser.get(page.as_uri())
    image = browser.find_element("tag name", "img")
    assert image.size["width"] < 500
    assert image.size["height"] == pytest.approx(image.size["width"] * 100 / 150, abs=1)
    widths = "return [document.documentElement.scrollWidth, innerWidth]"
    scrolled, inner = browser.execute_script(widths)
    assert scrolled <= inner
