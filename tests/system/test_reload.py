"""SIGHUP: the whole new configuration or nothing of it, and nobody who is not concerned notices."""

import contextlib
import json
import os
import pwd
import re
import socket
import threading
import time

import pytest

from daemon import Daemon, canary
from unix_http import UnixConnection, exchange
from waiting import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("gctoken")


def reload(d: Daemon) -> None:
    """As `profiles` and `broker` say now; until it has been taken over."""
    seen = len(d.stderr_text())
    d.write_config()
    d.reload()
    d.wait_log(r"^<5>configuration reloaded: \d+ profiles?$", since=seen)


def reload_refused(d: Daemon, text: str | None = None) -> str:
    """What the broker says is wrong."""
    seen = len(d.stderr_text())
    if text is not None:
        d.write_config(text)
    d.reload()
    return d.wait_log(r"^<3>reload refused, the configuration that was read before goes on: (.*)$",
                      since=seen)[1]


def connect_as(d: Daemon, user: str) -> UnixConnection:
    """An open connection of another user. Who that is was settled when it was opened."""
    entry = pwd.getpwnam(user)
    connection = d.connect()
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        connection.connect()
    finally:
        os.seteuid(0)
        os.setegid(0)
    return connection


def get(connection: UnixConnection, target: str = "/v1/token"):
    return exchange(connection, "GET", target)


@contextlib.contextmanager
def asking(d: Daemon, target: str, method: str = "GET"):
    """A request that is held; its answer is read when the block has ended."""
    answers = []
    connection = d.connect()
    connection.request(method, target)
    waiting = d.get("/v1/status").json["broker"]["waiting"]
    wait_until(lambda: d.get("/v1/status").json["broker"]["waiting"] >= max(waiting, 1),
               "the ask is held")
    yield answers
    response = connection.getresponse()
    answers.append((response.status, json.loads(response.read())))
    connection.close()


def two_clients() -> list[dict]:
    return [{"id": "a", "secret": canary()}, {"id": "b", "secret": canary()}]


def profile_of(client: dict, **more) -> dict:
    return {"client_id": client["id"], "secret": client["secret"], **more}


# Profiles come, go and change.

def test_profiles_come_and_go(fake, daemon):
    a, b = two_clients()
    f = fake(clients=[a, b])
    d = daemon(f, profiles={"one": profile_of(a)})
    open_one = d.connect()
    first = get(open_one, "/v1/token?profile=one").json
    assert get(open_one, "/v1/token?profile=two").status == 404

    d.add_profile("two", **profile_of(b))
    reload(d)
    two = get(open_one, "/v1/token?profile=two")
    assert two.status == 200 and f.api_status(two.json["access_token"]) == 200
    assert get(open_one, "/v1/token?profile=one").json["generation"] == first["generation"]

    removed = d.profiles.pop("two")
    reload(d)
    assert get(open_one, "/v1/token?profile=two").status == 404
    assert [p["profile"] for p in d.get("/v1/status").json["profiles"]] == ["one"]
    assert 'profile="two"' not in d.get("/metrics").text

    # Back again: another token, with a number that was never used.
    d.profiles["two"] = removed
    reload(d)
    again = get(open_one, "/v1/token?profile=two")
    assert again.status == 200 and again.json["generation"] > two.json["generation"]
    one = get(open_one, "/v1/token?profile=one").json
    assert (one["generation"], one["access_token"]) == (first["generation"], first["access_token"])
    assert d.status("one")["counters"]["fetches"] == 1
    assert f.posts == 3
    open_one.close()


def test_a_renamed_profile_keeps_its_limits(fake, daemon):
    """The state belongs to the client, not to the name."""
    f = fake()
    d = daemon(f, profile={"mint_limit": 2})
    first = d.token().json
    for name, status in (("second", 200), ("third", 503)):
        d.profiles[name] = d.profiles.popitem()[1]
        reload(d)
        answer = d.token(name, wait=3)
        assert answer.status == status, answer
        if status == 200:
            assert answer.json["generation"] == first["generation"] + 1
    assert "mint_limit" in answer.json["error_description"]
    assert f.posts == 2


def test_another_client_is_another_token(fake, daemon):
    a, b = two_clients()
    f = fake(clients=[a, b])
    d = daemon(f, profiles={"default": profile_of(a)})
    first = d.token().json
    d.add_profile("default", **profile_of(b))
    reload(d)
    second = d.token().json
    assert second["access_token"] != first["access_token"]
    assert [post["client"] for post in f.log("token")] == ["a", "b"]


@pytest.mark.parametrize("changes, field", [
    ({"scope": "one two"}, "scope"),
    ({"extra_params": "audience=x"}, "audience"),
])
def test_another_request_is_another_token(server, daemon, changes, field):
    """The old one serves until the new one is there."""
    d = daemon(server)
    first = d.token().json
    d.profiles["default"].update(changes)
    reload(d)
    server.wait_for("token", 2)
    assert field in server.log("token")[1]["fields"]
    wait_until(lambda: d.token(wait=0).json["generation"] == first["generation"] + 1, "the new one")
    assert server.posts == 2


def test_what_clients_are_told_changes_at_once(server, daemon):
    d = daemon(server, profile={"refresh_margin": "10min"})
    first = d.token().json
    refresh_in = d.status()["refresh_in"]
    d.profiles["default"].update(api_url="https://gateway.example/genesys", refresh_margin="5h")
    d.broker["max_wait"] = "20s"
    reload(d)
    token = d.token().json
    assert token["api_url"] == "https://gateway.example/genesys"
    assert token["generation"] == first["generation"]
    assert d.status()["refresh_in"] < refresh_in - 4 * 3600
    assert d.token(wait=21).status == 400
    assert "wait: at most 20" in d.token(wait=21).json["error_description"]
    d.profiles["default"]["prefetch"] = False
    reload(d)
    assert d.token().json["generation"] == first["generation"]
    assert server.posts == 1


def test_a_changed_secret_costs_nothing_while_the_token_lives(fake, daemon):
    f = fake()
    d = daemon(f)
    first = d.token().json
    secret = canary()
    d.set_secret("default", secret)
    f.client("fake-client", secret)
    reload(d)
    assert d.token().json["generation"] == first["generation"]
    assert f.posts == 1
    assert d.post("/v1/refresh").status == 200  # with the new one
    assert f.log("token")[-1]["auth"] == "ok"


def test_a_renewed_ca_file(fake, daemon):
    f = fake()
    d = daemon(f, profile={"ca_file": None})
    wait_until(lambda: d.status()["last_error"], "a refusal of the certificate")
    assert re.match("TLS: ", d.status()["last_error"]["words"])
    assert f.posts == 0
    d.profiles["default"]["ca_file"] = f.ca_file
    reload(d)
    assert d.token(wait=20).status == 200


# Who is connected, or held, meanwhile.

def test_held_requests_are_answered(fake, daemon):
    a, b = two_clients()
    f = fake(clients=[a, b])
    for client in ("a", "b"):
        f.fault("token", "hang", client=client)
    d = daemon(f, profiles={"stays": profile_of(a), "goes": profile_of(b)})
    f.wait_for("token", 2)
    with asking(d, "/v1/token?profile=stays&wait=30") as stays:
        with asking(d, "/v1/token?profile=goes&wait=30") as goes:
            del d.profiles["goes"]
            reload(d)
        assert goes[0][0] == 404 and goes[0][1]["error"] == "unknown_profile"
        assert f.posts == 2
        f.close_connections()  # ends the hanging one; the next attempt is answered
    assert stays[0][0] == 200
    assert d.get("/v1/status").json["broker"]["waiting"] == 0


def test_a_measurement_of_a_profile_that_goes(fake, daemon):
    a, b = two_clients()
    f = fake(clients=[a, b])
    d = daemon(f, profiles={"stays": profile_of(a), "goes": profile_of(b)})
    assert d.token("goes").status == d.token("stays").status == 200
    f.fault("head", "delay", work=1.0, times=-1)
    with asking(d, "/v1/skew/probe?profile=goes", "POST") as goes:
        del d.profiles["goes"]
        reload(d)
    assert goes[0][0] == 404 and goes[0][1]["error"] == "unknown_profile"
    f.wait_for("head", f.heads, answered=True)
    assert d.token("stays").status == 200
    assert d.get("/v1/status").json["broker"]["waiting"] == 0


def test_a_revocation_of_a_profile_that_goes(fake, daemon):
    a, b = two_clients()
    f = fake(clients=[a, b])
    f.fault("me", "delay", work=0.5)
    d = daemon(f, profiles={"stays": profile_of(a), "goes": profile_of(b)})
    token = d.token("goes").json["access_token"]
    with asking(d, "/v1/revoke?profile=goes", "POST") as goes:
        del d.profiles["goes"]
        reload(d)
    assert goes[0][0] == 404
    # What was begun is ended.
    wait_until(lambda: f.api_status(token) == 401, "the token is revoked")
    assert d.token("stays").status == 200


def test_a_secret_that_is_corrected_while_the_wrong_one_is_under_way(fake, daemon):
    f = fake()
    f.fault("token", "delay", work=1.0)
    d = daemon(f, profile={"secret": "wrong:+/%"})
    f.wait_for("token", 1)
    d.set_secret("default", f.clients[0]["secret"])
    reload(d)
    f.wait_for("token", 1, answered=True)
    assert d.token(wait=5).status == 200
    assert [post["auth"] for post in f.log("token")] == ["wrong secret", "ok"]


def test_a_request_that_changes_while_the_old_one_is_under_way(fake, daemon):
    f = fake()
    f.fault("token", "delay", work=1.0)
    d = daemon(f)
    f.wait_for("token", 1)
    d.profiles["default"]["scope"] = "more"
    reload(d)
    assert d.token(wait=5).status == 200
    f.wait_for("token", 2)
    assert ["scope" in post["fields"] for post in f.log("token")] == [False, True]
    wait_until(lambda: f.tokens()[-1]["fingerprint"] == d.token().json["fingerprint"],
               "the token of the new request")


def test_rules_apply_to_open_connections(server, daemon):
    d = daemon(server, broker={"socket_mode": "0666"}, profile={"allow_users": "games"})
    nobody, games = connect_as(d, "nobody"), connect_as(d, "games")
    assert get(games).status == 200
    assert get(nobody).status == 403
    assert "broker" not in get(nobody, "/v1/status").json
    d.profiles["default"]["allow_users"] = "nobody"
    reload(d)
    assert get(games).status == 403 and get(games).json["error"] == "access_denied"
    answer = get(nobody)
    assert answer.status == 200
    assert get(nobody, "/v1/history?profile=default").status == 403
    d.broker["admin_users"] = "nobody"
    reload(d)
    assert get(nobody, "/v1/history?profile=default").status == 200
    assert "broker" in get(nobody, "/v1/status").json
    d.broker["metrics_users"] = "games"
    reload(d)
    assert 'profile="default"' in get(games, "/metrics").text
    d.broker.update(admin_users="", metrics_users="")
    d.profiles["default"]["allow_users"] = ""
    reload(d)
    for connection in (nobody, games):
        assert get(connection).status == 403
        assert get(connection, "/v1/status").json["profiles"] == []
        assert 'profile="default"' not in get(connection, "/metrics").text
        connection.close()
    assert server.posts == 1


def test_a_held_request_under_new_rules(fake, daemon):
    f = fake()
    f.fault("token", "delay", work=1.0)
    d = daemon(f, broker={"socket_mode": "0666"}, profile={"allow_users": "games nobody"})
    f.wait_for("token", 1)
    nobody, games = connect_as(d, "nobody"), connect_as(d, "games")
    for connection in (nobody, games):
        connection.request("GET", "/v1/token?wait=20")
    wait_until(lambda: d.status()["waiting"] == 2, "both are held")
    d.profiles["default"]["allow_users"] = "games"
    reload(d)
    assert games.getresponse().status == 200
    denied = nobody.getresponse()
    assert denied.status == 403
    assert json.loads(denied.read())["error"] == "access_denied"
    for connection in (nobody, games):
        connection.close()


def test_nobody_notices(server, daemon):
    """Clients that go on asking through thirty reloads, half of them of a broken file."""
    d = daemon(server)
    first = d.token().json
    stop = threading.Event()
    seen: list[set] = [set() for _ in range(4)]

    def client(mine: set) -> None:
        connection = d.connect()
        while not stop.is_set():
            answer = get(connection)
            mine.add((answer.status, answer.json.get("generation")))
        connection.close()

    threads = [threading.Thread(target=client, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    good = d.config_text()
    for number in range(15):
        reload_refused(d, good + "nonsense = 1\n")
        d.profiles["default"]["reject_cooldown"] = f"{number + 1}s"
        reload(d)
    stop.set()
    for thread in threads:
        thread.join()
    assert seen == [{(200, first["generation"])}] * 4
    assert server.posts == 1


# What cannot be taken over.

@pytest.mark.parametrize("change, words", [
    (lambda text: text + "colour = red\n", r"gctokend\.conf:\d+: colour: "),
    (lambda text: text + "fetch_timeout = 3\n", r"gctokend\.conf:\d+: fetch_timeout: "),
    (lambda text: text.replace("[profile default]", "[profile default"), r"gctokend\.conf:\d+: "),
    (lambda text: "", r"gctokend\.conf"),
    (lambda text: text + "allow_users = no-such-user\n", r"gctokend\.conf:\d+: allow_users: "),
    (lambda text: text + "client_secret_file = /nowhere/secret\n",
     r"gctokend\.conf:\d+: client_secret_file: "),
], ids=["unknown-key", "bad-value", "bad-section", "empty", "no-such-user", "given-twice"])
def test_a_broken_file_changes_nothing(server, daemon, change, words):
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
    d.wait_log(rf"^<4>(\[broker\] )?{key} has changed, but changes only with a restart$", since=seen)
    assert d.token().status == 200


# Limits.

def test_changed_limits(server, daemon):
    d = daemon(server)
    first, second, third = d.connect(), d.connect(), d.connect()
    for connection in (first, second, third):
        assert get(connection, "/healthz").status == 200
    d.broker["max_connections_per_user"] = 2
    reload(d)
    # Nobody is thrown out; the next one is told.
    turned_away = d.get("/healthz")
    assert turned_away.status == 429 and turned_away.json["error"] == "too_many_requests"
    for connection in (first, second, third):
        assert get(connection).status == 200
    d.broker["max_connections_per_user"] = 4
    d.write_config()
    d.reload()
    wait_until(lambda: d.get("/healthz").status == 200, "room for a fourth")
    for connection in (first, second, third):
        connection.close()


def test_changed_deadlines(server, daemon):
    d = daemon(server)

    def cut_after() -> float:
        """Half a request, and when it is answered 408."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20 * PATIENCE)
            s.connect(d.socket)
            begun = time.monotonic()
            s.sendall(b"GET /healthz HTTP/1.1\r\n")
            assert s.recv(4096).startswith(b"HTTP/1.1 408 ")
            return time.monotonic() - begun

    d.broker["request_deadline"] = "300ms"
    reload(d)
    assert 0.3 <= cut_after() <= 0.3 + 0.6 * PATIENCE
    d.broker["request_deadline"] = "1s"
    reload(d)
    assert 1 <= cut_after() <= 1 + 0.6 * PATIENCE


def test_the_log_level(server, daemon):
    d = daemon(server, broker={"log_level": "err"})
    assert d.token().status == 200
    d.post("/v1/refresh")
    assert d.stderr_text() == ""
    d.broker["log_level"] = "info"
    reload(d)
    seen = len(d.stderr_text())
    assert d.post("/v1/refresh").status == 200
    d.wait_log(r"^<6>default: token [0-9a-f]{16} for ", since=seen)
