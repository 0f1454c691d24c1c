"""Image super-resolution with Keras: the library behind the lessons in `notebooks/`."""

from importlib import import_module

_MODULES = {"load_pretrained": "srcnn_tf.pretrained", "upscale": "srcnn_tf.upscaling"}
__all__ = ["load_pretrained", "upscale"]


def __getattr__(name: str):
    """Import TensorFlow when it is first needed: `python -m srcnn_tf --help` does not."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
