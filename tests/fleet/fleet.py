#!/usr/bin/python3
"""A fleet of real daemons on this machine, and faults of all kinds: a table, and exit status 1 if
anything is not as it is to be.

Without arguments all of it, some 13 minutes. WORLD: one (a redis-server), sentinel (a primary, a
replica and three Sentinels), tls (a redis-server with TLS), limit (hosts that crash again and
again)."""

import argparse
import io
import signal
import sys
import threading

import swarm
from rows import Rows
import worlds

WORLDS = {"one": worlds.one, "sentinel": worlds.sentinel, "tls": worlds.tls}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev fleet", description=__doc__.partition("\n\n")[0])
    parser.add_argument("worlds", nargs="*", metavar="WORLD", choices=[[], *WORLDS, "limit"])
    parser.add_argument("--hosts", type=int, default=50, help="how many (50)")
    parser.add_argument("--swarm", type=int, metavar="N",
                        help="instead of all that: N light clients, which link the core")
    options = parser.parse_args()
    rows = Rows()
    sys.stdout = io.StringIO()  # daemons and the login tell at their end what they logged
    if options.swarm:
        swarm.run(rows, options.swarm)
        return rows.end()
    chosen = options.worlds or [*WORLDS, "limit"]
    # that one waits for most of its time, and costs nothing beside the others
    beside = threading.Thread(target=worlds.limit, args=(rows,), daemon=True)
    if "limit" in chosen:
        beside.start()
    for name, run in WORLDS.items():
        if name in chosen:
            rows.say(f"{name}: {options.hosts} hosts")
            try:
                run(rows, options.hosts)
            except Exception as error:  # the other worlds are measured all the same
                rows.broken(name, error)
    if "limit" in chosen:
        beside.join()
    return rows.end()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
