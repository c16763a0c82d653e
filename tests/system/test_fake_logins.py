"""The fake Genesys Cloud: logins of people, from the page where they allow them to the end."""

import base64
import hashlib
import http.client
import secrets
import threading
from urllib.parse import parse_qs, urlencode, urlsplit

import person
import pytest
from fake import ControlError, Fake
from fake_calls import ID, SECRET, basic, call, connect
from unix_http import Answer, exchange

PORTAL = "http://127.0.0.1:8090/callback"


class Program:
    """What asks for a login: its client, state and PKCE pair."""

    def __init__(self, server: Fake, client: str = ID, secret: str | None = SECRET,
                 redirect_uri: str = PORTAL):
        self.server, self.client, self.secret = server, client, secret
        self.redirect_uri = redirect_uri
        self.state, self.verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)

    def url(self, **changes: str | None) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        asked = {"response_type": "code", "client_id": self.client, "state": self.state,
                 "redirect_uri": self.redirect_uri, "code_challenge_method": "S256",
                 "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
                 **changes}
        return self.server.authorize_url + "?" + urlencode(
            {name: value for name, value in asked.items() if value is not None})

    def landing(self, **changes: str | None) -> dict[str, str]:
        return person.allow(self.server, self.url(**changes)).query

    def post(self, **form: str | None) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.secret is None:
            form.setdefault("client_id", self.client)
        else:
            headers["Authorization"] = basic(self.client, self.secret)
        connection = connect(self.server)
        try:
            return exchange(connection, "POST", "/oauth/token", headers, urlencode(
                {name: value for name, value in form.items() if value is not None}).encode())
        finally:
            connection.close()

    def finish(self, code: str, /, **changes: str | None) -> Answer:
        return self.post(**{"grant_type": "authorization_code", "code": code,
                            "redirect_uri": self.redirect_uri, "code_verifier": self.verifier,
                            **changes})

    def refresh(self, token: str) -> Answer:
        return self.post(grant_type="refresh_token", refresh_token=token)

    def log_in(self) -> dict:
        answer = self.finish(self.landing()["code"])
        assert answer.status == 200, answer
        return answer.json


@pytest.fixture
def program(server):
    return Program(server)


def refused(answer: Answer, words: str, error: str = "invalid_grant") -> None:
    assert (answer.status, answer.json["error"]) == (400, error), answer
    assert words in answer.json["error_description"]


# The page.

def test_a_person_allows_it_and_the_code_becomes_tokens(server, program):
    landing = program.landing()
    assert set(landing) == {"code", "state"} and landing["state"] == program.state
    answer = program.finish(landing["code"])
    assert set(answer.json) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert call(server, answer.json["access_token"]).status == 200
    assert server.stats()["received"] == {"authorize": 1, "token": 1, "api": 1}


def test_where_the_browser_lands_is_the_programs_own_address(server, program):
    program.redirect_uri = "http://localhost:1234/a?b=c"
    uri = urlsplit(person.allow(server, program.url()).uri)
    assert (uri.netloc, uri.path) == ("localhost:1234", "/a")
    assert parse_qs(uri.query)["b"] == ["c"] and "code" in parse_qs(uri.query)


@pytest.mark.parametrize("uri", [
    "https://127.0.0.1/callback", "http://127.0.0.1.example.com/callback", "http://example.com/",
    "http://user@127.0.0.1/", "http://127.0.0.1/#x", "http://127.0.0.1:99999/", "callback", ""])
def test_an_address_that_is_not_on_loopback_gets_nothing(server, program, uri):
    program.redirect_uri = uri
    with pytest.raises(person.Refusal, match="(?s)^400: .*has no such redirect_uri"):
        program.landing()
    assert server.logins() == []


@pytest.mark.parametrize("uri, port, taken", [
    (PORTAL, "any", True), ("http://127.0.0.1:1/callback", "any", True),
    ("http://127.0.0.1:1/callback", "exact", False), ("http://127.0.0.1:8090/other", "any", False),
    ("http://localhost:8090/callback", "any", False), ("https://app.example/back", "any", True),
    ("https://app.example:444/back", "any", False)])
def test_registered_addresses(server, uri, port, taken):
    server.client(ID, SECRET, redirect_uris=[PORTAL, "https://app.example/back"])
    server.set(redirect_port=port)
    program = Program(server, redirect_uri=uri)
    if taken:
        assert "code" in program.landing()
    else:
        with pytest.raises(person.Refusal):
            program.landing()


@pytest.mark.parametrize("changes, error", [
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request")])
def test_what_a_program_asks_wrongly_it_is_told(program, changes, error):
    landing = program.landing(**changes)
    assert (landing["error"], landing["state"]) == (error, program.state)
    assert "code" not in landing


def test_an_unknown_client_is_told_to_the_person(server):
    with pytest.raises(person.Refusal, match="(?s)^400: .*No such client"):
        Program(server, client="nobody").landing()


def test_consent_is_denied_in_the_words_that_are_set(server, program):
    server.set(consent="denied")
    assert program.landing() == {"error": "access_denied", "state": program.state,
                                 "error_description": "The user denied the request"}
    server.set(consent_error="unauthorized_client", consent_words="Not a member of this organization")
    assert program.landing()["error"] == "unauthorized_client"


def _get(server: Fake, target: str) -> tuple[int, str, str | None]:
    connection = connect(server)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers["Location"]
    finally:
        connection.close()


@pytest.mark.parametrize("button, member", [("given", "code"), ("denied", "error")])
def test_a_person_who_is_asked_has_two_buttons(server, program, button, member):
    server.set(consent="asked")
    path = program.url().removeprefix(server.url)
    status, page, _ = _get(server, path)
    assert status == 200 and f'value="{button}"' in page
    request = page.split('name="request" value="')[1].split('"')[0]
    answer = f"/oauth/authorize/answer?request={request}&consent={button}"
    status, _, location = _get(server, answer)
    assert status == 302
    assert member in parse_qs(urlsplit(location).query)
    assert _get(server, answer)[0] == 400  # the page counts once


@pytest.mark.parametrize("settings, expected", [
    ({"state_echo": "wrong"}, None), ({"state_echo": "none"}, ""),
    ({"answer_iss": "right"}, "issuer"), ({"answer_iss": "wrong"}, "elsewhere")])
def test_answers_that_are_not_as_they_should_be(server, program, settings, expected):
    server.set(**settings)
    landing = program.landing()
    assert "code" in landing
    if expected is None:
        assert landing["state"] != program.state
    elif not expected:
        assert "state" not in landing
    elif expected == "issuer":
        assert landing["iss"] == server.url
    else:
        assert landing["iss"] not in ("", server.url)


# Codes.

def test_a_code_is_good_once_and_its_tokens_end_when_it_comes_again(server, program):
    code = program.landing()["code"]
    first = program.finish(code).json
    refused(program.finish(code), "used before")
    assert call(server, first["access_token"]).status == 401
    refused(program.refresh(first["refresh_token"]), "has ended")
    assert [one["ended"] for one in server.logins()] == ["code used twice"]


def test_an_expired_code(server, program):
    server.set(code_lifetime=0)
    refused(program.finish(program.landing()["code"]), "expired")
    server.set(code_lifetime=60)
    code = program.landing()["code"]
    server.step(61)
    refused(program.finish(code), "expired")


@pytest.mark.parametrize("changes, words", [
    ({"code_verifier": None}, "code_verifier"), ({"code_verifier": "x" * 43}, "code_verifier"),
    ({"code_verifier": "short"}, "code_verifier"), ({"code": "nonsense"}, "not found"),
    ({"redirect_uri": "http://127.0.0.1:8091/callback"}, "redirect_uri"),
    ({"redirect_uri": None}, "redirect_uri")])
def test_a_code_alone_is_worth_nothing(server, program, changes, words):
    refused(program.finish(program.landing()["code"], **changes), words)
    assert server.tokens() == []


def test_a_code_is_for_the_client_that_asked(server, program):
    server.client("other", "other-secret")
    code = program.landing()["code"]
    other = Program(server, "other", "other-secret")
    other.verifier = program.verifier
    refused(other.finish(code), "not found")
    assert program.finish(code).status == 200


# Refresh tokens.

def test_rotation_and_a_replayed_one_ends_the_login(server, program):
    first = program.log_in()
    second = program.refresh(first["refresh_token"]).json
    third = program.refresh(second["refresh_token"]).json
    assert len({one["refresh_token"] for one in (first, second, third)}) == 3
    assert call(server, first["access_token"]).status == 200  # as long as it lives
    assert [one["replaced"] for one in server.logins()[0]["refresh_tokens"]] == [True, True, False]
    refused(program.refresh(first["refresh_token"]), "used before")
    refused(program.refresh(third["refresh_token"]), "has ended")
    assert server.logins()[0]["ended"] == "replayed"
    assert call(server, third["access_token"]).status == 401
    assert {token["login"] for token in server.tokens()} == {server.logins()[0]["number"]}


def test_two_refreshes_at_once_are_one_too_many(server, program):
    token = program.log_in()["refresh_token"]
    server.set(delay_answer=0.05)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(program.refresh(token).status))
               for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 400]
    assert server.logins()[0]["ended"] == "replayed"


@pytest.mark.parametrize("how, told", [("keep", True), ("omit", False)])
def test_without_rotation_the_first_stays_good(server, program, how, told):
    server.set(refresh_tokens=how)
    first = program.log_in()["refresh_token"]
    for _ in range(2):
        answer = program.refresh(first)
        assert answer.status == 200
        assert answer.json.get("refresh_token") == (first if told else None)
    assert len(server.logins()[0]["refresh_tokens"]) == 1


def test_none_at_all(server, program):
    server.set(refresh_tokens="none")
    assert "refresh_token" not in program.log_in()
    refused(program.refresh("anything"), "not found")


def test_refresh_tokens_end_by_their_age_and_by_an_administrator(server, program):
    server.set(refresh_lifetime=100)
    first = program.log_in()["refresh_token"]
    server.step(99)
    second = program.refresh(first).json["refresh_token"]
    server.step(101)
    refused(program.refresh(second), "expired")
    third = program.log_in()
    assert server.end_logins("nobody") == 0 and server.end_logins() == 2
    refused(program.refresh(third["refresh_token"]), "has ended")
    assert call(server, third["access_token"]).status == 401


def test_rotated_but_the_answer_never_came(server, program):
    first = program.log_in()["refresh_token"]
    server.fault("token", "cut", grant="refresh_token", at=0, how="abrupt")
    with pytest.raises((http.client.HTTPException, OSError)):
        program.refresh(first)
    assert program.post(grant_type="client_credentials").status == 200
    assert len(server.logins()[0]["refresh_tokens"]) == 2
    refused(program.refresh(first), "used before")


def test_a_fault_for_one_grant_leaves_the_others_alone(server, program):
    server.fault("token", "answer", grant="authorization_code", status=503)
    assert program.post(grant_type="client_credentials").status == 200
    code = program.landing()["code"]
    assert program.finish(code).status == 503
    assert program.finish(code).status == 200


# Public clients.

@pytest.fixture
def public(server):
    server.client("public-client", None)
    return Program(server, "public-client", None)


def test_a_public_client_proves_itself_by_pkce_alone(server, public):
    assert "refresh_token" not in public.log_in()  # as at Genesys Cloud
    server.set(public_refresh=True)
    first = public.log_in()["refresh_token"]
    assert public.refresh(first).status == 200
    refused(public.finish(public.landing()["code"], code_verifier="x" * 43), "code_verifier")


def test_what_a_public_client_may_not(server, public):
    refused(public.post(grant_type="client_credentials"), "no secret", "unauthorized_client")
    refused(public.refresh("anything"), "no secret", "unauthorized_client")
    answer = Program(server, "public-client", "guess").finish("x")
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")


def test_a_confidential_client_needs_its_secret(server):
    stranger = Program(server, ID, None)
    refused(stranger.finish(stranger.landing()["code"]), "missing", "invalid_client")


# As the rest of it.

def test_logins_are_told_without_secrets_and_forgotten_on_reset(server, program):
    program.log_in()
    told = server.logins(secrets=True)[0]
    plain = str([server.logins(), server.log(), server.tokens(), server.stats()]) \
        + server.stderr_text()
    for secret in (told["code"], told["refresh_tokens"][0]["token"], program.verifier):
        assert secret not in plain
    assert {told["code"], told["refresh_tokens"][0]["token"]} <= server.known_secrets()
    assert told["refresh_tokens"][0]["fingerprint"] in plain
    server.reset()
    assert server.logins() == []
    with pytest.raises(ControlError, match="refresh_tokens: one of rotate"):
        server.set(refresh_tokens="sometimes")
