"""The system tests once more, with their daemon in the sandbox of the shipped unit: a sample of them,
all by ./dev manager --sandbox."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest

from figures import FIGURES

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.path.join(os.path.dirname(os.path.dirname(HERE)), "system")
BUILD = os.environ["GCTOKEN_MANAGER_BUILD"]
ALL = os.environ.get("GCTOKEN_MANAGER_SANDBOX") == "all"
# What the sandbox is there to refuse, or cannot have in it.
REFUSED = [
    # a socket given to a group: in the unit it is systemd's
    "test_mode_and_group_of_the_socket", "test_the_sockets_mode_keeps_others_out",
    # another's file read by root, who has no capabilities in there
    "test_a_secret_file_that_is_not_as_it_should_be",
    # a daemon that writes where another one lives
    "test_a_second_daemon", "test_of_many_that_start_at_once_one_lives",
    "test_a_newer_file_is_looked_for_before_a_person_is_asked",
    # a process that is moved to another time namespace beside it
    "test_another_time_namespace_uses_the_socket",
]
SAMPLE = ["test_reload.py"]


@pytest.mark.deadline(3600)
def test_sandboxed(tmp_path):
    report = tmp_path / "report.xml"
    files = [SYSTEM] if ALL else [os.path.join(SYSTEM, name) for name in SAMPLE]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "sandbox_plugin",
         f"--junitxml={report}", "-k", f"not ({' or '.join(REFUSED)})", *files],
        # From the build: libraries of the tests are looked for beside it.
        env={**os.environ, "PYTHONPATH": HERE, "GCTOKEND": f"{BUILD}/daemon/gctokend",
             "GCTOKEN": f"{BUILD}/client-lib/gctoken"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    assert report.exists(), run.stdout
    skips: Counter = Counter()
    count, failed = 0, 0
    for case in ElementTree.parse(report).iter("testcase"):
        count += 1
        skip = case.find("skipped")
        if skip is not None:
            skips[skip.get("message")] += 1
        failed += case.find("failure") is not None or case.find("error") is not None
    FIGURES.append(f"system tests in the sandbox: {count - failed - sum(skips.values())} passed, "
                   f"{failed} failed, {sum(skips.values())} skipped: {dict(skips)}")
    assert not failed, run.stdout
