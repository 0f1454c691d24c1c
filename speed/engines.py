"""Milliseconds to enlarge one image, engine by engine: FSRCNN ×3 in float and in 8 bits.

All run in one process on one 240×160 luma image, on the same cores, in turns, second call onwards;
the figures are medians over the turns. The limit is what the network's multiplications take at the
pace of a large matrix product in TensorFlow, float32, on these cores. Exported files do more than
the bare network: in float they mirror borders and keep flat areas, in 8 bits they mirror borders
and have twice the maps. An engine that is not installed is left out.

    make speed

writes `build/engines.csv` and `build/engines.png`, too.
"""

import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.environment import cores
from srcnn_tf.export import FORMATS, export
from srcnn_tf.pretrained import load_pretrained
from srcnn_tf.probes import graph_function, multiply_adds

SCALE, HEIGHT, WIDTH, TURNS = 3, 160, 240, 15
FOLDER = Path(__file__).resolve().parent.parent / "build"
Run = Callable[[np.ndarray], np.ndarray]


def in_tensorflow(model) -> Iterator[tuple[str, Run]]:
    """Yield what needs Keras."""
    graph = graph_function(model)
    compiled = tf.function(lambda image: model(image, training=False), jit_compile=True)
    yield "Keras, predict", lambda image: model.predict(image, verbose=0)
    yield "TensorFlow, graph", lambda image: graph(image).numpy()
    yield "TensorFlow, XLA", lambda image: compiled(image).numpy()


def in_onnx(path: Path) -> Iterator[tuple[str, Run]]:
    """Yield what runs an ONNX file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    yield "ONNX Runtime", lambda image: session.run(None, {name: image})[0]
    net = cv2.dnn.readNetFromONNX(str(path))

    def opencv(image):
        net.setInput(image)
        return net.forward()

    yield f"OpenCV {cv2.__version__} DNN", opencv


def in_openvino(path: Path) -> Iterator[tuple[str, Run]]:
    """Yield OpenVINO in two precisions; `export` has switched its telemetry off."""
    import openvino

    for precision in ("f32", "bf16"):
        how = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": cores()}
        compiled = openvino.Core().compile_model(path, "CPU", how)
        yield f"OpenVINO, {precision}", lambda image, compiled=compiled: compiled(image)[0]


def in_litert(path: Path, name: str, delegate: bool = True) -> tuple[str, Run]:
    """Return a LiteRT run, with XNNPACK or without it; its size is set once."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runner = Interpreter(str(path), num_threads=cores(), experimental_op_resolver_type=kind)
    given, made = runner.get_input_details()[0]["index"], runner.get_output_details()[0]["index"]
    runner.resize_tensor_input(given, (1, HEIGHT, WIDTH, 1))
    runner.allocate_tensors()

    def run(image):
        runner.set_tensor(given, image)
        runner.invoke()
        return runner.get_tensor(made)

    return f"LiteRT, {name}", run


def callers(model, folder: Path) -> Iterator[tuple[str, Run]]:
    """Yield every engine that is installed, by its name."""
    yield from in_tensorflow(model)
    installed = {kind: all(map(find_spec, FORMATS[kind][2])) for kind in FORMATS}
    for kind, runs in (("onnx", in_onnx), ("openvino", in_openvino)):
        if installed[kind]:
            path = folder / f"free{FORMATS[kind][0]}"
            export(model, path)
            yield from runs(path)
    if installed["litert"]:
        size, photographs = (HEIGHT, WIDTH), datasets.load("samples", "train")
        export(model, folder / "fixed.tflite", size)
        export(model, folder / "free.tflite")
        export(model, folder / "int8.tflite", size, photographs=photographs)
        yield in_litert(folder / "fixed.tflite", "fixed size")
        yield in_litert(folder / "free.tflite", "free size")
        yield in_litert(folder / "fixed.tflite", "without XNNPACK", delegate=False)
        yield in_litert(folder / "int8.tflite", "fixed size, int8")


def pace() -> float:
    """Return the multiply-adds per millisecond of a product of two large matrices."""
    side = 2048
    matrix = tf.random.normal((side, side))
    product = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    product()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        product().numpy()
        seconds.append(time.perf_counter() - start)
    return side**3 / (1000 * min(seconds))


def main() -> None:
    """Measure; print a line for each engine, then draw them."""
    model = load_pretrained("fsrcnn", SCALE)
    image = datasets.load("samples", "test", channels=1)[0][None, :HEIGHT, :WIDTH]
    with tempfile.TemporaryDirectory() as folder:
        runs = dict(callers(model, Path(folder)))
    times = {name: [] for name in runs}
    for run in runs.values():
        run(image)
    for _ in range(TURNS):
        for name, run in runs.items():
            start = time.perf_counter()
            run(image)
            times[name].append(1000 * (time.perf_counter() - start))
    median = {name: statistics.median(values) for name, values in times.items()}
    limit = multiply_adds(model) * HEIGHT * WIDTH * SCALE**2 / pace()
    exact = runs["TensorFlow, graph"](image)
    print(f"fsrcnn ×{SCALE}, {WIDTH}×{HEIGHT}, {cores()} cores, medians of {TURNS} calls")
    print(f"{'':28}      ms  of graph  levels off")
    rows = []
    for name, run in runs.items():
        inner = (slice(None), *(slice(9 * SCALE, -9 * SCALE),) * 2)  # borders differ: mirrored
        off = 255 * float(np.abs(np.clip(run(image), 0, 1) - np.clip(exact, 0, 1))[inner].max())
        rows.append((name, median[name], median[name] / median["TensorFlow, graph"], off))
        print("{:28}{:8.1f}{:10.2f}{:12.3f}".format(*rows[-1]))
    print(f"{'the multiplications alone':28}{limit:8.1f}")
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "engines.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("engine", "milliseconds", "of_graph", "levels_off"), *rows])
    figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
    axis.barh(list(median), list(median.values()))
    axis.bar_label(axis.containers[0], fmt=" {:.1f}")
    axis.axvline(limit, color="black", linestyle="--", label="the multiplications alone, float32")
    axis.set(xscale="log", xlabel=f"milliseconds, {cores()} cores")
    axis.margins(x=0.2)
    axis.invert_yaxis()
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12))
    figure.suptitle(f"One image of {WIDTH}×{HEIGHT} at ×{SCALE}, engine by engine")
    figure.savefig(FOLDER / "engines.png", dpi=150)


if __name__ == "__main__":
    main()
