#!/usr/bin/python3
"""Boots a systemd of its own in a container, with the daemon, its units and its account installed in
it, and runs the tests of inside/ there. Needs root; Docker is not needed, and nothing of this
machine is changed: the container's root is an overlay that is thrown away.

    tests/manager/boot.py [--build DIR] [--report XML] [PYTEST ARGUMENT...]

Exit status: pytest's; 77 where no container can be booted, with the reason."""

import argparse
import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CANNOT = 77
CLONE_NEWNS = 0x00020000
CGROUPS = "/sys/fs/cgroup"
BOOT_DEADLINE_S = 7200

# Started in place of what the host has enabled: only what a service needs to live.
TARGET = """[Unit]
Requires=basic.target gct-tests.service
After=basic.target
AllowIsolate=yes
"""
SERVICE = """[Unit]
After=basic.target
SuccessAction=exit
FailureAction=exit

[Service]
Type=oneshot
ExecStart=/bin/sh /gct-tests.sh
StandardOutput=file:/out/log
StandardError=inherit
"""
SCRIPT = """set -e
exec 2>&1
systemd-sysusers gctokend.conf
cd {root}
status=0
{environment} /usr/bin/python3 -m pytest tests/manager/inside --junitxml=/out/report.xml \\
    -o cache_dir=/tmp/cache {arguments} || status=$?
journalctl -q -o short-precise --no-pager >/out/journal 2>&1 || true
exit $status
"""


def cannot(reason: str) -> None:
    print(f"no systemd can be booted here: {reason}", file=sys.stderr)
    sys.exit(CANNOT)


def own_cgroup() -> list[str]:
    """Without this the container's manager takes over every process of the machine."""
    made = []
    hierarchies = [os.path.join(CGROUPS, one) for one in ("systemd", "unified", "cpu", "memory",
                                                           "pids")]
    if os.path.exists(os.path.join(CGROUPS, "cgroup.controllers")):
        hierarchies = [CGROUPS]
    for hierarchy in hierarchies:
        if not os.path.exists(os.path.join(hierarchy, "cgroup.procs")):
            continue
        group = os.path.join(hierarchy, f"gct.{os.getpid()}")
        try:
            os.mkdir(group)
            made.append(group)
            with open(os.path.join(group, "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(str(os.getpid()))
        except OSError as error:
            leave_cgroups(made)
            cannot(f"no cgroup of its own in {hierarchy}: {error.strerror}")
    if not made:
        cannot(f"there are no cgroups in {CGROUPS}")
    return made


def end_all_in(group: str) -> None:
    """What is left of the container where its boot was given up: its manager takes all with it."""
    for folder, _, _ in os.walk(group):
        with open(os.path.join(folder, "cgroup.procs"), encoding="ascii") as file:
            for pid in map(int, file.read().split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def leave_cgroups(made: list[str]) -> None:
    for group in made:
        try:
            with open(os.path.join(os.path.dirname(group), "cgroup.procs"), "w",
                      encoding="ascii") as file:
                file.write(str(os.getpid()))
        except OSError:
            pass
        end_all_in(group)
        for folder, _, _ in sorted(os.walk(group), reverse=True):
            for _ in range(50):
                try:
                    os.rmdir(folder)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)  # its last process is being reaped


def run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}: {done.stdout.strip()}")


def make_tree(scratch: str, lower: str = "/") -> str:
    """What the container sees as /: that folder's, as it is, and all that is written put aside."""
    try:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
            cannot(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
        run("mount", "--make-rprivate", "/")
        run("mount", "-t", "tmpfs", "-o", "mode=755", "gct", scratch)
        for name in ("upper", "work", "tree"):
            os.mkdir(os.path.join(scratch, name))
        tree = os.path.join(scratch, "tree")
        run("mount", "-t", "overlay", "-o",
            f"lowerdir={lower},upperdir={scratch}/upper,workdir={scratch}/work", "gct", tree)
    except RuntimeError as error:
        cannot(str(error))
    return tree


def write(tree: str, path: str, text: str) -> None:
    with open(os.path.join(tree, path.lstrip("/")), "w", encoding="utf-8") as file:
        file.write(text)


def furnish(tree: str, build: str, arguments: list[str]) -> None:
    # Debian's copy in /lib would be shadowed by another that an administrator of this host made.
    shutil.rmtree(os.path.join(tree, "etc/gctokend"), ignore_errors=True)
    run("meson", "install", "--no-rebuild", "-C", build, "--destdir", tree)
    os.makedirs(os.path.join(tree, "out"))
    os.makedirs(os.path.join(tree, ROOT.lstrip("/")), exist_ok=True)
    os.makedirs(os.path.join(tree, "etc/gctokend"), exist_ok=True)
    write(tree, "/etc/machine-id", "")
    write(tree, "/etc/systemd/system/gct.target", TARGET)
    write(tree, "/etc/systemd/system/gct-tests.service", SERVICE)
    passed_on = {name: value for name, value in os.environ.items()
                 if name.startswith("GCTOKEN_TEST_") or name.startswith("GCTOKEN_MANAGER_")}
    passed_on.update(GCTOKEND="/usr/sbin/gctokend", GCTOKEN="/usr/bin/gctoken",
                     GCTOKEN_MANAGER_BUILD=build, PYTHONDONTWRITEBYTECODE="1")
    write(tree, "/gct-tests.sh", SCRIPT.format(
        root=shlex.quote(ROOT), arguments=shlex.join(arguments),
        environment=" ".join(f"{name}={shlex.quote(value)}"
                             for name, value in passed_on.items())))


def boot(tree: str, out: str) -> int:
    return subprocess.run(
        ["systemd-nspawn", "--quiet", "-D", tree, "--register=no", "--keep-unit",
         # What nspawn does not let a container do by itself: lock memory, and hang (hanging.py).
         "--system-call-filter=@memlock userfaultfd",
         *(["--bind=/dev/fuse"] if os.path.exists("/dev/fuse") else []),
         "--private-network", "--machine=gct", f"--bind={out}:/out", f"--bind-ro={ROOT}",
         "--console=pipe", "--boot", "--", "systemd.unit=gct.target", "systemd.show_status=no"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        timeout=BOOT_DEADLINE_S).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--report")
    options, arguments = parser.parse_known_args()
    build = os.path.abspath(options.build)
    if os.geteuid():
        cannot("only root can")
    if not shutil.which("systemd-nspawn"):
        cannot("there is no systemd-nspawn (package systemd-container)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    scratch, out = tempfile.mkdtemp(prefix="gct-boot-"), tempfile.mkdtemp(prefix="gct-out-")
    groups = own_cgroup()
    status = 1
    try:
        tree = make_tree(scratch)
        furnish(tree, build, arguments)
        status = boot(tree, out)
        log = os.path.join(out, "log")
        if os.path.exists(log):
            with open(log, encoding="utf-8", errors="replace") as file:
                print(file.read(), end="")
        else:
            cannot(f"systemd-nspawn ended with {status} before any test ran")
        report = os.path.join(out, "report.xml")
        if options.report and os.path.exists(report):
            shutil.copyfile(report, options.report)
        if status and os.path.exists(os.path.join(out, "journal")):
            os.makedirs(os.path.join(build, "manager"), exist_ok=True)
            shutil.copyfile(os.path.join(out, "journal"), os.path.join(build, "manager", "journal"))
            print(f"the journal of that boot: {build}/manager/journal")
    finally:
        for mounted in (os.path.join(scratch, "tree"), scratch):
            if os.path.ismount(mounted):
                subprocess.run(["umount", "-l", mounted], check=False)
        leave_cgroups(groups)
        shutil.rmtree(out, ignore_errors=True)
        os.rmdir(scratch)
    return status


if __name__ == "__main__":
    sys.exit(main())
