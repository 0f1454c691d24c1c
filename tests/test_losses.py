"""Losses: values against NumPy, VGG's preparation against Keras's own, gradients, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications import vgg16  # where Keras keeps the address of its weights

from srcnn_tf.losses import Charbonnier, PerceptualLoss, vgg_features
from srcnn_tf.models import fsrcnn

GENERATOR = np.random.default_rng(0)
HR, SR = GENERATOR.random((2, 3, 16, 20, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def perceptual():
    return PerceptualLoss(1e-4, weights="random")


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """An empty cache of Keras's, and an address at which nobody answers."""
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    monkeypatch.setattr(vgg16, "WEIGHTS_PATH_NO_TOP", "http://127.0.0.1:9/vgg16_notop.h5")
    return tmp_path


def test_charbonnier_is_its_formula_and_lies_between_l1_and_a_parabola():
    loss = Charbonnier(0.01)
    expected = np.sqrt((HR - SR) ** 2 + 0.01**2).mean()
    assert float(loss(HR, SR)) == pytest.approx(expected, rel=1e-5)
    assert float(loss(HR, HR)) == pytest.approx(0.01)
    near = HR + 1e-4
    assert float(loss(HR, near)) - 0.01 == pytest.approx(1e-8 / 0.02, rel=0.05)
    with pytest.raises(ValueError, match="epsilon is 0"):
        Charbonnier(0)


def test_features_are_vgg16s_after_its_own_preprocessing():
    features = vgg_features("block1_conv2", "random", seed=3)
    vgg = keras.applications.VGG16(include_top=False, weights=None)
    own = keras.Model(vgg.input, vgg.get_layer("block1_conv2").output)
    own.set_weights(features.get_weights())
    prepared = keras.applications.vgg16.preprocess_input(255 * HR.copy())
    np.testing.assert_allclose(features(HR), own(prepared), rtol=1e-4, atol=1e-3)
    # Keras's preparation, said once more: BGR from 0 to 255 around ImageNet's means.
    by_hand = 255 * HR[..., ::-1] - np.array([103.939, 116.779, 123.68])
    np.testing.assert_allclose(prepared, by_hand, atol=1e-3)


def test_relu2_2_has_half_the_size_and_128_maps_that_are_not_negative():
    features = vgg_features(weights="random")
    maps = features(HR)
    assert maps.shape == (3, 8, 10, 128)
    assert float(tf.reduce_min(maps)) == 0
    assert not features.trainable_variables


def test_grey_images_are_their_three_equal_channels():
    features = vgg_features(weights="random")
    grey = HR[..., :1]
    np.testing.assert_allclose(features(grey), features(np.repeat(grey, 3, -1)), rtol=1e-5)


def test_random_features_follow_their_seed():
    one, same, other = (vgg_features(weights="random", seed=s)(HR) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1


def test_perceptual_loss_is_the_weighted_sum(perceptual):
    distance = np.mean((perceptual.features(HR) - perceptual.features(SR)) ** 2)
    pixels = np.mean((HR - SR) ** 2)
    assert float(perceptual(HR, SR)) == pytest.approx(pixels + 1e-4 * distance, rel=1e-4)
    alone = PerceptualLoss(2.0, mse_weight=0, weights="random")
    assert float(alone(HR, SR)) == pytest.approx(2 * distance, rel=1e-4)
    assert float(perceptual(HR, HR)) == 0
    np.testing.assert_allclose(PerceptualLoss(0, weights="random")(HR, SR), pixels, rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradient_of_the_perceptual_loss_is_its_slope(perceptual, jit_compile):
    direction = tf.constant(GENERATOR.normal(size=SR.shape), tf.float32)

    @tf.function(jit_compile=jit_compile)
    def slope(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = perceptual(HR, images)
        return tf.reduce_sum(tape.gradient(loss, images) * direction)

    # Central differences, far enough apart for float32.
    step = 1e-3
    above, below = (float(perceptual(HR, SR + sign * step * direction)) for sign in (1, -1))
    assert float(slope(tf.constant(SR))) == pytest.approx((above - below) / (2 * step), rel=0.02)


def test_a_network_trains_on_it_and_vgg_stays_as_it_was(perceptual):
    before = perceptual.features.get_weights()
    model = fsrcnn(2, d=8, s=4, m=1, channels=3)
    model.compile("adam", loss=perceptual)
    lr_images = HR[:, ::2, ::2]
    losses = model.fit(lr_images, HR, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for one, other in zip(before, perceptual.features.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_losses_survive_keras_serialisation(perceptual):
    for loss in (perceptual, Charbonnier(0.02)):
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
        assert copy.get_config() == loss.get_config()
        np.testing.assert_allclose(copy(HR, SR), loss(HR, SR), rtol=1e-6)


def test_imagenet_weights_come_from_the_cache_of_keras(keras_home, monkeypatch):
    stored = keras.applications.VGG16(include_top=False, weights=None)
    (keras_home / "models").mkdir()
    stored.save_weights(keras_home / "models" / "stored.weights.h5")
    asked = []

    def get_file(name, origin, cache_subdir, file_hash):
        asked.append((name, cache_subdir, file_hash))
        return str(keras_home / cache_subdir / "stored.weights.h5")

    monkeypatch.setattr(vgg16.file_utils, "get_file", get_file)
    features = vgg_features("block1_conv1")
    np.testing.assert_array_equal(features.get_weights()[0], stored.get_weights()[0])
    name = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert asked == [(name, "models", "6d6bbae143d832006294945121d1f1fc")]


def test_without_cache_and_network_the_error_says_what_to_do(keras_home):
    with pytest.raises(ConnectionError, match='weights="random"'):
        vgg_features()
    with pytest.raises(ConnectionError, match="Connect to the network once"):
        PerceptualLoss(1.0)
    assert not [path for path in keras_home.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vgg_weight": -1}, "vgg_weight is -1"),
        ({"vgg_weight": float("nan")}, "vgg_weight is nan"),
        ({"vgg_weight": 1, "seed": -1}, "seed is -1: it must be a whole number"),
        ({"vgg_weight": 1, "mse_weight": -2}, "mse_weight is -2"),
        ({"vgg_weight": 0, "mse_weight": 0}, "one must be above 0"),
        (
            {"vgg_weight": 1, "layer": "relu2_2"},
            "unknown layer of VGG16 'relu2_2': .*, block2_conv2,",
        ),
        ({"vgg_weight": 1, "weights": "places"}, "imagenet, random"),
    ],
)
def test_bad_values_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PerceptualLoss(**{"weights": "random", **settings})
