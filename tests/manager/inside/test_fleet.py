"""The service in a fleet, as docs/fleet.md has it: its key and password are credentials, and its store
is a redis-server of another user, at a Unix socket or by TLS."""

import grp
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile

import pytest

from fleet_store import FleetStore
from redis_server import ROOT, free_port
from service import ETC, UNIT, journal, systemctl
from test_units import assert_confined
from users import account
from waiting import wait_until

STORES_USER = "games"  # as redis would be


def documented_drop_in() -> str:
    with open(os.path.join(ROOT, "docs", "fleet.md"), encoding="utf-8") as file:
        [section] = re.findall(r"^ *\[Service\]\n(?: *LoadCredential=.*\n)+", file.read(), re.MULTILINE)
    return section.replace(" ", "")


def certificate(genesys, user) -> tuple[str, str]:
    """That of localhost, for that user's server."""
    folder = tempfile.mkdtemp(prefix="certificate.", dir="/run")
    for name in ("ca.pem", "good.pem", "good.key"):
        shutil.copy(os.path.join(genesys.directory, name), folder)
    for path in (folder, *(entry.path for entry in os.scandir(folder))):
        os.chown(path, user.uid, user.gid)
    return folder, "good"


@pytest.fixture(params=["unix", "tls"])
def store(request, genesys):
    # The store's group may use its socket; the daemon's user is in it, as the documentation says.
    subprocess.run(["usermod", "-aG", STORES_USER, "gctokend"], check=True)
    user = account(STORES_USER)
    tls = certificate(genesys, user) if request.param == "tls" else None
    one = FleetStore(free_port() if tls else 0, tls=tls, user=user)
    yield one
    one.stop()
    subprocess.run(["gpasswd", "-d", "gctokend", STORES_USER], check=True, capture_output=True)


def write(name: str, text: str, mode: int) -> str:
    path = f"{ETC}/{name}"
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "w",
              encoding="ascii") as file:
        file.write(text + "\n")
    if mode & 0o040:
        os.chown(path, 0, grp.getgrnam("gctokend").gr_gid)
    return path


def broker(store, *lines: str) -> str:
    return "\n".join([f"fleet_store = {store.url}", f"fleet_ca_file = {ETC}/ca.pem" if store.port else "",
                      "fleet_user = gctoken", "fleet_password_credential = fleet-password", *lines])


BY_CREDENTIAL = "fleet_key_credential = fleet-key"


@pytest.fixture
def key():
    return secrets.token_hex(32)


@pytest.fixture
def member(service, store, key):
    """The service, which has the fleet's token."""
    service.clean()
    service.set_secret(service.client["secret"])
    write("fleet.key", key, 0o600)
    write("fleet.password", store.password, 0o600)
    service.drop_in(documented_drop_in())
    service.configure(broker(store, BY_CREDENTIAL))
    systemctl("start", "gctokend.socket", "gctokend-page.socket")
    service.start()
    service.token()
    until(service, "up")
    wait_until(lambda: store.generation(), "the token is in the store")
    yield service
    told = journal() + service.status
    assert key not in told and store.password not in told


def share(service) -> dict:
    [profile] = service.ask("GET", "/v1/status").json["profiles"]
    return profile["fleet"]


def until(service, state: str) -> None:
    wait_until(lambda: share(service)["state"] == state, f"the fleet is {state}", 30)


def doctor(*words: str) -> list[dict]:
    """What it says of the fleet."""
    done = subprocess.run([*words, "gctoken", "doctor", "--json"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=120)
    assert not done.stderr
    return [one for one in json.loads(done.stdout)["checks"] if one["area"] == "Fleet"]


def words(checks: list[dict], *results: str) -> str:
    return "\n".join(one["words"] for one in checks if one["result"] in results)


AS_DAEMON = ["setpriv", "--reuid=gctokend", "--regid=gctokend", "--init-groups"]


def test_it_serves_and_its_sandbox_is_the_same(member, store):
    assert member.fake.posts == 1 and member.token()["state"] == "fresh"
    assert_confined(member.pid)
    # Nothing but the credentials is allowed to it beside the unit.
    assert {line.partition("=")[0] for line in documented_drop_in().split("\n")[1:-1]} \
        == {"LoadCredential"}
    assert member.show("RestrictAddressFamilies") == "AF_INET AF_INET6 AF_UNIX"
    # What the store has opens with the key, and with nothing else.
    assert member.token()["access_token"].encode() not in store.held()


@pytest.mark.parametrize("who", ["root", "gctokend"])
def test_the_doctor_finds_each_thing_right(member, store, who):
    checks = doctor(*(AS_DAEMON if who == "gctokend" else []))
    assert not words(checks, "problem")
    expected = ["the store is reached, knows this host's user", "the store answers within",
                "has the rights of a host that fetches tokens",
                "a lease on a key of its own was granted", "is sealed with this host's key",
                "this one included: 1"]
    if store.port:
        expected.append("the store's certificate is trusted")
    if who == "root":  # the daemon's own user is no caller, whom it would tell
        expected.append("the daemon has had the store for")
    found = words(checks, "ok")
    assert not [one for one in expected if one not in found], found
    # That one is a right that a user of the store need not have.
    assert all("maxclients" in one["words"] for one in checks if one["result"] == "unknown")
    told = words(checks, "ok", "unknown")
    assert store.password not in told


def test_the_fleets_key_is_changed_without_a_restart(member, store, key):
    token, pid = member.token(), member.pid
    new, other = write("new.key", secrets.token_hex(32), 0o640), write("previous.key", key, 0o640)
    for lines in ((BY_CREDENTIAL, f"fleet_old_key_files = {new}"),
                  (f"fleet_key_file = {new}", f"fleet_old_key_files = {other}")):
        member.configure(broker(store, *lines))
        systemctl("reload", UNIT)
        until(member, "up")
        assert member.token()["generation"] == token["generation"]
    assert "sealed with one of fleet_old_key_files" in words(doctor(), "ok")
    assert member.ask("POST", "/v1/refresh").status == 200
    wait_until(lambda: "is sealed with this host's key" in words(doctor(), "ok"), "the new key's")
    member.configure(broker(store, f"fleet_key_file = {new}"))
    systemctl("reload", UNIT)
    until(member, "up")
    assert not words(doctor(), "problem")
    assert member.token()["state"] == "fresh"
    assert (member.pid, member.show("NRestarts")) == (pid, "0") and member.fake.posts == 2


def test_the_store_goes_and_comes_back(member, store):
    token, pid, number = member.token(), member.pid, store.generation()
    store.kill()
    until(member, "down")
    assert member.token()["generation"] == token["generation"]
    assert "without the store" in words(doctor(), "problem")
    store.start()
    until(member, "up")
    # It was started empty.
    wait_until(lambda: store.generation() == number, "the token is there again")
    assert member.token()["generation"] == token["generation"]
    assert (member.pid, member.show("NRestarts")) == (pid, "0") and member.fake.posts == 1


def test_a_start_without_the_store_serves_at_once(member, store):
    token = member.token()
    store.kill()
    member.restart()
    assert member.ask("GET", "/v1/token?wait=0").json["generation"] == token["generation"]
    store.start()
    until(member, "up")
    assert member.token()["generation"] == token["generation"] and member.fake.posts == 1
