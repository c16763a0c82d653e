"""For pytest -p: the system tests, with their daemon in the sandbox of the shipped unit."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(os.path.dirname(HERE)), "system"), HERE]

import daemon  # noqa: E402
from sandbox import Process  # noqa: E402

daemon.spawn = Process
