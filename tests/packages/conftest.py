"""The fixtures of the system tests, what `meson install` makes, and the Debian packages."""

import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.path.join(os.path.dirname(HERE), "system")
sys.path[:0] = [SYSTEM, HERE]

from system_fixtures import (  # noqa: E402, F401
    daemon, fake, gctoken, make_daemon, pytest_runtest_call)
from daemon import GCTOKEND  # noqa: E402

BUILD = os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND)))


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> str:
    """A folder with everything that `meson install` puts into a system."""
    destination = str(tmp_path_factory.mktemp("installed"))
    run = subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild"],
                         env={**os.environ, "DESTDIR": destination}, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    return destination


def pages_missing() -> str | None:
    """The manual is built where scdoc is installed; ./dev sees to that."""
    if os.path.exists(os.path.join(BUILD, "docs", "man", "gctoken.1")):
        return None
    return "the manual was not built: scdoc was not there when the build was set up"
