"""docs/clients.md: each of its programs is taken out of it and run as a reader would."""

import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from daemon import GCTOKEN
from fake import REPOSITORY
from raw_http import is_sanitized
from snippets import (CONVERSATIONS, DOCUMENT, GO_STANDIN, PROGRAMS, PYTHON_PATH, Reader,
                      assert_the_job_survives)
from unix_http import ask
from waiting import wait_until

PYTHON = "/usr/bin/python3"

# Those that need packages of npm.
RUN_BY_INTEROP = {"conversations-sdk.mjs", "conversations-gateway.mjs"}


@pytest.fixture
def reader(server, daemon, tmp_path):
    server.set(conversations=CONVERSATIONS)
    d = daemon(server)
    d.token(wait=20)
    return Reader(d, tmp_path)


def needs(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not there")


def test_every_program_of_the_document_is_run():
    with open(__file__, encoding="utf-8") as file:
        tests = file.read()
    imported = {"api.sh"}
    left = {name for name in PROGRAMS if f'"{name}"' not in tests}
    assert left <= imported, f"no test runs {left - imported}"
    fences = re.findall(r"^```(\w.*)$", DOCUMENT, re.M)
    assert len(fences) - len(PROGRAMS) == 2, "only how to compile stands in no program"


# Shell.

@pytest.mark.parametrize("script", ["users_me.sh", "users_me_api.sh", "users_me_gctoken.sh"])
@pytest.mark.parametrize("revoked", [False, True])
def test_shell(reader, script, revoked, gctoken):
    fake = reader.daemon.fake
    if revoked:
        fake.revoke(all=True)
    reader.run("sh", "-eu", script, API=fake.api_url,
               PATH=os.path.dirname(os.path.abspath(gctoken)) + ":" + os.environ["PATH"])
    assert [entry["status"] for entry in fake.log("api")] == ([401, 200] if revoked else [200])
    assert reader.daemon.status()["counters"]["rejections"] == revoked


def test_a_file(reader, gctoken):
    """Which nobody but its owner can read, and from which one call is made."""
    fake = reader.daemon.fake
    assert "active" in reader.run(
        "sh", "-eu", "file.sh", API=fake.api_url,
        PATH=os.path.dirname(os.path.abspath(gctoken)) + ":" + os.environ["PATH"])
    assert os.stat(os.path.join(reader.folder, "token")).st_mode & 0o777 == 0o600
    assert [entry["status"] for entry in fake.log("api")] == [200]


def test_a_file_that_never_comes(reader, gctoken):
    """The command has said why; and what an earlier run has left is not taken for it."""
    reader.daemon.stop()
    with open(os.path.join(reader.folder, "token"), "w", encoding="ascii") as file:
        file.write("old\n")
    reader.run("sh", "-u", "file.sh", code=1, API=reader.daemon.fake.api_url,
               PATH=os.path.dirname(os.path.abspath(gctoken)) + ":" + os.environ["PATH"])
    assert not reader.daemon.fake.log("api")


def test_shell_tells_of_a_failure(reader):
    """Neither a broker without a token nor an API that says no looks like success."""
    reader.daemon.fake.fault("api", "answer", status=403, body="{}")
    reader.run("sh", "-eu", "users_me.sh", code=1)
    reader.daemon.post("/v1/revoke")
    reader.run("sh", "-eu", "users_me.sh", code=22)  # curl's


@pytest.mark.parametrize("who", ["the broker", "the API"])
def test_shell_does_not_hang(reader, who):
    """Its limits, shortened, end what the documented ones would end in a minute."""
    d = reader.daemon
    path = os.path.join(reader.folder, "api.sh")
    text, count = re.subn(r"--max-time (60|70)\b", "--max-time 1", PROGRAMS["api.sh"])
    assert count == PROGRAMS["api.sh"].count("curl -") == 2
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    if who == "the API":
        d.fake.fault("api", "hang", times=-1, seconds=600)
        script = f". ./api.sh; api {d.fake.api_url}/api/v2/users/me"
    else:
        d.process.send_signal(signal.SIGSTOP)
        script = ". ./api.sh; api http://localhost/"
    try:
        reader.run("sh", "-euc", script, code=28)  # curl's for a time that is over
    finally:
        d.process.send_signal(signal.SIGCONT)


# Python.

@pytest.mark.parametrize("program", ["conversations.py", "conversations_sdk.py"])
def test_python_does_the_job(reader, program):
    assert_the_job_survives(reader, PYTHON, program)
    assert sum(bool(line) for line in PROGRAMS[program].splitlines()) <= 20


RESTARTED = """
from gctoken import Broker
import os, signal
broker = Broker()
print(broker.token().fingerprint, flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
print(broker.token(wait=20).fingerprint)
"""
RESTARTED_NODE = """
import {Broker} from "gctoken";
const broker = new Broker();
console.log((await broker.token()).fingerprint);
process.kill(process.pid, "SIGSTOP");
console.log((await broker.token({wait: 20})).fingerprint);
"""


@pytest.mark.parametrize("command", [[PYTHON, "-c", RESTARTED],
                                     ["node", "--input-type=module", "-e", RESTARTED_NODE]],
                         ids=["python", "node"])
def test_a_restarted_broker_is_met_on_a_new_connection(reader, command):
    """What was kept open ended while nobody looked: no error, but another connection."""
    needs(command[0])
    d = reader.daemon
    process = subprocess.Popen(
        command, cwd=reader.folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        env={**os.environ, "GCTOKEN_SOCKET": d.socket, "GCTOKEN_PROFILE": "",
             "PYTHONPATH": PYTHON_PATH})
    try:
        first = process.stdout.readline().strip()
        wait_until(lambda: os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)[0], "it stops")
        d.restart()
        d.token(wait=20)
        os.kill(process.pid, signal.SIGCONT)
        second = process.stdout.readline().strip()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert len(first) == len(second) == 16
    assert second == d.token().json["fingerprint"]


# Node.

def test_node_does_the_job(reader):
    needs("node")
    assert_the_job_survives(reader, "node", "conversations.mjs")


# Go.

@pytest.fixture
def go(reader, tmp_path_factory):
    """Runs the go command, without network."""
    needs("go")
    cache = str(tmp_path_factory.getbasetemp() / "go-cache")
    return lambda *command: reader.run("go", *command, GOCACHE=cache, GOFLAGS="-mod=mod",
                                       GOPROXY="off", CGO_ENABLED="0")


@pytest.mark.parametrize("revoked", [False, True])
def test_go(reader, revoked, go):
    fake = reader.daemon.fake
    fake.fault("api", "answer", status=429, headers={"Retry-After": "1"}, body="{}")
    if revoked:
        fake.revoke(all=True)
    assert '"state": "active"' in go("run", "broker.go", "main.go")
    statuses = [entry["status"] for entry in fake.log("api")]
    assert statuses == ([429, 401, 200] if revoked else [429, 200])


def test_go_does_not_hang(reader, go):
    """Its limit, shortened, ends what the documented one would end in a minute."""
    shorter = PROGRAMS["main.go"].replace("60 * time.Second", "time.Second")
    assert shorter != PROGRAMS["main.go"]
    with open(os.path.join(reader.folder, "main.go"), "w", encoding="utf-8") as file:
        file.write(shorter)
    reader.daemon.fake.fault("api", "hang", times=-1, seconds=600)
    go("build", "-o", "users-me", "broker.go", "main.go")
    reader.run(os.path.join(reader.folder, "users-me"), code=1)


GO_MODULE = f"""module program

go 1.19

require github.com/mypurecloud/platform-client-sdk-go/v199 v199.0.0

replace github.com/mypurecloud/platform-client-sdk-go/v199 => {GO_STANDIN}
"""
GO_PROGRAM = """package main

import (
	"fmt"
	"log"

	"github.com/mypurecloud/platform-client-sdk-go/v199/platformclientv2"
)

func call(token string) {
	config := platformclientv2.GetDefaultConfiguration()
	path := config.BasePath + "/api/v2/analytics/conversations/details/query"
	answer, err := config.APIClient.CallAPI(path, "POST",
		map[string]string{"interval": "2026-11-01T00:00:00Z/2026-11-02T00:00:00Z"},
		map[string]string{"Authorization": "Bearer " + token}, nil, nil, "", nil, "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.StatusCode, platformclientv2.Logged)
}

func main() {
	config := platformclientv2.GetDefaultConfiguration()
	if err := attach(config); err != nil {
		log.Fatal(err)
	}
	call(config.AccessToken)
	call("of somebody else")
}
"""


@pytest.mark.parametrize("case, statuses", [("good", [200]), ("revoked", [401, 200]),
                                            ("late", [401, 401, 200]), ("refused", [401] * 3)])
def test_the_hook_of_the_sdk_for_go(reader, case, statuses, go):
    """With a stand-in of the SDK. A request that has another token is left alone; no token is in what
    the SDK logs afterwards."""
    fake = reader.daemon.fake
    os.mkdir(os.path.join(reader.folder, "attached"))
    for name in ("broker.go", "genesys.go"):
        os.rename(os.path.join(reader.folder, name), os.path.join(reader.folder, "attached", name))
    for name, text in (("attached/main.go", GO_PROGRAM), ("go.mod", GO_MODULE)):
        with open(os.path.join(reader.folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    if case == "late":
        fake.set(known_after=1.5)
    if case in ("revoked", "late"):
        fake.revoke(all=True)
    if case == "refused":
        fake.fault("api", "answer", times=-1, status=401, body="{}",
                   path="/api/v2/analytics/conversations/details/query")
    lines = go("run", "./attached").splitlines()
    assert lines == [f"{statuses[-1]} [Bearer taken-from-gctokend]",
                     "401 [Bearer of somebody else]"]
    entries = [entry for entry in fake.log("api") if entry["method"] == "POST"]
    assert [entry["status"] for entry in entries] == [*statuses, 401]
    assert reader.daemon.status()["counters"]["rejections"] == (case != "good")


# C.

def compiled(reader, name, *libraries):
    """With the library that was built, in the place of an installed one."""
    if is_sanitized(GCTOKEN):
        pytest.skip("a library with a sanitizer loads into no other program")
    built = os.path.dirname(os.path.abspath(GCTOKEN))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", *libraries], text=True, check=True,
                           capture_output=True).stdout.split() if libraries else []
    program = os.path.join(reader.folder, name.removesuffix(".c"))
    reader.run("cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", program, name,
               "-I", os.path.join(REPOSITORY, "client-lib"), "-L", built, "-lgctoken",
               f"-Wl,-rpath,{built}", *flags)
    return program


def test_c(reader):
    needs("cc")
    output = reader.run(compiled(reader, "token.c"))
    token = reader.daemon.token().json
    assert output == (f"a token of {len(token['access_token'])} bytes, "
                      f"fingerprint {token['fingerprint']}\n")
    reader.daemon.stop()
    reader.run(os.path.join(reader.folder, "token"), code=1)


def test_c_does_the_job(reader):
    needs("cc")
    program = compiled(reader, "conversations.c", "libcurl", "yajl")
    assert_the_job_survives(reader, program, reader.daemon.fake.api_url)


def test_all_programs_find_the_same(reader):
    """Those of two languages, on an API that lets them have what they ask for."""
    needs("node")
    lines = reader.run(PYTHON, "conversations.py").splitlines()
    assert len(lines) == CONVERSATIONS
    assert reader.run("node", "conversations.mjs").splitlines() == lines


# nginx.

def test_nginx_shows_the_metrics(reader):
    needs("nginx")
    d = reader.daemon
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = PROGRAMS["metrics.conf"]
    assert "127.0.0.1:9187;" in text and "/run/gctokend/gctokend.sock" in text
    text = text.replace("127.0.0.1:9187;", f"127.0.0.1:{port};")
    text = text.replace("/run/gctokend/gctokend.sock", d.socket)
    folders = "".join(f"{name}_temp_path {reader.folder}/{name};" for name in
                      ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = os.path.join(reader.folder, "nginx.conf")
    user = "user root;" if os.geteuid() == 0 else ""
    with open(config, "w", encoding="ascii") as file:
        file.write(f"daemon off; {user} pid {reader.folder}/pid; error_log stderr;"
                   f"events {{}} http {{ access_log off; {folders} {text} }}")
    nginx = subprocess.Popen(["nginx", "-p", reader.folder, "-c", config],
                             stderr=subprocess.DEVNULL)
    try:
        def metrics():
            run = subprocess.run(["curl", "-qsf", "--noproxy", "*",
                                  f"http://127.0.0.1:{port}/metrics"],
                                 capture_output=True, text=True, check=False)
            return run.stdout

        seen = wait_until(metrics, "nginx answers")
    finally:
        nginx.terminate()
        nginx.wait()
    assert "gctokend_token_valid" in seen
    assert ask(d.socket, "GET", "/metrics").status == 200
