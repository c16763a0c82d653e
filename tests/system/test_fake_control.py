"""The fake Genesys Cloud's TLS, its control channel, and the program itself."""

import http.client
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from urllib.parse import quote_plus

import pytest
from fake import REPOSITORY, ControlError
from fake_calls import ID, SECRET, basic, call, connect, login, token_of
from waiting import wait_until


# TLS.

@pytest.mark.parametrize("certificate, words", [
    ("expired", "expired"), ("not-yet-valid", "not yet valid"),
    ("wrong-host", "doesn't match|mism"),
    ("self-signed", "self-signed"), ("unknown-ca", "unable to get local issuer"),
])
def test_bad_certificates(server, certificate, words):
    server.tls(certificate)
    with pytest.raises(ssl.SSLCertVerificationError, match=words):
        login(server)
    wait_until(lambda: server.stats()["connections"]["handshakes_failed"] >= 1, "the failure")
    last = server.connections()[-1]
    assert (last["requests"], last["bytes_in"]) == (0, 0)
    server.tls()
    assert login(server).status == 200


def test_old_tls_versions(server):
    server.tls(lowest="1.0", highest="1.1")
    with pytest.raises(ssl.SSLError):
        login(server)
    context = ssl.create_default_context(cafile=server.ca_file)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as tls:
        assert tls.version() == "TLSv1.1"
    server.tls(lowest="1.2", highest="1.2")
    connection = connect(server)
    connection.connect()
    assert connection.sock.version() == "TLSv1.2"
    connection.close()


def test_nonsense_about_tls(server):
    for wrong in ({"certificate": "golden"}, {"lowest": "0.9"}, {"lowest": 1.2}, {"what": "x"}):
        with pytest.raises(ControlError):
            server.control_post("/tls", wrong)
    assert login(server).status == 200


# The control channel.

def test_refusing_connections_and_closing_them(server):
    connection = connect(server)
    assert login(server, connection).status == 200
    server.listen(False)
    with pytest.raises(ConnectionRefusedError):
        login(server)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", server.port))  # the port is kept
    assert login(server, connection).status == 200  # it was open before
    server.listen(True)
    assert login(server).status == 200
    assert server.close_connections() >= 1
    with pytest.raises((http.client.HTTPException, OSError)):
        login(server, connection)


def test_settings_change_all_or_none(server):
    with pytest.raises(ControlError, match="clock_offset: a number"):
        server.set(lifetime=5, clock_offset="soon")
    with pytest.raises(ControlError, match="no such setting"):
        server.set(lifetime=5, life=6)
    assert server.control_get("/settings")["lifetime"] == 86400


@pytest.mark.parametrize("name, value", [
    ("lifetime", -1), ("lifetime", 1.5), ("lifetime", True), ("date", "sometimes"),
    ("throttle", "perhaps"), ("delay_work", -0.1), ("clock_offset", "nan"), ("clocks", []),
    ("clock_steps", "5"), ("headers", {"a b": "c"}), ("headers", {"a": 1}),
    ("jwt_claims", ["sub"]), ("same_token", None),
])
def test_settings_that_make_no_sense(server, name, value):
    with pytest.raises(ControlError, match=f"^POST /set: {name}: "):
        server.set(**{name: value})


def test_reset_is_as_at_the_start(server):
    token = token_of(login(server))
    server.set(lifetime=5)
    server.step(1000)
    server.client(ID, "changed")
    server.fault("token", "close")
    server.listen(False)
    server.reset()
    assert server.stats()["posts"] == 0
    assert server.log() == []
    assert server.faults() == []
    assert server.api_status(token) == 401
    assert login(server).json["expires_in"] == 86400
    assert abs(server.time() - time.time()) < 5


def test_the_log_tells_what_came_and_no_secret(server):
    token = token_of(login(server, body=b"grant_type=client_credentials&scope=a"))
    call(server, token, "/api/v2/users/me?expand=" + token)
    login(server, authorization=basic(secret="wrong-one"))
    first, second, third = server.log()
    assert (first["kind"], first["auth"], first["client"], first["status"]) \
        == ("token", "ok", ID, 200)
    assert (first["grant_type"], first["fields"]) == ("client_credentials",
                                                      ["grant_type", "scope"])
    assert first["token"] == server.tokens()[0]["fingerprint"]
    assert second["authorization"] == f"Bearer {first['token']}"
    assert (second["target"], second["auth"]) == ("/api/v2/users/me?expand=...", "ok")
    assert (third["auth"], third["status"], third["token"]) == ("wrong secret", 401, None)
    shown = json.dumps([server.log(), server.tokens(), server.stats(), server.faults(),
                        server.connections(), server.control_get("/clients")]) \
        + server.stderr_text()
    for secret in (token, SECRET, quote_plus(SECRET), basic().split()[1], "wrong-one"):
        assert secret not in shown
    told = server.log(kind="api", secrets=True)[0]["secrets"]
    assert f"Authorization: Bearer {token}" in told["header_lines"]
    assert [entry["number"] for entry in server.log(since=second["number"])] == [third["number"]]


def test_requests_that_are_none(server):
    context = ssl.create_default_context(cafile=server.ca_file)
    for sent, status in [(b"GARBAGE\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
                         (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
                         (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
                         (b"X" * 70000, 431)]:
        with socket.create_connection(("127.0.0.1", server.port), 10) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(sent)
            assert tls.recv(100).startswith(f"HTTP/1.1 {status} ".encode())
    assert login(server).status == 200


def test_the_control_channel_is_for_its_owner_and_explains_itself(server):
    assert stat.S_IMODE(os.stat(server.control).st_mode) == 0o600
    routes = server.control_get("/")
    assert all(routes.values())
    for route in ("GET /log", "POST /set", "POST /reset"):
        assert route in routes
    with pytest.raises(ControlError, match="GET / lists"):
        server.control_get("/nowhere")
    with pytest.raises(ControlError, match="unknown; these are known: seconds"):
        server.control_post("/step", {"minutes": 1})


def test_waiting_for_requests(server):
    assert server.control_get("/wait?kind=token&count=1&timeout=0.05") \
        == {"reached": False, "count": 0}
    thread = threading.Thread(target=login, args=(server,))
    thread.start()
    assert server.wait_for("token", 1, answered=True) == 1
    thread.join()


# As a load and as a program.

def test_a_thousand_requests_at_once(server):
    server.set(max_live=50)
    statuses: list[int] = []

    def work():
        connection = connect(server, timeout=60)
        statuses.extend(login(server, connection).status for _ in range(20))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 1000
    stats = server.stats()
    assert (stats["posts"], stats["tokens"]["issued"]) == (1000, 1000)
    assert stats["tokens"]["live"] == {ID: 50}


def run_fake(*arguments: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, os.path.join(REPOSITORY, "tests", "fake_genesys"),
                           *arguments], capture_output=True, text=True, timeout=30, **more)


def test_help_names_every_option():
    text = run_fake("--help").stdout
    for option in ("--clock-offset", "--max-live", "--ready-fd", "--control", "--retry-after-form"):
        assert option in text


def test_the_page_of_the_manual_leaves_nothing_out(server):
    with open(os.path.join(REPOSITORY, "docs", "fake-genesys.md"), encoding="utf-8") as file:
        page = file.read()
    settings = server.control_get("/settings")
    options = set(re.findall(r"(--[a-z-]+)", run_fake("--help").stdout)) - {"--help", "--cacert"}
    with pytest.raises(ControlError) as refused:
        server.control_post("/fault", {"action": "?"})
    actions = str(refused.value).split("one of ")[1].removesuffix(" is wanted").split(", ")
    assert len(settings) > 30 and len(actions) >= 10
    for option in options - {"--unix-socket"}:
        assert f"`{option}" in page or option[2:].replace("-", "_") in settings, option
    for name in [*settings, *actions]:
        assert f"`{name}`" in page, name
    for route in server.control_get("/"):
        path = route.split()[1]
        assert path == "/" or f"ctl {path}" in page or f"ctl '{path}" in page, route


@pytest.mark.parametrize("arguments, words", [
    (["--lifetime", "-5"], "lifetime: a whole number of 0 or more"), (["--date", "x"], "date: one of live, none"),
    (["--client", "no-colon"], "ID:SECRET"),
    (["--clients-file", "/nonexistent"], "No such file"),
    (["--no-such-option"], "unrecognized"),
])
def test_wrong_command_lines(arguments, words):
    run = run_fake(*arguments)
    assert run.returncode == 2
    assert words in run.stderr


def test_a_port_that_is_taken(server):
    run = run_fake("--port", str(server.port))
    assert run.returncode == 1
    assert "Address already in use" in run.stderr
    assert "Traceback" not in run.stderr


def test_ready_file_ca_kept_and_end_of_input(tmp_path):
    ready, authorities = tmp_path / "ready", set()
    for _ in range(2):
        ready.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, os.path.join(REPOSITORY, "tests", "fake_genesys"),
                               "--dir", str(tmp_path), "--ready-file", str(ready), "--exit-on-eof",
                               "--client", "a:b:c", "--quiet"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_until(ready.exists, "the ready file", 10)
            told = json.loads(ready.read_text())
            assert told["clients"] == ["a"]
            authorities.add((tmp_path / "ca.pem").read_text())
            output, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")
        assert told["url"] in output
        assert "ended" in output
    assert len(authorities) == 1
    assert not [name for name in os.listdir(tmp_path) if name.endswith((".csr", ".cnf", ".new"))]
