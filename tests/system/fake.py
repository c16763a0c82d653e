"""The fake Genesys Cloud as a test holds it: a process and its control channel."""

from __future__ import annotations  # a method here is called set

import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from typing import Any

from unix_http import ask
from waiting import PATIENCE

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0


def _secrets_of(clients: list[dict]) -> set[str]:
    return {client["secret"] for client in clients if client["secret"] is not None}


class ControlError(AssertionError):
    """The fake refused what the test asked of it."""


class Fake:
    """One process. Settings are the fake's own: see docs/fake-genesys.md."""

    def __init__(self, clients: list[dict] | None = None, port: int = 0, **settings: Any):
        self._home = tempfile.TemporaryDirectory(prefix="gct-fake-")
        self.directory = self._home.name
        self._secrets: set[str] = set()
        self._tokens: set[str] = set()
        self.clients = clients or [{"id": "fake-client", "secret": "fake-secret:+/%"}]
        self._secrets.update(_secrets_of(self.clients))
        clients_file = os.path.join(self.directory, "clients.json")
        with open(clients_file, "w", encoding="utf-8") as file:
            json.dump(self.clients, file)
        os.chmod(clients_file, 0o600)
        command = [sys.executable, os.path.join(REPOSITORY, "tests", "fake_genesys"),
                   "--dir", self.directory, "--port", str(port), "--exit-on-eof",
                   "--control", os.path.join(self.directory, "control.sock"),
                   "--clients-file", clients_file]
        for name, value in settings.items():
            text = {True: "yes", False: "no"}.get(value, str(value)) \
                if isinstance(value, bool) else str(value)
            command.append(f"--{name.replace('_', '-')}={text}")
        ready_read, ready_write = os.pipe()
        self._errors = open(os.path.join(self.directory, "stderr"), "w+b")
        try:
            self.process = subprocess.Popen(
                command + ["--ready-fd", str(ready_write)], pass_fds=[ready_write],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors)
        finally:
            os.close(ready_write)
        with os.fdopen(ready_read) as file:
            line = file.readline()  # ends with the process, if that fails
        if not line:
            self.process.wait(START_TIMEOUT)
            raise AssertionError(f"the fake did not start:\n{self.stderr_text()}")
        ready = json.loads(line)
        self.url, self.port = ready["url"], ready["port"]
        self.token_url, self.api_url = ready["token_url"], ready["api_url"]
        self.authorize_url = ready["authorize_url"]
        self.ca_file, self.control = ready["ca_file"], ready["control"]

    # The control channel.

    def control_get(self, target: str, timeout: float = 30.0) -> Any:
        return self._control("GET", target, None, timeout)

    def control_post(self, target: str, value: dict | None = None) -> Any:
        return self._control("POST", target, json.dumps(value or {}).encode(), 30.0)

    def _control(self, method: str, target: str, body: bytes | None, timeout: float) -> Any:
        answer = ask(self.control, method, target, body=body, timeout=timeout * PATIENCE)
        if answer.status != 200:
            raise ControlError(f"{method} {target}: {answer.json['error']}")
        return answer.json

    def set(self, **settings: Any) -> None:
        self.control_post("/set", settings)

    def step(self, seconds: float) -> None:
        self.control_post("/step", {"seconds": seconds})

    def fault(self, kind: str, action: str, **members: Any) -> int:
        """Its number; see `faults`."""
        return self.control_post("/fault", {"kind": kind, "action": action, **members})["number"]

    def faults(self) -> list[dict]:
        return self.control_get("/faults")

    def clear_faults(self) -> None:
        self.control_post("/faults/clear")

    def revoke(self, **which: Any) -> int:
        """token=T, fingerprint=F, client=ID or all=True; how many were ended."""
        return self.control_post("/revoke", which)["revoked"]

    def client(self, id: str, secret: str | None, **more: Any) -> None:
        """Adds an OAuth client, or changes one; without a secret it is a public one."""
        self._secrets.update(_secrets_of([{"secret": secret}]))
        self.control_post("/client", {"id": id, "secret": secret, **more})

    def listen(self, wanted: bool) -> None:
        self.control_post("/listen", {"listen": wanted})

    def close_connections(self) -> int:
        return self.control_post("/connections/close")["closed"]

    def tls(self, certificate: str = "good", lowest: str = "1.2", highest: str = "1.3") -> None:
        self.control_post("/tls", {"certificate": certificate, "lowest": lowest,
                                   "highest": highest})

    def reset(self) -> None:
        """As if just started, also for what must not be told: the next test has a log of its own,
        and the short secrets of another test are words that may well stand in it."""
        self.control_post("/reset")
        self._secrets = _secrets_of(self.clients)
        self._tokens.clear()

    def log(self, kind: str | None = None, since: int = 0, secrets: bool = False) -> list[dict]:
        return self.control_get(f"/log?since={since}" + (f"&kind={kind}" if kind else "")
                                + ("&secrets=yes" if secrets else ""))

    def stats(self) -> dict:
        return self.control_get("/stats")

    def connections(self) -> list[dict]:
        return self.control_get("/connections")

    def time(self) -> float:
        return self.control_get("/time")["time"]

    def tokens(self, secrets: bool = False) -> list[dict]:
        return self.control_get("/tokens" + ("?secrets=yes" if secrets else ""))

    def logins(self, secrets: bool = False) -> list[dict]:
        """Of people, oldest first: the code's state, the refresh tokens, whether and why it ended."""
        return self.control_get("/logins" + ("?secrets=yes" if secrets else ""))

    def end_logins(self, client: str = "") -> int:
        """As an administrator would; how many were ended."""
        return self.control_post("/logins/end", {"client": client})["ended"]

    @property
    def posts(self) -> int:
        """Token requests received so far, whatever became of them."""
        return self.stats()["posts"]

    @property
    def heads(self) -> int:
        return self.stats()["heads"]

    def wait_for(self, kind: str, count: int, timeout: float = 10.0, answered: bool = False) -> int:
        """Until so many requests of the kind came, since the start; how many there are."""
        timeout *= PATIENCE
        waited = self.control_get(f"/wait?kind={kind}&count={count}&timeout={timeout}"
                                  + ("&answered=yes" if answered else ""), timeout + 30)
        if not waited["reached"]:
            raise AssertionError(f"{count} requests of kind {kind} did not come in {timeout:g} s, "
                                 f"but {waited['count']}")
        return waited["count"]

    # What a user of a token would do.

    def api_status(self, token: str, path: str = "/api/v2/users/me", method: str = "GET") -> int:
        """The HTTP status the API has for this token."""
        request = urllib.request.Request(self.api_url + path, method=method,
                                         headers={"Authorization": f"Bearer {token}"})
        context = ssl.create_default_context(cafile=self.ca_file)
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    # The end.

    def known_secrets(self) -> set[str]:
        """Every client secret, token, refresh token and code so far: what must turn up in no log."""
        if self.process.poll() is None:
            self._note_tokens()
        return self._secrets | self._tokens

    def _note_tokens(self) -> None:
        self._tokens.update(token["token"] for token in self.tokens(secrets=True))
        for login in self.logins(secrets=True):
            self._tokens.add(login["code"])
            self._tokens.update(token["token"] for token in login["refresh_tokens"])

    def stderr_text(self) -> str:
        with open(self._errors.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self) -> None:
        """Ends it and checks that it ended well; a second call does nothing."""
        if self.process.returncode is not None:
            return
        try:
            if self.process.poll() is None:
                self._note_tokens()
                self.process.terminate()
            code = self.process.wait(STOP_TIMEOUT * PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdin.close()
        text = self.stderr_text()
        print(text)  # pytest shows it if the test failed
        self._errors.close()
        self._home.cleanup()
        assert code == 0, f"the fake ended with {code}:\n{text}"
        assert "Traceback" not in text, f"the fake had an error of its own:\n{text}"
