"""Image sets by name: where their files are, fetched once and verified.

| name | what |
|---|---|
| `samples` | photographs inside the scikit-image wheel, split into train and test; no download |
| `tf_flowers` | 3,670 photographs through TensorFlow Datasets; the first 600 are the test split |
| `div2k` | 800 photographs of 2K through TensorFlow Datasets, and 100 for the test split |
| `t91`, `general100`, `bsd200` | the papers' training sets |
| `bsds500_test` | 200 photographs of BSDS500 that are in no other set here, for training |
| `set5`, `set14`, `bsd100`, `urban100` | the papers' test sets |
| a path | a folder of your own images |
"""

import contextlib
import functools
import hashlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from multiprocessing import TimeoutError
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pooch
import requests
import skimage
import tensorflow as tf
from tqdm import tqdm

from srcnn_tf.files import write_file
from srcnn_tf.images.io import FORMATS, format_not_read, read_image
from srcnn_tf.images.pixels import as_float, to_channels

TEST_SETS = ("set5", "set14", "bsd100", "urban100")
REGISTRIES = ("t91", "general100", "bsd200", "bsds500_test", *TEST_SETS)
TFDS_SETS = ("tf_flowers", "div2k")  # sets that TensorFlow Datasets keeps
PARTED = ("samples", *TFDS_SETS)  # sets with a part to train on and a part to test on
NAMES = (*PARTED, *REGISTRIES)

FLOWERS, FLOWERS_TEST = 3670, 600
FLOWERS_URL = "http://download.tensorflow.org/example_images/flower_photos.tgz"
FLOWERS_BYTES = 10**8  # their file has twice as many
DIV2K_URL = "https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_train_HR.zip"
DIV2K_BYTES = 10**9  # their file has three times as many
CONNECT_SECONDS, READ_SECONDS, FILE_SECONDS = 5, 20, 120  # to connect, for each read, for all


def cache_folder() -> Path:
    """Return the folder that holds the fetched sets: `SRCNN_TF_DATA`, else the user's cache."""
    return Path(os.environ.get("SRCNN_TF_DATA") or pooch.os_cache("srcnn_tf"))


def image_paths(name: str | Path, split: str | None = None) -> list[Path]:
    """Return the files of an image set, sorted by name, fetching what is missing.

    Args:
        name: a name from `NAMES` other than those of `TFDS_SETS` (which keep their photographs in
            record files), or the path of a folder: its PNG, JPEG, BMP, WebP and TIFF files.
            Other files are counted and passed over, as are hidden files and subfolders.
        split: "train" or "test" for `samples`; the other sets have no splits. None is everything.

    Raises:
        FileNotFoundError: the folder holds no image files.
        ValueError: unknown set or split; a fetched file with the wrong hash.
        ConnectionError: a file is missing and cannot be fetched.
        OSError: the cache folder cannot be used.
    """
    if name not in NAMES and not (str(name) and Path(name).is_dir()):
        there_are = f"there are {', '.join(NAMES)}, and any folder of images"
        raise ValueError(f"unknown image set {str(name)!r}: {there_are}")
    if name == "samples":
        _check_split(name, split, ("train", "test"))
        folder = Path(skimage.__file__).parent / "data"
        # The two motorcycle pictures are one scene seen by two cameras: they stay on one side.
        return [folder / file for part, file in _lines(_registry(name)) if split in (None, part)]
    if name in TFDS_SETS:
        raise ValueError(f"{name} has no image files of its own; use iterate or load")
    _check_split(name, split, ())
    if name in REGISTRIES:
        return fetch(_registry(name))
    found = sorted(path for path in Path(name).iterdir() if path.name[0] != ".")
    others = [path for path in found if path.is_file() and path.suffix.lower() not in FORMATS]
    paths = [path for path in found if path.is_file() and path not in others]
    known = Counter(filter(None, map(format_not_read, others)))
    advice = ", ".join(f"{count} {kind}" for kind, count in known.items())
    advice = f"({advice}: convert them to PNG or JPEG)" if known else ""
    if not paths:
        held = [f"{path.name}/" if path.is_dir() else path.name for path in found]
        few = ", ".join(held[:5]) or "nothing"
        more = f" and {len(held) - 5} more" if len(held) > 5 else ""
        told = f"there are no images in {name}, no files that end in {', '.join(FORMATS)}: it holds"
        raise FileNotFoundError(f"{told} {few}{more} {advice}".rstrip())
    if others:
        what = f"are not read {advice}" if known else "are no images"
        print(f"passing over {len(others)} files in {name} that {what}")
    return paths


def _check_split(name: str | Path, split: str | None, splits: tuple[str, ...]) -> None:
    if split is not None and split not in splits:
        there_are = f"choose {' or '.join(splits)}" if splits else "it has no splits"
        raise ValueError(f"unknown split {split!r} of {name}: {there_are}")


def fetch(registry: Traversable) -> list[Path]:
    """Fetch the files of a registry into the cache, verify them, and return their paths.

    Args:
        registry: a file with a line `name sha256 url` for every image.

    Raises:
        ConnectionError: a file is missing and cannot be fetched; the message says why.
        OSError: the cache folder cannot be used.
        ValueError: what was fetched has another SHA-256 than the registry says.
    """
    folder, lines = cache_folder(), _lines(registry)
    missing = [name for name, *_ in lines if not os.path.exists(folder / name)]
    title = f"fetching {Path(str(registry)).stem}"
    with tqdm(total=len(missing), desc=title, disable=not missing, file=sys.stdout) as bar:
        for name, sha256, url in lines:
            path = folder / name
            with _keeping(name):
                sound = path.exists() and _sha256(path.read_bytes()) == sha256
            if not sound:
                data = _request(requests.get, name, url).content
                if _sha256(data) != sha256:
                    told = f"{name} fetched from {url} is not the published file"
                    raise ValueError(f"{told} (its SHA-256 differs); it was not kept")
                with _keeping(name):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_file(path, data, overwrite=True)
            bar.update(name in missing)
    return [folder / name for name, *_ in lines]


def _registry(name: str) -> Traversable:
    return files("srcnn_tf") / "registry" / f"{name}.txt"


def _lines(registry: Traversable) -> list[list[str]]:
    return [line.split() for line in registry.read_text().splitlines() if line.strip()]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def _keeping(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        told = f"cannot keep {name} in {cache_folder()} ({error.strerror or error})"
        cure = "Set SRCNN_TF_DATA to a folder that can be read and written and has room"
        raise OSError(f"{told}. {cure}") from error


def _request(
    ask: Callable[..., requests.Response], name: str, url: str, least: int = 0
) -> requests.Response:
    """Return a whole answer within FILE_SECONDS, all redirections and reads together.

    The timeout of requests is that of each read: a byte now and then would keep it waiting for
    ever.

    Args:
        ask: `requests.get` or `requests.head`.
        name: of the file or folder in the cache that is asked for.
        url: where.
        least: bytes that it must have.

    Raises:
        ConnectionError: whatever went wrong; the message says what to do.
    """
    with ThreadPool(1) as pool:  # its thread is a daemon: if it hangs, nothing waits for it
        try:
            timeout = (CONNECT_SECONDS, READ_SECONDS)
            asked = pool.apply_async(ask, [url], {"timeout": timeout, "allow_redirects": True})
            answer = asked.get(FILE_SECONDS)
            answer.raise_for_status()
            size = int(answer.headers.get("Content-Length", least))
            kind = answer.headers.get("Content-Type", "")
            # Such as the login of a hotel's network.
            if size < least or "html" in kind or answer.content.lstrip()[:1] == b"<":
                page = urlsplit(answer.url).netloc
                raise requests.RequestException(f"a page of {page} was answered, not the file")
        except Exception as error:  # of a host name too long, a UnicodeError, for one
            told = f"cannot fetch {name} from {url} ({_reason(error)}). Connect to the network"
            cure = f"set SRCNN_TF_DATA to a folder that holds {name}; now it is {cache_folder()}"
            raise ConnectionError(f"{told}, or {cure}") from error
    return answer


def _reason(error: Exception) -> str:
    if getattr(error, "response", None) is not None:
        return f"the server answered {error.response.status_code}"  # type: ignore[attr-defined]
    reasons: dict[Any, str] = {
        requests.exceptions.SSLError: "no secure connection: look at this computer's clock, "
        "and at REQUESTS_CA_BUNDLE",
        requests.exceptions.ProxyError: "the proxy that HTTP_PROXY or HTTPS_PROXY names does not "
        "let us through",
        (requests.Timeout, TimeoutError): "no answer in time",
        requests.ConnectionError: "no connection",
        requests.exceptions.ChunkedEncodingError: "the transfer broke off",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), str(error))


def iterate(
    name: str | Path,
    split: str | None = None,
    channels: int | None = None,
    skip_broken: bool = False,
) -> Iterator[np.ndarray]:
    """Yield the images of a set one by one, so that it need not fit in memory.

    Args:
        name: a name from `NAMES`, or the path of a folder.
        split: "train" or "test" for sets of `PARTED`.
        channels: 1 for luma, 3 for RGB, None for the channels each file has.
        skip_broken: leave out files that cannot be read, and print how many and which, where
            the default is an error.

    Yields:
        float32 `[h, w, c]` in [0, 1].

    Raises:
        FileNotFoundError: a folder without readable images.
        ValueError: unknown set or split; a file that is not an image (the message names it).
        ConnectionError: the set is not in the cache and cannot be fetched.
    """
    for _, image in iterate_named(name, split, skip_broken):
        yield image if channels is None else to_channels(image, channels)


def iterate_named(
    name: str | Path, split: str | None = None, skip_broken: bool = False
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what messages call each image of a set, and the image; see `iterate`.

    That is the path of its file; the photographs of `TFDS_SETS` have numbers, from 1 up.
    """
    if name in TFDS_SETS:
        for number, image in enumerate(stream(name, split).as_numpy_iterator(), 1):
            yield f"number {number}", as_float(image)
        return
    broken, paths = [], image_paths(name, split)
    for path in paths:
        try:
            yield str(path), read_image(path)
        except ValueError:
            if not skip_broken:
                raise
            broken.append(path.name)
    if broken:
        print(f"skipped {len(broken)} of {len(paths)} files: {', '.join(broken)}")
    if len(broken) == len(paths):
        raise FileNotFoundError(f"none of the {len(paths)} files could be read as an image")


def load(
    name: str | Path,
    split: str | None = None,
    channels: int | None = None,
    skip_broken: bool = False,
) -> list[np.ndarray]:
    """Load the images of a set into memory; see `iterate`, which takes the same arguments.

    Returns:
        A list of float32 `[h, w, c]` in [0, 1].
    """
    return list(iterate(name, split, channels, skip_broken))


def name_in_test_sets(path: str | Path) -> str | None:
    """Return what a test set calls an image file, such as "set5/baby.bmp", or None for any other.

    The file's bytes decide, not its name or place. An image that was cut, or written anew, say in
    another format, is not recognised.
    """
    return _test_images().get(_sha256(Path(path).read_bytes()))


@functools.cache
def _test_images() -> dict[str, str]:
    return {sha256: name for set_ in TEST_SETS for name, sha256, _ in _lines(_registry(set_))}


def load_or_samples(
    name: str | Path, part: str, channels: int | None = None
) -> tuple[str | Path, list[np.ndarray]]:
    """Load a set, or the embedded samples where it is neither cached nor within reach.

    Args:
        name: a name from `NAMES`, or the path of a folder.
        part: "train" or "test": the part to take of sets that have such parts.
        channels: 1 for luma, 3 for RGB, None for the channels each file has.

    Returns:
        The name of the set that was loaded, and its images: float32 `[h, w, c]` in [0, 1].

    Raises:
        The errors of `iterate`, a ConnectionError apart: that is printed.
    """
    try:
        return name, load(name, part if name in PARTED else None, channels)
    except ConnectionError as error:
        print(f"{error}\nGoing on with the embedded samples instead.\n")
        return "samples", load("samples", part, channels)


def stream(name: str | Path, split: str | None = None) -> tf.data.Dataset:
    """Return a set as a `tf.data.Dataset` that reads its images anew in every pass.

    Args:
        name: a name from `NAMES`, or the path of a folder.
        split: "train" or "test" for sets of `PARTED`.

    Returns:
        A dataset of RGB images `[h, w, 3]`: uint8 for `TFDS_SETS`, else float32 in [0, 1].

    Raises:
        The errors of `iterate`; those of single files come while the dataset is read.
    """
    if name in TFDS_SETS:
        return _photographs(str(name), split)
    paths = image_paths(name, split)
    return tf.data.Dataset.from_generator(
        lambda: (to_channels(read_image(path), 3) for path in paths),
        output_signature=tf.TensorSpec([None, None, 3], tf.float32),
    )


def _tensorflow_datasets() -> ModuleType:
    """Import TensorFlow Datasets, also where protobuf is older than tensorflow-metadata wants.

    So it is in Colab, and wherever pip puts tensorflow-metadata 1.21 beside TensorFlow 2.18: it
    refuses to be imported, yet works (https://github.com/tensorflow/metadata/issues/68).
    """
    try:
        os.environ.setdefault("TEMPORARILY_DISABLE_PROTOBUF_VERSION_CHECK", "true")
        import tensorflow_datasets as tfds

        _ = tfds.builder_from_directory  # an import that fails is only logged and comes up empty
    except (ImportError, AttributeError) as error:
        told = f"{' and '.join(TFDS_SETS)} need TensorFlow Datasets, whose import failed ({error})"
        cure = "pip install tensorflow-datasets importlib_resources, and start Python anew"
        raise ImportError(f"{told}: {cure}") from error
    return tfds


def _builder(name: str, url: str, size: int) -> Any:
    """Return the builder of a set of TFDS, preparing the set if need be."""
    tfds = _tensorflow_datasets()
    folder = cache_folder() / "tfds"
    prepared = sorted((folder / name).glob("*/dataset_info.json"))
    if prepared:
        return tfds.builder_from_directory(prepared[-1].parent)
    # TFDS itself takes minutes to notice that there is no network.
    _request(requests.head, f"tfds/{name}", url, size)
    with _keeping(name):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    builder = tfds.builder(name, data_dir=folder)
    builder.download_and_prepare()
    return builder


def _photographs(name: str, split: str | None) -> tf.data.Dataset:
    """Return a set of TFDS as a `tf.data.Dataset` of uint8 images, preparing it if need be."""
    _check_split(name, split, ("train", "test"))
    if name == "div2k":  # the LR images beside the HR ones stay unused
        builder, key = _builder("div2k/bicubic_x2", DIV2K_URL, DIV2K_BYTES), "hr"
        part = {"train": "train", "test": "validation", None: "train+validation"}[split]
    else:
        builder, key = _builder(name, FLOWERS_URL, FLOWERS_BYTES), "image"
        # A prepared copy may hold fewer photographs: the test split keeps its share of them.
        test = round(builder.info.splits["train"].num_examples * FLOWERS_TEST / FLOWERS)
        part = {"train": f"train[{test}:]", "test": f"train[:{test}]", None: "train"}[split]
    return builder.as_dataset(split=part).map(lambda example: example[key])
