"""What serving a token costs, counted: system calls by strace, instructions by callgrind,
allocations by a preloaded counter.
docs/performance.md rests on these."""

import collections
import contextlib
import glob
import mmap
import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from daemon import GCTOKEN, GCTOKEND, WRAP, environment
from fleet_hosts import fleet_host, share
from fleet_store import FleetStore
from raw_http import Raw, is_sanitized
from waiting import PATIENCE, wait_until

COUNTER = os.environ.get("GCTOKEN_MALLOC_COUNTER") or os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND))), "tests", "system",
    "malloc_counter.so")
WAITS = {"epoll_wait", "epoll_pwait", "epoll_pwait2"}


def request(target="/v1/token", fields=""):
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()


def task_state(process, task):
    """The letter that the kernel has for what it is doing."""
    with open(f"/proc/{process}/task/{task}/stat", encoding="ascii") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def at_rest(d):
    """Nobody else is connected, the token's generation is on the disk, and every thread sleeps."""
    if d.get("/v1/status").json["broker"]["connections"] != 1:
        return False
    if len(set(os.listdir(d.state_dir)) - {".lock"}) != 1:  # another is being written
        return False
    (name,) = glob.glob(os.path.join(d.state_dir, "*.state"))
    with open(name, encoding="ascii") as file:
        if f"\ngeneration {d.status()['generation']} " not in file.read():
            return False
    process = d.process.pid
    return all(task_state(process, task) == "S" for task in os.listdir(f"/proc/{process}/task"))


@pytest.fixture
def quiet(server, make_daemon):
    """A factory of daemons with a fresh token, to which nothing happens but requests."""
    def start(**env):
        server.set(lifetime=86400)
        d = with_token(make_daemon(server, profile={"clock_probe": False}, env=env).start())
        wait_until(lambda: at_rest(d), "rest")
        return d
    return start


def with_token(d):
    assert d.token(wait=20).json["state"] == "fresh"
    return d


def plain(make_daemon, server, wrap=None):
    server.set(lifetime=86400)
    return with_token(make_daemon(server, profile={"clock_probe": False}, wrap=wrap).start())


def with_a_long_rule_and_a_fleet(make_daemon, server, wrap=None):
    """As many users as a line holds, root a user like others, and a fleet whose store is down."""
    server.set(lifetime=86400)
    store = FleetStore()
    try:
        users = " ".join(map(str, [*range(10001, 10601), os.geteuid()]))
        d = fleet_host(make_daemon, server, store, secrets.token_hex(32),
                       {"root_needs_rule": True}, clock_probe=False, allow_users=users)
        d.wrap += wrap or []
        with_token(d.start())
    finally:
        store.stop()
    wait_until(lambda: share(d)["state"] == "down", "the loss to be noticed")
    return d


def is_stopped(process):
    return all(task_state(process, task) == "T" for task in os.listdir(f"/proc/{process}/task"))


class Clients:
    """Connections that stay, each of which has been served."""

    def __init__(self, d, number):
        self._all = [Raw(d) for _ in range(number)]
        # The loop's list of who is ready has grown to its size once all were, at one moment.
        for _ in range(3):
            d.process.send_signal(signal.SIGSTOP)
            # The signal interrupts a wait, which returns what has come by then: not some of these.
            wait_until(lambda: is_stopped(d.process.pid), "the daemon stands still")
            for client in self._all:
                client.socket.sendall(request())
            d.process.send_signal(signal.SIGCONT)
            for client in self._all:
                client.socket.recv(1 << 16)

    def rounds(self, count, data):
        """On every connection this request, then every answer is read; so many times."""
        for _ in range(count):
            for client in self._all:
                client.socket.sendall(data)
            for client in self._all:
                answer = client.socket.recv(1 << 16)
                assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 304 ")), answer[:12]

    def close(self):
        for client in self._all:
            client.socket.close()


# System calls.

@contextlib.contextmanager
def traced(d, path):
    """All its threads, from here to the end of the block. Clocks are read without a system call
    where the machine allows for it; they are not what is counted."""
    if not shutil.which("strace"):
        pytest.skip("strace is not there")
    process = d.process.pid
    strace = subprocess.Popen(
        ["strace", "-f", "-qq", "-e", "trace=!clock_gettime", "-o", path, "-p", str(process)],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def attached():
        if strace.poll() is not None:
            pytest.skip(f"strace may not look: {strace.stderr.read().strip()}")
        for task in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{task}/status", encoding="ascii") as file:
                if "\nTracerPid:\t0\n" in file.read():
                    return False
        return True

    try:
        wait_until(attached, "strace is attached")
        yield
    finally:
        if strace.poll() is None:
            strace.send_signal(signal.SIGINT)
        strace.wait(20 * PATIENCE)
        strace.stderr.close()


def calls_in(path):
    """Of all threads; but for the futex that each thread without work was found waiting for."""
    with open(path, encoding="ascii", errors="replace") as file:
        found = re.findall(r"^(\d+) +(\w+)\(", file.read(), re.M)
    counted = collections.Counter("wait" if name in WAITS else name for _, name in found)
    waiting = [thread for thread, name in found if name == "futex"]
    if all(count == 1 for count in collections.Counter(waiting).values()):
        del counted["futex"]
    return counted


@pytest.mark.parametrize("what", [
    request(), request(fields="Accept: text/plain\r\n"), request("/v1/token?min_ttl=60"),
    request("/healthz")], ids=["json", "text", "min_ttl", "healthz"])
def test_system_calls_of_one_request(quiet, what, tmp_path):
    """It is waited for, read, and answered: three system calls, whatever is asked for."""
    d = quiet()
    path = str(tmp_path / "strace")
    number = 300
    clients = Clients(d, 1)
    clients.rounds(1, what)
    with traced(d, path):
        clients.rounds(number, what)
    clients.close()
    calls = calls_in(path)
    assert set(calls) == {"wait", "recvfrom", "sendto"}, calls
    assert calls["recvfrom"] == calls["sendto"] == number, calls
    # strace may miss the wait that it met. One more at the end, and ticks for idle connections.
    assert number - 1 <= calls["wait"] <= number + 2 + 3 * PATIENCE, calls


def test_system_calls_with_a_long_rule_and_a_fleet(server, make_daemon, tmp_path):
    """The same, and none but those with which a store that is down is tried again."""
    d = with_a_long_rule_and_a_fleet(make_daemon, server)
    path, number = str(tmp_path / "strace"), 300
    clients = Clients(d, 1)
    with traced(d, path):
        clients.rounds(number, request())
    clients.close()
    calls = calls_in(path)
    assert calls["recvfrom"] == calls["sendto"] == number, calls
    assert not set(calls) & {"getsockopt", "poll", "accept4"}, calls


def test_system_calls_of_64_connections(quiet, tmp_path):
    """One read and one write each; a wait serves as many as were ready."""
    d = quiet()
    path = str(tmp_path / "strace")
    clients, rounds = Clients(d, 64), 20
    with traced(d, path):
        clients.rounds(rounds, request())
    clients.close()
    calls = calls_in(path)
    assert set(calls) == {"wait", "recvfrom", "sendto"}, calls
    assert calls["recvfrom"] == calls["sendto"] == 64 * rounds, calls
    assert calls["wait"] <= 64 * rounds + 2 + 3 * PATIENCE, calls


def test_system_calls_of_requests_that_come_together(quiet, tmp_path):
    """Pipelined: read at once and answered at once."""
    d = quiet()
    path = str(tmp_path / "strace")
    with Raw(d) as client:
        for _ in range(2):  # with the second reply the kernel is told how many it may keep
            client.send(request())
            client.answer()
        with traced(d, path):
            for _ in range(20):
                client.send(request() * 16)
                for _ in range(16):
                    assert client.answer()[0] == 200
    calls = calls_in(path)
    assert set(calls) == {"wait", "recvfrom", "sendto"}, calls
    assert calls["recvfrom"] == calls["sendto"] == 20, calls


SO_PASSRIGHTS = 83


def kernel_keeps_descriptors_out():
    """Else there is more to do for each connection."""
    ours, other = socket.socketpair()
    with ours, other:
        try:
            return ours.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS) == 1
        except OSError:
            return False


@pytest.mark.parametrize("fields, more", [
    ("Connection: close\r\n", {}), ("", {"recvfrom": 1, "epoll_ctl": 2})], ids=["closed", "left"])
def test_system_calls_of_one_connection(quiet, fields, more, tmp_path):
    """It is accepted, two questions are asked about it (who it is, and that no descriptor can have
    come with it), it is read, answered and closed: six. Only who has not said that this is all is
    watched, and found to have left."""
    if not kernel_keeps_descriptors_out():
        pytest.skip("the kernel has no SO_PASSRIGHTS")
    d = quiet()
    path, number = str(tmp_path / "strace"), 32
    # So that all is there when it is accepted.
    d.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: is_stopped(d.process.pid), "the daemon stands still")
    clients = [Raw(d) for _ in range(number)]
    for client in clients:
        client.send(request(fields=fields))
    with traced(d, path):
        d.process.send_signal(signal.SIGCONT)
        for client in clients:
            assert client.answer()[0] == 200
            client.socket.close()
        wait_until(lambda: calls_in(path)["close"] == number, "all are closed")
    calls = calls_in(path)
    each = {"accept4": 1, "getsockopt": 2, "recvfrom": 1, "sendto": 1, "close": 1}
    for name, count in more.items():
        each[name] = each.get(name, 0) + count
    with open(path, encoding="ascii", errors="replace") as file:
        calls["accept4"] -= len(re.findall(r" accept4\(.* = -1 EAGAIN ", file.read()))
    del calls["wait"]
    assert calls == {name: count * number for name, count in each.items()}, calls


def descriptors(d, task):
    return set(os.listdir(f"/proc/{d.process.pid}/task/{task}/fd"))


def test_the_loop_has_its_descriptors_for_itself(quiet):
    """While a thread shares them, the kernel counts two references more for each read and write."""
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (5, 9):
        pytest.skip("the kernel gives a thread no table of its own")
    d = quiet()
    with Raw(d) as client:
        client.send(request())
        assert client.answer()[0] == 200
        loop = str(d.process.pid)
        others = set(os.listdir(f"/proc/{loop}/task")) - {loop}
        assert others
        # The standard three, the state directory, and what the loop is woken by.
        for task in others:
            assert len(descriptors(d, task)) == 5 < len(descriptors(d, loop))
    # What such a thread writes is still written.
    d.post("/v1/token/reject?generation=1")
    wait_until(lambda: at_rest(d) and d.status()["generation"] == 2, "the next one is noted")


# Instructions.

def is_instrumented(program):
    """It counts or checks what it does."""
    with open(program, "rb") as file:
        return is_sanitized(program) or b"__gcov_" in file.read()


def instructions(make, path, connections, requests):
    """Those of a daemon's whole life, outside the kernel, in which it was asked so often."""
    d = make(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={path}"])
    clients = Clients(d, connections)
    clients.rounds(requests // connections,
                   request("/v1/token?profile=default", "Accept: */*\r\n"))
    clients.close()
    d.stop()
    with open(path, encoding="ascii", errors="replace") as file:
        return int(re.search(r"^(?:totals|summary): (\d+)$", file.read(), re.M).group(1))


@pytest.mark.parametrize("how, connections, most", [
    (plain, 1, 3000), (plain, 64, 2400), (with_a_long_rule_and_a_fleet, 64, 2500)])
def test_instructions_of_one_request(server, make_daemon, tmp_path, how, connections, most):
    """All of them, the loop's and the libraries' too: what the machine does not change. A tenth
    more is what another libc may take for the same. Of rules and a
    fleet it takes hardly any notice."""
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not there")
    if is_instrumented(GCTOKEND) or WRAP:
        pytest.skip("what instruments the daemon would be counted as well")
    path, number = str(tmp_path / "callgrind"), 3200
    few, many = (instructions(lambda wrap: how(make_daemon, server, wrap), path, connections,
                              requests) for requests in (number, 2 * number))
    each = (many - few) / number
    print(f"{each:.0f} instructions a request")
    assert 1000 < each < most * 1.1


# Allocations.

class Allocations:
    """How often a daemon has asked for memory so far."""

    def __init__(self, start, path):
        if is_sanitized(GCTOKEND):
            pytest.skip("a sanitizer's allocator is in the place of the one to be counted")
        assert os.path.exists(COUNTER), \
            f"{COUNTER} is not there: build it, or name it in GCTOKEN_MALLOC_COUNTER"
        with open(path, "w+b") as file:
            file.truncate(8)
            self._count = mmap.mmap(file.fileno(), 8)
        self.daemon = start(LD_PRELOAD=COUNTER, GCTOKEN_TEST_COUNT=path)
        # The counter works: starting took many, and a list of profiles takes one.
        before = self.now()
        assert before > 1000
        self.daemon.get("/v1/status")
        assert self.now() > before

    def now(self):
        return struct.unpack("q", self._count[:8])[0]


@pytest.mark.parametrize("number", [1, 64])
def test_no_allocation(quiet, number, tmp_path):
    """10,000 requests for a token, in every form, on connections that stay."""
    allocations = Allocations(quiet, str(tmp_path / "count"))
    d = allocations.daemon
    generation = d.token().json["generation"]
    clients = Clients(d, number)
    forms = [request(), request(fields="Accept: text/plain\r\n"),
             request("/v1/token?profile=default&min_ttl=60&wait=5"),
             request(f"/v1/token?after={generation}&wait=0"), request("/healthz")]
    before = allocations.now()
    for form in forms:
        clients.rounds(2000 // number + 1, form)
    assert allocations.now() == before
    assert d.status()["counters"]["served"] >= 8000 * 3 // 5
    clients.close()


# The command.

def libraries(output):
    """Those that LD_DEBUG=libs says were looked for."""
    return set(re.findall(r"find library=(\S+)", output))


@pytest.mark.parametrize("arguments", [["get"], ["header"], ["exec", "--", "/bin/true"]],
                         ids=["get", "header", "exec"])
def test_the_command_loads_no_libcurl(quiet, gctoken, arguments):
    """Nor TLS, nor what these need: most of the time of such a start would go there."""
    d = quiet()
    run = subprocess.run([gctoken, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, timeout=30 * PATIENCE, check=False,
                         env=environment(GCTOKEN_SOCKET=d.socket, LD_DEBUG="libs"))
    assert run.returncode == 0
    found = libraries(run.stderr)
    assert "libc.so.6" in found  # what is looked for would be seen
    for name in ("curl", "ssl", "crypto", "event", "systemd"):
        assert not [library for library in found if name in library], found
    linked = subprocess.run(["ldd", gctoken], capture_output=True, text=True, check=True).stdout
    assert "libc.so.6" in linked and "curl" not in linked


def test_the_command_asks_once(quiet, gctoken, tmp_path):
    """One connection, one request, and no thread."""
    d = quiet()
    if not shutil.which("strace"):
        pytest.skip("strace is not there")
    path = str(tmp_path / "strace")
    run = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=network,clone,clone3,fork,vfork", "-o", path,
         GCTOKEN, "get"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=30 * PATIENCE, check=False,
        # A sanitizer's own look for leaks cannot be looked at.
        env=environment(GCTOKEN_SOCKET=d.socket, ASAN_OPTIONS="detect_leaks=0"))
    if run.returncode and "ptrace" in run.stderr:
        pytest.skip(f"strace may not look: {run.stderr.strip()}")
    assert run.returncode == 0
    calls = calls_in(path)
    assert calls["socket"] == calls["connect"] == calls["sendto"] + calls["sendmsg"] == 1, calls
    assert not set(calls) & {"clone", "clone3", "fork", "vfork"}, calls
