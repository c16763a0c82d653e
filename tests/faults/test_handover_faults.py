"""The calls by which tokens are handed from one run to the next fail in turn, under a manager as systemd
is: the daemon serves or says why it does not start, the next run serves whatever the one before could
keep, and the sockets stay the manager's."""

import errno
import re

import pytest

from daemon import Daemon, canary
from fake import Fake
from fault_page import Page
from manager import Manager
from waiting import wait_until

CALLS = {
    "memfd_create": errno.EMFILE, "fchmod": errno.EPERM, "ftruncate64": errno.ENOMEM,
    "mmap64": errno.ENOMEM, "mlock2": errno.ENOMEM, "fallocate64": errno.ENOSPC,
    "fstat64": errno.EIO, "sendmsg": errno.ENOBUFS, "socket": errno.EMFILE,
    "EVP_Q_digest": errno.ENOMEM, "calloc": errno.ENOMEM, "sd_listen_fds_with_names": errno.ENOMEM}
STARTS = 3


@pytest.fixture(scope="module")
def fake():
    one = Fake([{"id": "fake-client", "secret": canary()}])
    yield one
    one.stop()


class Life:
    """Some starts one after the other of one daemon, whose manager keeps what it is given."""

    def __init__(self, fake: Fake):
        fake.reset()
        self.daemon = Daemon(fake, profile={"clock_probe": False, "mint_limit": 1000})
        self.page = Page(self.daemon.path("faults"))
        self.daemon.env["GCTOKEN_TEST_FAULTS"] = self.daemon.path("faults")
        self.manager = Manager(self.daemon)

    def start(self) -> bool:
        """Whether it serves. If it ends instead, it has to say why."""
        process, seen = self.manager.start(ready=False).process, len(self.daemon.stderr_text())
        told = self.manager.count("READY")

        def decided():
            return process.poll() is not None or self.manager.count("READY") > told or \
                " serves " in self.daemon.stderr_text()[seen:]
        wait_until(decided, "it serves or has ended", 15)
        if process.poll() is None:
            return True
        self.daemon.process = None
        assert self.page.failed and 64 <= process.returncode <= 78, process.returncode
        assert re.search(r"^<3>.", self.daemon.stderr_text()[seen:], re.M), "without a word"
        return False

    def serves(self) -> bool:
        """One answer may fail, with the call."""
        try:
            return self.daemon.token(wait=10).status == 200
        except OSError:
            assert self.page.failed
            return False

    def live(self) -> dict[str, int]:
        """The calls made until nothing fails any more; all of it is over when it ends."""
        for _ in range(STARTS):
            if self.start():
                wait_until(self.serves, "a token is served")
                self.daemon.stop()
        counts = self.page.counts()
        self.page.disarm()
        assert self.start(), "it does not start"
        answer = self.daemon.token(wait=10)
        assert answer.status == 200, answer
        assert self.daemon.fake.api_status(answer.json["access_token"]) == 200
        self.daemon.stop()
        return counts

    def close(self) -> None:
        if self.daemon.process:
            self.daemon.kill()
        self.manager.close()  # and its thread with it
        self.daemon.close()


def live(fake: Fake, call: str, number: int, error: int) -> tuple[dict[str, int], int, int]:
    """The calls made, how many failed, and the requests for a token."""
    one = Life(fake)
    try:
        if number:
            one.page.arm(live.names.index(call), number, number, error)
        counts = one.live()
        live.names = one.page.names()
        return counts, one.page.failed, fake.posts
    finally:
        one.close()


@pytest.fixture(scope="module")
def usual(fake) -> dict[str, int]:
    counts, _, posts = live(fake, "", 0, 0)
    assert posts == 1
    return counts


@pytest.mark.parametrize("call", CALLS)
def test_a_failing_call_of_the_handover(fake, usual, call):
    assert usual[call]
    # Of a call that everything makes, some.
    numbers = range(1, usual[call] + 1, max(1, usual[call] // 12))
    for number in numbers:
        _, failed, posts = live(fake, call, number, CALLS[call])
        assert failed == 1, f"{call} {number} was not made"
        # What was not kept costs a request, and no more: one call has failed.
        assert posts <= 3, f"{call} {number}: {posts} requests"
