"""A redis-server of one's own, at a Unix socket and on demand at a port, and a client that says what
it answered."""

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from clock_shim import ShimmedClock
from users import User, become
from waiting import PATIENCE, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = os.path.join(ROOT, "build", "tools", "usr")


class RedisError(Exception):
    """The server answered with an error."""


# What ./dev unpacks of a later Debian: Redis 8, and Valkey.
LATER = ["redis-server", "valkey-server"]


def program(later: str = "") -> str:
    """redis-server as it is installed, or as ./dev unpacks it; one of LATER; or what
    GCTOKEN_REDIS_SERVER names in place of all of them."""
    if named := os.environ.get("GCTOKEN_REDIS_SERVER"):
        return os.path.abspath(named)
    if later:
        path = os.path.join(os.path.dirname(TOOLS), "later", later)
        if not os.access(path, os.X_OK):
            pytest.skip(f"the later {later} is not in build/tools/later: it takes root, debootstrap "
                        "and a way to Debian's packages")
        return path
    path = shutil.which("redis-server", path=os.environ["PATH"] + ":" + os.path.join(TOOLS, "bin"))
    if not path:
        pytest.skip("redis-server is neither installed nor in build/tools")
    return path


def libraries(folder: str = os.path.join(TOOLS, "lib")) -> dict[str, str]:
    """Where those of the unpacked one are."""
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(glob.glob(os.path.join(folder, "*")))}


class Connection:
    """Speaks RESP2 and blocks. Texts are bytes, nil is None."""

    def __init__(self, sock: socket.socket):
        sock.settimeout(10 * PATIENCE)
        self._socket = sock
        self._file = sock.makefile("rb")

    def send(self, *words) -> None:
        """Without waiting for what it answers."""
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(
            b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))

    def read(self):
        """The next answer."""
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        assert kind == b"+", line
        return rest

    def __call__(self, *words):
        self.send(*words)
        return self.read()

    def lines(self):
        """All that come, as of MONITOR, until hang_up."""
        self._socket.settimeout(None)
        yield from self._file

    def hang_up(self) -> None:
        """Whoever reads meets the end."""
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """A thread that still reads lines meets their end first: it has the file until then."""
        with contextlib.suppress(OSError):
            self.hang_up()
        self._file.close()
        self._socket.close()


class RedisServer:
    """Started empty, and kept nowhere. With `clock` its clock can be set: server.clock.step. As `user`,
    in a folder of theirs below /run, as a system has it, and for their group. `later`: one of LATER."""

    def __init__(self, *options: str, clock: bool = False, user: User | None = None,
                 later: str = ""):
        self._program = program(later)
        self.folder = tempfile.mkdtemp(prefix="redis.", dir="/run" if user else None)
        self._wrap = become(user) if user else []
        self.env = libraries()
        if user:
            os.chown(self.folder, user.uid, user.gid)
            os.chmod(self.folder, 0o755)
            options += ("--unixsocketperm", "770")
            self._copy_program()
        self.socket = self.path("redis.sock")
        self._connections: list[Connection] = []
        if clock:
            self.clock = ShimmedClock(self)
        self._options = options
        self.start()

    def start(self) -> None:
        """Again, after kill."""
        with open(self.path("log"), "wb") as log:
            self.process = subprocess.Popen(
                [*self._wrap, self._program, "--unixsocket", self.socket, "--port", "0", "--save", "",
                 "--dir", self.folder, *self._options], env=self.env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        wait_until(self._is_there, "redis-server answers")

    def path(self, name: str) -> str:
        """A file in its folder."""
        return os.path.join(self.folder, name)

    def _copy_program(self) -> None:
        """An unpacked one may lie in a home that is closed to other users."""
        self._program = shutil.copy(self._program, self.path("redis-server"))
        if os.path.isdir(os.path.join(TOOLS, "lib")):
            shutil.copytree(os.path.join(TOOLS, "lib"), self.path("lib"), symlinks=True)
            self.env = libraries(self.path("lib"))

    def _is_there(self) -> bool:
        if self.process.poll() is not None:
            with open(self.path("log"), encoding="utf-8") as log:
                raise AssertionError(f"redis-server ended: {log.read()}")
        try:
            connection = self.connect()
            connection.send("PING")
            connection.read()
        except RedisError:
            pass
        except OSError:
            return False
        return True

    def connect(self, user: str | None = None, password: str | None = None) -> Connection:
        """Another connection; as that user."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(self.socket)
        except OSError:
            sock.close()
            raise
        connection = Connection(sock)
        self._connections.append(connection)
        if user:
            assert connection("AUTH", user, password) == b"OK"
        return connection

    def kill(self) -> None:
        """kill -9: all that it held is lost."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ends it at once."""
        self.kill()
        shutil.rmtree(self.folder)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
