"""What the fake received and did: one entry per request and one per connection. Secrets are kept
apart from the rest and shown only to whoever asks for them by name."""

import sys
import threading
import time
from collections import Counter, deque
from urllib.parse import parse_qsl

from .tokens import fingerprint

KEPT = 100_000
SHOWN_HEADERS = ("Host", "User-Agent", "Accept", "Content-Type", "Content-Length", "Connection",
                 "Accept-Encoding", "Expect", "Via", "Cookie")


def kind_of(method: str, path: str) -> str:
    """token, head, me, api, authorize or other: the kinds that faults and counts are told by."""
    if path == "/oauth/token":
        return "token" if method == "POST" else "head" if method == "HEAD" else "other"
    if path.startswith("/api/"):
        return "me" if path == "/api/v2/tokens/me" else "api"
    if method == "GET" and path in ("/oauth/authorize", "/oauth/authorize/answer"):
        return "authorize"
    return "head" if method == "HEAD" else "other"


def _authorization(value: str | None) -> str | None:
    if value is None:
        return None
    scheme, _, rest = value.partition(" ")
    return f"Bearer {fingerprint(rest)}" if scheme.lower() == "bearer" else f"{scheme} ..."


def _open_target(target: str) -> str:
    """The target with the values of its query left out: codes and tokens travel there."""
    path, mark, query = target.partition("?")
    return path + mark + "&".join(f"{name}=..." for name, _ in parse_qsl(query, True))


class Record:
    def __init__(self, verbose: bool):
        self._verbose = verbose
        self._changed = threading.Condition()
        self._start()

    def _start(self) -> None:
        self._entries: deque[dict] = deque(maxlen=KEPT)
        self._secrets: dict[int, dict] = {}
        self._number = 0
        self._received: Counter = Counter()
        self._answered: Counter = Counter()
        self._statuses: Counter = Counter()

    def reset(self) -> None:
        with self._changed:
            self._start()
            self._changed.notify_all()

    def received(self, request, connection, ordinal: int, clock_now: float) -> dict:
        kind = kind_of(request.method, request.path)
        form = dict(parse_qsl(request.body.decode("latin-1"))) if kind == "token" else {}
        entry = {
            "time": time.time(), "clock": clock_now, "kind": kind, "method": request.method,
            "target": _open_target(request.target), "version": request.version,
            "connection": connection.number, "on_connection": ordinal,
            "head_bytes": request.head_bytes, "body_bytes": len(request.body),
            "headers": {name: request.header(name) for name in SHOWN_HEADERS
                        if request.header(name) is not None},
            "authorization": _authorization(request.header("Authorization")),
            "grant_type": form.get("grant_type"), "fields": sorted(form),
            "auth": None, "client": None, "fault": None, "status": None, "token": None,
            "correlation_id": None, "answered": None,
        }
        with self._changed:
            self._number += 1
            entry["number"] = self._number
            if len(self._entries) == KEPT:
                self._secrets.pop(self._entries[0]["number"], None)
            self._entries.append(entry)
            self._secrets[self._number] = {
                "target": request.target, "body": request.body.decode("latin-1"),
                "header_lines": [f"{name}: {value}" for name, value in request.headers]}
            self._received[kind] += 1
            self._changed.notify_all()
        return entry

    def known(self, entry: dict, **what) -> None:
        """What is about to be answered."""
        with self._changed:
            entry.update(what)

    def answered(self, entry: dict, **what) -> None:
        """The exchange is over, however it ended; `what` completes the entry."""
        with self._changed:
            entry.update(what, answered=time.time())
            self._answered[entry["kind"]] += 1
            self._statuses[f"{entry['kind']} {entry['status'] or 'none'}"] += 1
            self._changed.notify_all()
        if self._verbose:
            parts = [f"#{entry['connection']}", entry["method"], entry["target"],
                     str(entry["status"] or "no answer")]
            parts += [f"{name}={entry[name]}" for name in ("client", "auth", "token", "fault")
                      if entry[name]]
            print(" ".join(parts), file=sys.stderr, flush=True)

    def entries(self, since: int = 0, kind: str | None = None, secrets: bool = False) -> list:
        with self._changed:
            chosen = [dict(entry) for entry in self._entries
                      if entry["number"] > since and kind in (None, entry["kind"])]
            if secrets:
                for entry in chosen:
                    entry["secrets"] = self._secrets.get(entry["number"])
            return chosen

    def counts(self) -> dict:
        with self._changed:
            return {"received": dict(self._received), "answered": dict(self._answered),
                    "statuses": dict(self._statuses)}

    def wait(self, kind: str, count: int, timeout: float, answered: bool) -> tuple[bool, int]:
        """Until `count` requests of the kind (`any`: all kinds) were received, or answered."""
        def reached() -> int:
            counter = self._answered if answered else self._received
            return sum(counter.values()) if kind == "any" else counter[kind]

        with self._changed:
            done = self._changed.wait_for(lambda: reached() >= count, timeout)
            return done, reached()
