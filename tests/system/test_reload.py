"""SIGHUP: what changes counts at once, and nobody who is not concerned notices."""

import json
import re
import socket
import threading
import time

import pytest

from daemon import canary
from reloading import (asking, connect_as, get, profile_of, reload, reload_refused, two_clients)
from waiting import PATIENCE, wait_until


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


def test_another_timeout_counts_for_heads_too(fake, daemon):
    f = fake()
    d = daemon(f, profile={"fetch_timeout": "2min"})
    assert d.token().status == 200
    d.profiles["default"]["fetch_timeout"] = "500ms"
    reload(d)
    f.fault("head", "hang")
    with asking(d, "/v1/skew/probe", "POST") as measured:
        wait_until(lambda: any(head["fault"] and head["answered"] for head in f.log("head")),
                   "the HEAD without an answer is given up")
    assert measured[0][0] == 200


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


def test_held_requests_of_a_profile_that_gets_another_client(fake, daemon):
    """The profile that was asked for by name is still there: nobody is told that it is not."""
    a, b = two_clients()
    f = fake(clients=[a, b])
    d = daemon(f, profiles={"default": profile_of(a)})
    first = d.token().json
    f.fault("token", "hang", client="a")
    with asking(d, f"/v1/token?wait=30&after={first['generation']}") as after:
        with asking(d, f"/v1/token/reject?wait=30&generation={first['generation']}",
                    "POST") as reporter:
            with asking(d, "/v1/refresh", "POST") as refresher:
                f.wait_for("token", 2)
                d.add_profile("default", **profile_of(b))
                reload(d)
    second = d.token().json
    assert second["access_token"] != first["access_token"]
    for answers in (after, reporter, refresher):
        assert answers[0][0] == 200, answers
    assert after[0][1]["access_token"] == reporter[0][1]["access_token"] != first["access_token"]
    assert f.log("token")[2]["client"] == "b" and f.posts <= 4  # the refresh may be one of its own
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
