"""A person logs in, as a whole: `gctoken login`, the real daemon, the fake login server, and a browser
that goes where it is sent."""

import json
import os
import subprocess

import pytest

import person
from browser_file import browser, called_with, file_of, sent_on_to
from daemon import environment
from logging_in import login_profile
from login_process import QUIET, LoginProcess, come_back, free_port
from users import account, become, needs_root


@pytest.fixture
def login():
    """A factory: login(daemon, "--json") runs the command until the test ends."""
    started = []

    def start(d, *arguments, **more) -> LoginProcess:
        started.append(LoginProcess(d.socket, *arguments, **more))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def people(fake, daemon, gctoken):
    """A fake login server, and a daemon with one profile that people log in to."""
    server = fake()
    uri = f"http://127.0.0.1:{free_port()}/callback"
    return server, daemon(server, profile=login_profile(server, redirect_uri=uri,
                                                        login_users="nobody"),
                          broker={"socket_mode": "0666"})


def browse(server, one: LoginProcess) -> str:
    """The person says what the fake is set to, and the browser comes back: the page it shows."""
    status, _, page = come_back(person.allow(server, one.url()).uri)
    assert status == 200
    return page


def ended_well(d, one: LoginProcess) -> None:
    assert one.wait() == 0, one.stderr
    for text in (one.stdout, one.stderr):
        d.assert_no_leak(text, "what gctoken login says")


def test_logged_in_used_and_logged_out(people, login):
    server, d = people
    assert d.gctoken("get").returncode == 1
    one = login(d)
    page = browse(server, one)
    ended_well(d, one)
    assert "You are logged in" in page and "keeps the login alive" in one.stdout
    token = d.gctoken("get").stdout.strip()
    assert server.api_status(token) == 200
    assert d.gctoken("logout").stdout.startswith("default: logged out")
    assert server.api_status(token) == 401
    again = d.gctoken("get")
    assert again.returncode == 1 and "gctoken login" in again.stderr


def test_by_what_the_browser_is_given(people, login, tmp_path):
    """Nobody sees the address but who may read the file, which is gone in the end."""
    server, d = people
    path = browser(str(tmp_path), "browser")
    one = login(d, BROWSER=path, XDG_RUNTIME_DIR=str(tmp_path))
    argument, = called_with(path)
    status, _, page = come_back(person.allow(server, sent_on_to(argument)).uri)
    assert status == 200 and "You are logged in" in page
    ended_well(d, one)
    assert not os.path.exists(file_of(argument))


def test_pasted_from_a_browser_elsewhere(people):
    server, d = people
    with subprocess.Popen(
            [d.gctoken("--version").args[0], "login", "--no-browser"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(GCTOKEN_SOCKET=d.socket, **QUIET)) as process:
        url = next(line.strip() for line in process.stdout if "https://" in line)
        said, errors = process.communicate(person.allow(server, url).uri + "\n", 60)
    assert process.returncode == 0, errors
    d.assert_no_leak(said + errors, "what gctoken login says")
    assert d.token().status == 200


def test_how_long_it_lasts_without_a_refresh_token(people, login):
    server, d = people
    server.set(refresh_tokens="none", lifetime=27 * 3600)
    one = login(d)
    browse(server, one)
    ended_well(d, one)
    assert "lasts 27h" in one.stdout or "lasts 26h" in one.stdout
    assert "no\nrefresh token" in one.stdout
    assert "this login ends in 2" in d.gctoken("status").stdout


def test_json_tells_a_program_all_it_needs(people, login):
    server, d = people
    one = login(d, "--json")
    browse(server, one)
    ended_well(d, one)
    begun, done = (json.loads(line) for line in one.stdout.splitlines())
    assert begun["expires_in"] == 600 and done["profile"] == "default"
    assert done["state"] == "fresh" and done["login_ends_in"] is None


@pytest.mark.parametrize("settings, code, page, words", [
    ({"consent": "denied"}, 1, "not logged in", "access_denied, The user denied the request"),
    ({"consent": "denied", "consent_error": "unauthorized_client",
      "consent_words": "Not of this organization"}, 1, "not logged in", "Not of this organization"),
    ({"code_lifetime": 0}, 1, "did not work", "authorization code expired"),
    ({"answer_iss": "wrong"}, 1, "did not work", "another login server"),
    ({"throttle": True}, 75, "did not work", "rate limit exceeded")])
def test_what_goes_wrong_is_said_here_and_there(people, login, settings, code, page, words):
    server, d = people
    server.set(**settings)
    one = login(d)
    shown = browse(server, one)
    assert one.wait() == code
    assert page in shown and words in one.stderr
    assert words not in shown
    d.assert_no_leak(one.stdout + one.stderr, "what gctoken login says")
    assert d.token().status == 503
    # And the next one works.
    server.set(**{name: {"consent": "given", "code_lifetime": 60, "answer_iss": "right",
                         "throttle": False}.get(name, "x") for name in settings})
    one = login(d)
    browse(server, one)
    ended_well(d, one)


def test_an_answer_with_another_state_is_not_taken(people, login):
    server, d = people
    server.set(state_echo="wrong")
    one = login(d)
    url = one.url()
    assert come_back(person.allow(server, url).uri)[0] == 404
    assert server.posts == 0
    server.set(state_echo="same")
    assert come_back(person.allow(server, url).uri)[0] == 200
    ended_well(d, one)
    assert "whose state is not this login's" in one.stderr


@needs_root
def test_who_may_log_in(people, login):
    server, d = people
    one = login(d, wrap=become(account("nobody")))
    browse(server, one)
    ended_well(d, one)
    other = login(d, wrap=become(account("daemon")))
    assert other.wait() == 77
    assert "login_users" in other.stderr


def test_a_profile_that_nobody_logs_in_to(daemon, fake, login):
    one = login(daemon(fake()))
    assert one.wait() == 2
    assert "client_credentials" in one.stderr


def test_the_daemon_is_gone_when_the_browser_comes_back(people, login):
    server, d = people
    one = login(d)
    one.url()
    landing = person.allow(server, one.url()).uri
    d.stop()
    assert "did not work" in come_back(landing)[2]
    assert one.wait() == 69
    assert "cannot reach the daemon" in one.stderr
    d.assert_no_leak(one.stdout + one.stderr, "what gctoken login says")
