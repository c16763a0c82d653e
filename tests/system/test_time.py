"""Wrong clocks, stepping clocks, slow answers, odd Dates, suspend: no token that the broker hands
out may be one that the API refuses, and what it says of the clocks has to be true.

Tokens here live for 10 to 20 s, so that each is seen to be replaced. All of these worlds run side
by side, each with a fake, a daemon and a client of its own; a test tells what became of its one."""

import concurrent.futures
import time
from dataclasses import dataclass, field
from typing import Any, Callable

import pytest

from clock_shim import ShimmedClock
from daemon import Daemon, canary
from fake import Fake
from token_user import TokenUser
from waiting import wait_until

HOUR, DAY = 3600.0, 86400.0


@dataclass
class World:
    """What a scenario has at hand."""

    fake: Fake
    daemon: Daemon
    clock: ShimmedClock
    user: TokenUser

    def step_server(self, seconds: float) -> None:
        self.fake.step(seconds)
        self.user.server_stepped()

    def suspend(self, seconds: float) -> None:
        """The machine of the daemon sleeps; to it, the server's clock has gone on."""
        self.clock.suspend(seconds)
        self.fake.step(seconds)

    def expires_in(self) -> int:
        return self.user.look().json["expires_in"]

    def end(self) -> float:
        """Of the token that is served now, as the broker sees it, by this process's clock."""
        now = time.monotonic()
        return now + self.expires_in()

    def measure(self) -> dict:
        """One exchange with the server, on demand."""
        answer = self.daemon.post("/v1/skew/probe?profile=default")
        assert answer.status == 200, answer
        return answer.json


# What happens in a world. Each of these looks at the token all the time.

def three_tokens(world: World) -> None:
    world.user.look_until_generations(3)
    world.user.check_promises()
    # One more may be there already, in its guard.
    assert world.fake.posts <= 4


def two_slow_tokens(world: World) -> None:
    world.user.look_until_generations(2)
    world.user.check_promises()
    assert world.fake.posts <= 3


def three_tokens_by_their_exp(world: World) -> None:
    three_tokens(world)
    assert world.user.skew()["token"]["evidence"] == ["expires_in", "exp"]


def three_tokens_of_a_cluster(world: World) -> None:
    three_tokens(world)
    # By now both clocks have been met, and the interval has room for both.
    world.user.look_until(lambda: len(world.user.clocks_found) == 2, "an interval of both clocks")


def three_tokens_without_date(world: World) -> None:
    world.user.look_until_generations(3)
    world.user.check_promises()
    skew = world.user.skew()
    assert (skew["samples"], skew["clocks_seen"], skew["consistent"]) == (0, 0, False)
    assert [skew[key] for key in ("skew_seconds", "low", "high", "tight")] == [None] * 4
    assert skew["token"]["evidence"] == ["expires_in"]
    assert world.user.measured == 0


def server_steps(world: World) -> None:
    user = world.user
    # The very first HEAD, right after a POST, may not disagree: then it would be another machine's.
    user.look_until(lambda: user.skew()["samples"] >= 2, "an answered HEAD")
    # Ahead: the token is dead now, and the next exchange brings another one with it.
    world.step_server(+30)
    world.measure()
    user.look_until_generations(2, timeout=2)
    # Back: the token only lives longer.
    world.step_server(-45)
    refused = user.excused
    user.look_until_generations(3)
    assert user.excused == refused
    # Ahead, and nobody asks there before the next refresh.
    world.step_server(+600)
    user.look_until_generations(4)
    used = user.used
    user.look_until_generations(5)
    assert user.used > used
    assert world.fake.posts <= 7


def local_clock_steps(world: World) -> None:
    user, clock = world.user, world.clock
    begun = time.monotonic()
    user.look()
    for number, seconds in enumerate((+600, -1200, +DAY, -DAY), 1):
        clock.step(seconds)
        user.look_until(lambda: user.skew()["wall_steps"] >= number, "a notice of the step")
    user.check_promises()
    # A step ahead may cost a fetch, and a refresh is due every 5 s.
    assert world.fake.posts <= 1 + 2 + (time.monotonic() - begun) / 4


def local_clock_steps_in_a_long_life(world: World) -> None:
    user, clock, fake = world.user, world.clock, world.fake
    end = world.end()
    # Not more than the token has left: nobody can tell whether that time was lost, so the broker
    # does not stand behind it, until an exchange has told. No fetch is needed for that. The broker
    # asks at once; to be seen in doubt, it gets no answer for a while.
    fake.fault("head", "close", times=-1)
    clock.step(+600)
    assert abs(world.end() - (end - 600)) <= 5
    fake.clear_faults()
    user.look_until(lambda: abs(world.end() - end) <= 5, "an exchange that clears the token")
    # Back and ahead again, and nobody has told in between that the clock was right then.
    fake.fault("head", "close", times=-1)
    clock.step(-2 * DAY)
    assert abs(world.end() - end) <= 5
    clock.step(+2 * DAY)
    assert abs(world.end() - end) <= 5
    assert fake.posts == 1
    fake.clear_faults()
    # More than it has left: the caller is held for an exchange. Without an answer the token serves
    # on, as stale; with one, it is as good as it ever was, or there is a new one already.
    fake.listen(False)
    fake.close_connections()
    user.reconnect()
    clock.step(+2 * DAY)
    answer = world.daemon.token()
    assert answer.json["state"] == "stale" and answer.json["generation"] == user.generations[-1]
    assert answer.json["expires_in"] >= 1
    fake.listen(True)
    user.look_until(lambda: user.look().json["state"] == "fresh", "a fresh token")
    assert end - 5 <= world.end() <= time.monotonic() + 86400 + 5
    assert fake.posts <= 2
    user.check_promises()


def suspended(world: World) -> None:
    user, fake = world.user, world.fake
    user.look()
    world.suspend(8 * HOUR)
    user.look()
    assert len(user.generations) == 2, "the token from before the night was served"
    # Asleep while the server's answer was on its way: the token in it is dead on arrival.
    fake.fault("token", "delay", answer=1.0)
    posts = fake.wait_for("token", fake.posts + 1)
    world.suspend(8 * HOUR)
    user.look()
    assert len(user.generations) == 3
    assert fake.posts > posts
    user.look_until_generations(4)
    assert user.skew()["wall_steps"] == 0


def suspended_in_a_long_life(world: World) -> None:
    user, fake = world.user, world.fake
    whole, end = world.expires_in(), world.end()
    world.suspend(8 * HOUR)
    assert abs(world.end() - (end - 8 * HOUR)) <= 5
    assert fake.posts == 1 and len(user.generations) == 1
    # Asleep while the answer was on its way: the night counts, and that Date proves nothing.
    samples = user.skew()["samples"]
    fake.fault("token", "delay", answer=1.0)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        refreshed = pool.submit(world.daemon.post, "/v1/refresh?profile=default")
        fake.wait_for("token", 2)
        world.suspend(8 * HOUR)
        answer = refreshed.result()
    assert answer.status == 200, answer
    assert abs(answer.json["expires_in"] - (whole - 8 * HOUR)) <= 5
    user.look_until_generations(2)
    assert user.skew()["samples"] == samples
    assert user.skew()["wall_steps"] == 0


def held_back_for_seconds(world: World) -> None:
    """By its Date the token begins much later; callers wait for it as usual, and get it."""
    begun = time.monotonic()
    answer = world.daemon.token()
    assert answer.status == 200, answer
    assert time.monotonic() - begun < 5
    three_tokens(world)


def two_clocks_far_apart(world: World) -> None:
    """Each answer disagrees with the other clock; so many HEADs are no reason to ask again."""
    begun = time.monotonic()
    # Nobody else asks meanwhile, so that the clocks answer the broker in turn.
    wait_until(lambda: world.user.skew()["clocks_seen"] == 2, "both clocks")
    world.user.look_until(lambda: time.monotonic() - begun > 12, "twelve seconds")
    # the series at the start, three because of conflicts, and the series by age
    assert world.fake.heads <= 6 + 3 + 12
    assert world.fake.posts == 1


@dataclass(frozen=True)
class Scenario:
    name: str
    happens: Callable[[World], None] = three_tokens
    lifetime: int = 10
    fake: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    wall: float = 0.0  # how far the local clock is ahead
    slow: dict[str, float] = field(default_factory=dict)  # of the login server, not of the API
    tight: bool = True

    def run(self) -> None:
        fake = Fake([{"id": "fake-client", "secret": canary()}], lifetime=self.lifetime,
                    **self.fake)
        daemon = Daemon(fake, profile=self.profile)
        user = None
        try:
            for kind in ("token", "head") if self.slow else ():
                fake.fault(kind, "delay", times=-1, **self.slow)
            clock = ShimmedClock(daemon)
            clock.step(self.wall)
            daemon.start()
            user = TokenUser(daemon, fake, clock, tight=self.tight)
            self.happens(World(fake, daemon, clock, user))
            assert user.used >= 3
            assert user.measured >= 3 or self.fake.get("date") == "none"
        except Exception as error:
            raise AssertionError(f"{error!r}\nIt logged:\n{daemon.stderr_text()}") from error
        finally:
            if user is not None:
                user.close()
            try:
                daemon.close()
            finally:
                fake.stop()


JWT = {"token_format": "jwt"}

SCENARIOS = [
    Scenario("local-clock-10-min-ahead", wall=+600),
    Scenario("local-clock-10-min-behind", wall=-600),
    Scenario("server-30-s-ahead", fake={"clock_offset": 30}),
    Scenario("server-45-s-behind", fake={"clock_offset": -45, **JWT}),
    Scenario("server-10-min-ahead-local-behind", fake={"clock_offset": 600, **JWT}, wall=-600),
    Scenario("server-steps", server_steps),
    Scenario("answers-4-s-after-deciding", two_slow_tokens, lifetime=20, slow={"answer": 4}),
    Scenario("answers-4-s-before-deciding", two_slow_tokens, lifetime=20, slow={"work": 4}),
    Scenario("jwt-backdated", fake={**JWT, "jwt_iat_offset": -300, "jwt_nbf_offset": -300,
                                    "clock_offset": 30}),
    Scenario("jwt-from-the-future", fake={**JWT, "jwt_iat_offset": 2}, wall=-600),
    Scenario("jwt-ends-before-expires-in", three_tokens_by_their_exp, lifetime=12,
             fake={**JWT, "jwt_exp_offset": -3, "clock_offset": 600}, wall=-600),
    Scenario("cached-date", fake={"date_stale": 1, **JWT}, tight=False),
    Scenario("no-date", three_tokens_without_date, fake={"date": "none", **JWT}, wall=+600),
    Scenario("cluster-of-two-clocks", three_tokens_of_a_cluster, fake={"clocks": "0,1.5"},
             tight=False),
    Scenario("two-clocks-far-apart", two_clocks_far_apart, lifetime=86400,
             fake={"clocks": "0,4.5", "clock_rotation": "request"}, tight=False),
    Scenario("date-30-s-behind", held_back_for_seconds, lifetime=20,
             fake={**JWT, "jwt_iat_offset": 30, "jwt_nbf_offset": 30, "jwt_exp_offset": 30,
                   "api_clock_offset": 30}),
    Scenario("date-2-h-behind", held_back_for_seconds, lifetime=20,
             fake={**JWT, "jwt_iat_offset": 7200, "jwt_nbf_offset": 7200, "jwt_exp_offset": 7200,
                   "api_clock_offset": 7200}),
    Scenario("local-clock-steps", local_clock_steps),
    Scenario("local-clock-steps-in-a-long-life", local_clock_steps_in_a_long_life, lifetime=86400),
    Scenario("suspended", suspended),
    Scenario("suspended-in-a-long-life", suspended_in_a_long_life, lifetime=86400,
             profile={"clock_probe": False}),
]


@pytest.fixture(scope="module")
def worlds(request):
    """All scenarios whose tests were chosen, running."""
    chosen = [item.callspec.params["scenario"] for item in request.session.items
              if item.module is request.module and hasattr(item, "callspec")]
    with concurrent.futures.ThreadPoolExecutor(len(chosen)) as pool:
        yield {scenario.name: pool.submit(scenario.run) for scenario in chosen}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_tokens_are_good_and_the_clock_is_told_right_with(scenario, worlds):
    worlds[scenario.name].result()
