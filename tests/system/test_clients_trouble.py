"""The programs of docs/clients.md, the command and the library, all at once in what happens at some
time to everybody: a token that is revoked while the login server throttles, an API that learns of a
new token late, and a broker that is killed or restarted with nobody to hold its socket. Each of them
ends well, with nothing to be seen but that it took longer. With -s it says how much longer."""

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from snippets import CONVERSATIONS, Reader
from test_clients_doc import PYTHON, compiled
from waiting import wait_until

THROTTLED = 25  # seconds
DOWN = 2


class Programs:
    """What stands ready to run, by name: the command, and what is to be seen of its success."""

    def __init__(self, reader: Reader, gctoken: str, cache: str):
        self._reader = reader
        self.daemon = reader.daemon
        fake = reader.daemon.fake
        path = os.path.dirname(os.path.abspath(gctoken)) + ":" + os.environ["PATH"]
        shell = {"API": fake.api_url, "PATH": path}
        self._all = {
            "shell, curl": (["sh", "-eu", "users_me.sh"], shell),
            "shell, gctoken api": (["sh", "-eu", "users_me_api.sh"], shell),
            "shell, gctoken header": (["sh", "-eu", "users_me_gctoken.sh"], shell),
            "Python": ([PYTHON, "conversations.py"], {}),
            "Python, SDK": ([PYTHON, "conversations_sdk.py"], {}),
        }
        if shutil.which("node"):
            self._all["Node.js"] = (["node", "conversations.mjs"], {})
        if shutil.which("go"):
            go = {"GOCACHE": cache, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "CGO_ENABLED": "0"}
            reader.run("go", "build", "-o", "users-me-go", "broker.go", "main.go",
                       **go)
            self._all["Go"] = ([os.path.join(reader.folder, "users-me-go")], {})
        if shutil.which("cc"):
            program = compiled(reader, "conversations.c", "libcurl", "yajl")
            self._all["C, libgctoken"] = ([program, fake.api_url], {})

    def __len__(self) -> int:
        return len(self._all)

    def _run(self, name: str) -> float:
        command, env = self._all[name]
        begun = time.monotonic()
        lines = self._reader.run(*command, **env).splitlines()
        if "conversations" in command[-1] or "conversations" in command[0]:
            assert len(lines) == len(set(lines)) == CONVERSATIONS, name
        return time.monotonic() - begun

    def begin(self, pool: ThreadPoolExecutor) -> dict:
        return {name: pool.submit(self._run, name) for name in self._all}


def all_end_well(running: dict, what: str) -> None:
    taken = {name: future.result() for name, future in running.items()}
    print(f"\n{what}: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in taken.items()))


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as threads:
        yield threads


@pytest.fixture
def programs(server, daemon, tmp_path, tmp_path_factory, gctoken):
    server.set(conversations=CONVERSATIONS)
    d = daemon(server)
    d.token(wait=20)
    return Programs(Reader(d, tmp_path), gctoken,
                    str(tmp_path_factory.getbasetemp() / "go-cache"))


def test_revoked_while_the_login_is_throttled(programs, server, pool):
    server.revoke(all=True)
    server.set(throttle=True)
    threading.Timer(THROTTLED, server.set, kwargs={"throttle": False}).start()
    all_end_well(programs.begin(pool), f"revoked, and {THROTTLED} s of throttling")


def test_an_api_that_learns_late(programs, server, pool):
    server.set(known_after=1.5)
    server.revoke(all=True)
    posts = server.posts
    all_end_well(programs.begin(pool), "an API that learns of a token 1.5 s late")
    # Nobody takes a token for dead that is only new.
    assert server.posts == posts + 1


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_begun_while_the_broker_is_away(programs, server, pool, ends):
    d = programs.daemon
    getattr(d, ends)()
    running = programs.begin(pool)
    time.sleep(DOWN)
    d.start()
    all_end_well(running, f"{ends}, {DOWN} s before it is back")


@pytest.mark.parametrize("ends, held", [("stop", 0), ("kill", 0), ("stop", 11)])
def test_held_when_the_broker_goes(programs, server, pool, ends, held):
    """They wait for a token in the place of the revoked one, which comes only after the restart."""
    d = programs.daemon
    server.revoke(all=True)
    server.fault("token", "hang", times=-1, seconds=600)
    running = programs.begin(pool)
    wait_until(lambda: d.status()["waiting"] == len(programs), "all are held")
    time.sleep(held)
    server.clear_faults()
    getattr(d, ends)()
    time.sleep(DOWN)
    d.start()
    all_end_well(running, f"held for {held} s, {ends}, {DOWN} s before it is back")
