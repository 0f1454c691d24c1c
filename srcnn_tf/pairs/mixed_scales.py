"""Crops of several scales in one batch, enlarged already: for one network that serves them all."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from srcnn_tf.environment import cores
from srcnn_tf.images.resizing import resize_weights
from srcnn_tf.pairs.crops import check_patch, random_crops
from srcnn_tf.ranges import check_seed

_REACH = 2  # LR pixels that Keys' kernel sees on each side


def crop_margin(scale: int) -> int:
    """Return how many HR pixels are cut beyond a crop on each side, for the interpolation."""
    return _REACH * scale


def mixed_scale_crops(
    images: Sequence[np.ndarray],
    scales: Sequence[int],
    hr_patch: int = 48,
    batch_size: int = 48,
    *,
    seed: int = 0,
    **options,
) -> tf.data.Dataset:
    """Draw crops of whole enlarged images and of the images, equally many at each scale, for ever.

    Args:
        images: photographs `[H, W, c]` in [0, 1].
        scales: from 2, 3 and 4.
        hr_patch: side of a crop in HR pixels, a multiple of each scale.
        batch_size: pairs in a batch, a multiple of the number of scales; those of the first scale
            come first.
        seed: as in `random_crops`; each scale draws positions of its own.
        **options: other options of `random_crops`.

    Returns:
        An endless dataset of (float32 `[n, hr_patch, hr_patch, c]`, the same) in [0, 1]: crops of
        the bicubically enlarged LR images, and of the HR images. The former overshoot a little.

    Raises:
        ValueError: a batch that cannot be divided among the scales; see also `random_crops`.

    Reference: Kim et al., CVPR 2016 (VDSR): one model for several scales.
    """
    check_seed(seed)
    share, rest = divmod(batch_size, len(scales) or 1)
    if not scales or rest:
        raise ValueError(f"batch_size {batch_size} is no multiple of the number of scales {scales}")
    parts = []
    for number, scale in enumerate(scales):
        check_patch(scale, hr_patch, share)
        # Cut so much larger that mirrored borders of crops end where the kept part begins.
        margin = crop_margin(scale)
        own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        side = hr_patch + 2 * margin
        crops = random_crops(images, scale, side, share, seed=own_seed, **options)
        enlarge = resize_weights(side // scale, side)
        weights = tf.constant(enlarge[margin:-margin], tf.float32)
        parts.append(crops.map(_enlarged(weights, margin), cores(), deterministic=True))
    join = lambda *pairs: tuple(tf.concat(part, 0) for part in zip(*pairs, strict=True))  # noqa: E731
    return tf.data.Dataset.zip(tuple(parts)).map(join).prefetch(2)


def _enlarged(weights: tf.Tensor, margin: int):
    @tf.function(jit_compile=True)
    def enlarge(lr_images, hr_images):
        rows = tf.einsum("ih,nhwc->niwc", weights, lr_images)
        enlarged = tf.einsum("jw,niwc->nijc", weights, rows)
        return enlarged, hr_images[:, margin:-margin, margin:-margin]

    return enlarge
