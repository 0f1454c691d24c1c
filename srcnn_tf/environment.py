"""What a lesson runs on."""

import os
import platform
import sys
from importlib.metadata import version

import tensorflow as tf


def describe() -> str:
    """Return versions and device in two lines, with advice for those without a GPU."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "srcnn-tf"))
    lines = [f"Python {platform.python_version()}, {packages}"]
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        lines.append(f"Device: {name}")
    elif "google.colab" in sys.modules:
        lines.append("Device: CPU. For a GPU: Runtime > Change runtime type > T4 GPU.")
    else:
        lines.append("Device: CPU, which is all this lesson needs.")
    return "\n".join(lines)


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux, where a container or taskset may grant fewer
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
