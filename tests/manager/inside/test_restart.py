"""Restarts, crashes and upgrades under load: nobody notices, and nobody is asked for a token."""

import os
import random
import shutil
import time

import pytest

from figures import FIGURES
from service import Service, systemctl
from under_load import load
from waiting import wait_until

KILLS = int(os.environ.get("GCTOKEN_MANAGER_KILLS", "5"))
NEXT = os.path.join(os.environ["GCTOKEN_MANAGER_BUILD"], "tests", "manager", "gctokend-next")
DAEMON = "/usr/sbin/gctokend"


def settle(service: Service) -> dict:
    service.start()
    return service.token()


def judge(outcome, service: Service, token: dict, posts: int, what: str) -> None:
    FIGURES.append(
        f"{what}: {outcome.asked} requests at {outcome.rate:.0f}/s, {len(outcome.failed)} failed, "
        f"slowest {outcome.slowest:.2f} s, {outcome.plain['again']} closed connections met by "
        f"plain clients; {service.fake.posts - posts} token requests")
    assert not outcome.failed, outcome.failed[:10]
    assert outcome.generations == {token["generation"]}
    assert service.fake.posts == posts
    assert service.token()["fingerprint"] == token["fingerprint"]


def test_restarts_under_load_fail_no_request(service):
    service.install()
    token, posts = settle(service), service.fake.posts
    with load(service.socket) as outcome:
        for _ in range(5):
            service.restart()
            time.sleep(0.3)
    judge(outcome, service, token, posts, "5 restarts")


@pytest.mark.deadline(7200)
def test_kills_under_load(service):
    """What a kill -9 can take with it is what was in flight: those clients meet a closed connection,
    and their second try is answered."""
    service.install()
    token, posts, random_pause = settle(service), service.fake.posts, random.Random(7)
    away: list[float] = []
    pid = service.pid
    with load(service.socket, rate=200) as outcome:
        for _ in range(KILLS):
            time.sleep(random_pause.uniform(0, 0.2))
            service.signal("KILL")
            begun = time.monotonic()
            while service.ask("GET", "/v1/token?profile=default").status != 200:
                pass
            away.append(time.monotonic() - begun)
            pid = service.wait_running(other_than=pid)
    away.sort()
    FIGURES.append(f"{KILLS} kill -9: the token is back after {away[KILLS // 2]:.2f} s (median), "
                   f"{away[KILLS * 99 // 100]:.2f} s (99 %), {away[-1]:.2f} s at most")
    assert service.show("NRestarts") == str(KILLS)
    judge(outcome, service, token, posts, f"{KILLS} kill -9")
    assert away[-1] <= 2 * float(os.environ.get("GCTOKEN_TEST_PATIENCE", "1"))


def test_a_daemon_that_is_killed_while_it_starts(service):
    service.install("[Service]\nRestartSec=20ms\n")
    token, posts = settle(service), service.fake.posts
    for number in range(15):
        systemctl("kill", "--signal=KILL", "gctokend.service", check=False)
        time.sleep(0.02 + number * 0.004)
        systemctl("kill", "--signal=KILL", "gctokend.service", check=False)
    assert service.token()["generation"] == token["generation"]
    assert service.fake.posts == posts


def exchange_daemon(path: str) -> None:
    """As a package does it: the new file takes the old one's place at once."""
    shutil.copy(path, DAEMON + ".new")
    os.rename(DAEMON + ".new", DAEMON)


def test_an_upgrade_and_back_under_load(service):
    service.install()
    token, posts = settle(service), service.fake.posts
    with service.copy() as copy:
        minor = copy.head(copy.places()[0])[2]
    shutil.copy(DAEMON, "/tmp/gctokend-before")
    try:
        with load(service.socket) as outcome:
            for binary, wrote in ((NEXT, minor + 1), ("/tmp/gctokend-before", minor),
                                  (NEXT, minor + 1)):
                exchange_daemon(binary)
                service.restart()
                with service.copy() as copy:
                    wait_until(lambda: [copy.head(at)[2] for at in copy.places()] == [wrote],
                               "that version has written its copy")
    finally:
        exchange_daemon("/tmp/gctokend-before")
    judge(outcome, service, token, posts, "upgrade, downgrade, upgrade")
    service.restart()
    assert service.token()["generation"] == token["generation"]


def test_a_full_stop_loses_it_harmlessly(service):
    service.install()
    token, posts = settle(service), service.fake.posts
    systemctl("stop", "gctokend.service")
    assert service.show("ActiveState") == "inactive"
    again = service.token()  # the socket is still there, and starts the service
    assert again["generation"] > token["generation"]
    assert service.fake.posts == posts + 1
