"""Image super-resolution with Keras: the library behind the lessons in `notebooks/`."""

from importlib import import_module
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


@wrapt.when_imported("keras")
def _register(keras: object) -> None:
    """Make our classes known to Keras: now if it is loaded, else as soon as it is.

    `keras.saving.load_model` then reads models that hold them. The four modules import nothing of
    ours that imports Keras: one that is half loaded itself could not be imported here.
    """
    for name in ("layers", "losses", "metrics", "optimizers"):
        import_module(f"srcnn_tf.{name}")
