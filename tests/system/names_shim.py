"""A name service as a test has it: see names_shim.c, which is preloaded for it."""

import os

from daemon import GCTOKEND, Daemon

# Both are built by meson, into the same build folder.
SHIM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND))), "tests", "system",
                    "names_shim.so")


class ShimmedNames:
    """Give it to a daemon that has not started yet; then it may be changed while that runs."""

    def __init__(self, daemon: Daemon):
        self.folder = daemon.path("names")
        os.mkdir(self.folder)
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        daemon.env.update(LD_PRELOAD=SHIM, GCTOKEN_TEST_NAMES=self.folder,
                          ASAN_OPTIONS=f"{sanitizer}:verify_asan_link_order=0".lstrip(":"))

    def set(self, **words: str | int) -> None:
        """By name: "slow", "error", "none", or the uid or gid."""
        for name, word in words.items():
            made = os.path.join(self.folder, f".{name}")
            with open(made, "w", encoding="ascii") as file:
                file.write(str(word))
            os.replace(made, os.path.join(self.folder, name))

    def asked(self, name: str) -> int:
        """How often that name was looked up."""
        with open(os.path.join(self.folder, "log"), encoding="ascii") as file:
            return file.read().split("\n").count(name)
