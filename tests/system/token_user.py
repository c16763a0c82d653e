"""A client as it should be: it asks the broker, calls the API with what it gets, and remembers
whether all of it was as promised. It looks at the clock measurement, too, and knows the truth."""

import http.client
import ssl
import time
from urllib.parse import urlsplit

from clock_shim import ShimmedClock
from daemon import Daemon
from fake import Fake
from unix_http import Answer, exchange
from waiting import PATIENCE

PACE = 0.1  # seconds between two looks


def _holds(interval: dict, truth: tuple[float, float]) -> bool:
    return interval["low"] <= max(truth) and min(truth) <= interval["high"]


class TokenUser:
    """Whatever is not as promised is an AssertionError at once, with the look it happened at.

    `tight`: the interval so called has to hold the truth as well, which is promised where the
    server's Date is live and one clock makes it."""

    def __init__(self, daemon: Daemon, fake: Fake, clock: ShimmedClock | None = None,
                 tight: bool = True):
        self._daemon, self._fake, self._clock, self._tight = daemon, fake, clock, tight
        self._broker = daemon.connect()
        self._api = http.client.HTTPSConnection(
            "localhost", urlsplit(fake.api_url).port, timeout=30 * PATIENCE,
            context=ssl.create_default_context(cafile=fake.ca_file))
        self.generations: list[int] = []  # in the order in which they were served
        self.used = 0  # tokens that the API took
        self.excused = 0  # tokens it refused, which nobody could have foreseen
        self.measured = 0  # looks at the clocks
        self.clocks_found: set[int] = set()  # those of the server's that the latest interval held
        self._promised: dict[str, float] = {}  # fingerprint: monotonic time until it is good
        self._outdated: set[str] = set()
        self._samples_wanted = 1

    def close(self) -> None:
        self._broker.close()
        self._api.close()

    def reconnect(self) -> None:
        """To the API, whose connections were all closed."""
        self._api.close()  # http.client opens it anew

    # One look.

    def look(self) -> Answer:
        """The token that was served and used. Then the clock measurement is checked."""
        begun = time.monotonic()
        answer = exchange(self._broker, "GET", "/v1/token")
        assert answer.status == 200, f"no token but {answer}"
        token, fingerprint = answer.json["access_token"], answer.headers["Gctoken-Fingerprint"]
        left = int(answer.headers["Gctoken-Expires-In-Ms"]) / 1000
        assert 1 <= answer.json["expires_in"] <= left < answer.json["expires_in"] + 1
        generation = answer.json["generation"]
        if not self.generations or generation != self.generations[-1]:
            assert generation not in self.generations, "an older token came back"
            self.generations.append(generation)
        if fingerprint not in self._outdated:
            self._outdated.clear()
        status = exchange(self._api, "GET", "/api/v2/users/me",
                          {"Authorization": f"Bearer {token}"}).status
        if fingerprint in self._outdated:
            self.excused += status == 401
        elif status == 200:
            self.used += 1
            self._promised[fingerprint] = max(self._promised.get(fingerprint, 0.0), begun + left)
        else:
            # Unless this process was kept from using it for longer than it was good.
            assert time.monotonic() > begun + left, (
                f"the API answers {status} to generation {generation}, of which the broker said "
                f"that it is good for another {left} s")
        self._check_skew()
        return answer

    def _check_skew(self) -> None:
        skew = self.skew()
        before = time.time()
        clocks = self._fake.control_get("/time")["clocks"]
        after = time.time()
        if skew["samples"] < self._samples_wanted:
            return
        ahead = self._clock.wall if self._clock else 0.0
        # The server read its clocks somewhere between before and after.
        truths = [(ahead - (clock - before), ahead - (clock - after)) for clock in clocks]
        self.clocks_found = {number for number, truth in enumerate(truths) if _holds(skew, truth)}
        assert self.clocks_found, f"the clocks are {truths} apart, which is not within {skew}"
        assert skew["low"] <= skew["skew_seconds"] <= skew["high"]
        if self._tight and skew["consistent"]:
            assert _holds(skew["tight"], truths[0]), (
                f"the clocks are {truths[0]} apart, which is not within the tight one of {skew}")
        self.measured += 1

    def skew(self) -> dict:
        answer = exchange(self._broker, "GET", "/v1/skew")
        assert answer.status == 200, answer
        return answer.json

    # Many.

    def look_until(self, condition, what: str, timeout: float = 30.0) -> None:
        """Looks again and again until the condition holds, at least once."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            self.look()
            if condition():
                return
            assert time.monotonic() < deadline, f"{what} did not come in {timeout * PATIENCE:g} s"
            time.sleep(PACE)

    def look_until_generations(self, count: int, timeout: float = 30.0) -> None:
        self.look_until(lambda: len(self.generations) >= count,
                        f"a token number {count}", timeout)

    def server_stepped(self) -> None:
        """Say so after a step of the server's clock: the broker cannot know before it asks there
        again. What the API refuses of the tokens there are, and what is said of the clocks, is
        excused until the broker serves a newer token, or has heard of the new time."""
        self._outdated = {token["fingerprint"] for token in self._fake.tokens()}
        # One answer may have been on its way already.
        self._samples_wanted = self.skew()["samples"] + 2

    def check_promises(self) -> None:
        """No token ended before the broker had said it would; call it where no clock of the server
        was stepped meanwhile."""
        before = time.monotonic()
        clocks = self._fake.control_get("/time")["clocks"]
        ends = {token["fingerprint"]: before + token["valid_until"] - max(clocks)
                for token in self._fake.tokens()}
        took = time.monotonic() - before
        for fingerprint, promised in self._promised.items():
            assert promised <= ends[fingerprint] + took, (
                f"a token was promised for {promised - ends[fingerprint]} s longer than it lived")
