"""What the soak run counts and excuses, shared by all its threads."""

import collections
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "system"))

from clock_shim import ShimmedClock  # noqa: E402
from daemon import Daemon, canary  # noqa: E402
from fake import Fake  # noqa: E402

STEADY = "steady"  # its client is never the one a fault is for: any error is unexpected
PRIVATE = "private"  # only root may have it
FAULTY = {"short": 10, "brief": 14, "middle": 25, "long": 60}  # profile: lifetime of its tokens
LIFETIMES = {**FAULTY, STEADY: 40, PRIVATE: 60}
RECOVERY = 65.0  # seconds after a fault in which a profile may still have no token: the longest pause


class Tally:
    """Events by kind, each kind expected or not; of what was not expected the first ones in words."""

    def __init__(self):
        self._lock = threading.Lock()
        self.requests = 0
        self.expected: collections.Counter = collections.Counter()
        self.unexpected: collections.Counter = collections.Counter()
        self.words: list[str] = []

    def asked(self, number: int = 1) -> None:
        with self._lock:
            self.requests += number

    def note(self, kind: str, expected: bool, words: str = "") -> None:
        with self._lock:
            (self.expected if expected else self.unexpected)[kind] += 1
            if not expected and len(self.words) < 20:
                self.words.append(f"{kind}: {words}")


class World:
    """The broker, the login server, and when either is known to be in trouble."""

    def __init__(self, seed: int):
        self.seed = seed
        self.tally = Tally()
        self.over = threading.Event()  # the load is to end
        self.paused = threading.Event()
        self._busy = 0
        self._condition = threading.Condition()
        self.fake = Fake([{"id": name, "secret": canary(), "lifetime": lifetime}
                          for name, lifetime in LIFETIMES.items()])
        secrets = {client["id"]: client["secret"] for client in self.fake.clients}
        self.daemon = Daemon(
            self.fake,
            profiles={name: {"client_id": name, "secret": secrets[name], "mint_limit": 1000,
                             "reject_cooldown": "2s", "fetch_timeout": "3s",
                             "allow_users": None if name == PRIVATE else "*"}
                      for name in LIFETIMES},
            broker={"socket_mode": "0666", "request_deadline": "1s", "idle_timeout": "4s"})
        self.clock = ShimmedClock(self.daemon)
        self._away: list[list[float]] = []  # spans in which the daemon was not there
        self.judging = threading.Lock()  # held while something ends tokens before their time
        self._ended_up_to = 0  # tokens up to this number were ended so
        self._trouble: dict[str, float] = {}  # profile: monotonic time of its latest fault

    def random(self, name: str) -> random.Random:
        return random.Random(f"{self.seed} {name}")

    # The load.

    def work(self, name: str, step, pause: float) -> threading.Thread:
        """A thread that does the step again and again; while paused it has nothing open."""
        def run():
            draw = self.random(name)
            while not self.over.is_set():
                with self._condition:
                    if self.paused.is_set():
                        self._condition.wait(0.05)
                        continue
                    self._busy += 1
                begun = time.monotonic()
                try:
                    step(self, draw)
                except (OSError, EOFError, ValueError, AssertionError) as error:
                    kind = f"{name}: {type(error).__name__}"
                    if self.was_away(begun):
                        self.tally.note("no connection while it restarts", True)
                    else:
                        self.tally.note(kind, False, str(error)[:300])
                finally:
                    with self._condition:
                        self._busy -= 1
                        self._condition.notify_all()
                self.over.wait(pause * draw.random() * 2)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def pause(self) -> bool:
        """Until nobody is in the middle of anything."""
        self.paused.set()
        with self._condition:
            return self._condition.wait_for(lambda: self._busy == 0, 60)

    def go_on(self) -> None:
        self.paused.clear()

    # Excuses.

    def goes_away(self) -> None:
        self._away.append([time.monotonic(), float("inf")])

    def is_back(self) -> None:
        self._away[-1][1] = time.monotonic()

    def was_away(self, since: float) -> bool:
        """At any moment from then to now. What was begun in the last of its life counts too."""
        return any(begin <= time.monotonic() and end >= since for begin, end in self._away)

    def troubled(self, *profiles: str) -> None:
        """From now on these may be without a token, until RECOVERY after the latest such call."""
        for profile in profiles:
            self._trouble[profile] = time.monotonic()

    def may_be_without(self, profile: str) -> bool:
        return time.monotonic() - self._trouble.get(profile, -RECOVERY) < RECOVERY

    def end_tokens(self, how) -> None:
        """`how` ends tokens before the time that was told for them: nobody could have known."""
        with self.judging:
            how()
            self._ended_up_to = max((t["number"] for t in self.fake.tokens()), default=0)

    def judge_rejected(self, fingerprint: str, good_until: float, words: str) -> None:
        """The API did not take a token that the broker had handed out."""
        with self.judging:
            number = next(t["number"] for t in self.fake.tokens()
                          if t["fingerprint"] == fingerprint)
        if number <= self._ended_up_to:
            self.tally.note("token rejected after an eviction or a server's step", True)
        elif time.monotonic() > good_until:
            self.tally.note("token used by a client for longer than it was told", True)
        else:
            self.tally.note("TOKEN REJECTED BY THE API", False, words)
