"""A person logs in with Chromium: `gctoken login` opens it, the login server's own pages are clicked
through, and the page at the end is looked at. Its pictures are left in build/browser."""

import os

import pytest

from chromium import PROGRAM, Chromium
from fake import REPOSITORY
from login_process import LoginProcess
from oidc import OidcServer
from people import CONFIDENTIAL, PUBLIC, login_profile
from test_grants import introspected, served

PICTURES = os.path.join(REPOSITORY, "build", "browser")

pytestmark = [pytest.mark.deadline(120),
              pytest.mark.skipif(not PROGRAM, reason="chromium is not installed")]


@pytest.fixture(scope="module")
def people():
    os.makedirs(PICTURES, exist_ok=True)
    one = OidcServer(clients=[CONFIDENTIAL, PUBLIC], lifetime=600)
    yield one
    one.stop()


@pytest.fixture
def person(tmp_path):
    """A factory: person(daemon, ...) runs `gctoken login`, which opens the browser: both of them."""
    started = []

    def start(d, *arguments) -> tuple[LoginProcess, Chromium]:
        browser = Chromium(str(tmp_path))
        command = LoginProcess(d.socket, *arguments, wrap=browser.wrap, BROWSER=browser.command,
                               pass_fds=browser.theirs)
        started.append((command, browser))
        browser.started()
        browser.sit_down()
        return command, browser

    yield start
    for command, browser in started:
        command.end()
        browser.close()


def look(browser: Chromium, name: str) -> None:
    browser.look(os.path.join(PICTURES, name + ".png"))


def only_here(browser: Chromium, page: str) -> None:
    """The page at the end asks for nothing, not even an icon."""
    at = max(i for i, url in enumerate(browser.visited) if url.startswith(page))
    assert [url for url in browser.visited[at + 1:] if not url.startswith("data:")] == []


@pytest.mark.parametrize("client, host", [(CONFIDENTIAL, "127.0.0.1"), (CONFIDENTIAL, "localhost"),
                                          (PUBLIC, "127.0.0.1")],
                         ids=["confidential", "localhost", "public"])
def test_a_person_logs_in(daemon, people, person, client, host):
    profile = login_profile(people, client)
    profile["redirect_uri"] = profile["redirect_uri"].replace("127.0.0.1", host)
    d = daemon(people, profile=profile)
    command, browser = person(d)
    browser.wait_for("Sign-in")
    browser.click("input[name=login]")
    browser.type("alice")
    browser.click("input[name=password]")
    browser.type("x")
    look(browser, "login")
    browser.click("button[type=submit]")
    browser.wait_for("Continue")
    look(browser, "consent")
    browser.click("button[type=submit]")
    browser.wait_for("You are logged in")
    look(browser, "logged-in")
    assert browser.address.startswith(profile["redirect_uri"] + "?")
    only_here(browser, profile["redirect_uri"])
    assert command.wait() == 0, command.stderr
    assert "A browser should open now" in command.stdout
    d.assert_no_leak(command.stdout + command.stderr, "what gctoken login says")
    assert introspected(people, served(d))["sub"] == "alice"


def test_a_person_cancels(daemon, people, person):
    d = daemon(people, profile=login_profile(people, PUBLIC))
    command, browser = person(d)
    browser.wait_for("Cancel")
    browser.click(".login-card a, a[href$=abort]")
    browser.wait_for("You are not logged in")
    look(browser, "not-logged-in")
    assert command.wait() == 1
    assert "access_denied" in command.stderr


def test_the_daemon_cannot_finish_it(daemon, people, person):
    d = daemon(people, profile=login_profile(people, PUBLIC))
    command, browser = person(d)
    browser.wait_for("Sign-in")
    d.stop()
    browser.click("a[href$=abort]")
    browser.wait_for("You are not logged in")
    assert command.wait() == 1


def test_the_code_is_refused(daemon, people, person):
    d = daemon(people, profile=login_profile(people, {**CONFIDENTIAL, "secret": "another"}))
    command, browser = person(d)
    browser.wait_for("Sign-in")
    browser.click("input[name=login]")
    browser.type("alice")
    browser.click("input[name=password]")
    browser.type("x")
    browser.click("button[type=submit]")
    browser.wait_for("Continue")
    browser.click("button[type=submit]")
    browser.wait_for("The login did not work")
    look(browser, "did-not-work")
    assert command.wait() == 1
    assert "client authentication failed" in command.stderr
