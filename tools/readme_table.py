"""Write the results table of the README from docs/results.csv: `make table`.

`make results` measures the CSV.
"""

import re
import sys
from pathlib import Path

from srcnn_tf.benchmark import Row, from_csv

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
METHODS = ("bicubic", "srcnn-9-1-5", "srcnn-9-5-5", "fsrcnn-s", "fsrcnn")


def table(rows: list[Row]) -> str:
    """Return the Markdown table: a line for each method and scale, ours / published."""
    found = {(row.method, row.scale, row.set): row for row in rows}
    lines = [
        "| | scale | parameters | multiply-adds per HR pixel | Set5 PSNR / SSIM | published "
        "| Set14 PSNR / SSIM | published |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for method in METHODS:
        for scale in (2, 3, 4):
            cells = [_cells(found[method, scale, name]) for name in ("set5", "set14")]
            row = found[method, scale, "set5"]
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


def main() -> int:
    """Replace the block between the two comments of the README."""
    readme = ROOT / "README.md"
    rows = from_csv((ROOT / "docs" / "results.csv").read_text())
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
