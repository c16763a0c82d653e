"""The fixtures of the system tests, and the login server of the interop tests."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(TESTS, "system"), os.path.join(TESTS, "interop"), HERE]

from system_fixtures import daemon, fake, make_daemon, pytest_runtest_call  # noqa: E402, F401
from pinned_packages import pytest_collection_modifyitems  # noqa: E402, F401
