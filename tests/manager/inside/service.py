"""gctokend as an administrator has it: a service of systemd, with its files in their places."""

import contextlib
import grp
import os
import shutil
import subprocess

from fake import Fake
from handover_copy import Copy
from open_files import open_files
from unix_http import Answer, UnixConnection, ask
from waiting import PATIENCE, wait_until

ETC = "/etc/gctokend"
STATE = "/var/lib/gctokend"
SOCKET = "/run/gctokend/gctokend.sock"
DROP_INS = "/run/systemd/system/gctokend.service.d"
UNIT = "gctokend.service"


def systemctl(*arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    done = subprocess.run(["systemctl", *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=120)
    assert not check or done.returncode == 0, f"systemctl {arguments}: {done.stdout}"
    return done


def journal(since: str = "") -> str:
    # What was logged before has to be in it: journald takes lines in when it gets to them.
    subprocess.run(["journalctl", "--sync"], check=True)
    return subprocess.run(
        ["journalctl", "-q", "-o", "cat", "--no-pager", "-u", UNIT]
        + ([f"--after-cursor={since}"] if since else []),
        stdout=subprocess.PIPE, text=True, check=True, errors="replace").stdout


def journal_end() -> str:
    """A cursor: what is logged from now on comes after it."""
    subprocess.run(["journalctl", "--sync"], check=True)
    text = subprocess.run(["journalctl", "-q", "-n", "1", "--show-cursor", "--no-pager"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    return text.rsplit("-- cursor: ", 1)[1].strip()


class Service:
    def __init__(self, fake: Fake):
        self.fake = fake
        self.socket = SOCKET
        self.client = fake.clients[0]

    # Files.

    def clean(self) -> None:
        """As just installed: nothing runs, nothing is kept."""
        systemctl("stop", UNIT, "gctokend.socket", "gctokend-page.socket")
        systemctl("reset-failed", check=False)
        shutil.rmtree(STATE, ignore_errors=True)
        shutil.rmtree(DROP_INS, ignore_errors=True)
        for name in os.listdir(ETC):
            path = os.path.join(ETC, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        systemctl("daemon-reload")
        shutil.copyfile(self.fake.ca_file, f"{ETC}/ca.pem")
        os.chmod(f"{ETC}/ca.pem", 0o644)

    def set_secret(self, secret: str, name: str = "default") -> None:
        path = f"{ETC}/{name}.secret"
        with open(os.open(path + ".new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o640), "w",
                  encoding="utf-8") as file:
            file.write(secret + "\n")
        os.chown(path + ".new", 0, grp.getgrnam("gctokend").gr_gid)
        os.replace(path + ".new", path)

    def configure(self, broker: str = "", **profiles: str) -> None:
        """`profiles`: more lines of that profile, one by default."""
        text = f"[broker]\n{broker}\n"
        for name, more in (profiles or {"default": ""}).items():
            text += (f"[profile {name}]\ntoken_url = {self.fake.token_url}\n"
                     f"api_url = {self.fake.api_url}\nca_file = {ETC}/ca.pem\n")
            if "client_id" not in more:
                text += f"client_id = {self.client['id']}\n"
            if "client_secret" not in more:
                text += f"client_secret_file = {ETC}/default.secret\n"
            text += more + "\n"
        with open(f"{ETC}/gctokend.conf", "w", encoding="utf-8") as file:
            file.write(text)

    def drop_in(self, text: str, name: str = "test") -> None:
        os.makedirs(DROP_INS, exist_ok=True)
        with open(f"{DROP_INS}/{name}.conf", "w", encoding="utf-8") as file:
            file.write(text)
        systemctl("daemon-reload")

    def install(self, drop_in: str = "", broker: str = "", **profiles: str) -> "Service":
        self.clean()
        self.set_secret(self.client["secret"])
        self.configure(broker, **profiles)
        if drop_in:
            self.drop_in(drop_in)
        systemctl("start", "gctokend.socket", "gctokend-page.socket")
        return self

    # The unit.

    def show(self, name: str) -> str:
        return systemctl("show", "-p", name, "--value", UNIT).stdout.strip()

    @property
    def pid(self) -> int:
        return int(self.show("MainPID"))

    @property
    def status(self) -> str:
        return self.show("StatusText")

    def start(self) -> None:
        systemctl("start", UNIT)

    def restart(self) -> None:
        systemctl("restart", UNIT)

    def signal(self, name: str) -> None:
        systemctl("kill", "--kill-who=main", f"--signal={name}", UNIT)

    def wait_running(self, other_than: int = 0) -> int:
        def pid():
            return self.show("ActiveState") == "active" and (found := self.pid) != other_than \
                and found
        return wait_until(pid, "the service runs", 30)

    def kept(self) -> list[str]:
        """The tokens' memory, as the daemon has it: paths to open."""
        return [path for path, what in open_files(self.pid).items() if "gctokend-handover" in what]

    @contextlib.contextmanager
    def copy(self):
        (path,) = self.kept()
        fd = os.open(path, os.O_RDWR)
        try:
            yield Copy(fd)
        finally:
            os.close(fd)

    # Its clients.

    def ask(self, method: str, target: str, timeout: float = 30.0) -> Answer:
        return ask(self.socket, method, target, timeout=timeout * PATIENCE)

    def connect(self) -> UnixConnection:
        return UnixConnection(self.socket, 30.0 * PATIENCE)

    def token(self, profile: str = "default", wait: int = 30) -> dict:
        answer = self.ask("GET", f"/v1/token?profile={profile}&wait={wait}")
        assert answer.status == 200, answer
        return answer.json

    def assert_no_leak(self) -> None:
        text = journal() + self.status
        leaked = sum(secret in text for secret in self.fake.known_secrets())
        assert leaked == 0, f"{leaked} secrets or tokens are in the journal"
