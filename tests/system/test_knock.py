"""A login server that takes requests, or connections, and is silent. Each request may have made a token,
so they become rare; that it answers again is noticed all the same, by HEADs."""

import itertools
import time

import pytest

from unix_http import exchange
from waiting import PATIENCE, wait_until

BACK = 5  # seconds from the end of an outage to a token
PACE = 0.1
EVERY = 3.5  # seconds from one HEAD to the next, at least
PROFILE = {"mint_limit": 6, "fetch_timeout": "2s"}


class Caller:
    """Asks without end, and does not wait."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.connection = daemon.connect()

    def ask(self):
        return exchange(self.connection, "GET", "/v1/token?wait=0")

    def refused_until(self, failures: int):
        """So many attempts have failed. The latest answer, which came between two."""
        def done() -> bool:
            nonlocal answer
            answer = self.ask()
            assert answer.status in (503, 504)
            return answer.status == 503 and self.daemon.status()["counters"]["failures"] >= failures

        answer = None
        wait_until(done, f"{failures} failed attempts", 60, PACE)
        return answer


@pytest.mark.parametrize("kind", ["any", "connect"])
def test_back_in_seconds(fake, daemon, kind):
    server = fake()
    server.fault(kind, "hang", times=-1)
    caller = Caller(daemon(server, profile=PROFILE))
    answer = caller.refused_until(4)
    assert 1 <= answer.retry_after <= BACK
    assert abs(caller.daemon.status()["next_attempt_in"] - answer.retry_after) <= 1
    server.clear_faults()
    ended = time.monotonic()
    wait_until(lambda: caller.ask().status == 200, "a token", 30, PACE)
    assert time.monotonic() - ended < BACK + PATIENCE
    heads = [entry["time"] for entry in server.log("head")]
    assert server.posts <= 6
    if kind == "any":
        until = ended + time.time() - time.monotonic()
        knocks = [at for at in heads if at < until]
        assert len(knocks) >= 3
        assert all(after - before > EVERY - PACE for before, after in itertools.pairwise(knocks))


def test_an_answer_that_misleads(fake, daemon):
    """HEADs are answered, and token requests are not."""
    server = fake()
    server.fault("token", "hang", times=-1)
    caller = Caller(daemon(server, profile=PROFILE))
    begun = time.monotonic()
    caller.refused_until(4)
    assert server.posts <= 6
    # the first at once, and then one in 20 s
    assert 1 <= len(server.log("head")) <= 2 + (time.monotonic() - begun) / 20
    server.clear_faults()


def test_probing_is_off(fake, daemon):
    server = fake()
    server.fault("any", "hang", times=-1)
    caller = Caller(daemon(server, profile={**PROFILE, "clock_probe": "no"}))
    caller.refused_until(4)
    assert not server.log("head")
