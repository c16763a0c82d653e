"""systemctl reload: whole or not at all, and whoever asked for it sees which."""

import os

from daemon import canary
from service import ETC, journal, journal_end, systemctl
from unix_http import exchange
from waiting import PATIENCE, wait_until

BROKEN = "no_such_key = 1\n"


def broken(service) -> None:
    with open(f"{ETC}/gctokend.conf", "a", encoding="utf-8") as file:
        file.write(BROKEN)


def broker_of(service) -> dict:
    return service.ask("GET", "/v1/status").json["broker"]


def test_a_broken_file_fails_the_reload_and_changes_nothing(service):
    service.install()
    service.start()
    token, pid, before = service.token(), service.pid, journal_end()
    kept = service.connect()
    assert exchange(kept, "GET", "/v1/token").status == 200
    broken(service)
    assert systemctl("reload", "gctokend", check=False).returncode != 0
    assert "gctokend.conf:" in journal(before) and "no_such_key" in journal(before)
    wait_until(lambda: "no_such_key" in (broker_of(service)["reload_problem"] or ""),
               "status tells of it")
    assert "gctokend_config_reload_failed 1" in service.ask("GET", "/metrics").text
    assert service.show("ActiveState") == "active" and service.pid == pid
    assert exchange(kept, "GET", "/v1/token").json["generation"] == token["generation"]
    kept.close()


def test_the_same_by_the_signal_is_in_the_log_and_in_status(service):
    service.install()
    service.start()
    token, before = service.token(), journal_end()
    broken(service)
    service.signal("HUP")
    wait_until(lambda: "reload refused" in journal(before), "the log tells")
    assert "no_such_key" in broker_of(service)["reload_problem"]
    wait_until(lambda: "reload was refused" in service.status, "the unit's status tells")
    assert service.show("ActiveState") == "active"
    service.configure()
    systemctl("reload", "gctokend")
    wait_until(lambda: broker_of(service)["reload_problem"] is None, "a good one mends it")
    wait_until(lambda: service.status == "1 profile: 1 fresh", "in the unit's status, too")
    assert service.token()["generation"] == token["generation"]


def test_a_reload_never_reaches_a_daemon_that_only_starts(service):
    """A program that is not there yet cannot hold SIGHUP back, which would end it: here it is a shell
    that becomes the daemon after a while."""
    service.install("[Service]\nExecStart=\n"
                    f"ExecStart=/bin/sh -c 'sleep {2 * PATIENCE}; exec /usr/sbin/gctokend'\n")
    systemctl("start", "--no-block", "gctokend")
    wait_until(lambda: service.show("ActiveState") == "activating" and service.pid, "it starts")
    pid = service.pid
    systemctl("reload", "--no-block", "gctokend", check=False)
    systemctl("reload", "gctokend", check=False)
    assert service.wait_running() == pid
    service.token()
    assert service.show("NRestarts") == "0" and service.pid == pid


def test_a_reload_takes_profiles_and_leaves_connections(service):
    service.install()
    service.start()
    token, pid = service.token(), service.pid
    kept = service.connect()
    assert exchange(kept, "GET", "/v1/token").status == 200
    service.fake.client("second", "s3cr3t")
    service.set_secret("s3cr3t", "second")
    service.configure(default="", second="client_id = second\n"
                      f"client_secret_file = {ETC}/second.secret")
    systemctl("reload", "gctokend")
    wait_until(lambda: service.ask("GET", "/v1/token?profile=second&wait=30").status == 200,
               "the new profile serves")
    assert exchange(kept, "GET", "/v1/token").json["generation"] == token["generation"]
    assert service.pid == pid
    kept.close()


def test_a_secret_rolls_over_without_a_gap(service):
    service.install()
    service.start()
    token, posts = service.token(), service.fake.posts
    changed = canary()
    service.fake.client(service.client["id"], changed)  # from now on the old one is refused
    service.set_secret(changed)
    before = journal_end()
    systemctl("reload", "gctokend")
    wait_until(lambda: "the client secret changed" in journal(before), "the reload notices it")
    assert service.token()["generation"] == token["generation"]
    assert service.fake.posts == posts
    assert service.ask("POST", "/v1/refresh?profile=default").json["generation"] \
        > token["generation"]
    service.fake.client(service.client["id"], service.client["secret"])


def test_a_secret_that_is_not_strict_is_refused_by_the_reload(service):
    service.install()
    service.start()
    token, before = service.token(), journal_end()
    os.chmod(f"{ETC}/default.secret", 0o644)
    assert systemctl("reload", "gctokend", check=False).returncode != 0
    assert "default.secret" in journal(before)
    assert service.token()["generation"] == token["generation"]
