"""gctokend-remove-profile: what is gone, what stays, and that nothing is changed where the daemon would not
accept what is left."""

import os
import subprocess

import pytest

from as_etc import AsEtc
from daemon import GCTOKEND, environment
from fake import REPOSITORY
from users import needs_root

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


# With a daemon that has the profile, beside another of its own.

@pytest.fixture
def added(fake, daemon, tmp_path):
    server = fake()
    d = daemon(server)
    keys = [f"{name}={d.profiles['default'][name]}"
            for name in ("client_id", "token_url", "api_url", "ca_file")]
    d.set_secret("others", server.clients[0]["secret"])
    keys.append("client_secret_file=" + d.path("others.secret"))
    beside = AsEtc(d, tmp_path)

    def add() -> subprocess.CompletedProcess:
        return beside.run(ADD, "reports", *keys)

    assert add().returncode == 0
    return server, d, beside, add


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
def test_who_cannot_be_told_is_named(added):
    server, d, beside, _ = added
    server.listen(False)
    done = beside.run(PROGRAM, "reports")
    assert done.returncode == 1 and "may be valid there until it expires" in done.stdout
    assert not os.path.exists(d.path("gctokend.conf.d/reports.conf"))
