"""gctokend-remove-profile: what is gone, what stays, and that nothing is changed where the daemon would not
accept what is left."""

import os
import secrets
import subprocess

import pytest

from as_etc import AsEtc
from daemon import GCTOKEND, environment
from fake import REPOSITORY
from fleet_hosts import fleet_host
from fleet_store import FleetStore
from users import needs_root
from waiting import wait_until

PROGRAM = os.path.join(REPOSITORY, "conf", "gctokend-remove-profile")
ADD = os.path.join(REPOSITORY, "conf", "gctokend-add-profile")


@pytest.fixture
def conf(tmp_path):
    """A configuration with the profiles first and second, each as it was added."""
    path = tmp_path / "gctokend.conf"
    path.write_text("[broker]\nsocket_group =\n")
    for name in ("first", "second"):
        run(ADD, path, name, "region=us-west-2", f"client_id={name}", secret="s3cr3t\n")
    return path


def run(program, conf, *arguments: str, secret: str = "") -> subprocess.CompletedProcess:
    path = os.path.dirname(GCTOKEND) + ":" + os.environ["PATH"]
    return subprocess.run([program, "-c", str(conf), *arguments], input=secret, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=environment(PATH=path))


def files(conf) -> set[str]:
    return {name for _, _, names in os.walk(conf.parent) for name in names}


def test_its_files_are_gone(conf):
    done = run(PROGRAM, conf, "second")
    assert done.returncode == 0 and "The OAuth client stays" in done.stdout
    assert files(conf) == {"gctokend.conf", "first.conf", "first.secret"}


def test_a_secret_that_another_uses_stays(conf):
    run(ADD, conf, "third", "region=us-west-2", "client_id=first",
        f"client_secret_file={conf.parent}/first.secret")
    done = run(PROGRAM, conf, "first")
    assert done.returncode == 0 and "another profile uses it" in done.stdout
    assert files(conf) == {"gctokend.conf", "first.secret", "second.conf", "second.secret",
                           "third.conf"}


def test_a_secret_that_is_kept_elsewhere_stays(conf):
    conf.with_name("mine.secret").write_text("s3cr3t\n")
    conf.with_name("mine.secret").chmod(0o600)
    run(ADD, conf, "third", "region=us-west-2", "client_id=x",
        f"client_secret_file={conf.parent}/mine.secret")
    assert run(PROGRAM, conf, "third").returncode == 0
    assert "mine.secret" in files(conf)


def test_the_only_one_is_not_removed(conf):
    assert run(PROGRAM, conf, "first").returncode == 0
    before = files(conf)
    done = run(PROGRAM, conf, "second")
    assert done.returncode == 78 and "there is no profile" in done.stdout
    assert "systemctl disable --now gctokend.socket" in done.stdout
    assert files(conf) == before


@pytest.mark.parametrize("arguments, status, words", [
    (["third"], 1, "there is no"), (["Third"], 2, "is no profile's name"),
    ([], 2, "Usage:"), (["first", "second"], 2, "Usage:"), (["--colour"], 2, "Usage:"),
    (["--help"], 0, "Usage:"),
])
def test_mistakes_change_nothing(conf, arguments, status, words):
    before = files(conf)
    done = run(PROGRAM, conf, *arguments)
    assert done.returncode == status and words in done.stdout
    assert files(conf) == before


def test_a_file_with_more_is_for_people(conf):
    file = conf.parent / "gctokend.conf.d" / "first.conf"
    file.write_text(file.read_text() + "[profile fourth]\nregion = us-west-2\n")
    done = run(PROGRAM, conf, "first")
    assert done.returncode == 1 and "has more than this profile" in done.stdout
    assert file.exists()


@pytest.mark.parametrize("section", ["[profile fourth]", "[broker]", "[profile first2]"])
def test_a_file_of_another_is_for_people(conf, section):
    """Whatever its name says: the other one and its secret would be gone."""
    file = conf.parent / "gctokend.conf.d" / "first.conf"
    text = file.read_text()
    assert "[profile first]" in text
    file.write_text(text.replace("[profile first]", section))
    before = files(conf)
    done = run(PROGRAM, conf, "first")
    assert done.returncode == 1 and f"is not of the profile first, but of {section}" in done.stdout
    assert files(conf) == before


# With a daemon that has the profile, beside another of its own.

@pytest.fixture
def added(fake, daemon, tmp_path):
    server = fake()
    return add_beside(server, daemon(server), tmp_path)


def add_beside(server, d, tmp_path):
    keys = [f"{name}={d.profiles['default'][name]}"
            for name in ("client_id", "token_url", "api_url", "ca_file")]
    d.set_secret("others", server.clients[0]["secret"])
    keys.append("client_secret_file=" + d.path("others.secret"))
    beside = AsEtc(d, tmp_path)

    def add() -> subprocess.CompletedProcess:
        return beside.run(ADD, "reports", *keys)

    done = add()
    assert done.returncode == 0, done.stdout
    return server, d, beside, add


@pytest.fixture
def of_fleet(fake, make_daemon, tmp_path):
    """A host of a fleet, and another one, both with the profile."""
    server, store, key = fake(), FleetStore(), secrets.token_hex(32)
    one, other = (fleet_host(make_daemon, server, store, key) for _ in range(2))
    one.profiles["default"]["fleet"] = "no"
    one.write_config()
    one.start()
    server, one, beside, _ = add_beside(server, one, tmp_path)
    other.profiles["reports"] = other.profiles.pop("default")
    other.write_config()
    other.start()
    for d in (one, other):
        wait_until(lambda: d.token("reports").status == 200, "its token")
    yield server, one, other, beside
    store.stop()


@needs_root
def test_its_token_is_revoked_and_nobody_elses(added):
    server, d, beside, add = added
    token, other = d.token("reports").json["access_token"], d.token().json["access_token"]
    done = beside.run(PROGRAM, "reports")
    assert done.returncode == 0, done.stdout
    assert (server.api_status(token), server.api_status(other)) == (401, 200)
    assert d.token("reports").status in (403, 404) and d.token().status == 200
    assert not os.path.exists(d.path("gctokend.conf.d/reports.conf"))
    done = add()
    assert done.returncode == 0, done.stdout  # that it was revoked is no matter to the new one
    assert d.token("reports").status == 200


@needs_root
def test_the_token_of_a_fleet_goes_on(of_fleet):
    server, one, other, beside = of_fleet
    token = other.token("reports").json["access_token"]
    assert one.token("reports").json["access_token"] == token
    done = beside.run(PROGRAM, "reports")
    assert done.returncode == 0, done.stdout
    assert "was not revoked: the other hosts use it" in done.stdout
    assert one.token("reports").status in (403, 404)
    assert (server.api_status(token), other.token("reports").status) == (200, 200)


@needs_root
def test_the_token_of_a_fleet_is_revoked_where_that_is_wanted(of_fleet):
    server, one, other, beside = of_fleet
    token = other.token("reports").json["access_token"]
    done = beside.run(PROGRAM, "--revoke-for-all", "reports")
    assert done.returncode == 0 and "was not revoked" not in done.stdout, done.stdout
    assert server.api_status(token) == 401
    wait_until(lambda: other.token("reports").status == 503, "the other host to be stopped")


@needs_root
def test_who_follows_cannot_revoke_for_all(of_fleet):
    server, one, other, beside = of_fleet
    drop_in = one.path("gctokend.conf.d/reports.conf")
    with open(drop_in, encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("client_secret_file")]
    with open(drop_in, "w", encoding="utf-8") as file:
        file.writelines(lines)
    one.reload()
    done = beside.run(PROGRAM, "--revoke-for-all", "reports")
    assert done.returncode == 1 and "nothing was changed: this host only follows" in done.stdout
    assert os.path.exists(drop_in) and other.token("reports").status == 200
    assert beside.run(PROGRAM, "reports").returncode == 0
    assert not os.path.exists(drop_in) and other.token("reports").status == 200


@needs_root
def test_who_cannot_be_told_is_named(added):
    server, d, beside, _ = added
    server.listen(False)
    done = beside.run(PROGRAM, "reports")
    assert done.returncode == 1 and "may be valid there until it expires" in done.stdout
    assert not os.path.exists(d.path("gctokend.conf.d/reports.conf"))
