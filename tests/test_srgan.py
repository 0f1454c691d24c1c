"""SRGAN: its discriminator, and a training of two players that stops, resumes and is told of."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise

import keras
import numpy as np
import pytest

from srcnn_tf import cli, load_pretrained, losses, networks
from srcnn_tf.images import write_image
from srcnn_tf.losses import PerceptualLoss
from srcnn_tf.models import build, discriminator, srresnet, vdsr
from srcnn_tf.pretrained import card
from srcnn_tf.training import Recipe, fit, write_weights
from srcnn_tf.training.adversarial import Adversarial, _Balance, content_loss

GENERATOR = np.random.default_rng(0)
LR = GENERATOR.random((4, 8, 8, 3), np.float32)
HR = GENERATOR.random((4, 16, 16, 3), np.float32)


def players(weight=1e-3):
    """A small generator against a small discriminator of no paper."""
    d = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(4, 3, strides=2, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.LeakyReLU(0.2, name="relu"),
            keras.layers.GlobalAveragePooling2D(name="mean"),
            keras.layers.Dense(1, name="logit"),
        ]
    )
    for weights in d.trainable_weights:
        weights.assign(np.random.default_rng(0).normal(0, 0.2, weights.shape))
    return Adversarial(srresnet(2, blocks=1, width=4, batch_norm=False), d, weight)


# -- the discriminator ----------------------------------------------------------------------------


def test_discriminator_is_the_papers():
    assert discriminator.__defaults__ == (96, 64, 1024, 3, 0)
    model = discriminator(dense=8)
    shapes = [tuple(layer.kernel.shape) for layer in model.layers if hasattr(layer, "kernel")]
    filters = [3, 64, 64, 128, 128, 256, 256, 512, 512]
    convolutions = [(3, 3, a, b) for a, b in pairwise(filters)]
    assert shapes == [*convolutions, (6 * 6 * 512, 8), (8, 1)]
    kinds = [type(layer).__name__ for layer in model.layers[:6]]
    assert kinds[0] == "Conv2D"
    assert kinds[1:] == ["LeakyReLU", "Conv2D", "BatchNormalization", "LeakyReLU", "Conv2D"]
    assert model.layers[1].negative_slope == 0.2
    assert sum(isinstance(it, keras.layers.BatchNormalization) for it in model.layers) == 7


def test_discriminator_of_any_size_and_its_seed():
    one, same, other = (discriminator(None, width=2, dense=4, seed=seed) for seed in (0, 0, 1))
    assert one(HR[:, :13, :7]).shape == (4, 1)
    np.testing.assert_array_equal(one(HR), same(HR))
    assert np.abs(one(HR) - other(HR)).max() > 1e-4
    with pytest.raises(ValueError, match="patch is 0: it must be"):
        discriminator(0)
    with pytest.raises(ValueError, match="unknown channels 2"):
        discriminator(channels=2)


# -- one step -------------------------------------------------------------------------------------


def compiled(model, loss="mse"):
    model.compile(keras.optimizers.Adam(1e-2), loss, run_eagerly=True)
    return model


def test_losses_are_their_formulas_and_both_players_learn():
    model = compiled(players(weight=0.5))
    before = [player.get_weights() for player in (model, model.discriminator)]
    sr_images = model(LR, training=True)
    d_hr, d_sr = (
        np.asarray(keras.ops.sigmoid(model.discriminator(images, training=True)), np.float64)
        for images in (HR, sr_images)
    )
    model.discriminator.set_weights(before[1])  # its statistics have moved
    logs = model.train_on_batch(LR, HR, return_dict=True)
    content = np.mean((HR - sr_images) ** 2)
    assert logs["content"] == pytest.approx(content, rel=1e-4)
    assert logs["adversarial"] == pytest.approx(-np.log(d_sr).mean(), rel=1e-4)
    assert logs["loss"] == pytest.approx(content - 0.5 * np.log(d_sr).mean(), rel=1e-4)
    told_apart = -np.log(d_hr).mean() - np.log(1 - d_sr).mean()
    assert logs["discriminator"] == pytest.approx(told_apart, rel=1e-4)
    assert (logs["d_hr"], logs["d_sr"]) == pytest.approx((d_hr.mean(), d_sr.mean()), rel=1e-4)
    for _ in range(20):
        last = model.train_on_batch(LR, HR, return_dict=True)
    assert last["discriminator"] < logs["discriminator"]
    for player, weights in zip((model, model.discriminator), before, strict=True):
        assert not np.array_equal(player.get_weights()[0], weights[0])


def test_a_weight_of_0_leaves_the_content_loss_alone_and_the_discriminator_out_of_its_way():
    model = compiled(players(weight=0.0))
    alone = compiled(srresnet(2, blocks=1, width=4, batch_norm=False))
    for _ in range(2):
        for each in (model, alone):
            each.train_on_batch(LR, HR)
    assert len(model.weights) == len(alone.weights)
    for one, other in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_content_loss_is_vgg19s_where_it_is_there(monkeypatch):
    build = losses._vgg
    monkeypatch.setattr(losses, "_vgg", lambda depth, weights: build(depth, "random"))
    loss = content_loss(mse_weight=1.0)
    assert isinstance(loss, PerceptualLoss)
    assert loss.features.name == "vgg19_block5_conv4"
    before = loss.features.get_weights()[0]
    model = compiled(players(), loss)
    sr_images = model(LR)
    distance = np.mean((loss.features(HR) - loss.features(sr_images)) ** 2)
    pixels = np.mean((HR - sr_images) ** 2)
    logs = model.train_on_batch(LR, HR, return_dict=True)
    assert logs["content"] == pytest.approx(pixels + distance / 12.75**2, rel=1e-3)
    np.testing.assert_array_equal(loss.features.get_weights()[0], before)


def test_content_loss_is_the_pixels_where_vgg19_is_out_of_reach(monkeypatch, capsys):
    def vgg(depth, weights):
        raise ConnectionError("VGG19's weights are not in the cache")

    monkeypatch.setattr(losses, "_vgg", vgg)
    assert content_loss() == "mse"
    assert "not in the cache. The content loss is the pixels' alone" in capsys.readouterr().out


# -- whole runs -----------------------------------------------------------------------------------

RECIPE = Recipe(
    steps=6,
    steps_per_epoch=2,
    hr_patch=16,
    batch_size=4,
    learning_rate=1e-3,
    ema=0.5,
    precision="mixed",
    jit_compile=True,  # without, the last bits of a run differ from time to time, resumed or not
)


def train(folder, resume=False, callbacks=(), weight=1e-3):
    images = list(np.random.default_rng(1).random((3, 32, 32, 3), np.float32))
    model = players(weight)
    return model, fit(model, images[:2], images[2:], RECIPE, folder, resume, callbacks)


def test_a_run_under_xla_resumes_to_the_very_same_players_and_keeps_its_last_epoch(
    tmp_path, capsys
):
    dtypes = {}

    class Copy(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            for player in (self.model, self.model.discriminator):
                weighted = [layer for layer in player.layers if layer.weights]
                dtypes.update({layer.name: layer.compute_dtype for layer in weighted})

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                shutil.copytree(tmp_path / "run", tmp_path / "killed")

    straight, history = train(tmp_path / "run", callbacks=[Copy()])
    with pytest.raises(ValueError, match=r"adversarial_weight was 0\.001"):
        train(tmp_path / "killed", resume=True, weight=1e-2)
    resumed, again = train(tmp_path / "killed", resume=True)
    assert again.loss == history.loss
    assert again.adversarial == history.adversarial
    for one, other in (
        (straight, resumed),
        (straight.discriminator, resumed.discriminator),
        (straight.discriminator_optimizer, resumed.discriminator_optimizer),
    ):
        for a, b in zip(one.variables, other.variables, strict=True):
            np.testing.assert_array_equal(a, b)
    names = {"content", "adversarial", "discriminator", "d_hr", "d_sr", "detail"}
    assert {name: len(curve) for name, curve in history.adversarial.items()} == dict.fromkeys(
        names, 3
    )
    assert history.best == 2
    best = srresnet(2, blocks=1, width=4, batch_norm=False)
    best.load_weights(tmp_path / "run" / "best-2.weights.h5")
    for one, other in zip(best.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [name for name, dtype in dtypes.items() if dtype == "float32"] == ["tail", "logit"]
    assert len(dtypes) > 8
    layers = [*straight.layers, *straight.discriminator.layers]
    assert {layer.compute_dtype for layer in layers} == {"float32"}
    assert "doubts" not in capsys.readouterr().out


def test_nan_in_either_player_shows_in_the_loss():
    model = compiled(players())
    model.discriminator.layers[-1].bias.assign([np.nan])
    assert np.isnan(model.train_on_batch(LR, HR, return_dict=True)["loss"])


def test_a_discriminator_that_no_longer_doubts_is_told_once(capsys):
    watch = _Balance()
    for epoch, (d_hr, d_sr) in enumerate([(0.7, 0.3), (0.999, 0.002), (1.0, 0.0), (0.5, 0.5)]):
        watch.on_epoch_end(epoch, {"d_hr": d_hr, "d_sr": d_sr})
    (line,) = capsys.readouterr().out.split("\n")[1:-1]
    assert line.startswith("epoch 2: D(HR) is 0.999 and D(SR) is 0.002: D no longer doubts")


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="weight is -1"):
        players(weight=-1)
    model = Adversarial(
        vdsr(2, depth=2, width=2), discriminator(None, width=1, dense=1, channels=1)
    )
    images = [np.random.default_rng(0).random((32, 32, 1), np.float32)]
    with pytest.raises(ValueError, match="or is adversarial: it fits one scale"):
        fit(model, images, images, replace(RECIPE, scales=(2, 4)))


# -- from the command line ------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    """Make the table's SRGAN and SRResNet small, and VGG19 out of reach."""
    table = networks.networks()
    arguments = {**table["srgan"].arguments, "blocks": 1, "width": 4}
    recipe = {"hr_patch": 24, "batch_size": 2, "steps_per_epoch": 1, "learning_rate": 1e-4}
    tiny = {"arguments": arguments, "recipes": {4: recipe}}
    own = {"srresnet": replace(table["srresnet"], **tiny)}
    own["srgan"] = replace(table["srgan"], **tiny, adversary={"width": 1, "dense": 2})
    monkeypatch.setattr(networks, "networks", lambda: {**table, **own})

    def vgg(depth, weights):
        raise ConnectionError("VGG19's weights are not in the cache")

    monkeypatch.setattr(losses, "_vgg", vgg)


def test_train_goes_on_from_weights_and_upscale_says_that_details_are_invented(
    small, tmp_path, capsys
):
    start = build("srresnet", 4, start="random", seed=5)
    write_weights(tmp_path / "srresnet-x4.weights.h5", start, half=True)
    about = {"model": "srresnet", "scale": 4, "channels": 3, "recipe": {}}
    (tmp_path / "srresnet-x4.json").write_text(json.dumps(about))
    rounded = load_pretrained(tmp_path).get_weights()
    for one, other in zip(rounded, start.get_weights(), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other.astype(np.float16))

    out = tmp_path / "out"
    words = ["train", "srgan", "--scale", "4", "--steps", "2", "--data", "samples"]
    assert cli.main([*words, "--start", str(tmp_path), "--out", str(out)]) == 0
    assert "The content loss is the pixels' alone" in capsys.readouterr().out
    trained = load_pretrained(out).get_weights()
    moved = [np.abs(a - b).max() for a, b in zip(trained, rounded, strict=True)]
    assert 0 < max(moved) < 0.01
    assert card(out)["start"] == str(tmp_path)
    assert (out / "srgan-x4.weights.h5").stat().st_size < 100_000

    write_image(tmp_path / "photo.png", np.zeros((8, 8, 3), np.uint8))
    upscale = ["upscale", str(tmp_path / "photo.png"), str(tmp_path / "large.png")]
    assert cli.main([*upscale, "--model", str(out)]) == 0
    assert "srgan learnt to look real: its finest details are invented" in capsys.readouterr().out
    assert cli.main([*upscale, "--overwrite", "--model", str(tmp_path)]) == 0
    assert "invented" not in capsys.readouterr().out


def test_weights_of_another_network_are_no_start(small, tmp_path, capsys):
    words = ["train", "srgan", "--scale", "4", "--data", "samples", "--out", str(tmp_path)]
    assert cli.main([*words, "--start", "fsrcnn"]) == 2
    assert "the weights of fsrcnn do not fit srresnet for 3 channels" in capsys.readouterr().err
    assert cli.main([*words, "--start", "nosuch"]) == 2
    assert "there is no network, file or folder nosuch" in capsys.readouterr().err
