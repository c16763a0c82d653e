"""The daemon starts no programs: not even if somebody else's code runs in it."""

import os
import signal

from daemon import GCTOKEND
from waiting import wait_until

SHIM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND))), "tests", "system",
                    "exec_shim.so")


def test_who_takes_it_over_gets_no_shell(server, make_daemon):
    sanitizer = os.environ.get("ASAN_OPTIONS", "")
    d = make_daemon(server, env={"LD_PRELOAD": SHIM,
                                 "ASAN_OPTIONS": f"{sanitizer}:verify_asan_link_order=0".lstrip(":")})
    d.start()
    assert "cannot be kept from starting programs" not in d.stderr_text()
    for _ in range(2):  # a reload changes nothing about it
        seen = len(d.stderr_text())
        d.process.send_signal(signal.SIGUSR2)
        d.wait_log("^exec: errno 01$", since=seen)  # EPERM
        assert d.token(wait=20).status == 200
        d.reload()
        d.wait_log("configuration reloaded", since=seen)


def test_every_thread_of_it(server, daemon):
    d = daemon(server)
    assert d.token(wait=20).status == 200
    assert d.post("/v1/refresh").status == 200

    def threads() -> list[dict[str, str]]:
        found = []
        for thread in os.listdir(f"/proc/{d.process.pid}/task"):
            with open(f"/proc/{d.process.pid}/task/{thread}/status", encoding="ascii") as file:
                found.append(dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line))
        return found

    wait_until(lambda: len(threads()) > 1, "it has a thread that writes its state")
    assert {(one["Seccomp"], one["NoNewPrivs"]) for one in threads()} == {("2", "1")}
