"""The fixtures of the system tests, and a login server nobody here wrote."""

import filecmp
import os
import re
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.path.join(os.path.dirname(HERE), "system")
sys.path[:0] = [SYSTEM, HERE]

from system_fixtures import daemon, fake, make_daemon, pytest_runtest_call  # noqa: E402, F401
from fake import REPOSITORY  # noqa: E402
from oidc import OidcServer  # noqa: E402

# What npm says where it cannot reach its registry, or is not let through to it. Anything else that
# keeps it from installing, a package that is not the one pinned above all, is a failure.
OUT_OF_REACH = re.compile(
    r"npm (?:error|ERR!) (?:code|errno) (E(?:NOTFOUND|AI_AGAIN|CONN\w+|TIMEDOUT|HOSTUNREACH"
    r"|NETUNREACH|PROTO|SOCKETTIMEOUT|403|407|429|5\d\d)|ERR_SOCKET\w*|\w*CERT\w*)")

NPM_LOG = os.path.join(REPOSITORY, "build", "interop-npm.log")  # ./dev leaves it

FIGURES = pytest.StashKey[list]()


def not_installed() -> str | None:
    """Why the packages that the lock file pins are not there, in npm's words; None if they are."""
    try:
        if filecmp.cmp(os.path.join(HERE, "package-lock.json"),
                       os.path.join(HERE, "node_modules", ".installed"), shallow=False):
            return None
    except FileNotFoundError:
        pass
    try:
        with open(NPM_LOG, encoding="utf-8", errors="replace") as log:
            return log.read()
    except FileNotFoundError:
        return "./dev interop does that"


def pytest_configure(config):
    config.stash[FIGURES] = []


def pytest_collection_modifyitems(items):
    said = not_installed()
    if said is None:
        return
    unreachable = OUT_OF_REACH.search(said)
    if not unreachable:
        raise pytest.UsageError(f"the packages are not installed as pinned: {said}")
    for item in items:
        item.add_marker(pytest.mark.skip(
            reason=f"npm cannot fetch its packages: {unreachable.group(1)}"))


def pytest_terminal_summary(terminalreporter, config):
    """What was measured, as docs/interop.md shows it."""
    rows = config.stash[FIGURES]
    if rows:
        terminalreporter.section("measured")
        for row in rows:
            terminalreporter.line(row)


@pytest.fixture(scope="session")
def server():
    """One foreign login server for all tests that leave its clock alone."""
    one = OidcServer(clients=[{"id": "interop-client:+/%", "secret": "s3cr3t:+/%"}], lifetime=600)
    yield one
    one.stop()
