"""Fixtures of the system tests, and of others that use them: the real daemon and command against the
fake Genesys Cloud."""

import os
import signal

import pytest

from daemon import GCTOKEN, GCTOKEND, Daemon, canary
from fake import Fake
from fake_calls import ID, SECRET
from waiting import PATIENCE

DEADLINE = 60.0


def pytest_configure():
    """Whoever runs this in the background may have it ignore signals, and all that it starts would
    ignore them too: tests of what a signal does could not be passed."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """No test hangs: after its deadline it fails, and its fixtures still end what they began."""
    marker = item.get_closest_marker("deadline")
    seconds = (marker.args[0] if marker else DEADLINE) * PATIENCE

    def too_long(*_):
        # Not an Exception: nothing that a test tolerates may swallow it.
        pytest.fail(f"the test took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _end(things, end) -> None:
    """Ends all, newest first, and only then tells the first thing that went wrong."""
    first = None
    for thing in reversed(things):
        try:
            end(thing)
        except BaseException as error:
            first = first or error
    if first is not None:
        raise first


@pytest.fixture
def fake():
    """A factory: fake(**settings) starts a fake Genesys Cloud with one client, whose secret is a
    canary; fake(clients=[...]) with others."""
    started: list[Fake] = []

    def start(clients=None, **settings) -> Fake:
        one = Fake(clients or [{"id": "fake-client", "secret": canary()}], **settings)
        started.append(one)
        return one

    yield start
    _end(started, Fake.stop)


@pytest.fixture(scope="session")
def shared_fake():
    one = Fake([{"id": ID, "secret": SECRET}])
    yield one
    one.stop()


@pytest.fixture
def server(shared_fake):
    """One fake for all who leave it running: as if just started, without the time that takes."""
    shared_fake.reset()
    return shared_fake


@pytest.fixture
def make_daemon(fake):
    """A factory like `daemon`, of daemons that do not run yet: see Daemon.start."""
    if not os.access(GCTOKEND, os.X_OK):
        pytest.fail(f"{GCTOKEND} is not there: build it first, or name it in GCTOKEND")
    made: list[Daemon] = []

    def make(server=None, **options) -> Daemon:
        one = Daemon(server, **options)
        made.append(one)
        return one

    yield make
    _end(made, Daemon.close)


@pytest.fixture
def daemon(make_daemon):
    """A factory: daemon(server, profile={...}, broker={...}, profiles={...}) writes a
    configuration against that fake, starts gctokend and waits until it answers. At the end of the
    test each has to stop cleanly and to have told no secret."""
    def start(server=None, **options) -> Daemon:
        return make_daemon(server, **options).start()

    return start


@pytest.fixture
def gctoken():
    """The path of the gctoken command; see also Daemon.gctoken."""
    if not os.access(GCTOKEN, os.X_OK):
        pytest.fail(f"{GCTOKEN} is not there: build it first, or name it in GCTOKEN")
    return GCTOKEN
