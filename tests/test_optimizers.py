"""SOAP: Adam in the eigenbasis of the gradients' covariance, axis by axis."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from srcnn_tf.optimizers import SOAP

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
    optimizer = SOAP(1e-2, refresh=1)
    optimizer.build([kernel])
    generator = np.random.default_rng(0)
    mixing = np.linalg.qr(generator.normal(size=(4, 4)))[0] * [8, 4, 2, 1]
    for _ in range(60):
        gradient = np.einsum("abio,ij->abjo", generator.normal(size=SHAPE), mixing.T)
        optimizer.apply([tf.constant(gradient, tf.float32)], [kernel])
    for basis in optimizer._bases[0]:
        basis = np.asarray(basis)
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(basis)), atol=1e-5)
    covariance, basis = (np.asarray(s[0][1]) for s in (optimizer._covariances, optimizer._bases))
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


def test_it_survives_its_config():
    again = SOAP.from_config(SOAP(0.1, refresh=7, memory=0.8, beta_2=0.9).get_config())
    assert (again.refresh, again.memory, again.beta_2) == (7, 0.8, 0.9)
    assert float(again.learning_rate) == pytest.approx(0.1)
