"""What one run hands to the next by way of the service manager's store, and what it does not."""

import os
import stat
import time

import pytest

from handover_copy import Copy, record, records_of
from manager import Manager
from memory_scan import mappings
from open_files import open_files
from users import needs_root
from waiting import wait_until

DROPPED = "handed over was dropped: "


@pytest.fixture
def managed(make_daemon):
    """A factory: managed(server, ...) starts a daemon under a manager of its own."""
    managers: list[Manager] = []

    def make(server, manager=None, **options) -> Manager:
        one = Manager(make_daemon(server, **options), **(manager or {}))
        managers.append(one)
        one.start()
        return one

    yield make
    for one in managers:
        one.daemon.stop()
        one.close()


def served(answer) -> dict:
    assert answer.status == 200, answer
    return answer.json


def settled(m: Manager, server) -> dict:
    """A token, and the HEADs after it are done: they end when the clock is known well enough."""
    token = served(m.daemon.token(wait=30))

    def is_narrow():
        tight = m.daemon.get("/v1/skew").json["tight"]
        return tight and tight["high"] - tight["low"] <= 0.1
    wait_until(is_narrow, "the clock is measured", 30)
    m.handover()
    return token


END = {"restart": Manager.restart, "crash": Manager.crash}
ways = pytest.mark.parametrize("end", END.values(), ids=END.keys())


def rejected(m: Manager, token: dict, wait: int = 30):
    return m.daemon.post(f"/v1/token/reject?generation={token['generation']}&wait={wait}")


def test_a_restart_changes_nothing_for_anybody(managed, server):
    m = managed(server)
    token = settled(m, server)
    skew = m.daemon.get("/v1/skew").json
    posts, heads = server.posts, server.heads
    for end in (Manager.restart, Manager.crash, Manager.crash, Manager.restart):
        end(m)
        again = served(m.daemon.token())
        for same in ("access_token", "generation", "fingerprint", "state"):
            assert again[same] == token[same]
        assert token["expires_in"] - again["expires_in"] < 120
    assert (server.posts, server.heads) == (posts, heads)
    after = m.daemon.get("/v1/skew").json
    assert after["samples"] == skew["samples"] and after["clocks_seen"] == 1
    assert after["low"] <= skew["high"] and skew["low"] <= after["high"]
    history = m.daemon.get("/v1/history?profile=default").json["events"]
    assert "handed over" in str(history)


def test_kills_at_any_moment_lose_no_token(managed, server):
    m = managed(server)
    token = served(m.daemon.token(wait=30))
    m.handover()
    posts = server.posts
    for number in range(20):
        m.daemon.kill()
        m.start(ready=False)
        if number % 2:
            assert served(m.daemon.token())["generation"] == token["generation"]
        else:
            time.sleep(number / 500)  # in the middle of its start
    m.daemon.kill()
    m.start()
    assert served(m.daemon.token())["generation"] == token["generation"]
    assert server.posts == posts


@ways
def test_a_reported_token_is_never_fresh_again(managed, server, end):
    m = managed(server, profile={"reject_cooldown": "1h"})
    token = served(m.daemon.token(wait=30))
    server.fault("token", "answer", times=-1, status=503, body="{}",
                 headers={"Retry-After": "5"})
    server.revoke(all=True)
    assert rejected(m, token, wait=2).status == 503
    end(m)
    again = served(m.daemon.token())
    assert (again["generation"], again["state"]) == (token["generation"], "stale")
    # It is reported still, so that another report joins the first.
    answer = rejected(m, token, wait=0)
    assert answer.status == 503 and answer.json["error"] == "temporarily_unavailable", answer
    server.clear_faults()
    new = wait_until(lambda: (t := served(m.daemon.token()))["state"] == "fresh" and t,
                     "the reported token is replaced", 30)
    assert new["generation"] > token["generation"]


def test_a_report_is_kept_though_its_fetch_dies_with_the_daemon(managed, server):
    m = managed(server)
    token = served(m.daemon.token(wait=30))
    posts = server.posts
    server.fault("token", "hang", seconds=60)
    connection = m.daemon.connect()
    connection.request("POST", f"/v1/token/reject?generation={token['generation']}&wait=60")
    server.wait_for("token", posts + 1)
    m.crash()
    connection.close()
    new = served(m.daemon.token(wait=30))
    assert new["generation"] > token["generation"] and new["state"] == "fresh"


@ways
def test_a_replaced_token_never_comes_back(managed, server, end):
    m = managed(server)
    old = served(m.daemon.token(wait=30))
    new = served(rejected(m, old))
    end(m)
    assert served(m.daemon.token())["generation"] == new["generation"]
    assert served(rejected(m, old))["generation"] == new["generation"]
    content = Copy(m.handover()).bytes()
    assert new["access_token"].encode() in content
    assert old["access_token"].encode() not in content


@ways
def test_revoked_stays_revoked(managed, server, end):
    m = managed(server)
    token = served(m.daemon.token(wait=30))
    assert m.daemon.post("/v1/revoke?profile=default").status == 200
    wait_until(lambda: token["access_token"].encode() not in Copy(m.handover()).bytes(),
               "the token is wiped from what is kept")
    posts = server.posts
    end(m)
    answer = m.daemon.token()
    assert answer.status == 503 and answer.json["error"] == "revoked", answer
    assert server.posts == posts
    m.wait_status("revoked: default")
    assert served(m.daemon.post("/v1/refresh?profile=default"))["generation"] > token["generation"]
    end(m)
    assert served(m.daemon.token())["state"] == "fresh"


def test_what_is_kept_is_private_sealed_and_without_the_secret(managed, server):
    m = managed(server)
    token = served(m.daemon.token(wait=30))
    fd = m.handover()
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    for change in (lambda: os.ftruncate(fd, 4096), lambda: os.ftruncate(fd, 1 << 30)):
        with pytest.raises(PermissionError):
            change()
    content = Copy(fd).bytes()
    assert content.count(token["access_token"].encode()) == 1
    m.daemon._secrets.add(server.clients[0]["secret"])
    assert not [1 for secret in m.daemon._secrets if secret.encode() in content]
    assert [name for name, _ in m.stored] == ["handover"]


@needs_root
def test_what_is_kept_is_locked_while_the_daemon_runs(managed, server):
    m = managed(server)
    served(m.daemon.token(wait=30))
    m.handover()
    kept = [flags for *_, name, flags in mappings(m.daemon.process.pid)
            if "gctokend-handover" in name]
    assert kept and all("lo" in flags for flags in kept)


# What cannot be used.

def bad_place(m):
    Copy(m.handover()).flip(200, 3)


def bad_hash(m):
    Copy(m.handover()).flip(5)


def other_boot(m):
    def change(_, records):
        (tag, body), *rest = records_of(records)
        assert tag == 1
        return record(tag, body.replace(body[8:12], b"dead", 1)) + b"".join(
            record(*one) for one in rest)
    Copy(m.handover()).forge(change)


def newer_major(m):
    def change(head, records):
        head[1] += 1
        return records
    Copy(m.handover()).forge(change)


def impossible_life(m):
    def change(_, records):
        return b"".join(record(tag, endless(body) if tag == 2 else body)
                        for tag, body in records_of(records))

    def endless(body):
        at = 0
        for _ in range(4):  # the names and the token
            at += 8 + int.from_bytes(body[at:at + 8], "little")
        issued = at + 16 + 64
        return body[:issued] + b"\xff" * 8 + body[issued + 8:]
    Copy(m.handover()).forge(change)


def not_ours(m):
    name, fd = m.stored.pop()
    os.close(fd)
    m.store(name, os.memfd_create("other"))


def a_pipe(m):
    name, fd = m.stored.pop()
    os.close(fd)
    read, write = os.pipe()
    os.close(write)
    m.store(name, read)


@pytest.mark.parametrize("damage, says", [
    (bad_place, "it is damaged"), (bad_hash, "it is damaged"),
    (other_boot, "another boot"), (newer_major, "another version wrote it"),
    (impossible_life, "is impossible"), (not_ours, "is not ours: dropped"),
    (a_pipe, "is not ours: dropped")], ids=lambda one: getattr(one, "__name__", ""))
def test_what_cannot_be_used_is_dropped_and_told(managed, server, damage, says):
    m = managed(server)
    served(m.daemon.token(wait=30))
    m.handover()
    m.daemon.kill()
    damage(m)
    m.start()
    m.daemon.wait_log(says)
    served(m.daemon.token(wait=30))
    assert server.posts == 2
    wait_until(lambda: len(m.stored) == 1, "one descriptor is kept, and it is the new one")
    m.crash()
    served(m.daemon.token())
    assert server.posts == 2


def test_the_older_of_two_is_not_taken(managed, server):
    """A name does not replace: systemd can hold several under one name."""
    m = managed(server)
    token = served(m.daemon.token(wait=30))
    kept = m.handover()
    m.store("handover", os.dup(kept))
    m.store("page-gone", os.memfd_create("gone"))
    m.store("future", os.memfd_create("future"))
    m.crash()
    assert served(m.daemon.token())["generation"] == token["generation"]
    wait_until(lambda: [name for name, _ in m.stored] == ["handover"], "only one is left")
    m.crash()
    assert served(m.daemon.token())["generation"] == token["generation"]
    assert server.posts == 1


def later_version(head, records):
    head[2] += 7
    return b"".join(record(tag, body + b"a later field") for tag, body in
                    records_of(records)) + record(4711, b"of a later version") + record(4712, b"")


def test_fields_of_a_later_version_are_skipped(managed, server):
    m = managed(server)
    token = served(m.daemon.token(wait=30))
    m.handover()
    m.daemon.kill()
    Copy(m.handover()).forge(later_version)
    m.start()
    assert served(m.daemon.token())["generation"] == token["generation"]
    assert (server.posts, DROPPED in m.daemon.stderr_text()) == (1, False)


@pytest.mark.parametrize("store_max", [0, 1])
def test_a_full_store_costs_a_token_request_and_no_more(managed, server, store_max):
    m = managed(server, manager={"store_max": store_max})
    if store_max:
        m.daemon.stop()
        m.forget_all()
        m.store("somebody-else", os.memfd_create("other"))
        m.store_max = 0
        m.start()
    before = served(m.daemon.token(wait=30))
    posts = server.posts
    m.restart()
    after = served(m.daemon.token(wait=30))
    assert after["generation"] > before["generation"]
    assert server.posts == posts + 1 and not m.stored


def test_a_crash_loop_with_an_empty_store_keeps_to_the_mint_limit(managed, server):
    m = managed(server, manager={"store_max": 0}, profile={"mint_limit": 5})
    for _ in range(12):
        m.daemon.token(wait=30)
        m.daemon.kill()
        m.start()
    assert server.posts == 5
    assert m.daemon.token(wait=0).status == 503


# Another configuration.

def reconfigured(m: Manager, change) -> None:
    m.daemon.stop()
    change(m.daemon)
    m.daemon.write_config()
    m.start()


def test_a_token_belongs_to_the_client_and_not_to_the_name(managed, server):
    m = managed(server)
    token = served(m.daemon.token(wait=30))

    def rename(d):
        d.profiles["renamed"] = d.profiles.pop("default")
        d.add_profile("default", client_id="other", secret="s3cr3t")

    server.client("other", "s3cr3t")
    reconfigured(m, rename)
    assert served(m.daemon.token("renamed"))["generation"] == token["generation"]
    other = served(m.daemon.token("default", wait=30))
    assert other["generation"] > token["generation"]
    assert other["fingerprint"] != token["fingerprint"]
    assert server.posts == 2


def test_a_token_of_another_client_is_not_taken_over(managed, server):
    m = managed(server)
    token = served(m.daemon.token(wait=30))
    server.client("other", "s3cr3t")
    reconfigured(m, lambda d: d.add_profile("default", client_id="other", secret="s3cr3t"))
    other = served(m.daemon.token(wait=30))
    assert other["generation"] > token["generation"]
    assert token["access_token"].encode() not in Copy(m.handover()).bytes()


def test_a_changed_request_is_served_from_the_old_token_until_the_new_one_is_there(managed, server):
    m = managed(server)
    token = served(m.daemon.token(wait=30))
    server.fault("token", "delay", work=0.5)
    reconfigured(m, lambda d: d.profiles["default"].update(scope="users:readonly"))
    assert served(m.daemon.token())["generation"] == token["generation"]
    new = served(m.daemon.token(after=token["generation"], wait=30))
    assert new["generation"] > token["generation"]
    assert server.posts == 2


def test_two_profiles_of_one_client_keep_a_token_each(managed, server):
    m = managed(server, profiles={"a": {}, "b": {}})
    tokens = {name: served(m.daemon.token(name, wait=30)) for name in "ab"}
    for end in (Manager.crash, Manager.restart):
        end(m)
        for name, token in tokens.items():
            again = served(m.daemon.token(name))
            assert again["fingerprint"] == token["fingerprint"]
            assert again["generation"] == token["generation"]
    assert server.posts == 2


def test_nothing_is_kept_where_there_is_nobody_to_keep_it(daemon, server):
    one = daemon(server)
    served(one.token(wait=30))
    assert not [name for name in open_files(one.process.pid).values() if "handover" in name]
