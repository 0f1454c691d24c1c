"""Write the repository's address from pyproject.toml into lessons and pages: `make stamp`.

The address stands in three forms: a Colab link, `git+https://…` of the setup cell, and `git clone`.
In a lesson, the Open in Colab badge leads to the lesson itself.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORMS = re.compile(
    r"(colab\.research\.google\.com/github/|git\+https://github\.com/|git clone https://github\.com/)"
    r"[\w.-]+/[\w.-]*[\w-]"
)
BADGE = re.compile(r"(colab-badge\.svg\)\]\([^)\s]+/blob/main/)[^)\s]+")


def repository(root: Path) -> str:
    """Return OWNER/NAME, from the Repository address in pyproject.toml."""
    address = tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]*[\w-])", address)
    if not match:
        raise ValueError(f"Repository should be https://github.com/OWNER/NAME, not {address}")
    return match[1]


def stamped_files(root: Path) -> list[Path]:
    """Return the files that carry the address: all notebooks, and the pages at the root."""
    files = [*root.glob("notebooks/**/*.ipynb"), *root.glob("*.md")]
    return sorted(file for file in files if ".ipynb_checkpoints" not in file.parts)


def stamp(text: str, owner_name: str, path: str) -> str:
    """Return a file's text with the address in it; its path is where a lesson's badge leads."""
    text = FORMS.sub(rf"\g<1>{owner_name}", text)
    return BADGE.sub(rf"\g<1>{path}", text) if path.endswith(".ipynb") else text


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Stamp the files below a folder, or with --check name those that disagree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; name what disagrees")
    check = parser.parse_args(argv).check
    owner_name = repository(root)
    status = 0
    for file in stamped_files(root):
        name = file.relative_to(root).as_posix()
        # A learner opens the exercise, not its solution.
        path = name.replace("/solutions/", "/exercises/")
        text = file.read_text(encoding="utf-8")
        new = stamp(text, owner_name, path)
        if new == text:
            continue
        if check:
            print(f"{name}: another address than pyproject.toml's; run make stamp")
            status = 1
        else:
            file.write_text(new, encoding="utf-8")
            print(f"{name}: stamped")
    return status


if __name__ == "__main__":
    sys.exit(main())
