"""Tokens that were issued, and what the API thinks of them by its own clock."""

import base64
import hashlib
import json
import math
import secrets
import threading
from collections import deque
from dataclasses import dataclass, field

# Ended tokens are kept so that a test can search logs for them; a bench must not fill the memory.
KEPT = 200_000


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Token:
    text: str = field(repr=False)
    client_id: str
    number: int
    issued: float
    expires_in: int
    valid_from: float
    valid_until: float
    ended: str = ""  # "", "revoked" or "evicted"
    last_used: float = 0.0
    login: int = 0  # the number of the person's login it came of; 0: of none
    uses: deque = field(default_factory=deque, repr=False)  # times of API calls, for its limit

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.text)

    def verdict(self, now: float, settings) -> str:
        """`ok`, or why the API refuses it at `now`, by the API's clock."""
        if self.ended:
            return self.ended
        if now >= self.valid_until:
            return "expired"
        if now < self.valid_from:
            return "not yet valid"
        if settings.known_after and now < self.issued + settings.known_after:
            return "not yet known"
        if settings.dies_after and now >= self.issued + settings.dies_after:
            return "died early"
        if settings.idle_timeout and now >= self.last_used + settings.idle_timeout:
            return "idle"
        return "ok"

    def as_dict(self, now: float, settings, with_text: bool) -> dict:
        shown = {"number": self.number, "client": self.client_id, "fingerprint": self.fingerprint,
                 "state": self.verdict(now, settings), "issued": self.issued,
                 "expires_in": self.expires_in, "valid_from": self.valid_from,
                 "valid_until": self.valid_until, "login": self.login or None}
        if with_text:
            shown["token"] = self.text
        return shown


class Tokens:
    def __init__(self, settings):
        self._settings = settings
        self._lock = threading.Lock()
        self._number = 0
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._all: deque[Token] = deque(maxlen=KEPT)
            self._by_text: dict[str, Token] = {}
            self._by_client: dict[str, list[Token]] = {}

    def issue(self, client, now: float, login: int = 0) -> tuple[Token, int]:
        """A token for the client, or for the person's login of that number, and the expires_in to
        tell with it."""
        settings = self._settings
        lifetime = settings.lifetime if client.lifetime is None else client.lifetime
        with self._lock:
            live = [token for token in self._by_client.get(client.id, [])
                    if token.verdict(now, settings) in ("ok", "not yet valid")]
            if live and settings.same_token != "no" and not login:
                token = live[-1]
                if settings.same_token == "full":
                    return token, token.expires_in
                return token, max(0, math.floor(token.issued + token.expires_in - now))
            self._number += 1
            token = self._make(client.id, now, lifetime)
            token.login = login
            live.append(token)
            while settings.max_live and len(live) > settings.max_live:
                live.pop(0).ended = "evicted"
            self._by_client[client.id] = live
            if len(self._all) == KEPT:
                self._by_text.pop(self._all[0].text, None)
            self._all.append(token)
            self._by_text[token.text] = token
            return token, lifetime

    def _make(self, client_id: str, now: float, lifetime: int) -> Token:
        settings = self._settings
        if settings.token_format == "opaque":
            # Whoever looks an opaque token up asks only whether it has ended yet.
            return Token(secrets.token_urlsafe(64), client_id, self._number, now, lifetime,
                         0.0, now + lifetime, last_used=now)
        second = math.floor(now)
        times = {"iat": second + settings.jwt_iat_offset, "nbf": second + settings.jwt_nbf_offset,
                 "exp": second + lifetime + settings.jwt_exp_offset}
        named = {name: int(value) if value == int(value) else value
                 for name, value in times.items() if name in settings.jwt_claims}
        head = {"alg": "RS256", "typ": "JWT", "kid": "fake-genesys"}
        claims = {"iss": "https://fake-genesys.invalid", "sub": client_id,
                  "jti": secrets.token_hex(16), **named}
        text = ".".join(_base64url(part) for part in (
            json.dumps(head, separators=(",", ":")).encode(),
            json.dumps(claims, separators=(",", ":")).encode(), secrets.token_bytes(64)))
        start = max((named[name] for name in ("iat", "nbf") if name in named), default=0.0)
        return Token(text, client_id, self._number, now, lifetime, start,
                     named.get("exp", now + lifetime), last_used=now)

    def use(self, text: str, now: float) -> tuple[str, Token | None]:
        """An API call with this text for a token: the verdict and the token, None if unknown."""
        with self._lock:
            token = self._by_text.get(text)
            if token is None:
                return "unknown", None
            verdict = token.verdict(now, self._settings)
            if verdict == "ok":
                token.last_used = now
                limit = self._settings.api_rate_limit
                while token.uses and token.uses[0] <= now - 60:
                    token.uses.popleft()
                if limit and len(token.uses) >= limit:
                    return "too many calls", token
                if limit:
                    token.uses.append(now)
            return verdict, token

    def revoke(self, text: str | None = None, fingerprint: str | None = None,
               client_id: str | None = None, login: int | None = None) -> int:
        """Ends the tokens that match all that is given; how many those were."""
        ended = 0
        with self._lock:
            for token in self._all:
                if token.ended or (text is not None and token.text != text) \
                        or (fingerprint is not None and token.fingerprint != fingerprint) \
                        or (client_id is not None and token.client_id != client_id) \
                        or (login is not None and token.login != login):
                    continue
                token.ended = "revoked"
                ended += 1
        return ended

    def all(self) -> list[Token]:
        with self._lock:
            return list(self._all)

    def live_by_client(self, now: float) -> dict[str, int]:
        live: dict[str, int] = {}
        with self._lock:
            for client_id, tokens in self._by_client.items():
                live[client_id] = sum(token.verdict(now, self._settings) == "ok"
                                      for token in tokens)
        return live
