"""Other users of this machine: real ones, as the kernel sees them at the other end of a socket."""

import contextlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass

import pytest

from daemon import Daemon, environment
from unix_http import UnixConnection
from waiting import PATIENCE

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")


@dataclass(frozen=True)
class User:
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def account(name: str) -> User:
    """One that Debian always has, without its supplementary groups."""
    entry = pwd.getpwnam(name)
    return User(entry.pw_uid, entry.pw_gid)


@contextlib.contextmanager
def as_user(user: User):
    """Connections made in here are that user's: the kernel notes who connects, once."""
    groups = os.getgroups()
    os.setgroups(user.groups)
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def connect_as(d: Daemon, user: User) -> UnixConnection:
    """A connection to keep; see unix_http.exchange."""
    connection = d.connect()
    with as_user(user):
        connection.connect()
    return connection


def become(user: User) -> list[str]:
    """The words before a command that make it that user's; without other groups."""
    return ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]


# Units: a process is in the unit whose cgroup it is in.

# Where a systemd would keep its own hierarchy: the unified one, or else one of its own.
_HIERARCHIES = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"]


@contextlib.contextmanager
def unit(name: str):
    """Yields the words to put before a command that is to run in that unit, or skips. A systemd is
    asked for a service; without one, root may arrange the cgroup that such a service would have."""
    if os.path.isdir("/run/systemd/system"):
        if not shutil.which("systemd-run"):
            pytest.skip("there is a systemd, but no systemd-run")
        yield ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={name}"]
        return
    hierarchies = [h for h in _HIERARCHIES if os.path.exists(os.path.join(h, "cgroup.procs"))]
    if not hierarchies:
        pytest.skip("no systemd here, and no cgroup hierarchy to imitate one in")
    group = os.path.join(hierarchies[0], "system.slice", name)
    try:
        os.makedirs(group)
    except OSError as error:
        pytest.skip(f"no systemd here, and no cgroup of a unit can be made: {error}")
    try:
        yield ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', group]
    finally:
        os.rmdir(group)
        with contextlib.suppress(OSError):  # another's unit may be in it
            os.rmdir(os.path.dirname(group))


def curl_status(d: Daemon, user: User, target: str, before: list[str],
                within: list[str] | None = None) -> int:
    """The HTTP status of a GET by that user: with these words before that user's command, and those
    in its own."""
    run = subprocess.run(
        [*before, *become(user), *(within or []), "curl", "-q", "-s", "-o", "/dev/null", "-w", "%{http_code}",
         "--max-time", str(30 * PATIENCE), "--unix-socket", d.socket, "http://localhost" + target],
        cwd="/", env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60 * PATIENCE, check=False)
    assert run.returncode == 0, f"curl in a unit ended with {run.returncode}: {run.stderr}"
    return int(run.stdout)
