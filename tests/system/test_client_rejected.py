"""Genesys refuses the credentials: the broker asks once, says so in Genesys' own words, and leaves
the login server alone until somebody mends it, however many ask."""

import concurrent.futures
import re
import time

import pytest

from clock_shim import ShimmedClock
from daemon import Daemon, canary
from fake import Fake
from waiting import PATIENCE, wait_until

QUARTER_HOUR = 15 * 60
WRONG_SECRET = "client_rejected (HTTP 401, invalid_client): authentication failed"
UNKNOWN_CLIENT = "client_rejected (HTTP 400, invalid_client): client not found"


def wait_until_rejected(d: Daemon, profile: str = "default") -> None:
    wait_until(lambda: d.status(profile)["state"] == "client_rejected", "the refusal")


def check_rejected(d: Daemon, f: Fake, words: str, wait: int = 0) -> None:
    begun = time.monotonic()
    answer = d.token(wait=wait)
    assert time.monotonic() - begun < 1.5 * PATIENCE, "it was held"
    assert answer.status == 503 and answer.json["error"] == "client_rejected"
    refused = f.log("token")[-1]
    assert answer.json["error_description"] == (
        f"{words}; correlation id {refused['correlation_id']}"
        f"; next attempt in {answer.next_attempt} s")
    assert QUARTER_HOUR - 60 <= answer.next_attempt <= QUARTER_HOUR
    # A person has to act: coming again is no help.
    assert answer.retry_after is None and "retry_after" not in answer.json


@pytest.mark.parametrize("wrong, words, status", [
    ({"secret": "wrong:+/%"}, WRONG_SECRET, 401),
    ({"client_id": "nobody-knows-me"}, UNKNOWN_CLIENT, 400),
], ids=["wrong-secret", "unknown-client"])
def test_one_request_however_many_ask(fake, daemon, wrong, words, status):
    f = fake()
    d = daemon(f, profile=wrong)
    wait_until_rejected(d)
    check_rejected(d, f, words)
    for wait in (0, 2, 300):
        check_rejected(d, f, words, wait)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: d.token(wait=number), range(200)))
    assert {answer.status for answer in answers} == {503}
    assert {answer.json["error"] for answer in answers} == {"client_rejected"}
    assert d.token(min_ttl=60).json["error"] == "client_rejected"
    # Nobody can report a token where there is none.
    assert d.post("/v1/token/reject?generation=0&wait=300").json["error"] == "client_rejected"

    shown = d.status()
    refused = f.log("token")[0]
    assert shown["last_error"] == {
        "class": "client_rejected", "status": status, "error": "invalid_client",
        "words": words.rpartition(": ")[2], "correlation_id": refused["correlation_id"],
        "ago": shown["last_error"]["ago"]}
    assert (shown["generation"], shown["expires_in"]) == (None, None)
    assert QUARTER_HOUR - 60 <= shown["next_attempt_in"] <= QUARTER_HOUR
    ready = d.get("/readyz")
    assert ready.status == 503
    assert ready.json["error_description"].endswith("default (client_rejected)")
    assert ('gctokend_token_state{profile="default",state="client_rejected"} 1'
            in d.get("/metrics").text)
    # An error, once, that names Genesys' words and its name for the request.
    told = re.findall(r"^<3>default: .*", d.stderr_text(), re.M)
    assert len(told) == 1, told
    assert f"{shown['last_error']['words']} (HTTP {status}" in told[0]
    assert refused["correlation_id"] in told[0]
    assert f.posts == 1


def test_the_command_tells_what_to_do(fake, daemon, gctoken):
    f = fake()
    d = daemon(f, profile={"secret": "wrong:+/%"})
    wait_until_rejected(d)
    got = d.gctoken("get", "--wait", "60")
    assert (got.returncode, got.stdout) == (1, "")
    for words in ("authentication failed", f.log("token")[0]["correlation_id"],
                  "region", "client_secret_file", "reload"):
        assert words in got.stderr
    printed = d.gctoken("status")
    assert re.search(r"^default +client_rejected\b", printed.stdout, re.M)
    for words in ("authentication failed", f.log("token")[0]["correlation_id"]):
        assert words in printed.stdout
    assert f.posts == 1


def test_a_quarter_of_an_hour(fake, make_daemon):
    """By the boot clock, suspend included; and then it is one request again."""
    f = fake()
    d = make_daemon(f, profile={"secret": "wrong:+/%", "clock_probe": False})
    clock = ShimmedClock(d)
    d.start()
    wait_until_rejected(d)
    for posts in (1, 2):
        clock.suspend(QUARTER_HOUR - 60)
        wait_until(lambda: d.token(wait=0).next_attempt <= 60, "a minute is left")
        assert d.token(wait=30).json["error"] == "client_rejected"
        assert f.posts == posts
        clock.suspend(60)
        wait_until(lambda: d.token(wait=0).next_attempt > 60, "the next quarter of an hour")
        assert f.posts == posts + 1


def test_a_restart_asks_once(fake, make_daemon):
    """The client may have been enabled meanwhile; but no loop of crashes asks all the time."""
    f = fake()
    d = make_daemon(f, profile={"secret": "wrong:+/%"}).start()
    wait_until_rejected(d)
    for posts, end in ((2, d.stop), (3, d.kill)):
        end()
        d.start()
        f.wait_for("token", posts, answered=True)
        wait_until_rejected(d)
        check_rejected(d, f, WRONG_SECRET, wait=60)
    begun = time.monotonic()
    for _ in range(5):
        d.kill()
        d.start()
    assert f.posts <= 4 + (time.monotonic() - begun) / 2
    f.client("fake-client", "wrong:+/%")
    d.kill()
    d.start()
    wait_until(lambda: d.token(wait=0).status == 200, "a token")


def test_an_enabled_client_is_noticed_by_a_reload(fake, daemon):
    secret = canary()
    f = fake(clients=[{"id": "fake-client", "secret": secret, "disabled": True}])
    d = daemon(f)
    wait_until_rejected(d)
    f.client("fake-client", secret)
    d.reload()
    wait_until(lambda: d.token(wait=0).status == 200, "a token", 5)
    assert f.posts == 2


def test_a_secret_that_was_changed_on_disk(fake, daemon):
    """Nobody sends a signal: the refusal itself has the file read."""
    f = fake(lifetime=10)
    d = daemon(f)
    first = d.token().json
    d.set_secret("default", "another")
    f.client("fake-client", "another")
    f.wait_for("token", 3)
    assert d.token(after=first["generation"], wait=10).status == 200
    assert d.status()["state"] == "fresh" and d.status()["last_error"] is None
    assert [post["auth"] for post in f.log("token")][:3] == ["ok", "wrong secret", "ok"]
    d.wait_log("the secrets on disk have changed and are used from here on")


def test_a_secret_that_comes_late_is_noticed(fake, daemon):
    """First the login server changes it, and then somebody puts it into the file."""
    f = fake()
    d = daemon(f, profile={"secret": "old"})
    wait_until_rejected(d)
    d.set_secret("default", f.clients[0]["secret"])
    wait_until(lambda: d.token(wait=0).status == 200, "a token", 30 / PATIENCE)
    assert f.posts == 2


def test_a_refresh_reads_the_secret(fake, daemon):
    f = fake()
    d = daemon(f)
    assert d.token().status == 200
    d.set_secret("default", "another")
    f.client("fake-client", "another")
    assert d.post("/v1/refresh").status == 200
    assert [post["auth"] for post in f.log("token")] == ["ok", "ok"]


def test_a_failed_refresh_is_known_while_the_token_is_fresh(fake, daemon, gctoken):
    f = fake()
    d = daemon(f)
    assert d.token().status == 200
    assert d.gctoken("check").returncode == 0
    f.client("fake-client", "another")
    assert d.post("/v1/refresh").status == 503
    assert d.status()["state"] == "fresh"
    told = d.gctoken("check")
    assert told.returncode == 1 and "authentication failed" in told.stdout
    assert "but the latest token request failed" in told.stdout
    told = d.gctoken("doctor", "--config", d.config_file)
    assert told.returncode == 1 and "region" in told.stdout
    assert re.search(r"problem +profile default: fresh, good for \S+; latest failure: client_rejected",
                     told.stdout)
    metrics = d.get("/metrics").text
    for name in ("latest_fetch_failed", "client_rejected"):
        assert f'gctokend_{name}{{profile="default"}} 1' in metrics


def test_a_corrected_secret_mends_it_at_once(fake, daemon):
    f = fake()
    d = daemon(f, profile={"secret": "wrong:+/%"})
    wait_until_rejected(d)
    d.set_secret("default", f.clients[0]["secret"])
    d.reload()
    f.wait_for("token", 2)
    answer = d.token()
    assert answer.status == 200 and answer.json["state"] == "fresh"
    assert d.status()["last_error"] is None
    assert d.get("/readyz").status == 200
    assert f.posts == 2


def test_a_corrected_client_id_mends_it_at_once(fake, daemon):
    f = fake()
    d = daemon(f, profile={"client_id": "nobody-knows-me"})
    wait_until_rejected(d)
    d.profiles["default"]["client_id"] = f.clients[0]["id"]
    d.write_config()
    d.reload()
    f.wait_for("token", 2)
    assert d.token().status == 200
    assert f.posts == 2


def test_mended_at_the_server(fake, daemon):
    """Nobody tells the broker; an admin can."""
    f = fake()
    d = daemon(f, profile={"secret": "wrong:+/%"})
    wait_until_rejected(d)
    begun = time.monotonic()
    again = d.post("/v1/refresh")
    assert time.monotonic() - begun < 5 * PATIENCE
    assert again.status == 503 and again.json["error"] == "client_rejected"
    assert f.posts == 2
    check_rejected(d, f, WRONG_SECRET, wait=60)
    f.client("fake-client", "wrong:+/%")
    check_rejected(d, f, WRONG_SECRET)
    assert d.post("/v1/refresh").status == 200
    assert d.token().json["state"] == "fresh"
    assert f.posts == 3


def test_a_live_token_is_served_to_its_end(fake, daemon):
    f = fake(lifetime=10)
    d = daemon(f)
    first = d.token().json
    f.client("fake-client", "another")
    wait_until(lambda: d.status()["last_error"], "the refusal of a refresh", 15)
    answer = d.token()
    assert answer.json["access_token"] == first["access_token"]
    assert answer.json["state"] == "stale"
    assert d.status()["state"] == "stale"
    assert d.status()["last_error"]["class"] == "client_rejected"
    assert d.get("/readyz").status == 200
    wait_until(lambda: d.token(wait=0).status == 503, "the token's end", 15)
    check_rejected(d, f, WRONG_SECRET, wait=60)
    # At half of what is left, once more there, and then each quarter of an hour.
    assert f.posts == 4
    # As clients are rotated: the new secret comes, and a reload.
    d.set_secret("default", "another")
    d.reload()
    f.wait_for("token", 5)
    assert d.token().json["generation"] == first["generation"] + 1


@pytest.mark.parametrize("error, words", [
    ("unauthorized_client", "this client may not use client_credentials"),
    ("invalid_scope", "unknown scope"),
    ("unsupported_grant_type", "grant type not supported"),
])
def test_other_refusals_are_as_final(server, daemon, error, words):
    server.fault("token", "answer", status=400, times=-1,
                 body=f'{{"error":"{error}","error_description":"{words}"}}')
    d = daemon(server)
    wait_until_rejected(d)
    check_rejected(d, server, f"client_rejected (HTTP 400, {error}): {words}", wait=60)
    assert server.posts == 1


def test_a_refused_grant_needs_no_login_where_nobody_logs_in(server, daemon):
    server.fault("token", "answer", status=400, times=-1,
                 body='{"error":"invalid_grant","description":"expired"}')
    d = daemon(server)
    wait_until_rejected(d)
    check_rejected(d, server, "client_rejected (HTTP 400, invalid_grant): expired", wait=60)
    assert server.posts == 1


@pytest.mark.parametrize("error", ["invalid_client", "invalid_scope"])
def test_an_error_with_status_200_is_that_error(server, daemon, error):
    server.fault("token", "answer", status=200, times=-1,
                 body=f'{{"error":"{error}","error_description":"no, and thrice no"}}')
    d = daemon(server)
    wait_until_rejected(d)
    check_rejected(d, server, f"client_rejected (HTTP 200, {error}): no, and thrice no", wait=60)
    assert server.posts == 1


def test_one_profile_s_refusal_is_not_another_s(fake, daemon):
    """Two profiles of one client, one of them with the wrong secret."""
    f = fake()
    d = daemon(f, profiles={"good": {}, "bad": {"secret": canary()}})
    wait_until_rejected(d, "bad")
    for _ in range(3):
        assert d.token("bad", wait=60).json["error"] == "client_rejected"
        assert d.token("good").status == 200
    assert f.posts == 2


def test_what_one_profile_is_told_another_heeds(fake, daemon):
    """Two profiles of one client and secret: the server says once to come later."""
    f = fake()
    d = daemon(f, profiles={"first": {}, "second": {"prefetch": False}})
    assert d.token("first").status == 200
    f.fault("token", "answer", status=429, times=-1, headers={"Retry-After": "600"}, body="")
    assert d.post("/v1/refresh?profile=first").status == 503
    assert d.token("first").status == 200
    answer = d.token("second")
    assert answer.status == 503 and answer.next_attempt > 590
    assert f.posts == 2
    assert d.status("second")["state"] == "unavailable"
    d.wait_log(r"^<4>second: another profile of this client was told: .*429")
