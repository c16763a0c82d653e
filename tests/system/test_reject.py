"""Reject and replace: a token that died before its time is reported by whoever noticed, replaced
once for everybody, and nobody can make a loop out of it."""

import resource
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from fake_calls import login
from unix_http import Answer
from waiting import PATIENCE, wait_until

CROWD = 1000
UNKNOWN = "0123456789abcdef"


@pytest.fixture
def pool():
    with ThreadPoolExecutor(64) as threads:
        yield threads


def report(daemon, wait: int | None = None, **which) -> Answer:
    """POST /v1/token/reject; `which`: generation or fingerprint."""
    query = "&".join(f"{name}={value}" for name, value in which.items())
    return daemon.post(f"/v1/token/reject?{query}" + ("" if wait is None else f"&wait={wait}"))


def served(answer: Answer) -> dict:
    """What was told of a token, without the token."""
    assert answer.status == 200, answer
    return {name: value for name, value in answer.json.items() if name != "access_token"}


def usable(server, answer: Answer) -> bool:
    return server.api_status(answer.json["access_token"]) == 200


def hold(daemon, asks: list[Future]) -> list[Future]:
    """Once the daemon holds all of them."""
    wait_until(lambda: daemon.status()["waiting"] >= len(asks), f"{len(asks)} held requests")
    return asks


def slow_fetch(daemon, server, pool, seconds: float = 1.0, wait: int = 60, **which) -> Future:
    """A report whose replacing fetch takes so long; it has reached the server."""
    server.set(delay_answer=seconds * PATIENCE)
    posts = server.posts
    reporter = pool.submit(report, daemon, wait=wait, **which)
    server.wait_for("token", posts + 1)
    return reporter


# ---- Who gets what, and at what cost ----

@pytest.mark.parametrize("by", ["generation", "fingerprint"])
def test_one_report_of_a_revoked_token_gives_everybody_the_new_one(daemon, server, pool, by):
    one = daemon(server)
    first = one.token()
    old = served(first)
    assert server.revoke(all=True) == 1 and not usable(server, first)
    waiting = hold(one, [pool.submit(one.token, after=old["generation"], wait=60)
                         for _ in range(20)])

    answer = report(one, **{by: old[by]})

    new = served(answer)
    assert new["generation"] > old["generation"] and new["fingerprint"] != old["fingerprint"]
    assert new["state"] == "fresh" and usable(server, answer)
    for ask in waiting:
        assert served(ask.result())["fingerprint"] == new["fingerprint"]
    assert served(one.token())["fingerprint"] == new["fingerprint"]
    assert server.posts == 2
    assert one.status()["counters"]["rejections"] == 1


def test_a_token_evicted_by_another_program_is_replaced(daemon, server):
    server.set(max_live=1)
    one = daemon(server)
    first = one.token()
    assert login(server).status == 200  # with the same client: the oldest token has to go
    assert not usable(server, first)
    answer = report(one, generation=first.json["generation"])
    assert usable(server, answer)
    assert served(one.token())["fingerprint"] == answer.json["fingerprint"]
    assert server.posts == 3


@pytest.mark.parametrize("delay", [0.0, 2.0], ids=["quick-server", "slow-server"])
def test_a_thousand_reports_at_once_make_one_request(daemon, server, delay):
    lowest, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    if highest != resource.RLIM_INFINITY and highest < 2 * CROWD:
        pytest.skip(f"RLIMIT_NOFILE allows only {highest} descriptors")
    if lowest != resource.RLIM_INFINITY and lowest < 2 * CROWD:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * CROWD, highest))
    one = daemon(server)
    old = served(one.token())
    server.revoke(all=True)
    server.set(delay_answer=delay)
    requests = [f"POST /v1/token/reject?{by}={old[by]}&wait=60 HTTP/1.1\r\nHost: test\r\n"
                "Connection: close\r\n\r\n".encode() for by in ("generation", "fingerprint")]
    crowd = []
    try:
        for _ in range(CROWD):
            reporter = socket.socket(socket.AF_UNIX)
            crowd.append(reporter)
            reporter.settimeout(30 * PATIENCE)
            reporter.connect(one.socket)
        for number, reporter in enumerate(crowd):
            reporter.sendall(requests[number % 2])
        answers = [b"".join(iter(lambda: reporter.recv(65536), b"")) for reporter in crowd]
    finally:
        for reporter in crowd:
            reporter.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, highest))

    assert [answer.split(b"\r\n")[0] for answer in answers] == [b"HTTP/1.1 200 OK"] * CROWD
    new = served(one.token())
    assert new["generation"] > old["generation"]
    told = f"Gctoken-Fingerprint: {new['fingerprint']}\r\n".encode()
    assert sum(told in answer for answer in answers) == CROWD
    assert server.posts == 2


def test_what_is_not_the_current_token_costs_nothing(daemon, server):
    one = daemon(server, profile={"reject_cooldown": "1h"})
    old = served(one.token())
    new = served(report(one, generation=old["generation"]))
    for which in ({"generation": old["generation"]}, {"generation": 0},
                  {"generation": new["generation"] + 1}, {"fingerprint": old["fingerprint"]},
                  {"fingerprint": UNKNOWN}):
        for _ in range(3):
            again = served(report(one, **which))
            assert again["generation"] == new["generation"] and again["state"] == "fresh", which
    assert server.posts == 2
    assert one.status()["counters"]["rejections"] == 1


def test_a_generation_that_was_never_reserved_is_an_error(daemon, server):
    one = daemon(server)
    one.token()
    reserved = 1000  # a whole block, before the first token
    assert served(report(one, generation=reserved))["generation"] == 1
    for beyond in (reserved + 1, 2 ** 53, 2 ** 62):
        answer = report(one, generation=beyond)
        assert answer.status == 400 and answer.json["error"] == "invalid_request"
        assert "generation" in answer.json["error_description"]
    assert server.posts == 1


def test_a_malformed_report_is_an_error(daemon, server):
    one = daemon(server)
    one.token()
    for query in ("", "generation=1&fingerprint=" + UNKNOWN, "generation=", "generation=-1",
                  "generation=1.0", "generation=1&generation=1", "generation=99999999999999999999",
                  "fingerprint=", "fingerprint=" + UNKNOWN.upper(), "fingerprint=" + UNKNOWN[1:],
                  "token=1", "generation=1&wait=x", "generation=1&min_ttl=1"):
        answer = one.post("/v1/token/reject?" + query)
        assert answer.status == 400 and answer.json["error"] == "invalid_request", query
    assert one.get("/v1/token/reject?generation=1").status == 405
    assert one.status()["counters"]["rejections"] == 0
    assert server.posts == 1


# ---- No loop ----

def test_reports_in_a_loop_end_at_the_cool_down(daemon, server):
    cooldown = 0.7
    one = daemon(server, profile={"reject_cooldown": "700ms", "mint_limit": 1000})
    begun, replaced, refused = time.monotonic(), 0, 0
    current = served(one.token())
    while replaced < 3:
        answer = report(one, generation=current["generation"])
        if answer.status == 429:
            refused += 1
            assert answer.json["error"] == "reject_cooldown"
            assert answer.json["retry_after"] == answer.retry_after == 1
            # The reported token is still the one to have, and nobody is told otherwise.
            assert served(one.token())["state"] == "fresh"
        else:
            replaced += 1
            assert served(answer)["generation"] > current["generation"]
            current = served(answer)
        assert time.monotonic() - begun < 20 * PATIENCE
    assert time.monotonic() - begun >= 2 * cooldown
    assert refused >= 2
    assert server.posts == 1 + replaced
    assert one.status()["counters"]["rejections"] == replaced


def test_the_cool_down_tells_how_long_it_lasts_and_ends_then(daemon, server):
    one = daemon(server, profile={"reject_cooldown": "2s"})
    current = served(report(one, generation=served(one.token())["generation"]))
    answer = report(one, generation=current["generation"])
    assert answer.status == 429 and 1 <= answer.retry_after <= 2
    allowed = time.monotonic() + answer.retry_after
    # An admin may still have another token; that is no report.
    latest = served(one.post("/v1/refresh"))
    assert latest["generation"] > current["generation"]
    assert report(one, generation=latest["generation"]).status == 429
    wait_until(lambda: time.monotonic() >= allowed, "the time that was told")
    assert served(report(one, generation=latest["generation"]))["generation"] \
        > latest["generation"]
    assert server.posts == 4


# ---- While the replacing fetch runs ----

def test_others_are_held_during_the_replacing_fetch(daemon, server, pool):
    one = daemon(server)
    old = served(one.token())
    reporter = slow_fetch(one, server, pool, generation=old["generation"])
    others = [pool.submit(one.token, wait=60) for _ in range(20)]
    hold(one, [reporter] + others)
    assert not reporter.done()
    # Who does not want to wait has the reported one, and is told so.
    impatient = served(one.token(wait=0))
    assert impatient["generation"] == old["generation"] and impatient["state"] == "stale"
    new = served(reporter.result())
    assert new["generation"] > old["generation"]
    for other in others:
        told = served(other.result())
        assert told["generation"] == new["generation"] and told["state"] == "fresh"
    assert server.posts == 2


def test_a_reporter_who_does_not_wait_is_told_so_and_the_token_is_replaced(daemon, server):
    one = daemon(server)
    old = served(one.token())
    server.set(delay_answer=0.5)
    answer = report(one, generation=old["generation"], wait=0)
    assert answer.status == 504 and answer.json["error"] == "timeout"
    assert served(one.token(after=old["generation"], wait=60))["state"] == "fresh"
    assert server.posts == 2


def test_a_report_joins_a_fetch_that_is_under_way(daemon, server, pool):
    one = daemon(server)
    old = served(one.token())
    server.set(delay_answer=1.0 * PATIENCE)
    admin = pool.submit(one.post, "/v1/refresh")
    server.wait_for("token", 2)
    reporters = [pool.submit(report, one, generation=old["generation"]) for _ in range(20)]
    told = {served(ask.result())["generation"] for ask in [admin] + reporters}
    assert len(told) == 1 and told != {old["generation"]}
    assert server.posts == 2


def test_where_the_replacing_fetch_fails_others_have_the_reported_one(daemon, server, pool):
    one = daemon(server)
    first = one.token()
    old = served(first)
    server.revoke(all=True)
    # The next attempt comes after everybody's wait, so nobody waits for it: neither who is held over
    # the slow fetch and the slow question to the API, nor who asks then, for the wait by default.
    wait = int(4 * PATIENCE) + 1
    fault = server.fault("token", "answer", status=503, times=-1, body="no",
                         headers={"Retry-After": str(int(2 * PATIENCE) + 15)})
    reporter = slow_fetch(one, server, pool, wait=wait, generation=old["generation"])
    others = hold(one, [pool.submit(one.token, wait=wait) for _ in range(20)])
    answer = reporter.result()
    assert answer.status == 503 and answer.json["error"] == "temporarily_unavailable"
    assert answer.retry_after >= 1 and "HTTP 503" in answer.json["error_description"]
    for other in others + [pool.submit(one.token)]:
        told = served(other.result())
        assert told["generation"] == old["generation"] and told["state"] == "stale"
    assert one.status()["state"] == "stale"
    # Another report of it joins, and gets nobody farther.
    again = report(one, generation=old["generation"], wait=0)
    assert again.status == 503 and again.json["error"] == "temporarily_unavailable"
    assert again.retry_after <= answer.retry_after

    server.set(delay_answer=0)
    server.clear_faults()
    new = one.token(after=old["generation"], wait=60)
    assert served(new)["state"] == "fresh" and usable(server, new)
    failed = sum(f"{fault} answer" == entry.get("fault") for entry in server.log("token"))
    assert server.posts == 2 + failed
    # Once replaced it is never served again, whatever becomes of its successor.
    server.fault("token", "answer", status=503, times=-1, body="no")
    for _ in range(5):
        assert served(one.token())["generation"] == new.json["generation"]


def test_a_newer_token_in_its_guard_is_served_at_once(daemon, server):
    one = daemon(server)
    old = served(one.token())
    # In the background, as far as anybody else is concerned: for two seconds the older one goes on
    # serving, until the newer one is known to every part of the server.
    newer = served(one.post("/v1/refresh"))
    assert served(one.token())["generation"] == old["generation"]
    answer = report(one, generation=old["generation"])
    assert served(answer)["generation"] == newer["generation"]
    assert served(one.token())["generation"] == newer["generation"]
    assert server.posts == 2


def test_a_report_waits_for_the_next_attempt(daemon, server, pool):
    """A login that is throttled for some seconds: everybody is held, and nobody sees a failure."""
    one = daemon(server)
    old = served(one.token())
    server.revoke(all=True)
    server.fault("token", "answer", status=429, headers={"Retry-After": "2"}, times=1, body="{}")
    reporters = [pool.submit(report, one, wait=60, generation=old["generation"])]
    server.wait_for("token", 2)
    hold(one, reporters)
    reporters += [pool.submit(report, one, wait=60, generation=old["generation"])
                  for _ in range(5)]
    others = [pool.submit(one.token, wait=60) for _ in range(5)]
    for ask in reporters + others:
        told = served(ask.result())
        assert told["generation"] > old["generation"] and told["state"] == "fresh"
    assert server.posts == 3
    assert one.status()["counters"]["rejections"] == len(reporters)


# ---- Soon after a replacement the API is asked ----

def asked(server) -> list[dict]:
    return server.log("me")


def replaced(daemon, server, **profile) -> tuple:
    """The daemon, and the token that has just replaced a rejected one."""
    one = daemon(server, profile=profile)
    answer = report(one, generation=served(one.token())["generation"])
    served(answer)
    return one, answer


def test_a_second_death_is_noticed_at_once(daemon, server, pool):
    """Not at once, but as soon as the API certainly knows of the token."""
    one, second = replaced(daemon, server)
    server.revoke(all=True)
    begun = time.monotonic()
    reporters = [pool.submit(report, one, generation=second.json["generation"], wait=30)
                 for _ in range(20)]
    told = {served(ask.result())["generation"] for ask in reporters}
    assert len(told) == 1 and told.pop() > second.json["generation"]
    assert time.monotonic() - begun < 4 * PATIENCE
    assert usable(server, one.token())
    assert server.posts == 3
    heads = asked(server)
    assert [entry["status"] for entry in heads] == [401, 401]
    assert {entry["method"] for entry in heads} == {"HEAD"}


def test_what_the_api_accepts_is_not_replaced(daemon, server, pool):
    one, second = replaced(daemon, server)
    generation = second.json["generation"]
    reporters = [pool.submit(report, one, generation=generation, wait=30) for _ in range(20)]
    for answer in [ask.result() for ask in reporters] + [report(one, generation=generation)]:
        assert answer.status == 429 and answer.json["error"] == "reject_cooldown"
        assert "accepts this token" in answer.json["error_description"]
        assert 1 <= answer.retry_after <= 30
    assert served(one.token())["state"] == "fresh"
    assert server.posts == 2
    assert [entry["status"] for entry in asked(server)] == [200]


def test_a_false_report_in_an_outage_holds_nobody_up(daemon, server, pool):
    one = daemon(server)
    old = served(one.token())
    # The verdict comes long before the next attempt.
    server.fault("token", "answer", status=503, times=-1, body="no",
                 headers={"Retry-After": str(int(10 * PATIENCE))})
    reporter = slow_fetch(one, server, pool, generation=old["generation"])
    others = hold(one, [pool.submit(one.token, wait=60) for _ in range(20)])
    for answer in [reporter.result()] + [report(one, generation=old["generation"])
                                         for _ in range(3)]:
        assert answer.status == 429 and answer.json["error"] == "reject_cooldown"
        assert "accepts this token" in answer.json["error_description"]
        assert 1 <= answer.retry_after <= 30
    for other in others + [pool.submit(one.token)]:
        told = served(other.result())
        assert told["generation"] == old["generation"] and told["state"] == "fresh"
    assert server.posts == 2
    assert {entry["status"] for entry in asked(server)} == {200}


def test_an_api_that_learns_late_of_tokens_is_no_loop(daemon, server, pool):
    """It refuses each for a second: that is no reason for yet another one."""
    server.set(known_after=1.0)
    one, second = replaced(daemon, server)
    answer = report(one, generation=second.json["generation"], wait=30)
    assert answer.status == 429 and "accepts this token" in answer.json["error_description"]
    assert [entry["status"] for entry in asked(server)] == [401, 200]
    assert server.posts == 2


@pytest.mark.parametrize("how", ["an error", "silence", "another CA", "no API"])
def test_where_the_api_does_not_tell_it_is_as_before(daemon, server, fake, how):
    """And the token goes nowhere else."""
    other = fake()
    profile = {"an error": {}, "silence": {}, "another CA": {"api_url": other.api_url},
               "no API": {"api_url": ""}}[how]
    one, second = replaced(daemon, server, **profile)
    if how == "an error":
        server.fault("me", "answer", status=500, times=-1, body="{}")
    elif how == "silence":
        server.fault("me", "hang", seconds=60, times=-1)
    answer = report(one, generation=second.json["generation"], wait=2)
    assert answer.status == 429 and answer.json["error"] == "reject_cooldown"
    assert "only a moment ago" in answer.json["error_description"]
    assert server.posts == 2
    assert not other.log()
    assert len(asked(server)) <= 1


# ---- What is no reason, and what is no replacement ----

def test_what_else_the_api_says_replaces_nothing(daemon, server):
    one = daemon(server)
    first = one.token()
    for status in (403, 429, 500):
        server.fault("api", "answer", status=status, body="{}")
        assert server.api_status(first.json["access_token"]) == status
        assert served(one.token())["generation"] == first.json["generation"]
    assert one.status()["state"] == "fresh"
    assert server.posts == 1


@pytest.mark.parametrize("how", ["remaining", "full"])
def test_the_same_token_again_is_no_replacement(daemon, server, how):
    server.set(same_token=how, lifetime=3600)
    one = daemon(server, profile={"reject_cooldown": "100ms", "api_url": ""})
    old = served(one.token())
    answer = report(one, generation=old["generation"])
    assert answer.status == 503 and answer.json["error"] == "temporarily_unavailable"
    assert "no other token" in answer.json["error_description"]
    assert answer.retry_after >= 10
    told = served(one.token())
    assert told["generation"] == old["generation"] and told["state"] == "stale"
    assert told["expires_in"] <= old["expires_in"]
    # Nobody gets the broker to ask for it again before its time.
    begun = time.monotonic()
    wait_until(lambda: report(one, generation=old["generation"]).status == 503,
               "the end of the cool-down")
    assert time.monotonic() - begun < 5 * PATIENCE
    assert server.posts == 2
    # Only an admin does, and then there is another one.
    server.set(same_token="no")
    assert served(one.post("/v1/refresh"))["state"] == "fresh"
    assert served(one.token())["generation"] > old["generation"]
    assert server.posts == 3
