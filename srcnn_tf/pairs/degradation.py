"""What turns an HR image into an LR one: the protocol's bicubic shrinking, others, unknown ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf
from scipy.ndimage import convolve, gaussian_filter1d

from srcnn_tf.images.pixels import as_float, quantise
from srcnn_tf.images.resizing import apply_weights, resize_weights
from srcnn_tf.ranges import check_choice, check_fields, check_number, check_seed, held
from srcnn_tf.scales import check_scale


@dataclass(frozen=True)
class Degradation:
    """Blur, shrink by bicubic interpolation, add noise, round to 8 bits, compress: in this order.

    The default is the literature's protocol, bit by bit: nothing but antialiased bicubic shrinking
    and rounding.

    Attributes:
        blur: standard deviation of a Gaussian blur, in HR pixels. Borders are mirrored.
        kernel: in place of the Gaussian, a blur kernel `[rows, columns]` in HR pixels, both sides
            odd, with a sum of 1.
        antialias: see `images.resize_weights`; False reproduces the slip of most tutorials.
        noise: standard deviation of Gaussian noise on the LR image, in grey levels of 0 to 255.
        jpeg_quality: of a JPEG file that holds the LR image, from 1 to 100, or None for no file.
        rounding: round the LR image to the 256 levels of an 8-bit file.

    Raises:
        ValueError: a field out of its range, or two that exclude each other.

    Derived in lesson 01.
    """

    blur: float = held(0.0, check_number, least=0)
    kernel: Sequence[Sequence[float]] | None = None
    antialias: bool = held(True, check_choice, known=(True, False))
    noise: float = held(0.0, check_number, least=0)
    jpeg_quality: int | None = held(
        None, check_number, whole=True, optional=True, least=1, most=100
    )
    rounding: bool = held(True, check_choice, known=(True, False))

    def __post_init__(self):
        check_fields(self)
        if self.kernel is not None:
            kernel = np.asarray(self.kernel, np.float64)
            if kernel.ndim != 2 or not all(side % 2 for side in kernel.shape):
                raise ValueError(f"kernel has the shape {kernel.shape}: it must have two odd sides")
            if not abs(kernel.sum() - 1) < 1e-3:  # false for NaN too
                raise ValueError(f"kernel has a sum of {kernel.sum():.4g}, not 1: divide by it")
            if self.blur:
                raise ValueError("give blur, for a Gaussian, or a kernel, but not both")
            object.__setattr__(self, "kernel", tuple(map(tuple, kernel.tolist())))  # comparable
        if self.jpeg_quality is not None and not self.rounding:
            raise ValueError("a JPEG file holds 8 bits: rounding=False does not go with it")


BICUBIC = Degradation()

REACH = 10  # HR pixels, of the kernels that a space draws

Range = Sequence[float] | None


@dataclass(frozen=True)
class DegradationSpace:
    """A distribution of degradations: each image, or each training crop, draws one of its own.

    First a blur, one of those that have a range, all alike often; then shrinking, noise and JPEG
    in random order; at the end, rounding to 8 bits. Strengths are drawn between the two ends of
    their ranges; None means never. Shrinking is the protocol's.

    Attributes:
        gaussian: standard deviations of a Gaussian blur, in HR pixels: in half of the draws one, in
            half one along and one across a random direction.
        defocus: radius of the disc to which a lens out of focus blurs a point, in HR pixels.
        motion: length of the line, in a random direction, to which a shaken camera smears it.
        noise: standard deviation of Gaussian noise, in grey levels of 0 to 255.
        shot: that of Poisson noise, which counts photons: in white, it grows with the root of the
            brightness.
        jpeg_quality: from 1 to 100.
        skip: probability that there is no blur; as often, each by itself, no noise and no JPEG.
        shuffle: draw the order of shrinking, noise and JPEG; else it is this one.

    Raises:
        ValueError: a field out of its range.

    Derived in lesson 10.
    """

    gaussian: Range = None
    defocus: Range = None
    motion: Range = None
    noise: Range = None
    shot: Range = None
    jpeg_quality: Range = None
    skip: float = held(0.5, check_number, least=0, most=1)
    shuffle: bool = held(True, check_choice, known=(True, False))

    def __post_init__(self):
        check_fields(self)
        most = {"gaussian": 4, "defocus": 8, "motion": 16, "noise": 255, "shot": 255}
        for name, end in {**most, "jpeg_quality": 100}.items():
            ends = getattr(self, name)
            if ends is None:
                continue
            if not isinstance(ends, Sequence) or len(ends) != 2:
                raise ValueError(f"{name} is {ends!r}: it must be (least, most), or None for never")
            whole = name == "jpeg_quality"
            for number in ends:
                check_number(name, number, whole=whole, least=int(whole), most=end)
            if ends[0] > ends[1]:
                raise ValueError(f"{name} is {ends!r}: the smaller end comes first")
            object.__setattr__(self, name, tuple(ends))  # comparable

    def kernel(self, key: tf.Tensor) -> tf.Tensor:
        """Draw a blur kernel.

        Args:
            key: int64 `[2]`, a key of TensorFlow's stateless generators.

        Returns:
            float32 `[21, 21]` with a sum of 1: a single 1 where there is no blur.
        """
        drawn = tf.unstack(tf.random.stateless_uniform([7], key, alg="philox"))
        y, x = (tf.range(-REACH, REACH + 1, dtype=tf.float32) for _ in "yx")
        angle = drawn[0] * np.pi
        along = x * tf.cos(angle) + y[:, None] * tf.sin(angle)
        across = y[:, None] * tf.cos(angle) - x * tf.sin(angle)
        kernels = [tf.cast(tf.equal(along**2 + across**2, 0), tf.float32)]
        if self.gaussian:
            one, other = (tf.maximum(_between(self.gaussian, part), 0.1) for part in drawn[1:3])
            other = tf.where(drawn[3] < 0.5, one, other)
            kernels.append(tf.exp(-((along / one) ** 2 + (across / other) ** 2) / 2))
        if self.defocus:
            beyond = tf.sqrt(along**2 + across**2) - _between(self.defocus, drawn[1])
            kernels.append(tf.clip_by_value(0.5 - beyond, 0, 1))
        if self.motion:
            beyond = tf.maximum(tf.abs(along) - _between(self.motion, drawn[1]) / 2, 0)
            kernels.append(tf.maximum(1 - tf.sqrt(beyond**2 + across**2), 0))
        which = 1 + tf.cast(drawn[4] * (len(kernels) - 1), tf.int32)
        none = (drawn[5] < self.skip) | (len(kernels) == 1)
        kernel = tf.stack(kernels)[tf.where(none, 0, which)]
        return kernel / tf.reduce_sum(kernel)

    def degraded(self, image: tf.Tensor, scale: int, key: tf.Tensor) -> tf.Tensor:
        """Draw a degradation, and degrade an image by it.

        Args:
            image: float32 `[s·h, s·w, c]` in [0, 1], of known size, c = 1 or 3.
            scale: 2, 3 or 4.
            key: int64 `[2]`, a key of TensorFlow's stateless generators.

        Returns:
            float32 `[h, w, c]` in [0, 1], on the 256 levels of an 8-bit file.
        """
        height, width, channels = image.shape
        keys = tf.unstack(tf.random.split(key, 4, alg="philox"))
        drawn = tf.unstack(tf.random.stateless_uniform([8], keys[0], alg="philox"))
        rows, columns = (
            tf.constant(degrade_weights(side, scale), tf.float32) for side in (height, width)
        )

        def shrunk(image):
            image = tf.ensure_shape(image, [height, width, channels])
            return tf.einsum("jw,iwc->ijc", columns, tf.einsum("ih,hwc->iwc", rows, image))

        def noisy(image):
            if self.shot:
                white = (255 / tf.maximum(_between(self.shot, drawn[1]), 0.1)) ** 2  # photons
                light = white * tf.clip_by_value(image, 0, 1)
                counted = tf.random.stateless_poisson(tf.shape(image), keys[2], light, tf.float32)
                image = counted / white
            noise = tf.random.stateless_normal(tf.shape(image), keys[3], alg="philox")
            return image + _between(self.noise or (0, 0), drawn[0]) / 255 * noise

        def compressed(image):
            least, most = self.jpeg_quality or (1, 1)
            return through_jpeg(image, tf.cast(_between((least, most + 1), drawn[2]), tf.int32))

        without = [False, not (self.noise or self.shot), not self.jpeg_quality]
        left_out = tf.logical_or(without, [False, drawn[3] < self.skip, drawn[4] < self.skip])
        order = tf.argsort(drawn[5:]) if self.shuffle else tf.range(3)
        image = self._blurred(image, self.kernel(keys[1]))
        steps = (shrunk, noisy, compressed, tf.identity)
        for step in tf.unstack(tf.where(tf.gather(left_out, order), 3, order)):
            image = tf.switch_case(step, [partial(make, image) for make in steps])
        return tf.round(tf.clip_by_value(image, 0, 1) * 255) / 255

    def _blurred(self, image: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolve `[h, w, c]` with a kernel, borders mirrored as in `degrade`, by its spectrum."""
        if not (self.gaussian or self.defocus or self.motion):
            return image
        around = (REACH, REACH)
        padded = tf.pad(tf.transpose(image, [2, 0, 1]), [(0, 0), around, around], "SYMMETRIC")
        size = padded.shape[1:]
        spectrum = tf.signal.rfft2d(padded, size) * tf.signal.rfft2d(kernel, size)
        blurred = tf.signal.irfft2d(spectrum, size)[:, 2 * REACH :, 2 * REACH :]
        return tf.transpose(blurred, [1, 2, 0])


AnyDegradation = Degradation | DegradationSpace


def _between(ends: Sequence[float], share: tf.Tensor) -> tf.Tensor:
    return ends[0] + share * (ends[1] - ends[0])


def degrade_weights(size: int, scale: int, degradation: Degradation = BICUBIC) -> np.ndarray:
    """Return the matrix that takes one axis from high to low resolution.

    It holds what is linear and treats both axes alike: Gaussian blur and shrinking.

    Args:
        size: high-resolution pixels along the axis, a multiple of the scale.
        scale: 2, 3 or 4.
        degradation: its blur kernel, noise, rounding and JPEG are no part of the matrix.

    Returns:
        float64 `[size / scale, size]`.
    """
    weights = resize_weights(size, size // scale, "bicubic", degradation.antialias)
    if degradation.blur:
        # Blurring the identity gives the blur's own matrix, borders mirrored as in the resize.
        weights = weights @ gaussian_filter1d(np.eye(size), degradation.blur, 0, mode="reflect")
    return weights


def degrade(
    hr_image: np.ndarray,
    scale: int,
    degradation: AnyDegradation = BICUBIC,
    seed: int | Sequence[int] = 0,
) -> np.ndarray:
    """Make the low-resolution image of a photograph.

    Args:
        hr_image: `[s·h, s·w, c]`, both sides multiples of the scale, c = 1, 3 or, without JPEG, 4;
            see `images.as_float`.
        scale: 2, 3 or 4.
        degradation: how; the default is the protocol's bicubic shrinking. A space draws one.
        seed: of the noise, and of what a space draws: a whole number below 2³², or several.

    Returns:
        float32 `[h, w, c]` in [0, 1], on the 256 levels of an 8-bit file unless the degradation
        says otherwise.

    Raises:
        ValueError: scale outside 2–4, sides that are no multiples of it, another number of
            channels, a bad seed; see also `images.as_float`.

    Derived in lesson 01.

    >>> degrade(np.full((4, 6, 1), 0.5), scale=2)[..., 0].round(3)
    array([[0.502, 0.502, 0.502],
           [0.502, 0.502, 0.502]], dtype=float32)
    """
    check_scale(scale)
    for part in seed if isinstance(seed, Sequence) else [seed]:
        check_seed(part)
    space = isinstance(degradation, DegradationSpace)
    channels = (1, 3) if space or degradation.jpeg_quality is not None else (1, 3, 4)
    lr_image = as_float(hr_image, "hr_image", channels=channels)
    height, width = lr_image.shape[:2]
    if height % scale or width % scale:
        raise ValueError(
            f"{height}×{width} pixels cannot be divided by {scale}: use images.crop_to_multiple"
        )
    if isinstance(degradation, DegradationSpace):
        if min(height, width) < REACH:
            raise ValueError(
                f"{height}×{width} pixels: a space blurs at least {REACH} pixels a side"
            )
        key = np.random.SeedSequence(seed).generate_state(2, np.uint64).astype(np.int64)
        return degradation.degraded(tf.constant(lr_image), scale, tf.constant(key)).numpy()
    if degradation.kernel is not None:
        lr_image = convolve(lr_image, np.array(degradation.kernel)[..., None], mode="reflect")
    rows, columns = (degrade_weights(side, scale, degradation) for side in (height, width))
    lr_image = apply_weights(lr_image, rows, columns)
    if degradation.noise:
        noise = np.random.default_rng(seed).standard_normal(lr_image.shape, np.float32)
        lr_image += degradation.noise / 255 * noise
    if not degradation.rounding:
        return lr_image.clip(0, 1)
    lr_image = quantise(lr_image)
    if degradation.jpeg_quality is not None:
        return through_jpeg(lr_image, degradation.jpeg_quality).numpy()
    return lr_image


def through_jpeg(image: tf.Tensor | np.ndarray, quality: int | tf.Tensor) -> tf.Tensor:
    """Return what a JPEG file of an image `[h, w, 1 or 3]` in [0, 1] holds."""
    levels = tf.cast(tf.round(tf.clip_by_value(image, 0, 1) * 255), tf.uint8)
    kept = tf.image.adjust_jpeg_quality(levels, quality)  # a file, encoded and decoded
    return tf.ensure_shape(tf.cast(kept, tf.float32) / 255, image.shape)
