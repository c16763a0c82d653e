"""The token as a header field, for proxies that ask before they pass a request on."""

import threading

import pytest

from unix_http import ask, exchange
from users import needs_root
from waiting import wait_until

ROUTE = "/v1/authorization/default"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def test_the_answer_has_the_token_in_its_header_alone(server, daemon):
    d = daemon(server)
    token = d.token()
    with_body = {"Content-Type", "Content-Length"}
    for target in (ROUTE, ROUTE + "/api/v2/users/me?wait=soon&x", ROUTE + "?expand=team&x&wait=1",
                   ROUTE + "/api/a|b?filter[]={100%}&x=^`", ROUTE + "?filter[]=100%&wait=1"):
        connection = d.connect()
        for method in METHODS:
            answer = exchange(connection, method, target)
            assert (answer.status, answer.body) == (200, b""), (method, target)
            fields = dict(answer.headers)
            assert fields.pop("Authorization") == f"Bearer {token.json['access_token']}"
            assert fields.pop("Content-Length") == "0"
            assert int(fields.pop("Gctoken-Expires-In-Ms")) > 0
            assert fields == {name: value for name, value in token.headers.items()
                              if name not in with_body | {"Gctoken-Expires-In-Ms"}}
        connection.close()


def test_a_method_that_nobody_knows_is_the_last_of_its_connection(server, daemon):
    """How long its answer is only that method tells."""
    d = daemon(server)
    answer = exchange(d.connect(), "PURGE", ROUTE)
    assert answer.status == 200 and answer.headers["Connection"] == "close"
    assert answer.headers["Authorization"] == f"Bearer {d.token().json['access_token']}"


def test_where_the_api_is_is_told_if_known(server, daemon):
    d = daemon(server, profile={"api_url": "https://api.example/base/"})
    assert d.token().headers["Gctoken-Api-Url"] == "https://api.example/base"
    assert ask(d.socket, "GET", ROUTE).headers["Gctoken-Api-Url"] == "https://api.example/base"
    d = daemon(server, profile={"api_url": None})
    assert d.token().headers["Gctoken-Api-Url"] is None


@pytest.mark.parametrize("accept", ["application/json", "text/plain"])
def test_who_rejects_a_token_gets_the_next_one_as_a_field_too(server, daemon, accept):
    d = daemon(server)
    old = d.token()
    assert old.headers["Authorization"] is None
    generation = old.headers["Gctoken-Generation"]
    server.revoke(all=True)
    answer = d.post(f"/v1/token/reject?wait=20&generation={generation}", {"Accept": accept})
    new = d.token()
    assert answer.status == 200 and new.json["generation"] > old.json["generation"]
    assert answer.headers["Authorization"] == f"Bearer {new.json['access_token']}"
    assert answer.headers["Gctoken-Api-Url"] == server.api_url
    assert new.json["access_token"] in answer.text


def test_it_is_held_as_a_request_for_a_token_is(fake, daemon):
    f = fake()
    f.fault("token", "hang", seconds=600)
    d = daemon(f)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(
        ask(d.socket, "PUT", ROUTE + "?wait=60")))
    thread.start()
    wait_until(lambda: d.status()["waiting"] == 1, "it is held")
    f.clear_faults()
    thread.join()
    assert answers[0].status == 200 and answers[0].body == b""
    assert answers[0].headers["Authorization"] == f"Bearer {d.token().json['access_token']}"


def test_failures_are_those_of_a_token(fake, daemon):
    f = fake()
    f.fault("token", "answer", times=-1, status=503, body="")
    d = daemon(f, broker={"admin_users": ""})
    wait_until(lambda: d.status()["last_error"], "it has failed")
    for query in ("?wait=0", "?wait=0&foreign"):
        answer, same = ask(d.socket, "POST", ROUTE + query), d.get("/v1/token?wait=0")
        assert answer.status == same.status == 503
        assert answer.json["error"] == same.json["error"] == "temporarily_unavailable"
        assert answer.retry_after is not None and "Authorization" not in answer.headers
    for path, status, code in (("/nobody", 404, "unknown_profile"), ("/A", 404, "unknown_profile"),
                               ("", 404, "not_found"), ("/", 404, "not_found"),
                               ("/default?wait=soon", 400, "invalid_request")):
        answer = ask(d.socket, "GET", "/v1/authorization" + path)
        assert (answer.status, answer.json["error"]) == (status, code), path


@needs_root
def test_who_may_not_have_the_token_gets_none(server, daemon):
    d = daemon(server, broker={"socket_mode": "0666"})
    for target in (ROUTE, ROUTE + "/api?x", "/v1/authorization/nobody"):
        answer = d.ask_as(65000, "GET", target, gid=65000)
        assert (answer.status, answer.json["error"]) == (403, "access_denied")
        assert answer.headers["Authorization"] is None
