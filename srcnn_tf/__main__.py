"""`python -m srcnn_tf`: see `cli`."""

import signal
import sys

from srcnn_tf.cli import main

# A polite end, or that of the terminal, is a Ctrl-C, unless it is ignored as under nohup.
for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
    if signal.getsignal(number) is signal.SIG_DFL:
        signal.signal(number, signal.default_int_handler)

sys.exit(main())
