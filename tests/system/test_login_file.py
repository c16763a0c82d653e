"""The file that a login is kept in: sealed, private, never overwritten where it cannot be read; and a
disk that fails or is slow."""

import errno
import json
import os
import re
import select
import shutil
import stat
import time

import pytest
from logging_in import log_in, login_profile, shimmed  # noqa: F401
from users import needs_root
from waiting import PATIENCE, wait_until


def set_aside(d) -> str:
    """What the next refresh token is written to."""
    return os.path.join(d.state_dir, f".{os.path.basename(login_file(d))}.tmp")


def login_file(d) -> str:
    names = [name for name in os.listdir(d.state_dir) if name.endswith(".login")]
    assert len(names) == 1, names
    return os.path.join(d.state_dir, names[0])


def content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def put(path: str, bytes_: bytes) -> None:
    with open(path, "wb") as file:
        file.write(bytes_)


@pytest.fixture
def logged_in(server, daemon):
    d = daemon(server, profile=login_profile(server, clock_probe=False))
    assert log_in(d, server).status == 200
    return d


def test_it_is_private_and_tells_nothing(server, logged_in):
    path = login_file(logged_in)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    key = os.path.join(logged_in.state_dir, "state.key")
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    assert re.fullmatch(rb"[0-9a-f]{64}\n", content(key))
    whole = content(path)
    for secret in server.known_secrets():
        assert secret.encode() not in whole
    before = content(key)
    logged_in.restart()
    assert content(key) == before
    assert logged_in.token(wait=10).status == 200
    assert content(path) != whole  # rotated; and never the same nonce
    assert [login["ended"] for login in server.logins()] == [""]


def test_a_renamed_profile_keeps_the_login(server, logged_in):
    d = logged_in
    d.profiles["other"] = d.profiles.pop("default")
    d.write_config()
    d.reload()
    d.wait_log("configuration reloaded")
    assert d.token("other", wait=10).status == 200
    d.restart()
    assert d.token("other", wait=10).status == 200
    assert len(server.logins()) == 1 and not server.logins()[0]["ended"]


@pytest.mark.parametrize("spoil, words", [
    (lambda bytes_: bytes_[:40] + bytes([bytes_[40] ^ 1]) + bytes_[41:], "is damaged"),
    (lambda bytes_: bytes_[:-1], "is damaged"),
    (lambda bytes_: b"", "is damaged"),
    (lambda bytes_: b"\0" * 4096, "is damaged"),
    (lambda bytes_: bytes_ * 9000, "cannot be read: File too large"),
], ids=["a bit", "cut", "empty", "zeros", "huge"])
def test_what_cannot_be_read_is_named_and_kept(server, logged_in, spoil, words):
    d = logged_in
    path = login_file(d)
    d.stop()
    spoilt = spoil(content(path))
    put(path, spoilt)
    posts = server.posts
    d.start()
    d.wait_log(rf"^<3>{re.escape(path)} {words}: the login in it cannot be used\. Repair it, or log in "
               r"again: then it is kept as \S+\.damaged-TIME$")
    assert d.token().json["error"] == "login_required"
    login = d.status()["login"]
    assert login["state"] == "none" and words in login["problem"]
    assert content(path) == spoilt and server.posts == posts
    # The next login takes its place, and it is still there.
    assert log_in(d, server).status == 200
    kept = [name for name in os.listdir(d.state_dir) if ".damaged-" in name]
    assert len(kept) == 1 and content(os.path.join(d.state_dir, kept[0])) == spoilt
    assert d.status()["login"] | {"logged_in_at": 0} == {
        "state": "refreshed", "ends_in": None, "logged_in_at": 0, "stored": True, "problem": None}
    d.restart()
    assert d.token(wait=10).status == 200


def test_another_key_another_client(server, daemon, make_daemon):
    server.client("second", "second-secret")
    d = daemon(server, profiles={"one": {}, "two": {"client_id": "second", "secret": "second-secret"}},
               profile=login_profile(server, clock_probe=False))
    assert log_in(d, server, "one").status == 200
    mine = login_file(d)
    assert log_in(d, server, "two").status == 200
    theirs = [os.path.join(d.state_dir, name) for name in os.listdir(d.state_dir)
              if name.endswith(".login") and os.path.join(d.state_dir, name) != mine][0]
    d.stop()
    at = len(d.stderr_text())
    put(mine, content(theirs))
    d.start()
    d.wait_log(rf"^<3>{re.escape(mine)} belongs to another client: ", since=at)
    assert d.token("one").json["error"] == "login_required"
    assert d.token("two", wait=10).status == 200
    d.stop()
    at = len(d.stderr_text())
    os.rename(os.path.join(d.state_dir, "state.key"), d.path("key"))
    d.start()
    d.wait_log(rf"^<3>{re.escape(theirs)} is sealed with another key than the one there is now: ",
               since=at)
    assert d.token("two").json["error"] == "login_required"
    d.stop()
    # The key comes back, from where the configuration says now.
    d.broker["state_key_file"] = d.path("key")
    d.write_config()
    d.start()
    assert d.token("two", wait=10).status == 200


@pytest.mark.parametrize("key, words", [
    ("too short\n", "holds no key; allowed: 32 random bytes, or their 64 hexadecimal digits"),
    (None, "cannot be read"),
])
def test_a_key_that_is_none(server, make_daemon, key, words):
    d = make_daemon(server, profile=login_profile(server))
    d.broker["state_key_file"] = d.path("key")
    d.write_config()
    if key is not None:
        with open(os.open(d.path("key"), os.O_CREAT | os.O_WRONLY, 0o600), "w",
                  encoding="ascii") as file:
            file.write(key)
    d.start(ready=False)
    assert d.wait_exit() == 78
    assert re.search(rf"state_key_file: {re.escape(d.path('key'))} {words}", d.stderr_text())


def test_a_write_that_was_cut_short_is_used_if_it_is_whole(server, logged_in):
    """The rename is all that was missing: the file has a refresh token that is void by now."""
    d = logged_in
    path = login_file(d)
    older = content(path)
    assert d.post("/v1/refresh").status == 200
    d.stop()
    newer = content(path)
    left = set_aside(d)
    put(path, older)
    put(left, newer)
    inode = os.stat(left).st_ino
    server.listen(False)
    d.start()
    # Only its name was missing: a second copy would begin with the end of the only one there is.
    assert os.stat(path).st_ino == inode and content(path) == newer
    wait_until(lambda: os.path.exists(left) and os.path.getsize(left) == 0, "room for the next one")
    server.listen(True)
    assert d.token(wait=10).status == 200
    d.stop()
    # A piece of one is nothing.
    put(left, newer[:50])
    d.start()
    assert d.token(wait=10).status == 200
    assert [login["ended"] for login in server.logins()] == [""]


# The disk.

def stored_metric(d) -> str:
    return re.search(r"^gctokend_login_stored\{profile=\"default\"\} (\d)$", d.get("/metrics").text,
                     re.M)[1]


@pytest.mark.parametrize("call, error", [
    ("open", errno.EROFS), ("open", errno.ENOSPC), ("write", errno.ENOSPC), ("write", errno.EIO),
    ("fsync", errno.EIO), ("fsync", errno.ENOSPC), ("rename", errno.EIO), ("rename", errno.EROFS)])
def test_a_disk_that_fails(server, shimmed, call, error):
    """The old file stays, the daemon goes on in memory and says so, and writes when it can again."""
    d, disk = shimmed
    path = login_file(d)
    assert stored_metric(d) == "1"
    wait_until(lambda: os.path.exists(set_aside(d)), "room for the next one")
    disk.set(**{call: error})
    if call == "open":
        # This one has been made already, and the lack of the next one is told.
        assert d.post("/v1/refresh").status == 200
        d.wait_log("no room for the next refresh token .*: " + os.strerror(error))
        assert stored_metric(d) == "1"
    before = content(path)
    first, begun = disk.fsyncs, time.monotonic()
    for _ in range(2):
        assert d.post("/v1/refresh").status == 200
    fsyncs = disk.fsyncs - first
    # it tries again by itself after 5 s
    if call == "fsync" and error == errno.EIO and time.monotonic() - begun < 4:
        # never the same file again: each time one is written anew, once
        assert fsyncs == 4
    assert content(path) == before
    words = re.escape(f"{path} cannot be written: {os.strerror(error)}. The login is kept in memory, "
                      "but a restart now would lose it")
    assert len(re.findall(words, d.stderr_text())) == 1, "it is said once"
    login = d.status()["login"]
    assert login["stored"] is False and os.strerror(error) in login["problem"]
    assert stored_metric(d) == "0"
    assert any(event["event"] == "state_file" for event in d.get("/v1/history").json["events"])
    disk.set(**{call: 0})
    assert d.post("/v1/refresh").status == 200
    assert d.status()["login"]["stored"] is True and stored_metric(d) == "1"
    d.wait_log(re.escape(f"{path} is written"))
    d.restart()
    assert d.token(wait=10).status == 200
    assert [one["ended"] for one in server.logins()] == [""]


def test_a_slow_disk_holds_up_the_token_and_nothing_else(server, shimmed):
    d, disk = shimmed
    path = login_file(d)
    older, before = d.token().json["generation"], content(path)
    disk.set(slow_ms=int(1000 * min(PATIENCE, 4)))
    connection = d.connect()
    connection.request("POST", "/v1/refresh")
    server.wait_for("token", 2, answered=True)
    # The new token is here; until its login is durable the one before it serves.
    meanwhile, slowest = 0, 0.0
    while not select.select([connection.sock], [], [], 0)[0]:
        begun = time.monotonic()
        if d.token().json["generation"] != older:
            assert content(path) != before
        elif content(path) == before:
            meanwhile += 1
            slowest = max(slowest, time.monotonic() - begun)
    answer = connection.getresponse()
    assert answer.status == 200 and json.loads(answer.read())["generation"] != older
    connection.close()
    print(f"{meanwhile} answers meanwhile, the slowest after {slowest * 1000:.1f} ms")
    assert meanwhile >= 3, "the loop waited for the disk"


def test_it_is_written_as_soon_as_the_disk_allows(server, shimmed):
    """Without a refresh: a crash in an hour must not lose the login."""
    d, disk = shimmed
    disk.set(write=errno.ENOSPC)
    assert d.post("/v1/refresh").status == 200
    assert d.status()["login"]["stored"] is False
    disk.set(write=0)
    wait_until(lambda: d.status()["login"]["stored"], "the login on the disk", 20)


@pytest.mark.parametrize("moved", [False, True])
def test_a_directory_that_is_replaced_while_the_daemon_runs(server, logged_in, moved):
    """By somebody who cleans up, or mounts another disk; there is no second daemon in the new one."""
    d = logged_in
    os.rename(d.state_dir, d.path("moved"))
    if moved:
        os.mkdir(d.state_dir, 0o700)
    else:
        wait_until(lambda: shutil.rmtree(d.path("moved"), ignore_errors=True)
                   or not os.path.exists(d.path("moved")), "its end")
    assert d.post("/v1/refresh").status == 200
    d.wait_log(rf"^<4>state_dir {re.escape(d.state_dir)} has become another directory: ")
    wait_until(lambda: d.status()["login"]["stored"], "the login on the disk")
    generation = d.token().json["generation"]
    d.restart()
    again = d.token(wait=10)
    assert again.status == 200 and again.json["generation"] > generation
    assert [one["ended"] for one in server.logins()] == [""]


def test_logout_erases(server, shimmed):
    d, disk = shimmed
    path = login_file(d)
    put(set_aside(d), content(path))
    token = d.token().json["access_token"]
    answer = d.post("/v1/logout")
    assert (answer.status, answer.json) == (200, {"profile": "default", "state": "login_required"})
    assert not [name for name in os.listdir(d.state_dir) if ".login" in name]
    assert server.api_status(token) == 401
    d.restart()
    assert d.token().json["error"] == "login_required"


def fill(folder: str) -> None:
    ballast = os.open(os.path.join(folder, "ballast"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with pytest.raises(OSError):
        while True:
            os.write(ballast, b"x" * 4096)
    os.close(ballast)


@needs_root
def test_a_full_disk_that_is_one(server, make_daemon):
    """As above, but the kernel says it."""
    d = make_daemon(server, profile=login_profile(server, clock_probe=False))
    assert os.system(f"mount -t tmpfs -o size=64k tmpfs {d.state_dir}") == 0
    try:
        d.start()
        assert log_in(d, server).status == 200
        path = login_file(d)
        aside = set_aside(d)
        wait_until(lambda: os.path.exists(aside) and os.stat(aside).st_blocks, "room for the next one")
        fill(d.state_dir)
        # The room for a refresh token that comes was set aside, each time again.
        for _ in range(3):
            before = content(path)
            assert d.post("/v1/refresh").status == 200
            assert content(path) != before
            assert d.status()["login"] == {**d.status()["login"], "stored": True, "problem": None}
        # Without any that is told first, and then it is kept in memory.
        d.stop()
        put(aside, b"")
        fill(d.state_dir)
        before = content(path)
        d.start()
        d.wait_log(r"no room for the next refresh token of .*: No space left on device(.*\n)+"
                   r".*\.login cannot be written: No space left on device")
        assert d.token(wait=10).status == 200
        assert content(path) == before
        assert "cannot be written: No space left on device" in d.status()["login"]["problem"]
        os.unlink(os.path.join(d.state_dir, "ballast"))
        wait_until(lambda: d.status()["login"]["stored"], "the login on the disk", 20)
        assert content(path) != before
        wait_until(lambda: not d.status()["login"]["problem"], "room for the next one")
        d.stop()
    finally:
        if d.process:
            d.kill()
        os.system(f"umount {d.state_dir}")
