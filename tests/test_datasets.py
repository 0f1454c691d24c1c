import contextlib
import errno
import hashlib
import itertools
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import skimage
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.images import read_image, to_channels, write_image


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Let an empty folder be the cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SRCNN_TF_DATA", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path):
    """Make a folder with three images, the middle one grey."""
    folder = tmp_path / "mine"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, channels in (("a.png", 3), ("b.jpg", 1), ("c.bmp", 3)):
        write_image(folder / name, rng.random((6, 7, channels)))
    return folder


# Names


def test_every_image_set_of_the_design_has_a_name():
    training = {"t91", "general100", "bsd200", "bsds500_test"}
    tests = {"set5", "set14", "bsd100", "urban100"}
    assert set(datasets.NAMES) == {"samples", "tf_flowers", "div2k"} | training | tests


@pytest.mark.parametrize("name", ["set6", "no/such/folder", "SET5"])
def test_an_unknown_set_is_answered_with_the_sets_there_are(name):
    with pytest.raises(ValueError, match=f"unknown image set '{name}': there are") as caught:
        datasets.load(name)
    for known in (*datasets.NAMES, "any folder of images"):
        assert known in str(caught.value)


def test_an_unknown_split_is_answered_with_the_splits_there_are(folder):
    with pytest.raises(ValueError, match="'valid' of samples: choose train or test"):
        datasets.load("samples", "valid")
    with pytest.raises(ValueError, match="'valid' of tf_flowers: choose train or test"):
        datasets.load("tf_flowers", "valid")
    with pytest.raises(ValueError, match="'train' of set5: it has no splits"):
        datasets.load("set5", "train")
    with pytest.raises(ValueError, match=r"'test' of .*mine: it has no splits"):
        datasets.load(folder, "test")


def test_the_flowers_are_no_files():
    with pytest.raises(ValueError, match="tf_flowers has no image files of its own"):
        datasets.image_paths("tf_flowers")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("t91", 91),
        ("general100", 100),
        ("bsd200", 200),
        ("bsds500_test", 200),
        ("set5", 5),
        ("set14", 14),
        ("bsd100", 100),
        ("urban100", 100),
    ],
)
def test_a_registry_names_every_image_once_with_its_hash_and_address(name, count):
    text = (files("srcnn_tf") / "registry" / f"{name}.txt").read_text()
    lines = [line.split() for line in text.splitlines()]
    assert len(lines) == count
    assert {len(line) for line in lines} == {3}
    names, hashes, urls = zip(*lines, strict=True)
    assert len(set(names)) == len(set(urls)) == count
    assert len(set(hashes)) == (90 if name == "t91" else count)  # T91 holds one photograph twice
    assert all(file.startswith(f"{name}/") and ".." not in file for file in names)
    assert all(len(sha256) == 64 and int(sha256, 16) for sha256 in hashes)
    assert all(url.startswith("https://") for url in urls)


@pytest.mark.parametrize(
    ("name", "count", "first", "shape"),
    [
        ("set5", 5, "baby.bmp", (512, 512, 3)),
        ("set14", 14, "baboon.bmp", (480, 500, 3)),
        ("t91", 91, None, None),
    ],
)
def test_a_set_in_the_cache_is_read_without_a_network(load_or_skip, name, count, first, shape):
    photographs = load_or_skip(name)
    assert len(photographs) == count
    assert all(image.dtype == np.float32 and image.max() <= 1 for image in photographs)
    if first:
        assert datasets.image_paths(name)[0].name == first
        assert photographs[0].shape == shape


# Samples


def test_the_samples_split_is_fixed_and_no_photograph_is_on_both_sides():
    names = {
        split: [path.name for path in datasets.image_paths("samples", split)]
        for split in ("train", "test", None)
    }
    assert names["test"] == ["astronaut.png", "chelsea.png", "coffee.png"]
    assert len(names["train"]) == 9
    assert not set(names["train"]) & set(names["test"])
    assert names[None] == names["train"] + names["test"]


def test_the_stereo_pair_is_on_one_side_of_the_split():
    train = [path.name for path in datasets.image_paths("samples", "train")]
    assert {"motorcycle_left.png", "motorcycle_right.png"} <= set(train)


def test_the_samples_are_scikit_image_s_own_photographs():
    test = datasets.load("samples", "test")
    originals = skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee()
    for image, original in zip(test, originals, strict=True):
        np.testing.assert_array_equal(image, original / np.float32(255))


def test_every_sample_is_in_the_scikit_image_wheel_and_differs_from_the_others(cache):
    photographs = datasets.load("samples", channels=1)
    assert len(photographs) == 12
    assert min(min(image.shape[:2]) for image in photographs) >= 300
    assert all(image.std() > 0.03 for image in photographs)
    for one, other in itertools.combinations(photographs, 2):
        assert one.shape != other.shape or np.abs(one - other).mean() > 0.03
    assert not cache.exists()


# A folder


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_is_read_in_the_order_of_its_names(folder, kind):
    photographs = datasets.load(kind(folder))
    assert [image.shape for image in photographs] == [(6, 7, 3), (6, 7, 1), (6, 7, 3)]
    for image, name in zip(photographs, ("a.png", "b.jpg", "c.bmp"), strict=True):
        np.testing.assert_array_equal(image, read_image(folder / name))


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_the_same_for_every_image_where_asked(folder, channels):
    given = datasets.load(folder)
    for image, original in zip(datasets.load(folder, channels=channels), given, strict=True):
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image, to_channels(original, channels))


def test_hidden_files_and_subfolders_are_passed_over(folder):
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "more").mkdir()
    write_image(folder / "more" / "d.png", np.zeros((4, 4, 3)))
    assert [path.name for path in datasets.image_paths(folder)] == ["a.png", "b.jpg", "c.bmp"]


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / ".hidden.png").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=f"no images in {tmp_path}, .*it holds nothing"):
        datasets.load(tmp_path)
    (tmp_path / "deeper").mkdir()
    for number in range(6):
        (tmp_path / f"{number}.heic").touch()
    kept = r"\.png.* it holds 0\.heic, .*4\.heic and 2 more \(6 HEIC: convert them to PNG or JPEG\)"
    with pytest.raises(FileNotFoundError, match=kept):
        datasets.load(tmp_path)


def test_files_that_are_no_images_are_passed_over_and_counted(folder, capsys):
    for name in ("Thumbs.db", "notes.txt"):
        (folder / name).write_bytes(b"\0")
    assert [image.shape[2] for image in datasets.load(folder)] == [3, 1, 3]
    assert capsys.readouterr().out == f"passing over 2 files in {folder} that are no images\n"
    for name in ("a.HEIC", "b.heic", "c.gif"):
        (folder / name).write_bytes(b"\0")
    datasets.load(folder)
    advice = "are not read (2 HEIC, 1 GIF: convert them to PNG or JPEG)"
    assert capsys.readouterr().out == f"passing over 5 files in {folder} that {advice}\n"


def spoil(folder):
    whole = (folder / "c.bmp").read_bytes()
    (folder / "cut.bmp").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.png").write_text("not an image\n")


def test_a_broken_file_in_a_folder_is_an_error_that_names_it(folder):
    spoil(folder)
    with pytest.raises(ValueError, match=r"mine.cut\.bmp cannot be read as an image"):
        datasets.load(folder)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"mine.cut\.bmp cannot be read as"):
        list(datasets.stream(folder))


def test_broken_files_are_skipped_counted_and_reported_where_asked(folder, capsys):
    spoil(folder)
    photographs = datasets.load(folder, skip_broken=True)
    assert capsys.readouterr().out == "skipped 2 of 5 files: cut.bmp, notes.png\n"
    for image, name in zip(photographs, ("a.png", "b.jpg", "c.bmp"), strict=True):
        np.testing.assert_array_equal(image, read_image(folder / name))


def test_nothing_is_reported_where_nothing_is_broken(folder, capsys):
    assert len(datasets.load(folder, skip_broken=True)) == 3
    assert capsys.readouterr().out == ""


def test_skipping_every_file_is_an_error(tmp_path):
    (tmp_path / "notes.png").write_text("not an image\n")
    with pytest.raises(FileNotFoundError, match="none of the 1 files could be read"):
        datasets.load(tmp_path, skip_broken=True)


def test_iterate_reads_one_image_at_a_time(folder):
    spoil(folder)
    images = datasets.iterate(folder)
    assert [next(images).shape for _ in range(3)] == [(6, 7, 3), (6, 7, 1), (6, 7, 3)]
    with pytest.raises(ValueError, match=r"cut\.bmp"):
        next(images)


def test_stream_gives_rgb_again_in_every_pass(folder):
    stream = datasets.stream(folder)
    assert stream.element_spec.shape.as_list() == [None, None, 3]
    expected = datasets.load(folder, channels=3)
    for _ in range(2):
        for image, original in zip(stream.as_numpy_iterator(), expected, strict=True):
            np.testing.assert_array_equal(image, original)


# Fetching, from a server on this machine


class Server(ThreadingHTTPServer):
    """Answer each path with (status, body, announced length) and remember what was asked for.

    The body of status 302 is where to look instead; a body that is a list comes in drops.
    """

    def __init__(self):
        self.answers, self.requests = {}, []
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        status, body, length = self.server.answers[self.path[1:]]
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body.decode())
        self.send_header("Content-Length", str(length))
        self.end_headers()
        return body

    def do_GET(self):
        self.server.requests.append(self.path[1:])
        body = self.do_HEAD()
        if isinstance(body, list):
            with contextlib.suppress(OSError):
                for drop in body:
                    self.wfile.write(drop)
                    time.sleep(0.05)
        else:
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def nobody(monkeypatch):
    """Return an address at which no server listens."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}/one.png"


ONE, TWO = bytes(range(256)) * 200, b"another photograph" * 1000


def register(tmp_path, *entries):
    """Write a registry of (name, the published bytes, address)."""
    registry = tmp_path / "mini.txt"
    lines = [f"{name} {hashlib.sha256(body).hexdigest()} {url}" for name, body, url in entries]
    registry.write_text("\n".join(lines) + "\n")
    return registry


def kept(cache):
    return {str(p.relative_to(cache)): p.read_bytes() for p in cache.rglob("*") if p.is_file()}


def test_a_good_file_is_fetched_once_with_a_progress_bar(tmp_path, cache, server, capsys):
    server.answers = {"1": (200, ONE, len(ONE)), "2": (200, TWO, len(TWO))}
    registry = register(
        tmp_path, ("mini/one.png", ONE, server.url("1")), ("mini/two.png", TWO, server.url("2"))
    )
    paths = datasets.fetch(registry)
    assert paths == [cache / "mini" / "one.png", cache / "mini" / "two.png"]
    assert kept(cache) == {"mini/one.png": ONE, "mini/two.png": TWO}
    assert server.requests == ["1", "2"]
    shown = capsys.readouterr().out
    assert "fetching mini" in shown
    assert "2/2" in shown

    assert datasets.fetch(registry) == paths
    assert server.requests == ["1", "2"]
    assert capsys.readouterr().out == ""


def test_only_what_is_missing_or_damaged_is_fetched(tmp_path, cache, server, capsys):
    bodies = {"good": ONE, "damaged": TWO, "missing": ONE + TWO}
    server.answers = {name: (200, body, len(body)) for name, body in bodies.items()}
    registry = register(
        tmp_path, *((f"mini/{name}", body, server.url(name)) for name, body in bodies.items())
    )
    (cache / "mini").mkdir(parents=True)
    (cache / "mini" / "good").write_bytes(ONE)
    (cache / "mini" / "damaged").write_bytes(TWO[:-1])
    datasets.fetch(registry)
    assert server.requests == ["damaged", "missing"]
    assert kept(cache) == {f"mini/{name}": body for name, body in bodies.items()}
    assert "1/1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((200, TWO, len(TWO)), ValueError, "not the published file.*SHA-256 differs.*not kept"),
        ((200, ONE[:1000], len(ONE)), ConnectionError, "cannot fetch .*the transfer broke off"),
        ((200, b"\n<html>Log in", 13), ConnectionError, "a page of 127.0.0.1:.* was answered, not"),
        ((302, b"http://[nonsense", 0), ConnectionError, "cannot fetch .*URL.*Connect to"),
        ((404, b"gone", 4), ConnectionError, "cannot fetch .*the server answered 404"),
        ((503, b"busy", 4), ConnectionError, "cannot fetch .*the server answered 503"),
    ],
)
def test_a_bad_answer_leaves_nothing_and_a_later_good_one_is_kept(
    tmp_path, cache, server, answer, error, message
):
    registry = register(tmp_path, ("mini/one.png", ONE, server.url("1")))
    server.answers = {"1": answer}
    with pytest.raises(error, match=message) as caught:
        datasets.fetch(registry)
    assert "mini/one.png" in str(caught.value)
    assert server.url("1") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert kept(cache) == {}

    server.answers = {"1": (200, ONE, len(ONE))}
    datasets.fetch(registry)
    assert kept(cache) == {"mini/one.png": ONE}


def test_a_file_that_comes_in_drops_is_given_up(tmp_path, cache, server, monkeypatch):
    monkeypatch.setattr(datasets, "FILE_SECONDS", 0.3)
    server.answers = {"1": (200, [b"x"] * 40, 40)}
    with pytest.raises(ConnectionError, match="no answer in time"):
        datasets.fetch(register(tmp_path, ("mini/one.png", ONE, server.url("1"))))
    assert kept(cache) == {}


def test_a_bad_proxy_and_bad_encryption_are_told_from_no_connection(
    tmp_path, cache, server, nobody, monkeypatch
):
    def told(url):
        with pytest.raises(ConnectionError, match="cannot fetch") as caught:
            datasets.fetch(register(tmp_path, ("mini/one.png", ONE, url)))
        return str(caught.value)

    plain = server.url("1").replace("http:", "https:")  # a server that does not encrypt
    assert "no secure connection: look at this computer's clock" in told(plain)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    assert "none.pem" in told(plain)
    monkeypatch.setenv("http_proxy", nobody.removesuffix("/one.png"))
    assert "the proxy that HTTP_PROXY or HTTPS_PROXY names" in told("http://images.example/1")


@pytest.mark.parametrize("fault", ["the folder is a file", "its folder is a file", "full"])
def test_a_cache_that_cannot_be_used_says_what_to_do(tmp_path, cache, server, monkeypatch, fault):
    server.answers = {"1": (200, ONE, len(ONE))}
    registry = register(tmp_path, ("mini/one.png", ONE, server.url("1")))
    if fault == "full":

        def write_bytes(path, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", write_bytes)
    else:
        place = cache if fault == "the folder is a file" else cache / "mini"
        place.parent.mkdir(exist_ok=True)
        place.write_text("dear")
    with pytest.raises(OSError, match=r"cannot keep mini/one\.png in .*cache \(.*\)") as caught:
        datasets.fetch(registry)
    assert "Set SRCNN_TF_DATA to a folder that can be read and written" in str(caught.value)
    if fault == "full":
        assert kept(cache) == {}
    else:
        assert place.read_text() == "dear"


def test_files_fetched_before_a_failure_are_kept_and_not_asked_for_again(tmp_path, cache, server):
    server.answers = {"1": (200, ONE, len(ONE)), "2": (404, b"", 0)}
    registry = register(
        tmp_path, ("mini/one.png", ONE, server.url("1")), ("mini/two.png", TWO, server.url("2"))
    )
    with pytest.raises(ConnectionError, match=r"cannot fetch mini/two\.png"):
        datasets.fetch(registry)
    server.answers["2"] = (200, TWO, len(TWO))
    datasets.fetch(registry)
    assert server.requests == ["1", "2", "2"]
    assert kept(cache) == {"mini/one.png": ONE, "mini/two.png": TWO}


def test_without_a_server_the_error_says_what_to_do(tmp_path, cache, nobody):
    registry = register(tmp_path, ("mini/one.png", ONE, nobody))
    with pytest.raises(ConnectionError, match=r"cannot fetch .*no connection") as caught:
        datasets.fetch(registry)
    assert "set SRCNN_TF_DATA to a folder that holds mini/one.png" in str(caught.value)
    assert str(cache) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert kept(cache) == {}


def test_a_damaged_file_is_not_used_when_it_cannot_be_replaced(tmp_path, cache, nobody):
    registry = register(tmp_path, ("mini/one.png", ONE, nobody))
    (cache / "mini").mkdir(parents=True)
    (cache / "mini" / "one.png").write_bytes(ONE[:1000])
    with pytest.raises(ConnectionError, match=r"cannot fetch mini/one\.png"):
        datasets.fetch(registry)


# Flowers


@pytest.mark.skipif(not find_spec("tensorflow_datasets"), reason="TFDS is not installed")
def test_flowers_without_a_copy_or_a_network_are_refused_before_tfds_tries(
    cache, nobody, monkeypatch
):
    monkeypatch.setattr(datasets, "FLOWERS_URL", nobody)
    with pytest.raises(
        ConnectionError, match=r"cannot fetch tfds/tf_flowers from .*no conn"
    ) as caught:
        datasets.load("tf_flowers", "test")
    assert "SRCNN_TF_DATA to a folder that holds tfds/tf_flowers" in str(caught.value)
    assert not cache.exists()


@pytest.mark.skipif(not find_spec("tensorflow_datasets"), reason="TFDS is not installed")
def test_flowers_behind_a_login_page_are_refused_before_tfds_tries(cache, server, monkeypatch):
    monkeypatch.setattr(datasets, "FLOWERS_URL", server.url("flowers"))
    server.answers = {
        "flowers": (302, server.url("login").encode(), 0),
        "login": (200, b"<html>Log in", 12),
    }
    with pytest.raises(ConnectionError, match=r"a page of 127.0.0.1:\d+ was answered, not"):
        datasets.load("tf_flowers", "test")
    assert not cache.exists()


@pytest.mark.skipif(not find_spec("tensorflow_datasets"), reason="TFDS is not installed")
def test_flowers_and_a_cache_that_is_a_file(cache, server, monkeypatch):
    monkeypatch.setattr(datasets, "FLOWERS_URL", server.url("flowers"))
    server.answers = {"flowers": (200, b"", datasets.FLOWERS_BYTES)}
    cache.write_text("dear")
    with pytest.raises(OSError, match=r"cannot keep tf_flowers in .*cache \(.*\)\. Set SRCNN_TF"):
        datasets.load("tf_flowers", "test")


@pytest.mark.parametrize("found", [None, ModuleType("tensorflow_datasets")], ids=["none", "empty"])
def test_flowers_without_tensorflow_datasets_say_what_to_install(monkeypatch, found):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", found)
    with pytest.raises(ImportError, match="pip install tensorflow-datasets importlib_resources"):
        datasets.load("tf_flowers", "test")


def test_the_first_flowers_are_the_test_split_in_the_tutorial_s_share(load_or_skip):
    test = load_or_skip("tf_flowers", "test")
    streams = {split: datasets.stream("tf_flowers", split) for split in ("train", None)}
    counts = {split: int(stream.cardinality()) for split, stream in streams.items()}
    assert len(test) == round(counts[None] * 600 / 3670)
    assert len(test) + counts["train"] == counts[None]

    first = next(streams[None].as_numpy_iterator())
    np.testing.assert_array_equal(test[0], first / np.float32(255))
    seen = {image.tobytes() for image in test}
    for image in streams["train"].take(50).as_numpy_iterator():
        assert (image / np.float32(255)).tobytes() not in seen


def test_flowers_are_streamed_in_8_bits(load_or_skip):
    expected = load_or_skip("tf_flowers", "test")[0]
    image = next(datasets.stream("tf_flowers", "test").as_numpy_iterator())
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image / np.float32(255), expected)


def test_div2k_is_prepared_by_tfds_once_and_gives_its_hr_images(cache, tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    given, folders, random = {}, {}, np.random.default_rng(0)
    for part, numbers in (("train", (1, 2, 3)), ("valid", (801,))):
        for kind, side in (("hr", 12), ("lr", 6)):
            folders[f"{part}_{kind}_url"] = str(tmp_path / f"{part}_{kind}")
            files = f"DIV2K_{part}_HR/{{:04}}.png" if kind == "hr" else "{:04}x2.png"
            for number in numbers:
                image = random.integers(0, 256, (side, side + 2, 3), np.uint8)
                path = tmp_path / f"{part}_{kind}" / files.format(number)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, image)
                given[kind, number] = image
    fetch = lambda manager, urls: {name: folders[name] for name in urls}  # noqa: E731
    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", fetch)
    monkeypatch.setattr(datasets, "_request", lambda *_: None)
    (test,) = datasets.load("div2k", "test")
    np.testing.assert_array_equal(test, given["hr", 801] / np.float32(255))
    monkeypatch.undo()  # prepared, it needs nobody
    monkeypatch.setenv("SRCNN_TF_DATA", str(cache))
    train = {image.tobytes() for image in datasets.stream("div2k", "train").as_numpy_iterator()}
    assert train == {given["hr", number].tobytes() for number in (1, 2, 3)}
    assert len(datasets.load("div2k")) == 4


def test_images_are_named_by_their_files(folder):
    names, images = zip(*datasets.iterate_named(folder), strict=True)
    assert names == tuple(str(folder / file) for file in ("a.png", "b.jpg", "c.bmp"))
    np.testing.assert_array_equal(images[1], read_image(folder / "b.jpg"))


def test_a_test_image_is_known_by_its_bytes(tmp_path, load_or_skip):
    load_or_skip("set5")
    (tmp_path / "holiday.bin").write_bytes(datasets.image_paths("set5")[0].read_bytes())
    assert datasets.name_in_test_sets(tmp_path / "holiday.bin") == "set5/baby.bmp"
    (tmp_path / "mine.txt").write_text("mine")
    assert datasets.name_in_test_sets(tmp_path / "mine.txt") is None
    assert len(datasets._test_images()) == 5 + 14 + 100 + 100
