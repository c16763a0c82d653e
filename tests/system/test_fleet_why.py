"""What gctoken why and the metrics tell of a fleet: who fetched, what the store lost, whose clock was
set."""

import re
import time

import pytest

from fleet_store import FleetStore
from test_fleet import (fetched_by, fleet, happened, metric, redis, settle, share,  # noqa: F401
                        started, write_secret)
from waiting import wait_until


def told(d):
    return [event["words"] for event in d.get("/v1/history?profile=default").json["events"]]


def tells(d, words):
    return wait_until(lambda: [one for one in told(d) if re.search(words, one)],
                      f"{words!r} in the history", 20)


def asked(d, op, result):
    return metric(d, f'gctokend_fleet_operations_total{{profile="default",op="{op}",'
                     f'result="{result}"}}')


def test_who_fetches_and_who_is_given(fleet, server, redis):  # noqa: F811
    server.set(delay_work=2)
    hosts = started(fleet())
    settle(hosts, server)
    minter, others = fetched_by(hosts)
    name = share(minter)["host"]
    number = redis.generation()
    tells(minter, rf"the fleet's store lets this host fetch the next token \(number {number}\)")
    tells(minter, rf"the token is in the fleet's store, and all hosts hear of it \(number {number}\)")
    for d in others:
        assert len(tells(d, f"host {re.escape(name)} of the fleet is fetching a token")) == 1
        tells(d, rf"another host of the fleet fetched it \(told; the fleet's generation {number}\)")
    assert asked(minter, "acquire", "granted") == asked(minter, "put", "put") == 1
    assert asked(minter, "renew", "kept") >= 1
    for d in others:
        assert asked(d, "acquire", "held") >= 1 and asked(d, "acquire", "granted") == 0
        assert metric(d, 'gctokend_fleet_pushes_total{profile="default"}') == 1
        delay = metric(d, 'gctokend_fleet_push_delay_seconds_total{profile="default"}')
        assert 0 <= delay < 30
        assert happened(d, "missed") == 0


def test_what_the_store_loses(fleet, server, redis):  # noqa: F811
    [d] = started(fleet(1, broker={"fleet_poll": "1s"}))
    settle([d], server)
    redis.ask("FLUSHALL")
    tells(d, "the fleet's store had lost the token, or dated it wrongly: this host put it there again")
    assert asked(d, "read", "empty") >= 1 and happened(d, "restored") == 1
    redis.kill()
    wait_until(lambda: share(d)["state"] == "down", "the loss to be noticed")
    assert d.token().status == 200


def test_the_stores_clock_is_set(fleet, server):  # noqa: F811
    store = FleetStore(clock=True)
    try:
        [d] = fleet(1, broker={"fleet_store": store.url, "fleet_poll": "1s"})
        write_secret(d, "redis.password", store.password)
        d.start()
        first = settle([d], server)
        store.clock.step(-3600)
        tells(d, r"the clock of the fleet's store was set by -(3600|3599)\.\d s, or another server "
                 "answers now; tokens are dated anew")
        assert happened(d, "store_clock_step") == 1
        assert settle([d], server) == first and server.posts == 1
    finally:
        store.stop()


def test_another_key(fleet, server, redis):  # noqa: F811
    settle(started(fleet(1)), server)
    [stranger] = fleet(1)
    write_secret(stranger, "fleet.key", "0123456789abcdef" * 4)
    stranger.start()
    assert len(tells(stranger, "sealed with a key that is not known here; see fleet_key_file")) >= 1


@pytest.mark.parametrize("alone", [1, "all"])
def test_alone(fleet, server, redis, alone):  # noqa: F811
    server.set(lifetime=45)
    [d] = started(fleet(1, broker={"fleet_alone": alone}, use_margin="1s"))
    first = settle([d], server)
    wait_until(lambda: redis.key(":alone"), "the permit")
    time.sleep(1)
    redis.kill()
    [words] = wait_until(lambda: [one for one in told(d) if "fetches for itself" in one],
                         "a token without the store", 90)
    assert "(it has permit number 1)" in words and "cannot be connected to" in words
    settle([d], server, but=[first])
    assert happened(d, "minted_alone") >= 1
