"""Several devices: two logical CPUs do what two GPUs would."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from srcnn_tf.training import devices, load_history

COMMON = """
import contextlib, json, os, signal, sys
from dataclasses import replace
import keras
import numpy as np
import tensorflow as tf

from srcnn_tf.models import discriminator, srcnn
from srcnn_tf.training import Recipe, fit
from srcnn_tf.training.adversarial import Adversarial
from srcnn_tf.training.devices import strategy

images = [np.random.default_rng(i).random((40, 40, 1)).astype(np.float32) for i in range(8)]
common = dict(steps_per_epoch=4, hr_patch=24, batch_size=8, ema=0.9, schedule="constant")
adam = Recipe(steps=8, **common, clipnorm=0.01)

def run(devices, recipe, held_out=4, folder=None, resume=False, callbacks=()):
    with strategy().scope() if devices == 2 else contextlib.nullcontext():
        model = srcnn(2)
    assert model.distribute_strategy.num_replicas_in_sync == devices
    held_out = images[3 : 3 + held_out]
    return vars(fit(model, images[:3], held_out, recipe, folder, resume, callbacks))
"""

DEVICES = """
(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)

rates = dict(theta=1e-4, rate_factors={"reconstruction": 0.1})
sgd = Recipe(steps=8, **common, optimizer="sgd", clipnorm=None, **rates)
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

WORKER = """
worker = int(sys.argv[1])

told = {"refused": [], "loss": [], "psnr": []}

class Killed(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            print(f"\\n{json.dumps(told)}", flush=True)  # below the progress line
            if worker == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_end(self, epoch, logs=None):
        told["loss"].append(logs["loss"])
        told["psnr"].append(logs["val_psnr"])

strategy()  # first of all
for wrong in ({"steps": None, "minutes": 1}, {"seed": worker}):
    try:
        run(2, replace(adam, **wrong))
    except ValueError as error:
        told["refused"].append(str(error))
run(2, replace(adam, steps=4), folder="run", callbacks=[Killed()])
run(2, replace(adam, steps=12), folder="run", resume=True, callbacks=[Killed()])
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    words = [sys.executable, "-c", COMMON + DEVICES]
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


def test_two_machines_train_as_one_does_and_a_lost_one_costs_an_epoch(told, tmp_path):
    ports = []
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            ports.append(stack.enter_context(socket.socket()))
            ports[-1].bind(("127.0.0.1", 0))
        cluster = {"worker": [f"127.0.0.1:{port.getsockname()[1]}" for port in ports]}
    workers = []
    for index in range(2):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        words = [sys.executable, "-c", COMMON + WORKER, str(index)]
        about = {"cwd": tmp_path, "env": os.environ | {"TF_CONFIG": json.dumps(config)}}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        workers.append(subprocess.Popen(words, **about, **pipes))
    (printed, errors), (others, _) = (worker.communicate() for worker in workers)
    assert workers[1].returncode == -signal.SIGKILL
    assert workers[0].returncode == 1
    lost = errors.splitlines()[-1]
    assert lost.startswith("ConnectionError: another machine is lost ("), errors
    for lines in (printed, others):
        (line,) = (line for line in lines.splitlines() if line.startswith("{"))
        here, (one, _) = json.loads(line), told["adam"]
        np.testing.assert_allclose(here["loss"], one["loss"], rtol=1e-5)
        np.testing.assert_allclose(here["psnr"], one["psnr"], atol=1e-3)
        minutes, seeds = here["refused"]
        assert "several machines train for steps, not for minutes" in minutes
        assert "the machines differ in command, data or folder" in seeds
    assert load_history(tmp_path / "run").step == [4, 8]
    assert len(list((tmp_path / "run").iterdir())) == 3


def test_the_slurm_job_of_the_docs_tells_each_worker_its_place():
    text = (Path(__file__).parents[1] / "docs" / "machines.md").read_text()
    (job,) = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    stubs = """
        scontrol() { printf 'n1\\nn2\\n'; }
        srun() { for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@"; done; }
    """
    script = stubs + re.sub(r"\.venv/bin/python.*?mine", "printenv TF_CONFIG", job, flags=re.DOTALL)
    environment = os.environ | {"SLURM_JOB_ID": "40001", "SLURM_JOB_NODELIST": "n[1-2]"}
    words = ["bash", "-c", script]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    workers = {"worker": ["n1:20001", "n2:20001"]}
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"cluster": workers, "task": {"type": "worker", "index": index}} for index in range(2)
    ]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("{", "TF_CONFIG .Expecting property name"),
        ('{"cluster": {"worker": ["127.0.0.1:1"]}}', "TF_CONFIG .*task_type"),
    ],
)
def test_a_wrong_tf_config_is_named(monkeypatch, config, told):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match=f"{told}.*: see docs/machines.md"):
        devices.strategy.__wrapped__()
