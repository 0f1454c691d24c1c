"""Draw the README's figure of PSNR against parameters, published and ours: `make results`."""

import csv
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import readme_table
from matplotlib.figure import Figure

from srcnn_tf.scales import SCALES

README = readme_table.ROOT / "README.md"
OUT = readme_table.ROOT / "docs" / "images" / "psnr_and_parameters.png"
SET = "set5"


def count(text: str) -> int:
    """Return a number of parameters, which papers also write as 665k."""
    return int(text[:-1]) * 1000 if text.endswith("k") else int(text)


def ours(readme: str, scale: int) -> dict[str, tuple[int, float]]:
    """Return parameters and PSNR of every network in the README's table at a scale."""
    lines = readme_table.BLOCK.search(readme)[0].splitlines()[3:-1]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    sizes = {row[0]: row[2].replace(",", "") for row in cells if row[2]}
    scores = readme_table.scores(readme)
    found = {name: scores.get((name, scale, SET)) for name in sizes}
    return {name: (int(sizes[name]), score.psnr) for name, score in found.items() if score}


def published(scale: int) -> dict[str, tuple[int, float]]:
    """Return parameters and highest published PSNR of every method whose parameters are known."""
    with (files("srcnn_tf") / "published.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["params"]]
    rows = [row for row in rows if (row["test_set"], row["scale"]) == (SET, str(scale))]
    rows.sort(key=lambda row: float(row["psnr_y"]))  # of several figures the highest stays
    return {row["method"]: (count(row["params"]), float(row["psnr_y"])) for row in rows}


def draw(readme: str) -> Figure:
    """Draw a panel for each scale, one below the other."""
    figure, panels = plt.subplots(3, 1, figsize=(6, 9), sharex=True, layout="constrained")
    for axes, scale in zip(panels, SCALES, strict=True):
        known, measured = published(scale), ours(readme, scale)
        floor = known.pop("bicubic")[1]
        axes.axhline(floor, color="gray", linestyle="--", linewidth=1, label="bicubic")
        axes.plot(*zip(*measured.values(), strict=True), "s", color="tab:orange", label="here")
        style = {"markersize": 9, "markerfacecolor": "none", "color": "tab:blue"}
        axes.plot(*zip(*known.values(), strict=True), "o", label="published", **style)
        for name, (size, psnr) in (known | measured).items():
            axes.annotate(name, (size, psnr), (5, -12), textcoords="offset points", fontsize=8)
        for name in known.keys() & measured.keys():
            axes.plot(*zip(known[name], measured[name], strict=True), color="gray", linewidth=1)
        axes.set(xscale="log", ylabel="PSNR (dB)", title=f"Set5 ×{scale}", xlim=(3e3, 2.5e6))
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize=8, loc="lower right")
    panels[-1].set_xlabel("parameters")
    return figure


def main() -> None:
    """Write the figure."""
    draw(README.read_text(encoding="utf-8")).savefig(OUT, dpi=110)
    print(f"wrote {OUT.relative_to(Path.cwd()) if OUT.is_relative_to(Path.cwd()) else OUT}")


if __name__ == "__main__":
    main()
