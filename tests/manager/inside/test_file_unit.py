"""gctoken-file@PROFILE.service: the token in a file for programs that only read files."""

import os
import shutil
import stat
import subprocess

import pytest

from service import systemctl
from users import account, become
from waiting import wait_until

UNIT = "gctoken-file@default.service"
DROP_IN = f"/run/systemd/system/{UNIT}.d"
PATH = "/run/gctoken-file/default/token"


@pytest.fixture
def unit(service):
    service.install()
    os.makedirs(DROP_IN, exist_ok=True)
    with open(f"{DROP_IN}/who.conf", "w", encoding="ascii") as file:
        file.write("[Service]\nGroup=games\n")
    systemctl("daemon-reload")
    yield UNIT
    systemctl("stop", UNIT)
    shutil.rmtree(DROP_IN)
    systemctl("daemon-reload")


def read_as(user):
    return subprocess.run([*become(account(user)), "cat", PATH], capture_output=True, text=True,
                          check=False).stdout


def test_it_has_started_when_the_token_is_there_and_ends_with_it(service, unit):
    systemctl("start", unit)
    first = service.token()["access_token"]
    assert read_as("games") == first + "\n"
    assert read_as("nobody") == "" == read_as("gctokend")
    found = os.stat(PATH)
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o640)
    assert service.ask("POST", "/v1/refresh").status == 200
    wait_until(lambda: read_as("games") == service.token()["access_token"] + "\n", "the next one")
    service.restart()
    assert service.ask("POST", "/v1/refresh").status == 200
    wait_until(lambda: read_as("games") == service.token()["access_token"] + "\n",
               "and the one after that")
    systemctl("stop", unit)
    assert not os.path.exists(os.path.dirname(PATH))
