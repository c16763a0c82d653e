"""The administrator's programs beside a daemon that runs. In a mount namespace the daemon's own folder is
/etc/gctokend, and systemctl is a program that sends the signal."""

import os
import subprocess

from daemon import GCTOKEN, GCTOKEND, environment
from waiting import PATIENCE


class AsEtc:
    def __init__(self, d, tmp_path):
        systemctl = tmp_path / "systemctl"
        systemctl.write_text(f"#!/bin/sh\nkill -HUP {d.process.pid}\n")
        systemctl.chmod(0o755)
        self._folder = d.directory
        self._path = ":".join([str(tmp_path), os.path.dirname(GCTOKEND), os.path.dirname(GCTOKEN),
                               os.environ["PATH"]])

    def run(self, *command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["unshare", "--mount", "sh", "-ec",
             "mount -t tmpfs none /mnt; mkdir /mnt/upper /mnt/work; "
             "mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work none /etc; "
             f"mkdir -p /etc/gctokend; mount --bind {self._folder} /etc/gctokend; "
             "mount -t tmpfs none /run; mkdir -p /run/systemd/system; exec \"$@\"",
             "sh", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment(PATH=self._path), timeout=60 * PATIENCE)
