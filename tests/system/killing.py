"""The daemon killed at each system call while it takes a rotated refresh token: what must be left of
the login, whatever the moment. Needs root, since the daemon lets nobody else look into it."""

import os
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from daemon import GCTOKEND, Daemon, environment
from fake import Fake
from logging_in import log_in
from waiting import PATIENCE, wait_until

STEPPER = os.environ.get("GCTOKEN_STEPPER") \
    or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND))), "tests", "crash",
                    "stepper")
BEFORE, AFTER = 12, 12  # stops around the part that is asked about, since no two runs are the same


@dataclass
class Tally:
    kills: int = 0
    asked: int = 0             # kills after which the daemon showed which refresh token it has
    logins: int = 0            # that had to be begun anew
    stops: Counter = field(default_factory=Counter)  # how far the killed ones had come

    def text(self) -> str:
        return (f"{self.kills} kills ({', '.join(f'{n} {what}' for what, n in self.stops.items())}); "
                f"{self.asked} starts after them told which refresh token was left; the server ended "
                f"{self.logins} logins, each in the window before the new token was whole on the disk")


class Victim:
    """One daemon on one state directory, and what may be in it."""

    def __init__(self, server: Fake, d: Daemon):
        self.server, self.d = server, d
        self.tally = Tally()
        self.may_have: set[str] = set()  # refresh tokens, one of which a start has to send

    def log_in(self) -> None:
        """By a daemon that nobody disturbs; it leaves with the newest refresh token stored."""
        self.d.start()
        answer = log_in(self.d, self.server)
        assert answer.status == 200, answer
        self.d.stop()
        self.may_have = {self._tokens()[-1]["token"]}

    def _tokens(self) -> list[dict]:
        return self.server.logins(secrets=True)[-1]["refresh_tokens"]

    def run(self, stop: int) -> dict[str, str] | None:
        """A start that is killed at that stop (0: when the login's file is durable), and a check of
        what it sent. None: the server ended the login."""
        seen = self._seen()
        ran = subprocess.run(
            [STEPPER, str(self.server.port), str(stop), GCTOKEND, "-c", self.d.config_file],
            env=environment(**self.d.env), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=30 * PATIENCE, cwd=self.d.directory)
        assert "damaged" not in ran.stderr, ran.stderr
        assert ran.returncode == 0, f"it ended by itself: {ran.stdout}{ran.stderr}"
        told = dict(part.split("=") for part in ran.stdout.split())
        self.tally.kills += 1
        # A request of the dead may still lie in the server's socket.
        wait_until(lambda: self.server.stats()["connections"]["open"] == 0, "the server's rest")
        self._judge(told, self.server.log(kind="token", since=seen, secrets=True))
        return told if not self.server.logins()[-1]["ended"] else None

    def _seen(self) -> int:
        """The number of the latest request that came."""
        return max((entry["number"] for entry in self.server.log(kind="token")), default=0)

    def _judge(self, told: dict[str, str], posts: list[dict]) -> None:
        renamed = told["renamed"] == "1"
        if not posts:
            self.tally.stops["before it asked"] += 1
            return
        assert len(posts) == 1, "it asked more than once"
        self.server.wait_for("token", self.server.posts, answered=True)  # killed or not
        tokens = self._tokens()
        body = parse_qs(posts[0]["secrets"]["body"])
        sent = [token for token in tokens if [token["token"]] == body["refresh_token"]]
        assert len(sent) == 1
        # Here a kill before this one shows what it left.
        assert sent[0]["token"] in self.may_have, "a refresh token came back that was replaced"
        self.tally.asked += 1
        self.tally.stops["once the file had its name" if renamed else
                         "while the file was written" if told["begun"] == "1" else
                         "after it asked, before the file"] += 1
        if self.server.logins()[-1]["ended"]:
            assert not renamed
            return
        newest = tokens[-1]["token"]
        self.may_have = {newest} if renamed else {sent[0]["token"], newest}

    def settle(self) -> None:
        """After the server ended a login: that is seen once and not asked about again."""
        before = self.server.posts
        self.d.start()
        wait_until(lambda: self.d.status()["state"] == "login_required", "login_required")
        assert self.server.posts - before <= 1, "it asks again and again"
        self.d.stop()
        self.tally.logins += 1
        self.log_in()


def calibrate(victim: Victim) -> tuple[int, int]:
    """The stops between the answer's arrival and the end of the write."""
    told = victim.run(0)
    assert told is not None and told["durable"] == "1"
    arrived, end = int(told["arrived"]), int(told["end"])
    assert 0 < arrived < end, told
    return max(1, arrived - BEFORE), end + AFTER


def sweep(victim: Victim, first: int, last: int, step: int = 1) -> None:
    for stop in range(first, last + 1, step):
        if victim.run(stop) is None:
            victim.settle()
