"""What monitoring and administrators call: gctoken check, metrics, why, revoke, status --names."""

import json
import os
import re
import stat
import subprocess

import pytest

from daemon import GCTOKEN, environment
from scripted_daemon import (answer, folder, on_terminal, problem, run, scripted)  # noqa: F401
from test_cli_people import BAD, NO_TOKEN, profile
from users import account, become, needs_root

pytestmark = pytest.mark.usefixtures("gctoken")  # which fails where it is not built


# check

def status(*profiles):
    return answer(200, {"profiles": list(profiles)})


STALE = profile("default", state="stale", expires_in=240, refresh_in=-5, last_error=BAD)
REJECTED = profile("default", state="client_rejected", **NO_TOKEN, last_error={
    **BAD, "class": "client_rejected", "status": 401, "words": "authentication failed"})


@pytest.mark.parametrize("rows, arguments, code, line", [
    ([profile("default")], [], 0,
     "OK default: fresh, good for 58m, generation 17 | expires_in=3500s"),
    ([profile("other"), profile("default")], [], 0,
     "OK default: fresh, good for 58m, generation 17 | expires_in=3500s"),
    ([profile("default", last_error=BAD)], [], 1,
     "WARNING default: fresh, good for 58m, but the latest token request failed; latest failure: "
     f"unavailable: {BAD['words']} | expires_in=3500s"),
    ([profile("default")], ["--min-ttl", "3500"], 0,
     "OK default: fresh, good for 58m, generation 17 | expires_in=3500s"),
    ([profile("default")], ["--min-ttl=3501"], 1,
     "WARNING default: fresh, good for only 58m, --min-ttl is 3501 s | expires_in=3500s"),
    ([STALE], [], 1, f"WARNING default: stale, good for 4m; latest failure: unavailable: "
     f"{BAD['words']} | expires_in=240s"),
    ([STALE], ["--min-ttl=300"], 1, "WARNING default: stale, good for only 4m, --min-ttl is 300 s; "
     f"latest failure: unavailable: {BAD['words']} | expires_in=240s"),
    ([REJECTED], [], 2, "CRITICAL default: no token (client_rejected); latest failure: "
     "client_rejected: authentication failed"),
    ([profile("default", state="waiting", **NO_TOKEN)], [], 2,
     "CRITICAL default: no token (waiting)"),
    ([profile("default", state="fresh", expires_in=0)], [], 2,
     "CRITICAL default: no token (fresh)"),
    ([profile("default", state="revoked", **NO_TOKEN)], [], 2,
     "CRITICAL default: no token (revoked)"),
    ([profile("other")], [], 2,
     "CRITICAL default: there is no such profile, or this user may not see it"),
    ([], [], 2, "CRITICAL default: there is no such profile, or this user may not see it"),
])
def test_check(folder, scripted, rows, arguments, code, line):
    daemon = scripted(status(*rows))
    result = run(folder, "check", *arguments)
    assert (result.returncode, result.stdout, result.stderr) == (code, line + "\n", "")
    assert daemon.lines() == ["GET /v1/status HTTP/1.1"]
    told = json.loads(run(folder, "check", "--json", *arguments).stdout)
    assert told["verdict"] == line.split()[0]
    assert told["words"] == line.split(": ", 1)[1].split(" | ")[0]
    assert told["profile"] == "default"


def test_check_of_a_daemon_that_is_not_there_or_odd(folder, scripted):
    result = run(folder, "check")
    assert (result.returncode, result.stderr) == (2, "")
    assert result.stdout.startswith(f"CRITICAL default: the daemon at {folder}/sock cannot be")
    daemon = scripted(answer(200, "nonsense"))
    assert run(folder, "check").returncode == 2
    daemon.answers = [answer(500, "")]
    assert "HTTP 500" in run(folder, "check").stdout
    daemon.answers = [b"SSH-2.0-x\r\n"]
    assert run(folder, "check").returncode == 2


@pytest.mark.parametrize("arguments", [["--min-ttl", "soon"], ["--nosuch"], ["word"],
                                       ["--profile", "NO"], ["--socket", "/" + "a" * 200],
                                       ["--color", "blue"]])
def test_check_used_wrongly(folder, arguments):
    assert run(folder, "check", *arguments).returncode == 3


def test_check_says_one_plain_line(folder, scripted):
    words = "two\nlines | x=1s \"quoted\" \\ \x1b[2J\u202e"
    scripted(status(profile("default", state="stale", last_error={**BAD, "words": words})))
    result = run(folder, "check")
    assert result.stdout.count("\n") == 1 and result.stdout.count("|") == 1
    assert "\x1b" not in result.stdout and result.stdout.isascii()
    assert json.loads(run(folder, "check", "--json").stdout)["verdict"] == "WARNING"


def test_check_with_the_real_daemon(daemon, fake):
    server = fake()
    d = daemon(server)
    d.token()
    posts = server.posts
    assert d.gctoken("check").returncode == 0
    # It looks, and does not ask: a token that is too short for it is not replaced.
    assert d.gctoken("check", "--min-ttl", "99999999").returncode == 1
    assert server.posts == posts
    d.post("/v1/revoke?profile=default")
    assert "no token (revoked)" in d.gctoken("check").stdout
    d.stop()
    assert d.gctoken("check").returncode == 2


# metrics

METRICS = "# HELP a b\n# TYPE a gauge\na{profile=\"default\"} 1\n"


def test_metrics_are_printed_as_they_are(folder, scripted):
    daemon = scripted(answer(200, METRICS))
    result = run(folder, "metrics")
    assert (result.returncode, result.stdout, result.stderr) == (0, METRICS, "")
    assert run(folder, "metrics", "--json").stdout == METRICS
    assert daemon.lines()[0] == "GET /metrics HTTP/1.1"


def test_metrics_replace_a_file_in_one_step(folder, scripted):
    daemon = scripted(answer(200, METRICS))
    path = f"{folder}/gctokend.prom"
    for _ in range(2):
        result = run(folder, "metrics", "--output", path)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        with open(path) as file:
            assert file.read() == METRICS
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644
    before = os.stat(path)
    daemon.answers = [answer(503, "")]
    assert run(folder, "metrics", "--output", path).returncode == 75
    assert os.stat(path).st_ino == before.st_ino
    assert sorted(os.listdir(folder)) == ["gctokend.prom", "sock"]
    daemon.answers = [answer(200, METRICS)]
    missing = run(folder, "metrics", "--output", f"{folder}/nowhere/x")
    assert missing.returncode == 1 and "nowhere" in missing.stderr
    os.mkdir(f"{folder}/taken")
    assert run(folder, "metrics", "--output", f"{folder}/taken").returncode == 1
    assert sorted(os.listdir(folder)) == ["gctokend.prom", "sock", "taken"]


def test_huge_metrics(folder, scripted):
    body = METRICS * 50_000
    scripted(answer(200, body))
    assert run(folder, "metrics").stdout == body


@pytest.mark.parametrize("command", ["metrics", "why", "status"])
def test_nobody_reads(folder, scripted, command):
    """As others do it: SIGPIPE, and not a word."""
    scripted(answer(200, METRICS * 5000) if command == "metrics" else answer(200, {
        "profiles": [profile(f"p{one}") for one in range(2000)],
        "events": [event(0, words="x" * 300) for _ in range(1000)]}))
    process = subprocess.Popen([GCTOKEN, command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment(GCTOKEN_SOCKET=f"{folder}/sock"))
    process.stdout.close()
    assert process.wait(30) == -13
    assert process.stderr.read() == b""
    process.stderr.close()


# why

def event(ago, kind="token", words="token 9f86d081884c7d65 for 3600 s", generation=17, **more):
    return {"time": "2024-06-01T12:00:00.123Z", "ago": ago, "event": kind, "words": words,
            "generation": generation, "times": 1, **more}


HISTORY = {"profile": "default", "events": [
    event(7300), event(188, "fetch_failed", "unavailable, HTTP 502: bad gateway; next in 8 s", None),
    event(60, "denied", "uid 1001 was denied: no rule names it", None, times=12),
    event(3, "token", "token 0123456789abcdef for 3600 s", 18)]}


def test_why_tells_the_events_and_how_things_stand(folder, scripted):
    daemon = scripted(answer(200, HISTORY), status(profile("default", next_attempt_in=3000)))
    result = run(folder, "why", env={"TZ": "UTC"})
    assert (result.returncode, result.stderr) == (0, "")
    assert daemon.lines() == ["GET /v1/history?profile=default HTTP/1.1",
                              "GET /v1/status HTTP/1.1"]
    lines = result.stdout.split("\n")
    assert lines[0].split() == ["TIME", "AGO", "EVENT", "GEN", "WHY"]
    assert lines[1].split()[:6] == ["01", "Jun", "12:00", "2h01m", "token", "17"]
    assert lines[2].endswith("3m  fetch_failed    -  unavailable, HTTP 502: bad gateway; "
                             "next in 8 s")
    assert lines[3].endswith("uid 1001 was denied: no rule names it (12 times)")
    assert lines[4].endswith("3s  token          18  token 0123456789abcdef for 3600 s")
    assert lines[6] == ("Now: fresh, the token is good for 58m; the next fetch is due in 50m")


def test_why_shows_the_latest(folder, scripted):
    scripted(answer(200, HISTORY))
    lines = run(folder, "why", "--last", "1").stdout.strip().split("\n")
    assert len(lines) == 2 and "0123456789abcdef" in lines[1]
    assert run(folder, "why", "--last", "0").stdout == "", "none is as many as were asked for"
    assert json.loads(run(folder, "why", "--json").stdout) == HISTORY


def test_why_when_nothing_has_happened(folder, scripted):
    scripted(answer(200, {"profile": "default", "events": []}))
    assert run(folder, "why").stdout == "default: nothing has happened yet\n"


@pytest.mark.parametrize("columns", [30, 40, 60, 71, 72, 80, 100, 160])
def test_why_fits_the_width(folder, scripted, columns):
    scripted(answer(200, HISTORY), status(profile("default")))
    result = run(folder, "why", env={"COLUMNS": str(columns)})
    assert max(len(line) for line in result.stdout.split("\n")) <= columns
    assert "bad gateway" in " ".join(result.stdout.split())


def test_why_in_colour_and_without_steering(folder, scripted):
    odd = {**HISTORY, "events": [event(1, "\x1b[2J", "\x1b]0;owned\x07\u202e\n", time="\x1b[5m")]}
    scripted(answer(200, HISTORY), status(profile("default")), answer(200, odd))
    code, output, _ = on_terminal(folder, 80, "why")
    assert code == 0 and "\x1b[32mtoken" in output and "\x1b[1;31mfetch_failed" in output
    _, output, _ = on_terminal(folder, 80, "why")
    assert set(re.findall(r"\x1b[^m]*m", output)) <= {"\x1b[0m", "\x1b[1m", "\x1b[2m"}
    assert "\x07" not in output


def test_why_of_broken_answers(folder, scripted):
    daemon = scripted(answer(200, "{"))
    assert run(folder, "why").returncode == 1
    daemon.answers = [answer(200, {"events": [{}, {"time": 5, "ago": "x", "times": None}]})]
    assert run(folder, "why").returncode == 0
    daemon.answers = [answer(200, {"events": [event(1)] * 3000})]
    assert run(folder, "why").returncode == 0


@needs_root
def test_who_is_no_administrator_is_told_what_to_do(daemon, fake, tmp_path):
    d = daemon(fake(), broker={"socket_mode": "0666"}, profile={"allow_users": "*"})
    user = account("nobody")
    for command in ("why", "refresh", "revoke"):
        copy = d.path("gctoken")
        if not os.path.exists(copy):
            subprocess.run(["cp", GCTOKEN, copy], check=True)
        result = subprocess.run([*become(user), copy, command], capture_output=True, text=True,
                                env=environment(GCTOKEN_SOCKET=d.socket), cwd="/", timeout=30)
        assert (result.returncode, result.stdout) == (77, "")
        assert "admin_users" in result.stderr and "sudo" in result.stderr


# With the real daemon

def test_an_incident_from_the_beginning_to_the_end(daemon, fake):
    server = fake()
    d = daemon(server)
    d.token()
    revoked = d.gctoken("revoke")
    assert (revoked.returncode, revoked.stderr) == (0, "")
    assert revoked.stdout.startswith("default: the token is revoked")
    refused = d.gctoken("get")
    assert refused.returncode == 1 and "gctoken refresh" in refused.stderr
    assert d.gctoken("refresh").returncode == 0
    assert json.loads(d.gctoken("revoke", "--json").stdout) == {
        "profile": "default", "state": "revoked"}
    why = d.gctoken("why")
    assert why.returncode == 0
    kinds = [line.split()[2] for line in why.stdout.split("\n")[1:] if line and line[0].isdigit()]
    assert kinds.count("revoked") == 2 and "token" in kinds
    assert why.stdout.rstrip().split("\n")[-1].startswith("Now: revoked")
    d.assert_no_leak(why.stdout + revoked.stdout, "the output")
    unknown = d.gctoken("why", "--profile", "nosuch")
    assert unknown.returncode == 78 and "gctoken status" in unknown.stderr


# status --names

def test_names_for_completion(folder, scripted):
    scripted(status(profile("default"), profile("b-2"), profile("$(rm -rf)"), profile("a\nb"),
                    profile("")))
    result = run(folder, "status", "--names")
    assert (result.returncode, result.stdout) == (0, "default\nb-2\n")
    assert run(folder, "status", "--names", "--json").stdout.startswith("{")


# Wrong words

@pytest.mark.parametrize("typed, meant", [("chek", "check"), ("statsu", "status"),
                                          ("header ", "header"), ("revok", "revoke"),
                                          ("gte", "get")])
def test_a_slip_of_the_keyboard(folder, typed, meant):
    result = run(folder, typed)
    assert result.returncode == 2
    assert f"Did you mean '{meant}'?" in result.stderr


@pytest.mark.parametrize("typed", ["x", "zzzz", "a" * 300, ""])
def test_a_word_that_is_no_command(folder, typed):
    result = run(folder, typed)
    assert result.returncode == 2 and "Did you mean" not in result.stderr


def test_no_words_at_all_get_the_list(folder):
    result = run(folder)
    assert (result.returncode, result.stdout) == (2, "")
    for command in ("get", "api", "watch", "why", "check", "doctor"):
        assert re.search(rf"^  {command} ", result.stderr, re.M)
