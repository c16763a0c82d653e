"""Descriptors that do not finish closing until told to: whoever closes one is in state D meanwhile,
and nothing ends it. A file system (FUSE, answered here) does not answer, so that a process hangs in
mmap() with its own memory locked; and its userfaultfd needs that lock to close."""

import contextlib
import ctypes
import errno
import mmap
import os
import socket
import struct
import tempfile
import threading

import pytest

from waiting import wait_until

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_FORCE, MNT_DETACH = 1, 2
SYS_USERFAULTFD = {"x86_64": 323, "aarch64": 282}.get(os.uname().machine)
USER_MODE_ONLY = 1

LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, BATCH_FORGET = \
    1, 2, 3, 14, 15, 18, 25, 26, 42
DIRECT_IO, KEEP_CACHE = 1, 2
FILE = 2  # the inode; 1 is the folder
SIZE = 4096


def attributes(inode: int) -> bytes:
    mode = 0o100444 if inode == FILE else 0o40555
    return struct.pack("<6Q10I", inode, SIZE, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def state_of(pid: int) -> str:
    """As ps tells it; empty: there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(") ")[2][0]
    except OSError:
        return ""


def closers(daemon: int) -> list[int]:
    """That daemon's process that forks those which close what is passed, and these."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(") ")
            if name == "gctokend-closer":
                parents[int(pid)] = int(rest.split()[1])
    forker = [pid for pid, parent in parents.items() if parent == daemon]
    return forker + [pid for pid, parent in parents.items() if parent in forker]


def stuck(pids: list[int]) -> list[int]:
    return [pid for pid in pids if state_of(pid) == "D"]


class Hanging:
    """Needs root. `fds` are so many descriptors, which this process must not be the last to close."""

    def __init__(self, count: int):
        if os.geteuid() or not SYS_USERFAULTFD:
            pytest.skip("mounting a file system needs root")
        try:
            self._device = os.open("/dev/fuse", os.O_RDWR)
        except OSError as e:
            pytest.skip(f"no /dev/fuse: {e.strerror}")
        self._folder = tempfile.mkdtemp(prefix="gct-hanging-")
        options = f"fd={self._device},rootmode=40555,user_id=0,group_id=0"
        if LIBC.mount(b"hanging", self._folder.encode(), b"fuse", 0, options.encode()):
            why = os.strerror(ctypes.get_errno())
            os.close(self._device)
            os.rmdir(self._folder)
            pytest.skip(f"a file system cannot be mounted: {why}")
        self._opened = 0
        self._asked = threading.Event()
        self._children: list[int] = []
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()
        self.fds = self._hang(os.path.join(self._folder, "file"), count)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 17)
            except OSError as e:
                if e.errno in (errno.ENOENT, errno.EINTR):
                    continue
                return  # unmounted
            _, opcode, unique, inode = struct.unpack_from("<IIQQ", request)
            self._answer(opcode, unique, inode)

    def _answer(self, opcode: int, unique: int, inode: int) -> None:
        error, body = 0, b""
        if opcode == INIT:
            body = struct.pack("<4I2H2I", 7, 31, 4096, 0, 1, 1, 4096, 1).ljust(64, b"\0")
        elif opcode == LOOKUP:
            body = struct.pack("<4Q2I", FILE, 0, 60, 60, 0, 0) + attributes(FILE)
        elif opcode == GETATTR:
            body = struct.pack("<Q2I", 60, 0, 0) + attributes(inode)
        elif opcode == OPEN:
            # The first reads by way of the kernel's pages, one of which then waits for us; the next
            # drops those when it is mapped, and waits for that one.
            body = struct.pack("<Q2I", 1, DIRECT_IO | KEEP_CACHE if self._opened else 0, 0)
            self._opened += 1
        elif opcode == READ:
            self._asked.set()
            return
        elif opcode in (FORGET, BATCH_FORGET):
            return
        elif opcode not in (FLUSH, RELEASE):
            error = -errno.ENOSYS
        os.write(self._device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

    def _child(self, what) -> int:
        pid = os.fork()
        if not pid:
            try:
                os.close(self._device)
                what()
            finally:
                os._exit(0)
        self._children.append(pid)
        return pid

    def _hang(self, path: str, count: int) -> list[int]:
        ours, its = socket.socketpair()

        def read():
            with open(path, "rb", buffering=0) as file:
                file.read(1)

        def map_it():
            fds = [LIBC.syscall(SYS_USERFAULTFD, os.O_CLOEXEC | USER_MODE_ONLY)
                   for _ in range(count)]
            socket.send_fds(its, [b"x"], fds)
            for fd in fds:
                os.close(fd)
            with open(path, "rb", buffering=0) as file:
                mmap.mmap(file.fileno(), SIZE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)

        self._child(read)
        assert self._asked.wait(20), "the file was not read"
        stuck = self._child(map_it)
        with ours, its:
            fds = socket.recv_fds(ours, 1, count)[1]
        wait_until(lambda: state_of(stuck) == "D", "a process hangs in mmap()")
        return fds

    def pass_one(self, client: socket.socket) -> None:
        """It is here that it does not hang, as long as who gets it keeps it."""
        fd = self.fds.pop()
        socket.send_fds(client, [b"G"], [fd])
        os.close(fd)

    def close(self) -> None:
        """All that hangs finishes."""
        if self._device < 0:
            return
        LIBC.umount2(self._folder.encode(), MNT_FORCE | MNT_DETACH)
        for pid in self._children:
            os.waitpid(pid, 0)
        self._server.join()
        for fd in self.fds:
            os.close(fd)
        os.close(self._device)
        self._device = -1
        os.rmdir(self._folder)
