"""The fake Genesys Cloud itself: each option and each control seen working, from outside."""

import base64
import http.client
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from email.utils import parsedate_to_datetime
from urllib.parse import quote_plus

import pytest
from fake import REPOSITORY, ControlError, Fake
from unix_http import Answer, exchange
from waiting import wait_until

ID, SECRET = "fake-client", "s3cr3t:+/% ü"
QUERY = "/api/v2/analytics/conversations/details/query"


@pytest.fixture(scope="module")
def shared():
    one = Fake([{"id": ID, "secret": SECRET}])
    yield one
    one.stop()


@pytest.fixture
def server(shared):
    shared.reset()
    return shared


def connect(server: Fake, timeout: float = 10.0) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=server.ca_file)
    return http.client.HTTPSConnection("localhost", server.port, timeout=timeout, context=context)


def basic(client_id: str = ID, secret: str = SECRET) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def login(server: Fake, connection=None, authorization: str | None = None,
          body: bytes = b"grant_type=client_credentials") -> Answer:
    own = connection or connect(server)
    try:
        return exchange(own, "POST", "/oauth/token", {
            "Authorization": authorization or basic(),
            "Content-Type": "application/x-www-form-urlencoded"}, body)
    finally:
        if connection is None:
            own.close()


def call(server: Fake, token: str | None, path: str = "/api/v2/users/me", method: str = "GET",
         body: bytes | None = None) -> Answer:
    connection = connect(server)
    try:
        return exchange(connection, method, path,
                        {"Authorization": f"Bearer {token}"} if token else {}, body)
    finally:
        connection.close()


def head(server: Fake, path: str = "/") -> Answer:
    connection = connect(server)
    try:
        return exchange(connection, "HEAD", path)
    finally:
        connection.close()


def token_of(answer: Answer) -> str:
    assert answer.status == 200, answer
    return answer.json["access_token"]


def date_of(answer: Answer) -> float:
    return parsedate_to_datetime(answer.headers["Date"]).timestamp()


def claims_of(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


# Login and API.

def test_a_token_is_issued_and_the_api_takes_it(server):
    answer = login(server)
    assert answer.json == {"access_token": answer.json["access_token"], "token_type": "bearer",
                           "expires_in": 86400}
    assert len(token_of(answer)) == 86
    assert answer.headers["Cache-Control"] == "no-store"
    assert call(server, token_of(answer)).json["state"] == "active"
    found = call(server, token_of(answer), QUERY, "POST",
                 b'{"interval": "2026-01-01T00:00Z/2026-01-02T00:00Z"}')
    assert found.json["totalHits"] == 1
    assert call(server, token_of(answer), QUERY, "POST", b"[]").status == 400


@pytest.mark.parametrize("authorization, status, error, words", [
    (basic(secret="wrong"), 401, "invalid_client", "authentication failed"),
    (basic(client_id="nobody"), 400, "invalid_client", "client not found"),
    # The secret as it is, not form-encoded: its + would be read as a blank.
    ("Basic " + base64.b64encode(f"{ID}:{SECRET}".encode()).decode(), 400, "invalid_client",
     "client credentials are missing"),
    ("Bearer x", 400, "invalid_client", "client credentials are missing"),
])
def test_credentials_are_refused_in_genesys_words(server, authorization, status, error, words):
    answer = login(server, authorization=authorization)
    assert (answer.status, answer.json) == (status, {
        "error": error, "description": words, "error_description": words})


@pytest.mark.parametrize("body, error", [
    (b"grant_type=password", "unsupported_grant_type"), (b"", "invalid_request"),
    (b"grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
])
def test_other_grants_are_refused(server, body, error):
    answer = login(server, body=body)
    assert (answer.status, answer.json["error"]) == (400, error)


def test_every_answer_has_a_date_and_a_correlation_id_of_its_own(server):
    answers = [head(server), head(server, "/oauth/token"), login(server), call(server, None)]
    assert [answer.status for answer in answers] == [200, 200, 200, 401]
    assert len({answer.headers["ININ-Correlation-Id"] for answer in answers}) == len(answers)
    assert all(abs(date_of(answer) - time.time()) < 5 for answer in answers)
    logged = [entry["correlation_id"] for entry in server.log()]
    assert logged == [answer.headers["ININ-Correlation-Id"] for answer in answers]


def test_heads_reuse_the_posts_connection(server):
    connection = connect(server)
    login(server, connection)
    for _ in range(3):
        assert exchange(connection, "HEAD", "/").status == 200
    connection.close()
    assert {entry["connection"] for entry in server.log()} == {server.log()[0]["connection"]}
    assert [entry["on_connection"] for entry in server.log()] == [1, 2, 3, 4]


def test_tokens_me_tells_checks_and_revokes(server):
    token = token_of(login(server))
    assert call(server, token, "/api/v2/tokens/me").json["OAuthClient"]["id"] == ID
    assert call(server, token, "/api/v2/tokens/me", "HEAD").status == 200
    assert call(server, token, "/api/v2/tokens/me", "DELETE").status == 200
    assert call(server, token, "/api/v2/tokens/me", "HEAD").status == 401
    assert call(server, token).json["code"] == "bad.credentials"


def test_the_api_refuses_as_genesys_does(server):
    assert call(server, None).json["code"] == "authentication.required"
    refused = call(server, "no-such-token")
    assert (refused.status, refused.json["code"]) == (401, "bad.credentials")
    token = token_of(login(server))
    assert call(server, token, "/api/v2/elsewhere").status == 404
    assert call(server, token, "/api/v2/users/me", "DELETE").status == 405
    server.set(expired_code="credentials.expired")
    server.step(86400)
    assert call(server, token).json["code"] == "credentials.expired"


# The clock.

def test_offset_and_step_move_the_date_and_the_tokens_end(server):
    token = token_of(login(server))
    server.set(clock_offset=86300)
    assert abs(date_of(head(server)) - time.time() - 86300) < 5
    assert server.api_status(token) == 200
    server.step(95)
    assert server.api_status(token) == 200
    server.step(6)
    assert server.api_status(token) == 401
    server.step(-1000)
    assert server.api_status(token) == 200
    assert abs(server.time() - time.time() - 85401) < 5


def test_drift_gathers_and_stays(server):
    server.set(clock_drift=1e9)  # a thousand seconds more in each
    ahead = wait_until(lambda: server.time() - time.time() > 50 and server.time() - time.time(),
                       "a clock 50 s ahead by its drift", 5)
    server.set(clock_drift=0)
    stays = server.time() - time.time()
    assert stays >= ahead
    assert server.time() - time.time() == pytest.approx(stays, abs=2)


def test_scheduled_steps(fake):
    server = fake(clock_steps="0.1:+500,100000:-1")
    wait_until(lambda: server.time() - time.time() > 499, "the step", 5)
    assert server.time() - time.time() < 501


def test_a_cluster_answers_in_turn(server):
    server.set(clocks=[0, 1000, -1000])
    dates = [date_of(head(server)) - time.time() for _ in range(6)]
    assert sorted({round(date / 1000) for date in dates}) == [-1, 0, 1]
    assert [round(date / 1000) for date in dates[:3]] == [round(date / 1000) for date in dates[3:]]
    assert len(server.control_get("/time")["clocks"]) == 3
    server.set(clock_rotation="connection")
    connection = connect(server)
    same = {round((date_of(exchange(connection, "HEAD", "/")) - time.time()) / 1000)
            for _ in range(4)}
    connection.close()
    assert len(same) == 1


def test_the_apis_own_clock(server):
    server.set(lifetime=600, api_clock_offset=601)
    token = token_of(login(server))
    refused = call(server, token)
    assert refused.status == 401
    assert abs(date_of(refused) - time.time() - 601) < 5
    server.set(api_clock_offset=0)
    assert server.api_status(token) == 200


def test_a_cached_date_grows_old_and_no_more(server):
    server.set(date_stale=1000)
    first, second = head(server), head(server)
    age = server.time() - date_of(first)
    assert -1 <= age <= 1001
    assert first.headers["Date"] == second.headers["Date"]
    server.step(1000)
    assert date_of(head(server)) - date_of(first) == 1000


def test_no_date_and_other_header_fields(server):
    server.set(date="none", headers={"Age": "5", "Via": "1.1 proxy"})
    answer = head(server)
    assert answer.headers["Date"] is None
    assert (answer.headers["Age"], answer.headers["Via"]) == ("5", "1.1 proxy")


# Delays.

@pytest.mark.parametrize("where", ["request", "work", "answer", "body"])
def test_each_delay_lies_where_it_says(server, where):
    server.set(**{f"delay_{where}": 0.6})
    connection = connect(server)
    connection.connect()
    began = time.time()
    connection.request("POST", "/oauth/token", b"grant_type=client_credentials",
                       {"Authorization": basic(),
                        "Content-Type": "application/x-www-form-urlencoded"})
    response = connection.getresponse()  # the header has come
    header_at = time.time()
    token = json.loads(response.read())["access_token"]
    body_at = time.time()
    connection.close()
    assert body_at - began >= 0.6
    entry, issued = server.log()[0], server.tokens(secrets=True)[0]
    assert issued["token"] == token
    received, decided = entry["time"] - began, issued["issued"] - began
    assert (received >= 0.6) == (where == "request")
    assert (decided >= 0.6) == (where in ("request", "work"))
    assert (header_at - began >= 0.6) == (where != "body")


def test_a_waiting_answer_does_not_keep_the_fake_from_ending(fake):
    server = fake(delay_work=3600)
    connection = connect(server)
    thread = threading.Thread(target=lambda: pytest.raises(
        (http.client.HTTPException, OSError), login, server, connection))
    thread.start()
    server.wait_for("token", 1)
    began = time.monotonic()
    server.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - began < 3


# Tokens.

def test_lifetime_and_a_clients_own(server):
    server.set(lifetime=300)
    assert login(server).json["expires_in"] == 300
    server.client("scim", "x", lifetime=38880000)
    assert login(server, authorization=basic("scim", "x")).json["expires_in"] == 38880000


def test_tokens_that_die_before_they_said(server):
    server.set(dies_after=100)
    early = token_of(login(server))
    server.step(101)
    assert server.api_status(early) == 401
    assert server.tokens()[0]["state"] == "died early"
    server.set(dies_after=0, idle_timeout=100)
    idle = token_of(login(server))
    for _ in range(3):
        server.step(60)
        assert server.api_status(idle) == 200
    server.step(101)
    assert server.api_status(idle) == 401


def test_jwt_and_its_times(server):
    server.set(token_format="jwt", lifetime=600, jwt_iat_offset=-300)
    token = token_of(login(server))
    assert token.count(".") == 2
    claims = claims_of(token)
    assert claims["nbf"] - claims["iat"] == 300
    assert claims["exp"] - claims["nbf"] == 600
    assert abs(claims["nbf"] - server.time()) < 5
    assert server.api_status(token) == 200
    server.set(jwt_iat_offset=0, jwt_nbf_offset=50)
    early = token_of(login(server))
    assert server.api_status(early) == 401
    server.step(51)
    assert server.api_status(early) == 200
    server.set(jwt_claims=["exp"], jwt_exp_offset=-500)
    short = token_of(login(server))
    assert {"iat", "nbf"}.isdisjoint(claims_of(short))
    server.step(101)
    assert server.api_status(short) == 401


def test_the_same_token_again(server):
    server.set(lifetime=1000, same_token="remaining")
    first = login(server)
    server.step(400)
    second = login(server)
    assert token_of(first) == token_of(second)
    assert 598 <= second.json["expires_in"] <= 600
    server.set(same_token="full")
    assert login(server).json["expires_in"] == 1000
    server.step(601)
    assert token_of(login(server)) != token_of(first)


def test_past_the_cap_the_oldest_is_evicted(server):
    server.set(max_live=2)
    server.client("other", "x")
    other = token_of(login(server, authorization=basic("other", "x")))
    tokens = [token_of(login(server)) for _ in range(3)]
    assert [server.api_status(token) for token in tokens] == [401, 200, 200]
    assert server.api_status(other) == 200
    assert server.stats()["tokens"]["live"] == {ID: 2, "other": 1}
    assert [token["state"] for token in server.tokens()] == ["ok", "evicted", "ok", "ok"]


def test_revocation_of_one_of_a_client_and_of_all(server):
    server.client("other", "x")
    first, second = token_of(login(server)), token_of(login(server))
    other = token_of(login(server, authorization=basic("other", "x")))
    assert server.revoke(token=first) == 1
    assert [server.api_status(token) for token in (first, second, other)] == [401, 200, 200]
    assert server.revoke(fingerprint=server.tokens()[1]["fingerprint"]) == 1
    assert server.revoke(client=ID) == 0
    assert server.revoke(all=True) == 1
    assert server.api_status(other) == 401
    with pytest.raises(ControlError, match="exactly one"):
        server.revoke()


# Refusals.

@pytest.mark.parametrize("status", ["400", "429"])
def test_throttling(server, status):
    server.set(throttle=True, throttle_status=status)
    answer = login(server)
    assert answer.status == int(status)
    assert answer.json["error"] == "invalid_request"
    assert answer.json["description"].startswith("rate limit exceeded")
    assert answer.json["error_description"] == answer.json["description"]
    assert answer.headers["Retry-After"] is None
    server.set(retry_after=90, retry_after_form="seconds")
    assert login(server).headers["Retry-After"] == "90"
    server.set(retry_after_form="date", clock_offset=-5000)
    answer = login(server)
    until = parsedate_to_datetime(answer.headers["Retry-After"]).timestamp()
    assert 89 <= until - date_of(answer) <= 92
    server.set(throttle=False)
    assert login(server).status == 200


def test_rate_limits_of_login_and_api(server):
    server.set(rate_limit=2, rate_window=100, throttle_status="429", api_rate_limit=3)
    assert [login(server).status for _ in range(3)] == [200, 200, 429]
    server.step(101)
    token = token_of(login(server))
    assert [server.api_status(token) for _ in range(4)] == [200, 200, 200, 429]


def test_clients_change_while_it_runs(server):
    server.client(ID, "another")
    assert login(server).status == 401
    assert login(server, authorization=basic(secret="another")).status == 200
    server.client(ID, "another", disabled=True)
    assert login(server, authorization=basic(secret="another")).status == 401
    server.control_post("/client/remove", {"id": ID})
    assert login(server).json["description"] == "client not found"
    assert server.control_get("/clients") == []


def test_a_head_may_be_refused_and_connections_closed(server):
    server.set(head_status=405, keep_alive=0)
    answer = head(server)
    assert (answer.status, answer.headers["Connection"]) == (405, "close")


# Faults.

def raw(server: Fake, method: str = "POST", path: str = "/oauth/token") -> tuple[bytes, str]:
    """All that comes back for one request, and how it ended: clean, abrupt or reset. TLS runs
    apart from the socket here, so that the two ways of ending cannot be taken for each other."""
    body = b"grant_type=client_credentials" if method == "POST" else b""
    request = (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
               f"Authorization: {basic()}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    context = ssl.create_default_context(cafile=server.ca_file)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # or abrupt would look clean
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(come, go, server_hostname="localhost")
    got, ended = b"", "abrupt"
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain:
        def more() -> None:
            plain.sendall(go.read())
            data = plain.recv(65536)
            come.write(data) if data else come.write_eof()

        def step(what):
            while True:
                try:
                    return what()
                except ssl.SSLWantReadError:
                    more()

        try:
            step(tls.do_handshake)
            tls.write(request)
            while data := step(lambda: tls.read(65536)):
                got += data
            ended = "clean"  # goodbye was said inside TLS
        except ssl.SSLError:
            pass
        except ConnectionResetError:
            ended = "reset"
    return got, ended


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
    server.fault("token", "answer", status=200, body='{"access_token":"@TOKEN@","expires_in":1e400}',
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


# TLS.

@pytest.mark.parametrize("certificate, words", [
    ("expired", "expired"), ("not-yet-valid", "not yet valid"), ("wrong-host", "doesn't match|mism"),
    ("self-signed", "self-signed"), ("unknown-ca", "unable to get local issuer"),
])
def test_bad_certificates(server, certificate, words):
    server.tls(certificate)
    with pytest.raises(ssl.SSLCertVerificationError, match=words):
        login(server)
    wait_until(lambda: server.stats()["connections"]["handshakes_failed"] >= 1, "the failure")
    last = server.connections()[-1]
    assert (last["requests"], last["bytes_in"]) == (0, 0)
    server.tls()
    assert login(server).status == 200


def test_old_tls_versions(server):
    server.tls(lowest="1.0", highest="1.1")
    with pytest.raises(ssl.SSLError):
        login(server)
    context = ssl.create_default_context(cafile=server.ca_file)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as tls:
        assert tls.version() == "TLSv1.1"
    server.tls(lowest="1.2", highest="1.2")
    connection = connect(server)
    connection.connect()
    assert connection.sock.version() == "TLSv1.2"
    connection.close()


def test_nonsense_about_tls(server):
    for wrong in ({"certificate": "golden"}, {"lowest": "0.9"}, {"lowest": 1.2}, {"what": "x"}):
        with pytest.raises(ControlError):
            server.control_post("/tls", wrong)
    assert login(server).status == 200


# The control channel.

def test_refusing_connections_and_closing_them(server):
    connection = connect(server)
    assert login(server, connection).status == 200
    server.listen(False)
    with pytest.raises(ConnectionRefusedError):
        login(server)
    assert login(server, connection).status == 200  # it was open before
    server.listen(True)
    assert login(server).status == 200
    assert server.close_connections() >= 1
    with pytest.raises((http.client.HTTPException, OSError)):
        login(server, connection)


def test_settings_change_all_or_none(server):
    with pytest.raises(ControlError, match="clock_offset: a number"):
        server.set(lifetime=5, clock_offset="soon")
    with pytest.raises(ControlError, match="no such setting"):
        server.set(lifetime=5, life=6)
    assert server.control_get("/settings")["lifetime"] == 86400


@pytest.mark.parametrize("name, value", [
    ("lifetime", -1), ("lifetime", 1.5), ("lifetime", True), ("date", "sometimes"),
    ("throttle", "perhaps"), ("delay_work", -0.1), ("clock_offset", "nan"), ("clocks", []),
    ("clock_steps", "5"), ("headers", {"a b": "c"}), ("headers", {"a": 1}),
    ("jwt_claims", ["sub"]), ("same_token", None),
])
def test_settings_that_make_no_sense(server, name, value):
    with pytest.raises(ControlError, match=f"^POST /set: {name}: "):
        server.set(**{name: value})


def test_reset_is_as_at_the_start(server):
    token = token_of(login(server))
    server.set(lifetime=5)
    server.step(1000)
    server.client(ID, "changed")
    server.fault("token", "close")
    server.listen(False)
    server.reset()
    assert server.stats()["posts"] == 0
    assert server.log() == []
    assert server.faults() == []
    assert server.api_status(token) == 401
    assert login(server).json["expires_in"] == 86400
    assert abs(server.time() - time.time()) < 5


def test_the_log_tells_what_came_and_no_secret(server):
    token = token_of(login(server, body=b"grant_type=client_credentials&scope=a"))
    call(server, token, "/api/v2/users/me?expand=" + token)
    login(server, authorization=basic(secret="wrong-one"))
    first, second, third = server.log()
    assert (first["kind"], first["auth"], first["client"], first["status"]) \
        == ("token", "ok", ID, 200)
    assert (first["grant_type"], first["fields"]) == ("client_credentials",
                                                      ["grant_type", "scope"])
    assert first["token"] == server.tokens()[0]["fingerprint"]
    assert second["authorization"] == f"Bearer {first['token']}"
    assert (second["target"], second["auth"]) == ("/api/v2/users/me?expand=...", "ok")
    assert (third["auth"], third["status"], third["token"]) == ("wrong secret", 401, None)
    shown = json.dumps([server.log(), server.tokens(), server.stats(), server.faults(),
                        server.connections(), server.control_get("/clients")]) \
        + server.stderr_text()
    for secret in (token, SECRET, quote_plus(SECRET), basic().split()[1], "wrong-one"):
        assert secret not in shown
    told = server.log(kind="api", secrets=True)[0]["secrets"]
    assert f"Authorization: Bearer {token}" in told["header_lines"]
    assert [entry["number"] for entry in server.log(since=second["number"])] == [third["number"]]


def test_requests_that_are_none(server):
    context = ssl.create_default_context(cafile=server.ca_file)
    for sent, status in [(b"GARBAGE\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
                         (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
                         (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
                         (b"X" * 70000, 431)]:
        with socket.create_connection(("127.0.0.1", server.port), 10) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(sent)
            assert tls.recv(100).startswith(f"HTTP/1.1 {status} ".encode())
    assert login(server).status == 200


def test_the_control_channel_is_for_its_owner_and_explains_itself(server):
    assert stat.S_IMODE(os.stat(server.control).st_mode) == 0o600
    routes = server.control_get("/")
    assert all(routes.values())
    for route in ("GET /log", "POST /set", "POST /reset"):
        assert route in routes
    with pytest.raises(ControlError, match="GET / lists"):
        server.control_get("/nowhere")
    with pytest.raises(ControlError, match="unknown; these are known: seconds"):
        server.control_post("/step", {"minutes": 1})


def test_waiting_for_requests(server):
    assert server.control_get("/wait?kind=token&count=1&timeout=0.05") \
        == {"reached": False, "count": 0}
    thread = threading.Thread(target=login, args=(server,))
    thread.start()
    assert server.wait_for("token", 1, answered=True) == 1
    thread.join()


# As a load and as a program.

def test_a_thousand_requests_at_once(server):
    server.set(max_live=50)
    statuses: list[int] = []

    def work():
        connection = connect(server, timeout=60)
        statuses.extend(login(server, connection).status for _ in range(20))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 1000
    stats = server.stats()
    assert (stats["posts"], stats["tokens"]["issued"]) == (1000, 1000)
    assert stats["tokens"]["live"] == {ID: 50}


def run_fake(*arguments: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, os.path.join(REPOSITORY, "tests", "fake_genesys"),
                           *arguments], capture_output=True, text=True, timeout=30, **more)


def test_help_names_every_option():
    text = run_fake("--help").stdout
    for option in ("--clock-offset", "--max-live", "--ready-fd", "--control", "--retry-after-form"):
        assert option in text


def test_the_page_of_the_manual_leaves_nothing_out(server):
    with open(os.path.join(REPOSITORY, "docs", "fake-genesys.md"), encoding="utf-8") as file:
        page = file.read()
    settings = server.control_get("/settings")
    options = set(re.findall(r"(--[a-z-]+)", run_fake("--help").stdout)) - {"--help", "--cacert"}
    with pytest.raises(ControlError) as refused:
        server.control_post("/fault", {"action": "?"})
    actions = str(refused.value).split("one of ")[1].removesuffix(" is wanted").split(", ")
    assert len(settings) > 30 and len(actions) == 10
    for option in options - {"--unix-socket"}:
        assert f"`{option}" in page or option[2:].replace("-", "_") in settings, option
    for name in [*settings, *actions]:
        assert f"`{name}`" in page, name
    for route in server.control_get("/"):
        path = route.split()[1]
        assert path == "/" or f"ctl {path}" in page or f"ctl '{path}" in page, route


@pytest.mark.parametrize("arguments, words", [
    (["--lifetime", "-5"], "lifetime: a whole number of 0 or more"), (["--date", "x"], "date: one of live, none"),
    (["--client", "no-colon"], "ID:SECRET"), (["--clients-file", "/nonexistent"], "No such file"),
    (["--no-such-option"], "unrecognized"),
])
def test_wrong_command_lines(arguments, words):
    run = run_fake(*arguments)
    assert run.returncode == 2
    assert words in run.stderr


def test_a_port_that_is_taken(server):
    run = run_fake("--port", str(server.port))
    assert run.returncode == 1
    assert "Address already in use" in run.stderr
    assert "Traceback" not in run.stderr


def test_ready_file_ca_kept_and_end_of_input(tmp_path):
    ready, authorities = tmp_path / "ready", set()
    for _ in range(2):
        ready.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, os.path.join(REPOSITORY, "tests", "fake_genesys"),
                               "--dir", str(tmp_path), "--ready-file", str(ready), "--exit-on-eof",
                               "--client", "a:b:c", "--quiet"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_until(ready.exists, "the ready file", 10)
            told = json.loads(ready.read_text())
            assert told["clients"] == ["a"]
            authorities.add((tmp_path / "ca.pem").read_text())
            output, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")
        assert told["url"] in output
        assert "ended" in output
    assert len(authorities) == 1
    assert not [name for name in os.listdir(tmp_path) if name.endswith((".csr", ".cnf", ".new"))]
