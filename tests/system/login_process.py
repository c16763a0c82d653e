"""`gctoken login` while it runs: what it says, and the browser that comes back to it."""

import http.client
import os
import socket
import subprocess
import threading
from urllib.parse import urlencode, urlsplit

from daemon import GCTOKEN, environment
from waiting import PATIENCE, wait_until

# No browser is opened unless a test names one.
QUIET = {"BROWSER": None, "DISPLAY": None, "WAYLAND_DISPLAY": None}


def free_port() -> int:
    """One that nobody listens at on either loopback address right now."""
    while True:
        with socket.socket() as four, socket.socket(socket.AF_INET6) as six:
            four.bind(("127.0.0.1", 0))
            port = four.getsockname()[1]
            try:
                six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                six.bind(("::1", port))
            except OSError as error:
                if error.errno != 99:  # no IPv6 here
                    continue
            return port


class LoginProcess:
    """`gctoken login` with more arguments. Its output is gathered as it comes."""

    def __init__(self, socket_path: str, *arguments: str, wrap: tuple[str, ...] = (),
                 stdin=subprocess.DEVNULL, pass_fds: tuple[int, ...] = (), **env: str | None):
        self.process = subprocess.Popen(
            [*wrap, GCTOKEN, "login", *arguments], stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, pass_fds=pass_fds, env=environment(GCTOKEN_SOCKET=socket_path, **{**QUIET, **env}))
        self._out, self._err = bytearray(), bytearray()
        self._readers = [threading.Thread(target=self._gather, args=pair, daemon=True)
                         for pair in ((self.process.stdout, self._out),
                                      (self.process.stderr, self._err))]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _gather(stream, into: bytearray) -> None:
        while data := os.read(stream.fileno(), 65536):
            into += data

    @property
    def stdout(self) -> str:
        return bytes(self._out).decode()

    @property
    def stderr(self) -> str:
        return bytes(self._err).decode()

    def url(self) -> str:
        """The address it tells the person to open. With it in sight, it listens."""
        def told() -> str | None:
            for line in (self.stdout + "\n" + self.stderr).splitlines():
                if line.strip().startswith("https://"):
                    return line.strip()
            assert self.process.poll() is None, f"it ended: {self.stderr}"
            return None

        return wait_until(told, "the address to open")

    def wait(self, timeout: float = 20.0) -> int:
        """Until it ends; its exit code."""
        code = self.process.wait(timeout * PATIENCE)
        for reader in self._readers:
            reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def end(self) -> None:
        """Whatever became of it; for the end of a test."""
        if self.process.returncode is None:
            self.process.kill()
            self.wait()


def come_back(uri: str, headers: dict[str, str] | None = None, method: str = "GET",
              **query: str) -> tuple[int, http.client.HTTPMessage, str]:
    """A browser that was sent to this address: the status, header and text of what it gets."""
    parts = urlsplit(uri)
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    if query:
        target += ("&" if parts.query else "?") + urlencode(query)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30 * PATIENCE)
    try:
        connection.putrequest(method, target, skip_host=bool(headers and "Host" in headers))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()
