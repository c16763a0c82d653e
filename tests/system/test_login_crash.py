"""A login outlives a crash at any moment: kill -9 at system calls (./dev kill-login does it at each,
a thousand times), and the order of the writes that a power cut may tear apart."""

import os
import platform
import re
import shutil

import pytest
from disk_model import Disk, parse
from killing import STEPPER, Victim, calibrate, sweep
from logging_in import log_in, login_profile
from users import needs_root
from waiting import wait_until


@needs_root
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the stepper knows this processor only")
@pytest.mark.deadline(120)
def test_killed_while_a_refresh_token_is_replaced(server, make_daemon):
    assert os.access(STEPPER, os.X_OK), f"{STEPPER} is not there: build it first"
    d = make_daemon(server, profile=login_profile(server, mint_limit=1000, clock_probe=False))
    victim = Victim(server, d)
    victim.log_in()
    first, last = calibrate(victim)
    # The end more closely than the beginning, where nothing is on the disk yet.
    sweep(victim, first, last - 30, 6)
    sweep(victim, last - 30, last, 3)
    print(victim.tally.text())
    assert victim.tally.stops["while the file was written"]
    assert victim.tally.stops["once the file had its name"]


@pytest.fixture
def traced(server, make_daemon):
    """What a daemon that refreshed its login some times has done to its state directory, the
    contents that the login's file was to have, and the fingerprints of its tokens, in order."""
    if not shutil.which("strace"):
        pytest.skip("strace is not there (Debian: strace)")
    # Leaks cannot be looked for while strace looks on.
    d = make_daemon(server, profile=login_profile(server, clock_probe=False),
                    env={"ASAN_OPTIONS": "detect_leaks=0"})
    trace = d.path("trace")
    d.wrap = d.wrap + ["strace", "-D", "-f", "-o", trace, "-xx", "-s", "16384",
                       "-e", "trace=openat,write,fsync,close,renameat,renameat2,unlinkat"]
    d.start()
    assert log_in(d, server).status == 200
    for _ in range(3):
        assert d.post("/v1/refresh").status == 200
    tokens = [token["fingerprint"] for token in server.tokens()]
    d.stop()

    def whole():
        with open(trace, encoding="ascii") as file:
            lines = file.readlines()
        return lines if any("+++ exited" in line for line in lines) else None
    return parse(wait_until(whole, "the whole trace")), tokens


@needs_root
@pytest.mark.deadline(120)
def test_power_loss_at_any_moment(traced):
    """Every state that the disk may be in, by what was synced and what was not: the file is there
    whole, as it was or as it is to be; and a token is served only once its login is durable."""
    operations, tokens = traced
    disk = Disk(".login")
    states = served = 0
    for operation in operations:
        disk.apply(operation)
        for content in disk.after_power_loss():
            states += 1
            assert content is None or content in disk.written, "half a file has the login's name"
            if disk.durable_number:
                assert content is not None, "the login is gone"
                number = disk.written.index(content) + 1
                assert number >= disk.durable_number, "a login came back that was replaced"
        if operation.name == "write" and served < len(tokens):
            found = re.search(rb"token ([0-9a-f]{16}) for ", operation.bytes)
            if found and found[1].decode() == tokens[served]:
                served += 1
                assert disk.durable_number >= served, "a token was served before its login was durable"
    assert served == len(tokens) == len(disk.written) == 4
    assert states > 50
