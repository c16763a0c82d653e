#!/usr/bin/python3
"""What one `gctoken get` takes from start to end, beside a curl that gets the same token.

The two take turns; what counts is the median of the ratios of neighbours. Needs curl and a build;
see docs/performance.md."""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

from daemon import GCTOKEN, Daemon, environment  # noqa: E402
from fake import Fake  # noqa: E402


def milliseconds(command, env):
    begun = time.monotonic()
    subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   check=True)
    return (time.monotonic() - begun) * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    fake = Fake()
    daemon = Daemon(fake, profile={"clock_probe": False})
    try:
        daemon.start()
        daemon.token(wait=20)
        env = environment(GCTOKEN_SOCKET=daemon.socket)
        commands = {
            "gctoken get": [os.path.abspath(GCTOKEN), "get"],
            "curl": [shutil.which("curl"), "-q", "-s", "-H", "Accept: text/plain",
                     "--unix-socket", daemon.socket, "http://localhost/v1/token"],
            "true": ["/bin/true"]}  # what starting any process takes here
        taken = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                taken[name].append(milliseconds(command, env))
        for name, values in taken.items():
            print(f"{name:12} {statistics.median(values):6.2f} ms")
        ratios = [c / g for g, c in zip(taken["gctoken get"], taken["curl"])]
        print(f"curl takes {statistics.median(ratios):.1f} times as long")
    finally:
        with contextlib.redirect_stdout(None):  # where a test would show the logs
            daemon.close()
            fake.stop()


if __name__ == "__main__":
    main()
