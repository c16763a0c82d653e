"""Logins of people: what a person allowed, the code that was made of it, and the refresh tokens that
came of the code. All refresh tokens of one login are a family: one that comes a second time after it
was replaced has been stolen or lost by its owner, so the whole login ends (RFC 9700, 4.14.2)."""

import base64
import hashlib
import re
import secrets
import threading
from dataclasses import dataclass, field

from .tokens import fingerprint

VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def challenge_of(verifier: str) -> str:
    """S256 of RFC 7636."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Refused(Exception):
    """A code or a refresh token that is not taken: OAuth's invalid_grant, in these words."""


@dataclass
class RefreshToken:
    text: str = field(repr=False)
    number: int
    issued: float
    replaced: bool = False
    uses: int = 0

    def as_dict(self, with_text: bool) -> dict:
        shown = {"number": self.number, "fingerprint": fingerprint(self.text),
                 "issued": self.issued, "replaced": self.replaced, "uses": self.uses}
        if with_text:
            shown["token"] = self.text
        return shown


@dataclass
class PersonLogin:
    number: int
    client_id: str
    redirect_uri: str
    challenge: str = field(repr=False)
    scope: str
    code: str = field(repr=False)
    allowed: float
    code_used: bool = False
    ended: str = ""  # "", or why it has: "code used twice", "replayed", "ended"
    refresh_tokens: list[RefreshToken] = field(default_factory=list, repr=False)

    def as_dict(self, with_texts: bool) -> dict:
        shown = {"number": self.number, "client": self.client_id, "scope": self.scope,
                 "redirect_uri": self.redirect_uri, "allowed": self.allowed,
                 "code_used": self.code_used, "ended": self.ended,
                 "refresh_tokens": [one.as_dict(with_texts) for one in self.refresh_tokens]}
        if with_texts:
            shown["code"] = self.code
        return shown


class Logins:
    """`tokens`: the access tokens, of which those of a login end with it."""

    def __init__(self, settings, tokens):
        self._settings = settings
        self._tokens = tokens
        self._lock = threading.Lock()
        self._number = 0
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._all: list[PersonLogin] = []
            self._by_code: dict[str, PersonLogin] = {}
            self._by_refresh: dict[str, tuple[PersonLogin, RefreshToken]] = {}

    def allow(self, client, redirect_uri: str, challenge: str, scope: str, now: float) -> str:
        """A person said yes: the code for it."""
        with self._lock:
            self._number += 1
            login = PersonLogin(self._number, client.id, redirect_uri, challenge, scope,
                                secrets.token_urlsafe(32), now)
            self._all.append(login)
            self._by_code[login.code] = login
            return login.code

    def use_code(self, client, code: str, redirect_uri: str | None, verifier: str | None,
                 now: float) -> tuple[PersonLogin, str | None]:
        """The login, and the refresh token to tell with it."""
        with self._lock:
            login = self._by_code.get(code)
            if login is None or login.client_id != client.id:
                raise Refused("authorization code not found")
            if login.code_used:
                self._end(login, "code used twice")
                raise Refused("authorization code was used before")
            if now >= login.allowed + self._settings.code_lifetime:
                raise Refused("authorization code expired")
            if redirect_uri != login.redirect_uri:
                raise Refused("redirect_uri is not the one of the authorization request")
            if verifier is None or not VERIFIER.fullmatch(verifier) \
                    or challenge_of(verifier) != login.challenge:
                raise Refused("code_verifier does not fit the code_challenge")
            login.code_used = True
            return login, self._refresh_token_for(login, client, now)

    def use_refresh_token(self, client, text: str, now: float) -> tuple[PersonLogin, str | None]:
        """The login, and the refresh token to tell with it. Of two who come with the same one at
        the same time one is late."""
        with self._lock:
            login, token = self._by_refresh.get(text, (None, None))
            if login is None or login.client_id != client.id:
                raise Refused("refresh token not found")
            token.uses += 1
            if login.ended:
                raise Refused("the login of this refresh token has ended")
            if token.replaced:
                self._end(login, "replayed")
                raise Refused("refresh token was used before")
            lifetime = self._settings.refresh_lifetime
            if lifetime and now >= token.issued + lifetime:
                raise Refused("refresh token expired")
            return login, self._refresh_token_for(login, client, now)

    def _refresh_token_for(self, login: PersonLogin, client, now: float) -> str | None:
        how, known = self._settings.refresh_tokens, login.refresh_tokens
        if how == "none" or (client.secret is None and not self._settings.public_refresh):
            return None
        if known and how == "omit":
            return None
        if known and how == "keep":
            return known[-1].text
        token = RefreshToken(secrets.token_urlsafe(48), len(known) + 1, now)
        for older in known:
            older.replaced = True
        known.append(token)
        self._by_refresh[token.text] = (login, token)
        return token.text

    def end(self, client_id: str | None = None) -> int:
        """An administrator ends logins; how many those were."""
        with self._lock:
            found = [login for login in self._all
                     if not login.ended and client_id in (None, login.client_id)]
            for login in found:
                self._end(login, "ended")
            return len(found)

    def _end(self, login: PersonLogin, why: str) -> None:
        login.ended = login.ended or why
        self._tokens.revoke(login=login.number)

    def all(self) -> list[PersonLogin]:
        with self._lock:
            return list(self._all)
