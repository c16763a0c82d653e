"""What is left of secrets in the daemon's memory once they have been used: libcurl's and OpenSSL's
heap, freed blocks, stacks and buffers included. (The kernel's memory is not read.)"""

import pytest
from daemon import GCTOKEND, WRAP, canary
from library import library
from logging_in import log_in, login_profile
from memory_scan import find, mappings
from raw_http import is_sanitized
from unix_http import exchange
from users import needs_root
from waiting import PATIENCE, wait_until

SECONDS = 45.0  # from the last exchange on, at most

pytestmark = [needs_root, pytest.mark.skipif(
    bool(WRAP) or is_sanitized(GCTOKEND), reason="the memory is valgrind's or a sanitizer's as well")]


def search(d, wanted, what: str, texts: set[str]) -> None:
    """Until what is found of these texts is as wanted."""
    assert texts
    try:
        wait_until(lambda: wanted(find(d.process.pid, texts)), what, SECONDS / PATIENCE, 0.1)
    except AssertionError as error:
        forms = sorted(texts)
        left = [(one.text, forms.index(one.text), one.where, one.locked)
                for one in find(d.process.pid, texts)]
        raise AssertionError(f"{error}: {left} of {len(forms)}") from None


def gone(d, texts: set[str]) -> None:
    search(d, lambda found: not found, "what was replaced is nowhere", texts)


def kept_locked(d, *texts: str) -> None:
    """They are there, or the search is good for nothing; and in locked memory alone."""
    search(d, lambda found: {one.text for one in found} == set(texts)
           and all(one.locked for one in found), "what is in use is in locked memory", set(texts))


def unused(d, *used: str) -> set[str]:
    """All that there is of this daemon's secrets but those in use."""
    return d.secrets() - set(used)


def newest_served(d) -> str:
    """The newest token, once it is served: for a moment the one before it still is."""
    assert d.token(wait=20).status == 200
    newest = d.fake.tokens(secrets=True)[-1]["token"]
    wait_until(lambda: d.token().json["access_token"] == newest, "the newest token is served")
    return newest


def ask_in_every_way(d) -> str:
    """The token."""
    token = newest_served(d)
    connection = d.connect()
    for _ in range(20):
        assert exchange(connection, "GET", "/v1/token").json["access_token"] == token
        assert exchange(connection, "GET", "/v1/token", {"Accept": "text/plain"}).text.strip() == token
    connection.close()
    assert d.gctoken("get").stdout.strip() == token
    assert d.gctoken("exec", "--", "true").returncode == 0
    assert d.get("/v1/status").status == d.get("/metrics").status == 200
    return token


def test_a_token_that_was_replaced_and_how_the_secret_was_sent(fake, daemon):
    d = daemon(fake())
    ask_in_every_way(d)
    for _ in range(4):
        assert d.post("/v1/refresh").status == 200
    token = ask_in_every_way(d)
    secret = d.fake.clients[0]["secret"]
    gone(d, unused(d, token, secret))  # also the forms in which it was sent
    kept_locked(d, token, secret)


def test_a_token_that_was_rejected_or_revoked(fake, daemon):
    d = daemon(fake(), profile={"reject_cooldown": "100ms"})
    rejected = ask_in_every_way(d)
    assert d.gctoken("reject", stdin=rejected).returncode == 0
    revoked = ask_in_every_way(d)
    assert d.post("/v1/revoke").status == 200
    secret = d.fake.clients[0]["secret"]
    assert {rejected, revoked} <= unused(d, secret)
    gone(d, unused(d, secret))
    assert d.post("/v1/refresh").status == 200
    token = ask_in_every_way(d)
    gone(d, unused(d, token, secret))
    kept_locked(d, token, secret)


def test_what_the_login_server_refused_or_sent_in_vain(fake, daemon):
    """Failed exchanges end in other ways than good ones."""
    d = daemon(fake())
    token = ask_in_every_way(d)
    secret = d.fake.clients[0]["secret"]
    for fault in ({"action": "cut", "at": -20}, {"action": "members", "members": {"expires_in": "x"}},
                  {"action": "answer", "status": 401, "body": '{"error":"invalid_client"}'}):
        d.fake.fault("token", **fault)
        d.post("/v1/refresh")
    gone(d, unused(d, token, secret))
    kept_locked(d, secret)


def test_a_secret_that_a_reload_changed(fake, daemon):
    f = fake()
    d = daemon(f)
    ask_in_every_way(d)
    before, after = f.clients[0]["secret"], canary()
    f.client(f.clients[0]["id"], after)
    d.set_secret("default", after)
    d.reload()
    d.wait_log("configuration reloaded")
    assert d.post("/v1/refresh").status == 200
    token = ask_in_every_way(d)
    assert before in unused(d, token, after)
    gone(d, unused(d, token, after))
    kept_locked(d, token, after)


def test_a_login_its_refreshes_and_its_end(fake, daemon):
    f = fake()
    d = daemon(f, profile=login_profile(f, clock_probe=False))
    assert log_in(d, f).status == 200
    for _ in range(3):
        assert d.post("/v1/refresh").status == 200
    token = ask_in_every_way(d)
    secret = f.clients[0]["secret"]
    refresh_token = next(one["token"] for one in f.logins(secrets=True)[-1]["refresh_tokens"]
                         if not one["replaced"])
    gone(d, unused(d, token, secret, refresh_token))  # codes, verifiers' requests, older tokens
    kept_locked(d, token, secret, refresh_token)
    assert d.post("/v1/logout").status == 200
    gone(d, unused(d, secret))


def test_a_token_that_was_in_the_page(fake, daemon):
    """It is there to be read by others, and it alone."""
    d = daemon(fake())
    with library(d) as handle:
        for _ in range(3):
            handle.get()
            assert d.post("/v1/refresh").status == 200
        token = newest_served(d)
        wait_until(lambda: handle.get().token == token, "it is in the page as well")
        gone(d, unused(d, token, d.fake.clients[0]["secret"]))
        found = find(d.process.pid, {token})
        assert any("memfd:" in one.where for one in found)
        assert all(one.locked or "memfd:" in one.where for one in found)


def test_the_locked_heap_is_there(server, daemon):
    assert any("lo" in flags for *_, flags in mappings(daemon(server).process.pid))


def test_memory_that_cannot_be_locked_is_told_of(server, make_daemon):
    d = make_daemon(server, wrap=["prlimit", "--memlock=0", "setpriv", "--bounding-set=-ipc_lock"])
    d.start()
    d.wait_log(r"^<4>memory for secrets cannot be locked: they may reach swap \(raise LimitMEMLOCK\)$")
    assert d.token(wait=10).status == 200
    assert not any("lo" in flags for *_, flags in mappings(d.process.pid))
