"""A network of one layer and 225 weights, which trains a thousand steps in a blink.

Exercises that need many runs use it: lesson 06, E06.3 and E06.5.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from srcnn_tf import datasets
from srcnn_tf.images.resizing import resize_weights
from srcnn_tf.pairs import image_pair
from srcnn_tf.ranges import check_seed
from srcnn_tf.training import Recipe, split_validation

STEPS = 1000
BASE = Recipe(steps=STEPS, optimizer="sgd", learning_rate=0.2)
SCHEDULES: dict[str, dict[str, Any]] = {
    "cosine": {},
    "constant": {"schedule": "constant"},
    "0.9975 per step": {"schedule": "exponential", "decay": 0.9975},
    "0.9975 per epoch": {"schedule": "exponential", "decay": 0.9975**0.01},
}
MOMENTA = (0.9, 0.99, 0.999)


def walk(seed: int = 0, **changes) -> np.ndarray:
    """Train 225 weights, one 5×5 convolution from an LR pixel's neighbourhood to nine HR pixels.

    They begin as bicubic interpolation at ×3 and see 20 LR pixels of the samples in each of 1,000
    steps of SGD with momentum 0.9, rates up to 0.2 by the cosine schedule.

    Args:
        seed: of the pixels that are drawn.
        **changes: fields of the recipe that concern its rate: learning_rate, schedule, decay.

    Returns:
        float64 `[1001, 25, 9]`, the weights at the start and after each step.
    """
    check_seed(seed)
    recipe = replace(BASE, **changes)
    (inputs, targets), rng = _pixels()[0], np.random.default_rng(seed)
    phases = resize_weights(5, 15)[6:9]
    weights = np.einsum("ay,bx->yxab", phases, phases).reshape(25, 9)
    momentum, places = np.zeros_like(weights), [weights]
    for step in range(STEPS):
        drawn = rng.integers(len(inputs), size=20)
        error = inputs[drawn] @ weights - targets[drawn]
        momentum = 0.9 * momentum + inputs[drawn].T @ error / 20
        weights = weights - recipe.rate(step, 0) * momentum
        places.append(weights)
    return np.stack(places)


def score(weights: np.ndarray) -> float:
    """Return the PSNR in dB of weights `[25, 9]` on held-out photographs."""
    inputs, targets = _pixels()[1]
    return float(-10 * np.log10(np.mean((inputs @ weights - targets) ** 2)))


@cache
def _pixels() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return 5×5 LR windows `[n, 25]` and HR blocks `[n, 9]`, to train and to validate.

    The LR pixel in the middle is subtracted from both.
    """
    pairs = []
    for images in split_validation(datasets.load("samples", "train"), 3):
        inputs, targets = [], []
        for image in images:
            lr_image, hr_image = image_pair(image[-192:, -192:], 3)
            windows = sliding_window_view(lr_image[..., 0], (5, 5)).reshape(-1, 25)
            blocks = sliding_window_view(hr_image[6:-6, 6:-6, 0], (3, 3))[::3, ::3].reshape(-1, 9)
            centre = windows[:, 12:13].astype(np.float64)
            inputs.append(windows - centre)
            targets.append(blocks - centre)
        pairs.append((np.concatenate(inputs), np.concatenate(targets)))
    return pairs
