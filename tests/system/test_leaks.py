"""No secret and no token is told to anybody but who may have it, whatever goes wrong. Everything
the broker says, writes or shows is searched for them, in each form in which they exist."""

import base64
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess

import pytest

import daemon as daemon_module
from daemon import GCTOKEND, Daemon, canary, environment
from fake import Fake
from scripted_listener import Listener
from unix_http import ask
from waiting import PATIENCE, wait_until


def read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read().decode("latin-1")


def basic(client_id: str, encoded_secret: str) -> str:
    return base64.b64encode(f"{client_id}:{encoded_secret}".encode()).decode()


def spoiled(secret: str, basic: str, encoded: str) -> dict[str, dict]:
    """Answers that repeat what they were sent, or tell of the token that is not in them."""
    told = {"secret": secret, "basic": basic, "encoded": encoded}

    def refusal(status: int, words: str, error: str = "invalid_client", **headers: str) -> dict:
        words = words.replace("\\", "\\\\").replace('"', '\\"')
        return {"action": "answer", "status": status, "headers": headers,
                "body": f'{{"error":"{error}","error_description":"{words}"}}'}

    found = {}
    for name, text in told.items():
        found[f"refusal-with-{name}"] = refusal(401, f"{text} is wrong")
        found[f"long-refusal-with-{name}"] = refusal(400, "x " * 118 + text)
        found[f"error-with-{name}"] = refusal(500, text, "server_error")
        found[f"correlation-id-with-{name}"] = refusal(
            401, "no", **{"ININ-Correlation-Id": text})
        found[f"retry-after-with-{name}"] = refusal(429, "no", **{"Retry-After": text})
        found[f"redirect-to-{name}"] = {"action": "redirect",
                                        "location": f"https://localhost:1/?secret={text}"}
        found[f"page-with-{name}"] = {"action": "answer", "status": 403,
                                      "body": f"<html>{text}</html>"}
        found[f"status-line-with-{name}"] = {"action": "bytes",
                                             "text": f"HTTP/1.1 500 {text}\r\n\r\n"}
        found[f"no-http-with-{name}"] = {"action": "bytes", "text": f"{text}\r\n\r\n"}
        found[f"lifetime-with-{name}"] = {"action": "members", "members": {"expires_in": text}}
        found[f"type-with-{name}"] = {"action": "members", "members": {"token_type": text}}
    found.update({
        "token-without-lifetime": {"action": "members", "members": {"expires_in": None}},
        "token-in-words": refusal(400, "you have @TOKEN@ already"),
        "token-in-error": refusal(400, "no", "@TOKEN@"),
        "token-beside-error": {"action": "answer", "status": 400,
                               "body": '{"error":"e","access_token":"@TOKEN@",'
                                       '"description":"it is @TOKEN@"}'},
        "token-and-rubbish": {"action": "answer", "status": 200,
                              "body": '{"access_token":"@TOKEN@"} @TOKEN@'},
        "token-in-correlation-id": {
            "action": "bytes", "text": "HTTP/1.1 401 No\r\nININ-Correlation-Id: @TOKEN@\r\n"
                                       'Content-Length: 13\r\n\r\n{"error":"e"}'},
        "token-cut": {"action": "cut", "at": -20},
        "token-in-status": {"action": "bytes", "text": "HTTP/1.1 503 @TOKEN@\r\n\r\n"},
    })
    return found


# What stands in a profile, so that it does not work.
MISTAKES = [
    "client_secret = SECRET", "client_secret_file = SECRET", "client_secret_credential = SECRET",
    "SECRET", "secret = SECRET", "client_id = my SECRET", "scope = SECRET\x01",
    "client_secret_file = SECRET\nclient_secret_file = SECRET", "extra_params = SECRET",
    "token_url = http://id:SECRET@login.example/oauth/token", "proxy = socks5://id:SECRET@proxy:1",
    "api_url = https://api.example/?SECRET",
]


class Searcher:
    """Collects what was said, and by whom."""

    def __init__(self):
        self.said: list[tuple[str, str]] = []

    def hear(self, where: str, text: str) -> None:
        self.said.append((where, text))

    def check(self, d: Daemon) -> None:
        secrets = d.secrets()
        assert len(secrets) >= 4
        leaks = {where for where, text in self.said
                 if any(secret in text for secret in secrets)}
        assert not leaks, f"secrets or tokens are told by: {', '.join(sorted(leaks))}"


def hear_everything(d: Daemon, ears: Searcher, moment: str) -> None:
    """All that can be seen of the daemon without being handed a token."""
    pid = d.process.pid
    ears.hear(f"{moment}: log", d.stderr_text())
    for name in ("cmdline", "environ", "comm", "status", "maps"):
        ears.hear(f"{moment}: {name}", read(f"/proc/{pid}/{name}"))
    for name in os.listdir(d.state_dir):
        with contextlib.suppress(FileNotFoundError):  # one just being written
            ears.hear(f"{moment}: {name}", name + read(os.path.join(d.state_dir, name)))
    for target in ("/v1/status", "/metrics", "/healthz", "/readyz"):
        ears.hear(f"{moment}: {target}", d.get(target).text)
    for profile in d.profiles:
        for target in ("history", "skew"):
            ears.hear(f"{moment}: {target} of {profile}",
                      d.get(f"/v1/{target}?profile={profile}").text)
        answer = d.token(profile, wait=0)
        if answer.status != 200:
            ears.hear(f"{moment}: token of {profile}", answer.text + str(answer.headers))
    for command in (["status"], ["--json", "status"], ["skew"], ["--json", "skew"]):
        ran = d.gctoken(*command)
        ears.hear(f"{moment}: gctoken {command}", ran.stdout + ran.stderr)


def hear_errors(d: Daemon, ears: Searcher, token: str, secret: str) -> None:
    """Each route with what it does not take: the token, the secret, nonsense."""
    for said in (token, secret.replace("%", "%25").replace("+", "%2B"), "x"):
        for method, target in [
            ("GET", f"/{said}"), ("GET", f"/v1/token?profile={said}"),
            ("GET", f"/v1/token?min_ttl={said}"), ("GET", f"/v1/token?after={said}"),
            ("GET", f"/v1/token?wait={said}"), ("GET", f"/v1/token?{said}=1"),
            ("POST", f"/v1/token/reject?fingerprint={said}"),
            ("POST", f"/v1/token/reject?generation={said}"),
            ("GET", f"/v1/skew?profile={said}"), ("POST", f"/v1/skew/probe?profile={said}"),
            ("GET", f"/v1/status?{said}"), ("GET", f"/v1/history?profile={said}"),
            ("POST", f"/v1/refresh?profile={said}"), ("POST", f"/v1/revoke?profile={said}"),
            ("POST", f"/v1/login?profile={said}"), ("POST", f"/v1/login/finish?code={said}"),
            ("POST", f"/v1/logout?profile={said}"), ("GET", f"/metrics?{said}"),
            ("GET", f"/healthz?{said}"), ("GET", f"/readyz?min_ttl={said}"),
        ]:
            answer = ask(d.socket, method, target, {"Authorization": f"Bearer {token}"})
            assert answer.status >= 400, (method, target.split("?")[0])
            ears.hear(f"{method} {target.split('?')[0]} with nonsense", answer.text)
    ran = d.gctoken("reject", stdin=token)
    ears.hear("gctoken reject", ran.stdout + ran.stderr)
    for arguments in (["--profile", token, "get"], ["get", token], [token],
                      ["exec", "--", f"/nowhere/{token[:8]}"]):
        ran = d.gctoken(*arguments)
        assert ran.returncode != 0
        if arguments[0] == "exec":  # the others were told it by their user
            ears.hear("gctoken exec", ran.stdout + ran.stderr)


@pytest.mark.deadline(90)
@pytest.mark.parametrize("token_format", ["opaque", "jwt"])
def test_a_day_in_the_life(fake, make_daemon, token_format):
    secret = "canary-9c1d:+/%-7e2b"
    encoded = "canary-9c1d%3A%2B%2F%25-7e2b"
    names = sorted(spoiled("", "", ""))
    clients = [{"id": "good", "secret": secret}] + [
        {"id": name, "secret": secret} for name in names]
    f = fake(clients=clients, token_format=token_format)
    d = make_daemon(f, broker={"log_level": "debug"}, profiles={
        "default": {"client_id": "good", "secret": secret},
        "wrong": {"client_id": "good", "secret": canary()},
        "unknown": {"client_id": "nobody", "secret": canary()},
        "lazy": {"client_id": "good", "secret": secret, "prefetch": False},
        **{name: {"client_id": name, "secret": secret} for name in names}})
    for name in names:
        f.fault("token", client=name, times=-1,
                **spoiled(secret, basic(name, encoded), encoded)[name])
    d.start()
    ears = Searcher()
    wait_until(lambda: all(d.status(name)["last_error"] for name in names), "all refusals", 20)
    token = d.token().json["access_token"]
    hear_everything(d, ears, "after the start")
    hear_errors(d, ears, token, secret)

    assert d.post("/v1/refresh").status == 200
    assert d.token("lazy").status == 200
    assert d.post("/v1/revoke?profile=lazy").status == 200
    f.fault("me", "answer", status=500, body=f'{{"message":"{token}"}}')
    ears.hear("revocation", d.post("/v1/revoke").text)
    assert d.post("/v1/refresh").status == 200
    hear_everything(d, ears, "after reports")

    # A reload of what is good, and of what people do to a configuration.
    d.reload()
    d.wait_log("configuration reloaded")
    for mistake in MISTAKES:
        d.write_config(f"[broker]\nsocket_group =\n[profile default]\n"
                       f"{mistake.replace('SECRET', secret)}\n")
        seen = len(d.stderr_text())
        d.reload()
        d.wait_log("reload refused", since=seen)
        checked = subprocess.run([GCTOKEND, "-c", d.config_file, "--check-config"],
                                 env=environment(), capture_output=True, text=True)
        assert checked.returncode == 78
        ears.hear(f"--check-config of {mistake}", checked.stdout + checked.stderr)
        ears.hear(f"/v1/status after the reload of {mistake}", d.get("/v1/status").text)
    hear_everything(d, ears, "after refused reloads")
    d.write_config()

    f.revoke(all=True)
    d.restart()
    hear_everything(d, ears, "after a restart")
    ears.check(d)


# The process itself.

def test_the_process_shows_nothing(server, make_daemon, monkeypatch):
    """Not even to processes of its own user."""
    d = make_daemon(server, wrap=["setpriv", "--reuid=nobody", "--regid=nogroup",
                                  "--clear-groups"])
    monkeypatch.setattr(daemon_module, "GCTOKEND", shutil.copy(GCTOKEND, d.directory))
    for path in [d.directory, *(d.path(name) for name in os.listdir(d.directory))]:
        os.chown(path, 65534, 65534)
    os.chmod(server.directory, 0o711)
    os.chmod(server.ca_file, 0o644)
    d.start()
    assert d.token().status == 200
    proc = f"/proc/{d.process.pid}"
    assert re.search(r"^Max core file size +0 +0 ", read(f"{proc}/limits"), re.M)
    # This is how the kernel shows that a process may not be dumped: root owns what is there of it.
    assert os.stat(f"{proc}/mem").st_uid == 0 == os.stat(f"{proc}/environ").st_uid
    assert os.stat(proc).st_uid in (0, 65534)
    for name in ("mem", "environ", "maps", "fd/0"):
        tried = subprocess.run(["head", "-c1", f"{proc}/{name}"], user=65534, group=65534,
                               extra_groups=[], capture_output=True)
        assert tried.returncode != 0 and b"Permission denied" in tried.stderr, name
    d.token()


def test_a_crash_leaves_no_core(server, make_daemon):
    d = make_daemon(server, env={"ASAN_OPTIONS": "handle_segv=0"},
                    wrap=["prlimit", "--core=unlimited"]).start()
    assert d.token().status == 200
    assert resource.prlimit(d.process.pid, resource.RLIMIT_CORE) == (0, 0)
    d.process.send_signal(signal.SIGSEGV)
    ended = os.waitid(os.P_PID, d.process.pid, os.WEXITED | os.WNOWAIT)
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGSEGV)  # not CLD_DUMPED
    assert d.wait_exit() == -signal.SIGSEGV
    assert not [name for name in os.listdir(d.directory) if "core" in name]


def test_exec_tells_its_child_alone(server, daemon, gctoken):
    d = daemon(server)
    d.token()
    shown = d.gctoken("exec", "--", "sh", "-c",
                      "tr '\\0' '\\n' <$0/$$/cmdline; echo; tr '\\0' '\\n' <$0/$PPID/cmdline; "
                      "tr '\\0' '\\n' <$0/$PPID/environ; echo; env | cut -d= -f1", "/proc")
    assert shown.returncode == 0
    assert "GENESYSCLOUD_ACCESS_TOKEN" in shown.stdout
    d.assert_no_leak(shown.stdout + shown.stderr, "what exec shows to others")
    held = d.gctoken("exec", "--", "sh", "-c", "env | grep -v ^GENESYSCLOUD_ACCESS_TOKEN=")
    d.assert_no_leak(held.stdout + held.stderr, "the rest of the child's environment")


def test_the_command_while_it_waits(fake, make_daemon, gctoken):
    f = fake(delay_work=1.0)
    d = make_daemon(f).start()
    running = subprocess.Popen([gctoken, "header", "--wait", "20"], stdout=subprocess.PIPE,
                               env=environment(GCTOKEN_SOCKET=d.socket))
    wait_until(lambda: d.status()["waiting"] == 1, "it waits")
    for name in ("cmdline", "environ"):
        d.assert_no_leak(read(f"/proc/{running.pid}/{name}"), name)
    line, _ = running.communicate(timeout=20 * PATIENCE)
    assert running.returncode == 0 and line.startswith(b"Authorization: Bearer ")


# The network: nothing goes anywhere but to the configured origin.

class Trap(Listener):
    """Remembers that somebody came."""

    def __init__(self):
        self.visitors = 0
        super().__init__()

    def _talk(self, client: socket.socket) -> None:
        self.visitors += 1


@pytest.fixture
def trap():
    one = Trap()
    yield one
    one.close()


def refresh_and_revoke(d: Daemon, f: Fake) -> None:
    """Each kind of request that the broker sends."""
    assert d.token(wait=20).status == 200
    assert d.post("/v1/refresh").status == 200
    assert d.post("/v1/skew/probe").status == 200
    assert f.heads >= 1
    assert d.post("/v1/revoke").status == 200
    assert d.post("/v1/refresh").status == 200


def test_the_environment_moves_no_traffic(fake, make_daemon, trap):
    f = fake()
    proxy = f"http://user:password@127.0.0.1:{trap.port}"
    d = make_daemon(f)
    keys = d.path("tls-keys")
    for name, text in {".netrc": "machine localhost login netrc-user password netrc-password\n",
                       ".curlrc": f"proxy = {proxy}\n"}.items():
        with open(d.path(name), "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(d.path(name), 0o600)
    names = ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
    d.env.update({name: proxy for name in names}, HOME=d.directory, CURL_HOME=d.directory,
                 NETRC=d.path(".netrc"), SSLKEYLOGFILE=keys, no_proxy="", NO_PROXY="",
                 CURL_CA_BUNDLE="/nowhere", SSL_CERT_FILE="/nowhere", SSL_CERT_DIR="/nowhere")
    d.start()
    refresh_and_revoke(d, f)
    assert trap.visitors == 0
    assert not os.path.exists(keys)
    assert {post["auth"] for post in f.log("token")} == {"ok"}
    for entry in f.log(secrets=True):
        assert "netrc" not in str(entry["secrets"])
        assert entry["headers"]["Accept-Encoding"] == "identity"
        assert "Cookie" not in entry["headers"]
    # Only the token requests carry the secret, and only the revocation a token.
    for entry in f.log():
        scheme = (entry["authorization"] or "").partition(" ")[0]
        assert scheme == {"token": "Basic", "me": "Bearer", "head": ""}[entry["kind"]]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(fake, make_daemon, trap, status):
    f = fake()
    away = f"https://localhost:{trap.port}/oauth/token"
    f.fault("token", "redirect", status=status, location=away)
    f.fault("head", "redirect", status=status, location=away, times=-1)
    f.fault("me", "redirect", status=status, location=away)
    d = make_daemon(f).start()
    assert d.token(wait=20).status == 200  # at the second attempt
    assert d.post("/v1/skew/probe").status == 200
    assert f.heads >= 1
    revoked = d.post("/v1/revoke")
    assert revoked.status == 503 and f"HTTP {status}" in revoked.json["error_description"]
    assert trap.visitors == 0
    assert {entry["target"] for entry in f.log()} <= {"/oauth/token", "/", "/api/v2/tokens/me"}


def test_answers_move_no_traffic_and_leave_nothing_behind(fake, make_daemon, trap):
    f = fake()
    f.set(headers={"Set-Cookie": "session=1; Secure", "Alt-Svc": f'h2=":{trap.port}"; ma=9999',
                   "Refresh": f"0; url=https://localhost:{trap.port}/",
                   "Strict-Transport-Security": "max-age=9999"})
    d = make_daemon(f).start()
    refresh_and_revoke(d, f)
    assert trap.visitors == 0
    assert not any("Cookie" in entry["headers"] for entry in f.log())


def test_only_the_configured_proxy(fake, make_daemon, trap):
    """And what it refuses is not tried without it."""
    f = fake()
    d = make_daemon(f, profile={"proxy": f"http://127.0.0.1:{trap.port}"}).start()
    wait_until(lambda: d.status()["last_error"], "a failure at the proxy")
    assert trap.visitors >= 1
    assert f.posts == 0
