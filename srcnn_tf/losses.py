"""What is minimised, beside Keras's own losses: Charbonnier, and distances of VGG features."""

import keras
from keras import ops

from srcnn_tf.ranges import check_choice, check_number, check_seed

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
    layer: str = "block2_conv2", weights: str = "imagenet", seed: int = 0, depth: int = 16
) -> keras.Model:
    """Build VGG16 or VGG19 up to one of its layers, for images as this course has them.

    Args:
        layer: a convolution or pooling; "block2_conv2" with its ReLU is the literature's relu2_2,
            and in VGG19 SRGAN's φ2,2; "block5_conv4", which VGG19 alone has, is its φ5,4.
        weights: "imagenet", which Keras keeps in its cache and fetches once (59 MB, or 80), or
            "random": the same layers with He's start, which have never seen a photograph.
        seed: of the random weights.
        depth: 16 or 19.

    Returns:
        A frozen model from `[n, h, w, 1 or 3]`, luma or RGB in [0, 1], to the layer's feature
        maps. It repeats a single channel three times and prepares images as the ImageNet network
        was trained: BGR, 0 to 255, each channel's mean subtracted.

    Raises:
        ValueError: no such layer or weights.
        ConnectionError: the ImageNet weights are not in Keras's cache and cannot be fetched.

    Reference: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
    Recognition", ICLR 2015, configurations D and E. Derived in lesson 07.
    """
    check_choice("weights", weights, VGG_WEIGHTS)
    check_seed(seed)
    check_choice("depth of VGG", depth, (16, 19))
    vgg = _vgg(depth, weights)
    check_choice(f"layer of VGG{depth}", layer, [part.name for part in vgg.layers[1:]])
    features = keras.Model(vgg.input, vgg.get_layer(layer).output)
    if weights == "random":
        start = keras.initializers.HeNormal(seed)
        for part in features.layers:
            for kernel in part.weights[:1]:
                kernel.assign(start.clone()(kernel.shape))
    images = keras.Input((None, None, None))
    model = keras.Model(images, features(_Preprocessing()(images)), name=f"vgg{depth}_{layer}")
    model.trainable = False
    return model


def _vgg(depth: int, weights: str) -> keras.Model:
    vgg = keras.applications.VGG16 if depth == 16 else keras.applications.VGG19
    if weights == "random":
        return vgg(include_top=False, weights=None)
    try:
        return vgg(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises no narrower class
        told = f"VGG{depth}'s ImageNet weights are not in Keras's cache and cannot be fetched"
        cure = 'pass weights="random" for features that no photograph has shaped'
        raise ConnectionError(
            f"{told} ({error}). Connect to the network once, or {cure}"
        ) from error


@keras.saving.register_keras_serializable("srcnn_tf")
class _Preprocessing(keras.layers.Layer):
    """Turn luma or RGB in [0, 1] into what VGG16 and VGG19 were trained on."""

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
        layer: see `vgg_features`, as the next three.
        weights: "imagenet" or "random".
        seed: of the random weights.
        depth: 16 or 19, VGG's.
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
        depth: int = 16,
        name: str = "perceptual_loss",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        for part, weight in (("vgg_weight", vgg_weight), ("mse_weight", mse_weight)):
            check_number(part, weight, least=0)
        if not vgg_weight + mse_weight:
            raise ValueError("vgg_weight and mse_weight are 0: one must be above 0")
        self.vgg_weight, self.mse_weight = vgg_weight, mse_weight
        self.layer, self.weights, self.seed, self.depth = layer, weights, seed, depth
        self.features = vgg_features(layer, weights, seed, depth)

    def call(self, y_true, y_pred):
        """Return one value for each image: `[n, h, w, c]` twice to `[n]`."""
        pixels = ops.mean(ops.square(y_true - y_pred), axis=(1, 2, 3))
        distance = ops.square(self.features(y_true) - self.features(y_pred))
        return self.mse_weight * pixels + self.vgg_weight * ops.mean(distance, axis=(1, 2, 3))

    def get_config(self):
        names = ("vgg_weight", "mse_weight", "layer", "weights", "seed", "depth")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
