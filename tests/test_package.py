"""The package as others meet it: installed from a wheel, imported in any order, read by Keras."""

import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path

import numpy as np
import pytest
from packaging.version import Version
from test_training import RECIPE, images

import srcnn_tf
from srcnn_tf.losses import Charbonnier
from srcnn_tf.models import build, fsrcnn
from srcnn_tf.pretrained import stem
from srcnn_tf.training import fit

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "srcnn_tf"

IMPORT_ALL = """
import json, pkgutil, importlib, srcnn_tf
names = [m.name for m in pkgutil.walk_packages(srcnn_tf.__path__, "srcnn_tf.")]
for name in names:
    if name != "srcnn_tf.__main__":
        importlib.import_module(name)
from srcnn_tf.pretrained import available, card, load_pretrained
for name, scale in available():
    load_pretrained(name, scale), card(name, scale)
from srcnn_tf.datasets import REGISTRIES
from importlib.resources import files
for name in REGISTRIES:
    assert (files("srcnn_tf") / "registry" / f"{name}.txt").read_text()
from srcnn_tf.score_table import published
assert published("bicubic", "set5", 3)
print(json.dumps([srcnn_tf.__file__, names, available()]))
"""


@pytest.mark.skipif(
    # By its metadata: looking for pip itself makes setuptools give up its own distutils.
    all(found.name != "pip" for found in distributions())
    or Version(version("setuptools")) < Version("77"),
    reason="what is installed here builds no such wheel",
)
def test_the_wheel_holds_every_module_weight_and_registry(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source = tmp_path / "source"  # setuptools writes build/ and egg-info into what it builds
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "srcnn_tf"):
        (source / name).symlink_to(ROOT / name)
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    subprocess.run(wheel, check=True, capture_output=True)
    (built,) = tmp_path.glob("*.whl")
    place = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", place, built], check=True)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    file, modules, available = json.loads(done.stdout.splitlines()[-1])
    assert Path(file).is_relative_to(place)
    here = {path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py")}
    names = {".".join(("srcnn_tf", *path.parts)).removesuffix(".__init__") for path in here}
    assert {"srcnn_tf", *modules} == names
    files = {f"{stem(name, scale)}.weights.h5" for name, scale in available}
    assert files == {path.name for path in (PACKAGE / "weights").glob("*.h5")}
    for path in PACKAGE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert (place / "srcnn_tf" / path.relative_to(PACKAGE)).is_file(), path


LOAD = """
{imports}
model = keras.saving.load_model({path!r})
import numpy as np
lr_images = np.random.default_rng(0).random((1, 9, 11, 1), np.float32)
np.save({path!r} + ".npy", model(lr_images))
if hasattr(model, "optimizer"):
    print(type(model.optimizer).__name__, model.evaluate(lr_images, model(lr_images), verbose=0))
"""
ORDERS = ["import srcnn_tf, keras", "import tensorflow, keras, srcnn_tf"]


def loaded_elsewhere(model, path, imports):
    """Save a model, load it in a new process, hold both against each other; return what it says."""
    model.save(path)
    code = LOAD.format(imports=imports, path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    lr_images = np.random.default_rng(0).random((1, 9, 11, 1), np.float32)
    np.testing.assert_allclose(np.load(f"{path}.npy"), model(lr_images), atol=1e-6)
    return done.stdout


@pytest.mark.parametrize("imports", ORDERS)
def test_a_saved_network_loads_after_import_srcnn_tf_alone(tmp_path, imports):
    loaded_elsewhere(build("srcnn-9-1-5", 3), tmp_path / "m.keras", imports)


def test_what_fit_has_compiled_loads_too(tmp_path):
    model = fsrcnn(2, d=8, s=4, m=1)
    recipe = {"steps": 2, "optimizer": "soap", "loss": Charbonnier()}
    recipe = type(RECIPE)(**{**vars(RECIPE), **recipe, "rate_factors": {"deconvolution": 0.1}})
    fit(model, *images(), recipe)
    told = loaded_elsewhere(model, tmp_path / "m.keras", ORDERS[0])
    # The loss of equal images is Charbonnier's ε; their PSNR is infinite, or nearly.
    loss, score = map(float, told.removeprefix("LayerRates [").strip(" ]\n").split(","))
    assert loss == pytest.approx(1e-3, rel=1e-3)
    assert score > 70


@pytest.mark.parametrize("module", ["metrics", "optimizers", "models.srcnn"])
def test_each_module_may_be_the_first_to_be_imported(module):
    """Keras, once loaded, makes the four be imported: also where one of them is what loads it."""
    code = (
        f"import srcnn_tf.{module}, keras;"
        "names = keras.saving.get_custom_objects();"
        "assert {'srcnn_tf>PSNR', 'srcnn_tf>SOAP', 'srcnn_tf>Deconvolution',"
        "        'srcnn_tf>Charbonnier'} <= set(names), sorted(names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_is_registered_imports_nothing_of_ours_that_imports_keras():
    """Or a half-loaded module of ours would be imported by its names."""
    code = (
        "import sys; sys.modules['keras'] = None\n"
        "import srcnn_tf.files, srcnn_tf.images.io, srcnn_tf.images.pixels,"
        " srcnn_tf.images.resizing, srcnn_tf.ranges, srcnn_tf.scales"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    light = ("files", "images.io", "images.pixels", "images.resizing", "ranges", "scales")
    for name in ("layers", "losses", "metrics", "optimizers"):
        for line in (PACKAGE / f"{name}.py").read_text().splitlines():
            if line.startswith(("from srcnn_tf", "import srcnn_tf")):
                assert line.split()[1].removeprefix("srcnn_tf.") in light, line


def test_paths_that_saved_notebooks_use_go_on_working():
    from srcnn_tf.benchmark import multiply_adds, published
    from srcnn_tf.checks.lesson06 import MOMENTA, SCHEDULES, score, walk
    from srcnn_tf.figures import feature_maps, filters
    from srcnn_tf.images import read_image, write_image
    from srcnn_tf.pairs import check_scale, degrade_weights
    from srcnn_tf.upscaling import graph_function, reach

    assert reach(build("fsrcnn", 3)) == 7
    named = (multiply_adds, published, score, walk, feature_maps, filters, read_image, write_image)
    assert all(map(callable, (*named, check_scale, degrade_weights, graph_function)))
    assert (len(SCHEDULES), MOMENTA) == (4, (0.9, 0.99, 0.999))


def signatures():
    """Yield the public functions and methods of the library, without those that Keras names."""
    for module in pkgutil.walk_packages(srcnn_tf.__path__, "srcnn_tf."):
        if module.name == "srcnn_tf.__main__" or ".checks" in module.name:
            continue
        things = vars(importlib.import_module(module.name)).items()
        for name, thing in things:
            if name.startswith("_") or getattr(thing, "__module__", "") != module.name:
                continue
            if inspect.isfunction(thing):
                yield f"{module.name}.{name}", thing
            if inspect.isclass(thing):
                for method, function in vars(thing).items():
                    inherited = any(hasattr(base, method) for base in thing.__bases__)
                    own = method == "__init__" or not (method.startswith("_") or inherited)
                    if own and inspect.isfunction(function):
                        yield f"{module.name}.{name}.{method}", function


def test_public_signatures_are_typed():
    found = dict(signatures())
    assert len(found) > 80
    for name, function in found.items():
        signature = inspect.signature(function)
        untyped = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.annotation is parameter.empty
            and parameter.kind is not parameter.VAR_KEYWORD
            and parameter.name != "self"
        ]
        assert not untyped, f"{name} has untyped {untyped}"
        if not name.endswith("__init__"):
            assert signature.return_annotation is not signature.empty, name
