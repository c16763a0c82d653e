"""The fake Genesys Cloud: what its login, its API and its clock answer."""

import base64
import http.client
import json
import threading
import time
from email.utils import parsedate_to_datetime

import pytest
from fake import ControlError
from fake_calls import ID, SECRET, basic, call, claims_of, connect, date_of, head, login, token_of
from unix_http import exchange
from waiting import wait_until

QUERY = "/api/v2/analytics/conversations/details/query"


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


def test_lists_come_in_pages(server):
    server.set(entities=30)
    token = token_of(login(server))
    queues = "/api/v2/routing/queues"
    first = call(server, token, queues).json
    assert [len(first["entities"]), first["pageCount"], first["total"]] == [25, 2, 30]
    last = call(server, token, first["nextUri"]).json
    assert [len(last["entities"]), last["pageNumber"], last.get("nextUri")] == [5, 2, None]
    assert call(server, token, queues + "?pageNumber=3").json["entities"] == []
    for wrong in ("pageSize=501", "pageSize=0", "pageNumber=0", "pageNumber=x"):
        assert call(server, token, f"{queues}?{wrong}").status == 400, wrong
    groups = "/api/v2/routing/skillgroups?pageSize=10"
    found, path = [], groups
    while path:
        page = call(server, token, path).json
        found += page["entities"]
        path = page.get("nextUri")
    assert len({one["id"] for one in found}) == 30
    assert call(server, token, groups + "&after=1").status == 400


def test_conversations_come_in_pages(server):
    server.set(conversations=250)
    token = token_of(login(server))

    def page(**paging):
        return call(server, token, QUERY, "POST", json.dumps(
            {"interval": "2026-01-01T00:00Z/2026-01-02T00:00Z", "paging": paging}).encode())

    found = [page(pageSize=100, pageNumber=number).json for number in (1, 2, 3, 4)]
    assert [len(one.get("conversations", [])) for one in found] == [100, 100, 50, 0]
    assert "conversations" not in found[3]
    assert {one["totalHits"] for one in found} == {250}
    assert len({one["conversationId"] for each in found for one in each.get("conversations", [])}
               ) == 250
    assert len(page().json["conversations"]) == 25
    for wrong in ({"pageSize": 101}, {"pageSize": 0}, {"pageNumber": 0}, {"pageSize": "10"}):
        assert page(**wrong).status == 400, wrong


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


def test_tokens_that_the_api_knows_later(server):
    server.set(known_after=100)
    token = token_of(login(server))
    assert server.api_status(token) == 401
    assert server.tokens()[0]["state"] == "not yet known"
    server.step(101)
    assert server.api_status(token) == 200


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
