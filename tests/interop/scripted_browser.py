"""A browser without a screen: it keeps cookies, goes where it is sent, and fills in the forms of
oidc-provider's own pages as a person would."""

import html.parser
import http.client
import http.cookies
import ssl
from urllib.parse import urlencode, urljoin, urlsplit

from oidc import OidcServer
from waiting import PATIENCE

STEPS = 12


class _Page(html.parser.HTMLParser):
    """The first form of a page, and where its links lead."""

    def __init__(self, text: str):
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self._link: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = found["action"]
        elif tag == "input" and found.get("name"):
            self.fields[found["name"]] = found.get("value") or ""
        elif tag == "a":
            self._link = found.get("href")

    def handle_data(self, data):
        if self._link:
            self.links[data.strip()] = self._link
            self._link = None


class ScriptedBrowser:
    """One person at one browser. It talks to the login server alone: where that sends it elsewhere,
    it has landed."""

    def __init__(self, server: OidcServer, person: str = "alice"):
        self._server, self._person = server, person
        self._cookies: dict[tuple[str, str], str] = {}  # (path, name)
        self.pages = 0

    def land(self, url: str, consent: bool = True) -> str:
        """Where it is sent in the end."""
        method, body = "GET", ""
        for _ in range(STEPS):
            if not url.startswith(self._server.url + "/"):
                return url
            status, location, text = self._ask(method, url, body)
            if location:
                url, method, body = urljoin(url, location), "GET", ""
                continue
            assert status == 200, f"the login server says {status}: {text[:500]}"
            self.pages += 1
            page = _Page(text)
            if not consent:
                url = urljoin(url, page.links["[ Cancel ]"])
                continue
            filled = {"login": self._person, "password": "x"}
            method, url = "POST", urljoin(url, page.action)
            body = urlencode({name: filled.get(name, value)
                              for name, value in page.fields.items()})
        raise AssertionError(f"the browser is nowhere after {STEPS} steps")

    def _ask(self, method: str, url: str, body: str) -> tuple[int, str | None, str]:
        parts = urlsplit(url)
        headers = {"Cookie": "; ".join(f"{name}={value}" for (path, name), value
                                       in self._cookies.items() if parts.path.startswith(path))}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPSConnection(
            "localhost", self._server.port, timeout=30 * PATIENCE,
            context=ssl.create_default_context(cafile=self._server.ca_file))
        try:
            connection.request(method, parts.path + ("?" + parts.query if parts.query else ""),
                               body.encode() or None, headers)
            response = connection.getresponse()
            for line in response.headers.get_all("Set-Cookie") or []:
                for name, morsel in http.cookies.SimpleCookie(line).items():
                    key = (morsel["path"] or "/", name)
                    self._cookies.pop(key, None)
                    if morsel.value:
                        self._cookies[key] = morsel.value
            return response.status, response.headers["Location"], response.read().decode()
        finally:
            connection.close()
