"""The score table as a page: columns that sort, and the pictures behind each number.

One file that loads nothing from elsewhere.
"""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from srcnn_tf.images.pixels import quantise
from srcnn_tf.score_table import Row, Shot
from srcnn_tf.slider import data_uri

_PAGE = files("srcnn_tf") / "score_page.html"
_MOST = 14  # images shown in a row


def to_html(rows: Sequence[Row], about: str = "") -> str:
    """Return rows as a page.

    Args:
        rows: what `score_table.run` yields; of more than 14 images, 14 are shown.
        about: a line below the title, such as what made LR.
    """
    more = list(rows[0].more) if rows else []
    names = ["set", "scale", "method", "PSNR", "SSIM", *more, "published PSNR", "parameters"]
    names += ["multiply-adds per HR pixel", "ms per megapixel"]
    shared: dict[str, str] = {}  # pictures that rows have in common, and their names in the page
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        about=escape(about),
        head="".join(f"<th><button>{escape(name)}</button></th>" for name in names),
        body="".join(_body(row, len(names), shared) for row in rows),
        shared="".join(f".{key}{{background-image:url({uri})}}" for uri, key in shared.items()),
    )


def _body(row: Row, columns: int, shared: dict[str, str]) -> str:
    known = "" if row.published_psnr is None else f"{row.published_psnr:.2f}"
    scores = (f"{row.psnr:.2f}", f"{row.ssim:.4f}", *(f"{v:.4f}" for v in row.more.values()), known)
    costs = (f"{value:,}" for value in (row.parameters, row.multiply_adds))
    cells = (row.set, f"×{row.scale}", row.method, *scores, *costs, f"{row.ms_per_megapixel:.0f}")
    line = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    shots = row.shots[:: max(1, -(-len(row.shots) // _MOST))]
    figures = "".join(_figure(shot, shared) for shot in shots)
    summary = f"{len(shots)} of {len(row.shots)} images: {row.method} ×{row.scale} on {row.set}"
    pictures = f"<details><summary>{escape(summary)}</summary>{figures}</details>"
    return f'<tbody><tr>{line}</tr><tr><td colspan="{columns}">{pictures}</td></tr></tbody>'


def _figure(shot: Shot, shared: dict[str, str]) -> str:
    tiles = ""
    for name, picture in (("photograph", shot.thumbnail), ("truth", shot.truth)):
        key = shared.setdefault(data_uri(quantise(picture, np.uint8)), f"i{len(shared)}")
        tiles += f'<i class="{key}" role="img" aria-label="{name}"></i>'
    crop = data_uri(quantise(shot.crop, np.uint8))
    scores = ", ".join(f"{name} {value:.4g}" for name, value in shot.scores.items())
    told = f"<b>{escape(Path(shot.file).stem)}</b> {scores}"
    return f'<figure>{tiles}<img src="{crop}" alt="result"><figcaption>{told}</figcaption></figure>'
