"""Keras layers that Keras does not have, or has in a form that XLA cannot compile."""

import keras
import numpy as np
from keras import ops

from srcnn_tf.images.resizing import resize_weights
from srcnn_tf.ranges import check_number

_KEYS = 2  # pixels on each side that Keys' kernel can touch


def depth_to_space(phases: keras.KerasTensor, scale: int) -> keras.KerasTensor:
    """Rearrange `[n, h, w, scale²·c]` into `[n, scale·h, scale·w, c]`, as `tf.nn.depth_to_space`.

    Channel (a·scale + b)·c + k of a pixel becomes channel k at row a, column b of its block
    (ESPCN paper, equation 4).
    """
    if scale == 1:
        return phases
    if hasattr(ops, "depth_to_space"):  # Keras 3.14 and later
        return ops.depth_to_space(phases, scale, data_format="channels_last")
    n, h, w = ops.shape(phases)[:3]
    phases = ops.reshape(phases, (n, h, w, scale, scale, phases.shape[-1] // scale**2))
    phases = ops.transpose(phases, (0, 1, 3, 2, 4, 5))
    return ops.reshape(phases, (n, h * scale, w * scale, phases.shape[-1]))


def mirrored(images: keras.KerasTensor, margin: int) -> keras.KerasTensor:
    """Continue images `[n, h, w, c]` by their mirror image: `[n, h + 2·margin, w + 2·margin, c]`.

    The edge pixel is repeated, as in NumPy's "symmetric"; any h and w from 1 on.
    """
    for axis in (1, 2):
        size = ops.shape(images)[axis]
        # The mirror of ..., 1, 0 | 0, 1, ... repeats every 2·size pixels. Counted from above 0,
        # since what ONNX is told of the remainder of negative numbers is wrong.
        place = (ops.arange(-margin, size + margin) + 2 * margin * size) % (2 * size)
        place = ops.minimum(place, 2 * size - 1 - place)
        images = ops.take(images, place, axis=axis)
    return images


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
        super().__init__(**kwargs)
        check_number("scale", scale, whole=True, least=1)
        self.scale = scale
        # Rows of the resize matrix around a pixel in the middle: [scale, 5].
        size = 2 * _KEYS + 1
        phases = resize_weights(size, size * scale)[_KEYS * scale : (_KEYS + 1) * scale]
        self._filters = np.einsum("ay,bx->yxab", phases, phases).reshape(size, size, 1, scale**2)

    def call(self, images):
        channels, scale = images.shape[-1], self.scale
        images = mirrored(images, _KEYS)
        # One block of filters per channel, zeros between them.
        kernel = np.einsum("yxif,cd->yxcfd", self._filters, np.eye(channels))
        kernel = kernel.reshape(*kernel.shape[:3], channels * scale**2)
        phases = ops.conv(images, ops.cast(kernel, images.dtype), padding="valid")
        return depth_to_space(phases, scale)

    def window(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last input pixel that each output pixel sees along an axis.

        Args:
            size: input pixels along the axis.

        Returns:
            Two integer arrays `[scale·size]`; they may point outside the image.
        """
        pixels = np.arange(size).repeat(self.scale)
        return pixels - _KEYS, pixels + _KEYS

    def compute_output_shape(self, input_shape):
        n, h, w, c = input_shape
        return (n, h and h * self.scale, w and w * self.scale, c)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("srcnn_tf")
class Deconvolution(keras.layers.Conv2DTranspose):
    """Enlarge feature maps by a learned deconvolution, computed as a sub-pixel convolution.

    `Conv2DTranspose(filters, kernel_size, strides=scale, padding="same")` with the same weights and
    the same result. Each of the s² output positions inside an input pixel sees its own s-th part
    of the kernel: one convolution with these parts as filters, then depth to space, is faster on a
    CPU in graph mode (`speed/steps.py`).

    Input `[n, h, w, c]`, output `[n, scale·h, scale·w, filters]`, any h and w from 1 on.

    Args:
        filters: feature maps of the output.
        kernel_size: side of the kernel in output pixels, at least `scale`.
        scale: whole enlargement factor, at least 1.

    Raises:
        ValueError: a kernel smaller than the scale, which would leave output pixels empty.

    Reference: Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016.
    Derived in lesson 05.
    """

    def __init__(self, filters: int, kernel_size: int, scale: int, **kwargs):
        check_number("scale", scale, whole=True, least=1)
        check_number("kernel_size", kernel_size, whole=True, least=scale)
        super().__init__(filters, kernel_size, strides=scale, padding="same", **kwargs)
        self.scale = scale

    def phases(self) -> keras.KerasTensor:
        """Return the kernel of the equal convolution at low resolution, `[n, n, c, s²·filters]`."""
        size, scale = self.kernel_size[0], self.scale
        # Tap t of the kernel takes an input pixel at j to the output pixel scale·j + t - before.
        before = (size - scale) // 2
        reach = -(-max(before, size - scale - before) // scale)
        n = 2 * reach + 1
        ends = (reach * scale - before, (reach + 1) * scale + before - size)
        kernel = ops.pad(self.kernel, (ends, ends, (0, 0), (0, 0)))
        kernel = ops.reshape(kernel, (n, scale, n, scale, *self.kernel.shape[2:]))
        kernel = ops.transpose(kernel[::-1, :, ::-1], (0, 2, 5, 1, 3, 4))
        return ops.reshape(kernel, (n, n, kernel.shape[2], scale**2 * self.filters))

    def call(self, images):
        phases = ops.conv(images, ops.cast(self.phases(), images.dtype), padding="same")
        outputs = depth_to_space(phases, self.scale)
        if self.use_bias:
            outputs = outputs + ops.cast(self.bias, outputs.dtype)
        return self.activation(outputs)

    def window(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last input pixel that each output pixel sees along an axis.

        Args:
            size: input pixels along the axis.

        Returns:
            Two integer arrays `[scale·size]`; they may point outside the image.
        """
        taps, scale = self.kernel_size[0], self.scale
        places = np.arange(size * scale) + (taps - scale) // 2
        return (places - taps) // scale + 1, places // scale

    def get_config(self):
        config = {**super().get_config(), "kernel_size": self.kernel_size[0], "scale": self.scale}
        del config["strides"], config["padding"]
        return config


@keras.saving.register_keras_serializable("srcnn_tf")
class CroppedTo(keras.layers.Layer):
    """Cut feature maps at their ends to the size of others, which a U-shaped network brings back.

    Input `[maps, like]`, `[n, h', w', c]` and `[n, h, w, d]` with h' ≥ h and w' ≥ w; output
    `[n, h, w, c]`. No weights.
    """

    def call(self, inputs):
        maps, like = inputs
        height, width = ops.shape(like)[1:3]
        return maps[:, :height, :width]

    def window(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last input pixel that each output pixel sees: its own."""
        return (np.arange(size),) * 2

    def compute_output_shape(self, input_shape):
        maps, like = input_shape
        return (*like[:3], maps[3])


@keras.saving.register_keras_serializable("srcnn_tf")
class MiddleFrames(keras.layers.Layer):
    """Take the middle frames of a clip as the channels of one image: a 2-D convolution sees time.

    Input `[n, t, h, w, c]`, output `[n, h, w, count·c]`, the earliest frame first. No weights.

    Args:
        count: how many frames, odd as t is.

    Raises:
        ValueError: an even count, or one above t.

    Derived in lesson 13.
    """

    def __init__(self, count: int = 1, **kwargs):
        super().__init__(**kwargs)
        check_number("count", count, whole=True, least=1)
        self.count = count

    def build(self, input_shape):
        frames = input_shape[1]
        if frames is None or frames < self.count or (frames - self.count) % 2:
            raise ValueError(f"of {frames} frames, {self.count} cannot be the middle ones")
        self.first = (frames - self.count) // 2

    def call(self, clips):
        frames = [clips[:, self.first + number] for number in range(self.count)]
        return ops.concatenate(frames, axis=-1)

    def window(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last input pixel that each output pixel sees: its own."""
        return (np.arange(size),) * 2

    def compute_output_shape(self, input_shape):
        n, _, h, w, c = input_shape
        return (n, h, w, self.count * c)

    def get_config(self):
        return {**super().get_config(), "count": self.count}
