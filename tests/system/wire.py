"""A piece of a network: carries TCP connections to a port, until it is cut."""

import contextlib
import socket
import struct
import threading


class Wire:
    def __init__(self, port: int):
        """To that port of 127.0.0.1."""
        self._to = port
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._cut = ""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._cut:
                    # one that is cut silently says nothing more to newcomers either
                    if self._cut == "silence":
                        self._pairs.append((near, near))
                    else:
                        near.close()
                    continue
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                near.close()
                continue
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((near, far))
            for source, to in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, to), daemon=True).start()

    def _carry(self, source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    if self._cut == "silence":
                        continue  # sent, and gone
                to.sendall(data)
        for one in (source, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self, how: str) -> None:
        """`close`, `reset`: both ends notice; `silence`: neither does. Until it is mended."""
        with self._lock:
            self._cut = how
            if how != "silence":
                self._end(abrupt=how == "reset")

    def mend(self) -> None:
        """For new connections; those that were cut silently are reset."""
        with self._lock:
            self._end(abrupt=True)
            self._cut = ""

    def _end(self, abrupt: bool) -> None:
        pairs, self._pairs = self._pairs, []
        for one in {end for pair in pairs for end in pair}:
            with contextlib.suppress(OSError):
                if abrupt:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    one.shutdown(socket.SHUT_RDWR)
            if abrupt:
                self._close(one)

    @staticmethod
    def _close(one: socket.socket) -> None:
        # a thread that waits in recv keeps it open; shutdown wakes it
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RD)
        one.close()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut("close")
