"""Calls to a fake Genesys Cloud as its own tests make them, without any part of the broker."""

import base64
import http.client
import json
import socket
import ssl
from email.utils import parsedate_to_datetime
from urllib.parse import quote_plus

from fake import Fake
from unix_http import Answer, exchange

ID, SECRET = "fake-client", "s3cr3t:+/% ü"


def connect(server: Fake, timeout: float = 10.0) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=server.ca_file)
    return http.client.HTTPSConnection("localhost", server.port, timeout=timeout, context=context)


def basic(client_id: str = ID, secret: str = SECRET) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def login(server: Fake, connection=None, authorization: str | None = None,
          body: bytes = b"grant_type=client_credentials") -> Answer:
    own = connection or connect(server)
    try:
        return exchange(own, "POST", "/oauth/token", {
            "Authorization": authorization or basic(),
            "Content-Type": "application/x-www-form-urlencoded"}, body)
    finally:
        if connection is None:
            own.close()


def call(server: Fake, token: str | None, path: str = "/api/v2/users/me", method: str = "GET",
         body: bytes | None = None) -> Answer:
    connection = connect(server)
    try:
        return exchange(connection, method, path,
                        {"Authorization": f"Bearer {token}"} if token else {}, body)
    finally:
        connection.close()


def head(server: Fake, path: str = "/") -> Answer:
    connection = connect(server)
    try:
        return exchange(connection, "HEAD", path)
    finally:
        connection.close()


def token_of(answer: Answer) -> str:
    assert answer.status == 200, answer
    return answer.json["access_token"]


def date_of(answer: Answer) -> float:
    return parsedate_to_datetime(answer.headers["Date"]).timestamp()


def claims_of(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def raw(server: Fake, method: str = "POST", path: str = "/oauth/token") -> tuple[bytes, str]:
    """All that comes back for one request, and how it ended: clean, abrupt or reset. TLS runs
    apart from the socket here, so that the two ways of ending cannot be taken for each other."""
    body = b"grant_type=client_credentials" if method == "POST" else b""
    request = (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
               f"Authorization: {basic()}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    context = ssl.create_default_context(cafile=server.ca_file)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # or abrupt would look clean
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(come, go, server_hostname="localhost")
    got, ended = b"", "abrupt"
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain:
        def more() -> None:
            plain.sendall(go.read())
            data = plain.recv(65536)
            come.write(data) if data else come.write_eof()

        def step(what):
            while True:
                try:
                    return what()
                except ssl.SSLWantReadError:
                    more()

        try:
            step(tls.do_handshake)
            tls.write(request)
            while data := step(lambda: tls.read(65536)):
                got += data
            ended = "clean"  # goodbye was said inside TLS
        except ssl.SSLError:
            pass
        except ConnectionResetError:
            ended = "reset"
    return got, ended
