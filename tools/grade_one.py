"""Grade one notebook, confined: `grade.py` starts this in a process of its own.

In the folder: gradebook.db, and submitted/student/NAME/NAME.ipynb. nbgrader adds autograded/ and
feedback/ beside them.
"""

import argparse
import fcntl
import resource
import socket
import struct
import sys

from nbgrader.apps.api import NbGraderAPI
from traitlets.config import Config

SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # <linux/sockios.h>, <net/if.h>


def loopback_up() -> None:
    """Switch on 127.0.0.1, over which kernels talk; a new network namespace has it off."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def main() -> int:
    """Grade, and return 1 if that was not possible; the reason is printed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("name")
    parser.add_argument("--cell-seconds", type=int, required=True)
    parser.add_argument("--memory", type=int, required=True, help="bytes for each process")
    parser.add_argument("--loopback", action="store_true")
    options = parser.parse_args()
    if options.loopback:
        loopback_up()
    resource.setrlimit(resource.RLIMIT_AS, (options.memory, options.memory))
    config = Config()
    config.CourseDirectory.root = options.folder
    config.CourseDirectory.db_url = f"sqlite:///{options.folder}/gradebook.db"
    config.Execute.timeout = options.cell_seconds
    api = NbGraderAPI(config=config)
    graded = api.autograde(options.name, "student")
    if not graded["success"]:
        print(graded.get("log", ""), graded.get("error", ""))
        return 1
    api.generate_feedback(options.name, "student")
    return 0


if __name__ == "__main__":
    sys.exit(main())
