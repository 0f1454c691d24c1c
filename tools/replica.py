"""Test the package in another environment: `make test-colab` and `make test-oldest`.

colab: among Colab's own packages, as constraints-colab.txt has them. The setup cell of the lessons
installs HEAD there and may change nothing else; then come the tests, and lessons 01 to 03 as Colab
saves them. oldest: the tests, among the oldest packages that pyproject.toml allows.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import stamp
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = ROOT / "constraints-colab.txt"
BESIDE = ("simplejpeg",)  # what the library needs and Colab lacks
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
RUN_LESSONS = """
import pathlib, run_lessons, sys
folder = pathlib.Path(sys.argv.pop(1))
sys.exit(run_lessons.main(folder=folder, build=folder))
"""


def colab(folder: Path) -> None:
    """Install HEAD among Colab's packages as a lesson does; run the tests and three lessons there.

    Raises:
        ValueError: there is no interpreter for it, or an installation changed what it should not.
    """
    (day,) = re.findall(r"\d{4}-\d\d-\d\d", CONSTRAINTS.read_text())
    # An override holds against what packages ask of each other, which Colab's own do not all get.
    pins = ["--override", CONSTRAINTS, "--exclude-newer", day]
    python = create(folder, ["3.13", "3.12", "3.11"], *pins, "-r", CONSTRAINTS)
    before, start = freeze(python), time.monotonic()
    run_setup_cell(python)
    seconds, after = time.monotonic() - start, freeze(python)
    added = sorted(re.split(" @ |==", line)[0] for line in after - before)
    wanted = sorted([PROJECT["name"], *BESIDE])
    if before - after or added != wanted:
        changed = ", ".join(sorted(before ^ after)) or "nothing"
        raise ValueError(f"the setup cell should add {', '.join(wanted)}; it changed {changed}")
    print(f"The setup cell added {', '.join(added)} in {seconds:.0f} s, nothing else.", flush=True)
    # What only tests and the runner need, and Colab lacks in part.
    install(python, *pins, "papermill", "latex2mathml", *PROJECT["optional-dependencies"]["dev"])
    if moved := after - freeze(python):
        raise ValueError(f"the tools of the tests replaced {', '.join(sorted(moved))}")
    # Safe path: what is imported is the installed package, not the working tree's.
    run(python, "-m", "pytest", "tests", PYTHONSAFEPATH="1")
    saves = ROOT / "build" / "colab"
    saves.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "notebooks" / "lessons.toml", saves)
    for lesson in LESSONS:
        notebook = as_saved_by_colab(json.loads(lesson.read_text(encoding="utf-8")))
        (saves / lesson.name).write_text(json.dumps(notebook), encoding="utf-8")
    wanted = [f"--lesson={number}" for number in ("01", "02", "03")]
    run(python, "-c", RUN_LESSONS, saves, *wanted, PYTHONPATH="tools", PYTHONSAFEPATH="1")


def oldest(folder: Path) -> None:
    """Run the tests among the oldest packages that pyproject.toml allows.

    Raises:
        ValueError: there is no interpreter that these packages were made for.
    """
    oldest_of_all = ["--resolution", "lowest-direct", "--editable", ".[course,dev,instructor]"]
    python = create(folder, ["3.11", "3.12"], *oldest_of_all)
    run(python, "-m", "pytest")


def create(folder: Path, versions: Sequence[str], *requirements: str | Path) -> Path:
    """Build an environment anew, say what is in it, and return its interpreter."""
    base, version = find_python(versions)
    if version != versions[0]:
        print(f"No Python {versions[0]} here: going on with {version}.", flush=True)
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--clear", "--python", base, folder)
    python = folder / "bin" / "python"
    print(f"Installing into {folder.name}: a few minutes the first time.", flush=True)
    install(python, *requirements)
    ours = tuple(f"{Requirement(text).name}==" for text in PROJECT["dependencies"])
    packages = [line for line in sorted(freeze(python)) if line.startswith(ours)]
    print(f"{folder.name}: python=={version} {' '.join(packages)}", flush=True)
    return python


def find_python(versions: Sequence[str]) -> tuple[str, str]:
    """Return path and version of the first interpreter there is, in the order of the versions.

    Raises:
        ValueError: there is none, or the one that the variable PYTHON names is of no such version.
    """
    given = os.environ.get("PYTHON")
    ask = "import sys; print(sys.executable, '%d.%d' % sys.version_info[:2], sep='\\n')"
    for version in versions:
        for name in [given] if given else [f"python{version}", "python3", sys.executable]:
            pyenv = {"PYENV_VERSION": version}  # without it, pyenv hides what is not chosen
            try:
                answer = subprocess.run(
                    [name, "-c", ask], capture_output=True, text=True, env=os.environ | pyenv
                )
            except OSError:
                continue
            if answer.stdout.endswith(f"\n{version}\n"):
                return answer.stdout.splitlines()[0], version
    raise ValueError(
        f"this needs Python {' or '.join(versions)}, and there is none "
        f"{f'at {given}' if given else 'on your PATH'}: name one by PYTHON=/path/to/python"
    )


def install(python: Path, *requirements: str | Path) -> None:
    """Install into an environment."""
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    run(*uv, *requirements)


def freeze(python: Path) -> set[str]:
    """Return the packages of an environment with their versions."""
    uv = [sys.executable, "-m", "uv", "pip", "freeze", "--quiet", "--python", python]
    return set(subprocess.run(uv, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n"))


def run_setup_cell(python: Path) -> None:
    """Run the setup cell of a lesson in IPython as in Colab, its address leading to HEAD here."""
    count = int(os.environ.get("GIT_CONFIG_COUNT", 0))
    git = {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"url.{ROOT.as_uri()}.insteadOf",
        f"GIT_CONFIG_VALUE_{count}": f"https://github.com/{stamp.repository(ROOT)}",
    }
    with tempfile.TemporaryDirectory() as temporary:
        colab_module = Path(temporary, "google", "colab.py")
        colab_module.parent.mkdir()
        colab_module.touch()
        script = Path(temporary, "setup.ipy")
        script.write_text(f"import google.colab\n{setup_cell(LESSONS[0])}\n")
        ipython = [python, "-m", "IPython", "--no-term-title"]
        run(*ipython, script, PYTHONPATH=temporary, IPYTHONDIR=temporary, **git)


def setup_cell(lesson: Path) -> str:
    """Return the source of the cell that installs the package in Colab."""
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    sources = ("".join(cell["source"]) for cell in cells)
    (source,) = (source for source in sources if "--no-deps git+" in source)
    return source


def as_saved_by_colab(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook as Colab saves it: format 4.0, cells without ids, metadata of its own."""
    cells = []
    for cell in notebook["cells"]:
        identity = {"id": cell["id"]}
        if cell["cell_type"] == "code":
            identity |= {"outputId": f"{cell['id']}-output", "colab": {"height": 34}}
        cell = cell | {"metadata": cell["metadata"] | identity}
        del cell["id"]
        cells.append(cell)
    bar = {"0a1b": {"model_module": "@jupyter-widgets/controls", "model_name": "HBoxModel"}}
    metadata = {
        "colab": {"provenance": [], "gpuType": "T4"},
        "accelerator": "GPU",
        # Colab leaves out the level "state" that Jupyter has between type and widgets.
        "widgets": {"application/vnd.jupyter.widget-state+json": bar},
    }
    return notebook | {
        "nbformat_minor": 0,
        "metadata": notebook["metadata"] | metadata,
        "cells": cells,
    }


def run(*command: str | Path, **environment: str) -> None:
    """Run a command at the repository's root, with these variables besides those there are."""
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Build the environment asked for in the repository's root, and run what belongs to it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    replicas = {"colab": colab, "oldest": oldest}
    parser.add_argument("replica", choices=replicas)
    name = parser.parse_args(argv).replica
    try:
        replicas[name](ROOT / f".venv-{name}")
    except ValueError as error:
        parser.exit(2, f"make test-{name}: {error}\n")
    except subprocess.CalledProcessError as error:
        failed = shlex.join(map(str, error.cmd))
        parser.exit(1, f"make test-{name}: this failed, as said above: {failed}\n")


if __name__ == "__main__":
    main()
