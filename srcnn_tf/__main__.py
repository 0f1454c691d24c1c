"""`python -m srcnn_tf`: see `cli`."""

import sys

from srcnn_tf.cli import main

sys.exit(main())
