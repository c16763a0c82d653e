"""A process's clocks as a test sets them: see clock_shim.c, which is preloaded for it."""

import mmap
import os

from typing import Protocol

from daemon import GCTOKEND

# Both are built by meson, into the same build folder.
SHIM = os.environ.get("GCTOKEN_CLOCK_SHIM") or os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND))), "tests", "system",
    "clock_shim.so")


class Process(Protocol):
    """A daemon, say."""
    env: dict[str, str]

    def path(self, name: str) -> str:
        """A file in a folder of its own."""


class ShimmedClock:
    """Give it to a process that has not started yet; then it may be changed while that runs."""

    def __init__(self, process: Process):
        assert os.path.exists(SHIM), f"{SHIM} is not there: build it, or name it in GCTOKEN_CLOCK_SHIM"
        path = process.path("clock")
        with open(path, "w+b") as file:
            file.truncate(16)
            # As native 64-bit words, each is stored in one piece: the daemon never reads half of one.
            self._shifts = memoryview(mmap.mmap(file.fileno(), 16)).cast("q")
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        process.env.update(LD_PRELOAD=SHIM, GCTOKEN_TEST_CLOCK=path,
                          ASAN_OPTIONS=f"{sanitizer}:verify_asan_link_order=0".lstrip(":"))

    @property
    def wall(self) -> float:
        """How many seconds the daemon's wall clock is ahead of this machine's."""
        return (self._shifts[0] + self._shifts[1]) / 1e9

    def step(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._shifts[0] += round(seconds * 1e9)

    def suspend(self, seconds: float) -> None:
        """The machine slept so long, and its clocks know that it did."""
        self._shifts[1] += round(seconds * 1e9)
