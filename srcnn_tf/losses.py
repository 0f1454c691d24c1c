"""What is minimised, beside Keras's own losses: Charbonnier, and distances of VGG features."""

import keras
from keras import ops

from srcnn_tf.ranges import check_number, check_seed

VGG_WEIGHTS = ("imagenet", "random")


@keras.saving.register_keras_serializable("srcnn_tf")
class Charbonnier(keras.losses.Loss):
    """A smooth absolute error: sqrt((Y - F(Y))² + ε²), averaged over pixels and channels.

    Args:
        epsilon: where the parabola around zero becomes a straight line, in units of [0, 1].
        name: of the loss.
        **kwargs: `reduction` and `dtype`, as for any Keras loss.

    Raises:
        ValueError: an epsilon that is not above 0.

    Reference: Lai et al., "Deep Laplacian Pyramid Networks", CVPR 2017, equation 3. Compared in
    lesson 06.
    """

    def __init__(self, epsilon: float = 1e-3, name: str = "charbonnier", **kwargs):
        super().__init__(name=name, **kwargs)
        check_number("epsilon", epsilon, above=0)
        self.epsilon = epsilon

    def call(self, y_true, y_pred):
        """Return one value for each image: `[n, h, w, c]` twice to `[n]`."""
        distance = ops.sqrt(ops.square(y_true - y_pred) + self.epsilon**2)
        return ops.mean(distance, axis=(1, 2, 3))

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def vgg_features(
    layer: str = "block2_conv2", weights: str = "imagenet", seed: int = 0
) -> keras.Model:
    """Build VGG16 up to one of its layers, for images as this course has them.

    Args:
        layer: a convolution or pooling of VGG16; "block2_conv2" with its ReLU is the literature's
            relu2_2.
        weights: "imagenet", which Keras keeps in its cache and fetches once (59 MB), or "random":
            the same layers with He's start, which have never seen a photograph.
        seed: of the random weights.

    Returns:
        A frozen model from `[n, h, w, 1 or 3]`, luma or RGB in [0, 1], to the layer's feature
        maps. It repeats a single channel three times and prepares images as the ImageNet network
        was trained: BGR, 0 to 255, each channel's mean subtracted.

    Raises:
        ValueError: no such layer or weights.
        ConnectionError: the ImageNet weights are not in Keras's cache and cannot be fetched.

    Reference: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
    Recognition", ICLR 2015, configuration D. Derived in lesson 07.
    """
    if weights not in VGG_WEIGHTS:
        raise ValueError(f"unknown weights {weights!r}: choose {' or '.join(VGG_WEIGHTS)}")
    check_seed(seed)
    vgg = _vgg16(weights)
    names = [part.name for part in vgg.layers[1:]]
    if layer not in names:
        raise ValueError(f"VGG16 has no layer {layer!r}; it has {', '.join(names)}")
    if weights == "random":
        start = keras.initializers.HeNormal(seed)
        for part in vgg.layers:
            for kernel in part.weights[:1]:
                kernel.assign(start.clone()(kernel.shape))
    images = keras.Input((None, None, None))
    features = keras.Model(vgg.input, vgg.get_layer(layer).output)(_Preprocessing()(images))
    model = keras.Model(images, features, name=f"vgg16_{layer}")
    model.trainable = False
    return model


def _vgg16(weights: str) -> keras.Model:
    if weights == "random":
        return keras.applications.VGG16(include_top=False, weights=None)
    try:
        return keras.applications.VGG16(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises no narrower class
        raise ConnectionError(
            f"VGG16's ImageNet weights are not in Keras's cache and cannot be fetched ({error}). "
            'Connect to the network once, or pass weights="random" for features that no '
            "photograph has shaped"
        ) from error


@keras.saving.register_keras_serializable("srcnn_tf")
class _Preprocessing(keras.layers.Layer):
    """Turn luma or RGB in [0, 1] into what VGG16 was trained on."""

    def call(self, images):
        if images.shape[-1] == 1:
            images = ops.repeat(images, 3, axis=-1)
        return keras.applications.vgg16.preprocess_input(images * 255)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3)


@keras.saving.register_keras_serializable("srcnn_tf")
class PerceptualLoss(keras.losses.Loss):
    """Squared error of pixels plus λ times the squared error of VGG features.

    mse_weight · mean((Y - F)²) + vgg_weight · mean((φ(Y) - φ(F))²), means over pixels and channels
    or over positions and feature maps. φ is `vgg_features`, in the units of its weights: with
    ImageNet's, features run to hundreds, and λ is correspondingly small.

    Args:
        vgg_weight: λ, at least 0.
        mse_weight: at least 0; 0 leaves the VGG term alone.
        layer: see `vgg_features`, as the next two.
        weights: "imagenet" or "random".
        seed: of the random weights.
        name: of the loss.
        **kwargs: `reduction` and `dtype`, as for any Keras loss.

    Raises:
        ValueError: a negative weight, or both 0; no such layer or weights.
        ConnectionError: see `vgg_features`.

    Reference: Johnson, Alahi and Li, "Perceptual Losses for Real-Time Style Transfer and
    Super-Resolution", ECCV 2016, equation 2. Derived in lesson 07.
    """

    def __init__(
        self,
        vgg_weight: float,
        mse_weight: float = 1.0,
        layer: str = "block2_conv2",
        weights: str = "imagenet",
        seed: int = 0,
        name: str = "perceptual_loss",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        for part, weight in (("vgg_weight", vgg_weight), ("mse_weight", mse_weight)):
            check_number(part, weight, least=0)
        if not vgg_weight + mse_weight:
            raise ValueError("vgg_weight and mse_weight are 0: one must be above 0")
        self.vgg_weight, self.mse_weight = vgg_weight, mse_weight
        self.layer, self.weights, self.seed = layer, weights, seed
        self.features = vgg_features(layer, weights, seed)

    def call(self, y_true, y_pred):
        """Return one value for each image: `[n, h, w, c]` twice to `[n]`."""
        pixels = ops.mean(ops.square(y_true - y_pred), axis=(1, 2, 3))
        distance = ops.square(self.features(y_true) - self.features(y_pred))
        return self.mse_weight * pixels + self.vgg_weight * ops.mean(distance, axis=(1, 2, 3))

    def get_config(self):
        names = ("vgg_weight", "mse_weight", "layer", "weights", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
