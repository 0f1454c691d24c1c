"""A table of methods × sets × scales under the protocol, beside the published figures."""

import csv
import io
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache, partial
from importlib.resources import files
from itertools import product
from pathlib import Path

import keras
import numpy as np
from scipy.ndimage import uniform_filter
from tqdm import tqdm

from srcnn_tf import datasets
from srcnn_tf.images.pixels import check_sides, quantise
from srcnn_tf.images.resizing import resize
from srcnn_tf.metrics import MS_SSIM_SIDE, SSIM_WINDOW, Protocol, detail, ms_ssim, psnr, ssim
from srcnn_tf.networks import networks
from srcnn_tf.pairs.degradation import BICUBIC, AnyDegradation, degrade
from srcnn_tf.pairs.whole_images import image_pair
from srcnn_tf.pretrained import available, load_pretrained, trained_scales
from srcnn_tf.probes import multiply_adds
from srcnn_tf.ranges import check_choice
from srcnn_tf.upscaling import image_function

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
CROP = 96  # HR pixels a side
_AGAINST_TRUTH = {"psnr": psnr, "ssim": ssim, "ms-ssim": ms_ssim, "detail": detail}
METRICS = (*_AGAINST_TRUTH, "consistency")


@dataclass(frozen=True)
class Shot:
    """One image of a row: its scores, and the place of it where the truth has most detail.

    Attributes:
        file: name of the image.
        scores: by name, of `METRICS`.
        thumbnail: the truth made small, float32 `[h, w, c]` in [0, 1], with the place in a frame.
        truth: the place, `[CROP, CROP, c]` where the image is so large.
        crop: what the method made of it.
    """

    file: str
    scores: Mapping[str, float]
    thumbnail: np.ndarray
    truth: np.ndarray
    crop: np.ndarray


@dataclass(frozen=True)
class Row:
    """One method on one set at one scale.

    Attributes:
        method: an interpolation, the name of a network, or where it lies.
        set: name of the image set.
        scale: enlargement factor.
        psnr: mean PSNR on luma in dB.
        ssim: mean SSIM on luma.
        parameters: trainable numbers, biases and PReLU slopes included.
        multiply_adds: of the network's convolutions, per HR pixel.
        ms_per_megapixel: time to enlarge luma, per million HR pixels, on this machine.
        published_psnr: the published PSNR in dB, or None.
        published_ssim: the published SSIM, or None.
        published_data: what the published network was trained on.
        source: where the published figures stand.
        more: by name, the means of what else was asked for.
        shots: the images behind the means.
    """

    method: str
    set: str
    scale: int
    psnr: float
    ssim: float
    parameters: int
    multiply_adds: int
    ms_per_megapixel: float
    published_psnr: float | None
    published_ssim: float | None
    published_data: str
    source: str
    more: Mapping[str, float] = field(default_factory=dict)
    shots: Sequence[Shot] = field(default=(), repr=False, compare=False)


def methods() -> list[str]:
    """Return the names that `run` knows: interpolations, then the shipped networks."""
    shipped = {name for name, _ in available()}
    return [*INTERPOLATIONS, *(name for name in networks() if name in shipped)]


def published(method: str, name: str, scale: int) -> list[dict[str, str]]:
    """Return the published rows of a method on a set, highest PSNR first.

    Returns:
        Rows with the keys method, training_set, params, test_set, scale, psnr_y, ssim_y, source.
    """
    text = (files("srcnn_tf") / "published.csv").read_text(encoding="utf-8")
    keys, wanted = ("method", "test_set", "scale"), [method, name, str(scale)]
    table = csv.DictReader(io.StringIO(text))
    rows = [row for row in table if [row[key] for key in keys] == wanted]
    return sorted(rows, key=lambda row: -float(row["psnr_y"]))


def run(
    names: Sequence[str] | None = None,
    sets: Sequence[str] = ("set5", "set14"),
    scales: Sequence[int] = (2, 3, 4),
    degradation: AnyDegradation = BICUBIC,
    metrics: Sequence[str] = (),
) -> Iterator[Row]:
    """Score methods under the protocol, on luma, one row at a time.

    A set that is neither cached nor within reach is reported and skipped, and so is a scale for
    which a network has no weights. Blank images are reported and left out, and so is an image that
    a method restores without error: an infinite PSNR would be all that a mean shows.

    Args:
        names: methods, see `methods`, or networks of your own, see `pretrained.load_pretrained`;
            None takes all methods.
        sets: image sets by name, or folders; of `samples`, its test part.
        scales: enlargement factors, from 2, 3 and 4.
        degradation: what makes the LR images; figures are published for the default alone.
        metrics: what to measure beside PSNR and SSIM, from `METRICS`. The consistency is the PSNR
            of LR against the result, degraded as HR was.

    Yields:
        A `Row` for every method, set and scale. Where several figures are published, it holds the
        highest.

    Raises:
        ValueError: unknown method, set, scale or metric; an image too small for SSIM; a set of
            nothing but blank images.
    """
    names = methods() if names is None else list(dict.fromkeys(names))
    scales = list(dict.fromkeys(scales))
    for name in names:
        if not Path(name).exists():
            check_choice("method", name, methods())
    for name in metrics:
        check_choice("metric", name, METRICS)
    served = {name: scales if name in INTERPOLATIONS else trained_scales(name) for name in names}
    images = {}
    for name in sets:
        try:
            part = "test" if name in datasets.PARTED else None
            images[name] = _without_blanks(name, dict(datasets.iterate_named(name, part)))
        except ConnectionError as error:
            print(f"{name} is skipped: {error}")
    jobs = [job for job in product(images, scales, names) if job[1] in served[job[2]]]
    # SSIM's window, borders, and what is cut to reach a multiple of the scale.
    window, word = (MS_SSIM_SIDE, "MS-SSIM") if "ms-ssim" in metrics else (SSIM_WINDOW, "SSIM")
    least = window + 3 * max(scales, default=0)
    for photographs in images.values():
        why = f"what {word} needs at ×{max(scales, default=0)}"
        check_sides(list(photographs.values()), least, list(photographs), why=why)

    @lru_cache(1)  # the methods of one set and scale follow each other
    def pairs_of(name: str, scale: int, channels: int) -> dict:
        pairs = {}
        for number, (file, image) in enumerate(images[name].items()):
            own = min(channels, image.shape[2])  # a grey image has one in any case
            pair = image_pair(image, scale, own, degradation, number)
            again = partial(degrade, scale=scale, degradation=degradation, seed=number)
            pairs[file] = *(part[None] for part in pair), again, _place(pair[1])
        return pairs

    with tqdm(jobs, "benchmark", file=sys.stdout) as bar:
        for name, scale, method in bar:
            bar.set_postfix_str(f"{method} ×{scale} on {name}")
            model = None if method in INTERPOLATIONS else load_pretrained(method, scale)
            pairs = pairs_of(name, scale, model.input_shape[-1] if model else 1)
            figures = published(method, name, scale) if degradation == BICUBIC else []
            known = figures[0] if figures else {}
            yield _row((name, scale, method), model, pairs, known, metrics)


def _without_blanks(name: str, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Leave out images of one colour: any interpolation restores them, and they tell nothing."""
    kept = {file: image for file, image in images.items() if np.ptp(image, axis=(0, 1)).any()}
    if not kept:
        raise ValueError(f"{name} holds nothing but blank images: there is nothing to score")
    if len(kept) < len(images):
        blank = [file for file in images if file not in kept]
        print(f"{name}: {_named(blank, len(images))} left out as blank")
    return kept


def _named(files: Sequence[str], total: int) -> str:
    return f"{len(files)} of {total} images ({', '.join(files)})"


def _row(
    job: tuple[str, int, str],
    model: keras.Model | None,
    pairs: dict,
    figures: dict,
    metrics: Sequence[str],
) -> Row:
    name, scale, method = job
    wanted, protocol = dict.fromkeys(["psnr", "ssim", *metrics]), Protocol(scale)
    enlarge = image_function(model) if model else partial(_interpolated, method, scale)
    enlarge(next(iter(pairs.values()))[0])  # the first call traces the graph
    shots, seconds, pixels = [], 0.0, 0
    for file, (lr_image, hr_image, again, (place, thumbnail)) in pairs.items():
        start = time.perf_counter()
        sr_image = np.asarray(enlarge(lr_image))
        seconds += time.perf_counter() - start
        pixels += sr_image.shape[1] * sr_image.shape[2]
        scores = {
            key: float(_AGAINST_TRUTH[key](hr_image, sr_image, protocol)[0])
            for key in wanted
            if key in _AGAINST_TRUTH
        }
        result = quantise(sr_image[0])
        if "consistency" in wanted:
            scores["consistency"] = float(psnr(lr_image[0], again(result), Protocol(0)))
        shots.append(Shot(file, scores, thumbnail, hr_image[0][place].copy(), result[place].copy()))
    exact = [shot.file for shot in shots if np.isinf(shot.scores["psnr"])]
    told = [shot.scores for shot in shots if shot.file not in exact]
    if exact:
        fate = "they are left out of its means" if told else "its PSNR is infinite"
        restored = f"{method} restores {_named(exact, len(pairs))} without error"
        tqdm.write(f"{name} ×{scale}: {restored}; {fate}")
    told = told or [shot.scores for shot in shots]
    means = {key: float(np.mean([scores[key] for scores in told])) for key in wanted}
    count, adds = (model.count_params(), round(multiply_adds(model))) if model else (0, 0)
    ours = means.pop("psnr"), means.pop("ssim"), count, adds, seconds * 1e9 / pixels
    best = (float(figures[key]) if figures.get(key) else None for key in ("psnr_y", "ssim_y"))
    best_psnr, best_ssim = best
    origin = figures.get("training_set", ""), figures.get("source", "")
    return Row(method, name, scale, *ours, best_psnr, best_ssim, *origin, means, shots)


def _place(hr_image: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return where an image has most detail, and a small copy with a frame around it."""
    grey = hr_image.mean(axis=-1)
    side, shrink = min(CROP, *grey.shape), 128 / max(grey.shape)
    fine = uniform_filter((grey - uniform_filter(grey, 9)) ** 2, side, mode="constant")
    middle = np.unravel_index(fine.argmax(), fine.shape)
    ends = zip(middle, grey.shape, strict=True)
    top, left = (int(np.clip(at - side // 2, 0, length - side)) for at, length in ends)
    height, width = (max(1, int(shrink * length)) for length in grey.shape)
    small = np.clip(resize(hr_image, (height, width)), 0, 1)
    y, x, n = (int(shrink * length) for length in (top, left, side))
    small[y : y + n, [x, x + n - 1]] = small[[y, y + n - 1], x : x + n] = 1
    return np.s_[top : top + side, left : left + side], small


def _interpolated(method: str, scale: int, lr_images: np.ndarray) -> np.ndarray:
    height, width = lr_images.shape[1:3]
    return resize(lr_images[0], (height * scale, width * scale), method)[None]


def to_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV with a header line; what is not known stays empty."""
    text = io.StringIO()
    names = [field.name for field in fields(Row) if field.name not in ("more", "shots")]
    more = list(rows[0].more) if rows else []
    writer = csv.DictWriter(text, names + more, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    digits = {"psnr": 4, "ssim": 6, "ms_per_megapixel": 1, **dict.fromkeys(more, 6)}
    for row in rows:
        values = vars(row) | dict(row.more)
        writer.writerow(values | {name: round(values[name], n) for name, n in digits.items()})
    return text.getvalue()


def to_text(rows: Sequence[Row]) -> str:
    """Return rows as a table for a terminal."""
    more = list(rows[0].more) if rows else []
    header = "set        scale method         PSNR    SSIM"
    header += "".join(f" {name:>11}" for name in more) + "  params mult-adds   ms/MP   published"
    lines = [header, "-" * len(header)]
    for row in rows:
        line = f"{row.set:10} ×{row.scale:<4} {row.method:12} {row.psnr:6.2f} {row.ssim:7.4f}"
        line += "".join(f" {row.more[name]:11.4f}" for name in more)
        line += f" {row.parameters:7,} {row.multiply_adds:9,} {row.ms_per_megapixel:7.0f}"
        if row.published_psnr is not None:
            ssim = f" {row.published_ssim:.4f}" if row.published_ssim is not None else ""
            data = f", {row.published_data}" if row.published_data else ""
            line += f"   {row.published_psnr:.2f}{ssim} ({row.source}{data})"
        lines.append(line)
    return "\n".join(lines)
