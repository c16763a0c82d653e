"""libgctoken as programs use it, and child processes that are somebody else."""

import contextlib
import ctypes
import json
import os
import traceback
from dataclasses import dataclass

from daemon import GCTOKEN, Daemon
from users import User
from waiting import PATIENCE

# A library with a sanitizer loads into no other program: GCTOKEN_LIBRARY can name one without.
LIBRARY = os.environ.get("GCTOKEN_LIBRARY") \
    or os.path.join(os.path.dirname(os.path.abspath(GCTOKEN)), "libgctoken.so.0")

UNREACHABLE, DENIED, TIMEOUT, UNAVAILABLE, TOO_MANY, LOGIN_REQUIRED, REJECTED, REVOKED = range(1, 9)
UNKNOWN_PROFILE, REFUSED, BAD_ANSWER, NO_CHANGE = range(9, 13)
STATES = ("unknown", "fresh", "stale")


class _Token(ctypes.Structure):
    _fields_ = [("generation", ctypes.c_uint64), ("expires_in_ms", ctypes.c_int64),
                ("length", ctypes.c_uint32), ("state", ctypes.c_uint32),
                ("fingerprint", ctypes.c_char * 24), ("token", ctypes.c_char * 8200),
                ("reserved", ctypes.c_ubyte * 64)]


@dataclass(frozen=True)
class Token:
    generation: int
    expires_in_ms: int
    state: str
    fingerprint: str
    token: str


class GctokenError(Exception):
    def __init__(self, code: int):
        super().__init__(f"gctoken: {code}")
        self.code = code


class Library:
    """A handle. Each call returns a Token or raises GctokenError."""

    def __init__(self, socket: str, profile: str = "default"):
        self._library = ctypes.CDLL(LIBRARY)
        self._handle = ctypes.c_void_p()
        self._check(self._library.gctoken_open(ctypes.byref(self._handle), socket.encode(),
                                               profile.encode()))

    @staticmethod
    def _check(code: int) -> None:
        if code:
            raise GctokenError(code)

    def _token(self, function: str, *arguments) -> Token:
        t = _Token()
        before, after = arguments
        self._check(getattr(self._library, function)(self._handle, *before, ctypes.byref(t),
                                                     *after))
        return Token(t.generation, t.expires_in_ms, STATES[t.state], t.fingerprint.decode(),
                     t.token.decode())

    def get(self, min_ttl: int = 0, wait: float = 5.0) -> Token:
        return self._token("gctoken_get", (), (min_ttl, int(wait * 1000 * PATIENCE)))

    def reject(self, bad: Token, wait: float = 5.0) -> Token:
        reported = _Token(generation=bad.generation)
        return self._token("gctoken_reject", (ctypes.byref(reported),),
                           (int(wait * 1000 * PATIENCE),))

    def wait_change(self, generation: int, wait: float = 5.0) -> Token:
        return self._token("gctoken_wait_change", (ctypes.c_uint64(generation),),
                           (int(wait * 1000 * PATIENCE),))

    def close(self) -> None:
        self._library.gctoken_close(self._handle)


@contextlib.contextmanager
def library(d: Daemon, profile: str = "default"):
    one = Library(d.socket, profile)
    try:
        yield one
    finally:
        one.close()


def in_child(function, user: User | None = None):
    """What `function` returns (as JSON has it), called by a child process: of another user, if
    one is given, for whom nothing has to be readable but what is loaded already."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(read)
            if user:
                os.setgroups(user.groups)
                os.setgid(user.gid)
                os.setuid(user.uid)
            os.write(write, json.dumps(function()).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, "the child failed, see its traceback"
    return json.loads(text)
