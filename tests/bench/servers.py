"""What is measured and what it is measured beside: each server on the first processor, and the load
on the second."""

import contextlib
import os
import pwd
import re
import shutil
import socket as socketlib
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

from daemon import GCTOKEND, Daemon, environment  # noqa: E402
from fake import Fake  # noqa: E402
from manager import Manager  # noqa: E402
from unix_http import ask  # noqa: E402
from waiting import wait_until  # noqa: E402

LOAD = os.path.join(ROOT, "build", "tests", "bench", "load")
ON_SERVER, ON_LOAD = ["taskset", "-c", "0"], ["taskset", "-c", "1"]
CONNECTIONS = 15000
# A client as most are: nobody's administrator, let in by a rule.
USER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
AS_USER = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups"] \
    if os.geteuid() == 0 else []
TOOLS = os.path.join(ROOT, "build", "tools")

NGINX = """
daemon off; {user} worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 15000; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
    client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
    uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
    server {{
        listen unix:{dir}/nginx.sock;
        location / {{
            default_type application/json; add_header Cache-Control no-store; return 200 '{body}';
        }}
    }}
}}
"""

SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"


def read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


class Server:
    """A process at a Unix socket, and what it costs."""

    def __init__(self, name, protocol, socket, pid, targets):
        self.name, self.protocol, self.socket, self.pid = name, protocol, socket, pid
        self.targets = targets

    def _threads(self, name):
        folder = f"/proc/{self.pid}/task"
        return [read(os.path.join(folder, thread, name)) for thread in os.listdir(folder)]

    def cpu_ns(self):
        """Of all its threads so far, exact where the kernel keeps such figures."""
        try:
            spent = sum(int(text.split()[0]) for text in self._threads("schedstat"))
        except FileNotFoundError:
            spent = 0
        if spent:
            return spent
        fields = read(f"/proc/{self.pid}/stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 10**9 // os.sysconf("SC_CLK_TCK")

    def memory(self, name):
        """Rss or Pss, in bytes, with its child processes."""
        children = read(f"/proc/{self.pid}/task/{self.pid}/children").split()
        texts = [read(f"/proc/{pid}/smaps_rollup") for pid in [self.pid, *children]]
        return sum(int(re.search(rf"^{name}: +(\d+) kB", text, re.M).group(1)) * 1024
                   for text in texts)

    def wake_ups(self):
        return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M).group(1))
                   for text in self._threads("status"))

    def load(self, command, connections=64, seconds=1.0, pipeline=1, on=None):
        """What that load met, and the processor's time for a request (cpu, in ns)."""
        before = self.cpu_ns()
        run = subprocess.run([*(ON_LOAD if on is None else on),
                              *self.load_command(command, connections, seconds, pipeline)],
                             capture_output=True, text=True, check=False)
        spent = self.cpu_ns() - before
        if run.returncode:
            raise RuntimeError(f"{self.name}: {run.stderr}")
        met = figures(run.stdout)
        met["cpu"] = spent / met["requests"]
        return met

    def load_command(self, command, connections, seconds=0.0, pipeline=1, targets=None):
        return [*AS_USER, LOAD, command, self.protocol, self.socket, str(connections),
                str(seconds), str(pipeline), *(targets or self.targets)]

    def hold(self, command, connections, targets=None, as_root=False):
        """A load that stands ready until it is told to end."""
        line = self.load_command(command, connections, targets=targets)
        if as_root:
            line = line[len(AS_USER):]
        return Held([*ON_LOAD, *line])


class Held:
    """`with` it: the process says that it is ready, and ends when its input does."""

    def __init__(self, command):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         text=True)
        self.met = {}

    def __enter__(self):
        for line in self._process.stdout:
            if line == "ready\n":
                return self
        raise RuntimeError("the load did not get ready")

    def __exit__(self, kind, *_):
        if kind is not None:
            self._process.kill()
        self._process.stdin.close()
        self.met = figures(self._process.stdout.read())
        code = self._process.wait()
        self._process.stdout.close()
        if kind is None and code:
            raise RuntimeError(f"a load ended with {code}")

    def wait(self):
        """Until it ends by itself."""
        self._process.wait()


def figures(text):
    return {name: float(value) for name, value in (line.split() for line in text.splitlines())}


class World:
    """All of them, in a folder that goes with them."""

    def __init__(self):
        self._exit = contextlib.ExitStack()
        self.folder = self._exit.enter_context(tempfile.TemporaryDirectory(prefix="gct-bench-"))
        os.chmod(self.folder, 0o711)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._exit.close()

    def fake(self, clients=None):
        one = Fake(clients)
        self._exit.callback(quietly, one.stop)
        return one

    def gctokend(self, fake, profiles=None, name="gctokend", targets=None, program=GCTOKEND,
                 rules=None, broker=None):
        """As it would run: with a rule to judge by, real CAs beside the fake's, its metrics."""
        bundle = os.path.join(self.folder, "ca.pem")
        with open(bundle, "w", encoding="utf-8") as file:
            for ca_file in (SYSTEM_CA, fake.ca_file):
                with open(ca_file, encoding="utf-8") as other:
                    file.write(other.read())
        common = {"region": "us-west-2", "ca_file": bundle, "allow_users": USER, "mint_limit": 1000,
                  "clock_probe": False, "reject_cooldown": "100ms", **(rules or {})}
        daemon = Daemon(fake, profile=common, profiles=profiles, wrap=list(ON_SERVER), broker={
            "socket_mode": "0666", "max_connections": CONNECTIONS,
            "max_connections_per_user": CONNECTIONS, **(broker or {})})
        self._exit.callback(quietly, daemon.close)
        daemon.program = program
        daemon.start()
        server = Server(name, "http", daemon.socket, daemon.process.pid, targets or ["/v1/token"])
        server.daemon = daemon
        server.answer = daemon.token(profile=next(iter(daemon.profiles)), wait=20)
        return server

    def _process(self, name, command, socket, **more):
        process = subprocess.Popen([*ON_SERVER, *command], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)

        def end():
            process.terminate()
            process.wait()

        self._exit.callback(end)

        def is_there():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}")
            with socketlib.socket(socketlib.AF_UNIX) as one:
                return one.connect_ex(socket) == 0

        wait_until(is_there, f"the socket of {name}")
        return process

    def nginx_config(self, folder, answer):
        """With an answer of as many bytes on the wire."""
        config = os.path.join(folder, "nginx.conf")
        user = "user root;" if os.geteuid() == 0 else ""
        with open(config, "w", encoding="ascii") as file:
            file.write(NGINX.format(dir=folder, user=user, body="x" * max(1, answer)))
        return config

    def nginx(self, size):
        folder = os.path.join(self.folder, "nginx")
        os.mkdir(folder)
        os.chmod(folder, 0o711)
        socket = os.path.join(folder, "nginx.sock")
        command = ["nginx", "-p", folder, "-c"]
        config = self.nginx_config(folder, size - 200)
        process = self._process("nginx", [*command, config], socket)
        seen = ask(socket, "GET", "/")
        header = len(raw_answer(socket)) - len(seen.body)
        process.terminate()
        process.wait()
        process = self._process("nginx", [*command, self.nginx_config(folder, size - header)],
                                socket)
        os.chmod(socket, 0o666)
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        worker = wait_until(lambda: read(children).split(), "nginx' worker")[0]
        return Server("nginx", "http", socket, int(worker), ["/"])

    @contextlib.contextmanager
    def managed(self):
        """What `load restart` needs: socket, target, command, environment, descriptors; of a gctokend
        that has run before and left its token with a manager."""
        fake = self.fake()
        daemon = Daemon(fake, profile={"clock_probe": False, "region": "us-west-2"})
        manager = Manager(daemon)
        try:
            manager.start()
            daemon.token(wait=20)
            fds = [one.fileno() for one in manager._listeners.values()] + [manager.handover()]
            daemon.stop()
            env = environment(**{**daemon.env, "LISTEN_FDS": str(len(fds)),
                                 "LISTEN_FDNAMES": "http:page:handover"})
            yield (daemon.socket, "/v1/token?wait=0", [GCTOKEND, "-c", daemon.config_file], env,
                   fds)
            if fake.posts != 1:
                raise RuntimeError("a start fetched a token of its own")
        finally:
            quietly(daemon.close)
            manager.close()

    def memcached(self, size):
        socket = os.path.join(self.folder, "memcached.sock")
        process = self._process("memcached", [
            "memcached", "-s", socket, "-a", "666", "-t", "1", "-c", str(CONNECTIONS),
            *(["-u", "root"] if os.geteuid() == 0 else [])], socket, env=with_libraries())
        server = Server("memcached", "memcached", socket, process.pid, ["token"])
        value = b"x" * (size - len(f"VALUE token 0 {size}\r\n\r\nEND\r\n"))
        stored = raw(socket, b"set token 0 0 %d\r\n%s\r\n" % (len(value), value), b"\r\n")
        assert stored == b"STORED\r\n", stored
        return server

    def redis(self):
        socket = os.path.join(self.folder, "redis.sock")
        process = self._process("redis", [
            "redis-server", "--port", "0", "--unixsocket", socket, "--unixsocketperm", "777",
            "--save", "", "--maxclients", str(CONNECTIONS), "--dir", self.folder],
            socket, env=with_libraries())
        wait_until(lambda: raw(socket, b"PING\r\n", b"\r\n") == b"+PONG\r\n", "redis answers")
        return Server("redis", "redis", socket, process.pid, ["PING"])


def with_libraries():
    """Those that were unpacked, not installed."""
    folders = [os.path.join(TOOLS, "usr", "lib", name) for name in
               (os.listdir(os.path.join(TOOLS, "usr", "lib")) if os.path.isdir(
                   os.path.join(TOOLS, "usr", "lib")) else [])]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}


def raw(path, request, until):
    with socketlib.socket(socketlib.AF_UNIX) as one:
        one.settimeout(10)
        one.connect(path)
        one.sendall(request)
        got = b""
        while until not in got:
            more = one.recv(65536)
            if not more:
                break
            got += more
        return got


def raw_answer(path, target="/"):
    """All bytes of a small answer."""
    return raw(path, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
               .encode(), b"\0").replace(b"Connection: close", b"Connection: keep-alive")


def quietly(end):
    """Where a test would show the logs."""
    with contextlib.redirect_stdout(None):
        end()


def missing():
    return [name for name in ("nginx", "memcached", "redis-server", "taskset", "setpriv", "curl")
            if not shutil.which(name)]
