"""The daemon of the system tests, started by systemd with the directives of the shipped unit: a
process like subprocess.Popen's, as far as those tests use one."""

import itertools
import os
import re
import select
import signal
import subprocess

import pytest

from service import UNIT, systemctl

UNIT_FILE = f"/lib/systemd/system/{UNIT}"
# As installed: a build that is in somebody's home the sandbox hides.
PROGRAM = "/usr/sbin/gctokend"
# What makes a service of it is not what confines it; and the tests have users and files of their
# own in /tmp: the daemon runs as they do, with the capabilities that the unit leaves, none.
NOT_THE_SANDBOX = {
    "Type", "NotifyAccess", "Sockets", "ExecStart", "ExecReload", "Restart", "RestartSec",
    "TimeoutStartSec", "TimeoutStopSec", "WatchdogSec", "FileDescriptorStoreMax", "User", "Group",
    "StateDirectory", "StateDirectoryMode", "UMask", "LimitNOFILE", "PrivateTmp"}
_numbers = itertools.count()


def directives() -> list[str]:
    """Each of [Service] that confines, as systemd-run takes it."""
    with open(UNIT_FILE, encoding="utf-8") as file:
        section = file.read().partition("[Service]\n")[2].partition("\n[Install]")[0]
    found = [line for line in section.splitlines() if re.match(r"\w+=", line)]
    return [line for line in found if line.partition("=")[0] not in NOT_THE_SANDBOX]


class Process:
    """In place of subprocess.Popen for the daemon alone."""

    def __init__(self, command: list[str], env: dict[str, str], stdout, cwd: str,
                 pass_fds: tuple[int, ...] = (), **_):
        if len(command) != 3 or pass_fds:
            pytest.skip("the daemon is started by way of another program")
        if "LD_PRELOAD" in env:
            pytest.skip("the daemon is started with a library in front of its own")
        self.unit = f"gct-sandboxed-{next(_numbers)}.service"
        log = os.readlink(f"/proc/self/fd/{stdout.fileno()}")
        self.returncode = None
        # Its folder is all that it finds writable.
        properties = [*directives(), f"ReadWritePaths={cwd}", f"WorkingDirectory={cwd}",
                      f"StandardOutput=append:{log}", f"StandardError=append:{log}", "Type=exec"]
        subprocess.run(
            ["systemd-run", "--quiet", f"--unit={self.unit}",
             *(f"--property={one}" for one in properties),
             *(f"--setenv={name}={value}" for name, value in env.items()), "--", PROGRAM,
             *command[1:]],
            stdin=subprocess.DEVNULL, check=True, timeout=60)
        self.pid = int(self._show("MainPID"))
        try:
            self._pidfd = os.pidfd_open(self.pid) if self.pid else -1
        except ProcessLookupError:
            self._pidfd = -1

    def _show(self, name: str) -> str:
        return systemctl("show", "-p", name, "--value", self.unit).stdout.strip()

    def _ended(self, timeout: float | None) -> bool:
        if self._pidfd >= 0 and not select.select([self._pidfd], [], [], timeout)[0]:
            return False
        while (state := self._show("ActiveState")) in ("active", "deactivating", "activating"):
            pass
        code = int(self._show("ExecMainStatus"))
        killed = self._show("ExecMainCode") in ("2", "3")
        self.returncode = -code if killed else code
        if state == "failed":
            systemctl("reset-failed", self.unit, check=False)
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        return True

    def poll(self) -> int | None:
        if self.returncode is None:
            self._ended(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not self._ended(timeout):
            raise subprocess.TimeoutExpired(self.unit, timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)
