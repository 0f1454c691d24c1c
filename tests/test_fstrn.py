"""FSTRN: what it counts, where it starts, what it sees."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from srcnn_tf.layers import BicubicUpsampling, MiddleFrames
from srcnn_tf.models import fstrn
from srcnn_tf.probes import feature_maps, graph_function, multiply_adds, reach, scale_of

BLOCK = 9 * 64**2 + 64 + 3 * 64**2 + 64  # 49,280; one 3×3×3 convolution has 110,656


def count(model, *names):
    return sum(model.get_layer(name).count_params() for name in names)


def test_parameters_of_a_block_factorised_and_whole():
    model, whole = fstrn(4), fstrn(4, factorised=False)
    assert count(model, "block_3_space", "block_3_time") == BLOCK == 49_280
    assert count(whole, "block_3_both") == 110_656
    assert whole.count_params() - model.count_params() == 5 * (110_656 - BLOCK)
    extraction, merging, slopes = 27 * 64 + 64, 27 * 64**2 + 64, 7 * 64
    deconvolution, last = 8**2 * 64**2 + 64, 9 * 64 + 1
    rest = extraction + merging + slopes + deconvolution + last
    assert model.count_params() == 5 * BLOCK + rest == 622_081


def test_multiply_adds_of_five_frames():
    space, time = 9 * 64**2, 3 * 64**2
    per_lr_pixel = 5 * (27 * 64 + 5 * (space + time)) + 27 * 64**2 + 4**2 * 64**2
    assert multiply_adds(fstrn(2)) == per_lr_pixel / 4 + 9 * 64


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_starts_as_bicubic_interpolation_of_the_middle_frame(scale, channels):
    clips = np.random.default_rng(0).random((2, 5, 7, 9, channels), np.float32)
    model = fstrn(scale, width=4, blocks=1, channels=channels)
    assert model.compute_output_shape(clips.shape) == (2, 7 * scale, 9 * scale, channels)
    np.testing.assert_array_equal(model(clips), BicubicUpsampling(scale)(clips[:, 2]))


def test_the_random_start_is_seeded_and_of_the_size_of_an_image():
    models = [fstrn(2, start="random", seed=seed) for seed in (0, 0, 1)]
    first, same, other = (model.get_weights() for model in models)
    assert all(map(np.array_equal, first, same))
    assert not np.array_equal(first[0], other[0])


def test_merging_is_the_3d_convolution_at_the_middle_frame():
    clips = np.random.default_rng(0).random((1, 5, 6, 7, 2), np.float32)
    whole = keras.layers.Conv3D(4, 3, padding="same")
    right = whole(clips)[:, 2]
    merged = keras.layers.Conv2D(4, 3, padding="same")
    maps = MiddleFrames(3)(clips)
    merged.build(maps.shape)
    kernel = np.moveaxis(whole.kernel.numpy(), 0, 2).reshape(3, 3, 6, 4)
    merged.set_weights([kernel, np.zeros(4)])
    np.testing.assert_allclose(merged(maps), right, atol=1e-5)


def test_every_weight_learns_under_xla():
    model = fstrn(2, width=2, blocks=1)
    generator = np.random.default_rng(0)
    clips = generator.random((2, 5, 6, 8, 1), np.float32)
    before = model.get_weights()
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=True)
    for _ in range(3):  # the first moves the last layer alone
        model.train_on_batch(clips, generator.random((2, 12, 16, 1), np.float32))
    for weight, old in zip(model.weights, before, strict=True):
        assert not np.array_equal(weight, old), weight.path
    run = tf.function(lambda x: model(x, training=False), jit_compile=True)
    np.testing.assert_allclose(run(clips), model(clips), atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"factorised": False, "frames": 3}])
def test_every_frame_counts(options):
    model = fstrn(2, width=4, blocks=2, start="random", **options)
    clips = np.random.default_rng(0).random((1, model.input_shape[1], 4, 5, 1), np.float32)
    for frame in range(clips.shape[1]):
        changed = clips.copy()
        changed[:, frame] = 0.5
        assert np.abs(model(changed) - model(clips)).max() > 1e-6


def test_probes_know_it_or_refuse_it_in_a_sentence():
    model = fstrn(2)
    assert scale_of(model) == 2
    assert reach(model) == 8  # extraction, five blocks, merging, deconvolution
    for ask in (graph_function, lambda it: feature_maps(it, np.zeros((8, 8, 1)))):
        with pytest.raises(ValueError, match=r"takes inputs of shapes .*\[n, h, w, c\]"):
            ask(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 4}, "frames is 4: it must be odd"),
        ({"frames": 1}, "frames is 1: .* at least 3"),
        ({"width": 0}, "width is 0"),
        ({"blocks": -1}, "blocks is -1"),
        ({"factorised": 1}, "unknown factorised 1: choose one of True, False"),
        ({"channels": 2}, "channels is 2"),
        ({"start": "zeros"}, "choose one of bicubic, random"),
        ({"scale": 5}, "choose 2, 3 or 4"),
    ],
)
def test_what_cannot_be_built(options, message):
    with pytest.raises(ValueError, match=message):
        fstrn(**{"scale": 2, **options})


def test_middle_frames_need_a_middle():
    with pytest.raises(ValueError, match="of 5 frames, 2 cannot be the middle ones"):
        MiddleFrames(2)(np.zeros((1, 5, 2, 2, 1)))
