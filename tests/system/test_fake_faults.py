"""The fake Genesys Cloud's scripted faults, each seen from the other end."""

import base64
import http.client
import time

import pytest
from fake import ControlError
from fake_calls import basic, call, connect, head, login, raw
from waiting import wait_until


@pytest.mark.parametrize("how", ["clean", "abrupt", "reset"])
def test_close_after_reading_the_request(server, how):
    server.fault("token", "close", how=how)
    assert raw(server) == (b"", how)
    assert server.posts == 1
    server.wait_for("token", 1, answered=True)
    entry = server.log()[0]
    assert (entry["status"], entry["token"]) == (None, None)
    assert entry["fault"].endswith(" close")
    assert server.tokens() == []
    assert login(server).status == 200  # it was for one request only


@pytest.mark.parametrize("at, how", [(0, "abrupt"), (20, "clean"), (-1, "abrupt"), (-30, "reset")])
def test_cut_answers(server, at, how):
    server.fault("token", "cut", at=at, how=how)
    got, ended = raw(server)
    assert ended == how
    length = len(got)
    if how != "reset":  # a reset may overtake the bytes before it
        assert length == at if at >= 0 else got.endswith(b"86400") and length > 100
    assert len(server.tokens()) == 1  # the server had made it


def test_hang_until_told_or_left(server):
    server.fault("token", "hang", seconds=0.2)
    began = time.monotonic()
    assert raw(server) == (b"", "clean")
    assert time.monotonic() - began >= 0.2
    server.fault("token", "hang")
    with pytest.raises(TimeoutError):
        login(server, connect(server, timeout=0.2))
    assert server.wait_for("token", 2, answered=True) == 2


def test_an_answer_of_the_tests_own(server):
    server.fault("token", "answer", status=200,
                 body='{"access_token":"@TOKEN@","expires_in":1e400}',
                 headers={"Content-Type": "text/html", "Date": None, "X-More": "1"})
    answer = login(server)
    assert answer.headers["Date"] is None
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.headers["X-More"] == "1"
    assert answer.text.endswith('","expires_in":1e400}')
    assert server.tokens(secrets=True)[0]["token"] in answer.text
    server.fault("token", "answer", status=503, chunked=True,
                 body_base64=base64.b64encode(b"\xff\x00").decode())
    answer = login(server)
    assert (answer.status, answer.body) == (503, b"\xff\x00")
    assert answer.headers["Transfer-Encoding"] == "chunked"


def test_members_of_the_proper_answer(server):
    server.fault("token", "members", members={"expires_in": "3600", "token_type": None, "x": [1]})
    answer = login(server).json
    assert (answer["expires_in"], answer["x"], "token_type" in answer) == ("3600", [1], False)
    assert server.api_status(answer["access_token"]) == 200
    server.fault("api", "members", status=403, members={"code": "not.authorized"})
    refused = call(server, answer["access_token"])
    assert (refused.status, refused.json["code"]) == (403, "not.authorized")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(server, status):
    server.fault("any", "redirect", status=status, location="https://localhost:1/elsewhere")
    answer = head(server)
    assert (answer.status, answer.headers["Location"]) == (status, "https://localhost:1/elsewhere")


def test_bytes_as_they_are(server):
    junk = bytes(range(256))
    server.fault("token", "bytes", base64=base64.b64encode(junk).decode(), then="abrupt")
    assert raw(server) == (junk, "abrupt")
    server.fault("token", "bytes", text="HTTP/1.1 200 OK\r\n", repeat_text="X: y\r\n", repeat=1000,
                 piece=700)
    got, ended = raw(server)
    assert (got.count(b"X: y\r\n"), ended) == (1000, "clean")
    server.fault("token", "bytes", text="HTTP/1.1 204 No\r\n\r\n", then="keep")
    connection = connect(server)
    assert login(server, connection).status == 204
    assert login(server, connection).status == 200
    connection.close()


def test_bytes_that_drip(server):
    server.fault("token", "bytes", text="HTTP/1.1", piece=1, pause=0.02)
    began = time.monotonic()
    assert raw(server) == (b"HTTP/1.1", "clean")
    assert time.monotonic() - began >= 8 * 0.02


def test_endless_chunks_and_early_answers(server):
    server.fault("token", "chunks", size=1000)
    connection = connect(server)
    connection.request("POST", "/oauth/token", b"", {"Authorization": basic()})
    body = connection.getresponse().read(3_000_000)
    connection.close()
    assert body == b" " * 3_000_000
    server.fault("token", "chunks", size=10, count=3)
    assert login(server).body == b" " * 30
    server.fault("head", "informational", status=103, count=3, headers={"Date": "never"})
    got, _ = raw(server, "HEAD", "/")
    assert got.count(b"HTTP/1.1 103 ") == 3
    assert got.count(b"Date: never") == 3
    assert got.count(b"HTTP/1.1 200 ") == 1
    server.fault("head", "informational", count=-1)
    connection = connect(server)
    connection.request("HEAD", "/")
    endless = connection.sock.recv(100_000)
    connection.close()
    assert endless.startswith(b"HTTP/1.1 103 ")
    # All four connections have ended: the fake notices when nobody listens any more.
    wait_until(lambda: server.stats()["connections"]["open"] == 0, "no connection left")


def test_delay_of_one_request(server):
    server.fault("token", "delay", work=0.2)
    began = time.monotonic()
    assert login(server).status == 200
    assert time.monotonic() - began >= 0.2
    assert login(server).status == 200
    assert server.faults()[0]["used"] == 1


@pytest.mark.parametrize("stage", ["tcp", "tls"])
def test_connections_that_never_get_to_a_request(server, stage):
    server.fault("connect", "close", stage=stage, how="abrupt")
    server.fault("connect", "bytes", stage=stage, text="220 smtp ready\r\n")
    for _ in range(2):
        with pytest.raises((OSError, http.client.HTTPException)):
            login(server)
    assert server.posts == 0
    assert login(server).status == 200


def test_whose_turn_a_fault_is(server):
    server.client("other", "x")
    server.fault("token", "answer", status=500, after=1, times=2)
    server.fault("token", "answer", status=502, client="other", times=-1)
    server.fault("head", "answer", status=504, path="/oauth/token")
    assert [login(server).status for _ in range(4)] == [200, 500, 500, 200]
    assert [login(server, authorization=basic("other", "x")).status for _ in range(3)] == [502] * 3
    assert [head(server).status, head(server, "/oauth/token").status] == [200, 504]
    assert [fault["used"] for fault in server.faults()] == [2, 3, 1]
    assert server.stats()["faults_pending"] == 1
    server.clear_faults()
    assert login(server, authorization=basic("other", "x")).status == 200


@pytest.mark.parametrize("wrong, words", [
    ({"action": "explode"}, "action: one of"),
    ({"action": "close", "kind": "tokens"}, "kind: one of"),
    ({"action": "close", "how": "slowly"}, "how: one of"),
    ({"action": "close", "status": 500}, "status: not a member"),
    ({"action": "redirect"}, "location: a redirect needs one"),
    ({"action": "answer", "body_base64": "?"}, "body_base64: base64"),
    ({"action": "answer", "kind": "connect"}, "with kind connect"),
    ({"action": "hang", "seconds": -1}, "seconds: seconds"),
    ({"action": "close", "times": True}, "times: a whole number"),
])
def test_faults_that_make_no_sense(server, wrong, words):
    with pytest.raises(ControlError, match=words):
        server.control_post("/fault", wrong)
    assert server.faults() == []


def test_a_token_ends_with_the_request_that_comes_with_it(server):
    tokens = [login(server).json["access_token"] for _ in range(2)]
    server.fault("api", "revoke", after=1)
    assert [call(server, tokens[0]).status for _ in range(3)] == [200, 401, 401]
    assert call(server, tokens[1]).status == 200
    assert [token["state"] for token in server.tokens()] == ["revoked", "ok"]
