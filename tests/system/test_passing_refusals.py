"""The login server refuses one refresh and is well again: nobody notices. Tokens live for 20 s here; all
kinds of refusals happen to one daemon at once, each to a profile of its own."""

import time

import pytest

from daemon import Daemon, canary
from fake import Fake
from trouble_cases import TROUBLES
from unix_http import exchange
from waiting import wait_until

LIFETIME = 20
PACE = 0.1  # seconds between two looks


def refused(status, body, **headers):
    return {"action": "answer", "status": status, "body": body, "headers": headers}


def error(status, code, **headers):
    return refused(status, f'{{"error":"{code}","error_description":"only this once"}}', **headers)


RETRY_AFTER = {"Retry-After": "1"}
REFUSALS = {
    "temporarily-unavailable": error(400, "temporarily_unavailable"),
    "server-error": error(400, "server_error"),
    "server-error-retry-after": error(400, "server_error", **RETRY_AFTER),
    "internal-failure": error(400, "internal_failure"),
    "slow-down": error(400, "slow_down"),
    "too-many-requests": error(400, "too_many_requests"),
    "status-408": error(408, "request_timeout"),
    "status-425": error(425, "too_early"),
    "status-429": refused(429, "", **RETRY_AFTER),
    "status-503": refused(503, ""),
    # As while a client that was just made spreads over the server's machines.
    "invalid-client": error(401, "invalid_client"),
    "invalid-client-retry-after": error(401, "invalid_client", **RETRY_AFTER),
    "client-not-found": error(400, "invalid_client"),
    "invalid-scope": error(400, "invalid_scope"),
    "invalid-grant": error(400, "invalid_grant"),
    "ok-with-an-error": error(200, "invalid_client"),
    "ok-with-a-passing-error": error(200, "server_error"),
    "no-use-for-the-token": next(one.fault for one in TROUBLES if one.name == "lifetime-a-text"),
}


def look_at_all(connection, seen: dict[str, list]) -> None:
    for name, answers in seen.items():
        answers.append(exchange(connection, "GET", f"/v1/token?profile={name}&wait=0"))


@pytest.fixture(scope="module")
def seen():
    fake = Fake([{"id": name, "secret": canary()} for name in REFUSALS], lifetime=LIFETIME)
    secrets = {client["id"]: client["secret"] for client in fake.clients}
    daemon = Daemon(fake, profiles={name: {"client_id": name, "secret": secrets[name]}
                                    for name in REFUSALS})
    answers: dict[str, list] = {name: [] for name in REFUSALS}
    try:
        for name, fault in REFUSALS.items():
            fake.fault("token", client=name, after=1, times=1, **fault)
        daemon.start()
        for name in REFUSALS:
            assert daemon.token(name, wait=10).status == 200
        connection = daemon.connect()

        def all_replaced() -> bool:
            look_at_all(connection, answers)
            return all(got[-1].status == 200 and
                       got[-1].json["generation"] != got[0].json["generation"]
                       for got in answers.values())

        wait_until(all_replaced, "another token of each", 3 * LIFETIME, PACE)
        connection.close()
        posts = fake.log("token")
        yield answers, {name: [post for post in posts if post["client"] == name]
                        for name in REFUSALS}
    finally:
        try:
            daemon.close()
        finally:
            fake.stop()


@pytest.mark.parametrize("name", REFUSALS)
def test_one_refusal_is_no_outage(name, seen):
    answers, posts = seen
    assert {answer.status for answer in answers[name]} == {200}
    states = [answer.json["state"] for answer in answers[name]]
    assert states[0] == "fresh" and states[-1] == "fresh"
    # The first token, the refresh that was refused, and one more that was not.
    assert len(posts[name]) == 3
