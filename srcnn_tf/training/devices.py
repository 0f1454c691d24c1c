"""On which devices, of one machine or of several, a network trains."""

import contextlib
import functools
import os
import zlib
from collections.abc import Iterator

import tensorflow as tf


class _Workers(tf.distribute.MultiWorkerMirroredStrategy):
    """The strategy as Keras 3 calls it: it reduces structures, and scalars over their first axis.

    https://github.com/keras-team/keras/issues/20585 tells of the errors without.
    """

    def reduce(self, reduce_op, value, axis):
        one, parts = super().reduce, self.experimental_local_results
        scalar = lambda part: parts(part)[0].shape.rank == 0  # noqa: E731
        inner = lambda part: one(reduce_op, part, None if scalar(part) else axis)  # noqa: E731
        return tf.nest.map_structure(inner, value)


@functools.cache
def strategy(one: bool = False) -> tf.distribute.Strategy:
    """Return a strategy for the machines of TF_CONFIG; else for all GPUs of this one, or its CPU.

    `fit` trains a model on the devices in whose scope it was built:

        with strategy().scope():
            model = build("fsrcnn", 3)

    With TF_CONFIG, call it first of all, in every worker; docs/machines.md shows how.

    Args:
        one: take one device where there is one machine.

    Raises:
        ValueError: TF_CONFIG names no cluster.
    """
    if "TF_CONFIG" in os.environ:
        try:
            return _Workers()
        except (ValueError, TypeError, LookupError) as error:
            raise ValueError(f"TF_CONFIG ({error}): see docs/machines.md") from error
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if one or len(devices) == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def mean_of_workers(strategy: tf.distribute.Strategy, numbers: list[float]) -> list[float]:
    """Return the mean over all machines of what each of them says."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return numbers
    mine = tf.constant(numbers, tf.float64)
    return strategy.reduce("MEAN", strategy.run(lambda: mine), axis=None).numpy().tolist()


def check_same(strategy: tf.distribute.Strategy, run: str) -> None:
    """Raise a ValueError unless all machines say the same of what they are about to do."""
    number = float(zlib.crc32(run.encode()))
    if mean_of_workers(strategy, [number]) != [number]:
        raise ValueError("the machines differ in command, data or folder: give all the same")


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Say what to do when another machine is lost, as a ConnectionError."""
    try:
        yield
    except tf.errors.OpError as error:
        if "TF_CONFIG" not in os.environ:
            raise
        told = f"another machine is lost ({error.message.splitlines()[0][:200]})"
        raise ConnectionError(f"{told}: start all of them again, with resume") from error
