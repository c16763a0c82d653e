"""People who log in at a certified OAuth server: the whole way with `gctoken login` and a browser, the
refresh of what came of it, and the end of a login."""

import pytest

from oidc import OidcServer
from people import (CONFIDENTIAL, PUBLIC, ask_for_tokens, log_in, log_in_quickly, login_profile)
from test_grants import introspected, revoke, served


@pytest.fixture(scope="module")
def people():
    one = OidcServer(clients=[CONFIDENTIAL, PUBLIC], lifetime=600)
    yield one
    one.stop()


@pytest.fixture(params=[CONFIDENTIAL, PUBLIC], ids=["confidential", "public"])
def client(request):
    return request.param


@pytest.fixture
def one(daemon, people, client):
    """A daemon with a profile of that client."""
    return daemon(people, profile=login_profile(people, client))


def test_a_person_logs_in_with_a_browser(one, people, client):
    assert one.token().json["error"] == "login_required"
    command, page = log_in(people, one)
    assert command.process.returncode == 0, command.stderr
    assert "You are logged in" in page and "default: logged in." in command.stdout
    found = introspected(people, served(one))
    assert found["active"] and found["client_id"] == client["id"] and found["sub"] == "alice"


def test_a_person_says_no(one, people):
    command, page = log_in(people, one, consent=False)
    assert command.process.returncode == 1
    assert "You are not logged in" in page and "aborted" not in page
    assert "access_denied, End-User aborted interaction" in command.stderr
    assert one.token().json["error"] == "login_required"


def test_each_refresh_rotates_and_the_daemon_uses_each_once(one, people):
    before = len(people.refreshes())
    log_in_quickly(people, one)
    for _ in range(5):
        assert one.post("/v1/refresh?profile=default").status == 200
        assert introspected(people, served(one))["active"]
    made = people.refreshes()[before:]
    assert [refresh["error"] for refresh in made] == [None] * 5
    assert len({refresh["used"] for refresh in made}) == 5
    assert [refresh["successor"] for refresh in made[:-1]] \
        == [refresh["used"] for refresh in made[1:]]


def test_a_stolen_refresh_token_ends_the_login_for_both(one, people, client):
    log_in_quickly(people, one)
    stolen = people.tokens()[-1]["refresh_token"]
    assert one.post("/v1/refresh?profile=default").status == 200
    token = served(one)
    theirs = ask_for_tokens(people, client, grant_type="refresh_token", refresh_token=stolen)
    assert (theirs.status, theirs.json["error"]) == (400, "invalid_grant")
    assert not introspected(people, token)["active"]
    # The daemon has a successor that the server now refuses: one request, and no more.
    posts = people.posts
    assert one.post("/v1/refresh?profile=default").status == 503
    one.wait_log("login_required|log in|logged in anew")
    assert people.posts == posts + 1
    assert one.status()["last_error"]["class"] == "login_required"
    assert one.post("/v1/refresh?profile=default").status == 503
    log_in_quickly(people, one)
    assert introspected(people, served(one))["active"]


def test_logout_revokes_here(one, people):
    log_in_quickly(people, one)
    one.post("/v1/logout?profile=default")
    assert one.token().json["error"] == "login_required"


def test_a_code_that_comes_again_is_not_exchanged_again(one, people):
    log_in_quickly(people, one)
    token, posts = served(one), people.posts
    answer = one.post("/v1/login/finish?profile=default&state=" + "x" * 43 + "&code=y")
    assert answer.status == 400
    assert people.posts == posts and introspected(people, token)["active"]
