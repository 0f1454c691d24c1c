"""Enlarge images: colour, alpha and tiles around a network that sees luma."""

import errno
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import keras
import numpy as np
from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter
from tqdm import tqdm

from srcnn_tf.datasets import image_paths
from srcnn_tf.export import engine_function
from srcnn_tf.images import io
from srcnn_tf.images.pixels import as_array, as_float, quantise, rgb_to_ycbcr, ycbcr_to_rgb
from srcnn_tf.images.resizing import resize
from srcnn_tf.pairs.degradation import DegradationSpace
from srcnn_tf.probes import (
    graph_function,  # noqa: F401, for saved notebooks
    reach,
    scale_of,
    sees_whole_image,
    total_stride,
)
from srcnn_tf.ranges import check_number
from srcnn_tf.training.callbacks import plain_copy
from srcnn_tf.training.recipe import Recipe
from srcnn_tf.training.zero_shot import back_project, is_symmetric, learn, self_ensemble

TILE = 192  # LR pixels: small enough for flat memory, large enough for a small share of overlap
BICUBIC_REACH = 2  # LR pixels
_FOR_TURNS = 2**20  # LR pixels at most that `upscale_alone` enlarges eight times
IN_ONE_PIECE = 2**21  # LR pixels: EDRN takes gigabytes for as many


def upscale(
    image: np.ndarray,
    model: keras.Model,
    dtype: type = np.float32,
    tile: int = TILE,
    progress: bool = False,
    engine: str = "tensorflow",
    turns: bool = False,
) -> np.ndarray:
    """Enlarge one image with a network, tile by tile, so that memory stays flat.

    A network for luma enlarges the luma (BT.601; a grey image is its own luma); chroma and alpha
    are enlarged by bicubic interpolation. A network for RGB enlarges the colours themselves (of a
    grey image, see `image_function`). Where alpha is 0, the nearest visible colour is enlarged
    instead of the hidden one, or edges would show it. Tiles overlap by the network's reach and
    begin at multiples of its stride: the result does not depend on them. A network that looks at
    the whole image, as EDRN's channel attention does, enlarges it in one piece. Borders are
    mirrored as far, so that the network's own padding shows nowhere. Where all that the network
    sees is of one value, it has nothing to add: flat areas stay as they are.

    Args:
        image: `[h, w, c]`, c = 1, 3 or 4 (RGBA); uint8, uint16, or floats in [0, 1].
        model: maps `[n, h, w, c]` to `[n, s·h, s·w, c]`, c = 1 or 3; see
            `pretrained.load_pretrained`.
        dtype: of the result: `np.float32` for values in [0, 1], `np.uint8` for 0 to 255.
        tile: side of a tile in LR pixels.
        progress: show a bar.
        engine: what runs the network, see `export.engine_function`: pixels agree to one level.
        turns: take the median of eight turns of each tile, in eight times the time.

    Returns:
        `[s·h, s·w, c]`, rounded to the 256 levels of an 8-bit file.

    Raises:
        ValueError: not an image; another dtype; a tile that is no larger than its overlaps; an
            image too large for one piece; an unknown engine.
        ImportError: the engine is not installed.
    """
    image = as_array(image, channels=(1, 3, 4))
    if np.dtype(dtype) not in (np.float32, np.uint8):
        raise ValueError(f"dtype is {dtype!r}: it must be np.float32 or np.uint8")
    stride = total_stride(model)
    overlap = _multiple(max(reach(model, local=True), BICUBIC_REACH), stride)
    height, width, channels = image.shape
    lengths = [_multiple(side, stride) for side in (height, width)]
    if sees_whole_image(model):
        if height * width > IN_ONE_PIECE:
            raise ValueError(
                f"{model.name!r} looks at the whole image at once, which takes memory, and "
                f"{height}×{width} pixels are more than {IN_ONE_PIECE:,}: cut the image up, or "
                "take another network"
            )
        tile = max(lengths) + 2 * overlap
    check_number("tile", tile, whole=True, least=2 * overlap + stride)
    if channels == 4:
        image = _with_hidden_colours_filled(image)
    scale, luma_only = scale_of(model), model.input_shape[-1] == 1
    run = image_function(model, engine)
    network = partial(_run, self_ensemble(run) if turns else run, scale, overlap)
    result = np.empty((height * scale, width * scale, channels), dtype)
    # Which pixel stands at each place of the mirrored image, ..., 1, 0 | 0, 1, ...: networks pad
    # with zeros, which draws a frame around a picture.
    rows, columns = (
        np.pad(np.arange(side), (overlap, overlap + length - side), "symmetric")
        for side, length in zip((height, width), lengths, strict=True)
    )
    h, w = (min(length, (tile - 2 * overlap) // stride * stride) for length in lengths)
    inner = slice(overlap * scale, -overlap * scale)
    corners = list(product(_starts(lengths[0], h), _starts(lengths[1], w)))
    for top, left in tqdm(corners, "enlarging", file=sys.stdout, disable=not progress):
        seen = np.ix_(rows[top : top + h + 2 * overlap], columns[left : left + w + 2 * overlap])
        sr_tile = _enlarge(as_float(image[seen]), scale, network, luma_only)[inner, inner]
        y, x = top * scale, left * scale
        place = result[y : y + h * scale, x : x + w * scale]
        place[:] = quantise(sr_tile[: place.shape[0], : place.shape[1]], dtype)
    return result


def _multiple(length: int, stride: int) -> int:
    return -(-length // stride) * stride


def upscale_alone(
    image: np.ndarray,
    model: keras.Model,
    dtype: type = np.float32,
    *,
    recipe: Recipe,
    copies: int = 20,
    before: Sequence[keras.Model] = (),
    projections: int = 10,
    progress: bool = False,
    engine: str = "tensorflow",
) -> np.ndarray:
    """Enlarge one image with a network that learns from this image alone.

    First it trains (see `training.zero_shot.learn`). Then it enlarges eight turns of the image, of
    which the median is taken, unless the image is larger than a megapixel, or the degradation
    treats turns differently (crops are not turned then either). Last come back-projections.
    Ctrl-C ends a training with the best so far.

    Args:
        image: see `upscale`, as the next.
        model: its weights are where the training starts; it stays as it is.
        dtype: of the result.
        recipe: how to train; its degradation is the one that made the image.
        copies: see `learn`.
        before: the paper's gradual scales: networks of the same weights for smaller scales, which
            learn first, one after the other. Each goes on from the weights, and learns from the
            results too, of those before it; all share the recipe's steps or minutes evenly.
        projections: see `back_project`; none for images that noise or JPEG have marked.
        progress: show a bar for the enlarging too.
        engine: see `upscale`.

    Returns:
        `[s·h, s·w, c]`, rounded to the 256 levels of an 8-bit file.

    Raises:
        ValueError: an image too small or too flat to learn from; see also `upscale` and
            `training.fit`.

    Reference: Shocher, Cohen and Irani, "Zero-Shot" Super-Resolution using Deep Internal Learning,
    CVPR 2018. Lesson 11.
    """
    image = as_array(image, channels=(1, 3, 4))
    if image.shape[2] == 4:
        image = _with_hidden_colours_filled(image)
    degradation, shares = recipe.degradation, 1 + len(before)
    if isinstance(degradation, DegradationSpace):
        raise ValueError("the recipe has a DegradationSpace: name the one that made the image")
    turns = is_symmetric(degradation)
    recipe = replace(
        recipe,
        steps=recipe.steps and max(1, recipe.steps // shares),
        minutes=recipe.minutes and recipe.minutes / shares,
        flips=recipe.flips and turns,
        rotations=recipe.rotations and turns,
    )
    if turns and image[..., 0].size > _FOR_TURNS:
        print("more than a megapixel: it is enlarged once, not in eight turns")
        turns = False
    fathers, weights = [image[..., :3]], model.get_weights()
    for network in map(plain_copy, [*before, model]):
        network.set_weights(weights)
        learn(fathers, network, recipe, copies)
        sr_image = upscale(image, network, progress=progress, engine=engine, turns=turns)
        fathers.append(sr_image[..., :3])
        weights = network.get_weights()
    if not degradation.noise and degradation.jpeg_quality is None:
        sr_image = back_project(sr_image, as_float(image), degradation, projections)
    return quantise(sr_image, dtype)


def image_function(
    model: keras.Model, engine: str = "tensorflow"
) -> Callable[[np.ndarray], np.ndarray]:
    """Return `export.engine_function` of a model that takes grey images in any case.

    A network for RGB sees a grey image as R = G = B; the mean of its colours is the result.
    """
    run = engine_function(model, engine)

    def enlarge(lr_images: np.ndarray) -> np.ndarray:
        if lr_images.shape[-1] == model.input_shape[-1]:
            return run(lr_images)
        return run(np.repeat(lr_images, 3, axis=-1)).mean(axis=-1, keepdims=True)

    return enlarge


def _with_hidden_colours_filled(image: np.ndarray) -> np.ndarray:
    """Give each pixel `[h, w, 4]` of alpha 0 the colour of the nearest one that can be seen."""
    hidden = image[..., 3] == 0
    if hidden.all() or not hidden.any():
        return image
    rows, columns = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return np.dstack([image[rows, columns, :3], image[..., 3:]])


def _starts(length: int, kept: int) -> list[int]:
    """Cut an axis into spans of one size, so that one graph serves all; the last is moved back."""
    return [min(first, length - kept) for first in range(0, length, kept)]


def _enlarge(image: np.ndarray, scale: int, network: Callable, luma_only: bool) -> np.ndarray:
    """Enlarge floats `[h, w, c]`: the network's channels by the network, the others by bicubic."""
    size = (image.shape[0] * scale, image.shape[1] * scale)
    colour, alpha = image[..., :3], image[..., 3:]
    if not luma_only or colour.shape[2] == 1:
        sr_colour = network(colour)
    else:
        ycbcr = rgb_to_ycbcr(colour)
        sr_ycbcr = np.dstack([network(ycbcr[..., :1]), resize(ycbcr[..., 1:], size)])
        sr_colour = ycbcr_to_rgb(sr_ycbcr)
    return np.dstack([sr_colour, resize(alpha, size)]) if alpha.shape[2] else sr_colour


def _run(run: Callable, scale: int, seen: int, image: np.ndarray) -> np.ndarray:
    """Run a network on floats `[h, w, c]`; keep values that have no other within `seen` pixels."""
    sr_image = run(image[None])[0].clip(-1, 2)  # untrained, it may go far
    window = (2 * seen + 1, 2 * seen + 1, 1)
    flat = maximum_filter(image, window) == minimum_filter(image, window)
    flat = flat.all(2, keepdims=True)
    flat, kept = (pixels.repeat(scale, 0).repeat(scale, 1) for pixels in (flat, image))
    return np.where(flat, kept, sr_image)


def upscale_file(
    source: str | Path,
    target: str | Path,
    model: keras.Model,
    overwrite: bool = False,
    progress: bool = True,
    engine: str = "tensorflow",
    enlarge: Callable = upscale,
) -> int:
    """Enlarge an image file: upright, in 8 bits, whole or not at all.

    The result keeps what its format can hold of colour profile, dpi, and PNG's chunks about
    colours, and what cannot be kept is printed. EXIF, text and other notes are not kept.

    Args:
        source: a PNG, JPEG, BMP, WebP or TIFF file.
        target: the file to write; its suffix chooses the format.
        model: see `upscale`.
        overwrite: replace a target that is there.
        progress: show a bar.
        engine: see `upscale`.
        enlarge: what does it: `upscale`, or another function of the same arguments.

    Returns:
        How many pixels were written.

    Raises:
        FileNotFoundError: no such source, or no folder for the target.
        FileExistsError: the target is there and `overwrite` is false.
        ValueError: the source is no whole image; the target's format cannot hold the result.
    """
    io.check_target(target, overwrite)
    image, around = io.read_with_surroundings(source)
    kind = io.FORMATS[Path(target).suffix.lower()]
    if image.shape[2] == 4 and kind in ("JPEG", "BMP"):
        raise ValueError(f"{source} has an alpha channel: only .png, .webp and .tif hold it")
    size = [side * scale_of(model) for side in image.shape[:2]]
    if max(size) > io.LONGEST_SIDE.get(kind, max(size)):
        told = f"{target} would be {size[0]}×{size[1]} pixels"
        raise ValueError(f"{told}; {kind} holds {io.LONGEST_SIDE[kind]} a side: write a .png")
    if around.bits == 16:
        print(f"{source} holds 16 bits a channel; {target} will hold 8")
    for remark in around.remarks:
        print(f"{source} {remark}")
    for what in io.not_held(target, around):
        print(f"{source} has {what}, which {target} cannot hold")
    sr_image = enlarge(image, model, np.uint8, progress=progress, engine=engine)
    io.write_image(target, sr_image, overwrite, around)
    return sr_image.shape[0] * sr_image.shape[1]


def upscale_folder(
    source: str | Path,
    target: str | Path,
    model: keras.Model,
    overwrite: bool = False,
    engine: str = "tensorflow",
) -> int:
    """Enlarge every image file of a folder into another, as PNG files.

    Args:
        source: the folder; other files are counted and passed over, as are subfolders.
        target: the folder to write to; made if it is not there.
        model: see `upscale`.
        overwrite: replace files that are there; else they are counted and kept, so that a run that
            was stopped goes on with what is missing.
        engine: see `upscale`.

    Returns:
        How many pixels were written.

    Raises:
        FileNotFoundError: the folder holds no image files.
        ValueError: two images would get the same name; some files cannot be read or written (the
            others are enlarged first, and the message names those left out).
        OSError: the disk is full.
    """
    source, target = Path(source), Path(target)
    jobs: dict[Path, Path] = {}  # what is written, and from what
    for path in image_paths(source):
        twin = jobs.setdefault(target / f"{path.stem}.png", path)
        if twin != path:
            told = f"{twin.name} and {path.name} of {source} would both become {path.stem}.png"
            raise ValueError(f"{told}: rename one of them")
    target.mkdir(parents=True, exist_ok=True)
    missing = {result: path for result, path in jobs.items() if overwrite or not result.exists()}
    if len(missing) < len(jobs):
        told = f"{len(jobs) - len(missing)} of {len(jobs)} images are in {target} already"
        print(f"{told} and are kept; overwrite=True, or --overwrite, replaces them")
    pixels, failures = 0, []
    for result, path in tqdm(missing.items(), str(source), file=sys.stdout):
        try:
            pixels += upscale_file(path, result, model, overwrite, False, engine)
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            failures.append(str(error))
    if failures:
        told = f"{len(failures)} of {len(missing)} files were not enlarged:"
        raise ValueError("\n".join([told, *failures]))
    return pixels
