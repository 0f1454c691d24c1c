"""Checks of the exercises to lesson 09, SRGAN."""

from functools import cache

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.checks.answers import Wrong, array, call, demand, exercise, number
from srcnn_tf.images.pixels import to_channels
from srcnn_tf.layers import BicubicUpsampling
from srcnn_tf.models import srresnet
from srcnn_tf.pairs.degradation import degrade_weights
from srcnn_tf.pretrained import load_pretrained


@exercise("E09.1")
def three_numbers(_rng, in_doubt, steeper, factor) -> str:
    """Compute a loss, a ratio of slopes, and a factor of squared features."""
    slips = {
        np.log(2): "It has two terms: for real images and for made ones.",
        2 * np.log10(2): "Logarithms are natural.",
        2.0: "Logarithms are natural, not those to base 2.",
        -2 * np.log(2): "Mind the sign: a probability's logarithm is negative.",
        1.0: "It is a sum of logarithms, not of probabilities.",
        0.0: "Only a D that is right and certain has no loss.",
    }
    hint = "Put one half into both logarithms."
    number(in_doubt, 2 * np.log(2), 0.002, hint, slips, "`in_doubt`")
    slips = {
        1 / 999: "It is the other way round: −log D is the steeper one.",
        1000.0: "Divide by the other slope: that is not quite 1.",
        0.999: "That is one slope: divide it by the other.",
        -999.0: "How many times as steep: compare without the signs.",
    }
    hint = "Both slopes on the logit, at D = 0.001: one is D − 1, the other −D."
    number(steeper, 999, 0.5, hint, slips, "`steeper`")
    slips = {
        1 / 12.75: "The error is a square.",
        12.75**2: "It is divided, not multiplied.",
        12.75: "It is divided, not multiplied; and it is a square.",
        0.006: "Give it three digits: the paper's own number is rounded.",
    }
    hint = "Divide both features by 12.75, then square their difference."
    number(factor, 1 / 12.75**2, 1e-5, hint, slips, "`factor`")
    return "The first is where a game in balance stays; D's loss far below it means that D has won."


def _losses(on_hr: np.ndarray, on_sr: np.ndarray) -> np.ndarray:
    adversarial = np.logaddexp(0, -on_sr).mean()
    return np.array([adversarial, np.logaddexp(0, -on_hr).mean() + np.logaddexp(0, on_sr).mean()])


@exercise("E09.2")
def from_logits(rng, losses) -> str:
    """Compare with NumPy's logaddexp, at small logits and at large ones."""
    on_hr, on_sr = rng.normal(1, 2, (6, 1)), rng.normal(-1, 2, (6, 1))
    right = _losses(on_hr, on_sr)
    given = array(call(losses, on_hr, on_sr), (2,), "What `losses` returns")
    flat = -np.logaddexp(0, on_sr).mean()
    for place, slip, hint in (
        (0, flat, "The adversarial loss is −log D(SR), not log(1 − D(SR)), which is flat."),
        (0, -right[0], "Mind the sign: −log D is above 0."),
        (0, np.logaddexp(0, on_sr).mean(), "The generator wants its images taken for *real* ones."),
        (1, right[1] / 2, "D's two means are added, not averaged."),
        (1, -right[1], "Mind the sign: −log D is above 0."),
        (1, _losses(-on_hr, -on_sr)[1], "D takes real for made: which of the two is 1 − D for?"),
        (1, np.logaddexp(0, -on_hr).mean(), "D must tell made images too."),
    ):
        demand(not np.isclose(given[place], slip, rtol=1e-4), hint)
    demand(not np.allclose(given, 6 * right, rtol=1e-4), "Means over the images, not sums.")
    for place, what in enumerate(("adversarial", "discriminator's")):
        hint = f"The {what} loss is {given[place]:.4g} where it should be {right[place]:.4g}."
        demand(np.isclose(given[place], right[place], rtol=1e-4), hint)
    for size in (200.0, 1000.0):
        logits = np.array([[size], [-size]])
        given = array(call(losses, logits, logits), (2,), f"What `losses` returns at ±{size:g}")
        hint = f"At logits of ±{size:g} both losses are cut off: softplus needs no clipping."
        demand(np.allclose(given, _losses(logits, logits), rtol=1e-4), hint)
    return "Keras and PyTorch call it from_logits and BCEWithLogits, for this reason."


def _players(rng: np.random.Generator) -> tuple[keras.Model, keras.Sequential]:
    """Build small players with random weights; the generator's images leave [0, 1]."""
    judge = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Conv2D(4, 3, strides=2),
            keras.layers.LeakyReLU(0.2),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1),
        ]
    )
    generator = srresnet(2, blocks=1, width=4, batch_norm=False, tail=3, start="random")
    for weights in judge.trainable_weights:
        weights.assign(rng.normal(0, 0.5, weights.shape))
    return generator, judge


def _gradients(players, lr_images, hr_images, weight, flat=False, clip=False, cut=False):
    generator, judge = players
    with tf.GradientTape(persistent=True) as tape:
        sr_images = generator(lr_images)
        sr_images = tf.clip_by_value(sr_images, 0, 1) if clip else sr_images
        on_hr, on_sr = judge(hr_images), judge(sr_images)
        real, made = (tf.reduce_mean(tf.nn.softplus(x)) for x in (-on_hr, on_sr))
        pull = -made if flat else tf.reduce_mean(tf.nn.softplus(-on_sr))
        loss = tf.reduce_mean((hr_images - sr_images) ** 2) + weight * pull
        telling = real if cut else real + made
    return (
        tape.gradient(loss, generator.trainable_variables),
        tape.gradient(telling, judge.trainable_variables),
    )


def _near(given, other) -> bool:
    pairs = zip(given, other, strict=True)
    return all(np.allclose(one, two, rtol=1e-3, atol=1e-6) for one, two in pairs)


@exercise("E09.3")
def standing_still(rng, gradients) -> str:
    """Compare with an own step, and with those of the colleague's mistakes."""
    players = _players(rng)
    hr_images = rng.random((2, 16, 16, 3), np.float32)
    lr_images = hr_images[:, ::2, ::2]
    for weight in (0.0, 0.5):
        inputs = (lr_images, hr_images, weight)
        answer = call(gradients, *players, *inputs)
        pair = isinstance(answer, list | tuple) and len(answer) == 2
        demand(pair, "`gradients` should return two lists: the generator's gradients, and D's.")
        right = _gradients(players, *inputs)
        given = []
        for own, like, what in zip(answer, right, ("generator", "discriminator"), strict=True):
            sound = isinstance(own, list | tuple) and len(own) == len(like)
            demand(sound, f"Of the {what} a list is asked for, an array for each variable.")
            lost = any(one is None for one in own)
            demand(not lost, f"A gradient of the {what} is None: the tape lost sight of the way.")
            pieces = zip(own, like, strict=True)
            given.append([array(one, tuple(two.shape), "A gradient") for one, two in pieces])
        clipped = _gradients(players, *inputs, clip=True)[0]
        demand(not _near(given[0], clipped), "A pixel beyond 0 or 1 feels nothing: do not clip.")
        if weight:
            flat = _gradients(players, *inputs, flat=True)[0]
            hint = "The generator gets D's loss turned round, log(1 − D): flat where D is sure."
            demand(not _near(given[0], flat), hint)
            alone = _gradients(players, lr_images, hr_images, 0.0)[0]
            demand(not _near(given[0], alone), "The generator does not feel D.")
            hint = "Mind the sign: a generator that is told from real has a *high* loss."
            away = _gradients(players, lr_images, hr_images, -weight)[0]
            demand(not _near(given[0], away), hint)
        demand(_near(given[0], right[0]), "The generator's loss: mean squared error − λ·log D(SR).")
        demand(not _near(given[1], _gradients(players, *inputs, cut=True)[1]), "D must see SR too.")
        demand(_near(given[1], right[1]), "D's gradients were right: what changed them?")
    return "Look at gradients before you look at images."


@exercise("E09.4")
def price(_rng, ratio, t, share) -> str:
    """Compare with the expectation: independent draws double the error of the mean."""
    slips: dict[float, str] = {
        0.5: "It is the other way round: another draw is worse than the mean.",
        10 * np.log10(2): "That is in decibels: divide the two errors.",
        1.0: "Against the *same* truth, which neither of them is.",
        np.sqrt(2): "Squared errors, no root.",
    }
    hint = "Average both errors over a few hundred LR rows, then divide."
    number(ratio, 2, 0.06, hint, slips, "`ratio`")
    right = np.sqrt(10**0.1 - 1)
    slips = {
        10**0.1 - 1: "The blend's error is 1 + t² times the mean's: take the root.",
        10**0.05 - 1: "The blend's error is 1 + t² times the mean's, not (1 + t)².",
        1 / (10 * np.log10(2)): "Errors of independent parts add up as squares: not linear in t.",
        1 - right: "t is the other image's share, not the mean's.",
    }
    number(t, right, 0.02, "Try several t: where has the error grown to 10^0.1?", slips, "`t`")
    slips = {
        right: "A power is asked for: the mean *square* of what is left.",
        1 - right: "What is left of the blend, over what is left of the truth.",
    }
    hint = "Take each LR pixel's mean off, square, average; over the truth's."
    number(share, right**2, 0.025, hint, slips, "`share`")
    return "Three decibels for all detail, one for a quarter of it: PSNR must fall."


def _shrunk(image: np.ndarray) -> np.ndarray:
    rows, columns = (degrade_weights(side, 4) for side in image.shape[:2])
    return np.einsum("ij,jkc,lk->ilc", rows, image, columns)


def _consistent(sr_image: np.ndarray, lr_image: np.ndarray) -> np.ndarray:
    missing = lr_image - _shrunk(sr_image)
    back = (np.linalg.pinv(degrade_weights(side, 4)) for side in sr_image.shape[:2])
    return sr_image + np.einsum("ij,jkc,lk->ilc", next(back), missing, next(back))


@cache
def _psnrs() -> tuple[float, float]:
    """Return FSRCNN's mean PSNR without and with consistency."""
    network, scores = load_pretrained("fsrcnn", 4), []
    for photo in datasets.load("samples", "test"):
        truth = to_channels(photo[120:216, 200:280], 1).astype(np.float64)
        lr_image = _shrunk(truth).clip(0, 1)
        sr_image = np.asarray(network(lr_image[None].astype(np.float32))[0], np.float64)
        for image in (sr_image, _consistent(sr_image, lr_image)):
            scores.append(-10 * np.log10(np.mean((image - truth) ** 2)))
    return float(np.mean(scores[::2])), float(np.mean(scores[1::2]))


@exercise("E09.5")
def projection(rng, consistent, gain_db) -> str:
    """Project random images of several shapes, then score FSRCNN."""
    for height, width, channels in ((16, 24, 1), (20, 12, 3)):
        sr_image = rng.uniform(0, 1, (height, width, channels))
        lr_image = rng.uniform(0, 1, (height // 4, width // 4, channels))
        given = array(call(consistent, sr_image, lr_image), sr_image.shape, "What you return")
        right = _consistent(sr_image, lr_image)
        if np.allclose(given, right, atol=2e-3):
            continue
        demand(not np.allclose(given, right.clip(0, 1), atol=1e-4), "Do not clip: LR would suffer.")
        enlarged = np.asarray(BicubicUpsampling(4)(lr_image[None].astype(np.float32))[0])
        demand(not np.allclose(given, enlarged, atol=1e-3), "The output should be in it too.")
        off = 255 * np.abs(lr_image - _shrunk(given)).max()
        before = 255 * np.abs(lr_image - _shrunk(sr_image)).max()
        hint = f"Shrunk, it is {off:.3g} grey levels from LR at most ({before:.3g} before)."
        demand(off < 0.05, hint + " Spread back what is missing, by the pseudo-inverses.")
        far, least = (np.sqrt(np.mean((image - sr_image) ** 2)) for image in (given, right))
        raise Wrong(f"It shrinks to LR, but a nearer image does too: {least:.3f}, not {far:.3f}.")
    before, after = _psnrs()
    slips = {
        before - after: "Mind the sign: after minus before.",
        after: "Take the PSNR of the untouched output off.",
        before: "That is the untouched output's PSNR.",
    }
    hint = "The mean over the images of the difference of two PSNRs."
    number(gain_db, after - before, 0.005, hint, slips, "`gain_db`")
    return "What is known costs nothing to keep: invent only in what is not."
