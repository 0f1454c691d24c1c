"""Questions to any `keras.Model`: scale, reach, multiply-adds, graph function, maps and filters.

A model here is built and has a graph: Sequential or functional, with branches, skips, shared layers
and models inside it. It takes one batch of images `[n, h, w, c]`; scale, reach and multiply-adds
are also told of what takes clips `[n, t, h, w, c]`. No probe changes it.

A layer of your own tells its reach by a method `window`, as those in `srcnn_tf.layers` do.
"""

import math
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf.images.pixels import as_float

# Pixels a side where a model leaves its size open. Strides of 2 and 3, many times over, divide it.
_SIDE = 576
# Sizes that `reach` tries: where "same" padding begins depends on the size modulo the stride. So
# many do for strides of up to 16 in all.
_SIDES = 16


def scale_of(model: keras.Model) -> int:
    """Return the factor by which a model enlarges, at least 1.

    Args:
        model: maps `[n, h, w, c]` to `[n, s·h, s·w, c]`.

    Raises:
        ValueError: no graph; an output that is no whole multiple of the input, the same in both
            directions.
    """
    shape = _input_shape(model, clips=True)
    spec = model.compute_output_spec(keras.KerasTensor(shape))
    outputs = [tuple(output.shape) for output in keras.tree.flatten(spec)]
    height, width = shape[-3:-1]
    scale = outputs[0][1] // height
    if [output[1:-1] for output in outputs] != [(scale * height, scale * width)] or scale < 1:
        wanted = "one image, both sides the same whole multiple of what went in"
        raise ValueError(f"the model {model.name!r} makes {outputs} of {shape}, not {wanted}")
    return scale


def reach(model: keras.Model, local: bool = False) -> int:
    """Return how far, in LR pixels, an input pixel may lie from an output pixel that it changes.

    The receptive field is at most `2·reach + 1` LR pixels wide. At inference, that is: batch
    normalisation treats each pixel by itself.

    Args:
        model: maps `[n, h, w, c]` to `[n, s·h, s·w, c]`.
        local: pass over layers that see the whole image, as channel attention does.

    Raises:
        ValueError: no graph; a layer that sees the whole image; a layer of unknown reach, which a
            method `window` would tell; see also `scale_of`.

    Derived in lesson 04.
    """
    scale, fixed = scale_of(model), model.input_shape[-3:-1]
    side = _SIDE
    while True:
        sides = [[f] if f else range(side, side + _SIDES) for f in fixed]
        spans = {(axis, n): np.arange(n)[None].repeat(2, 0) for axis in (0, 1) for n in sides[axis]}
        (seen,) = _run(model, [_Seen(spans)], partial(_look, local))
        if {axis for axis, _ in seen.spans} != {0, 1}:
            raise ValueError(f"windows of {model.name!r} do not fit: merged sizes never agree")
        distance = 0
        for (_, n), (first, last) in seen.spans.items():
            own = np.minimum(np.arange(first.size) // scale, n - 1)
            distance = max(distance, np.max(own - first), np.max(last - own))
        if all(fixed) or 4 * distance < side:  # far from what the borders cut off
            return int(distance)
        side *= 2


def sees_whole_image(model: keras.Model) -> bool:
    """Return whether a layer of a model sees the whole image: the model has no finite reach."""
    return any(_kind(layer) in _WHOLE for _, layer in layers(model))


def total_stride(model: keras.Model) -> int:
    """Return the product of the strides down: tiles that begin at its multiples are seen alike."""
    down = [
        it.strides[0]
        for _, it in layers(model)
        if hasattr(it, "strides") and not isinstance(it, keras.layers.Conv2DTranspose)
    ]
    return math.prod(down)


def multiply_adds(model: keras.Model) -> float:
    """Count the multiply-adds of a model's convolutions and dense layers per HR pixel.

    As in the papers, biases, activations, normalisation and interpolation are not counted, and a
    deconvolution uses each weight once for every input pixel (FSRCNN paper, section 3.3).

    Args:
        model: maps `[n, h, w, c]` to `[n, s·h, s·w, c]`.

    Raises:
        ValueError: no graph; a layer whose multiply-adds are not known; see also `scale_of`.

    Derived in lesson 05.
    """
    shape, total = _input_shape(model, clips=True), 0

    def count(name: str, operation: keras.Operation, args: list, kwargs: dict) -> Any:
        nonlocal total
        kind, weights = _kind(operation), getattr(operation, "weights", [])
        moves = hasattr(operation, "window") and not weights  # interpolation, say
        if kind not in _WEIGHTED | _UNCOUNTED and not moves:
            raise _unknown(name, operation, "teach `srcnn_tf.probes.multiply_adds` this class")
        outputs = operation.compute_output_spec(*args, **kwargs)
        if kind in _WEIGHTED:
            transposed = isinstance(operation, keras.layers.Conv2DTranspose)
            pixels = keras.tree.flatten([args, kwargs])[0] if transposed else outputs
            kernels = [math.prod(w.shape) for w in weights if w.name.endswith("kernel")]
            total += math.prod(pixels.shape[1:-1]) * sum(kernels)
        return outputs

    _run(model, [keras.KerasTensor(shape)], count)
    return total / (shape[-3] * shape[-2] * scale_of(model) ** 2)


def graph_function(model: keras.Model) -> Callable[[np.ndarray], tf.Tensor]:
    """Return a model as one TensorFlow graph for inputs of any size, traced once.

    For a single image it is faster than `model.predict`, which sets up a dataset and callbacks in
    every call (`speed/inference.py`). It follows the model's weights.

    Args:
        model: maps `[n, h, w, c]` to `[n, s·h, s·w, c]`, float32.

    Raises:
        ValueError: no graph.
    """
    if not hasattr(model, "_graph_function"):  # kept with the model, so that it lives as long
        signature = [tf.TensorSpec([None, None, None, _input_shape(model)[-1]], tf.float32)]
        model._graph_function = tf.function(
            lambda lr_images: model(lr_images, training=False), input_signature=signature
        )
    return model._graph_function


def feature_maps(model: keras.Model, lr_image: np.ndarray) -> dict[str, np.ndarray]:
    """Return the output of every layer for one image, in one pass.

    Args:
        model: any with a graph.
        lr_image: `[h, w, c]` with the model's number of channels; see `images.as_float`, overshoot
            is let through.

    Returns:
        Layer name to float32 `[h', w', n]`, in the order of the layers. The layer `conv` of an
        inner model `block` is "block/conv"; of a layer called twice, the second is "conv:2".

    Raises:
        ValueError: no graph; the image does not fit the model; see also `images.as_float`.

    Derived in lesson 04.
    """
    channels = _input_shape(model)[-1]
    lr_image = as_float(lr_image, "lr_image", overshoot=True)
    if lr_image.ndim != 3 or lr_image.shape[-1] != channels or not lr_image.size:
        raise ValueError(f"the model takes [h, w, {channels}]; this image is {lr_image.shape}")
    maps: dict[str, np.ndarray] = {}

    def keep(name: str, operation: keras.Operation, args: list, kwargs: dict) -> Any:
        outputs = operation(*args, **kwargs)
        for output in keras.tree.flatten(outputs):
            calls = sum(key.partition(":")[0] == name for key in maps)
            maps[f"{name}:{calls + 1}" if calls else name] = np.asarray(output)[0]
        return outputs

    _run(model, [keras.ops.convert_to_tensor(lr_image[None], model.inputs[0].dtype)], keep)
    return maps


def filters(model: keras.Model, layer: str) -> np.ndarray:
    """Return the kernels of a convolution.

    Args:
        model: any with a graph.
        layer: the name of one of its convolutions; "block/conv" is `conv` of an inner model.

    Returns:
        float32 `[f, f, inputs, outputs]`.

    Raises:
        ValueError: no graph; no convolution of that name; the message lists those that there are.
    """
    _input_shape(model)
    found = {name: it for name, it in layers(model) if np.ndim(getattr(it, "kernel", 0)) == 4}
    if layer not in found:
        raise ValueError(f"no convolution {layer!r}: there are {', '.join(found)}")
    kernel = np.asarray(found[layer].kernel)
    transposed = isinstance(found[layer], keras.layers.Conv2DTranspose)
    return kernel.swapaxes(2, 3) if transposed else kernel


def layers(model: keras.Model, path: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """Yield (name, layer) of a model's layers, and of the models among them; see `filters`."""
    for layer in model.layers:
        yield path + layer.name, layer
        if isinstance(layer, keras.Model):
            yield from layers(layer, f"{path}{layer.name}/")


# -- a model's graph ------------------------------------------------------------------------------


def _input_shape(model: keras.Model, clips: bool = False) -> tuple[int, ...]:
    """Return the shape of a batch of one image for a model; raise a ValueError if it takes none.

    With `clips`, it may take clips `[n, t, h, w, c]` instead.
    """
    shapes = [tensor.shape for tensor in getattr(model, "inputs", None) or []]
    if len(shapes) != 1 or len(shapes[0]) not in (4, 5 if clips else 4):
        takes = f"takes inputs of shapes {shapes}" if shapes else "has no graph"
        wanted = "a Sequential or functional model, built, that takes images [n, h, w, c]"
        told = f"the model {model.name!r} ({type(model).__name__}) {takes}"
        raise ValueError(f"{told}: probes need {wanted}")
    _, *frames, height, width, channels = shapes[0]
    return 1, *frames, height or _SIDE, width or _SIDE, channels


def _run(model: keras.Model, inputs: Sequence, call: Callable, path: str = "") -> list:
    """Run a model's graph on values of any kind and return those of its outputs.

    Args:
        model: any with a graph; models inside it are run likewise.
        inputs: a value for each input.
        call: `call(name, operation, args, kwargs)` returns the values of an operation's outputs.
        path: what the names begin with.
    """
    graph = keras.Model(model.inputs, model.outputs, name=model.name)  # of a Sequential, too
    try:
        config = graph.get_config()
    except NotImplementedError as error:  # it names the layer's class, and ends in an example
        reason = " ".join(str(error).partition("Example")[0].split())
        raise ValueError(f"the graph of {model.name!r} cannot be read: {reason}") from None
    operations = {operation.name: operation for operation in graph.operations}
    values = {tuple(end): value for end, value in zip(config["input_layers"], inputs, strict=True)}
    waiting = []
    for layer in config["layers"]:
        for i, node in enumerate(layer["inbound_nodes"]):
            needs: set[tuple] = set()
            _filled(node, needs.add)
            waiting.append((layer["name"], i, node, needs))
    while waiting:
        first = next(item for item in waiting if item[3] <= values.keys())
        waiting.remove(first)
        name, i, node, _ = first
        operation, filled = operations[name], _filled(node, values.get)
        args, kwargs = filled["args"], filled["kwargs"]
        if isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
            given = keras.tree.flatten(args[0] if args else kwargs["inputs"])
            outputs = _run(operation, given, call, f"{path}{name}/")
        else:
            outputs = keras.tree.flatten(call(path + name, operation, args, kwargs))
        values |= {(name, i, j): output for j, output in enumerate(outputs)}
    # Unlike elsewhere in a config, the calls of a functional model are counted from 1 on here.
    ends = config["output_layers"]
    return [values[name, i - isinstance(operations[name], type(graph)), j] for name, i, j in ends]


def _filled(node: Any, value_of: Callable) -> Any:
    """Put values in the places of the tensors in a node's arguments.

    A place is an operation's name, the number of its call, the number of its output.
    """

    def fill(part: Any) -> Any:
        if not isinstance(part, dict) or "class_name" not in part:
            return None  # stays, and its parts are looked at
        if part["class_name"] == "__keras_tensor__":
            return value_of(tuple(part["config"]["keras_history"]))
        return keras.saving.deserialize_keras_object(part)  # a slice or an array

    return keras.tree.traverse(fill, node)


def _kind(operation: keras.Operation) -> str:
    """Return the class name of an operation of Keras or of this library, "" for a strange one.

    By name, since this library also runs on a Keras that lacks the newest. A subclass of yours is
    strange, too: its `call` may do anything.
    """
    kind = type(operation)
    known = kind.__module__.partition(".")[0] in ("keras", "srcnn_tf")
    odd = getattr(operation, "data_format", None) == "channels_first"
    if isinstance(operation, keras.layers.Conv2DTranspose):
        odd |= (operation.output_padding, *operation.dilation_rate) != (None, 1, 1)
    return kind.__name__ if known and not odd else ""


def _unknown(name: str, operation: keras.Operation, cure: str) -> ValueError:
    return ValueError(f"the layer {name!r} ({type(operation).__name__}) is unknown here: {cure}")


# -- reach ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """What the pixels of a tensor depend on: a class, so that Keras does not look inside.

    Attributes:
        spans: for an axis and a side of the LR image, the first and the last LR pixel that each
            pixel along this axis depends on, `[2, pixels]`.
    """

    spans: dict[tuple[int, int], np.ndarray]


def _look(local: bool, name: str, operation: keras.Operation, args: list, kwargs: dict) -> _Seen:
    """Return what an operation's output depends on, from what its inputs depend on."""
    inputs = [item.spans for item in keras.tree.flatten([args, kwargs]) if isinstance(item, _Seen)]
    spans = {}
    for axis, side in set.intersection(*map(set, inputs)):
        firsts, lasts = zip(*(item[axis, side] for item in inputs), strict=True)
        if len({first.size for first in firsts}) > 1:
            continue  # the model takes no images of this size, as U-shaped ones do
        first, last = np.min(firsts, axis=0), np.max(lasts, axis=0)
        start = stop = np.arange(first.size)
        if not (local and _kind(operation) in _WHOLE):
            start, stop = _window(name, operation, first.size, axis)
        steps = np.arange(np.max(stop - start) + 1)[:, None]
        pixels = np.minimum(start + steps, stop).clip(0, first.size - 1)
        spans[axis, side] = np.stack([first[pixels].min(axis=0), last[pixels].max(axis=0)])
    return _Seen(spans)


# The first and the last input pixel that each output pixel sees.
_Window = tuple[np.ndarray, np.ndarray]


def _window(name: str, operation: keras.Operation, size: int, axis: int) -> _Window:
    if hasattr(operation, "window"):
        return operation.window(size)
    kind, over = _kind(operation), set(np.ravel(getattr(operation, "axis", -1)))
    if kind in _WHOLE or (kind in _OVER_AXIS and not over <= {-1, 3}):
        told = f"the layer {name!r} ({kind}) sees the whole image"
        raise ValueError(f"{told}: this model has no finite reach")
    if kind in _WINDOWS:
        return _WINDOWS[kind](operation, size, axis)
    if kind in _POINTWISE | _OVER_AXIS and over <= {-1, 3} and getattr(operation, "keepdims", True):
        return (np.arange(size),) * 2
    cure = "give it a method `window`, as `srcnn_tf.layers.BicubicUpsampling` has"
    raise _unknown(name, operation, f"{cure}, or teach `srcnn_tf.probes` this class")


def _sliding(layer: keras.Layer, size: int, axis: int) -> _Window:
    taps = getattr(layer, "kernel_size", None) or layer.pool_size
    axis -= 2  # of a clip, the last two of three
    extent = (taps[axis] - 1) * getattr(layer, "dilation_rate", (1, 1))[axis] + 1
    stride = layer.strides[axis]
    count, before = (size - extent) // stride + 1, 0
    if layer.padding == "same":
        count = -(-size // stride)
        before = max(0, (count - 1) * stride + extent - size) // 2
    start = np.arange(count) * stride - before
    return start, start + extent - 1


def _spreading(layer: keras.Layer, size: int, axis: int) -> _Window:
    taps, stride = layer.kernel_size[axis], layer.strides[axis]
    overlap, same = max(0, taps - stride), layer.padding == "same"
    places = np.arange(size * stride + overlap * (not same)) + overlap // 2 * same
    return (places - taps) // stride + 1, places // stride


def _enlarging(layer: keras.Layer, size: int, axis: int) -> _Window:
    factor, radius = layer.size[axis], _RADIUS[layer.interpolation]
    if not radius:
        return (np.arange(size).repeat(factor),) * 2
    # In units of 1 / (2·factor) pixels. Where it meets a pixel's centre, this pixel counts alone.
    places, unit = 2 * np.arange(size * factor) + 1 - factor, 2 * factor
    below, above = places // unit, -(-places // unit)
    more = (radius - 1) * (below < above)
    return below - more, above + more


_RADIUS = {"nearest": 0, "bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}


# -- what is known of operations, by the names of their classes -----------------------------------

_WINDOWS = {
    **dict.fromkeys(["Conv2D", "Conv3D", "DepthwiseConv2D", "SeparableConv2D"], _sliding),
    **dict.fromkeys(["MaxPooling2D", "AveragePooling2D"], _sliding),
    "Conv2DTranspose": _spreading,
    "UpSampling2D": _enlarging,
    "ZeroPadding2D": lambda it, n, i: (np.arange(-it.padding[i][0], n + it.padding[i][1]),) * 2,
    "Cropping2D": lambda it, n, i: (np.arange(it.cropping[i][0], n - it.cropping[i][1]),) * 2,
    "DepthToSpace": lambda it, n, i: (np.arange(n).repeat(it.block_size),) * 2,
}
_KINDS = tomllib.loads((files("srcnn_tf") / "operations.toml").read_text(encoding="utf-8"))
_POINTWISE, _OVER_AXIS, _WHOLE, _MOVING, _WEIGHTED = (
    frozenset(_KINDS[kind]) for kind in ("pointwise", "over_axis", "whole", "moving", "weighted")
)
_UNCOUNTED = _POINTWISE | _OVER_AXIS | _WHOLE | _MOVING | _WINDOWS.keys()
