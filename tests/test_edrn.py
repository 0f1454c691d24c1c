import keras
import numpy as np
import pytest

from srcnn_tf import upscaling
from srcnn_tf.export import export
from srcnn_tf.images import resize
from srcnn_tf.models import edrn
from srcnn_tf.probes import multiply_adds, reach, sees_whole_image, total_stride
from srcnn_tf.upscaling import upscale

SMALL = {"width": 8, "groups": (1, 1, 1), "blocks": 1, "start": "random"}


def convolutions(block_count, width, groups):
    """Count the kernels of EDRN as its paper has them, without a network."""
    total = 2 * 9 * 3 * width  # head and residual
    for count, maps in zip(groups, (4 * width, 2 * width, width), strict=True):
        few = max(1, maps // 16)
        total += count * (block_count * (2 * 9 * maps**2 + 2 * maps * few) + 9 * maps**2)
        total += 9 * maps**2
    return total + 2 * 9 * width * 2 * width + 2 * 9 * 2 * width * 4 * width


def test_the_original_has_58_million_parameters():
    model = edrn(2)
    kernels = sum(int(np.prod(w.shape)) for w in model.weights if w.shape.rank == 4)
    assert kernels == convolutions(10, 64, (4, 2, 1))
    assert round(model.count_params() / 1e6, 1) == 58.4


def test_normalisation_stands_where_the_size_changes():
    plain, normed = (edrn(2, **SMALL, batch_norm=on) for on in (False, True))
    norms = [layer for layer in normed.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert [norm.name for norm in norms] == ["down_1_bn", "down_2_bn", "up_1_bn", "up_2_bn"]
    assert normed.count_params() - plain.count_params() == 4 * (16 + 32 + 16 + 8)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_starts_as_bicubic_interpolation(scale):
    image = np.random.default_rng(0).random((7, 9, 3), np.float32)
    model = edrn(scale, **SMALL | {"start": "bicubic"})
    expected = resize(image, (7 * scale, 9 * scale))
    np.testing.assert_allclose(model(image[None])[0], expected, atol=1e-5)


def test_every_size_is_seen_alike():
    image = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    model = edrn(2, **SMALL, attention=False)
    far = reach(model)
    for rows, columns in ((64, 64), (63, 61), (62, 63)):
        cut = model(image[:, :rows, :columns])
        inside = slice(0, 2 * (60 - far))
        np.testing.assert_allclose(
            cut[:, inside, inside], model(image)[:, inside, inside], atol=1e-4
        )


def test_probes_know_it():
    model = edrn(2, **SMALL, batch_norm=False)
    assert total_stride(model) == 4
    assert sees_whole_image(model)
    with pytest.raises(ValueError, match="sees the whole image"):
        reach(model)
    # In HR pixels: head, two strides, 4 convolutions at a quarter, half and full, and the last.
    local = edrn(2, **SMALL, batch_norm=False, attention=False)
    assert not sees_whole_image(local)
    assert reach(model, local=True) == reach(local)
    pixels = np.zeros((1, 96, 96, 3), np.float32)
    before = local(pixels)
    pixels[:, 48, 49] = 1
    rows = np.where(np.abs(local(pixels) - before).max((0, 2, 3)) > 1e-7)[0] // 2
    assert 0.5 * reach(local) < max(48 - rows.min(), rows.max() - 48) <= reach(local)
    kernels = convolutions(1, 8, (1, 1, 1))
    assert multiply_adds(model) < kernels / 3  # most of them work at a quarter of the size


def test_tiles_leave_no_trace_and_begin_at_multiples_of_the_stride(monkeypatch):
    image = np.random.default_rng(1).random((90, 101, 3), np.float32)
    model = edrn(2, **SMALL, attention=False)
    whole = upscale(image, model, np.uint8, tile=1000).astype(int)
    tile = 2 * reach(model) + 21
    assert np.abs(whole - upscale(image, model, np.uint8, tile=tile)).max() <= 1
    monkeypatch.setattr(upscaling, "total_stride", lambda model: 1)
    assert np.abs(whole - upscale(image, model, np.uint8, tile=tile)).max() > 1


def test_attention_takes_the_whole_image_or_refuses(monkeypatch):
    image = np.random.default_rng(1).random((40, 51, 3), np.float32)
    model = edrn(2, **SMALL)
    whole = upscale(image, model, np.uint8)
    assert whole.shape == (80, 102, 3)
    np.testing.assert_array_equal(whole, upscale(image, model, np.uint8, tile=9))
    monkeypatch.setattr(upscaling, "IN_ONE_PIECE", 2000)
    with pytest.raises(ValueError, match=r"'edrn' looks at the whole image .* 40×51 pixels"):
        upscale(image, model)


def test_it_is_exported_with_its_attention(tmp_path):
    export(edrn(2, **SMALL), tmp_path / "edrn.onnx")
    assert (tmp_path / "edrn.onnx").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width is 0"),
        ({"blocks": -1}, "blocks is -1"),
        ({"groups": 3}, "groups is 3: it must be three numbers"),
        ({"groups": (1, 1)}, "must be three numbers"),
        ({"groups": (1, 1.5, 1)}, r"a count of groups is 1\.5"),
        ({"batch_norm": 1}, "unknown batch_norm 1"),
        ({"attention": "yes"}, "unknown attention 'yes'"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        edrn(2, **arguments)
