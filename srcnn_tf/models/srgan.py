"""SRGAN's discriminator; its generator is `srresnet`, and `training.adversarial` trains both."""

import keras
import numpy as np
from keras import layers

from srcnn_tf.models.bicubic_start import he_normal
from srcnn_tf.ranges import check_choice, check_number, check_seed


def discriminator(
    patch: int | None = 96, width: int = 64, dense: int = 1024, channels: int = 3, seed: int = 0
) -> keras.Sequential:
    """Build SRGAN's discriminator: is a crop real, or made by the generator?

    Eight 3×3 convolutions, every second of stride 2, with n to 8n maps, batch normalisation after
    all but the first, LeakyReLU of slope 0.2; then two dense layers.

    Args:
        patch: side of the crops that it takes, in HR pixels; None takes any from 1 on, and looks at
            the mean of each of the last maps instead of at their every place.
        width: n, maps of the first convolution.
        dense: units of the first dense layer.
        channels: 1 for luma, 3 for RGB.
        seed: of the weights, He's.

    Returns:
        A built model `[n, patch, patch, channels]` to `[n, 1]`, the logit of D, the probability
        that a crop is real: the sigmoid that ends the paper's network is left to the loss.

    Raises:
        ValueError: an argument out of its range.

    Reference: Ledig et al., CVPR 2017, section 2.1 and figure 4.
    """
    check_number("patch", patch, whole=True, optional=True, least=1)
    for name, count in (("width", width), ("dense", dense)):
        check_number(name, count, whole=True, least=1)
    check_choice("channels", channels, (1, 3))
    check_seed(seed)
    model = keras.Sequential([keras.Input((patch, patch, channels))], name="discriminator")
    for number in range(8):
        filters, stride, name = width * 2 ** (number // 2), 1 + number % 2, f"conv_{number + 1}"
        model.add(layers.Conv2D(filters, 3, stride, "same", use_bias=not number, name=name))
        if number:
            model.add(layers.BatchNormalization(momentum=0.9, name=f"{name}_bn"))
        model.add(layers.LeakyReLU(0.2, name=f"{name}_relu"))
    model.add(layers.Flatten() if patch else layers.GlobalAveragePooling2D())
    model.add(layers.Dense(dense, name="dense"))
    model.add(layers.LeakyReLU(0.2, name="dense_relu"))
    model.add(layers.Dense(1, name="logit"))
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            layer.kernel.assign(he_normal(generator, layer.kernel.shape))
    return model
