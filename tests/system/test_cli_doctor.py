"""gctoken doctor: each thing that can be wrong is found, named, and told what to do about."""

import grp
import json
import os
import re
import shutil
import socket
import subprocess

import pytest

from daemon import GCTOKEN, GCTOKEND, Daemon, environment
from fake_calls import ID, SECRET
from logging_in import login_profile
from scripted_daemon import folder, on_terminal, run  # noqa: F401
from users import account, become, needs_root

pytestmark = pytest.mark.usefixtures("gctoken")  # which fails where it is not built


@pytest.fixture(scope="module")
def well(shared_fake):
    shared_fake.reset()
    one = Daemon(shared_fake, profile={"allow_users": "root, nobody"},
                 broker={"socket_mode": "0666"}).start()
    yield one
    one.close()


def doctor(d, *arguments, **env):
    result = d.gctoken("doctor", "--json", "--config", d.config_file, *arguments, **env)
    assert result.stderr == ""
    told = json.loads(result.stdout)
    assert result.returncode == (1 if told["problems"] else 0)
    for kind, member in (("problem", "problems"), ("unknown", "unknown")):
        assert sum(one["result"] == kind for one in told["checks"]) == told[member]
    d.assert_no_leak(result.stdout, "what the doctor says")
    return told["checks"]


def of(checks, area, result=None):
    return [one for one in checks if one["area"] == area
            and (result is None or one["result"] == result)]


def problems(checks):
    return [(one["area"], one["words"]) for one in checks if one["result"] == "problem"]


def the_problem(checks, area, words, todo):
    """The only one of that area. Debian gives localhost a second address; nobody listens there."""
    [found] = [one for one in of(checks, area, "problem")
               if ", address ::1: " not in one["words"]]
    assert words in found["words"], found
    assert todo in found["todo"], found


def test_all_is_well(well):
    checks = doctor(well)
    assert problems(checks) == []
    assert [one["area"] for one in checks] == sorted(
        [one["area"] for one in checks], key=["Configuration", "Credentials", "State", "Sockets",
                                              "Daemon", "Tokens", "DNS", "TLS", "Clock"].index)
    words = " ".join(one["words"] for one in checks)
    for expected in ("1 profile, nothing wrong", "(client_credentials): for users root, nobody",
                     "default.secret (root:root, mode 0600)", "MB are free",
                     "every user of this machine may",
                     "it answers, version", "profile default: fresh", "localhost is ",
                     "is trusted, certificate good for", "agrees with that of localhost"):
        assert expected in words
    assert "127.0.0.1" in of(checks, "DNS")[0]["words"]


def test_the_socket_by_another_name(well):
    """A relative path, for instance, is no other daemon's."""
    checks = doctor(well, "--socket", os.path.relpath(well.socket))
    assert not of(checks, "Sockets", "problem") + of(checks, "Sockets", "unknown")


def test_for_people(well):
    result = well.gctoken("doctor", "--config", well.config_file)
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    lines = result.stdout.split("\n")
    assert lines[0] == "Configuration" and re.match("  ok +", lines[1])
    assert "No problem found" in lines[-2]


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_it_fits_the_terminal(well, columns):
    _, output, _ = on_terminal(well.directory, columns, "--socket", well.socket, "doctor",
                               "--config", well.config_file)
    assert "\x1b[32mok" in output
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    long = [line for line in plain.split("\n") if len(line) > columns]
    # What cannot be broken is as long as it is: a path.
    assert all(re.fullmatch(r" *(ok +)?\S+", line) for line in long), long


def test_it_sends_no_credentials_and_changes_nothing(well, shared_fake):
    before = len(shared_fake.log())
    doctor(well)
    made = shared_fake.log()[before:]
    assert {(one["kind"], one["method"]) for one in made} <= {("head", "HEAD")}
    assert made and all("Authorization" not in one["headers"] for one in made)


# Configuration and credentials

def test_no_configuration(well):
    checks = doctor(well, "--config", "/nowhere/gctokend.conf")
    the_problem(checks, "Configuration", "/nowhere/gctokend.conf: No such file", "--config FILE")
    assert of(checks, "Credentials", "unknown")


def test_nothing_is_set_up_yet(folder):
    """One finding with what to do, and not each thing that is missing for its sake."""
    done = run(folder, "--socket", "/nowhere/gctokend.sock", "doctor", "--json", "--config",
               "/nowhere/gctokend.conf")
    told = json.loads(done.stdout)
    assert done.returncode == 1 and len(told["checks"]) == 1
    the_problem(told["checks"], "Configuration", "not set up here yet", "gctokend-add-profile")


def test_a_wrong_configuration_is_told_line_by_line(make_daemon, server):
    d = make_daemon(server)
    d.write_config(d.config_text() + "nonsense = 1\nuse_margin = soon\n")
    result = d.gctoken("doctor", "--config", d.config_file)
    assert result.returncode == 1
    for words in ("nonsense", "use_margin", "systemctl reload gctokend"):
        assert words in result.stdout
    assert len(re.findall(r"gctokend\.conf:\d+:", result.stdout)) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's verdict on it is final")
def test_a_secret_that_others_may_read(make_daemon, server):
    d = make_daemon(server)
    os.chmod(d.path("default.secret"), 0o644)
    the_problem(doctor(d), "Configuration", "default.secret", "Correct it")


def test_a_secret_that_the_login_server_refuses(daemon, server):
    d = daemon(server, profile={"secret": "wrong-" + SECRET})
    d.token(wait=5)
    the_problem(doctor(d), "Tokens", "client_rejected", "region, if the client is of another one")
    assert "authentication failed" in of(doctor(d), "Tokens")[0]["words"]


# The state directory

@needs_root
@pytest.mark.parametrize("mounting, words, todo", [
    ("mount -t tmpfs -o size=512k none", "is full", "Make room"),
    ("mount -t tmpfs -o size=8m,nr_inodes=8 none", "is full", "Make room"),
    ("mount -t tmpfs -o size=8m,ro none", "read-only", "Mount it"),
])
def test_a_disk_that_takes_nothing(well, mounting, words, todo):
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{mounting} "$0"; exec "$@"', well.state_dir, GCTOKEN,
         "doctor", "--json", "--config", well.config_file], capture_output=True, text=True,
        env=environment(GCTOKEN_SOCKET=well.socket), timeout=60)
    the_problem(json.loads(done.stdout)["checks"], "State", words, todo)


# Sockets and the daemon

def test_no_daemon(make_daemon, server):
    checks = doctor(make_daemon(server))
    assert "No such file" in of(checks, "Sockets", "problem")[0]["words"]
    the_problem(checks, "Daemon", "nobody answers", "systemctl status")
    assert of(checks, "TLS", "ok"), "the rest is looked at all the same"


def test_what_is_no_socket(make_daemon, server):
    d = make_daemon(server)
    open(d.socket, "w").close()
    assert "is not a socket" in of(doctor(d), "Sockets", "problem")[0]["words"]


def test_another_daemons_configuration(well, make_daemon, server):
    other = make_daemon(server)
    result = well.gctoken("doctor", "--json", "--config", other.config_file)
    [found] = [one for one in of(json.loads(result.stdout)["checks"], "Sockets", "unknown")]
    assert other.socket in found["words"]


def test_a_refused_reload(daemon, server):
    d = daemon(server)
    d.token()
    d.write_config(d.config_text() + "nonsense = 1\n")
    since = len(d.stderr_text())
    d.reload()
    d.wait_log("nonsense", since=since)
    the_problem(doctor(d), "Daemon", "nonsense", "systemctl reload")


def test_states_that_need_somebody(daemon, server):
    d = daemon(server)
    d.token()
    d.post("/v1/revoke?profile=default")
    the_problem(doctor(d), "Tokens", "revoked",
                "gctoken --profile default refresh")


# The network

def test_a_name_nobody_knows(make_daemon, server):
    d = make_daemon(server, profile={"token_url": "https://nowhere.invalid/oauth/token"})
    checks = doctor(d)
    the_problem(checks, "DNS", "nowhere.invalid", "name server")
    assert not [one for one in of(checks, "TLS") if "nowhere" in one["words"]]


@needs_root
def test_an_address_that_swallows_what_is_sent_to_it(make_daemon, server):
    """The daemon goes on to the next one; somebody should know of it all the same."""
    dead = socket.create_server(("127.0.0.2", server.port), backlog=0)
    held = [socket.socket() for _ in range(4)]  # a full queue drops what else comes
    for one in held:
        one.setblocking(False)
        one.connect_ex(("127.0.0.2", server.port))
    d = make_daemon(server, profile={"fetch_timeout": "2s", "clock_probe": False})
    with open(d.path("hosts"), "w", encoding="ascii") as file:
        file.write("127.0.0.2 localhost\n127.0.0.1 localhost\n")
    namespace = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"',
                 d.path("hosts")]
    d.wrap = namespace + d.wrap
    d.start()
    assert d.token(wait=10).status == 200
    assert server.posts == 1
    told = subprocess.run([*namespace, GCTOKEN, "doctor", "--json", "--config", d.config_file],
                          env=environment(GCTOKEN_SOCKET=d.socket), capture_output=True, text=True)
    checks = json.loads(told.stdout)["checks"]
    the_problem(checks, "TLS", f"localhost:{server.port}, address 127.0.0.2: ", "firewall")
    assert "answers and is trusted" in of(checks, "TLS", "ok")[0]["words"]
    for one in [dead, *held]:
        one.close()


def test_nobody_at_that_port(make_daemon, server):
    d = make_daemon(server)
    server.listen(False)
    the_problem(doctor(d), "TLS", f"localhost:{server.port}", "firewall")


@pytest.mark.parametrize("certificate", ["expired", "wrong-host", "self-signed", "unknown-ca"])
def test_a_certificate_that_is_not_trusted(make_daemon, server, certificate):
    d = make_daemon(server)
    server.tls(certificate)
    the_problem(doctor(d), "TLS", f"localhost:{server.port}", "ca_file")
    assert not [one for one in of(doctor(d), "Clock") if "localhost" in one["words"]]


def test_a_proxy_is_what_is_asked(make_daemon, server):
    """And the names are its business. Nobody is at that one."""
    d = make_daemon(server, profile={"proxy": "http://127.0.0.1:1"})
    checks = doctor(d)
    assert not of(checks, "DNS")
    assert of(checks, "TLS", "problem")


@pytest.mark.parametrize("offset, words", [(3600, r"behind by (1h00m|59m[345]\ds)"),
                                           (-90, r"ahead by (8[0-9]|90)")])
def test_a_clock_that_is_wrong(make_daemon, server, offset, words):
    d = make_daemon(server)
    server.set(clock_offset=offset)
    [found] = of(doctor(d), "Clock", "problem")
    # The Date is cut to a second, and the answer has been under way.
    assert re.search(words, found["words"]), found
    assert "timedatectl" in found["todo"]


def test_words_of_others_cannot_steer_the_terminal(daemon, server):
    server.fault("token", "answer", status=400, times=-1,
                 body='{"error":"invalid_client","error_description":"\\u001b[2J\\u202egone"}')
    d = daemon(server)
    d.token(wait=5)
    result = d.gctoken("doctor", "--config", d.config_file)
    assert result.returncode == 1 and "gone" in result.stdout
    assert "\x1b" not in result.stdout and result.stdout.isascii()


# Who is nobody in particular

@needs_root
def test_unprivileged_it_says_what_it_could_not_look_at(well):
    """The configuration is closed to that user; the daemon and the API are not."""
    copies = os.path.join(well.directory, "bin")
    os.mkdir(copies, 0o755)
    for name in (GCTOKEN, os.path.join(os.path.dirname(GCTOKEN), "gctoken-net")):
        shutil.copy(name, copies)
    shutil.copy(well.fake.ca_file, well.path("ca.pem"))
    os.chmod(well.path("ca.pem"), 0o644)
    os.chmod(well.config_file, 0o600)
    result = subprocess.run(
        [*become(account("nobody")), f"{copies}/gctoken", "doctor", "--json", "--config",
         well.config_file], capture_output=True, text=True, cwd="/", timeout=60,
        env=environment(GCTOKEN_SOCKET=well.socket, GCTOKEN_CA_FILE=well.path("ca.pem")))
    told = json.loads(result.stdout)
    assert (result.returncode, told["problems"]) == (0, 0), told
    checks = told["checks"]
    assert of(checks, "Configuration", "unknown")[0]["todo"].startswith("Run it as root")
    assert of(checks, "Credentials", "unknown") and of(checks, "DNS", "unknown")
    assert "fresh" in of(checks, "Tokens", "ok")[0]["words"]
    assert of(checks, "TLS", "ok"), "the API's address came with the token"


@needs_root
def test_a_user_outside_the_group_is_told_how_to_get_in(daemon, server):
    d = daemon(server, broker={"socket_mode": "0660"})
    copies = os.path.join(d.directory, "bin")
    os.mkdir(copies, 0o755)
    for name in (GCTOKEN, os.path.join(os.path.dirname(GCTOKEN), "gctoken-net")):
        shutil.copy(name, copies)
    result = subprocess.run(
        [*become(account("nobody")), f"{copies}/gctoken", "doctor", "--json"], text=True, cwd="/",
        capture_output=True, timeout=60, env=environment(GCTOKEN_SOCKET=d.socket))
    checks = json.loads(result.stdout)["checks"]
    [found] = of(checks, "Sockets", "problem")
    assert "this user may not connect" in found["words"] and "usermod -aG" in found["todo"]
    assert of(checks, "Daemon", "unknown")


@needs_root
def test_who_may_have_a_token_and_cannot_connect(make_daemon, server):
    """Root and numbers that no user has may well be there."""
    d = make_daemon(server, broker={"socket_mode": "0660", "socket_group": "root"},
                    profile={"allow_users": "root, nobody, daemon, 4000000"})
    d.start()
    the_problem(doctor(d), "Sockets", "profile default is for nobody, daemon, who may not connect",
                "usermod -aG root")


@needs_root
def test_who_may_log_in_and_cannot_connect(make_daemon, server):
    group = grp.getgrgid(account("daemon").gid).gr_name
    d = make_daemon(server, broker={"socket_mode": "0660", "socket_group": group},
                    profile=login_profile(server, login_users="root, nobody, daemon"))
    d.start(ready=False)
    the_problem(doctor(d), "Sockets",
                "profile default may be logged in by nobody, who may not connect",
                f"usermod -aG {group}")


# The configuration as the daemon tells it

def test_root_as_a_user_like_others(make_daemon, server):
    d = make_daemon(server)
    assert "for root and the daemon's user only" in d.gctoken(
        "doctor", "--config", d.config_file).stdout
    d.broker["root_needs_rule"] = "yes"
    d.write_config()
    assert "for the daemon's user only" in d.gctoken("doctor", "--config", d.config_file).stdout


def test_print_config_is_json_without_secrets(make_daemon, server):
    d = make_daemon(server, profiles={"default": {"allow_groups": "root", "allow_units": "a.service",
                                                  "allow_users": "*"},
                                      "other": {"client_id": ID}})
    printed = subprocess.run([GCTOKEND, "-c", d.config_file, "--print-config"], text=True,
                             capture_output=True, env=environment(), timeout=30)
    assert (printed.returncode, printed.stderr) == (0, "")
    d.assert_no_leak(printed.stdout, "what it prints")
    told = json.loads(printed.stdout)
    assert told["broker"]["socket"] == d.socket
    assert [one["profile"] for one in told["profiles"]] == ["default", "other"]
    assert told["profiles"][0]["everybody"] and told["profiles"][0]["allow_groups"] == ["root"]
    d.write_config("[broker]\nnonsense = 1\n")
    wrong = subprocess.run([GCTOKEND, "-c", d.config_file, "--print-config"], text=True,
                           capture_output=True, env=environment(), timeout=30)
    assert (wrong.returncode, wrong.stdout) == (78, "")


@pytest.mark.parametrize("arguments", [["word"], ["--nosuch"], ["--config"]])
def test_usage(folder, arguments):
    result = run(folder, "doctor", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
