"""What several test files share."""

import os
import shutil
import socket
from importlib.resources import files
from importlib.util import find_spec

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from small_exercises import write_solutions

from srcnn_tf import datasets


@pytest.fixture(autouse=True)
def no_internet(monkeypatch):
    """Fail a test that looks up any host but this machine."""
    look_up = socket.getaddrinfo

    def guarded(host, *args, **kwargs):
        if host not in (None, "127.0.0.1", "localhost", "::1"):
            pytest.fail(f"this test tried to reach {host}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", guarded)


def _is_cached(name):
    folder = datasets.cache_folder()
    if name == "tf_flowers":
        return any((folder / "tfds" / "tf_flowers").glob("*/dataset_info.json"))
    lines = (files("srcnn_tf") / "registry" / f"{name}.txt").read_text().splitlines()
    return all((folder / line.split()[0]).is_file() for line in lines)


@pytest.fixture
def load_or_skip():
    """Return `datasets.load` for sets outside the wheel; it skips the test where one is absent."""

    def load(name, *args, **kwargs):
        # Found, not imported: how it can be imported is for the library to know.
        if name == "tf_flowers" and find_spec("tensorflow_datasets") is None:
            pytest.skip("tensorflow_datasets is not installed")
        if not _is_cached(name):
            pytest.skip(f"the image set {name} is not in {datasets.cache_folder()}")
        return datasets.load(name, *args, **kwargs)

    return load


@pytest.fixture
def solutions(tmp_path):
    """The folder of two small solution notebooks with two exercises each."""
    folder = tmp_path / "notebooks" / "solutions"
    write_solutions(folder)
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium; it skips the test where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("this test needs a browser: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless",
        "no-sandbox",  # or root cannot start it, as in a container
        "disable-gpu",
        "disable-quic",
        "disable-dev-shm-usage",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "no-first-run",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{flag}")
    service = webdriver.ChromeService(driver)
    with webdriver.Chrome(options, service) as chrome:
        yield chrome
