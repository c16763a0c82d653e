"""A foreign login server whose clock is wrong or stepped, and a local clock that is, too: the skew
that the broker measures has to hold the true one at each look, and no token that it hands out may
be one that introspection or a verifier of JWTs refuses.

Tokens here live for 10 s, so that each is seen to be replaced. All of these worlds run side by
side, each with a server, a daemon and a client of its own; a test tells what became of its one."""

import concurrent.futures
import time
from dataclasses import dataclass
from typing import Callable

import pytest

from clock_shim import ShimmedClock
from daemon import Daemon
from figures import FIGURES
from oidc import JWT_RESOURCE, OidcServer
from token_user import TokenUser
from unix_http import Answer

MINUTE, DAY = 60.0, 86400.0
LIFETIME = 10


class MeasuringUser(TokenUser):
    """Notes how far what the broker says of the clocks is from what is true."""

    def __init__(self, daemon: Daemon, server: OidcServer, clock: ShimmedClock):
        # Node makes the text of its Date once in a second, by a timer that may be late. So it is
        # not quite live, and the interval that takes it to be may miss the truth.
        super().__init__(daemon, server, clock, tight=False)
        self._server, self._wall = server, clock
        self.errors: list[float] = []
        self.widths: list[float] = []
        self.tight_off = [0.0]

    def look(self) -> Answer:
        measured = self.measured
        answer = super().look()
        if self.measured > measured:
            skew, truth = self.skew(), self._wall.wall - self._server.ahead
            # Here the truth is not read off the server's clock, but what the test has set.
            assert skew["low"] <= truth <= skew["high"], f"{truth} is not within {skew}"
            self.errors.append(abs(skew["skew_seconds"] - truth))
            self.widths.append(skew["high"] - skew["low"])
            self.tight_off.append(max(skew["tight"]["low"] - truth, truth - skew["tight"]["high"]))
        return answer


@dataclass
class World:
    """What a scenario has at hand."""

    server: OidcServer
    daemon: Daemon
    clock: ShimmedClock
    user: MeasuringUser
    jwt: bool

    def step_server(self, seconds: float) -> None:
        self.server.step(seconds)
        self.user.server_stepped()

    def measure(self) -> None:
        answer = self.daemon.post("/v1/skew/probe?profile=default")
        assert answer.status == 200, answer


# What happens in a world. Each of these looks at the token all the time.

def three_tokens(world: World) -> None:
    world.user.look_until_generations(3)
    world.user.check_promises()
    # One more may be there already, in its guard.
    assert world.server.posts <= 4


def server_steps(world: World) -> None:
    user = world.user
    # The very first HEAD, right after a POST, may not disagree: then it would be another machine's.
    user.look_until(lambda: user.skew()["samples"] >= 2, "an answered HEAD")
    # Ahead: the token is dead now, and the next exchange brings another one with it.
    world.step_server(+30)
    known = len(user.generations)
    world.measure()
    user.look_until_generations(known + 1, timeout=2)
    # Back: an opaque token lives longer; a JWT is from the future until it is replaced.
    world.step_server(-75)
    refused = user.excused
    user.look_until_generations(len(user.generations) + 1)
    assert world.jwt or user.excused == refused, "its clock went back, and yet a token ended"
    # Ahead, and nobody asks there before the next refresh.
    world.step_server(+10 * MINUTE + 45)
    user.look_until_generations(len(user.generations) + 1)
    used = user.used
    user.look_until_generations(len(user.generations) + 1)
    assert user.used > used
    assert world.server.posts <= len(user.generations) + 2


def local_clock_steps(world: World) -> None:
    user, clock = world.user, world.clock
    begun = time.monotonic()
    user.look()
    for number, seconds in enumerate((+30, -75, +10 * MINUTE, -DAY), 1):
        clock.step(seconds)
        user.look_until(lambda: user.skew()["wall_steps"] >= number, "a notice of the step")
    # Each step may have brought a token already: see two more that come by themselves.
    user.look_until_generations(len(user.generations) + 2)
    user.check_promises()
    # A step ahead may cost a fetch, and a refresh is due every 4 s or so.
    assert world.server.posts <= 1 + 2 + (time.monotonic() - begun) / 3


def both_step(world: World) -> None:
    """The server ahead while this machine goes back, and the other way round."""
    user = world.user
    user.look_until(lambda: user.skew()["samples"] >= 2, "an answered HEAD")
    for number, (server, local) in enumerate(((+30, -45), (-75, +10 * MINUTE)), 1):
        world.clock.step(local)
        world.step_server(server)
        user.look_until(lambda: user.skew()["wall_steps"] >= number, "a notice of the step")
        user.look_until_generations(len(user.generations) + 2)
    assert world.server.posts <= len(user.generations) + 3


@dataclass(frozen=True)
class Scenario:
    name: str
    happens: Callable[[World], None] = three_tokens
    server: float = 0.0  # how far its clock is ahead when it starts
    local: float = 0.0  # how far this machine's is
    jwt: bool = False

    def run(self) -> str:
        """Its row of figures."""
        server = OidcServer(lifetime=LIFETIME, ahead=self.server)
        user = daemon = None
        try:
            daemon = Daemon(server, profile={"extra_params": JWT_RESOURCE} if self.jwt else {})
            clock = ShimmedClock(daemon)
            clock.step(self.local)
            daemon.start()
            user = MeasuringUser(daemon, server, clock)
            self.happens(World(server, daemon, clock, user, self.jwt))
            formats = {token["format"] for token in server.tokens()}
            assert formats == {"jwt" if self.jwt else "opaque"}
            assert user.used >= 3 and user.measured >= 3
            evidence = user.skew()["token"]["evidence"]
            assert evidence == (["expires_in", "exp"] if self.jwt else ["expires_in"])
            return self._row(server, user)
        except Exception as error:
            said = daemon.stderr_text() if daemon else ""
            raise AssertionError(f"{error!r}\nIt logged:\n{said}") from error
        finally:
            try:
                if user is not None:
                    user.close()
                if daemon is not None:
                    daemon.close()
            finally:
                server.stop()

    def _row(self, server: OidcServer, user: MeasuringUser) -> str:
        errors, widths = sorted(user.errors), sorted(user.widths)
        middle = len(errors) // 2
        return (f"| {self.name} | {user.measured} | {user.measured} | {max(user.tight_off):.3f} "
                f"| {errors[middle]:.3f} / {errors[-1]:.3f} "
                f"| {widths[middle]:.2f} / {widths[-1]:.2f} "
                f"| {user.used} | {user.excused} | {server.posts} |")


SCENARIOS = [
    Scenario("clocks-agree"),
    Scenario("clocks-agree-jwt", jwt=True),
    Scenario("server-30-s-ahead", server=+30),
    Scenario("server-30-s-ahead-jwt", server=+30, jwt=True),
    Scenario("server-45-s-behind", server=-45),
    Scenario("server-45-s-behind-jwt", server=-45, jwt=True),
    Scenario("server-10-min-ahead-local-10-min-behind", server=10 * MINUTE, local=-10 * MINUTE),
    Scenario("server-10-min-ahead-local-a-day-ahead-jwt", server=10 * MINUTE, local=DAY, jwt=True),
    Scenario("server-steps", server_steps),
    Scenario("server-steps-jwt", server_steps, jwt=True),
    Scenario("local-clock-steps", local_clock_steps, server=+30),
    Scenario("local-clock-steps-jwt", local_clock_steps, server=-45, jwt=True),
    Scenario("both-step-jwt", both_step, jwt=True),
]

HEAD = ["| World | Looks | held the truth | `tight` missed it by, s | Error, s: median / worst "
        "| Width, s: median / widest | Tokens accepted | refused after a step | POSTs |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|"]


@pytest.fixture(scope="module")
def worlds(request):
    """All scenarios whose tests were chosen, running."""
    chosen = [item.callspec.params["scenario"] for item in request.session.items
              if item.module is request.module and hasattr(item, "callspec")]
    FIGURES.extend(HEAD)
    with concurrent.futures.ThreadPoolExecutor(len(chosen)) as pool:
        yield {scenario.name: pool.submit(scenario.run) for scenario in chosen}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_skew_holds_the_truth_and_tokens_are_active_with(scenario, worlds):
    FIGURES.append(worlds[scenario.name].result())
