#!/usr/bin/python3
"""container.py LOWER OUT: boots systemd in a container whose files are those of LOWER, a whole
Debian or / itself, with changes that nobody keeps. There OUT/run is run, as /out/run; the repository
is /repo; there is no network but loopback. Root only. Exit status: that of OUT/run; 77 where no
container can be booted, with the reason."""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "manager"))

import boot as manager  # noqa: E402

TARGET = """[Unit]
Requires=basic.target packages-test.service
After=basic.target
AllowIsolate=yes
"""
SERVICE = """[Unit]
After=basic.target
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/out/run
"""


def furnish(tree: str) -> None:
    # What keeps services from being started where packages are installed for an image; and an
    # index of all manuals, at each installation.
    for path in ("usr/sbin/policy-rc.d", "var/lib/man-db/auto-update"):
        if os.path.lexists(os.path.join(tree, path)):
            os.unlink(os.path.join(tree, path))
    manager.write(tree, "/etc/machine-id", "")
    os.makedirs(os.path.join(tree, "etc/systemd/system"), exist_ok=True)
    manager.write(tree, "/etc/systemd/system/packages-test.target", TARGET)
    manager.write(tree, "/etc/systemd/system/packages-test.service", SERVICE)


def boot(tree: str, out: str) -> int:
    # What nspawn keeps for the time of a run; of this one nothing shall be left.
    os.makedirs("/run/systemd/nspawn", exist_ok=True)
    manager.run("mount", "-t", "tmpfs", "tmpfs", "/run/systemd/nspawn")
    return subprocess.run(
        ["systemd-nspawn", "--quiet", "-D", tree, "--register=no", "--keep-unit",
         "--private-network", "--capability=CAP_IPC_LOCK", "--machine=gctokend",
         f"--bind={out}:/out", f"--bind-ro={manager.ROOT}:/repo", "--console=pipe", "--boot", "--",
         "systemd.unit=packages-test.target", "systemd.show_status=no"],
        stdin=subprocess.DEVNULL, check=False).returncode


def main() -> int:
    lower, out = sys.argv[1:]
    if os.geteuid():
        manager.cannot("only root can")
    if not shutil.which("systemd-nspawn"):
        manager.cannot("there is no systemd-nspawn (package systemd-container)")
    scratch = tempfile.mkdtemp(prefix="gct-packages-")
    groups = manager.own_cgroup()
    try:
        tree = manager.make_tree(scratch, lower)
        furnish(tree)
        return boot(tree, out)
    finally:
        for mounted in (os.path.join(scratch, "tree"), scratch):
            if os.path.ismount(mounted):
                subprocess.run(["umount", "-l", mounted], check=False)
        manager.leave_cgroups(groups)
        os.rmdir(scratch)


if __name__ == "__main__":
    sys.exit(main())
