"""The fixtures of the system tests, and a login server nobody here wrote."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.path.join(os.path.dirname(HERE), "system")
sys.path[:0] = [SYSTEM, HERE]

from system_fixtures import daemon, fake, make_daemon, pytest_runtest_call  # noqa: E402, F401
from figures import pytest_terminal_summary  # noqa: E402, F401
from oidc import OidcServer  # noqa: E402
from pinned_packages import pytest_collection_modifyitems  # noqa: E402, F401


@pytest.fixture(scope="session")
def server():
    """One foreign login server for all tests that leave its clock alone."""
    one = OidcServer(clients=[{"id": "interop-client:+/%", "secret": "s3cr3t:+/%"}], lifetime=600)
    yield one
    one.stop()
