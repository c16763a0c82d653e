"""Many daemons, each as on a host of its own, with a store and a login server, and what is seen of
them."""

import calendar
import collections
import contextlib
import glob
import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "system"))

from connect_proxy import ConnectProxy  # noqa: E402
from daemon import Daemon, canary  # noqa: E402
from fake import REPOSITORY, Fake  # noqa: E402
from fleet_hosts import fleet_host, share  # noqa: E402
from programs import Program, Tally  # noqa: E402
from waiting import wait_until  # noqa: E402
from wire import Wire  # noqa: E402

LIFETIME = 60  # of tokens, unless a scenario says otherwise
MAX_LIVE = 10  # tokens of a client
FLEET, LOCK = "fleet-client", "lock-client"


def script_names() -> dict[str, str]:
    """By the digests that they are called by."""
    found = {}
    for path in glob.glob(os.path.join(REPOSITORY, "daemon", "store", "*.lua")):
        with open(path, "rb") as file:
            found[hashlib.sha1(file.read()).hexdigest()] = os.path.basename(path)[:-4]
    return found


class Monitor(threading.Thread):
    """The scripts that a server was asked to run, and when."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self._names = script_names()
        self.seen: list[tuple[float, str]] = []
        self._connection = server.connect("admin", server.admin)
        self._connection("MONITOR")
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._connection.lines():
                found = re.match(rb'\+(\S+) \[[^]]*\] "evalsha" "([0-9a-f]{40})"', line, re.I)
                if found:
                    self.seen.append((float(found[1]), self._names[found[2].decode()]))

    def close(self) -> None:
        self._connection.hang_up()
        self.join()


@dataclass
class Span:
    """What happened between two moments: ours, and the lock's where there is one."""
    posts: int = 0
    evicted: int = 0
    seen: collections.Counter = field(default_factory=collections.Counter)
    lock_posts: int = 0
    lock_evicted: int = 0
    lock_seen: collections.Counter = field(default_factory=collections.Counter)
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        return self.seen["without"] + self.seen["refused"]

    def __str__(self) -> str:
        return (f"{self.posts} POSTs, {self.evicted} evicted, {self.seen['without']} calls without "
                f"a token and {self.seen['refused']} refused of {self.seen['calls']}")

    def lock(self) -> str:
        return (f"{self.lock_posts} POSTs, {self.lock_evicted} evicted, "
                f"{self.lock_seen['without']} without and {self.lock_seen['refused']} refused of "
                f"{self.lock_seen['calls']}")


class LockHosts:
    """The program of lock.py."""

    def __init__(self, estate: "Estate"):
        client = estate.fake.clients[1]
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lock.py"),
             "--hosts", str(len(estate.hosts)), "--socket", estate.store.socket,
             "--token-url", estate.fake.token_url, "--ca-file", estate.fake.ca_file,
             "--client", client["id"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._process.stdin.write(json.dumps([client["secret"], estate.store.admin]) + "\n")
        self._process.stdin.flush()

    def read(self) -> collections.Counter:
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return collections.Counter(json.loads(self._process.stdout.readline()))

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


class Estate:
    """`wired`: so many of the hosts, the first ones, reach store and login by wires that can be cut.
    `store`: made and stopped by the caller; None: no fleet."""

    def __init__(self, fake: Fake, store, hosts: int, wired: int = 0, broker=None, **profile):
        self.fake, self.store = fake, store
        self.lock: LockHosts | None = None
        self.tally = Tally()
        self.programs: list[Program] = []
        key = secrets.token_hex(32)
        self._proxy = ConnectProxy() if wired else None
        self.store_wires = [Wire(store.port) for _ in range(wired)]
        self.login_wires = [Wire(self._proxy.port) for _ in range(wired)]
        self.hosts: list[Daemon] = []
        for number in range(hosts):
            self.hosts.append(self._host(number, key, number < wired, broker or {}, profile))
            self.programs.append(Program(self.hosts[-1], fake, self.tally))

    def _host(self, number: int, key: str, wired: bool, broker: dict, profile: dict) -> Daemon:
        keys = {"use_margin": "1s", **profile}
        if not self.store:
            return Daemon(self.fake, profile=keys)
        if wired:
            broker = {**broker,
                      "fleet_store": f"redis://localhost:{self.store_wires[number].port}"}
            keys["proxy"] = f"http://localhost:{self.login_wires[number].port}"
        return fleet_host(Daemon, self.fake, self.store, key, broker, **keys)

    # Its life.

    def start(self) -> float:
        """All at once; how long it took until the last was started."""
        begun = time.monotonic()
        for d in self.hosts:
            d.start(ready=False)
        taken = time.monotonic() - begun
        for d in self.hosts:
            wait_until(d._healthy, "gctokend's /healthz", 60)
        return taken

    def run_programs(self) -> None:
        for program in self.programs:
            program.start()

    def close(self) -> None:
        """Each daemon has to end well, and to have told no secret."""
        if self.lock:
            self.lock.stop()
        for program in self.programs:
            if program.is_alive():
                program.stop()
        first = None
        for d in self.hosts:
            try:
                d.close()
            except AssertionError as error:
                first = first or error
        for wire in (*self.store_wires, *self.login_wires):
            wire.stop()
        if self._proxy:
            self._proxy.close()
        if first:
            raise first

    # What is seen.

    def posts(self, client: str = FLEET) -> list[dict]:
        """Token requests so far."""
        return [entry for entry in self.fake.log("token") if entry["client"] == client]

    def evicted(self, client: str = FLEET) -> int:
        return sum(token["state"] == "evicted" and token["client"] == client
                   for token in self.fake.tokens())

    def _now(self) -> Span:
        span = Span(len(self.posts()), self.evicted(), self.tally.read(),
                    seconds=time.monotonic())
        if self.lock:
            span.lock_posts, span.lock_evicted = len(self.posts(LOCK)), self.evicted(LOCK)
            span.lock_seen = self.lock.read()
        return span

    @contextlib.contextmanager
    def span(self):
        """What happens in the block is in the Span, once it is over."""
        span, before = Span(), self._now()
        yield span
        after = self._now()
        for name in ("posts", "evicted", "lock_posts", "lock_evicted", "seconds"):
            setattr(span, name, getattr(after, name) - getattr(before, name))
        span.seen, span.lock_seen = after.seen - before.seen, after.lock_seen - before.lock_seen

    def on_all(self, ask, hosts=None) -> list:
        hosts = self.hosts if hosts is None else hosts
        with ThreadPoolExecutor(len(hosts)) as pool:
            return list(pool.map(ask, hosts))

    def tokens(self, hosts=None) -> set[str]:
        """What they serve; "" for one that serves nothing."""
        return {answer.json["access_token"] if answer.status == 200 else ""
                for answer in self.on_all(lambda d: d.token(wait=0), hosts)}

    def settle(self, hosts=None, but=(), timeout: float = 40.0) -> float:
        """Until all serve one token, none of `but`; how many seconds that took."""
        begun = time.monotonic()

        def one() -> bool:
            found = self.tokens(hosts)
            return len(found) == 1 and "" not in found and not found & set(but)

        wait_until(one, "one token on all hosts", timeout, pause=0.1)
        return time.monotonic() - begun

    def adoptions(self, generation: int) -> list[float]:
        """When the other hosts took the token of that number of the fleet's, by the wall clock."""
        times = []
        for answer in self.on_all(lambda d: d.get("/v1/history?profile=default")):
            for event in answer.json["events"]:
                if f"the fleet's generation {generation})" in event["words"]:
                    at, fraction = event["time"].rstrip("Z").split(".")
                    times.append(calendar.timegm(time.strptime(at, "%Y-%m-%dT%H:%M:%S"))
                                 + float("0." + fraction))
        return times

    def wait_up(self, hosts=None, timeout: float = 60.0) -> float:
        begun = time.monotonic()
        wait_until(lambda: all(state == "up" for state in self.on_all(
            lambda d: share(d)["state"], hosts)), "the store to be up everywhere", timeout,
            pause=0.1)
        return time.monotonic() - begun

    def refresh(self, d: Daemon) -> None:
        """As an admin asks for it: this host fetches the next token."""
        answer = d.post("/v1/refresh", timeout=90)
        assert answer.status == 200, answer


def new_fake(**settings) -> Fake:
    clients = [{"id": name, "secret": canary()} for name in (FLEET, LOCK)]
    return Fake(clients, **{"lifetime": LIFETIME, "max_live": MAX_LIVE, **settings})
