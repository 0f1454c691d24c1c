"""Train every network that is shipped into build/weights: `make weights`.

A run that was stopped goes on where it was; one that has ended is left as it is.
"""

import subprocess
import sys
from pathlib import Path

from srcnn_tf.networks import find, shipped

ROOT = Path(__file__).resolve().parent.parent


def command(name: str, scale: int) -> list[str]:
    """Return the words after `python -m srcnn_tf` that train a network of the table."""
    network = find(name)
    steps, data = str(network.recipe(scale)["steps"]), "+".join(network.data)
    return ["train", name, "--scale", str(scale), "--steps", steps, "--data", data]


def main() -> int:
    """Train one after the other; stop at the first that fails."""
    for name, scale in shipped():
        words = [*command(name, scale), "--out", str(ROOT / "build" / "weights"), "--resume"]
        status = subprocess.run([sys.executable, "-m", "srcnn_tf", *words]).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
