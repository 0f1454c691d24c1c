"""Right and typically wrong answers to the exercises of lesson 02."""

from functools import cache

import numpy as np
import tensorflow as tf

from srcnn_tf import datasets
from srcnn_tf.checks.lesson02 import _filter  # which learners are given
from srcnn_tf.images import apply_weights, resize
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.pairs import Degradation, degrade, degrade_weights, image_pair


def cut(image, top, left, side, scale):
    return image[top // scale :, left // scale :][: side // scale, : side // scale]


def lr_crop(hr_image, top, left, side, scale):
    return cut(degrade(hr_image, scale), top, left, side, scale)


def lr_crop_by_tf(hr_image, top, left, side, scale):
    size = [length // scale for length in hr_image.shape[:2]]
    lr_image = tf.image.resize(hr_image, size, "bicubic", antialias=True)
    return tf.round(cut(lr_image, top, left, side, scale) * 255) / 255


def tutorial_crop(hr_image, top, left, side, scale):
    crop = hr_image[top : top + side, left : left + side]
    return tf.image.resize(crop, [side // scale, side // scale])


def whole_but_default(hr_image, top, left, side, scale):
    size = [length // scale for length in hr_image.shape[:2]]
    return cut(tf.image.resize(hr_image, size), top, left, side, scale)


def cut_first(hr_image, top, left, side, scale):
    return degrade(hr_image[top : top + side, left : left + side], scale)


def cut_with_margin(hr_image, top, left, side, scale):
    """Degrade a piece that is larger than the crop by all that its pixels see."""
    far = 4 * scale
    y, x = max(top - far, 0), max(left - far, 0)
    piece = degrade(hr_image[y : top + side + far, x : left + side + far], scale)
    return cut(piece, top - y, left - x, side, scale)


def not_rounded(hr_image, top, left, side, scale):
    matrices = (degrade_weights(length, scale) for length in hr_image.shape[:2])
    return cut(apply_weights(hr_image, *matrices), top, left, side, scale)


def flip_where(mirrored, images, axis=2):
    return np.where(np.reshape(mirrored, [-1, 1, 1, 1]), np.flip(images, axis), images)


def paired_flip(lr_images, hr_images, key):
    mirrored = np.random.default_rng(key).random(len(lr_images)) < 0.5
    return [flip_where(mirrored, lr_images), flip_where(mirrored, hr_images)]


def paired_flip_by_tf(lr_images, hr_images, key):
    chance = tf.random.stateless_uniform([len(lr_images), 1, 1, 1], key)
    return tuple(
        tf.where(chance < 0.5, images[:, :, ::-1], images) for images in (lr_images, hr_images)
    )


def two_draws(lr_images, hr_images, key):
    rng = np.random.default_rng(key)
    return [flip_where(rng.random(len(i)) < 0.5, i) for i in (lr_images, hr_images)]


def one_for_all(lr_images, hr_images, key):
    mirrored = np.random.default_rng(key).random() < 0.5
    return (lr_images[:, :, ::-1], hr_images[:, :, ::-1]) if mirrored else (lr_images, hr_images)


def top_to_bottom(lr_images, hr_images, key):
    mirrored = np.random.default_rng(key).random(len(lr_images)) < 0.5
    return flip_where(mirrored, lr_images, 1), flip_where(mirrored, hr_images, 1)


def by_each_image(lr_images, hr_images, key):
    chance = [
        tf.random.stateless_uniform([], tf.random.fold_in(key, i)) for i in range(len(lr_images))
    ]
    flip = [c < 0.5 for c in chance]
    return tuple(
        tf.stack([tf.image.flip_left_right(i) if f else i for i, f in zip(x, flip, strict=True)])
        for x in (lr_images, hr_images)
    )


def by_permutation(lr_images, hr_images, key, share=0.5):
    order = np.random.default_rng(key).permutation(len(lr_images))
    mirrored = order < share * len(order)
    return flip_where(mirrored, lr_images), flip_where(mirrored, hr_images)


STATE = np.random.default_rng(0)


def stateful(lr_images, hr_images, key):
    return paired_flip(lr_images, hr_images, [*key, int(STATE.integers(10**6))])


@cache
def gain(train_sigma, test_sigma, bicubic_sigma=None, border=2, count=3):
    gains = []
    for photograph in datasets.load("samples", "test")[:count]:
        lr_image, hr_image = image_pair(photograph, 2, degradation=Degradation(blur=test_sigma))
        enlarged = resize(lr_image, hr_image.shape[:2])
        mirrored = np.pad(enlarged, [(4, 4), (4, 4), (0, 0)], "symmetric")[None]
        sharpened = tf.nn.conv2d(mirrored, _filter(train_sigma)[..., None], 1, "VALID")[0]
        if bicubic_sigma is not None:
            camera = Degradation(blur=bicubic_sigma)
            lr_image, _ = image_pair(photograph, 2, degradation=camera)
            enlarged = resize(lr_image, hr_image.shape[:2])
        ours, bicubic = (psnr(hr_image, i, Protocol(border)) for i in (sharpened, enlarged))
        gains.append(float(ours - bicubic))
    return np.mean(gains)


RIGHT = {
    "E02.1": [
        (234, 1872, 474),
        (np.int64(234), tf.constant(1872), [474.0]),
        (18 * 13, 18 * 13 * 8, "474"),
        (np.array([[234]]), 1872.0, np.float32(474)),
    ],
    "E02.3": [
        (lr_crop,),
        (lr_crop_by_tf,),
        (lambda *a: lr_crop(*a).tolist(),),
        (cut_with_margin,),
        (lambda *a: tf.constant(lr_crop(*a), tf.float64),),
    ],
    "E02.4": [
        (paired_flip,),
        (paired_flip_by_tf,),
        (by_each_image,),
        (lambda *a: iter(paired_flip(*a)),),
    ],
    "E02.5": [
        (gain, 0.5),
        (lambda *sigmas: tf.constant([gain(*sigmas)]), tf.constant(0.5)),
        (lambda *sigmas: round(float(gain(*sigmas)), 2), 1 / 2),
        (lambda train_sigma, test_sigma: np.float16(gain(train_sigma, test_sigma)), [0.5]),
    ],
}
WRONG = {
    "E02.1": [
        ((3381, 27048, 474), "HR places"),
        ((204, 1632, 474), "posts"),
        ((6, 48, 474), "overlap"),
        ((234, 936, 474), "mirror image"),
        ((234, 1872, 158), "in LR pixels"),
        ((234, 1872, 237), "both sides"),
        ((234, 1872, 471), "too small"),
        ((0, 0, 0), "too small"),
        ((500, 4000, 474), "its corner alone"),
        ((234, 468, 474), "Rotations too"),
        ((234, 1872, 243), "both axes"),
    ],
    "E02.3": [
        ((tutorial_crop,), "antialias"),
        ((whole_but_default,), "antialias"),
        ((lambda image, top, left, side, scale: np.zeros((14, 14, 1)),), "grey levels off"),
        ((cut_first,), "two rings"),
        ((not_rounded,), "256 levels"),
        ((lambda image, top, left, side, scale: image[:side, :side],), "shape"),
        ((lambda image, top, *a: lr_crop(image, top + a[-1], *a),), "grey levels off"),
        ((lambda *a: np.floor(255 * not_rounded(*a)) / 255,), "not rounded"),
    ],
    "E02.4": [
        ((lambda lr_images, hr_images, key: (lr_images, hr_images),), "never mirrors"),
        ((lambda lr, hr, key: (lr[:, :, ::-1], hr[:, :, ::-1]),), "turned alike"),
        ((lambda lr, hr, key: (paired_flip(lr, hr, key)[0], hr),), "not turned alike"),
        ((two_draws,), "same draw"),
        ((one_for_all,), "for each pair"),
        ((top_to_bottom,), "top to bottom"),
        ((stateful,), "stateless"),
        ((lambda lr, hr, key: paired_flip(lr, hr, 0),), "the same for every key"),
        ((lambda lr, hr, key: paired_flip(lr, hr, key[0]),), "both numbers"),
        ((lambda lr, hr, key: paired_flip(lr, hr, key[1]),), "both numbers"),
        ((lambda lr, hr, key: paired_flip(lr, hr, sum(key)),), "both numbers"),
        ((by_permutation,), "as many pairs"),
        ((lambda *a: by_permutation(*a, share=0.9),), "half should"),
        ((lambda lr, hr, key: paired_flip(lr, hr, key)[0],), "two batches"),
        ((lambda lr, hr, key: (lr[::-1], hr[::-1]),), "neither"),
        ((lambda lr, hr, key: (np.zeros(lr.shape), np.zeros(hr.shape)),), "neither"),
    ],
    "E02.5": [
        ((lambda train_sigma, test_sigma: 1.0, 0.5), "gain("),
        ((lambda train_sigma, test_sigma: gain(test_sigma, train_sigma), 0.5), "swapped"),
        ((lambda *sigmas: gain(*sigmas, bicubic_sigma=0), 0.5), "bicubic, see"),
        ((lambda *sigmas: gain(*sigmas, border=0), 0.5), "keeps the border"),
        ((lambda *sigmas: gain(*sigmas, count=2), 0.5), "gain("),
        ((gain, 2), "sharp one"),
        ((gain, 0), "worst camera"),
        ((gain, "none"), "should be numbers"),
    ],
}
