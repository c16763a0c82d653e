"""The server's clock: this machine's, moved and bent as the settings say.

Server time = real time + offset + steps + drift since it was set + the cluster member's own offset.
"""

import itertools
import math
import threading
import time
from dataclasses import dataclass
from email.utils import formatdate

# The phase in which a cached Date is made anew, as a part of its age limit. Not a round number:
# a cache that turns over exactly when the second does would never show its age.
DATE_PHASE = 0.618


@dataclass(frozen=True)
class Reading:
    """One reading of one of the server's clocks."""

    now: float
    node: int

    def http_date(self, stale: float = 0.0) -> str:
        made = self.now
        if stale > 0:
            phase = stale * DATE_PHASE
            made = math.floor((self.now - phase) / stale) * stale + phase
        return formatdate(math.floor(made), usegmt=True)


class Clock:
    def __init__(self, settings):
        self._settings = settings
        self._lock = threading.Lock()
        self._turn = itertools.count()
        self._started = time.time()
        self._stepped = 0.0
        self._drift = settings.clock_drift
        self._drift_since = self._started

    def step(self, seconds: float) -> None:
        """At once, on top of every earlier step."""
        with self._lock:
            self._stepped += seconds

    def reset(self) -> None:
        with self._lock:
            self._started = time.time()
            self._stepped = 0.0
            self._drift = self._settings.clock_drift
            self._drift_since = self._started

    def next_node(self) -> int:
        """The cluster's member whose turn it is."""
        return next(self._turn) % len(self._settings.clocks)

    def read(self, node: int = 0) -> Reading:
        """What the cluster's member shows now."""
        with self._lock:
            real = time.time()
            if self._settings.clock_drift != self._drift:
                # What the old rate has gathered stays; the new rate counts from here.
                self._stepped += self._gathered(real)
                self._drift = self._settings.clock_drift
                self._drift_since = real
            scheduled = sum(amount for after, amount in self._settings.clock_steps
                            if real - self._started >= after)
            members = self._settings.clocks
            now = (real + self._settings.clock_offset + self._stepped + scheduled
                   + self._gathered(real) + members[node % len(members)])
            return Reading(now, node)

    def _gathered(self, real: float) -> float:
        return (real - self._drift_since) * self._drift * 1e-6
