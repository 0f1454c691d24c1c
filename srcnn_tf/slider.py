"""A before/after slider for notebooks: drag a bar across two images.

It is HTML that needs nothing from elsewhere, so that it works in Colab, JupyterLab and exported
pages alike; a static figure stands below it, for where scripts are stripped.
"""

import base64
import io
from dataclasses import dataclass, field
from html import escape

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from srcnn_tf.figures import image_grid
from srcnn_tf.images.pixels import as_array, to_bytes

_WIDTH = 640  # small images are enlarged towards so many CSS pixels, by a whole factor

# The native range input lies invisibly over the images: keyboard, touch and screen readers come
# with it. It is wider than they are by its thumb, whose centre thus reaches both edges. Its
# data-lm-suppress-shortcuts, on itself, keeps JupyterLab from taking the arrow keys for its cells.
_STYLE = """
.before-after { display: grid; grid-template-columns: 100%; position: relative; overflow: hidden;
  margin: 0.5em 0; }
.before-after > * { grid-area: 1 / 1; margin: 0; position: relative; }
.before-after figure:first-of-type { clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.before-after figure:last-of-type { clip-path: inset(0 0 0 var(--at)); }
.before-after img { display: block; width: 100%; max-width: none; height: auto; margin: 0; }
.before-after figcaption { position: absolute; top: 0; left: 0; padding: 0.15em 0.6em;
  font: 14px sans-serif; color: #fff; background: #000b; }
.before-after figure:last-of-type figcaption { left: auto; right: 0; }
.before-after::before, .before-after::after { content: ""; position: absolute; z-index: 1;
  left: var(--at); transform: translate(-50%, -50%); top: 50%; pointer-events: none;
  background: #fff; box-shadow: 0 0 0 1px #000a; }
.before-after::before { width: 2px; height: 100%; }
.before-after::after { content: "‹ ›"; width: 32px; border-radius: 16px; color: #222;
  font: bold 20px/30px sans-serif; padding-bottom: 2px; text-align: center; }
.before-after input { position: absolute; z-index: 2; left: -22px; width: calc(100% + 44px);
  height: 100%; appearance: none; opacity: 0; cursor: ew-resize; touch-action: pan-y; }
.before-after input::-webkit-slider-thumb { appearance: none; width: 44px; height: 44px; }
.before-after input::-moz-range-thumb { border: 0; width: 44px; height: 44px; }
.before-after:has(:focus-visible) { outline: 3px solid #e8710a; outline-offset: 2px; }
"""


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
    images = [to_bytes(_with_channels(image)) for image in (before, after)]
    (height, width), other = (image.shape[:2] for image in images)
    if (height, width) != other:
        raise ValueError(
            f"the images must have one height and width, not {(height, width)} and {other}; "
            "images.resize enlarges the smaller one"
        )
    grid = {name: image / np.float32(255) for name, image in zip(labels, images, strict=True)}
    zoom = max(1, _WIDTH // width)
    # Enlarged pixels are squares; an image that a narrow screen shrinks must not be decimated.
    rendering = "pixelated" if zoom > 1 else "auto"
    left, right = map(escape, labels)
    page = f"""<style>{_STYLE}</style>{f"<p>{escape(title)}</p>" if title else ""}
<div class="before-after"
  style="--at: 50%; max-width: {zoom * width}px; image-rendering: {rendering}">
<figure><img src="{_data_uri(images[0])}" alt="{left}"><figcaption>{left}</figcaption></figure>
<figure><img src="{_data_uri(images[1])}" alt="{right}"><figcaption>{right}</figcaption></figure>
<input type="range" min="0" max="100" step="any" value="50" autocomplete="off"
  data-lm-suppress-shortcuts="true"
  aria-label="Bar between {left} (left) and {right} (right); arrow keys move it"
  oninput="this.parentNode.style.setProperty('--at', this.value + '%')">
</div>"""
    return Slider(page, image_grid(grid, columns=2, title=title))


def _with_channels(image: np.ndarray) -> np.ndarray:
    image = as_array(image)
    return as_array(image[..., None] if image.ndim == 2 else image, channels=(1, 3, 4))


def _data_uri(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
