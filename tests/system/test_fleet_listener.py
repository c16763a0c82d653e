"""Who listens in a store's place at a Unix socket, while it is away or always, and is not told its
password."""

import os
import secrets
import shutil
import socket
import tempfile
from typing import NamedTuple

import pytest

from fleet_hosts import fleet_host, share
from fleet_store import FleetStore
from test_cli_doctor import doctor, the_problem
from users import account, as_user, needs_root
from waiting import PATIENCE, wait_until


class Store(NamedTuple):
    url: str
    password: str


@pytest.fixture
def open_folder():
    """Where everybody can make a socket, as in /tmp."""
    path = tempfile.mkdtemp()
    os.chmod(path, 0o1777)
    yield path
    shutil.rmtree(path)


@needs_root
def test_a_store_of_another_user_in_their_own_folder(make_daemon, server):
    """As Debian's redis-server has it."""
    redis = FleetStore(user=account("games"))
    try:
        d = fleet_host(make_daemon, server, redis, secrets.token_hex(32)).start()
        wait_until(lambda: share(d)["state"] == "up", "the store")
        assert d.token(wait=20).status == 200
        os.chmod(redis.folder, 0o777)  # from here on anybody could take its place
        redis.kill()
        redis.start()
        wait_until(lambda: "others could make it there" in (share(d).get("problem") or ""),
                   "a refusal")
        assert share(d)["state"] != "up" and d.token().status == 200
    finally:
        redis.stop()


@needs_root
@pytest.mark.parametrize("plain", [False, True], ids=["strict", "plain"])
def test_nobody_in_the_stores_place_is_told_the_password(make_daemon, server, open_folder, plain):
    store = Store(f"unix:{open_folder}/redis.sock", "canary-password")
    with socket.socket(socket.AF_UNIX) as listener:
        with as_user(account("games")):
            listener.bind(os.path.join(open_folder, "redis.sock"))
            listener.listen(16)
        listener.settimeout(10 * PATIENCE)
        d = fleet_host(make_daemon, server, store, secrets.token_hex(32), {"fleet_plain": plain})
        if not plain:
            the_problem(doctor(d), "Fleet", "it is not told the password: uid ",
                        "in a folder of its user's")
            with listener.accept()[0] as visitor:
                assert visitor.recv(4096) == b""
        d.start(ready=False)
        visitor, _ = listener.accept()
        with visitor:
            visitor.settimeout(10 * PATIENCE)
            said = visitor.recv(4096)
    if plain:
        assert b"canary-password" in said
    else:
        assert said == b""
        wait_until(lambda: "it is not told the password: uid " in (share(d).get("problem") or ""),
                   "the reason")
