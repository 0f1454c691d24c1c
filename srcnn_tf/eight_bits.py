"""Networks rewritten for 8 bits: in float the same function; rounded, as little as can be is lost.

Rounded as they are, weights and feature maps cost FSRCNN ×3 a decibel on Set5 (lesson 12). What
helps, with no training:

- PReLU(x) = ReLU(x) - slope·ReLU(-x): two maps without the long negative tail that a file would
  store before each PReLU (and ReLU costs nothing: it is part of the convolution).
- Maps are scaled so that each uses all 255 steps; the next kernel scales back (Nagel et al., 2019).
- Weights are rounded one by one; those that are left make up for the error (Frantar et al., 2023).
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from srcnn_tf.layers import BicubicUpsampling, Deconvolution, depth_to_space

_HIGHEST = 0.9  # of what maps hold of the crops: the codes end here, chosen on General100


def rewritten(network: keras.Model, lr_images: np.ndarray) -> Callable:
    """Return a network as a chain of convolutions with ReLU whose weights have 255 steps.

    Args:
        network: a `keras.Sequential` such as `srcnn` or `fsrcnn`; others are returned as they are.
        lr_images: crops of training images `[n, h, w, c]` that show what feature maps hold.

    Returns:
        A function of images `[n, h, w, c]`, to be traced; its weights are constants.

    Derived in lesson 12.
    """
    if not isinstance(network, keras.Sequential) or not all(map(_fits, network.layers)):
        return network
    start: Callable | None = None
    scale, lost, chain, back, maps = 1, 0, [], None, lr_images
    for layer, following in zip(network.layers, [*network.layers[1:], None], strict=True):
        if isinstance(layer, BicubicUpsampling):
            start, maps = layer, layer(maps)
        if not isinstance(layer, layers.Conv2D | Deconvolution):
            continue
        kernel, bias = layer.get_weights()
        if isinstance(layer, Deconvolution):
            scale = layer.scale
            kernel, bias = np.asarray(layer.phases()), np.tile(bias, scale**2)
        if back is not None:
            kernel = np.einsum("yxio,ji->yxjo", kernel, back)
        if following is not None:
            split = isinstance(following, layers.PReLU)
            if not split and layer.activation is not keras.activations.relu:
                return network
            if split:
                kernel, bias = np.concatenate([kernel, -kernel], -1), np.concatenate([bias, -bias])
            highest = np.max(tf.nn.relu(tf.nn.conv2d(maps, kernel, 1, "VALID") + bias), (0, 1, 2))
            highest = np.where(highest > 0, highest * _HIGHEST / 6, 1)
            kernel, bias = kernel / highest, bias / highest
            back = np.diag(highest)
            if split:
                n = len(highest) // 2
                back = back @ np.concatenate([np.eye(n), -np.diag(following.alpha.numpy().ravel())])
        kernel, bias = rounded(kernel, bias, maps)
        chain.append((kernel, bias))
        lost += kernel.shape[0] // 2
        maps = tf.nn.relu6(tf.nn.conv2d(maps, kernel, 1, "VALID") + bias)
        maps = tf.round(maps * 42.5) / 42.5  # as 255 steps of 6 / 255 hold them

    def run(images):
        images = start(images) if start else images
        for kernel, bias in chain:
            images = ops.relu6(ops.conv(images, kernel, padding="valid") + bias)
        ends = lost * scale, lost * scale
        return ops.pad(depth_to_space(images, scale), ((0, 0), ends, ends, (0, 0)))

    return run


def _fits(layer: keras.Layer) -> bool:
    """Tell whether `rewritten` knows a layer: every convolution is followed by a ReLU of a sort."""
    plain = isinstance(layer, layers.Conv2D) and (layer.strides, layer.padding) == ((1, 1), "same")
    return plain or isinstance(layer, layers.PReLU | BicubicUpsampling | Deconvolution)


def rounded(
    kernel: np.ndarray, bias: np.ndarray, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Round the weights of a convolution to 255 steps per filter, so that errors cancel in images.

    Args:
        kernel: `[f, f, c, n]`; the largest weight of a filter stays, as 127 of its steps.
        bias: `[n]`.
        images: what the convolution gets, `[m, h, w, c]`; every seventh is used.

    Returns:
        Kernel and bias, float32.

    Reference: Frantar et al., "GPTQ", ICLR 2023, section 3. Derived in lesson 12.
    """
    size = [1, *kernel.shape[:2], 1]
    seen = tf.image.extract_patches(images[::7], size, [1] * 4, [1] * 4, "VALID").numpy()
    seen = seen.reshape(-1, seen.shape[-1]).astype(np.float64)
    gram = seen.T @ seen
    gram += 1e-3 * np.mean(np.diag(gram)) * np.eye(len(gram))
    spread = np.linalg.cholesky(np.linalg.inv(gram)).T
    exact = kernel.reshape(len(gram), -1).astype(np.float64)
    steps, largest = np.abs(exact).max(0) / 127, np.abs(exact).argmax(0)
    left, found = exact.copy(), np.zeros_like(exact)
    for row in range(len(gram)):
        found[row] = steps * np.clip(np.round(left[row] / steps), -127, 127)
        found[row] = np.where(largest == row, exact[row], found[row])
        error = (left[row] - found[row]) / spread[row, row]
        left[row + 1 :] -= np.outer(spread[row, row + 1 :], error)
    bias = bias + (seen @ (exact - found)).mean(0)
    return found.reshape(kernel.shape).astype(np.float32), bias.astype(np.float32)
