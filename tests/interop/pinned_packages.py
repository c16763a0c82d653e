"""Whether the packages are there that package-lock.json pins: the login server is one of them."""

import filecmp
import os
import re

import pytest

from fake import REPOSITORY

HERE = os.path.dirname(os.path.abspath(__file__))

# What npm says where it cannot reach its registry, or is not let through to it. Anything else that
# keeps it from installing, a package that is not the one pinned above all, is a failure.
OUT_OF_REACH = re.compile(
    r"npm (?:error|ERR!) (?:code|errno) (E(?:NOTFOUND|AI_AGAIN|CONN\w+|TIMEDOUT|HOSTUNREACH"
    r"|NETUNREACH|PROTO|SOCKETTIMEOUT|403|407|429|5\d\d)|ERR_SOCKET\w*|\w*CERT\w*)")

NPM_LOG = os.path.join(REPOSITORY, "build", "interop-npm.log")  # ./dev leaves it


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
