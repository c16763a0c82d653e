"""Scripted faults: what a test wants the next requests of a kind to meet instead of a proper
answer. This file knows what a fault may say and whose turn it is; actions.py carries it out."""

import base64
import binascii
import itertools
import threading
from typing import Any

KINDS = ("token", "head", "me", "api", "authorize", "other", "any", "connect")
ENDS = ("clean", "abrupt", "reset")


class FaultError(ValueError):
    """A fault that is not understood; the text says what would be."""


def _whole(lowest: int):
    def check(value: Any) -> int:
        if type(value) is not int or value < lowest:
            raise FaultError(f"a whole number of {lowest} or more is wanted")
        return value

    return check


def _any_whole(value: Any) -> int:
    if type(value) is not int:
        raise FaultError("a whole number is wanted")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise FaultError("seconds of 0 or more are wanted")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise FaultError("a text is wanted")
    return value


def _base64(value: Any) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except binascii.Error:
        raise FaultError("base64 is wanted") from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise FaultError("true or false is wanted")
    return value


def _object(value: Any) -> dict:
    if not isinstance(value, dict):
        raise FaultError("an object is wanted")
    return value


def _fields(value: Any) -> dict:
    if not all(content is None or isinstance(content, str) for content in _object(value).values()):
        raise FaultError("an object of header names and texts (null: leave it out) is wanted")
    return value


def _one_of(*allowed: str):
    def check(value: Any) -> str:
        if value not in allowed:
            raise FaultError(f"one of {', '.join(allowed)} is wanted")
        return value

    return check


_END = {"how": (_one_of(*ENDS), "clean")}

# action -> its members: (check, default). What each does is told in docs/fake-genesys.md.
ACTIONS: dict[str, dict[str, tuple]] = {
    "close": _END,
    "hang": {"seconds": (_seconds, 0.0), **_END},
    "delay": {"work": (_seconds, 0.0), "answer": (_seconds, 0.0), "body": (_seconds, 0.0)},
    "answer": {"status": (_whole(100), 200), "headers": (_fields, {}), "body": (_text, ""),
               "body_base64": (_base64, None), "chunked": (_flag, False)},
    "members": {"members": (_object, {}), "headers": (_fields, {}), "status": (_whole(100), 200)},
    "redirect": {"status": (_whole(300), 302), "location": (_text, None)},
    "cut": {"at": (_any_whole, 0), **_END},
    "bytes": {"text": (_text, ""), "base64": (_base64, None),
              "repeat_text": (_text, ""), "repeat_base64": (_base64, None),
              "repeat": (_whole(-1), 0), "piece": (_whole(0), 0), "pause": (_seconds, 0.0),
              "then": (_one_of(*ENDS, "keep", "hang"), "clean")},
    "chunks": {"size": (_whole(1), 4096), "count": (_whole(-1), -1), "pause": (_seconds, 0.0)},
    "informational": {"status": (_whole(100), 103), "count": (_whole(-1), 1),
                      "headers": (_fields, {}), "pause": (_seconds, 0.0)},
    "revoke": {},
}

COMMON = {"kind": (_one_of(*KINDS), "any"), "times": (_whole(-1), 1), "after": (_whole(0), 0),
          "client": (_text, None), "path": (_text, None), "grant": (_text, None),
          "note": (_text, "")}

# Before there is a request only these make sense; `stage`: before or after the TLS handshake.
CONNECT_ACTIONS = ("close", "hang", "bytes")
CONNECT = {"stage": (_one_of("tcp", "tls"), "tls")}


class Fault:
    def __init__(self, number: int, described: Any):
        described = _object(described)
        action = described.get("action")
        if action not in ACTIONS:
            raise FaultError(f"action: one of {', '.join(ACTIONS)} is wanted")
        members = {**COMMON, **ACTIONS[action]}
        if described.get("kind") == "connect":
            if action not in CONNECT_ACTIONS:
                raise FaultError(f"action: with kind connect one of {', '.join(CONNECT_ACTIONS)} "
                                 "is wanted")
            members.update(CONNECT)
        unknown = set(described) - set(members) - {"action"}
        if unknown:
            raise FaultError(f"{', '.join(sorted(unknown))}: not a member of {action}; these are: "
                             + ", ".join(members))
        self.number = number
        self.action = action
        self.used = 0
        self._described = described
        self._members = {}
        for name, (check, default) in members.items():
            try:
                self._members[name] = check(described[name]) if name in described else default
            except FaultError as error:
                raise FaultError(f"{name}: {error}") from None
        if action == "redirect" and self._members["location"] is None:
            raise FaultError("location: a redirect needs one")
        self._skip = self._members["after"]

    def __getitem__(self, name: str) -> Any:
        return self._members[name]

    def content(self, name: str) -> bytes:
        """What is to be sent: the base64 member if it is there, else the text one."""
        plain, encoded = {"body": ("body", "body_base64"), "bytes": ("text", "base64"),
                          "repeat": ("repeat_text", "repeat_base64")}[name]
        if self._members[encoded] is not None:
            return self._members[encoded]
        return self._members[plain].encode("utf-8", "surrogatepass")

    def matches(self, kind: str, path: str, client: str | None, grant: str | None) -> bool:
        return (self["kind"] == kind or (self["kind"] == "any" and kind != "connect")) \
            and self["path"] in (None, path) and self["client"] in (None, client) \
            and self["grant"] in (None, grant)

    def take(self) -> bool:
        if self._skip > 0:
            self._skip -= 1
            return False
        self.used += 1
        return True

    @property
    def spent(self) -> bool:
        return self["times"] != -1 and self.used >= self["times"]

    def as_dict(self) -> dict:
        return {**self._described, "number": self.number, "used": self.used, "spent": self.spent}


class Faults:
    def __init__(self):
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._faults: list[Fault] = []

    def add(self, described: Any) -> Fault:
        fault = Fault(next(self._numbers), described)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> int:
        """How many were not yet spent."""
        with self._lock:
            pending = sum(not fault.spent for fault in self._faults)
            self._faults = []
            return pending

    def take(self, kind: str, path: str = "", client: str | None = None,
             stage: str | None = None, grant: str | None = None) -> Fault | None:
        """The first fault whose turn this is. One that still skips (`after`) lets the next try."""
        with self._lock:
            for fault in self._faults:
                if fault.spent or not fault.matches(kind, path, client, grant):
                    continue
                if stage is not None and fault["stage"] != stage:
                    continue
                if fault.take():
                    return fault
            return None

    def as_list(self) -> list[dict]:
        with self._lock:
            return [fault.as_dict() for fault in self._faults]
