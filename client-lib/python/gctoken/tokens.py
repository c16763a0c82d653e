"""A token as the broker hands it out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Dict


@dataclass(frozen=True)
class Token:
    """One token, as it was at the moment of the reply. Use it at once and keep none: asking again
    takes microseconds, and the broker replaces tokens before they expire.

    ``repr()`` and ``str()`` leave the token itself out, so that it gets into no log.

    access_token  the token
    token_type    ``Bearer``
    expires_in    seconds for which it may be used, at the moment of the reply
    refresh_in    seconds after which a program that does keep it should ask again
    generation    grows with each new token of the profile and never repeats
    fingerprint   the first 16 hex digits of the token's SHA-256; this may be logged
    state         ``fresh``, or ``stale``: valid, but its replacement is overdue
    profile       the broker's profile
    region        of Genesys Cloud, such as ``us-west-2``; empty if not configured
    api_url       of its API, without a slash at the end; empty if not configured
    """

    access_token: str = field(repr=False)
    token_type: str
    expires_in: int
    refresh_in: int
    generation: int
    fingerprint: str
    state: str
    profile: str
    region: str
    api_url: str

    @property
    def authorization(self) -> str:
        """The value of the request header ``Authorization``."""
        return f"{self.token_type} {self.access_token}"


_MEMBERS = [member.name for member in fields(Token)]


def token_of(body: Dict[str, Any]) -> Token:
    """Of a reply; what a later broker may add is left out. KeyError if it is no token's, or one that
    could not be sent in a header as it is."""
    for name in ("access_token", "token_type"):
        if not re.fullmatch("[!-~]+", str(body[name])):
            raise KeyError(name)
    return Token(**{name: body[name] for name in _MEMBERS})
