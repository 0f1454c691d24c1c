"""Scores against scikit-image, hand-made numbers and the published bicubic rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from skimage.metrics import structural_similarity

from srcnn_tf import datasets
from srcnn_tf.images import quantise, resize, rgb_to_ycbcr
from srcnn_tf.metrics import (
    MSE,
    PSNR,
    SSIM,
    Detail,
    Protocol,
    detail,
    evaluate,
    ms_ssim,
    mse,
    psnr,
    ssim,
)
from srcnn_tf.pairs import evaluation_pairs


@pytest.fixture
def photographs():
    generator = np.random.default_rng(0)
    hr_image = quantise(generator.random((40, 52, 3)))
    noise = generator.normal(0, 0.1, hr_image.shape)
    return hr_image, (hr_image + noise).astype(np.float32)  # overshoots [0, 1]


def studio_luma(image):
    return np.rint(255 * rgb_to_ycbcr(quantise(image))[..., 0])


def test_one_grey_level_everywhere_is_48_13_db():
    hr_image = np.full((20, 20, 1), 0.4, np.float32)
    sr_image = hr_image + 1 / 255
    assert float(mse(hr_image, sr_image, Protocol(2))) == pytest.approx(1)
    assert float(psnr(hr_image, sr_image, Protocol(2))) == pytest.approx(20 * np.log10(255))


def test_equal_images_have_infinite_psnr_and_ssim_one(photographs):
    hr_image, _ = photographs
    assert float(psnr(hr_image, hr_image, Protocol(3))) == np.inf
    assert float(ssim(hr_image, hr_image, Protocol(3))) == pytest.approx(1)


def test_ms_ssim_agrees_with_another_package_but_for_the_grid_that_it_halves_on():
    sewar = pytest.importorskip("sewar")
    hr_image = datasets.load("samples", "test")[0]
    sr_image = quantise(resize(resize(hr_image, (128, 128)), (512, 512)))
    ours = float(ms_ssim(hr_image, sr_image, Protocol(0)))
    truth, guess = studio_luma(hr_image), studio_luma(sr_image)
    assert ours == pytest.approx(sewar.msssim(truth, guess, MAX=255), abs=0.004)
    assert ours > float(ssim(hr_image, sr_image, Protocol(0))) + 0.1
    assert float(ms_ssim(hr_image, hr_image, Protocol(0))) == pytest.approx(1)
    with pytest.raises(ValueError, match="needs 176×176 pixels; 175×512 are left inside"):
        ms_ssim(hr_image[:175], sr_image[:175], Protocol(0))


def test_protocol_clips_rounds_takes_luma_and_drops_the_border(photographs):
    hr_image, sr_image = photographs
    truth, guess = (studio_luma(image)[3:-3, 3:-3] for image in photographs)
    expected = 10 * np.log10(255**2 / np.mean((truth - guess) ** 2))
    assert float(psnr(hr_image, sr_image, Protocol(3))) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("colour", "convert"),
    [
        ("rgb", lambda rgb: rgb),
        ("full-range luma", lambda rgb: rgb @ [[0.299], [0.587], [0.114]]),
    ],
)
def test_slips_of_colour_are_what_their_names_say(photographs, colour, convert):
    truth, guess = (255 * convert(np.clip(image, 0, 1)) for image in photographs)
    expected = 10 * np.log10(255**2 / np.mean((truth - guess) ** 2))
    protocol = Protocol(0, colour, rounding=False)
    assert float(psnr(*photographs, protocol)) == pytest.approx(expected, abs=1e-3)


def test_ssim_is_scikit_images(photographs):
    truth, guess = (studio_luma(image)[2:-2, 2:-2] for image in photographs)
    whole = structural_similarity(
        truth,
        guess,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1]
    # scikit-image averages over the whole image, the protocol where the window fits inside it.
    expected = whole[5:-5, 5:-5].mean()
    assert float(ssim(*photographs, Protocol(2))) == pytest.approx(expected, abs=1e-4)


def test_detail_is_the_power_of_short_waves_as_a_share_of_the_truths(photographs):
    hr_image, noisy = photographs
    assert float(detail(hr_image, hr_image, Protocol(0))) == pytest.approx(1)
    assert float(detail(hr_image, noisy, Protocol(0))) > 1.02
    x = np.arange(160)

    def wave(length, height):
        row = 0.5 + height * np.sin(2 * np.pi * x / length)
        return np.repeat(row[None, :, None], 20, axis=0).astype(np.float32)

    # A mean over 9 leaves sin(9πf) / 9 sin(πf) of a wave: 0.51 at 1/15, 0.11 at 1/4.
    share = float(detail(wave(4, 0.2), wave(15, 0.2), Protocol(0)))
    assert share == pytest.approx((0.49 / 0.89) ** 2, rel=0.1)
    assert float(detail(wave(4, 0.2), wave(160, 0.4), Protocol(8))) < 0.01


@pytest.mark.parametrize(
    ("metric", "function"), [(PSNR, psnr), (SSIM, ssim), (MSE, mse), (Detail, detail)]
)
def test_keras_metrics_average_over_images_and_survive_their_config(photographs, metric, function):
    hr_image, sr_image = photographs
    truth = np.stack([hr_image, hr_image, hr_image])
    guess = np.stack([sr_image, 0.5 * sr_image, 0.9 * sr_image])
    made = metric.from_config(metric(Protocol(2)).get_config())
    made.update_state(truth[:2], guess[:2])
    made.update_state(truth[2:], guess[2:])
    expected = np.mean(function(truth, guess, Protocol(2)))
    assert float(made.result()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("metric", [PSNR, SSIM, MSE, Detail])
def test_keras_metrics_compile_under_xla(metric):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1)])
    model.compile(loss="mse", metrics=[metric(Protocol(2))], jit_compile=True)
    images = np.random.default_rng(0).random((2, 24, 24, 3)).astype(np.float32)
    scores = model.evaluate(images, images, verbose=0, return_dict=True)
    expected = {PSNR: psnr, SSIM: ssim, MSE: mse, Detail: detail}[metric](
        images, model(images), Protocol(2)
    )
    assert scores[metric(Protocol(2)).name] == pytest.approx(np.mean(expected), rel=1e-4)


PUBLISHED = {2: (33.66, 0.9299), 3: (30.39, 0.8682), 4: (28.42, 0.8104)}


@pytest.mark.parametrize("scale", PUBLISHED)
def test_published_bicubic_rows_are_reproduced(load_or_skip, scale):
    """Those of Set5; tests/test_score_table.py has Set14 too."""
    pairs = evaluation_pairs(load_or_skip("set5"), scale)

    def bicubic(lr_images):
        height, width = lr_images.shape[1:3]
        return resize(lr_images[0], (scale * height, scale * width))[None]

    scores = evaluate(bicubic, pairs, Protocol(scale))
    expected_psnr, expected_ssim = PUBLISHED[scale]
    assert scores.psnr == pytest.approx(expected_psnr, abs=0.03)
    assert scores.ssim == pytest.approx(expected_ssim, abs=0.001)


IMAGE = np.zeros((20, 20, 1), np.float32)


@pytest.mark.parametrize(
    ("hr_image", "sr_image", "border", "message"),
    [
        (IMAGE, IMAGE[:-1], 2, "same"),
        (IMAGE, IMAGE * np.nan, 2, "NaN"),
        (IMAGE + 100, IMAGE, 2, "divide 8-bit values by 255"),
        (IMAGE, IMAGE + 100, 2, "sr_images has values .*divide 8-bit values by 255"),
        (IMAGE.astype(int), IMAGE, 2, "uint8 or uint16, not int64"),
        (IMAGE, np.ma.masked_equal(IMAGE, 0), 2, "sr_images has masked pixels"),
        (tf.zeros((20, 20, 1), tf.uint8), IMAGE, 2, "not a tensor of tf.uint8"),
        (IMAGE, IMAGE, 10, "leaves nothing"),
        (np.dstack([IMAGE] * 4), np.dstack([IMAGE] * 4), 2, "channels must be 1 or 3"),
    ],
)
def test_images_that_cannot_be_compared_are_refused(hr_image, sr_image, border, message):
    with pytest.raises(ValueError, match=message):
        psnr(hr_image, sr_image, Protocol(border))


def test_ssim_of_an_image_smaller_than_its_window_is_refused():
    with pytest.raises(ValueError, match="11×11"):
        ssim(IMAGE, IMAGE, Protocol(5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), "border is -1: it must be a whole number of at least 0"),
        ((2.5,), r"border is 2\.5"),
        ((True,), "border is True"),
        ((2, "hsv"), "luma, full-range luma, rgb"),
        ((2, "luma", 1), "unknown rounding 1: choose one of True, False"),
    ],
)
def test_protocol_checks_its_fields(arguments, message):
    with pytest.raises(ValueError, match=message):
        Protocol(*arguments)


def test_bytes_are_compared_as_what_they_mean(photographs):
    levels = [quantise(image, np.uint8) for image in photographs]
    expected = psnr(*(level / 255 for level in levels), Protocol(2))
    assert float(psnr(*levels, Protocol(2))) == float(expected)
    deep = [level.astype(">u2") * 257 for level in levels]
    assert float(psnr(*deep, Protocol(2))) == float(expected)


def test_a_tensor_keeps_its_gradient_and_a_graph_gets_no_assertion(photographs):
    hr_image, sr_image = photographs
    guess = tf.constant(sr_image)
    with tf.GradientTape() as tape:
        tape.watch(guess)
        value = mse(hr_image, guess, Protocol(2, "rgb", rounding=False))
    assert np.abs(tape.gradient(value, guess)).max() > 0
    spec = tf.TensorSpec([None, None, None, 3])
    graph = tf.function(lambda a, b: psnr(a, b, Protocol(2))).get_concrete_function(spec, spec)
    assert "Assert" not in {operation.type for operation in graph.graph.get_operations()}


def test_evaluating_nothing_is_refused():
    with pytest.raises(ValueError, match="no pairs"):
        evaluate(lambda lr_images: lr_images, [], Protocol(2))
