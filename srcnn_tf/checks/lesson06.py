"""Checks of the exercises to lesson 06, training choices."""

from functools import cache

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.checks.answers import Wrong, array, call, demand, exercise, number
from srcnn_tf.checks.toy_network import MOMENTA, SCHEDULES, score, walk
from srcnn_tf.layers import BicubicUpsampling
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.pairs import image_pair

_SCORED = Protocol(border=2)


@exercise("E06.1")
def units_of_a_rate(_rng, sgd_rate, adam_rate) -> str:
    """Convert a rate from half a sum over 21×21 pixels to a mean."""
    right = 1e-4 * 21**2 / 2
    slips = {
        2 * right: "The loss was *half* a sum.",
        1e-4**2 / right: "A mean has the smaller gradient: its rate must be the larger one.",
        1e-4 * 33**2 / 2: "That is for sub-images of 33×33.",
        1e-4 * 21 / 2: "A sub-image has two sides.",
        1e-4: "SGD's step grows with the gradient, and a mean's is smaller.",
    }
    number(sgd_rate, right, 6e-5, "", slips, "`sgd_rate`")
    hint = "Multiply g by a constant: what becomes of m / √v?"
    number(adam_rate, 1e-4, 1e-6, hint, what="`adam_rate`")
    return "Adam's step has no units of the loss; SGD's has."


def _adam(gradients: np.ndarray, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7) -> np.ndarray:
    m = v = place = np.zeros(gradients.shape[1])
    places = [place]
    for t, gradient in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        place = place - rate * m / (1 - beta_1**t) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
        places.append(place)
    return np.stack(places)


@exercise("E06.2")
def adam_by_hand(rng, adam) -> str:
    """Walk along equal, then random gradients, by other betas and ε too."""
    rate = float(rng.uniform(0.01, 0.1))
    for size in (1000.0, 0.01):
        gradients = np.full((5, 2), size) * [1, -1]
        places = array(call(adam, gradients, rate), (6, 2), "What `adam` returns")
        demand(not places[0].any(), "The walk begins at 0: that is its first row.")
        first = places[1, 0] / rate
        demand(first < 0, f"Where the gradient is {size:g}, your first step does not go down.")
        demand(
            0.99 < -first < 1.01,
            f"Where the gradient is {size:g}, your first step is {-first:.3g} η; it should be 1 η. "
            "Is v a mean of squares under a root, and are m and v both corrected?",
        )
        hint = "The first step is right, the next are not: t counts on from 1."
        demand(np.allclose(np.diff(places, axis=0), places[1], rtol=0.01), hint)
    gradients = rng.normal(0, rng.uniform(0.1, 9, 4), (12, 4))
    places = array(call(adam, gradients, rate), (13, 4), "What `adam` returns")
    demand(
        np.allclose(places, _adam(gradients, rate), rtol=1e-3, atol=1e-3 * rate),
        "Equal gradients go right, changing ones do not: m remembers by β1, v by β2.",
    )
    others = (*rng.uniform(0.5, 0.9, 2).tolist(), float(rng.uniform(1, 2)))
    places = array(call(adam, gradients, rate, *others), (13, 4), "What `adam` returns")
    demand(
        np.allclose(places, _adam(gradients, rate, *others), rtol=1e-3, atol=1e-3 * rate),
        "Other values of beta_1, beta_2 and epsilon give other steps than yours: do you use all "
        "three, and does ε stand outside of the root?",
    )
    return "The first step is η long, whatever the gradient's size."


@cache
def _scores(seeds: int, **changes) -> np.ndarray:
    return np.array([score(walk(seed, **changes)[-1]) for seed in range(seeds)])


@exercise("E06.3")
def effect_or_luck(rng, difference, slower, seeds_needed) -> str:
    """Compare arms that share seeds: made-up ones, then two that are trained."""
    for count, noise in ((5, 0.005), (9, 0.2)):
        base = 30 + rng.normal(0, 0.1, count)
        other = base - 0.02 + rng.normal(0, noise, count)
        given = array(call(difference, base, other), (2,), "What `difference` returns")
        apart = other - base
        number(given[0], apart.mean(), 1e-6, "", {-apart.mean(): "Mind the sign."}, "The mean")
        error = apart.std(ddof=1) / np.sqrt(count)
        alone = np.sqrt((base.var(ddof=1) + other.var(ddof=1)) / count)
        slips = {
            apart.std(ddof=1): "That is the spread of one difference; their mean is steadier.",
            apart.std() / np.sqrt(count): "The mean was taken from the same numbers: ddof=1.",
            alone: "That forgets that the arms share seeds: subtract seed by seed first.",
        }
        number(given[1], error, 1e-6, "", slips, "The standard error")
    base, other = _scores(8), _scores(8, learning_rate=0.16)
    apart = other - base
    error = apart.std(ddof=1) / np.sqrt(8)
    given = array(slower, (2,), "`slower`")
    slips = {-apart.mean(): "Mind the sign: the arm minus the base."}
    number(given[0], apart.mean(), 1e-4, "Eight seeds, 0 to 7?", slips, "The mean in `slower`")
    number(given[1], error, 1e-5, "Eight seeds, 0 to 7?", what="The error in `slower`")
    needed = (base.var(ddof=1) + other.var(ddof=1)) / error**2
    slips = {needed / 8: "That is how many times 8 runs it takes.", np.sqrt(needed): "Square it."}
    number(seeds_needed, needed, 0.02 * needed, "", slips, "`seeds_needed`")
    return f"Shared seeds let 8 runs of each arm do the work of {needed:.0f}."


def _normalised(rng: np.random.Generator, bias: float) -> keras.Sequential:
    """Build a small ×2 network with batch normalisation whose averages are a stranger's."""
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            BicubicUpsampling(2),
            keras.layers.Conv2D(4, 3, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.Conv2D(1, 3, padding="same"),
        ]
    )
    for weight in model.weights:
        squares = weight.name in ("gamma", "moving_variance")  # which are positive
        values = rng.uniform(0.5, 2, weight.shape) if squares else rng.normal(0, 0.1, weight.shape)
        weight.assign(values)
    model.layers[-1].bias.assign([bias])
    return model


def _gradients(model, lr_images, hr_images, training: bool, clip: bool) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
        sr_images = model(lr_images, training=training)
        sr_images = tf.clip_by_value(sr_images, 0, 1) if clip else sr_images
        loss = tf.reduce_mean(tf.square(hr_images - sr_images))
    return [np.asarray(g) for g in tape.gradient(loss, model.trainable_variables)]


def _equal(given: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    pairs = zip(given, expected, strict=True)
    return all(np.allclose(*pair, rtol=0.01, atol=1e-5) for pair in pairs)


@exercise("E06.4")
def two_switches(rng, gradients, batch_score) -> str:
    """Hold gradients and scores of a small normalised network against ours."""
    photograph = datasets.load("samples", "test")[0]
    corners = rng.integers(100, 300, (3, 2))
    pairs = [image_pair(photograph[y : y + 32, x : x + 32], 2) for y, x in corners]
    lr_images, hr_images = map(np.stack, zip(*pairs, strict=True))
    for bias in (0.4, -9.0):
        model = _normalised(rng, bias)
        weights = model.get_weights()
        expected = {}
        for training, clip in ((False, True), (False, False), (True, True), (True, False)):
            expected[training, clip] = _gradients(model, lr_images, hr_images, training, clip)
        model.set_weights(weights)  # a pass with training=True has moved the averages
        given = call(gradients, model, lr_images, hr_images)
        right = expected[True, False]
        demand(
            isinstance(given, list | tuple) and len(given) == len(right),
            "`gradients` should return a list, one gradient for each trainable variable.",
        )
        given = [
            array(0 * one if other is None else other, one.shape, "A gradient")
            for one, other in zip(right, given, strict=True)
        ]
        hints = {
            (True, True): "Pixels outside [0, 1] still have no gradient.",
            (False, False): "While it trains, a map is normalised by its own batch.",
            (False, True): "While it trains, a map is normalised by its own batch.",
        }
        if not _equal(given, right):
            found = [text for slip, text in hints.items() if _equal(given, expected[slip])]
            raise Wrong([*found, "The gradients are not those of the mean squared error."][0])
    model = _normalised(rng, 0.4)
    weights = model.get_weights()
    alone, batch = (
        float(np.mean(psnr(hr_images, np.asarray(model(lr_images, training=t)), Protocol(2))))
        for t in (False, True)
    )
    single = [
        psnr(hr_images[i : i + 1], np.asarray(model(lr_images[i : i + 1], training=True)), _SCORED)
        for i in range(len(lr_images))
    ]
    model.set_weights(weights)
    slips = {
        batch: "An image's score still depends on the images beside it.",
        float(np.mean(single)): "Each image is normalised by itself; in use, by the averages.",
    }
    number(call(batch_score, model, lr_images, hr_images), alone, 0.01, "", slips, "The score")
    return "Clip and normalise by the averages in use; do neither in training."


def _average(weights: np.ndarray, momentum: float) -> np.ndarray:
    average = weights[0]
    for each in weights[1:]:
        average = momentum * average + (1 - momentum) * each
    return average


@cache
def _gains() -> np.ndarray:
    """Return what averages gain in dB, schedules down, momenta across, a mean over four seeds."""
    walks = [[walk(seed, **changes) for seed in range(4)] for changes in SCHEDULES.values()]
    gains = [
        [[score(_average(w, m)) - score(w[-1]) for m in MOMENTA] for w in each] for each in walks
    ]
    return np.mean(gains, axis=1)


@exercise("E06.5")
def averages(rng, average, gains) -> str:
    """Average made-up walks, then hold the gains of trained ones against ours."""
    for momentum in rng.uniform(0.5, 0.95, 2).tolist():
        weights = rng.normal(5, 1, (6, 3, 2))
        given = array(call(average, weights, momentum), (3, 2), "The average")
        zero = _average(np.concatenate([np.zeros((1, 3, 2)), weights]), momentum)
        swapped = "Momentum is the share of the old average, not of the new weights."
        for slip, hint in (
            (weights.mean(axis=0), "All steps count alike; later ones should count for more."),
            (weights[-1], "These are the last weights."),
            (_average(weights, 1 - momentum), swapped),
            (zero, "The average begins at the first weights, not at zero."),
        ):
            demand(not np.allclose(given, slip, atol=1e-6), hint)
        hint = "The average differs: go through the weights in order, the first is its start."
        demand(np.allclose(given, _average(weights, momentum), atol=1e-6), hint)
    shape = (len(SCHEDULES), len(MOMENTA))
    given, right = array(gains, shape, "`gains`"), _gains()
    hint = "Mind the sign: the average's PSNR minus that of the last weights."
    demand(not np.allclose(given, -right, atol=2e-3), hint)
    names = [(schedule, momentum) for schedule in SCHEDULES for momentum in MOMENTA]
    for (schedule, momentum), value, expected in zip(
        names, given.ravel(), right.ravel(), strict=True
    ):
        what = f"The gain of {schedule}, momentum {momentum}"
        number(value, expected, 2e-3, "A mean over seeds 0 to 3?", what=what)
    return "Averaging does what a falling rate does; too long a memory keeps the start."
