"""The table of networks, `networks.toml`: how each is built and trained, and what it must reach.

Reading it takes neither TensorFlow nor Keras.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from srcnn_tf.ranges import check_choice
from srcnn_tf.scales import SCALES


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of the table.

    Attributes:
        name: as the command line and the weights' files call it.
        builder: the function of `models` that builds it.
        arguments: what that function is called with.
        channels: 1 for luma, 3 for RGB, where none are asked for.
        parameters: trainable numbers of the network, as its paper has them with biases and slopes.
        data: the image sets that it trains on.
        recipes: scale to the fields of its `training.Recipe`.
        floors: scale to image set to the PSNR in dB, on luma under the protocol, that its shipped
            weights must reach; scales without are not shipped.
        unreached: scale to the sets whose floor the weights fall short of, known and told.
    """

    name: str
    builder: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    channels: int = 1
    parameters: int
    data: tuple[str, ...]
    recipes: Mapping[int, Mapping[str, Any]]
    floors: Mapping[int, Mapping[str, float]]
    unreached: Mapping[int, tuple[str, ...]]

    def recipe(self, scale: int) -> dict[str, Any]:
        """Return the fields of the network's recipe at a scale.

        Raises:
            ValueError: the table has none.
        """
        if scale not in self.recipes:
            known = ", ".join(f"×{scale}" for scale in self.recipes) or "none"
            cure = f"add [networks.{self.name}.x{scale}] to networks.toml"
            raise ValueError(f"{self.name} has no recipe for ×{scale}, only for {known}: {cure}")
        return dict(self.recipes[scale])


def _table() -> dict:
    return tomllib.loads((files("srcnn_tf") / "networks.toml").read_text(encoding="utf-8"))


@cache
def networks() -> dict[str, Network]:
    """Return the table by name, in its order."""
    table = _table()
    return {name: _network(name, entry, table) for name, entry in table["networks"].items()}


def default_network() -> str:
    """Return the name of the network that `upscale` takes where none is named."""
    return _table()["default"]


def find(name: str) -> Network:
    """Return a network by its name.

    Raises:
        ValueError: unknown name; the message lists what there is.
    """
    check_choice("model", name, networks())
    return networks()[name]


def shipped() -> list[tuple[str, int]]:
    """Return (name, scale) of every set of weights that belongs to the package, in order."""
    return [(network.name, scale) for network in networks().values() for scale in network.floors]


def _network(name: str, entry: dict, table: dict) -> Network:
    scales = {scale: entry.pop(f"x{scale}") for scale in SCALES if f"x{scale}" in entry}
    common = table["recipe"] | entry.pop("recipe", {})
    data = tuple(entry.pop("data", table["data"]))
    return Network(
        **entry,
        name=name,
        data=data,
        recipes={s: common | part["recipe"] for s, part in scales.items() if "recipe" in part},
        floors={s: part["floors"] for s, part in scales.items() if "floors" in part},
        unreached={s: tuple(part.get("unreached", ())) for s, part in scales.items()},
    )
