"""`Degradation`: each field does what it says, alone and in both routes of training pairs."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from srcnn_tf import datasets
from srcnn_tf.images import quantise, resize, to_channels
from srcnn_tf.pairs import (
    Degradation,
    crop_then_degrade,
    degrade,
    evaluation_pairs,
    image_pair,
    random_crops,
)

MOTION = np.array([[0, 0, 0], [0.5, 0.3, 0.2], [0, 0, 0]])


@pytest.fixture(scope="module")
def photograph():
    return quantise(to_channels(datasets.load("samples", "test")[1][:96, :120], 1))


def test_the_default_is_the_protocol(photograph):
    bicubic = quantise(resize(photograph, (32, 40)))
    np.testing.assert_array_equal(degrade(photograph, 3), bicubic)
    np.testing.assert_array_equal(degrade(photograph, 3, Degradation()), bicubic)


def test_a_gaussian_kernel_is_the_gaussian_blur(photograph):
    impulse = np.zeros((25, 25))
    impulse[12, 12] = 1
    kernel = gaussian_filter(impulse, 1.5)
    by_kernel = degrade(photograph, 2, Degradation(kernel=kernel / kernel.sum()))
    by_sigma = degrade(photograph, 2, Degradation(blur=1.5))
    np.testing.assert_allclose(by_kernel, by_sigma, atol=1.01 / 255)


def test_a_kernel_smears_a_point_as_it_lies(photograph):
    point = np.zeros((24, 24, 1))
    point[12, 12] = 1
    smeared = degrade(point, 2, Degradation(kernel=MOTION, antialias=False, rounding=False))
    by_hand = np.zeros((24, 24, 1))
    by_hand[12, 11:14, 0] = MOTION[1]  # a convolution, not a correlation: left stays left
    expected = resize(by_hand, (12, 12), antialias=False).clip(0, 1)
    np.testing.assert_allclose(smeared, expected, atol=1e-6)


def test_noise_has_its_strength_its_seed_and_no_colour(photograph):
    grey = np.full((120, 120, 1), 0.5)
    noisy = degrade(grey, 2, Degradation(noise=10, rounding=False))
    assert 255 * (noisy - 0.5).std() == pytest.approx(10, rel=0.05)
    assert 255 * (noisy - 0.5).mean() == pytest.approx(0, abs=0.7)
    np.testing.assert_array_equal(noisy, degrade(grey, 2, Degradation(noise=10, rounding=False)))
    assert (noisy != degrade(grey, 2, Degradation(noise=10, rounding=False), seed=1)).any()


def test_jpeg_is_what_pillow_reads_from_such_a_file(photograph):
    clean = degrade(photograph, 2)
    file = io.BytesIO()
    Image.fromarray(quantise(clean, np.uint8)[..., 0]).save(file, "JPEG", quality=30)
    expected = np.asarray(Image.open(file))[..., None] / 255
    found = degrade(photograph, 2, Degradation(jpeg_quality=30))
    np.testing.assert_allclose(found, expected, atol=2.01 / 255)  # their inverse DCTs differ
    assert np.abs(found - clean).max() > 5 / 255


def test_without_rounding_levels_lie_between_those_of_a_file(photograph):
    exact = degrade(photograph, 3, Degradation(rounding=False))
    np.testing.assert_array_equal(quantise(exact), degrade(photograph, 3))
    assert (exact != quantise(exact)).mean() > 0.9
    assert 0 <= exact.min() <= exact.max() <= 1


def test_evaluation_pairs_draw_noise_of_its_own_for_each_image(photograph):
    degradation = Degradation(noise=5)
    (one, _), (other, _) = evaluation_pairs([photograph, photograph], 2, degradation=degradation)
    assert (one != other).any()
    np.testing.assert_array_equal(one[0], image_pair(photograph, 2, 1, degradation, seed=0)[0])


ALL = [
    Degradation(),
    Degradation(blur=1.2),
    Degradation(kernel=MOTION),
    Degradation(antialias=False),
    Degradation(jpeg_quality=40),
    Degradation(rounding=False),
]


@pytest.mark.parametrize("degradation", ALL, ids=str)
def test_random_crops_are_cut_from_the_degraded_image(photograph, degradation):
    options = {"flips": False, "rotations": False, "degradation": degradation}
    lr_image, _ = image_pair(photograph, 3, degradation=degradation)
    windows = np.lib.stride_tricks.sliding_window_view(lr_image[..., 0], (8, 8))
    lr_crops, _ = next(iter(random_crops([photograph], 3, 24, 4, **options)))
    for crop in lr_crops.numpy()[..., 0]:
        assert np.abs(windows - crop).max((2, 3)).min() < 1e-6


@pytest.mark.parametrize("degradation", ALL, ids=str)
def test_a_crop_is_degraded_as_an_image_would_be(photograph, degradation):
    lr_crops, hr_crops = next(
        iter(crop_then_degrade([photograph], 3, 48, 4, degradation=degradation))
    )
    for lr_crop, hr_crop in zip(lr_crops.numpy(), hr_crops.numpy(), strict=True):
        expected = degrade(hr_crop, 3, degradation)
        # Where sums are rounded otherwise, JPEG quantises otherwise.
        most = 40 if degradation.jpeg_quality else 1.01
        np.testing.assert_allclose(lr_crop, expected, atol=most / 255)
        assert np.abs(lr_crop - expected).mean() < 0.5 / 255


def test_noise_in_the_pipelines_is_new_for_each_crop_or_each_image(photograph):
    grey, options = np.full((48, 48, 1), 0.5), {"flips": False, "rotations": False}
    noisy = {"degradation": Degradation(noise=10), **options}

    def lr_batches(route, **more):
        return [lr.numpy() for lr, _ in route([grey, grey], 2, 48, 2, **noisy, **more).take(3)]

    one, other, third = lr_batches(crop_then_degrade)
    assert (one != other).any()
    assert (one[0] != one[1]).any()
    assert 255 * np.stack([one, other, third]).std() == pytest.approx(10, rel=0.1)
    np.testing.assert_array_equal(one, lr_batches(crop_then_degrade)[0])
    assert (one != lr_batches(crop_then_degrade, seed=1)[0]).any()
    images = np.concatenate(lr_batches(random_crops))
    assert len(np.unique(images.reshape(6, -1), axis=0)) == 2  # one noise for each of two images


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"blur": -1}, "blur is -1: it must be a finite number of at least 0"),
        ({"blur": np.nan}, "blur is nan"),
        ({"blur": np.inf}, "blur is inf"),
        ({"noise": -1}, "noise is -1"),
        ({"noise": np.nan}, "noise is nan"),
        ({"kernel": np.ones((2, 3)) / 6}, r"shape \(2, 3\): it must have two odd sides"),
        ({"kernel": np.ones(3) / 3}, "two odd sides"),
        ({"kernel": np.ones((3, 3))}, "sum of 9, not 1"),
        ({"kernel": np.full((3, 3), np.nan)}, "sum of nan"),
        ({"kernel": MOTION, "blur": 1}, "not both"),
        ({"jpeg_quality": 0}, "jpeg_quality is 0"),
        ({"jpeg_quality": True}, "jpeg_quality is True: it must be a whole number"),
        ({"antialias": 1}, "unknown antialias 1: choose one of True, False"),
        ({"jpeg_quality": 101}, "jpeg_quality is 101"),
        ({"jpeg_quality": 50.5}, r"jpeg_quality is 50\.5"),
        ({"jpeg_quality": 50, "rounding": False}, "holds 8 bits"),
    ],
)
def test_fields_are_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        Degradation(**fields)


def test_equal_fields_are_equal_degradations():
    assert Degradation(kernel=MOTION) == Degradation(kernel=MOTION.tolist())
    assert Degradation(kernel=MOTION) != Degradation()


def test_a_kernel_far_larger_than_a_crop_is_refused(photograph):
    large = np.full((49, 49), 1 / 49**2)
    with pytest.raises(ValueError, match="more than twice as large as a crop of 24"):
        crop_then_degrade([photograph], 2, 24, 4, degradation=Degradation(kernel=large))
