"""`gctoken login` and `logout` against a daemon that answers what a test tells it to: the browser that
comes back, the address that is pasted, and each way in which it can go wrong."""

import collections
import contextlib
import json
import os
import signal
import socket
import stat
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from browser_file import browser, called_with, file_of, sent_on_to
from login_process import QUIET, LoginProcess, come_back, free_port
from scripted_daemon import answer, folder, problem, run, scripted  # noqa: F401
from waiting import wait_until

pytestmark = pytest.mark.usefixtures("gctoken")

STATE = "Zm9yLXRoaXMtbG9naW4tYWxvbmUtYW5kLW5vLW90aGVy-_"
CODE = "canary-code~1/2+3 4"
URL = "https://login.example/oauth/authorize?response_type=code&state=" + STATE
DONE = {"profile": "default", "state": "fresh", "expires_in": 86395, "login_ends_in": None}


def begun(port: int, **changes) -> bytes:
    members = {"profile": "default", "authorize_url": URL, "state": STATE, "expires_in": 600,
               "redirect_uri": f"http://127.0.0.1:{port}/callback", **changes}
    return answer(200, json.dumps({name: value for name, value in members.items()
                                   if value is not None}) + "\n")


def done(**more) -> bytes:
    return answer(200, json.dumps({**DONE, **more}) + "\n")


def finish_of(daemon) -> dict[str, str]:
    """The parameters of the one request that ended the login."""
    lines = [line for line in daemon.lines() if "/login/finish" in line]
    assert len(lines) == 1, f"{len(lines)} of {len(daemon.lines())} requests end a login"
    method, target, _ = lines[0].split(" ")
    assert method == "POST"
    query = parse_qs(urlsplit(target).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in query.values())
    return {name: values[0] for name, values in query.items()}


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def login(folder):
    """A factory: login("--json", BROWSER="...") runs it until the test ends."""
    started = []

    def start(*arguments, **more) -> LoginProcess:
        started.append(LoginProcess(os.path.join(folder, "sock"), *arguments, **more))
        return started[-1]

    yield start
    for one in started:
        one.end()


def shows_no_code(one) -> None:
    assert "canary" not in one.stdout + one.stderr


# The browser comes back.

def test_a_login_from_the_address_to_the_page(folder, scripted, login, port):
    daemon = scripted(begun(port), done())
    one = login()
    assert one.url() == URL
    status, headers, page = come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE,
                                      iss="https://login.example", session_state="x")
    assert one.wait() == 0, one.stderr
    assert status == 200 and "You are logged in" in page and "<b>default</b>" in page
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
    assert "http" not in page and CODE not in page and STATE not in page
    assert daemon.lines()[0] == "POST /v1/login?profile=default HTTP/1.1"
    assert finish_of(daemon) == {"profile": "default", "state": STATE, "code": CODE,
                                 "iss": "https://login.example"}
    assert "default: logged in." in one.stdout
    shows_no_code(one)


def test_the_profile_is_the_one_that_was_named(scripted, login, port):
    daemon = scripted(begun(port), done())
    one = login("--profile", "people")
    one.url()
    _, _, page = come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE)
    assert one.wait() == 0
    assert "<b>people</b>" in page and "people: logged in." in one.stdout
    assert finish_of(daemon)["profile"] == "people"


def test_how_long_a_login_lasts_that_cannot_be_prolonged(scripted, login, port):
    scripted(begun(port), done(login_ends_in=27 * 3600))
    one = login()
    one.url()
    come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE)
    assert one.wait() == 0
    assert "This login lasts 27h" in one.stdout and "log in again" in one.stdout


def test_json_is_the_daemons_two_answers(scripted, login, port):
    scripted(begun(port), done())
    one = login("--json")
    one.url()
    come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE)
    assert one.wait() == 0
    first, second = (json.loads(line) for line in one.stdout.splitlines())
    assert first["state"] == STATE and second == DONE
    assert "Waiting" in one.stderr
    shows_no_code(one)


@pytest.mark.parametrize("host, ways", [
    ("127.0.0.1", ["127.0.0.1"]), ("[::1]", ["[::1]"]), ("localhost", ["127.0.0.1", "[::1]"]),
    ("127.9.8.7", ["127.9.8.7"])])
def test_it_listens_where_the_browser_is_sent(scripted, login, port, host, ways):
    uri = f"http://{host}:{port}/a/b?c=d"
    scripted(begun(port, redirect_uri=uri), done(), begun(port, redirect_uri=uri), done())
    for way in ways:
        if way == "[::1]" and not os.path.exists("/proc/net/if_inet6"):
            pytest.skip("no IPv6 on this machine")
        one = login()
        one.url()
        for other in {"127.0.0.1", "127.9.8.7"} - set(ways):
            with pytest.raises(ConnectionRefusedError):
                come_back(f"http://{other}:{port}/a/b")
        status, _, _ = come_back(f"http://{way}:{port}/a/b?c=d", {"Host": f"{host}:{port}"},
                                 code=CODE, state=STATE)
        assert (status, one.wait()) == (200, 0)


def raw(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(sent)
        connection.settimeout(30)
        got = b""
        while data := connection.recv(65536):
            got += data
        return got


GOOD = f"code=x&state={STATE}"


# Each kind once: the rest is in tests/unit/test_client_redirect.c.
@pytest.mark.parametrize("sent", [
    "GET /favicon.ico HTTP/1.1\r\nHost: {host}\r\n\r\n",
    f"POST /callback?{GOOD} HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: 0\r\n\r\n",
    f"GET /callback?{GOOD} HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    f"GET /callback?code=x&state={STATE}x HTTP/1.1\r\nHost: {{host}}\r\n\r\n",
    "\x16\x03\x01 TLS\r\n\r\n", f"GET /{'x' * 40000}"])
def test_anything_else_gets_a_plain_404_and_it_keeps_listening(scripted, login, port, sent):
    scripted(begun(port), done())
    one = login()
    one.url()
    got = raw(port, sent.replace("{host}", f"127.0.0.1:{port}").encode())
    assert got.startswith(b"HTTP/1.1 404 Not Found\r\n") and got.endswith(b"\r\n\r\nnot found\n")
    status, _, _ = come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE)
    assert (status, one.wait()) == (200, 0)


def test_a_wrong_state_is_said_once(scripted, login, port):
    scripted(begun(port), done())
    one = login()
    one.url()
    for _ in range(3):
        status, _, page = come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state="other")
        assert (status, page) == (404, "not found\n")
    come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE)
    assert one.wait() == 0
    assert one.stderr.count("whose state is not this login's") == 1
    shows_no_code(one)


def test_visitors_who_say_nothing_keep_nobody_out(scripted, login, port):
    scripted(begun(port), done())
    one = login()
    one.url()
    silent = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(40)]
    slow = socket.create_connection(("127.0.0.1", port), 30)
    slow.sendall(f"GET /callback?code=x&state={STATE} HTTP/1.1\r\n".encode())
    status, _, _ = come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE)
    assert (status, one.wait()) == (200, 0)
    for connection in [*silent, slow]:
        connection.close()


@pytest.mark.parametrize("kind", ["silent", "endless", "hasty"])
def test_a_busy_port_keeps_nobody_out(scripted, login, port, kind):
    """Other users' programs that come as often as they can, and say nothing, or never end."""
    scripted(begun(port), done())
    one = login()
    one.url()
    end = threading.Event()
    visits = []

    def visit() -> None:
        held = collections.deque(maxlen=300)
        while not end.is_set():
            with contextlib.suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", port), 30)
                visits.append(kind)
                if kind == "hasty":
                    connection.close()
                    continue
                held.append(connection)
                while kind == "endless":
                    connection.sendall(b"x" * (1 << 20))
        for connection in held:
            connection.close()

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    try:
        wait_until(lambda: len(visits) >= (20 if kind == "endless" else 1000), "many visits")
        begun_at = time.monotonic()
        status, _, _ = come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE)
        assert (status, one.wait()) == (200, 0)
        print(f"after {len(visits)} visits: {time.monotonic() - begun_at:.3f} s")
    finally:
        end.set()
        for visitor in visitors:
            visitor.join()


def test_a_request_in_pieces(scripted, login, port):
    daemon = scripted(begun(port), done())
    one = login()
    one.url()
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        for byte in (f"GET /callback?code=x&state={STATE} HTTP/1.1\r\n"
                     f"hOST:\t127.0.0.1:{port} \r\nCookie: {'c' * 9000}\r\n\r\n"):
            connection.send(byte.encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert one.wait() == 0
    assert finish_of(daemon)["code"] == "x"


# It does not work out.

@pytest.mark.parametrize("words", ["The user denied it", "\x1b[31mred\x07 <b>", "", "x" * 3000])
def test_denied_consent(scripted, login, port, words):
    daemon = scripted(begun(port), problem(400, "login_failed", "daemon's words"))
    one = login()
    one.url()
    status, _, page = come_back(f"http://127.0.0.1:{port}/callback", error="access_denied",
                                error_description=words, state=STATE)
    assert one.wait() == 1
    assert status == 200 and "You are not logged in" in page
    assert "denied" not in page and "<b>default</b>" in page
    assert "not allowed at the login page: access_denied" in one.stderr
    assert "right account" in one.stderr and "\x1b" not in one.stderr
    assert ("The user denied it" in one.stderr) == (words == "The user denied it")
    assert finish_of(daemon) == {"profile": "default", "state": STATE, "error": "access_denied"}


@pytest.mark.parametrize("reply, code, words", [
    (problem(400, "invalid_request", "This login has ended."), 1, "This login has ended"),
    (problem(503, "login_required", "Genesys said: code expired (invalid_grant)"), 1,
     "code expired"),
    (problem(503, "temporarily_unavailable", "No answer."), 75, "No answer"),
    (problem(403, "access_denied", "Not you."), 77, "login_users"),
    (problem(504, "timeout", "Too slow."), 75, "Too slow"),
    (None, 69, "closed the connection")])
def test_the_daemon_cannot_finish_it(scripted, login, port, reply, code, words):
    scripted(begun(port), reply)
    one = login()
    one.url()
    status, _, page = come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE)
    assert one.wait() == code
    assert words in one.stderr and "logged in" not in one.stdout
    assert status == 200 and "did not work" in page
    shows_no_code(one)


def test_a_port_that_another_program_has(scripted, login, port):
    scripted(begun(port, redirect_uri=f"http://localhost:{port}/callback"))
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as other:
            other.bind((address, port))
            other.listen()
            one = login()
            assert one.wait() == 1
    assert f"port {port} of localhost" in one.stderr and "--no-browser" in one.stderr


def test_nobody_comes_back(scripted, login, port):
    scripted(begun(port, expires_in=1))
    one = login("--profile", "people")
    assert one.wait() == 1
    assert "nobody came back" in one.stderr and "within 1s" in one.stderr
    assert "gctoken --profile people login" in one.stderr


@pytest.mark.parametrize("reply, code, words", [
    (problem(403, "access_denied", "Not you."), 77, "login_users"),
    (problem(404, "unknown_profile", "No such profile."), 78, "gctoken status"),
    (problem(400, "invalid_request", "This profile has no login."), 2, "has no login"),
    (problem(429, "too_many_requests", "Too many logins."), 75, "Too many"),
    (begun(1, authorize_url="http://login.example/"), 1, "makes no sense"),
    (begun(1, authorize_url="javascript:alert(1)"), 1, "makes no sense"),
    (begun(1, authorize_url=URL + "\x1b[2J"), 1, "makes no sense"),
    (begun(1, authorize_url=URL + "x" * 5000), 1, "makes no sense"),
    (begun(1, redirect_uri="nowhere"), 1, "makes no sense"),
    (begun(1, state=None), 1, "makes no sense"), (begun(1, expires_in=0), 1, "makes no sense"),
    (answer(200, "[]"), 1, "makes no sense")])
def test_it_cannot_begin(folder, scripted, reply, code, words):
    scripted(reply)
    result = run(folder, "login", env=QUIET)
    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr


def test_no_daemon(folder):
    for command in ("login", "logout"):
        result = run(folder, command, env=QUIET)
        assert result.returncode == 69 and "cannot reach the daemon" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_is_given_up(scripted, login, port, number):
    scripted(begun(port))
    one = login()
    one.url()
    wait_until(lambda: "Waiting" in one.stdout, "that it waits")
    one.process.send_signal(number)
    assert one.wait() == -number
    with pytest.raises(ConnectionRefusedError):
        come_back(f"http://127.0.0.1:{port}/")


def test_a_signal_that_was_ignored_stays_so(scripted, login, port):
    scripted(begun(port), done())
    one = login(wrap=("env", "--ignore-signal=HUP"))
    one.url()
    wait_until(lambda: "Waiting" in one.stdout, "that it waits")
    one.process.send_signal(signal.SIGHUP)
    status, _, _ = come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE)
    assert (status, one.wait()) == (200, 0)


# Browsers.

@pytest.mark.parametrize("form, arguments", [
    ("{0}", [URL]), ("{0} --new-window %s --x", ["--new-window", URL, "--x"]),
    ("/nonexistent/b:{0} -n", ["-n", URL]), ("::{0}", [URL])])
def test_the_browser_that_is_named(folder, scripted, login, port, form, arguments):
    scripted(begun(port), done())
    path = browser(folder, "browser")
    one = login(BROWSER=form.format(path))
    one.url()
    called = called_with(path)
    at = arguments.index(URL)
    assert sent_on_to(called[at]) == URL
    assert called[:at] + called[at + 1:] == arguments[:at] + arguments[at + 1:]
    wait_until(lambda: "A browser should open" in one.stdout, "the words for it")


@pytest.mark.parametrize("desktop", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_the_desktops_browser(folder, scripted, login, port, desktop):
    scripted(begun(port), done())
    path = browser(folder, "xdg-open")
    one = login(PATH=f"{folder}:{os.environ['PATH']}", **{desktop: ":0"})
    one.url()
    assert [sent_on_to(argument) for argument in called_with(path)] == [URL]


def test_no_desktop_no_browser(folder, scripted, login, port):
    scripted(begun(port), done())
    path = browser(folder, "xdg-open")
    one = login(PATH=f"{folder}:{os.environ['PATH']}")
    one.url()
    wait_until(lambda: "Waiting" in one.stdout, "that it waits")
    assert not os.path.exists(path + ".args")
    assert "Open this address in a browser" in one.stdout and "ssh -L" in one.stdout


def test_no_shell_sees_the_address(folder, scripted, login, port):
    odd = URL + "&x=$(touch$IFS" + folder + "/bad);`id`'|*"
    scripted(begun(port, authorize_url=odd), done())
    path = browser(folder, "browser")
    one = login(BROWSER=path)
    one.url()
    assert [sent_on_to(argument) for argument in called_with(path)] == [odd]
    assert not os.path.exists(folder + "/bad")


def test_an_address_is_no_part_of_the_page(folder, scripted, login, port):
    odd = URL + '&x="><script>alert(1)</script>&amp;y=&#34;'
    scripted(begun(port, authorize_url=odd), done())
    path = browser(folder, "browser")
    login(BROWSER=path).url()
    argument, = called_with(path)
    assert sent_on_to(argument) == odd
    with open(file_of(argument), encoding="utf-8") as file:
        assert "<script" not in file.read()


def test_no_process_shows_the_address(folder, scripted, login, port):
    """Of all that run meanwhile, the browser and what it starts included."""
    scripted(begun(port), done())
    path = os.path.join(folder, "browser")
    with open(path, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nsleep 60 & echo $$ $! >"{path}.new"\nmv "{path}.new" "{path}.args"\nwait\n')
    os.chmod(path, stat.S_IRWXU)
    one = login(BROWSER=path)
    one.url()
    running = [int(pid) for pid in called_with(path)[0].split()]
    seen = 0
    for pid in [one.process.pid, *running]:
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as file:
                said = file.read()
            assert STATE.encode() not in said and b"login.example" not in said
            seen += b"file://" in said
    assert seen >= 1  # the browser's, or this looked at nothing
    for pid in running:
        os.kill(pid, signal.SIGTERM)


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_where_the_file_is(folder, scripted, login, port, variable):
    scripted(begun(port), done())
    path = browser(folder, "browser")
    mine = os.path.join(folder, "my files%")
    os.mkdir(mine, 0o700)
    unusable = {"XDG_RUNTIME_DIR": "/nonexistent/run", "TMPDIR": "relative"}
    login(BROWSER=path, **{**unusable, variable: mine}).url()
    argument, = called_with(path)
    assert sent_on_to(argument) == URL and os.path.dirname(file_of(argument)) == mine


@pytest.mark.skipif(os.geteuid() != 0, reason="folders of others take root")
@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR"])
@pytest.mark.parametrize("owner, mode, fit", [
    (54321, 0o700, False), (54321, 0o1777, False), (0, 0o770, False), (0, 0o777, False),
    (0, 0o1777, True), (0, 0o755, True)])
def test_the_file_is_in_no_folder_of_others(folder, scripted, login, port, variable, owner, mode, fit):
    """Which sudo leaves in the environment: there somebody could put another page in its place."""
    scripted(begun(port), done())
    path = browser(folder, "browser")
    theirs = os.path.join(folder, "theirs")
    os.mkdir(theirs)
    os.chmod(theirs, mode)
    os.chown(theirs, owner, owner)
    login(BROWSER=path, **{"XDG_RUNTIME_DIR": "", "TMPDIR": "", variable: theirs}).url()
    argument, = called_with(path)
    assert sent_on_to(argument) == URL
    assert os.path.dirname(file_of(argument)) == (theirs if fit else "/tmp")


@pytest.mark.parametrize("how", ["logged in", "refused", "given up", "terminated"])
def test_the_file_does_not_stay(folder, scripted, login, port, how):
    scripted(begun(port), done())
    path = browser(folder, "browser")
    mine = os.path.join(folder, "tmp")
    os.mkdir(mine, 0o700)
    one = login(BROWSER=path, XDG_RUNTIME_DIR=mine)
    one.url()
    argument, = called_with(path)
    assert sent_on_to(argument) == URL and os.listdir(mine) == [os.path.basename(file_of(argument))]
    if how == "logged in":
        come_back(f"http://127.0.0.1:{port}/callback", code=CODE, state=STATE)
    elif how == "refused":
        come_back(f"http://127.0.0.1:{port}/callback", error="access_denied", state=STATE)
    else:
        one.process.send_signal(signal.SIGINT if how == "given up" else signal.SIGTERM)
    one.wait()
    assert os.listdir(mine) == []


def test_ctrl_c_ends_no_browser(folder, scripted, login, port):
    scripted(begun(port))
    path = os.path.join(folder, "browser")
    with open(path, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\necho $$ >"{path}.new"\nmv "{path}.new" "{path}.args"\nexec sleep 30\n')
    os.chmod(path, stat.S_IRWXU)
    one = login(BROWSER=path)
    one.url()
    pid = int(called_with(path)[0])
    assert os.getsid(pid) not in (os.getsid(0), one.process.pid)
    wait_until(lambda: "Waiting" in one.stdout, "that it waits")
    one.process.send_signal(signal.SIGINT)
    assert one.wait() == -signal.SIGINT
    os.kill(pid, signal.SIGTERM)  # which fails if it is gone


# Logout.

def test_logout(folder, scripted):
    daemon = scripted(answer(200, '{"profile":"default","state":"login_required"}\n'))
    result = run(folder, "logout")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("default: logged out")
    assert daemon.lines() == ["POST /v1/logout?profile=default HTTP/1.1"]
    assert json.loads(run(folder, "logout", "--json").stdout)["state"] == "login_required"


@pytest.mark.parametrize("reply, code, words", [
    (problem(403, "access_denied", "Not you."), 77, "login_users"),
    (problem(503, "temporarily_unavailable", "Not revoked."), 75, "Not revoked"),
    (problem(404, "unknown_profile", "No such profile."), 78, "gctoken status")])
def test_logout_that_fails(folder, scripted, reply, code, words):
    scripted(reply)
    result = run(folder, "logout")
    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr


@pytest.mark.parametrize("arguments", [["login", "x"], ["login", "--browser"], ["logout", "x"],
                                       ["--profile", "A", "login"]])
def test_wrong_command_lines(folder, arguments):
    result = run(folder, *arguments)
    assert result.returncode in (2, 78) and result.stdout == ""
