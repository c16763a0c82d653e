#!/usr/bin/python3
"""./dev bench: what serving a token costs, beside nginx, memcached, redis and curl.

All in one run, the servers on one processor and the load on another. Those that are compared take
turns in short slices, in one order and then in the other; what counts is the median of the ratios
of neighbours, so that what else the machine does falls on both alike. --against another revision
tells what a change costs. Writes the table into
docs/performance.md and the figures for its pictures into a folder; --dry writes nothing."""

import argparse
import collections
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from servers import (AS_USER, CONNECTIONS, LOAD, ON_LOAD, ON_SERVER, ROOT, USER, World, figures,
                     missing, raw, raw_answer)

from daemon import GCTOKEN, GCTOKEND, environment
from waiting import wait_until

PAGE_READ = os.path.join(ROOT, "build", "tests", "bench", "page_read")
DOCUMENT = os.path.join(ROOT, "docs", "performance.md")
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
WAITERS = 10_000
MANY_USERS = 600  # about as many as fit into a line
MANY_RULES = 17  # so that these name 10,000
# A user who asks without end stands behind others for so long after they have asked something.
RIVAL_SECONDS = 10
CPUS = os.sched_getaffinity(0)
# By how a metric begins: what there is to say in the picture where it falls short, in one line.
REASONS = {
    "keep-alive": "five sixths of the time are the kernel's, for one read and one write a request, "
                  "which the others make as well",
    "new connection": "nine tenths of the time are the kernel's, to make and to end a connection",
    "one connection": "nearly all of the time is the kernel's, which wakes one and then the other",
    "idle daemon in a fleet": "every 10 to 11 s it asks what the store has, and wakes again for the "
                              "answers",
    "idle daemon: PSS": "most of it is libraries, which libcurl brings along",
    "page read": "all but a cache line or two is the clock's, and clocks differ",
    "10,000 waiting clients": "other work on this machine",
}
PAGE_ROWS = {
    "page_read_90": ("page read, 90 bytes", "clock_gettime(CLOCK_BOOTTIME)"),
    "page_read_two_threads": ("the same by two threads, each", "by one"),
    "page_read_2000": ("page read, 2,000 bytes", "clock_gettime(CLOCK_BOOTTIME)"),
    "page_getting": ("getting the page", "one new-connection request"),
}


def many_users():
    """A rule in which the load's user comes last."""
    return " ".join(["0", *map(str, range(10001, 10001 + MANY_USERS)), USER])


@dataclass
class Row:
    metric: str
    value: float
    target: float | None  # None: there is none, it is to be seen
    unit: str = "x"
    at_least: bool = False  # else: at most
    spread: tuple[float, float] | None = None
    baseline: str = ""

    @property
    def met(self):
        return self.value >= self.target if self.at_least else self.value <= self.target

    def cells(self):
        digits = {"x": 2, "ms": 1}.get(self.unit, 0)
        unit = {"x": "x", "": ""}.get(self.unit, " " + self.unit)
        spread = "{:.{d}f} to {:.{d}f}".format(*self.spread, d=digits) if self.spread else ""
        return [self.metric, f"{self.value:.{digits}f}{unit}", self.baseline, spread,
                *([] if self.target is None else
                  [f"{'≥' if self.at_least else '≤'} {self.target:g}{unit}",
                   "ok" if self.met else "falls short"])]


class Bench:
    def __init__(self, options):
        if options.alone:
            ON_SERVER[:0] = ["chrt", "--fifo", "1"]
        self.slices = options.slices
        self.quick = options.quick
        self.rows = []
        self.load_before = os.getloadavg()[1]
        self.profile_rows = []

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def in_turn(self, parties, measure):
        """name -> results, one for each slice; the order changes from slice to slice."""
        results = collections.defaultdict(list)
        for number in range(self.slices):
            for name in (list(parties), list(parties)[::-1])[number % 2]:
                results[name].append(measure(parties[name]))
        return results

    def row(self, metric, value, target, **more):
        row = Row(metric, value, target, **more)
        self.rows.append(row)
        self.say("  " + " | ".join(row.cells()))

    def forget_setup(self):
        """The load is one user's, and what it is compared to knows no users: it is not to stand
        behind root, who asked while all was set up."""
        time.sleep(0 if self.quick else RIVAL_SECONDS + 1)

    def ratio(self, metric, ours, theirs, target, baseline, **more):
        ratios = sorted(a / b for a, b in zip(ours, theirs))
        self.row(metric, statistics.median(ratios), target, baseline=baseline,
                 spread=(ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]), **more)

    # The parts.

    def requests(self, servers):
        """Many clients that stay, most of them idle; then clients that come anew."""
        gctokend = servers["gctokend"]
        before = gctokend.memory("Rss")
        idle = WAITERS // 10 if self.quick else WAITERS
        held = [server.hold("idle", idle) for server in servers.values()]
        for one in held:
            one.__enter__()
        if not self.quick:
            self.row(f"RSS per idle connection, of {idle:,}",
                     (gctokend.memory("Rss") - before) / idle, 320, unit="B")
        self.forget_setup()
        met = self.in_turn(servers, lambda server: server.load("keepalive"))
        for one in held:
            one.__exit__(None)
        self.beside(f"keep-alive, 64 active + {idle:,} idle: requests/s", met, "rate", 1.5, 1.1, True)
        self.beside("the same: server CPU per request", met, "cpu", 0.70, 0.92)
        self.beside("the same: p99", met, "p99", 1.0, None)
        met = self.in_turn(servers, lambda server: server.load("new"))
        self.beside("new connection per request, 64 at once: requests/s", met, "rate", 1.15, 1.25,
                    True)
        self.beside("the same: server CPU per request", met, "cpu", 0.9, 0.8)

    def beside(self, metric, met, what, nginx, memcached, at_least=False):
        for name, target in (("nginx", nginx), ("memcached", memcached)):
            if target is not None:
                self.ratio(metric, [one[what] for one in met["gctokend"]],
                           [one[what] for one in met[name]], target, name, at_least=at_least)

    def same_core(self, servers):
        pair = {name: servers[name] for name in ("gctokend", "nginx")}
        met = self.in_turn(pair, lambda server: server.load("keepalive", 1, 0.5, on=ON_SERVER))
        self.beside("one connection, same core: p50", met, "p50", 0.95, None)

    def waiters(self, gctokend, redis, fake):
        """A report wakes all who wait for another token; a message all who subscribed."""
        took = collections.defaultdict(list)
        stalls, posts = [], set()
        clients = WAITERS // 10 if self.quick else WAITERS
        for number in range(self.slices):
            for name in (["gctokend", "redis"], ["redis", "gctokend"])[number % 2]:
                if name == "redis":
                    with redis.hold("waiters", clients, ["SUBSCRIBE t"]) as held:
                        begun = time.monotonic_ns()
                        raw(redis.socket, b"PUBLISH t " + b"x" * 700 + b"\r\n", b"\r\n")
                        held.wait()
                    took[name].append(held.met["last"] - begun)
                    continue
                before = fake.posts
                seconds, stall = self.one_token(gctokend, fake, clients)
                took[name].append(seconds)
                stalls.append(stall)
                posts.add(fake.posts - before)
        self.ratio(f"{clients:,} waiting clients, token to last answer", took["gctokend"],
                   took["redis"], 1.15, "redis PUBLISH")
        self.row("the same: POSTs to the login", max(posts), 1, unit="")
        self.row("the same: stall of an unrelated request", statistics.median(stalls) / 1e6, 5,
                 unit="ms", spread=(min(stalls) / 1e6, max(stalls) / 1e6))

    def one_token(self, gctokend, fake, clients):
        """From the login server's answer to the last client's; and the longest that somebody took
        who asked for something else."""
        daemon = gctokend.daemon
        generation = daemon.token().json["generation"]
        target = f"/v1/token?after={generation}&wait=60"
        with gctokend.hold("waiters", clients, [target]) as held:
            wait_until(lambda: daemon.status()["waiting"] == clients, "all wait", 30)
            with gctokend.hold("probe", 1, ["/v1/token?profile=other"], as_root=True) as probe:
                time.sleep(0.15)  # the cooldown of the report before
                answer = daemon.post(f"/v1/token/reject?generation={generation}")
                assert answer.status == 200, answer
                held.wait()
            answered = fake.log("token")[-1]["answered"] - time.time() + time.monotonic()
        # The fake notes the time after its answer is sent; the first client may have been quicker.
        begun = min(answered * 1e9, held.met["first"])
        return held.met["last"] - begun, probe.met["max"]

    def command(self, gctokend):
        times = "10" if self.quick else "40"
        env = environment(GCTOKEN_SOCKET=gctokend.socket)
        commands = {
            "gctoken": [os.path.abspath(GCTOKEN), "get"],
            "curl": ["curl", "-q", "-s", "-f", "-H", "Accept: text/plain", "--unix-socket",
                     gctokend.socket, "http://localhost/v1/token"]}

        def measure(command):
            run = subprocess.run([*ON_LOAD, *AS_USER, LOAD, "spawn", times, *command], check=True,
                                 env=env, capture_output=True, text=True)
            return figures(run.stdout)["p50"]

        met = self.in_turn(commands, measure)
        self.ratio("gctoken get, spawn to exit", met["gctoken"], met["curl"], 0.15, "curl")

    def restart(self, world):
        """While the daemon ends and another starts, to which it left its token by way of the
        service manager's store. The manager keeps the socket: nobody is refused."""
        times = "3" if self.quick else "10"
        with world.managed() as (socket, target, command, env, fds):
            taken = sorted(
                figures(subprocess.run(
                    [*ON_SERVER, LOAD, "restart", socket, target, times, "sh", "-c",
                     'LISTEN_PID=$$ exec "$@"', "sh", *command],
                    env={**env, "LOAD_PASS": ",".join(map(str, fds))}, pass_fds=fds, check=True,
                    capture_output=True, text=True).stdout)["p50"] / 1e6
                for _ in range(self.slices))
        self.row("restart, no request fails: SIGTERM to the next daemon's first answer",
                 statistics.median(taken), 50, unit="ms",
                 spread=(taken[len(taken) // 4], taken[-1 - len(taken) // 4]))

    def idle(self, gctokend, redis):
        """After all the others, when nobody is connected."""
        # A timer may still be running for the connections that there were.
        time.sleep(0 if self.quick else 12)
        ours, theirs = gctokend.memory("Pss"), redis.memory("Pss")
        self.row("idle daemon: PSS after a fetch", ours / theirs, 1.05, baseline="redis")
        seconds = 10 if self.quick else 60
        before = gctokend.wake_ups()
        time.sleep(seconds)
        self.row("idle daemon: wake-ups a minute", (gctokend.wake_ups() - before) * 60 / seconds,
                 1, unit="")

    def fleet(self, world, fake, redis):
        """A host that shares its token, when nobody asks for it: it looks after the store."""
        key = os.path.join(world.folder, "fleet.key")
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write("ab" * 32 + "\n")
        host = world.gctokend(fake, name="a host of a fleet", broker={
            "fleet_store": f"unix:{redis.socket}", "fleet_key_file": key})
        wait_until(lambda: host.daemon.status()["fleet"]["state"] == "up", "it has the store")
        time.sleep(0 if self.quick else 12)
        seconds = 10 if self.quick else 120
        before = host.wake_ups()
        time.sleep(seconds)
        self.row("idle daemon in a fleet: wake-ups a minute",
                 (host.wake_ups() - before) * 60 / seconds, 12, unit="")

    def profiles(self, world):
        """The cost of a request, all profiles being asked in turn."""
        counts = [1, 10, 100] if self.quick else [1, 10, 100, 1000]
        fake = world.fake([{"id": f"client-{n}", "secret": f"secret-{n}"} for n in range(1000)])
        servers = {}
        for count in counts:
            names = [f"p{n}" for n in range(count)]
            servers[count] = world.gctokend(
                fake, {name: {"client_id": f"client-{n}", "secret": f"secret-{n}"}
                       for n, name in enumerate(names)},
                name=f"{count} profiles", targets=[f"/v1/token?profile={name}" for name in names])
            daemon = servers[count].daemon
            wait_until(lambda: daemon.get("/readyz").status == 200, "all have tokens", 120)
        self.forget_setup()
        met = self.in_turn(servers, lambda server: server.load("keepalive", 64, 0.5))
        for count in counts:
            ratios = sorted(a["cpu"] / b["cpu"] for a, b in zip(met[count], met[1]))
            self.profile_rows.append((count, statistics.median(ratios), ratios[len(ratios) // 4],
                                      ratios[-1 - len(ratios) // 4]))
        self.ratio(f"CPU per request with {counts[-1]:,} profiles",
                   [one["cpu"] for one in met[counts[-1]]], [one["cpu"] for one in met[1]], 1.1,
                   "one profile")

    def rules(self, world):
        """The cost of a request where the rules of all profiles are as long as a line allows, and
        root is a user like others."""
        profiles = {f"p{n}": {} for n in range(MANY_RULES)}
        targets = [f"/v1/token?profile={profile}" for profile in profiles]
        servers = {
            "many": world.gctokend(world.fake(), profiles, "many users", targets,
                                   rules={"allow_users": many_users()},
                                   broker={"root_needs_rule": True}),
            "one": world.gctokend(world.fake(), profiles, "one user", targets)}
        self.forget_setup()
        met = self.in_turn(servers, lambda server: server.load("keepalive", 64, 0.5))
        self.ratio("CPU per request with 10,000 users in rules", [one["cpu"] for one in met["many"]],
                   [one["cpu"] for one in met["one"]], 1.1, "one user in each")

    def page(self, gctokend):
        """Reads have a program of their own, which prints `name ratio target` lines."""
        run = subprocess.run([PAGE_READ, "--socket", gctokend.socket], check=True, text=True,
                             capture_output=True, preexec_fn=lambda: os.sched_setaffinity(0, CPUS))
        for line in run.stdout.splitlines():
            if not line.startswith("#"):
                name, value, target = line.rsplit(None, 2)
                metric, baseline = PAGE_ROWS.get(name, (name, ""))
                self.row(metric, float(value), float(target), baseline=baseline)

    def run(self, parts):
        with World() as world:
            fake = world.fake()
            gctokend = world.gctokend(fake, {"default": {}, "other": {}})
            size = self.size_of(gctokend)
            nginx = world.nginx(size)
            servers = {"gctokend": gctokend, "nginx": nginx, "memcached": world.memcached(size)}
            redis = world.redis()
            for part, arguments in (
                    ("requests", (servers,)), ("same_core", (servers,)),
                    ("waiters", (gctokend, redis, fake)), ("command", (gctokend,)),
                    ("restart", (world,)), ("idle", (gctokend, redis)),
                    ("fleet", (world, fake, redis)), ("page", (gctokend,)),
                    ("profiles", (world,)), ("rules", (world,))):
                if not parts or part in parts:
                    self.say(part)
                    getattr(self, part)(*arguments)

    # Two builds.

    def against(self, program, name):
        """The same rows for another build of the daemon, in turn with this one."""
        with World() as world:
            for rows, profiles, rules, broker in (
                    ("", {"default": {}}, None, None),
                    (f"{MANY_USERS} users in the rule, root like others: ", {"default": {}},
                     {"allow_users": many_users()}, {"root_needs_rule": True}),
                    ("100 profiles: ", {f"p{n}": {} for n in range(100)}, None, None)):
                self.say(rows or "one profile")
                targets = [f"/v1/token?profile={profile}" for profile in profiles]
                pair = {label: world.gctokend(world.fake(), profiles, label, targets, path, rules,
                                              broker)
                        for label, path in (("this", GCTOKEND), (name, program))}
                self.forget_setup()
                for what, command, connections in (
                        ("keep-alive, 64 active", "keepalive", 64),
                        ("keep-alive, one connection", "keepalive", 1),
                        ("new connection per request, 64 at once", "new", 64)):
                    met = self.in_turn(pair, lambda server, command=command, count=connections:
                                       server.load(command, count))
                    for figure, words in (("rate", "requests/s"), ("cpu", "CPU per request"),
                                          ("p99", "p99")):
                        self.ratio(f"{rows}{what}: {words}", [one[figure] for one in met["this"]],
                                   [one[figure] for one in met[name]], None, name)

    def size_of(self, gctokend):
        """Bytes of an answer on the wire."""
        answer = gctokend.answer
        assert answer.status == 200, answer
        return len(raw_answer(gctokend.socket, "/v1/token")) - len("Connection: keep-alive\r\n")

    # The output.

    def table(self):
        rows = [["Metric", "measured", "beside", "quartiles", "target", ""],
                ["---", "--:", "---", "---", "---", "---"]]
        cells = [row.cells() for row in self.rows]
        if cells and len(cells[0]) == 4:
            rows = [row[:4] for row in rows]
        rows += cells
        return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"

    def circumstances(self):
        return (f"{os.cpu_count()} processors, Linux {os.uname().release.partition('-')[0]}, "
                f"{self.slices} slices of each. The machine's load average was "
                f"{self.load_before:.1f} before: what is above 0.5 is other work.\n\n")

    def write(self, folder):
        os.makedirs(folder, exist_ok=True)
        reasons = {}  # in the order of the rows
        with open(os.path.join(folder, "rows.dat"), "w", encoding="utf-8") as file:
            about = ""
            for row in self.rows:
                # How far from the target, whichever way is better: below 1 is past it.
                part = row.target / row.value if row.at_least else \
                    row.value / row.target if row.target else 1 + row.value
                name = row.metric
                if name.startswith("the same"):
                    name = about + name.removeprefix("the same")
                else:
                    about = name.partition(":")[0]
                if not row.met:
                    start = next(filter(name.startswith, REASONS), name)
                    reasons[start] = REASONS.get(start, "docs/performance.md has more")
                if row.baseline and not row.baseline.startswith(("one ", "by ", "clock")):
                    name += f" / {row.baseline.split()[0]}"
                print(f'"{name}"\t{part:.4f}\t"{row.cells()[1]} ({row.cells()[4]})"', file=file)
        with open(os.path.join(folder, "short.txt"), "w", encoding="utf-8") as file:
            for start, reason in reasons.items():
                print(f"{start.partition(':')[0]}: {reason}", file=file)
        with open(os.path.join(folder, "profiles.dat"), "w", encoding="ascii") as file:
            for row in self.profile_rows:
                print(*row, file=file)
        with open(DOCUMENT, encoding="utf-8") as file:
            text = file.read()
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        with open(DOCUMENT, "w", encoding="utf-8") as file:
            file.write(before + BEGIN + "\n" + self.table() + "\n" + self.circumstances() + END
                       + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--slices", type=int, default=15, help="of each server (at least 9)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the clients: to try it")
    parser.add_argument("--alone", action="store_true",
                        help="other programs get the servers' processor when these leave it: for a "
                             "machine that is not quiet")
    parser.add_argument("--dry", action="store_true", help="leave docs/ alone")
    parser.add_argument("--data", default=os.path.join(ROOT, "build", "bench"))
    parser.add_argument("--against", metavar="REV", help="the same rows for the build of another "
                        "revision in turn with this one, which writes nothing")
    parser.add_argument("--other", metavar="PROGRAM", help="where that one is; ./dev builds it")
    parser.add_argument("part", nargs="*", help="only these parts, which writes nothing")
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("the load needs a processor of its own: this machine has one")
    if missing() and not options.against:
        sys.exit(f"not in PATH: {', '.join(missing())}; ./dev bench fetches them")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 <= hard < CONNECTIONS:
        sys.exit(f"{CONNECTIONS} descriptors are needed and {hard} allowed: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard >= 0 else 65536, hard))
    os.sched_setaffinity(0, {1})  # this process and the fake login stay out of the servers' way
    bench = Bench(options)
    if options.against:
        bench.against(options.other, options.against)
    else:
        bench.run(options.part)
    print(bench.table())
    if not options.dry and not options.part and not options.against:
        bench.write(options.data)


if __name__ == "__main__":
    main()
