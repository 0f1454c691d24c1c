"""Make the README's figure: train FSRCNN ×3 on the embedded photographs, enlarge one it never saw.

make figure
"""

from pathlib import Path

import numpy as np

from srcnn_tf import datasets, figures
from srcnn_tf.images import resize, rgb_to_ycbcr, ycbcr_to_rgb
from srcnn_tf.metrics import Protocol, psnr
from srcnn_tf.models import fsrcnn
from srcnn_tf.pairs import image_pair
from srcnn_tf.training import Recipe, fit, split_validation

SCALE, STEPS = 3, 4000
PHOTOGRAPH, BOX = 0, (60, 180, 90, 120)  # the astronaut's face: top, left, height, width
OUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "astronaut_x3.png"


def main() -> None:
    """Train, enlarge, and write the figure."""
    train_images, validation_images = split_validation(datasets.load("samples", "train"), every=4)
    model = fsrcnn(SCALE)
    history = fit(
        model, train_images, validation_images, Recipe(steps=STEPS, ema=0.998, jit_compile=True)
    )
    lr_image, hr_image = image_pair(datasets.load("samples", "test")[PHOTOGRAPH], SCALE, channels=3)
    size = hr_image.shape[:2]
    ycbcr = rgb_to_ycbcr(lr_image)
    luma = np.asarray(model(ycbcr[None, ..., :1]))[0]
    sr_image = ycbcr_to_rgb(np.concatenate([luma, resize(ycbcr[..., 1:], size)], axis=-1))
    network = f"FSRCNN after {history.seconds[-1] / 60:.0f} min on a CPU"
    images = {
        "truth": hr_image,
        "low resolution": resize(lr_image, size, "nearest"),
        "bicubic": resize(lr_image, size),
        network: sr_image,
    }
    scores = {
        name: f"{psnr(hr_image, image, Protocol(border=SCALE)):.2f} dB"
        for name, image in images.items()
        if name != "truth"
    }
    figure = figures.comparison(images, BOX, scores, title=f"×{SCALE}, PSNR of luma")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT, dpi=110)
    print(f"wrote {OUT.name}: {scores}")


if __name__ == "__main__":
    main()
