"""The broker of this host, as a program sees it."""

from __future__ import annotations

import hashlib
import http.client
import inspect
import math
import os
import re
import time
from typing import Callable, Dict, Optional, TypeVar, Union
from urllib.parse import urlencode

from .api_errors import retry_after_of, status_of, status_of_result
from .connections import Connections
from .errors import BrokerError, RejectCooldown, refusal, unreachable
from .tokens import Token, token_of

DEFAULT_SOCKET = "/run/gctokend/gctokend.sock"

_ABSENT = 10.0  # seconds for which a broker that is not there may be restarting
_FORBIDDEN = 2.0  # ... and for which its new socket may not have its group yet
_GRACE = 2.0  # seconds for which a reply may be late
_TURN = 60  # seconds that one request waits at most, unless max_wait of the broker is below
_LATE = 2.0  # seconds that an API may take to learn of a new token
_TRIES = 10  # of a call
_LONGEST = 300.0  # seconds for which a call leaves the API alone

T = TypeVar("T")


class Broker:
    """Where a program gets its tokens. Use one for the whole program: any number of threads, and
    processes forked from it, may use it at the same time, and other processes copies of it.

    Each call ends within ``wait`` seconds, rounded up to whole ones, and two more if the broker
    hangs. While they last, a broker that is being restarted (for 10 s at most), is busy, or waits for
    the login server is asked again. What remains is raised as a BrokerError, whose kinds are in this
    package.
    """

    def __init__(self, profile: Optional[str] = None,
                 socket: Union[str, os.PathLike[str], None] = None, *, wait: float = 60.0) -> None:
        """Does not connect yet.

        profile  whose tokens; else the environment's GCTOKEN_PROFILE, else ``default``
        socket   the path of the broker's socket; else GCTOKEN_SOCKET, else
                 /run/gctokend/gctokend.sock
        wait     seconds, for calls that name none themselves
        """
        self.profile = profile or os.environ.get("GCTOKEN_PROFILE") or "default"
        self.socket = os.fspath(socket or os.environ.get("GCTOKEN_SOCKET") or DEFAULT_SOCKET)
        self.wait = wait
        self._turn = _TURN
        self._connections = Connections(self.socket)

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the idle connections. The next call opens a new one."""
        self._connections.close()

    def token(self, *, min_ttl: Optional[int] = None, wait: Optional[float] = None) -> Token:
        """The token of this moment.

        min_ttl  seconds that it must still live: if it will not, a new one is fetched first. Half
                 of a new token's lifetime at most; more raises BadRequest
        """
        query: Dict[str, object] = {} if min_ttl is None else {"min_ttl": min_ttl}
        found = self._ask("GET", "/v1/token", query, wait)
        assert found is not None  # only `after` ends without one
        return found

    def reject(self, token: Union[Token, str], *, wait: Optional[float] = None) -> Token:
        """The API answered 401 to this token: the next one, for which all who reject the same token
        wait together. Takes a Token, or the bare text of one, as a file with a token has it.

        Raises RejectCooldown if the token is a new one itself, and the API accepts it; ValueError if
        the text is no token.
        """
        query: Dict[str, object] = {"generation": token.generation} if isinstance(token, Token) \
            else {"fingerprint": _fingerprint(token)}
        found = self._ask("POST", "/v1/token/reject", query, wait)
        assert found is not None
        return found

    def wait_change(self, generation: int, *, wait: Optional[float] = None) -> Optional[Token]:
        """The first token of another generation than this, or None if none came within ``wait``
        seconds, over restarts of the broker as well. For programs that hand a token on."""
        return self._ask("GET", "/v1/token", {"after": generation}, wait)

    def call(self, send: Callable[[Token], T], *, wait: Optional[float] = None) -> T:
        """What ``send(token)`` returns: a call of the API, with the token that it is given. When the
        API answers 401 or 429 it must raise an exception of urllib, requests, httpx or the official
        SDK, or another one with the HTTP status in ``status`` or ``code``, or return the response of
        requests or httpx. It must bear to be repeated. A coroutine is none: run this in a thread
        then, by ``asyncio.to_thread(broker.call, send)``, with a ``send`` that is none.

        After a 401 the token is rejected, and the call repeated with the next one; if that is
        refused as well, once more after two seconds, since an API may learn of a new token a moment
        late. After a 429 it is repeated as ``Retry-After`` says, if that is five minutes at most. It
        is made ten times at most, and then what came last is returned or raised; so is all else, at
        once. ``wait`` is for the broker alone.
        """
        token = self.token(wait=wait)
        refused = 0
        for left in range(_TRIES - 1, -1, -1):
            try:
                result = send(token)
            except BrokerError:
                raise  # has a status as well, which is not the API's
            except Exception as error:  # pylint: disable=broad-except
                status = status_of(error)
                pause = retry_after_of(error) if status == 429 else 0.0
                if not _may_repeat(status, pause, refused, left):
                    raise
            else:
                _assert_no_coroutine(result)
                status = status_of_result(result)
                pause = retry_after_of(result) if status == 429 else 0.0
                if not _may_repeat(status, pause, refused, left):
                    return result
                getattr(result, "close", int)()  # nobody will read it
            if status == 429:
                time.sleep(pause)
                token = self.token(wait=wait)
            else:
                refused += 1
                token = self._next(token, refused, wait)
        raise AssertionError("the last try returns or raises")

    def _next(self, token: Token, refused: int, wait: Optional[float]) -> Token:
        """After the first or second 401 of a call."""
        if refused == 1:
            try:
                return self.reject(token, wait=wait)
            except RejectCooldown:
                pass
        time.sleep(_LATE)
        return self.token(wait=wait)

    def _ask(self, method: str, route: str, query: Dict[str, object],
             wait: Optional[float]) -> Optional[Token]:
        """Asks until there is a token, a refusal that time does not mend, or no time left. That does
        no harm: a second rejection of the same token joins the first."""
        until = time.monotonic() + (self.wait if wait is None else wait)
        gone_since: Optional[float] = None
        most = self._turn
        while True:
            left = max(until - time.monotonic(), 0.0)
            turn = math.ceil(min(left, most))
            target = route + "?" + urlencode({"profile": self.profile, "wait": turn, **query})
            try:
                status, body = self._connections.ask(method, target, min(left, turn) + _GRACE)
            except (OSError, http.client.HTTPException) as cause:
                now = time.monotonic()
                gone_since = now if gone_since is None else gone_since
                patience = _FORBIDDEN if isinstance(cause, PermissionError) else _ABSENT
                pause = 0.1
                if now + pause > min(until, gone_since + patience):
                    raise unreachable(cause, self.socket, self.profile) from cause
            else:
                gone_since = None
                if status != 400:
                    self._turn = most
                elif turn > 1:  # perhaps more than its max_wait
                    most = max(turn // 8, 1)
                    continue
                if status == 200:
                    try:
                        return token_of(body)
                    except KeyError:  # somebody else's socket
                        raise refusal(status, {}, self.socket, self.profile) from None
                now = time.monotonic()
                if status == 304:  # a broker that stops does not wait until the end
                    pause = 0.1
                    if now + pause > until:
                        return None
                else:
                    pause = self._pause(refusal(status, body, self.socket, self.profile), now, until)
            time.sleep(pause)

    @staticmethod
    def _pause(error: BrokerError, now: float, until: float) -> float:
        """Seconds until asking again could help; raises the error if that is never, or too late."""
        if error.error in ("timeout", "request_timeout"):
            pause = 0.1
        elif error.retry_after is None or isinstance(error, RejectCooldown):
            raise error
        else:
            pause = float(error.retry_after)
        if now + pause > until:
            raise error
        return pause


def _may_repeat(status: int, pause: float, refused: int, left: int) -> bool:
    """Whether a call is made again, of which ``refused`` were answered 401 before."""
    return left > 0 and (status == 401 and refused < 2 or status == 429 and pause <= _LONGEST)


def _assert_no_coroutine(result: object) -> None:
    """One would make its call of the API later, when its 401 is seen by nobody here."""
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError("gctoken: call() cannot repeat a coroutine: give it a function that makes the"
                        " call, by asyncio.to_thread(broker.call, send)")


def _fingerprint(text: str) -> str:
    """By which the broker knows a token."""
    text = text.strip()
    if not re.fullmatch("[!-~]+", text):
        raise ValueError("gctoken: reject() takes a Token, or the text of one alone")
    return hashlib.sha256(text.encode()).hexdigest()[:16]
