"""The store of a fleet: a redis-server with the users that docs/fleet.md tells people to make."""

import os
import re
import secrets
import signal

from redis_server import ROOT, RedisServer


def documented_users() -> dict[str, str]:
    """The lines of users in docs/fleet.md: rules, by name."""
    with open(os.path.join(ROOT, "docs", "fleet.md"), encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    return {name: re.sub(r"\s+", " ", rules).strip()
            for name, rules in re.findall(r"^user (\S+) (.+)$", text, re.MULTILINE)}


class FleetStore(RedisServer):
    def __init__(self):
        self.password = "canary-" + secrets.token_hex(16)
        self._admin = "admin-" + secrets.token_hex(16)
        users = {"default": "off", "admin": f"on >{self._admin} ~* &* +@all"}
        users |= {name: rules.replace("PASSWORD", self.password)
                  for name, rules in documented_users().items()}
        assert {"gctoken", "gctoken-follower"} < users.keys()
        options = [word for name, rules in users.items()
                   for word in ("--user", name, *rules.split())]
        super().__init__(*options)
        self.url = f"unix:{self.socket}"

    def ask(self, *words):
        """One command as its admin."""
        connection = self.connect("admin", self._admin)
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
