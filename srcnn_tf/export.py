"""Networks in other run times: files that need no Keras, held against it before they get a name."""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from srcnn_tf.environment import versions
from srcnn_tf.files import check_place, write_file
from srcnn_tf.images.pixels import rgb_to_ycbcr
from srcnn_tf.layers import BicubicUpsampling, depth_to_space, mirrored
from srcnn_tf.probes import graph_function, reach, scale_of
from srcnn_tf.ranges import check_choice, check_number

# By format: the suffix of its files, what Keras calls it, and the packages that it takes.
FORMATS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "onnx": (".onnx", "onnx", ("tf2onnx", "onnx", "onnxruntime")),
    "openvino": (".xml", "openvino", ("openvino",)),
    "litert": (".tflite", "litert", ("ai_edge_litert",)),
    "saved_model": (".saved_model", "tf_saved_model", ()),
}
ENGINES = ("tensorflow", "openvino", "onnx")
_MOST_LEVELS = 0.01  # grey levels of 255 by which a file may differ from Keras


class WholeImages(keras.Model):
    """A network as an app needs it: as `upscaling.upscale` runs it, all inside one graph.

    Borders are mirrored; flat areas, where all that the network sees is of one value, stay as they
    are; RGB goes in and out around a network for luma.

    Input `[n, h, w, c]`, output `[n, s·h, s·w, c]`, float32 in [0, 1], any h and w.

    Args:
        network: maps `[n, h, w, c]` to `[n, s·h, s·w, c]`, c = 1 or 3.
        colour: enlarge RGB: a network for luma gets the luma (BT.601), chroma is interpolated.
    """

    def __init__(self, network: keras.Model, colour: bool = False):
        super().__init__(name=network.name)
        self.network, self.scale, self.margin = network, scale_of(network), reach(network, True)
        self.channels = 3 if colour else network.input_shape[-1]
        self.bicubic = BicubicUpsampling(self.scale)
        self.offset = rgb_to_ycbcr(np.zeros((1, 1, 1, 3), np.float32))
        self.to_ycbcr = rgb_to_ycbcr(np.eye(3, dtype=np.float32)[None, None]) - self.offset
        self.built = True  # as the network is

    def call(self, images):
        if self.channels == self.network.input_shape[-1]:
            return ops.clip(self._enlarged(images), 0, 1)
        ycbcr = ops.conv(images, self.to_ycbcr) + self.offset
        parts = [self._enlarged(ycbcr[..., :1]), self.bicubic(ycbcr[..., 1:])]
        back = np.linalg.inv(self.to_ycbcr[0, 0])[None, None]
        return ops.clip(ops.conv(ops.concatenate(parts, axis=-1) - self.offset, back), 0, 1)

    def _enlarged(self, images):
        inner = slice(self.margin * self.scale, -self.margin * self.scale or None)
        seen = mirrored(images, self.margin)
        highest, lowest = self._highest(seen), -self._highest(-seen)
        flat = ops.all(highest == lowest, axis=-1, keepdims=True)
        flat, kept = (
            depth_to_space(ops.concatenate(self.scale**2 * [it], axis=-1), self.scale)
            for it in (ops.cast(flat, images.dtype), images)
        )
        return ops.where(flat > 0, kept, self.network(seen)[:, inner, inner])

    def _highest(self, images):
        """Return the highest value that each output of the network sees."""
        side = 2 * self.margin + 1
        for window in ((side, 1), (1, side)):
            images = ops.max_pool(images, window, strides=1, padding="valid")
        return images


def export(
    network: keras.Model,
    path: str | Path,
    size: tuple[int, int] | None = None,
    colour: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a network, its borders mirrored, as a file for another run time, and a card beside it.

    The file is run at once on noise and must agree with Keras to 0.01 grey levels of 255. Other
    than `upscaling.upscale`, it does not round to 8 bits.

    Args:
        network: see `WholeImages`.
        path: its suffix chooses the format: `.onnx`, `.xml` (OpenVINO, which adds a `.bin`),
            `.tflite` (LiteRT), or `.saved_model`, a folder.
        size: the (height, width) that it takes; None leaves both free.
        colour: see `WholeImages`.
        overwrite: replace what is there.

    Returns:
        The path of the card, `NAME.SUFFIX.json`.

    Raises:
        ValueError: unknown suffix, a bad size, or a file that does not agree with Keras.
        ImportError: a package is missing; the message names it.
        FileExistsError: the file is there and `overwrite` is false.
        OSError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    _kind(path)
    for pixels in size or ():
        check_number("size", pixels, whole=True, least=1)
    card = path.with_name(path.name + ".json")
    parts = {".xml": [path, path.with_suffix(".bin")], ".saved_model": []}.get(path.suffix, [path])
    for place in (card, *parts):
        check_place(place, overwrite)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; overwrite=True, or --overwrite, replaces it")
    model = WholeImages(network, colour)
    shape = (1, *size, model.channels) if size else (None, None, None, model.channels)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        made = Path(folder) / path.name
        _convert(model, made, shape)
        run, apart = run_exported(made), 0.0
        for height, width in [size] if size else [(24, 31), (5, 48)]:
            noise = np.random.default_rng(0).random((1, height, width, model.channels), np.float32)
            apart = max(apart, 255 * float(np.abs(run(noise) - np.asarray(model(noise))).max()))
        if not apart <= _MOST_LEVELS:
            told = f"{path} would differ from Keras by {apart:.2g} grey levels"
            raise ValueError(f"{told}, more than {_MOST_LEVELS}: it is not written")
        for part in Path(folder).iterdir():
            target = path.with_name(part.name)
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(part, target)
    about = {
        "network": network.name,
        "scale": model.scale,
        "channels": model.channels,
        "size": size,
        "values": "float32 in [0, 1], [n, h, w, c]",
        "largest_difference_levels": float(f"{apart:.2g}"),
        "versions": versions(),
    }
    write_file(card, (json.dumps(about, indent=1) + "\n").encode(), overwrite=True)
    return card


def _convert(model: keras.Model, path: Path, shape: tuple) -> None:
    signature = [keras.InputSpec(shape=shape, dtype="float32", name="lr_images")]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # converters talk
        warnings.simplefilter("ignore")
        model.export(str(path), format=_kind(path), input_signature=signature, verbose=False)


def _kind(path: Path) -> str:
    """Return what Keras calls a file's format; raise an error if it cannot be made here."""
    suffixes = {suffix: (kind, packages) for suffix, kind, packages in FORMATS.values()}
    check_choice("suffix", path.suffix, suffixes)
    kind, packages = suffixes[path.suffix]
    if missing := ", ".join(package for package in packages if not find_spec(package)):
        raise ImportError(f"{path.suffix} files need {missing}: pip install 'srcnn-tf[export]'")
    if kind == "openvino":  # importing it would tell Google Analytics so, unasked
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return kind


def engine_function(model: keras.Model, engine: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return a model as a function of arrays, run by an engine; converted once.

    Args:
        model: maps `[n, h, w, c]` to `[n, s·h, s·w, c]`.
        engine: of `ENGINES`, or "auto": OpenVINO where it is installed, else TensorFlow.

    Raises:
        ValueError: unknown engine.
        ImportError: the engine is not installed.
    """
    check_choice("engine", engine, ("auto", *ENGINES))
    if engine == "auto":
        engine = "openvino" if find_spec("openvino") else "tensorflow"
    run = graph_function(model)  # it refuses what takes no images
    if engine == "tensorflow":
        return lambda images: run(images).numpy()
    kept = model.__dict__.setdefault("_engines", {})  # with the model, so that they live as long
    if engine not in kept:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"network{FORMATS[engine][0]}"
            _convert(model, file, (None, None, None, model.input_shape[-1]))
            kept[engine] = run_exported(file)
    return kept[engine]


def run_exported(path: str | Path) -> Callable[[np.ndarray], np.ndarray]:
    """Open an exported file in its run time: a function of float32 `[n, h, w, c]`, as the network.

    Args:
        path: what `export` wrote, or another file in one of its formats.

    Raises:
        ValueError: unknown suffix.
        ImportError: its run time is not installed.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {session.get_inputs()[0].name: images})[0]
    if kind == "openvino":
        import openvino

        # On processors that have bfloat16 it would be the default, and off by many levels.
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(path, "CPU", exact)
        return lambda images: compiled(images)[0]
    if kind == "litert":
        from ai_edge_litert.interpreter import Interpreter

        runner = Interpreter(str(path)).get_signature_runner()
        (given,) = runner.get_input_details()
        return lambda images: next(iter(runner(**{given: images}).values()))
    loaded = tf.saved_model.load(path)
    return lambda images: loaded.serve(images).numpy()
