"""Networks in other run times: files that need no Keras, held against it before they get a name."""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from srcnn_tf.eight_bits import rewritten
from srcnn_tf.environment import versions
from srcnn_tf.files import check_place, write_file
from srcnn_tf.images.pixels import rgb_to_ycbcr
from srcnn_tf.layers import BicubicUpsampling, depth_to_space, mirrored
from srcnn_tf.pairs.crops import random_crops
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
_MOST_LOST = 1.0  # dB that a file in 8 bits may lose on the crops that set its steps
_CROPS, _SIDE = 512, 32  # these crops, and their side in LR pixels


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
        self.converts = self.channels != network.input_shape[-1]
        self.bicubic = BicubicUpsampling(self.scale)
        self.offset = rgb_to_ycbcr(np.zeros((1, 1, 1, 3), np.float32))
        self.to_ycbcr = rgb_to_ycbcr(np.eye(3, dtype=np.float32)[None, None]) - self.offset
        self.built = True  # as the network is

    def call(self, images):
        if not self.converts:
            return ops.clip(self._enlarged(images), 0, 1)
        ycbcr = ops.conv(images, self.to_ycbcr) + self.offset
        parts = [self._enlarged(ycbcr[..., :1]), self.bicubic(ycbcr[..., 1:])]
        back = np.linalg.inv(self.to_ycbcr[0, 0])[None, None]
        return ops.clip(ops.conv(ops.concatenate(parts, axis=-1) - self.offset, back), 0, 1)

    def _enlarged(self, images):
        inner = slice(self.margin * self.scale, -self.margin * self.scale or None)
        seen = mirrored(images, self.margin)
        if not isinstance(self.network, keras.Model):  # in 8 bits, where nothing is exact
            return self.network(seen)[:, inner, inner]
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
    photographs: Sequence[np.ndarray] | None = None,
) -> Path:
    """Write a network, its borders mirrored, as a file for another run time, and a card beside it.

    The file is run at once on noise and must agree with Keras to 0.01 grey levels of 255. Other
    than `upscaling.upscale`, it does not round to 8 bits.

    Given photographs, weights and feature maps are stored in 8 bits: weights have 255 steps for
    each filter, maps 255 for all, as the photographs need them. Such a file is held against Keras
    by the PSNR that it loses on them, which is on its card and may be a decibel at most.

    Args:
        network: see `WholeImages`.
        path: its suffix chooses the format: `.onnx`, `.xml` (OpenVINO, which adds a `.bin`),
            `.tflite` (LiteRT), or `.saved_model`, a folder.
        size: the (height, width) that it takes; None leaves both free.
        colour: see `WholeImages`.
        overwrite: replace what is there.
        photographs: training images `[H, W, c]`, for a `.tflite` file in 8 bits.

    Returns:
        The path of the card, `NAME.SUFFIX.json`.

    Raises:
        ValueError: unknown suffix, a bad size, 8 bits in a format other than LiteRT, photographs
            that are all too small, or a file that does not agree with Keras.
        ImportError: a package is missing; the message names it.
        FileExistsError: the file is there and `overwrite` is false.
        OSError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    if _kind(path) != "litert" and photographs is not None:
        raise ValueError(f"8 bits are for LiteRT's files alone: {path.name} must end in .tflite")
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
        if photographs is None:
            _convert(model, made, shape)
            run, apart = run_exported(made), 0.0
            for height, width in [size] if size else [(24, 31), (5, 48)]:
                noise = np.random.default_rng(0).random((1, height, width, shape[-1]), np.float32)
                apart = max(apart, 255 * float(np.abs(run(noise) - np.asarray(model(noise))).max()))
            if not apart <= _MOST_LEVELS:
                told = f"{path} would differ from Keras by {apart:.2g} grey levels"
                raise ValueError(f"{told}, more than {_MOST_LEVELS}: it is not written")
            held = {"largest_difference_levels": float(f"{apart:.2g}")}
        else:
            lost = _convert_to_8_bits(model, made, shape, photographs)
            if not lost <= _MOST_LOST:
                told = f"{path} would lose {lost:.2f} dB, more than {_MOST_LOST}"
                raise ValueError(f"{told}: it is not written")
            held = {"bits": 8, "psnr_lost_db": round(lost, 3)}
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
        **held,
        "versions": versions(),
    }
    write_file(card, (json.dumps(about, indent=1) + "\n").encode(), overwrite=True)
    return card


def _convert(model: keras.Model, path: Path, shape: tuple, **options) -> None:
    signature = [keras.InputSpec(shape=shape, dtype="float32", name="lr_images")]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # converters talk
        warnings.simplefilter("ignore")
        kind = _kind(path)
        model.export(str(path), format=kind, input_signature=signature, verbose=False, **options)


def _convert_to_8_bits(
    model: WholeImages, path: Path, shape: tuple, photographs: Sequence[np.ndarray]
) -> float:
    """Write a LiteRT file in 8 bits; return the dB that it loses on crops of photographs."""
    side = _SIDE * model.scale
    large = [image for image in photographs if min(image.shape[:2]) >= side]
    if not large:
        raise ValueError(f"8 bits need training photographs of {side}×{side} pixels at least")
    batches = random_crops(large, model.scale, side, _CROPS, channels=model.channels)
    lr_images, hr_images = (batch.numpy() for batch in next(iter(batches)))
    # Black next to white, and areas of both, so that no photograph needs more than the crops do.
    low, high = (edge(lr_images, (1, 2, 3), keepdims=True) for edge in (np.min, np.max))
    shown = (lr_images - low) / np.maximum(high - low, 1 / 255)
    shown = np.concatenate([shown, np.zeros_like(shown[:1]), np.ones_like(shown[:1])])
    rounded = WholeImages(model.network, model.converts)
    luma = (ops.conv(shown, model.to_ycbcr) + model.offset)[..., :1] if model.converts else shown
    rounded.network = rewritten(model.network, np.asarray(luma))
    height, width = shape[1:3]
    if height:  # the crops, side by side and cut to the size
        shown, lr_images = (_mosaics(images, height, width) for images in (shown, lr_images))
        hr_images = _mosaics(hr_images, model.scale * height, model.scale * width)
    _convert(
        rounded,
        path,
        (1, *shape[1:]),
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([image[None]] for image in shown[-66:]),
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
    )
    run = run_exported(path)
    errors = [
        [np.mean((enlarge(lr[None]) - hr) ** 2) for enlarge in (run, model)]
        for lr, hr in zip(lr_images[:32], hr_images[:32], strict=True)
    ]
    return float(10 * np.log10(np.divide(*np.mean(errors, axis=0))))


def _mosaics(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Set square images side by side to one image of a size, or to several."""
    side = images.shape[1]
    rows, columns = -(-height // side), -(-width // side)
    count = max(1, len(images) // (rows * columns))
    tiles = np.resize(images, (count, rows, columns, *images.shape[1:]))
    whole = tiles.transpose(0, 1, 3, 2, 4, 5).reshape(count, rows * side, columns * side, -1)
    return whole[:, :height, :width]


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
