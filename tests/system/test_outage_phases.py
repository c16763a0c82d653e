"""The login server cannot be reached for a while. Ten profiles have a token each, every one of another
age, so that one outage meets all phases of a token's life."""

import time

import pytest

from daemon import canary
from unix_http import exchange
from waiting import PATIENCE, wait_until

LIFETIME = 20
REFRESHED_AFTER = 11.5  # seconds, about
PHASES = 10
BACK = 5  # seconds from the end of an outage to a token
PACE = 0.1
NAMES = [f"phase-{number}" for number in range(PHASES)]


class Watched:
    """All of them, asked without end by callers who do not wait."""

    def __init__(self, daemon):
        self.connection = daemon.connect()
        self.latest: dict[str, object] = {}
        self.refused: list = []

    def look(self) -> None:
        for name in NAMES:
            answer = exchange(self.connection, "GET", f"/v1/token?profile={name}&wait=0")
            self.latest[name] = answer
            if answer.status != 200:
                self.refused.append((name, answer))

    def look_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look()
            time.sleep(PACE)

    def all_answered(self, status: int) -> bool:
        self.look()
        return all(answer.status == status for answer in self.latest.values())

    def generations(self) -> dict[str, int]:
        return {name: answer.json.get("generation", 0) for name, answer in self.latest.items()}


@pytest.fixture
def watched(fake, daemon):
    secrets = {name: canary() for name in NAMES}
    server = fake([{"id": name, "secret": secrets[name]} for name in NAMES], lifetime=LIFETIME)
    one = daemon(server, profiles={name: {"client_id": name, "secret": secrets[name]}
                                   for name in NAMES})
    for name in NAMES:
        assert one.post(f"/v1/refresh?profile={name}").status == 200
        time.sleep(REFRESHED_AFTER / PHASES)
    return server, Watched(one)


def end_and_begin(server, wanted: bool) -> None:
    server.listen(wanted)
    if not wanted:
        server.close_connections()


def test_a_tenth_of_a_life_is_noticed_by_nobody(watched):
    server, all_of_them = watched
    all_of_them.look()
    begun = all_of_them.generations()
    end_and_begin(server, False)
    all_of_them.look_for(LIFETIME / 10)
    end_and_begin(server, True)

    def all_replaced() -> bool:
        all_of_them.look()
        return all(generation > begun[name]
                   for name, generation in all_of_them.generations().items())

    wait_until(all_replaced, "another token of each", 2 * LIFETIME, PACE)
    assert not all_of_them.refused


def test_after_a_longer_one_all_are_back_in_seconds(watched):
    server, all_of_them = watched
    end_and_begin(server, False)
    wait_until(lambda: all_of_them.all_answered(503), "the end of each token", 2 * LIFETIME, PACE)
    all_of_them.look_for(LIFETIME)
    assert all(answer.retry_after <= BACK for answer in all_of_them.latest.values()
               if answer.status == 503)
    end_and_begin(server, True)
    ended = time.monotonic()
    wait_until(lambda: all_of_them.all_answered(200), "a token of each", 2 * BACK, PACE)
    assert time.monotonic() - ended < BACK + PATIENCE
