"""Clips: pairs, windows, aligned crops, synthetic motion."""

import numpy as np
import pytest

from srcnn_tf.pairs import Degradation, clip_crops, clip_pair, degrade, moving_still, windows


def numbered(frames=7, height=16, width=12):
    """A clip in which every pixel of every frame tells where and when it is, in 8 bits."""
    t, y, x = np.ogrid[:frames, :height, :width]
    return ((29 * t + 7 * y + 3 * x) % 200 / 255).astype(np.float32)[..., None]


def test_pairs_are_frame_by_frame_and_noise_is_each_frames_own():
    clip = np.repeat(numbered(1), 3, axis=0)
    lr_clip, hr_clip = clip_pair(clip, 2)
    np.testing.assert_array_equal(lr_clip[1], degrade(clip[1], 2))
    np.testing.assert_array_equal(hr_clip, clip)
    noisy, _ = clip_pair(clip, 2, degradation=Degradation(noise=3.0), seed=5)
    again, _ = clip_pair(clip, 2, degradation=Degradation(noise=3.0), seed=5)
    assert not np.array_equal(noisy[0], noisy[1])
    np.testing.assert_array_equal(noisy, again)


def test_windows_repeat_the_ends():
    clip = np.arange(4.0).reshape(4, 1, 1, 1)
    assert windows(clip, 5)[..., 0, 0, 0].tolist() == [
        [0, 0, 0, 1, 2], [0, 0, 1, 2, 3], [0, 1, 2, 3, 3], [1, 2, 3, 3, 3],
    ]  # fmt: skip


def test_crops_are_aligned_in_space_and_time_and_turned_alike():
    clips = [numbered(), numbered(5, 20, 14) * 0.9]
    found = [clip_pair(clip, 2) for clip in clips]
    known = set()
    for lr_clip, hr_clip in found:  # every pair that may be drawn
        for t, y, x in np.ndindex(*np.subtract(lr_clip.shape[:3], (3, 4, 4)) + 1):
            lr_crop = lr_clip[t : t + 3, y : y + 4, x : x + 4]
            hr_crop = hr_clip[t + 1, 2 * y : 2 * y + 8, 2 * x : 2 * x + 8]
            for turn in range(4):
                for mirror in (1, -1):
                    for way in (1, -1):
                        lr_turned = np.rot90(lr_crop[::way, :, ::mirror], turn, (1, 2))
                        hr_turned = np.rot90(hr_crop[:, ::mirror], turn)
                        known.add(lr_turned.tobytes() + hr_turned.tobytes())
    drawn = set()
    for lr_crops, hr_crops in clip_crops(clips, 2, 8, 6, frames=3).take(20).as_numpy_iterator():
        assert (lr_crops.shape, hr_crops.shape) == ((6, 3, 4, 4, 1), (6, 8, 8, 1))
        drawn |= {a.tobytes() + b.tobytes() for a, b in zip(lr_crops, hr_crops, strict=True)}
    assert drawn <= known
    assert len(drawn) > 100


def test_batches_repeat_and_resume():
    def batches(**how):
        return list(clip_crops([numbered()], 2, 8, 2, **how).take(3).as_numpy_iterator())

    first, same, other = batches(), batches(), batches(seed=1)
    late = batches(first_batch=2)
    np.testing.assert_equal(first, same)
    np.testing.assert_equal(first[2], late[0])
    assert not np.array_equal(first[0][0], other[0][0])


@pytest.mark.parametrize(
    ("clips", "options", "message"),
    [
        ([], {}, "clips at least as large"),
        ([numbered(4)], {}, "crops of 5 frames of 8×8 pixels"),
        ([numbered(7, 6, 16)], {}, "at least as large"),
        ([numbered()], {"frames": 4}, "odd number of frames"),
        ([numbered()], {"hr_patch": 7}, "no multiple of the scale"),
        ([numbered()], {"seed": -1}, "seed is -1"),
    ],
)
def test_crops_that_cannot_be_cut(clips, options, message):
    with pytest.raises(ValueError, match=message):
        clip_crops(clips, 2, **{"hr_patch": 8, **options})


def test_a_still_moves_by_fractions_of_pixels_and_keeps_its_detail():
    image = np.random.default_rng(0).random((60, 70, 1), np.float32)
    clip = moving_still(image, frames=4, speed=0.0, shrink=2, seed=3)
    assert clip.shape[0] == 4
    # The tremble is at most half a pixel each way: frames are cuts at one of few places, shrunk.
    cuts = [
        degrade(image[y : y + 2 * clip.shape[1], x : x + 2 * clip.shape[2]], 2)
        for y in range(3)
        for x in range(3)
        if y + 2 * clip.shape[1] <= 60 and x + 2 * clip.shape[2] <= 70
    ]
    places = [next(n for n, cut in enumerate(cuts) if np.array_equal(cut, frame)) for frame in clip]
    assert len(set(places)) > 1
    np.testing.assert_array_equal(clip, moving_still(image, 4, 0.0, 2, seed=3))
    heights = [moving_still(image, speed=2.0, seed=seed).shape[1] for seed in range(4)]
    assert min(heights) < max(heights) < 30  # the farther it goes, the less is seen all the time
    with pytest.raises(ValueError, match="are too few for 9 frames at 9"):
        moving_still(image[:12, :12], speed=9)
