"""Keras layers that Keras does not have, or has in a form that XLA cannot compile."""

import keras
import numpy as np
from keras import ops

from srcnn_tf.images import resize_weights

_REACH = 2  # pixels on each side that Keys' kernel can touch


@keras.saving.register_keras_serializable("srcnn_tf")
class BicubicUpsampling(keras.layers.Layer):
    """Enlarge images by bicubic interpolation, exactly as MATLAB's `imresize`.

    No weights. Symmetric padding, one 5×5 convolution whose s² filters are the interpolation
    weights of the s² output positions inside a pixel (Keys, 1981, a = -0.5), depth to space.
    `keras.layers.UpSampling2D(interpolation="bicubic")` is no substitute: XLA cannot compile it,
    so that training crashes on a GPU.

    Input `[n, h, w, c]`, output `[n, scale·h, scale·w, c]`, any h and w from 1 on.

    Args:
        scale: whole enlargement factor, at least 1.

    Raises:
        ValueError: a scale that is not a whole number of at least 1.

    Derived in lesson 03.
    """

    def __init__(self, scale: int, **kwargs):
        """Work out the filters."""
        super().__init__(**kwargs)
        if not isinstance(scale, int) or scale < 1:
            raise ValueError(f"scale is {scale!r}: it must be a whole number of at least 1")
        self.scale = scale
        # Rows of the resize matrix around a pixel in the middle: [scale, 5].
        size = 2 * _REACH + 1
        phases = resize_weights(size, size * scale)[_REACH * scale : (_REACH + 1) * scale]
        self._filters = np.einsum("ay,bx->yxab", phases, phases).reshape(size, size, 1, scale**2)

    def call(self, images):
        """Enlarge `[n, h, w, c]`."""
        channels, scale = images.shape[-1], self.scale
        for axis in (1, 2):
            size = ops.shape(images)[axis]
            # The mirror of ..., 1, 0 | 0, 1, ... repeats every 2·size pixels.
            place = ops.arange(-_REACH, size + _REACH) % (2 * size)
            place = ops.minimum(place, 2 * size - 1 - place)
            images = ops.take(images, place, axis=axis)
        # One block of filters per channel, zeros between them.
        kernel = np.einsum("yxif,cd->yxcdf", self._filters, np.eye(channels))
        kernel = kernel.reshape(*kernel.shape[:3], channels * scale**2)
        phases = ops.conv(images, ops.cast(kernel, images.dtype), padding="valid")
        n, h, w = ops.shape(phases)[:3]
        phases = ops.reshape(phases, (n, h, w, channels, scale, scale))
        phases = ops.transpose(phases, (0, 1, 4, 2, 5, 3))
        return ops.reshape(phases, (n, h * scale, w * scale, channels))

    def compute_output_shape(self, input_shape):
        """Return `(n, scale·h, scale·w, c)`; unknown sizes stay None."""
        n, h, w, c = input_shape
        return (n, h and h * self.scale, w and w * self.scale, c)

    def get_config(self):
        """Return what `from_config` needs."""
        return {**super().get_config(), "scale": self.scale}
