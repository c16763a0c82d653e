"""HTTP over the broker's socket: connections that are kept, for threads and forked processes."""

from __future__ import annotations

import collections
import http.client
import json
import os
import socket
import time
import weakref
from typing import Any, Deque, Dict, Optional, Tuple

# So many are kept for later; more exist only while more threads ask at the same moment.
_KEPT = 8


class _Socket(socket.socket):
    """Its timeouts are what is left until one moment: a reply that comes byte by byte would begin
    another with each of them."""

    until = 0.0  # of time.monotonic()

    def hurry(self) -> None:
        """The next step gets what is left. Raises TimeoutError, or what it was before 3.10."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self.settimeout(left)

    def recv_into(self, *arguments: Any) -> int:  # what http.client reads by
        self.hurry()
        return super().recv_into(*arguments)


class _Connection(http.client.HTTPConnection):
    sock: Optional[_Socket]

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.pid = os.getpid()
        self.until = 0.0
        self._path = path

    def connect(self) -> None:
        self.sock = _Socket(socket.AF_UNIX)
        self.give_until(self.until)
        self.sock.connect(self._path)

    def give_until(self, until: float) -> None:
        """The next request has that long."""
        self.until = until
        if self.sock is not None:
            self.sock.until = until
            self.sock.hurry()


def _close_all(idle: Deque[_Connection]) -> None:
    while True:
        try:
            idle.pop().close()
        except IndexError:
            return


class Connections:
    """To one socket. There is no lock, which a fork could leave locked: a deque's own operations
    are atomic, and a connection belongs to the process that made it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: Deque[_Connection] = collections.deque()
        weakref.finalize(self, _close_all, self._idle)  # of one that nobody closed

    def __reduce__(self) -> Tuple[type, Tuple[str]]:
        return Connections, (self._path,)  # a copy, or another process, makes connections of its own

    def _take(self) -> _Connection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return _Connection(self._path)
            if connection.pid == os.getpid():
                return connection
            connection.close()  # this process's copy; the parent's stays open

    def ask(self, method: str, target: str, timeout: float) -> Tuple[int, Dict[str, Any]]:
        """One request: status and body, {} if there is none. Raises OSError or HTTPException if
        there is no complete reply within ``timeout`` seconds, in whatever pieces it comes. A kept
        connection that has ended in the meantime is replaced."""
        until = time.monotonic() + timeout
        while True:
            connection = self._take()
            kept = connection.sock is not None
            try:
                return self._ask(connection, method, target, until)
            except (http.client.HTTPException, ConnectionError):
                if not kept:
                    raise

    def _ask(self, connection: _Connection, method: str, target: str,
             until: float) -> Tuple[int, Dict[str, Any]]:
        try:
            connection.give_until(until)
            connection.request(method, target)
            reply = connection.getresponse()
            body = reply.read()
            result = reply.status, json.loads(body) if body else {}
            if not isinstance(result[1], dict):
                raise ValueError
        except BaseException as error:
            connection.close()  # or the next one would read the rest of this reply
            if isinstance(error, ValueError):
                raise http.client.HTTPException("the reply is no JSON object") from None
            raise
        if len(self._idle) < _KEPT:
            self._idle.append(connection)
        else:
            connection.close()
        return result

    def close(self) -> None:
        """Ends the idle ones."""
        _close_all(self._idle)
