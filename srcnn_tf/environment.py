"""What a lesson runs on."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def versions() -> dict[str, str]:
    """Return the versions of Python and of what decides a training's numbers."""
    # From the modules: TensorFlow is installed under several names (tensorflow-cpu, -macos).
    modules = {module.__name__: module.__version__ for module in (tf, keras, np)}
    return {"python": platform.python_version(), **modules}


def describe() -> str:
    """Return versions and device in two lines, with advice for those without a GPU."""
    packages = {**versions(), "srcnn-tf": version("srcnn-tf")}
    if gpus := tf.config.list_physical_devices("GPU"):
        device = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    elif "google.colab" in sys.modules:
        device = "CPU. For a GPU: Runtime > Change runtime type > T4 GPU."
    else:
        device = "CPU, which is all this lesson needs."
    known = ", ".join(f"{name} {number}" for name, number in packages.items())
    return f"{known}\nDevice: {device}"


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux, where a container or taskset may grant fewer
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def without_bfloat16() -> str:
    """Return the name of the device here that has no bfloat16 arithmetic; "" if none is known."""
    for gpu in tf.config.list_physical_devices("GPU"):
        about = tf.config.experimental.get_device_details(gpu)
        old = about.get("compute_capability", (8,)) < (8,)  # before NVIDIA's Ampere
        return about.get("device_name", "this GPU") if old else ""
    flags = Path("/proc/cpuinfo")  # Linux
    return "this CPU" if flags.exists() and "bf16" not in flags.read_text() else ""
