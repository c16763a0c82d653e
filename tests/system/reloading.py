"""SIGHUP as the tests of reloading send it, and who is there meanwhile."""

import contextlib
import json
import os
import pwd

from daemon import Daemon, canary
from unix_http import UnixConnection, exchange
from waiting import wait_until


def reload(d: Daemon) -> None:
    """As `profiles` and `broker` say now; until it has been taken over."""
    seen = len(d.stderr_text())
    d.write_config()
    d.reload()
    d.wait_log(r"^<5>configuration reloaded: \d+ profiles?$", since=seen)


def reload_refused(d: Daemon, text: str | None = None) -> str:
    """What the broker says is wrong."""
    seen = len(d.stderr_text())
    if text is not None:
        d.write_config(text)
    d.reload()
    return d.wait_log(r"^<3>reload refused; the previous configuration stays in use: (.*)$",
                      since=seen)[1]


def connect_as(d: Daemon, user: str) -> UnixConnection:
    """An open connection of another user. Who that is was settled when it was opened."""
    entry = pwd.getpwnam(user)
    connection = d.connect()
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        connection.connect()
    finally:
        os.seteuid(0)
        os.setegid(0)
    return connection


def get(connection: UnixConnection, target: str = "/v1/token"):
    return exchange(connection, "GET", target)


@contextlib.contextmanager
def asking(d: Daemon, target: str, method: str = "GET"):
    """A request that is held; its answer is read when the block has ended."""
    answers = []
    connection = d.connect()
    connection.request(method, target)
    waiting = d.get("/v1/status").json["broker"]["waiting"]
    wait_until(lambda: d.get("/v1/status").json["broker"]["waiting"] >= max(waiting, 1),
               "the ask is held")
    yield answers
    response = connection.getresponse()
    answers.append((response.status, json.loads(response.read())))
    connection.close()


def two_clients() -> list[dict]:
    return [{"id": "a", "secret": canary()}, {"id": "b", "secret": canary()}]


def profile_of(client: dict, **more) -> dict:
    return {"client_id": client["id"], "secret": client["secret"], **more}
