"""On which devices a network trains."""

import tensorflow as tf


def strategy() -> tf.distribute.Strategy:
    """Return a strategy for all GPUs of this machine, or for its one device.

    `fit` trains a model on the devices in whose scope it was built:

        with strategy().scope():
            model = build("fsrcnn", 3)
    """
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy([device.name for device in devices])
