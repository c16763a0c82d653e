#!/usr/bin/python3
"""What reading a token from the page costs, and getting the page from a real daemon: page_read beside
a gctokend and the fake login. Prints a `name ratio target` line per figure, `#` before what is only
for people. Needs a build; see docs/performance.md."""

import contextlib
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

from daemon import GCTOKEND, Daemon  # noqa: E402
from fake import Fake  # noqa: E402

PAGE_READ = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND))), "tests",
                         "bench", "page_read")


def main() -> int:
    fake = Fake([{"id": "bench", "secret": "bench-secret"}])
    daemon = Daemon(fake, broker={"max_connections": 16384})
    try:
        daemon.start()
        assert daemon.token(wait=10).status == 200
        return subprocess.run([PAGE_READ, "--socket", daemon.socket, *sys.argv[1:]],
                              check=False).returncode
    finally:
        with contextlib.redirect_stdout(sys.stderr):
            daemon.close()
            fake.stop()


if __name__ == "__main__":
    sys.exit(main())
