"""Networks with trained weights: those of the package, and those that `making.train` wrote.

Weights lie in a file `MODEL-xSCALE.weights.h5` (`MODEL-x234` for one set of weights that serves
three scales), each beside a card, `MODEL-xSCALE.json`, that says how it was made.
"""

import json
from pathlib import Path

import keras

from srcnn_tf.models import build
from srcnn_tf.networks import find, networks
from srcnn_tf.pairs.degradation import DegradationSpace
from srcnn_tf.probes import scale_of
from srcnn_tf.scales import check_scale
from srcnn_tf.training.recipe import Recipe

_SHIPPED = Path(__file__).parent / "weights"
_SUFFIX = ".weights.h5"


def available() -> list[tuple[str, int]]:
    """Return (model, scale) of every set of shipped weights that is there, sorted."""
    return sorted((name, scale) for name in networks() for scale in trained_scales(name))


def trained_scales(name: str | Path) -> list[int]:
    """Return the scales at which `load_pretrained` finds weights; takes and raises what it does."""
    return list(_weights(name))


def load_pretrained(name: str | Path, scale: int | None = None) -> keras.Model:
    """Load a network with the weights that this course, or you, trained.

    Args:
        name: a network of the table (`networks.toml`), such as "fsrcnn"; or the folder that `train`
            wrote into, or a `.weights.h5` file in it; or a `.keras` file.
        scale: 2, 3 or 4; None where there is one only.

    Returns:
        A built model from `[n, h, w, c]` to `[n, s·h, s·w, c]`, float32 in [0, 1]. c is 1, for
        luma, in shipped networks.

    Raises:
        ValueError: no weights at this scale; a file is damaged, or not what its card says.
        FileNotFoundError: no network, file or folder of this name; a card is missing.

    Used from lesson 04 on.
    """
    path, scale = _find(name, scale)
    if path.suffix == ".keras":
        return _load_keras(path)
    about = _card(path)
    model = build(about["model"], scale, channels=about.get("channels", 1))
    try:
        model.load_weights(path)
    except Exception as error:  # those of Keras and HDF5 are of many types
        told = f"{path} does not hold the weights of {about['model']} ×{scale}, as its card says"
        raise ValueError(f"{told} ({str(error).splitlines()[0]})") from error
    return model


def card(name: str | Path, scale: int | None = None) -> dict:
    """Return the card of a set of weights: data, recipe, versions, validation score.

    Takes and raises what `load_pretrained` does; `.keras` files have no cards.
    """
    return _card(_find(name, scale)[0])


def _find(name: str | Path, scale: int | None) -> tuple[Path, int]:
    there = _weights(name)
    if scale is None and len(there) == 1:
        (scale,) = there
    if not there:
        raise ValueError(f"{name} comes without weights: `train` makes some, see --help")
    if scale not in there:
        known = ", ".join(f"×{scale}" for scale in there)
        told = f"no weights for scale {scale}" if scale else "several scales"
        raise ValueError(f"{name} has {told}: choose one of {known}")
    return there[scale], scale


def _weights(name: str | Path) -> dict[int, Path]:
    """Return the file of a network's weights at each scale that there is."""
    if name in networks():
        own = find(str(name)).floors
        files = {scale: _SHIPPED / f"{stem(str(name), scale)}{_SUFFIX}" for scale in own}
        return {scale: file for scale, file in files.items() if file.is_file()}
    place = Path(name)
    if not place.exists():
        known = ", ".join(networks())
        raise FileNotFoundError(f"there is no network, file or folder {name}; networks are {known}")
    if place.suffix == ".keras":
        return {scale_of(_load_keras(place)): place}
    there: dict[int, Path] = {}
    for file in sorted(place.glob(f"*{_SUFFIX}")) if place.is_dir() else [place]:
        for scale in _scales(_card(file)):
            if scale in there:
                raise ValueError(f"{there[scale]} and {file} are both for ×{scale}: name one")
            there[scale] = file
    if not there:
        raise FileNotFoundError(f"{place} holds no weights that `train` wrote, *{_SUFFIX}")
    return there


def _card(weights: Path) -> dict:
    if not weights.name.endswith(_SUFFIX):
        raise ValueError(f"{weights} is neither a {_SUFFIX} nor a .keras file")
    path = weights.with_name(weights.name.removesuffix(_SUFFIX) + ".json")
    if not path.is_file():
        told = f"{weights} has no card {path.name} beside it, which says what network it is"
        raise FileNotFoundError(f"{told}: keep the two files together")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        find(about["model"])
        for scale in _scales(about):
            check_scale(scale)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no card that `train` wrote: {error}") from error
    return about


def _scales(about: dict) -> list[int]:
    return about["recipe"].get("scales") or [about["scale"]]


def _load_keras(path: Path) -> keras.Model:
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # those of Keras are of many types
        raise ValueError(f"{path} is no Keras model ({str(error).splitlines()[0]})") from error
    scale_of(model)
    if model.input_shape[-1] not in (1, 3):
        raise ValueError(f"{path} takes {model.input_shape[-1]} channels: it must take 1 or 3")
    return model


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
    if isinstance(fields.get("degradation"), dict):
        fields["degradation"] = DegradationSpace(**fields["degradation"])
    return Recipe(**fields)
