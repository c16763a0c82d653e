"""The proxies of conf/proxy before a daemon and the fake's API, with the recipes as they are written
there, but for addresses."""

import glob
import os
import shutil
import socket
import subprocess

import pytest

from daemon import environment
from fake import REPOSITORY
from waiting import wait_until

RECIPES = os.path.join(REPOSITORY, "conf", "proxy")
TOOLS = os.path.join(REPOSITORY, "build", "tools", "usr")  # where ./dev unpacks them
BROKER = "/run/gctokend/gctokend.sock"
HOST = "api.usw2.pure.cloud"


class Proxy:
    program = ""

    def __init__(self, daemon, folder=""):
        """`folder`: what that is called in the daemon's; a socket's path has to be short."""
        self.daemon, self.folder = daemon, daemon.path(folder or self.program)
        path = shutil.which(self.program, path=":".join(
            [os.environ["PATH"], os.path.join(TOOLS, "bin"), os.path.join(TOOLS, "sbin")]))
        if not path:
            pytest.skip(f"{self.program} is neither installed nor in build/tools")
        os.makedirs(self.folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._log = open(self.path("log"), "w+b")
        self._process = subprocess.Popen(
            [path, *self.prepare()], stdout=self._log, stderr=self._log, env=environment(
                SSL_CERT_FILE=daemon.fake.ca_file, HOME=self.folder,
                LD_LIBRARY_PATH=":".join(glob.glob(os.path.join(TOOLS, "lib", "*")))))
        wait_until(self._listens, f"{self.program} listens")

    def prepare(self) -> list[str]:
        """Writes its files; its arguments."""
        raise NotImplementedError

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def write(self, name: str, text: str) -> str:
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def recipe(self, name: str, changes: dict[str, str]) -> str:
        with open(os.path.join(RECIPES, name), encoding="utf-8") as file:
            text = file.read()
        for old, new in changes.items():
            assert old in text, f"{name} has no {old}"
            text = text.replace(old, new)
        return self.edit(name, text)

    def edit(self, name: str, text: str) -> str:
        """For those who change more than addresses."""
        return text

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"{self.program} has ended:\n{self.log()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self) -> str:
        with open(self.path("log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self) -> None:
        """In what it had to say there is no token."""
        self._process.terminate()
        self._process.wait()
        self._log.close()
        self.daemon.assert_no_leak(self.log(), f"what {self.program} logged")


class Nginx(Proxy):
    program = "nginx"

    def prepare(self) -> list[str]:
        text = self.recipe("nginx.conf", {
            BROKER: self.daemon.socket,
            f"{HOST}:443": f"localhost:{self.daemon.fake.port}", HOST: "localhost",
            "127.0.0.1:8080": f"127.0.0.1:{self.port}",
            "/etc/ssl/certs/ca-certificates.crt": self.daemon.fake.ca_file})
        folders = "".join(f"{name}_temp_path {self.path(name)};" for name in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        return ["-p", self.folder, "-c", self.write("nginx.conf", (
            f"daemon off; {user} pid {self.path('pid')}; error_log stderr;"
            f"events {{}} http {{ access_log off; {folders}\n{text}}}"))]


class Caddy(Proxy):
    program = "caddy"

    def prepare(self) -> list[str]:
        text = self.recipe("Caddyfile", {
            BROKER: self.daemon.socket,
            HOST: f"localhost:{self.daemon.fake.port}", ":8080": f":{self.port}",
            "/run/caddy/": f"{self.folder}/"})
        return ["run", "--adapter", "caddyfile", "--config",
                self.write("Caddyfile", "{\n\tadmin off\n}\n" + text)]


class HAProxy(Proxy):
    program = "haproxy"

    def prepare(self) -> list[str]:
        lua = self.write("gctoken.lua", self.recipe("gctoken.lua", {BROKER: self.daemon.socket}))
        text = self.recipe("haproxy.cfg", {
            # It takes the first of a name's addresses, and Debian gives localhost another one.
            f"{HOST}:443": f"127.0.0.1:{self.daemon.fake.port}", HOST: "localhost",
            "127.0.0.1:8080": f"127.0.0.1:{self.port}",
            "/etc/ssl/certs/ca-certificates.crt": self.daemon.fake.ca_file,
            "/etc/haproxy/gctoken.lua": lua, "/run/haproxy/": f"{self.folder}/"})
        return ["-db", "-f", self.write("haproxy.cfg", text)]


PROXIES = {one.program: one for one in (Nginx, Caddy, HAProxy)}
