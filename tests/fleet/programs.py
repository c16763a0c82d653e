"""A program on each host, which uses the fleet's token again and again, and counts."""

import http.client
import random
import ssl
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

from unix_http import exchange
from waiting import PATIENCE

PAUSE = 0.5  # between two calls, on the average
WAIT = 1  # it is held by the broker for so long


class Api:
    """Genesys Cloud's API as one program sees it, on a connection of its own."""

    def __init__(self, fake):
        self._port = urlsplit(fake.api_url).port
        self._tls = ssl.create_default_context(cafile=fake.ca_file)
        self._connection: http.client.HTTPSConnection | None = None

    def takes(self, token: str) -> bool:
        for _ in range(3):
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(
                    "localhost", self._port, timeout=30 * PATIENCE, context=self._tls)
            try:
                return exchange(self._connection, "GET", "/api/v2/users/me",
                                {"Authorization": f"Bearer {token}"}).status == 200
            except (OSError, http.client.HTTPException):
                self.close()
        raise ConnectionError("the API cannot be reached")

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


class Tally:
    """What all programs of one kind saw."""

    def __init__(self):
        self._lock = threading.Lock()
        self._counts: Counter = Counter()

    def count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def read(self) -> Counter:
        with self._lock:
            return Counter(self._counts)


class Program(threading.Thread):
    """`calls`, of which `without` a token, and `refused` by the API. While the host is `away`, its
    program is away as well."""

    def __init__(self, host, fake, tally: Tally):
        super().__init__(daemon=True)
        self.away = False
        self._host, self._tally, self._api = host, tally, Api(fake)
        self._connection = None
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(random.uniform(0.5, 1.5) * PAUSE):
            if self.away:
                self._close()
            else:
                self._call()
        self._close()
        self._api.close()

    def _ask(self, method: str, target: str):
        if self._connection is None:
            self._connection = self._host.connect()
        return exchange(self._connection, method, target)

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _call(self) -> None:
        outcome = "without"
        generation = 0
        try:
            answer = self._ask("GET", f"/v1/token?wait={WAIT}")
            if answer.status == 200:
                generation = int(answer.headers["Gctoken-Generation"])
                outcome = "good" if self._api.takes(answer.json["access_token"]) else "refused"
        except (OSError, http.client.HTTPException):
            self._close()
        if self.away:
            return
        self._tally.count("calls")
        self._tally.count(outcome)
        if outcome == "refused":
            try:
                self._ask("POST", f"/v1/token/reject?generation={generation}&wait=0")
            except (OSError, http.client.HTTPException):
                self._close()

    def stop(self) -> None:
        self._over.set()
        self.join()


def latencies(host, count: int) -> list[float]:
    """How long so many requests for a token took, one after another, in ms; sorted."""
    connection = host.connect()
    taken = []
    try:
        for _ in range(count):
            begun = time.perf_counter()
            assert exchange(connection, "GET", "/v1/token").status == 200
            taken.append(1000 * (time.perf_counter() - begun))
    finally:
        connection.close()
    return sorted(taken)
