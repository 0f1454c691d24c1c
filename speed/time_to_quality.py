"""Minutes of training against Set5 PSNR: FSRCNN and SRCNN 9-1-5 at ×3, on T91 alone.

Each network trains twice at the same time, on one CPU core each: from the bicubic start and from
the paper's random start. Training sees T91 only; Set5 is scored afterwards, from the averaged
weights that were saved at each checkpoint. Progress is in `build/time_to_quality/*.log`.

    make curve
"""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt

from srcnn_tf import datasets
from srcnn_tf.metrics import Protocol, evaluate
from srcnn_tf.models import build
from srcnn_tf.pairs import evaluation_pairs
from srcnn_tf.pretrained import default_recipe
from srcnn_tf.probes import graph_function
from srcnn_tf.training import fit, split_validation, write_weights

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "time_to_quality"
SCALE = 3
# Minutes, and the Set5 PSNR that the paper states for a network trained on T91.
RUNS = {"fsrcnn": (10, 33.06), "srcnn-9-1-5": (10, 32.39)}
STARTS = ("bicubic", "random")


class Snapshots(keras.callbacks.Callback):
    """Save the averaged weights at each validation, under the seconds since the start."""

    def __init__(self, name: str, folder: Path):
        """Keep where to save to."""
        super().__init__()
        self.plain, self.folder = build(name, SCALE), folder

    def on_train_begin(self, logs=None):
        """Start the clock."""
        self.started = time.perf_counter()

    def on_test_end(self, logs=None):
        """Save."""
        seconds = time.perf_counter() - self.started
        self.plain.set_weights(self.model.get_weights())
        write_weights(self.folder / f"{seconds:07.1f}.weights.h5", self.plain)


def train(name: str, start: str) -> None:
    """Train on T91 for the run's minutes, with snapshots."""
    folder = FOLDER / f"{name}-{start}"
    folder.mkdir(parents=True)
    minutes, _ = RUNS[name]
    images = split_validation(datasets.load("t91"))
    recipe = default_recipe(name, SCALE, steps=None, minutes=minutes)
    fit(build(name, SCALE, start=start), *images, recipe, callbacks=[Snapshots(name, folder)])


def train_both(name: str) -> None:
    """Train from both starts, each in a process with one core of its own."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < len(STARTS):
        raise SystemExit(f"this benchmark needs {len(STARTS)} cores; there are {len(cores)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    processes = []
    for core, start in zip(cores, STARTS, strict=False):
        with (FOLDER / f"{name}-{start}.log").open("w") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, __file__, name, start],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}),
                )
            )
    if any([process.wait() for process in processes]):
        raise SystemExit(f"training failed; see the logs in {FOLDER}")


def score(name: str) -> list[dict]:
    """Score every snapshot on Set5."""
    pairs, rows = evaluation_pairs(datasets.load("set5"), SCALE), []
    model = build(name, SCALE)
    for start in STARTS:
        for path in sorted((FOLDER / f"{name}-{start}").glob("*.weights.h5")):
            model.load_weights(path)
            scores = evaluate(graph_function(model), pairs, Protocol(border=SCALE))
            seconds = float(path.name.removesuffix(".weights.h5"))
            rows.append(
                {"model": name, "start": start, "seconds": seconds, "psnr": round(scores.psnr, 3)}
            )
    return rows


def plot(rows: list[dict]) -> plt.Figure:
    """Draw a panel for each network: both starts, and the paper's figure."""
    figure, panels = plt.subplots(1, len(RUNS), figsize=(10, 4), layout="constrained")
    for axes, (name, (minutes, paper)) in zip(panels, RUNS.items(), strict=True):
        for start, colour in zip(STARTS, ("tab:blue", "tab:orange"), strict=True):
            part = [r for r in rows if (r["model"], r["start"]) == (name, start)]
            times = [r["seconds"] / 60 for r in part]
            axes.plot(times, [r["psnr"] for r in part], color=colour, label=f"{start} start")
        axes.axhline(paper, color="black", linestyle="--", linewidth=1)
        axes.text(minutes, paper, f"the paper, T91: {paper:.2f} dB ", ha="right", va="top")
        axes.set(title=f"{name} ×{SCALE}, T91 only", xlabel="minutes on one CPU core")
        axes.set(xlim=(0, minutes), ylim=(30, paper + 0.4))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("Set5 PSNR in dB")
    panels[0].legend(loc="lower right")
    return figure


def main() -> None:
    """Train, score, print the curves, and write them to `docs/`."""
    if len(sys.argv) == 3:
        train(sys.argv[1], sys.argv[2])
        return
    if FOLDER.exists():
        raise SystemExit(f"{FOLDER} holds an earlier measurement; remove it first")
    for name in RUNS:
        print(f"training {name}: {RUNS[name][0]} minutes", flush=True)
        train_both(name)
    rows = [row for name in RUNS for row in score(name)]
    for row in rows:
        print("{model:12} {start:8} {seconds:7.0f} s {psnr:6.2f} dB".format(**row))
    for name, (_, paper) in RUNS.items():
        for start in STARTS:
            part = [r for r in rows if (r["model"], r["start"]) == (name, start)]
            reached = [r["seconds"] for r in part if r["psnr"] >= paper]
            when = f"after {reached[0] / 60:.1f} minutes" if reached else "not reached"
            best = part[-1]["psnr"]
            print(f"{name}, {start} start: {best:.2f} dB at the end; {paper:.2f} dB {when}")
    path = ROOT / "docs" / "time_to_quality.csv"
    with path.with_suffix(".part").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    path.with_suffix(".part").replace(path)
    plot(rows).savefig(ROOT / "docs" / "images" / "time_to_quality.png", dpi=130)


if __name__ == "__main__":
    main()
