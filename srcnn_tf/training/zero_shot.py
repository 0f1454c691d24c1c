"""Learning from one image: its smaller copies are the pairs, its eight turns the witnesses."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import keras
import numpy as np
from scipy.ndimage import affine_transform, uniform_filter

from srcnn_tf.environment import without_bfloat16
from srcnn_tf.images.pixels import as_float, to_channels
from srcnn_tf.images.resizing import resize
from srcnn_tf.pairs.degradation import Degradation, degrade
from srcnn_tf.probes import scale_of
from srcnn_tf.ranges import check_number, check_seed
from srcnn_tf.training.callbacks import plain_copy
from srcnn_tf.training.fitting import fit
from srcnn_tf.training.recipe import History, Recipe
from srcnn_tf.training.run_folder import read_progress

SMALLEST = 8  # pixels a side of the image's smaller copy: less than a network of eight layers sees
_SCALING, _SHEAR = 0.25, 0.1  # standard deviations, the paper's
_PART = 192  # pixels a side that are scored


def relatives(image: np.ndarray, count: int, least: int = 1, seed: int = 0) -> list[np.ndarray]:
    """Return copies of an image, shrunk and sheared at random.

    Args:
        image: `[h, w, c]` in [0, 1].
        count: of copies.
        least: pixels that a side must keep.
        seed: of the factors, in [0.5, 1], and the shears.

    Returns:
        A list of float32 `[h', w', c]` in [0, 1]; what a shear leaves empty is mirrored.

    Raises:
        ValueError: a number out of its range; see also `images.as_float`.
    """
    check_number("count", count, whole=True, least=0)
    check_seed(seed)
    generator, copies = np.random.default_rng(seed), []
    for _ in range(count):
        factor = max(0.5, 1 - abs(generator.normal(0, _SCALING)))
        small = resize(image, tuple(max(least, round(n * factor)) for n in image.shape[:2]))
        matrix = np.eye(3)
        matrix[0, 1], matrix[1, 0] = generator.normal(0, _SHEAR, 2)
        middle = (np.array([*small.shape[:2], 1]) - 1) / 2
        sheared = affine_transform(small, matrix, middle - matrix @ middle, mode="reflect")
        copies.append(sheared.clip(0, 1))
    return copies


def learn(
    images: Sequence[np.ndarray], model: keras.Model, recipe: Recipe, copies: int = 20
) -> History:
    """Train a network on nothing but an image and what can be made of it.

    The image and its `relatives` are the truth, their degraded copies the input. PSNR is scored on
    the most varied part of the image, on which the network trains too: it shows how the fit goes
    on, not how well it enlarges. Ctrl-C ends the training with the best so far.

    Args:
        images: `[h, w, c]` in [0, 1], the image to learn from; then, if there are, enlarged
            versions of it.
        model: maps `[n, h, w, c']` to `[n, s·h, s·w, c']`, c' = 1 or 3; it learns in place.
        recipe: how; its degradation is the one that made the image. Crops are as large as a small
            image allows; where the device has bfloat16, "auto" takes it without a timing.
        copies: relatives of each image.

    Raises:
        ValueError: an image too small or too flat to learn from; see also `training.fit`.
        KeyboardInterrupt: Ctrl-C before the first score.

    Reference: Shocher, Cohen and Irani, "Zero-Shot" Super-Resolution using Deep Internal Learning,
    CVPR 2018, section 3. Lesson 11.
    """
    scale = scale_of(model)
    fathers = [to_channels(as_float(image), model.input_shape[-1]) for image in images]
    side = min(recipe.hr_patch, *fathers[0].shape[:2]) // scale * scale
    if side < SMALLEST * scale:
        height, width = images[0].shape[:2]
        raise ValueError(
            f"{height}×{width} pixels are too few to learn from at ×{scale}: at least "
            f"{SMALLEST * scale} a side; a trained network enlarges them"
        )
    if recipe.precision == "auto":
        recipe = replace(recipe, precision="float32" if without_bfloat16() else "mixed")
    recipe = replace(recipe, hr_patch=side)
    kin = [it for father in fathers for it in relatives(father, copies, side, recipe.seed)]
    with tempfile.TemporaryDirectory() as folder:
        try:
            part = [_most_varied(fathers[0], max(side, _PART))]
            return fit(model, fathers + kin, part, recipe, folder, names=["the image"])
        except KeyboardInterrupt:
            saved = read_progress(Path(folder))
            if not saved:
                raise
            best, history = plain_copy(model), saved["history"]
            best.load_weights(Path(folder) / saved["best"])
            model.set_weights(best.get_weights())
            step = history.step[history.best]
            print(f"\nstopped: going on with the best so far, that of step {step}")
            return history


def _most_varied(image: np.ndarray, side: int) -> np.ndarray:
    """Cut out the square of a side, or what there is of it, whose pixels vary most."""
    height, width = (min(side, n) for n in image.shape[:2])
    mean, square = (uniform_filter(it, (height, width, 0)).mean(2) for it in (image, image**2))
    inside = np.s_[height // 2 :, width // 2 :]
    variance = (square - mean**2)[inside][: len(image) - height + 1, : image.shape[1] - width + 1]
    top, left = np.unravel_index(variance.argmax(), variance.shape)
    return image[top : top + height, left : left + width]


def self_ensemble(enlarge: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that enlarges eight turns of a batch, and takes the median turned back.

    Args:
        enlarge: takes and returns batches `[n, h, w, c]`, as a network does.
    """

    def median(images: np.ndarray) -> np.ndarray:
        found = []
        for step, turns in product((1, -1), range(4)):
            turned = np.rot90(images[:, :, ::step], turns, axes=(1, 2))
            enlarged = np.asarray(enlarge(np.ascontiguousarray(turned)))
            found.append(np.rot90(enlarged, -turns, axes=(1, 2))[:, :, ::step])
        return np.median(found, axis=0)

    return median


def is_symmetric(degradation: Degradation) -> bool:
    """Return whether a degradation treats all eight turns of an image alike."""
    kernel = np.array(degradation.kernel or [[1.0]])
    turned = (np.rot90(kernel), kernel[::-1])
    return all(it.shape == kernel.shape and np.allclose(it, kernel, atol=1e-4) for it in turned)


def back_project(
    sr_image: np.ndarray, lr_image: np.ndarray, degradation: Degradation, times: int
) -> np.ndarray:
    """Bring an enlarged image closer to one that, shrunk again, is the image that was given.

    Each time, what its shrunk copy lacks is enlarged and added.

    Args:
        sr_image: `[s·h, s·w, c]` in [0, 1].
        lr_image: `[h, w, c]` in [0, 1].
        degradation: how the LR image was made; noise, rounding and JPEG are left out.
        times: how often.

    Returns:
        float32 `[s·h, s·w, c]` in [0, 1].

    Reference: Irani and Peleg, "Improving Resolution by Image Registration", 1991.
    """
    exact = replace(degradation, noise=0.0, rounding=False, jpeg_quality=None)
    scale = sr_image.shape[0] // lr_image.shape[0]
    for _ in range(times):
        missing = lr_image - degrade(sr_image, scale, exact)
        sr_image = (sr_image + resize(missing, sr_image.shape[:2])).clip(0, 1)
    return sr_image.astype(np.float32)
