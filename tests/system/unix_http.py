"""A plain HTTP client over a Unix socket: http.client with another connect."""

import http.client
import json
import re
import socket
from dataclasses import dataclass
from typing import Any


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float = 30.0):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def retry_after(self) -> int | None:
        value = self.headers.get("Retry-After")
        return None if value is None else int(value)

    @property
    def next_attempt(self) -> int | None:
        """In so many seconds: the words tell what Retry-After does not."""
        told = re.search(r"; next attempt in (\d+) s$", self.json["error_description"])
        return int(told[1]) if told else self.retry_after

    def __repr__(self) -> str:
        # A failed assertion prints this: a token must not come with it.
        shown = "(it holds a token)" if b"access_token" in self.body or (
            self.headers.get_content_type() == "text/plain" and b"\n" == self.body[-1:]
            and b" " not in self.body) else repr(self.body[:400])
        return f"<{self.status} {shown}>"


def exchange(connection: http.client.HTTPConnection, method: str, target: str,
             headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
    """One request on a connection that stays open where the server keeps it."""
    connection.request(method, target, body=body, headers=headers or {})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def ask(path: str, method: str, target: str, headers: dict[str, str] | None = None,
        body: bytes | None = None, timeout: float = 30.0) -> Answer:
    """One request on a connection of its own."""
    connection = UnixConnection(path, timeout)
    try:
        return exchange(connection, method, target, headers, body)
    finally:
        connection.close()
