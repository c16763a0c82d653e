"""SIGHUP with a configuration that is not in order: nothing of it counts, and it is told."""

import os
import re

import pytest

from reloading import connect_as, get, profile_of, reload, reload_refused, two_clients


@pytest.mark.parametrize("change, words", [
    (lambda text: text + "colour = red\n", r"gctokend\.conf:\d+: colour: "),
    (lambda text: text + "fetch_timeout = 3\n", r"gctokend\.conf:\d+: fetch_timeout: "),
    (lambda text: text.replace("[profile default]", "[profile default"), r"gctokend\.conf:\d+: "),
    (lambda text: "", r"gctokend\.conf"),
    (lambda text: text + "allow_users = no-such-user\n", r"gctokend\.conf:\d+: allow_users: "),
    (lambda text: text + "client_secret_file = /nowhere/secret\n",
     r"gctokend\.conf:\d+: client_secret_file: "),
], ids=["unknown-key", "bad-value", "bad-section", "empty", "no-such-user", "given-twice"])
def test_a_broken_file_changes_nothing(server, daemon, gctoken, change, words):
    d = daemon(server)
    connection = d.connect()
    first = get(connection).json
    whole = d.config_text()
    told = reload_refused(d, change(whole))
    assert re.search(words, told), told
    answer = get(connection)
    assert answer.status == 200 and answer.json["generation"] == first["generation"]
    assert get(connection, "/v1/status").json["broker"]["reload_problem"] == told
    assert "gctokend_config_reload_failed 1" in d.get("/metrics").text
    assert told in d.gctoken("status").stdout
    # Mended, it is forgotten.
    reload(d)
    assert d.get("/v1/status").json["broker"]["reload_problem"] is None
    assert "gctokend_config_reload_failed 0" in d.get("/metrics").text
    assert "reload" not in d.gctoken("status").stdout
    assert get(connection).json["generation"] == first["generation"]
    assert server.posts == 1
    connection.close()


def test_all_problems_are_told(server, daemon):
    d = daemon(server)
    seen = len(d.stderr_text())
    reload_refused(d, d.config_text() + "colour = red\nfetch_timeout = 3\nmint_limit = 0\n")
    for key in ("colour", "fetch_timeout", "mint_limit"):
        d.wait_log(rf"^<3>.*gctokend\.conf:\d+: {key}: ", since=seen)


def test_only_admins_are_told_of_a_broken_file(server, daemon):
    d = daemon(server, broker={"socket_mode": "0666"}, profile={"allow_users": "nobody"})
    reload_refused(d, "nonsense")
    connection = connect_as(d, "nobody")
    assert get(connection).status == 200
    assert set(get(connection, "/v1/status").json) == {"profiles"}
    connection.close()


def test_secrets_that_cannot_be_read(fake, daemon):
    """Of two profiles, one is in order; neither changes."""
    a, b = two_clients()
    f = fake(clients=[a, b])
    d = daemon(f, profiles={"one": profile_of(a), "two": profile_of(b)})
    before = {name: d.token(name).json["generation"] for name in ("one", "two")}
    secret = d.path("two.secret")
    d.profiles["one"]["api_url"] = "https://new.example"
    for spoil, words in [
        (lambda: os.chmod(secret, 0o644), "open to everybody"),
        (lambda: (os.chmod(secret, 0o600), os.truncate(secret, 0)), "empty"),
        (lambda: os.unlink(secret), "No such file"),
        (lambda: os.mkdir(secret), "not a regular file|directory"),
    ]:
        spoil()
        d.write_config()
        told = reload_refused(d)
        assert re.search(words, told) and secret in told, told
        assert {name: d.token(name).json["generation"] for name in before} == before
        assert d.token("one").json["api_url"] == f.api_url
    os.rmdir(secret)
    d.set_secret("two", b["secret"])
    reload(d)
    assert d.token("one").json["api_url"] == "https://new.example"
    assert {name: d.token(name).json["generation"] for name in before} == before
    assert f.posts == 2


def test_drop_ins_count(server, daemon):
    d = daemon(server)
    folder = d.config_file + ".d"
    os.mkdir(folder)
    drop_in = os.path.join(folder, "10-wait.conf")
    with open(drop_in, "w", encoding="ascii") as file:
        file.write("[broker]\nmax_wait = 7s\n")
    reload(d)
    assert d.token(wait=8).status == 400 and d.token(wait=7).status == 200
    with open(drop_in, "a", encoding="ascii") as file:
        file.write("colour = red\n")
    assert re.match(rf"{re.escape(drop_in)}:3: colour: ", reload_refused(d))
    assert d.token(wait=8).status == 400
    os.unlink(drop_in)
    reload(d)
    assert d.token(wait=8).status == 200


@pytest.mark.parametrize("key, value", [
    ("socket", "elsewhere.sock"), ("socket_mode", "0600"), ("state_dir", "elsewhere"),
    ("page_socket", "elsewhere.page"),
])
def test_what_needs_a_restart_says_so(server, daemon, key, value):
    d = daemon(server)
    d.broker[key] = value if value.isdigit() else d.path(value)
    if key == "state_dir":
        os.mkdir(d.path(value), 0o700)
    seen = len(d.stderr_text())
    reload(d)
    d.wait_log(rf"^<4>{key} has changed; that takes effect only at a restart$", since=seen)
    assert d.token().status == 200
