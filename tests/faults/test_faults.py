"""Each call of the daemon's own code fails in turn, one a day: it may refuse to start, and says why;
after that it neither ends nor hangs, gives nobody what is not his, and serves again.

GCTOKEN_FAULTS=all tries every call there is (./dev faults does), GCTOKEN_FAULTS=malloc,read those of
these names; otherwise it is a sample of them, drawn with GCTOKEN_FAULTS_SEED, in which each kind of
call is found."""

import contextlib
import errno
import multiprocessing
import os
import random

import pytest

from daemon import Daemon, canary
from day import BY_GROUP, BY_USER, ROOT, STRANGER, Fault, Outcome, live
from fake import Fake
from fault_page import FOREVER, Page
from figures import FIGURES
from unix_http import exchange
from users import connect_as, curl_status, needs_root, unit

pytestmark = needs_root

CHOSEN = os.environ.get("GCTOKEN_FAULTS", "")
SEED = int(os.environ.get("GCTOKEN_FAULTS_SEED", "1"))
SAMPLE = 120  # days
# Most of a day is waiting.
AT_A_TIME = 8 * (os.cpu_count() or 1)

# With what each call may fail. A library's own calls fail for want of memory.
MEMORY = ("malloc calloc realloc reallocarray strdup strndup vasprintf __vasprintf_chk asprintf "
          "__asprintf_chk event_base_new event_new event_add bufferevent_socket_new bufferevent_enable "
          "bufferevent_write evbuffer_add_reference redisReaderCreateWithFunctions redisReaderFeed "
          "yajl_alloc CRYPTO_malloc "
          "CRYPTO_secure_malloc CRYPTO_secure_malloc_init EVP_MD_CTX_new EVP_DigestInit_ex "
          "EVP_Q_digest RAND_bytes RAND_priv_bytes EVP_CIPHER_CTX_new EVP_CIPHER_CTX_ctrl "
          "EVP_EncryptInit_ex EVP_EncryptUpdate EVP_EncryptFinal_ex EVP_DecryptInit_ex "
          "EVP_DecryptUpdate EVP_DecryptFinal_ex curl_global_init_mem curl_easy_init curl_easy_setopt "
          "curl_multi_init curl_multi_setopt curl_multi_add_handle curl_multi_assign curl_url "
          "curl_url_set").split()
ERRORS = {
    **{name: (errno.ENOMEM,) for name in MEMORY},
    "open64": (errno.EMFILE, errno.EACCES), "openat64": (errno.EMFILE, errno.EROFS),
    "fopen64": (errno.EMFILE,), "fgets": (errno.EIO,), "opendir": (errno.EMFILE,),
    "readdir64": (errno.EIO,), "scandir64": (errno.ENOMEM, errno.EACCES),
    "read": (errno.EIO, errno.EINTR), "write": (errno.ENOSPC, errno.EIO, errno.EINTR),
    "fsync": (errno.EIO, errno.ENOSPC), "fstat64": (errno.EIO,), "lstat64": (errno.EACCES,),
    "rename": (errno.EACCES,), "renameat": (errno.ENOSPC, errno.EIO), "unlink": (errno.EACCES,),
    "renameat2": (errno.ENOSPC, errno.EIO), "pread64": (errno.EIO,), "pwrite64": (errno.ENOSPC,),
    "unlinkat": (errno.EROFS,), "mkdir": (errno.ENOSPC,), "chmod": (errno.EPERM,),
    "fchmod": (errno.EPERM,), "fchownat": (errno.EPERM,), "faccessat": (errno.EACCES,),
    "memfd_create": (errno.EMFILE, errno.ENOMEM), "ftruncate64": (errno.ENOMEM,),
    "fallocate64": (errno.ENOSPC, errno.EINTR), "mmap64": (errno.ENOMEM,),
    "stat64": (errno.EACCES, errno.ENOENT),
    "sendmsg": (errno.EPIPE, errno.EAGAIN, errno.EINTR, errno.ETOOMANYREFS),
    "flock": (errno.EINTR, errno.EWOULDBLOCK, errno.ENOLCK),
    "socket": (errno.EMFILE, errno.ENOBUFS), "bind": (errno.EACCES, errno.EADDRINUSE),
    "listen": (errno.EADDRINUSE,), "connect": (errno.EACCES,),
    "accept4": (errno.EMFILE, errno.ENFILE, errno.ECONNABORTED, errno.ENOMEM, errno.EINTR),
    "getsockopt": (errno.EINVAL, errno.ERANGE, errno.ENOPROTOOPT),
    "recv": (errno.ECONNRESET, errno.EINTR, errno.EAGAIN),
    "send": (errno.EPIPE, errno.EINTR, errno.EAGAIN, errno.ENOBUFS), "sendto": (errno.ENOBUFS,),
    "shutdown": (errno.ENOTCONN,), "evutil_make_socket_nonblocking": (errno.EBADF,),
    "evutil_make_socket_closeonexec": (errno.EBADF,), "timerfd_create": (errno.EMFILE,),
    "timerfd_settime": (errno.EINVAL, errno.ECANCELED), "eventfd": (errno.EMFILE,),
    "eventfd_read": (errno.EAGAIN,), "eventfd_write": (errno.EAGAIN,),
    "poll": (errno.EINTR, errno.ENOMEM), "pidfd_open": (errno.EMFILE, errno.ESRCH),
    "close_range": (errno.ENOSYS, errno.EPERM),
    "pthread_create": (errno.EAGAIN,),
    "getrlimit64": (errno.EPERM,), "setrlimit64": (errno.EPERM,), "prctl": (errno.EPERM,),
    "getpwnam_r": (errno.EIO, errno.EMFILE), "getgrnam_r": (errno.EIO, errno.EMFILE),
    "sd_pid_get_unit": (errno.ENOENT, errno.EACCES), "mlock2": (errno.ENOMEM, errno.EPERM),
    "sd_listen_fds_with_names": (errno.ENOMEM,), "sd_is_socket_unix": (errno.ENOMEM,),
}
# Calls that this day does not make: other builds do (without _FORTIFY_SOURCE), other kernels, a
# daemon that systemd started, one that is short of descriptors, that finds a damaged file or another
# daemon.
ELSEWHERE = {"realloc", "vasprintf", "__vasprintf_chk", "asprintf", "__asprintf_chk", "strndup", "fchownat",
             "connect", "sendto", "shutdown", "poll", "pidfd_open", "CRYPTO_malloc", "readdir64",
             "bufferevent_socket_new", "bufferevent_enable", "bufferevent_write", "evbuffer_add_reference",
             "redisReaderCreateWithFunctions", "redisReaderFeed",  # of a fleet: test_fleet_faults.py
             "send", "renameat2", "pread64", "mlock2", "sd_is_socket_unix"}

_fake: Fake | None = None


def _worker_begin() -> None:
    """Each has a fake of its own, which ends when the worker does."""
    global _fake
    _fake = Fake([{"id": f"client-{name}", "secret": canary()} for name in "abc"])


def _worker_day(job: tuple) -> Outcome:
    return live(_fake, *job)


def plan(counts: dict[str, int]) -> list[Fault]:
    """Every call, or those chosen, with each of its errors; or a sample of that."""
    whole = {name: [Fault(name, error, number, number)
                    for number in range(1, count + 1) for error in ERRORS[name]]
             for name, count in counts.items()
             if CHOSEN in ("", "all") or name in CHOSEN.split(",")}
    if CHOSEN:
        return [fault for faults in whole.values() for fault in faults]
    draw = random.Random(SEED)
    chosen = [draw.choice(faults) for faults in whole.values() if faults]
    # As many of each kind as chance gives, but no kind of a thousand calls that leaves no room.
    rest = [fault for faults in whole.values()
            for fault in draw.sample(faults, min(len(faults), 40)) if fault not in chosen]
    return chosen + draw.sample(rest, min(len(rest), SAMPLE - len(chosen)))


class Days:
    """All of them: first one without a fault, then those with one."""

    def __init__(self) -> None:
        # Forked, whatever this Python's default: the workers start the daemon that conftest.py chose.
        with multiprocessing.get_context("fork").Pool(AT_A_TIME, _worker_begin) as pool:
            self.usual: Outcome = pool.apply(_worker_day, (({}, None, 0),))
            if self.usual.wrong:
                pytest.fail(f"a day without faults: {self.usual.wrong}\n{self.usual.log}")
            names = {name: i for i, name in enumerate(self.usual.names)}
            assert set(names) == set(ERRORS), "faults.c and the table of errors know other calls"
            faults = plan(self.usual.counts)
            random.Random(SEED).shuffle(faults)  # what takes long is spread over the workers
            jobs = [(names, fault, self.usual.descriptors) for fault in faults]
            self.outcomes = pool.map(_worker_day, jobs, chunksize=1)
        self._tell()

    def _tell(self) -> None:
        tell = FIGURES.append
        failed = [o for o in self.outcomes if o.failed]
        tell(f"{sum(self.usual.counts.values())} calls of {sum(map(bool, self.usual.counts.values()))}"
             f" kinds a day; {len(self.outcomes)} days, {len(failed)} with a failed call "
             f"({CHOSEN or f'sample of seed {SEED}'})")
        tell(f"started {sum(o.started for o in self.outcomes)}, refused to start with an error "
             f"{sum(not o.started for o in self.outcomes)}; {sum(o.grants for o in self.outcomes)} "
             f"tokens granted, {sum(o.refusals for o in self.outcomes)} refused to who may not; "
             f"{sum(bool(o.wrong) for o in self.outcomes)} days went wrong")
        tell(", ".join(f"{name} {sum(o.fault.call == name for o in failed)} of {count}"
                       for name, count in self.usual.counts.items() if count))
        for o in self.outcomes:
            if o.wrong:
                tell(f"WRONG {o.fault} at {o.where}: {o.wrong.splitlines()[0]}")


@pytest.fixture(scope="module")
def days() -> Days:
    return Days()


def test_a_day_makes_every_kind_of_call(days):
    missing = {name for name, count in days.usual.counts.items() if not count}
    assert missing <= ELSEWHERE, f"no longer made: {missing - ELSEWHERE}"
    assert days.usual.grants >= 10 and days.usual.refusals >= 5


@pytest.mark.parametrize("call", ERRORS)
def test_a_failing_call(days, call):
    """A clean error or none, and life goes on."""
    if not days.usual.counts[call]:
        assert call in ELSEWHERE
        return
    tried = [o for o in days.outcomes if o.fault.call == call]
    if not tried and CHOSEN:
        pytest.skip("not chosen")
    for o in tried:
        assert not o.wrong, (f"{o.fault} in {o.where}: {o.wrong}\n{o.log}")
    # What depends on timing, a call more or less, may leave out the last of them.
    assert sum(o.failed > 0 for o in tried) >= len(tried) * 0.9 - 1, "they were not made"


# Who is it? Where that cannot be found out, nobody gets anything.

@pytest.fixture
def fake():
    one = Fake([{"id": "fake-client", "secret": canary()}])
    yield one
    one.stop()


@pytest.fixture
def armed(fake):
    """A factory: armed(profile) starts a daemon that has its token; armed.fail(call, error) makes
    all further calls of that name fail."""
    made: list[tuple[Daemon, Page]] = []

    def start(**profile) -> Daemon:
        d = Daemon(fake, profile=profile, broker={"socket_mode": "0666"})
        page = Page(d.path("faults"))
        d.env.update(GCTOKEN_TEST_FAULTS=d.path("faults"))
        made.append((d, page))
        d.start()
        assert d.token(wait=5).status == 200
        return d

    def fail(call: str, error: int) -> Page:
        page = made[-1][1]
        page.arm(page.names().index(call), 1, FOREVER, error)
        return page

    start.fail = fail
    start.allow = lambda: made[-1][1].disarm()
    yield start
    for d, _ in made:
        d.close()


@pytest.mark.parametrize("error", [errno.EINVAL, errno.ENOPROTOOPT, errno.ERANGE, errno.ENOBUFS,
                                   errno.EPERM, errno.ENOTCONN])
def test_no_grant_without_credentials(armed, error):
    """No getsockopt works any more. Not even root is known then."""
    d = armed(allow_users="games", allow_groups="audio")
    armed.fail("getsockopt", error)
    for user in (ROOT, BY_USER, BY_GROUP, STRANGER):
        connection = connect_as(d, user)
        for method, target in (("GET", "/v1/token"), ("POST", "/v1/refresh"),
                               ("POST", "/v1/token/reject?generation=1"), ("GET", "/v1/history")):
            assert exchange(connection, method, target).status == 403
        connection.close()
    armed.allow()
    for user, status in ((ROOT, 200), (BY_USER, 200), (BY_GROUP, 200), (STRANGER, 403)):
        with contextlib.closing(connect_as(d, user)) as connection:
            assert exchange(connection, "GET", "/v1/token").status == status


def test_everybody_is_nobody_without_credentials(armed):
    """Even where everybody may have the token, that means who is known."""
    d = armed(allow_users="*")
    armed.fail("getsockopt", errno.EINVAL)
    for user in (ROOT, STRANGER):
        with contextlib.closing(connect_as(d, user)) as connection:
            assert exchange(connection, "GET", "/v1/token").status == 403


@pytest.mark.parametrize("call, error", [
    ("getsockopt", errno.EINVAL), ("sd_pid_get_unit", errno.EACCES),
    ("sd_pid_get_unit", errno.ENODATA), ("sd_pid_get_unit", errno.ENOMEM),
    ("sd_pid_get_unit", errno.ESRCH), ("poll", errno.ENOMEM)])
def test_no_grant_without_the_unit(armed, call, error):
    """Where the caller's process, its unit in /proc, or that it still lives cannot be told."""
    name = f"gctokend-faults-{os.getpid()}.service"
    with unit(name) as words:
        d = armed(allow_users="games", allow_units=name)
        assert curl_status(d, BY_USER, "/v1/token", words) == 200
        page = armed.fail(call, error)
        assert curl_status(d, BY_USER, "/v1/token", words) == 403
        assert page.failed
        armed.allow()
        assert curl_status(d, BY_USER, "/v1/token", words) == 200
        assert curl_status(d, STRANGER, "/v1/token", words) == 403
