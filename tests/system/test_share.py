"""One user who does not stop, and another who only wants to be served."""

import contextlib
import subprocess
import sys
import time

from unix_http import UnixConnection, exchange
from users import account, as_user, needs_root
from waiting import PATIENCE, wait_until

pytestmark = needs_root

LIMIT = 1000  # max_connections_per_user
# The flood has to be faster than that in a second, which takes it its time on a busy machine.
LONG = 60.0
FLOOD = r"""
import os, socket, sys, threading
os.setgid(65534); os.setgroups([]); os.setuid(65534)
path = sys.argv[1]
def connect():
    while True:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            try: s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            except OSError: pass
for _ in range(4):
    threading.Thread(target=connect, daemon=True).start()
sys.stdin.read()
"""


@contextlib.contextmanager
def flood(d):
    """Connections that come and go, four at a time, as many as there can be."""
    process = subprocess.Popen([sys.executable, "-c", FLOOD, d.socket], cwd="/",
                               stdin=subprocess.PIPE)
    try:
        yield
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


@contextlib.contextmanager
def connected(d):
    """A connection that waits its turn if there is a queue, which it would not with a timeout."""
    connection = UnixConnection(d.socket, None)
    connection.connect()
    connection.sock.settimeout(30 * PATIENCE)
    with contextlib.closing(connection):
        yield connection


def metric(d, name):
    with connected(d) as connection:
        text = exchange(connection, "GET", "/metrics").text
    for line in text.splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    raise AssertionError(f"no {name}")


def refused(d):
    return metric(d, 'gctokend_connections_refused_total{reason="user_rate"}')


def open_to_all(daemon):
    return daemon(profile={"token_url": "https://localhost:1/oauth/token", "prefetch": False},
                  broker={"socket_mode": "0666", "max_connections_per_user": LIMIT})


def test_who_connects_without_end_is_refused_and_nobody_else(daemon):
    d = open_to_all(daemon)
    with flood(d):
        # asking is what makes this a user whom others keep waiting
        wait_until(lambda: refused(d) > 1000, "a thousand to be refused", LONG)
        with connected(d) as kept:
            for _ in range(100):
                assert exchange(kept, "GET", "/healthz").status == 200
                with connected(d) as one:
                    assert exchange(one, "GET", "/healthz").status == 200
        # what it may have it has
        before = metric(d, "gctokend_connections_accepted_total")
        wait_until(lambda: metric(d, "gctokend_connections_accepted_total") > before + 100,
                   "some of the flood to be let in", LONG)

    def let_in():
        try:
            with as_user(account("nobody")), connected(d) as connection:
                return exchange(connection, "GET", "/healthz").status == 200
        except ConnectionError:  # refused without a word still
            return False

    wait_until(let_in, "the flooder to be let in again", LONG)


def test_alone_nobody_is_refused(daemon):
    d = open_to_all(daemon)
    time.sleep(1.1)  # so long does it keep in mind that root has asked
    with as_user(account("nobody")):
        for _ in range(3 * LIMIT):
            with connected(d) as connection:
                assert exchange(connection, "GET", "/healthz").status == 200
    assert refused(d) == 0
