"""One recipe that says how a model is trained, and one function that does it."""

from srcnn_tf.optimizers import OPTIMIZERS
from srcnn_tf.training.fitting import fit, split_validation
from srcnn_tf.training.recipe import SCHEDULES, WARM_UP, History, Recipe, recipe_as_json
from srcnn_tf.training.run_folder import load_history, reading, write_weights
