"""A person logs a profile in, by the daemon's own routes and the fake's login page."""

from typing import Any
from urllib.parse import urlencode

import pytest

import person
from daemon import Daemon
from disk_shim import ShimmedDisk
from unix_http import Answer

REDIRECT_URI = "http://127.0.0.1:8484/callback"


def login_profile(server, **keys: Any) -> dict[str, Any]:
    """What makes a profile of the daemon fixture's one that people log in to."""
    return {"grant": "authorization_code", "redirect_uri": REDIRECT_URI,
            "authorize_url": server.authorize_url, **keys}


def begin(d: Daemon, profile: str = "default") -> dict:
    answer = d.post(f"/v1/login?profile={profile}")
    assert answer.status == 200, answer
    return answer.json


def come_back(server, begun: dict) -> dict[str, str]:
    """What the browser brings back: state, and code or error."""
    return person.allow(server, begun["authorize_url"]).query


def finish(d: Daemon, landing: dict[str, str], profile: str = "default") -> Answer:
    brought = {name: landing[name] for name in ("state", "code", "iss", "error")
               if name in landing}
    return d.post("/v1/login/finish?" + urlencode({"profile": profile, **brought}))


def log_in(d: Daemon, server, profile: str = "default") -> Answer:
    """All of it; the answer of the finish."""
    return finish(d, come_back(server, begin(d, profile)), profile)


@pytest.fixture
def shimmed(server, make_daemon) -> tuple[Daemon, ShimmedDisk]:
    """Logged in, with its disk."""
    d = make_daemon(server, profile=login_profile(server, clock_probe=False))
    disk = ShimmedDisk(d)
    d.start()
    assert log_in(d, server).status == 200
    return d, disk
