"""TensorFlow without what it says of the machine while it loads."""

import os
import sys
import tempfile


def load_tensorflow() -> None:
    """Import TensorFlow and look for its devices, silently; what it says is shown if that fails.

    "Could not find cuda drivers" and CUDA error 303 alarm where nothing is wrong, and no setting
    silences what TensorFlow's C++ part writes so early: standard error goes to a file meanwhile.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            said.seek(0)
            os.write(stderr, said.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
