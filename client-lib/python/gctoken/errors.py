"""What the broker can say instead of a token, as exceptions."""

from __future__ import annotations

import errno
import os
import socket as sockets
from typing import Any, Dict, Optional, Type


class BrokerError(Exception):
    """There is no token. The text says what was wrong, where, and what to do; it never contains a
    token or a secret, and may be shown and logged.

    socket       the path of the socket that was asked
    profile      the profile that was asked for
    status       the HTTP status of the reply; 0 if there was none
    error        the broker's word for it (docs/http-api.md), such as ``login_required``;
                 ``unreachable`` if there was no reply
    retry_after  seconds until the broker's next attempt, if waiting helps, else None
    """

    # Each has a default, or one that a pool of processes hands on could not be made again.
    def __init__(self, what: str, *, socket: str = "", profile: str = "", status: int = 0,
                 error: str = "unreachable", retry_after: Optional[int] = None) -> None:
        super().__init__(what)
        self.socket = socket
        self.profile = profile
        self.status = status
        self.error = error
        self.retry_after = retry_after


class BrokerUnreachable(BrokerError):
    """No broker listens at the socket, this user may not connect to it, or it does not answer."""


class BadRequest(BrokerError):
    """The request was wrong (400), such as a ``min_ttl`` that no token can have, or a profile that
    does not exist (404): repeating it is pointless."""


class AccessDenied(BrokerError):
    """This user may not have this profile's token (403)."""


class ActionNeeded(BrokerError):
    """There is no token until a person acts: ``client_rejected``, ``login_required``,
    ``revoked``."""


class TryLater(BrokerError):
    """There was no token within ``wait``; ``retry_after`` says when the broker tries again."""


class RejectCooldown(TryLater):
    """The rejected token is a new one, and the API accepts it or does not say: the token is not why
    the API answered 401, or the API does not know it yet."""


_TO_DO = {
    "access_denied": "if it should have it, name user {uid} in allow_users or one of its groups in"
                     " allow_groups of the profile, and reload gctokend",
    "unknown_profile": "GCTOKEN_PROFILE or Broker(profile=...) names it; `gctoken status` lists"
                       " what there is",
    "client_rejected": "an administrator has to set the client's id and secret right:"
                       " `gctoken doctor` tells what is wrong",
    "login_required": "somebody has to log in: `gctoken login --profile {profile}`",
    "revoked": "an administrator has to allow it again: `gctoken refresh --profile {profile}`",
    "temporarily_unavailable": "try again later; `gctoken why --profile {profile}` tells more",
    "timeout": "ask again, or with a longer wait",
}


def _seconds(value: object) -> Optional[int]:
    """What a reply says of a time to wait, if it is one."""
    return value if isinstance(value, int) and value >= 0 else None


def refusal(status: int, body: Dict[str, Any], socket: str, profile: str) -> BrokerError:
    """The exception for a reply that brings no token."""
    error = str(body.get("error", "unexpected_reply"))
    kind: Type[BrokerError] = BadRequest
    if status == 403:
        kind = AccessDenied
    elif error in ("client_rejected", "login_required", "revoked"):
        kind = ActionNeeded
    elif error == "reject_cooldown":
        kind = RejectCooldown
    elif status in (408, 429) or status >= 500:
        kind = TryLater
    what = (f"no token of profile {profile} from {socket}: "
            f"{body.get('error_description', 'a reply that this program does not know')} "
            f"({status} {error})")
    if error in _TO_DO:
        what += "; " + _TO_DO[error].format(profile=profile, uid=os.getuid())
    return kind(what, socket=socket, profile=profile, status=status, error=error,
                retry_after=_seconds(body.get("retry_after")))


def unreachable(cause: Exception, socket: str, profile: str) -> BrokerUnreachable:
    """The exception for a broker that could not be asked."""
    number = cause.errno if isinstance(cause, OSError) else None
    # Until Python 3.10 these were two.
    if isinstance(cause, (TimeoutError, sockets.timeout)):
        what = "it does not answer"
        to_do = "`systemctl status gctokend` and its journal tell what it does"
    elif number in (errno.EACCES, errno.EPERM):
        what = f"user {os.getuid()} may not connect to it"
        to_do = ("add the user to the socket's group (`ls -l` shows it, usually gctoken), and start"
                 " the program in a new session")
    elif number in (errno.ENOENT, errno.ECONNREFUSED):
        what = "no broker listens there"
        to_do = ("start it (`systemctl start gctokend.socket`), or name another socket in"
                 " GCTOKEN_SOCKET")
    else:
        what = str(cause) or type(cause).__name__
        to_do = "`gctoken doctor` looks into it"
    return BrokerUnreachable(f"no token of profile {profile} from {socket}: {what}; {to_do}",
                             socket=socket, profile=profile)
