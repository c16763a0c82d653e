"""Chromium without a window, used as a person uses it: it is clicked at and typed into, and looked at.
It is steered over a pipe (the DevTools protocol on its descriptors 3 and 4), so nothing else on this
machine can."""

import base64
import fcntl
import json
import os
import shlex
import shutil
import stat
import time
from typing import Any

from waiting import PATIENCE, wait_until

PROGRAM = shutil.which("chromium")

# Nothing but what the test is about leaves the browser, and nothing leaves this machine.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--disable-extensions", "--no-default-browser-check",
         "--host-resolver-rules=MAP * ~NOTFOUND,EXCLUDE localhost,EXCLUDE 127.0.0.1",
         "--ignore-certificate-errors", "--window-size=900,640", "--remote-debugging-pipe"]


class Chromium:
    """Our end of the pipe, before there is a browser. `command` starts it, for $BROWSER, in whatever
    process was begun with `wrap` before its words and `theirs` passed on. It keeps what it has in
    the empty folder `home`."""

    def __init__(self, home: str):
        read_theirs, self._write = os.pipe()
        self._read, write_theirs = os.pipe()
        self.theirs = tuple(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)
                            for fd in (read_theirs, write_theirs))
        os.close(read_theirs)
        os.close(write_theirs)
        self.wrap = ("bash", "-c", 'exec "$@" 3<&{0} 4>&{1} {0}<&- {1}>&-'.format(*self.theirs),
                     "bash")
        self.command = os.path.join(home, "browser")
        with open(self.command, "w", encoding="utf-8") as file:
            words = [PROGRAM, *FLAGS, "--user-data-dir=" + os.path.join(home, "profile")]
            file.write(f'#!/bin/sh\nexec {shlex.join(words)} "$1"\n')
        os.chmod(self.command, stat.S_IRWXU)
        self._number = 0
        self._buffer = b""
        self._session: str | None = None
        self.visited: list[str] = []

    def started(self) -> None:
        """The process that inherited the ends has them now."""
        for fd in self.theirs:
            os.close(fd)
        self.theirs = ()

    # The protocol.

    def call(self, method: str, timeout: float = 30.0, **params: Any) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            answer = self._next(deadline)
            if answer.get("method") == "Network.requestWillBeSent":
                self.visited.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer.get('error')}"
                return answer["result"]

    def _next(self, deadline: float) -> dict:
        os.set_blocking(self._read, False)
        while b"\0" not in self._buffer:
            assert time.monotonic() < deadline, "the browser does not answer"
            try:
                data = os.read(self._read, 1 << 20)
            except BlockingIOError:
                time.sleep(0.005)
                continue
            assert data, "the browser has gone"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    # What a person does.

    def sit_down(self) -> None:
        """In front of the page that was opened."""
        def page() -> str | None:
            for target in self.call("Target.getTargets")["targetInfos"]:
                if target["type"] == "page":
                    return target["targetId"]
            return None

        target = wait_until(page, "a page in the browser", 30.0, pause=0.05)
        self._session = self.call("Target.attachToTarget", targetId=target,
                                  flatten=True)["sessionId"]
        self.call("Network.enable")
        self.call("Page.enable")

    def read(self) -> str:
        """The words on the page."""
        return self._evaluate("document.body ? document.body.innerText : ''")

    @property
    def address(self) -> str:
        return self._evaluate("location.href")

    def wait_for(self, words: str) -> None:
        wait_until(lambda: words in self.read(), f"{words!r} on the page", 30.0, pause=0.05)

    def click(self, selector: str) -> None:
        """In its middle, with the mouse."""
        where = json.loads(self._evaluate(
            "JSON.stringify((r => [r.x + r.width / 2, r.y + r.height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect()))"))
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1],
                      button="none" if kind == "mouseMoved" else "left", clickCount=1)

    def type(self, text: str) -> None:
        """Key by key, where the cursor is."""
        for letter in text:
            self.call("Input.dispatchKeyEvent", type="keyDown", text=letter)
            self.call("Input.dispatchKeyEvent", type="keyUp")

    def look(self, path: str) -> None:
        """A screenshot, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot))

    def _evaluate(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value") or ""

    def close(self) -> None:
        """The window is closed, and with it the browser ends."""
        try:
            self._session = None
            self.call("Browser.close")
            while os.read(self._read, 65536):
                pass
        except (AssertionError, OSError):
            pass
        for fd in (self._read, self._write, *self.theirs):
            os.close(fd)
