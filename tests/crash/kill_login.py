"""kill -9 at every system call between a rotated refresh token's arrival and its being durable, over
and over: kill_login.py [KILLS]. The last line counts. Root only."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "system"))

from daemon import Daemon  # noqa: E402
from fake import Fake  # noqa: E402
from killing import Victim, calibrate, sweep  # noqa: E402
from logging_in import login_profile  # noqa: E402


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    if os.geteuid() != 0:
        sys.exit("kill_login.py: only root can look into the daemon")
    server = Fake()
    d = Daemon(server, profile=login_profile(server, mint_limit=1000, clock_probe=False))
    try:
        victim = Victim(server, d)
        victim.log_in()
        first, last = calibrate(victim)
        print(f"stops {first} to {last}", flush=True)
        while victim.tally.kills < wanted:
            sweep(victim, first, last)
            print(victim.tally.text(), flush=True)
    finally:
        d.close()
        server.stop()


if __name__ == "__main__":
    main()
