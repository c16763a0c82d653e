"""The calls by which a host has its part in a fleet fail in turn: it starts or says why not, serves
its token whatever becomes of the store, and is one of the fleet again."""

import errno
import queue
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon import Daemon, canary
from fake import Fake
from fault_page import Page
from fleet_hosts import fleet_host, share
from fleet_store import FleetStore
from redis_server import free_port
from waiting import wait_until

CALLS = {
    "bufferevent_socket_new": errno.ENOMEM, "bufferevent_enable": errno.ENOMEM,
    "bufferevent_write": errno.ENOMEM, "evbuffer_add_reference": errno.ENOMEM,
    "redisReaderCreateWithFunctions": errno.ENOMEM, "redisReaderFeed": errno.ENOMEM,
    "pthread_create": errno.EAGAIN, "socket": errno.EMFILE, "connect": errno.ENETUNREACH,
    "event_new": errno.ENOMEM, "malloc": errno.ENOMEM, "calloc": errno.ENOMEM,
    "RAND_bytes": errno.EIO, "EVP_Q_digest": errno.ENOMEM, "EVP_CIPHER_CTX_new": errno.ENOMEM,
    "EVP_EncryptInit_ex": errno.ENOMEM, "EVP_EncryptUpdate": errno.ENOMEM,
    "EVP_EncryptFinal_ex": errno.ENOMEM, "EVP_DecryptInit_ex": errno.ENOMEM,
    "EVP_DecryptUpdate": errno.ENOMEM, "EVP_DecryptFinal_ex": errno.ENOMEM}
AT_A_TIME = 6
KEY = "0123456789abcdef" * 4


class Life:
    """Of one host: it fetches and puts a token, finds another there, and loses its connections."""

    def __init__(self, fake: Fake, store: FleetStore):
        fake.reset()
        store.ask("FLUSHALL")
        self.fake, self.store = fake, store
        made: list[Daemon] = []

        def make(server, **options):
            made.append(Daemon(server, **options))
            return made[-1]
        self.d = fleet_host(make, fake, store, KEY, {"fleet_poll": "1s", "fleet_plain": "yes"}, clock_probe="no",
                            mint_limit=1000, use_margin="1s")
        self.page = Page(self.d.path("faults"))
        self.d.env["GCTOKEN_TEST_FAULTS"] = self.d.path("faults")

    def start(self) -> bool:
        """If it ends instead, it has to say why."""
        seen = len(self.d.stderr_text())
        process = self.d.start(ready=False).process
        wait_until(lambda: process.poll() is not None or " serves " in self.d.stderr_text()[seen:],
                   "it serves or has ended", 15)
        if process.poll() is None:
            return True
        self.d.process = None
        assert self.page.failed and 64 <= process.returncode <= 78, process.returncode
        assert re.search(r"^<3>.", self.d.stderr_text()[seen:], re.M), "without a word"
        return False

    def start_at_last(self) -> None:
        """What keeps it from starting keeps it no longer than it fails."""
        if not self.start():
            assert self.start(), "it does not start"

    def is_one_of_the_fleet(self) -> bool:
        """One answer may fail, with the call."""
        assert self.d.process.poll() is None, f"it ended with {self.d.process.returncode}"
        try:
            if self.d.token(wait=10).status != 200:
                return False
            known = share(self.d)
        except (OSError, AssertionError):
            assert self.page.failed
            return False
        return known["state"] == "up" and known.get("generation") == self.store.generation() != 0

    def live(self) -> dict[str, int]:
        """The calls made, once nothing fails any more."""
        self.start_at_last()
        wait_until(self.is_one_of_the_fleet, "it is one of the fleet", 20)
        # what another host put there in its place, as far as this one knows
        key = self.store.key(":rec")
        sealed = self.store.ask("DUMP", key)
        self.store.ask("DEL", key)
        wait_until(self.is_one_of_the_fleet, "the token is there again", 20)
        self.store.ask("RESTORE", key, "0", sealed, "REPLACE")
        self.store.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self.store.ask("CLIENT", "KILL", "TYPE", "pubsub")
        wait_until(self.is_one_of_the_fleet, "it is one of the fleet again", 20)
        self.d.stop()  # without a manager: the next run has to take what the store has
        self.start_at_last()
        wait_until(self.is_one_of_the_fleet, "the next run is, too", 20)
        counts = self.page.counts()
        self.page.disarm()
        answer = self.d.token(wait=10)
        assert answer.status == 200 and self.fake.api_status(answer.json["access_token"]) == 200
        return counts

    def close(self) -> None:
        if self.d.process:
            self.d.kill()
        self.d.close()


def live(fake: Fake, store: FleetStore, fault: tuple[int, int, int] | None):
    """`fault`: which call, its number, the error. The calls made, their names, and the requests for a
    token."""
    one = Life(fake, store)
    try:
        if fault:
            one.page.arm(fault[0], fault[1], fault[1], fault[2])
        return one.live(), one.page.names(), fake.posts
    finally:
        one.close()


class Lives:
    """First one without a fault, then those with one, some at a time: most of a life is waiting."""

    def __init__(self) -> None:
        self.places: queue.SimpleQueue = queue.SimpleQueue()
        self.all = [(Fake([{"id": "fake-client", "secret": canary()}]), FleetStore(free_port()))
                    for _ in range(AT_A_TIME)]
        for place in self.all:
            self.places.put(place)

    def run(self) -> None:
        self.usual, names, posts = live(*self.all[0], None)
        assert posts == 1
        jobs = [(call, number, (names.index(call), number, error))
                for call, error in CALLS.items()
                for number in range(1, self.usual[call] + 1, max(1, self.usual[call] // 3))]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            self.wrong = [one for one in pool.map(self._one, jobs) if one]

    def _one(self, job: tuple) -> tuple[str, str] | None:
        """What went wrong, and by which call."""
        call, number, fault = job
        place = self.places.get()
        try:
            _, _, posts = live(*place, fault)
            # What could not be put or opened costs a request, and no more.
            assert posts <= 3, f"{posts} requests"
            return None
        except Exception as error:  # what a thread raises, nobody sees
            return call, f"{call} {number}: {error}"
        finally:
            self.places.put(place)

    def close(self) -> None:
        for fake, store in self.all:
            fake.stop()
            store.stop()


@pytest.fixture(scope="module")
def lives():
    one = Lives()
    try:
        one.run()
        yield one
    finally:
        one.close()


@pytest.mark.parametrize("call", CALLS)
def test_a_failing_call_of_the_fleet(lives, call):
    assert lives.usual[call]
    assert [words for of, words in lives.wrong if of == call] == []
