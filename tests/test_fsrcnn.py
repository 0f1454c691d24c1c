"""FSRCNN: its start, what it refuses."""

import numpy as np
import pytest

from srcnn_tf import datasets
from srcnn_tf.images import resize
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.models import fsrcnn
from srcnn_tf.pairs import image_pair


@pytest.mark.parametrize(("scale", "least"), [(2, 45), (3, 45), (4, 40)])
def test_fsrcnn_starts_near_bicubic(scale, least):
    photograph = datasets.load("samples", "test")[1]
    lr_image, hr_image = image_pair(photograph, scale)
    bicubic = resize(lr_image, hr_image.shape[:2])
    first = np.asarray(fsrcnn(scale)(lr_image[None]))[0]
    distance = psnr(np.clip(bicubic, 0, 1), first, Protocol(border=scale, rounding=False))
    assert float(distance) >= least


def test_fsrcnn_starts_without_a_grid_on_flat_areas():
    flat = np.full((1, 12, 12, 1), 0.5, np.float32)
    inside = np.asarray(fsrcnn(4)(flat))[0, 8:-8, 8:-8]
    np.testing.assert_allclose(inside, 0.5, atol=1e-6)


@pytest.mark.parametrize("arguments", [{"s": 2, "channels": 3}, {"d": 0}, {"m": -1}, {"m": 1.5}])
def test_what_cannot_be_built_is_refused(arguments):
    with pytest.raises(ValueError, match="must be a whole number of at least"):
        fsrcnn(3, **arguments)
