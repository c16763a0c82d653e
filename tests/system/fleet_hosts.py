"""The hosts of a fleet: daemons, each with a folder of its own, that share a store."""

import os
import re

from waiting import wait_until


def fleet_host(make_daemon, server, store, key, broker=None, **profile):
    """A daemon of the fleet whose key it is, not started yet. `broker`, `profile`: as Daemon."""
    d = make_daemon(server, profile=profile)
    write_secret(d, "fleet.key", key)
    write_secret(d, "redis.password", store.password)
    d.broker |= {"fleet_store": store.url, "fleet_user": "gctoken",
                 "fleet_password_file": d.path("redis.password"),
                 "fleet_key_file": d.path("fleet.key"), **(broker or {})}
    d.write_config()
    return d


def started(hosts):
    """All at once, and then until each of them answers."""
    for d in hosts:
        d.start(ready=False)
    for d in hosts:
        wait_until(d._healthy, "gctokend's /healthz")
    return hosts


def write_secret(d, name, text):
    with open(os.open(d.path(name), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w",
              encoding="ascii") as file:
        file.write(text + "\n")


def tokens(hosts, **query):
    answers = [d.token(**query) for d in hosts]
    assert [answer.status for answer in answers] == [200] * len(hosts), answers
    return {answer.json["access_token"] for answer in answers}


def share(d):
    """How it is with the fleet."""
    return d.status().get("fleet", {"state": "none"})


def grow_older(hosts, seconds):
    """Once their token has lived for so long more, by each host's clock."""
    before = {d: d.status()["expires_in"] for d in hosts}
    # whole seconds, rounded down: one more
    wait_until(lambda: all(d.status()["expires_in"] < before[d] - seconds for d in hosts),
               f"{seconds} s of the token's life to be over", seconds + 10.0, pause=0.05)


def settle(hosts, server, but=()):
    """Once all serve one token that the API takes, and none of `but`; it."""
    def one():
        found = {answer.json["access_token"] if answer.status == 200 else ""
                 for answer in (d.token() for d in hosts)}
        return next(iter(found)) if len(found) == 1 and "" not in found and not (
            found & set(but)) else ""

    text = wait_until(one, "one token on all hosts", 20.0)
    assert server.api_status(text) == 200
    return text


def events(hosts, name):
    """How often that happened on them, as the metrics count it."""
    return sum(int(re.search(rf'event="{name}"\}} (\d+)', d.get("/metrics").text)[1])
               for d in hosts)
