"""The login page: a person says yes or no, and the browser is sent back to the program that asked."""

import html
import secrets
import threading
from collections import OrderedDict
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from .message import Answer, Request

LOOPBACK = ("127.0.0.1", "::1", "localhost")
ASKED_KEPT = 1000

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Fake Genesys Cloud</title></head>
<body style="font-family: sans-serif; max-width: 30em; margin: 4em auto">
{body}
</body></html>
"""
QUESTION = """<h1>Fake Genesys Cloud</h1>
<p>The client <b>{client}</b> asks to act for you. This is a fake login: nothing here is worth
anything elsewhere.</p>
<form method="get" action="/oauth/authorize/answer">
<input type="hidden" name="request" value="{request}">
<button name="consent" value="given" id="allow">Allow</button>
<button name="consent" value="denied" id="deny">Deny</button>
</form>"""


def _page(status: int, body: str) -> Answer:
    return Answer(status, PAGE.format(body=body).encode(), {
        "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"})


def _refusal(words: str) -> Answer:
    """To the person: whoever asked cannot be trusted with an answer."""
    return _page(400, f"<h1>Fake Genesys Cloud</h1>\n<p>{html.escape(words)}</p>")


def _without_port(uri: str) -> str:
    parts = urlsplit(uri)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment))


def redirect_uri_is_known(uri: str, registered: tuple[str, ...] | None, any_port: bool) -> bool:
    """None registered: every http address of the loopback interface. Of a registered one the port
    may differ where it is a loopback address (RFC 8252, 7.3)."""
    try:
        parts = urlsplit(uri)
        parts.port  # a ValueError if it is none
    except ValueError:
        return False
    loopback = parts.scheme == "http" and parts.hostname in LOOPBACK
    if parts.fragment or "@" in parts.netloc:
        return False
    if registered is None:
        return loopback
    if uri in registered:
        return True
    return loopback and any_port and _without_port(uri) in [
        _without_port(one) for one in registered if urlsplit(one).hostname in LOOPBACK]


class Authorize:
    def __init__(self, settings, clients, logins):
        self._settings = settings
        self._clients = clients
        self._logins = logins
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._asked: OrderedDict[str, dict] = OrderedDict()

    def answer(self, request: Request, issuer: str, now: float) -> Answer:
        if request.method != "GET":
            return Answer(405, b"method not allowed\n", {"Allow": "GET",
                                                         "Content-Type": "text/plain"})
        query = parse_qs(request.target.partition("?")[2], keep_blank_values=True)
        if any(len(values) != 1 for values in query.values()):
            return _refusal("A parameter is there more than once.")
        asked = {name: values[0] for name, values in query.items()}
        if request.path == "/oauth/authorize/answer":
            return self._answered(asked, issuer, now)
        return self._begin(asked, issuer, now)

    def _begin(self, asked: dict, issuer: str, now: float) -> Answer:
        client = self._clients.find(asked.get("client_id", ""))
        if client is None or client.disabled:
            return _refusal("No such client is known here.")
        if not redirect_uri_is_known(asked.get("redirect_uri", ""), client.redirect_uris,
                                     self._settings.redirect_port == "any"):
            return _refusal("The client has no such redirect_uri.")
        if asked.get("response_type") != "code":
            return self._back(asked, issuer, error="unsupported_response_type",
                              error_description="response_type=code is wanted")
        if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            return self._back(asked, issuer, error="invalid_request",
                              error_description="PKCE with S256 is wanted")
        if self._settings.consent == "asked":
            key = secrets.token_urlsafe(16)
            with self._lock:
                self._asked[key] = asked
                while len(self._asked) > ASKED_KEPT:
                    self._asked.popitem(last=False)
            return _page(200, QUESTION.format(client=html.escape(client.id), request=key))
        return self._decide(asked, self._settings.consent, issuer, now)

    def _answered(self, given: dict, issuer: str, now: float) -> Answer:
        with self._lock:
            asked = self._asked.pop(given.get("request", ""), None)
        if asked is None:
            return _refusal("Nobody waits for this answer; begin again.")
        return self._decide(asked, given.get("consent", ""), issuer, now)

    def _decide(self, asked: dict, consent: str, issuer: str, now: float) -> Answer:
        client = self._clients.find(asked["client_id"])
        if consent != "given" or client is None:
            return self._back(asked, issuer, error=self._settings.consent_error,
                              error_description=self._settings.consent_words)
        return self._back(asked, issuer, code=self._logins.allow(
            client, asked["redirect_uri"], asked["code_challenge"], asked.get("scope", ""), now))

    def _back(self, asked: dict, issuer: str, **members: str) -> Answer:
        settings = self._settings
        if settings.state_echo == "wrong":
            members["state"] = secrets.token_urlsafe(32)
        elif settings.state_echo == "same" and "state" in asked:
            members["state"] = asked["state"]
        if settings.answer_iss != "none":
            members["iss"] = issuer if settings.answer_iss == "right" \
                else "https://login.elsewhere.invalid"
        members = {name: value for name, value in members.items() if value}
        mark = "&" if "?" in asked["redirect_uri"] else "?"
        return Answer(302, b"", {"Location": asked["redirect_uri"] + mark + urlencode(members),
                                 "Cache-Control": "no-store"})
