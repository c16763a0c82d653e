"""`gctoken login --no-browser`: the address that a person pastes, from a pipe and at a terminal."""

import os
import pty
import signal
import subprocess
import termios

import pytest

from daemon import GCTOKEN, environment
from login_process import QUIET, come_back, free_port
from scripted_daemon import folder, problem, run, scripted  # noqa: F401
from browser_file import browser
from test_login_command import CODE, STATE, begun, done, finish_of
from waiting import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("gctoken")

PORT = free_port()
BACK = f"http://127.0.0.1:{PORT}/callback"
GOOD = f"{BACK}?code=canary-code&state={STATE}"


def paste(folder, text: str, *arguments: str):
    return run(folder, "login", "--no-browser", *arguments, stdin=text, env=QUIET)


@pytest.mark.parametrize("text", [
    GOOD, GOOD + "\n", GOOD + "\r\n", f"  {GOOD} \n", GOOD + "#_=_", GOOD.removeprefix("http://"),
    GOOD.replace("http", "HTTP"), f"{GOOD}&session_state=1&iss=https%3A%2F%2Flogin.example\nmore\n",
    f"{BACK}?state={STATE}&code=canary%2Dcode"])
def test_the_address_is_pasted(folder, scripted, text):
    daemon = scripted(begun(PORT), done())
    result = paste(folder, text)
    assert result.returncode == 0, result.stderr
    assert "https://login.example/" in result.stdout and "default: logged in." in result.stdout
    assert BACK in result.stdout
    assert "canary" not in result.stdout + result.stderr
    assert finish_of(daemon)["code"] == "canary-code"


@pytest.mark.parametrize("redirect_uri, text", [
    ("http://localhost:8090", "http://localhost:8090/?"),
    ("http://127.0.0.1/cb", "http://127.0.0.1/cb?"), ("http://127.0.0.1:80/cb", "127.0.0.1/cb?"),
    ("http://[::1]:8090/cb?x=y", "http://[::1]:8090/cb?x=y&"),
    ("https://tools.example/cb", "https://tools.example/cb?")])
def test_other_addresses_to_come_back_to(folder, scripted, redirect_uri, text):
    daemon = scripted(begun(PORT, redirect_uri=redirect_uri), done())
    result = paste(folder, f"{text}code=canary-code&state={STATE}\n")
    assert result.returncode == 0, result.stderr
    assert finish_of(daemon)["code"] == "canary-code"


def test_an_address_elsewhere_is_always_pasted(folder, scripted):
    """Nobody here can listen for it; the browser is opened all the same."""
    scripted(begun(PORT, redirect_uri="https://tools.example/cb"), done())
    path = browser(folder, "browser")
    result = run(folder, "login", stdin=f"https://tools.example/cb?code=x&state={STATE}\n",
                 env={**QUIET, "BROWSER": path})
    assert result.returncode == 0, result.stderr
    assert "A browser should open" in result.stdout


# Each thing that is said of it once: the rest is in tests/unit/test_client_redirect.c.
@pytest.mark.parametrize("text, words", [
    (f"{BACK}?code=canary-code&state=other\n", "state in that address is not this login's"),
    (f"http://127.0.0.1:{PORT + 1}/callback?code=canary-code&state={STATE}\n",
     "begins with " + BACK),
    ("", "no address was given"), ("x" * 9000, "too long for an address")])
def test_what_is_not_the_address(folder, scripted, text, words):
    daemon = scripted(begun(PORT), done())
    result = paste(folder, text)
    assert result.returncode == 1
    assert words in result.stderr and "canary" not in result.stderr + result.stdout
    assert len(daemon.lines()) == 1


def test_denied_expired_and_json(folder, scripted):
    daemon = scripted(begun(PORT), problem(400, "login_failed", "x"), begun(PORT),
                      problem(503, "login_required", "code expired"), begun(PORT), done())
    result = paste(folder, f"{BACK}?error=access_denied&error_description=No&state={STATE}\n")
    assert result.returncode == 1 and "access_denied, No" in result.stderr
    assert "error=access_denied" in daemon.lines()[1]
    result = paste(folder, GOOD)
    assert result.returncode == 1 and "code expired" in result.stderr
    result = paste(folder, GOOD, "--json")
    assert result.returncode == 0 and len(result.stdout.splitlines()) == 2
    assert "Paste it here" in result.stderr


class Terminal:
    """The command on a terminal of its own; `seen` is all that a person would have seen."""

    def __init__(self, folder):
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", GCTOKEN, "login", "--no-browser"], stdin=theirs, stdout=theirs,
            stderr=theirs, env=environment(GCTOKEN_SOCKET=os.path.join(folder, "sock"), **QUIET))
        self._theirs = theirs  # held open: what is left in it shows how the terminal was left
        self._seen = b""
        os.set_blocking(self._ours, False)

    @property
    def seen(self) -> str:
        try:
            while data := os.read(self._ours, 65536):
                self._seen += data
        except BlockingIOError:
            pass
        return self._seen.decode()

    def wait_for_question(self, times: int = 1) -> None:
        wait_until(lambda: self.seen.count("(it is not shown): ") == times, "the question")
        wait_until(lambda: not self.echoes, "a terminal without echo")

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    @property
    def settings(self) -> list:
        return termios.tcgetattr(self._theirs)

    def type(self, text: str) -> None:
        os.set_blocking(self._ours, True)
        os.write(self._ours, text.encode())
        os.set_blocking(self._ours, False)

    def wait(self) -> int:
        return self.process.wait(20 * PATIENCE)

    def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal(folder, scripted):
    started = []

    def start(*answers) -> Terminal:
        scripted(*answers)
        started.append(Terminal(folder))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_at_a_terminal_it_is_not_shown(terminal):
    one = terminal(begun(PORT), done())
    one.wait_for_question()
    before = one.settings
    assert not before[3] & termios.ICANON  # lines of a terminal end at 4095 bytes
    one.type(GOOD + "&padding=" + "x" * 5000 + "\r")
    assert one.wait() == 0, one.seen
    assert one.echoes and one.settings[3] & termios.ICANON
    assert "canary" not in one.seen and "padding" not in one.seen
    assert "default: logged in." in one.seen


def test_keys_that_mend_what_was_typed(terminal):
    one = terminal(begun(PORT), done())
    one.wait_for_question()
    one.type("\x7fnonsense\x15" + GOOD[:-1] + "x\x7f\x08" + GOOD[-2:] + "\n")
    assert one.wait() == 0, one.seen


def test_a_wrong_address_is_asked_for_again(terminal):
    one = terminal(begun(PORT), done())
    for times in (1, 2):
        one.wait_for_question(times)
        one.type("nonsense\n")
    one.wait_for_question(3)
    one.type(GOOD + "\n")
    assert one.wait() == 0, one.seen
    assert one.seen.count("not the address") == 2


def test_the_third_wrong_address_is_the_last(terminal):
    one = terminal(begun(PORT))
    for times in (1, 2, 3):
        one.wait_for_question(times)
        one.type(GOOD.replace("state=", "state=x") + "\n")
    assert one.wait() == 1
    assert one.echoes


@pytest.mark.parametrize("key, code", [("\x03", -signal.SIGINT), ("\x1c", -signal.SIGQUIT),
                                       ("\x04", 1)])
def test_keys_that_end_it_leave_the_terminal_as_it_was(terminal, key, code):
    one = terminal(begun(PORT))
    one.wait_for_question()
    one.type("x" if key != "\x04" else "")
    one.type(key)
    assert one.wait() == code
    assert one.echoes and one.settings[3] & termios.ICANON
    assert ("given up" in one.seen) == (code != 1)


def test_no_time_is_left(terminal):
    one = terminal(begun(PORT, expires_in=1))
    assert one.wait() == 1
    assert "nobody came back" in one.seen and one.echoes


def test_nobody_listens_meanwhile(terminal):
    one = terminal(begun(PORT), done())
    one.wait_for_question()
    with pytest.raises(ConnectionRefusedError):
        come_back(BACK)
    assert CODE not in one.seen
