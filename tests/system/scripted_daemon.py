"""A daemon that answers what a test tells it to, and the command run against it."""

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import shutil
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time

import pytest

from daemon import GCTOKEN, environment

TOKEN = "canary-Zk3v9" + "x" * 70 + "~!"
FINGERPRINT = hashlib.sha256(TOKEN.encode()).hexdigest()[:16]
PHRASES = {200: "OK", 304: "Not Modified", 400: "Bad Request"}

def answer(status=200, body="", fields=()):
    if not isinstance(body, (str, bytes)):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    head = [f"HTTP/1.1 {status} {PHRASES.get(status, 'X')}", "Cache-Control: no-store", *fields,
            f"Content-Length:        {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


def problem(status, code, words, **more):
    return answer(status, {"error": code, "error_description": words, **more})


TOKEN_FIELDS = ("Gctoken-Generation: 17", "Gctoken-Expires-In-Ms: 3412345",
                f"Gctoken-Fingerprint: {FINGERPRINT}")
TEXT_TOKEN = answer(200, TOKEN + "\n", TOKEN_FIELDS)
TOKEN_JSON = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3412, "refresh_in": 3052,
              "generation": 17, "fingerprint": FINGERPRINT, "state": "fresh", "profile": "default",
              "region": "us-west-2", "api_url": "https://api.usw2.pure.cloud"}


class ScriptedDaemon:
    """Listens at `path`; `answers` are given in order, the last one again and again. None: closes
    the connection instead; a number: after so many seconds. "hang": reads on and says nothing."""

    def __init__(self, path, *answers):
        self.path = path
        self.answers = list(answers)
        self.requests = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._serve_one(connection)

    def _serve_one(self, connection):
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                try:
                    more = connection.recv(4096)
                except ConnectionError:
                    return
                if not more:
                    return
                received += more
            request, received = received.split(b"\r\n\r\n", 1)
            self.requests.append(request.decode().split("\r\n"))
            reply = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if reply is None:
                return
            if isinstance(reply, float):
                time.sleep(reply)
                return
            if reply != "hang":
                connection.sendall(reply)

    def lines(self):
        return [request[0] for request in self.requests]

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        os.unlink(self.path)


@contextlib.contextmanager
def answering(path, reply):
    """Something else at a socket: each connection gets this reply, whatever it asks, and is closed.
    What was asked, in a list."""
    asked = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(4096))
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def run(folder, *arguments, stdin="", env=None, **more):
    variables = {"GCTOKEN_SOCKET": os.path.join(folder, "sock"), "LC_ALL": "C.UTF-8",
                 "COLUMNS": None, "NO_COLOR": None, **(env or {})}
    return subprocess.run([GCTOKEN, *arguments], input=stdin, env=environment(**variables),
                          text=True, capture_output=True, timeout=30, **more)


def on_terminal(folder, columns, *arguments, **variables):
    """Runs the command with a terminal of that width as standard output."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    changes = {"TERM": "xterm", "NO_COLOR": None, "COLUMNS": None, "LC_ALL": "C.UTF-8", **variables}
    process = subprocess.Popen([GCTOKEN, *arguments], stdin=theirs, stdout=theirs,
                               stderr=subprocess.PIPE,
                               env=environment(GCTOKEN_SOCKET=f"{folder}/sock", **changes))
    os.close(theirs)
    output = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:
            break
        if not more:
            break
        output += more
    os.close(ours)
    _, errors = process.communicate(timeout=30)
    return process.returncode, output.decode().replace("\r\n", "\n"), errors.decode()


@pytest.fixture
def folder():
    """A folder with a short path: a socket's path has to fit into 108 bytes."""
    path = tempfile.mkdtemp(prefix="gct-")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def scripted(folder):
    """A factory: scripted(answer, ...) listens at the folder's socket until the test ends."""
    started = []

    def start(*answers):
        started.append(ScriptedDaemon(os.path.join(folder, "sock"), *answers))
        return started[-1]

    yield start
    for one in started:
        one.close()
