"""Checks of the exercises to lesson 03, SRCNN."""

from functools import cache

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf import datasets, metrics
from srcnn_tf.checks.answers import Wrong, array, call, demand, exercise, number
from srcnn_tf.layers import BicubicUpsampling
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.models import srcnn
from srcnn_tf.pairs import evaluation_pairs, random_crops
from srcnn_tf.pretrained import load_pretrained


@exercise("E03.1")
def parameters_by_hand(_rng, parameters_935, parameters_955, parameters_rgb) -> str:
    """Compare counts with those of the library's networks."""
    for what, given, kernels, channels in (
        ("Your `parameters_935`", parameters_935, (9, 3, 5), 1),
        ("Your `parameters_955`", parameters_955, (9, 5, 5), 1),
        ("Your `parameters_rgb`", parameters_rgb, (9, 1, 5), 3),
    ):
        model = srcnn(3, kernels, channels=channels)
        count = model.count_params()
        biases = 64 + 32 + channels
        slips = {count - biases: "Those are weights alone; add one bias for each map."}
        if channels == 1:
            flat = 81 * 64 + kernels[1] ** 2 * 32 + 25 * 32 + biases
            slips[flat] = "Each filter of layer 2 spans all 64 maps of layer 1."
        else:
            slips[8129] = slips[8129 + 2] = "Each filter of layer 1 spans three channels."
            slips[8129 + 2 * 81 * 64] = "There are three filters in the last layer, too."
            slips[3 * 8129] = "The middle layer does not know of colour."
        number(given, count, 0.1, "Go layer by layer.", slips, what)
    return "The middle layer grows from a quarter of the network to nine tenths."


def _convolution(rng: np.random.Generator, f: int) -> keras.layers.Conv2D:
    """Return a layer of one map in which every weight counts, and no two alike."""
    layer = keras.layers.Conv2D(1, f, padding="same")
    layer.build((None, None, None, 1))
    layer.set_weights([rng.uniform(0.2, 1, (f, f, 1, 1)) / f**2, np.zeros(1)])
    return layer


def _after_bicubic(scale: int, *layers: keras.layers.Layer) -> keras.Sequential:
    """Return a network of bicubic interpolation and some layers."""
    return keras.Sequential([keras.Input((None, None, 1)), BicubicUpsampling(scale), *layers])


@exercise("E03.2")
def fields(rng, receptive_field, measured_field) -> str:
    """Compare a formula for several networks, and what is measured on them."""
    odd = rng.choice([1, 3, 5, 7], 3).tolist()
    for kernels in ([9, 1, 5], odd, [11]):
        slips = {
            sum(kernels): "Two layers share the pixel between them: each adds f - 1.",
            sum(kernels) - len(kernels): "The pixel itself counts too.",
            sum(f // 2 for f in kernels): "That is one side; a kernel reaches both ways.",
            max(kernels): "The layers stand on one another's shoulders.",
        }
        field = 1 + sum(kernels) - len(kernels)
        given = call(receptive_field, list(kernels))
        number(given, field, 0.1, "", _unlike(slips, field), f"Your receptive_field({kernels})")
        network = _after_bicubic(1, *(_convolution(rng, f) for f in kernels))
        what = f"Your measured_field of a network {kernels}"
        slips = {field**2: "Asked for is the side, not the area."}
        hint = "Which output pixels does the perturbed one move, in rows or columns?"
        number(call(measured_field, network), field, 0.1, hint, _unlike(slips, field), what)
    start = _after_bicubic(1, *srcnn(3).layers[1:])
    hint = "Measure the network, not its architecture: what do its last layer's weights say?"
    given = call(measured_field, start)
    number(given, 1, 0.1, hint, what="Your measured_field of a network at the bicubic start")
    return "9-1-5 can see 13×13 pixels; at the bicubic start it looks at one."


def _unlike(slips: dict[float, str], right: float) -> dict[float, str]:
    """Drop the slips that hit upon the right number."""
    return {slip: meaning for slip, meaning in slips.items() if slip != right}


def _answers(network, lr_images: np.ndarray) -> np.ndarray:
    """Return the network's eight answers, turned back: four rotations, then their mirror images."""
    answers = []
    for step in (1, -1):
        for k in range(4):
            sr_images = network(np.rot90(lr_images[:, :, ::step], k, (1, 2)))
            answers.append(np.rot90(np.asarray(sr_images), -k, (1, 2))[:, :, ::step])
    return np.array(answers)


@cache
def _ensemble_gain() -> float:
    """Return what eight answers of the shipped 9-1-5 add on centre crops, in dB."""
    network, gains = load_pretrained("srcnn-9-1-5", 3), []
    photographs = (p[30:270, 90:330] for p in datasets.load("samples", "test"))
    for lr_images, hr_images in evaluation_pairs(photographs, 3):
        answers = _answers(network, lr_images)
        eight, one = (
            metrics.psnr(hr_images, a, Protocol(border=3)) for a in (answers.mean(0), answers[0])
        )
        gains.append(float(eight[0] - one[0]))
    return float(np.mean(gains))


@exercise("E03.3")
def eight_answers(rng, ensemble, gain_db) -> str:
    """Average the answers of networks that turn with their input, and of some that do not."""
    lr_images = rng.random((2, 5, 7, 1), np.float32)
    shape = (2, 10, 14, 1)
    bicubic = _after_bicubic(2)
    given = array(call(ensemble, bicubic, lr_images), shape, "Your mean of bicubic's answers")
    hint = "Your mean of bicubic's answers should be bicubic's: turn each answer back."
    demand(np.allclose(given, bicubic(lr_images), atol=1e-5), hint)
    network = _after_bicubic(2, _convolution(rng, 5))  # 3×3, four turns would do
    answers = _answers(network, lr_images)
    given = array(call(ensemble, network, lr_images), shape, "Your mean answer")
    for slip, hint in (
        (answers[0], "Your answer is the network's plain one."),
        (
            answers[:4].mean(0),
            "Your mean has the four rotations in it, their mirror images are not.",
        ),
        (answers[[0, 4]].mean(0), "Your mean has the mirror image in it, the rotations are not."),
        (answers.sum(0), "Your answer is the sum, not the mean."),
    ):
        demand(not np.allclose(given, slip, atol=1e-5), hint)
    hint = (
        "Your answer is not the mean of eight different turns: four rotations, each mirrored too."
    )
    demand(np.allclose(given, answers.mean(0), atol=1e-5), hint)
    gain = _ensemble_gain()
    slips = {-gain: "Eight answers minus one."}
    number(gain_db, gain, 0.006, "Mean over the three crops.", slips, "Your `gain_db`")
    return "Errors that do not turn with the image average out, at eight times the price."


@exercise("E03.4")
def honest_score(rng, score) -> str:
    """Score two functions on whole test images, and recognise the faults that are left."""
    photographs = datasets.load("samples", "test")
    top, left = rng.integers(0, 100, 2)
    train, *test = (p[top : top + 90 + 7 * i, left : left + 100] for i, p in enumerate(photographs))
    # Too much contrast, so that clipping matters.
    contrast = keras.layers.Rescaling(1.3, -0.15)
    for scale, network in ((3, _after_bicubic(3)), (2, _after_bicubic(2, contrast))):
        given = call(score, network, [train], test, scale)
        pairs, protocol = evaluation_pairs(test, scale), Protocol(scale)
        right = evaluate(network, pairs, protocol).psnr
        mse = [float(metrics.mse(hr, network(lr), protocol)[0]) for lr, hr in pairs]
        slips = {
            evaluate(network, evaluation_pairs([train], scale), protocol).psnr: (
                "It is the score on training images."
            ),
            evaluate(network, pairs, Protocol(0)).psnr: "The protocol drops a border.",
            evaluate(network, pairs, Protocol(scale, rounding=False)).psnr: (
                "The protocol rounds both images to 8 bits."
            ),
            10 * np.log10(255**2 / np.mean(mse)): (
                "It is the PSNR of a mean; asked for is the mean of PSNRs."
            ),
        }
        hint = f"At ×{scale}: whole test images, under the protocol?"
        number(given, right, 2e-3, hint, slips, "Your score")
    return "No leak, whole images, one protocol."


@cache
def _with_gradient() -> tuple[int, int]:
    """Count the numbers that the first step at the exact bicubic start can move, and all."""
    model = srcnn(3, filters=(16, 8))
    photographs = datasets.load("samples", "train")[:2]
    lr_images, hr_images = next(iter(random_crops(photographs, 3, 33, 16)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(lr_images) - hr_images) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    return sum(int(np.count_nonzero(g)) for g in gradients), model.count_params()


@exercise("E03.5")
def noisy_starts(rng, noisy_start, error_levels, moved_at_0, moved_at_noise) -> str:
    """Look at the weights of several starts, then at what was measured on them."""
    for sigma in (round(rng.uniform(0.001, 0.01), 4), 0.3):
        model = call(noisy_start, sigma)
        try:
            given = [np.asarray(weights) for weights in model.get_weights()]
        except Exception:
            raise Wrong(f"Your start is a {type(model).__name__}; return a Keras model.") from None
        start = srcnn(3, filters=(16, 8)).get_weights()
        shapes = [weights.shape for weights in start]
        demand(
            [w.shape for w in given] == shapes,
            "Your layers are not those of srcnn(3, filters=(16, 8)).",
        )
        demand(
            all(np.allclose(g[..., 0], s[..., 0]) for g, s in zip(given[:4], start, strict=False)),
            "Your weights differ before the last layer, which alone should change.",
        )
        demand(
            np.allclose(given[5], start[5]),
            "Your last bias has changed; it takes the 0.5 off again: keep it.",
        )
        hint = "Your last layer has another kernel for map 0, which carries the image: leave it."
        demand(np.allclose(given[4][:, :, 0], start[4][:, :, 0]), hint)
        noise = given[4][:, :, 1:]
        hint = f"Your noise has the standard deviation {noise.std():.2g}; asked for is {sigma}."
        demand(np.isclose(noise.std(), sigma, rtol=0.3), hint)
        demand(
            abs(noise.mean()) < 0.4 * sigma,
            f"Your noise has mean {noise.mean():.2g}; it should be 0.",
        )
    error = float(array(error_levels, what="`error_levels`").mean())
    hint = f"Your `error_levels` is {error:.3g}: in grey levels of 255, root mean square?"
    demand(0.05 < error < 1, hint)
    first, everything = _with_gradient()
    slips = {
        201: "That is the last layer; what of the weights that carry the image?",
        everything: "At σ = 0 most of them have no say yet; is their gradient exactly 0?",
    }
    number(moved_at_0, first, 5, "Count gradients that are not 0.", slips, "Your `moved_at_0`")
    hint = "Once every map has a say, which weights can still have none?"
    number(moved_at_noise, everything, 90, hint, what="Your `moved_at_noise`")
    return f"{first} of {everything} numbers move first; noise below a grey level frees the rest."
