"""A fleet: three daemons, each as on a host of its own, and a real redis-server between them."""

import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet_hosts import fleet_host, grow_older, settle, share, started, tokens, write_secret
from fleet_store import FleetStore
from manager import Manager
from test_page import RETIRED, STATE, Page
from waiting import PATIENCE, wait_until

HOSTS = 3


@pytest.fixture
def redis():
    one = FleetStore()
    yield one
    one.stop()


@pytest.fixture
def fleet(make_daemon, redis, server):
    """A factory: daemons of one fleet, not started yet. `broker`, `profile`: as Daemon."""
    key = secrets.token_hex(32)

    def make(count=HOSTS, broker=None, **profile):
        return [fleet_host(make_daemon, server, redis, key, broker, **profile)
                for _ in range(count)]

    return make


def fetched_by(hosts):
    """The host that fetched the token, and the others."""
    [minter] = [d for d in hosts if share(d)["fetched_here"]]
    return minter, [d for d in hosts if d is not minter]


def metric(d, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", d.get("/metrics").body.decode(), re.MULTILINE)
    return float(found[1]) if found else None


def questions(server):
    """How often the API was asked whether it takes a token."""
    return len([asked for asked in server.log("me") if asked["method"] == "HEAD"])


def report(d, wait=20):
    return d.post(f"/v1/token/reject?generation={d.status()['generation']}&wait={wait}")


def report_all(hosts):
    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(report, hosts))


def is_accepted(answer):
    return answer.status == 429 and "accepts this token" in answer.json["error_description"]


def happened(d, event):
    return metric(d, f'gctokend_fleet_events_total{{profile="default",event="{event}"}}')


def test_a_cold_start_is_one_request_and_everybody_has_its_token(fleet, server, redis):
    hosts = started(fleet())
    settle(hosts, server)
    assert server.posts == 1
    assert {share(d)["generation"] for d in hosts} == {redis.generation()}
    minter, others = fetched_by(hosts)
    assert happened(minter, "minted") == 1 and happened(minter, "put") == 1
    assert [happened(d, "adopted") for d in others] == [1, 1]
    assert {share(d)["hosts"] for d in hosts} <= {1, 2, 3, None}
    for d in hosts:
        wait_until(lambda d=d: share(d)["state"] == "up", "the store to be up")
        assert share(d)["role"] == "minter" and share(d)["problem"] is None
    # and the store knows nothing that it should not
    held = redis.held()
    for secret in server.known_secrets() | {c["secret"] for c in server.clients}:
        assert secret.encode() not in held
    assert server.clients[0]["id"].encode() not in held


def test_a_refresh_is_one_request(fleet, server):
    server.set(lifetime=20)
    hosts = started(fleet(use_margin="1s"))
    first = settle(hosts, server)
    second = settle(hosts, server, but=[first])
    assert server.posts == 2
    assert first != second


@pytest.mark.parametrize("whose", ["one", "all"])
def test_a_token_revoked_at_the_api_is_replaced_once(fleet, server, whose):
    hosts = started(fleet(clock_probe="no"))
    first = settle(hosts, server)
    grow_older(hosts, 3)  # the API is believed about a token that it can know
    server.revoke(all=True)
    reporters = hosts if whose == "all" else hosts[:1]
    answers = report_all(reporters)
    assert [answer.status for answer in answers] == [200] * len(reporters)
    assert len({answer.json["access_token"] for answer in answers}) == 1
    assert settle(hosts, server, but=[first]) == answers[0].json["access_token"]
    assert server.posts == 2
    assert questions(server) == 1


def test_a_false_report_costs_nobody_a_token(fleet, server):
    hosts = started(fleet())
    first = settle(hosts, server)
    assert is_accepted(report(hosts[1]))
    assert tokens(hosts) == {first}
    assert server.posts == 1


def test_false_reports_on_all_hosts_are_one_question(fleet, server):
    hosts = started(fleet())
    first = settle(hosts, server)
    assert all(is_accepted(answer) for answer in report_all(hosts))
    assert questions(server) == 1
    # and 3 s later, when each host has forgotten what it was told itself
    grow_older(hosts, 3)
    assert all(is_accepted(answer) for answer in report_all(hosts))
    assert questions(server) == 1
    assert tokens(hosts) == {first}
    assert server.posts == 1
    # also for a host that was not there
    hosts[0].restart()
    settle(hosts, server)
    assert is_accepted(report(hosts[0]))
    assert questions(server) == 1


def test_the_host_that_asks_the_api_dies(fleet, server, redis):
    hosts = started(fleet())
    first = settle(hosts, server)
    server.fault("me", "delay", work=60, times=1)
    with ThreadPoolExecutor(HOSTS) as pool:
        answers = {d: pool.submit(report, d) for d in hosts}
        lease = wait_until(lambda: redis.ask("HGET", redis.key(":lease"), "host"), "the lease")
        [asking] = [d for d in hosts if share(d)["host"] == lease.decode()]
        wait_until(lambda: questions(server) == 1, "the question")
        asking.kill()
        others = [d for d in hosts if d is not asking]
        assert all(is_accepted(answers[d].result()) for d in others)
    assert questions(server) == 2
    assert tokens(others) == {first}
    assert server.posts == 1


def test_a_verdict_without_the_fleets_key_counts_for_nothing(fleet, server, redis):
    """Whoever can write to the store does not keep a token in use that the API refuses."""
    hosts = started(fleet())
    first = settle(hosts, server)
    grow_older(hosts, 3)  # the API is believed about a token that it can know
    server.revoke(all=True)
    seconds, us = redis.ask("TIME")
    for fence in (redis.generation() + 1, 2**53 - 1):
        redis.ask("HSET", redis.key(":rec"), "accepted",
                  f"{fence} {int(seconds) * 1_000_000 + int(us)} {'0123456789abcdef' * 2}")
    assert [answer.status for answer in report_all(hosts)] == [200] * HOSTS
    settle(hosts, server, but=[first])
    assert questions(server) == 1
    assert server.posts == 2


def test_reports_while_the_store_is_away(fleet, server, redis):
    hosts = started(fleet())
    first = settle(hosts, server)
    redis.kill()
    for d in hosts:
        wait_until(lambda d=d: share(d)["state"] == "down", "the loss to be noticed")
    assert all(is_accepted(answer) for answer in report_all(hosts))
    assert questions(server) == HOSTS
    assert tokens(hosts) == {first}
    assert server.posts == 1


def test_the_store_is_away_over_a_refresh(fleet, server, redis):
    """Longer than until the refresh: nobody notices, and one request follows."""
    server.set(lifetime=40)
    hosts = started(fleet(broker={"fleet_alone": 0}, use_margin="1s"))
    first = settle(hosts, server)
    redis.kill()
    for d in hosts:
        wait_until(lambda d=d: share(d)["state"] == "down", "the loss to be noticed")
        assert share(d)["problem"]
    wait_until(lambda: all(d.status()["refresh_in"] < 0 for d in hosts), "the refresh to be due",
               45 / PATIENCE + 30)
    assert tokens(hosts) == {first}
    redis.start()
    settle(hosts, server, but=[first])
    assert server.posts == 2


def test_what_the_store_loses_is_put_there_again(fleet, server, redis):
    hosts = started(fleet(broker={"fleet_poll": "1s"}))
    first = settle(hosts, server)
    generation = redis.generation()
    redis.ask("FLUSHALL")
    assert wait_until(redis.generation, "the token to be back") == generation
    assert tokens(hosts) == {first}
    redis.kill()
    redis.start()
    assert wait_until(redis.generation, "the token to be back", 20) == generation
    assert tokens(hosts) == {first}
    assert server.posts == 1


def test_the_one_that_is_killed_while_it_fetches_is_succeeded(fleet, server, redis):
    hosts = fleet()
    server.set(delay_work=3600)
    started(hosts)
    server.wait_for("token", 1)
    lease = redis.ask("HGET", redis.key(":lease"), "host").decode()
    [minter] = [d for d in hosts if share(d)["host"] == lease]
    server.set(delay_work=0)
    minter.kill()
    rest = [d for d in hosts if d is not minter]
    settle(rest, server)
    assert server.posts == 2
    minter.start()
    settle(hosts, server)
    assert server.posts == 2


def test_one_that_starts_again_asks_nobody(fleet, server):
    hosts = started(fleet())
    first = settle(hosts, server)
    for d in hosts:
        d.restart()
    assert settle(hosts, server) == first
    assert server.posts == 1


@pytest.fixture
def managed(fleet):
    """Hosts of one fleet that hand over from run to run: not started yet."""
    made = []

    def make(count=HOSTS, **options):
        made.extend(Manager(d) for d in fleet(count, **options))
        return made

    yield make
    for m in made:
        m.daemon.stop()
        m.close()


@pytest.mark.parametrize("end", [Manager.restart, Manager.crash], ids=["restart", "crash"])
def test_what_is_lost_while_a_host_starts_again_is_put_there_again(managed, server, redis, end):
    """It serves at once, without the store, and knows what it has to put there."""
    [m] = managed(1)
    m.start()
    first = settle([m.daemon], server)
    generation = wait_until(redis.generation, "the token to be there")
    sealed = redis.ask("HGET", redis.key(":rec"), "sealed")
    m.handover()
    redis.kill()
    end(m)
    assert tokens([m.daemon]) == {first}
    assert share(m.daemon)["generation"] == generation and share(m.daemon)["fetched_here"]
    redis.start()
    assert wait_until(redis.generation, "the token to be back", 20) == generation
    again = redis.ask("HGET", redis.key(":rec"), "sealed")
    # the same life, end by the server's clock, and host; see core/fleet_record.h
    assert again[44:60] == sealed[44:60] and again[68:84] == sealed[68:84]
    assert server.posts == 1


def test_a_stop_that_is_lost_while_a_host_starts_again_is_put_there_again(managed, server, redis):
    [m] = managed(1)
    m.start()
    settle([m.daemon], server)
    assert m.daemon.post("/v1/revoke").status == 200
    stopped = wait_until(lambda: redis.key(":rec") and share(m.daemon)["state"] == "stopped"
                         and redis.generation(), "the stop to be there")
    m.handover()
    redis.kill()
    m.restart()
    redis.start()
    assert wait_until(redis.generation, "the stop to be back", 20) == stopped
    assert m.daemon.token(wait=0).json["error"] == "revoked"
    assert m.daemon.post("/v1/refresh").status == 200
    settle([m.daemon], server)
    assert server.posts == 2


def test_an_older_token_is_not_taken_after_a_restart(fleet, server, redis):
    """As from a store that was set back, or that lies."""
    [host] = started(fleet(1))
    first = settle([host], server)
    key = redis.key(":rec")
    older = redis.ask("DUMP", key)
    assert host.post("/v1/refresh").status == 200
    second = settle([host], server, but=[first])
    host.stop()
    redis.ask("RESTORE", key, "0", older, "REPLACE")
    host.start()
    third = settle([host], server)
    assert third not in (first, second)
    assert server.posts == 3


def test_who_has_no_secret_follows(fleet, server):
    [minter, *_] = fleet(1)
    [follower] = fleet(1, secret=None, broker={"fleet_user": "gctoken-follower"})
    follower.start()
    # It looks for 10 s, and then pauses for 10 s: the wait ends in the pause.
    answer = follower.token(wait=15)
    assert answer.status == 503 and "no client secret" in answer.json["error_description"]
    assert follower.process.poll() is None and server.posts == 0
    minter.start()
    settle([minter, follower], server)
    assert server.posts == 1
    assert share(follower)["role"] == "follower"
    assert fetched_by([minter, follower]) == (minter, [follower])
    # it need not ask what another host has asked
    assert is_accepted(report(minter)) and is_accepted(report(follower))
    assert questions(server) == 1
    # nothing that it asks for makes it send a request
    follower.post(f"/v1/token/reject?generation={follower.status()['generation']}&wait=0")
    assert server.posts == 1


def test_an_admin_revokes_for_all_and_starts_again_for_all(fleet, server, redis):
    hosts = started(fleet())
    first = settle(hosts, server)
    page = Page(hosts[1])
    wait_until(lambda: first.encode() in page.token_bytes(), "the token in the page")
    assert hosts[0].post("/v1/revoke").status == 200
    for d in hosts:
        wait_until(lambda d=d: d.status()["state"] == "revoked", "the token to be revoked")
        assert d.token(wait=0).json["error"] == "revoked"
    assert first.encode() not in redis.held()
    # also for who reads it where the socket is not asked
    assert page.words[STATE] == RETIRED and not any(page.token_bytes())
    page.close()
    # and for who was not there
    hosts[1].restart()
    wait_until(lambda: hosts[1].status()["state"] == "revoked", "the token to be revoked")
    assert hosts[2].post("/v1/refresh").status == 200
    settle(hosts, server, but=[first])
    assert server.posts == 2


def test_a_failure_is_everybodys(fleet, server, redis):
    server.set(throttle=True, retry_after=4)
    hosts = started(fleet())
    for d in hosts:
        wait_until(lambda d=d: (d.status()["last_error"] or {}).get("class") == "throttled",
                   "all to know of it")
    assert server.posts == 1
    server.set(throttle=False)
    settle(hosts, server)
    assert server.posts == 2


def test_a_wrong_secret_is_one_request_and_the_right_one_need_not_wait(fleet, server):
    hosts = fleet()
    for d in hosts:
        d.set_secret("default", "wrong")
    started(hosts)
    for d in hosts:
        wait_until(lambda d=d: d.status()["state"] == "client_rejected", "the refusal")
    assert server.posts == 1
    hosts[2].set_secret("default", server.clients[0]["secret"])
    hosts[2].reload()
    settle(hosts, server)
    assert server.posts == 2


def test_who_has_the_right_secret_already_does_not_wait(fleet, server):
    """A refusal on another host is told to all while this one waits for its request."""
    old, new = fleet(2)
    old.set_secret("default", "wrong")
    server.set(delay_work=3)
    old.start()
    server.wait_for("token", 1)
    new.start()
    wait_until(lambda: "is fetching a token for all" in new.get("/v1/history").text, "it waits")
    server.set(delay_work=0)
    settle([old, new], server)
    assert server.posts == 2


def test_the_fleets_key_is_changed_host_by_host(fleet, server):
    """By way of old keys; the last step is for when the token was sealed with the new key."""
    hosts = started(fleet())
    first = settle(hosts, server)
    new = secrets.token_hex(32)

    def change(current, old):
        for d in hosts:
            host = share(d)["host"]
            d.broker.update(fleet_key_file=d.path(current),
                            fleet_old_key_files=d.path(old) if old else None)
            d.write_config()
            d.reload()
            wait_until(lambda d=d, host=host: share(d)["state"] == "up"
                       and share(d)["host"] != host, "the store to be up again")

    for d in hosts:
        write_secret(d, "new.key", new)
    change("fleet.key", "new.key")
    change("new.key", "fleet.key")
    assert settle(hosts, server) == first
    assert server.posts == 1
    hosts[0].post("/v1/refresh")
    second = settle(hosts, server, but=[first])
    change("new.key", None)
    assert settle(hosts, server) == second
    assert server.posts == 2


def test_who_has_another_key_says_so_and_overwrites_nothing(fleet, server, redis):
    hosts = started(fleet(2))
    first = settle(hosts, server)
    generation = redis.generation()
    [stranger] = fleet(1)
    write_secret(stranger, "fleet.key", secrets.token_hex(32))
    stranger.start()
    wait_until(lambda: share(stranger)["state"] == "other_key", "the key to be missed")
    assert "fleet_key_file" in stranger.token(wait=9).json["error_description"]
    assert metric(stranger, 'gctokend_fleet_other_key{profile="default"}') == 1
    assert tokens(hosts) == {first} and redis.generation() == generation
    assert server.posts == 1


def test_a_reload_goes_into_the_fleet_and_out_of_it(fleet, server):
    hosts = fleet()
    for d in hosts:
        d.profiles["default"]["fleet"] = "no"
        d.write_config()
    started(hosts)
    assert len(tokens(hosts, wait=20)) == len(hosts)
    assert "fleet" not in hosts[0].status()
    for d in hosts:
        d.profiles["default"]["fleet"] = "yes"
        d.write_config()
        d.reload()
    wait_until(lambda: all("fleet" in d.status() for d in hosts), "the fleet")
    posts = server.posts
    for d in hosts:
        # the one before is served a little longer where the new one is not valid yet
        before = {h.token().json["access_token"] for h in hosts}
        assert d.post("/v1/refresh").status == 200
        settle(hosts, server, but=before)
    assert posts < server.posts <= posts + len(hosts)
    for d in hosts:
        d.profiles["default"]["fleet"] = "no"
        d.write_config()
        d.reload()
    wait_until(lambda: all("fleet" not in d.status() for d in hosts), "the end of it")
    assert len(tokens(hosts)) == 1


def test_a_store_that_does_not_answer_holds_up_nobody(fleet, server, redis):
    hosts = started(fleet())
    first = settle(hosts, server)
    redis.freeze()
    try:
        began = time.monotonic()
        for _ in range(200):
            assert tokens(hosts) == {first}
        assert time.monotonic() - began < 20 * PATIENCE
    finally:
        redis.thaw()
    assert settle(hosts, server) == first
    assert server.posts == 1
