"""A service manager as the daemon sees it: a socket for notices, a store of descriptors that it
keeps from one start to the next, and listening sockets. As systemd 252 does it: a store that is full
takes nothing and says nothing, and a name does not replace what has the same name."""

import array
import os
import socket
import sys
import threading

from daemon import Daemon
from waiting import wait_until

_HERE = os.path.dirname(os.path.abspath(__file__))


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(4096)
    return listener


class Manager:
    def __init__(self, daemon: Daemon, watchdog_us: int | None = None, store_max: int = 64,
                 sockets: tuple[str, ...] = ("http", "page")):
        self.daemon = daemon
        self.store_max = store_max
        self.stored: list[tuple[str, int]] = []
        self.notices: list[dict[str, str]] = []
        self.status = ""
        self._changed = threading.Condition()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(daemon.path("notify"))
        self._listeners = {name: _listen(daemon.socket if name == "http"
                                         else daemon.path(f"{name}.sock")) for name in sockets}
        daemon.env["NOTIFY_SOCKET"] = daemon.path("notify")
        if watchdog_us:
            daemon.env["WATCHDOG_USEC"] = str(watchdog_us)
        self._wrap = daemon.wrap
        self._end_read, self._end_write = os.pipe()
        self._thread = threading.Thread(target=self._listen_to_notices)
        self._thread.start()

    # What it is told.

    def _listen_to_notices(self) -> None:
        import select
        while True:
            readable, _, _ = select.select([self._notify, self._end_read], [], [])
            if self._end_read in readable:
                return
            text, ancillary, _, _ = self._notify.recvmsg(4096, socket.CMSG_SPACE(16))
            fds = array.array("i")
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
            with self._changed:
                self._take(dict(line.split("=", 1) for line in text.decode().split("\n") if line),
                           list(fds))
                self._changed.notify_all()

    def _take(self, notice: dict[str, str], fds: list[int]) -> None:
        self.notices.append(notice)
        self.status = notice.get("STATUS", self.status)
        name = notice.get("FDNAME", "stored")
        if "FDSTOREREMOVE" in notice:
            for stored in [one for one in self.stored if one[0] == name]:
                self.stored.remove(stored)
                os.close(stored[1])
        for fd in fds:
            if ("FDSTORE" not in notice or len(self.stored) >= self.store_max
                    or any(os.path.sameopenfile(fd, one[1]) for one in self.stored)):
                os.close(fd)
            else:
                self.stored.append((name, fd))

    def count(self, key: str) -> int:
        with self._changed:
            return sum(key in notice for notice in self.notices)

    def wait_notice(self, key: str, count: int = 1) -> None:
        wait_until(lambda: self.count(key) >= count, f"{key} is told {count} times")

    def wait_status(self, text: str) -> None:
        wait_until(lambda: text in self.status, f"a status with {text!r}")

    def store(self, name: str, fd: int) -> None:
        """As if a run before had."""
        self.stored.append((name, fd))

    def handover(self) -> int:
        """The descriptor under that name, once it is there."""
        def find():
            return [fd for name, fd in self.stored if name == "handover"]
        return wait_until(find, "the handover is stored")[0]

    # What it does.

    def start(self, ready: bool = True) -> Daemon:
        passed = [(name, one.fileno()) for name, one in self._listeners.items()] + self.stored
        self.daemon.pass_fds = tuple(fd for _, fd in passed)
        self.daemon.env["LISTEN_FDNAMES"] = ":".join(name for name, _ in passed)
        self.daemon.wrap = self._wrap + [
            sys.executable, "-I", os.path.join(_HERE, "pass_fds.py"),
            ",".join(str(fd) for _, fd in passed)]
        told = self.count("READY")
        self.daemon.start(ready)
        if ready:
            self.wait_notice("READY", told + 1)
        return self.daemon

    def restart(self) -> None:
        self.daemon.stop()
        self.start()

    def crash(self) -> None:
        self.daemon.kill()
        self.start()

    def forget_all(self) -> None:
        """As when the service is really stopped."""
        for _, fd in self.stored:
            os.close(fd)
        self.stored.clear()

    def close(self) -> None:
        os.write(self._end_write, b".")
        self._thread.join()
        self.forget_all()
        for one in (*self._listeners.values(), self._notify):
            one.close()
        os.close(self._end_read)
        os.close(self._end_write)
