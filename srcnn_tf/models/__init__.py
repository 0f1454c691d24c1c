"""The networks: one paper, one file, and in it a builder of the file's name.

Every model maps an LR batch `[n, h, w, c]` to an HR batch `[n, s·h, s·w, c]`, float32 in [0, 1],
for any h and w. One, `fstrn`, takes clips `[n, t, h, w, c]`.
"""

import keras

from srcnn_tf.models.bicubic_start import STARTS
from srcnn_tf.models.edrn import edrn
from srcnn_tf.models.fsrcnn import fsrcnn
from srcnn_tf.models.fstrn import fstrn
from srcnn_tf.models.srcnn import srcnn
from srcnn_tf.models.srgan import discriminator
from srcnn_tf.models.srresnet import srresnet
from srcnn_tf.models.vdsr import vdsr
from srcnn_tf.models.zssr import zssr
from srcnn_tf.networks import find


def build(name: str, scale: int, **options) -> keras.Model:
    """Build a network of the table (`networks.toml`) by its name.

    Args:
        name: as in the table, such as "srcnn-9-1-5".
        scale: 2, 3 or 4.
        **options: other arguments of the builder, such as `channels`, `start` and `seed`.

    Raises:
        ValueError: unknown name (the message lists what there is); see also the builders.

    >>> build("fsrcnn", scale=3).count_params()
    12809
    """
    network = find(name)
    own = {"channels": network.channels, **network.arguments}
    return globals()[network.builder](scale, **{**own, **options})
