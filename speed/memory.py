"""Peak memory and seconds of `upscale` for a photograph of 4000×3000 pixels at ×3.

make speed
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from srcnn_tf import datasets
from srcnn_tf.environment import cores
from srcnn_tf.images import resize, write_image

WIDTH, HEIGHT, SCALE, MODEL = 4000, 3000, 3, "fsrcnn"


def main() -> None:
    """Run the command in a process of its own, and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        large, larger = Path(folder) / "photograph.png", Path(folder) / "larger.png"
        write_image(large, resize(datasets.load("samples", "test")[0], (HEIGHT, WIDTH)))
        command = ["upscale", large, larger, "--scale", str(SCALE), "--model", MODEL]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "srcnn_tf", *command], check=True, env=os.environ)
        seconds = time.perf_counter() - start
    kilobytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(
        f"{WIDTH}×{HEIGHT} ×{SCALE} through {MODEL}, {cores()} cores: "
        f"{kilobytes * 1024 / 1e9:.2f} GB at its peak, {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
