"""What a fleet must not give away: no token, client secret or key of the fleet in its store, in what
that keeps and sends, and none of them nor the store's password in anything that a host shows. And
who is in no fleet does nothing for one."""

import os
import secrets
import signal
import socket

import pytest

from clock_shim import SHIM
from daemon import Daemon
from fleet_hosts import fleet_host, settle, share, started, write_secret
from fleet_store import FleetStore
from memory_scan import find
from test_leaks import Searcher, hear_everything
from waiting import wait_until

NO_STORE = os.path.join(os.path.dirname(SHIM), "no_store.so")


class Listener:
    """A connection of the store's admin on which bytes come unasked: MONITOR, or replication."""

    def __init__(self, store: FleetStore, *command: str):
        self._connection = store.connect("admin", store.admin)
        self._connection.send(*command)
        self._socket: socket.socket = self._connection._socket
        self.heard = b""

    def hear(self) -> bytes:
        """All until now."""
        self._socket.settimeout(0.3)
        try:
            while more := self._socket.recv(1 << 20):
                self.heard += more
        except TimeoutError:
            pass
        return self.heard


def kept(store: FleetStore) -> bytes:
    """All that the store has on its disk: a dump, and its log of changes."""
    content = b""
    for folder, _, names in os.walk(store.folder):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    content += file.read()
    return content


@pytest.fixture
def store():
    one = FleetStore()
    yield one
    one.stop()


@pytest.mark.deadline(90)
def test_nobody_learns_what_is_not_theirs(make_daemon, server, store):
    key = secrets.token_hex(32)
    store.ask("CONFIG", "SET", "appendonly", "yes")
    commands, changes = Listener(store, "MONITOR"), Listener(store, "SYNC")
    hosts = started([fleet_host(make_daemon, server, store, key) for _ in range(2)])
    follower = fleet_host(make_daemon, server, store, key, {"fleet_user": "gctoken-follower"},
                          secret=None).start()
    everybody = [*hosts, follower]
    tokens = {settle(everybody, server)}
    hosts[0].post("/v1/refresh")
    tokens.add(settle(everybody, server, but=tokens))
    store.ask("FLUSHALL")
    wait_until(store.generation, "the token to be back", 20)
    server.set(throttle=True, retry_after=1)
    hosts[1].post("/v1/refresh")
    server.set(throttle=False)
    settle(everybody, server)
    stranger = fleet_host(make_daemon, server, store, secrets.token_hex(32)).start()
    wait_until(lambda: share(stranger)["state"] == "other_key", "the key to be missed")
    mistaken = fleet_host(make_daemon, server, store, key)
    write_secret(mistaken, "redis.password", "canary-of-another-store")
    mistaken.start()
    wait_until(lambda: share(mistaken).get("problem"), "the refusal")
    everybody += [stranger, mistaken]

    secret_texts = (server.known_secrets() | {one["secret"] for one in server.clients} | tokens
                    | {server.clients[0]["id"], key})
    # 1. the store: what it hears, sends, keeps and has in memory
    store.ask("SAVE")
    places = {"what it hears": commands.hear(), "what it sends to a replica": changes.hear(),
              "its disk": kept(store), "its keys": store.held()}
    assert b"EVALSHA" in places["what it hears"] and b"gctfleet" in places["what it hears"]
    assert b"PUBLISH" in places["what it sends to a replica"].upper()
    assert b"gctfleet" in places["its disk"] and b"gctfleet" in places["its keys"]
    for where, content in places.items():
        for text in secret_texts:
            assert text.encode() not in content, where
        assert bytes.fromhex(key) not in content, where
    assert find(hosts[0].process.pid, tokens), "where it is, it is found"
    assert not find(store.process.pid, secret_texts)
    # 2. the hosts: what they show
    ears = Searcher()
    for number, d in enumerate(everybody):
        hear_everything(d, ears, f"host {number}")
        ran = d.gctoken("doctor", "--config", d.config_file)
        ears.hear(f"host {number}: doctor", ran.stdout + ran.stderr)
    told = secret_texts - {server.clients[0]["id"]} | {store.password, "canary-of-another-store"}
    for where, text in ears.said:
        for one in told:
            assert one not in text, where
    hosts[0].post("/v1/revoke")
    wait_until(lambda: share(follower)["state"] == "stopped", "the stop")
    assert not any(token.encode() in store.held() for token in tokens)


def preloaded(d: Daemon) -> Daemon:
    assert os.path.exists(NO_STORE)
    sanitizer = os.environ.get("ASAN_OPTIONS", "")
    d.env.update(LD_PRELOAD=NO_STORE,
                 ASAN_OPTIONS=f"{sanitizer}:verify_asan_link_order=0".lstrip(":"))
    return d


def test_without_a_fleet_nothing_is_done_for_one(make_daemon, server):
    """Start, a token, a report, a reload, a stop: not a line of the libraries for a store runs."""
    d = preloaded(make_daemon(server)).start()
    assert d.token(wait=20).status == 200
    assert d.post(f"/v1/token/reject?generation={d.status()['generation']}&wait=5").status in (200, 429)
    d.reload()
    d.wait_log("configuration reloaded")
    assert "fleet" not in d.status()
    d.stop()
    assert "was called" not in d.stderr_text()


def test_with_one_it_is(make_daemon, server, store):
    """Lest the test above could not fail."""
    d = preloaded(fleet_host(make_daemon, server, store, secrets.token_hex(32)))
    d.start(ready=False)
    assert d.process.wait(30) == -signal.SIGABRT
    d.process = None
    assert "was called" in d.stderr_text()
