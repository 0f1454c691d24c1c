"""Several devices: two logical CPUs do what two GPUs would."""

import json
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import contextlib, json
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)

from srcnn_tf.models import discriminator, srcnn
from srcnn_tf.training import Recipe, fit
from srcnn_tf.training.adversarial import Adversarial
from srcnn_tf.training.devices import strategy

images = [np.random.default_rng(i).random((40, 40, 1)).astype(np.float32) for i in range(8)]
common = dict(steps_per_epoch=4, hr_patch=24, batch_size=8, ema=0.9, schedule="constant")
adam = Recipe(steps=8, **common, clipnorm=0.01)
rates = dict(theta=1e-4, rate_factors={"reconstruction": 0.1})
sgd = Recipe(steps=8, **common, optimizer="sgd", clipnorm=None, **rates)

def run(devices, recipe, held_out=4, folder=None, resume=False):
    with strategy().scope() if devices == 2 else contextlib.nullcontext():
        model = srcnn(2)
    assert model.distribute_strategy.num_replicas_in_sync == devices
    return vars(fit(model, images[:3], images[3 : 3 + held_out], recipe, folder, resume))

run(2, Recipe(steps=4, **common, clipnorm=0.01), 5, "run")  # stopped halfway
adams = run(1, adam), run(2, adam, 5, "run", resume=True)
sgds = run(1, sgd), run(2, sgd)
refused = []
for wrong, held_out in (({"batch_size": 7}, 4), ({"scales": (2, 4)}, 4), ({}, 1)):
    try:
        run(2, Recipe(steps=4, **{**common, **wrong}), held_out)
    except ValueError as error:
        refused.append(str(error))
try:
    with strategy().scope():
        Adversarial(srcnn(2), discriminator(None, width=1, dense=1, channels=1))
except ValueError as error:
    refused.append(str(error))
print(json.dumps({"adam": adams, "sgd": sgds, "refused": refused}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    words = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1]) | {"printed": done.stdout}


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_two_devices_train_as_one_does_also_when_they_resume(told, name):
    one, two = told[name]
    np.testing.assert_allclose(two["loss"], one["loss"], rtol=1e-5)
    if name == "sgd":  # the other is validated on more images
        np.testing.assert_allclose(two["psnr"], one["psnr"], atol=1e-3)
    assert one["psnr"][1] != one["psnr"][0]


def test_what_two_devices_cannot_do_is_refused_or_said(told):
    odd, scales, alone, players = told["refused"]
    assert "batch_size is 7: 2 devices share each batch, so it must be a multiple of 2" in odd
    assert "several scales train on one device, not on 2" in scales
    assert "two players train on one device" in players
    assert "hold out more: 2 devices share the validation images" in alone
    assert "2 devices validate on 4 of 5 images, evenly shared" in told["printed"]
