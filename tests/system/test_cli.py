"""The gctoken command as scripts use it, against a daemon that answers what a test tells it to:
every exit code and every message. The command with the real daemon is tested elsewhere."""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from daemon import GCTOKEN, environment
from scripted_daemon import (FINGERPRINT, TEXT_TOKEN, TOKEN, TOKEN_JSON,  # noqa: F401
                             answer, folder, on_terminal, problem, run, scripted)

pytestmark = pytest.mark.usefixtures("gctoken")  # which fails where it is not built


def assert_quiet_about_tokens(result):
    assert "canary" not in result.stderr


# get and header

def test_get_prints_the_token(folder, scripted):
    daemon = scripted(TEXT_TOKEN)
    result = run(folder, "get")
    assert (result.returncode, result.stdout, result.stderr) == (0, TOKEN + "\n", "")
    assert daemon.requests == [["GET /v1/token?profile=default HTTP/1.1", "Host: gctokend",
                                "Accept: text/plain"]]


def test_header_prints_a_line_for_curl(folder, scripted):
    scripted(TEXT_TOKEN)
    result = run(folder, "header")
    assert (result.returncode, result.stdout) == (0, f"Authorization: Bearer {TOKEN}\n")


@pytest.mark.parametrize("arguments, target", [
    (["get", "--min-ttl", "60"], "profile=default&min_ttl=60"),
    (["get", "--wait=7"], "profile=default&wait=7"),
    (["get", "--min-ttl=60", "--wait", "0"], "profile=default&min_ttl=60&wait=0"),
    (["--profile", "a-b_9", "header"], "profile=a-b_9"),
    (["header", "--profile=other", "--wait", "3"], "profile=other&wait=3"),
])
def test_options_reach_the_daemon(folder, scripted, arguments, target):
    daemon = scripted(TEXT_TOKEN)
    assert run(folder, *arguments).returncode == 0
    assert daemon.lines() == [f"GET /v1/token?{target} HTTP/1.1"]


def test_the_environment_and_the_option_before_it(folder, scripted):
    daemon = scripted(TEXT_TOKEN)
    assert run(folder, "get", env={"GCTOKEN_PROFILE": "prod"}).returncode == 0
    assert run(folder, "get", "--profile", "test", env={"GCTOKEN_PROFILE": "prod"}).returncode == 0
    assert run(folder, "get", env={"GCTOKEN_PROFILE": ""}).returncode == 0
    named = run(folder, "get", "--socket", daemon.path, env={"GCTOKEN_SOCKET": "/nowhere"})
    assert named.returncode == 0
    assert [line.split("profile=")[1].split(" ")[0] for line in daemon.lines()] == \
        ["prod", "test", "default", "default"]


def test_json_is_printed_as_it_is(folder, scripted):
    odd = '{"access_token" : "x",\n "of": ["a","newer","daemon"]}'
    daemon = scripted(answer(200, odd))
    result = run(folder, "--json", "get")
    assert (result.returncode, result.stdout) == (0, odd)
    assert "Accept: application/json" in daemon.requests[0]
    assert run(folder, "header", "--json").stdout == odd


@pytest.mark.parametrize("body", ["", "\n", TOKEN, TOKEN + "\r\n", "two words\n", "a\nb\n",
                                  "x\x00y\n", "caf\u00e9\n", "a" * 8193 + "\n"])
@pytest.mark.parametrize("command", ["get", "header"])
def test_what_is_no_token_is_not_printed(folder, scripted, command, body):
    scripted(answer(200, body))
    result = run(folder, command)
    assert (result.returncode, result.stdout) == (1, "")
    assert "is not gctokend, or is another version" in result.stderr
    assert_quiet_about_tokens(result)


def test_the_longest_token(folder, scripted):
    scripted(answer(200, "a" * 8192 + "\n"))
    assert run(folder, "get").stdout == "a" * 8192 + "\n"


# what the daemon may say instead

@pytest.mark.parametrize("status, code, words, more, exit_code, expected", [
    (400, "invalid_request", "min_ttl: at most 1800", {}, 2, ["min_ttl: at most 1800"]),
    (403, "access_denied", "no rule names uid 1001", {}, 77, ["uid 1001", "allow_users"]),
    (404, "unknown_profile", "there is no profile nosuch", {}, 78, ["nosuch", "gctoken status"]),
    (404, "not_found", "no such route", {}, 1, ["older than this command"]),
    (405, "method_not_allowed", "no", {}, 1, ["no."]),
    (408, "request_timeout", "too slow", {}, 75, ["too slow"]),
    (414, "uri_too_long", "too long", {}, 1, ["too long"]),
    (429, "too_many_requests", "slow down", {"retry_after": 3}, 75, ["Try again in 3 s"]),
    (429, "reject_cooldown", "replaced just now", {"retry_after": 28}, 75,
     ["reject_cooldown", "Try again in 28 s"]),
    (431, "header_too_large", "too large", {}, 1, ["too large"]),
    (500, "internal", "oops", {}, 1, ["HTTP 500"]),
    (503, "temporarily_unavailable", "unavailable, HTTP 502: bad gateway", {"retry_after": 12}, 75,
     ["HTTP 502: bad gateway", "Try again in 12 s", "gctoken status"]),
    (503, "login_required", "log in", {}, 1, ["log in", "login_required"]),
    (503, "client_rejected", "invalid_client: authentication failed", {}, 1,
     ["authentication failed", "client_secret_file", "systemctl reload gctokend"]),
    (503, "revoked", "revoked by root", {}, 1, ["revoked by root", "gctoken refresh"]),
    (503, "something_new", "words", {}, 75, ["words", "something_new"]),
    (504, "timeout", "the wait ended", {}, 75, ["the wait ended", "--wait"]),
])
@pytest.mark.parametrize("command", [["get"], ["header"], ["exec", "--", "echo", "ran"],
                                     ["reject", "--generation", "17"], ["status"], ["skew"],
                                     ["refresh"], ["revoke"], ["why"], ["metrics"],
                                     ["api", "GET", "/"]], ids=lambda command: command[0])
def test_each_refusal_has_its_code_and_words(folder, scripted, command, status, code, words,
                                             more, exit_code, expected):
    scripted(problem(status, code, words, **more))
    result = run(folder, *command)
    assert (result.returncode, result.stdout) == (exit_code, "")
    assert result.stderr.startswith("gctoken: profile default: ")
    assert code in result.stderr
    for text in expected:
        # Who is denied what administrators do learns who those are.
        if command[0] in ("refresh", "revoke", "why"):
            text = text.replace("allow_users", "admin_users")
        assert text in result.stderr


def test_a_refusal_without_words(folder, scripted):
    daemon = scripted(answer(503, ""))
    for body in ("", "not JSON", "[1, 2", '{"error": 5}', "[" * 1000):
        daemon.answers = [answer(503, body)]
        result = run(folder, "get")
        assert result.returncode == 75
        assert "no token is available now" in result.stderr


def test_a_refusal_with_json_is_also_printed(folder, scripted):
    scripted(problem(429, "too_many_requests", "slow down", retry_after=3))
    result = run(folder, "get", "--json")
    assert result.returncode == 75
    assert json.loads(result.stdout)["error"] == "too_many_requests"
    assert "slow down" in result.stderr


def test_words_of_a_server_cannot_steer_the_terminal(folder, scripted):
    scripted(problem(503, "temporarily_unavailable", "\x1b[2Jgone\x07\u202e\n"))
    result = run(folder, "get")
    assert "\x1b" not in result.stderr and "\x07" not in result.stderr
    assert "?[2Jgone?" in result.stderr


# no answer at all

def test_no_daemon(folder):
    for command in (["get", "--wait", "0"], ["status"], ["skew"], ["refresh"],
                    ["header", "--wait=0"], ["exec", "--wait", "0", "echo"],
                    ["reject", "--generation=1", "--wait=0"], ["revoke"], ["why"],
                    ["api", "GET", "/", "--wait", "0"], ["metrics"], ["watch"]):
        result = run(folder, *command)
        assert (result.returncode, result.stdout) == (69, "")
        assert result.stderr == (f"gctoken: cannot reach the daemon at {folder}/sock: No such file "
                                 "or directory. Is gctokend running? (systemctl status gctokend)\n")


def test_a_socket_nobody_listens_at(folder):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(f"{folder}/sock")
    dead.close()
    result = run(folder, "status")
    assert result.returncode == 69
    assert "Connection refused. Is gctokend running?" in result.stderr


def test_a_daemon_that_comes_back_in_time(folder, scripted):
    command = subprocess.Popen([GCTOKEN, "get"], stdout=subprocess.PIPE, text=True,
                               env=environment(GCTOKEN_SOCKET=os.path.join(folder, "sock")))
    time.sleep(0.2)
    scripted(TEXT_TOKEN)
    assert command.communicate(timeout=30)[0] == TOKEN + "\n"
    assert command.returncode == 0


def test_a_connection_that_is_closed_is_asked_again(folder, scripted):
    daemon = scripted(None, TEXT_TOKEN[:40], TEXT_TOKEN)
    daemon.answers[1:2] = [None]
    assert run(folder, "get").stdout == TOKEN + "\n"
    assert len(daemon.requests) == 3


WAITING = [("get",), ("header",), ("exec", "--", "true"), ("reject", "--generation", "17")]


def wait_of(line):
    found = re.search("[?&]wait=([0-9]+)", line)
    return int(found[1]) if found else None


@pytest.mark.parametrize("arguments", WAITING, ids=[a[0] for a in WAITING])
def test_who_is_asked_again_is_told_what_is_left_of_the_wait(folder, scripted, arguments):
    """Else the next daemon waits from the beginning, and for longer than the command does."""
    good = answer(200, TOKEN_JSON) if arguments[0] == "exec" else TEXT_TOKEN
    daemon = scripted(2.1, good)
    assert run(folder, *arguments).returncode == 0
    first, second = daemon.lines()
    assert wait_of(first) is None
    assert wait_of(second) in (0, 1, 2, 3)


def test_all_of_the_waits_together_end_before_the_command_does(folder, scripted):
    """2.9 s of 5 s and then 3 s would be all but the 6 s after which nobody reads the reply."""
    daemon = scripted(2.9, TEXT_TOKEN)
    assert run(folder, "get").returncode == 0
    assert wait_of(daemon.lines()[1]) <= 2


def test_a_daemon_that_was_absent_is_told_what_is_left_of_the_wait(folder, scripted):
    command = subprocess.Popen([GCTOKEN, "get"], stdout=subprocess.PIPE, text=True,
                               env=environment(GCTOKEN_SOCKET=os.path.join(folder, "sock")))
    time.sleep(1.2)
    daemon = scripted(TEXT_TOKEN)
    assert command.communicate(timeout=30)[0] == TOKEN + "\n"
    assert wait_of(daemon.lines()[0]) in (0, 1, 2, 3, 4)


def test_a_wait_that_is_refused_is_not_named(folder, scripted):
    """max_wait may be less than what is left."""
    refusal = problem(400, "invalid_request", "wait: more than max_wait")
    daemon = scripted(None, refusal, None, TEXT_TOKEN)
    assert run(folder, "get").returncode == 0
    assert [wait_of(line) for line in daemon.lines()] == [None, 5, None, None]


def test_what_else_is_refused_is_not_asked_again(folder, scripted):
    refusal = problem(400, "invalid_request", "min_ttl: too much")
    daemon = scripted(refusal)
    assert run(folder, "get", "--min-ttl", "9").returncode == 2
    assert len(daemon.requests) == 1
    daemon.answers[:] = [None, refusal]
    assert run(folder, "get", "--min-ttl", "9", "--wait", "3").returncode == 2
    assert [wait_of(line) for line in daemon.lines()[1:]] == [3, 3]


def test_a_refresh_is_never_sent_twice(folder, scripted):
    daemon = scripted(None)
    result = run(folder, "refresh")
    assert result.returncode == 69
    assert "closed the connection without a reply" in result.stderr
    assert len(daemon.requests) == 1


def test_a_daemon_that_says_nothing(folder, scripted):
    scripted("hang")
    start = time.monotonic()
    result = run(folder, "get", "--wait", "0")
    assert 0.9 < time.monotonic() - start < 5
    assert result.returncode == 69
    assert "did not reply within 1 s" in result.stderr


@pytest.mark.parametrize("garbage", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n\r\n",
                                     b"HTTP/1.1 100 Continue\r\n\r\n", b"\0" * 100])
def test_something_else_at_the_socket(folder, scripted, garbage):
    scripted(garbage)
    result = run(folder, "get")
    assert result.returncode == 1
    assert f"the program at {folder}/sock is not gctokend" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_socket_that_may_not_be_used(folder, scripted):
    scripted(TEXT_TOKEN)
    os.chmod(folder, 0o711)
    os.chmod(os.path.join(folder, "sock"), 0o600)
    copy = os.path.join(folder, "gctoken")  # the build folder may be closed to others
    shutil.copy(GCTOKEN, copy)
    variables = environment(GCTOKEN_SOCKET=os.path.join(folder, "sock"))
    result = subprocess.run([copy, "get"], env=variables, text=True, capture_output=True,
                            timeout=30, user=65534, group=65534, extra_groups=[])
    assert (result.returncode, result.stdout) == (77, "")
    assert f"may not connect to {folder}/sock: Permission denied" in result.stderr
    assert "members of the socket's group may: 'gctoken doctor' says more" in result.stderr


# usage

@pytest.mark.parametrize("arguments, expected", [
    ([], "no command given"),
    (["nosuch"], 'unknown command "nosuch"'),
    (["--nosuch"], "unknown option --nosuch"),
    (["get", "--nosuch=1"], "unknown option --nosuch"),
    (["get", "-x"], "unknown option -x"),
    (["get", "word"], '"word" is one word too many'),
    (["get", "--", "--wait"], '"--wait" is one word too many'),
    (["get", "--wait"], "--wait needs a value"),
    (["get", "--wait", ""], "not a whole number"),
    (["get", "--wait", "-1"], "not a whole number"),
    (["get", "--wait", "5s"], "not a whole number"),
    (["get", "--wait", "1.5"], "not a whole number"),
    (["get", "--wait", "86401"], "from 0 to 86400"),
    (["get", "--min-ttl", "99999999999999999999"], "not a whole number"),
    (["get", "--json=yes"], "--json takes no value"),
    (["status", "--color", "blue"], "not one of auto, always, never"),
    (["status", "--wait", "1"], "unknown option --wait"),
    (["get", "--socket", ""], "cannot be a socket"),
    (["get", "--socket", "/" + "a" * 107], "cannot be a socket"),
    (["exec"], "no command given"),
    (["exec", "--"], "no command given"),
    (["reject"], "Standard input is empty"),
    (["reject", "--generation", "x"], "not a whole number"),
    (["reject", "--generation", "9007199254740993"], "not a whole number"),
    (["refresh", "now"], "one word too many"),
])
def test_usage_errors(folder, arguments, expected):
    result = run(folder, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert expected in result.stderr
    assert result.stderr.startswith("gctoken: ")


@pytest.mark.parametrize("name", ["", "UPPER", "-x", "_x", "a b", "a/b", "a&b=c", "x" * 49])
def test_names_no_profile_can_have(folder, name):
    result = run(folder, "get", f"--profile={name}")
    assert result.returncode == 78
    assert "cannot be a profile" in result.stderr


def commands_of(folder) -> list[str]:
    listed = run(folder, "--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines()]


def test_help(folder):
    """Of all and of each: it fits a terminal, and shows how it is used."""
    assert len(commands_of(folder)) > 15
    for command in ([], *([name] for name in commands_of(folder))):
        result = run(folder, *command, "--help")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith(" ".join(["Usage: gctoken", *command]))
        assert "--socket PATH" in result.stdout
        assert "Examples:\n  " in result.stdout
        assert [line for line in result.stdout.split("\n") if len(line) > 80] == []
        for other in ([*command, "-h"], ["help", *command]):
            assert run(folder, *other).stdout == result.stdout


@pytest.mark.parametrize("arguments, words", [
    (["help", "gte"], "Did you mean 'get'?"), (["help", "get", "status"], "one word too many"),
    (["completion"], "name one shell"), (["completion", "csh"], "none for \"csh\""),
])
def test_help_and_completion_of_what_there_is_not(folder, arguments, words):
    result = run(folder, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr


@pytest.mark.parametrize("code, hint", [
    ("login_required", "gctoken --profile prod login"), ("revoked", "gctoken --profile prod refresh"),
    ("temporarily_unavailable", "'gctoken --profile prod status'"),
])
def test_hints_name_the_profile(folder, scripted, code, hint):
    scripted(problem(503, code, "words"))
    assert hint in run(folder, "--profile", "prod", "get").stderr
    assert hint.replace(" --profile prod", "") in run(folder, "get").stderr


@pytest.mark.parametrize("words, told", [
    ("an admin (uid 0) may not", "an admin (uid 0, root) may not"), ("(uid 0", "(uid 0, root"),
    ("uid 0 may not", "uid 0 (root) may not"), ("no rule names uid 0, uid 0", "uid 0 (root), uid 0 (root)"),
    ("uid 4000000000 and uid -1", "uid 4000000000 and uid -1"), ("fluid 0 uid", "fluid 0 uid"),
    ("uid 99999999999999999999", "uid 99999999999999999999"),
])
def test_users_have_names(folder, scripted, words, told):
    scripted(problem(403, "access_denied", words))
    assert told in run(folder, "get").stderr


def test_version(folder):
    result = run(folder, "--version")
    assert result.returncode == 0
    assert re.fullmatch(r"gctoken \d+\.\d+\.\d+(\+\d+\.g[0-9a-f]{7}(\.dirty)?)?\n", result.stdout)


@pytest.mark.parametrize("command", ["get", "status"])
def test_a_full_disk_is_noticed(folder, scripted, command):
    scripted(TEXT_TOKEN if command == "get" else answer(200, {"profiles": []}))
    with open("/dev/full", "w") as full:
        result = subprocess.run([GCTOKEN, command], stdout=full, stderr=subprocess.PIPE, text=True,
                                env=environment(GCTOKEN_SOCKET=f"{folder}/sock"), timeout=30)
    assert result.returncode == 1
    assert "cannot write to standard output: No space left on device" in result.stderr


def test_closed_descriptors_do_not_become_the_socket(folder, scripted):
    scripted(TEXT_TOKEN)
    result = subprocess.run(["sh", "-c", f"{GCTOKEN} get 0<&- 1>&- 2>&-"], timeout=30,
                            env=environment(GCTOKEN_SOCKET=f"{folder}/sock"))
    assert result.returncode == 1


# exec

def test_exec_sets_the_environment_of_the_command_alone(folder, scripted):
    daemon = scripted(answer(200, TOKEN_JSON))
    script = 'echo "$GENESYSCLOUD_ACCESS_TOKEN $GENESYSCLOUD_REGION $1"; exit 42'
    result = run(folder, "exec", "--wait", "3", "--", "sh", "-c", script, "sh", "--json",
                 env={"GENESYSCLOUD_REGION": "mypurecloud.de"})
    assert (result.returncode, result.stdout) == (42, f"{TOKEN} us-west-2 --json\n")
    assert daemon.lines() == ["GET /v1/token?profile=default&wait=3 HTTP/1.1"]
    assert run(folder, "exec", "echo", "--wait", "x").stdout == "--wait x\n"


def test_exec_says_for_how_long_the_token_is_good(folder, scripted):
    scripted(answer(200, {**TOKEN_JSON, "expires_in": 71}))
    for arguments in (["exec", "--", "true"], ["--json", "exec", "--", "true"]):
        result = run(folder, *arguments)
        assert (result.returncode, result.stdout) == (0, "")
        assert result.stderr == ("gctoken: exec: the token is good for 71 s and is not renewed "
                                 "meanwhile\n")


def test_exec_does_not_leave_another_region_in_place(folder, scripted):
    scripted(answer(200, {**TOKEN_JSON, "region": ""}))
    result = run(folder, "exec", "--", "sh", "-c", 'echo "${GENESYSCLOUD_REGION-unset}"',
                 env={"GENESYSCLOUD_REGION": "mypurecloud.de"})
    assert result.stdout == "unset\n"


def test_exec_passes_no_descriptors_on(folder, scripted):
    scripted(answer(200, TOKEN_JSON))
    result = run(folder, "exec", "--", "ls", "-l", "/proc/self/fd")
    assert "socket" not in result.stdout


def test_exec_of_what_cannot_run(folder, scripted):
    scripted(answer(200, TOKEN_JSON))
    missing = run(folder, "exec", "--", "/nowhere/command")
    assert missing.returncode == 127
    assert "cannot run /nowhere/command: No such file or directory" in missing.stderr
    plain = os.path.join(folder, "plain")
    open(plain, "w").close()
    unrunnable = run(folder, "exec", "--", plain)
    assert unrunnable.returncode == 126
    assert "Permission denied" in unrunnable.stderr
    assert_quiet_about_tokens(unrunnable)


@pytest.mark.parametrize("body", [{}, {"access_token": 5}, {"access_token": ""},
                                  {"access_token": "a b"}, {"access_token": "a\nB=c"},
                                  {"other": {"access_token": TOKEN}}, "{", "[" * 100])
def test_exec_without_a_token_runs_nothing(folder, scripted, body):
    scripted(answer(200, body))
    result = run(folder, "exec", "--", "echo", "ran")
    assert (result.returncode, result.stdout) == (1, "")
    assert_quiet_about_tokens(result)


def test_exec_unreachable_runs_nothing(folder):
    result = run(folder, "exec", "--wait=0", "--", "echo", "ran")
    assert (result.returncode, result.stdout) == (69, "")


# reject

@pytest.mark.parametrize("stdin", [TOKEN, TOKEN + "\n", TOKEN + "\r\n"])
def test_reject_names_the_token_by_its_fingerprint(folder, scripted, stdin):
    daemon = scripted(TEXT_TOKEN)
    result = run(folder, "reject", "--wait", "4", stdin=stdin)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert daemon.requests == [[
        f"POST /v1/token/reject?profile=default&fingerprint={FINGERPRINT}&wait=4 HTTP/1.1",
        "Host: gctokend", "Accept: text/plain", "Content-Length: 0"]]
    assert "canary" not in str(daemon.requests)


def test_reject_by_generation(folder, scripted):
    daemon = scripted(TEXT_TOKEN)
    result = run(folder, "reject", "--generation", "17", stdin="is not read")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert daemon.lines() == ["POST /v1/token/reject?profile=default&generation=17 HTTP/1.1"]
    run(folder, "reject", "--generation", "0", stdin=TOKEN)
    assert "generation=0" in daemon.lines()[-1], "the daemon judges it, and nothing else is rejected"


def test_reject_is_repeated_safely(folder, scripted):
    daemon = scripted(None, TEXT_TOKEN)
    assert run(folder, "reject", "--generation", "17").returncode == 0
    lines = [re.sub("&wait=[0-5]", "", line) for line in daemon.lines()]
    assert lines == ["POST /v1/token/reject?profile=default&generation=17 HTTP/1.1"] * 2


@pytest.mark.parametrize("stdin", ["two words", "a\nb", "x" * 8193, "\x1b", "\n\n", "caf\u00e9"])
def test_reject_of_what_is_no_token(folder, stdin):
    result = run(folder, "reject", stdin=stdin)
    assert (result.returncode, result.stdout) == (2, "")
    assert "does not hold a token" in result.stderr


def test_reject_of_the_longest_token(folder, scripted):
    daemon = scripted(TEXT_TOKEN)
    token = "y" * 8192
    assert run(folder, "reject", stdin=token + "\r\n").returncode == 0
    assert hashlib.sha256(token.encode()).hexdigest()[:16] in daemon.lines()[0]


def test_reject_does_not_wait_for_somebody_to_type_a_token(folder):
    code, output, errors = on_terminal(folder, 80, "reject")
    assert (code, output) == (2, "")
    assert "which token?" in errors


# refresh

def test_refresh_tells_about_the_new_token(folder, scripted):
    daemon = scripted(answer(200, {**TOKEN_JSON, "generation": 18}))
    result = run(folder, "refresh", "--profile", "prod")
    assert (result.returncode, result.stdout) == (
        0, f"prod: new token, generation 18, good for 56m (fingerprint {FINGERPRINT})\n")
    assert daemon.lines()[0] == "POST /v1/refresh?profile=prod HTTP/1.1"
    assert not [line for line in daemon.lines()[1:] if line != "GET /v1/status HTTP/1.1"]
    assert json.loads(run(folder, "refresh", "--json").stdout)["generation"] == 18


# what it is made of

def test_it_links_little(folder):
    linked = subprocess.run(["ldd", GCTOKEN], text=True, capture_output=True).stdout
    for heavy in ("libcurl", "libcrypto", "libssl", "libsystemd", "libevent"):
        assert heavy not in linked
