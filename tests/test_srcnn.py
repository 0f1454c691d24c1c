"""SRCNN: its starts, its parameters, what it refuses."""

import numpy as np
import pytest

from srcnn_tf import datasets
from srcnn_tf.images import resize
from srcnn_tf.models import srcnn
from srcnn_tf.pairs import image_pair
from srcnn_tf.scales import SCALES


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", SCALES)
def test_srcnn_starts_at_bicubic_within_a_grey_level(scale, channels):
    photograph = datasets.load("samples", "test")[1]
    lr_image, hr_image = image_pair(photograph, scale, channels)
    # A white square on black makes the undershoot that ReLU would cut.
    lr_image[30:70, 30:70] = 0
    lr_image[40:60, 40:60] = 1
    bicubic = resize(lr_image, hr_image.shape[:2])
    assert bicubic.min() < -0.05
    first = np.asarray(srcnn(scale, channels=channels)(lr_image[None]))[0]
    assert 255 * np.abs(first - bicubic).max() < 1


def test_parameters_of_the_first_tutorials_rgb_network():
    assert srcnn(2, filters=(64, 64), channels=3).count_params() == 24579


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernels": (9, 2, 5)}, "odd"),
        ({"kernels": (9, 5)}, "one more"),
        ({"kernels": 9}, "kernels is 9: it must be a list or tuple"),
        ({"filters": None}, "filters is None: it must be a list or tuple"),
        ({"kernels": (9, 1.5, 5)}, r"1\.5: it must be a whole number"),
        ({"filters": (64, 2), "channels": 3}, "at least 3"),
        ({"filters": (64, True)}, "is True: it must be a whole number"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        srcnn(3, **arguments)
