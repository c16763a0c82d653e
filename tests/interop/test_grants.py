"""What a certified OAuth server takes for right and wrong, and what the broker makes of it."""

import base64
import http.client
import json
import ssl
from urllib.parse import quote_plus, urlencode

import pytest

from oidc import JWT_RESOURCE, OidcServer
from unix_http import Answer, exchange


def call(server: OidcServer, method: str, path: str, headers: dict, body: str = "") -> Answer:
    connection = http.client.HTTPSConnection(
        "localhost", server.port, timeout=30,
        context=ssl.create_default_context(cafile=server.ca_file))
    try:
        return exchange(connection, method, path, headers, body.encode())
    finally:
        connection.close()


def introspected(server: OidcServer, token: str) -> dict:
    """What the server, or a verifier of its JWTs, says of the token."""
    answer = call(server, "GET", "/api/whoami", {"Authorization": f"Bearer {token}"})
    assert answer.status == (200 if answer.json["active"] else 401)
    return answer.json


def revoke(server: OidcServer, token: str) -> None:
    """RFC 7009, as another owner of the client would."""
    pair = ":".join(quote_plus(server.clients[0][name]) for name in ("id", "secret"))
    answer = call(server, "POST", "/token/revocation", {
        "Authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
        "Content-Type": "application/x-www-form-urlencoded"}, urlencode({"token": token}))
    assert answer.status == 200, answer


def served(one) -> str:
    answer = one.token()
    assert answer.status == 200, answer
    return answer.json["access_token"]


def test_secret_that_needs_encoding_gets_an_opaque_token(daemon, server):
    assert server.clients[0]["secret"] == "s3cr3t:+/%"
    found = introspected(server, served(daemon(server)))
    assert found["active"] and found["client_id"] == "interop-client:+/%"
    assert found["token_type"] == "Bearer" and found["iss"] == server.url
    assert found["exp"] - found["iat"] == server.lifetime


def test_resource_gets_a_jwt(daemon, server):
    one = daemon(server, profile={"extra_params": JWT_RESOURCE})
    token = served(one)
    header = token.partition(".")[0]
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["typ"] == "at+jwt"
    found = introspected(server, token)
    assert found["active"] and found["aud"] == "https://api.interop.example/"
    assert one.get("/v1/skew").json["token"]["evidence"] == ["expires_in", "exp"]


@pytest.mark.parametrize("more", [{}, {"extra_params": JWT_RESOURCE}], ids=["opaque", "jwt"])
def test_scope_is_what_was_configured(daemon, server, more):
    one = daemon(server, profile={"scope": "read write", **more})
    assert introspected(server, served(one))["scope"] == "read write"


@pytest.mark.parametrize("more", [{}, {"extra_params": JWT_RESOURCE}], ids=["opaque", "jwt"])
def test_refresh_leaves_both_tokens_active(daemon, server, more):
    one = daemon(server, profile=more)
    first = one.token()
    second = one.post("/v1/refresh?profile=default")
    assert (first.status, second.status) == (200, 200)
    assert second.json["generation"] > first.json["generation"]
    for answer in (first, second):
        assert introspected(server, answer.json["access_token"])["active"]


def test_revoked_token_is_replaced_once_it_is_reported(daemon, server):
    one = daemon(server)
    answer = one.token()
    revoke(server, answer.json["access_token"])
    assert introspected(server, answer.json["access_token"]) == {"active": False}
    posts = server.posts
    newer = one.post(f"/v1/token/reject?generation={answer.json['generation']}")
    assert newer.status == 200, newer
    assert newer.json["generation"] > answer.json["generation"]
    assert introspected(server, newer.json["access_token"])["active"]
    assert server.posts == posts + 1


def rejected(one, words: str) -> None:
    answer = one.token()
    assert (answer.status, answer.json["error"]) == (503, "client_rejected"), answer
    assert words in answer.json["error_description"], answer
    error = one.status()["last_error"]
    assert error["class"] == "client_rejected", error


def test_wrong_secret_is_asked_with_once_until_it_is_mended(daemon, server):
    posts = server.posts
    one = daemon(server, profile={"secret": "s3cr3t:+/%25"})
    rejected(one, "client authentication failed")
    rejected(one, "HTTP 401")
    assert server.posts == posts + 1
    one.set_secret("default", server.clients[0]["secret"])
    one.reload()
    one.wait_log("token [0-9a-f]{16} for ")
    assert introspected(server, served(one))["active"]
    assert server.posts == posts + 2


@pytest.mark.parametrize("profile, words", [
    ({"client_id": "nobody"}, "client authentication failed"),
    ({"extra_params": "resource=https%3A%2F%2Felsewhere.example%2F"}, "resource indicator"),
    ({"extra_params": "resource=nowhere"}, "resource indicator must be an absolute URI"),
], ids=["unknown-client", "unknown-resource", "no-resource"])
def test_what_the_server_refuses_is_told_in_its_words(daemon, server, profile, words):
    posts = server.posts
    rejected(daemon(server, profile=profile), words)
    assert server.posts == posts + 1
