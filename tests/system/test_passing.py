"""Descriptors that somebody passes to the daemon, whose close takes long: a TCP socket that lingers
over bytes which nobody reads; or for ever, see hanging.py. Nobody else may wait for it, on any
kernel."""

import array
import contextlib
import os
import resource
import signal
import socket
import struct
import threading
import time

import pytest

from daemon import GCTOKEND
from hanging import Hanging, closers, state_of, stuck
from manager import Manager
from unix_http import exchange
from users import account, as_user, connect_as, needs_root
from waiting import PATIENCE, wait_until

SHIM = os.environ.get("GCTOKEN_NO_PASSRIGHTS") or os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND))), "tests", "system",
    "no_passrights.so")
LINGER = 20  # seconds, while nobody is woken


@pytest.fixture(params=["this kernel", "an older kernel"])
def make(request, make_daemon, server):
    def made(**keys):
        d = make_daemon(server, **keys)
        if request.param == "an older kernel":
            assert os.path.exists(SHIM), f"{SHIM} is not there: build it"
            sanitizer = os.environ.get("ASAN_OPTIONS", "")
            d.env.update(LD_PRELOAD=SHIM,
                         ASAN_OPTIONS=f"{sanitizer}:verify_asan_link_order=0".lstrip(":"))
        return d
    return made


class Lingering:
    """Sockets whose close sleeps, made and passed on; the other ends are kept here."""

    def __init__(self):
        self._unread = []

    def new(self) -> socket.socket:
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            listening.bind(("127.0.0.1", 0))
            listening.listen(1)
            sender = socket.socket()
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
            sender.connect(listening.getsockname())
            self._unread.append(listening.accept()[0])
        sender.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.send(b"x" * 4096)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER))
        return sender

    def pass_to(self, client: socket.socket, flags: int = 0) -> bool:
        """False: the kernel refused."""
        sender = self.new()
        try:
            client.sendmsg([b"G"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                     array.array("i", [sender.fileno()]))], flags)
            return True
        except PermissionError:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
            return False
        finally:
            # The daemon may have been faster, and then it is here that it lingers. Where it was not,
            # this is over at once, and whoever is started next does not get to close it.
            closing = threading.Thread(target=sender.close, daemon=True)
            closing.start()
            closing.join(0.1)

    def close(self) -> None:
        for one in self._unread:
            one.close()


@pytest.fixture
def lingering():
    with contextlib.closing(Lingering()) as made:
        yield made


class Watch:
    """Asks all the time on a connection of its own, and notes how long the slowest answer took."""

    def __init__(self, d):
        self.worst = 0.0
        self._connection = d.connect()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._end.is_set():
            begun = time.monotonic()
            assert exchange(self._connection, "GET", "/healthz").status == 200
            self.worst = max(self.worst, time.monotonic() - begun)
            time.sleep(0.001)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._end.set()
        self._thread.join()
        self._connection.close()
        print(f"the slowest of the others' answers took {self.worst * 1000:.1f} ms")


def connected(path: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20 * PATIENCE)
    client.connect(path)
    return client


def refused(d) -> int:
    text = d.get("/metrics").text
    return int(next(line.split()[1] for line in text.splitlines()
                    if line.startswith("gctokend_descriptors_refused_total ")))


@pytest.mark.parametrize("flags", [0, socket.MSG_OOB], ids=["plain", "urgent"])
def test_nobody_waits_for_what_is_passed(make, lingering, flags):
    """Over both sockets, as soon as connected and a while after, and with the connection closed over
    what was not read."""
    d = make()
    d.start()
    passed = 0
    with Watch(d) as watch:
        for path in (d.socket, d.path("page.sock")):
            for patient in (False, True):
                for _ in range(5):
                    client = connected(path)
                    if patient:
                        time.sleep(0.002)
                    passed += lingering.pass_to(client, flags=flags)
                    client.close()
    assert watch.worst < PATIENCE
    if passed:
        wait_until(lambda: refused(d) == passed, "all were refused")
        assert len([line for line in d.stderr_text().splitlines()
                    if "passed a descriptor over a socket" in line]) == 1
    else:
        assert refused(d) == 0
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < LINGER / 2


def test_what_was_queued_before_a_start(make, lingering):
    """A manager holds the sockets, and for a first start nobody has forbidden anything yet."""
    d = make()
    manager = Manager(d)
    clients = []
    try:
        for path in (d.socket, d.path("page.sock")):
            for flags in (0, socket.MSG_OOB, 0):
                clients.append(connected(path))
                assert lingering.pass_to(clients[-1], flags=flags)
        begun = time.monotonic()
        manager.start()
        with Watch(d) as watch:
            for client in clients:
                with contextlib.suppress(ConnectionResetError):
                    while client.recv(4096):
                        pass
        assert time.monotonic() - begun < LINGER / 2
        assert watch.worst < PATIENCE
        # Between two runs the manager has the same sockets still.
        d.stop()
        late = connected(d.socket)
        clients.append(late)
        lingering.pass_to(late)
        begun = time.monotonic()
        manager.start()
        assert d.get("/healthz").status == 200
        assert time.monotonic() - begun < LINGER / 2
    finally:
        for client in clients:
            client.close()
        manager.close()


def test_many_that_linger(make, lingering):
    """1,500 of one user, 250 to a connection: closed together, and not one after another."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    d = make()
    manager = Manager(d)
    clients = []
    try:
        for _ in range(6):
            client = connected(d.socket)
            clients.append(client)
            senders = [lingering.new() for _ in range(250)]
            socket.send_fds(client, [b"G"], [one.fileno() for one in senders])
            for one in senders:
                one.close()
        begun = time.monotonic()
        manager.start()
        with Watch(d) as watch:
            wait_until(lambda: refused(d) == 6, "all are refused")
            # Who starts them is left.
            wait_until(lambda: len(closers(d.process.pid)) == 1, "all are closed")
        print(f"all were closed after {time.monotonic() - begun:.2f} s")
        assert time.monotonic() - begun < LINGER / 2
        assert watch.worst < PATIENCE
        assert "does not finish closing" not in d.stderr_text()
    finally:
        for client in clients:
            client.close()
        manager.close()


# What never finishes.

SOMEBODY, ANOTHER = account("games"), account("mail")


@pytest.fixture
def hanging():
    with contextlib.closing(Hanging(8)) as made:
        yield made


def managed(d) -> Manager:
    """Its sockets are for everybody."""
    manager = Manager(d)
    os.chmod(d.directory, 0o755)
    for path in (d.socket, d.path("page.sock")):
        os.chmod(path, 0o666)
    return manager


def hang(d, hanging, path: str) -> None:
    with as_user(SOMEBODY):
        client = connected(path)
    with client:
        hanging.pass_one(client)


def hangs(pid: int) -> bool:
    """In whichever of its threads is the last."""
    return any(state_of(int(thread)) == "D" for thread in os.listdir(f"/proc/{pid}/task"))


def is_refused(d) -> bool:
    connection = connect_as(d, SOMEBODY)
    try:
        return exchange(connection, "GET", "/healthz").status == 429
    finally:
        connection.close()


@needs_root
def test_what_never_finishes_closing(make, hanging):
    """Over both sockets, again and again by who is refused already; only that user is. A restart does
    not wait for it, nor is a process that is stuck with it in the way of the next run."""
    d = make()
    manager = managed(d)
    try:
        # Queued before a first start, so that no kernel refuses it.
        for path in (d.socket, d.path("page.sock")):
            hang(d, hanging, path)
        manager.start()
        with Watch(d) as watch:
            wait_until(lambda: stuck(closers(d.process.pid)), "a close hangs")
            wait_until(lambda: is_refused(d), "the user is refused")
            assert exchange(connect_as(d, ANOTHER), "GET", "/healthz").status == 200
            if "LD_PRELOAD" in d.env:
                for path in (d.socket, d.path("page.sock")) * 2:
                    hang(d, hanging, path)
                wait_until(lambda: refused(d) >= 2, "descriptors are refused")
            assert is_refused(d)
            assert exchange(connect_as(d, ANOTHER), "GET", "/healthz").status == 200
        assert watch.worst < PATIENCE
        first = closers(d.process.pid)
        assert len(stuck(first)) <= 2
        # But for a moment in which another one waits for a page or a fork.
        wait_until(lambda: not any(os.listdir(f"/proc/{pid}/fd") for pid in stuck(first)),
                   "those that are stuck have nothing else")
        d.wait_log("does not finish closing")
        begun = time.monotonic()
        d.stop()
        assert stuck(first)
        manager.start()
        took = time.monotonic() - begun
        print(f"stop and start took {took * 1000:.0f} ms")
        assert took < 10 * PATIENCE
        assert d.get("/healthz").status == 200
        assert not is_refused(d)
        hanging.close()
        wait_until(lambda: not stuck(first), "all is closed")
        second = closers(d.process.pid)
        assert second
        assert len([line for line in d.stderr_text().splitlines()
                    if "does not finish closing" in line]) == 1
        d.stop()
        wait_until(lambda: all(state_of(pid) in ("", "Z") for pid in first + second),
                   "all processes have ended")
    finally:
        manager.close()


@needs_root
def test_a_user_is_served_again(make, hanging):
    """... once it has finished after all."""
    d = make()
    manager = managed(d)
    try:
        hang(d, hanging, d.socket)
        manager.start()
        wait_until(lambda: is_refused(d), "the user is refused")
        hanging.close()
        wait_until(lambda: not is_refused(d), "the user is served again")
    finally:
        manager.close()


@needs_root
def test_a_daemon_whose_end_hangs(make, hanging):
    """One that is killed before it has looked at what it was sent: it cannot end, and has the sockets
    and the files of the next one, but not the lock."""
    d = make()
    manager = managed(d)
    try:
        manager.start()
        if "LD_PRELOAD" not in d.env:
            pytest.skip("the kernel refuses what is passed")
        with as_user(SOMEBODY):
            client = connected(d.socket)
        d.get("/healthz")  # it is accepted
        killed = d.process
        killed.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(killed.pid) == "T", "it is stopped")
        with client:
            hanging.pass_one(client)
        killed.kill()
        wait_until(lambda: hangs(killed.pid), "its end hangs")
        d.process = None
        manager.start()
        assert d.get("/healthz").status == 200
        assert hangs(killed.pid)
        hanging.close()
        killed.wait(20 * PATIENCE)
    finally:
        hanging.close()
        manager.close()
