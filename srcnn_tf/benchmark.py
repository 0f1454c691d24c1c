"""The former name of `score_table`, for notebooks that were saved before."""

from srcnn_tf.probes import multiply_adds
from srcnn_tf.score_table import INTERPOLATIONS, Row, methods, published, run
