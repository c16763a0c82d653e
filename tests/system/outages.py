"""Outages of a login server from their beginning to their end, as whoever depends on it sees them.
Each happens in a world of its own, so that all can happen at once."""

import concurrent.futures
import math
import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from daemon import Daemon, canary
from fake import Fake
from trouble_cases import NO_ANSWER
from unix_http import Answer
from waiting import PATIENCE, wait_until

LIFETIME = 10


def at_once(ask: Callable[[], Answer]) -> Answer:
    """Its answer, which was not held."""
    begun = time.monotonic()
    answer = ask()
    assert time.monotonic() - begun < 1.5 * PATIENCE, "it was held"
    return answer


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    assert found, f"no {name} in the metrics"
    return float(found[1])


@dataclass
class World:
    fake: Fake
    daemon: Daemon

    def status(self) -> dict:
        return self.daemon.status()

    def token(self, wait: int = 0) -> Answer:
        return self.daemon.token(wait=wait)

    def posts(self) -> list[dict]:
        return self.fake.log("token")

    def wait_for_state(self, state: str, timeout: float = 10.0) -> None:
        wait_until(lambda: self.status()["state"] == state, f"state {state}", timeout)

    def wait_for_pause(self, seconds: int) -> None:
        wait_until(lambda: (self.status()["next_attempt_in"] or 0) >= seconds,
                   f"a pause of {seconds} s", 20)

    def check_unavailable(self, words: str) -> None:
        """Whoever looks is told the same."""
        daemon = self.daemon
        self.wait_for_pause(2)  # time enough to ask them all before the next attempt
        assert daemon.get("/healthz").status == 200
        ready = daemon.get("/readyz")
        assert ready.status == 503
        assert ready.json["error_description"].endswith("default (unavailable)")
        answer = at_once(self.token)
        assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
        assert re.search(words, answer.json["error_description"]), answer
        assert answer.retry_after >= 1
        status = self.status()
        assert status["state"] == "unavailable"
        assert abs(status["next_attempt_in"] - answer.retry_after) <= 1
        assert re.search(words, f"{status['last_error']['class']} {status['last_error']['words']}")
        metrics = daemon.get("/metrics").text
        assert metric(metrics, 'gctokend_token_valid{profile="default"}') == 0
        assert metric(
            metrics, 'gctokend_token_state{profile="default",state="unavailable"}') == 1
        printed = daemon.gctoken("status")
        assert re.search(r"^default +unavailable\b", printed.stdout, re.M), printed.stdout
        assert re.search(words, printed.stdout), printed.stdout
        got = daemon.gctoken("get", "--wait", "0")
        assert (got.returncode, got.stdout) == (75, "")
        assert re.search(words, got.stderr), got.stderr

    def check_waiting(self, mend: Callable[[], None]) -> None:
        """Who would wait for longer than the next attempt is off is held, and served by it; who
        would not is told at once."""
        self.wait_for_pause(4)
        answer = at_once(lambda: self.token(wait=0))
        # Whoever is refused is told of an attempt in a few seconds, however long a pause it was.
        assert answer.status == 503 and answer.retry_after <= 5
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            held = [pool.submit(self.token, 30) for _ in range(5)]
            wait_until(lambda: self.status()["waiting"] == 5, "five who are held")
            mend()
            answers = [one.result() for one in held]
        assert {answer.status for answer in answers} == {200}
        assert len({answer.json["generation"] for answer in answers}) == 1
        assert self.status()["state"] == "fresh" and self.status()["last_error"] is None
        assert self.daemon.get("/readyz").status == 200


REFUSED = "unavailable.*could not connect to localhost: Connection refused"


def server_down(world: World) -> None:
    fake, daemon = world.fake, world.daemon
    first = world.token(wait=5).json
    fake.listen(False)
    fake.close_connections()
    wait_until(lambda: world.status()["last_error"], "a failed refresh")
    assert world.token().json["state"] == "stale"
    status = world.status()
    assert (status["state"], status["generation"]) == ("stale", first["generation"])
    assert status["refresh_in"] <= 0 < status["expires_in"]
    assert status["last_error"]["status"] == NO_ANSWER
    assert daemon.get("/readyz").status == 200
    assert re.search(r"^default +stale\b", daemon.gctoken("status").stdout, re.M)
    assert daemon.gctoken("get").stdout == first["access_token"] + "\n"
    assert metric(daemon.get("/metrics").text,
                  'gctokend_tokens_served_total{profile="default",state="stale"}') >= 2
    world.wait_for_state("unavailable")
    world.check_unavailable(REFUSED)
    world.check_waiting(lambda: fake.listen(True))
    assert world.token().json["generation"] == first["generation"] + 1
    assert fake.posts == 2


def server_down_at_the_start(world: World) -> None:
    world.wait_for_state("unavailable")
    world.check_unavailable(REFUSED)
    world.check_waiting(lambda: world.fake.listen(True))
    assert world.fake.posts == 1
    # Not more than one a second, and ever fewer.
    events = world.daemon.get("/v1/history?profile=default").json["events"]
    failed = [event["ago"] for event in events if event["event"] == "fetch_failed"]
    assert 3 <= len(failed) <= 1 + max(failed)


def nobody_asks_in_an_outage(world: World) -> None:
    """prefetch = no: nobody asks, nothing is tried; whoever asks is told what is wrong."""
    assert world.status()["state"] == "waiting" and world.status()["next_attempt_in"] is None
    assert world.daemon.get("/readyz").status == 200
    answer = world.token(wait=0)
    assert answer.status in (503, 504)
    wait_until(lambda: world.token().status == 503, "a refusal")
    assert re.search(REFUSED, world.token().json["error_description"])
    world.fake.listen(True)
    assert world.token(wait=20).status == 200
    assert world.fake.posts == 1


def throttled(world: World) -> None:
    """A live token, then as many refusals as the server likes."""
    fake = world.fake
    first = world.token(wait=5).json
    fake.set(throttle=True)
    wait_until(lambda: world.status()["last_error"], "a throttled refresh")
    assert world.token().json["generation"] == first["generation"]
    assert world.status()["last_error"]["class"] == "throttled"
    wait_until(lambda: world.token().status == 503, "the token's end")
    fake.set(throttle=False)
    answer = world.token()
    assert re.match(r"throttled \(HTTP 4\d\d, invalid_request\): rate limit exceeded, please try",
                    answer.json["error_description"]), answer
    assert world.token(wait=20).status == 200
    refused, obeyed = world.posts()[1:]
    # To the second, by whichever clock the server told it: its clock is read in each entry.
    assert obeyed["clock"] >= math.ceil(refused["clock"] + 4)
    # One second each for the date's, the Date's and the broker's rounding.
    assert obeyed["clock"] - refused["clock"] <= 4 + 3 + 5 * PATIENCE


def throttled_for_hours(world: World) -> None:
    fake, daemon = world.fake, world.daemon
    wait_until(lambda: world.status()["last_error"], "a throttled request")
    answer = at_once(lambda: world.token(wait=300))
    assert answer.status == 503 and 3590 <= answer.next_attempt <= 3600, answer
    assert answer.retry_after == 60, answer
    fake.set(throttle=False)
    daemon.restart()
    answer = at_once(world.token)
    assert answer.status == 503 and 3580 <= answer.next_attempt <= 3600, answer
    assert answer.json["error_description"].startswith("throttled (HTTP 429, invalid_request)")
    assert fake.posts == 1
    # An admin knows better.
    assert daemon.post("/v1/refresh").status == 200
    assert fake.posts == 2


@dataclass(frozen=True)
class Outage:
    name: str
    happens: Callable[[World], None]
    fake: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    listen: bool = True

    def run(self) -> None:
        fake = Fake([{"id": "fake-client", "secret": canary()}], lifetime=LIFETIME, **self.fake)
        daemon = Daemon(fake, profile=self.profile)
        try:
            fake.listen(self.listen)
            daemon.start()
            self.happens(World(fake, daemon))
        except Exception as error:
            raise AssertionError(f"{error!r}\nIt logged:\n{daemon.stderr_text()}") from error
        finally:
            try:
                daemon.close()
            finally:
                fake.stop()


def throttle(form: str, status: int, seconds: int = 4, **more: Any) -> dict[str, Any]:
    return {"retry_after": seconds, "retry_after_form": form, "throttle_status": status, **more}


OUTAGES = [
    Outage("server-down", server_down),
    Outage("server-down-at-the-start", server_down_at_the_start, listen=False),
    Outage("nobody-asks-in-an-outage", nobody_asks_in_an_outage, listen=False,
             profile={"prefetch": False}),
    Outage("retry-after-in-seconds", throttled, throttle("seconds", 400)),
    Outage("retry-after-a-date", throttled, throttle("date", 429)),
    Outage("retry-after-a-date-7-min-ahead", throttled, throttle("date", 429, clock_offset=420)),
    Outage("retry-after-a-date-7-min-behind", throttled,
             throttle("date", 400, clock_offset=-420)),
    Outage("retry-after-hours", throttled_for_hours,
             throttle("seconds", 429, seconds=7200, throttle=True)),
]
