"""A primary of a fleet's store, a replica and Sentinels, who may make the one the other."""

import signal
import socket
import subprocess

from fleet_store import FleetStore
from redis_server import Connection, free_port, program
from waiting import wait_until

DOWN_AFTER_MS = 1000


class SentinelStore:
    def __init__(self, sentinels: int = 3, clock: bool = False):
        self.primary = FleetStore(free_port(), clock=clock)
        self.replica = FleetStore(free_port(), clock=clock, replica_of=self.primary)
        self.password = self.primary.password
        self._ports = [free_port() for _ in range(sentinels)]
        self._sentinels = [self._sentinel(port, sentinels // 2 + 1) for port in self._ports]
        self.url = ("redis+sentinel://" + ",".join(f"localhost:{port}" for port in self._ports)
                    + "/fleet")
        self.wait_for_replica()

    def _sentinel(self, port: int, quorum: int) -> subprocess.Popen:
        config = self.primary.path(f"sentinel.{port}")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"port {port}\nbind 127.0.0.1\ndir {self.primary.folder}\n"
                       f"sentinel monitor fleet 127.0.0.1 {self.primary.port} {quorum}\n"
                       f"sentinel auth-user fleet admin\n"
                       f"sentinel auth-pass fleet {self.primary.admin}\n"
                       f"sentinel down-after-milliseconds fleet {DOWN_AFTER_MS}\n"
                       "sentinel failover-timeout fleet 5000\n")
        with open(config + ".log", "wb") as log:
            return subprocess.Popen([program(), config, "--sentinel"], env=self.primary.env,
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @staticmethod
    def _told(port: int, what: str) -> list[dict[bytes, bytes]]:
        """What a Sentinel knows of `replicas`, or of other `sentinels`."""
        try:
            connection = Connection(socket.create_connection(("127.0.0.1", port)))
        except OSError:
            return []
        try:
            return [dict(zip(one[::2], one[1::2])) for one in
                    connection("SENTINEL", what, "fleet")]
        finally:
            connection.close()

    def wait_for_replica(self) -> None:
        """Until it has what the primary has, and all Sentinels know of it and of each other."""
        def is_known(port: int) -> bool:
            return (len(self._told(port, "sentinels")) == len(self._ports) - 1
                    and [(one[b"port"], one[b"flags"], one[b"master-link-status"])
                         for one in self._told(port, "replicas")]
                    == [(b"%d" % self.replica.port, b"slave", b"ok")])

        wait_until(lambda: b"master_link_status:up" in self.replica.ask("INFO", "replication"),
                   "the replica's connection", 30)
        wait_until(lambda: all(is_known(port) for port in self._ports),
                   "the Sentinels to know all", 60)

    def ask(self, *words):
        return self.primary.ask(*words)

    def generation(self) -> int:
        return self.primary.generation()

    def cut_replica(self) -> None:
        """From now on it gets nothing; what is under way is lost too."""
        self.replica.freeze()
        self.primary.ask("CLIENT", "KILL", "TYPE", "replica")

    def fail_over(self) -> None:
        """The primary is killed, and the replica, which goes on if it was cut off, takes over."""
        self.primary.kill()
        self.replica.process.send_signal(signal.SIGCONT)
        wait_until(lambda: self.replica.ask("ROLE")[0] == b"master", "the failover", 60)
        self.primary, self.replica = self.replica, self.primary

    def return_replica(self, ahead: float = 0) -> None:
        """What was killed comes back, empty, as a replica whose clock is so far ahead of the other."""
        if hasattr(self.replica, "clock"):
            self.replica.clock.step(self.primary.clock.wall - self.replica.clock.wall + ahead)
        self.replica.follow(self.primary)
        self.replica.start()
        self.wait_for_replica()

    def stop(self) -> None:
        for one in self._sentinels:
            one.kill()
            one.wait()
        self.replica.stop()
        self.primary.stop()
