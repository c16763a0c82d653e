"""One refresh token after the other under kill -9, against a server that ends the login when one comes
again after it was replaced. The server's own log of them is the judge: as long as each request has the
successor that the one before it brought, nothing was lost and nothing was replayed."""

import glob
import os
import random
import time
from dataclasses import dataclass

from daemon import Daemon
from oidc import OidcServer
from people import CONFIDENTIAL, log_in_quickly, login_profile
from test_grants import introspected, served
from waiting import wait_until

# The same for every life: a daemon refreshes as soon as it has started.
PROFILE = {"mint_limit": 1000, "clock_probe": False}


class Replayed(AssertionError):
    """The daemon used a refresh token although it held its successor."""


@dataclass
class Counts:
    kills: int = 0
    unasked: int = 0  # the server had not been asked yet in that life
    kept: int = 0  # rotated there, and the successor was in the state file
    mended: int = 0  # it was in the temporary file beside it, whole, and the next run found it
    lost: int = 0  # it was nowhere
    logins: int = 1

    def row(self, name: str, rotations: int) -> str:
        return (f"| {name} | {rotations} | {self.kills} | {self.unasked} | {self.kept} "
                f"| {self.mended} | {self.lost} | {self.logins} | 0 |")


HEAD = ["| Killed | Rotations | kill -9 | before the request | successor in its file "
        "| in the temporary file | nowhere | Logins needed "
        "| Replayed though its successor was held |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|"]


class Rotations:
    """A daemon that is killed again and again, and what the server says of it."""

    def __init__(self, make_daemon, seed: int):
        self.server = OidcServer(clients=[CONFIDENTIAL], lifetime=600)
        self.daemon: Daemon = make_daemon(
            self.server, profile=login_profile(self.server, CONFIDENTIAL, **PROFILE))
        self.dice = random.Random(seed)
        self.counts = Counts()
        self._seen = 0  # refreshes at the server that have been judged
        self._to_kept: list[float] = []
        self._holds: str | None = None  # the fingerprint of the one the state file must have
        self.daemon.start()
        self._log_in()

    def close(self) -> None:
        self.server.stop()

    def _log_in(self) -> None:
        log_in_quickly(self.server, self.daemon)
        self._holds = None  # the code's answer is in no log of refreshes; the next one starts a chain
        self._seen = len(self.server.refreshes())
        self.daemon.kill()

    # What the disk has.

    def _file(self) -> tuple[int, int] | None:
        """Which file it is: one that was replaced is another."""
        found = glob.glob(os.path.join(self.daemon.state_dir, "*.login"))
        assert len(found) == 1, f"{len(found)} files of logins"
        told = os.stat(found[0])
        return told.st_ino, told.st_mtime_ns

    # Lives of the daemon.

    @property
    def rotations(self) -> int:
        return sum(not refresh["error"] for refresh in self.server.refreshes())

    def live(self, until) -> None:
        """One life: it starts, `until` decides when it ends, kill -9. Then it is judged."""
        before = self._file()
        self.daemon.start(ready=False)
        until(before)
        self.daemon.kill()
        self.counts.kills += 1
        self._judge(self._file() != before)

    def _judge(self, kept: bool) -> None:
        new = self._settled()[self._seen:]
        self._seen += len(new)
        assert len(new) <= 1, f"{len(new)} refreshes in one life"
        if not new:
            self.counts.unasked += 1
            return
        refresh, = new
        if self._holds is not None and refresh["used"] != self._holds:
            raise Replayed(f"kill number {self.counts.kills}: {refresh['used']} was used, but "
                           f"{self._holds} was held")
        assert not refresh["error"], f"a login is over for no reason: {refresh['error']}"
        if kept:
            self.counts.kept += 1
            self._holds = refresh["successor"]
        else:
            self._look_again(refresh)

    def _settled(self) -> list[dict]:
        """The server may still be at work on what a dead daemon asked, or have to read it yet."""
        wait_until(lambda: self.server.control_get("/stats")["busy"] == 0,
                   "a server with nothing to do")
        return self.server.refreshes()

    def _look_again(self, refresh: dict) -> None:
        """The file has no successor. The next run finds one in the temporary file, or nobody has it:
        then the old one is tried, once, and a person is asked for."""
        self.daemon.start()
        wait_until(lambda: self._serves() or
                   self.daemon.status()["state"] == "login_required", "the next run's end", 20)
        tried, = self.server.refreshes()[self._seen:]
        self._seen += 1
        if tried["used"] == refresh["successor"]:
            assert not tried["error"], tried["error"]
            self.counts.mended += 1
            self._holds = tried["successor"]
            self.daemon.kill()
        else:
            assert tried["used"] == refresh["used"] and tried["error"]
            assert self.daemon.token(wait=0).json["error"] == "login_required"
            self.counts.lost += 1
            self.counts.logins += 1
            self._log_in()

    def finish(self) -> None:
        """The login is alive: it is refreshed, and what comes of it is good."""
        self.daemon.start()
        wait_until(lambda: self.daemon.token(wait=10).status == 200, "a token", 20)
        assert self.daemon.post("/v1/refresh?profile=default").status == 200
        assert introspected(self.server, served(self.daemon))["active"]

    # When a life ends.

    def once_kept(self, before) -> None:
        """At a random one of three moments from which on nothing may be lost: as soon as the state
        file is another, as soon as the token is served, or some time later."""
        moment = self.dice.randrange(3)
        if moment == 0:
            wait_until(lambda: self._file() != before, "a new state file", 20, pause=0)
            return
        wait_until(self._serves, "a served token", 20, pause=0)
        time.sleep(self.dice.random() * (0.003 if moment == 1 else 0.1))

    def _serves(self) -> bool:
        try:
            return self.daemon.token(wait=2).status == 200
        except (OSError, EOFError):
            return False

    def anywhere(self, before) -> None:
        """Anywhere between its start and a little after the successor was kept, as long as that
        takes here and now."""
        if len(self._to_kept) < 5:
            begun = time.monotonic()
            wait_until(lambda: self._file() != before, "a new state file", 20, pause=0)
            self._to_kept.append(time.monotonic() - begun)
        else:
            time.sleep(self.dice.random() * 1.2 * sorted(self._to_kept)[2])
