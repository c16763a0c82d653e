"""Somebody has very many waits at their own end of a connection, past which the kernel goes whenever the
daemon reads, answers or closes there. Others may not wait for that, and whoever does it is held off."""

import contextlib
import subprocess
import sys
import time

import pytest

from unix_http import exchange
from users import account, connect_as, needs_root
from waiting import wait_until

pytestmark = needs_root

# Connects, has it watched so many times, and sends byte by byte what the kernel then hands over byte
# by byte; for ever, and again as soon as it is thrown out.
WAITER = r"""
import os, resource, select, socket, sys, time
path, connections, waits, bytes_each, half = sys.argv[1], *map(int, sys.argv[2:6])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
os.setgid(65534); os.setgroups([]); os.setuid(65534)
polls = []
def watch(s):
    doubles = [os.dup(s.fileno()) for _ in range(min(50, waits))]
    for i in range(waits // len(doubles)):
        if i == len(polls):
            polls.append(select.epoll())
        for d in doubles:
            polls[i].register(d, select.EPOLLRDHUP | select.EPOLLET)
    return doubles
def connected():
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(1)
    return s, watch(s)
while True:
    made = []
    try:
        made = [connected() for _ in range(connections)]
        print("watched", flush=True)
        while True:
            for s, _ in made:
                s.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
                for _ in range(bytes_each):
                    s.sendall(b"a")
                if half:
                    s.shutdown(socket.SHUT_WR)
                else:
                    s.sendall(b"\r\nHost: x\r\n\r\n")
            for s, _ in made:
                if not s.recv(4096):
                    raise OSError("closed")
    except OSError:
        pass
    for s, doubles in made:
        s.close()
        for d in doubles:
            os.close(d)
"""


@contextlib.contextmanager
def waiting(path, *, connections=1, waits, bytes_each, half=False):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITER, path, str(connections), str(waits), str(bytes_each),
         str(int(half))], cwd="/", stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"watched\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def processor_time(d) -> float:
    """Of the daemon's loop, in seconds. Time without a processor is nobody's fault here: those who wait
    and the closers keep the machine busy, which it has a scheduler for."""
    with open(f"/proc/{d.process.pid}/task/{d.process.pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def held_off(d) -> int:
    return int(next(line.split()[1] for line in d.get("/metrics").text.splitlines()
                    if line.startswith("gctokend_users_held_off_total ")))


@pytest.mark.parametrize("how", [
    dict(waits=60000, bytes_each=130),
    dict(waits=60000, bytes_each=130, half=True),
    dict(connections=100, waits=600, bytes_each=130),
], ids=["a request byte by byte", "half of one", "many connections"])
def test_nobody_waits_for_those_who_wait(daemon, server, how):
    d = daemon(server, broker={"socket_mode": "0666"})
    seconds, before = 5, processor_time(d)
    with waiting(d.socket, **how):
        d.wait_log("uid 65534 is held off")
        first = processor_time(d) - before
        begun, before = time.monotonic(), processor_time(d)
        with contextlib.closing(connect_as(d, account("daemon"))) as other:
            while time.monotonic() < begun + seconds:
                assert exchange(other, "GET", "/healthz").status == 200
                time.sleep(0.02)
        later = (processor_time(d) - before) / (time.monotonic() - begun)
    print(f"the loop was busy for {first:.3f} s until that was seen, and then for {later:.1%}")
    assert held_off(d) >= 1
    assert later < 0.4  # most of it for connecting again and again
    # That user is served again soon after.
    wait_until(lambda: served_again(d), "an answer to that user", timeout=30)


def served_again(d) -> bool:
    try:
        with contextlib.closing(connect_as(d, account("nobody"))) as again:
            return exchange(again, "GET", "/healthz").status == 200
    except OSError:
        return False
