"""Clients that ask at a steady pace until standard input ends, and then say how they fared.

    load.py SOCKET RATE CONNECTIONS

Half of them are plain HTTP clients that ask once more when a kept connection turns out to be closed,
as any HTTP library does; half use libgctoken. Each holds one connection. The answer, in JSON: per
kind how many `asked`, `failed` (and why), `again` (closed connections met), and the `generations`
seen; `slowest` in seconds."""

import ctypes
import http.client
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "system"))

from unix_http import UnixConnection, exchange  # noqa: E402

CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError,
          http.client.IncompleteRead, http.client.BadStatusLine)
WAIT_S = 60


class Token(ctypes.Structure):
    _fields_ = [("generation", ctypes.c_uint64), ("expires_in_ms", ctypes.c_int64),
                ("length", ctypes.c_uint32), ("state", ctypes.c_uint32),
                ("fingerprint", ctypes.c_char * 24), ("token", ctypes.c_char * (8192 + 8)),
                ("reserved", ctypes.c_ubyte * 64)]


class Refused(Exception):
    pass


class Plain:
    def __init__(self, socket: str):
        self.socket, self.connection, self.again = socket, None, 0

    def _once(self) -> int:
        if self.connection is None:
            self.connection = UnixConnection(self.socket, WAIT_S)
        try:
            answer = exchange(self.connection, "GET", "/v1/token?profile=default&wait=30")
        except BaseException:
            self.connection.close()
            self.connection = None
            raise
        if answer.headers.get("Connection") == "close":
            self.connection.close()
            self.connection = None
        if answer.status != 200:
            raise Refused(f"status {answer.status}")
        return answer.json["generation"]

    def ask(self) -> int:
        try:
            return self._once()
        except CLOSED:
            self.again += 1
            return self._once()


class Library:
    """Of the build or the package that is installed."""

    def __init__(self, socket: str):
        self.again = 0
        self._lib = ctypes.CDLL("libgctoken.so.0")
        self._lib.gctoken_strerror.restype = ctypes.c_char_p
        self._handle = ctypes.c_void_p()
        self._token = Token()
        self._check(self._lib.gctoken_open(ctypes.byref(self._handle), socket.encode(),
                                           b"default"))

    def _check(self, error: int) -> None:
        if error:
            raise Refused(self._lib.gctoken_strerror(error).decode())

    def ask(self) -> int:
        self._check(self._lib.gctoken_get(self._handle, ctypes.byref(self._token), 0,
                                          WAIT_S * 1000))
        return self._token.generation


def loop(client, pace: float, ended: threading.Event, counts: dict, lock: threading.Lock) -> None:
    due = time.monotonic()
    while not ended.is_set():
        due += pace
        ahead = due - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        begun, generation, problem = time.monotonic(), None, None
        try:
            generation = client.ask()
        except Exception as error:  # whatever it is, it is what a program would have met
            problem = f"{type(error).__name__}: {error}"
        with lock:
            counts["asked"] += 1
            counts["slowest"] = max(counts["slowest"], time.monotonic() - begun)
            if problem:
                counts["failed"].append(problem)
            elif generation not in counts["generations"]:
                counts["generations"].append(generation)
    with lock:
        counts["again"] += client.again


def main() -> None:
    socket, rate, connections = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    ended, lock, threads, begun = threading.Event(), threading.Lock(), [], time.monotonic()
    result = {kind.__name__.lower(): {"asked": 0, "failed": [], "again": 0, "generations": [],
                                      "slowest": 0.0} for kind in (Plain, Library)}
    for number in range(connections):
        kind = (Plain, Library)[number % 2]
        threads.append(threading.Thread(target=loop, args=(
            kind(socket), connections / rate, ended, result[kind.__name__.lower()], lock)))
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    result["seconds"] = time.monotonic() - begun
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
