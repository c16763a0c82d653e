"""OAuth clients, and who a token request's Authorization header proves to be."""

import base64
import binascii
import hmac
import threading
from dataclasses import dataclass
from urllib.parse import unquote_plus


@dataclass(frozen=True)
class Client:
    id: str
    secret: str
    lifetime: int | None = None
    disabled: bool = False

    @staticmethod
    def from_json(value) -> "Client":
        if not isinstance(value, dict) or set(value) - {"id", "secret", "lifetime", "disabled"}:
            raise ValueError("a client is an object of id, secret, lifetime and disabled")
        client = Client(value.get("id"), value.get("secret"), value.get("lifetime"),
                        value.get("disabled", False))
        if not isinstance(client.id, str) or not isinstance(client.secret, str) or not client.id:
            raise ValueError("a client has an id and a secret, both texts")
        if client.lifetime is not None and (type(client.lifetime) is not int
                                            or client.lifetime < 0):
            raise ValueError("a client's lifetime is a whole number of seconds")
        if not isinstance(client.disabled, bool):
            raise ValueError("a client's disabled is true or false")
        return client


class Clients:
    def __init__(self, clients: list[Client]):
        self._lock = threading.Lock()
        self._start = {client.id: client for client in clients}
        self._now = dict(self._start)

    def put(self, client: Client) -> None:
        """Adds it, or replaces the one of that id."""
        with self._lock:
            self._now[client.id] = client

    def remove(self, client_id: str) -> bool:
        with self._lock:
            return self._now.pop(client_id, None) is not None

    def reset(self) -> None:
        with self._lock:
            self._now = dict(self._start)

    def all(self) -> list[Client]:
        with self._lock:
            return list(self._now.values())

    def authenticate(self, authorization: str | None) -> tuple[str, Client | None, str]:
        """(verdict, client, the id it gave); the verdict is one of `ok`, `missing`, `malformed`,
        `unknown client`, `wrong secret`, `disabled client`. The client is None unless ok."""
        if authorization is None:
            return "missing", None, ""
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return "malformed", None, ""
        try:
            pair = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            return "malformed", None, ""
        raw_id, colon, raw_secret = pair.partition(":")
        if not colon:
            return "malformed", None, ""
        # RFC 6749 section 2.3.1: both were form-encoded before they were joined.
        client_id, secret = unquote_plus(raw_id), unquote_plus(raw_secret)
        with self._lock:
            client = self._now.get(client_id)
        if client is None:
            return "unknown client", None, client_id
        if not hmac.compare_digest(client.secret.encode(), secret.encode()):
            return "wrong secret", None, client_id
        if client.disabled:
            return "disabled client", None, client_id
        return "ok", client, client_id
