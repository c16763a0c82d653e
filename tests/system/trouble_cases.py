"""All that a login server may answer in place of a token, and what the broker has to say of it."""

import base64
import gzip
import re
from dataclasses import dataclass, field
from typing import Any

from waiting import PATIENCE

NO_ANSWER = 0
# For a server that is too slow: a machine that is busy has to get as far with it.
SHORT = f"{480 * min(int(PATIENCE), 4)}ms"
TIMED_OUT = f"timed out after {SHORT.removesuffix('ms')} ms"


@dataclass(frozen=True)
class Trouble:
    """A fault of the fake's, and the last_error that it has to become. `words` is searched for."""

    name: str
    fault: dict[str, Any]
    words: str
    status: int = 200
    error: str = ""
    kind: str = "unavailable"
    profile: dict[str, Any] = field(default_factory=dict)


def _answer(status: int, body: str, **headers: str) -> dict[str, Any]:
    return {"action": "answer", "status": status, "body": body, "headers": headers}


def _raw(text: str, **more: Any) -> dict[str, Any]:
    return {"action": "bytes", "text": text, **more}


def _ok(body: str | bytes, **headers: str) -> dict[str, Any]:
    """A 200 with that body; @TOKEN@ in it becomes a real token."""
    encoded = base64.b64encode(body.encode() if isinstance(body, str) else body).decode()
    return {"action": "answer", "status": 200, "body_base64": encoded, "headers": headers}


def _members(**members: Any) -> dict[str, Any]:
    return {"action": "members", "members": members}


def _expires(text: str) -> dict[str, Any]:
    return _ok('{"access_token":"@TOKEN@","token_type":"bearer","expires_in":' + text + "}")


def _token(text: str) -> dict[str, Any]:
    return _ok('{"access_token":' + text + ',"token_type":"bearer","expires_in":3600}')


GOOD = '{"access_token":"@TOKEN@","token_type":"bearer","expires_in":3600}'
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
NO_TOKEN_CHARACTERS = "access_token is empty, longer than 8 KiB, or has characters no token has"
WRONG_NUMBER = "not a whole number of seconds from 10 to 38880000"

TROUBLES = [
    # The server says that it is in trouble.
    Trouble("status-500",
            _answer(500, '{"error":"server_error","error_description":"out of sorts"}'),
            "out of sorts", 500, "server_error"),
    Trouble("status-502", _answer(502, "<html>Bad Gateway</html>", **{"Content-Type": "text/html"}),
            "the server answered HTTP 502", 502),
    Trouble("status-503", _answer(503, ""), "the server answered HTTP 503", 503),
    Trouble("status-503-message", _answer(503, '{"message":"down for maintenance","status":503}'),
            "down for maintenance", 503),
    Trouble("status-504", _answer(504, "[]"), "the server answered HTTP 504", 504),
    Trouble("status-599", _answer(599, "{}"), "the server answered HTTP 599", 599),
    # Something before the server does. It is not the server's verdict on the credentials.
    Trouble("waf-403", _answer(403, "<html>blocked</html>", **{"Content-Type": "text/html"}),
            "the server answered HTTP 403", 403),
    Trouble("gateway-404", _answer(404, '{"error":"Not Found","message":"no route"}'),
            "no route", 404),
    Trouble("gateway-408", _answer(408, ""), "the server answered HTTP 408", 408),
    # Throttled.
    Trouble("rate-limit-400",
            _answer(400, '{"error":"invalid_request","description":"Rate limit exceeded, wait"}'),
            "Rate limit exceeded, wait", 400, "invalid_request", "throttled"),
    Trouble("status-429", _answer(429, ""), "the server answered HTTP 429", 429, "", "throttled"),
    # Answers of the wrong kind.
    Trouble("status-201", _answer(201, GOOD), "the server answered HTTP 201", 201),
    Trouble("status-204", _raw("HTTP/1.1 204 No Content\r\n\r\n"),
            "the server answered HTTP 204", 204),
    Trouble("status-206", _answer(206, GOOD), "the server answered HTTP 206", 206),
    *(Trouble(f"redirect-{status}", {"action": "redirect", "status": status,
                                     "location": "https://localhost:1/elsewhere"},
              f"HTTP {status}, a redirect, which is never followed", status)
      for status in (301, 302, 303, 307, 308)),
    Trouble("redirect-to-http", {"action": "redirect", "status": 302,
                                 "location": "http://localhost:1/oauth/token"},
            "HTTP 302, a redirect, which is never followed", 302),
    Trouble("redirect-with-a-token", _answer(307, GOOD, Location="/oauth/token"),
            "HTTP 307, a redirect, which is never followed", 307),
    Trouble("redirect-to-nowhere", _answer(301, ""), "HTTP 301, a redirect", 301),
    Trouble("status-300", _answer(300, GOOD), "HTTP 300", 300),
    Trouble("status-304", _raw("HTTP/1.1 304 Not Modified\r\n\r\n"), "HTTP 304", 304),
    Trouble("status-101", _raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
                               + GOOD), "the server sent no final response", NO_ANSWER),
    Trouble("status-with-line-ends",
            _answer(500, '{"error":"x","error_description":"one\\r\\n<3>two\\u0007\\u009b31m"}'),
            "one.*two", 500, "x"),
    Trouble("status-without-utf-8", _answer(500, "") | {
        "body_base64": base64.b64encode(b'{"error":"x","error_description":"a\xff\xfe"}').decode()},
            "HTTP 500", 500),
    # No answer, or half of one.
    Trouble("closed", {"action": "close", "how": "clean"},
            "localhost closed the connection without a response", NO_ANSWER),
    Trouble("closed-abruptly", {"action": "close", "how": "abrupt"},
            "closed the connection without a response|the connection to localhost broke",
            NO_ANSWER),
    Trouble("reset", {"action": "close", "how": "reset"},
            "the connection to localhost broke|closed the connection without", NO_ANSWER),
    Trouble("no-answer", {"action": "hang"}, f"{TIMED_OUT}, waiting for localhost",
            NO_ANSWER, profile={"fetch_timeout": SHORT}),
    Trouble("half-a-header", {"action": "cut", "at": 40, "how": "abrupt"}, ".", 200),
    Trouble("half-a-body", {"action": "cut", "at": -30, "how": "clean"},
            "the response was cut short|the connection to localhost broke", 200),
    Trouble("half-a-body-without-tls-end", {"action": "cut", "at": -30, "how": "abrupt"},
            "the response was cut short|the connection to localhost broke", 200),
    # The body has no length, and not even the end of TLS tells that it is whole.
    Trouble("half-a-body-without-length",
            _raw(HEAD + "Connection: close\r\n\r\n" + GOOD[:-1], then="abrupt"),
            "the response body", 200),
    Trouble("half-a-chunk", _raw(HEAD + "Transfer-Encoding: chunked\r\n\r\n40\r\n{", then="clean"),
            "cut short|broke", 200),
    Trouble("no-last-chunk",
            _raw(HEAD + f"Transfer-Encoding: chunked\r\n\r\n{len(GOOD):x}\r\n{GOOD}\r\n",
                 then="clean"), "cut short|broke", 200),
    Trouble("broken-chunk", _raw(HEAD + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
            "broke", 200),
    Trouble("length-negative", _raw(HEAD + "Content-Length: -5\r\n\r\n" + GOOD),
            "did not answer in HTTP/1.1", 200),
    Trouble("length-too-small", _raw(HEAD + "Content-Length: 20\r\n\r\n" + GOOD),
            "the response body", 200),
    Trouble("nul-in-header", _raw(HEAD + "X: a\x00b\r\nContent-Length: 2\r\n\r\n{}"),
            "did not answer in HTTP/1.1", 200),
    Trouble("body-without-header", _raw(GOOD), "did not answer in HTTP/1.1", NO_ANSWER),
    Trouble("slow-header", _raw(HEAD, repeat_text="X: y\r\n", repeat=-1, pause=0.1),
            f"{TIMED_OUT}, reading the response of localhost", 200,
            profile={"fetch_timeout": SHORT}),
    Trouble("body-that-hangs", _raw(HEAD + "Content-Length: 500\r\n\r\n{", then="hang"),
            f"{TIMED_OUT}, reading the response of localhost", 200,
            profile={"fetch_timeout": SHORT}),
    Trouble("not-http", _raw("220 mail ready\r\n"), "did not answer in HTTP/1.1", NO_ANSWER),
    Trouble("any-bytes",
            {"action": "bytes", "base64": base64.b64encode(bytes(range(256))).decode()},
            "did not answer in HTTP/1.1", NO_ANSWER),
    Trouble("http-2", _raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ".", NO_ANSWER),
    Trouble("endless-1xx", {"action": "informational", "status": 103, "count": -1,
                            "headers": {"Link": "x" * 200}},
            "the response header (is larger|has more)", NO_ANSWER),
    Trouble("endless-100", {"action": "informational", "status": 100, "count": -1},
            "the response header (is larger|has more)", NO_ANSWER),
    Trouble("thousands-of-header-lines", _raw(HEAD, repeat_text="X: y\r\n", repeat=5000),
            "the response header has more than 1000 lines", 200),
    Trouble("endless-header-line", _raw(HEAD + "X: ", repeat_text="y" * 4096, repeat=-1),
            "too long", 200),
    Trouble("large-body", _ok(GOOD + " " * 70_000), "response larger than 64 KiB"),
    Trouble("endless-chunks", {"action": "chunks", "size": 4096}, "response larger than 64 KiB"),
    # Bodies that are not what they should be.
    Trouble("empty-body", _ok(""), "the response body is empty"),
    Trouble("html-body", _ok("<html>Welcome to the hotel's network</html>"), "the response body"),
    Trouble("array-body", _ok("[" + GOOD + "]"), "the response body"),
    Trouble("half-an-object", _ok(GOOD[:-1]), "the response body"),
    Trouble("two-objects", _ok(GOOD + GOOD), "the response body"),
    Trouble("byte-order-mark", _ok(b"\xef\xbb\xbf" + GOOD.encode()), "the response body"),
    Trouble("deep-nesting", _ok(GOOD[:-1] + ',"x":' + "[" * 30_000 + "]" * 30_000 + "}"),
            "the response body"),
    Trouble("two-tokens", _ok('{"access_token":"@TOKEN@",' + GOOD[1:]), "the response body"),
    Trouble("two-lifetimes", _ok(GOOD[:-1] + ',"expires_in":3600}'), "the response body"),
    Trouble("two-tokens-one-escaped", _ok(GOOD[:-1] + ',"access\\u005ftoken":"x"}'),
            "the response body"),
    Trouble("compressed-body", _ok(gzip.compress(GOOD.encode(), mtime=0),
                                   **{"Content-Encoding": "gzip"}), "the response body is compressed"),
    Trouble("utf-16-body", _ok(GOOD.encode("utf-16-le")), "the response body"),
    Trouble("nul-behind-the-body", _ok(GOOD + "\x00"), "the response body"),
    Trouble("nothing-but-null", _ok("null"), "the response body"),
    # Members that are not what they should be.
    Trouble("no-token", _members(access_token=None), "the response has no access_token"),
    Trouble("token-empty", _token('""'), NO_TOKEN_CHARACTERS),
    Trouble("token-a-number", _token("12345678"), "access_token is not a string"),
    Trouble("token-with-line-end", _token('"@TOKEN@\\r\\nX-Injected: 1"'), NO_TOKEN_CHARACTERS),
    Trouble("token-with-nul", _token('"@TOKEN@\\u0000"'), "the response body"),
    Trouble("token-with-umlaut", _token('"@TOKEN@\u00fc"'), NO_TOKEN_CHARACTERS),
    Trouble("token-with-line-feed", _token('"@TOKEN@\\n"'), NO_TOKEN_CHARACTERS),
    Trouble("token-with-carriage-return", _token('"\\r@TOKEN@"'), NO_TOKEN_CHARACTERS),
    Trouble("token-with-blank", _token('"@TOKEN@ x"'), NO_TOKEN_CHARACTERS),
    Trouble("token-with-delete", _token('"@TOKEN@\\u007f"'), NO_TOKEN_CHARACTERS),
    Trouble("token-with-escaped-umlaut", _token('"@TOKEN@\\u00fc"'), NO_TOKEN_CHARACTERS),
    Trouble("token-with-half-a-surrogate", _token('"@TOKEN@\\ud800"'), "half a surrogate pair"),
    Trouble("token-null", _token("null"), "access_token"),
    Trouble("token-an-object", _token('{"x":"@TOKEN@"}'), "access_token is not a string"),
    Trouble("token-too-long", _token('"' + "x" * 8193 + '"'), NO_TOKEN_CHARACTERS),
    Trouble("other-type", _members(token_type="mac"), "token_type is not bearer"),
    Trouble("no-lifetime", _members(expires_in=None), "the response has no expires_in"),
    Trouble("lifetime-null", _expires("null"), "expires_in"),
    Trouble("lifetime-true", _expires("true"), "expires_in is not a number"),
    Trouble("lifetime-a-list", _expires("[3600]"), "expires_in is not a number"),
    Trouble("lifetime-nan", _expires("NaN"), "the response body"),
    Trouble("lifetime-a-text", _members(expires_in="3600"), "expires_in is not a number"),
    *(Trouble(f"lifetime-{name}", _expires(number),
              f"expires_in is {re.escape(number)}, {WRONG_NUMBER}")
      for name, number in {"negative": "-1", "zero": "0", "too-short": "9", "broken": "3600.5",
                           "infinite": "1e400", "too-long": "38880001",
                           "minus-zero": "-0", "overflowing": "18446744073709555216",
                           "with-exponent": "36e99"}.items()),
]
