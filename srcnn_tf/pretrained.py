"""The shipped weights: which there are, how to load them, their cards and their recipes.

Weights lie in `weights/` as `MODEL-xSCALE.weights.h5` (`MODEL-x234` for one set of weights that
serves three scales), each beside a card, `MODEL-xSCALE.json`, that says how it was made.
`making.train` makes both.
"""

import json
from importlib.resources import as_file, files

import keras

from srcnn_tf.models import build
from srcnn_tf.networks import find, shipped
from srcnn_tf.training.recipe import Recipe

_WEIGHTS = files("srcnn_tf") / "weights"


def available() -> list[tuple[str, int]]:
    """Return (model, scale) of every set of weights that is there, sorted."""
    return sorted(
        (name, scale)
        for name, scale in shipped()
        if (_WEIGHTS / f"{stem(name, scale)}.weights.h5").is_file()
    )


def load_pretrained(name: str, scale: int) -> keras.Model:
    """Load a network of the papers with the weights that this course trained.

    Args:
        name: a network of the table (`networks.toml`), such as "fsrcnn".
        scale: 2, 3 or 4.

    Returns:
        A built model from luma `[n, h, w, 1]` to luma `[n, s·h, s·w, 1]`, float32 in [0, 1].

    Raises:
        ValueError: no such weights; the message lists what there is.

    Used from lesson 04 on.
    """
    _check_available(name, scale)
    model = build(name, scale)
    with as_file(_WEIGHTS / f"{stem(name, scale)}.weights.h5") as path:
        model.load_weights(path)
    return model


def card(name: str, scale: int) -> dict:
    """Return the card of a set of shipped weights: data, recipe, versions, scores.

    Raises:
        ValueError: no such weights; the message lists what there is.
    """
    _check_available(name, scale)
    return json.loads((_WEIGHTS / f"{stem(name, scale)}.json").read_text())


def _check_available(name: str, scale: int) -> None:
    if (name, scale) not in available():
        there_are = ", ".join(f"{name} ×{scale}" for name, scale in available())
        raise ValueError(f"there are no weights for {name!r} ×{scale!r}; there are {there_are}")


def stem(name: str, scale: int) -> str:
    """Return what the files of a network's weights and card begin with; scales may share them."""
    scales = find(name).recipes.get(scale, {}).get("scales", [scale])
    return f"{name}-x{''.join(map(str, scales))}"


def default_recipe(name: str, scale: int, **settings) -> Recipe:
    """Return the recipe of the shipped weights, from `networks.toml`.

    Args:
        name: a network of the table.
        scale: 2, 3 or 4.
        **settings: fields of `Recipe` to set otherwise, such as `steps`; `minutes` takes the place
            of the steps.

    Raises:
        ValueError: unknown name, or no recipe at this scale.

    Lesson 06 compares it with others.
    """
    fields = find(name).recipe(scale) | settings
    if fields.get("minutes") is not None and "steps" not in settings:
        fields["steps"] = None
    return Recipe(**fields)
