"""Logins of people, at the daemon's own routes: whose they are, what goes wrong, what becomes of them.
The command, the browser and an OAuth server of others have tests of their own."""

import contextlib
import os
import re
import shutil
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from logging_in import REDIRECT_URI, begin, come_back, finish, log_in, login_profile
from users import account, connect_as, needs_root
from unix_http import Answer, exchange
from waiting import wait_until

OPEN = {"socket_mode": "0666"}


@pytest.fixture
def d(server, daemon):
    return daemon(server, profile=login_profile(server, clock_probe=False))


def login_of(server) -> dict:
    return server.logins()[-1]


def test_what_the_login_page_is_asked(server, daemon):
    server.client("a public:one", None, redirect_uris=["http://localhost:9/x?y=z"])
    server.set(public_refresh=True)
    profile = login_profile(server, client_id="a-public-one", client_secret_file=None,
                            redirect_uri="http://localhost:9/x?y=z", scope="openid a:b",
                            authorize_url=server.authorize_url + "?tenant=t%20t")
    d = daemon(server, profile=profile)
    answer = begin(d)
    assert answer | {"authorize_url": "", "state": ""} == {
        "profile": "default", "authorize_url": "", "state": "",
        "redirect_uri": "http://localhost:9/x?y=z", "expires_in": 600}
    parts = urlsplit(answer["authorize_url"])
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert query | {"code_challenge": ""} == {
        "tenant": "t t", "response_type": "code", "client_id": "a-public-one",
        "redirect_uri": "http://localhost:9/x?y=z", "scope": "openid a:b",
        "state": answer["state"], "code_challenge": "", "code_challenge_method": "S256"}
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", query["code_challenge"])
    assert begin(d)["state"] != answer["state"]


@pytest.mark.parametrize("public", [False, True], ids=["confidential", "public"])
def test_logged_in_refreshed_and_logged_out(server, daemon, public):
    keys = {}
    if public:
        server.client("a-public-one", None)
        server.set(public_refresh=True)
        keys = {"client_id": "a-public-one", "client_secret_file": None}
    d = daemon(server, profile=login_profile(server, clock_probe=False, **keys))
    refused = d.token()
    assert (refused.status, refused.json["error"], refused.retry_after) == \
        (503, "login_required", None)
    assert d.get("/readyz").status == 503
    answer = log_in(d, server)
    assert answer.status == 200, answer
    assert answer.json["state"] == "fresh" and answer.json["login_ends_in"] is None
    first = d.token().json
    assert server.api_status(first["access_token"]) == 200
    assert d.status()["login"]["state"] == "refreshed"
    second = d.post("/v1/refresh").json
    assert second["generation"] > first["generation"]
    assert [one["replaced"] for one in login_of(server)["refresh_tokens"]] == [True, False]
    assert d.post("/v1/logout").json == {"profile": "default", "state": "login_required"}
    assert server.api_status(second["access_token"]) == 401
    assert d.token().json["error"] == "login_required"
    assert d.post("/v1/refresh").json["error"] == "login_required"
    posts = server.posts
    d.restart()
    assert d.token().json["error"] == "login_required" and server.posts == posts
    assert [one["event"] for one in d.get("/v1/history").json["events"]].count("logged_in") == 0


def test_a_state_is_good_once(server, d):
    landing = come_back(server, begin(d))
    assert finish(d, landing).status == 200
    again = finish(d, landing)
    assert (again.status, again.json["error"]) == (400, "login_failed")
    assert server.posts == 1 and d.token().status == 200
    for query in ("code=c", "state=s", "state=s&code=c&error=e", "state=&code=c", "state=s&code="):
        assert d.post(f"/v1/login/finish?{query}").json["error"] == "invalid_request", query
    for state in ("s", "x" * 43, landing["state"][:-1]):
        wrong = finish(d, {"state": state, "code": "c"})
        assert (wrong.status, wrong.json["error"]) == (400, "login_failed")


@needs_root
def test_a_login_is_of_who_began_it(server, daemon):
    games, nobody = account("games"), account("nobody")
    d = daemon(server, broker={**OPEN, "admin_users": "mail"},
               profile=login_profile(server, login_users="games, nobody", allow_users="nobody"))

    def ask(user, target: str) -> Answer:
        connection = connect_as(d, user)
        try:
            return exchange(connection, "POST", target)
        finally:
            connection.close()

    for user in (account("bin"), account("daemon")):
        for route in ("/v1/login", "/v1/login/finish?state=s&code=c", "/v1/logout"):
            assert ask(user, route).json["error"] == "access_denied"
    landing = come_back(server, ask(games, "/v1/login").json)
    brought = "/v1/login/finish?" + urlencode({"state": landing["state"], "code": landing["code"]})
    for user in (nobody, account("mail"), account("root")):
        assert ask(user, brought).json["error"] == "login_failed"
    assert server.posts == 0
    assert ask(games, brought).status == 200
    # Who may log in is not who may have the token, or look at it.
    connection = connect_as(d, games)
    for route in ("token", "skew", "history"):
        assert exchange(connection, "GET", f"/v1/{route}").status == 403
    assert exchange(connection, "GET", "/v1/status").json == {"profiles": []}
    assert exchange(connection, "GET", "/metrics").text == ""
    connection.close()
    assert ask(nobody, "/v1/logout").status == 200
    for _ in range(20):  # one who begins and begins keeps nobody else out
        assert ask(games, "/v1/login").status == 200
    assert ask(account("mail"), "/v1/login").status == 200


@needs_root
def test_a_logout_ends_no_login_of_others(server, daemon):
    """But an admin's, and the history tells of both."""
    games, nobody = account("games"), account("nobody")
    d = daemon(server, broker={**OPEN, "admin_users": "mail"},
               profile=login_profile(server, login_users="games, nobody"))

    def ask(user, target: str) -> Answer:
        with contextlib.closing(connect_as(d, user)) as connection:
            return exchange(connection, "POST", target)

    def ended() -> list[str]:
        return [one["words"] for one in d.get("/v1/history").json["events"]
                if one["event"] == "login_failed" and "logout" in one["words"]]

    def bring(user, landing) -> Answer:
        return ask(user, "/v1/login/finish?" + urlencode(
            {"state": landing["state"], "code": landing["code"]}))

    theirs = come_back(server, ask(games, "/v1/login").json)
    own = come_back(server, ask(nobody, "/v1/login").json)
    assert ask(nobody, "/v1/logout").status == 200
    assert bring(nobody, own).json["error"] == "login_failed"
    said, = ended()
    assert said.startswith(f"a logout by uid {nobody.uid} ended 1 login ") and "of its own" in said
    assert bring(games, theirs).status == 200
    theirs, own = (come_back(server, ask(user, "/v1/login").json) for user in (games, nobody))
    assert ask(account("mail"), "/v1/logout").status == 200
    for user, landing in ((games, theirs), (nobody, own)):
        assert bring(user, landing).json["error"] == "login_failed"
    assert any(one.startswith(f"a logout by uid {account('mail').uid} ended 2 logins ")
               for one in ended())


@needs_root
def test_who_brings_bad_codes_keeps_nobody_else_out(server, daemon):
    """Neither from the profile nor, by having it refuse too often, from the login server."""
    d = daemon(server, broker=OPEN, profile=login_profile(server, login_users="games, mail"))

    def ask(name: str, target: str) -> Answer:
        with contextlib.closing(connect_as(d, account(name))) as connection:
            return exchange(connection, "POST", target)

    def finish_as(name: str, landing: dict[str, str]) -> Answer:
        return ask(name, "/v1/login/finish?" + urlencode(landing))

    for _ in range(5):
        answer = finish_as("games", {"state": ask("games", "/v1/login").json["state"], "code": "c"})
        assert (answer.status, answer.json["error"]) == (503, "login_required")
    posts = server.posts
    landing = come_back(server, ask("games", "/v1/login").json)
    for _ in range(2):  # the state is not used up
        answer = finish_as("games", {name: landing[name] for name in ("state", "code")})
        assert (answer.status, answer.json["error"]) == (429, "too_many_requests")
        assert 0 < answer.retry_after <= 300
    assert server.posts == posts
    landing = come_back(server, ask("mail", "/v1/login").json)
    assert finish_as("mail", {name: landing[name] for name in ("state", "code")}).status == 200


@pytest.mark.parametrize("settings, status, error, words", [
    ({"consent": "denied"}, 400, "login_failed", "the login server says access_denied"),
    ({"answer_iss": "wrong"}, 400, "login_failed", "iss: the response is from another login server"),
    ({"code_lifetime": 0}, 503, "login_required", "did not accept the code .*expired"),
    ({"throttle": True}, 503, "temporarily_unavailable", "rate limit exceeded"),
])
def test_what_goes_wrong(server, d, settings, status, error, words):
    """It is said, counted as a failed login, and leaves the login that there is alone."""
    assert log_in(d, server).status == 200
    before = d.token().json["generation"]
    server.set(**settings)
    answer = log_in(d, server)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert re.search(words, answer.json["error_description"])
    server.set(consent="given", answer_iss="right", code_lifetime=60, throttle=False)
    assert d.status()["login"]["state"] == "refreshed" and d.status()["state"] == "fresh"
    assert d.token().json["generation"] == before
    assert d.post("/v1/refresh").status == 200
    failed = [one for one in d.get("/v1/history").json["events"] if one["event"] == "login_failed"]
    assert len(failed) == 1


def test_a_client_that_is_refused(server, d):
    d.set_secret("default", "another-secret")
    d.reload()
    d.wait_log("configuration reloaded")
    answer = log_in(d, server)
    assert (answer.status, answer.json["error"]) == (503, "client_rejected")
    assert "authentication failed" in answer.json["error_description"]


def test_a_login_without_a_refresh_token(server, daemon):
    """As with an idle timeout at Genesys: how long it lasts is told, and warned of ahead."""
    server.set(refresh_tokens="none", lifetime=40)
    d = daemon(server, profile=login_profile(server, clock_probe=False))
    answer = log_in(d, server)
    assert answer.status == 200 and answer.json["login_ends_in"] == 40
    login = d.status()["login"]
    assert login["state"] == "ends" and 25 <= login["ends_in"] <= 40 and login["problem"] is None
    metric = re.search(r"^gctokend_login_ends_in_seconds\{profile=\"default\"\} (\S+)$",
                       d.get("/metrics").text, re.M)
    assert 25 <= float(metric[1]) <= 40
    d.wait_log(r"^<5>default: uid 0 logged in; the login server gave no refresh token, so this login "
               r"lasts 40 s and then somebody has to log in again$")
    generation = d.token().json["generation"]
    # A false report would else make it stale for the rest of its life.
    assert d.post(f"/v1/token/reject?generation={generation}").json["error"] == "reject_cooldown"
    assert d.token().json["state"] == "fresh"
    refused = d.post("/v1/refresh").json
    assert refused["error"] == "login_required" and "cannot be refreshed" in refused["error_description"]
    server.revoke(all=True)
    wait_until(lambda: d.post(f"/v1/token/reject?generation={generation}").json["error"]
               == "login_required", "the API's verdict")
    assert d.token().json["state"] == "stale"
    assert server.posts == 1
    assert log_in(d, server).status == 200  # the next one replaces it
    assert d.token().json["state"] == "fresh"
    # One that can be refreshed, and then one that cannot: nothing of the former is left.
    server.set(refresh_tokens="rotate")
    assert log_in(d, server).status == 200
    server.set(refresh_tokens="none")
    assert log_in(d, server).status == 200
    assert d.status()["login"]["state"] == "ends" and d.status()["login"]["stored"] is True
    d.restart()
    assert d.token().json["error"] == "login_required"


@pytest.mark.parametrize("how", ["rotate", "keep", "omit"])
def test_rotation_as_it_is_and_as_it_is_not(server, daemon, how):
    server.set(refresh_tokens=how)
    d = daemon(server, profile=login_profile(server, clock_probe=False))
    assert log_in(d, server).status == 200
    for _ in range(3):
        assert d.post("/v1/refresh").status == 200
    d.restart()
    assert d.token(wait=10).status == 200
    assert login_of(server)["ended"] == ""
    assert len(login_of(server)["refresh_tokens"]) == (5 if how == "rotate" else 1)


@pytest.mark.parametrize("action, members", [("cut", {"at": -1}), ("members", {"status": 201})])
def test_a_refresh_token_in_a_response_that_is_no_use(server, d, action, members):
    """The one before it is void by then."""
    assert log_in(d, server).status == 200
    server.fault("token", action, grant="refresh_token", **members)
    assert d.post("/v1/refresh").status == 503
    assert d.post("/v1/refresh").status == 200
    d.restart()
    assert d.token(wait=10).status == 200
    assert login_of(server)["ended"] == ""


def test_a_login_that_the_server_ended(server, d):
    """One request, then a person is asked for, also after a restart; the token serves to its end."""
    assert log_in(d, server).status == 200
    server.end_logins()
    posts = server.posts
    answer = d.post("/v1/refresh")
    assert (answer.status, answer.json["error"]) == (503, "login_required")
    assert "the login of this refresh token has ended" in answer.json["error_description"]
    assert d.token().status == 200
    assert d.status()["login"]["state"] == "refused"
    d.restart()
    assert d.token().json["error"] == "login_required"
    assert d.status()["login"]["state"] == "refused"
    assert server.posts == posts + 1
    d.wait_log(r"^<3>default: .*; the login has ended: somebody has to log in again$")
    assert d.post("/v1/refresh").json["error"] == "login_required"  # an admin may try it again
    assert server.posts == posts + 2
    assert log_in(d, server).status == 200
    assert d.status()["login"]["state"] == "refreshed"


def test_an_answer_that_is_lost(server, d):
    """The window that no client can close: rotated at the server, and nobody heard of it. It ends
    with a person being asked for, not in a loop."""
    assert log_in(d, server).status == 200
    server.fault("token", "cut", grant="refresh_token", at=0)
    assert d.post("/v1/refresh").status == 503
    posts = server.posts
    assert d.post("/v1/refresh").json["error"] == "login_required"
    assert login_of(server)["ended"] == "replayed" and server.posts == posts + 1
    assert d.status()["login"]["state"] == "refused"


def test_a_newer_file_is_looked_for_before_a_person_is_asked(server, daemon, make_daemon):
    """Somebody put back what another run had stored since."""
    d = daemon(server, profile=login_profile(server, clock_probe=False))
    assert log_in(d, server).status == 200
    d.stop()
    copy = d.path("copy")
    shutil.copytree(d.state_dir, copy)
    other = make_daemon(server, profile=login_profile(server, clock_probe=False))
    other.broker["state_dir"] = copy
    other.write_config()
    d.start()
    assert d.token(wait=10).status == 200  # the refresh token in the copy is void now
    d.stop()
    name = [name for name in os.listdir(copy) if name.endswith(".login")][0]
    server.set(delay_answer=1.0)
    posts = server.posts
    other.start()
    server.wait_for("token", posts + 1)
    shutil.copy(os.path.join(d.state_dir, name), os.path.join(copy, name))
    other.wait_log("the refresh token was refused, but there is another in the state file")


def test_a_stop_waits_for_a_refresh_under_way(server, d):
    assert log_in(d, server).status == 200
    server.set(delay_answer=0.7)
    connection = d.connect()
    connection.request("POST", "/v1/refresh")
    server.wait_for("token", 2)
    d.stop()
    connection.close()
    server.set(delay_answer=0.0)
    d.wait_log("stopping when the login server has answered a refresh")
    d.start()
    assert d.token(wait=10).status == 200
    assert login_of(server)["ended"] == ""


def test_a_reload_that_takes_the_profile_away_loses_no_refresh(server, d):
    assert log_in(d, server).status == 200
    server.set(delay_answer=0.7)
    connection = d.connect()
    connection.request("POST", "/v1/refresh")
    server.wait_for("token", 2)
    d.profiles["other"] = d.profiles.pop("default")
    d.write_config()
    d.reload()
    assert connection.getresponse().status == 404
    connection.close()
    assert d.token("other", wait=20).status == 200
    assert login_of(server)["ended"] == ""


def test_logged_out_while_a_refresh_is_under_way(server, d):
    """What comes then is revoked, and not kept."""
    assert log_in(d, server).status == 200
    server.set(delay_answer=0.7)
    connection = d.connect()
    connection.request("POST", "/v1/refresh")
    server.wait_for("token", 2)
    assert d.post("/v1/logout").status == 200
    assert connection.getresponse().status == 503
    connection.close()
    wait_until(lambda: all(server.api_status(token["token"]) == 401
                           for token in server.tokens(secrets=True)), "both tokens revoked")
    assert d.token().json["error"] == "login_required"
    d.restart()
    assert d.token().json["error"] == "login_required"


def test_codes_and_states_are_told_to_nobody(server, d):
    begun = begin(d)
    landing = come_back(server, begun)
    assert finish(d, landing).status == 200
    server.fault("token", "answer", status=400, body='{"error":"invalid_grant",'
                 f'"error_description":"no code {landing["code"]}"}}')
    second = come_back(server, begin(d))
    answer = finish(d, second)
    for secret in (begun["state"], landing["code"], second["state"], second["code"]):
        for text in (d.stderr_text(), answer.text, d.get("/v1/history").text,
                     d.get("/v1/status").text, d.get("/metrics").text):
            assert secret not in text
