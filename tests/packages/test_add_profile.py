"""gctokend-add-profile: what it writes, and that it takes back what is not accepted. What the daemon
and systemd have to do with it is in test_debian.py."""

import os
import stat
import subprocess

import pytest

from as_etc import AsEtc
from daemon import GCTOKEND, canary, environment
from fake import REPOSITORY
from users import needs_root

PROGRAM = os.path.join(REPOSITORY, "conf", "gctokend-add-profile")
GOOD = ("region=us-west-2", "client_id=x")


@pytest.fixture
def conf(tmp_path):
    """A configuration that leaves the socket's group alone, which need not be on this machine."""
    path = tmp_path / "gctokend.conf"
    path.write_text("[broker]\nsocket_group =\n")
    return path


def add(conf, *arguments: str, secret: str = "") -> subprocess.CompletedProcess:
    path = os.path.dirname(GCTOKEND) + ":" + os.environ["PATH"]
    return subprocess.run([PROGRAM, "-c", str(conf), *arguments], input=secret, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=environment(PATH=path))


def files(conf) -> set[str]:
    return {os.path.relpath(os.path.join(folder, name), conf.parent)
            for folder, _, names in os.walk(conf.parent) for name in names}


def test_profile(conf):
    secret = canary()
    done = add(conf, "reports", *GOOD, "allow_users=root", secret=secret + "\nnot this\n")
    assert done.returncode == 0, done.stdout
    assert secret not in done.stdout
    assert files(conf) == {"gctokend.conf", "reports.secret", "gctokend.conf.d/reports.conf"}
    written = conf.parent / "gctokend.conf.d" / "reports.conf"
    assert written.read_text() == (
        "[profile reports]\nregion = us-west-2\nclient_id = x\nallow_users = root\n"
        f"client_secret_file = {conf.parent}/reports.secret\n")
    assert (conf.parent / "reports.secret").read_text() == secret + "\n"
    for path in (written, conf.parent / "reports.secret"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0


def test_what_others_made_before_is_not_written_to(conf):
    """A secret would go to whoever reads there."""
    pipe = conf.parent / "reports.secret.new"
    os.mkfifo(pipe)
    link = conf.parent / "elsewhere"
    (conf.parent / "gctokend.conf.d").mkdir()
    (conf.parent / "gctokend.conf.d" / "reports.conf.new").symlink_to(link)
    done = add(conf, "reports", *GOOD, secret=canary() + "\n")
    assert done.returncode == 0, done.stdout
    assert not link.exists()
    assert (conf.parent / "reports.secret").is_file() and pipe.is_fifo()


@pytest.mark.parametrize("folder", ["", "gctokend.conf.d"])
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_folder_that_others_can_change(conf, folder, mode):
    (conf.parent / "gctokend.conf.d").mkdir()
    (conf.parent / folder).chmod(mode)
    done = add(conf, "reports", *GOOD, secret=canary() + "\n")
    assert done.returncode == 1
    assert f"others could change what is in {conf.parent / folder}:" in done.stdout
    assert files(conf) == {"gctokend.conf"}


def test_without_a_secret_of_its_own(conf):
    file = conf.parent / "other.secret"
    file.write_text("s\n")
    file.chmod(0o600)
    assert add(conf, "a", *GOOD, f"client_secret_file={file}").returncode == 0
    assert add(conf, "b", *GOOD, "client_secret_credential=b").returncode == 0
    public = add(conf, "c", *GOOD, "grant=authorization_code",
                 "redirect_uri=http://127.0.0.1:8765/back")
    assert public.returncode == 0, public.stdout
    assert not [name for name in files(conf) if name.endswith(".secret")
                and name != "other.secret"]


@pytest.mark.parametrize("arguments, status, words", [
    (("Default", *GOOD), 2, "is no profile's name"),
    (("../etc", *GOOD), 2, "is no profile's name"),
    (("", *GOOD), 2, "is no profile's name"),
    (("default",), 2, "Usage:"),
    (("default", "region"), 2, "is not KEY=VALUE"),
    (("default", *GOOD, "scope=a\nclient_id = y"), 2, "a value has one line"),
    (("default", *GOOD, "client_secret_file=/a\nallow_users = *"), 2, "a value has one line"),
    (("default", *GOOD, "client_secret_credential=a\n[broker]\nadmin_users = *"), 2,
     "a value has one line"),
    (("default", *GOOD, "grant=client_credentials\n"), 2, "a value has one line"),
    (("default", *GOOD, "scope=a\rb"), 2, "a value has one line"),
    (("default", *GOOD, "allow users=root"), 2, "is not KEY=VALUE"),
    (("default", *GOOD, "[broker]\nx=y"), 2, "a value has one line"),
    (("default", "region=atlantis", "client_id=x"), 78, "default.conf:2: region"),
    (("default", *GOOD, "colour=blue"), 78, "default.conf:4: colour"),
    (("default", *GOOD, "client_secret=abc"), 2, "everybody can read a command line"),
])
def test_mistakes_leave_nothing(conf, arguments, status, words):
    done = add(conf, *arguments, secret="s\n")
    assert done.returncode == status and words in done.stdout
    assert files(conf) == {"gctokend.conf"}


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(conf, option):
    done = add(conf, option)
    assert done.returncode == 0 and done.stdout.startswith("Usage:") and "-c FILE" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert add(conf, "--colour").returncode == 2


# What the daemon and the login server say to it.

@pytest.fixture
def taken_over(fake, daemon, tmp_path):
    """A factory: taken_over("name", "key=value"...) adds a profile to a daemon that runs."""
    server = fake()
    d = daemon(server)
    beside = AsEtc(d, tmp_path)
    d.set_secret("others", server.clients[0]["secret"])
    keys = {name: d.profiles["default"][name]
            for name in ("client_id", "token_url", "api_url", "ca_file")}
    keys["client_secret_file"] = d.path("others.secret")

    def add_to_it(name: str, **more: str) -> subprocess.CompletedProcess:
        pairs = [f"{key}={value}" for key, value in {**keys, **more}.items()]
        return beside.run(PROGRAM, name, *pairs)

    return server, d, add_to_it


@needs_root
def test_the_first_token_is_waited_for(taken_over):
    server, d, add_to_it = taken_over
    done = add_to_it("reports")
    assert done.returncode == 0 and "Profile reports works" in done.stdout, done.stdout
    assert d.token("reports").status == 200
    d.assert_no_leak(done.stdout, "what it says")


@needs_root
@pytest.mark.parametrize("mistake", ["client", "secret"])
def test_the_servers_words_are_told(taken_over, mistake):
    """The profile stays, so that it can be put right."""
    server, d, add_to_it = taken_over
    if mistake == "secret":
        d.set_secret("others", canary())
    done = add_to_it("reports", **({"client_id": "unknown"} if mistake == "client" else {}))
    words = "client not found" if mistake == "client" else "authentication failed"
    assert done.returncode == 1 and words in done.stdout, done.stdout
    assert "was added, and there is no token" in done.stdout
    assert os.path.exists(d.path("gctokend.conf.d/reports.conf"))
    d.assert_no_leak(done.stdout, "what it says")


@needs_root
def test_who_has_to_log_in_is_told(taken_over):
    server, d, add_to_it = taken_over
    done = add_to_it("people", grant="authorization_code", authorize_url=server.authorize_url,
                     redirect_uri="http://127.0.0.1:8765/back")
    assert done.returncode == 0 and "gctoken --profile people login" in done.stdout, done.stdout


@needs_root
def test_a_login_server_that_is_away_is_told(taken_over):
    server, d, add_to_it = taken_over
    server.listen(False)
    done = add_to_it("reports")
    assert done.returncode == 1 and "refused" in done.stdout, done.stdout
    assert "there is no token yet" in done.stdout


def test_no_secret(conf):
    done = add(conf, "default", *GOOD)
    assert done.returncode == 2 and "no secret" in done.stdout
    assert files(conf) == {"gctokend.conf"}


def test_what_is_there_stays(conf):
    assert add(conf, "default", *GOOD, secret="first\n").returncode == 0
    before = {name: (conf.parent / name).read_text() for name in files(conf)}
    done = add(conf, "default", "region=us-east-1", "client_id=y", secret="second\n")
    assert done.returncode == 1 and "is there already" in done.stdout
    (conf.parent / "gctokend.conf.d" / "default.conf").unlink()
    done = add(conf, "default", *GOOD, secret="second\n")
    assert done.returncode == 1 and "is there already" in done.stdout
    assert (conf.parent / "default.secret").read_text() == before["default.secret"]


def test_first_configuration(tmp_path):
    """Where there is none one is made, and taken back with the rest."""
    conf = tmp_path / "new.conf"
    done = add(conf, "default", *GOOD, "colour=blue", secret="s\n")
    assert done.returncode == 78 and files(conf) == set()


def test_a_person_sees_no_echo(conf):
    secret = canary()
    path = os.path.dirname(GCTOKEND) + ":" + os.environ["PATH"]
    command = f"{PROGRAM} -c {conf} default {' '.join(GOOD)}"
    with subprocess.Popen(["script", "-qec", command, "/dev/null"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, env=environment(PATH=path)) as person:
        said = ""
        while not said.endswith("client: "):
            letter = person.stdout.read(1)
            assert letter, said
            said += letter
        person.stdin.write(secret + "\n")
        person.stdin.flush()
        said += person.stdout.read()
        assert person.wait() == 0, said
    assert secret not in said
    assert (conf.parent / "default.secret").read_text() == secret + "\n"
