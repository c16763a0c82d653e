"""One connection: the TLS handshake, requests read one after the other, and the ways to end it."""

import socket
import ssl
import struct
import threading
import time

from .actions import perform_on_connect
from .exchange import Exchange
from .message import HEAD_MAX, Answer, BadRequest, body_length, parse_head

HANDSHAKE_TIMEOUT = 30.0
CLEAN_END_TIMEOUT = 0.5
SEND_TIMEOUT = 120.0


class Connection:
    def __init__(self, server, raw: socket.socket, number: int):
        self.number = number
        self.node = server.clock.next_node() if server.settings.clock_rotation == "connection" \
            else 0
        self._server = server
        self._socket = raw
        self._told_to_end = threading.Event()
        self._ended = False
        self._buffer = b""
        self._shown = {"number": number, "opened": time.time(), "open": True, "tls": None,
                       "cipher": None, "error": None, "requests": 0, "bytes_in": 0,
                       "bytes_out": 0}

    def as_dict(self) -> dict:
        return dict(self._shown)

    def run(self) -> None:
        try:
            self._serve()
        except (OSError, ValueError) as error:  # ValueError: used after it was closed
            if not self._told_to_end.is_set():
                self._shown["error"] = str(error) or type(error).__name__
        finally:
            self.end("abrupt")
            self._shown["open"] = False
            self._server.forget(self)

    def stop(self) -> None:
        """From another thread: ends it now, whatever it is doing."""
        self._told_to_end.set()
        try:
            # Not SSLSocket's own shutdown: that one would turn this into a plain socket while
            # its thread may be about to send.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            pass

    def sleep(self, seconds: float) -> None:
        if seconds > 0 and self._told_to_end.wait(seconds):
            raise ConnectionAbortedError("told to end")

    def send(self, data: bytes) -> None:
        self._socket.settimeout(SEND_TIMEOUT)
        self._socket.sendall(data)
        self._shown["bytes_out"] += len(data)

    def wait_until_gone(self, seconds: float) -> None:
        """Reads and forgets until the other end leaves; at most so long, 0: without a limit."""
        deadline = time.monotonic() + seconds if seconds else None
        try:
            while True:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return
                self._socket.settimeout(left)
                data = self._socket.recv(65536)
                if not data:
                    return
                self._shown["bytes_in"] += len(data)
        except TimeoutError:
            return

    def end(self, how: str) -> None:
        """clean: TLS and TCP say goodbye; abrupt: only TCP does; reset: neither."""
        if self._ended:
            return
        self._ended = True
        try:
            if how == "clean" and isinstance(self._socket, ssl.SSLSocket):
                self._socket.settimeout(CLEAN_END_TIMEOUT)
                self._socket.unwrap()
            elif how == "reset":
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                        struct.pack("ii", 1, 0))
        except (OSError, ValueError):
            pass  # the other end left without a word; so do we
        try:
            if how != "reset":
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def _serve(self) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._meet_fault("tcp"):
            return
        self._socket.settimeout(HANDSHAKE_TIMEOUT)
        self._socket = self._server.tls.wrap_socket(self._socket, server_side=True,
                                                    do_handshake_on_connect=False)
        self._socket.do_handshake()
        self._shown["tls"] = self._socket.version()
        self._shown["cipher"] = self._socket.cipher()[0]
        if not self._meet_fault("tls"):
            return
        try:
            while self._next_request():
                pass
        except BadRequest as refusal:
            head, body = Answer(refusal.status, f"{refusal}\n".encode(), {
                "Content-Type": "text/plain"}).serialise({"Connection": "close"}, False)
            self._shown["error"] = str(refusal)
            self.send(head + body)
        self.end("clean")

    def _meet_fault(self, stage: str) -> bool:
        fault = self._server.faults.take("connect", stage=stage)
        return fault is None or perform_on_connect(self, fault)

    def _next_request(self) -> bool:
        """Reads one and answers it. False: there will be no more."""
        self._socket.settimeout(self._server.settings.keep_alive or HANDSHAKE_TIMEOUT)
        try:
            if not self._buffer and not self._read_more():
                return False
        except TimeoutError:
            return False
        self._socket.settimeout(HANDSHAKE_TIMEOUT)
        self.sleep(self._server.settings.delay_request)
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > HEAD_MAX:
                raise BadRequest(431, "the header is too large")
            if not self._read_more():
                raise ConnectionAbortedError("the other end left amid a request")
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        request = parse_head(head + b"\r\n\r\n")
        wanted = body_length(request)
        if wanted > len(self._buffer) and (request.header("Expect") or "").lower() \
                == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._buffer) < wanted:
            if not self._read_more():
                raise ConnectionAbortedError("the other end left amid a body")
        request.body, self._buffer = self._buffer[:wanted], self._buffer[wanted:]
        self._shown["requests"] += 1
        return Exchange(self._server, self, request, self._shown["requests"]).run()

    def _read_more(self) -> bool:
        data = self._socket.recv(65536)
        self._buffer += data
        self._shown["bytes_in"] += len(data)
        return bool(data)
