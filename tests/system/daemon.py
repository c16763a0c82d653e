"""The real gctokend as a test holds it: its configuration, its process, its socket."""

import base64
import http.client
import io
import os
import re
import secrets
import shlex
import signal
import subprocess
import tempfile
from typing import Any
from urllib.parse import quote, quote_plus

from fake import REPOSITORY, Fake
from unix_http import Answer, UnixConnection, ask
from waiting import PATIENCE, wait_until

GCTOKEND = os.environ.get("GCTOKEND") or os.path.join(REPOSITORY, "build", "daemon", "gctokend")
GCTOKEN = os.environ.get("GCTOKEN") or os.path.join(REPOSITORY, "build", "client-lib", "gctoken")
# Words to put before the daemon's command, e.g. GCTOKEND_WRAP="valgrind -q --error-exitcode=99".
WRAP = shlex.split(os.environ.get("GCTOKEND_WRAP", ""))

# How the daemon is started; tests/manager has systemd do it.
spawn = subprocess.Popen

START_TIMEOUT = 10.0
STOP_TIMEOUT = 10.0


def canary() -> str:
    """A secret that no log can hold by chance, with what form-encoding has to carry."""
    return f"canary-{secrets.token_hex(12)}:+/%"


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment without what would steer the programs under test."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("GCTOKEN", "GENESYSCLOUD", "NOTIFY_", "LISTEN_", "WATCHDOG_",
                                    "JOURNAL_STREAM", "STATE_DIRECTORY", "CREDENTIALS_"))
            and name.lower() not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")}
    kept.update({name: value for name, value in changes.items() if value is not None})
    return {name: value for name, value in kept.items() if changes.get(name, "") is not None}


class Daemon:
    """A folder with a configuration, and the process that runs with it (again and again, if the
    test restarts it). Root may ask for everything; what others may is up to the test."""

    def __init__(self, fake: Fake | None = None, profile: dict[str, Any] | None = None,
                 profiles: dict[str, dict[str, Any]] | None = None,
                 broker: dict[str, Any] | None = None, config: str | None = None,
                 env: dict[str, str] | None = None, wrap: list[str] | None = None):
        # Not below pytest's tmp_path: a socket's path has to fit into 108 bytes.
        self._home = tempfile.TemporaryDirectory(prefix="gct-")
        self.directory = self._home.name
        os.chmod(self.directory, 0o711)  # other users reach the socket, and see nothing else
        self.socket = self.path("gctokend.sock")
        self.config_file = self.path("gctokend.conf")
        self.state_dir = self.path("state")
        os.mkdir(self.state_dir, 0o700)
        self.fake = fake
        self.program = GCTOKEND
        self.env = dict(env or {})
        self.wrap = WRAP + (wrap or [])
        self.pass_fds: tuple[int, ...] = ()
        self.broker: dict[str, Any] = {
            "socket": self.socket, "socket_group": "", "page_socket": self.path("page.sock"),
            "state_dir": self.state_dir, **(broker or {})}
        self.profiles: dict[str, dict[str, Any]] = {}
        self.process: subprocess.Popen | None = None
        self._secrets: set[str] = set()
        self._stderr = open(self.path("stderr"), "w+b")
        for name, changes in (profiles or {"default": {}}).items():
            self.add_profile(name, **{**changes, **(profile or {})})
        self.write_config(config)

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    # The configuration.

    def add_profile(self, name: str, **keys: Any) -> None:
        """Against the fake with its first client, where `keys` say nothing else; `secret` is the
        client's secret, None for a public client. A None leaves a key out."""
        client = self.fake.clients[0] if self.fake else {"id": "nobody", "secret": canary()}
        secret = keys.pop("secret", client["secret"])
        settings: dict[str, Any] = {"client_id": client["id"]}
        if secret is not None:
            settings["client_secret_file"] = self.path(f"{name}.secret")
        if self.fake:
            if keys.get("grant") == "authorization_code":
                settings["authorize_url"] = self.fake.authorize_url
            settings.update(token_url=self.fake.token_url, api_url=self.fake.api_url,
                            ca_file=self.fake.ca_file)
        self.profiles[name] = {**settings, **keys}
        if secret is not None:
            self.set_secret(name, secret)

    def set_secret(self, name: str, secret: str) -> None:
        """Into the profile's secret file, mode 0600. A running daemon reads it on reload."""
        self._secrets.add(secret)
        made = self.path(f"{name}.secret.new")
        with open(os.open(made, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w",
                  encoding="utf-8") as file:
            file.write(secret + "\n")
        os.replace(made, self.path(f"{name}.secret"))

    def config_text(self) -> str:
        lines = ["[broker]"]
        sections = [self.broker] + list(self.profiles.values())
        for number, (name, keys) in enumerate(zip(["", *self.profiles], sections)):
            if number:
                lines.append(f"\n[profile {name}]")
            lines += [f"{key} = {self._value(value)}".rstrip() for key, value in keys.items()
                      if value is not None]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _value(value: Any) -> str:
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)

    def write_config(self, text: str | None = None) -> None:
        """This text, or what `broker` and `profiles` say now."""
        with open(self.config_file, "w", encoding="utf-8") as file:
            file.write(self.config_text() if text is None else text)

    # The process.

    def start(self, ready: bool = True) -> "Daemon":
        """Starts it and waits until /healthz answers. With ready=False it does not wait."""
        assert self.process is None, "it runs already"
        self.process = spawn(
            [*self.wrap, self.program, "-c", self.config_file], env=environment(**self.env),
            stdin=subprocess.DEVNULL, stdout=self._stderr, stderr=self._stderr,
            cwd=self.directory, pass_fds=self.pass_fds)
        if ready:
            wait_until(self._healthy, "gctokend's /healthz", START_TIMEOUT)
        return self

    def _healthy(self) -> bool:
        code = self.process.poll()
        if code is not None:
            self.process = None
            raise AssertionError(f"gctokend ended with {code} at its start:\n"
                                 + self.stderr_text())
        try:
            return ask(self.socket, "GET", "/healthz", timeout=2.0 * PATIENCE).status == 200
        except (OSError, EOFError):
            return False

    def wait_exit(self, timeout: float = STOP_TIMEOUT) -> int:
        """Until it ends by itself (or was told to by other means); its exit code."""
        try:
            code = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.process = None
            raise AssertionError(f"gctokend did not end in {timeout * PATIENCE:g} s:\n"
                                 + self.stderr_text()) from None
        self.process = None
        return code

    def stop(self) -> None:
        """SIGTERM; a clean end is exit code 0, no socket left, no secret told."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.wait_exit()
        assert code == 0, f"gctokend ended with {code}:\n{self.stderr_text()}"
        self.assert_no_leak()

    def kill(self) -> None:
        """kill -9, as a crash would end it."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def reload(self) -> None:
        """SIGHUP, once it is sent; `wait_log` tells when it is done."""
        self.process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        """What the fixture does at the end of a test."""
        try:
            self.stop()
            self.assert_no_leak()
            print(self.stderr_text())  # pytest shows it if the test failed
        finally:
            self._stderr.close()
            self._home.cleanup()

    # What it says.

    def stderr_text(self) -> str:
        with open(self._stderr.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_log(self, pattern: str, timeout: float = 10.0, since: int = 0) -> re.Match:
        """The first match of the pattern in what it logged, from that position on. A line that is
        being written counts when it is whole."""
        def found():
            text = self.stderr_text()
            return re.compile(pattern, re.M).search(text, since, text.rfind("\n") + 1)
        try:
            return wait_until(found, f"a log line like {pattern!r}", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; it logged:\n{self.stderr_text()}") from None

    def secrets(self) -> set[str]:
        """Each secret of this daemon's, in each form in which it could leak."""
        plain = set(self._secrets) | (self.fake.known_secrets() if self.fake else set())
        forms = set(plain)
        for secret in self._secrets:
            forms |= {quote(secret, safe=""), quote_plus(secret)}
            for keys in self.profiles.values():
                pair = f"{quote_plus(str(keys.get('client_id')))}:{quote_plus(secret)}"
                forms.add(base64.b64encode(pair.encode()).decode())
        return forms

    def assert_no_leak(self, text: str | None = None, where: str = "the log") -> None:
        """No secret and no token stands in the text (by default in all that it logged)."""
        text = self.stderr_text() if text is None else text
        leaked = sum(secret in text for secret in self.secrets())
        assert leaked == 0, f"{leaked} secrets or tokens are in {where}"

    # Its clients.

    def connect(self, timeout: float = 30.0) -> UnixConnection:
        """A connection to keep; see unix_http.exchange."""
        return UnixConnection(self.socket, timeout * PATIENCE)

    def get(self, target: str, headers: dict[str, str] | None = None,
            timeout: float = 30.0) -> Answer:
        return ask(self.socket, "GET", target, headers, timeout=timeout * PATIENCE)

    def post(self, target: str, headers: dict[str, str] | None = None,
             timeout: float = 30.0) -> Answer:
        return ask(self.socket, "POST", target, headers, timeout=timeout * PATIENCE)

    def token(self, profile: str = "default", **query: Any) -> Answer:
        """GET /v1/token; `query`: min_ttl, wait, after."""
        parts = [f"profile={profile}"] + [f"{name}={value}" for name, value in query.items()]
        return self.get("/v1/token?" + "&".join(parts))

    def ask_as(self, uid: int, method: str, target: str, gid: int | None = None,
               groups: tuple[int, ...] = ()) -> Answer:
        """The same by another user (needs root, and a socket_mode that lets that user in). By way
        of curl, because another user may not be able to read this folder."""
        run = subprocess.run(
            ["curl", "-q", "-s", "-i", "-X", method, "--max-time", str(30 * PATIENCE),
             "--unix-socket", self.socket, "http://localhost" + target],
            user=uid, group=uid if gid is None else gid, extra_groups=list(groups), cwd="/",
            env=environment(), stdin=subprocess.DEVNULL, capture_output=True)
        assert run.returncode == 0, f"curl as user {uid} ended with {run.returncode}"
        reader = io.BytesIO(run.stdout)
        status = int(reader.readline().split()[1])
        headers = http.client.parse_headers(reader)
        return Answer(status, headers, reader.read())

    def status(self, profile: str = "default") -> dict:
        """That profile's part of GET /v1/status."""
        answer = self.get("/v1/status")
        assert answer.status == 200, answer
        found = [one for one in answer.json["profiles"] if one["profile"] == profile]
        assert len(found) == 1, f"/v1/status tells {len(found)} times of {profile}"
        return found[0]

    def gctoken(self, *arguments: str, stdin: str | None = None, timeout: float = 30.0,
                **env: str | None) -> subprocess.CompletedProcess:
        """Runs the command against this daemon; its output is text."""
        return subprocess.run(
            [GCTOKEN, *arguments], env=environment(GCTOKEN_SOCKET=self.socket, **env), input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True, text=True,
            timeout=timeout * PATIENCE)
