"""The foreign login server as a test holds it: a process (server.mjs) whose clock is moved by
libfaketime, also while it runs. It has the surface of the fake that Daemon and TokenUser use."""

import email.utils
import glob
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from typing import Any

from daemon import canary, environment
from fake import REPOSITORY
from unix_http import ask
from waiting import PATIENCE, wait_until

sys.path.insert(0, os.path.join(REPOSITORY, "tests"))
from fake_genesys.tls import Authority  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
# The one for programs with threads, which node is.
FAKETIME = sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0

# Asked for as `extra_params`, it makes the server issue JWTs; without, its tokens are opaque.
JWT_RESOURCE = "resource=https%3A%2F%2Fapi.interop.example%2F"


class OidcServer:
    """One process with one client, or those given. `ahead`: how many seconds its clock starts
    ahead of this machine's."""

    def __init__(self, clients: list[dict] | None = None, lifetime: int = 10, ahead: float = 0.0):
        assert FAKETIME, "libfaketime is not installed (Debian: apt install libfaketime)"
        self._home = tempfile.TemporaryDirectory(prefix="gct-oidc-")
        self.directory = self._home.name
        self.clients = clients or [{"id": "interop-client", "secret": canary()}]
        self.lifetime, self.ahead = lifetime, ahead
        self._tokens: set[str] = set()
        authority = Authority(self._path("tls"))
        self.ca_file, self.control = authority.ca_file, self._path("control.sock")
        settings = {"key": self._path("tls/good.key"), "certificate": self._path("tls/good.pem"),
                    "control": self.control, "lifetime": lifetime, "clients": self.clients}
        with open(os.open(self._path("settings.json"), os.O_CREAT | os.O_WRONLY, 0o600), "w",
                  encoding="utf-8") as file:
            json.dump(settings, file)
        self._set_clock()
        self._output = open(self._path("output"), "w+b")
        self.process = subprocess.Popen(
            ["node", os.path.join(HERE, "server.mjs"), self._path("settings.json")],
            stdin=subprocess.PIPE, stdout=self._output, stderr=self._output, env=environment(
                LD_PRELOAD=FAKETIME[-1], FAKETIME_TIMESTAMP_FILE=self._path("clock"),
                FAKETIME_CACHE_DURATION="1", DONT_FAKE_MONOTONIC="1", FAKETIME=None,
                NODE_EXTRA_CA_CERTS=self.ca_file, NODE_OPTIONS=None))
        try:
            self.url = wait_until(self._ready, "a ready oidc-provider", START_TIMEOUT)["url"]
            self.port = int(self.url.rpartition(":")[2])
            self.token_url, self.api_url = self.url + "/oauth/token", self.url
            self.authorize_url = self.url + "/oauth/authorize"
            self._check_clock()
        except BaseException:
            self.stop()
            raise

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _ready(self) -> dict | None:
        if self.process.poll() is not None:
            raise AssertionError(f"oidc-provider did not start:\n{self.output_text()}")
        try:
            return self.control_get("/ready")
        except (FileNotFoundError, ConnectionRefusedError):
            return None

    def output_text(self) -> str:
        with open(self._output.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    # Its clock.

    def _set_clock(self) -> None:
        """The file is read while it is replaced: never let it be seen half written."""
        with open(self._path("clock.new"), "w", encoding="ascii") as file:
            file.write(f"{self.ahead:+.3f}\n")
        os.replace(self._path("clock.new"), self._path("clock"))

    def _clock_is_set(self) -> bool:
        before = time.time()
        clock = self.control_get("/time")["clocks"][0]
        # Its clock reads microseconds, ours nanoseconds.
        return before - 1e-5 <= clock - self.ahead <= time.time() + 1e-5

    def _check_clock(self) -> None:
        """A test whose clock is not where it says would pass for the wrong reason."""
        assert self._clock_is_set(), f"the server's clock is not {self.ahead:+g} s ahead"

    def step(self, seconds: float) -> None:
        """Somebody sets its clock; all of the server has noticed when this returns. (libfaketime
        looks into its file once in a second, and node keeps the line `Date` for as long.)"""
        self.ahead += seconds
        self._set_clock()
        wait_until(self._clock_is_set, "the server's new time", pause=0.02)
        wait_until(self._date_is_set, "the server's new Date", pause=0.02)

    def _date_is_set(self) -> bool:
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=10 * PATIENCE,
            context=ssl.create_default_context(cafile=self.ca_file))
        try:
            connection.request("GET", "/jwks")
            date = connection.getresponse().headers["Date"]
        finally:
            connection.close()
        parsed = email.utils.parsedate_to_datetime(date).timestamp()
        return abs(parsed + 0.5 - (time.time() + self.ahead)) < 2

    # What it knows.

    def control_get(self, target: str) -> Any:
        answer = ask(self.control, "GET", target, timeout=30 * PATIENCE)
        assert answer.status == 200, f"{target}: {answer.status}"
        return answer.json

    def tokens(self) -> list[dict]:
        """All that it issued, with the end of each by its clock."""
        tokens = self.control_get("/tokens")
        self._tokens.update(token["token"] for token in tokens)
        self._tokens.update(filter(None, (token["refresh_token"] for token in tokens)))
        return tokens

    def refreshes(self) -> list[dict]:
        """Each use of a refresh token: `used` and `successor` are fingerprints, `error` its words."""
        return self.control_get("/refreshes")

    @property
    def posts(self) -> int:
        return self.control_get("/stats")["posts"]

    def known_secrets(self) -> set[str]:
        if self.process.poll() is None:
            self.tokens()
        return {client["secret"] for client in self.clients if client["secret"]} | self._tokens

    # The end.

    def stop(self) -> None:
        if self.process.returncode is not None:
            return
        try:
            if self.process.poll() is None and os.path.exists(self.control):
                self.tokens()
            self.process.stdin.close()
            code = self.process.wait(STOP_TIMEOUT * PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        text = self.output_text()
        print(text)  # pytest shows it if the test failed
        self._output.close()
        self._home.cleanup()
        assert code == 0, f"oidc-provider ended with {code}:\n{text}"
