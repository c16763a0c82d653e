"""allow_units while process ids are used again: whoever connected is another process than the one that
has its number now. The kernel says which it was (SO_PEERPIDFD); one that cannot say grants nothing."""

import contextlib
import os
import signal
import socket
import subprocess
import time

import pytest

from daemon import GCTOKEND
from users import account, become, needs_root, unit
from unix_http import exchange
from waiting import PATIENCE, wait_until

pytestmark = needs_root

LAST_PID = "/proc/sys/kernel/ns_last_pid"
SHIM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND))), "tests", "system",
                    "no_peerpidfd.so")
GAMES = account("games")
CONNECT = """
import socket, sys
socket.socket(fileno=0).connect(sys.argv[1])
out = socket.socket(fileno=1)
out.send(b"connected")
out.recv(1)
"""


@pytest.fixture
def inside():
    """The words before a command that is to run in the unit that the rule names, and its name."""
    name = f"gct-test-{time.monotonic_ns()}.service"
    with unit(name) as words:
        yield words, name


@pytest.fixture
def make(server, make_daemon, inside):
    def made(kernel):
        d = make_daemon(server, broker={"socket_mode": "0666"},
                        profile={"allow_users": "games", "allow_units": inside[1]})
        if kernel == "old":
            sanitizer = os.environ.get("ASAN_OPTIONS", "")
            d.env.update(LD_PRELOAD=SHIM,
                         ASAN_OPTIONS=f"{sanitizer}:verify_asan_link_order=0".lstrip(":"))
        d.start()
        d.token(wait=20)
        return d
    return made


@contextlib.contextmanager
def connected(d, before=()):
    """A connection that a process of a user's makes, which lives meanwhile; and that process."""
    client = d.connect()
    client.sock = socket.socket(socket.AF_UNIX)
    client.sock.settimeout(30 * PATIENCE)
    ours, its = socket.socketpair()
    ours.settimeout(30 * PATIENCE)
    process = subprocess.Popen([*before, *become(GAMES), "/usr/bin/python3", "-c", CONNECT, d.socket],
                               stdin=client.sock, stdout=its, cwd="/")
    its.close()
    assert ours.recv(20) == b"connected"

    def end():
        ours.close()
        assert process.wait(30 * PATIENCE) == 0
    try:
        yield client, process, end
    finally:
        client.close()
        end()


@contextlib.contextmanager
def successor(pid, words):
    """Another process with that id, in the unit; or skips."""
    if words[0] != "sh":
        pytest.skip("with a systemd the process in a unit is not ours to number")
    for _ in range(200):
        with open(LAST_PID, "w", encoding="ascii") as file:
            file.write(str(pid - 1))
        process = subprocess.Popen([*words, *become(GAMES), "sleep", "600"], cwd="/")
        if process.pid == pid:
            break
        process.kill()
        process.wait()
    else:
        pytest.skip("the id could not be had again on this busy machine")
    try:
        def is_there():
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return file.read().startswith(b"sleep")
        wait_until(is_there, "the process in the unit")
        yield
    finally:
        process.kill()
        process.wait()


def asked(client):
    return exchange(client, "GET", "/v1/token").status


@pytest.mark.parametrize("kernel", ["new", "old"])
@pytest.mark.parametrize("first", ["kept", "asked", "queued"])
def test_a_process_id_that_is_used_again_grants_nothing(make, inside, kernel, first):
    """The connection is kept meanwhile, may have been asked by already, or waited to be accepted."""
    d = make(kernel)
    if first == "queued":
        os.kill(d.process.pid, signal.SIGSTOP)
    try:
        with connected(d) as (client, process, end):
            if first == "asked":
                assert asked(client) == 403
            end()
            with successor(process.pid, inside[0]):
                os.kill(d.process.pid, signal.SIGCONT)
                for _ in range(3):
                    assert asked(client) == 403
    finally:
        os.kill(d.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("kernel", ["new", "old"])
def test_the_unit_is_that_of_the_process_that_lives(make, inside, kernel):
    """What was granted ends with the process too, whoever holds its connection."""
    d = make(kernel)
    with connected(d, inside[0]) as (client, process, end):
        assert asked(client) == (200 if kernel == "new" else 403)
        end()
        assert asked(client) == 403
        with successor(process.pid, inside[0]):
            assert asked(client) == 403


def test_a_kernel_that_cannot_say_is_told_of(make):
    make("old").wait_log(r"^<4>allow_units: this kernel \(before Linux 6.5\) cannot say")
