"""Checks of the exercises to lesson 04, inside the network."""

from functools import cache
from itertools import combinations

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.checks.answers import Wrong, array, call, demand, exercise, number
from srcnn_tf.images import quantise
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.models import srcnn
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.pretrained import load_pretrained

_PROTOCOL = Protocol(border=3)
_DEAREST = (16, 18, 21, 23, 32, 55)


@exercise("E04.1")
def how_far(_rng, fields, footprint) -> str:
    """Add up filter widths."""
    given = array(fields, what="`fields`").ravel()
    demand(given.size == 2, "`fields` should be two numbers, of 9-3-5 and of 9-5-5.")
    for value, kernels in zip(given, ((9, 3, 5), (9, 5, 5)), strict=True):
        right = 1 + sum(f - 1 for f in kernels)
        slips = {
            sum(kernels): "A filter of width 1 must add nothing: what does one of width f add?",
            right - 1: "Do not forget the pixel in the middle.",
        }
        what = f"The field of {'-'.join(map(str, kernels))}"
        number(value, right, hint="What does a filter of width f add?", slips=slips, what=what)
    right, four_layers = (2 * (1 + 4 + 2 * m - 1) + 9 for m in (1, 4))
    slips = {
        four_layers: "That is m = 4.",
        right + 2: "r LR pixels are s apart: how many steps is that?",
        right - 9: "The deconvolution spreads the last of them.",
    }
    number(footprint, right, hint="Which layers spread, on which grid?", slips=slips)
    return "Mapping layers are cheap reach: each adds 2 LR pixels, that is 2s HR pixels."


def _influence(network: keras.Model, lr_image: np.ndarray, row, column) -> np.ndarray:
    """Differentiate one output pixel, or the sum over a slice of them."""
    images = tf.constant(lr_image[None])
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(network(images)[0, row, column, 0])
    return tape.gradient(total, images)[0, ..., 0].numpy()


@cache
def _widths_at_x2() -> list[int]:
    network, lr_image = load_pretrained("fsrcnn", 2), _crops(0, 0, 120)[0][0][0]
    return [int(_influence(network, lr_image, p, p).any(axis=0).sum()) for p in (40, 41)]


@exercise("E04.2")
def seen_backwards(rng, influence, widths) -> str:
    """Compare derivatives on networks of two kinds and scales."""
    for name, scale in (("fsrcnn", 2), ("srcnn-9-1-5", 3)):
        network = load_pretrained(name, scale)
        lr_image = rng.uniform(0, 1, (20, 27, 1)).astype(np.float32)
        row, column = rng.permutation(20 * scale)[:2].tolist()
        given = call(influence, network, lr_image, row, column)
        given = array(given, (20, 27), "What `influence` returns")
        slips = {
            "You differentiate the whole output, not one pixel of it.": (slice(None), slice(None)),
            "Row and column are swapped.": (column, row),
        }
        right = _influence(network, lr_image, row, column)
        hint = "The sizes are right, the signs are not: some pixels make the output darker."
        demand(not _close(np.abs(given), np.abs(right)) or _close(given, right), hint)
        for hint, place in slips.items():
            demand(not _close(given, _influence(network, lr_image, *place)), hint)
        demand(_close(given, right), f"The derivatives of {name} ×{scale} differ from ours.")
    expected = _widths_at_x2()
    given = array(widths, what="`widths`").ravel()
    demand(given.size == 2, "`widths` should be two numbers.")
    demand(given.tolist() != expected[::-1], "Even and odd are swapped.")
    demand(given.max() < 2 * expected[0], "Count LR pixels, not HR pixels.")
    hint = "Count rows with any influence; numbers far below 1e-3 count too."
    for value, width, what in zip(given, expected, ("even", "odd"), strict=True):
        number(value, width, hint=hint, what=f"The width at {what} places")
    return "Nine taps do not divide by 2: one phase sees farther than its neighbour."


def _close(given: np.ndarray, right: np.ndarray) -> bool:
    return np.allclose(given, right, rtol=0, atol=0.01 * np.abs(right).max())


def _silenced(network: keras.Model, lr_images, layer: str, indices, level=0.0) -> tf.Tensor:
    """Run a network with some maps of a layer at a constant level."""
    maps = lr_images
    for each in network.layers:
        maps = each(maps)
        if each.name == layer:
            maps = np.array(maps)
            maps[..., indices] = level
    return maps


def _left_by_bias(network: keras.Model, layer: str, indices) -> np.ndarray:
    return np.maximum(0, network.get_layer(layer).bias.numpy()[indices])


def _lost(network: keras.Model, pairs, indices, level=0.0, protocol=_PROTOCOL) -> float:
    """Price maps of patch_extraction on pairs of one size."""
    lr_images, hr_images = map(np.concatenate, zip(*pairs, strict=True))
    silenced = _silenced(network, lr_images, "patch_extraction", indices, level)
    lost = psnr(hr_images, network(lr_images), protocol) - psnr(hr_images, silenced, protocol)
    return float(tf.reduce_mean(lost))


def _crops(top: int, left: int, side: int) -> list[tuple[np.ndarray, np.ndarray]]:
    photographs = datasets.load("samples", "test")
    return evaluation_pairs([p[top : top + side, left : left + side] for p in photographs], 3)


@cache
def _excess() -> dict[tuple[int, int], float]:
    """Return what pairs of maps cost beyond the sum of their prices."""
    network, pairs = load_pretrained("srcnn-9-1-5", 3), _crops(100, 100, 120)
    alone = {i: _lost(network, pairs, [i]) for i in _DEAREST}
    return {
        (i, j): _lost(network, pairs, [i, j]) - alone[i] - alone[j]
        for i, j in combinations(_DEAREST, 2)
    }


@exercise("E04.3")
def prices(rng, price, opponents, allies) -> str:
    """Price sets of maps in two networks on other crops, then compare the two pairs."""
    top, left = rng.integers(0, 200, 2)
    pairs = _crops(top, left, 30)
    for name in ("srcnn-9-1-5", "srcnn-9-5-5"):
        network = load_pretrained(name, 3)
        before = network.get_weights()
        lifted = np.flatnonzero(_left_by_bias(network, "patch_extraction", range(64)))
        indices = rng.choice(lifted, 2, replace=False).tolist()
        given = call(price, network, pairs, indices)
        _demand_unchanged(network, before)
        right = _lost(network, pairs, indices)
        level = _left_by_bias(network, "patch_extraction", indices)
        bare = _lost(network, pairs, indices, protocol=Protocol(border=0))
        slips = {
            sum(_lost(network, pairs, [i]) for i in indices): "You add: silence them together.",
            _lost(network, pairs, indices, level): "The maps are not silent: max(0, B) is left.",
            -right: "What is lost counts as positive.",
            bare: "You keep the border: use `protocol`.",
        }
        number(given, right, 0.005, f"It is that of {indices} in {name}.", slips, "The price")
    excess = _excess()
    least, most = (pick(excess, key=lambda couple: excess[couple]) for pick in (min, max))
    extremes = {"opponents": least, "allies": most}
    given = {"opponents": array(opponents).ravel(), "allies": array(allies).ravel()}
    for name, other in (("opponents", "allies"), ("allies", "opponents")):
        couple = set(given[name].tolist())
        demand(len(couple) == 2 == given[name].size, f"`{name}` should be two different maps.")
        demand(couple <= set(_DEAREST), f"`{name}` should be two of {_DEAREST}.")
        demand(couple != set(extremes[other]), "The two pairs are swapped.")
        beyond = excess[tuple(sorted(couple))]
        hint = f"`{name}` cost {beyond:+.2f} dB against their sum; another pair is farther from 0."
        demand(couple == set(extremes[name]), hint)
    return "A price holds beside the maps that are left, so it is no sum."


def _demand_unchanged(network: keras.Model, weights: list[np.ndarray]) -> None:
    same = all(map(np.array_equal, network.get_weights(), weights))
    demand(same, "The network you were given has changed: work on a copy.")


@exercise("E04.4")
def silent_map(rng, silence, wrong_maps) -> str:
    """Silence maps of networks with other biases, positive and negative."""
    for scale, sign in ((2, 1), (3, 1), (3, -1)):
        network = load_pretrained("srcnn-9-1-5", scale)
        network.get_layer("mapping").bias.assign(sign * rng.uniform(0.1, 0.3, 32))
        before, index = network.get_weights(), int(rng.integers(1, 32))
        lr_images = rng.uniform(0, 1, (1, 12, 15, 1)).astype(np.float32)
        whole = np.asarray(network(lr_images))
        silent = call(silence, network, index)
        _demand_unchanged(network, before)
        given = array(call(silent, lr_images), whole.shape, "The output of your network")
        demand(not np.allclose(given, whole, atol=1e-5), f"Map {index} still has its full say.")
        level = _left_by_bias(network, "mapping", [index])
        left = _silenced(network, lr_images, "mapping", [index], level)
        hint = "Without its kernel a map is not zero: something constant is left."
        demand(level == 0 or not np.allclose(given, left, atol=1e-5), hint)
        right = _silenced(network, lr_images, "mapping", [index])
        demand(np.allclose(given, right, atol=1e-5), "More, or other, than that one map is gone.")
    biases = load_pretrained("srcnn-9-1-5", 3).get_layer("mapping").bias.numpy()
    named = set(array(wrong_maps, what="`wrong_maps`").ravel().tolist())
    harmless, affected = (set(np.flatnonzero(c).tolist()) for c in (biases <= 0, biases > 0))
    demand(named != harmless, "These are the maps where the bug does no harm.")
    strays = named - affected
    demand(not strays, f"{len(strays)} of your maps had the right price: what does ReLU leave?")
    missing = len(affected - named)
    demand(not missing, f"{missing} map{'s' if missing > 1 else ''} with a wrong price missing.")
    return f"ReLU hides the bug in {len(harmless)} maps of 32: test on a map where it can show."


@exercise("E04.5")
def milk_glass(rng, to_bytes, levels) -> str:
    """Turn images with an overshoot into bytes."""
    for shape in ((9, 7, 1), (5, 6)):
        inside, outside = rng.uniform(0, 1, shape), rng.uniform(-0.1, 1.1, shape)
        inside.flat[:3] = 0, 0.5, 1
        for image in (inside.astype(np.float32), outside.astype(np.float32)):
            result = call(to_bytes, image)
            given, right = array(result, shape, "The picture"), quantise(image, np.uint8)
            scaled = 255 * image
            hint = "Half the range is unused: 0 should become byte 0."
            demand(abs(given - (127.5 * image + 127.5)).max() > 1.5 or image is outside, hint)
            off = np.abs(given - right)
            wrapped = off[(scaled < -1) | (scaled > 256)]
            demand(not (wrapped > 100).any(), "An overshoot wraps round: 256 becomes 0.")
            hint = "Almost: some values are one level too low. astype cuts decimals off."
            demand(not (off.max() == 1 and (given <= right).all()), hint)
            demand(off.max() == 0, f"Up to {off.max():.0f} levels from the nearest grey level.")
            kind = np.asarray(result).dtype
            demand(kind == np.uint8, f"The values are right; their type is {kind}, not uint8.")
    slips = {
        256: "Which byte does 0 become? Nothing in [0, 1] is darker.",
        128: "Almost: what does astype make of 127.5? Count both ends.",
        127: "Almost: what does astype make of 127.5? Count both ends.",
    }
    number(levels, 129, hint="Which bytes do 0 and 1 become?", slips=slips, what="`levels`")
    return "Such a picture looks milky, and its network gets the blame."


@exercise("E04.6")
def pruning(rng, prune, keep) -> str:
    """Prune networks at random and compare with silent maps; then score the learner's half."""
    for scale, count in ((3, 40), (2, 10)):
        network = load_pretrained("srcnn-9-1-5", scale)
        before, order = network.get_weights(), rng.permutation(64)
        kept = order[:count].tolist()
        small = call(prune, network, kept)
        _demand_unchanged(network, before)
        try:
            counted = sum(np.size(weights) for weights in small.get_weights())
        except Exception:
            counted = 0
        demand(counted, "`prune` should return a built Keras model, such as srcnn makes.")
        size = srcnn(scale, filters=(count, 32)).count_params()
        hint = f"With {count} maps {size:,} parameters are left; yours has {counted:,}."
        demand(counted == size, hint)
        lr_images = rng.uniform(0, 1, (1, 12, 15, 1)).astype(np.float32)
        right = np.asarray(_silenced(network, lr_images, "patch_extraction", order[count:]))
        given = array(call(small, lr_images), right.shape, f"The output at ×{scale}")
        hint = "The size is right, the output is not: do kernels and biases keep the same maps?"
        demand(np.allclose(given, right, atol=1e-4), hint)
    kept = array(keep, (32,), "`keep`")
    if not set(kept.tolist()) <= set(range(64)) or len(set(kept.tolist())) < 32:
        raise Wrong("`keep` should be 32 different numbers of 0 to 63.")
    others = np.setdiff1d(np.arange(64), kept)
    lost = _lost(load_pretrained("srcnn-9-1-5", 3), _crops(100, 100, 120), others)
    demand(lost < 0.6, f"Your half loses {lost:.2f} dB: which maps are dear?")
    return f"Half the maps, 45 % fewer multiply-adds, {lost:.2f} dB lost before any training."
