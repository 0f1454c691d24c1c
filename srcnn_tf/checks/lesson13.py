"""Checks of the exercises to lesson 13, video."""

from functools import cache

import numpy as np

from srcnn_tf import datasets
from srcnn_tf.checks.answers import array, call, demand, exercise, number
from srcnn_tf.images.pixels import to_channels
from srcnn_tf.models import fstrn
from srcnn_tf.pairs.clips import moving_still


@cache
def _weights(factorised: bool) -> tuple[int, int]:
    """Return the weights of a block of 64 maps, without biases and with them."""
    model = fstrn(2, blocks=1, factorised=factorised)
    layers = [it for it in model.layers if it.name.startswith("block_1_") and hasattr(it, "kernel")]
    kernels = sum(int(np.prod(layer.kernel.shape)) for layer in layers)
    return kernels, kernels + 64 * len(layers)


@exercise("E13.1")
def counting(_rng, weights, share, frames) -> str:
    """Count a block's weights, its share of a whole kernel's, and the frames that are seen."""
    (right, biased), (whole, _) = _weights(True), _weights(False)
    slips: dict[float, str] = {
        biased: "Biases are not counted.",
        whole: "That is one kernel 3×3×3; the block has 1×3×3 and 3×1×1.",
        9 * 64**2: "That is the layer in space; the one in time has weights too.",
        3 * 64**2: "That is the layer in time; the one in space has weights too.",
        12 * 64: "Every map out sees every map in.",
    }
    hint = "A layer has t·f·f·in·out weights."
    number(weights, right, hint=hint, slips=slips, what="`weights`")
    slips = {whole / right: "It is the other way round.", 1 / 2: "27 taps in one piece, 9 and 3."}
    number(share, right / whole, 0.005, "Divide by 27·64².", slips, "`share`")
    slips = {
        11: "The first layer sees neighbours too.",
        7: "A layer in time adds a frame on *each* side.",
        6: "A layer in time adds a frame on *each* side, and the middle one is there already.",
        12: "The middle frame counts too.",
        5: "That is what the network gets; how many would it see of a longer clip?",
    }
    hint = "How many layers look at the frames beside their own?"
    number(frames, 13, hint=hint, slips=slips, what="`frames`")
    return "Each of the five frames has been seen after the first block."


@exercise("E13.2")
def scenes(rng, window) -> str:
    """Ask for windows everywhere in made-up films with cuts."""
    for frames in (5, 3, 7):
        count = int(rng.integers(14, 20))
        cuts = sorted(int(n) for n in rng.choice(np.arange(2, count - 1), 2, replace=False))
        for t in range(count):
            first = max([0, *(cut for cut in cuts if cut <= t)])
            last = min([count, *(cut for cut in cuts if cut > t)]) - 1
            around = np.arange(t - frames // 2, t + frames // 2 + 1)
            given = call(window, t, count, list(cuts), frames)
            what = "What `window` returns"
            given = array(given, (frames,), what)
            where = f"For t = {t} of {count} frames with cuts at {cuts}, {frames} wanted: "
            demand(given[frames // 2] == t, f"{where}t itself belongs into the middle.")
            demand(given.min() >= 0 and given.max() < count, f"{where}the film has an end.")
            inside = (given >= first).all() and (given <= last).all()
            hint = "some frames are of another scene. (A cut is the *first* frame of the next.)"
            demand(inside, where + hint)
            right = np.clip(around, first, last)
            hint = "what is missing is the scene's frame nearest to it; the others stay in order."
            demand(np.array_equal(given, right), where + hint)
    return "At a cut the network sees what a still camera would show it."


def _clips() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the clips of E13.3, still and moving: the truth, and the same with noise."""
    photograph = to_channels(datasets.load("samples", "test")[1], 1)[40:200, 60:220]
    moving = moving_still(photograph, 9, 1.5, 1, seed=1)
    still = np.repeat(moving[:1], len(moving), axis=0)
    noise = np.random.default_rng(0).normal(0, 10 / 255, moving.shape)
    return {"still": (still, still + noise), "moving": (moving, moving + noise)}


def _psnr(found: np.ndarray, truth: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((found - truth) ** 2)))


@exercise("E13.3")
def means_over_time(rng, smoothed, flicker, still_gain_db, moving_gain_db) -> str:
    """Smooth and measure made-up clips, then compare the gains on those of the notebook."""
    clip, truth = rng.uniform(0, 1, (2, 7, 5, 6, 1))
    right = (clip[:-2] + clip[1:-1] + clip[2:]) / 3
    given = array(call(smoothed, clip), right.shape, "What `smoothed` returns")
    demand(np.allclose(given, right, atol=1e-5), "Each frame becomes the mean of three.")
    beyond = np.diff(clip, axis=0) - np.diff(truth, axis=0)
    slips = {
        255 * np.sqrt(np.mean(np.diff(clip, axis=0) ** 2)): "Take off what changes in the truth.",
        255 * np.sqrt(np.mean((clip - truth) ** 2)): "That is the error itself, not its change.",
        np.sqrt(np.mean(beyond**2)): "In grey levels: times 255.",
        255 * np.mean(np.abs(beyond)): "The root of the mean square.",
    }
    right = 255 * np.sqrt(np.mean(beyond**2))
    number(call(flicker, clip, truth), right, 1e-3, "See section 6.", slips, "The flicker")
    gains = {}
    for name, (truth, noisy) in _clips().items():
        found = (noisy[:-2] + noisy[1:-1] + noisy[2:]) / 3
        gains[name] = _psnr(found, truth[1:-1]) - _psnr(noisy[1:-1], truth[1:-1])
    what = "`still_gain_db`"
    hint = "PSNR of the mean less that of the noisy clip, both on frames 1 to 7."
    slips = {-gains["still"]: "Mind the sign: after less before."}
    number(still_gain_db, gains["still"], 0.05, hint, slips, what)
    slips = {-gains["moving"]: "Mind the sign: after less before."}
    number(moving_gain_db, gains["moving"], 0.05, hint, slips, "`moving_gain_db`")
    return "A third of the noise is left, and a third of the flicker; but what moves is smeared."


@exercise("E13.4")
def channels(rng, as_channels) -> str:
    """Make channels of frames that can be told apart."""
    for frames, colours in ((5, 1), (3, 3)):
        n, height, width = 2, 4, 6
        clips = rng.uniform(0, 1, (n, frames, height, width, colours)).astype(np.float32)
        shape = (n, height, width, frames * colours)
        given = array(call(as_channels, clips), shape, "What `as_channels` returns")
        hint = "A reshape keeps the order of numbers in memory: move the axis of time first."
        demand(not np.allclose(given, clips.reshape(shape)), hint)
        mixed = np.transpose(clips, (0, 2, 3, 4, 1)).reshape(shape)
        right = np.concatenate([clips[:, t] for t in range(frames)], axis=-1)
        hint = "Frame after frame: all channels of the first one, then all of the second."
        demand(np.allclose(given, right) or not np.allclose(given, mixed), hint)
        demand(np.allclose(given, right), "Channel t·C + k should be channel k of frame t.")
    return "A transpose moves numbers, a reshape only renames their places."


def _waves(rng, shift: np.ndarray) -> np.ndarray:
    """Return a picture of long waves `[40, 48]`, moved by (y, x) pixels."""
    y, x = np.ogrid[:40, :48]
    picture = np.full((40, 48), 0.5)
    for _ in range(8):
        across, down, phase = rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3), rng.uniform(0, 6.3)
        picture += 0.05 * np.sin(down * (y - shift[0]) + across * (x - shift[1]) + phase)
    return picture


@exercise("E13.5")
def motion(rng, shift) -> str:
    """Move pictures of waves by fractions of a pixel."""
    seeds = rng.integers(2**31, size=6)
    for seed, way in zip(
        seeds, [(0.4, -0.2), (-0.3, 0.5), *rng.uniform(-0.5, 0.5, (4, 2))], strict=True
    ):
        right = np.array(way)
        frame, other = (_waves(np.random.default_rng(seed), s) for s in (0 * right, right))
        given = array(call(shift, frame, other), (2,), "What `shift` returns")
        moved = f"A picture moved by ({right[0]:.2f}, {right[1]:.2f}) pixels: "
        slips = {
            "yours has the sign of the way back.": -right,
            "rows come first, then columns.": right[::-1],
            "you are off by a factor of two: np.gradient divides by the distance already.": right
            / 2,
            "you are off by a factor of two: is each gradient taken once?": 2 * right,
        }
        near = np.abs(given - right).max() < 0.1
        for hint, slip in slips.items():
            demand(near or np.abs(given - slip).max() > 0.05, moved + hint)
        rows, columns = np.gradient(frame)
        alone = [((frame - other) * g).sum() / (g**2).sum() for g in (rows, columns)]
        hint = "solve for both at once: rows and columns share what changed."
        demand(near or np.abs(given - alone).max() > 0.02, moved + hint)
        hint = f"yours is ({given[0]:.2f}, {given[1]:.2f})."
        demand(near, moved + hint)
    return "Film codecs and cameras look for motion, too: in blocks, and in many steps."
