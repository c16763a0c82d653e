"""The command line: options out of the table of settings, start, readiness, end."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading

from .clients import Client, Clients
from .control import Control, ControlChannel
from .server import Server
from .settings import GROUPS, SettingError, Settings
from .tls import Authority, TlsError

DEFAULT_CLIENT = Client("fake-client", "fake-secret:+/%")

DESCRIPTION = """\
A fake Genesys Cloud: its login server (POST /oauth/token for client credentials, codes and refresh
tokens, and the page /oauth/authorize where a person allows them) and a few resources of its API, over
TLS with a certificate authority of its own, for tests and CI. Tokens are worth nothing anywhere
else."""

EPILOG = """\
example:
  python3 tests/fake_genesys --port 8443 --dir /tmp/fake --control /tmp/fake/control.sock &
  curl --cacert /tmp/fake/ca.pem -u fake-client:fake-secret%3A%2B%2F%25 \\
       -d grant_type=client_credentials https://localhost:8443/oauth/token
  curl --unix-socket /tmp/fake/control.sock http://fake/stats
  curl --unix-socket /tmp/fake/control.sock http://fake/set -d '{"clock_offset": 30}'

The id and the secret are form-encoded before they go into the Authorization header, as RFC 6749
wants it. Every setting can be changed while the fake runs, over the control channel; there a name
has _ where the option has -. More in docs/fake-genesys.md."""


def _client(text: str) -> Client:
    client_id, colon, secret = text.partition(":")
    if not colon or not client_id:
        raise argparse.ArgumentTypeError("ID:SECRET is wanted")
    return Client(client_id, secret)


def _clients_file(path: str) -> list[Client]:
    try:
        with open(path, encoding="utf-8") as file:
            listed = json.load(file)
        if not isinstance(listed, list):
            raise ValueError("a JSON array of clients is wanted")
        return [Client.from_json(item) for item in listed]
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fake_genesys", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    basic = parser.add_argument_group("where")
    basic.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS",
                       help="the address to listen on (default %(default)s)")
    basic.add_argument("--port", type=int, default=0, metavar="N",
                       help="0: any that is free, which is the default")
    basic.add_argument("--host", default="localhost", metavar="NAME",
                       help="the name to use in URLs: localhost (default), 127.0.0.1, or one "
                       "that clients have been told to find this machine by")
    basic.add_argument("--dir", metavar="DIR",
                       help="for ca.pem and the other certificates and keys; a CA found there is "
                       "used again (default: a temporary directory, removed at the end)")
    basic.add_argument("--control", metavar="PATH",
                       help="a Unix socket to watch and control the fake")
    basic.add_argument("--ready-fd", type=int, metavar="N",
                       help="write a line of JSON (url, token_url, authorize_url, api_url, "
                       "port, ca_file, control, pid) to this descriptor once connections are accepted")
    basic.add_argument("--ready-file", metavar="FILE", help="the same into a file")
    basic.add_argument("--exit-on-eof", action="store_true",
                       help="end when standard input does: no fake outlives its test")
    basic.add_argument("--quiet", action="store_true", help="no line per request on stderr")
    who = parser.add_argument_group("clients")
    who.add_argument("--client", type=_client, action="append", metavar="ID:SECRET",
                     help="an OAuth client; may be repeated (default "
                     f"{DEFAULT_CLIENT.id}:{DEFAULT_CLIENT.secret.replace('%', '%%')})")
    who.add_argument("--public-client", type=lambda text: Client(text, None), action="append",
                     metavar="ID", help="one that has no secret; may be repeated")
    who.add_argument("--clients-file", type=_clients_file, metavar="FILE",
                     help='a JSON array of {"id", "secret", "lifetime", "disabled", '
                     '"redirect_uris"}; the last three may be left out')
    for group in GROUPS:
        part = parser.add_argument_group(group.title)
        for setting in group.settings:
            part.add_argument("--" + setting.name.replace("_", "-"), dest="set_" + setting.name,
                              metavar=setting.metavar, help=setting.help)
    return parser


def _write_ready(options, ready: dict) -> None:
    line = json.dumps(ready) + "\n"
    if options.ready_fd is not None:
        with os.fdopen(options.ready_fd, "w") as file:
            file.write(line)
    if options.ready_file is not None:
        made = options.ready_file + ".new"
        with open(made, "w", encoding="utf-8") as file:
            file.write(line)
        os.replace(made, options.ready_file)  # never seen half written


def _stop_at_eof(stop: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    stop.set()


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = Settings({name.removeprefix("set_"): value
                             for name, value in vars(options).items()
                             if name.startswith("set_") and value is not None})
    except SettingError as error:
        parser.error(str(error))
    listed = (options.client or []) + (options.public_client or []) + (options.clients_file or [])
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    directory = options.dir or tempfile.mkdtemp(prefix="fake-genesys-")
    try:
        return _run(options, settings, listed or [DEFAULT_CLIENT], directory, stop)
    except (OSError, TlsError) as error:
        print(f"fake_genesys: {error}", file=sys.stderr)
        return 1
    finally:
        if options.dir is None:
            shutil.rmtree(directory, ignore_errors=True)


def _run(options, settings, listed, directory: str, stop: threading.Event) -> int:
    server = Server(settings, Clients(listed), Authority(directory, options.host), options.bind,
                    options.port, options.host, verbose=not options.quiet)
    server.listen(True)
    channel = ControlChannel(options.control, Control(server, stop)) if options.control else None
    ready = {"url": server.url, "token_url": server.url + "/oauth/token", "api_url": server.url,
             "port": server.port, "ca_file": server.authority.ca_file,
             "authorize_url": server.url + "/oauth/authorize", "control": channel and channel.path, "clients": [client.id for client in listed],
             "pid": os.getpid()}
    print(f"fake Genesys Cloud at {server.url} (login and API)\n"
          f"  CA certificate: {server.authority.ca_file}\n"
          f"  OAuth clients:  {', '.join(ready['clients'])}\n"
          f"  control socket: {ready['control'] or 'none'}", flush=True)
    _write_ready(options, ready)
    if options.exit_on_eof:
        threading.Thread(target=_stop_at_eof, args=(stop,), daemon=True).start()
    stop.wait()
    if channel is not None:
        channel.stop()
    server.stop()
    print("fake Genesys Cloud ended", flush=True)
    return 0
