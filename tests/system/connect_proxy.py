"""A proxy for tests: takes CONNECT, asks for a user and a password if it is told to, speaks TLS to
its clients if it has a certificate, and carries the rest."""

import base64
import socket
import threading

from scripted_listener import Listener


class ConnectProxy(Listener):
    def __init__(self, user: str | None = None, password: str = "",
                 certificate: tuple[str, str] | None = None):
        self.credentials = None if user is None else f"{user}:{password}"
        self.carried: list[str] = []  # HOST:PORT of each CONNECT that was let through
        self.refused = 0
        super().__init__(certificate)
        self.url = f"{'https' if certificate else 'http'}://localhost:{self.port}"

    def _talk(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = client.recv(1)
            if not byte:
                return
            head += byte
        lines = head.decode("latin-1").split("\r\n")
        target = lines[0].split(" ")[1]
        if not self._may(lines):
            self.refused += 1
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                           b'Proxy-Authenticate: Basic realm="test"\r\n'
                           b"Content-Length: 0\r\n\r\n")
            return
        host, _, port = target.rpartition(":")
        server = socket.create_connection((host.strip("[]"), int(port)))
        self.carried.append(target)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=self._carry, args=(server, client), daemon=True)
        back.start()
        self._carry(client, server)
        back.join()

    def _may(self, lines: list[str]) -> bool:
        if self.credentials is None:
            return True
        for line in lines:
            name, _, value = line.partition(": ")
            if name.lower() == "proxy-authorization" and value.startswith("Basic "):
                return base64.b64decode(value[6:]).decode("utf-8") == self.credentials
        return False

    @staticmethod
    def _carry(source: socket.socket, to: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass
