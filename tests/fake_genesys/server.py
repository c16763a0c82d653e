"""The listening socket and everything behind it: one thread per connection."""

import itertools
import socket
import threading
import time
from collections import deque

from .api import Api
from .authorize import Authorize
from .clients import Clients
from .clock import Clock
from .connection import Connection
from .faults import Faults
from .login import Login
from .logins import Logins
from .record import Record
from .tls import Authority
from .tokens import Tokens

KEPT_CONNECTIONS = 20_000
STOP_TIMEOUT = 5.0


class Server:
    def __init__(self, settings, clients: Clients, authority: Authority, address: str, port: int,
                 host: str, verbose: bool):
        self.settings = settings
        self.clients = clients
        self.authority = authority
        self.clock = Clock(settings)
        self.tokens = Tokens(settings)
        self.faults = Faults()
        self.record = Record(verbose)
        self.logins = Logins(settings, self.tokens)
        self.authorize = Authorize(settings, clients, self.logins)
        self.login = Login(settings, clients, self.tokens, self.logins, self.authorize)
        self.api = Api(settings, self.tokens)
        self.tls = authority.context()
        self.address = address
        self.port = port
        self._host = host
        self._lock = threading.RLock()
        self._listener: socket.socket | None = None
        self._bound: socket.socket | None = None  # while it does not listen
        self._acceptor: threading.Thread | None = None
        self._numbers = itertools.count(1)
        self._opened = 0
        self._open: dict[Connection, threading.Thread] = {}
        self._known: deque[Connection] = deque(maxlen=KEPT_CONNECTIONS)

    @property
    def url(self) -> str:
        return f"https://{self._host}:{self.port}"

    def listen(self, wanted: bool) -> None:
        """False: connections are refused, those open stay. True: on the same port again, which
        nobody else gets meanwhile."""
        with self._lock:
            if wanted and self._listener is None:
                listener, self._bound = self._bound or self._bind(), None
                listener.listen(4096)
                self._listener = listener
                self._acceptor = threading.Thread(target=self._accept, args=(listener,),
                                                  daemon=True, name="accept")
                self._acceptor.start()
            elif not wanted and self._listener is not None:
                listener, self._listener = self._listener, None
                # Closing alone would leave the other thread waiting in accept().
                listener.shutdown(socket.SHUT_RDWR)
                self._acceptor.join(STOP_TIMEOUT)
                listener.close()
                self._bound = self._bind()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self.address, self.port))
        except OSError:
            bound.close()
            raise
        self.port = bound.getsockname()[1]
        return bound

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                if self._listener is not listener:
                    return
                time.sleep(0.01)  # out of descriptors, say: what is there has to end first
                continue
            with self._lock:
                connection = Connection(self, raw, next(self._numbers))
                thread = threading.Thread(target=connection.run, daemon=True)
                self._opened += 1
                self._open[connection] = thread
                self._known.append(connection)
                thread.start()  # under the lock: nobody joins a thread that has not started

    def forget(self, connection: Connection) -> None:
        with self._lock:
            self._open.pop(connection, None)

    def set_tls(self, certificate: str, lowest: str, highest: str) -> None:
        """For connections that come from now on."""
        self.tls = self.authority.context(certificate, lowest, highest)

    def close_connections(self) -> int:
        """Ends them all, whatever they are doing, and waits until they have ended."""
        with self._lock:
            open_now = dict(self._open)
        for connection in open_now:
            connection.stop()
        deadline = time.monotonic() + STOP_TIMEOUT
        for thread in open_now.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return len(open_now)

    def reset(self) -> None:
        """As right after the start, on the same port and with the same CA."""
        self.close_connections()
        self.faults.clear()
        self.settings.reset()
        self.clients.reset()
        self.tokens.reset()
        self.logins.reset()
        self.authorize.reset()
        self.login.reset()
        self.record.reset()
        self.clock.reset()
        self.tls = self.authority.context()
        self.listen(True)

    def stats(self) -> dict:
        counts = self.record.counts()
        now = self.clock.read().now
        with self._lock:
            open_now, opened = len(self._open), self._opened
        known = self.connections()
        return {"posts": counts["received"].get("token", 0),
                "heads": counts["received"].get("head", 0), **counts,
                "connections": {"opened": opened, "open": open_now,
                                "handshakes_failed": sum(one["tls"] is None and not one["open"]
                                                         for one in known)},
                "tokens": {"issued": len(self.tokens.all()),
                           "live": self.tokens.live_by_client(now)},
                "faults_pending": sum(not fault["spent"] for fault in self.faults.as_list())}

    def connections(self) -> list[dict]:
        with self._lock:
            return [connection.as_dict() for connection in self._known]

    def stop(self) -> None:
        self.listen(False)
        if self._bound is not None:
            self._bound.close()
        self.close_connections()
