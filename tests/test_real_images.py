"""What EDRN is for: images of Set14 that were degraded in ways that nobody tells it."""

import numpy as np
import pytest

from srcnn_tf.images import quantise, resize
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.pretrained import available, default_recipe, load_pretrained
from srcnn_tf.probes import graph_function
from srcnn_tf.upscaling import upscale

# Draws of the space that EDRN trains on, which neither training nor validation has seen: lesson 10
# counts them likewise.
HELD_OUT, ROUNDS = 10, 2


def _middle(image, side=240):
    """Cut out what takes a test seconds; whole images take minutes."""
    top, left = (max(0, length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def test_edrn_wins_where_the_degradation_is_unknown_and_pays_where_there_is_none(load_or_skip):
    if ("edrn", 2) not in available():
        pytest.skip("edrn has no weights here")
    images = [_middle(image) for image in load_or_skip("set14")]
    space = default_recipe("edrn", 2).degradation
    fsrcnn = load_pretrained("fsrcnn", 2)
    edrn = graph_function(load_pretrained("edrn", 2))  # mirrored borders take three times as long

    def scores(pairs):
        found = {"bicubic": [], "fsrcnn": [], "edrn": []}
        for (lr_image,), (hr_image,) in pairs:
            sr_images = {
                "bicubic": resize(lr_image, hr_image.shape[:2]),
                "fsrcnn": upscale(lr_image, fsrcnn),
                "edrn": np.asarray(edrn(lr_image[None]))[0],
            }
            for name, sr_image in sr_images.items():
                found[name].append(float(psnr(hr_image, quantise(sr_image), Protocol(border=2))))
        return {name: np.mean(values) for name, values in found.items()}

    rounds = [evaluation_pairs(images, 2, 3, space, [HELD_OUT, n]) for n in range(ROUNDS)]
    unknown = scores([pair for pairs in rounds for pair in pairs])
    assert unknown["edrn"] - unknown["bicubic"] > 1.0
    assert unknown["edrn"] - unknown["fsrcnn"] > 0.7
    clean = scores(evaluation_pairs(images, 2, 3))
    assert 0 < clean["fsrcnn"] - clean["edrn"] < 2.0
