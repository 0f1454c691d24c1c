import itertools

import numpy as np
import pytest
import skimage
import tensorflow as tf

from srcnn_tf import datasets, pairs
from srcnn_tf.images import pixels, resize
from srcnn_tf.pairs import Degradation, crop_then_degrade, random_crops, subimages

# The eight ways to lay a square on itself, as what (row, column) becomes.
TURNS = {
    tuple(np.diag(signs)[::step].ravel().tolist())
    for signs in itertools.product((1, -1), repeat=2)
    for step in (1, -1)
}
ROTATIONS = {turn for turn in TURNS if np.linalg.det(np.reshape(turn, (2, 2))) > 0}
FLIPS = {turn for turn in TURNS if turn[0]}
KINDS = [(True, True, TURNS), (False, True, ROTATIONS), (True, False, FLIPS)]
KINDS += [(False, False, {(1, 0, 0, 1)})]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def blocks(height, width, scale, number=0):
    """Return `height`×`width` blocks of scale×scale pixels coloured (row, column, number).

    Neighbours differ by one level, so little that bicubic shrinking, borders included, turns each
    block into one pixel of the block's own colour.
    """
    rows, columns = np.mgrid[:height, :width]
    code = np.stack([rows, columns, np.full_like(rows, number)], -1).astype(np.uint8)
    return code.repeat(scale, 0).repeat(scale, 1)


def ramps(height, width, number=0):
    """Return pixels coloured (4·row, 4·column, number): blocks of 2, 3 or 4 have whole means."""
    return blocks(height, width, 1, number) * np.array([4, 4, 1], np.uint8)


def levels(batches):
    """Return all crops of some batches in 0..255."""
    return np.rint(np.concatenate(batches) * 255).astype(int)


def take(dataset, count):
    lr_batches, hr_batches = zip(*dataset.take(count).as_numpy_iterator(), strict=True)
    return lr_batches, hr_batches


def enlarge(lr_crops, scale):
    return lr_crops.repeat(scale, 1).repeat(scale, 2)


def turn_of(crop, step=1):
    """Decode how a crop of `blocks` or `ramps` was turned; fail if it is not one whole square."""
    down, right = np.diff(crop[..., :2], axis=0), np.diff(crop[..., :2], axis=1)
    assert (down == down[0, 0]).all()
    assert (right == right[0, 0]).all()
    return tuple((np.stack([down[0, 0], right[0, 0]], 1) // step).ravel().tolist())


def places(crops):
    """Decode (row, column, image) of each crop's corner nearest the image's first pixel."""
    return [tuple(crop.min((0, 1)).tolist()) for crop in crops]


def same(batches, others):
    return all(np.array_equal(a, b) for a, b in zip(batches, others, strict=True))


# One pair


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degrade_is_bicubic_shrinking_rounded_to_8_bits(scale, antialias):
    hr_image = noise(24, 36, 3) / 255
    lr_image = pairs.degrade(hr_image, scale, Degradation(antialias=antialias))
    shrunk = resize(hr_image, (24 // scale, 36 // scale), "bicubic", antialias)
    assert lr_image.dtype == np.float32
    np.testing.assert_array_equal(lr_image, np.rint(shrunk.clip(0, 1) * 255) / np.float32(255))


@pytest.mark.parametrize("sigma", [0.5, 1.6, 5.0])
def test_degrade_blurs_as_scikit_image_does_before_it_shrinks(sigma):
    hr_image = noise(24, 36, 3) / 255
    blurred = skimage.filters.gaussian(hr_image, sigma, mode="reflect", channel_axis=-1)
    expected = resize(blurred, (8, 12))
    lr_image = pairs.degrade(hr_image, 3, Degradation(blur=sigma))
    np.testing.assert_allclose(lr_image, expected.clip(0, 1), atol=0.5 / 255 + 1e-6)
    assert np.abs(lr_image - pairs.degrade(hr_image, 3)).max() > 2 / 255


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degrade_turns_each_block_of_pixels_into_one(scale):
    lr_image = pairs.degrade(blocks(9, 11, scale), scale)
    np.testing.assert_array_equal(levels([lr_image]), blocks(9, 11, 1))


def test_evaluation_pairs_are_whole_images_cut_to_the_scale_in_batches_of_one():
    photographs = [noise(25, 38, 3), noise(31, 30, 1), noise(24, 24, 4)]
    made = pairs.evaluation_pairs(photographs, 3)
    assert [lr.shape for lr, _ in made] == [(1, 8, 12, 1), (1, 10, 10, 1), (1, 8, 8, 1)]
    assert [hr.shape for _, hr in made] == [(1, 24, 36, 1), (1, 30, 30, 1), (1, 24, 24, 1)]
    assert {array.dtype for pair in made for array in pair} == {np.dtype(np.float32)}
    for lr_image, hr_image in made:
        np.testing.assert_array_equal(lr_image[0], pairs.degrade(hr_image[0], 3))

    luma = skimage.color.rgb2ycbcr(photographs[0])[:24, :36, 0]
    assert np.abs(made[0][1][0, ..., 0] * 255 - luma).max() < 0.501  # rounded to 8 bits
    np.testing.assert_array_equal(levels([made[1][1]])[0], photographs[1][:30])  # its own luma

    (lr_image, hr_image), *_ = pairs.evaluation_pairs(photographs, 4, channels=3)
    assert lr_image.shape == (1, 6, 9, 3)
    np.testing.assert_array_equal(levels([hr_image])[0], photographs[0][:24, :36])


def test_rescaled_appends_a_smaller_copy_of_each_image_for_each_factor():
    photographs = [noise(20, 31, 1) / 255, noise(50, 40, 3) / 255]
    made = pairs.rescaled(photographs, (0.9, 0.6))
    assert [image.shape for image in made] == [
        (20, 31, 1),
        (50, 40, 3),
        (18, 28, 1),
        (45, 36, 3),
        (12, 19, 1),
        (30, 24, 3),
    ]
    np.testing.assert_array_equal(made[5], resize(photographs[1], (30, 24)).clip(0, 1))
    for factor in (0, 1, 1.1, -0.5, np.nan):
        with pytest.raises(ValueError, match="must lie between 0 and 1"):
            pairs.rescaled(photographs, (0.9, factor))


# Whole images degraded once, then random crops


@pytest.mark.parametrize(
    ("scale", "flips", "rotations", "turns"),
    [(scale, *KINDS[0]) for scale in (2, 3, 4)]
    + [(scale, *kind) for scale, kind in zip((2, 3, 4), KINDS[1:], strict=True)],
)
def test_random_crops_are_aligned_to_the_pixel_in_every_turn(scale, flips, rotations, turns):
    photographs = [blocks(9, 14, scale, 0), blocks(12, 8, scale, 1)]
    options = {"channels": 3, "flips": flips, "rotations": rotations}
    dataset = random_crops(photographs, scale, 6 * scale, 50, **options)
    lr_crops, hr_crops = map(levels, take(dataset, 4))
    assert lr_crops.shape == (200, 6, 6, 3)
    np.testing.assert_array_equal(enlarge(lr_crops, scale), hr_crops)
    assert {turn_of(crop) for crop in lr_crops} == turns


def test_random_crops_draws_every_position_and_turn_equally_often():
    # 3×2 positions in the first image, one in the second.
    photographs = [blocks(6, 5, 2, 0), blocks(4, 4, 2, 1)]
    lr_crops = levels(take(random_crops(photographs, 2, 8, 500, channels=3), 14)[0])
    drawn, counts = np.unique(places(lr_crops), axis=0, return_counts=True)
    positions = [(row, column, 0) for row in range(3) for column in range(2)] + [(0, 0, 1)]
    assert {tuple(place) for place in drawn.tolist()} == set(positions)
    assert np.abs(counts - 1000).max() < 150  # five standard deviations
    _, counts = np.unique([turn_of(crop) for crop in lr_crops], axis=0, return_counts=True)
    assert len(counts) == 8
    assert np.abs(counts - 875).max() < 140


@pytest.mark.parametrize(("channels", "blur"), [(1, 0.0), (3, 1.2)])
def test_random_crops_are_pieces_of_the_whole_degraded_images(channels, blur):
    photographs = [noise(31, 37, 3), noise(27, 43, 3, seed=1)]
    options = {"channels": channels, "degradation": Degradation(blur=blur)}
    wholes = [pairs.image_pair(image, 3, **options) for image in photographs]
    wholes = [[np.rint(side * 255) for side in whole] for whole in wholes]
    dataset = random_crops(photographs, 3, 12, 20, flips=False, rotations=False, **options)
    assert [spec.shape for spec in dataset.element_spec] == [
        (20, 4, 4, channels),
        (20, 12, 12, channels),
    ]
    lr_batches, hr_batches = take(dataset, 2)
    for batch in (*lr_batches, *hr_batches):
        assert batch.dtype == np.float32
        assert batch.min() >= 0
        assert batch.max() <= 1
        np.testing.assert_allclose(batch * 255, np.rint(batch * 255), atol=1e-4)
    for lr_crop, hr_crop in zip(levels(lr_batches), levels(hr_batches), strict=True):
        found = [
            hr_whole[3 * y : 3 * y + 12, 3 * x : 3 * x + 12]
            for lr_whole, hr_whole in wholes
            for y in range(len(lr_whole) - 3)
            for x in range(lr_whole.shape[1] - 3)
            if np.array_equal(lr_whole[y : y + 4, x : x + 4], lr_crop)
        ]
        assert len(found) == 1
        np.testing.assert_array_equal(found[0], hr_crop)


def test_the_same_seed_draws_the_same_batches_and_first_batch_goes_on_where_it_stopped():
    photographs = [noise(40, 50, 3)]
    options = {"scale": 2, "hr_patch": 16, "batch_size": 8}
    _, first = take(random_crops(photographs, seed=5, **options), 6)
    for one, other in itertools.combinations(first, 2):
        assert not np.array_equal(one, other)
    tf.random.set_seed(99)  # the state of TensorFlow's own generator plays no part
    resumed = random_crops(photographs, seed=5, first_batch=2, **options)
    assert same(take(resumed, 4)[1], first[2:])
    assert same(take(resumed, 4)[1], first[2:])
    assert not same(take(random_crops(photographs, seed=6, **options), 6)[1], first)


def test_rescaling_adds_crops_of_the_smaller_copies_in_proportion_to_their_positions():
    rescale = (0.5, 0.2)  # the copy of 10×10 pixels is smaller than a crop and left out
    options = {"channels": 3, "flips": False, "rotations": False, "rescale": rescale}
    _, hr_batches = take(random_crops([ramps(48, 48)], 2, 12, 500, **options), 4)
    # Rows are 4 levels apart, and 8 in the copy of half the size.
    steps = np.median(np.diff(levels(hr_batches)[..., 0], axis=1), axis=(1, 2))
    assert set(steps) == {4, 8}
    # (12 - 6 + 1)² positions beside (24 - 6 + 1)².
    assert np.mean(steps == 8) == pytest.approx(49 / (49 + 361), abs=0.03)


# Crop first, then degrade


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_crop_then_degrade_degrades_its_own_aligned_crops_in_all_eight_turns(scale):
    crops = crop_then_degrade([ramps(60, 63), ramps(50, 60)], scale, 24, 40, channels=3)
    lr_batches, hr_batches = take(crops, 3)
    lr_crops, hr_crops = levels(lr_batches), levels(hr_batches)
    assert {turn_of(crop, 4) for crop in hr_crops} == TURNS
    for lr_crop, hr_crop in zip(
        np.concatenate(lr_batches), np.concatenate(hr_batches), strict=True
    ):
        expected = pairs.degrade(hr_crop, scale)
        assert np.abs(lr_crop - expected).max() < 1.01 / 255  # float32 rounds some halves off
        assert np.mean(np.isclose(lr_crop, expected, rtol=0, atol=1e-6)) > 0.95

    # Apart from the mirrored border, an LR pixel is the mean of its block on a ramp.
    size = 24 // scale
    means = hr_crops.reshape(-1, size, scale, size, scale, 3).mean((2, 4))
    inner = slice(2, -2)
    assert np.abs(lr_crops - means)[:, inner, inner].max() < 0.501


@pytest.mark.parametrize(("flips", "rotations", "turns"), KINDS[1:])
def test_crop_then_degrade_turns_only_as_it_was_told(flips, rotations, turns):
    crops = crop_then_degrade(
        [ramps(40, 50)], 2, 12, 60, channels=3, flips=flips, rotations=rotations
    )
    assert {turn_of(crop, 4) for crop in levels(take(crops, 1)[1])} == turns


def test_each_pass_takes_every_photograph_once_and_draws_new_crops():
    photographs = [ramps(60, 63, number) for number in range(4)]
    options = {"channels": 3, "flips": False, "rotations": False, "shuffle": 4}
    _, passes = take(crop_then_degrade(photographs, 2, 12, 4, **options), 20)
    drawn = [places(levels([crops])) for crops in passes]
    assert all({number for *_, number in crops} == {0, 1, 2, 3} for crops in drawn)
    orders = {tuple(number for *_, number in crops) for crops in drawn}
    assert len(orders) > 5
    corners = [corner for crops in drawn for corner in crops]
    assert len(set(corners)) > 75  # of 80, where 49×52 positions are to be had
    assert {row // 4 % 2 for row, *_ in corners} == {0, 1}  # not on the LR grid only


def test_crop_then_degrade_blurs_as_degrade_does():
    lr_batches, hr_batches = take(
        crop_then_degrade([noise(40, 50, 3)], 3, 24, 10, degradation=Degradation(blur=1.6)), 1
    )
    for lr_crop, hr_crop in zip(lr_batches[0], hr_batches[0], strict=True):
        np.testing.assert_allclose(
            lr_crop, pairs.degrade(hr_crop, 3, Degradation(blur=1.6)), atol=1.01 / 255
        )
        assert np.abs(lr_crop - pairs.degrade(hr_crop, 3)).max() > 4 / 255


def test_crop_then_degrade_repeats_itself_under_the_same_seed_only():
    photographs = [noise(40, 50, 3, seed=number) for number in range(5)]

    def batches(seed):
        return take(crop_then_degrade(photographs, 2, 16, 4, seed=seed), 4)

    first, again, other = batches(3), batches(3), batches(4)
    assert same(first[0], again[0])
    assert same(first[1], again[1])
    assert not same(first[1], other[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_crop_then_degrade_takes_streams_of_floats_and_of_bytes(tmp_path, channels):
    photographs = [noise(40, 50, 3), noise(31, 33, 3, seed=1)]
    spec = tf.TensorSpec([None, None, 3], tf.uint8)
    in_bytes = tf.data.Dataset.from_generator(lambda: iter(photographs), output_signature=spec)
    in_floats = in_bytes.map(lambda image: tf.cast(image, tf.float32) / 255)
    options = {"scale": 2, "hr_patch": 16, "batch_size": 4, "channels": channels}
    made = [take(crop_then_degrade(s, **options), 2) for s in (in_bytes, in_floats, photographs)]
    for lr_batches, hr_batches in made:
        assert lr_batches[0].shape == (4, 8, 8, channels)
        assert hr_batches[0].shape == (4, 16, 16, channels)
        np.testing.assert_allclose(hr_batches, made[0][1], atol=1e-6)


def test_crop_then_degrade_streams_the_samples():
    stream = datasets.stream("samples", "test")
    lr_batches, hr_batches = take(crop_then_degrade(stream, 4, 128, 3, channels=3, shuffle=3), 1)
    assert lr_batches[0].shape == (3, 32, 32, 3)
    assert hr_batches[0].shape == (3, 128, 128, 3)
    assert hr_batches[0].min() >= 0
    assert 0.5 < hr_batches[0].max() <= 1


def test_a_small_image_in_a_stream_is_an_error_when_it_comes():
    stream = tf.data.Dataset.from_tensor_slices(np.zeros((2, 40, 15, 3), np.uint8))
    dataset = crop_then_degrade(stream, 2, 16, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="smaller than the crop of 16×16"):
        next(iter(dataset))


# A fixed grid


@pytest.mark.parametrize(
    ("scale", "hr_patch", "stride"), [(3, 33, 14), (2, 32, 14), (4, 32, 15), (3, 33, 33)]
)
def test_subimages_are_aligned_and_start_at_multiples_of_the_stride(scale, hr_patch, stride):
    shapes = [(30, 25), (40, 17)]
    photographs = [blocks(*shape, scale, number) for number, shape in enumerate(shapes)]
    # One pixel too many, which the crop to a multiple of the scale takes away again.
    photographs[1] = np.pad(photographs[1], ((0, 1), (0, 1), (0, 0)), "edge")
    lr_crops, hr_crops = subimages(photographs, scale, hr_patch, stride, channels=3)
    assert lr_crops.dtype == hr_crops.dtype == np.float32
    lr_crops, hr_crops = levels([lr_crops]), levels([hr_crops])
    np.testing.assert_array_equal(enlarge(lr_crops, scale), hr_crops)
    assert hr_crops.shape[1:] == (hr_patch, hr_patch, 3)
    assert places(lr_crops) == [
        (top // scale, left // scale, number)
        for number, (height, width) in enumerate(shapes)
        for top in range(0, height * scale - hr_patch + 1, stride)
        for left in range(0, width * scale - hr_patch + 1, stride)
    ]


def test_subimages_of_luma_are_blurred_where_asked():
    photograph = noise(33, 40, 3)
    lr_crops, hr_crops = subimages([photograph], 3, degradation=Degradation(blur=1.0))
    assert lr_crops.shape == (1, 11, 11, 1)
    lr_image, hr_image = pairs.image_pair(photograph, 3, degradation=Degradation(blur=1.0))
    np.testing.assert_array_equal(lr_crops[0], lr_image[:, :11])
    np.testing.assert_array_equal(hr_crops[0], hr_image[:, :33])


def test_t91_gives_the_21884_subimages_of_the_authors_code(load_or_skip):
    lr_crops, hr_crops = subimages(load_or_skip("t91", channels=1), 3)
    assert lr_crops.shape == (21884, 11, 11, 1)
    assert hr_crops.shape == (21884, 33, 33, 1)


# Bad input

ROUTES = [random_crops, crop_then_degrade, subimages]
PHOTOGRAPHS = [noise(60, 60, 3), noise(50, 70, 3)]


@pytest.mark.parametrize("scale", [1, 5, 2.5, 2.0, 0, -2, True])
@pytest.mark.parametrize("route", ROUTES)
def test_only_scales_2_to_4_are_taken(route, scale):
    with pytest.raises(ValueError, match=f"scale {scale} is not supported: choose 2, 3 or 4"):
        route(PHOTOGRAPHS, scale)


@pytest.mark.parametrize("scale", [1, 5, 2.5])
def test_single_pairs_take_only_scales_2_to_4_too(scale):
    for make in (pairs.degrade, pairs.image_pair):
        with pytest.raises(ValueError, match="choose 2, 3 or 4"):
            make(PHOTOGRAPHS[0], scale)
    with pytest.raises(ValueError, match="choose 2, 3 or 4"):
        pairs.evaluation_pairs(PHOTOGRAPHS, scale)


@pytest.mark.parametrize("route", ROUTES)
def test_a_crop_must_be_a_multiple_of_the_scale(route):
    with pytest.raises(ValueError, match="hr_patch 47 is no multiple of the scale 2: try 46 or 48"):
        route(PHOTOGRAPHS, 2, 47)
    with pytest.raises(ValueError, match="hr_patch 0 is no multiple of the scale 3: try 3 or 6"):
        route(PHOTOGRAPHS, 3, 0)


@pytest.mark.parametrize("route", ROUTES)
def test_images_smaller_than_the_crop_are_named(route):
    photographs = [noise(60, 60, 3), noise(23, 60, 3), noise(1, 1, 3), noise(60, 60, 1)]
    with pytest.raises(
        ValueError, match=r"2 of 4 .* than 24×24 pixels, the size of a crop: number 2 \(23×60\)"
    ) as e:
        route(photographs, 2, 24)
    assert "number 3 (1×1)" in str(e.value)


@pytest.mark.parametrize("route", ROUTES)
def test_no_images_are_an_error(route):
    with pytest.raises(ValueError, match="there are no images"):
        route([], 2, 24)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("pixel", "message"), [(np.nan, "none may be NaN"), (1.5, "to 1.5; floats must lie in")]
)
def test_pixels_that_are_no_image_are_refused(route, pixel, message):
    spoilt = np.zeros((60, 60, 3))
    spoilt[30, 20, 1] = pixel
    with pytest.raises(ValueError, match=message):
        route([noise(60, 60, 3), spoilt], 2, 24)


@pytest.mark.parametrize("route", [random_crops, crop_then_degrade])
def test_a_batch_holds_at_least_one_pair(route):
    with pytest.raises(ValueError, match="batch_size is 0: it must be a whole number"):
        route(PHOTOGRAPHS, 2, 24, 0)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, None])
def test_seeds_are_what_every_generator_takes(seed):
    for take in (
        lambda: random_crops(PHOTOGRAPHS, 2, 24, seed=seed),
        lambda: crop_then_degrade(PHOTOGRAPHS, 2, 24, seed=seed),
        lambda: pairs.degrade(PHOTOGRAPHS[0], 2, seed=seed),
        lambda: pairs.degrade(PHOTOGRAPHS[0], 2, seed=[0, seed]),
    ):
        with pytest.raises(ValueError, match=f"seed is {seed}: it must be a whole number"):
            take()


def test_a_dataset_of_something_else_is_refused():
    for dataset in ((np.zeros((1, 9, 9, 3), int)), (np.zeros((1, 9, 9, 3)), [0])):
        with pytest.raises(ValueError, match="a dataset must hold images alone"):
            crop_then_degrade(tf.data.Dataset.from_tensor_slices(dataset), 2, 4)


def test_the_pipelines_check_whole_images_and_no_crop(monkeypatch):
    gate, calls = pixels.as_array, []
    monkeypatch.setattr(pixels, "as_array", lambda *a: calls.append(a) or gate(*a))
    for route in (random_crops, crop_then_degrade):
        crops = iter(route(PHOTOGRAPHS, 2, 24, 4))
        assert calls
        calls.clear()
        for _ in range(8):
            next(crops)
        assert not calls


@pytest.mark.parametrize("channels", [0, 2, 4])
@pytest.mark.parametrize("route", ROUTES)
def test_pairs_are_luma_or_rgb(route, channels):
    with pytest.raises(ValueError, match=f"cannot make {channels} channels"):
        route(PHOTOGRAPHS, 2, 24, channels=channels)


def test_a_stride_below_the_scale_would_repeat_subimages():
    with pytest.raises(ValueError, match="stride is 2: it must be a whole number of at least 3"):
        subimages(PHOTOGRAPHS, 3, 24, 2)


def test_degrade_wants_an_image_whose_sides_the_scale_divides():
    with pytest.raises(ValueError, match=r"25×24 pixels cannot be divided by 2: use .*crop_to_mul"):
        pairs.degrade(noise(25, 24, 3), 2)
    with pytest.raises(ValueError, match=r"an image is \[h, w, c\].*\(24, 24\)"):
        pairs.degrade(noise(24, 24), 2)
    for channels in (2, 5):
        with pytest.raises(ValueError, match=r"c = 1 or 3 or 4; hr_image has shape"):
            pairs.degrade(noise(24, 24, channels), 2)
    with pytest.raises(ValueError, match="c = 1 or 3; hr_image has shape"):
        pairs.degrade(noise(24, 24, 4), 2, pairs.Degradation(jpeg_quality=50))
    with pytest.raises(ValueError, match="too small for scale 3"):
        pairs.image_pair(noise(1, 1, 3), 3)
