"""The service as systemd sees it: activation, what it is told, the watchdog, crash loops."""

import os
import time

import pytest

from figures import FIGURES
from hanging import Hanging, closers, stuck
from service import ETC, UNIT, journal, journal_end, systemctl
from unix_http import UnixConnection, exchange
from waiting import PATIENCE, wait_until

CRASH_LOOP_S = int(os.environ.get("GCTOKEN_MANAGER_CRASH_LOOP", "0"))


def test_the_first_client_starts_it(service):
    service.install()
    assert service.show("ActiveState") == "inactive"
    assert service.token()["state"] == "fresh"
    assert service.show("ActiveState") == "active"
    assert service.fake.posts == 1


def test_ready_means_that_it_serves_and_the_status_is_in_words(service):
    service.install(good="", bad=f"client_id = other\nclient_secret_file = {ETC}/default.secret")
    service.start()
    assert service.show("StatusText")  # with READY, not some time after it
    assert service.ask("GET", "/healthz").status == 200
    wait_until(lambda: service.status == "2 profiles: 1 fresh; client_rejected: bad",
               "the status names what is not well")
    assert service.ask("POST", "/v1/revoke?profile=good").status == 200
    wait_until(lambda: service.status == "2 profiles: 0 fresh; client_rejected: bad; revoked: good",
               "the status tells of the revocation")


def test_both_sockets_have_their_names(service):
    service.install()
    service.start()
    log = journal()
    assert "not for this version" not in log
    assert os.path.exists("/run/gctokend/page.sock")
    with open(f"/proc/{service.pid}/net/unix", encoding="ascii") as file:
        listening = [line for line in file if "/run/gctokend/" in line]
    assert len({line.split()[-1] for line in listening}) == 2


def test_connections_wait_while_it_is_away(service):
    service.install("[Service]\nRestartSec=300ms\n")
    service.start()
    token = service.token()
    kept = service.connect()
    assert exchange(kept, "GET", "/v1/token").status == 200
    service.signal("KILL")
    began = service.connect()  # nobody is there; systemd has the socket
    answer = exchange(began, "GET", "/v1/token")
    assert answer.json["generation"] == token["generation"]
    began.close()
    kept.close()


def test_an_outage_does_not_trip_the_watchdog_and_a_stuck_loop_does(service):
    service.install("[Service]\nWatchdogSec=1s\nRestartSec=50ms\n",
                    broker="max_wait = 60s", default="fetch_timeout = 30s")
    service.fake.fault("token", "hang", times=-1, seconds=60)
    service.start()
    pid = service.pid
    waiting = service.connect()
    waiting.request("GET", "/v1/token?profile=default&wait=60")
    begun = time.monotonic()
    # Three times the watchdog's patience, with the loop asked all the time that it is watched over.
    while time.monotonic() - begun < 3:
        assert service.ask("GET", "/healthz").status == 200
        time.sleep(0.05)
    assert service.pid == pid and service.show("NRestarts") == "0"
    waiting.close()
    service.fake.clear_faults()
    service.restart()
    token = service.token()
    pid = service.pid
    before = journal_end()
    service.signal("STOP")
    service.wait_running(other_than=pid)
    assert "Watchdog timeout" in journal(before)
    assert service.token()["generation"] == token["generation"]


@pytest.mark.deadline(1200 if CRASH_LOOP_S else 60)
def test_a_crash_loop_keeps_to_the_mint_limit_and_never_fails_for_good(service):
    """Also with a store that keeps nothing, so that each start wants a token of its own."""
    service.install("[Service]\nFileDescriptorStoreMax=0\n"
                    + ("" if CRASH_LOOP_S else "RestartSec=10ms\n"))
    service.start()
    starts, pid, begun = 1, service.pid, time.monotonic()
    while time.monotonic() - begun < CRASH_LOOP_S if CRASH_LOOP_S else starts < 25:
        service.ask("GET", "/v1/token?profile=default&wait=1")
        service.signal("KILL")
        pid = service.wait_running(other_than=pid)
        starts += 1
    FIGURES.append(f"crash loop, empty store: {starts} starts in {time.monotonic() - begun:.0f} s, "
                   f"{service.fake.posts} token requests")
    assert service.fake.posts <= 15
    assert systemctl("is-active", "gctokend.socket", "gctokend-page.socket", UNIT).returncode == 0
    answer = service.ask("GET", "/v1/token?profile=default&wait=0")
    assert answer.status == 503 and "mint_limit" in answer.text and answer.retry_after


def test_a_broken_configuration_at_the_start_is_waited_out(service):
    service.install("[Service]\nRestartSec=50ms\n")
    with open(f"{ETC}/gctokend.conf", "a", encoding="utf-8") as file:
        file.write("no_such_key = 1\n")
    before = journal_end()
    systemctl("start", UNIT, check=False)
    wait_until(lambda: int(service.show("NRestarts")) > 22, "it was started again and again", 60)
    lines, starts = len(journal(before).splitlines()), int(service.show("NRestarts")) + 1
    FIGURES.append(f"broken configuration: {lines / starts:.1f} lines in the journal for each of "
                   f"the first {starts} starts")
    assert "no_such_key" in journal()
    assert systemctl("is-active", "gctokend.socket").returncode == 0
    service.configure()
    assert service.token()["state"] == "fresh"


def manager_cpu_s() -> float:
    with open("/proc/1/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("socket", ["gctokend.sock", "page.sock"])
def test_a_configuration_that_goes_away_under_the_sockets_is_waited_for(service, socket):
    """A client calls for a service that cannot start: systemd must not try without a pause, and
    nobody has to do more than to put the file back."""
    service.install("[Service]\nRestartSec=250ms\n")
    service.start()
    service.token()
    systemctl("stop", UNIT)
    os.rename(f"{ETC}/gctokend.conf", f"{ETC}/away")
    before, begun, cpu = journal_end(), time.monotonic(), manager_cpu_s()
    waiting = UnixConnection(f"/run/gctokend/{socket}", 30.0 * PATIENCE)
    waiting.connect()
    wait_until(lambda: int(service.show("NRestarts")) >= 8, "it is started again and again", 30)
    took, cpu = time.monotonic() - begun, manager_cpu_s() - cpu
    FIGURES.append(f"no configuration, {socket} called: 8 starts in {took:.1f} s, "
                   f"{cpu:.2f} s of systemd's")
    assert took >= 2 and cpu < took / 2
    assert "/etc/gctokend/gctokend.conf" in journal(before)
    os.rename(f"{ETC}/away", f"{ETC}/gctokend.conf")
    service.wait_running()
    assert service.token()["state"] == "fresh"
    if socket == "gctokend.sock":
        assert exchange(waiting, "GET", "/v1/token").status == 200
    waiting.close()


def test_without_a_configuration_nothing_is_started_and_nothing_fails(service):
    service.clean()
    systemctl("start", "gctokend.socket", "gctokend-page.socket", UNIT)
    for unit in ("gctokend.socket", "gctokend-page.socket", UNIT):
        assert systemctl("is-active", unit, check=False).stdout.strip() == "inactive"
    assert not os.path.exists("/run/gctokend/gctokend.sock")


@pytest.mark.parametrize("how", ["TERM", "restart"])
def test_a_stop_answers_what_is_held_and_closes_what_is_idle(service, how):
    service.install()
    service.start()
    token = service.token()
    held, idle = service.connect(), service.connect()
    assert exchange(idle, "GET", "/v1/token").status == 200
    held.request("GET", f"/v1/token?profile=default&after={token['generation']}&wait=60")
    wait_until(lambda: service.ask("GET", "/v1/status").json["broker"]["waiting"] == 1,
               "a client is held")
    if how == "TERM":
        service.signal("TERM")
    else:
        service.restart()
    reply = held.getresponse()
    assert (reply.status, reply.headers["Connection"]) == (304, "close")
    assert idle.sock.recv(1) == b""
    for connection in (held, idle):
        connection.close()
    assert service.token()["generation"] == token["generation"]


def test_a_close_that_never_finishes_holds_up_neither_a_stop_nor_a_start(service):
    """What it is with is a process of the service still, and nothing ends that one."""
    service.install()
    hanging = Hanging(1)
    try:
        # It is the first client who starts the daemon, so that no kernel refuses it.
        client = service.connect()
        client.connect()
        hanging.pass_one(client.sock)
        pid = service.wait_running()
        hung = wait_until(lambda: stuck(closers(pid)), "a close hangs")
        begun = time.monotonic()
        service.restart()
        took = time.monotonic() - begun
        assert took < 10 * PATIENCE  # and TimeoutStopSec= is 75 s
        assert service.token()["state"] == "fresh"
        assert stuck(hung)
        FIGURES.append(f"restart while a close hangs: {took:.1f} s")
        client.close()
    finally:
        hanging.close()
    wait_until(lambda: not stuck(hung), "it has finished")
