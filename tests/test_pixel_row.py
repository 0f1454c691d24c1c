"""Rows of pixels: what is too long for memory lies in a file that nothing can leave behind."""

import sys
import tempfile

import numpy as np
import pytest

from srcnn_tf import making, pairs
from srcnn_tf.images import write_image
from srcnn_tf.pairs import Degradation, crops, pixel_row, random_crops
from srcnn_tf.pairs.pixel_row import PixelRow
from srcnn_tf.training import Recipe


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder for temporary files, and rows that need one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(pixel_row, "IN_MEMORY", 100)
    return tmp_path


def batches(count, **options):
    photographs = [noise(40, 50, 3), noise(31, 33, 3, seed=1)]
    return list(random_crops(photographs, 2, 16, 8, **options).take(count).as_numpy_iterator())


def test_images_come_back_from_memory_and_from_a_file(folder, monkeypatch):
    given = [noise(9, 7, 3), noise(5, 8, 1)]
    for most, kind in ((100, np.memmap), (10**6, np.ndarray)):
        monkeypatch.setattr(pixel_row, "IN_MEMORY", most)
        row = PixelRow()
        for image in given:
            row.append(image)
        for one, other in zip(row.images(), given, strict=True):
            assert type(one) is kind
            np.testing.assert_array_equal(one, other)
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("rounding", [True, False])
def test_crops_from_a_file_are_those_from_memory(folder, monkeypatch, rounding):
    options = {"rescale": (0.8,), "degradation": Degradation(noise=3.0, rounding=rounding)}
    filed = batches(2, first_batch=1, **options)
    monkeypatch.setattr(pixel_row, "IN_MEMORY", 10**6)
    for one, other in zip(filed, batches(3, **options)[1:], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_addresses_beyond_32_bits_find_the_same_pixels(monkeypatch):
    monkeypatch.setattr(crops, "_FEW", 1)
    photograph, flat = noise(20, 22, 3), {"flips": False, "rotations": False}
    lr_whole, hr_whole = (np.rint(255 * part) for part in pairs.image_pair(photograph, 2))
    drawn = random_crops([photograph], 2, 16, 30, **flat).take(1).as_numpy_iterator()
    for lr_crop, hr_crop in zip(*(np.rint(255 * part) for part in next(drawn)), strict=True):
        (place,) = [
            (y, x)
            for y in range(3)
            for x in range(4)
            if np.array_equal(lr_whole[y : y + 8, x : x + 8], lr_crop)
        ]
        top, left = (2 * side for side in place)
        np.testing.assert_array_equal(hr_whole[top : top + 16, left : left + 16], hr_crop)


@pytest.mark.skipif(sys.platform == "win32", reason="limits as Unix has them")
def test_a_full_disk_is_named_and_left_as_it_was(folder):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(
            OSError, match="must hold the images to train on: TMPDIR names another"
        ) as caught:
            random_crops([noise(99, 99, 1)], 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(folder) in str(caught.value)
    assert list(folder.iterdir()) == []


def test_of_many_photographs_a_few_are_held_out_whatever_their_number(folder, monkeypatch):
    class Reached(Exception):
        pass

    def reached(model, train_images, validation_images, *rest, names, about):
        assert (len(train_images), len(validation_images)) == (22, 2)
        assert [name[-6:] for name in names] == ["11.png", "23.png"]
        assert about["data"][str(folder / "photos")]["images"] == 24
        np.testing.assert_array_equal(validation_images[0], noise(32, 32, 3, seed=11))
        raise Reached

    (folder / "photos").mkdir()
    for number in range(24):
        image = noise(32, 32, 3, seed=number)
        write_image(folder / "photos" / f"{number:02}.png", image)
    monkeypatch.setattr(making, "fit", reached)
    monkeypatch.setattr(making, "_HELD_OUT", 2)
    with pytest.raises(Reached):
        making.train("fsrcnn-s", 2, [str(folder / "photos")], Recipe(hr_patch=32), folder / "out")
