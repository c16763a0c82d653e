"""What people and administrators do while something is under way at the login server or on the disk
for a login: nothing hangs, nothing comes back, nothing is lost."""

import errno
import os
import re
import signal
from urllib.parse import urlencode

import pytest
from disk_shim import ShimmedDisk
from fake import REPOSITORY
from logging_in import begin, come_back, finish, log_in, login_profile, shimmed  # noqa: F401
from waiting import wait_until


@pytest.fixture
def d(server, daemon):
    d = daemon(server, profile=login_profile(server, clock_probe=False))
    assert log_in(d, server).status == 200
    return d


def begin_refresh(d, server, delay: float):
    """One that the login server answers late."""
    server.set(delay_answer=delay)
    posts = server.posts
    connection = d.connect()
    connection.request("POST", "/v1/refresh")
    server.wait_for("token", posts + 1)
    return connection


def begin_finish(d, landing: dict[str, str], profile: str = "default"):
    """A code that has to wait for the refresh under way."""
    waiting = d.status(profile)["waiting"]
    connection = d.connect()
    connection.request("POST", "/v1/login/finish?" + urlencode(
        {"profile": profile, "state": landing["state"], "code": landing["code"]}))
    wait_until(lambda: d.status(profile)["waiting"] > waiting, "the code that waits")
    return connection


@pytest.mark.parametrize("what", ["revoke", "logout"])
def test_a_code_that_waits_while_the_profile_is_stopped(server, d, what):
    """Who brought it is told at once, and the next login is not kept waiting for it."""
    landing = come_back(server, begin(d))
    refresh = begin_refresh(d, server, 2.0)
    code = begin_finish(d, landing)
    stop = d.connect()
    stop.request("POST", f"/v1/{what}")
    answer = code.getresponse()
    assert (answer.status, b'"revoked"' in answer.read()) == (503, True)
    assert stop.getresponse().status == 200
    refresh.getresponse()
    server.set(delay_answer=0.0)
    assert log_in(d, server).status == 200
    assert d.token().status == 200


def test_a_code_that_waits_while_the_profile_is_renamed(server, d):
    landing = come_back(server, begin(d))
    refresh = begin_refresh(d, server, 1.0)
    code = begin_finish(d, landing)
    d.profiles["other"] = d.profiles.pop("default")
    d.write_config()
    d.reload()
    assert code.getresponse().status == 404
    assert refresh.getresponse().status == 404
    server.set(delay_answer=0.0)
    assert log_in(d, server, "other").status == 200


def test_who_is_told_to_try_again_can(server, d):
    """Their state is not used up."""
    first, second = come_back(server, begin(d)), come_back(server, begin(d))
    refresh = begin_refresh(d, server, 1.0)
    code = begin_finish(d, first)
    answer = finish(d, second)
    assert (answer.status, answer.json["error"]) == (429, "too_many_requests")
    refresh.getresponse()
    server.set(delay_answer=0.0)
    assert code.getresponse().status == 200
    assert finish(d, second).status == 200


def test_what_a_refusal_finds_in_the_file_when_nobody_is_logged_in_any_more(server, make_daemon):
    """The file is read once more after a refusal; a person logs out before that has come about."""
    server.client("second", "second-secret")
    d = make_daemon(server, profile=login_profile(server, clock_probe=False), profiles={
        "default": {}, "other": {"client_id": "second", "secret": "second-secret"}})
    disk = ShimmedDisk(d)
    d.start()
    for name in ("default", "other"):
        assert log_in(d, server, name).status == 200
    assert server.end_logins(server.clients[0]["id"]) == 1
    # The other's write keeps the disk, for longer than a token request waits for it.
    disk.set(slow_ms=5000)
    posts = server.posts
    other = d.connect()
    other.request("POST", "/v1/refresh?profile=other")
    server.wait_for("token", posts + 1, answered=True)
    refresh = d.connect()
    refresh.request("POST", "/v1/refresh")
    server.wait_for("token", posts + 2, answered=True)
    logout = d.connect()
    logout.request("POST", "/v1/logout")
    wait_until(lambda: d.token().json["error"] == "login_required", "the logout")
    disk.set(slow_ms=0)
    assert logout.getresponse().status == 200
    assert refresh.getresponse().status == 503
    assert other.getresponse().status == 200
    assert d.status()["login"]["state"] == "none"
    assert len([name for name in os.listdir(d.state_dir) if name.endswith(".login")]) == 1
    d.restart()
    assert d.token("other", wait=10).status == 200
    assert d.status()["login"]["state"] == "none"
    assert server.posts == posts + 3


def test_a_refresh_token_is_not_looked_for_where_only_an_older_one_can_be(server, shimmed):
    """Its successor came and could not be written: the one in the file is void, and to send it would
    be taken for a theft."""
    d, disk = shimmed
    disk.set(write=errno.ENOSPC)
    assert d.post("/v1/refresh").status == 200
    assert d.status()["login"]["stored"] is False
    server.end_logins()
    posts = server.posts
    answer = d.post("/v1/refresh")
    assert (answer.status, answer.json["error"]) == (503, "login_required")
    assert d.status()["login"]["state"] == "refused" and server.posts == posts + 1
    assert "there is another in the state file" not in d.stderr_text()


def test_a_reload_while_it_stops_is_not_begun(server, d):
    refresh = begin_refresh(d, server, 1.5)
    d.process.send_signal(signal.SIGTERM)
    d.wait_log("stopping when the login server has answered a refresh")
    d.process.send_signal(signal.SIGHUP)
    refresh.close()
    assert d.wait_exit() == 0
    assert "configuration reloaded" not in d.stderr_text()


def test_the_unit_gives_it_time_to_stop():
    def number(path: str, pattern: str) -> int:
        with open(os.path.join(REPOSITORY, path), encoding="utf-8") as file:
            return int(re.search(pattern, file.read(), re.M)[1])

    assert number("systemd/gctokend.service.in", r"^TimeoutStopSec=(\d+)s$") > \
        number("daemon/broker/login.c", r"^#define FINISH_PATIENCE_S (\d+)$")


def test_a_key_that_comes_with_the_first_login(server, daemon):
    """By a reload: what the login is sealed with is what a restart will look for."""
    d = daemon(server, profile={"clock_probe": False})
    with open(os.open(d.path("key"), os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(b"k" * 32)
    d.broker["state_key_file"] = d.path("none")
    for name, value in login_profile(server).items():
        d.profiles["default"][name] = value
    d.write_config()
    d.reload()
    d.wait_log(r"reload refused.*state_key_file: \S+ cannot be read")
    d.broker["state_key_file"] = d.path("key")
    d.write_config()
    d.reload()
    d.wait_log("configuration reloaded")
    assert "takes effect only at a restart" not in d.stderr_text()
    assert log_in(d, server).status == 200
    assert not os.path.exists(os.path.join(d.state_dir, "state.key"))
    d.restart()
    assert d.token(wait=10).status == 200
