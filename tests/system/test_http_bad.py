"""Requests that no client should send, and clients that are slow, greedy or gone. Each gets its
answer, nobody else suffers, and nothing of it stays behind in the daemon."""

import contextlib
import json
import resource
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from raw_http import Raw, cpu_seconds, descriptors, memory_kib
from unix_http import exchange
from users import account, as_user, connect_as, needs_root
from waiting import PATIENCE, wait_until

GOOD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
KEPT, CLOSED = "kept", "closed"


def get(target=b"/healthz", fields=b"Host: x\r\n", version=b"HTTP/1.1", method=b"GET"):
    return method + b" " + target + b" " + version + b"\r\n" + fields + b"\r\n"


def with_header(size):
    """A request that takes so many bytes altogether."""
    bare = get(fields=b"Host: x\r\nX: \r\n")
    return get(fields=b"Host: x\r\nX: " + b"v" * (size - len(bare)) + b"\r\n")


# name: the bytes, the status, whether the connection goes on. One of each kind: what else the
# parser takes or refuses stands in tests/unit/test_http_request.c, and fuzz_request looks for more.
REQUESTS = {
    # What is right, or harmless.
    "a good one": (GOOD, 200, KEPT),
    "asked to close": (LAST, 200, CLOSED),
    "HTTP/1.0": (get(version=b"HTTP/1.0"), 200, CLOSED),
    "expects 100-continue": (get(fields=b"Host: x\r\nExpect: 100-Continue\r\n"), 200, KEPT),
    "a header of 16 KiB": (with_header(16384), 200, KEPT),
    # Routes and parameters: the framing is fine, so the connection goes on.
    "no such route": (get(b"/nothing"), 404, KEPT),
    "POST where GET is right": (get(method=b"POST"), 405, KEPT),
    "a query it cannot read": (get(b"/v1/token?wait"), 400, KEPT),
    "an unknown parameter": (get(b"/healthz?x=1"), 400, KEPT),
    # HEAD: whatever the answer, it has no body.
    "HEAD": (get(method=b"HEAD"), 200, KEPT),
    "HEAD of no profile": (get(b"/v1/token?profile=no", method=b"HEAD"), 404, KEPT),
    "HEAD of no route": (get(b"/nothing", method=b"HEAD"), 404, KEPT),
    "HEAD where POST is right": (get(b"/v1/refresh", method=b"HEAD"), 405, KEPT),
    "HEAD with a query it cannot read": (get(b"/v1/token?wait", method=b"HEAD"), 400, KEPT),
    "HEAD without Host": (get(method=b"HEAD", fields=b""), 400, CLOSED),
    "HEAD with a header too large": (
        get(method=b"HEAD", fields=b"Host: x\r\n" + b"a: b\r\n" * 4000), 431, CLOSED),
    # OPTIONS, and targets and hosts as proxies and libraries write them.
    "OPTIONS": (get(b"/v1/refresh?x=%20", method=b"OPTIONS"), 204, KEPT),
    "OPTIONS of no route": (get(b"/nothing", method=b"OPTIONS"), 404, KEPT),
    "a URL": (get(b"http://any:80/healthz"), 200, KEPT),
    "a URL without a path": (get(b"http://any?x=1"), 404, KEPT),
    "a URL of https": (get(b"https://any/healthz"), 400, CLOSED),
    "a host that is a path": (get(fields=b"Host: /run/gctokend/gctokend.sock\r\n"), 200, KEPT),
    "a host with an ESC": (get(fields=b"Host: a\x1b[0m\r\n"), 400, CLOSED),
    # Methods nobody serves: how their answer ends is theirs to say.
    "an unknown method and route": (get(b"/nothing", method=b"BREW"), 404, CLOSED),
    # Where the framing is in doubt nothing that follows is looked at.
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, CLOSED),
    "a bare line feed": (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400, CLOSED),
    "HTTP/2.0 by name": (get(version=b"HTTP/2.0"), 505, CLOSED),
    "a target without end": (b"GET /" + b"a" * 20000, 414, CLOSED),
    "no Host": (get(fields=b""), 400, CLOSED),
    "a header one too large": (with_header(16385), 431, CLOSED),
    "fields without end": (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 8000, 431, CLOSED),
    # Bodies, and what could hide a second request.
    "a body": (get(method=b"POST", fields=b"Host: x\r\nContent-Length: 2\r\n") + b"{}", 400,
               CLOSED),
    "two lengths": (
        get(fields=b"Host: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n"), 400, CLOSED),
    "chunks": (
        get(fields=b"Host: x\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 400, CLOSED),
}


@pytest.fixture
def idle(make_daemon):
    """A factory of daemons with a profile that nobody asks for: nothing happens but requests."""
    def start(**broker):
        return make_daemon(profile={"token_url": "https://localhost:1/oauth/token",
                                    "prefetch": False}, broker=broker).start()
    return start


def alone(d):
    """Until the daemon has seen all others close."""
    wait_until(lambda: d.get("/v1/status").json["broker"]["connections"] == 1, "all are gone")


class Resources:
    """What a daemon uses when nobody does anything to it."""

    def __init__(self, d):
        self._d = d
        for _ in range(3):  # what is made at the first request of a kind stays
            d.get("/healthz"), d.get("/metrics")
        alone(d)
        self._descriptors, self.memory = descriptors(d), memory_kib(d)

    def assert_back(self, memory_kib_more=2048):
        alone(self._d)
        wait_until(lambda: descriptors(self._d) <= self._descriptors, "descriptors are back")
        grown = memory_kib(self._d) - self.memory
        assert grown <= memory_kib_more, f"{grown} KiB of memory did not come back"
        before = cpu_seconds(self._d)
        time.sleep(0.2)
        assert cpu_seconds(self._d) - before <= 0.1, "it is busy with nothing"


def counted(d, name):
    lines = [line for line in d.get("/metrics").text.splitlines() if line.startswith(name + " ")]
    return int(lines[0].rsplit(" ", 1)[1]) if lines else 0


def test_each_gets_its_answer(idle):
    """Sent whole, a byte at a time, and behind a good one: the same status, the same end."""
    d = idle()
    resources = Resources(d)
    for name, (data, status, end) in REQUESTS.items():
        ways = {"whole": [data], "behind a good one": [GOOD + data],
                "in two": [data[:len(data) // 2], data[len(data) // 2:]]}
        method = data.split(b" ")[0]
        if len(data) < 100:
            ways["a byte at a time"] = [data[i:i + 1] for i in range(len(data))]
        for way, pieces in ways.items():
            with Raw(d) as client:
                for piece in pieces:
                    client.send(piece)
                if way == "behind a good one":
                    assert client.answer()[0] == 200, (name, way)
                got, fields, body = client.answer(to=method)
                assert got == status, (name, way, got, body)
                assert fields["cache-control"] == "no-store", (name, way)
                assert (fields.get("connection") == "close") == (end == CLOSED), (name, way)
                assert (fields.get("keep-alive") == "timeout=600") == (end == KEPT), (name, way)
                assert ("content-length" in fields) == (status != 204), (name, way)
                if status >= 400 and method != b"HEAD":
                    assert b'"error":"' in body and b'"error_description":"' in body, (name, way)
                if end == KEPT:
                    client.send(GOOD)
                    assert client.answer()[0] == 200, (name, way)
                else:
                    client.send(GOOD)  # too late: nothing behind it is looked at
                    assert client.until_end() == b"", (name, way)
    resources.assert_back()


@pytest.mark.parametrize("target, allowed", [
    ("/v1/token", "GET, HEAD, OPTIONS"), ("/healthz", "GET, HEAD, OPTIONS"),
    ("/v1/refresh", "POST, OPTIONS"), ("/v1/token/reject", "POST, OPTIONS")])
def test_a_wrong_method_is_told_the_right_ones(idle, target, allowed):
    d = idle()
    with Raw(d) as client:
        for method in [b"OPTIONS"] + [method for method in (b"POST", b"HEAD", b"GET", b"PUT")
                                      if method.decode() not in allowed]:
            client.send(get(target.encode(), method=method))
            status, fields, _ = client.answer(to=method)
            assert (status, fields["allow"]) == \
                (204 if method == b"OPTIONS" else 405, allowed), method


def test_the_answer_to_head_is_that_to_get_without_its_body(idle):
    """A client knows that HEAD's answer has no body; what follows must not be one."""
    d = idle()
    connection = d.connect()
    for target in ("/healthz", "/metrics", "/nothing", "/v1/token?wait=0", "/v1/status?x=1"):
        head, body = exchange(connection, "HEAD", target), exchange(connection, "GET", target)
        assert head.status == body.status and head.body == b"" != body.body, target
        if target != "/metrics":  # which count the requests
            assert list(head.headers.items()) == list(body.headers.items()), target
    connection.close()


# Slow clients.

def test_slow_senders_are_cut_at_the_deadline(idle):
    """Counted from a request's first byte, whatever else arrives; half a second later at most."""
    d = idle(request_deadline="1s")
    resources = Resources(d)
    trickles = {
        "nothing after the first byte": (b"", b"G"),
        "a byte at a time": (b"", b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 1000),
        "field by field": (b"", b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 200),
        "behind a good one": (GOOD, b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 1000),
        "all but the last byte": (b"", GOOD[:-1]),
    }
    clients = {}
    started = time.monotonic()
    for name, (before, data) in trickles.items():
        client = Raw(d)
        if before:
            client.send(before)
            assert client.answer()[0] == 200
        clients[name] = (client, time.monotonic())
        client.send(data[:1])
    cut = {}
    step = 1
    # One more byte, or field, for everybody, every 20 ms: as each comes the clock must not restart.
    while len(cut) < len(clients):
        waiting = [c.socket for name, (c, _) in clients.items() if name not in cut]
        ready, _, _ = select.select(waiting, [], [], 0.02)
        for name, (client, begun) in clients.items():
            if client.socket in ready and name not in cut:
                cut[name] = time.monotonic() - begun
                status, fields, body = client.answer()
                assert status == 408 and fields["connection"] == "close", name
                assert b'"error":"request_timeout"' in body, name
                assert client.until_end() == b"", name
            elif name not in cut and name != "nothing after the first byte":
                client.send(trickles[name][1][step:step + 1])
        step += 1
        assert time.monotonic() - started < 10 * PATIENCE
    for name, seconds in cut.items():
        assert 0.99 <= seconds <= 1.5 + 0.25 * PATIENCE, (name, seconds)
    for client, _ in clients.values():
        client.socket.close()
    assert counted(d, 'gctokend_requests_total{code="408"}') == len(trickles)
    assert counted(d, "gctokend_deadline_cuts_total") == len(trickles)
    resources.assert_back()


def test_who_does_not_read_is_cut_too(idle):
    """Answers that nobody takes: they are not kept for ever, and no more requests are read."""
    d = idle(request_deadline="1s")
    resources = Resources(d)
    with Raw(d) as client:
        client.socket.settimeout(0.5)
        sent = 0
        request = get(b"/metrics") * 50
        with pytest.raises((TimeoutError, BrokenPipeError)):
            while True:
                sent += client.socket.send(request)
                assert sent < 64 << 20, "it reads and reads"
        assert memory_kib(d) - resources.memory < 4096, "it gathers answers nobody takes"
        wait_until(lambda: counted(d, "gctokend_deadline_cuts_total") == 1, "the cut", 5.0)
    resources.assert_back()


def test_idle_connections_are_closed_and_held_ones_are_not(fake, make_daemon):
    f = fake()
    f.fault("token", "hang")
    d = make_daemon(f, broker={"idle_timeout": "1s"}).start()
    with Raw(d) as fresh, Raw(d) as used, Raw(d) as held:
        begun = time.monotonic()
        held.send(get(b"/v1/token?wait=3"))
        used.send(GOOD)
        assert used.answer()[0] == 200
        for client in (fresh, used):
            assert client.until_end() == b""
            assert 0.99 <= time.monotonic() - begun <= 1.5 + 0.5 * PATIENCE
        assert held.answer()[0] == 504
        assert time.monotonic() - begun >= 2.99


def test_a_request_that_ends_early(idle):
    """The client has closed its side: the rest can never come."""
    d = idle()
    with Raw(d) as client:
        client.send(GOOD[:-2])
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer()[0] == 400
        assert client.until_end() == b""
    with Raw(d) as client:
        client.send(GOOD + GOOD[:10])
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer()[0] == 200
        assert client.answer()[0] == 400
        assert client.until_end() == b""
    with Raw(d) as client:
        client.socket.shutdown(socket.SHUT_WR)
        assert client.until_end() == b""


# Greedy clients.

def test_a_pipeline_behind_a_held_request(fake, make_daemon):
    """What comes behind a request that waits is answered after it, and is kept only to a limit."""
    f = fake()
    f.fault("token", "hang", seconds=1)
    d = make_daemon(f).start()
    resources_memory = memory_kib(d)
    with Raw(d) as client:
        client.send(get(b"/v1/token?wait=1"))
        wait_until(lambda: d.status()["waiting"] == 1, "it is held")
        client.socket.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                sent += client.socket.send(GOOD * 1000)
                assert sent < 64 << 20
        assert memory_kib(d) - resources_memory < 2048
        client.socket.settimeout(20 * PATIENCE)
        assert client.answer()[0] in (200, 504, 503)
        for _ in range(sent // len(GOOD)):
            assert client.answer()[0] == 200


@contextlib.contextmanager
def stopped(d):
    d.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        d.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("connections", [1, 50])
def test_a_pipeline_that_comes_with_its_connection(idle, connections):
    """More than a turn of the loop serves, and all of it there before the daemon looks."""
    d = idle()
    with contextlib.ExitStack() as stack:
        with stopped(d):
            clients = [stack.enter_context(Raw(d)) for _ in range(connections)]
            for client in clients:
                client.send(GOOD * 100)
        for client in clients:
            for _ in range(100):
                assert client.answer()[0] == 200


# Ends by itself, should nobody be left to end it.
COME_AND_GO = f"""
import itertools, socket, sys, time
end = time.monotonic() + 120
for number in itertools.count():
    if number == 1000: print("begun", flush=True)
    if time.monotonic() > end: sys.exit()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(sys.argv[1])
        try: s.sendall({LAST!r})
        except OSError: pass
"""


@contextlib.contextmanager
def coming_and_going(d):
    """As many connections as there can be, each for one request."""
    crowd = [subprocess.Popen([sys.executable, "-c", COME_AND_GO, d.socket], cwd="/",
                              stdout=subprocess.PIPE) for _ in range(4)]
    try:
        for process in crowd:
            assert process.stdout.readline() == b"begun\n"
        yield
        assert all(process.poll() is None for process in crowd)
    finally:
        for process in crowd:
            process.kill()
            process.wait()
            process.stdout.close()


def test_whoever_else_comes_and_goes(fake, make_daemon):
    """Who has come through the queue is served like those who were there before."""
    f = fake()
    f.fault("token", "hang", seconds=600)
    d = make_daemon(f).start()
    with Raw(d) as watcher, coming_and_going(d):
        def waiting():
            watcher.send(get(b"/v1/status"))
            return json.loads(watcher.answer()[2])["profiles"][0]["waiting"]

        for _ in range(10):
            with Raw(d) as client:
                for _ in range(3):
                    client.send(GOOD)
                    assert client.answer()[0] == 200
                client.send(get(b"/v1/token?wait=60"))
                wait_until(lambda: waiting() == 1, "it is held")
            wait_until(lambda: waiting() == 0, "its end to be noticed")


def test_connect_and_leave(idle):
    """Two thousand connections that come and go, half of them in the middle of something."""
    d = idle()
    resources = Resources(d)
    for number in range(2000):
        client = socket.socket(socket.AF_UNIX)
        client.connect(d.socket)
        client.send([b"", GOOD, GOOD[:20], b"\x00" * 100][number % 4] or b"")
        client.close()
    resources.assert_back()


# Limits.

def fill(d, count, user=None):
    """So many connections that have been served once."""
    held = []
    for _ in range(count):
        connection = connect_as(d, user) if user else d.connect()
        assert exchange(connection, "GET", "/healthz").status == 200
        held.append(connection)
    return held


def refused(d, user=None):
    """What a connection is told that is one too many, and that it is closed."""
    with as_user(user) if user else contextlib.nullcontext():
        client = Raw(d)
    with client:
        status, fields, body = client.answer()
        assert fields["connection"] == "close" and int(fields["retry-after"]) >= 1
        assert client.until_end() == b""
        return status, body


@needs_root
def test_one_user_has_so_many_connections_and_no_more(idle):
    d = idle(max_connections_per_user=5, socket_mode="0666")
    games = account("games")
    # The one that is asked by; its slot is free when the daemon has seen it close.
    alone(d)
    held = fill(d, 5, games)
    for _ in range(3):
        status, body = refused(d, games)
        assert status == 429 and b'"too_many_requests"' in body
    others = fill(d, 3) + fill(d, 5, account("mail"))  # nobody else is kept out
    assert counted(d, 'gctokend_connections_refused_total{reason="user_limit"}') == 3
    for connection in held:
        assert exchange(connection, "GET", "/healthz").status == 200
    held.pop().close()

    def there_is_room():
        connection = connect_as(d, games)
        try:
            return exchange(connection, "GET", "/healthz").status == 200
        finally:
            connection.close()

    wait_until(there_is_room, "room for another")
    for connection in held + others:
        connection.close()


def test_no_body_for_a_head_over_the_limit(idle):
    d = idle(max_connections_per_user=5)
    alone(d)
    held = fill(d, 5)
    bodies = {}
    for method in (b"HEAD", b"GET"):
        d.process.send_signal(signal.SIGSTOP)  # it finds both, the connection and the request
        with Raw(d) as over:
            over.send(get(method=method))
            d.process.send_signal(signal.SIGCONT)
            head, _, bodies[method] = over.until_end().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 429 ") and b"Content-Length: " in head
    assert bodies[b"HEAD"] == b"" and b"too_many_requests" in bodies[b"GET"]
    for connection in held:
        connection.close()


@needs_root
def test_whoever_is_over_the_limit_is_told(idle):
    """However many there are, and though all connect before any of them asks."""
    d = idle(max_connections_per_user=5, socket_mode="0666")
    games = account("games")
    held = fill(d, 5, games)
    over = []
    with as_user(games):
        for _ in range(800):
            over.append(socket.socket(socket.AF_UNIX))
            over[-1].settimeout(20 * PATIENCE)
            over[-1].connect(d.socket)
    for client in over:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    for client in over:
        assert client.recv(4096).startswith(b"HTTP/1.1 429 ")
        assert client.recv(4096) == b"", "it ends, and is not broken off"
        client.close()
    assert counted(d, 'gctokend_connections_refused_total{reason="user_limit"}') == 800
    for connection in held:
        connection.close()


def test_so_many_connections_and_no_more(idle):
    d = idle(max_connections=8)
    alone(d)
    held = fill(d, 7)
    last = d.connect()
    assert exchange(last, "GET", "/healthz").status == 200
    status, body = refused(d)
    assert status == 503 and b'"temporarily_unavailable"' in body
    text = exchange(last, "GET", "/metrics").text
    assert 'gctokend_connections_refused_total{reason="total_limit"} 1\n' in text
    assert "\ngctokend_connections 8\n" in text
    for connection in held:
        connection.close()
    wait_until(lambda: "gctokend_connections 1\n" in exchange(last, "GET", "/metrics").text,
               "room for others")
    assert d.get("/healthz").status == 200
    last.close()


def test_ten_thousand_connections(make_daemon):
    """All are served, in little memory."""
    number = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number + 300:
        pytest.skip(f"RLIMIT_NOFILE allows {hard} descriptors at most")
    d = make_daemon(profile={"token_url": "https://localhost:1/oauth/token", "prefetch": False},
                    broker={"max_connections_per_user": 16384})
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        d.start()
        resources = Resources(d)
        for _ in range(number):
            client = socket.socket(socket.AF_UNIX)
            client.connect(d.socket)  # waits its turn, which it would not with a timeout
            client.settimeout(20 * PATIENCE)
            held.append(client)
        for client in held:
            client.sendall(GOOD)
        for client in held:
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        grown = memory_kib(d) - resources.memory
        print(f"{grown} KiB more for {number} connections")
        assert grown < 40 * 1024
        for client in held:
            client.close()
        # The allocator keeps some of what so many small pieces took.
        resources.assert_back(memory_kib_more=8192)
    finally:
        for client in held:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_low_limit_of_descriptors_lowers_ours(make_daemon):
    d = make_daemon(profile={"token_url": "https://localhost:1/oauth/token", "prefetch": False},
                    wrap=["prlimit", "--nofile=150"]).start()
    allowed = int(d.wait_log(r"RLIMIT_NOFILE of 150 allows (\d+)").group(1))
    assert 16 <= allowed < 150
    alone(d)
    held = fill(d, allowed)
    assert refused(d)[0] == 503
    for connection in held:
        connection.close()


@pytest.mark.parametrize("descriptors, callers", [(143, 16), (60, 7), (32, 4)])
def test_a_limit_too_low_for_the_daemon_itself(make_daemon, descriptors, callers):
    d = make_daemon(profile={"token_url": "https://localhost:1/oauth/token", "prefetch": False},
                    wrap=["prlimit", f"--nofile={descriptors}"]).start()
    d.wait_log(rf"RLIMIT_NOFILE of {descriptors} is too low: .* need 128 .* limited to {callers}:")
    alone(d)
    held = fill(d, callers)
    assert refused(d)[0] == 503
    for connection in held:
        connection.close()


@needs_root  # another process's limit is changed
def test_out_of_descriptors(idle):
    """Those connected are served, the loop does not spin, the log is not filled, and it ends."""
    d = idle()
    resources = Resources(d)
    hard = resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE)[1]
    inside = fill(d, 3)
    resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (descriptors(d) + 4, hard))
    outside = []
    for _ in range(100):
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        client.connect(d.socket)
        outside.append(client)
    d.wait_log("connections could not be accepted")
    logged, cpu = len(d.stderr_text()), cpu_seconds(d)
    begun = time.monotonic()
    while time.monotonic() - begun < 1:
        for connection in inside:
            assert exchange(connection, "GET", "/healthz").status == 200
        time.sleep(0.02)
    passed = time.monotonic() - begun
    assert (cpu_seconds(d) - cpu) / passed < 0.1, "it spins"
    assert d.stderr_text()[logged:] == "", "it fills the log"
    told = [client for client in outside if select.select([client], [], [], 0)[0]]
    assert told, "nobody was told"
    assert b" 503 " in told[0].recv(4096)
    resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    begun = time.monotonic()
    assert d.get("/healthz").status == 200
    assert time.monotonic() - begun < PATIENCE
    for client in outside:
        client.close()
    assert counted(d, "gctokend_accept_failures_total") > 0
    for connection in inside:
        connection.close()
    resources.assert_back()
