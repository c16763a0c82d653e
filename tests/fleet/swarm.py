"""./dev fleet --swarm: very many hosts, as light clients, at one redis-server. Figures, not checks,
but for what has to hold for any number."""

import os
import re
import secrets
import signal
import subprocess
import threading
import time

import estate  # noqa: F401  finds tests/system
from fake import REPOSITORY
from fleet_store import FleetStore
from rows import Rows
from waiting import wait_until

LIFE, POST_MS = 60, 200
AWAY = 5  # seconds
PROGRAM = os.path.join(REPOSITORY, "build", "tests", "fleet", "swarm")


class Swarm(threading.Thread):
    """The process, and what it said last of each kind: the words behind it, as numbers."""

    def __init__(self, store: FleetStore, hosts: int):
        super().__init__(daemon=True)
        self.said: dict[str, list[list[float]]] = {
            kind: [] for kind in ("post", "answered", "put", "all", "state")}
        self.begun = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.process = subprocess.Popen(
            [PROGRAM, str(hosts), store.socket, str(LIFE), str(POST_MS), "gctoken", "gct"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(f"{store.password}\n{secrets.token_hex(32)}\n")
        self.process.stdin.close()
        self.start()

    def run(self) -> None:
        for line in self.process.stdout:
            kind, *words = line.split()
            self.said[kind].append([float(word) for word in words])

    def count(self, kind: str) -> int:
        return len(self.said[kind])

    def state(self) -> list[int]:
        """Hosts that are connected, hosts that have a token; looks, and those that found none."""
        assert self.process.poll() is None, "the swarm ended"
        return [int(word) for word in (self.said["state"] or [[0] * 5])[-1][1:]]

    def wait_for(self, kind: str, count: int, timeout: float) -> None:
        wait_until(lambda: self.count(kind) >= count or self.process.poll() is not None,
                   f"{count} of {kind}", timeout, pause=0.05)

    def memory_kib(self) -> int:
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.join()
        self.process.stdout.close()


class Load:
    """What the store did, since it was made."""

    def __init__(self, store: FleetStore):
        self._store = store
        self._begun, self._at = self._read(), time.monotonic()

    def _read(self) -> dict[str, float]:
        text = self._store.ask("INFO", "everything").decode()
        found = dict(re.findall(r"^(\w+):([\d.]+)\r?$", text, re.M))
        return {"cpu": float(found["used_cpu_user"]) + float(found["used_cpu_sys"]),
                "memory": float(found["used_memory"]),
                "commands": float(found["total_commands_processed"])}

    def of(self, name: str) -> float:
        return self._read()[name] - self._begun[name]

    def rate(self, name: str) -> float:
        """For each second."""
        return self.of(name) / (time.monotonic() - self._at)


def run(rows: Rows, hosts: int) -> None:
    store = FleetStore(maxclients=2 * hosts + 100)
    load = Load(store)
    swarm = Swarm(store, hosts)
    try:
        phases(rows, store, swarm, hosts, load)
    finally:
        swarm.stop()
        store.stop()


def phases(rows: Rows, store: FleetStore, swarm: Swarm, hosts: int, load: Load) -> None:
    def everybody() -> bool:
        return swarm.state()[:2] == [hosts, hosts]

    name = f"{hosts} light clients"
    wait_until(everybody, "all to be connected and to have a token", 120, pause=0.1)
    taken = time.clock_gettime(time.CLOCK_BOOTTIME) - swarm.begun
    at_start = swarm.state()[3]
    swarm.wait_for("all", 1, 10)
    posts = swarm.count("post")
    last = swarm.said["all"][0][0] - swarm.said["answered"][0][0]
    rows.add(f"{name}: cold start", "1 POST",
             f"{posts} POSTs; all had the token {last:.2f} s after the answer, and were connected "
             f"{taken:.1f} s after the start; the store used {load.of('cpu'):.1f} s of processor "
             f"and {load.of('memory') / hosts / 1024:.0f} KiB a host, the clients "
             f"{swarm.memory_kib() / hosts:.0f} KiB", posts == 1)

    load = Load(store)
    swarm.wait_for("all", 2, LIFE)
    late = swarm.said["all"][1][1]
    rows.add(f"{name}: a refresh", "1 POST",
             f"{swarm.count('post') - posts} POST; the last had it {late:.0f} ms after the PUT; "
             f"until then {load.rate('cpu'):.1%} of the store's processor and "
             f"{load.rate('commands') / hosts:.2f} commands a second and host",
             swarm.count("post") == posts + 1)

    posts = swarm.count("post")
    store.ask("FLUSHALL")
    began = time.monotonic()
    wait_until(store.generation, "the token to be back", 20, pause=0.05)
    rows.add(f"{name}: FLUSHALL", "0 POSTs",
             f"{swarm.count('post') - posts} POSTs; the token was back after "
             f"{time.monotonic() - began:.1f} s", swarm.count("post") == posts)

    store.kill()
    time.sleep(AWAY)
    store.start()
    began, load = time.monotonic(), Load(store)
    wait_until(everybody, "all to be connected again", 60, pause=0.1)
    rows.add(f"{name}: the store is killed, and back after {AWAY} s", "0 POSTs",
             f"{swarm.count('post') - posts} POSTs; all were connected again after "
             f"{time.monotonic() - began:.1f} s, which took {load.of('cpu'):.1f} s of the store's "
             f"processor", swarm.count("post") == posts)
    _, have, looks, without = swarm.state()
    rows.add(f"{name}: looks without a token", "0 after the start",
             f"{without - at_start} of {looks}, and {at_start} in the start",
             have == hosts and without == at_start)
