#!/usr/bin/python3
"""How much those who mean harm, and a world that hangs, cost a client who only wants its token.

One row per promise: what is promised, what was measured. Latencies are of GET /v1/token on a
connection that stays open, beside the same when nothing else happens, in the same run. A flood also
takes the processors of this machine; that part is told by the same flood against another daemon."""

import contextlib
import io
import os
import resource
import select
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "system"))

from daemon import Daemon  # noqa: E402
from fake import Fake  # noqa: E402
from raw_http import Raw, cpu_seconds, descriptors  # noqa: E402
from waiting import wait_until  # noqa: E402

NOBODY = 65534
REQUEST = b"GET /v1/token HTTP/1.1\r\nHost: x\r\n\r\n"
FLOOD = r'''
import os, socket, sys, threading
path, kind = sys.argv[1:]
os.setgid(65534); os.setgroups([]); os.setuid(65534)
def pipeline():
    s = socket.socket(socket.AF_UNIX); s.connect(path)
    threading.Thread(target=lambda: [None for _ in iter(lambda: s.recv(1 << 16), b"")],
                     daemon=True).start()
    while True: s.sendall(b"GET /v1/token HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
def connect():
    while True:
        s = socket.socket(socket.AF_UNIX); s.connect(path)
        try: s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        except OSError: pass
        s.close()
def hold():
    import resource, time
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = []
    for _ in range(4200):
        s = socket.socket(socket.AF_UNIX); s.connect(path); held.append(s)
    time.sleep(3600)
def crowd():
    import select
    ready, clients = select.epoll(), {}
    for _ in range(256):
        s = socket.socket(socket.AF_UNIX); s.connect(path); s.setblocking(False)
        clients[s.fileno()] = s; ready.register(s, select.EPOLLIN | select.EPOLLOUT)
    some = b"GET /v1/token HTTP/1.1\r\nHost: x\r\n\r\n" * 50
    while True:
        for fd, what in ready.poll():
            try:
                if what & select.EPOLLIN: clients[fd].recv(1 << 16)
                else: clients[fd].send(some)
            except BlockingIOError: pass
for _ in range(1 if kind in ("hold", "crowd") else 4):
    threading.Thread(target=locals()[kind], daemon=True).start()
print("begun", flush=True)
sys.stdin.read()
'''
FLOODS = {"pipeline": "requests without end on 4 connections",
          "crowd": "requests without end on 256 connections",
          "connect": "connections that come and go, 4 at a time",
          "hold": "more connections held than one user may have"}


class Latencies:
    def __init__(self, seconds: list[float]):
        self._sorted = sorted(seconds)

    def at(self, part: float) -> float:
        return 1e3 * self._sorted[min(int(part * len(self._sorted)), len(self._sorted) - 1)]

    def __str__(self) -> str:
        return f"p50 {self.at(.5):.3f} ms, p99 {self.at(.99):.3f} ms, worst {self.at(1):.1f} ms"


def row(promise: str, reach: str, measured: str) -> None:
    print(f"{promise} | {reach} | {measured}", file=sys.__stdout__, flush=True)


def latencies(d: Daemon, seconds: float = 3.0, new: bool = False) -> Latencies:
    """Of requests on one connection, or each on a new one."""
    found = []
    client = Raw(d)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        if new:
            client.socket.close()
            client = Raw(d)
        client.send(REQUEST)
        status = client.answer()[0]
        found.append(time.monotonic() - begun)
        assert status == 200, status
        time.sleep(0.0005)
    client.socket.close()
    return Latencies(found)


@contextlib.contextmanager
def flood(d: Daemon, kind: str):
    process = subprocess.Popen([sys.executable, "-c", FLOOD, d.socket, kind], cwd="/",
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def starving(fake: Fake, other: Daemon, ahead: bool) -> None:
    """One user's flood, and another user's latency. `ahead`: the processor is this client's and the
    daemon's first, so that what is left is what the daemon itself makes others wait."""
    d = Daemon(fake, profile={"allow_users": "*"}, broker={"socket_mode": "0666"},
               wrap=["chrt", "-f", "10"] if ahead else []).start()
    assert d.token(wait=20).status == 200
    if ahead:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(10))
    for new in (False, True):
        whose = ("a new connection each" if new else "one connection") + (
            ", processor first" if ahead else "")
        latencies(d, 1, new)
        idle = latencies(d, 3, new)
        row(f"(idle, for comparison; {whose})", "", str(idle))
        for kind, words in FLOODS.items():
            with flood(other, kind):
                elsewhere = latencies(d, 3, new)
            with flood(d, kind):
                here = latencies(d, 3, new)
            row(f"one user cannot starve others: {words} ({whose})",
                "p99 <= 10 x idle and <= 5 ms",
                f"{here}; p99 {here.at(.99) / idle.at(.99):.1f} x idle, "
                f"{here.at(.99) / elsewhere.at(.99):.1f} x the same flood against another daemon "
                f"({elsewhere})")
    if ahead:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    d.close()


def slow_clients(fake: Fake) -> None:
    d = Daemon(fake, broker={"request_deadline": "2s"}).start()
    late = []
    clients = [(Raw(d), time.monotonic()) for _ in range(20)]
    for client, _ in clients:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: ")
    while clients:
        ready = select.select([client.socket for client, _ in clients], [], [], 1.0)[0]
        for client, begun in list(clients):
            if client.socket in ready:
                late.append(time.monotonic() - begun - 2)
                assert client.answer()[0] == 408
                client.socket.close()
                clients.remove((client, begun))
        if not ready:
            for client, _ in clients:
                client.send(b"x")
    row("a byte a second is cut", "at the deadline + 0.5 s at most",
        f"20 clients, cut {min(late):.3f} to {max(late):.3f} s after it")
    d.close()


def exhaustion(fake: Fake) -> None:
    d = Daemon(fake).start()
    assert d.token(wait=20).status == 200
    hard = resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE)[1]
    inside = Raw(d)
    inside.send(REQUEST)
    inside.answer()
    resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (descriptors(d) + 4, hard))
    outside = []
    for _ in range(100):
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        client.connect(d.socket)
        outside.append(client)
    d.wait_log("connections could not be accepted")
    logged, cpu, begun = len(d.stderr_text().splitlines()), cpu_seconds(d), time.monotonic()
    time.sleep(5)
    passed = time.monotonic() - begun
    cpu = (cpu_seconds(d) - cpu) / passed
    lines = (len(d.stderr_text().splitlines()) - logged) / passed
    for client in outside:
        client.close()
    resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    begun = time.monotonic()
    assert d.get("/healthz").status == 200
    row("descriptors run out", "CPU <= 5 %, <= 1 log line/s, back <= 1 s",
        f"CPU {cpu:.1%}, {lines:.1f} lines/s, back after {time.monotonic() - begun:.3f} s")
    inside.socket.close()
    d.close()


# The world hangs.

def silent_name_server(stack) -> list[str] | None:
    """Words before a command that give it a name server which never answers."""
    server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    try:
        server.bind(("127.0.0.97", 53))
        file = "/tmp/gct-resolv.conf"
        with open(file, "w", encoding="ascii") as text:
            text.write("nameserver 127.0.0.97\n")
        stack.callback(os.unlink, file)
        words = ["unshare", "--mount", "sh", "-c",
                 f"mount --bind {file} /etc/resolv.conf && exec \"$@\"", "sh"]
        subprocess.run([*words, "true"], check=True, capture_output=True)
        return words
    except (OSError, subprocess.CalledProcessError):
        return None


def hung_connect(stack) -> dict:
    """A listener whose queue is full."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(8):
        client = stack.enter_context(socket.socket())
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
    return {"token_url": f"https://127.0.0.1:{listener.getsockname()[1]}/oauth/token"}


def hung_tls(stack) -> dict:
    """Connections are made, and then nothing."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return {"token_url": f"https://127.0.0.1:{listener.getsockname()[1]}/oauth/token"}


def blocked(fake: Fake, what: str, idle: Latencies, wrap: list[str], bad: dict | None) -> None:
    """Latencies while exchanges hang, end by their time limit, and lose their profile."""
    profiles = {"default": {}}
    if bad is not None:
        profiles |= {f"bad{n}": {**bad, "fetch_timeout": "1s"} for n in range(8)}
    d = Daemon(fake, profiles=profiles, wrap=wrap).start()
    wait_until(lambda: d.token(wait=20).status == 200, "a token", 30)
    over = threading.Event()

    def stir() -> None:
        """Renews the token again and again; or takes most of those that hang away, once."""
        if bad is None:
            while not over.wait(0.1):
                assert d.post("/v1/refresh?profile=default").status == 200
        elif not over.wait(2.5):
            for number in range(1, 8):
                del d.profiles[f"bad{number}"]
            d.write_config()
            d.reload()

    thread = threading.Thread(target=stir)
    thread.start()
    found = latencies(d, 6)
    over.set()
    thread.join()
    if bad is not None:
        d.wait_log("configuration reloaded")
    row(f"the loop never blocks: {what}", "<= 50 ms",
        f"{found}; worst {found.at(1) / idle.at(1):.1f} x idle")
    begun = time.monotonic()
    d.close()
    row(f"    and its stop: {what}", "", f"{time.monotonic() - begun:.2f} s")


def blocking(fake: Fake) -> None:
    d = Daemon(fake).start()
    assert d.token(wait=20).status == 200
    idle = latencies(d, 6)
    row("(idle, for comparison)", "", str(idle))
    d.close()
    with contextlib.ExitStack() as stack:
        words = silent_name_server(stack)
        if words is None:
            row("the loop never blocks: dead name server", "<= 50 ms",
                "not measured: no mount namespace, or port 53 is taken")
        else:
            blocked(fake, "dead name server", idle, words,
                    {"token_url": "https://login.example.com/oauth/token"})
        blocked(fake, "connections that never come about", idle, [], hung_connect(stack))
        blocked(fake, "TLS that never answers", idle, [], hung_tls(stack))
    blocked(fake, "each fsync takes 0.3 s", idle,
            ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null",
             "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=300000"],
            None)


def main() -> int:
    if os.geteuid() != 0:
        print("hostile: only root can be other users", file=sys.stderr)
        return 2
    fake = Fake(lifetime=86400)
    row("promise", "reach", "measured")
    other = Daemon(fake, profile={"allow_users": "*"}, broker={"socket_mode": "0666"}).start()
    for measure in (lambda: starving(fake, other, False), lambda: starving(fake, other, True),
                    lambda: slow_clients(fake),
                    lambda: exhaustion(fake), lambda: blocking(fake), other.close, fake.stop):
        logs = io.StringIO()  # what daemons and the login server logged, of no interest here
        with contextlib.redirect_stdout(logs):
            measure()
    return 0


if __name__ == "__main__":
    sys.exit(main())
