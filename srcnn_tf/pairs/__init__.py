"""Pairs of low- and high-resolution images: degradation, whole images, `tf.data` pipelines."""

from srcnn_tf.pairs.clips import clip_crops, clip_pair, moving_still, windows
from srcnn_tf.pairs.crops import crop_then_degrade, random_crops, subimages
from srcnn_tf.pairs.degradation import Degradation, DegradationSpace, degrade, degrade_weights
from srcnn_tf.pairs.whole_images import evaluation_pairs, image_pair, rescaled
from srcnn_tf.scales import SCALES, check_scale
