"""How gctokend starts, or says why it does not: arguments, configuration, sockets, limits."""

import concurrent.futures
import grp
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess

import pytest

import daemon as daemon_module
from daemon import GCTOKEND, Daemon, canary, environment
from manager import Manager
from unix_http import exchange
from waiting import PATIENCE, wait_until

EX_USAGE, EX_UNAVAILABLE, EX_OSERR, EX_CONFIG = 64, 69, 71, 78
FAILED_STARTS_QUICK = 30


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([GCTOKEND, *arguments], env=environment(), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30 * PATIENCE)


def check(d: Daemon) -> subprocess.CompletedProcess:
    return run("-c", d.config_file, "--check-config")


def fail_to_start(d: Daemon, code: int = EX_CONFIG) -> str:
    """What it logs. It leaves nothing where its sockets would be."""
    before = set(os.listdir(d.directory))
    d.start(ready=False)
    assert d.wait_exit() == code, d.stderr_text()
    assert set(os.listdir(d.directory)) == before
    text = d.stderr_text()
    assert re.match(r"<3>", text), text
    return text


def start_failing_once(d: Daemon, **broker) -> str:
    """With these settings it fails, without them it starts. What it logged as it failed."""
    kept = dict(d.broker)
    d.broker.update(broker)
    d.write_config()
    text = fail_to_start(d)
    d.broker = kept
    d.write_config()
    d.start()
    return text


# Arguments.

def test_version():
    told = run("--version")
    assert told.returncode == 0 and told.stderr == ""
    assert re.fullmatch(r"gctokend \d+\.\d+\.\d+(\+\d+\.g[0-9a-f]{7}(\.dirty)?)?\n", told.stdout)


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help(argument):
    told = run(argument)
    assert told.returncode == 0 and told.stderr == ""
    for words in ("Usage: gctokend", "--check-config", "--help-config", "--version", "SIGHUP"):
        assert words in told.stdout


@pytest.mark.parametrize("arguments, words", [
    (["--bogus"], "--bogus"), (["-x"], "x"), (["--check-config=yes"], "check-config"),
    (["-c"], "argument"), (["--config"], "argument"), (["serve"], "serve"),
    (["-c", "/dev/null", "more"], "more"),
])
def test_usage(arguments, words):
    told = run(*arguments)
    assert (told.returncode, told.stdout) == (EX_USAGE, "")
    assert words in told.stderr.splitlines()[0]
    assert "Usage: gctokend" in told.stderr


@pytest.mark.parametrize("option", ["--help", "--version", "--help-config"])
def test_what_nobody_takes_is_told_of(option):
    with open("/dev/full", "w") as full:
        told = subprocess.run([GCTOKEND, option], env=environment(), stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=30 * PATIENCE)
    assert told.returncode == EX_OSERR
    assert told.stderr == "gctokend: cannot write to standard output: No space left on device\n"


def test_help_config_tells_of_every_key():
    told = run("--help-config")
    assert told.returncode == 0 and told.stderr == ""
    for key in ("socket", "socket_mode", "admin_users", "max_connections", "max_wait", "region",
                "client_secret_file", "token_url", "allow_users", "mint_limit", "fetch_timeout"):
        assert re.search(rf"^ +{key} =( |$)", told.stdout, re.M), key
    assert "us-west-2" in told.stdout


# --check-config.

def test_check_config_of_a_good_file(server, make_daemon):
    """It neither starts anything nor disturbs what runs."""
    d = make_daemon(server)
    before = os.listdir(d.directory)
    told = check(d)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == f"{d.config_file}: 1 profile, nothing wrong\n"
    assert os.listdir(d.directory) == before and os.listdir(d.state_dir) == []
    assert server.posts == 0
    d.start()
    connection = d.connect()
    assert exchange(connection, "GET", "/v1/token").status == 200
    assert check(d).returncode == 0
    assert exchange(connection, "GET", "/v1/token").status == 200
    connection.close()


@pytest.mark.parametrize("content, words", [
    (b"\xef\xbb\xbfs3cret\n", "begins with a byte order mark (EF BB BF)"),
    (b"s3cret \n", "ends with a blank (20)"),
    (b"s3cret\xc2\xa0\n", "ends with a no-break space (C2 A0)"),
    (b"s3cret\xe2\x80\x8b", "ends with a zero width space (E2 80 8B)"),
    (b'"s3cret"\n', "stands in quotes (22 at both ends)"),
])
def test_a_secret_with_something_at_its_ends_is_warned_of(server, make_daemon, content, words):
    """By --check-config, by the doctor, and at the start, which goes on: it may belong there."""
    d = make_daemon(server)
    path = d.path("default.secret")
    with open(path, "wb") as file:
        file.write(content)
    told = check(d)
    assert (told.returncode, told.stderr) == (0, "")
    assert f"client_secret_file: warning: {path} {words}, which " in told.stdout
    assert "1 profile, no error" in told.stdout and "s3cret" not in told.stdout
    assert words in d.gctoken("doctor", "--config", d.config_file).stdout.replace("\n", " ")
    d.start()
    d.wait_log(r"^<4>.*" + re.escape(f"{path} {words}"))


@pytest.mark.parametrize("content, words", [
    (b"s3cret\n\n", "has more than one line"), (b"s3cret\t\n", "has a control character"),
    ("s3cret".encode("utf-16"), "has a control character"),
])
def test_check_config_reads_secrets_as_the_start_does(server, make_daemon, content, words):
    d = make_daemon(server)
    with open(d.path("default.secret"), "wb") as file:
        file.write(content)
    told = check(d)
    assert told.returncode == EX_CONFIG and words in told.stdout
    d.start(ready=False)
    assert d.wait_exit() == EX_CONFIG
    assert words in d.stderr_text()


def test_check_config_tells_every_problem(server, make_daemon):
    d = make_daemon(server)
    secret = d.path("bad.secret")
    with open(secret, "w", encoding="ascii") as file:
        file.write("not told\n")
    os.chmod(secret, 0o644)
    d.write_config(f"""\
[broker]
socket = {d.socket}
socket_group =
colour = red
max_wait = 5
max_connections = 0
max_connections = 5

[profile one]
region = atlantis
client_id = x
client_secret_file = {secret}
allow_users = no-such-user-here

[profile two]
region = us-west-2
environment = example.com
client_secret = hush-hush
token_url = http://example.com/token

[profile Three]
""")
    told = check(d)
    assert told.returncode == EX_CONFIG and told.stderr == ""
    lines = told.stdout.splitlines()
    # the last one where the machine has a user for the daemon, who may read other files than we
    if re.fullmatch(r"\(Files are judged as the daemon's .+ reads them\.\)", lines[-1]):
        lines.pop()
    for number, key, words in [
        (4, "colour", "unknown key"), (5, "max_wait", "unit"), (6, "max_connections", "allowed: "),
        (7, "max_connections", ""), (10, "region", "atlantis"),
        (12, "client_secret_file", "0600"), (13, "allow_users", "no-such-user-here"),
        (15, "client_id", "neither"), (17, "environment", "region"),
        (18, "client_secret", "client_secret_file"), (19, "token_url", "https"),
        (21, r"\[profile\]", "Three"),
    ]:
        pattern = rf"{re.escape(d.config_file)}:{number}: {key}: .*{words}"
        assert any(re.match(pattern, line) for line in lines), (pattern, told.stdout)
    # Each line is a place and a key, in the file's order, and none of them tells a secret.
    numbers = [int(re.match(rf"{re.escape(d.config_file)}:(\d+): \S+: ", line)[1])
               for line in lines]
    assert numbers == sorted(numbers)
    assert "hush-hush" not in told.stdout and "not told" not in told.stdout
    # The daemon itself says the same, and does not start.
    log = fail_to_start(d)
    assert [line for line in log.splitlines() if line.startswith(f"<3>{d.config_file}:")] == [
        f"<3>{line}" for line in lines]
    assert server.posts == 0


@pytest.mark.parametrize("make, words", [
    (lambda path: None, "No such file or directory"),
    (os.mkdir, "this is not a regular file"),
    (os.mkfifo, "this is not a regular file"),
    (lambda path: open(path, "wb").write(b"\0" * 100), "control character"),
    (lambda path: open(path, "wb").write(b"#" * 2_000_000), "longer than 1 MiB"),
], ids=["missing", "directory", "fifo", "binary", "huge"])
def test_files_that_are_none(make_daemon, make, words):
    d = make_daemon(None)
    os.unlink(d.config_file)
    make(d.config_file)
    told = check(d)
    assert told.returncode == EX_CONFIG
    assert told.stdout.startswith(d.config_file) and words in told.stdout
    assert words in fail_to_start(d)


def test_a_file_without_a_profile(make_daemon):
    d = make_daemon(None)
    d.profiles.clear()
    d.write_config()
    assert check(d).stdout == (
        f"{d.config_file}: there is no profile; at least one [profile NAME] is needed\n")
    assert "there is no profile" in fail_to_start(d)


# Drop-ins.

def test_drop_ins(fake, make_daemon):
    clients = [{"id": "a", "secret": canary()}, {"id": "b", "secret": canary()}]
    f = fake(clients=clients)
    d = make_daemon(f, profiles={"default": {"client_id": "a", "secret": clients[0]["secret"]}})
    # The second profile, as a package's own file would bring it.
    d.add_profile("second", client_id="b", secret=clients[1]["secret"])
    whole = d.config_text()
    second = whole[whole.index("[profile second]"):]
    d.write_config(whole[:whole.index("[profile second]")])
    folder = d.config_file + ".d"
    os.mkdir(folder)
    for name, text in {
        "10-second.conf": second,
        "20-wait.conf": "[broker]\nmax_wait = 10s\n",
        "9-wait.conf": "[broker]\nmax_wait = 20s\n",  # by bytes, the last
        ".hidden.conf": "nonsense\n", "30-off.conf.disabled": "nonsense\n", "README": "nonsense\n",
    }.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    told = check(d)
    assert told.returncode == 0 and "2 profiles" in told.stdout
    d.start()
    assert d.token("second").status == 200
    assert d.token(wait=20).status == 200 and d.token(wait=21).status == 400
    with open(os.path.join(folder, "40-bad.conf"), "w", encoding="utf-8") as file:
        file.write("\n[profile default]\nregoin = us-west-2\n")
    told = check(d)
    assert told.returncode == EX_CONFIG
    assert told.stdout.startswith(f"{folder}/40-bad.conf:3: regoin: ")


# Secrets.

@pytest.mark.parametrize("spoil, words", [
    (lambda path: os.chmod(path, 0o604), "mode 0604, which is open to everybody"),
    (lambda path: os.chmod(path, 0o666), "mode 0666, which is open to everybody"),
    (lambda path: os.chown(path, 65534, -1), "belongs to|owner"),
    (lambda path: (os.chown(path, -1, 5), os.chmod(path, 0o640)), "group"),
    (lambda path: (os.unlink(path), os.mkfifo(path)), "not a regular file"),
    (lambda path: (os.unlink(path), os.mkdir(path)), "not a regular file"),
    (os.unlink, "No such file or directory"),
    (lambda path: os.truncate(path, 0), "empty"),
    (lambda path: open(path, "ab").write(b"second line\n"), "more than one line"),
    (lambda path: open(path, "ab").write(b"x" * 5000), "longer than 4096 bytes"),
], ids=["world-readable", "world-writable", "other-owner", "other-group", "fifo", "directory",
        "missing", "empty", "two-lines", "too-long"])
def test_a_secret_file_that_is_not_as_it_should_be(server, make_daemon, spoil, words):
    d = make_daemon(server)
    secret = d.path("default.secret")
    spoil(secret)
    log = fail_to_start(d)
    assert re.search(rf"client_secret_file: {re.escape(secret)} .*({words})", log), log
    assert server.posts == 0


# The socket.

@pytest.mark.parametrize("mode", ["0600", "0660", "0666", "0777"])
def test_mode_and_group_of_the_socket(server, daemon, mode):
    d = daemon(server, broker={"socket_mode": mode, "socket_group": "games"})
    made = os.stat(d.socket)
    assert stat.S_ISSOCK(made.st_mode) and stat.S_IMODE(made.st_mode) == int(mode, 8)
    assert made.st_gid == grp.getgrnam("games").gr_gid and made.st_uid == os.geteuid()
    # Nothing is left of its making.
    assert [name for name in os.listdir(d.directory) if name.startswith("gctokend.sock")] == [
        "gctokend.sock"]
    assert d.token().status == 200


def test_an_empty_group_is_left_alone(server, daemon):
    d = daemon(server, broker={"socket_group": ""})
    assert os.stat(d.socket).st_gid == os.getegid()
    assert stat.S_IMODE(os.stat(d.socket).st_mode) == 0o660


def test_the_longest_path_of_a_socket(server, make_daemon):
    d = make_daemon(server)
    for length, fits in ((103, False), (102, True)):
        d.broker["socket"] = d.socket = d.path("").ljust(length, "s")
        d.write_config()
        assert (check(d).returncode == 0) is fits
        if fits:
            d.start()
        else:
            assert "too long" in fail_to_start(d)
    assert d.token().status == 200


def test_a_second_daemon_leaves_the_first_alone(server, make_daemon):
    first = make_daemon(server).start()
    token = first.token().json
    connection = first.connect()
    assert exchange(connection, "GET", "/v1/token").status == 200
    second = make_daemon(server, broker={"socket": first.socket})
    log = fail_to_start(second, EX_UNAVAILABLE)
    assert f"another gctokend answers at {first.socket}: stop it, or choose another path" in log
    assert exchange(connection, "GET", "/v1/token").status == 200
    assert first.token().json["generation"] == token["generation"]
    assert server.posts == 1  # the second asked for none
    connection.close()


def test_a_second_daemon_on_the_same_state_directory_is_refused(server, make_daemon):
    """It would overwrite the first one's refresh tokens; the lock goes with the process, however
    that ends."""
    first = make_daemon(server).start()
    second = make_daemon(server, broker={"state_dir": first.state_dir})
    second.start(ready=False)
    assert second.wait_exit() == 69  # EX_UNAVAILABLE
    assert re.search(rf"^<3>state_dir {re.escape(first.state_dir)} is in use by another gctokend "
                     rf"\(pid {first.process.pid}\): stop that one, or give each a state_dir of "
                     r"its own$", second.stderr_text(), re.M)
    assert not os.path.exists(second.socket)
    assert first.token(wait=10).status == 200
    first.kill()
    second.start()
    assert second.token(wait=10).status == 200


def test_of_many_that_start_at_once_one_lives(server, make_daemon):
    socket_path = None
    many = []
    for _ in range(6):
        d = make_daemon(server, broker={"socket": socket_path} if socket_path else None)
        socket_path = d.socket = socket_path or d.socket
        many.append(d)
    for d in many:
        d.start(ready=False)
    wait_until(lambda: sum(d.process.poll() is None for d in many) == 1, "only one lives")
    for d in many:
        if d.process.poll() is not None:
            assert d.wait_exit() == EX_UNAVAILABLE
    assert many[0].token().status == 200
    assert server.posts == 1


def test_a_stale_socket_is_replaced(server, make_daemon):
    d = make_daemon(server).start()
    d.token()
    stale = os.stat(d.socket).st_ino
    d.kill()
    assert os.stat(d.socket).st_ino == stale
    d.start()
    assert d.token().status == 200
    # Half of a start that was killed.
    d.kill()
    for suffix in (".new", ".lock"):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(d.socket + suffix)
    os.unlink(d.socket + ".lock")
    open(d.socket + ".lock", "wb").close()
    d.start()
    assert d.token().status == 200


def test_another_s_socket_outlives_our_stop(server, make_daemon):
    """As when a newer daemon has taken the path over."""
    d = make_daemon(server).start()
    os.unlink(d.socket)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(d.socket)
        d.stop()
        assert os.path.exists(d.socket)


@pytest.mark.parametrize("make, words", [
    (lambda path: open(path, "wb").write(b"precious"), "is there and is not a socket: remove it"),
    (os.mkdir, "is there and is not a socket: remove it"),
    (lambda path: os.symlink("/etc/passwd", path), "is there and is not a socket: remove it"),
], ids=["file", "directory", "symlink"])
def test_something_else_at_the_socket_s_path(server, make_daemon, make, words):
    d = make_daemon(server)
    make(d.socket)
    before = os.lstat(d.socket)
    assert words in fail_to_start(d)
    after = os.lstat(d.socket)
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert server.posts == 0


def test_a_missing_directory_for_the_socket(server, make_daemon):
    d = make_daemon(server)
    log = start_failing_once(d, socket=d.path("none/gctokend.sock"))
    assert f"{d.path('none')} is not a directory: create it" in log
    assert d.token().status == 200


# Where state is kept.

@pytest.mark.parametrize("make, words", [
    (lambda path: open(path, "wb").close(), "Not a directory|File exists"),
    (lambda path: os.symlink("/nowhere", path), "No such file or directory"),
], ids=["file", "dangling"])
def test_a_state_directory_that_cannot_be_used(server, make_daemon, make, words):
    d = make_daemon(server)
    state = d.path("unusable")
    make(state)
    log = start_failing_once(d, state_dir=state)
    assert re.search(rf"state_dir {re.escape(state)}: ({words})\. It has to be a directory", log)
    assert d.token().status == 200
    assert server.posts == 1


def test_the_state_directory_is_made(server, make_daemon):
    d = make_daemon(server, broker={"state_dir": None},
                    env={"STATE_DIRECTORY": "/from/systemd"})
    d.broker["state_dir"] = d.path("made")
    d.write_config()
    d.start()
    d.token()
    assert stat.S_IMODE(os.stat(d.path("made")).st_mode) == 0o700
    d.stop()  # while it runs, a file may get its name between the two looks
    files = [os.stat(os.path.join(d.path("made"), name)) for name in os.listdir(d.path("made"))]
    assert files and all(stat.S_IMODE(file.st_mode) == 0o600 for file in files)
    # systemd's comes next, where the configuration names none.
    d.broker["state_dir"] = None
    d.env["STATE_DIRECTORY"] = d.path("given")
    d.write_config()
    d.start()
    d.token()
    assert os.listdir(d.path("given"))


# Another user than root.

def test_it_needs_no_root(server, make_daemon, monkeypatch):
    d = make_daemon(server, wrap=["setpriv", "--reuid=nobody", "--regid=nogroup",
                                  "--clear-groups"])
    monkeypatch.setattr(daemon_module, "GCTOKEND", shutil.copy(GCTOKEND, d.directory))
    entry = pwd.getpwnam("nobody")
    for name in os.listdir(d.directory):
        os.chown(d.path(name), entry.pw_uid, entry.pw_gid)
    os.chmod(server.directory, 0o711)  # the way to the CA's certificate
    os.chmod(server.ca_file, 0o644)
    # Its folder is not its own yet.
    assert f"cannot make a socket in {d.directory}: Permission denied" in fail_to_start(d)
    os.chown(d.directory, entry.pw_uid, entry.pw_gid)
    log = start_failing_once(d, socket_group="games")
    assert "the user this runs as must be in that group" in log
    assert d.token().status == 200
    d.stop()
    os.chown(d.state_dir, 0, 0)
    os.chmod(d.state_dir, 0o755)
    log = fail_to_start(d)
    assert f"state_dir {d.state_dir}: Permission denied" in log


# A shortage of descriptors.

def test_few_descriptors(server, make_daemon):
    d = make_daemon(server, wrap=["prlimit", "--nofile=200:200"]).start()
    warning = d.wait_log(r"^<4>max_connections is 16384, but RLIMIT_NOFILE of 200 allows (\d+): "
                         "raise LimitNOFILE$")
    allowed = int(warning[1])
    assert 16 <= allowed < 200
    assert d.token().status == 200
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        connections = [d.connect() for _ in range(allowed)]
        answers = list(pool.map(lambda c: exchange(c, "GET", "/v1/token"), connections))
    assert {answer.status for answer in answers} == {200}
    # One more is turned away, and the daemon still has what it needs itself.
    with pytest.raises((OSError, EOFError)):
        assert d.get("/healthz", timeout=5).status != 200
        raise EOFError
    assert exchange(connections[0], "POST", "/v1/refresh").status == 200
    for connection in connections:
        connection.close()
    wait_until(lambda: _healthy(d), "room again")
    assert server.posts == 2


def _healthy(d: Daemon) -> bool:
    try:
        return d.get("/healthz").status == 200
    except (OSError, EOFError):
        return False


@pytest.mark.parametrize("limit", [40, 64])
def test_hardly_any_descriptors(server, make_daemon, limit):
    d = make_daemon(server, wrap=["prlimit", f"--nofile={limit}:{limit}"]).start()
    d.wait_log(rf"^<4>RLIMIT_NOFILE of {limit} is too low: .* limited to {limit // 8}: raise")
    assert d.token().status == 200


def test_the_soft_limit_is_raised(server, make_daemon):
    hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 20_000)
    d = make_daemon(server, wrap=["prlimit", f"--nofile=64:{hard}"],
                    broker={"max_connections": 1000}).start()
    assert resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    assert "RLIMIT_NOFILE" not in d.stderr_text()


# What it says when all is well.

def test_the_log_of_a_good_start(server, make_daemon):
    d = make_daemon(server).start()
    d.token()
    version = run("--version").stdout.split()[1]
    d.wait_log(rf"\A<5>gctokend {re.escape(version)} serves 1 profile at {re.escape(d.socket)}$")
    d.stop()
    assert d.stderr_text().endswith("<5>stopping\n")
    assert not re.search(r"^<[0-4]>", d.stderr_text(), re.M)


def test_closed_standard_descriptors_are_nobodys(server, make_daemon):
    """No socket and no file may come to be where a library writes its complaints to."""
    d = make_daemon(server, wrap=["bash", "-c", 'exec "$@" <&- >&- 2>&-', "-"]).start()
    assert d.token().status == 200
    for number in (0, 1, 2):
        assert os.readlink(f"/proc/{d.process.pid}/fd/{number}") == "/dev/null"


# Starts that are disturbed, and starts that fail again and again.

def _heeds_hangup(pid: int) -> bool:
    """It is held back, or there is a handler."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        masks = re.findall(r"^Sig(?:Blk|Cgt):\s*([0-9a-f]+)$", file.read(), re.M)
    return any(int(mask, 16) & 1 << signal.SIGHUP - 1 for mask in masks)


def test_an_early_hangup_is_a_reload(make_daemon, server):
    """As early as the daemon can tell what a signal is."""
    d = make_daemon(server)
    d.start(ready=False)
    wait_until(lambda: _heeds_hangup(d.process.pid), "SIGHUP does not end it", pause=0.0005)
    d.reload()
    d.wait_log(r"^<5>configuration reloaded: 1 profile$")
    assert d.get("/healthz").status == 200


@pytest.fixture
def failing(make_daemon, server):
    """Under a manager, with a configuration that is wrong in three places."""
    d = make_daemon(server)
    good = d.config_text()
    m = Manager(d)
    d.write_config(good + "colour = red\ncolor = red\nuse_margin = 5\n")
    yield m, good
    m.close()


def _fail(m: Manager) -> str:
    seen = len(m.daemon.stderr_text())
    m.start(ready=False)
    assert m.daemon.wait_exit() == EX_CONFIG
    return m.daemon.stderr_text()[seen:]


def _fail_until_it_waits(m: Manager) -> None:
    """The next start that fails is one that waits."""
    for _ in range(FAILED_STARTS_QUICK - 1):
        again = _fail(m).splitlines()
        assert len(again) == 1 and "still not valid, 3 errors" in again[0], again
        assert "colour" in again[0]


def test_starts_that_fail_again_say_it_in_one_line_and_then_wait(failing):
    m, good = failing
    first = _fail(m)
    assert len(re.findall(r"^<3>.*: (colour|color|use_margin): ", first, re.M)) == 3
    _fail_until_it_waits(m)
    m.start(ready=False)
    m.wait_status("not started 31 times in a row")
    assert m.daemon.process.poll() is None
    m.daemon.process.send_signal(signal.SIGHUP)  # does not wait
    assert m.daemon.wait_exit() == EX_CONFIG
    m.daemon.write_config(good)
    m.start()
    assert not [name for name, _ in m.stored if name == "failed-start"]
    m.daemon.write_config(good + "colour = red\n")
    m.daemon.kill()
    assert "still" not in _fail(m)


def test_a_start_that_waits_can_be_stopped(failing):
    m, good = failing
    _fail(m)
    _fail_until_it_waits(m)
    # What is wrong beyond the file's words counts as well.
    m.daemon.write_config(good)
    m.daemon.set_secret("default", "two\nlines")
    m.start(ready=False)
    m.wait_status("not started 31 times in a row")
    m.daemon.process.terminate()
    assert m.daemon.wait_exit() == -signal.SIGTERM


# Files, as the daemon will find them.

@pytest.mark.skipif(os.geteuid() != 0, reason="only root checks for another")
@pytest.mark.parametrize("closed, key", [
    ("default.secret", "client_secret_file"), ("ca.pem", "ca_file"), ("id", "client_id_file"),
    ("key", "state_key_file"), ("shut/ca.pem", "ca_file"), ("gctokend.conf", None)])
def test_check_config_by_root_finds_what_the_daemon_may_not_read(make_daemon, server, closed, key):
    """Root's umask 027 makes files that root can read, and the daemon's account cannot."""
    account = pwd.getpwnam("games")
    d = make_daemon(server, profiles={"default": {"client_id": None}})
    os.mkdir(d.path("shut"))
    for name, text in [("id", server.clients[0]["id"]), ("key", "ab" * 32), ("ca.pem", None),
                       ("shut/ca.pem", None)]:
        if text is None:
            shutil.copy(server.ca_file, d.path(name))
        else:
            with open(d.path(name), "w", encoding="ascii") as file:
                file.write(text + "\n")
    d.profiles["default"].update(client_id_file=d.path("id"),
                                 ca_file=d.path("shut/ca.pem" if "shut" in closed else "ca.pem"))
    d.broker["state_key_file"] = d.path("key")
    d.write_config()
    os.chown(d.state_dir, account.pw_uid, account.pw_gid)
    for name in ("default.secret", "id", "key", "ca.pem", "shut/ca.pem", "gctokend.conf"):
        os.chown(d.path(name), 0, account.pw_gid)
        os.chmod(d.path(name), 0o640)
    os.chmod(d.path("shut"), 0o755)
    good = check(d)
    assert good.returncode == 0, good.stdout
    assert f"as the daemon's user games (uid {account.pw_uid}) reads them" in good.stdout
    if "/" in closed:
        os.chmod(d.path("shut"), 0o700)
    else:
        os.chown(d.path(closed), 0, 0)
    told = check(d)
    assert told.returncode == EX_CONFIG
    assert re.search(rf"{key or 'gctokend.conf'}: .*(Permission denied|may read it)", told.stdout)
    d.wrap = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    if key != "state_key_file":  # it is read with the first profile that needs it
        d.start(ready=False)
        assert d.wait_exit() == EX_CONFIG


@pytest.mark.parametrize("content", [b"s3cret\n\n", b"two\nlines\n", b"tab\t\n", b"\n", b"a\0b"])
def test_check_config_reads_secrets_as_the_daemon_does(make_daemon, server, content):
    d = make_daemon(server)
    with open(d.path("default.secret"), "wb") as file:
        file.write(content)
    told = check(d)
    assert told.returncode == EX_CONFIG
    assert re.search(r"^\S+:\d+: client_secret_file: ", told.stdout, re.M), told.stdout
    fail_to_start(d)


@pytest.mark.parametrize("key, content", [
    ("ca_file", "no certificate"), ("client_id_file", "two\nlines\n"), ("client_id_file", "an id\n"),
    ("client_id_file", "x" * 256), ("state_key_file", "short")])
def test_check_config_reads_the_other_files_too(make_daemon, server, key, content):
    d = make_daemon(server)
    with open(d.path("file"), "w", encoding="ascii") as file:
        file.write(content)
    os.chmod(d.path("file"), 0o600)
    if key == "client_id_file":
        d.profiles["default"]["client_id"] = None
    (d.broker if key == "state_key_file" else d.profiles["default"])[key] = d.path("file")
    d.write_config()
    told = check(d)
    assert told.returncode == EX_CONFIG
    assert re.search(rf"^\S+:\d+: {key}: ", told.stdout, re.M), told.stdout


@pytest.mark.parametrize("key, place, wrong", [
    ("socket", "file", False), ("page_socket", "folder", True), ("socket", "dangling link", False),
    ("state_dir", "file", True)])
def test_check_config_finds_what_is_in_the_way(make_daemon, server, key, place, wrong):
    """systemd would remove a file at a socket's path, and the daemon would not."""
    d = make_daemon(server, broker={key: "/"})
    path = d.broker[key] = d.path("place")
    d.write_config()
    {"file": lambda: open(path, "w", encoding="ascii").close(), "folder": lambda: os.mkdir(path),
     "dangling link": lambda: os.symlink("nowhere", path)}[place]()
    told = check(d)
    assert told.returncode == (EX_CONFIG if wrong else 0)
    warning = "" if wrong else "warning: "
    assert re.search(rf"^\S+:\d+: {key}: {warning}{path} is (there and is )?not a ", told.stdout,
                     re.M), told.stdout
    assert ("unless systemd makes the socket, which removes it" in told.stdout) != wrong
    assert (run("-c", d.config_file, "--print-config").returncode != 0) == wrong
    fail_to_start(d)


@pytest.mark.parametrize("key", ["socket", "page_socket", "state_dir"])
def test_check_config_warns_of_a_folder_that_is_not_there(make_daemon, server, key):
    """systemd may be about to make it."""
    d = make_daemon(server, broker={key: "/nowhere/at/all"})
    told = check(d)
    assert told.returncode == 0
    assert re.search(rf"^\S+:\d+: {key}: warning: /nowhere/at/all .*folder", told.stdout, re.M)
    fail_to_start(d)


def test_check_config_warns_of_a_state_directory_elsewhere_that_is_not_there(make_daemon, server):
    d = make_daemon(server, broker={"state_dir": "/"})
    path = d.broker["state_dir"] = d.path("link")
    os.symlink(d.path("elsewhere"), path)
    d.write_config()
    told = check(d)
    assert told.returncode == 0
    assert re.search(rf"^\S+:\d+: state_dir: warning: {path} is a symbolic link to a folder",
                     told.stdout, re.M)
    fail_to_start(d)
    os.mkdir(d.path("elsewhere"), 0o700)
    assert "warning" not in check(d).stdout


def test_check_config_reads_all_certificates(make_daemon, server):
    """The daemon would trust none of a file of which it cannot read one."""
    d = make_daemon(server)
    with open(server.ca_file, encoding="ascii") as file:
        good = file.read()
    d.profiles["default"]["ca_file"] = d.path("ca.pem")
    d.write_config()
    for text, wrong in ((f"about this one\n{good}and this\n{good}", False),
                        (good + good.replace("A", "B", 20), True)):
        with open(d.path("ca.pem"), "w", encoding="ascii") as file:
            file.write(text)
        told = check(d)
        assert told.returncode == (EX_CONFIG if wrong else 0), told.stdout
        assert ("ca_file: " in told.stdout and "holds 1 that" in told.stdout) == wrong
        d.start()
        answer = d.token(wait=0 if wrong else 10)
        assert answer.status in (503, 504) if wrong else answer.status == 200, answer
        d.stop()


def _open_to_others(d: Daemon, what: str) -> None:
    if what == "file":
        os.chmod(d.config_file, 0o666)
    elif what == "file of a group":
        os.chmod(d.config_file, 0o664)
    elif what == "folder":
        os.chmod(d.directory, 0o777)
    elif what == "state":
        os.chmod(d.state_dir, 0o777)
    elif what == "owner":
        os.chown(d.config_file, 54321, 0)
    elif what == "drop-in":
        os.mkdir(d.config_file + ".d")
        with open(d.config_file + ".d/a.conf", "w", encoding="ascii") as file:
            file.write("[profile default]\n")
        os.chmod(d.config_file + ".d", 0o777)
    elif what == "folder above":
        os.makedirs(d.path("up/down"))
        os.chmod(d.path("up"), 0o777)
        d.config_file = shutil.copy(d.config_file, d.path("up/down/gctokend.conf"))


@pytest.mark.skipif(os.geteuid() != 0, reason="files of others take root")
@pytest.mark.parametrize("what", ["file", "file of a group", "folder", "folder above", "state",
                                  "owner", "drop-in"])
def test_a_configuration_that_others_can_change_is_refused(make_daemon, server, what):
    d = make_daemon(server)
    _open_to_others(d, what)
    told = check(d)
    assert told.returncode == EX_CONFIG
    assert re.search("others could change|everybody can change|belongs to uid 54321", told.stdout)
    fail_to_start(d)


def _lies_with_others(d: Daemon, folder: str, name: str, how: str) -> str:
    """Opens `folder`, which holds that file, to others. The path to name it by."""
    path = os.path.join(folder, name)
    if how == "folder":
        os.chmod(folder, 0o777)
    elif how == "folder of a group":
        os.chmod(folder, 0o775)
    elif how == "folder above":
        os.chmod(os.path.dirname(folder), 0o777)
    elif how == "somebody's folder":
        os.chown(folder, 54321, 0)
    elif how == "by way of a link":
        os.mkdir(d.path("links"))
        os.chmod(d.path("links"), 0o777)
        os.symlink(path, d.path("links/link"))
        return d.path("links/link")
    elif how == "file":
        os.chmod(path, 0o666)
    elif how == "somebody's file":
        os.chown(path, 54321, 0)
    return path


OPEN_FOLDERS = ["folder", "folder of a group", "folder above", "somebody's folder", "by way of a link"]


@pytest.mark.skipif(os.geteuid() != 0, reason="files of others take root")
@pytest.mark.parametrize("key, how", [
    *(("ca_file", how) for how in ["file", "somebody's file", *OPEN_FOLDERS]),
    *(("client_secret_file", how) for how in OPEN_FOLDERS),
    ("state_key_file", "folder"), ("proxy_ca_file", "folder"), ("fleet_ca_file", "folder"),
    ("fleet_key_file", "folder")])
def test_a_file_that_others_can_replace_is_refused(make_daemon, server, key, how):
    d = make_daemon(server)
    folder = d.path("up/down")
    os.makedirs(folder)
    if key.endswith("ca_file"):
        shutil.copy(server.ca_file, os.path.join(folder, "file"))
    elif key == "client_secret_file":
        shutil.copy(d.path("default.secret"), os.path.join(folder, "file"))
    else:
        with open(os.path.join(folder, "file"), "w", encoding="ascii") as file:
            file.write("ab" * 32)
    os.chmod(os.path.join(folder, "file"), 0o600)
    section = d.profiles["default"] if key in ("ca_file", "client_secret_file", "proxy_ca_file") else d.broker
    if key == "proxy_ca_file":
        section["proxy"] = "https://proxy.example:3128"
    elif key.startswith("fleet_"):
        section["fleet_store"] = "rediss://127.0.0.1:1"
        if key == "fleet_ca_file":
            with open(d.path("fleet.key"), "w", encoding="ascii") as file:
                file.write("cd" * 32)
            os.chmod(d.path("fleet.key"), 0o600)
            section["fleet_key_file"] = d.path("fleet.key")
    section[key] = os.path.join(folder, "file")
    d.write_config()
    assert check(d).returncode == 0
    section[key] = _lies_with_others(d, folder, "file", how)
    d.write_config()
    told = check(d)
    assert told.returncode == EX_CONFIG
    line, = [line for line in told.stdout.splitlines() if f": {key}: " in line]
    assert re.search("others could change|everybody can change|belongs to uid 54321", line), line
    fail_to_start(d)


@pytest.mark.skipif(os.geteuid() != 0, reason="files of others take root")
def test_where_systems_put_files_that_are_fit(make_daemon, server):
    """A volume of Kubernetes is open and sticky, and its files are reached by links. A home above is
    somebody else's: that is said, and no more."""
    volume = make_daemon(server).path("volume")
    os.makedirs(os.path.join(volume, "..2026"))
    os.chmod(volume, 0o1777)
    shutil.copy(server.ca_file, os.path.join(volume, "..2026", "ca.pem"))
    os.symlink("..2026", os.path.join(volume, "..data"))
    os.symlink("..data/ca.pem", os.path.join(volume, "ca.pem"))
    d = make_daemon(server, profiles={"default": {"ca_file": os.path.join(volume, "ca.pem")}})
    told = check(d)
    assert told.returncode == 0 and "warning" not in told.stdout
    home = d.path("home")
    os.makedirs(os.path.join(home, "ours"))
    os.chown(home, 54321, 54321)
    d.profiles["default"]["client_secret_file"] = shutil.copy(
        d.path("default.secret"), os.path.join(home, "ours", "secret"))
    d.write_config()
    told = check(d)
    assert told.returncode == 0
    assert re.search(rf"client_secret_file: warning: .* lies in {home}, which belongs to uid 54321", told.stdout)
    d.start()
    assert d.token().status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="folders of others take root")
@pytest.mark.parametrize("key", ["socket", "page_socket"])
@pytest.mark.parametrize("mode, owner", [(0o777, 0), (0o1777, 0), (0o775, 0), (0o755, 54321)],
                         ids=["open", "sticky", "a group's", "somebody else's"])
def test_a_folder_of_sockets_that_others_can_change_is_warned_of(make_daemon, server, key, mode, owner):
    """Somebody could hold PATH.lock there, or answer in the daemon's place."""
    folder = make_daemon(server).path("sockets")
    os.mkdir(folder)
    os.chmod(folder, mode)
    os.chown(folder, owner, 0)
    d = make_daemon(server, broker={key: os.path.join(folder, "s.sock")}).start(ready=False)
    told = d.wait_log(f"the socket {folder}/s.sock lies in {folder}, which .*").group()
    assert re.search("others could change|belongs to uid 54321", told)
    assert "can keep the daemon from starting" in told
    wait_until(lambda: os.path.exists(os.path.join(folder, "s.sock")), "the socket")
