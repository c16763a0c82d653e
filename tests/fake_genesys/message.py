"""HTTP/1.1 as bytes: a request read from a connection, an answer made for one."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus

HEAD_MAX = 64 * 1024
BODY_MAX = 1024 * 1024


class BadRequest(Exception):
    """What came is no HTTP request we read; the connection ends with this status."""

    def __init__(self, status: int, words: str):
        super().__init__(words)
        self.status = status


@dataclass
class Request:
    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    head_bytes: int
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        for field_name, value in self.headers:
            if field_name.lower() == name.lower():
                return value
        return None

    @property
    def wants_close(self) -> bool:
        connection = (self.header("Connection") or "").lower()
        return "close" in connection or (self.version == "HTTP/1.0"
                                         and "keep-alive" not in connection)


def parse_head(data: bytes) -> Request:
    """The request of `data`, which ends with the empty line."""
    lines = data.decode("latin-1").split("\r\n")[:-2]
    words = lines[0].split(" ") if lines else []
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(400, "the request line is not `METHOD target HTTP/1.x`")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest(400, "a header line is not `Name: value`")
        headers.append((name, value.strip()))
    return Request(words[0], words[1], words[2], headers, len(data))


def body_length(request: Request) -> int:
    if request.header("Transfer-Encoding"):
        raise BadRequest(411, "a body needs Content-Length here")
    text = request.header("Content-Length") or "0"
    if not text.isascii() or not text.isdigit():
        raise BadRequest(400, "Content-Length is no number")
    if int(text) > BODY_MAX:
        raise BadRequest(413, "the body is too large")
    return int(text)


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str | None] = field(default_factory=dict)  # None: leave that field out
    chunked: bool = False

    @staticmethod
    def of_json(status: int, value, headers: dict[str, str] | None = None) -> "Answer":
        return Answer(status, json.dumps(value).encode(),
                      {"Content-Type": "application/json", **(headers or {})})

    def serialise(self, common: dict[str, str], without_body: bool) -> tuple[bytes, bytes]:
        """Header and body as they go out. `common` fields give way to the answer's own."""
        if self.chunked:
            framing = {"Transfer-Encoding": "chunked"}
            body = b"%x\r\n%s\r\n" % (len(self.body), self.body) if self.body else b""
            body += b"0\r\n\r\n"
        else:
            framing = {"Content-Length": str(len(self.body))}
            body = self.body
        fields: dict[str, tuple[str, str | None]] = {}
        for source in (common, framing, self.headers):
            for name, value in source.items():
                fields[name.lower()] = (name, value)
        try:
            reason = HTTPStatus(self.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in fields.values() if value is not None]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        bodiless = without_body or self.status in (204, 304) or 100 <= self.status < 200
        return head, b"" if bodiless else body
