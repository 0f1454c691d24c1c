"""A before/after slider for notebooks: drag a bar across two images.

It is HTML that needs nothing from elsewhere, so that it works in Colab, JupyterLab and exported
pages alike; a static figure stands below it, for where scripts are stripped.
"""

import base64
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from string import Template

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from srcnn_tf.figures import image_grid, one_size
from srcnn_tf.images.pixels import quantise, with_channels

_WIDTH = 640  # small images are enlarged towards so many CSS pixels, by a whole factor

# In it the native range input lies invisibly over the images: keyboard, touch and screen readers
# come with it. It is wider than they are by its thumb, whose centre thus reaches both edges. Its
# data-lm-suppress-shortcuts, on itself, keeps JupyterLab from taking the arrow keys for its cells.
_PAGE = files("srcnn_tf") / "slider.html"


@dataclass(frozen=True)
class Slider:
    """What `before_after` returns; a notebook shows it as two outputs."""

    html: str = field(repr=False)
    figure: Figure

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display  # who calls this has IPython

        display(HTML(self.html))
        display(self.figure)


def before_after(
    before: np.ndarray,
    after: np.ndarray,
    labels: tuple[str, str] = ("before", "after"),
    title: str | None = None,
) -> Slider:
    """Lay two images over each other, with a bar between them to drag or to move by arrow keys.

    Args:
        before: `[h, w]` or `[h, w, c]`, c = 1, 3 or 4, shown left of the bar; floats are clipped
            to [0, 1].
        after: the same height and width, shown right of the bar.
        labels: what to call the two.
        title: what to see.

    Raises:
        ValueError: sizes differ; no images; values far outside [0, 1]; labels that are not two
            different ones.
    """
    if len(labels) != 2 or labels[0] == labels[1]:
        raise ValueError(f"labels are two different names, before and after, not {labels!r}")
    images = [quantise(with_channels(image), np.uint8) for image in (before, after)]
    zoom = max(1, _WIDTH // one_size(images)[1])
    html = Template(_PAGE.read_text(encoding="utf-8")).substitute(
        heading=f"<p>{escape(title)}</p>" if title else "",
        left=escape(labels[0]),
        right=escape(labels[1]),
        before=data_uri(images[0]),
        after=data_uri(images[1]),
        width=zoom * images[0].shape[1],
        # Enlarged pixels are squares; an image that a narrow screen shrinks must not be decimated.
        rendering="pixelated" if zoom > 1 else "auto",
    )
    return Slider(html, image_grid(dict(zip(labels, images, strict=True)), 2, title))


def data_uri(pixels: np.ndarray) -> str:
    """Return a picture, uint8 `[h, w, c]`, as an address that holds it as PNG."""
    return f"data:image/png;base64,{base64.b64encode(tf.io.encode_png(pixels).numpy()).decode()}"
