"""Studies: one training against others that differ in one choice, each of them run only once.

An arm is a name, a recipe and a builder. `run` trains every arm with every seed on the same crops
and keeps what it measured in a folder; run again, it trains only what has changed.
"""

import ast
import hashlib
import inspect
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import keras
import numpy as np

from srcnn_tf import training
from srcnn_tf.environment import versions
from srcnn_tf.files import write_file
from srcnn_tf.probes import layers

_OUTCOME, _END = "outcome.json", "end.weights.h5"
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef
_FULL_RUN = Path(__file__).parent / "full_run.json"


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes:
        name: as tables and plots show it.
        recipe: how to train; `run` sets its seed.
        build: makes the network from a seed.
    """

    name: str
    recipe: training.Recipe
    build: Callable[[int], keras.Model]


@dataclass(frozen=True)
class Outcome:
    """What one arm did with one seed.

    Attributes:
        arm: the arm.
        seed: of its weights and its crops.
        history: of the run; up to the last whole epoch if it broke off.
        error: why it broke off, or None.
        folder: where its checkpoints are, or None if they were not kept.
    """

    arm: Arm
    seed: int
    history: training.History
    error: str | None
    folder: Path | None

    @property
    def psnr(self) -> float:
        """Validation PSNR at the end of the budget in dB; NaN for a run that broke off."""
        return float("nan") if self.error else self.history.psnr[-1]

    def model(self) -> keras.Model:
        """Build the network with the averaged weights of its last epoch, those that `psnr` scores.

        Raises:
            ValueError: the run broke off before its first epoch ended, or is one of `full_run`; its
                weights are damaged.
        """
        if not self.history.step or not self.folder:
            why = self.error or "of our full run, curves alone were kept"
            raise ValueError(f"{self.arm.name!r} has no weights to load: {why}")
        model = self.arm.build(self.seed)
        with training.reading(self.folder / _END) as path:
            model.load_weights(path)
        return model


def run(
    arms: Sequence[Arm],
    train_images: Sequence[np.ndarray],
    validation_images: Sequence[np.ndarray],
    folder: str | Path,
    seeds: Sequence[int] = (0,),
) -> list[Outcome]:
    """Train every arm with every seed, or read what an earlier call has kept of it.

    A run is trained again when its recipe, its network (architecture, first weights, regularisers),
    its images, the code that trains it, or a version of what it runs on has changed. An
    interrupted call goes on at its last epoch. A run whose loss becomes infinite or NaN is an
    outcome too, with its `error`.

    Args:
        arms: what to compare, names all different.
        train_images: see `training.fit`, as the next.
        validation_images: held-out training images, never test images.
        folder: where the runs are kept; made if it is not there.
        seeds: an arm is trained once with each.

    Returns:
        An outcome for each arm and seed, in the order of the arms.

    Raises:
        ValueError: no arms, two of one name, no seeds, or a bad one; a damaged file in the folder;
            see also `training.fit`.

    Derived in lesson 06.
    """
    names = [arm.name for arm in arms]
    if not names or not len(seeds):
        raise ValueError("a study needs at least one arm and one seed")
    if len(set(names)) < len(names):
        raise ValueError(f"two arms have one name: {', '.join(names)}")
    data = _digest([*train_images, *validation_images])
    jobs = [(arm, seed, replace(arm.recipe, seed=seed)) for arm in arms for seed in seeds]
    outcomes = []
    for number, (arm, seed, recipe) in enumerate(jobs, start=1):
        model = arm.build(seed)
        place = Path(folder) / _key(recipe, model, data)
        if not (place / _OUTCOME).exists():
            print(f"{number} of {len(jobs)}: {arm.name}, seed {seed}")
            error = None
            try:
                keep = _KeepEnd(arm.build(seed), place / _END)
                training.fit(model, train_images, validation_images, recipe, place, True, [keep])
            except FloatingPointError as problem:
                error = str(problem)
            write_file(place / _OUTCOME, json.dumps({"error": error}).encode(), overwrite=True)
        with training.reading(place / _OUTCOME) as path:
            error = json.loads(path.read_text())["error"]
        outcomes.append(Outcome(arm, seed, training.load_history(place), error, place))
    return outcomes


class _KeepEnd(keras.callbacks.Callback):
    """Save the averaged weights of each epoch over those of the epoch before."""

    def __init__(self, plain: keras.Model, path: Path):
        super().__init__()
        self.plain, self.path = plain, path

    def on_test_end(self, logs=None):
        self.plain.set_weights(self.model.get_weights())
        training.write_weights(self.path, self.plain)


def by_arm(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return the outcomes of each arm under its name, in their order."""
    names = dict.fromkeys(outcome.arm.name for outcome in outcomes)
    return {name: [o for o in outcomes if o.arm.name == name] for name in names}


def to_text(outcomes: Sequence[Outcome]) -> str:
    """Write a table with a line for each arm.

    A line has the mean over seeds of the PSNR at the end, its difference from the first arm, the
    smallest and largest difference between runs that share a seed (a dash where there is but one),
    the mean of the best epochs' PSNR, and seconds of training.

    Args:
        outcomes: what `run` returned, or a part of it.
    """
    groups = by_arm(outcomes)
    width = max(map(len, groups))
    lines = [f"{'':{width}}  PSNR dB  difference  seed by seed    best epoch  seconds"]
    first = {outcome.seed: outcome.psnr for outcome in next(iter(groups.values()))}
    for name, group in groups.items():
        if any(outcome.error for outcome in group):
            steps = ", ".join(str(o.history.step[-1] if o.history.step else 0) for o in group)
            lines.append(f"{name:{width}}  broke off after step {steps}")
            continue
        best = np.mean([max(outcome.history.psnr) for outcome in group])
        seconds = np.mean([outcome.history.seconds[-1] for outcome in group])
        score = np.mean([outcome.psnr for outcome in group])
        apart = [outcome.psnr - first.get(outcome.seed, np.nan) for outcome in group]
        spread = f"{min(apart):+.2f} to {max(apart):+.2f}" if len(apart) > 1 and any(apart) else "–"
        line = f"{name:{width}}  {score:7.2f}  {np.mean(apart):+10.2f}  {spread:14}"
        lines.append(f"{line}  {best:10.2f}  {seconds:7.0f}")
    return "\n".join(lines)


def to_json(about: str, outcomes: Sequence[Outcome]) -> str:
    """Write what outcomes measured, for `full_run` to read.

    Args:
        about: when they were trained, and on what.
        outcomes: what `run` returned; weights are left out.
    """
    rows = {
        name: [{"seed": o.seed, "error": o.error, "history": _rounded(o.history)} for o in group]
        for name, group in by_arm(outcomes).items()
    }
    return json.dumps({"about": about, "outcomes": rows}, ensure_ascii=False) + "\n"


def _rounded(history: training.History) -> dict[str, list[float]]:
    curves = {key: each for key, each in asdict(history).items() if isinstance(each, list)}
    return {key: [float(f"{v:.5g}") for v in each] for key, each in curves.items()}


def full_run(arms: Sequence[Arm]) -> tuple[str, list[Outcome]]:
    """Return what our own full run of lesson 06 measured of these arms.

    Returns:
        When it was and on what, and an outcome for each arm that it trained and each seed.
    """
    stored = json.loads(_FULL_RUN.read_text(encoding="utf-8"))
    return stored["about"], [
        Outcome(arm, row["seed"], training.History(**row["history"]), row["error"], None)
        for arm in arms
        for row in stored["outcomes"].get(arm.name, ())
    ]


def _key(recipe: training.Recipe, model: keras.Model, data: str) -> str:
    """Return a name for everything that decides what a run measures."""
    network = model.to_json()
    names = dict.fromkeys(re.findall(r'"name": ("[^"]+")', network))
    for number, name in enumerate(names):  # Keras counts on in the names that it makes up
        network = network.replace(name, str(number))
    held = [[v.trainable, getattr(v.regularizer, "get_config", dict)()] for v in model.variables]
    sources = [_source(thing) for thing in (recipe.loss, *dict(layers(model)).values())]
    about = [training.recipe_as_json(recipe), network, held, _digest(model.get_weights()), data]
    about += [versions(), sources, training_code(Path(__file__).parent)]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


@cache
def training_code(package: Path) -> str:
    """Return a digest of the code that decides what a run measures.

    That is training, layers and losses with all of ours that they import. Comments and docstrings
    decide nothing, nor do builders, whose networks are looked at themselves.

    Args:
        package: the folder of the library.
    """
    trees, waiting = {}, ["training", "layers", "losses"]
    while waiting:
        path = package / waiting.pop().replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file in trees or not file.is_file():
            continue
        trees[file] = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(trees[file]):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("srcnn_tf."):
                module = str(node.module).removeprefix("srcnn_tf.")
                waiting += [module, *(f"{module}.{name.name}" for name in node.names)]
            elif isinstance(node, _DOCUMENTED) and ast.get_docstring(node):
                del node.body[0]
    code = [f"{file.relative_to(package)} {ast.dump(trees[file])}" for file in sorted(trees)]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def _source(thing: object) -> str:
    """Return the source of a loss or layer that is neither Keras's nor ours: a notebook's own."""
    kind = thing if inspect.isroutine(thing) else type(thing)
    if kind.__module__.partition(".")[0] in ("builtins", "keras", "srcnn_tf"):
        return ""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed into a bare interpreter
        return ""


def _digest(arrays: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
