"""A proxy for tests: takes CONNECT, asks for a user and a password if it is told to, speaks TLS to
its clients if it has a certificate, and carries the rest."""

import base64
import socket
import ssl
import threading


class ConnectProxy:
    def __init__(self, user: str | None = None, password: str = "",
                 certificate: tuple[str, str] | None = None):
        """`certificate`: the files of a certificate and its key."""
        self.credentials = None if user is None else f"{user}:{password}"
        self.carried: list[str] = []  # HOST:PORT of each CONNECT that was let through
        self.refused = 0
        self._tls = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://localhost:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
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
        except OSError:
            pass
        finally:
            client.close()

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

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
