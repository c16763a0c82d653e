"""gctoken api: calls of the API through the real daemon, and what is done about 401, 429, pages,
and everything that goes wrong."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from connect_proxy import ConnectProxy
from daemon import GCTOKEN, Daemon, environment
from raw_http import is_sanitized
from scripted_daemon import (TOKEN_JSON, answer, folder, on_terminal, problem, run,  # noqa: F401
                             scripted)
from waiting import PATIENCE, wait_until

ME = "/api/v2/users/me"
NET = os.path.join(os.path.dirname(GCTOKEN), "gctoken-net")
QUEUES = "/api/v2/routing/queues"
QUERY = "/api/v2/analytics/conversations/details/query"


@pytest.fixture(scope="module")
def module_daemon(shared_fake):
    """One daemon for all who leave it as it was; a fresh start of both is not what is tested."""
    shared_fake.reset()
    one = Daemon(shared_fake).start()
    yield one
    one.close()


class Api:
    def __init__(self, daemon, server):
        self.daemon = daemon
        self.environment = environment(GCTOKEN_SOCKET=daemon.socket,
                                       GCTOKEN_CA_FILE=server.ca_file)

    def __call__(self, *arguments, stdin=None, timeout=30.0, **env):
        return self.daemon.gctoken("api", *arguments, stdin=stdin, timeout=timeout, **{
            "GCTOKEN_CA_FILE": self.environment["GCTOKEN_CA_FILE"], **env})


    def on_terminal(self, *arguments) -> str:
        """What a person would see."""
        return on_terminal(self.daemon.directory, 80, "--socket", self.daemon.socket, "api", *arguments,
                           GCTOKEN_CA_FILE=self.environment["GCTOKEN_CA_FILE"])[1]


@pytest.fixture
def api(module_daemon, shared_fake):
    """Runs `gctoken api`, whose token is good."""
    shared_fake.clear_faults()
    shared_fake.set(api_rate_limit=0, entities=60)

    return Api(module_daemon, shared_fake)


def requests(server, kind="api"):
    return server.log(kind=kind)


def test_the_body_is_printed_as_it_came(api, shared_fake):
    result = api("GET", ME)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["name"] == "Fake User"
    assert result.stdout == api("get", ME, "--ca-file", shared_fake.ca_file,
                                GCTOKEN_CA_FILE="/nowhere").stdout
    assert api("--json", "GET", ME).stdout == result.stdout


def test_on_a_terminal_json_is_indented(api):
    """With all that it holds; into a pipe it is as it came."""
    came = api("GET", ME).stdout
    for arguments, indented in (([], True), (["--json"], False)):
        shown = api.on_terminal(*arguments, "GET", ME)
        assert json.loads(shown) == json.loads(came)
        assert ('\n  "name": "Fake User"' in shown) == indented


def test_numbers_are_indented_as_they_are_written(api, shared_fake):
    shared_fake.fault("api", "answer", status=200, body='{"n":[1.50,12345678901234567890,1e400],"o":{}}')
    shown = api.on_terminal("GET", ME)
    assert "    1.50,\n    12345678901234567890,\n    1e400\n  ]" in shown


def test_no_text_commands_the_terminal(api, shared_fake):
    """CSI, OSC and DEL: escaped or raw, and other letters of the same first byte as they are."""
    body = '{"\\u009b2J":"\\u009d0;x\\u0007\\u007f","raw":"\x9b2J\x80\x7f\xa0\xe9"}'
    shared_fake.fault("api", "answer", status=200, body=body)
    shown = api.on_terminal("GET", ME)
    assert '  "\\u009b2J": "\\u009d0;x\\u0007\\u007f",' in shown
    assert '  "raw": "\\u009b2J\\u0080\\u007f\xa0\xe9"' in shown
    assert json.loads(shown) == json.loads(body)


def test_what_is_no_json_is_shown_as_it_came(api, shared_fake):
    shared_fake.fault("api", "answer", status=200, body="{not json")
    assert api.on_terminal("GET", ME).strip() == "{not json"


def test_a_head_has_no_body(api):
    result = api("HEAD", "/api/v2/tokens/me")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("form", ["word", "joined", "file", "stdin"])
def test_a_body_is_sent(api, tmp_path, form):
    # Longer than one buffer of anybody on the way, with a byte that ends C's strings in the file.
    interval = "2026-01-01T00:00Z" + "x" * (70_000 if form in ("word", "joined") else 600_000)
    body = json.dumps({"interval": f"{interval}/b"})
    (tmp_path / "query.json").write_text(body)
    data = {"word": ["-d", body], "joined": ["-d" + body],
            "file": ["-d", f"@{tmp_path}/query.json"], "stdin": ["-d", "@-"]}[form]
    result = api("POST", QUERY, *data, stdin=body if form == "stdin" else None)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["conversations"][0]["conversationStart"] == interval


def test_a_post_without_a_body(api):
    result = api("POST", QUERY)
    assert result.returncode == 1
    assert "not a JSON object" in result.stdout


@pytest.mark.parametrize("status, code, words", [
    (200, 0, ""), (202, 0, ""), (204, 0, ""), (302, 1, "Redirects are not followed"),
    (400, 1, "HTTP 400"), (403, 77, "roles or divisions"), (404, 1, "HTTP 404"),
    (408, 75, "HTTP 408"), (409, 1, "HTTP 409"), (500, 1, "HTTP 500"), (502, 75, "HTTP 502"),
    (503, 75, "HTTP 503"), (504, 75, "HTTP 504"),
])
def test_the_status_decides_the_code(api, shared_fake, status, code, words):
    shared_fake.fault("api", "answer", status=status, body="" if status == 204 else "what it says",
                      headers={"Location": "https://localhost:1/"} if status == 302 else {})
    result = api("GET", ME)
    assert result.returncode == code
    assert result.stdout == ("" if status == 204 else "what it says")
    assert words in result.stderr
    assert ("correlation id" in result.stderr) == (code != 0)
    assert len(result.stderr.splitlines()) == (code != 0)


# 401

def test_a_401_is_reported_and_the_call_made_once_more(daemon, fake):
    server = fake()
    d = daemon(server)
    before = d.token().json["generation"]
    server.revoke(all=True)
    result = d.gctoken("api", "POST", QUERY, "-d", '{"interval":"a/b"}',
                       GCTOKEN_CA_FILE=server.ca_file)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["totalHits"] == 1
    assert d.token().json["generation"] > before
    assert [one["status"] for one in requests(server)] == [401, 200]
    assert server.posts == 2


def test_a_second_401_is_told(daemon, fake):
    server = fake()
    d = daemon(server)
    server.fault("api", "answer", status=401, body='{"code":"bad.credentials"}', times=-1)
    result = d.gctoken("api", "GET", ME, GCTOKEN_CA_FILE=server.ca_file)
    assert (result.returncode, result.stdout) == (77, '{"code":"bad.credentials"}')
    assert "tried with a new token, too" in result.stderr
    assert len(requests(server)) == 3
    assert server.posts == 2
    # The next report comes too soon after a replacement, and the API accepts the token where it is
    # asked about that alone: there is no other, and it is tried again all the same.
    again = d.gctoken("api", "GET", ME, GCTOKEN_CA_FILE=server.ca_file)
    assert (again.returncode, again.stdout) == (77, '{"code":"bad.credentials"}')
    assert len(requests(server)) == 6
    assert server.posts == 2


def test_an_api_that_learns_late_of_a_token(daemon, fake):
    server = fake()
    server.set(known_after=1.5)
    d = daemon(server)
    result = d.gctoken("api", "GET", ME, GCTOKEN_CA_FILE=server.ca_file)
    assert (result.returncode, result.stderr) == (0, "")
    assert [one["status"] for one in requests(server)][-1] == 200


def test_a_short_max_wait_is_kept_to(daemon, fake):
    server = fake()
    d = daemon(server, broker={"max_wait": "3s"})
    d.token()
    server.revoke(all=True)
    assert d.gctoken("api", "GET", ME, GCTOKEN_CA_FILE=server.ca_file).returncode == 0
    assert server.posts == 2


# 429

@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_429_is_waited_for(api, shared_fake, form):
    """A date is one of the server's clock, which here is a day ahead of ours."""
    seconds = {"Retry-After": "1"}
    date = {"Retry-After": "Mon, 01 Jan 2024 00:00:01 GMT",
            "Date": "Mon, 01 Jan 2024 00:00:00 GMT"}
    shared_fake.fault("api", "answer", status=429, body="slow down",
                      headers=seconds if form == "seconds" else date)
    start = len(requests(shared_fake))
    result = api("GET", ME)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Fake User" in result.stdout and "slow down" not in result.stdout
    made = requests(shared_fake)[start:]
    assert [one["status"] for one in made] == [429, 200]
    assert made[1]["time"] - made[0]["time"] >= 1


def test_a_429_that_asks_for_no_time_is_not_asked_at_full_speed(api, shared_fake):
    shared_fake.fault("api", "answer", status=429, headers={"Retry-After": "0"}, times=3)
    start = len(requests(shared_fake))
    assert api("GET", ME).returncode == 0
    made = requests(shared_fake)[start:]
    assert [one["status"] for one in made] == [429, 429, 429, 200]
    for before, after, least in zip(made, made[1:], (0.25, 0.5, 1)):
        assert after["time"] - before["time"] >= least


@pytest.mark.parametrize("wait, after, words", [
    ("5", "6", "It asks to wait 6 s, --retry-wait is 5"),
    ("0", "1", "It asks to wait 1 s, --retry-wait is 0"),
    ("1", None, "even after 1 s of waiting"),
    ("60", "99999999999999999999", "It asks to wait 1000000000 s"),
])
def test_a_429_that_asks_too_much(api, shared_fake, wait, after, words):
    shared_fake.fault("api", "answer", status=429, body="slow down",
                      headers={"Retry-After": after} if after else {})
    result = api("GET", ME, "--retry-wait", wait)
    assert (result.returncode, result.stdout) == (75, "slow down")
    assert words in result.stderr


# Pages

@pytest.mark.parametrize("path", [QUEUES, QUEUES + "?pageSize=7", QUEUES + "?pageNumber=1",
                                  "/api/v2/routing/skillgroups?pageSize=13"])
@pytest.mark.parametrize("total", [0, 1, 60])
def test_all_pages_are_one_array(api, shared_fake, path, total):
    shared_fake.set(entities=total)
    result = api("GET", path, "--paginate")
    assert (result.returncode, result.stderr) == (0, "")
    items = json.loads(result.stdout)
    assert [one["memberCount"] for one in items] == list(range(total))
    assert all("Zürich" in one["name"] for one in items)


def test_many_pages_use_one_connection_and_few_calls(api, shared_fake):
    start = len(requests(shared_fake))
    assert api("GET", QUEUES + "?pageSize=10", "--paginate").returncode == 0
    made = requests(shared_fake)[start:]
    assert len(made) == 6
    assert len({one["connection"] for one in made}) == 1


def test_pages_in_which_the_token_is_refused_and_the_rate_limited(daemon, fake):
    server = fake()
    d = daemon(server)
    d.token()
    server.fault("api", "answer", status=401, body="x", after=1)
    server.fault("api", "answer", status=429, headers={"Retry-After": "0"}, after=2)
    result = d.gctoken("api", "GET", QUEUES + "?pageSize=20", "--paginate",
                       GCTOKEN_CA_FILE=server.ca_file)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(json.loads(result.stdout)) == 60
    assert server.posts == 2


def test_an_array_that_is_cut_short_is_not_closed(api, shared_fake):
    shared_fake.fault("api", "answer", status=500, body="oops", after=1)
    result = api("GET", QUEUES, "--paginate")
    assert result.returncode == 1
    assert "HTTP 500" in result.stderr
    with pytest.raises(ValueError):
        json.loads(result.stdout)
    assert "oops" not in result.stdout


@pytest.mark.parametrize("body, words", [
    ('{"id": 1}', "is not a list"), ("", "is not a list"),
    ('{"entities": [1], "nextUri": "https://elsewhere.invalid/api"}', "not a path of this API"),
])
def test_what_is_no_list_of_pages(api, shared_fake, body, words):
    shared_fake.fault("api", "answer", body=body)
    result = api("GET", QUEUES, "--paginate")
    assert result.returncode == 1
    assert words in result.stderr


def test_a_list_that_never_ends_is_left(api, shared_fake):
    shared_fake.fault("api", "answer", times=-1, body=json.dumps(
        {"entities": [], "nextUri": QUEUES + "?after=x"}))
    start = len(requests(shared_fake))
    result = api("GET", QUEUES, "--paginate")
    assert (result.returncode, result.stdout) == (0, "[]\n")
    assert len(requests(shared_fake)) - start <= 3


# The way there

def test_an_unknown_certificate(api):
    result = api("GET", ME, GCTOKEN_CA_FILE=None)
    assert (result.returncode, result.stdout) == (1, "")
    assert "certificate" in result.stderr and "GCTOKEN_CA_FILE" in result.stderr


def test_a_file_of_certificates_that_is_not_there(api):
    result = api("GET", ME, "--ca-file", "/nowhere/ca.pem")
    assert (result.returncode, result.stdout) == (1, "")
    assert "/nowhere/ca.pem" in result.stderr


def test_an_api_that_is_not_there(api, shared_fake):
    shared_fake.listen(False)
    try:
        result = api("GET", ME)
    finally:
        shared_fake.listen(True)
    assert (result.returncode, result.stdout) == (75, "")
    assert "gctoken doctor" in result.stderr


@pytest.mark.parametrize("action, members, code", [
    ("close", {}, 75), ("close", {"how": "reset"}, 75), ("hang", {}, 75),
    ("cut", {"at": -20, "how": "reset"}, 75), ("bytes", {"text": "nonsense\r\n\r\n"}, 1),
])
def test_an_answer_that_breaks_off(api, shared_fake, action, members, code):
    shared_fake.fault("api", action, **members, times=-1)
    result = api("GET", ME, "--timeout", "1" if action == "hang" else "30")
    assert result.returncode == code
    assert "GET https://localhost" in result.stderr


def test_words_of_the_api_cannot_steer_the_terminal(api, shared_fake):
    shared_fake.fault("api", "answer", status=404, body="",
                      headers={"ININ-Correlation-Id": "\x9b2Jx"})
    result = api("GET", ME)
    assert "\x9b" not in result.stderr


def test_a_redirect_never_gets_the_token(api, shared_fake):
    shared_fake.fault("api", "redirect", location=shared_fake.api_url + "/api/v2/tokens/me")
    start = len(shared_fake.log())
    assert api("GET", ME).returncode == 1
    assert len(shared_fake.log()) == start + 1


# Standard output

def test_a_huge_body_passes_through(api, shared_fake):
    """And is never held as a whole: there is not that much memory to be had."""
    shared_fake.fault("api", "chunks", size=65536, count=2000)
    result = subprocess.run(
        # A sanitizer's memory is mostly address space.
        ["sh", "-c", 'ulimit -v "$1"; exec "$0" api GET /api/v2/users/me | sha256sum', GCTOKEN,
         "unlimited" if is_sanitized(NET) else "120000"],
        env=api.environment, capture_output=True, text=True, timeout=60 * PATIENCE)
    assert result.stderr == ""
    assert result.stdout.split()[0] == hashlib.sha256(b" " * 65536 * 2000).hexdigest()


@pytest.mark.parametrize("arguments", [[ME], [QUEUES + "?pageSize=500", "--paginate"]])
def test_nobody_reads(api, shared_fake, arguments):
    """As others do it: SIGPIPE, and not a word."""
    shared_fake.set(entities=20000)
    if arguments[0] == ME:
        shared_fake.fault("api", "chunks", count=-1)
    process = subprocess.Popen(
        [GCTOKEN, "api", "GET", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=api.environment)
    process.stdout.read(1)
    process.stdout.close()
    assert process.wait(30 * PATIENCE) == -13
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_full_disk_is_noticed(api, shared_fake):
    for more in ([], ["--paginate"]):
        with open("/dev/full", "w") as full:
            result = subprocess.run(
                [GCTOKEN, "api", "GET", QUEUES, *more], stdout=full, stderr=subprocess.PIPE,
                text=True, timeout=30 * PATIENCE, env=api.environment)
        assert result.returncode == 1
        assert "No space left on device" in result.stderr


# Usage

@pytest.mark.parametrize("arguments, words", [
    ([], "a method and a path are needed"),
    (["GET"], "a method and a path are needed"),
    (["GET", ME, "x"], "one word too many"),
    (["FETCH", ME], "is not a method"),
    (["GET", "api/v2"], "is not a path"),
    (["GET", "//evil.invalid/x"], "is not a path"),
    (["GET", "https://evil.invalid/x"], "is a URL"),
    (["GET", "/a b"], "%20"),
    (["GET", "/a#b"], "%23"),
    (["GET", "/ü"], "%XX"),
    (["GET", "/a\r\nHost: x"], "%XX"),
    (["POST", ME, "--paginate"], "only with GET"),
    (["POST", ME, "-d"], "-d needs a value"),
    (["HEAD", ME, "-d", "x"], "does not go with HEAD"),
    (["POST", ME, "-d", "x", "--type", "a\r\nb: c"], "not a content type"),
    (["GET", ME, "--d", "x"], "unknown option --d"),
    (["GET", ME, "-x"], "unknown option -x"),
    (["GET", ME, "--retry-wait", "soon"], "not a whole number"),
])
def test_usage(folder, arguments, words):
    result = run(folder, "api", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr


def test_a_body_that_cannot_be_read(folder, tmp_path):
    for name, words in (("/nowhere/file", "cannot open"), (str(tmp_path), "cannot read")):
        result = run(folder, "api", "POST", ME, "-d", f"@{name}")
        assert (result.returncode, result.stdout) == (1, "")
        assert words in result.stderr


def test_a_profile_without_an_api(folder, scripted):
    scripted(answer(200, {**TOKEN_JSON, "api_url": None}))
    result = run(folder, "api", "GET", ME)
    assert (result.returncode, result.stdout) == (78, "")
    assert "has no api_url" in result.stderr


@pytest.mark.parametrize("url", ["http://localhost", "https:/", "file:///etc/passwd"])
def test_an_api_url_that_is_no_https(folder, scripted, url):
    scripted(answer(200, {**TOKEN_JSON, "api_url": url}))
    assert run(folder, "api", "GET", ME).returncode == 78


def test_refusals_of_the_daemon_leave_standard_output_alone(folder, scripted):
    scripted(problem(403, "access_denied", "no rule names you"))
    result = run(folder, "api", "GET", ME, "--json")
    assert (result.returncode, result.stdout) == (77, "")


# Secrets

def test_the_token_is_in_no_command_line_and_no_environment(api, shared_fake, module_daemon):
    """Every process of the call is looked at while it waits for the API."""
    shared_fake.fault("api", "hang", times=-1)
    count = len(requests(shared_fake))
    process = subprocess.Popen(
        [GCTOKEN, "api", "POST", QUERY, "-d", "{}"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=api.environment)
    try:
        wait_until(lambda: len(requests(shared_fake)) > count, "the call at the API")
        assert os.path.basename(os.readlink(f"/proc/{process.pid}/exe")) == "gctoken-net"
        for name in ("cmdline", "environ"):
            with open(f"/proc/{process.pid}/{name}", "rb") as file:
                module_daemon.assert_no_leak(file.read().decode(errors="replace"), name)
    finally:
        process.kill()
        output = process.communicate()[0]
    module_daemon.assert_no_leak(output.decode(), "the output")


def test_the_helper_beside_a_copy_is_not_taken_from_anybody(folder, scripted):
    """In a folder such as /tmp anybody may put a program of that name."""
    if os.geteuid():
        pytest.skip("needs root to give a file away")
    scripted(answer(200, TOKEN_JSON))
    shutil.copy(GCTOKEN, f"{folder}/gctoken")
    fake_helper = f"{folder}/gctoken-net"
    with open(fake_helper, "w") as file:
        file.write("#!/bin/sh\necho taken\n")
    os.chmod(fake_helper, 0o755)

    def run_copy():
        return subprocess.run([f"{folder}/gctoken", "api", "GET", "/"], text=True, timeout=30,
                              env=environment(GCTOKEN_SOCKET=f"{folder}/sock"),
                              capture_output=True)

    assert run_copy().stdout == "taken\n"
    os.chown(fake_helper, 65534, 65534)
    assert "taken" not in run_copy().stdout
    os.chown(fake_helper, 0, 0)
    os.chmod(fake_helper, 0o777)
    assert "taken" not in run_copy().stdout


@pytest.mark.skipif(is_sanitized(GCTOKEN), reason="a sanitizer adds libraries of its own")
def test_the_small_command_stays_small():
    linked = subprocess.run(["ldd", GCTOKEN], text=True, capture_output=True).stdout
    assert sorted(re.findall(r"^\s*(lib\w+)\.so", linked, re.M)) == ["libc", "libyajl"]


def test_through_the_proxy_that_the_environment_names(api, shared_fake):
    with contextlib.closing(ConnectProxy()) as proxy:
        assert api("GET", ME, https_proxy=proxy.url).returncode == 0
        assert len(proxy.carried) == 1
        assert api("GET", ME, https_proxy=proxy.url, no_proxy="localhost").returncode == 0
        assert len(proxy.carried) == 1
