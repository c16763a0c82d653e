"""Where the modules of the system tests are, and which daemon they start: the one whose calls can
be made to fail, of the same build folder as the daemon that GCTOKEND names."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.path.join(os.path.dirname(HERE), "system")
sys.path[:0] = [SYSTEM, HERE]

import daemon  # noqa: E402

daemon.GCTOKEND = os.path.join(os.path.dirname(os.path.dirname(daemon.GCTOKEND)),
                               "tests", "faults", "gctokend-faults")

from figures import pytest_terminal_summary  # noqa: E402, F401
