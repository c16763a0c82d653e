"""A profile that people log in to at oidc-provider, and all that a test does with it."""

import base64
import os
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

from browser_file import browser, called_with, sent_on_to
from daemon import Daemon
from login_process import LoginProcess, come_back, free_port
from oidc import OidcServer
from scripted_browser import ScriptedBrowser
from test_grants import call
from unix_http import Answer

PUBLIC = {"id": "people-public", "secret": None, "redirect_uris": ["http://127.0.0.1/callback"]}
CONFIDENTIAL = {"id": "people:+/%", "secret": "s3cr3t:+/%",
                "redirect_uris": ["http://127.0.0.1/callback", "http://localhost/callback"]}


def login_profile(server: OidcServer, client: dict, **keys: Any) -> dict[str, Any]:
    """For the daemon fixture's `profile`. The port is none of those registered: RFC 8252, 7.3. This
    server lets nobody in who asks for no scope; with `openid` an id_token comes along."""
    return {"scope": "openid read",
            "grant": "authorization_code", "client_id": client["id"], "secret": client["secret"],
            "redirect_uri": f"http://127.0.0.1:{free_port()}/callback", **keys}


def log_in(server: OidcServer, d: Daemon, consent: bool = True) -> tuple[LoginProcess, str]:
    """By the command and a browser: the command, which has ended, and the page it showed."""
    note = browser(d.directory, "browser")
    one = LoginProcess(d.socket, BROWSER=note, XDG_RUNTIME_DIR=d.directory)
    try:
        landing = ScriptedBrowser(server).land(sent_on_to(called_with(note)[0]), consent)
        status, _, page = come_back(landing)
        assert status == 200
        one.wait()
    finally:
        one.end()
        os.remove(note + ".args")  # for the next one
    d.assert_no_leak(one.stdout + one.stderr, "what gctoken login says")
    return one, page


def log_in_quickly(server: OidcServer, d: Daemon) -> None:
    """By the daemon's own routes, for tests that are about what comes after."""
    begun = d.post("/v1/login?profile=default").json
    query = dict(parse_qsl(urlsplit(ScriptedBrowser(server).land(begun["authorize_url"])).query))
    answer = d.post("/v1/login/finish?" + urlencode({"profile": "default", **query}))
    assert answer.status == 200, answer


def ask_for_tokens(server: OidcServer, client: dict, **form: str) -> Answer:
    """A token request of that client that is not the daemon's: a thief's, say."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if client["secret"] is None:
        form["client_id"] = client["id"]
    else:
        pair = f"{quote_plus(client['id'])}:{quote_plus(client['secret'])}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return call(server, "POST", "/oauth/token", headers, urlencode(form))
