"""What a hostile user does to the two sockets. Each attack is one short piece of work, drawn from a
seed, and tells what it received."""

import array
import contextlib
import mmap
import os
import random
import re
import socket
import struct
import threading
import time

PROFILES = ["open", "mine", "closed", "person", "guest", "nobodys"]
ROUTES = [("GET", "/v1/token"), ("GET", "/v1/token"), ("GET", "/v1/token"), ("GET", "/v1/status"),
          ("GET", "/v1/history"), ("GET", "/v1/skew"), ("POST", "/v1/skew/probe"),
          ("POST", "/v1/token/reject"), ("POST", "/v1/refresh"), ("POST", "/v1/revoke"),
          ("POST", "/v1/login"), ("POST", "/v1/login/finish"), ("POST", "/v1/logout"),
          ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("PUT", "/v1/token"),
          ("HEAD", "/v1/token"), ("GET", "/"), ("OPTIONS", "*")]
PARAMETERS = {"profile": PROFILES, "min_ttl": ["0", "1", "99", "2147483647", "-1"],
              "wait": ["0", "1", "2", "999999"], "after": ["0", "1", "18446744073709551615"],
              "generation": [*map(str, range(1, 20)), "1000000"], "fingerprint": ["0123456789abcdef", "x"],
              "state": ["x", "A" * 43, "%00"], "code": ["y", "%ff" * 20], "error": ["access_denied", "\x1b"],
              "iss": ["https://localhost", "x" * 300], "other": ["1"]}
NEEDED = {"/v1/token/reject": ["generation"], "/v1/login/finish": ["state", "code"]}
FIELDS = [b"Connection: close", b"Accept: text/plain", b"Accept: */*;q=0", b"Content-Length: 0",
          b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Expect: 100-continue",
          b"X: " + b"y" * 3000, b"Host: y", b" folded", b"Origin: http://evil.test"]
RECEIVED_MAX = 1 << 20  # of one attack


class Attacker:
    """One user's connections. `seen` is every word received that is long enough for a token."""

    def __init__(self, sockets: dict[str, str], draw: random.Random):
        self._sockets = sockets
        self._draw = draw
        self._unread: list[socket.socket] = []
        self._pages: list[mmap.mmap] = []
        self.seen: set[str] = set()
        self.done: dict[str, int] = {}

    def attack(self) -> None:
        """One, whatever comes of it."""
        what = self._draw.choice([
            self.asks, self.asks, self.asks, self.mutates, self.mutates, self.pipelines, self.rejects,
            self.half_closes, self.drips, self.takes_page, self.takes_page, self.reads_pages,
            self.leaves_page, self.passes, self.passes, self.does_not_read, self.waits_with_more,
            self.floods_logins, self.crowds, self.vanishes])
        with contextlib.suppress(OSError):
            what()
        self.done[what.__name__] = self.done.get(what.__name__, 0) + 1

    def note(self, data: bytes) -> None:
        self.seen.update(word.decode() for word in re.findall(rb"[A-Za-z0-9_.-]{20,}", data))

    # The means.

    @contextlib.contextmanager
    def connected(self, name: str = "http"):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(self._sockets[name])
            yield client

    def read(self, client: socket.socket, seconds: float = 0.3) -> bytes:
        """All that comes until a pause of so long."""
        got = b""
        client.settimeout(seconds)
        with contextlib.suppress(OSError):
            while len(got) < RECEIVED_MAX:
                data = client.recv(1 << 16)
                if not data:
                    break
                got += data
        self.note(got)
        return got

    def request(self, route=None) -> bytes:
        draw = self._draw
        method, path = route or draw.choice(ROUTES)
        names = draw.sample(list(PARAMETERS), draw.choice([0, 0, 0, 1, 2, 3]))
        if draw.random() < 0.8:
            names = list({*names, *NEEDED.get(path, []), "profile"})
            names.sort()  # a set has an order of its own in each run
        query = "&".join(f"{name}={draw.choice(PARAMETERS[name])}" for name in names)
        lines = [f"{method} {path}{'?' + query if query else ''} HTTP/1.1".encode(), b"Host: x"]
        if draw.random() < 0.3:
            lines += draw.sample(FIELDS, draw.randrange(1, 3))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def mutated(self, data: bytes) -> bytes:
        draw, out = self._draw, bytearray(data)
        for _ in range(draw.randrange(1, 6)):
            at = draw.randrange(len(out) + 1)
            how = draw.randrange(5)
            if how == 0 and at < len(out):
                out[at] ^= 1 << draw.randrange(8)
            elif how == 1:
                out[at:at] = draw.choice([b"\0", b"\r", b"\n", b"\r\n\r\n", b"%", b"&", b" ",
                                          b"\xff" * 9, draw.randbytes(4), b"a" * 9000])
            elif how == 2:
                del out[at:at + draw.randrange(1, 20)]
            elif how == 3:
                out[at:at] = out[draw.randrange(len(out) + 1):][:40]
            else:
                del out[at:]
        return bytes(out)

    # The attacks on the HTTP socket.

    def asks(self) -> None:
        with self.connected() as client:
            for _ in range(self._draw.randrange(1, 5)):
                client.sendall(self.request())
                self.read(client, 0.05)

    def rejects(self) -> None:
        """The token that it has just been given, again and again."""
        profile = self._draw.choice(["open", "mine", "guest"])
        with self.connected() as client:
            client.sendall(f"GET /v1/token?profile={profile} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            found = re.search(rb'"generation": ?(\d+)', self.read(client, 0.1))
            if found:
                target = f"/v1/token/reject?profile={profile}&generation={found[1].decode()}"
                client.sendall(f"POST {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 20)
                self.read(client)

    def mutates(self) -> None:
        with self.connected() as client:
            client.sendall(b"".join(self.mutated(self.request())
                                    for _ in range(self._draw.randrange(1, 4))))
            self.read(client, 0.1)

    def pipelines(self) -> None:
        with self.connected() as client:
            client.sendall(self.request() * self._draw.randrange(2, 100))
            self.read(client)

    def half_closes(self) -> None:
        with self.connected(self._draw.choice(["http", "page"])) as client:
            data = self.request()
            client.sendall(data[:self._draw.randrange(len(data) + 1)])
            client.shutdown(self._draw.choice([socket.SHUT_WR, socket.SHUT_RD]))
            self.read(client)

    def drips(self) -> None:
        with self.connected(self._draw.choice(["http", "page"])) as client:
            for byte in self.request()[:self._draw.randrange(40)]:
                client.sendall(bytes([byte]))
                time.sleep(0.02)
            self.read(client, 0.05)

    def floods_logins(self) -> None:
        with self.connected() as client:
            for route in ("/v1/login", "/v1/login/finish", "/v1/logout"):
                client.sendall(self.request(("POST", route)) * self._draw.randrange(1, 30))
            self.read(client)

    def left_open(self, name: str) -> socket.socket:
        """For as long as eight others of that kind are begun."""
        client = socket.socket(socket.AF_UNIX)
        self._unread.append(client)
        if len(self._unread) > 8:
            self._unread.pop(0).close()
        client.settimeout(0.2)
        client.connect(self._sockets[name])
        return client

    def does_not_read(self) -> None:
        """Replies pile up."""
        self.left_open("http").sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 300)

    def waits_with_more(self) -> None:
        """Requests pile up behind one that is held."""
        client = self.left_open("http")
        client.sendall(b"GET /v1/token?profile=open&after=9007199254740991&wait=5 HTTP/1.1\r\n"
                       b"Host: x\r\n\r\n" + self.request() * self._draw.randrange(1, 300))
        client.sendall(self.request())

    def crowds(self) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(self._draw.randrange(2, 60)):
                stack.enter_context(self.connected(self._draw.choice(["http", "page"])))

    def vanishes(self) -> None:
        for _ in range(10):
            with self.connected(self._draw.choice(["http", "page"])) as client:
                client.sendall(self.request()[:self._draw.randrange(60)])

    # Pages.

    def takes_page(self) -> None:
        line = f"page 1 {self._draw.choice(PROFILES)}\n".encode()
        if self._draw.random() < 0.3:
            line = self.mutated(line)
        with self.connected("page") as client:
            client.sendall(line)
            client.settimeout(0.3)
            answer, ancillary, _, _ = client.recvmsg(64, socket.CMSG_SPACE(16))
            self.note(answer)
            for _, _, data in ancillary:
                for fd in array.array("i", data[:len(data) - len(data) % 4]):
                    self._pages.append(mmap.mmap(fd, 0, prot=mmap.PROT_READ))
                    os.close(fd)
        if len(self._pages) > 8:
            self._pages.pop(0).close()
        self.reads_pages()

    def leaves_page(self) -> None:
        """Looked at, but not taken."""
        client = self.left_open("page")
        client.sendall(f"page 1 {self._draw.choice(PROFILES)}\n".encode())
        client.recv(4, socket.MSG_PEEK)
        how = self._draw.choice([socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR, None])
        if how is None:
            client.sendall(self.request())
        else:
            client.shutdown(how)

    def reads_pages(self) -> None:
        for page in self._pages:
            self.note(page[:])

    # Descriptors.

    def lingering(self) -> socket.socket:
        """Whose close takes seconds."""
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            listening.bind(("127.0.0.1", 0))
            listening.listen(1)
            sender = socket.socket()
            sender.connect(listening.getsockname())
            self._unread.append(listening.accept()[0])
        sender.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.send(b"x" * 65536)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3))
        return sender

    def passes(self) -> None:
        draw = self._draw
        kind = draw.randrange(4)
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with a, b, self.connected(draw.choice(["http", "page"])) as client:
            if kind == 0:
                given = [self.lingering()]
            elif kind == 1:  # a pair that holds another one, and itself
                inner = self.lingering()
                for one in (inner, b):
                    socket.send_fds(a, [b"x"], [one.fileno()])
                given = [inner]
            elif kind == 2:  # the connection itself
                given = [client.dup()]
            else:
                given = [os.fdopen(os.open("/dev/null", os.O_RDONLY), "rb") for _ in range(20)]
            try:
                descriptors = [one.fileno() for one in given] + ([b.fileno()] if kind == 1 else [])
                data = draw.choice([b"G", self.request(), b"page 1 open\n"])
                with contextlib.suppress(PermissionError):
                    socket.send_fds(client, [data], descriptors)
                    if draw.random() < 0.7:
                        self.read(client, 0.1)
            finally:
                for one in given:
                    # Whoever closes it last lingers, and that may be this side.
                    threading.Thread(target=one.close, daemon=True).start()
        while len(self._unread) > 8:
            self._unread.pop(0).close()
