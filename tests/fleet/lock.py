#!/usr/bin/python3
"""What the fleet is measured beside: hosts that share a token by a lock as it is commonly written.

Each call: GET the token; if there is none, SET lock NX PX 5000, and whoever has it asks the login
server, SETs the token for its life but 2 s, and DELs the lock; the others look again every 0.1 s.
A 401: DEL the token. Where Redis is away a host fetches for itself, and goes on with that token
until it ends or is refused. Each host has connections of its own and makes as many calls as the
programs of the fleet; all hosts are threads of this process.

A line on standard input is answered with what was counted so far; its end is the end."""

import argparse
import base64
import contextlib
import http.client
import json
import os
import random
import socket
import ssl
import sys
import threading
import time
from types import SimpleNamespace
from urllib.parse import quote_plus, urlsplit

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "system"))

from programs import PAUSE, WAIT, Api, Tally  # noqa: E402
from redis_server import Connection, RedisError  # noqa: E402

LOCK_MS, SAFETY_S = 5000, 2


class Host(threading.Thread):
    def __init__(self, options, tally: Tally):
        super().__init__(daemon=True)
        self._options, self._tally = options, tally
        self._api = Api(SimpleNamespace(api_url=options.token_url, ca_file=options.ca_file))
        self._tls = ssl.create_default_context(cafile=options.ca_file)
        self._redis: Connection | None = None
        self._own: tuple[str, float] | None = None

    def run(self) -> None:
        while True:
            time.sleep(random.uniform(0.5, 1.5) * PAUSE)
            self._tally.count("calls")
            token = self._token()
            if token is None:
                self._tally.count("without")
            elif not self._api.takes(token):
                self._tally.count("refused")
                self._own = None
                self._delete("token")

    def _ask(self, *words):
        """What Redis answers; ConnectionError: it is away."""
        try:
            if self._redis is None:
                sock = socket.socket(socket.AF_UNIX)
                try:
                    sock.connect(self._options.socket)
                except OSError:
                    sock.close()
                    raise
                self._redis = Connection(sock)
                self._redis("AUTH", "admin", self._options.password)
            return self._redis(*words)
        except (OSError, RedisError) as error:
            if self._redis:
                self._redis.close()
            self._redis = None
            raise ConnectionError(str(error)) from None

    def _delete(self, key: str) -> None:
        with contextlib.suppress(ConnectionError):
            self._ask("DEL", key)

    def _token(self) -> str | None:
        until = time.monotonic() + WAIT
        try:
            while time.monotonic() < until:
                found = self._ask("GET", "token")
                if found:
                    self._own = None
                    return found.decode()
                if self._ask("SET", "lock", "1", "NX", "PX", LOCK_MS):
                    return self._fetch_for_all()
                time.sleep(0.1)
            return None
        except ConnectionError:
            pass
        if not self._own or time.monotonic() >= self._own[1]:
            self._own = self._fetch()
        return self._own[0] if self._own else None

    def _fetch_for_all(self) -> str | None:
        made = self._fetch()
        if made:
            self._own = made  # in case that Redis goes away just now
            self._ask("SET", "token", made[0], "PX", int(1000 * (made[1] - time.monotonic())))
        self._delete("lock")
        return made[0] if made else None

    def _fetch(self) -> tuple[str, float] | None:
        """A token, and until when."""
        url = urlsplit(self._options.token_url)
        pair = f"{quote_plus(self._options.client)}:{quote_plus(self._options.secret)}"
        connection = http.client.HTTPSConnection("localhost", url.port, timeout=30,
                                                 context=self._tls)
        self._tally.count("posts")
        try:
            connection.request("POST", url.path, body="grant_type=client_credentials", headers={
                "Authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
                "Content-Type": "application/x-www-form-urlencoded"})
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                return None
            made = json.loads(body)
            return made["access_token"], time.monotonic() + made["expires_in"] - SAFETY_S
        except OSError:
            return None
        finally:
            connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("hosts", "socket", "token-url", "ca-file", "client"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    # what nobody else is to see comes as the first line
    options.secret, options.password = json.loads(sys.stdin.readline())
    tally = Tally()
    for _ in range(int(options.hosts)):
        Host(options, tally).start()
    for _ in sys.stdin:
        print(json.dumps(tally.read()), flush=True)


if __name__ == "__main__":
    main()
