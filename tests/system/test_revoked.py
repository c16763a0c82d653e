"""Revoked stays revoked: over reloads, stops, crashes and reboots, until somebody refreshes."""

import glob
import hashlib
import os
import re

import pytest

from manager import Manager
from reloading import reload
from waiting import wait_until


def revoked(d, profile="default"):
    answer = d.get(f"/v1/token?profile={profile}&wait=0")
    return answer.status == 503 and answer.json["error"] == "revoked"


def state_file(d):
    path, = glob.glob(os.path.join(d.state_dir, "*.state"))
    return path


def state_text(d):
    with open(state_file(d), encoding="ascii") as file:
        return file.read()


def another_boot(d):
    """As after a reboot: what the file says of instants is of another boot."""
    text = re.sub("^boot .*$", "boot 00000000-0000-4000-8000-000000000000", state_text(d), count=1,
                  flags=re.M)
    write_state(d, text)


def write_state(d, text):
    body = text[:text.rindex("sum ")]
    digest = hashlib.sha256(body.encode() + b"\0").hexdigest()
    with open(state_file(d), "w", encoding="ascii") as file:
        file.write(f"{body}sum {digest}\n")


@pytest.mark.parametrize("end", ["stop", "kill", "reboot"])
def test_revoked_stays_revoked_until_a_refresh(server, daemon, end):
    d = daemon(server)
    d.token()
    assert d.post("/v1/revoke").status == 200
    for _ in range(2):
        d.kill() if end == "kill" else d.stop()  # the answer was the promise
        if end == "reboot":
            another_boot(d)
        posts = server.posts
        d.start()
        assert revoked(d)
        assert server.posts == posts
    newer = d.post("/v1/refresh")
    assert newer.status == 200
    d.kill()
    d.start()
    assert d.token(wait=10).status == 200


def test_a_refresh_that_fails_lifts_it_too(fake, daemon):
    """The admin has said that it may go on; the login server is to blame for the rest."""
    f = fake()
    d = daemon(f)
    d.token()
    assert d.post("/v1/revoke").status == 200
    f.fault("token", "answer", status=503)
    assert d.post("/v1/refresh").status == 503
    wait_until(lambda: "revoked " not in state_text(d), "it is written")
    d.stop()
    f.clear_faults()
    d.start()
    assert d.token(wait=30).status == 200


def test_it_is_about_one_profile_of_a_client(server, daemon):
    """State is the client's, a revocation one profile's."""
    d = daemon(server, profiles={"one": {}, "other": {}})
    for profile in d.profiles:
        d.token(profile)
    assert state_file(d)  # one for both
    assert d.post("/v1/revoke?profile=one").status == 200
    d.stop()
    d.start()
    assert revoked(d, "one")
    assert d.token("other", wait=10).status == 200
    # a profile that is away for a while does not come back refreshed
    kept = d.profiles.pop("one")
    reload(d)
    d.token("other")
    d.stop()
    d.start()
    d.profiles["one"] = kept
    reload(d)
    assert revoked(d, "one")
    assert d.post("/v1/refresh?profile=one").status == 200


def test_a_file_from_before_is_read(server, daemon):
    """As it was written before there was a line for what is revoked."""
    d = daemon(server)
    d.token()
    d.stop()
    write_state(d, "gctokend client state 1\nboot 00000000-0000-4000-8000-000000000000\n"
                   "generation 500000 501000\ncredential - -\nsum ")
    d.start()
    assert d.token(wait=10).json["generation"] == 501001
    assert "damaged" not in d.stderr_text()


def test_what_was_handed_over_does_not_lift_it(server, make_daemon):
    """It may be from before: a crash between the two leaves them so."""
    m = Manager(make_daemon(server))
    d = m.start()
    try:
        d.token()
        wait_until(lambda: any(name == "handover" for name, _ in m.stored), "it is stored")
        m.daemon.kill()
        write_state(d, state_text(d).replace("sum ", "revoked default\nsum ", 1))
        posts = server.posts
        m.start()
        assert revoked(d)
        assert server.posts == posts
    finally:
        m.daemon.stop()
        m.close()


def test_an_admin_is_told_if_it_cannot_be_recorded(server, daemon):
    d = daemon(server)
    used = d.token().json["generation"]
    wait_until(lambda: f"generation {used} " in state_text(d), "what the token changed is written")
    path = state_file(d)
    os.unlink(path)
    os.mkdir(path)
    answer = d.post("/v1/revoke")
    assert answer.status == 503 and "stop or a reboot" in answer.json["error_description"]
    assert revoked(d)
    os.rmdir(path)
    assert d.post("/v1/revoke").status == 200
    d.restart()
    assert revoked(d)
