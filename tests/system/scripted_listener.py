"""A port of this machine where each connection has a thread, with TLS if there is a certificate."""

import socket
import ssl
import threading


class Listener:
    """What is done with a connection is `_talk`, of whoever is one."""

    def __init__(self, certificate: tuple[str, str] | None = None):
        """`certificate`: the files of a certificate and its key."""
        self._tls = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
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
            self._talk(client)
        except OSError:
            pass
        finally:
            client.close()

    def _talk(self, client: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
