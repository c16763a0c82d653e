"""What each fault does on the wire. An action returns whether the connection goes on."""

import itertools
import json

from .message import Answer

TOKEN_PLACE = b"@TOKEN@"


def perform(exchange, fault) -> bool:
    return _ACTIONS[fault.action](exchange, fault)


def perform_on_connect(connection, fault) -> bool:
    """The same before there is any request."""
    if fault.action == "close":
        connection.end(fault["how"])
        return False
    if fault.action == "hang":
        connection.wait_until_gone(fault["seconds"])
        connection.end(fault["how"])
        return False
    return _send_bytes(connection, fault, fault.content("bytes"), fault.content("repeat"))


def _close(exchange, fault) -> bool:
    exchange.connection.end(fault["how"])
    return False


def _hang(exchange, fault) -> bool:
    exchange.connection.wait_until_gone(fault["seconds"])
    exchange.connection.end(fault["how"])
    return False


def _delay(exchange, fault) -> bool:
    exchange.send(exchange.decide(fault["work"]), fault["answer"], fault["body"])
    return exchange.keep


def _with_token(exchange, content: bytes) -> bytes:
    if TOKEN_PLACE not in content:
        return content
    return content.replace(TOKEN_PLACE, exchange.mint().encode())


def _answer(exchange, fault) -> bool:
    headers = {"Content-Type": "application/json", **fault["headers"]}
    exchange.send(Answer(fault["status"], _with_token(exchange, fault.content("body")), headers,
                         fault["chunked"]))
    return exchange.keep


def _members(exchange, fault) -> bool:
    """The proper answer with some members of its JSON, or header fields, put otherwise."""
    answer = exchange.decide()
    try:
        value = json.loads(answer.body)
    except ValueError:
        value = {}
    if isinstance(value, dict):
        value.update(fault["members"])
        answer.body = json.dumps({name: member for name, member in value.items()
                                  if member is not None}).encode()
    answer.headers.update(fault["headers"])
    if fault["status"] != 200:
        answer.status = fault["status"]
    exchange.send(answer)
    return exchange.keep


def _redirect(exchange, fault) -> bool:
    exchange.send(Answer(fault["status"], b"", {"Location": fault["location"]}))
    return exchange.keep


def _cut(exchange, fault) -> bool:
    """A proper answer that ends too early: after `at` bytes, or, below 0, so many before its end.
    """
    whole = b"".join(exchange.serialise(exchange.decide()))
    exchange.connection.send(whole[:fault["at"]])
    exchange.connection.end(fault["how"])
    return False


def _bytes(exchange, fault) -> bool:
    return _send_bytes(exchange.connection, fault,
                       _with_token(exchange, fault.content("bytes")),
                       _with_token(exchange, fault.content("repeat")))


def _send_bytes(connection, fault, first: bytes, again: bytes) -> bool:
    for content in itertools.chain([first], _repeat(again, fault["repeat"])):
        size = fault["piece"] or len(content) or 1
        for start in range(0, len(content), size):
            connection.send(content[start:start + size])
            connection.sleep(fault["pause"])
    if fault["then"] == "keep":
        return True
    if fault["then"] == "hang":
        connection.wait_until_gone(0)
    else:
        connection.end(fault["then"])
    return False


def _repeat(content: bytes, times: int):
    return itertools.repeat(content) if times == -1 else itertools.repeat(content, times)


def _chunks(exchange, fault) -> bool:
    """A chunked body of blanks, which JSON allows anywhere; -1 chunks never end."""
    head, _ = exchange.serialise(Answer(200, b"", {"Content-Type": "application/json"}, True))
    exchange.connection.send(head)
    chunk = b"%x\r\n%s\r\n" % (fault["size"], b" " * fault["size"])
    for content in _repeat(chunk, fault["count"]):
        exchange.connection.send(content)
        exchange.connection.sleep(fault["pause"])
    exchange.connection.send(b"0\r\n\r\n")
    return exchange.keep


def _informational(exchange, fault) -> bool:
    """Many 1xx answers, then the proper one; -1 of them: it never comes."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in fault["headers"].items())
    early = f"HTTP/1.1 {fault['status']} Early\r\n{fields}\r\n".encode("latin-1")
    for content in _repeat(early, fault["count"]):
        exchange.connection.send(content)
        exchange.connection.sleep(fault["pause"])
    exchange.send(exchange.decide())
    return exchange.keep


def _revoke(exchange, fault) -> bool:
    """The token ends right before the request that comes with it is judged."""
    text = (exchange.request.header("Authorization") or "").partition(" ")[2].strip()
    exchange.server.tokens.revoke(text=text)
    exchange.send(exchange.decide())
    return exchange.keep


_ACTIONS = {"close": _close, "hang": _hang, "delay": _delay, "answer": _answer,
            "members": _members, "redirect": _redirect, "cut": _cut, "bytes": _bytes,
            "chunks": _chunks, "informational": _informational, "revoke": _revoke}
