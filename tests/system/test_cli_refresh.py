"""gctoken refresh and status with a real daemon: the old token serves until the new one may."""

import re

from waiting import wait_until


def test_refresh_tells_when_the_new_token_serves(daemon, fake):
    """And so does status, until it does."""
    d = daemon(fake())
    old = d.token().json["generation"]
    said = d.gctoken("refresh").stdout
    told = re.search(rf"generation {old + 1}.*\nIt is served in (\d+) s", said)
    assert told and 1 <= int(told[1]) <= 30, said
    shown = d.status()["next"]
    assert shown["generation"] == old + 1 and shown["serves_in"] <= int(told[1])
    assert f"a newer token, generation {old + 1}, is served in" in d.gctoken("status").stdout
    wait_until(lambda: d.token().json["generation"] == old + 1, "it serves", int(told[1]) + 10)
    assert d.status()["next"] is None and "newer token" not in d.gctoken("status").stdout
