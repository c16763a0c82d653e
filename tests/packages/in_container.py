#!/usr/bin/python3
"""Runs in a container that tests/packages/container.py has started: installs, upgrades, removes and
purges the packages of /out, and sees whether that is as it should be. Each step is a case of
tests/packages/test_debian.py, to which /out/steps.json tells how it went."""

import glob
import grp
import http.client
import json
import os
import pwd
import re
import socket
import stat
import subprocess
import sys
import threading
import time
import traceback

SOCKET = "/run/gctokend/gctokend.sock"
SECRET = "s3cr3t-of-the-guide:+/%"
CONFIG = "/etc/gctokend/gctokend.conf.d/default.conf"
CONTROL = "/run/fake.sock"
TEXTFILE = "/var/lib/prometheus/node-exporter/gctokend.prom"
UNITS = ["gctokend.service", "gctokend.socket", "gctokend-page.socket"]
STEPS = []


def step(function):
    STEPS.append(function)
    return function


def run(command: str, stdin: str = "", fails: bool = False, **options) -> str:
    """A shell's command; its output, standard error included."""
    result = subprocess.run(command, shell=True, input=stdin, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, cwd="/out", **options)
    assert (result.returncode != 0) == fails, f"{command}: {result.returncode}\n{result.stdout}"
    return result.stdout


def wait_until(condition, what: str, timeout: float = 60.0):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true in {timeout:g} s"
        time.sleep(0.02)
    return value


class Unix(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: str, target: str) -> tuple[int, bytes]:
    connection = Unix(path)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def token() -> dict:
    status, body = ask(SOCKET, "/v1/token")
    assert status == 200, body
    return json.loads(body)


def posts() -> int:
    return json.loads(ask(CONTROL, "/stats")[1])["posts"]


def is_active(unit: str) -> bool:
    return subprocess.run(["systemctl", "--quiet", "is-active", unit]).returncode == 0


def start_fake() -> None:
    """A login server that this machine finds under the name of a region's, and trusts."""
    with open("/etc/hosts", "a", encoding="utf-8") as file:
        file.write("127.0.0.1 login.usw2.pure.cloud api.usw2.pure.cloud\n")
    client = re.search(r"client_id=(\S+)", commands()[1]).group(1)
    subprocess.Popen(["python3", "/repo/tests/fake_genesys", "--quiet", "--dir", "/run/fake",
                      "--host", "login.usw2.pure.cloud", "--port", "443", "--control", CONTROL,
                      "--client", f"{client}:{SECRET}", "--ready-file", "/run/fake.json"])
    wait_until(lambda: os.path.exists("/run/fake.json"), "the fake login's start")
    with open("/run/fake/ca.pem", encoding="utf-8") as ca, \
            open("/etc/ssl/certs/ca-certificates.crt", "a", encoding="utf-8") as bundle:
        bundle.write(ca.read())


def commands(name: str = "three commands") -> list[str]:
    """Those of docs/operations.md that go by that name."""
    with open("/repo/docs/operations.md", encoding="utf-8") as file:
        block = re.search(rf"^```sh {name}\n(.*?)^```$", file.read(), re.M | re.S).group(1)
    return block.splitlines()


def ask_fake(target: str, **members) -> None:
    connection = Unix(CONTROL)
    connection.request("POST", target, json.dumps(members))
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()


@step
def three_commands_to_a_token():
    """As they stand in the guide: the second is given the secret and tells of the token, which the third
    does not print."""
    install, configure, show = commands()
    run(install)
    assert "Profile default works" in run(configure, stdin=SECRET + "\n")
    shown = run(show)
    assert re.search(r"^default +fresh ", shown, re.M), shown
    assert token()["access_token"] not in shown
    assert run("gctoken get").strip() == token()["access_token"]
    assert posts() == 1


@step
def programs_in_python_get_it_too():
    run("dpkg -i ./python3-gctoken_*.deb")
    program = "import gctoken, gctoken.genesys; print(gctoken.Broker().token().fingerprint)"
    assert run(f"/usr/bin/python3 -c '{program}'").strip() == token()["fingerprint"]
    assert os.path.isdir("/usr/lib/python3/dist-packages/gctoken/__pycache__")


@step
def units_are_enabled_and_run():
    for unit in UNITS:
        assert is_active(unit), unit
        run(f"systemctl is-enabled {unit}")
        for question in ("was-enabled", "debian-installed"):
            run(f"deb-systemd-helper --quiet {question} {unit}",
                env={**os.environ, "DPKG_MAINTSCRIPT_PACKAGE": "gctokend"})
    owner = run("ps -o user= -C gctokend 2>/dev/null || "
                "stat -c %U /proc/$(systemctl show -P MainPID gctokend)").strip()
    assert owner == "gctokend"


@step
def nothing_is_open_to_others():
    """The configuration and the secret are root's, readable for the daemon, closed to the rest."""
    group = grp.getgrnam("gctokend").gr_gid
    for path, mode in [("/etc/gctokend", 0o2750), ("/etc/gctokend/gctokend.conf.d", 0o2750),
                       ("/etc/gctokend/gctokend.conf", 0o640), (CONFIG, 0o640),
                       ("/etc/gctokend/default.secret", 0o640)]:
        found = os.stat(path)
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, group, mode), path
    state = os.stat("/var/lib/gctokend")
    assert (state.st_uid, stat.S_IMODE(state.st_mode)) == (pwd.getpwnam("gctokend").pw_uid, 0o700)
    sockets = os.stat(SOCKET)
    assert sockets.st_gid == grp.getgrnam("gctoken").gr_gid
    assert stat.S_IMODE(sockets.st_mode) == 0o660


@step
def who_has_the_token():
    """A stranger cannot connect, a member of gctoken is denied, one named in a rule is served."""
    run("useradd stranger; useradd -G gctoken clerk")

    def get_as(user: str) -> int:
        entry = pwd.getpwnam(user)
        return subprocess.run(["gctoken", "get"], user=user, group=entry.pw_gid,
                              extra_groups=os.getgrouplist(user, entry.pw_gid),
                              stdout=subprocess.DEVNULL).returncode

    assert (get_as("stranger"), get_as("clerk")) == (77, 77)
    with open(CONFIG, "a", encoding="utf-8") as file:
        file.write("allow_users = clerk\n")
    run("systemctl reload gctokend")
    wait_until(lambda: get_as("clerk") == 0, "the rule")
    assert get_as("stranger") == 77
    assert posts() == 1


@step
def the_doctor_names_who_cannot_connect():
    """A member of a group that a rule names, and not of the socket's."""
    run("groupadd team; useradd -G team outsider")
    text = open(CONFIG, encoding="utf-8").read()
    with open(CONFIG, "a", encoding="utf-8") as file:
        file.write("allow_groups = team\n")
    said = " ".join(run("gctoken doctor", fails=True).split())
    assert "profile default is for outsider, who may not connect" in said, said
    assert "usermod -aG gctoken USER" in said and "1 problem" in said
    with open(CONFIG, "w", encoding="utf-8") as file:
        file.write(text)
    run("gctoken doctor")


@step
def a_mistake_is_taken_back():
    """gctokend-add-profile leaves nothing behind of what the daemon does not accept, and changes no
    profile that is there."""
    said = run("gctokend-add-profile wrong region=atlantis client_id=x", "secret\n", fails=True)
    assert "wrong.conf:2: region" in said
    assert not glob.glob("/etc/gctokend/**/wrong*", recursive=True)
    run("gctokend-add-profile default region=us-east-1 client_id=x", "secret\n", fails=True)
    assert "us-west-2" in open(CONFIG, encoding="utf-8").read()
    assert token()["profile"] == "default"


@step
def a_mistake_fails_the_reload():
    with open(CONFIG, "a", encoding="utf-8") as file:
        file.write("colour = blue\n")
    run("systemctl reload gctokend", fails=True)
    text = open(CONFIG, encoding="utf-8").read()
    with open(CONFIG, "w", encoding="utf-8") as file:
        file.write(text.replace("colour = blue\n", ""))
    run("systemctl reload gctokend")
    assert token()["state"] == "fresh"


@step
def a_new_secret_makes_no_gap():
    """As the guide has it: the old token is served until the new one is there."""
    put, *others = commands("new secret")
    old = token()
    ask_fake("/client", id=re.search(r"client_id=(\S+)", commands()[1]).group(1),
             secret="an0ther:+/%")
    run(put, stdin="an0ther:+/%\n")
    assert token() | {"expires_in": 0, "refresh_in": 0} == old | {"expires_in": 0, "refresh_in": 0}
    for command in others:
        run(command)
    # A moment later: till the servers' clocks cannot make it a token of the future.
    wait_until(lambda: token()["generation"] > old["generation"], "the new token")
    assert token()["state"] == "fresh"
    assert posts() == 2
    nothing_is_open_to_others()


class Asking:
    """Programs that ask all the time, each on a new connection. What the daemon has accepted and not
    read a request from is closed when it stops: such a client asks once more, as gctoken does."""

    def __init__(self):
        self.answers, self.failures = set(), []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    @staticmethod
    def _token() -> dict:
        try:
            return token()
        except (ConnectionError, http.client.RemoteDisconnected):
            return token()

    def _ask(self):
        while not self._stop.is_set():
            try:
                now = self._token()
                self.answers.add((now["access_token"], now["generation"]))
            except (OSError, AssertionError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
            time.sleep(0.002)

    def __enter__(self):
        self._thread.start()
        wait_until(lambda: self.answers or self.failures, "an answer")
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


@step
def a_profile_comes_and_goes():
    client = re.search(r"client_id=(\S+)", commands()[1]).group(1)
    before = sorted(glob.glob("/etc/gctokend/**", recursive=True))
    for _ in range(2):
        said = run(f"gctokend-add-profile second region=us-west-2 client_id={client}", "an0ther:+/%\n")
        assert "Profile second works" in said and "note: " in said
        said = run("gctokend-remove-profile second")
        assert "Profile second is gone" in said
        assert sorted(glob.glob("/etc/gctokend/**", recursive=True)) == before
        assert ask(SOCKET, "/v1/token?profile=second")[0] in (403, 404)
    assert token()["state"] == "fresh"


@step
def an_upgrade_is_not_noticed():
    """Another version is installed while programs ask; so is the way back. All get an answer, and
    the same token, for which the login server was asked once."""
    before = run("systemctl show -P MainPID gctokend").strip()
    asked = posts()
    with Asking() as asking:
        run("dpkg -i ./later/*.deb")
        wait_until(lambda: run("systemctl show -P MainPID gctokend").strip() not in ("0", before),
                   "the new daemon")
        token()
        assert "+later" in run("dpkg-query -W gctokend")
        assert run("gctokend --version").split()[1] + "+later" in run("dpkg-query -W gctokend")
        run("dpkg -i ./gctokend_*.deb")
        token()
    assert not asking.failures, asking.failures[:3]
    assert len(asking.answers) == 1 and posts() == asked
    for unit in UNITS:
        assert is_active(unit), unit
    assert os.stat("/etc/gctokend").st_mode & 0o7777 == 0o2750


@step
def an_upgrade_with_a_mistake_in_the_configuration_leaves_the_daemon_alone():
    before, running = token(), run("systemctl show -P MainPID gctokend").strip()
    with open(CONFIG, "a", encoding="utf-8") as file:
        file.write("colour = blue\n")
    said = run("dpkg -i ./later/*.deb")
    assert "default.conf:" in said and "colour" in said and "NOT restarted" in said
    assert run("systemctl show -P MainPID gctokend").strip() == running
    assert token()["generation"] == before["generation"]
    text = open(CONFIG, encoding="utf-8").read()
    with open(CONFIG, "w", encoding="utf-8") as file:
        file.write(text.replace("colour = blue\n", ""))
    run("systemctl restart gctokend")
    run("dpkg -i ./gctokend_*.deb")
    assert run("systemctl show -P MainPID gctokend").strip() not in ("0", running)
    assert token()["generation"] == before["generation"]


@step
def a_file_made_by_hand_under_a_strict_umask_is_read():
    made = "/etc/gctokend/gctokend.conf.d/zz.conf"
    run(f"umask 027; echo '; nothing' >{made}")
    run("systemctl reload gctokend")
    found = os.stat(made)
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o640, grp.getgrnam("gctokend").gr_gid)
    os.unlink(made)
    run("systemctl reload gctokend")


@step
def the_metrics_arrive_at_node_exporter():
    """As the guide has it. Where its package could not be fetched, its folder stands for it."""
    exporter = glob.glob("/out/exporter/*.deb")
    install, *others = commands("monitoring")
    assert "prometheus-node-exporter" in install
    run("dpkg -i ./exporter/*.deb" if exporter else f"mkdir -p {os.path.dirname(TEXTFILE)}")
    for command in others:
        run(command)

    def scrape() -> str:
        if not exporter:
            return open(TEXTFILE, encoding="utf-8").read() if os.path.exists(TEXTFILE) else ""
        connection = http.client.HTTPConnection("127.0.0.1", 9100, timeout=60)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except ConnectionError:
            return ""
        finally:
            connection.close()

    wait_until(lambda: "gctokend_uptime_seconds " in scrape(), "the broker's own figures")
    text = scrape()
    assert 'gctokend_token_valid{profile="default"} 1' in text
    assert "gctokend_config_reload_failed 0" in text
    if exporter:
        assert f'node_textfile_mtime_seconds{{file="{TEXTFILE}"}}' in text
        assert "node_textfile_scrape_error 0" in text
    first = os.stat(TEXTFILE).st_mtime
    wait_until(lambda: os.stat(TEXTFILE).st_mtime > first, "the timer's next turn")
    assert run("systemctl --failed --no-legend") == ""


@step
def removing_keeps_what_people_and_daemon_wrote():
    kept = sorted(glob.glob("/etc/gctokend/**", recursive=True))
    state = sorted(glob.glob("/var/lib/gctokend/*"))
    assert len(kept) >= 4 and state
    run("dpkg -r gctokend")
    assert not os.path.exists("/usr/sbin/gctokend") and not os.path.exists(SOCKET)
    for unit in [*UNITS, "gctoken-metrics.timer"]:
        assert not is_active(unit), unit
    assert sorted(glob.glob("/etc/gctokend/**", recursive=True)) == kept
    assert sorted(glob.glob("/var/lib/gctokend/*")) == state
    assert run("systemctl --failed --no-legend") == ""


@step
def it_comes_back_by_installing_it_again():
    run("dpkg -i ./gctokend_*.deb")
    assert re.fullmatch(r"\S{40,}\n", run("gctoken get"))


@step
def purging_keeps_what_people_wrote_and_says_so():
    said = run("dpkg -P gctokend")
    assert "/etc/gctokend is kept" in said and "tokens until they expire" in said
    with open("/etc/gctokend/default.secret", encoding="utf-8") as file:
        assert file.read() == "an0ther:+/%\n"
    assert os.path.exists(CONFIG) and not os.path.exists("/var/lib/gctokend")
    left = glob.glob("/etc/systemd/system/**/gctoken*", recursive=True)
    left += glob.glob("/var/lib/systemd/deb-systemd-helper-*/**/gctoken*", recursive=True)
    assert not left
    assert pwd.getpwnam("gctokend") and grp.getgrnam("gctoken")


@step
def without_a_configuration_nothing_runs_and_nothing_fails():
    run("rm -r /etc/gctokend")
    run("dpkg -i ./gctokend_*.deb")
    for unit in UNITS:
        assert not is_active(unit), unit
        run(f"systemctl is-enabled {unit}")
    assert run("systemctl --failed --no-legend") == ""
    assert not os.path.exists(SOCKET)
    assert "/etc/gctokend/gctokend.conf" in run("systemctl status gctokend.socket", fails=True)
    assert sorted(os.listdir("/etc/gctokend")) == ["gctokend.conf.d"]


@step
def purging_what_nobody_used_leaves_nothing():
    said = run("dpkg -P gctokend gctoken libgctoken0 python3-gctoken")
    assert "is kept" not in said
    assert not os.path.exists("/usr/lib/python3/dist-packages/gctoken")
    assert not os.path.exists("/etc/gctokend")
    assert "gctoken" not in run("dpkg-query -W")


def main() -> None:
    results = []
    os.environ.update(DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8",
                      PATH="/usr/sbin:/usr/bin:/sbin:/bin")
    start_fake()
    for function in STEPS:
        begun = time.monotonic()
        text = None
        try:
            function()
        except Exception:
            text = traceback.format_exc()
            text += run("journalctl --no-pager -n 40 -u gctokend -u gctokend.socket")
        results.append({"name": function.__name__, "text": text,
                        "seconds": round(time.monotonic() - begun, 1)})
    with open("/out/steps.json", "w", encoding="utf-8") as file:
        json.dump(results, file)


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(function.__name__ for function in STEPS))
    else:
        main()
