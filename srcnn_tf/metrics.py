"""PSNR, SSIM and MSE, and the protocol they are measured under."""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from srcnn_tf.images.pixels import as_float_or_tensor, to_channels
from srcnn_tf.ranges import check_choice, check_fields, check_number, held

Images: TypeAlias = np.ndarray | tf.Tensor
COLOURS = ("luma", "full-range luma", "rgb")
SSIM_WINDOW = 11  # pixels a side
MS_SSIM_SIDE = SSIM_WINDOW * 2**4
_FULL_RANGE_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Protocol:
    """What is done to both images before they are compared.

    The literature's choice, and the default but for the border: BT.601 studio-swing luma, rounded
    to 8 bits, `scale` pixels dropped at each side, peak 255 (VDSR paper, Table 3, and its
    successors). The other colours are the slips that lesson 01 measures.

    Attributes:
        border: pixels to drop at each side; the literature drops as many as the scale.
        colour: "luma", or one of the slips "full-range luma" and "rgb". Images of one
            channel are compared as they are.
        rounding: round to the 256 levels of an 8-bit file.

    Raises:
        ValueError: a border that is no whole number of at least 0; an unknown colour.
    """

    border: int = held(MISSING, check_number, whole=True, least=0)
    colour: str = held("luma", check_choice, known=COLOURS)
    rounding: bool = held(True, check_choice, known=(True, False))

    def __post_init__(self):
        check_fields(self)

    def prepare(self, images: tf.Tensor) -> tf.Tensor:
        """Clip, round, convert and crop a batch.

        Args:
            images: `[n, h, w, c]`; see `pixels.as_float_or_tensor`, overshoot is clipped.

        Returns:
            float32 `[n, h - 2·border, w - 2·border, c']` in [0, 255].
        """
        as_in_a_file = tf.round if self.rounding else tf.identity
        images = tf.cast(as_float_or_tensor(images, overshoot=True), tf.float32)
        levels = as_in_a_file(tf.clip_by_value(images, 0, 1) * 255)
        if images.shape[-1] == 3 and self.colour != "rgb":
            levels = as_in_a_file(self._convert(levels / 255) * 255)
        height, width = tf.shape(levels)[1], tf.shape(levels)[2]
        return levels[:, self.border : height - self.border, self.border : width - self.border]

    def _convert(self, rgb: tf.Tensor) -> tf.Tensor:
        if self.colour == "luma":
            return to_channels(rgb, 1)
        return tf.reduce_sum(rgb * _FULL_RANGE_LUMA, axis=-1, keepdims=True)


def mse(hr_images: Images, sr_images: Images, protocol: Protocol) -> tf.Tensor:
    """Mean squared error of each image, averaged over its pixels and channels.

    Args:
        hr_images: the truth, `[n, h, w, c]` or `[h, w, c]`; see `pixels.as_float_or_tensor`.
        sr_images: what is scored, of the same shape; overshoot is clipped.
        protocol: how the images are prepared.

    Returns:
        float32 `[n]`, or a scalar for a single image, in squared grey levels of 0 to 255.

    Raises:
        ValueError: shapes differ, or no pixels inside the border; see also
            `pixels.as_float_or_tensor`.

    Derived in lesson 01.
    """
    return _compare(hr_images, sr_images, protocol, _mse)


def psnr(hr_images: Images, sr_images: Images, protocol: Protocol) -> tf.Tensor:
    """Peak signal-to-noise ratio of each image: 10 log10(255² / MSE), in dB.

    Takes, returns and raises what `mse` does; infinite for equal images.

    Derived in lesson 01.

    >>> hr_image = np.zeros((8, 8, 1), np.float32)
    >>> round(float(psnr(hr_image, hr_image + 1 / 255, Protocol(border=2))), 2)
    48.13
    """
    return _compare(hr_images, sr_images, protocol, _psnr)


def ssim(hr_images: Images, sr_images: Images, protocol: Protocol) -> tf.Tensor:
    """Structural similarity of each image: 11×11 Gaussian window of σ 1.5, K1 0.01, K2 0.03.

    Takes and raises what `mse` does; also raises a ValueError for images that are smaller than
    the window. At most 1, reached by equal images (Wang et al., 2004, equation 13).

    Derived in lesson 01.
    """
    return _compare(hr_images, sr_images, protocol, _ssim)


def ms_ssim(hr_images: Images, sr_images: Images, protocol: Protocol) -> tf.Tensor:
    """SSIM over five sizes, each half the one before: brightness counts at the smallest alone.

    Takes and raises what `mse` does; also raises a ValueError for images of less than 176 pixels a
    side, which are smaller than SSIM's window at the smallest size (Wang, Simoncelli and Bovik,
    2003, equation 7).

    Compared with others in lesson 14.
    """
    return _compare(hr_images, sr_images, protocol, _ms_ssim)


def detail(hr_images: Images, sr_images: Images, protocol: Protocol) -> tf.Tensor:
    """Power of fine detail in each image, restored or invented, as a share of the truth's.

    Fine is what is left without a mean over 9×9 pixels: of a wave of 15 pixels half the height, of
    shorter ones more. Takes, returns and raises what `mse` does; infinite where the truth is flat.
    """
    return _compare(hr_images, sr_images, protocol, _detail)


def _mse(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.math.squared_difference(hr, sr), axis=[1, 2, 3])


def _psnr(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    return 10 / np.log(10) * tf.math.log(255.0**2 / _mse(hr, sr))


def _ssim(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    _check_window(hr, SSIM_WINDOW, "SSIM's window is")
    return tf.image.ssim(hr, sr, max_val=255)


def _ms_ssim(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    _check_window(hr, MS_SSIM_SIDE, "MS-SSIM, which halves images four times, needs")
    return tf.image.ssim_multiscale(hr, sr, max_val=255)


def _check_window(images: tf.Tensor, side: int, told: str) -> None:
    if None not in images.shape[1:3] and min(images.shape[1:3]) < side:
        size = f"{images.shape[1]}×{images.shape[2]}"
        raise ValueError(f"{told} {side}×{side} pixels; {size} are left inside the border")


def _detail(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    fine = [levels - tf.nn.avg_pool2d(levels, 9, 1, "SAME") for levels in (sr, hr)]
    ours, truth = (tf.reduce_sum(part**2, axis=[1, 2, 3]) for part in fine)
    return ours / truth


def _compare(
    hr_images: Images, sr_images: Images, protocol: Protocol, measure: Callable
) -> tf.Tensor:
    hr_images = as_float_or_tensor(hr_images, "hr_images")
    sr_images = as_float_or_tensor(sr_images, "sr_images", overshoot=True)
    if not tf.is_symbolic_tensor(sr_images):
        _check_shapes(tuple(hr_images.shape), tuple(sr_images.shape), protocol)
    single = len(hr_images.shape) == 3
    if single:
        hr_images, sr_images = hr_images[None], sr_images[None]
    result = measure(protocol.prepare(hr_images), protocol.prepare(sr_images))
    return result[0] if single else result


def _check_shapes(hr_shape: tuple, sr_shape: tuple, protocol: Protocol) -> None:
    if hr_shape != sr_shape or len(hr_shape) not in (3, 4):
        wanted = "the same [h, w, c], or [n, h, w, c]"
        raise ValueError(f"cannot compare {hr_shape} and {sr_shape}: give {wanted}")
    if hr_shape[-1] not in (1, 3):
        raise ValueError(f"images of shape {hr_shape}: channels must be 1 or 3, without alpha")
    if min(hr_shape[-3:-1]) <= 2 * protocol.border:
        raise ValueError(f"a border of {protocol.border} leaves nothing of the shape {hr_shape}")


class _MeanUnderProtocol(keras.metrics.Mean):
    """Keras metric: the mean of a measure over the images seen.

    Args:
        protocol: how images are prepared.
        name: the metric's name in logs; the default is the class's.
        most: what an image counts for at most, such as one that is restored without error, or
            nearly: its PSNR alone would decide the mean. None leaves it infinite.
    """

    measure: Callable[..., tf.Tensor]

    def __init__(
        self, protocol: Protocol, name: str | None = None, most: float | None = None, **kwargs
    ):
        super().__init__(name=name or type(self).__name__.lower(), **kwargs)
        self.protocol = Protocol(**protocol) if isinstance(protocol, dict) else protocol
        self.most = most

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch: y_true in [0, 1] and y_pred, both `[n, h, w, c]`."""
        values = type(self).measure(y_true, y_pred, self.protocol)
        values = values if self.most is None else tf.minimum(values, self.most)
        return super().update_state(values, sample_weight)

    def get_config(self):
        return {**super().get_config(), "protocol": vars(self.protocol), "most": self.most}


@keras.saving.register_keras_serializable("srcnn_tf")
class PSNR(_MeanUnderProtocol):
    """Keras metric: mean PSNR of the images seen, in dB, under a protocol.

    Args:
        protocol: how images are prepared.
        name: the metric's name in logs.
        most: what an image counts for that is restored without error, or nearly: its PSNR alone
            would decide the mean. None leaves it infinite.
    """

    measure = staticmethod(psnr)


@keras.saving.register_keras_serializable("srcnn_tf")
class SSIM(_MeanUnderProtocol):
    """Keras metric: mean SSIM of the images seen under a protocol; arguments as for `PSNR`."""

    measure = staticmethod(ssim)


@keras.saving.register_keras_serializable("srcnn_tf")
class MSE(_MeanUnderProtocol):
    """Keras metric: mean MSE of the images seen, in squared grey levels; see `PSNR`."""

    measure = staticmethod(mse)


@keras.saving.register_keras_serializable("srcnn_tf")
class Detail(_MeanUnderProtocol):
    """Keras metric: mean detail of the images seen, as a share of the truth's; see `PSNR`."""

    measure = staticmethod(detail)


@dataclass(frozen=True)
class Scores:
    """Mean scores over a set of images.

    Attributes:
        psnr: mean PSNR in dB.
        ssim: mean SSIM.
    """

    psnr: float
    ssim: float


def evaluate(
    upscale: Callable[[np.ndarray], np.ndarray],
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    protocol: Protocol,
) -> Scores:
    """Score a model, or any function that enlarges, on whole images.

    Args:
        upscale: maps an LR batch `[1, h, w, c]` to an SR batch `[1, s·h, s·w, c]`.
        pairs: (LR, HR) batches of one image, as `pairs.evaluation_pairs` makes them.
        protocol: how the images are compared.

    Returns:
        PSNR and SSIM, each averaged over the images, as the literature does.

    Raises:
        ValueError: no pairs; see also `mse`.
    """
    scores = []
    for lr_images, hr_images in pairs:
        compared = hr_images, np.asarray(upscale(lr_images)), protocol
        scores.append([float(measure(*compared)[0]) for measure in (psnr, ssim)])
    if not scores:
        raise ValueError("there are no pairs to evaluate")
    return Scores(*np.mean(scores, axis=0).tolist())
