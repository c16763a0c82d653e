"""HTTP over the broker's socket: connections that are kept, for threads and forked processes."""

from __future__ import annotations

import collections
import http.client
import json
import os
import socket
import weakref
from typing import Deque, Tuple

# So many are kept for later; more exist only while more threads ask at the same moment.
_KEPT = 8


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.pid = os.getpid()
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


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

    def _take(self) -> _Connection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return _Connection(self._path)
            if connection.pid == os.getpid():
                return connection
            connection.close()  # this process's copy; the parent's stays open

    def ask(self, method: str, target: str, timeout: float) -> Tuple[int, dict]:
        """One request: status and body, {} if there is none. Raises OSError or HTTPException if
        there is no complete reply. No step of it lasts longer than ``timeout`` seconds. A kept
        connection that has ended in the meantime is replaced."""
        while True:
            connection = self._take()
            kept = connection.sock is not None
            try:
                return self._ask(connection, method, target, timeout)
            except (http.client.HTTPException, ConnectionError):
                if not kept:
                    raise

    def _ask(self, connection: _Connection, method: str, target: str,
             timeout: float) -> Tuple[int, dict]:
        try:
            connection.timeout = timeout
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
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
