"""Milliseconds to enlarge one image: `predict`, one graph, XLA; FSRCNN beside SRCNN.

All run in one process on one 240×160 luma image at ×3, in turns, second call onwards; the figures
are medians over the turns.

    make speed
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from srcnn_tf.environment import cores
from srcnn_tf.models import build
from srcnn_tf.networks import networks
from srcnn_tf.probes import graph_function

SCALE, HEIGHT, WIDTH, TURNS = 3, 160, 240, 15


def callers(name: str) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return the three ways of running a network."""
    model = build(name, SCALE)
    graph = graph_function(model)
    compiled = tf.function(lambda image: model(image, training=False), jit_compile=True)
    return {
        "predict": lambda image: model.predict(image, verbose=0),
        "graph": lambda image: graph(image).numpy(),
        "XLA": lambda image: compiled(image).numpy(),
    }


def main() -> None:
    """Measure and print a line for each network, then the ratios."""
    image = np.random.default_rng(0).random((1, HEIGHT, WIDTH, 1)).astype(np.float32)
    runs = {(name, kind): call for name in networks() for kind, call in callers(name).items()}
    times = {key: [] for key in runs}
    for call in runs.values():
        call(image)
    for _ in range(TURNS):
        for key, call in runs.items():
            start = time.perf_counter()
            call(image)
            times[key].append(1000 * (time.perf_counter() - start))
    median = {key: statistics.median(values) for key, values in times.items()}
    print(f"{WIDTH}×{HEIGHT} luma, ×{SCALE}, {cores()} cores, medians of {TURNS} calls")
    print(f"{'milliseconds':12}" + "".join(f"{kind:>10}" for kind in ("predict", "graph", "XLA")))
    for name in networks():
        row = [median[name, kind] for kind in ("predict", "graph", "XLA")]
        print(f"{name:12}" + "".join(f"{value:10.1f}" for value in row))
    ours = median["fsrcnn", "graph"]
    print(f"fsrcnn graph / its predict: {ours / median['fsrcnn', 'predict']:.2f}")
    print(f"fsrcnn graph / srcnn-9-5-5 graph: {ours / median['srcnn-9-5-5', 'graph']:.3f}")


if __name__ == "__main__":
    main()
