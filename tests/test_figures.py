"""Figures show what they are given."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from srcnn_tf import figures
from srcnn_tf.models import srcnn
from srcnn_tf.studies import Arm, Outcome
from srcnn_tf.training import History, Recipe

IMAGE = np.random.default_rng(0).random((12, 16, 1)).astype(np.float32)


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def test_comparison_shows_the_very_pixels_of_the_box_with_scores():
    images = {"truth": IMAGE, "dark": IMAGE / 2}
    figure = figures.comparison(images, (2, 3, 5, 6), {"dark": "28.10 dB"}, title="Look here")
    assert titles(figure) == ["the crop's place", "truth", "dark\n28.10 dB"]
    shown = figure.axes[2].get_images()[0]
    np.testing.assert_array_equal(shown.get_array(), IMAGE[2:7, 3:9, 0] / 2)
    assert shown.get_clim() == (0, 1)
    assert shown.get_interpolation() == "nearest"


@pytest.mark.parametrize(
    ("images", "box", "message"),
    [
        ({"a": IMAGE}, (8, 0, 5, 5), "not inside"),
        ({"a": IMAGE}, (0, 0, 0, 5), "not inside"),
        ({"a": IMAGE, "b": IMAGE[1:]}, (0, 0, 5, 5), "one height and width"),
    ],
)
def test_comparison_refuses_what_it_cannot_show(images, box, message):
    with pytest.raises(ValueError, match=message):
        figures.comparison(images, box)


def test_error_map_is_in_grey_levels_on_a_fixed_scale():
    figure = figures.error_maps(IMAGE, {"darker": IMAGE * 0, "same": IMAGE})
    darker, same = (axes.get_images()[0] for axes in figure.axes[:2])
    np.testing.assert_allclose(darker.get_array(), 255 * IMAGE[..., 0], rtol=1e-5)
    assert not same.get_array().any()
    assert darker.get_clim() == same.get_clim() == (0, 32)


def test_training_curves_draw_every_run_and_the_baseline():
    history = History([10, 20], [1.0, 2.0], [0.1, 0.01], [25.0, 26.0])
    figure = figures.training_curves({"one": history, "two": history}, "seconds", baseline=24.5)
    loss, score = figure.axes
    np.testing.assert_array_equal(score.lines[1].get_xydata(), [[1, 25], [2, 26]])
    assert [text.get_text() for text in score.get_legend().get_texts()] == ["one", "two", "bicubic"]
    assert loss.get_yscale() == "log"
    with pytest.raises(ValueError, match="unknown against 'epochs': choose one of step, seconds"):
        figures.training_curves({"one": history}, "epochs")


def test_study_curves_draw_means_ranges_and_where_a_run_broke_off():
    def outcome(name, seed, psnr, error=None):
        steps = [10 * (i + 1) for i in range(len(psnr))]
        history = History(steps, [s / 5 for s in steps], [0.1] * len(psnr), psnr)
        return Outcome(Arm(name, Recipe(), srcnn), seed, history, error, Path())

    outcomes = [outcome("ours", 0, [25.0, 26.0]), outcome("ours", 1, [25.5, 27.0])]
    figure = figures.study_curves(
        [*outcomes, outcome("wild", 0, [20.0], "nan")], lowest=19, baseline=24.5
    )
    left, right = figure.axes
    np.testing.assert_array_equal(left.lines[0].get_xydata(), [[10, 25.25], [20, 26.5]])
    np.testing.assert_array_equal(right.lines[0].get_xydata(), [[2, 25.25], [4, 26.5]])
    band = left.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (25, 27)
    (cross,) = (line for line in left.lines if line.get_marker() == "x")
    np.testing.assert_array_equal(cross.get_xydata(), [[10, 20]])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["ours", "wild (broke off)", "bicubic"]
    assert left.get_ylim()[0] == 19
    assert not figures.study_curves(outcomes[:1]).axes[0].collections  # one seed, no band


def test_signed_maps_have_symmetric_scales():
    figure = figures.plot_feature_maps(np.stack([IMAGE[..., 0] - 0.9, IMAGE[..., 0]], -1))
    for axes in figure.axes:
        low, high = axes.get_images()[0].get_clim()
        assert low == -high
    chosen = figures.plot_filters(figures.filters(srcnn(2), "patch_extraction"), order=[7, 0])
    assert [axes.get_title().split(":")[0] for axes in chosen.axes] == ["7", "0"]
    assert len(figures.plot_filters(figures.filters(srcnn(2), "patch_extraction")).axes) == 64


@pytest.mark.parametrize("columns", [0, 2.5, None])
def test_columns_are_counted(columns):
    with pytest.raises(ValueError, match=r"columns is .*: it must be a whole number of at least 1"):
        figures.image_grid({"a": IMAGE}, columns)


def test_figures_are_closed_so_that_a_notebook_shows_them_once():
    figure = figures.image_grid({"a": IMAGE, "b": np.zeros((4, 4, 3))})
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []
    with pytest.raises(ValueError, match="no images"):
        figures.image_grid({})
