"""Learning from one image: what is made of it, what it reaches, what it refuses, Ctrl-C."""

import keras
import numpy as np
import pytest

from srcnn_tf import datasets, models
from srcnn_tf.cli import main
from srcnn_tf.images import quantise, read_image, resize, write_image
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.models import vdsr, zssr
from srcnn_tf.pairs import Degradation, degrade, image_pair
from srcnn_tf.pretrained import default_recipe, load_pretrained
from srcnn_tf.training.zero_shot import (
    back_project,
    is_symmetric,
    learn,
    relatives,
    self_ensemble,
)
from srcnn_tf.upscaling import upscale, upscale_alone

SKEWED = np.outer([1, 2, 1], [1, 4, 9, 4, 1]) / 76


def photograph(side=96):
    return datasets.load("samples", "test", channels=1)[1][60 : 60 + side, 100 : 100 + side]


def small(scale=2, channels=1, **options):
    return zssr(scale, 3, 16, channels, **options)


def recipe(scale=2, **changes):
    settings = {"steps": 40, "steps_per_epoch": 20, "precision": "float32", "hr_patch": 24}
    settings |= {"optimizer": "adam", "ema": 0.9}  # which is traced in a third of SOAP's time
    return default_recipe("zssr", scale, **settings | changes)


def dB(hr_image, sr_image, scale=2):
    return float(psnr(hr_image, sr_image, Protocol(border=scale)))


def test_weights_as_the_paper_counts_them_and_no_biases():
    model = zssr(2)
    assert model.count_params() == 224_640
    assert all(weight.shape.rank == 4 for weight in model.weights)
    assert (model.name, vdsr(2).name) == ("zssr", "vdsr")
    lr_image = np.random.default_rng(0).random((6, 7, 3), np.float32)
    np.testing.assert_allclose(model(lr_image[None])[0], resize(lr_image, (12, 14)), atol=1e-5)


def test_relatives_are_the_image_smaller_and_sheared():
    image = photograph()[:60]
    copies = relatives(image, 30, least=40, seed=3)
    heights, widths = np.array([it.shape[:2] for it in copies]).T
    assert heights.min() == 40  # a half would be 30
    assert heights.max() <= 60
    assert widths.min() >= 48
    assert widths.max() <= 96
    assert all(it.dtype == np.float32 and np.ptp(np.clip(it, 0, 1) - it) == 0 for it in copies)
    again, other = relatives(image, 30, least=40, seed=3), relatives(image, 30, least=40)
    assert all(np.array_equal(*pair) for pair in zip(copies, again, strict=True))
    assert not np.array_equal(copies[0], other[0])
    # The middle stays where it is: no copy is another image.
    for it in copies:
        height, width = it.shape[0] // 2, it.shape[1] // 2
        middle = it[height - 4 : height + 4, width - 4 : width + 4].mean()
        assert abs(middle - image[24:36, 42:54].mean()) < 0.1
    assert relatives(image, 0) == []


def test_a_shear_moves_rows_by_what_it_says():
    """A ramp along x, sheared, is the sum of ramps along x and y."""
    ramp = np.linspace(0, 1, 65, dtype=np.float32)[None, :, None].repeat(65, 0)
    for it in relatives(ramp, 8, least=65):
        down, along = np.gradient(it[28:37, 28:37, 0])
        assert max(np.ptp(down), np.ptp(along)) < 1e-4
        np.testing.assert_allclose(along, 1 / 64, rtol=1e-2)
    assert np.abs(down).max() > 1e-4


def test_the_median_of_turns_undoes_them():
    images = np.random.default_rng(0).random((2, 5, 7, 3), np.float32)
    double = lambda batch: batch.repeat(2, 1).repeat(2, 2)  # noqa: E731
    np.testing.assert_array_equal(self_ensemble(double)(images), double(images))
    lean = lambda batch: double(batch) + np.linspace(0, 1, 2 * batch.shape[2])[:, None]  # noqa: E731
    evened = self_ensemble(lean)(images) - double(images)
    np.testing.assert_allclose(evened, np.median([evened, evened[:, ::-1, ::-1]], 0), atol=1e-6)
    np.testing.assert_allclose(evened[:, ::-1], evened, atol=1e-6)


@pytest.mark.parametrize(
    ("degradation", "expected"),
    [
        (Degradation(), True),
        (Degradation(blur=1.6), True),
        (Degradation(kernel=np.outer([1, 2, 1], [1, 2, 1]) / 16), True),
        (Degradation(kernel=SKEWED), False),
        (Degradation(kernel=np.eye(3) / 3), False),
    ],
)
def test_which_degradations_treat_turns_alike(degradation, expected):
    assert is_symmetric(degradation) == expected


@pytest.mark.parametrize("degradation", [Degradation(), Degradation(kernel=SKEWED, noise=5)])
@pytest.mark.parametrize("scale", [2, 3])
def test_back_projection_makes_the_shrunk_copy_that_was_given(degradation, scale):
    hr_image = photograph()
    exact = Degradation(kernel=degradation.kernel, rounding=False)
    lr_image = degrade(hr_image, scale, exact)
    start = resize(lr_image, hr_image.shape[:2]).clip(0, 1)
    results = [back_project(start, lr_image, degradation, times) for times in (0, 1, 20)]
    lacks = [np.abs(lr_image - degrade(it, scale, exact)).mean() for it in results]
    assert lacks[1] < 0.6 * lacks[0]
    assert lacks[2] < 0.1 * lacks[0]
    assert dB(hr_image, results[1], scale) > dB(hr_image, results[0], scale) + 0.3


def test_it_learns_from_the_image_alone_and_beats_bicubic():
    lr_image, hr_image = image_pair(photograph(192), 2)
    model = small()
    before = model.get_weights()
    alone = upscale_alone(lr_image, model, recipe=recipe(steps=200), copies=4, projections=0)
    assert dB(hr_image, alone) > dB(hr_image, resize(lr_image, (192, 192))) + 0.3
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
    np.testing.assert_array_equal(quantise(alone), alone)


def test_a_known_kernel_reaches_training_and_back_projection():
    degradation = Degradation(kernel=SKEWED, antialias=False)
    lr_image, hr_image = image_pair(photograph(192), 2, degradation=degradation)
    scores = []
    for assumed in (degradation, Degradation()):
        result = upscale_alone(
            lr_image, small(), recipe=recipe(steps=80, degradation=assumed), copies=4
        )
        scores.append(dB(hr_image, result))
    assert scores[0] > scores[1] + 0.3


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_colour_and_alpha_come_out_in_kind(channels):
    image = datasets.load("samples", "test")[1][:40, :48]
    image = {1: image[..., :1], 3: image, 4: np.dstack([image, np.ones((40, 48, 1))])}[channels]
    if channels == 4:
        image[:, :20, :3], image[:, :20, 3] = 0, 0  # hidden: black, and none of it may show
    options = {"recipe": recipe(steps=2), "copies": 0}
    for network in (small(channels=n) for n in ((1, 3) if channels == 3 else (1,))):
        result = upscale_alone(image, network, np.uint8, **options)
        assert result.shape == (80, 96, channels)
        assert result.dtype == np.uint8
    if channels == 4:
        inside = image[2:38, 21:24, :3].mean(1)
        np.testing.assert_allclose(result[4:76:2, 40:42, :3].mean(1) / 255, inside, atol=0.25)


def test_gradual_scales_share_the_steps():
    lr_image, _ = image_pair(photograph(96), 4)
    result = upscale_alone(
        lr_image.repeat(2, 0).repeat(2, 1),
        small(4, start="random"),
        recipe=recipe(4, steps=3, steps_per_epoch=1, hr_patch=32),
        copies=0,
        before=[small(2)],
    )
    assert result.shape == (192, 192, 1)


def test_ctrl_c_gives_the_best_so_far():
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    model, plan = small(), recipe(steps=10_000)
    from srcnn_tf.training import zero_shot

    fit = zero_shot.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zero_shot, "fit", lambda *a, **k: fit(*a, callbacks=[Interrupt()], **k))
        history = learn([photograph()], model, plan, copies=2)
    assert len(history.step) == 2
    assert not np.array_equal(model.get_weights()[0], small().get_weights()[0])


@pytest.mark.parametrize(
    ("image", "scale", "message"),
    [
        (photograph(20), 3, "20×20 pixels are too few to learn from at ×3: at least 24 a side"),
        (np.full((64, 64, 1), 0.5), 2, "1 are blank: the image"),
        (photograph()[..., 0], 2, "this image"),
        (255 * photograph(), 2, "divide 8-bit values"),
    ],
)
def test_what_cannot_be_learnt_from_is_told(image, scale, message):
    with pytest.raises(ValueError, match=message):
        upscale_alone(image, small(scale), recipe=recipe(scale), copies=0)


def test_twenty_pixels_are_no_worse_than_bicubic():
    lr_image, hr_image = image_pair(photograph(40), 2)
    result = upscale_alone(lr_image, small(), recipe=recipe(), copies=2)
    assert dB(hr_image, result) > dB(hr_image, resize(lr_image, (40, 40)).clip(0, 1)) - 0.1


def test_turns_are_an_option_of_every_network():
    model, image = load_pretrained("fsrcnn-s", 2), photograph(24)[:, :20]
    turned = upscale(image.swapaxes(0, 1), model, turns=True).swapaxes(0, 1)
    np.testing.assert_allclose(turned, upscale(image, model, turns=True), atol=1.1 / 255)
    assert not np.array_equal(turned, upscale(image, model))


def test_the_command_line_trains_and_refuses(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(models, "zssr", lambda scale, channels: small(scale, channels))
    path = tmp_path / "old.png"
    write_image(path, datasets.load("samples", "test")[1][:40, :48])
    words = ["upscale", str(path), "--model", "zssr", "--scale", "2", "--minutes", "0.02"]
    assert main(words) == 0
    assert read_image(tmp_path / "old_x2.png").shape == (80, 96, 3)
    assert "training zssr: 100 %" in capsys.readouterr().out
    for words, message in [
        ([str(path), "--model", "zssr", "--minutes", "0"], "minutes is 0.0: it must be a finite"),
        ([str(path), "--model", "zssr", "--blur", "-1"], "blur is -1.0"),
        ([str(path), "--minutes", "2"], "learn from the image itself, not for fsrcnn"),
        ([str(tmp_path), "--model", "zssr"], "name a file, not a folder"),
    ]:
        assert main(["upscale", *words]) == 2
        assert message in capsys.readouterr().err
