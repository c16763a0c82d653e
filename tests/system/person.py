"""A person at a browser, as far as a login needs one: opens the login page, says yes, and lands at
the program that waits on the loopback interface."""

import http.client
import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from fake import Fake
from waiting import PATIENCE


@dataclass
class Landing:
    """Where the login server sent the browser. `query` holds code and state, or error and state;
    a failed assertion must not print them."""

    uri: str = field(repr=False)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.uri).query, True))


class Refusal(AssertionError):
    """The login server sent the browser nowhere, but told the person why."""


def allow(fake: Fake, authorize_url: str) -> Landing:
    """Opens the page of that URL with whatever consent the fake is set to (but `asked`)."""
    parts = urlsplit(authorize_url)
    assert f"{parts.scheme}://{parts.netloc}" == fake.url, "the URL is not of this login server"
    connection = http.client.HTTPSConnection(
        "localhost", fake.port, timeout=30 * PATIENCE,
        context=ssl.create_default_context(cafile=fake.ca_file))
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 302:
        raise Refusal(f"{response.status}: {body.decode()}")
    return Landing(response.headers["Location"])
