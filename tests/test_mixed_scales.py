import numpy as np
import pytest

from srcnn_tf.images import resize
from srcnn_tf.pairs import image_pair
from srcnn_tf.pairs.mixed_scales import mixed_scale_crops

SCALES = (2, 3, 4)


@pytest.fixture(scope="module")
def noise():
    """An image in which any crop is found again; its sides are multiples of 12."""
    return np.round(255 * np.random.default_rng(0).random((96, 108, 1))).astype(np.float32) / 255


def take(dataset, count=1):
    return [[part.numpy() for part in pair] for pair in dataset.take(count)]


def test_crops_are_those_of_whole_enlarged_images(noise):
    options = {"flips": False, "rotations": False}
    ((enlarged, hr_crops),) = take(mixed_scale_crops([noise], SCALES, 24, 9, **options))
    assert enlarged.shape == hr_crops.shape == (9, 24, 24, 1)
    levels = np.round(255 * noise[..., 0])
    windows = np.lib.stride_tricks.sliding_window_view(levels, (24, 24))
    places = set()
    for number, (crop, hr_crop) in enumerate(zip(enlarged, hr_crops, strict=True)):
        scale = SCALES[number // 3]
        hr_levels = np.round(255 * hr_crop[..., 0])
        top, left = np.argwhere((windows[:, :, 0, :4] == hr_levels[0, :4]).all(-1))[0]
        np.testing.assert_array_equal(windows[top, left], hr_levels)
        assert top % scale == left % scale == 0
        lr_image, _ = image_pair(noise, scale)
        expected = resize(lr_image, noise.shape[:2])[top : top + 24, left : left + 24]
        np.testing.assert_allclose(crop, expected, atol=1e-5)
        places.add((top, left))
    assert len(places) > 6


def test_batches_repeat_and_resume(noise):
    arguments = ([noise], SCALES, 24, 6)
    first, second, third = take(mixed_scale_crops(*arguments, seed=4), 3)
    (resumed,) = take(mixed_scale_crops(*arguments, seed=4, first_batch=2))
    (other,) = take(mixed_scale_crops(*arguments, seed=5))
    np.testing.assert_array_equal(third, resumed)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("scales", "batch"), [((2, 3, 4), 16), ((), 6)])
def test_a_batch_must_be_divisible(noise, scales, batch):
    with pytest.raises(ValueError, match="must be a multiple of their number"):
        mixed_scale_crops([noise], scales, 24, batch)


def test_a_seed_out_of_range_is_named(noise):
    with pytest.raises(ValueError, match="seed is -1"):
        mixed_scale_crops([noise], SCALES, 24, 6, seed=-1)


def test_a_crop_must_suit_every_scale(noise):
    with pytest.raises(ValueError, match="32 is no multiple of the scale 3"):
        mixed_scale_crops([noise], SCALES, 32, 6)


def test_a_single_scale_is_a_list_of_one(noise):
    ((enlarged, hr_crops),) = take(mixed_scale_crops([noise], [3], 24, 4))
    assert enlarged.shape == hr_crops.shape == (4, 24, 24, 1)
