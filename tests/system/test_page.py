"""Tokens read from memory: what the page says is what the socket would have said, and nobody has it
who may not."""

import array
import collections
import contextlib
import ctypes
import mmap
import os
import resource
import socket
import threading

import pytest

from library import DENIED, LIBRARY, REFUSED, REVOKED, GctokenError, in_child, library
from manager import Manager
from open_files import open_files
from raw_http import is_sanitized
from reloading import reload
from users import User, account, as_user, needs_root
from waiting import PATIENCE, wait_until

pytestmark = pytest.mark.skipif(
    is_sanitized(LIBRARY), reason="a library with a sanitizer loads into no other program")

CLONE_NEWTIME = 0x80
PAGE_SIZE = 12288
STATE, GENERATION = 9, 10  # words of the page
RETIRED = 0


@pytest.fixture
def managed(make_daemon):
    managers = []

    def make(server, **options):
        managers.append(Manager(make_daemon(server, **options)))
        return managers[-1]

    yield make
    for one in managers:
        one.daemon.stop()
        one.close()


def metric(d, name, **labels):
    wanted = name + ("{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
                     if labels else "")
    return sum(float(line.rpartition(" ")[2]) for line in d.get("/metrics").text.splitlines()
               if line.rpartition(" ")[0] == wanted)


def served(d):
    """Tokens that the socket has handed out."""
    return sum(metric(d, "gctokend_tokens_served_total", profile="default", state=state)
               for state in ("fresh", "stale"))


def reads_from_page(d, handle, count=1000):
    """Reads so often without the broker's taking part in it, and gives the last token."""
    before = served(d)
    tokens = [handle.get() for _ in range(count)]
    assert len({t.generation for t in tokens}) == 1
    assert served(d) == before
    return tokens[-1]


def warmed(handle):
    """The first one comes from the socket."""
    handle.get()
    return handle


class Page:
    """The page itself, as any program can have it."""

    def __init__(self, d, profile="default"):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10 * PATIENCE)
        self.socket.connect(d.path("page.sock"))
        self.socket.sendall(f"page 1 {profile}\n".encode())
        self.words, self.fd, self.inode = None, None, None
        answer, ancillary, _, _ = self.socket.recvmsg(16, socket.CMSG_SPACE(4))
        self.status = int(answer)
        for _, _, data in ancillary:
            self.fd = array.array("i", data)[0]
            self.inode = os.fstat(self.fd).st_ino
            memory = mmap.mmap(self.fd, PAGE_SIZE, prot=mmap.PROT_READ)
            self.words = memoryview(memory).cast("Q")

    def token_bytes(self):
        return bytes(memoryview(self.words).cast("B")[192:192 + 8192])

    def close(self):
        self.socket.close()
        if self.fd is not None:
            os.close(self.fd)


def test_a_read_is_what_the_socket_says_and_costs_it_nothing(server, daemon):
    d = daemon(server)
    with library(d) as handle:
        token = reads_from_page(d, warmed(handle))
        answer = d.token()
        assert token.token == answer.json["access_token"]
        assert token.generation == answer.json["generation"]
        assert token.fingerprint == answer.json["fingerprint"]
        assert token.state == answer.json["state"] == "fresh"
        left = int(answer.headers["Gctoken-Expires-In-Ms"])
        assert 0 <= token.expires_in_ms - left < 30000 * PATIENCE
        assert metric(d, "gctokend_pages_given_total", profile="default") == 1
        assert server.api_status(token.token) == 200


def test_min_ttl(fake, daemon):
    f = fake(lifetime=1000)
    d = daemon(f)
    with library(d) as handle:
        warmed(handle)
        before = served(d)
        assert handle.get(min_ttl=500).expires_in_ms > 500000
        assert served(d) == before
        with pytest.raises(GctokenError) as error:
            handle.get(min_ttl=501)
        assert error.value.code == REFUSED


def test_a_new_token_is_there_at_once(server, daemon):
    d = daemon(server)
    with library(d) as handle:
        first = reads_from_page(d, warmed(handle))
        answer = d.post("/v1/refresh").json
        # While the old one still serves, the new one is held back for its guard.
        assert handle.get().generation in (first.generation, answer["generation"])
        assert handle.wait_change(first.generation).generation == answer["generation"]
        wait_until(lambda: handle.get().generation == answer["generation"], "the new token")
        reads_from_page(d, handle)


def test_who_reports_a_token_never_reads_it_again(server, daemon):
    d = daemon(server)
    with library(d) as handle, library(d) as other:
        first = reads_from_page(d, warmed(handle))
        reads_from_page(d, warmed(other))
        new = handle.reject(first)
        assert new.generation > first.generation
        # neither do others, from this moment on
        assert handle.get().generation == other.get().generation == new.generation
        reads_from_page(d, handle)
        reads_from_page(d, other)


def test_a_report_of_the_older_token_ends_its_guard(server, daemon):
    """A new token is held back for a moment while the old one serves, also in the page."""
    d = daemon(server)
    with library(d) as handle:
        first = reads_from_page(d, warmed(handle))
        assert d.post("/v1/refresh").status == 200
        new = handle.reject(first)
        assert new.generation > first.generation
        assert handle.get().generation == new.generation


def test_while_a_reported_token_is_replaced_readers_are_held(server, daemon):
    d = daemon(server)
    with library(d) as handle:
        first = reads_from_page(d, warmed(handle))
        server.fault("token", "hang")
        reported = threading.Thread(target=d.post, args=(
            f"/v1/token/reject?profile=default&generation={first.generation}&wait=30",))
        reported.start()
        server.wait_for("token", 2)
        # Its wait ends first: then it gets the reported one, and is told that it is stale.
        token = handle.get(wait=1 / PATIENCE)
        assert (token.generation, token.state) == (first.generation, "stale")
        assert served(d) > 0
        server.close_connections()
        reported.join()


def test_a_revoked_token_is_gone_with_the_next_read(server, daemon):
    d = daemon(server)
    with library(d) as handle:
        reads_from_page(d, warmed(handle))
        page = Page(d)
        assert page.words[STATE] == 2 and any(page.token_bytes())
        assert d.post("/v1/revoke").status == 200
        with pytest.raises(GctokenError) as error:
            handle.get()
        assert error.value.code == REVOKED
        assert not any(page.token_bytes())
        page.close()
        assert d.post("/v1/refresh").status == 200
        reads_from_page(d, handle)


@needs_root
def test_who_may_not_is_refused_and_remembered(server, daemon):
    d = daemon(server, broker={"socket_mode": "0666"})
    nobody = account("nobody")
    with as_user(nobody):
        page = Page(d)
    assert page.status == 403 and page.fd is None
    page.close()
    with as_user(nobody):
        unknown = Page(d, "unknown")  # the same words whether it is there or not
    assert unknown.status == 403
    unknown.close()
    known = Page(d, "unknown")
    assert known.status == 404
    known.close()
    events = d.get("/v1/history?profile=default").json["events"]
    assert any(e["event"] == "denied" and f"uid {nobody.uid}" in e["words"] for e in events)
    assert metric(d, "gctokend_denied_requests_total", profile="default") == 1
    assert metric(d, "gctokend_pages_given_total", profile="default") == 0


def leaked(page, successors):
    """Nothing of a later token is in it."""
    assert page.words[STATE] == RETIRED and not any(page.token_bytes())
    assert page.words[GENERATION] not in successors


@pytest.mark.parametrize("end", ["refresh", "reload", "revoke", "report", "another key"])
def test_a_page_is_worth_one_token(server, daemon, end):
    """Whoever has the descriptor, and is not asked again whether they may, has no later token."""
    d = daemon(server)
    first = d.token().json["generation"]
    page = Page(d)
    wait_until(lambda: page.words[STATE] == 2, "a token in the page")
    assert page.words[GENERATION] == first
    if end == "refresh":
        assert d.post("/v1/refresh").status == 200
    elif end == "reload":
        reload(d)
    elif end == "another key":  # which says nothing of who may have it
        d.profiles["default"]["refresh_margin"] = "7min"
        reload(d)
    elif end == "revoke":
        assert d.post("/v1/revoke").status == 200
    else:
        assert d.post(f"/v1/token/reject?profile=default&generation={first}").status == 200
    if end not in ("refresh", "report"):
        leaked(page, [])  # at once
    newer = d.post("/v1/refresh").json["generation"]
    wait_until(lambda: d.token().json["generation"] == newer, "the new token")
    leaked(page, [newer])
    again = Page(d)
    assert again.inode != page.inode
    wait_until(lambda: again.words[GENERATION] == newer, "the new token in a page of its own")
    again.close()
    page.close()


def test_a_page_without_a_token_is_worth_the_first(server, daemon):
    d = daemon(server)
    assert d.post("/v1/revoke").status == 200
    page = Page(d)
    assert page.words[STATE] == 1 and not any(page.token_bytes())
    first = d.post("/v1/refresh").json["generation"]
    wait_until(lambda: page.words[STATE] == 2, "its token")
    assert page.words[GENERATION] == first
    newer = d.post("/v1/refresh").json["generation"]
    wait_until(lambda: page.words[STATE] == RETIRED, "its end")
    leaked(page, [first, newer])
    page.close()


def test_a_refresh_costs_each_reader_one_page(server, daemon):
    """However many there are and however often they read."""
    d = daemon(server)
    with contextlib.ExitStack() as stack:
        handles = [warmed(stack.enter_context(library(d))) for _ in range(50)]
        for handle in handles:
            reads_from_page(d, handle, 10)
        given = metric(d, "gctokend_pages_given_total", profile="default")
        assert given == len(handles)
        for _ in range(2):
            newer = d.post("/v1/refresh").json["generation"]
            for handle in handles:
                wait_until(lambda h=handle: h.get().generation == newer, "the new token")
            before = served(d)
            for handle in handles:
                assert {handle.get().generation for _ in range(100)} == {newer}
            assert served(d) == before
            given += len(handles)
            assert metric(d, "gctokend_pages_given_total", profile="default") == given


@needs_root
def test_pages_that_nobody_takes_cost_no_other_user_theirs(server, daemon):
    """The kernel counts descriptors that were sent and not taken, and refuses the daemon more of them
    than it may have open; that is, if it is no root with every right."""
    descriptors, most = 200, 20
    d = daemon(server, profile={"allow_users": "games, mail"},
               broker={"socket_mode": "0666", "max_connections_per_user": most},
               wrap=["setpriv", "--bounding-set=-sys_resource,-sys_admin", "--inh-caps=-all",
                     "prlimit", f"--nofile={descriptors}"])
    ways = [lambda client: client.shutdown(socket.SHUT_WR), lambda client: client.sendall(b"\n"),
            lambda client: client.shutdown(socket.SHUT_RDWR), lambda client: None]
    statuses = collections.Counter()
    with contextlib.ExitStack() as stack:
        for i in range(2 * descriptors):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(10 * PATIENCE)
            with as_user(account("games")):
                client.connect(d.path("page.sock"))
            with contextlib.suppress(BrokenPipeError):
                client.sendall(b"page 1 default\n")
            status = client.recv(4, socket.MSG_PEEK)
            statuses[status] += 1
            if status == b"200\n":
                ways[i % len(ways)](client)
        assert statuses == {b"200\n": most, b"429\n": 2 * descriptors - most}
        with as_user(account("mail")):
            page = Page(d)
        assert page.status == 200
        page.close()
    wait_until(lambda: metric(d, "gctokend_connections") == 1, "all are gone")  # but for who asks
    with as_user(account("games")):
        page = Page(d)
    assert page.status == 200
    page.close()


@needs_root
def test_who_churns_connections_leaves_few_pages_in_flight(server, daemon):
    """Where connections give way, what was sent to them would still be in flight, and count."""
    most = 64
    d = daemon(server, profile={"allow_users": "*"},
               broker={"socket_mode": "0666", "max_connections": most},
               wrap=["setpriv", "--bounding-set=-sys_resource,-sys_admin", "--inh-caps=-all"])
    with contextlib.ExitStack() as stack:
        lying = 0
        for i in range(6 * most):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(10 * PATIENCE)
            with as_user(User(1_000_000 + i, 1_000_000 + i)):
                client.connect(d.path("page.sock"))
            with contextlib.suppress(ConnectionError):
                client.sendall(b"page 1 default\n")
                lying += client.recv(4, socket.MSG_PEEK) == b"200\n"
        assert lying == most / 2
        assert d.get("/healthz").status == 200
    wait_until(lambda: metric(d, "gctokend_connections") == 1, "all are gone")  # but for who asks
    page = Page(d)
    assert page.status == 200
    page.close()


def test_the_log_tells_that_pages_cannot_be_sent(server, daemon):
    d = daemon(server, wrap=["setpriv", "--bounding-set=-sys_resource,-sys_admin",
                             "--inh-caps=-all"] if os.geteuid() == 0 else None)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(4)]
        for client in clients:
            client.settimeout(10 * PATIENCE)
            client.connect(d.path("page.sock"))
        wait_until(lambda: metric(d, "gctokend_connections") == 5, "all are in")
        for client in clients[:2]:
            client.sendall(b"page 1 default\n")
            assert client.recv(4, socket.MSG_PEEK) == b"200\n"
        limits = resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (1, limits[1]))
        for client in clients[2:]:
            client.sendall(b"page 1 default\n")
            assert client.recv(4) == b"503\n"
        # Whoever looks for leaks at its end opens files.
        resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, limits)
    told = [line for line in d.stderr_text().splitlines() if "got no page (503)" in line]
    assert len(told) == 1 and "callers have not taken as many descriptors" in told[0]
    assert f"uid {os.getuid()} " in told[0]


@needs_root
def test_a_page_that_a_former_member_of_a_group_handed_on(server, daemon):
    """The rules stay as they are, and so does what the kernel says of who connected."""
    group = 72101
    d = daemon(server, broker={"socket_mode": "0666"}, profile={"allow_groups": str(group)})
    with as_user(User(71101, 71101, (group,))):
        page = Page(d)
    assert page.status == 200
    stranger = User(71102, 71102)
    assert d.ask_as(stranger.uid, "GET", "/v1/token", gid=stranger.gid).status == 403
    reload(d)
    newer = d.post("/v1/refresh").json["generation"]
    wait_until(lambda: d.token().json["generation"] == newer, "the new token")

    def reads():
        with mmap.mmap(page.fd, PAGE_SIZE, prot=mmap.PROT_READ) as memory:
            return [any(memory[192:192 + 8192]), memory[8 * STATE]]

    assert in_child(reads, stranger) == [False, RETIRED]
    page.close()


@needs_root
def test_who_loses_access_reads_no_more(server, daemon):
    d = daemon(server, broker={"socket_mode": "0666"}, profile={"allow_users": "nobody"})
    nobody = account("nobody")
    with as_user(nobody):
        page = Page(d)
    assert page.status == 200
    wait_until(lambda: page.words[STATE] == 2, "a token in the page")
    go, gone = os.pipe(), os.pipe()

    def reads():
        with library(d) as handle:
            warmed(handle)
            first = [handle.get().generation for _ in range(100)]
            os.write(gone[1], b".")
            os.read(go[0], 1)
            try:
                return [first[-1], handle.get().generation]
            except GctokenError as error:
                return [first[-1], -error.code]

    result = []
    thread = threading.Thread(target=lambda: result.append(in_child(reads, nobody)))
    thread.start()
    os.read(gone[0], 1)
    d.profiles["default"]["allow_users"] = "daemon"
    reload(d)
    assert page.words[STATE] == RETIRED and not any(page.token_bytes())
    os.write(go[1], b".")
    thread.join()
    assert result[0][0] > 0 and result[0][1] == -DENIED
    assert metric(d, "gctokend_pages_retired_total", profile="default") == 1
    # who still may have it has another one
    with library(d) as handle:
        reads_from_page(d, warmed(handle))
    page.close()
    for fd in go + gone:
        os.close(fd)


def test_a_profile_that_goes_takes_its_page_along(server, daemon):
    d = daemon(server, profiles={"default": {}, "other": {}})
    page = Page(d, "other")
    wait_until(lambda: page.words[STATE] == 2, "a token in the page")
    d.profiles.pop("other")
    reload(d)
    assert page.words[STATE] == RETIRED and not any(page.token_bytes())
    page.close()


def test_without_a_manager_a_restart_means_another_page(server, daemon):
    d = daemon(server)
    with library(d) as handle:
        first = reads_from_page(d, warmed(handle))
        page = Page(d)
        d.stop()
        assert page.words[STATE] == RETIRED and not any(page.token_bytes())
        page.close()
        d.start()
        assert handle.get().generation > first.generation
        reads_from_page(d, handle)


def test_after_a_crash_the_orphaned_page_is_left(server, daemon):
    d = daemon(server)
    with library(d) as handle:
        first = reads_from_page(d, warmed(handle))
        d.kill()
        d.start()
        wait_until(lambda: handle.get().generation > first.generation, "the new broker's token",
                   timeout=20)
        reads_from_page(d, handle)


def read_on(handle, stop, seen, failures):
    while not stop.is_set():
        try:
            seen.append(handle.get().generation)
        except GctokenError as error:
            failures.append(error.code)


@pytest.mark.parametrize("end", ["restart", "crash"])
def test_with_a_manager_readers_notice_no_restart(server, managed, end):
    m = managed(server)
    d = m.start()
    with library(d) as handle:
        first = reads_from_page(d, warmed(handle))
        page = Page(d)
        wait_until(lambda: any(name == "page-default" for name, _ in m.stored), "it is stored")
        stop, seen, failures = threading.Event(), [], []
        thread = threading.Thread(target=read_on, args=(handle, stop, seen, failures))
        thread.start()
        for _ in range(2):
            getattr(m, end)()
            again = Page(d)
            assert again.inode == page.inode  # the same memory
            again.close()
            d.token()
        stop.set()
        thread.join()
        assert failures == []
        assert seen == sorted(seen) and len(seen) > 100
        assert len(m.stored) == len({name for name, _ in m.stored})
        # what the new run decides, the old mapping shows: its token has ended
        newest = handle.reject(handle.get()).generation
        assert newest > first.generation
        wait_until(lambda: page.words[STATE] == RETIRED, "the end of the page")
        leaked(page, [newest])
        reads_from_page(d, handle)
        page.close()


def test_a_page_that_could_not_be_stored_ends_with_the_run(server, managed):
    """Whoever writes it next is nobody: it would outlive a revocation."""
    m = managed(server)
    d = m.start()
    os.rename(d.path("notify"), d.path("notify.away"))
    page = Page(d)
    os.rename(d.path("notify.away"), d.path("notify"))
    wait_until(lambda: page.words[STATE] == 2, "a token in the page")
    m.restart()
    assert not [name for name, _ in m.stored if name == "page-default"]
    assert page.words[STATE] == RETIRED and not any(page.token_bytes())
    page.close()
    # and the next one is kept again
    page = Page(d)
    wait_until(lambda: page.words[STATE] == 2, "a token in the page")
    m.restart()
    assert page.words[STATE] == 2
    page.close()


def test_rules_that_changed_between_two_runs_retire_the_page(server, managed):
    m = managed(server)
    d = m.start()
    page = Page(d)
    wait_until(lambda: any(name == "page-default" for name, _ in m.stored), "it is stored")
    wait_until(lambda: page.words[STATE] == 2, "a token in the page")
    d.stop()
    assert page.words[STATE] == 2  # the next run's to decide
    d.profiles["default"]["allow_users"] = "daemon"
    d.write_config()
    m.start()
    assert page.words[STATE] == RETIRED and not any(page.token_bytes())
    wait_until(lambda: not any(name == "page-default" for name, _ in m.stored), "it is forgotten")
    again = Page(d)
    assert again.status == 200 and again.inode != page.inode
    again.close()
    page.close()


@needs_root
def test_a_profile_that_went_between_two_runs_takes_its_page_along(server, managed):
    m = managed(server, profiles={"default": {}, "other": {}})
    d = m.start()
    page = Page(d, "other")
    wait_until(lambda: any(name == "page-other" for name, _ in m.stored), "it is stored")
    wait_until(lambda: page.words[STATE] == 2, "a token in the page")
    d.stop()
    d.profiles.pop("other")
    d.write_config()
    m.start()
    assert page.words[STATE] == RETIRED and not any(page.token_bytes())
    wait_until(lambda: not any(name == "page-other" for name, _ in m.stored), "it is forgotten")
    page.close()


def test_another_time_namespace_uses_the_socket(server, daemon):
    if not os.path.exists("/proc/self/ns/time"):
        pytest.skip("this kernel has no time namespaces")
    d = daemon(server)
    libc = ctypes.CDLL(None, use_errno=True)

    def elsewhere():
        if libc.unshare(CLONE_NEWTIME):
            return ["unshare", os.strerror(ctypes.get_errno())]
        with open("/proc/self/timens_offsets", "w", encoding="ascii") as file:
            file.write("boottime 100000 0\n")

        def reads():  # a child is in the new one
            with library(d) as handle:
                return [handle.get().expires_in_ms for _ in range(10)]
        return in_child(reads)

    before = served(d)
    result = in_child(elsewhere)
    if result[0] == "unshare":
        pytest.skip(f"no other time namespace can be made: {result[1]}")
    assert len(result) == 10 and all(left > 1000 for left in result)
    assert served(d) - before == 10


def test_without_a_page_socket_all_is_asked(server, daemon):
    d = daemon(server, broker={"page_socket": ""})
    assert not os.path.exists(d.path("page.sock"))
    before = served(d)
    with library(d) as handle:
        assert len({handle.get().generation for _ in range(10)}) == 1
    assert served(d) - before == 10


@needs_root
def test_the_daemons_own_descriptors_are_out_of_reach(server, daemon):
    d = daemon(server)
    page = Page(d)
    mine = os.stat(f"/proc/self/fd/{page.fd}")
    wait_until(lambda: page.words[STATE] == 2, "the end of the start")

    found = [path for path, what in open_files(d.process.pid).items()
             if "memfd:gctoken-page" in what]
    assert len(found) == 2  # to write, and to hand over: none for each client
    for path in found:
        assert os.stat(path).st_ino == mine.st_ino
    assert mine.st_mode & 0o7777 == 0o444

    def tries():
        opened = []
        for path in [*found, f"/proc/self/fd/{page.fd}"]:
            for flags in (os.O_RDWR, os.O_WRONLY):
                try:
                    opened.append(os.open(path, flags))
                except OSError:
                    pass
        return opened

    assert in_child(tries, account("nobody")) == []
    page.close()
