"""OAuth clients, and who a token request proves to be from."""

import base64
import binascii
import hmac
import threading
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_plus


@dataclass(frozen=True)
class Client:
    id: str
    secret: str | None  # None: a public client, which has nothing to prove itself with
    lifetime: int | None = None
    disabled: bool = False
    redirect_uris: tuple[str, ...] | None = None  # None: any http address of the loopback interface

    @staticmethod
    def from_json(value) -> "Client":
        if not isinstance(value, dict) or set(value) - {"id", "secret", "lifetime", "disabled",
                                                        "redirect_uris"}:
            raise ValueError("a client is an object of id, secret, lifetime, disabled and "
                             "redirect_uris")
        uris = value.get("redirect_uris")
        if uris is not None and (not isinstance(uris, list)
                                 or not all(isinstance(one, str) for one in uris)):
            raise ValueError("a client's redirect_uris are a list of texts")
        client = Client(value.get("id"), value.get("secret"), value.get("lifetime"),
                        value.get("disabled", False), None if uris is None else tuple(uris))
        if not isinstance(client.id, str) or not client.id or "secret" not in value \
                or not isinstance(client.secret, str | None):
            raise ValueError("a client has an id and a secret, both texts (a public client's "
                             "secret is null)")
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

    def find(self, client_id: str) -> Client | None:
        with self._lock:
            return self._now.get(client_id)

    def authenticate(self, authorization: str | None, body: bytes = b""
                     ) -> tuple[str, Client | None, str]:
        """(verdict, client, the id it gave); the verdict is one of `ok`, `missing`, `malformed`,
        `unknown client`, `wrong secret`, `disabled client`. The client is None unless ok. A public
        client only names itself, in the body."""
        if authorization is None:
            return self._named_in(body)
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
        client = self.find(client_id)
        if client is None:
            return "unknown client", None, client_id
        if client.secret is None:
            return "wrong secret", None, client_id  # it has none, so it sent another's
        if not hmac.compare_digest(client.secret.encode(), secret.encode()):
            return "wrong secret", None, client_id
        if client.disabled:
            return "disabled client", None, client_id
        return "ok", client, client_id

    def _named_in(self, body: bytes) -> tuple[str, Client | None, str]:
        client_id = parse_qs(body.decode("latin-1")).get("client_id", [""])[0]
        client = self.find(client_id)
        if client is None or client.secret is not None:
            return "missing", None, client_id if client else ""
        if client.disabled:
            return "disabled client", None, client_id
        return "ok", client, client_id
