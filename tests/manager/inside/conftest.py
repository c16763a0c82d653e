"""Runs inside of the container that tests/manager/boot.py boots, as root."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.path.join(os.path.dirname(os.path.dirname(HERE)), "system")
sys.path[:0] = [SYSTEM, HERE]

if not os.environ.get("GCTOKEN_MANAGER_BUILD"):
    pytest.exit("these tests run in a container: ./dev manager", 2)

from system_fixtures import pytest_runtest_call  # noqa: E402, F401 (no test hangs)
from daemon import canary  # noqa: E402
from fake import Fake  # noqa: E402
from figures import pytest_terminal_summary  # noqa: E402, F401
from service import Service  # noqa: E402


@pytest.fixture(scope="session")
def genesys():
    one = Fake([{"id": "fake-client", "secret": canary()}])
    yield one
    one.stop()


@pytest.fixture
def service(genesys):
    """The service, stopped and clean; see Service.install. At the end it has to have told no
    secret."""
    genesys.reset()
    one = Service(genesys)
    yield one
    one.assert_no_leak()
