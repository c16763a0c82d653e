#!/usr/bin/python3
"""The real daemon for so many minutes, under mixed load and with a login server in trouble.

Ends with a table; exit status 1 if anything happened that should not have."""

import argparse
import contextlib
import io
import os
import sys
import time

from world import FAULTY, LIFETIMES, PRIVATE, STEADY, World
import load
from open_files import open_files
from raw_http import cpu_seconds, descriptors, memory_kib
from waiting import wait_until

RSS_MORE_KIB = 4096  # what the allocator may keep of the largest crowd there was
DESCRIPTORS_MORE = 1  # an exchange may be under way
KEPT_CONNECTIONS = 16  # to login servers; that of each POST is kept for as long as the server likes
GARBAGE = {"action": "bytes", "text": "220 mail ready\r\n"}
# A token was made, and the next one would be of no more use: it is a quarter of an hour until the next
# attempt, unless an admin knows better.
UNFIT = {"action": "members", "members": {"expires_in": "3600"}}
FAULTS = [
    {"action": "answer", "status": 500, "body": '{"error":"server_error"}'},
    {"action": "answer", "status": 503, "body": "", "headers": {"Retry-After": "2"}},
    {"action": "answer", "status": 429, "body": "", "headers": {"Retry-After": "1"}},
    {"action": "answer", "status": 400,
     "body": '{"error":"invalid_request","description":"Rate limit exceeded, wait"}'},
    {"action": "hang"}, {"action": "close", "how": "clean"}, {"action": "close", "how": "abrupt"},
    {"action": "close", "how": "reset"}, GARBAGE, {"action": "chunks", "size": 4096},
    {"action": "cut", "at": -20, "how": "abrupt"}, UNFIT,
    {"action": "redirect", "status": 302, "location": "https://localhost:1/elsewhere"},
    {"action": "delay", "work": 1, "answer": 1, "body": 0},
]


def held(daemon) -> tuple[int, int, int]:
    """Memory of its own in KiB, descriptors, and apart from these its connections by TCP."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        inodes = {line.split()[9] for line in file}
    kept = sum(what[8:-1] in inodes for what in open_files(daemon.process.pid).values())
    return memory_kib(daemon), descriptors(daemon) - kept, kept


class Life:
    """One process of the daemon: what it held once it was warm, and what when nobody was there."""

    def __init__(self, world: World, begun_by: str):
        self._daemon = world.daemon
        self.begun_by, self.ended_by = begun_by, ""
        self.begun, self.lasted = time.monotonic(), 0.0
        for profile in LIFETIMES:
            wait_until(lambda: self._daemon.token(profile, wait=30).status == 200,
                       f"a token of {profile}", 120)
        for target in ("/v1/status", "/metrics", "/healthz"):
            self._daemon.get(target)
        self.before = held(self._daemon)
        self.after: tuple[int, int, int] | None = None

    def measure(self) -> None:
        """With the load gone."""
        daemon = self._daemon
        wait_until(lambda: daemon.get("/v1/status").json["broker"]["connections"] == 1,
                   "all are gone", 30)
        self.after = held(daemon)

    def end(self, how: str) -> None:
        self.ended_by, self.lasted = how, time.monotonic() - self.begun

    def row(self) -> str:
        after = self.after or ("?", "?", "?")
        return (f"  {self.begun_by:10} {self.lasted:7.0f} s  RSS {self.before[0]:6} -> {after[0]:>6} "
                f"KiB  descriptors {self.before[1]:3} -> {after[1]:>3}, to the login server {self.before[2]} -> {after[2]}"
                f"  {self.ended_by}")


class Trouble:
    """One thing after another, never two at a time."""

    def __init__(self, world: World):
        self._world = world
        self._draw = world.random("trouble")
        self.done: dict[str, int] = {}
        self.lives = [Life(world, "start")]
        self.cpu_at_rest = 0.0
        self._posts_before = 0

    def next(self, may_restart: bool) -> None:
        """A pause, then something."""
        self._world.over.wait(self._draw.uniform(0.5, 2.5))
        choices = [self.fault] * 8 + [self.evict, self.server_steps, self.wall_steps, self.outage,
                                      self.reload, self.reload_refused]
        if may_restart:
            choices += [self.restart, self.kill]
        what = self._draw.choice(choices)
        what()
        self.done[what.__name__] = self.done.get(what.__name__, 0) + 1

    def fault(self) -> None:
        """One client's, or all but the steady one's."""
        fake, fault = self._world.fake, self._draw.choice(FAULTS)
        clients = self._draw.choice([list(FAULTY), [self._draw.choice(list(FAULTY))]])
        self._world.troubled(*clients)
        for client in clients:
            fake.fault("token", client=client, times=-1, **fault)
        time.sleep(self._draw.uniform(1, 6))
        fake.clear_faults()
        for client in clients if fault is UNFIT else ():
            self._world.daemon.post(f"/v1/refresh?profile={client}")
        self._world.troubled(*clients)

    def evict(self) -> None:
        """As another application with the same client would."""
        client = self._draw.choice([*FAULTY, STEADY])
        self._world.end_tokens(lambda: self._world.fake.revoke(client=client))

    def server_steps(self) -> None:
        seconds = self._draw.choice([-30, -5, -0.7, 0.7, 5, 30])
        self._world.end_tokens(lambda: self._world.fake.step(seconds))

    def wall_steps(self) -> None:
        self._world.clock.step(self._draw.choice([-86400, -30, -0.3, 0.3, 30, 86400]))

    def outage(self) -> None:
        """Shorter than the steady one's token lives after its refresh was due."""
        fake = self._world.fake
        self._world.troubled(*FAULTY)
        fake.listen(False)
        fake.close_connections()
        time.sleep(self._draw.uniform(0.5, 3))
        fake.listen(True)
        self._world.troubled(*FAULTY)

    def reload(self) -> None:
        """One profile comes, or goes."""
        daemon = self._world.daemon
        if "guest" in daemon.profiles:
            del daemon.profiles["guest"]
        else:
            daemon.add_profile("guest", prefetch=False, mint_limit=1000)
        seen = len(daemon.stderr_text())
        daemon.write_config()
        daemon.reload()
        daemon.wait_log(r"^<5>configuration reloaded: \d+ profiles?$", since=seen)

    def reload_refused(self) -> None:
        daemon = self._world.daemon
        seen = len(daemon.stderr_text())
        daemon.write_config(daemon.config_text() + "no_such_key = 1\n")
        daemon.reload()
        daemon.wait_log(r"^<3>reload refused", since=seen)
        daemon.write_config()

    def restart(self) -> None:
        """In good order, with nobody there, which is when what it holds can be told."""
        world = self._world
        if not world.pause():
            world.tally.note("clients that were not done in a minute", False)
        self.lives[-1].measure()
        self._again("stop", world.daemon.stop)
        world.go_on()

    def kill(self) -> None:
        """In the middle of everything."""
        self._again("kill -9", self._world.daemon.kill)

    def _again(self, how: str, end) -> None:
        world = self._world
        world.goes_away()
        end()
        self.lives[-1].end(how)
        world.troubled(*LIFETIMES)  # no token outlives the process
        world.daemon.start()
        world.is_back()
        self.lives.append(Life(world, how))
        world._trouble.pop(STEADY, None)
        world._trouble.pop(PRIVATE, None)

    def finish(self) -> None:
        """All faults and all clients gone; everything has to mend itself."""
        world = self._world
        world.fake.clear_faults()
        if not world.pause():
            world.tally.note("clients that were not done in a minute", False)
        for profile in LIFETIMES:
            wait_until(lambda: world.daemon.status(profile)["state"] == "fresh",
                       f"a fresh token of {profile}", 70)
        self.lives[-1].measure()
        cpu = cpu_seconds(world.daemon)
        time.sleep(2)
        self.cpu_at_rest = (cpu_seconds(world.daemon) - cpu) / 2
        self.lives[-1].end("")


def problems(trouble: Trouble) -> list[str]:
    found = []
    for life in trouble.lives:
        if life.after and life.after[0] > life.before[0] + RSS_MORE_KIB:
            found.append(f"RSS grew from {life.before[0]} to {life.after[0]} KiB")
        if life.after and life.after[1] > life.before[1] + DESCRIPTORS_MORE:
            found.append(f"descriptors grew from {life.before[1]} to {life.after[1]}")
        if life.after and life.after[2] > KEPT_CONNECTIONS:
            found.append(f"{life.after[2]} connections to the login server")
    if trouble.cpu_at_rest > 0.05:
        found.append(f"{trouble.cpu_at_rest:.0%} of a processor at rest")
    return found


def table(world: World, trouble: Trouble, seconds: float, found: list[str]) -> None:
    tally = world.tally
    print(f"\nsoak: {seconds:.0f} s, seed {world.seed}")
    print(f"requests   {tally.requests}")
    print(f"POSTs      {world.fake.posts} received by the login server, "
          f"{len(world.fake.tokens())} tokens made")
    print("trouble    " + ", ".join(f"{name} {n}" for name, n in sorted(trouble.done.items())))
    for title, events in (("as expected", tally.expected), ("NOT EXPECTED", tally.unexpected)):
        print(f"{title}: {sum(events.values())}")
        for kind, number in sorted(events.items()):
            print(f"  {number:7}  {kind}")
    print(f"tokens the API rejected, not to be excused: "
          f"{tally.unexpected['TOKEN REJECTED BY THE API']}")
    print("processes, with the load gone:")
    for life in trouble.lives:
        print(life.row())
    print(f"processor at rest: {trouble.cpu_at_rest:.1%}")
    for line in [*tally.words, *found]:
        print(f"UNEXPECTED {line}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("minutes", type=float, nargs="?", default=5.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("soak: only root can be other users", file=sys.stderr)
        return 2
    world = World(options.seed)
    print(f"soak: {options.minutes:g} min, seed {world.seed}, all in {world.daemon.directory}",
          flush=True)
    found: list[str] = []
    begun = time.monotonic()
    end = begun + options.minutes * 60
    try:
        world.daemon.start()
        trouble = Trouble(world)
        threads = load.begin(world)
        while time.monotonic() < end:
            # The last process is the one that has to stay as small as it was, for half of the time.
            trouble.next(may_restart=time.monotonic() < (begun + end) / 2)
        trouble.finish()
        world.over.set()
        for thread in threads:
            thread.join(60)
        found = problems(trouble)
        table(world, trouble, time.monotonic() - begun, found)
        world.daemon.stop()  # it has to end well, and to have told no secret
    except AssertionError as error:
        print(f"UNEXPECTED {str(error)[:4000]}")
        return 1
    finally:
        world.over.set()
        if world.daemon.process is not None:
            world.daemon.kill()
        with contextlib.redirect_stdout(io.StringIO()):  # a line for each request it had
            world.fake.stop()
    return 1 if found or world.tally.unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
