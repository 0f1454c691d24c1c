"""`DegradationSpace`: what it draws, and that crops draw for themselves."""

import numpy as np
import pytest
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.images import quantise, to_channels
from srcnn_tf.models import build
from srcnn_tf.pairs import (
    Degradation,
    DegradationSpace,
    crop_then_degrade,
    degrade,
    evaluation_pairs,
    image_pair,
    random_crops,
)
from srcnn_tf.training import Recipe
from srcnn_tf.upscaling import upscale_alone

SPACE = DegradationSpace(
    gaussian=(0.0, 2.5), motion=(0.0, 10.0), noise=(0, 15), shot=(0, 15), jpeg_quality=(30, 95)
)
EVEN = {"skip": 0, "shuffle": False}


@pytest.fixture(scope="module")
def photograph():
    return quantise(to_channels(datasets.load("samples", "test")[1][:96, :120], 3))


def keys(count):
    return [tf.constant([7, n], tf.int64) for n in range(count)]


def spread(kernel):
    """Return the variances of a kernel along its axes, the smaller first."""
    places = np.stack(np.mgrid[-10:11, -10:11]).reshape(2, -1)
    return np.linalg.eigvalsh(places * np.ravel(kernel) @ places.T)


def test_a_space_of_nothing_is_the_protocol(photograph):
    np.testing.assert_array_equal(
        degrade(photograph, 3, DegradationSpace(), seed=5), degrade(photograph, 3)
    )


def test_a_space_of_one_blur_is_that_blur(photograph):
    space = DegradationSpace(gaussian=(1.5, 1.5), **EVEN)
    found = degrade(photograph, 2, space, seed=5)
    np.testing.assert_allclose(
        found, degrade(photograph, 2, Degradation(blur=1.5)), atol=1.01 / 255
    )


@pytest.mark.parametrize(
    ("blur", "variances"),
    [
        ({"gaussian": (2, 2)}, [4, 4]),
        ({"defocus": (5, 5)}, [25 / 4, 25 / 4]),  # of a disc
        ({"motion": (12, 12)}, [1 / 6, 13**2 / 12]),  # of a line between two pixels
    ],
)
def test_kernels_have_their_size_in_every_direction(blur, variances):
    space = DegradationSpace(**blur, **EVEN)
    for key in keys(8):
        kernel = space.kernel(key).numpy()
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        assert kernel.min() >= 0
        np.testing.assert_allclose(spread(kernel), variances, rtol=0.12, atol=0.35)
    lines = {np.argmax(space.kernel(key)[:, 13]) for key in keys(8)}
    assert len(lines) > 1 or "motion" not in blur  # directions differ


def test_half_of_the_gaussians_are_round_and_strengths_fill_their_range():
    space = DegradationSpace(gaussian=(0.5, 2.5), **EVEN)
    found = np.sqrt([spread(space.kernel(key)) for key in keys(60)])
    round_ones = np.isclose(found[:, 0], found[:, 1], rtol=0.01)
    assert 0.3 < round_ones.mean() < 0.7
    assert 0.45 < found.min() < 0.8 < 2.2 < found.max() < 2.6


def test_each_step_is_left_out_as_often_as_told():
    space = DegradationSpace(gaussian=(2, 2), skip=0.25)
    points = [space.kernel(key).numpy().max() > 0.99 for key in keys(100)]
    assert np.mean(points) == pytest.approx(0.25, abs=0.13)


def test_shot_noise_grows_with_the_root_of_the_brightness_other_noise_does_not():
    for field, ratio in (("shot", 2), ("noise", 1)):
        space = DegradationSpace(**{field: (8, 8)}, **EVEN)
        dark, bright = (
            255 * degrade(np.full((160, 160, 1), level), 2, space).std() for level in (0.2, 0.8)
        )
        assert bright / dark == pytest.approx(ratio, rel=0.1)
        assert bright == pytest.approx(8 * (np.sqrt(0.8) if ratio == 2 else 1), rel=0.1)


def test_jpeg_is_a_file_of_the_drawn_quality(photograph):
    found = degrade(photograph, 2, DegradationSpace(jpeg_quality=(40, 40), **EVEN))
    np.testing.assert_array_equal(found, degrade(photograph, 2, Degradation(jpeg_quality=40)))
    both = DegradationSpace(jpeg_quality=(10, 11), **EVEN)
    files = [degrade(photograph, 2, Degradation(jpeg_quality=quality)) for quality in (10, 11)]
    drawn = [degrade(photograph, 2, both, seed=n) for n in range(12)]
    hits = [[np.array_equal(one, file) for file in files] for one in drawn]
    assert np.all(np.sum(hits, 1) == 1)
    assert np.all(np.sum(hits, 0) > 0)


def test_noise_that_comes_before_shrinking_is_weaker():
    grey, space = np.full((96, 96, 1), 0.5), {"noise": (10, 10), "skip": 0}
    found = [255 * degrade(grey, 2, DegradationSpace(**space), seed=n).std() for n in range(12)]
    assert min(found) < 7 < 9 < max(found)
    found = [
        255 * degrade(grey, 2, DegradationSpace(**space, shuffle=False), seed=n).std()
        for n in range(4)
    ]
    assert min(found) > 9


def test_seeds_decide_and_pairs_for_scoring_draw_their_own(photograph):
    one, same, other = (degrade(photograph, 2, SPACE, seed=n) for n in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    pairs = evaluation_pairs([photograph] * 2, 2, 3, SPACE)
    assert (pairs[0][0] != pairs[1][0]).any()
    again = evaluation_pairs([photograph] * 2, 2, 3, SPACE, seed=[4])
    np.testing.assert_array_equal(again[1][0][0], image_pair(photograph, 2, 3, SPACE, [4, 1])[0])
    assert (again[0][0] != pairs[0][0]).any()


@pytest.mark.parametrize("scale", [2, 3])
def test_borders_of_crops_are_degraded_as_those_of_the_photograph(photograph, scale):
    space = DegradationSpace(gaussian=(2, 2), **EVEN)
    options = {"channels": 3, "flips": False, "rotations": False, "degradation": space}
    lr_image, _ = image_pair(photograph, scale, 3, space)
    windows = np.lib.stride_tricks.sliding_window_view(lr_image, (8, 8, 3))
    lr_crops, hr_crops = next(iter(random_crops([photograph], scale, 8 * scale, 4, **options)))
    assert lr_crops.shape == (4, 8, 8, 3)
    assert hr_crops.shape == (4, 8 * scale, 8 * scale, 3)
    for crop in lr_crops.numpy():
        assert np.abs(windows - crop).max((2, 3, 4, 5)).min() < 1.01 / 255


def test_crops_draw_for_themselves_and_any_batch_can_be_had_again(photograph):
    options = {"channels": 3, "degradation": SPACE, "seed": 3}
    batches = list(random_crops([photograph], 2, 32, 4, **options).take(3))
    (resumed,) = random_crops([photograph], 2, 32, 4, **options, first_batch=2).take(1)
    for found, expected in zip(resumed, batches[2], strict=True):
        np.testing.assert_array_equal(found, expected)
    grey = {**options, "degradation": DegradationSpace(noise=(0, 30), **EVEN)}
    (lr_crops, _), *_ = random_crops([np.full((90, 90, 3), 0.5)], 2, 32, 8, **grey).take(1)
    assert len(np.unique(np.std(lr_crops, (1, 2, 3)).round(4))) == 8
    (other, _), *_ = random_crops([photograph], 2, 32, 4, **{**options, "seed": 4}).take(1)
    assert (other != batches[0][0]).numpy().any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gaussian": 2}, "gaussian is 2: it must be .least, most., or None"),
        ({"gaussian": (1, 2, 3)}, "must be .least, most."),
        ({"gaussian": (2, 1)}, "the smaller end comes first"),
        ({"gaussian": (0, 5)}, "gaussian is 5: .* at most 4"),
        ({"defocus": (-1, 2)}, "defocus is -1"),
        ({"motion": (0, np.nan)}, "motion is nan"),
        ({"noise": (-3, 2)}, "noise is -3: it must be a finite number of at least 0"),
        ({"shot": ("a", "b")}, "shot is 'a'"),
        ({"jpeg_quality": (0, 50)}, "jpeg_quality is 0: it must be a whole number of at least 1"),
        ({"jpeg_quality": (50, 101)}, "jpeg_quality is 101"),
        ({"jpeg_quality": (50.5, 60)}, r"jpeg_quality is 50\.5"),
        ({"skip": 1.5}, r"skip is 1\.5"),
        ({"shuffle": 1}, "unknown shuffle 1"),
    ],
)
def test_fields_are_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        DegradationSpace(**fields)


def test_what_does_not_go_with_a_space_is_refused(photograph):
    with pytest.raises(ValueError, match="random_crops draws from a space"):
        crop_then_degrade([photograph], 2, 24, 4, degradation=SPACE)
    with pytest.raises(ValueError, match="smaller than 124×124"):
        random_crops([photograph], 2, 96, 4, degradation=SPACE)
    with pytest.raises(ValueError, match="blurs at least 10 pixels a side"):
        degrade(np.zeros((8, 20, 3)), 2, SPACE)
    with pytest.raises(ValueError, match="c = 1 or 3"):
        degrade(np.zeros((20, 20, 4)), 2, SPACE)
    with pytest.raises(ValueError, match="name the one that made the image"):
        upscale_alone(photograph, build("zssr", 2), recipe=Recipe(degradation=SPACE))
    assert DegradationSpace(noise=[0, 3]) == DegradationSpace(noise=(0, 3))
