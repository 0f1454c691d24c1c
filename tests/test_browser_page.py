"""The page that enlarges photographs in the browser, held against `upscale` in Chromium."""

import base64
import functools
import http.server
import io
import shutil
import threading

import make_browser
import numpy as np
import pytest
from PIL import Image
from skimage import data

from srcnn_tf.pretrained import load_pretrained
from srcnn_tf.upscaling import upscale

FETCH = """
const [address, done] = arguments;
fetch(address).then(it => it.blob()).then(it => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result.split(",")[1]);
  reader.readAsDataURL(it);
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory, browser):
    """The page's address on a web server of its own."""
    pytest.importorskip("onnxruntime", reason="this test needs srcnn-tf[export]")
    if not shutil.which("npm"):
        pytest.skip("this test needs npm, which comes with Node.js")
    folder = tmp_path_factory.mktemp("site") / "photograph"
    try:
        make_browser.make(folder)
    except ConnectionError as error:
        pytest.skip(str(error))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


def enlarge(browser, page, path, scale):
    """Give the page a file; return the PNG that it makes, or its sentence."""
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get(page)
    browser.execute_script("arguments[0].click()", find(browser, f"[name=scale][value='{scale}']"))
    find(browser, "input[type=file]").send_keys(str(path))
    WebDriverWait(browser, 200).until(
        lambda _: find(browser, "#summary a") or find(browser, "[role=alert]").text
    )
    if sentence := find(browser, "[role=alert]").text:
        return sentence
    browser.set_script_timeout(60)
    address = find(browser, "#summary a").get_attribute("href")
    return Image.open(io.BytesIO(base64.b64decode(browser.execute_async_script(FETCH, address))))


def find(browser, selector):
    return next(iter(browser.find_elements("css selector", selector)), None)


def expected(pixels, scale):
    return upscale(pixels, load_pretrained("fsrcnn", scale), np.uint8).astype(int)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_colour_photograph_within_one_level(browser, page, tmp_path, scale):
    # Tiles, a flat area, odd sizes; the whole of it once.
    pixels = data.astronaut() if scale == 2 else data.astronaut()[:61, 90:395].copy()
    pixels[:50, :50] = 255
    Image.fromarray(pixels).save(tmp_path / "astronaut.png")
    found = enlarge(browser, page, tmp_path / "astronaut.png", scale)
    assert found.mode == "RGB"
    assert np.abs(np.asarray(found) - expected(pixels, scale)).max() <= 1
    assert find(browser, "#summary a").get_attribute("download") == f"astronaut-x{scale}.png"


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_grey_photograph_within_one_level(browser, page, tmp_path, suffix):
    path = tmp_path / f"camera{suffix}"
    Image.fromarray(data.camera()[100:160, 200:290]).save(path, quality=95)
    found = enlarge(browser, page, path, 2)
    assert found.mode == "L"
    pixels = np.asarray(Image.open(path))[..., None]
    assert np.abs(np.asarray(found)[..., None] - expected(pixels, 2)).max() <= 1


def test_a_transparent_photograph_as_it_is_seen(browser, page, tmp_path):
    rows, columns = np.mgrid[:60, :90]
    alpha = np.clip(900 - (rows - 30) ** 2 - (columns - 45) ** 2, 0, 255).astype(np.uint8)
    pixels = np.dstack([data.astronaut()[:60, 180:270], alpha])
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    found = enlarge(browser, page, tmp_path / "cut.png", 2)
    assert found.mode == "RGBA"
    images = np.asarray(found).astype(int), expected(pixels, 2)
    apart = np.abs(images[0] - images[1])
    assert apart[..., 3].max() <= 1
    assert apart[48:72, 78:102].max() <= 1  # where the network sees what is opaque alone
    assert (apart * images[1][..., 3:] / 255).max() <= 6  # a canvas rounds colours times alpha


def test_turned_photographs_are_enlarged_upright(browser, page, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned to the right
    Image.fromarray(data.astronaut()[:40, :60]).save(tmp_path / "turned.jpg", exif=exif)
    assert enlarge(browser, page, tmp_path / "turned.jpg", 2).size == (80, 120)


def test_what_is_no_image_gets_a_sentence(browser, page, tmp_path):
    (tmp_path / "notes.png").write_text("no pixels")
    sentence = enlarge(browser, page, tmp_path / "notes.png", 2)
    assert sentence.startswith("notes.png is no image that this browser can read")
    assert not find(browser, "#work").is_displayed()


def test_the_page_loads_nothing_from_elsewhere(browser, page, tmp_path):
    Image.fromarray(data.astronaut()[:20, :20]).save(tmp_path / "small.png")
    enlarge(browser, page, tmp_path / "small.png", 2)
    entries = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    names = browser.execute_script(entries)
    assert any(name.endswith("worker.js") for name in names)
    assert all(name.startswith((page.rsplit("/", 1)[0], "blob:")) for name in names)


def test_a_phone_is_wide_enough(browser, page, tmp_path):
    Image.fromarray(data.astronaut()[:200, :300]).save(tmp_path / "wide.png")
    browser.set_window_size(500, 900)  # the narrowest that Chromium opens
    enlarge(browser, page, tmp_path / "wide.png", 2)
    width = "return document.documentElement.scrollWidth <= window.innerWidth"
    assert browser.execute_script(width)
