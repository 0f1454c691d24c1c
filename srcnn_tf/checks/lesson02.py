"""Checks of the exercises to lesson 02, image pairs."""

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import correlate

from srcnn_tf import datasets, metrics
from srcnn_tf.checks.answers import Wrong, array, call, demand, exercise, number
from srcnn_tf.images import quantise, resize
from srcnn_tf.metrics import Protocol
from srcnn_tf.pairs import Degradation, degrade, image_pair, subimages


@exercise("E02.1")
def crops_by_hand(_rng, places, with_turns, side) -> str:
    """Count crops with a grid that stops at every LR pixel, and wrong pixels ring by ring."""
    image = np.zeros((100, 80, 1), np.float32)
    count = len(subimages([image], 4, 32, stride=4)[0])
    slips = {
        69 * 49: "Those are HR places; a crop starts on a whole LR pixel.",
        17 * 12: "The first place counts too: n posts for n - 1 gaps.",
        25 * 20: "The crop must lie inside the image, not its corner alone.",
        3 * 2: "Crops may overlap: they are drawn, not tiled.",
    }
    number(places, count, 0.1, "How many rows and columns can it start at?", slips, "Your `places`")
    slips = {2 * count: "Rotations too.", 4 * count: "Four rotations, each with its mirror image."}
    number(with_turns, 8 * count, 0.1, "", slips, "Your `with_turns`")
    patch = next(p for p in range(5, 999) if 1 - ((p - 4) / p) ** 2 < 0.05)
    slips = {
        patch: "That is in LR pixels.",
        237: "The rings lie on both sides of the crop.",
        243: "They lie along both axes.",
    }
    hint = "Which part of the crop do two rings leave?"
    number(side, 3 * patch, 0.1, hint, slips, "Your `side`")
    return "Cropping first costs little in large crops, and small ones train best."


@exercise("E02.3")
def lr_partner(rng, lr_crop) -> str:
    """Compare LR crops with those of whole LR images, in noise that shows every slip."""
    for scale in rng.permutation([2, 3, 4]).tolist():
        hr_image = quantise(rng.random((30 * scale, 33 * scale, 1)))
        patch, (top, left) = 14, rng.integers(4, 12, 2)
        corner = (scale * int(top), scale * int(left))
        given = call(lr_crop, hr_image, *corner, patch * scale, scale)
        given = array(given, (patch, patch, 1), f"Your LR crop at ×{scale}")
        right = degrade(hr_image, scale)[top : top + patch, left : left + patch]
        errors = 255 * np.abs(given - right)
        inside = errors[2:-2, 2:-2]
        demand(
            np.percentile(inside, 90) < 1.01,
            f"Your crop at ×{scale} is {np.sqrt(np.mean(inside**2)):.1f} grey levels off inside "
            "(root mean square): which method does the resize use, and does it antialias?",
        )
        rings = "Your crop is right inside, not in the outer two rings: what do these pixels need?"
        demand(errors.max() < 1.01, rings)
        on_levels = np.allclose(given, quantise(given), atol=1e-5)
        demand(on_levels, "Your crop is right but for rounding: a file holds 256 levels.")
        demand(errors.mean() < 0.2, "Your crop is cut to whole levels, not rounded to the nearest.")
    return "Degrade the whole image, then cut."


def _turned(given, images: np.ndarray, what: str) -> np.ndarray:
    """Say which images of a batch are mirrored left to right; `Wrong` if any is something else."""
    given = array(given, images.shape, what)

    def equals(others: np.ndarray) -> np.ndarray:
        return np.isclose(given, others, atol=1e-6).all(axis=(1, 2, 3))

    same, mirrored = equals(images), equals(images[:, :, ::-1])
    hint = f"{what} are mirrored top to bottom; left to right is asked for."
    demand(not (same | equals(images[:, ::-1])).all() or same.all(), hint)
    hint = f"{what} are neither the old ones nor their mirror images."
    demand((same | mirrored).all(), hint)
    return mirrored


@exercise("E02.4")
def flips(rng, paired_flip) -> str:
    """Flip batches of random pixels under several keys, each twice."""
    lr_images = rng.random((32, 4, 5, 1), np.float32)
    hr_images = rng.random((32, 8, 10, 1), np.float32)
    turns = []
    a, b, more = map(int, rng.integers(1, 99, 3))  # keys that share a half, or their sum
    keys = [[a, b], [a, b + more], [a + more, b], [a + more, b + more], [b + 99, a]]
    for key in (key for key in keys for _ in "ab"):
        given = call(paired_flip, lr_images, hr_images, key)
        try:
            lr_given, hr_given = given
        except Exception:
            raise Wrong("Your function should return two batches, LR and HR.") from None
        turned = _turned(lr_given, lr_images, "Your LR crops")
        demand(
            np.array_equal(turned, _turned(hr_given, hr_images, "Your HR crops")),
            "Your LR and HR crops of one pair are not turned alike: they need the same draw.",
        )
        turns.append(turned)
    drawn = np.array(turns)
    demand(drawn.any(), "Your function never mirrors a pair.")
    hint = "Your pairs of a batch are all turned alike: draw once for each pair."
    demand((drawn.any(axis=1) & ~drawn.all(axis=1)).any(), hint)
    hint = "Your flips differ when the same key comes again: is the draw stateless?"
    demand(np.array_equal(drawn[::2], drawn[1::2]), hint)
    demand((drawn != drawn[0]).any(), "Your flips are the same for every key.")
    hint = "Your flips are the same for two keys that differ: both numbers of a key must count."
    demand(len(np.unique(drawn, axis=0)) == len(keys), hint)
    hint = f"Your function mirrors {drawn.mean():.0%} of the pairs; half should."
    demand(0.3 < drawn.mean() < 0.7, hint)
    hint = "Your function mirrors as many pairs of every batch: draw for each pair on its own."
    demand(np.ptp(drawn.sum(axis=1)), hint)
    return "Pairs stay pairs, and the same key draws the same flips."


@cache
def _blurred_pairs(split: str, sigma: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the enlarged LR image and the HR image of three photographs at ×2."""
    degradation, photographs = Degradation(blur=sigma), datasets.load("samples", split)[:3]
    pairs = (image_pair(photograph, 2, degradation=degradation) for photograph in photographs)
    return [(resize(lr_image, hr_image.shape[:2]), hr_image) for lr_image, hr_image in pairs]


@cache
def _filter(sigma: float) -> np.ndarray:
    """Return the 9×9 filter with the least squared error on the training photographs."""
    moments, targets = 1e-3 * np.eye(81), 0
    for enlarged, hr_image in _blurred_pairs("train", sigma):
        patches = sliding_window_view(enlarged[..., 0], (9, 9))[::3, ::3]
        patches = patches.reshape(-1, 81).astype(float)
        moments += patches.T @ patches
        targets += patches.T @ hr_image[4:-4:3, 4:-4:3].ravel()
    return np.linalg.solve(moments, targets).reshape(9, 9, 1)


@cache
def _gain(train_sigma: float, test_sigma: float, border: int = 2) -> float:
    """Return what a filter adds to bicubic on the test photographs, in dB."""
    gains = []
    for enlarged, hr_image in _blurred_pairs("test", test_sigma):
        sharpened = correlate(enlarged, _filter(train_sigma), mode="reflect")
        ours, bicubic = (
            metrics.psnr(hr_image, image, Protocol(border)) for image in (sharpened, enlarged)
        )
        gains.append(float(ours - bicubic))
    return float(np.mean(gains))


@exercise("E02.5")
def cameras(rng, gain, safest) -> str:
    """Learn a filter for one blur and test it on another, both ways."""
    sigma = round(rng.uniform(0.8, 1.2), 1)
    for train_sigma, test_sigma in ((sigma, 0.0), (0.0, sigma), (0.0, 0.0), (sigma, sigma)):
        swapped = _gain(test_sigma, train_sigma)
        slips = {swapped: "The cameras are swapped."} if train_sigma != test_sigma else {}
        given = call(gain, train_sigma, test_sigma)
        where = f"Your gain({train_sigma}, {test_sigma})"
        right = _gain(train_sigma, test_sigma)
        hint = "Do both, filter and bicubic, see the test camera's LR image?"
        number(given, right, 0.02 + abs(right) / 100, hint, slips, where)
        if test_sigma < train_sigma:  # where the border counts most, if little
            distance = abs(array(given) - [right, _gain(train_sigma, test_sigma, border=0)])
            demand(distance.argmin() == 0, "Your score keeps the border: the protocol drops 2.")
    worst = {s: min(_gain(s, test) for test in (0.0, 0.5, 1.0, 2.0)) for s in (0.0, 0.5, 1.0, 2.0)}
    best = max(worst, key=lambda camera: worst[camera])
    slips = {
        2.0: "It gains most on its own camera; what does it do on a sharp one?",
        1.0: "Look at its worst camera, not its best.",
        0.0: "Nearly: compare its worst camera with those of the others.",
    }
    number(safest, best, 1e-6, "Choose one of the four.", slips, "Your `safest`")
    return "A filter that expects too much blur sharpens what is sharp; too little does no harm."
