"""Some seconds of tests/live_fuzz; `./dev live-fuzz` is minutes of it."""

import os
import subprocess
import sys

from daemon import GCTOKEND
from fake import REPOSITORY
from users import needs_root
from waiting import PATIENCE

SECONDS = 10


@needs_root
def test_hostile_users_while_it_is_reloaded():
    run = subprocess.run(
        [sys.executable, os.path.join(REPOSITORY, "tests", "live_fuzz", "live_fuzz.py"),
         str(SECONDS / 60), "--seed", "1"], env={**os.environ, "GCTOKEND": GCTOKEND},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        timeout=SECONDS + 120 * PATIENCE)
    assert run.returncode == 0, run.stdout + run.stderr
