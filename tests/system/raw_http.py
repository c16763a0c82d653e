"""Bytes to and from the daemon's socket, as no well-behaved client would send them."""

import os
import socket
import time

from daemon import GCTOKEND, WRAP, Daemon
from waiting import PATIENCE


class Raw:
    """One connection. Whatever arrives is kept in `received`, in the order it came."""

    def __init__(self, d: Daemon, timeout: float = 20.0):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(d.socket)  # waits its turn, which it would not with a timeout
        self.socket.settimeout(timeout * PATIENCE)
        self.received = b""
        self.ended = False

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """All of it, unless the daemon closes first: what it then answered is there to read."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def more(self) -> bool:
        """Waits for more bytes; False: there will be none."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.received += data
        self.ended = not data
        return bool(data)

    def answer(self, to: bytes = b"GET") -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, header fields by lower-case name, body (none to HEAD)."""
        while b"\r\n\r\n" not in self.received:
            assert self.more(), f"the connection ended after {self.received[:200]!r}"
        head, rest = self.received.split(b"\r\n\r\n", 1)
        lines = head.decode("ascii").split("\r\n")
        fields = {name.lower(): value.strip()
                  for name, value in (line.split(":", 1) for line in lines[1:])}
        length = 0 if to == b"HEAD" else int(fields.get("content-length", "0"))
        self.received = rest
        while len(self.received) < length:
            assert self.more(), "the connection ended within a body"
        body, self.received = self.received[:length], self.received[length:]
        return int(lines[0].split()[1]), fields, body

    def until_end(self) -> bytes:
        """All that comes until the daemon closes."""
        while self.more():
            pass
        return self.received

    def seconds_until_end(self) -> float:
        begun = time.monotonic()
        self.until_end()
        return time.monotonic() - begun


def descriptors(d: Daemon) -> int:
    """How many it has open. Only root may look into a process that keeps secrets: else 0."""
    try:
        return len(os.listdir(f"/proc/{d.process.pid}/fd"))
    except PermissionError:
        return 0


def is_sanitized(program: str) -> bool:
    with open(program, "rb") as file:
        return b"__asan_init" in file.read()


def memory_kib(d: Daemon) -> int:
    """Resident, of its own: pages of files that happen to be in memory do not count. 0 where a
    sanitizer or valgrind keeps what was freed: then there is nothing to judge."""
    if WRAP or is_sanitized(GCTOKEND):
        return 0
    with open(f"/proc/{d.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))


def cpu_seconds(d: Daemon) -> float:
    with open(f"/proc/{d.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
