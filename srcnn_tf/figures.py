"""Everything a person looks at. Functions return a closed `matplotlib` Figure, to be shown once.

Pixels are drawn as squares (nearest-neighbour), grey values from 0 to 1 on a fixed scale.
"""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from srcnn_tf.images.pixels import as_float, to_channels
from srcnn_tf.probes import feature_maps, filters  # noqa: F401, where saved notebooks find them
from srcnn_tf.ranges import check_choice, check_number
from srcnn_tf.studies import Outcome, by_arm
from srcnn_tf.training import History

Images = Mapping[str, np.ndarray]  # by name
Box = tuple[int, int, int, int]  # top, left, height, width in pixels
_ACCENT = "tab:orange"


def _checked(images: Images) -> dict[str, np.ndarray]:
    if not isinstance(images, Mapping) or not images:
        raise ValueError("there are no images to show: give a dictionary, name to image")
    return {
        name: as_float(image, f"the image {name!r}", overshoot=True, channels=(1, 3, 4))
        for name, image in images.items()
    }


def one_size(images: Iterable[np.ndarray]) -> tuple[int, int]:
    """Return the height and width that all images have; raise a ValueError if they differ."""
    sizes = {image.shape[:2] for image in images}
    if len(sizes) != 1:
        raise ValueError(f"the images must all have one height and width, not {sorted(sizes)}")
    return sizes.pop()


def _grid(
    count: int, columns: int, ratio: float, cell: float = 2.6, label: float = 0.3, beside: float = 0
) -> tuple[Figure, list]:
    """Lay out a grid of pictures; return its axes, row by row.

    Args:
        count: of pictures.
        columns: pictures in a row, at most.
        ratio: a picture's height to its width.
        cell: a picture's width in inches.
        label: inches above it.
        beside: inches beside all.
    """
    check_number("columns", columns, whole=True, least=1)
    columns = min(columns, count)
    rows = -(-count // columns)
    size = (cell * columns + beside, rows * (cell * ratio + label) + 0.4)
    figure = plt.figure(figsize=size, layout="constrained")
    axes = [figure.add_subplot(rows, columns, number + 1) for number in range(count)]
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def _show(axes, image: np.ndarray, title: str) -> None:
    grey = image.shape[-1] == 1
    pixels = np.clip(image[..., 0] if grey else image, 0, 1)
    axes.imshow(pixels, cmap="gray" if grey else None, vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=10)


def _finish(figure: Figure, title: str | None) -> Figure:
    if title:
        figure.suptitle(title, fontsize=11)
    plt.close(figure)
    return figure


def image_grid(images: Images, columns: int = 4, title: str | None = None) -> Figure:
    """Show images side by side, each under its name.

    Args:
        images: name to `[h, w, c]`, c = 1, 3 or 4; see `images.as_float`, overshoot is clipped.
        columns: images in a row.
        title: what to see.

    Raises:
        ValueError: no images; see also `images.as_float`.
    """
    images = _checked(images)
    ratio = max(image.shape[0] / image.shape[1] for image in images.values())
    figure, axes = _grid(len(images), columns, ratio)
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        _show(axis, image, name)
    return _finish(figure, title)


def comparison(
    images: Images, box: Box, scores: Mapping[str, str] | None = None, title: str | None = None
) -> Figure:
    """Show the place of a crop, and beside it the crop of several versions, magnified.

    Three pictures stand in a row, two where there are four at most: a phone is narrow.

    Args:
        images: as for `image_grid`, all of one height and width; the first is shown whole, with
            the box drawn in.
        box: (top, left, height, width) of the crop in pixels.
        scores: name to a line under the name, such as "28.1 dB".
        title: what to see.

    Raises:
        ValueError: sizes differ, or the box leaves the images; see also `images.as_float`.
    """
    images = _checked(images)
    size = one_size(images.values())
    top, left, height, width = box
    if min(box) < 0 or top + height > size[0] or left + width > size[1] or 0 in (height, width):
        raise ValueError(f"the box {box} (top, left, height, width) is not inside {size}")
    columns = 2 if len(images) < 4 else 3
    figure, (whole, *axes) = _grid(1 + len(images), columns, height / width, cell=2.2, label=0.4)
    _show(whole, next(iter(images.values())), "the crop's place")
    whole.add_patch(Rectangle((left, top), width, height, fill=False, color=_ACCENT, linewidth=2))
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        label = f"{name}\n{scores[name]}" if scores and name in scores else name
        _show(axis, image[top : top + height, left : left + width], label)
    return _finish(figure, title)


def error_maps(
    hr_image: np.ndarray, sr_images: Images, largest: float = 32, title: str | None = None
) -> Figure:
    """Show where each image differs from the truth, in grey levels of luma.

    Args:
        hr_image: the truth, `[h, w, c]` in [0, 1].
        sr_images: as for `image_grid`, all of the truth's height and width.
        largest: the difference, in grey levels of 0 to 255, at which the colour scale ends.
        title: what to see.

    Raises:
        ValueError: sizes differ; see also `images.as_float`.
    """
    hr_image, sr_images = as_float(hr_image, "hr_image"), _checked(sr_images)
    one_size([hr_image, *sr_images.values()])
    count, ratio = len(sr_images), hr_image.shape[0] / hr_image.shape[1]
    figure, axes = _grid(count, count, ratio, cell=3, beside=0.6)
    truth = to_channels(hr_image, 1)
    for axis, (name, image) in zip(axes, sr_images.items(), strict=True):
        error = 255 * np.abs(to_channels(np.clip(image, 0, 1), 1) - truth)[..., 0]
        drawn = axis.imshow(error, cmap="magma", vmin=0, vmax=largest, interpolation="nearest")
        axis.set_title(name, fontsize=10)
    figure.colorbar(drawn, ax=axes, label="|error|, grey levels", fraction=0.05, extend="max")
    return _finish(figure, title)


def training_curves(
    histories: Mapping[str, History],
    against: str = "step",
    baseline: float | None = None,
    title: str | None = None,
) -> Figure:
    """Plot training loss and, below it, validation PSNR of one or more runs.

    Args:
        histories: name to what `training.fit` returned.
        against: "step" or "seconds".
        baseline: a PSNR in dB to draw as a dashed line, such as bicubic interpolation's.
        title: what to see.

    Raises:
        ValueError: another word for `against`.
    """
    check_choice("against", against, ("step", "seconds"))
    figure, (loss, psnr) = plt.subplots(2, 1, figsize=(5.5, 5.5), sharex=True, layout="constrained")
    for name, history in histories.items():
        loss.plot(getattr(history, against), history.loss, ".-", label=name)
        psnr.plot(getattr(history, against), history.psnr, ".-", label=name)
    if baseline is not None:
        psnr.axhline(baseline, color="gray", linestyle="--", label="bicubic")
    loss.set(yscale="log", ylabel="training loss")
    psnr.set(ylabel="validation PSNR (dB)", xlabel=against)
    for axes in (loss, psnr):
        axes.grid(alpha=0.3, which="both")
    psnr.legend(fontsize=9)
    return _finish(figure, title)


def study_curves(
    outcomes: Sequence[Outcome],
    lowest: float | None = None,
    baseline: float | None = None,
    title: str | None = None,
) -> Figure:
    """Plot validation PSNR against steps and, below, seconds, a line for each arm of a study.

    A line is the mean over the arm's seeds, the band around it their range (none for one seed); a
    cross ends the line of an arm that broke off.

    Args:
        outcomes: what `studies.run` returned, or a part of it.
        lowest: PSNR in dB at which the axis begins; lines below it leave the picture.
        baseline: a PSNR in dB to draw as a dashed line, such as bicubic interpolation's.
        title: what to see.
    """
    figure, panels = plt.subplots(2, 1, figsize=(5.5, 7), sharey=True, layout="constrained")
    for axes, against in zip(panels, ("step", "seconds"), strict=True):
        for name, group in by_arm(outcomes).items():
            epochs = min(len(outcome.history.step) for outcome in group)
            scores = np.array([outcome.history.psnr[:epochs] for outcome in group])
            at = np.mean([getattr(o.history, against)[:epochs] for o in group], axis=0)
            broken = any(outcome.error for outcome in group)
            label = f"{name} (broke off)" if broken else name
            (line,) = axes.plot(at, scores.mean(axis=0), label=label)
            if len(group) > 1:
                band = scores.min(axis=0), scores.max(axis=0)
                axes.fill_between(at, *band, color=line.get_color(), alpha=0.2)
            if broken and epochs:
                axes.plot(at[-1], scores[:, -1].mean(), "x", color=line.get_color(), markersize=9)
        if baseline is not None:
            axes.axhline(baseline, color="gray", linestyle="--", label="bicubic")
        axes.set(xlabel=against, ylabel="validation PSNR (dB)")
        axes.set_ylim(bottom=lowest)
        axes.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return _finish(figure, title)


def plot_feature_maps(maps: np.ndarray, count: int = 20, title: str | None = None) -> Figure:
    """Show feature maps of one layer in a grid, each on a scale of its own.

    Blue is negative, red positive, white 0; the number above a map is the end of its scale.

    Args:
        maps: `[h, w, n]`, such as one value of `probes.feature_maps`.
        count: how many to show at most.
        title: what to see.
    """
    return _signed_grid({i: maps[..., i] for i in range(maps.shape[-1])[:count]}, title)


def plot_filters(
    kernels: np.ndarray,
    channel: int = 0,
    title: str | None = None,
    order: Sequence[int] | None = None,
) -> Figure:
    """Show the kernels that look at one input channel, each on a scale of its own.

    Colours and numbers are those of `plot_feature_maps`.

    Args:
        kernels: `[f, f, inputs, outputs]` from `probes.filters`.
        channel: the input channel.
        title: what to see.
        order: the outputs to show, in this order; all of them as they come if not given.
    """
    shown = range(kernels.shape[-1]) if order is None else order
    return _signed_grid({i: kernels[:, :, channel, i] for i in shown}, title)


def _signed_grid(tiles: Mapping[int, np.ndarray], title: str | None) -> Figure:
    rows = -(-len(tiles) // 8)
    height, width = next(iter(tiles.values())).shape
    columns = -(-len(tiles) // rows)
    figure, axes = _grid(len(tiles), columns, height / width, cell=0.85, label=0.22)
    for axis, (number, tile) in zip(axes, tiles.items(), strict=True):
        end = np.abs(tile).max()
        limit = max(end, 1e-12)
        axis.imshow(tile, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axis.set_title(f"{number}: ±{end:.2g}", fontsize=8)
    return _finish(figure, title)
