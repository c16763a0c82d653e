"""The HTTP API as its users reach it: curl, Python, Node, a bare socket, the gctoken command. And
docs/http-api.md, whose examples are run as they stand."""

import json
import os
import re
import shutil
import socket
import subprocess
from urllib.parse import urlsplit

import pytest

from daemon import GCTOKEN, environment
from fake import REPOSITORY
from logging_in import begin, come_back, finish, log_in, login_profile
from raw_http import Raw
from waiting import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("gctoken")

with open(os.path.join(REPOSITORY, "docs", "http-api.md"), encoding="utf-8") as page:
    DOCUMENT = page.read()
LOGINS = "Logins of people"

# In the place of curl for the examples: remembers the status and the body of each call. One that
# asks for the status itself is left alone.
CURL = """#!/bin/sh
case " $* " in *" -w "*) exec "$REAL_CURL" -q "$@" ;; esac
"$REAL_CURL" -q -s -S -w '%{stderr}%{http_code}' "$@" >"$SEEN/body" 2>"$SEEN/status"
code=$?
cat "$SEEN/body"
exit $code
"""

# What stands for `# 200` in an example.
CHECK = """
check() {
    seen=$(cat "$SEEN/status")
    [ "$seen" = "$1" ] && return
    echo "line $2: documented is $1, seen was $seen: $(cat "$SEEN/body")" >&2
    exit 1
}
"""


class Shell:
    """Runs commands as a user of this daemon would type them."""

    def __init__(self, d, folder):
        self.folder = str(folder)
        programs = os.path.join(self.folder, "bin")
        os.mkdir(programs)
        with open(os.path.join(programs, "curl"), "w", encoding="ascii") as file:
            file.write(CURL)
        os.chmod(file.name, 0o755)
        os.symlink(os.path.abspath(GCTOKEN), os.path.join(programs, "gctoken"))
        self._environment = environment(
            GCTOKEN_SOCKET=d.socket, S=d.socket, HOME=self.folder, SEEN=self.folder,
            REAL_CURL=shutil.which("curl"), CURL_CA_BUNDLE=d.fake.ca_file if d.fake else None,
            PATH=programs + ":" + os.environ["PATH"])

    def run(self, script, code=0):
        """Its output. It ends at the first command that fails."""
        run = subprocess.run(["sh", "-eu"], input=CHECK + script, text=True,
                             cwd=self.folder, env=self._environment, capture_output=True,
                             timeout=60 * PATIENCE, check=False)
        return self._output(run, "the script", code)

    def program(self, *command, stdin=None):
        run = subprocess.run(command, input=stdin, text=True, cwd=self.folder,
                             env=self._environment, capture_output=True, timeout=60 * PATIENCE,
                             check=False)
        return self._output(run, command[0], 0)

    def start(self, *command, **more):
        """One that goes on meanwhile."""
        return subprocess.Popen(command, cwd=self.folder, env={**self._environment, **more},
                                text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    @staticmethod
    def _output(run, what, code):
        # Not the run itself in an assertion, which would show what it printed: tokens.
        seen, output = run.returncode, run.stdout
        assert seen == code, f"{what} ended with {seen}: {run.stderr}"
        return output


@pytest.fixture
def broker(server, daemon):
    """A daemon as the documentation imagines it, with its fake as .fake."""
    server.set(lifetime=3600)
    d = daemon(server, profile={"region": "us-west-2", "api_url": server.api_url})
    d.token(wait=20)
    return d


@pytest.fixture
def shell(broker, tmp_path):
    return Shell(broker, tmp_path)


def needs(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not there")


# The documentation.

def blocks(language=None, logins=False):
    """Of code in the document, in the section about logins or everywhere else: language, text, and
    the line it begins at."""
    begin = DOCUMENT.index(f"\n## {LOGINS}\n")
    end = DOCUMENT.index("\n## ", begin + 1)
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", DOCUMENT, re.M | re.S)
    return [(m.group(1), m.group(2), DOCUMENT.count("\n", 0, m.start()) + 2) for m in found
            if language in (None, m.group(1)) and logins == (begin < m.start() < end)]


def assert_like(documented, seen, where):
    """The same members of the same kinds. null stands for anything, as it may be null."""
    if documented is None or seen is None:
        return
    if isinstance(documented, dict):
        assert isinstance(seen, dict) and list(documented) == list(seen), \
            f"{where}: documented are {list(documented)}, seen were {list(seen)}"
        for name, value in documented.items():
            assert_like(value, seen[name], f"{where}, {name}")
        if "error" in documented and "error_description" in documented:
            assert documented["error"] == seen["error"], where
            start = documented["error_description"].partition("…")[0]
            assert seen["error_description"].startswith(start), where
            assert "…" in documented["error_description"] or \
                documented["error_description"] == seen["error_description"], where
    elif isinstance(documented, list):
        assert isinstance(seen, list) and bool(documented) == bool(seen), where
        for value in seen:
            assert_like(documented[0], value, where)
    elif isinstance(documented, bool) or isinstance(documented, str):
        assert type(documented) is type(seen), where
    else:
        assert isinstance(seen, (int, float)) and not isinstance(seen, bool), where


def test_the_examples_of_the_documentation(broker, shell):
    """Each shell example from top to bottom, with the status and the answer that stand there."""
    script, answers = "", 0
    for number, (language, text, first) in enumerate(blocks()):
        if language == "sh":
            for line, command in enumerate(text.splitlines(), first):
                script += re.sub(r"^# (\d{3})$", rf"check \1 {line}", command) + "\n"
        elif language == "json":
            # To compare later: an answer stands behind the example that gets it.
            script += f'cp "$SEEN/body" "$SEEN/answer.{number}"\n'
    assert script.count("\ncheck ") >= 20
    shell.run(script)
    for number, (language, text, line) in enumerate(blocks()):
        if language == "json":
            with open(os.path.join(shell.folder, f"answer.{number}"), encoding="utf-8") as file:
                assert_like(json.loads(text), json.load(file), f"line {line}")
            answers += 1
    assert answers >= 8


def test_the_answers_about_logins_in_the_documentation(server, daemon):
    """They stand in the order in which a person gets them; a browser comes in between."""
    d = daemon(server, profiles={"agent": login_profile(server, clock_probe=False)})
    begun = begin(d, "agent")
    landing = come_back(server, begun)
    refused = finish(d, {**landing, "state": "another"}, "agent")
    assert (refused.status, refused.json["error"]) == (400, "login_failed")
    seen = [begun, finish(d, landing, "agent").json, d.post("/v1/logout?profile=agent").json]
    shown = blocks("json", logins=True)
    assert len(shown) == len(seen)
    for (_, text, line), answer in zip(shown, seen):
        example = json.loads(text)
        assert_like(example, answer, f"line {line}")
        for name in example.keys() & {"profile", "state", "redirect_uri", "login_ends_in"}:
            assert example[name] in ("…", answer[name]), f"line {line}, {name}"
    begins = json.loads(shown[0][1])
    assert begins["expires_in"] == begun["expires_in"]
    assert urlsplit(begins["authorize_url"]).query.startswith("response_type=code&")
    assert urlsplit(begun["authorize_url"]).query.startswith("response_type=code&")


def test_the_status_of_a_login_is_as_documented(server, daemon):
    d = daemon(server, profiles={"agent": login_profile(server, clock_probe=False)})
    documented_states = {"none", "refreshed", "ends", "refused"}
    login = d.status("agent")["login"]
    begin_at = DOCUMENT.index(f"\n## {LOGINS}\n")
    text = DOCUMENT[begin_at:DOCUMENT.index("\n## ", begin_at + 1)].partition("`/v1/status`")[2]
    for name in [*login, *documented_states]:
        assert f"`{name}`" in text, name
    assert login["state"] == "none" and login["logged_in_at"] is None
    assert log_in(d, server, "agent").status == 200
    login = d.status("agent")["login"]
    assert login["state"] == "refreshed" and login["stored"] is True and login["problem"] is None


def documented(word):
    (found,) = [text for language, text, _ in blocks("sh") if word in text]
    return found


@pytest.mark.parametrize("revoked", [False, True])
def test_the_documented_script_for_a_401(broker, shell, revoked):
    """Whether the API takes the token or refuses it: 200 in the end, and one report at most."""
    token = broker.token().json
    if revoked:
        broker.fake.revoke(token=token["access_token"])
    shell.run(f"API={broker.fake.api_url}\n" + documented("gctoken reject"))
    counters = broker.status()["counters"]
    assert counters["rejections"] == revoked and counters["fetches"] == 1 + revoked
    statuses = [entry["status"] for entry in broker.fake.log("api")]
    assert statuses == ([401, 200] if revoked else [200])


def test_the_documented_python(broker, shell):
    (text,) = [text for _, text, _ in blocks("python")]
    before = accepted(broker)
    lines = shell.program("/usr/bin/python3", "-c", text).splitlines()
    assert [line.split()[0] for line in lines] == [broker.token().json["fingerprint"]] * 3
    assert accepted(broker) - before == 1 + 2  # and those that this test made


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_documented_programs_over_a_restart(broker, shell, language):
    """With nobody to hold the socket meanwhile; they have a connection that ends."""
    (text,) = [text for _, text, _ in blocks(language)]
    if language == "python":
        command = ["/usr/bin/python3", "-c", text.replace(
            "for _ in range(3):", "for i in range(3):\n    if i: print('go on', flush=True); input()")]
    else:
        needs("node")
        command = ["node", "-e", text.replace(
            "const token = await getToken();",
            "if (i) { console.log('go on'); await new Promise((resolve) => process.stdin.once('data', resolve)); }"
            "const token = await getToken();").replace(
                "agent.destroy();", "agent.destroy(); process.stdin.destroy();")]
    program = shell.start(*command)
    lines = []
    for _ in range(2):
        lines += [program.stdout.readline()]
        assert program.stdout.readline() == "go on\n"
        broker.kill()
        program.stdin.write("\n")
        program.stdin.flush()
        broker.start()
    out, err = program.communicate(timeout=60 * PATIENCE)
    assert program.returncode == 0, err
    assert len(lines + out.splitlines()) == 3


def test_the_documented_loop_over_a_new_token_and_a_restart(broker, shell):
    (loop,) = [text for _, text, _ in blocks("sh") if text.startswith("follow()")]
    program = shell.start("sh", "-eu", "-c", loop + 'ROUNDS=3; follow cat header', S=broker.socket)
    first = program.stdout.readline()
    assert first.startswith("HTTP/1.1 200")
    assert broker.gctoken("refresh").returncode == 0
    wait_until(lambda: program.stdout.readline().startswith("HTTP/1.1 200"), "the next one")
    wait_until(lambda: broker.status()["waiting"] == 1, "it asks again")
    broker.stop()
    program.communicate(timeout=60 * PATIENCE)
    assert program.returncode == 0


def test_the_documented_node(broker, shell):
    needs("node")
    (text,) = [text for _, text, _ in blocks("js")]
    before = accepted(broker)
    lines = shell.program("node", "-", stdin=text).splitlines()
    assert [line.split()[0] for line in lines] == [broker.token().json["fingerprint"]] * 3
    assert accepted(broker) - before == 1 + 2


def accepted(d):
    return int(re.search(r"^gctokend_connections_accepted_total (\d+)$", d.get("/metrics").text,
                         re.M).group(1))


# curl.

def test_curl_several_requests_on_one_connection(broker, shell):
    before = accepted(broker)
    output = shell.run('"$REAL_CURL" -q -sS --unix-socket $S ' + " ".join(
        ["http://localhost/healthz"] * 10))
    assert output == "ok\n" * 10
    assert accepted(broker) - before == 2


@pytest.mark.parametrize("arguments", [
    "--http1.0", "-d ''", "-X POST", "-H 'Expect: 100-continue' -d ''", "--http1.1 -N",
    "-H 'Connection: close'", "--compressed", "-A 'some agent/1.0 (x; y)'", "-H 'X: café'",
    "--max-time 20 --retry 3"])
def test_curl_with_common_options(broker, shell, arguments):
    method = "POST" if "-d" in arguments or "POST" in arguments else "GET"
    route = "/v1/refresh" if method == "POST" else "/v1/token"
    output = shell.run(f'"$REAL_CURL" -q -sS --fail {arguments} --unix-socket $S '
                       f'http://localhost{route}')
    assert json.loads(output)["token_type"] == "Bearer"


def test_curl_http2_is_left_alone(broker, shell):
    """curl offers an upgrade to HTTP/2; an offer may be passed over."""
    output = shell.run('"$REAL_CURL" -q -sS --http2 --unix-socket $S http://localhost/v1/token')
    assert json.loads(output)["token_type"] == "Bearer"


def test_curl_with_a_body_is_told_so(broker, shell):
    output = shell.run('"$REAL_CURL" -q -sS -d x=1 -w " %{http_code}" --unix-socket $S '
                       'http://localhost/v1/refresh')
    assert "a request body is not accepted" in output and output.endswith(" 400")


def test_curl_fails_where_there_is_no_token(broker, shell):
    """--fail, and the exit code that scripts look at."""
    broker.post("/v1/revoke")
    shell.run('"$REAL_CURL" -q -sS --fail --unix-socket $S http://localhost/v1/token', code=22)


# Others.

def test_half_a_close(broker):
    """`nc -N`: everything is sent, then the sending side is closed; the answers still come."""
    with Raw(broker) as client:
        client.send(b"GET /v1/token HTTP/1.1\r\nHost: x\r\n\r\n"
                    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        status, _, body = client.answer()
        assert (status, json.loads(body)["state"]) == (200, "fresh")
        assert client.answer()[0] == 200
        assert client.until_end() == b""


def test_half_a_close_while_it_waits(broker):
    """A client that is done with sending is not one that is gone."""
    generation = broker.token().json["generation"]
    with Raw(broker) as client:
        client.send(f"GET /v1/token?after={generation}&wait=20 HTTP/1.0\r\n\r\n".encode())
        client.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: broker.status()["waiting"] == 1, "it is held")
        assert broker.post("/v1/refresh").status == 200
        status, fields, body = client.answer()
        assert (status, fields["connection"]) == (200, "close")
        assert json.loads(body)["generation"] == generation + 1
        assert client.until_end() == b""


def test_netcat(broker, shell):
    needs("nc")
    script = "printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' | nc -N -U $S"
    assert shell.run(script).endswith("\n\nok\n")


NODE_AGENT = """
const http = require("node:http");
const agent = new http.Agent({keepAlive: true, maxSockets: 4});
const socketPath = process.env.GCTOKEN_SOCKET;
let left = 200;
const seen = {};
for (let i = left; i > 0; i--) {
  const method = i % 10 ? "GET" : "POST";
  const path = i % 10 ? "/v1/token?wait=5" : "/v1/token/reject?generation=0";
  http.request({socketPath, agent, method, path}, (answer) => {
    answer.resume();
    answer.on("end", () => {
      seen[answer.statusCode] = (seen[answer.statusCode] || 0) + 1;
      if (--left === 0) { console.log(JSON.stringify(seen)); agent.destroy(); }
    });
  }).end();
}
"""


def test_node_with_a_pool_of_connections(broker, shell):
    needs("node")
    before = accepted(broker)
    assert json.loads(shell.program("node", "-", stdin=NODE_AGENT)) == {"200": 200}
    assert accepted(broker) - before == 4 + 1


# The command, end to end.

def test_gctoken_get_and_header(broker, shell):
    token = broker.token().json["access_token"]
    for command, expected in (("get", f"{token}\n"),
                              ("header", f"Authorization: Bearer {token}\n")):
        same = shell.run(f"gctoken {command}") == expected  # apart: a failure must not print it
        assert same, command
    same = json.loads(shell.run("gctoken get --json"))["access_token"] == token
    assert same
    user = shell.run(f'gctoken header | "$REAL_CURL" -q -sS --fail -H @- '
                     f'{broker.fake.api_url}/api/v2/users/me')
    assert json.loads(user)["id"]


def test_gctoken_exec(broker, shell):
    output = shell.run("gctoken exec -- sh -c "
                       "'printf %s $GENESYSCLOUD_REGION; test -n \"$GENESYSCLOUD_ACCESS_TOKEN\"'")
    assert output == "us-west-2"
    user = shell.run("gctoken exec -- sh -c 'printf \"Authorization: Bearer %s\\n\" "
                     "\"$GENESYSCLOUD_ACCESS_TOKEN\" | \"$REAL_CURL\" -q -sS --fail -H @- "
                     f"{broker.fake.api_url}/api/v2/users/me'")
    assert json.loads(user)["id"]
    shell.run("gctoken exec -- sh -c 'exit 7'", code=7)


def test_gctoken_reject_and_refresh(broker, shell):
    token = broker.token().json
    broker.fake.revoke(token=token["access_token"])
    assert shell.run("gctoken get | gctoken reject") == ""
    newer = broker.token().json
    assert newer["generation"] == token["generation"] + 1
    assert broker.fake.api_status(newer["access_token"]) == 200
    shell.run("gctoken get | gctoken reject", code=75)  # again so soon: another reason
    output = shell.run("gctoken refresh")
    broker.assert_no_leak(output, "the output of refresh")
    assert f"generation {newer['generation'] + 1}" in output


def test_gctoken_status_and_skew(broker, shell):
    status = shell.run("gctoken status")
    assert "us-west-2" in status and "fresh" in status
    assert "default" in json.loads(shell.run("gctoken status --json"))["profiles"][0]["profile"]
    wait_until(lambda: broker.get("/v1/skew").json["skew_seconds"] is not None, "a measurement")
    assert "token" in shell.run("gctoken skew")
    assert json.loads(shell.run("gctoken skew --json"))["clocks_seen"] == 1
    for output in (status, shell.run("gctoken skew")):
        broker.assert_no_leak(output, "what people see")


def test_gctoken_says_why_there_is_none(server, daemon):
    """The exit code for scripts, the reason for people."""
    f = server
    f.fault("token", "answer", times=-1, status=503, body="{}")
    d = daemon(f, profiles={"down": {}, "wrong": {"secret": "not-the-secret"}})
    f.wait_for("token", 2, answered=True)
    for arguments, code, words in [
            (["--profile", "down", "get", "--wait", "0"], 75, "HTTP 503"),
            (["--profile", "nobody", "get"], 78, "nobody")]:
        run = d.gctoken(*arguments)
        assert (run.returncode, run.stdout) == (code, ""), run.stderr
        assert words in run.stderr
    f.clear_faults()
    assert d.post("/v1/refresh?profile=wrong").json["error"] == "client_rejected"
    run = d.gctoken("--profile", "wrong", "get")
    assert (run.returncode, run.stdout) == (1, "") and "authentication failed" in run.stderr
