"""SOAP: Adam in the eigenbasis of the gradients' covariance. LayerRates: a factor a variable.

AdjustablyClippedSGD: gradients clipped by the learning rate.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from srcnn_tf.optimizers import OPTIMIZERS, SOAP, AdjustablyClippedSGD, LayerRates

SHAPE = (3, 3, 4, 5)


def valley():
    """A quadratic whose narrow directions lie across the taps and maps of a kernel."""
    generator = np.random.default_rng(0)
    turns = [np.linalg.qr(generator.normal(size=(n, n)))[0] for n in (9, 4, 5)]
    widths = np.logspace(0, 3, 9 * 4 * 5).reshape(9, 4, 5)
    turns, widths = [tf.constant(t, tf.float32) for t in turns], tf.constant(widths, tf.float32)

    def loss(kernel):
        turned = tf.einsum("tio,ta,ib,oc->abc", tf.reshape(kernel, (9, 4, 5)), *turns)
        return tf.reduce_mean(widths * turned**2)

    return loss


def minimise(optimizer, steps=300):
    kernel = keras.Variable(np.random.default_rng(1).normal(size=SHAPE).astype(np.float32))
    optimizer.build([kernel])
    loss, schedule = valley(), np.linspace(1, 0, steps)

    @tf.function
    def step(rate):
        with tf.GradientTape() as tape:
            value = loss(kernel.value)
        optimizer.learning_rate.assign(rate)
        optimizer.apply([tape.gradient(value, kernel.value)], [kernel])

    for part in schedule:
        step(tf.constant(0.03 * part, tf.float32))
    return float(loss(kernel.value))


def test_a_turned_valley_is_descended_faster_than_by_adam():
    assert minimise(SOAP(0.03)) < 0.5 * minimise(keras.optimizers.Adam(0.03))


def test_bases_stay_orthonormal_and_find_the_eigenvectors():
    kernel = keras.Variable(np.zeros(SHAPE, np.float32))
    optimizer = SOAP(1e-2, precondition_frequency=1)
    optimizer.build([kernel])
    generator = np.random.default_rng(0)
    mixing = np.linalg.qr(generator.normal(size=(4, 4)))[0] * [8, 4, 2, 1]
    for _ in range(60):
        gradient = np.einsum("abio,ij->abjo", generator.normal(size=SHAPE), mixing.T)
        optimizer.apply([tf.constant(gradient, tf.float32)], [kernel])
    remembered = {v.name: np.asarray(v) for v in optimizer.variables}
    for size in (9, 4, 5):
        basis = remembered[f"basis_{size}"]
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(basis)), atol=1e-5)
    covariance, basis = (remembered[f"{name}_4"] for name in ("covariance", "basis"))
    turned = basis.T @ covariance @ basis
    off_diagonal = turned - np.diag(np.diag(turned))
    assert np.abs(off_diagonal).max() < 0.05 * np.diag(turned).max()
    assert (np.diff(np.diag(turned)) < 0).all()


def test_biases_train_by_adam():
    gradient = [tf.constant([1.0, -2.0, 3e-4])]
    moved = []
    for optimizer in (SOAP(1e-2), keras.optimizers.Adam(1e-2, epsilon=1e-12)):
        bias = keras.Variable(np.zeros(3, np.float32))
        optimizer.build([bias])
        for _ in range(3):
            optimizer.apply(gradient, [bias])
        moved.append(np.asarray(bias))
    np.testing.assert_allclose(*moved, rtol=1e-6)


def test_soap_survives_its_config():
    settings = {"precondition_frequency": 7, "shampoo_beta": 0.8, "beta_2": 0.9, "epsilon": 1e-9}
    again = SOAP.from_config(SOAP(0.1, **settings).get_config())
    assert {name: getattr(again, name) for name in settings} == settings
    assert float(again.learning_rate) == pytest.approx(0.1)


def walked(optimizer, gradients, start=1.0):
    """Apply gradients to two kernels that are alike; return where both end."""
    places = [keras.Variable(np.full(gradients.shape[1:], start, np.float32)) for _ in range(2)]
    optimizer.build(places)
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient, tf.float32)] * 2, places)
    return [np.asarray(place) for place in places]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_layer_rates_multiply_what_the_optimizer_would_do(name):
    gradients = np.random.default_rng(0).normal(size=(5, 1, 1, 2, 3))
    whole, _ = walked(OPTIMIZERS[name](learning_rate=0.01), gradients)
    tenth, _ = walked(OPTIMIZERS[name](learning_rate=0.001), gradients)
    rates = LayerRates(OPTIMIZERS[name](), [1, 0.1], learning_rate=0.01)
    first, second = walked(rates, gradients)
    np.testing.assert_array_equal(first, whole)
    np.testing.assert_allclose(second, tenth, rtol=1e-5)


def test_layer_rates_leave_the_inner_optimizer_as_it_is():
    inner = keras.optimizers.Adam(0.5, global_clipnorm=1e-9)  # neither is looked at
    update = inner.update_step
    first, frozen = walked(LayerRates(inner, [1, 0], learning_rate=0.01), np.ones((3, 1, 1, 2, 3)))
    assert inner.update_step == update
    np.testing.assert_allclose(first, 1 - 0.03, atol=1e-5)
    np.testing.assert_array_equal(frozen, 1)


def test_under_tf_distribute_an_optimizer_finds_its_memory():
    """There it is shown each device's own copy of a variable."""
    strategy = tf.distribute.MirroredStrategy(["/CPU:0"])
    with strategy.scope():
        places = [keras.Variable(np.ones((1, 1, 2, 2), np.float32)) for _ in range(2)]
        optimizer = LayerRates(SOAP(), [1, 0], learning_rate=0.1)
        optimizer.build(places)

    @tf.function
    def step():
        strategy.run(lambda: optimizer.apply([tf.ones((1, 1, 2, 2))] * 2, places))

    step()
    moved, frozen = map(np.asarray, places)
    alone, _ = walked(LayerRates(SOAP(), [1, 0], learning_rate=0.1), np.ones((1, 1, 1, 2, 2)))
    np.testing.assert_allclose(moved, alone, atol=1e-6)
    np.testing.assert_array_equal(frozen, 1)


def test_no_step_of_clipped_sgd_is_longer_than_theta_and_small_gradients_pass():
    weights = keras.Variable(np.zeros(3, np.float32))
    optimizer = AdjustablyClippedSGD(theta=0.01, learning_rate=0.1, momentum=0.0)
    optimizer.build([weights])
    moved = []
    for rate in (0.1, 0.01, 0.0):
        optimizer.learning_rate.assign(rate)
        before = np.asarray(weights)
        optimizer.apply([tf.constant([5.0, -0.3, 0.02])], [weights])
        moved.append(before - np.asarray(weights))
    np.testing.assert_allclose(moved[0], [0.01, -0.01, 0.002], rtol=1e-5)
    np.testing.assert_allclose(moved[1], [0.01, -0.003, 0.0002], rtol=1e-4)
    np.testing.assert_array_equal(moved[2], 0)


@pytest.mark.parametrize("theta", [0, -1.0, float("nan"), None])
def test_theta_must_be_a_number_above_0(theta):
    with pytest.raises(ValueError, match=r"theta is .*above 0"):
        AdjustablyClippedSGD(theta)


def test_clipped_sgd_is_read_back_as_it_was():
    optimizer = AdjustablyClippedSGD(0.02, 0.5, momentum=0.8, use_ema=True)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert isinstance(again, AdjustablyClippedSGD)
    assert again.get_config() == optimizer.get_config()
    assert again.theta == 0.02
