"""Secrets by way of systemd, and clients told by their units, inside of the sandbox."""

import os
import subprocess

import pytest

from service import ETC, SOCKET, journal, systemctl
from test_units import ALLOW_UNITS
from waiting import wait_until

CREDENTIAL = "client_secret_credential = login"


@pytest.mark.parametrize("kind", ["LoadCredential", "LoadCredentialEncrypted"])
def test_a_secret_comes_as_a_credential(service, kind):
    service.install(default=CREDENTIAL)
    os.unlink(f"{ETC}/default.secret")
    source = f"{ETC}/login.cred"
    with open(os.open(source, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(service.client["secret"])
    if kind == "LoadCredentialEncrypted":
        sealed = subprocess.run(["systemd-creds", "encrypt", "--with-key=host", "--name=login",
                                 source, source + ".sealed"], capture_output=True, text=True,
                                check=False)
        if sealed.returncode:
            pytest.skip(f"systemd-creds: {sealed.stderr.strip()}")
        os.rename(source + ".sealed", source)
        with open(source, "rb") as file:
            assert service.client["secret"].encode() not in file.read()
    service.drop_in(f"[Service]\n{kind}=login:{source}\n")
    service.start()
    token = service.token()
    systemctl("reload", "gctokend")
    assert service.token()["generation"] == token["generation"]
    service.restart()
    assert service.token()["generation"] == token["generation"]


def curl_in(unit: str) -> int:
    """The HTTP status for root's curl in a unit of that name."""
    run = subprocess.run(
        ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={unit}",
         "--uid=backup", "-p", "SupplementaryGroups=gctoken",
         "curl", "-q", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", SOCKET,
         "http://localhost/v1/token?profile=default&wait=30"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


def test_allow_units_with_the_drop_in(service):
    service.install(default="allow_users = backup\nallow_units = gct-nightly.service")
    with open(ALLOW_UNITS, encoding="utf-8") as file:
        service.drop_in(file.read(), "allow-units")
    service.start()
    assert curl_in("gct-nightly.service") == 200
    assert curl_in("gct-other.service") == 403
    assert "allow-units.conf" not in journal()


def test_allow_units_without_it_denies_and_says_why(service):
    service.install(default="allow_users = backup\nallow_units = gct-nightly.service")
    service.start()
    assert curl_in("gct-nightly.service") == 403
    wait_until(lambda: "allow-units.conf" in journal(), "the log tells what is missing")


def test_users_are_told_by_the_kernel(service):
    service.install(default="allow_users = backup")
    assert curl_in("gct-any.service") == 200
    service.configure(default="allow_users = games")
    systemctl("reload", "gctokend")
    wait_until(lambda: curl_in("gct-any.service") == 403, "the rules have changed")
