"""Image super-resolution with Keras: the library behind the lessons in `notebooks/`."""

import os
import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import wrapt

if TYPE_CHECKING:
    from srcnn_tf.pretrained import load_pretrained
    from srcnn_tf.upscaling import upscale

__all__ = ["load_pretrained", "upscale"]

_MODULES = {"load_pretrained": "srcnn_tf.pretrained", "upscale": "srcnn_tf.upscaling"}


def __getattr__(name: str) -> object:
    """Import TensorFlow when it is first needed: `python -m srcnn_tf --help` does not."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if "keras" not in sys.modules:  # else Keras would look for what its settings name, such as JAX
    os.environ["KERAS_BACKEND"] = "tensorflow"


@wrapt.when_imported("keras")
def _register(keras: ModuleType) -> None:
    """Make our classes known to Keras: now if it is loaded, else as soon as it is.

    `keras.saving.load_model` then reads models that hold them. The four modules import nothing of
    ours that imports Keras: one that is half loaded itself could not be imported here.

    Raises:
        ImportError: Keras runs on another backend.
    """
    if keras.config.backend() != "tensorflow":
        told = f"srcnn_tf needs Keras on TensorFlow, and it runs on {keras.config.backend()}"
        cure = "set KERAS_BACKEND to tensorflow, or import srcnn_tf first, and start Python anew"
        raise ImportError(f"{told}: {cure}")
    if keras.config.image_data_format() != "channels_last":
        told = f"Keras was set to {keras.config.image_data_format()}; srcnn_tf, whose images are"
        warnings.warn(f"{told} [h, w, c], has set it to channels_last", stacklevel=2)
        keras.config.set_image_data_format("channels_last")
    for name in ("layers", "losses", "metrics", "optimizers"):
        import_module(f"srcnn_tf.{name}")
