"""Where notebooks that were saved before find what is now in `probes` and `score_table`."""

from srcnn_tf.probes import multiply_adds
from srcnn_tf.score_table import published
