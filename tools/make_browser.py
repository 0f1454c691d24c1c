"""Make the page that enlarges photographs in the browser: a part of `make site`.

onnxruntime-web comes from npm, of the version below, and lies beside the page: it loads nothing
from elsewhere. Networks are what `srcnn_tf.export` writes, pixels what `upscale` makes of them.
"""

import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import keras

from srcnn_tf import export
from srcnn_tf.layers import BicubicUpsampling
from srcnn_tf.networks import default_network
from srcnn_tf.pretrained import load_pretrained
from srcnn_tf.probes import reach
from srcnn_tf.scales import SCALES
from srcnn_tf.upscaling import BICUBIC_REACH

RUNTIME = "onnxruntime-web@1.30.0"
RUNTIME_FILES = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PARTS = Path(__file__).resolve().parent / "browser"


def make(folder: Path) -> None:
    """Write the page `index.html` and what it loads.

    Args:
        folder: is made; the page works from any web server that serves it.

    Raises:
        FileNotFoundError: npm is not installed.
        ConnectionError: npm cannot fetch the run time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _fetch_runtime(folder)
    margins = {}
    for scale in SCALES:
        network = load_pretrained(default_network(), scale)
        margins[scale] = max(reach(network), BICUBIC_REACH)
        bicubic = keras.Sequential([keras.Input((None, None, 1)), BicubicUpsampling(scale)])
        export.export(network, folder / f"grey-x{scale}.onnx", overwrite=True)
        export.export(network, folder / f"colour-x{scale}.onnx", colour=True, overwrite=True)
        export.export(bicubic, folder / f"bicubic-x{scale}.onnx", overwrite=True)
    page = (PARTS / "index.html").read_text(encoding="utf-8")
    slider = (Path(export.__file__).parent / "slider.html").read_text(encoding="utf-8")
    for placeholder, text in {
        "$heading": "",
        "$before": "",
        "$after": "",
        "$left": "stretched by the browser",
        "$right": "enlarged by FSRCNN",
        "max-width: ${width}px; image-rendering: $rendering": "",
    }.items():
        slider = slider.replace(placeholder, text)
    page = page.replace("<!-- slider -->", slider)
    page = page.replace("const margins = {}", f"const margins = {json.dumps(margins)}")
    (folder / "index.html").write_text(page, encoding="utf-8")
    shutil.copy(PARTS / "worker.js", folder)


def _fetch_runtime(folder: Path) -> None:
    if not shutil.which("npm"):
        raise FileNotFoundError("npm is not installed: it comes with Node.js, https://nodejs.org")
    with tempfile.TemporaryDirectory() as place:
        try:
            fetched = subprocess.run(
                ["npm", "pack", RUNTIME, "--silent"],
                cwd=place,
                check=True,
                capture_output=True,
                text=True,
                timeout=300,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise ConnectionError(f"npm cannot fetch {RUNTIME}: {error.stderr or error}") from error
        with tarfile.open(Path(place) / fetched.stdout.split()[-1]) as archive:
            for name in RUNTIME_FILES:
                source = archive.extractfile(f"package/dist/{name}")
                with source, open(folder / name, "wb") as target:
                    shutil.copyfileobj(source, target)
