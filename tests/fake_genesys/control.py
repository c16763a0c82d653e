"""The control channel: plain HTTP with JSON on a Unix socket of mode 0600, to watch and steer the
fake while it runs."""

import json
import os
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from .clients import Client
from .faults import FaultError
from .settings import SettingError
from .tls import TlsError

BODY_MAX = 16 * 1024 * 1024


class Usage(ValueError):
    """The request names something unknown; the text says what is known."""


def _members(body: dict, **allowed) -> dict:
    """The body's members, each of its type, with the defaults of `allowed`; no others."""
    unknown = set(body) - set(allowed)
    if unknown:
        raise Usage(f"{', '.join(sorted(unknown))}: unknown; these are known: "
                    + (", ".join(allowed) or "none"))
    for name, value in body.items():
        kind = type(allowed[name])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise Usage(f"{name}: wrong type")
    return {**allowed, **body}


class Control:
    """The routes. Each takes the query and the JSON body, both dicts, and returns JSON."""

    def __init__(self, server, stop):
        self._server = server
        self._stop = stop
        self.routes = {
            ("GET", "/"): self.help, ("GET", "/log"): self.log, ("GET", "/wait"): self.wait,
            ("GET", "/stats"): self.stats, ("GET", "/time"): self.time,
            ("GET", "/settings"): self.settings, ("GET", "/tokens"): self.tokens,
            ("GET", "/connections"): self.connections, ("GET", "/clients"): self.clients,
            ("GET", "/faults"): self.faults,
            ("POST", "/set"): self.set, ("POST", "/step"): self.step,
            ("POST", "/fault"): self.fault, ("POST", "/faults/clear"): self.faults_clear,
            ("GET", "/logins"): self.logins, ("POST", "/logins/end"): self.logins_end,
            ("POST", "/revoke"): self.revoke, ("POST", "/client"): self.client,
            ("POST", "/client/remove"): self.client_remove, ("POST", "/tls"): self.tls,
            ("POST", "/listen"): self.listen,
            ("POST", "/connections/close"): self.connections_close,
            ("POST", "/reset"): self.reset, ("POST", "/stop"): self.stop,
        }

    def help(self, query, body):
        """this list"""
        return {f"{method} {path}": route.__doc__
                for (method, path), route in self.routes.items()}

    def log(self, query, body):
        """the requests received: ?since=NUMBER, kind=token, secrets=yes"""
        return self._server.record.entries(int(query.get("since", 0)), query.get("kind"),
                                           query.get("secrets") == "yes")

    def wait(self, query, body):
        """until ?count=N requests of kind=K came (answered=yes: are done), at most timeout=S"""
        done, reached = self._server.record.wait(
            query.get("kind", "any"), int(query.get("count", 1)), float(query.get("timeout", 10)),
            query.get("answered") == "yes")
        return {"reached": done, "count": reached}

    def stats(self, query, body):
        """counts: POSTs, HEADs, by kind and status, connections, live tokens by client"""
        return self._server.stats()

    def time(self, query, body):
        """the server's clock now, in seconds since 1970, and that of each cluster member"""
        members = [self._server.clock.read(node).now
                   for node in range(len(self._server.settings.clocks))]
        return {"time": members[0], "clocks": members,
                "api": members[0] + self._server.settings.api_clock_offset}

    def settings(self, query, body):
        """every setting's value"""
        return self._server.settings.as_dict()

    def tokens(self, query, body):
        """every token issued and its state; secrets=yes adds the texts"""
        now = self._server.clock.read().now + self._server.settings.api_clock_offset
        return [token.as_dict(now, self._server.settings, query.get("secrets") == "yes")
                for token in self._server.tokens.all()]

    def logins(self, query, body):
        """every login of a person: its code, its refresh tokens; secrets=yes adds the texts"""
        return [login.as_dict(query.get("secrets") == "yes")
                for login in self._server.logins.all()]

    def logins_end(self, query, body):
        """ends those of {"client": ID}, or all; their refresh tokens are refused from now on"""
        return {"ended": self._server.logins.end(_members(body, client="")["client"] or None)}

    def connections(self, query, body):
        """every connection: TLS version, requests, bytes inside TLS, how it failed"""
        return self._server.connections()

    def clients(self, query, body):
        """the OAuth clients, without their secrets"""
        return [{"id": client.id, "lifetime": client.lifetime, "disabled": client.disabled,
                 "public": client.secret is None, "redirect_uris": client.redirect_uris}
                for client in self._server.clients.all()]

    def faults(self, query, body):
        """the faults, and how often each was met"""
        return self._server.faults.as_list()

    def set(self, query, body):
        """changes settings: {"lifetime": 300, "clock_offset": -5}; all of them or none"""
        self._server.settings.update(body)
        return self._server.settings.as_dict()

    def step(self, query, body):
        """steps the clock: {"seconds": 30}"""
        self._server.clock.step(_members(body, seconds=0.0)["seconds"])
        return self.time({}, {})

    def fault(self, query, body):
        """adds a fault: {"kind": "token", "times": 1, "action": "close", ...}"""
        return self._server.faults.add(body).as_dict()

    def faults_clear(self, query, body):
        """forgets all faults"""
        return {"pending": self._server.faults.clear()}

    def revoke(self, query, body):
        """ends tokens: {"token": T} or {"fingerprint": F} or {"client": ID} or {"all": true}"""
        asked = _members(body, token="", fingerprint="", client="", all=False)
        if sum(bool(value) for value in asked.values()) != 1:
            raise Usage("exactly one of token, fingerprint, client, all is wanted")
        return {"revoked": self._server.tokens.revoke(
            asked["token"] or None, asked["fingerprint"] or None, asked["client"] or None)}

    def client(self, query, body):
        """adds or replaces one: {"id": I, "secret": S, "lifetime": 300, "disabled": false}"""
        try:
            self._server.clients.put(Client.from_json(body))
        except ValueError as error:
            raise Usage(str(error)) from None
        return self.clients({}, {})

    def client_remove(self, query, body):
        """removes one: {"id": I}"""
        if not self._server.clients.remove(_members(body, id="")["id"]):
            raise Usage("there is no client of that id")
        return self.clients({}, {})

    def tls(self, query, body):
        """for new connections: {"certificate": "expired", "lowest": "1.2", "highest": "1.3"}"""
        asked = _members(body, certificate="good", lowest="1.2", highest="1.3")
        self._server.set_tls(**asked)
        return asked

    def listen(self, query, body):
        """{"listen": false}: connections are refused; true: accepted again"""
        asked = _members(body, listen=True)
        self._server.listen(asked["listen"])
        return asked

    def connections_close(self, query, body):
        """ends every open connection"""
        return {"closed": self._server.close_connections()}

    def reset(self, query, body):
        """everything as right after the start; port and CA stay"""
        self._server.reset()
        return {}

    def stop(self, query, body):
        """ends the fake"""
        self._stop.set()
        return {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # header and body in one write

    def do_GET(self):
        self._do("GET")

    def do_POST(self):
        self._do("POST")

    def _do(self, method):
        status, answer = self._route(method)
        data = json.dumps(answer, default=str).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _route(self, method):
        parts = urlsplit(self.path)
        route = self.server.control.routes.get((method, parts.path))
        try:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 <= length <= BODY_MAX:
                raise Usage("the body is too large")
            text = self.rfile.read(length)
            if route is None:
                return 404, {"error": f"no {method} {parts.path} here; GET / lists what is"}
            body = json.loads(text) if text.strip() else {}
            if not isinstance(body, dict):
                raise Usage("the body has to be a JSON object")
            return 200, route(dict(parse_qsl(parts.query)), body)
        except (ValueError, SettingError, FaultError, TlsError) as error:
            return 400, {"error": str(error)}
        except OSError as error:
            return 500, {"error": str(error)}

    def log_message(self, *_):
        pass


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # who asked is gone; there is nobody left to tell


class ControlChannel:
    def __init__(self, path: str, control: Control):
        self.path = os.path.abspath(path)
        if os.path.exists(self.path):
            os.unlink(self.path)
        before = os.umask(0o177)
        try:
            self._server = _UnixServer(self.path, _Handler)
        finally:
            os.umask(before)
        self._server.control = control
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,),
                                        daemon=True, name="control")
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        if os.path.exists(self.path):
            os.unlink(self.path)
