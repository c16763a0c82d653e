"""A fleet by way of each kind of store: with TLS, with Sentinels, by a network that is cut; and what
its hosts do when there is none."""

import os
import re
import secrets
import signal
import sys

import pytest

from clock_shim import ShimmedClock
from fake import REPOSITORY
from fleet_hosts import events, fleet_host, settle, share, started, tokens, write_secret
from fleet_store import FleetStore
from redis_sentinel import SentinelStore
from redis_server import LATER, free_port
from waiting import wait_until
from wire import Wire

sys.path.insert(0, os.path.join(REPOSITORY, "tests"))

from fake_genesys.tls import Authority  # noqa: E402

HOSTS = 3


@pytest.fixture
def ends():
    """What is put here is ended, the last first."""
    things = []
    yield things
    for thing in reversed(things):
        thing.stop()


@pytest.fixture
def store(ends):
    """A factory: a store of that kind."""
    def make(kind=FleetStore, *arguments, **options):
        ends.append(kind(*arguments, **options))
        return ends[-1]

    return make


@pytest.fixture
def fleet(make_daemon, server):
    """A factory: hosts of one fleet at that store, not started yet."""
    key = secrets.token_hex(32)

    def make(at, count=HOSTS, broker=None, **profile):
        return [fleet_host(make_daemon, server, at, key, broker, **profile) for _ in range(count)]

    return make


# --- TLS ---

def test_by_tls_with_a_verified_name(server, store, fleet):
    at = store(FleetStore, free_port(), tls=(server.directory, "good"))
    hosts = started(fleet(at, broker={"fleet_ca_file": server.ca_file}))
    first = settle(hosts, server)
    at.kill()
    at.start()
    for d in hosts:
        wait_until(lambda d=d: share(d)["state"] == "up", "the store to be up again", 30)
    assert tokens(hosts) == {first} and server.posts == 1


def test_a_certificate_of_ones_own_is_changed_by_a_reload(server, store, fleet, tmp_path):
    """Given, replaced in its place, and by other names: each time the store is connected to anew, and
    the token is served meanwhile. One that the store refuses is told."""
    authority, stranger = (Authority(str(tmp_path / name)) for name in ("ca", "stranger"))
    for one in (authority, stranger):
        one.make("good")
    at = store(FleetStore, free_port(), tls=(authority.directory, "good"), mutual=True)
    [host] = fleet(at, 1, broker={"fleet_ca_file": authority.ca_file})

    def copy(one, name):
        for end in ("pem", "key"):
            with open(os.path.join(one.directory, f"good.{end}"), encoding="ascii") as file:
                write_secret(host, f"{name}.{end}", file.read())

    def is_up(up):
        wait_until(lambda: (share(host)["state"] == "up") == up, "the store to be up, or not", 30)

    def connections():
        return {line.split()[0] for line in at.ask("CLIENT", "LIST").splitlines()
                if b"user=gctoken " in line}

    host.start()
    wait_until(lambda: "certificate" in (share(host).get("problem") or ""), "the problem", 30)
    copy(authority, "mine")
    host.broker |= {"fleet_cert_file": host.path("mine.pem"),
                    "fleet_cert_key_file": host.path("mine.key")}
    host.write_config()
    host.reload()
    is_up(True)
    first = settle([host], server)
    before = connections()
    # nothing has changed: nothing is done
    since = len(host.stderr_text())
    host.reload()
    host.wait_log("configuration reloaded", since=since)
    assert share(host)["state"] == "up" and connections() == before
    # the same names, other files
    copy(stranger, "mine")
    host.reload()
    is_up(False)
    wait_until(lambda: "unknown ca" in (share(host)["problem"] or ""), "the problem", 30)
    assert tokens([host]) == {first}
    # other names
    copy(authority, "other")
    host.broker |= {"fleet_cert_file": host.path("other.pem"),
                    "fleet_cert_key_file": host.path("other.key")}
    host.write_config()
    host.reload()
    is_up(True)
    assert not connections() & before
    # a key that does not belong to it changes nothing
    host.broker |= {"fleet_cert_key_file": host.path("mine.key")}
    host.write_config()
    since = len(host.stderr_text())
    host.reload()
    host.wait_log("fleet_cert_key_file", since=since)
    assert share(host)["state"] == "up"
    assert tokens([host]) == {first} and server.posts == 1


def refused(d, words):
    """It has no token, and says why; in the middle of a try it does not."""
    answer = d.token(wait=0)
    return answer.status == 503 and words in answer.json["error_description"]


@pytest.mark.parametrize("certificate, address, says", [
    ("wrong-host", "rediss://localhost:{}", "localhost"),
    ("good", "redis://localhost:{}", "needs rediss://"),
    # Whether such a server answers depends on the bytes that a version of OpenSSL begins with.
    ("", "rediss://localhost:{}", "TLS was not answered|does not speak TLS at this port"),
], ids=["the certificate is another's", "plain at a port for TLS", "TLS at a plain port"])
def test_a_store_that_is_not_the_one_is_told_nothing(server, store, fleet, tmp_path, certificate,
                                                     address, says):
    folder = str(tmp_path / "ca")
    authority = Authority(folder)
    if certificate:
        authority.make(certificate)
    at = store(FleetStore, free_port(), tls=(folder, certificate) if certificate else None)
    [host] = fleet(at, 1, broker={"fleet_store": address.format(at.port),
                                  "fleet_ca_file": authority.ca_file if "rediss" in address
                                  else None})
    host.start()
    problem = wait_until(lambda: share(host).get("problem"), "the problem", 30)
    assert re.search(says, problem), problem
    wait_until(lambda: refused(host, "the fleet's store cannot be reached"), "the refusal", 20)
    assert at.ask("ACL", "LOG") == [] and at.ask("DBSIZE") == 0
    assert b"user=gctoken" not in at.ask("CLIENT", "LIST")
    assert server.posts == 0


# --- Other servers ---

@pytest.mark.parametrize("later", LATER, ids=["redis-8", "valkey"])
def test_other_servers_do_as_well(server, store, fleet, later):
    at = store(FleetStore, free_port(), tls=(server.directory, "good"), later=later)
    tls = {"fleet_ca_file": server.ca_file, "fleet_poll": "1s"}
    hosts = started(fleet(at, 2, broker=tls))
    [follower] = fleet(at, 1, secret=None, broker={**tls, "fleet_user": "gctoken-follower"})
    hosts.append(follower.start())
    first = settle(hosts, server)
    generation = at.generation()
    at.ask("FLUSHALL")
    assert wait_until(at.generation, "the token to be there again") == generation
    at.kill()
    at.start()
    assert wait_until(at.generation, "the token to be there again", 20) == generation
    assert tokens(hosts) == {first} and server.posts == 1
    wait_until(lambda: hosts[0].post("/v1/refresh").status == 200, "a refresh")
    settle(hosts, server, but=[first])
    assert server.posts == 2


# --- Sentinels ---

@pytest.mark.deadline(120)
@pytest.mark.parametrize("step", [0, 3600, -3600], ids=["same-clock", "ahead", "behind"])
def test_a_failover_that_loses_the_put_costs_nothing(server, store, fleet, step):
    at = store(SentinelStore, clock=True)
    at.replica.kill()
    at.return_replica(ahead=step)
    hosts = started(fleet(at, broker={"fleet_plain": "yes", "fleet_poll": "1s"}))
    first = settle(hosts, server)
    at.cut_replica()
    assert hosts[0].post("/v1/refresh").status == 200
    second = settle(hosts, server, but=[first])
    generation = at.generation()
    at.fail_over()
    for d in hosts:
        wait_until(lambda d=d: share(d)["state"] == "up", "the new primary", 40)
    wait_until(lambda: at.generation() == generation, "the token to be there again", 20)
    assert tokens(hosts) == {second} and server.posts == 2
    assert events(hosts, "restored") >= 1


# --- A host that is out of reach, in the middle of its request ---

@pytest.mark.parametrize("how", ["stopped", "cut"])
def test_the_one_that_stands_still_while_it_fetches_is_succeeded(server, store, fleet, ends, how):
    at = store(FleetStore, free_port())
    wires = [Wire(at.port) for _ in range(HOSTS)]
    ends += wires
    hosts = fleet(at)
    for d, wire in zip(hosts, wires):
        d.broker["fleet_store"] = f"redis://localhost:{wire.port}"
        d.write_config()
    fault = server.fault("token", "hang")
    started(hosts)
    server.wait_for("token", 1)
    lease = at.ask("HGET", at.key(":lease"), "host").decode()
    [number] = [i for i, d in enumerate(hosts) if share(d)["host"] == lease]
    others = [d for d in hosts if d is not hosts[number]]
    if how == "stopped":
        hosts[number].process.send_signal(signal.SIGSTOP)
    else:
        wires[number].cut("silence")
    try:
        text = settle(others, server)
        assert server.posts == 2 and fault
    finally:
        if how == "stopped":
            hosts[number].process.send_signal(signal.SIGCONT)
        wires[number].mend()
    server.close_connections()
    assert settle(hosts, server) == text
    assert server.posts == 2


# --- No store ---

def test_a_few_that_may_fetch_alone_and_the_others_say_why(server, store, fleet):
    server.set(lifetime=60)
    at = store()
    hosts = fleet(at, broker={"fleet_alone": 1, "fleet_poll": "1s"}, use_margin="1s", clock_probe="no")
    clocks = [ShimmedClock(d) for d in hosts]
    started(hosts)
    first = settle(hosts, server)
    [permitted] = wait_until(lambda: at.ask("ZRANGE", at.key(":alone"), "0", "-1"), "the permit")
    # whoever has it sees to it that no other host gets one as well
    at.ask("FLUSHALL")
    wait_until(lambda: at.ask("ZRANGE", at.key(":alone"), "0", "-1") == [permitted],
               "the permit to be there again")
    at.kill()
    for d in hosts:
        wait_until(lambda d=d: share(d)["state"] == "down", "the loss to be noticed")
    # a minute later
    for clock in clocks:
        clock.suspend(61)
    server.step(61)
    alone = wait_until(lambda: next((d for d in hosts if d.token(wait=0).status == 200), None),
                       "a token", 20)
    assert (share(alone)["state"], share(alone)["host"]) == ("alone", permitted.decode())
    for d in hosts:
        if d is not alone:
            wait_until(lambda d=d: refused(d, "no permit to fetch alone"), "the refusal", 20)
    assert server.posts == 2
    # and when it is back, that token is everybody's
    at.start()
    assert settle(hosts, server, but=[first]) == alone.token().json["access_token"]
    assert server.posts == 2


def test_a_store_that_refuses_to_write_is_as_if_it_were_away(server, store, fleet):
    server.set(lifetime=60)
    at = store()
    hosts = fleet(at, broker={"fleet_alone": 1, "fleet_poll": "1s"}, use_margin="1s", clock_probe="no")
    clocks = [ShimmedClock(d) for d in hosts]

    def later(seconds):
        for clock in clocks:
            clock.suspend(seconds)
        server.step(seconds)

    started(hosts)
    first = settle(hosts, server)
    wait_until(lambda: at.key(":alone"), "the permit")
    at.ask("ACL", "SETUSER", "gctoken", "-evalsha")
    later(61)
    for d in hosts:
        wait_until(lambda d=d: "refused a command: ACQUIRE" in d.get("/v1/history").text, "the refusal")
    later(31)
    alone = wait_until(lambda: next((d for d in hosts if d.token(wait=0).status == 200), None),
                       "a token", 20)
    wait_until(lambda: share(alone)["state"] == "alone", "it to be told", 20)
    for d in hosts:
        if d is not alone:
            assert share(d)["state"] == "up"
            wait_until(lambda d=d: refused(d, "the fleet's store has refused what this host asks of it"),
                       "the words", 20)
    assert server.posts == 2
    # the next one comes in time, too, though this one could not be put
    second = alone.token().json["access_token"]
    later(40)
    assert alone.token(wait=0).status == 200
    wait_until(lambda: server.posts == 3, "the next one", 20)
    wait_until(lambda: alone.token().json["access_token"] != second, "it to be served")
    at.ask("ACL", "SETUSER", "gctoken", "+evalsha")
    assert settle(hosts, server, but=[first, second]) == alone.token().json["access_token"]
    assert share(alone)["state"] == "up"
    assert server.posts == 3
