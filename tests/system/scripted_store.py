"""A store that answers each command as it is told to: what a real one does only when it is set up
so, or never."""

import socket

from scripted_listener import Listener

MASTER = b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"


def bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text.encode()), text.encode())


def array(*texts: str) -> bytes:
    return b"*%d\r\n" % len(texts) + b"".join(bulk(text) for text in texts)


class ScriptedStore(Listener):
    """`answers`: bytes, or a function that makes them, by the first word of a command. What is not
    there is answered with +OK."""

    def __init__(self, certificate: tuple[str, str] | None = None, **answers):
        self.answers = {"ROLE": MASTER, "PING": b"+PONG\r\n"} | answers
        self.heard: list[list[str]] = []
        super().__init__(certificate)

    def _talk(self, client: socket.socket) -> None:
        with client.makefile("rb") as file:
            while line := file.readline():
                if not line.startswith(b"*"):
                    return
                words = []
                for _ in range(int(line[1:])):
                    length = int(file.readline()[1:])
                    words.append(file.read(length + 2)[:-2].decode(errors="replace"))
                self.heard.append(words)
                answer = self.answers.get(words[0], b"+OK\r\n")
                client.sendall(answer() if callable(answer) else answer)
