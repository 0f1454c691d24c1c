"""Training against a discriminator: a `keras.Model` of two players, which `fit` trains as any.

fit(Adversarial(generator, discriminator()), images, held_out, Recipe(loss=content_loss()))
"""

import keras
import tensorflow as tf
from keras import ops

from srcnn_tf.losses import PerceptualLoss
from srcnn_tf.metrics import Detail, Protocol
from srcnn_tf.ranges import check_number

_SURE = 0.01  # D this close to 0 or 1, on average over an epoch, doubts no more


def content_loss(layer: str = "block5_conv4", mse_weight: float = 0.0) -> keras.losses.Loss | str:
    """Return SRGAN's content loss, or that of its variant SRGAN-MSE where VGG19 is out of reach.

    Args:
        layer: of VGG19; "block5_conv4" and "block2_conv2" are the paper's φ5,4 and φ2,2.
        mse_weight: of the pixels' squared error, beside that of the features.

    Returns:
        0.006 times the mean squared error of the features: the paper divides them by 12.75, and the
        error thereby by 12.75². Or "mse", and a line that says why.

    Raises:
        ValueError: see `losses.PerceptualLoss`.
    """
    try:
        return PerceptualLoss(1 / 12.75**2, mse_weight, layer, depth=19)
    except ConnectionError as error:
        print(f"{error}. The content loss is the pixels' alone: the paper's SRGAN-MSE.")
        return "mse"


class Adversarial(keras.Model):
    """A generator that learns to pass for real, and a discriminator D that learns to tell.

    The generator minimises the content loss, the one that it is compiled with, plus λ times
    -log D(SR); the discriminator minimises -log D(HR) - log(1 - D(SR)), by Adam at the generator's
    learning rate. Both step after each batch, from the same outputs.

    To `fit`, `get_weights` and all else it is the generator, but that the discriminator and its
    optimizer are saved with it. It logs `curves`, of which `History.adversarial` is made.

    Args:
        generator: maps `[n, h, w, c]` to `[n, s·h, s·w, c]`; it learns in place.
        discriminator: maps crops `[n, s·h, s·w, c]` to logits `[n, 1]`; it learns in place.
        weight: λ, of the adversarial loss.

    Raises:
        ValueError: a weight below 0; several devices.

    Reference: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative
    Adversarial Network", CVPR 2017, section 2.2.
    """

    curves = ("content", "adversarial", "discriminator", "d_hr", "d_sr", "val_detail")
    discriminator: keras.Model

    def __init__(self, generator: keras.Model, discriminator: keras.Model, weight: float = 1e-3):
        super().__init__(generator.inputs[0], generator.outputs[0], name=generator.name)
        check_number("weight", weight, least=0)
        if self.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError("two players train on one device: build them outside of a strategy")
        self.weight, self.about = weight, {"adversarial_weight": weight}
        self.means = {name: keras.metrics.Mean(name) for name in self.curves[:-1]}
        # Keras saves it too; past Keras's setter, its weights are not taken for the generator's.
        self.__dict__["discriminator"] = discriminator

    def compile(self, *args, metrics=(), **options):
        super().compile(*args, metrics=[*metrics, Detail(Protocol(border=0))], **options)
        self.discriminator_optimizer = keras.optimizers.Adam()
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def fit(self, *args, callbacks=(), **options):
        return super().fit(*args, callbacks=[*callbacks, _Balance()], **options)

    def train_step(self, data):
        lr_images, hr_images = data[:2]
        with tf.GradientTape(persistent=True) as tape:
            sr_images = self(lr_images, training=True)
            on_hr = self.discriminator(hr_images, training=True)
            on_sr = self.discriminator(sr_images, training=True)
            content = self.compute_loss(lr_images, hr_images, sr_images)
            adversarial = ops.mean(ops.softplus(-on_sr))
            loss = content + self.weight * adversarial
            telling = ops.mean(ops.softplus(-on_hr)) + ops.mean(ops.softplus(on_sr))
        self.discriminator_optimizer.learning_rate.assign(self.optimizer.learning_rate)
        for player, optimizer, minimised in (
            (self, self.optimizer, loss),
            (self.discriminator, self.discriminator_optimizer, telling),
        ):
            variables = player.trainable_variables
            optimizer.apply(tape.gradient(minimised, variables), variables)
        found = (loss, content, adversarial, telling, ops.sigmoid(on_hr), ops.sigmoid(on_sr))
        values = dict(zip(("loss", *self.means), found, strict=True))
        for metric in self.metrics:
            if metric.name in values:
                metric.update_state(values[metric.name])
        return self.compute_metrics(lr_images, hr_images, sr_images)

    def test_step(self, data):
        logs = super().test_step(data)
        return {name: value for name, value in logs.items() if name not in self.means}


class _Balance(keras.callbacks.Callback):
    """Say so when the discriminator has stopped doubting for a whole epoch."""

    told = False

    def on_epoch_end(self, epoch, logs=None):
        means = {"D(HR)": logs["d_hr"], "D(SR)": logs["d_sr"]}
        sure = [f"{name} is {p:.3f}" for name, p in means.items() if not _SURE < p < 1 - _SURE]
        if sure and not self.told:
            print(
                f"\nepoch {epoch + 1}: {' and '.join(sure)}: D no longer doubts, and little can be "
                "learnt from it. Try a lower learning rate, or a smaller discriminator"
            )
        self.told = bool(sure)
