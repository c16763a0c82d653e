"""A daemon's disk as a test wants it: see disk_shim.c, which is preloaded for it."""

import mmap
import os

from daemon import GCTOKEND, Daemon

SHIM = os.environ.get("GCTOKEN_DISK_SHIM") or os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND))), "tests", "system", "disk_shim.so")

_WORDS = {"slow_ms": 0, "open": 1, "write": 2, "fsync": 3, "rename": 4, "fsyncs": 5}


class ShimmedDisk:
    """Give it to a daemon that has not started yet; then it may be changed while that runs."""

    def __init__(self, daemon: Daemon):
        assert os.path.exists(SHIM), f"{SHIM} is not there: build it, or name it in GCTOKEN_DISK_SHIM"
        path = daemon.path("disk")
        with open(path, "w+b") as file:
            file.truncate(8 * len(_WORDS))
            self._words = memoryview(mmap.mmap(file.fileno(), 8 * len(_WORDS))).cast("q")
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        daemon.env.update(LD_PRELOAD=SHIM, GCTOKEN_TEST_DISK=path,
                          ASAN_OPTIONS=f"{sanitizer}:verify_asan_link_order=0".lstrip(":"))

    def set(self, **words: int) -> None:
        """slow_ms of fsync; an errno for open, write, fsync or rename, 0: it works."""
        for name, value in words.items():
            self._words[_WORDS[name]] = value

    @property
    def fsyncs(self) -> int:
        """Of the file of a login."""
        return self._words[_WORDS["fsyncs"]]
