"""Write the results table of the README from what the benchmark measured: `make results`."""

import argparse
import csv
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from srcnn_tf.metrics import Scores
from srcnn_tf.networks import shipped
from srcnn_tf.scales import SCALES
from srcnn_tf.score_table import Row

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
SETS = ("set5", "set14")


def from_csv(text: str) -> list[Row]:
    """Return the rows that `score_table.to_csv` wrote."""
    kinds = {
        **dict.fromkeys(["scale", "parameters", "multiply_adds"], int),
        **dict.fromkeys(["psnr", "ssim", "ms_per_megapixel"], float),
        **dict.fromkeys(["published_psnr", "published_ssim"], lambda v: float(v) if v else None),
    }
    return [
        Row(**{name: kinds.get(name, str)(value) for name, value in line.items()})
        for line in csv.DictReader(io.StringIO(text))
    ]


def table(rows: list[Row]) -> str:
    """Return the Markdown table: a line for each method and scale, ours / published."""
    found = {(row.method, row.scale, row.set): row for row in rows}
    lines = [
        "| | scale | parameters | multiply-adds per HR pixel | Set5 PSNR / SSIM | published "
        "| Set14 PSNR / SSIM | published |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for method, scale in [*(("bicubic", scale) for scale in SCALES), *shipped()]:
        cells = [_cells(found[method, scale, name]) for name in SETS]
        row = found[method, scale, SETS[0]]
        size = f"{row.parameters:,} | {row.multiply_adds:,}" if row.parameters else " | "
        lines.append(f"| {method} | ×{scale} | {size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(row: Row) -> str:
    ours = f"{row.psnr:.2f} / {row.ssim:.4f}"
    if row.published_psnr is None:
        return f"{ours} | "
    theirs = f"{row.published_psnr:.2f}"
    if row.published_ssim is not None:
        theirs += f" / {row.published_ssim:.4f}"
    return f"{ours} | {theirs}"


def scores(readme: str) -> dict[tuple[str, int, str], Scores]:
    """Return what the table states as measured here, by method, scale and set."""
    found = {}
    for line in BLOCK.search(readme)[0].splitlines()[3:-1]:
        method, scale, _, _, set5, _, set14, _ = (cell.strip() for cell in line.split("|")[1:-1])
        for name, cell in zip(SETS, (set5, set14), strict=True):
            ours = Scores(*map(float, cell.split(" / ")))
            found[method, int(scale.removeprefix("×")), name] = ours
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Replace the block between the two comments of the README by the table of a CSV file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path, help="what `benchmark --csv` wrote")
    rows = from_csv(parser.parse_args(argv).csv.read_text())
    readme = ROOT / "README.md"
    text, count = BLOCK.subn(
        lambda found: f"{found[1]}{table(rows)}\n{found[2]}", readme.read_text()
    )
    if count != 1:
        print("README.md has no <!-- results --> block", file=sys.stderr)
        return 1
    readme.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
