"""The benchmark's page holds its pictures' very pixels, loads nothing, and sorts."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from html_page import Page
from PIL import Image
from selenium.webdriver.common.by import By

from srcnn_tf import score_table
from srcnn_tf.images import quantise
from srcnn_tf.score_page import to_html


@pytest.fixture(scope="module")
def rows():
    """Three methods at two scales; the last gets a published figure and a name to escape."""
    found = list(score_table.run(["nearest", "bicubic", "lanczos"], ["samples"], [2, 3]))
    found[-1] = dataclasses.replace(found[-1], method="<b>", published_psnr=33.16)
    return found


def test_pages_hold_pixels_and_load_nothing(rows):
    page = Page(to_html(rows, "LR by <bicubic>"))
    assert all(address.startswith("data:") for address in page.loads)
    assert "LR by <bicubic>" in page.words
    assert "<b>" in page.words  # as text
    addresses = re.findall(r'<img src="data:image/png;base64,([^"]+)"', page.html)
    assert len(addresses) == sum(len(row.shots) for row in rows)
    first = np.array(Image.open(io.BytesIO(base64.b64decode(addresses[0]))))
    assert np.array_equal(first, quantise(rows[0].shots[0].crop[..., 0], np.uint8))
    # The truth and the photograph are there once for each image, not for each method.
    assert to_html(rows[:3]).count("background-image") == 2 * 3
    assert "3 of 3 images: bicubic ×2 on samples" in page.words


def test_of_many_images_fourteen_are_shown(rows):
    many = dataclasses.replace(rows[0], shots=rows[0].shots * 7)
    page = to_html([many])
    assert page.count("<figure>") == 11  # every second of 21
    assert "11 of 21 images" in page
    assert to_html([]).count("<tbody") == 0


def test_columns_sort_and_a_phone_is_wide_enough(browser, rows, tmp_path):
    (tmp_path / "page.html").write_text(to_html(rows), encoding="utf-8")
    browser.set_window_size(500, 900)
    browser.get((tmp_path / "page.html").as_uri())

    def column(number):
        return [
            row.find_elements(By.TAG_NAME, "td")[number].text
            for row in browser.find_elements(By.CSS_SELECTOR, "tbody tr:first-child")
        ]

    heads = {head.text: head for head in browser.find_elements(By.CSS_SELECTOR, "th button")}
    names = list(heads)
    at = names.index("PSNR")
    heads["PSNR"].click()
    assert column(at) == sorted((f"{row.psnr:.2f}" for row in rows), reverse=True)
    heads["PSNR"].click()
    assert column(at) == sorted(f"{row.psnr:.2f}" for row in rows)
    heads["method"].click()
    assert column(2) == sorted(row.method for row in rows)
    for _ in range(2):  # what is not published comes last, whichever way
        heads["published PSNR"].click()
        assert column(names.index("published PSNR")) == ["33.16", *[""] * 5]
    browser.find_element(By.CSS_SELECTOR, "summary").click()
    figure = browser.find_element(By.CSS_SELECTOR, "details[open] figure")
    tiles = [tile.size for tile in figure.find_elements(By.CSS_SELECTOR, "i, img")]
    assert tiles == [{"width": (side := tiles[0]["width"]), "height": side}] * 3
    assert side > 100
    assert figure.rect["x"] >= 0
    assert figure.rect["x"] + figure.rect["width"] <= browser.execute_script("return innerWidth")
    crop = figure.find_element(By.TAG_NAME, "img")
    assert crop.get_property("naturalWidth") == score_table.CROP
    assert not browser.execute_script(
        "return document.body.scrollWidth > document.documentElement.clientWidth"
    )
