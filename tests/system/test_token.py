"""Asking for a token: what the answer says, and what each parameter does."""

import json
import os
import re
import resource
import signal
import socket
import threading
import time

import pytest

from unix_http import exchange
from waiting import PATIENCE, wait_until


def test_the_answer(server, daemon):
    server.set(lifetime=3600)
    d = daemon(server, profile={"api_url": server.api_url})
    answer = d.token()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json
    assert server.api_status(token["access_token"]) == 200
    assert token["token_type"] == "Bearer"
    assert token["profile"] == "default" and token["api_url"] == server.api_url
    assert token["state"] == "fresh" and token["generation"] >= 1
    assert re.fullmatch("[0-9a-f]{16}", token["fingerprint"])
    assert 3500 < token["expires_in"] < 3600
    assert 5 <= token["refresh_in"] < token["expires_in"]
    assert answer.headers["Gctoken-Generation"] == str(token["generation"])
    assert answer.headers["Gctoken-Fingerprint"] == token["fingerprint"]
    assert int(answer.headers["Gctoken-Expires-In-Ms"]) // 1000 == token["expires_in"]


def test_plain_text(server, daemon):
    d = daemon(server)
    token = d.token().json
    answer = d.get("/v1/token", {"Accept": "text/plain"})
    assert answer.status == 200 and answer.body.decode() == token["access_token"] + "\n"
    assert answer.headers["Gctoken-Generation"] == str(token["generation"])
    assert d.get("/v1/token", {"Accept": "application/json, text/plain"}).json["access_token"]


def test_the_region_and_its_api(server, daemon):
    d = daemon(server, profile={"region": "us_west_2", "api_url": None})
    token = d.token().json
    assert (token["region"], token["api_url"]) == ("us-west-2", "https://api.usw2.pure.cloud")


def test_ten_thousand_at_a_cold_start_cost_one_request(fake, make_daemon):
    """All of them wait before the login server gets to read the request; all get the same token."""
    number = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number + 300:
        pytest.skip(f"RLIMIT_NOFILE allows {hard} descriptors at most")
    f = fake()
    d = make_daemon(f, profile={"prefetch": False, "fetch_timeout": "60s"},
                    broker={"max_connections_per_user": number + 100})
    sockets, seen = [], set()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    f.process.send_signal(signal.SIGSTOP)
    try:
        d.start()
        first = d.connect()  # later ones would find the queue full
        assert exchange(first, "GET", "/healthz").status == 200
        for _ in range(number):
            s = socket.socket(socket.AF_UNIX)
            s.connect(d.socket)  # waits its turn, which it would not with a timeout
            s.settimeout(20 * PATIENCE)
            s.sendall(b"GET /v1/token?wait=60 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            sockets.append(s)
        wait_until(lambda: exchange(first, "GET", "/v1/status").json["profiles"][0]["waiting"]
                   == number, "all to wait", 20)
        first.close()
        f.process.send_signal(signal.SIGCONT)
        for s in sockets:
            answer = b""
            while more := s.recv(65536):
                answer += more
            assert answer.startswith(b"HTTP/1.1 200 ")
            body = json.loads(answer.split(b"\r\n\r\n", 1)[1])
            seen.add((body["generation"], body["fingerprint"]))
    finally:
        f.process.send_signal(signal.SIGCONT)
        for s in sockets:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(seen) == 1
    assert f.posts == 1


def test_min_ttl_fetches_first_and_only_once(fake, daemon):
    f = fake()
    f.set(lifetime=20)
    d = daemon(f)
    first = d.token().json
    wait_until(lambda: d.token().json["expires_in"] < 10, "less than 10 s are left", 15)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(d.token(min_ttl=10)))
               for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert {a.status for a in answers} == {200}
    assert min(a.json["expires_in"] for a in answers) >= 10
    assert {a.json["generation"] for a in answers} == {first["generation"] + 1}
    assert f.posts == 2


def test_min_ttl_beyond_half_of_the_lifetime_is_refused(server, daemon):
    server.set(lifetime=600)
    d = daemon(server)
    assert d.token(min_ttl=300).status == 200
    answer = d.token(min_ttl=301)
    assert answer.status == 400 and answer.json["error"] == "invalid_request"
    assert "300 s" in answer.json["error_description"]
    assert server.posts == 1


def test_after_waits_for_another_generation(server, daemon):
    d = daemon(server)
    generation = d.token().json["generation"]
    unchanged = d.token(after=generation, wait=0)
    assert unchanged.status == 304 and unchanged.body == b""
    assert "Content-Length" not in unchanged.headers
    assert d.token(after=generation + 5, wait=0).json["generation"] == generation
    got = []
    waiting = threading.Thread(target=lambda: got.append(d.token(after=generation, wait=20)))
    waiting.start()
    wait_until(lambda: d.status()["waiting"] == 1, "the ask is held")
    assert d.post("/v1/refresh").status == 200
    waiting.join()
    assert got[0].status == 200 and got[0].json["generation"] == generation + 1


def test_the_wait_ends_during_a_fetch(fake, make_daemon):
    f = fake()
    f.set(delay_work=4.0)
    d = make_daemon(f).start()
    f.wait_for("token", 1)
    begun = time.monotonic()
    answer = d.token(wait=1)
    assert answer.status == 504 and answer.retry_after is not None
    assert 0.9 < time.monotonic() - begun < 3 * PATIENCE
    assert d.token(wait=0).status == 504
    assert d.token(wait=10).status == 200
    assert f.posts == 1


def test_parameters_are_judged(server, daemon):
    d = daemon(server, broker={"max_wait": "60s"})
    d.token()
    for query, words in {
        "wait=61": "wait: at most 60",
        "wait=-1": "wait: whole seconds",
        "wait=1.5": "wait: whole seconds",
        "wait=": "wait: whole seconds",
        "wait=99999999999999999999": "wait: whole seconds",
        "min_ttl=x": "min_ttl: whole seconds",
        "after=x": "after: a generation",
        "wait=1&wait=2": "wait: given twice",
        "colour=red": "colour: a parameter that this route does not know",
        "generation=1": "generation: a parameter that this route does not know",
        "%3Cb%3E=red": "query: a parameter that this route does not know",
        "wait=%zz": "",
        "wait": "query cannot be read",
    }.items():
        answer = d.get("/v1/token?" + query)
        assert answer.status == 400, query
        assert answer.json["error"] == "invalid_request", query
        assert words in answer.json["error_description"], (query, answer)


@pytest.mark.parametrize("method, target, status, error", [
    ("GET", "/", 404, "not_found"),
    ("GET", "/v1/tokens", 404, "not_found"),
    ("POST", "/v1/token", 405, "method_not_allowed"),
    ("GET", "/v1/token/reject", 405, "method_not_allowed"),
    ("DELETE", "/v1/token", 405, "method_not_allowed"),
    ("HEAD", "/healthz", 200, None),
    ("OPTIONS", "/v1/token", 204, None),
    ("GET", "/v1/token?profile=nobody", 404, "unknown_profile"),
    ("GET", "/v1/token?profile=../etc", 404, "unknown_profile"),
    ("POST", "/v1/token/reject", 400, "invalid_request"),
    ("POST", "/v1/token/reject?generation=1&fingerprint=0123456789abcdef", 400, "invalid_request"),
    ("POST", "/v1/token/reject?fingerprint=XYZ", 400, "invalid_request"),
    ("POST", "/v1/login", 400, "invalid_request"),
    ("POST", "/v1/login/finish?state=s&code=c", 400, "invalid_request"),
    ("POST", "/v1/logout", 400, "invalid_request"),
])
def test_routes(server, daemon, method, target, status, error):
    d = daemon(server)
    connection = d.connect()
    answer = exchange(connection, method, target)
    assert answer.status == status
    if error:
        assert answer.json["error"] == error and answer.json["error_description"]
    connection.close()


def test_prefetch_off_asks_on_first_demand(server, daemon):
    d = daemon(server, profile={"prefetch": False})
    assert d.status()["state"] == "waiting"
    assert d.get("/readyz").status == 200
    assert server.posts == 0
    assert d.token().status == 200
    assert server.posts == 1


def test_readyz_names_who_is_not_ready(fake, daemon):
    f = fake()
    f.fault("token", "answer", times=1000, status=503, body="{}")
    d = daemon(f, profiles={"one": {}, "two": {"prefetch": False}})
    answer = d.get("/readyz")
    assert answer.status == 503 and "one" in answer.json["error_description"]
    assert "two" not in answer.json["error_description"]
    f.clear_faults()
    assert d.post("/v1/refresh?profile=one").status == 200
    assert d.get("/readyz").status == 200
    assert d.get("/readyz?min_ttl=60").status == 200
    assert d.get("/readyz?min_ttl=99999999").status == 503


def test_readyz_names_as_many_as_fit_and_counts_the_others(fake, daemon):
    f = fake()
    f.fault("token", "answer", times=1000, status=403, body="<html>")
    d = daemon(f, profiles={f"profile-{i}-{'x' * 36}": {} for i in range(20)})
    words = d.get("/readyz").json["error_description"]
    named = re.findall(r"(?:: |, )(profile-[0-9]+-x{36}) \((?:waiting|unavailable)\)", words)
    assert 5 <= len(set(named)) < 20 and words.endswith(f" and {20 - len(named)} more"), words


def test_an_admin_refreshes_and_revokes(fake, daemon):
    f = fake()
    d = daemon(f)
    old = d.token().json
    new = d.post("/v1/refresh")
    assert new.status == 200 and new.json["generation"] == old["generation"] + 1
    revoked = d.post("/v1/revoke")
    assert revoked.status == 200
    assert revoked.json == {"profile": "default", "state": "revoked"}
    assert f.api_status(new.json["access_token"]) == 401
    answer = d.token()
    assert answer.status == 503 and answer.json["error"] == "revoked"
    assert d.status()["state"] == "revoked"
    assert d.post("/v1/refresh").status == 200
    assert f.api_status(d.token().json["access_token"]) == 200


def test_a_revocation_that_genesys_does_not_hear(fake, daemon):
    f = fake()
    d = daemon(f)
    d.token()
    f.fault("me", "answer", status=500, body="{}")
    answer = d.post("/v1/revoke")
    assert answer.status == 503 and "HTTP 500" in answer.json["error_description"]
    assert d.token().json["error"] == "revoked"


def test_profiles_do_not_disturb_each_other(fake, daemon):
    f = fake(clients=[{"id": "a", "secret": "secret-of-a"}, {"id": "b", "secret": "secret-of-b"}])
    d = daemon(f, profiles={
        "one": {"client_id": "a", "secret": "secret-of-a"},
        "two": {"client_id": "b", "secret": "secret-of-b"},
        "wrong": {"client_id": "b", "secret": "not-the-secret"}})
    one, two = d.token("one"), d.token("two")
    assert one.status == two.status == 200
    assert one.json["access_token"] != two.json["access_token"]
    wrong = d.token("wrong")
    assert wrong.status == 503 and wrong.json["error"] == "client_rejected"
    assert d.token("one").json["generation"] == one.json["generation"]


def test_more_profiles_than_requests_at_a_time(fake, make_daemon):
    """They take turns; who has to wait for a place has not failed."""
    f = fake()
    f.set(delay_work=0.5)
    names = [f"p{n}" for n in range(100)]
    d = make_daemon(f, profiles={name: {} for name in names},
                    profile={"mint_limit": 1000}).start()
    wait_until(lambda: d.get("/readyz").status == 200, "every profile has a token", 20)
    counters = [one["counters"] for one in d.get("/v1/status").json["profiles"]]
    assert [one["failures"] for one in counters] == [0] * len(names)
    assert f.posts == len(names)


def test_a_client_that_goes_away_while_it_waits(fake, make_daemon):
    f = fake()
    f.set(delay_work=1.5)
    d = make_daemon(f).start()
    gone = d.connect()
    gone.request("GET", "/v1/token?wait=10")
    wait_until(lambda: d.status()["waiting"] == 1, "the ask is held")
    gone.close()
    wait_until(lambda: d.status()["waiting"] == 0, "the daemon noticed", 1.0)
    assert d.token(wait=10).status == 200


def test_stop_answers_who_waits_and_leaves_no_socket(fake, make_daemon):
    f = fake()
    f.fault("token", "hang")
    d = make_daemon(f).start()
    waiting = d.connect()
    waiting.request("GET", "/v1/token?wait=60")
    wait_until(lambda: d.status()["waiting"] == 1, "the ask is held")
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 2 * PATIENCE
    answer = waiting.getresponse()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert not os.path.exists(d.socket)
