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
ALL = os.environ.get("GCTOKEN_MANAGER_SANDBOX") == "all"
SAMPLE = ["test_reload.py"]


@pytest.mark.deadline(3600)
def test_sandboxed(tmp_path):
    report = tmp_path / "report.xml"
    files = [SYSTEM] if ALL else [os.path.join(SYSTEM, name) for name in SAMPLE]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "sandbox_plugin",
         f"--junitxml={report}", *files],
        env={**os.environ, "PYTHONPATH": HERE}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
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
