"""The store of a fleet: a redis-server with the users that docs/fleet.md tells people to make."""

import os
import re
import secrets
import signal

from redis_server import ROOT, RedisServer
from users import User


def documented_users() -> dict[str, str]:
    """The lines of users in docs/fleet.md: rules, by name."""
    with open(os.path.join(ROOT, "docs", "fleet.md"), encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    return {name: re.sub(r"\s+", " ", rules).strip()
            for name, rules in re.findall(r"^user (\S+) (.+)$", text, re.MULTILINE)}


class FleetStore(RedisServer):
    """At a Unix socket alone, or at a port of 127.0.0.1; `tls`: with the certificate of that name in
    that folder; `mutual`: it takes hosts with a certificate of the same CA alone. `replica_of`: another one that it copies. `user`: as RedisServer."""

    def __init__(self, port: int = 0, tls: tuple[str, str] | None = None, clock: bool = False,
                 replica_of: "FleetStore | None" = None, maxclients: int = 10_000,
                 user: User | None = None, later: str = "", mutual: bool = False):
        self.password = replica_of.password if replica_of else "canary-" + secrets.token_hex(16)
        self.admin = replica_of.admin if replica_of else "admin-" + secrets.token_hex(16)
        users = {"default": "off", "admin": f"on >{self.admin} ~* &* +@all"}
        users |= {name: rules.replace("PASSWORD", self.password)
                  for name, rules in documented_users().items()}
        assert {"gctoken", "gctoken-follower"} < users.keys()
        options = ["--maxclients", str(maxclients), "--masteruser", "admin", "--masterauth", self.admin]
        for name, rules in users.items():
            options += ["--user", name, *rules.split()]
        self.port = port
        if tls:
            folder, name = tls
            certificate = os.path.join(folder, name)
            options += ["--tls-port", str(port), "--tls-cert-file", certificate + ".pem",
                        "--tls-key-file", certificate + ".key", "--tls-auth-clients", "yes" if mutual else "no",
                        "--tls-ca-cert-file", os.path.join(folder, "ca.pem")]
        elif port:
            options += ["--port", str(port), "--bind", "127.0.0.1"]
        self._own = options
        super().__init__(*options, *self._follows(replica_of), clock=clock, user=user, later=later)
        self.url = (f"rediss://localhost:{port}" if tls else f"redis://localhost:{port}" if port
                    else f"unix:{self.socket}")

    @staticmethod
    def _follows(primary: "FleetStore | None") -> list[str]:
        return ["--replicaof", "127.0.0.1", str(primary.port)] if primary else []

    def follow(self, primary: "FleetStore | None") -> None:
        """When it is started again."""
        self._options = (*self._own, *self._follows(primary))

    def ask(self, *words):
        """One command as its admin. Sentinels close all connections of one that they make another of:
        then once more."""
        try:
            return self._ask(words)
        except ConnectionError:
            return self._ask(words)

    def _ask(self, words):
        connection = self.connect("admin", self.admin)
        try:
            return connection(*words)
        finally:
            connection.close()
            self._connections.remove(connection)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def key(self, end: str) -> bytes:
        """The only key that ends so; b"": there is none."""
        found = [key for key in self.ask("KEYS", "*") if key.endswith(end.encode())]
        assert len(found) <= 1, found
        return found[0] if found else b""

    def generation(self) -> int:
        """The fleet's number of the token that it has; 0: none."""
        key = self.key(":rec")
        return int(self.ask("HGET", key, "gen") or 0) if key else 0

    def held(self) -> bytes:
        """All keys, and what is in them."""
        parts = []
        for key in self.ask("KEYS", "*"):
            kind = self.ask("TYPE", key)
            content = (self.ask("HGETALL", key) if kind == b"hash" else
                       self.ask("ZRANGE", key, "0", "-1") if kind == b"zset" else
                       [self.ask("GET", key)])
            parts += [key, *content]
        return b"\0".join(parts)
