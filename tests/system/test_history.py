"""What users cause at will pushes nothing out of the history, and does not fill the log."""

import re
import socket

import pytest

from logging_in import login_profile
from reloading import reload
from unix_http import exchange
from users import User, account, as_user, connect_as, needs_root

pytestmark = needs_root

OPEN = {"socket_mode": "0666"}
GAMES = account("games")
PLACES = 15  # users of one kind who have an event of their own


def events(d) -> list[dict]:
    return d.get("/v1/history?profile=default").json["events"]


def count(d, name: str) -> int:
    return [e["event"] for e in events(d)].count(name)


def lines(d, words: str) -> int:
    return len(re.findall(f"^<.>default: .*{words}", d.stderr_text(), re.M))


def strangers(number: int):
    return (User(400000 + i, 400000 + i) for i in range(number))


def denied_at_the_socket(d) -> None:
    for user in strangers(130):
        connection = connect_as(d, user)
        assert exchange(connection, "GET", "/v1/token").status == 403
        connection.close()


def denied_at_the_page(d) -> None:
    for user in strangers(130):
        with as_user(user), socket.socket(socket.AF_UNIX) as client:
            client.connect(d.path("page.sock"))
            client.sendall(b"page 1 default\n")
            assert client.recv(16) == b"403\n"


def denied_as_no_admin(d) -> None:
    for user in strangers(130):
        connection = connect_as(d, user)
        for target in ("/v1/history", "/v1/history?profile=default"):
            assert exchange(connection, "GET", target).status == 403
        connection.close()


@pytest.mark.parametrize("deny", [denied_at_the_socket, denied_at_the_page, denied_as_no_admin])
def test_denials_of_many_users(server, daemon, deny):
    d = daemon(server, broker=OPEN)
    d.token(wait=20)
    reload(d)
    before = events(d)
    deny(d)
    after = events(d)
    assert after[:len(before)] == [e | {"ago": after[i]["ago"]} for i, e in enumerate(before)]
    denials = after[len(before):]
    assert {e["event"] for e in denials} == {"denied"} and len(denials) == PLACES + 1
    assert re.search(r"uid 400129,.* \(and at least 64 other users\)$", denials[-1]["words"])
    assert sum(e["times"] for e in denials) == metric(d, "gctokend_denied_requests_total")
    assert lines(d, "denied: ") == PLACES + 1
    # In the order of time: who comes again stands last.
    connection = connect_as(d, User(400003, 400003))
    assert exchange(connection, "GET", "/v1/token").status == 403
    connection.close()
    last = events(d)[-1]
    assert "uid 400003," in last["words"] and last["time"] > last["since"]
    assert lines(d, "denied: ") == PLACES + 1


def metric(d, name: str) -> int:
    return int(re.search(rf'^{name}{{profile="default"}} (\d+)$', d.get("/metrics").text, re.M)[1])


def pipelined(d, user: User, request: bytes, number: int, status: bytes) -> None:
    connection = connect_as(d, user)
    for _ in range(number // 50):
        connection.sock.sendall(request * 50)
        got = b""
        while got.count(b"HTTP/1.1 ") < 50 or not got.endswith(b"}\n"):
            got += connection.sock.recv(1 << 20)
        assert got.count(b"HTTP/1.1 " + status) == 50
    connection.close()


@pytest.mark.parametrize("query", ["state=x&code=y", "state=x&error=access_denied",
                                   "state=x&code=y&iss=https://elsewhere"])
def test_logins_that_fail(server, daemon, query):
    d = daemon(server, broker=OPEN, profile=login_profile(server, login_users="games"))
    before = len(events(d))
    pipelined(d, GAMES, f"POST /v1/login/finish?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
              1000, b"400")
    after = events(d)
    assert [e["times"] for e in after[before:]] == [1000]
    assert after[-1]["event"] == "login_failed" and f"uid {GAMES.uid} " in after[-1]["words"]
    assert lines(d, "the login of uid") == 1


def test_a_logout_of_nobody_is_no_event(server, daemon):
    d = daemon(server, broker=OPEN, profile=login_profile(server, login_users="games"))
    before, text = len(events(d)), d.stderr_text()
    connection = connect_as(d, GAMES)
    for _ in range(150):
        assert exchange(connection, "POST", "/v1/logout").status == 200
    connection.close()
    assert len(events(d)) == before and d.stderr_text() == text


def test_rejections_and_refreshes(server, daemon):
    """The tokens that came of them are events of their own, as many as the mint limit allows."""
    d = daemon(server, broker=OPEN, profile={"allow_users": "games", "reject_cooldown": "100ms",
                                             "mint_limit": 1000})
    d.token(wait=20)
    connection = connect_as(d, GAMES)
    generation, rejected = 1, 0
    for _ in range(300):
        answer = exchange(connection, "POST", f"/v1/token/reject?generation={generation}&wait=20")
        assert answer.status in (200, 429)
        if answer.status == 200:
            rejected += 1
            generation = answer.json["generation"]
    connection.close()
    for _ in range(5):
        assert d.post("/v1/refresh").status == 200
    found = {e["event"]: e for e in events(d)}
    assert count(d, "reported") == count(d, "refresh_asked") == 1
    assert 1 <= found["reported"]["times"] <= rejected
    assert f"(uid {GAMES.uid})" in found["reported"]["words"]
    assert found["refresh_asked"]["times"] == 5
    assert lines(d, "rejected token") == lines(d, "asked for a new token") == 1


def test_revoked_again_is_no_event(server, daemon):
    d = daemon(server)
    d.token(wait=20)
    for _ in range(20):
        d.post("/v1/revoke")
    assert count(d, "revoked") == 1
