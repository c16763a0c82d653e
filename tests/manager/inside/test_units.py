"""The units as files: that systemd takes every line, and how it judges the sandbox."""

import contextlib
import os
import re
import shutil
import subprocess

import pytest

from figures import FIGURES
from service import DROP_INS, ETC, UNIT, journal, journal_end, systemctl
from waiting import wait_until

UNITS = ["/lib/systemd/system/" + name for name in (UNIT, "gctokend.socket",
                                                    "gctokend-page.socket")]
ALLOW_UNITS = "/usr/share/doc/gctokend/examples/allow-units.conf"
EXPOSURE_MOST = 1.4


def analyze(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True,
                          text=True, check=False)


def test_systemd_knows_every_line(service):
    service.install()
    judged = analyze("verify", "--man=no", *UNITS)
    assert (judged.stderr, judged.returncode) == ("", 0)


@pytest.mark.parametrize("variant", ["as shipped", "with allow-units.conf"])
def test_exposure(tmp_path, variant):
    unit = shutil.copy(UNITS[0], tmp_path)
    if variant != "as shipped":
        os.mkdir(tmp_path / f"{UNIT}.d")
        shutil.copy(ALLOW_UNITS, tmp_path / f"{UNIT}.d")
    text = analyze("security", "--offline=true", unit).stdout
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", text)[1])
    FIGURES.append(f"systemd-analyze security, {variant}: {exposure}")
    assert exposure <= EXPOSURE_MOST, text


def test_each_directive_that_the_judge_misses_is_explained():
    text = analyze("security", "--offline=true", UNITS[0]).stdout
    missed = {name for line in text.splitlines() if line.startswith("✗")
              for name in re.findall(r"\w+(?==)", line.split()[1])}
    with open(UNITS[0], encoding="utf-8") as file:
        unit = file.read()
    unexplained = {name for name in missed if not re.search(rf"\b{name}=", unit)}
    assert not unexplained


def assert_confined(pid: int) -> None:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0
    assert 0 not in map(int, status["Uid"].split())
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        limits = {line[:26].strip(): line[26:].split() for line in file}
    assert limits["Max core file size"][:2] == ["0", "0"]
    with open("/proc/1/limits", encoding="ascii") as file:
        most = next(line.split()[4] for line in file if line.startswith("Max open files"))
    assert int(limits["Max open files"][0]) == min(65536, int(most))
    # Not dumpable: /proc is root's, whoever it runs as.
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0


def test_the_daemon_is_what_the_unit_makes_of_it(service):
    since = journal_end()
    service.install()
    service.start()
    pid = service.pid
    assert_confined(pid)
    assert service.show("User") == "gctokend" == service.show("Group")
    # Locked is what was asked to be, so nothing of it was refused.
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        locked = int(re.search(r"VmLck:\s+(\d+)", file.read())[1])
    assert locked >= 1024
    assert "may reach swap" not in journal(since)


def test_who_takes_the_daemon_over_gets_no_shell(service):
    """ExecReload= starts programs in the same sandbox, so it is the daemon that forbids itself to."""
    shim = shutil.copy(os.path.join(os.environ["GCTOKEN_MANAGER_BUILD"], "tests", "system",
                                    "exec_shim.so"), "/usr/lib")
    since = journal_end()
    service.install(drop_in=f"[Service]\nEnvironment=LD_PRELOAD={shim}\n")
    service.start()
    pid = service.pid
    systemctl("kill", "--kill-who=main", "--signal=USR2", UNIT)
    wait_until(lambda: "exec: errno 01" in journal(since), "it tried, and was refused")  # EPERM
    systemctl("reload", UNIT)
    wait_until(lambda: "configuration reloaded" in journal(since), "the reload")
    assert service.pid == pid and "exec: a shell" not in journal(since)


def test_what_the_daemon_makes_belongs_to_it_alone(service):
    service.install()
    service.start()
    service.token()
    for place, _, files in os.walk("/var/lib/gctokend"):
        for name in [place, *(os.path.join(place, one) for one in files)]:
            with contextlib.suppress(FileNotFoundError):  # one that was renamed since
                assert os.stat(name).st_mode & 0o077 == 0, name
    assert os.listdir("/var/lib/gctokend")
    assert os.stat("/run/gctokend").st_uid == 0
    assert os.stat(ETC).st_mode & 0o007 == 0
    assert sorted(os.listdir("/run/gctokend")) == ["gctokend.sock", "page.sock"]
    for name in os.listdir("/run/gctokend"):
        found = os.stat(f"/run/gctokend/{name}")
        assert found.st_mode & 0o777 == 0o660 and found.st_uid == 0
    systemctl("stop", UNIT)
    assert sorted(os.listdir("/run/gctokend")) == ["gctokend.sock", "page.sock"]
    assert not os.path.exists(DROP_INS)
