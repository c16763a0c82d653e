"""When all connections are taken: nobody keeps others out, whatever uids they have."""

import contextlib
import resource
import socket

import pytest

from raw_http import memory_kib
from unix_http import exchange
from users import User, account, as_user, connect_as, needs_root
from waiting import wait_until

pytestmark = needs_root

MOST = 64  # max_connections, one of which is kept
SUBORDINATE = 1_000_000


@pytest.fixture(params=[MOST])
def most(request):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 2 * request.param:
        pytest.skip(f"RLIMIT_NOFILE allows {limits[1]} descriptors at most")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    yield request.param
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture(params=["games"])
def crowded(make_daemon, request, most):
    """Whoever wants a token of it waits: the login server takes connections and says nothing."""
    with socket.create_server(("localhost", 0)) as silent:
        yield make_daemon(
            profile={"token_url": f"https://localhost:{silent.getsockname()[1]}/oauth/token",
                     "prefetch": False, "allow_users": request.param},
            broker={"max_connections": most, "socket_mode": "0666",
                    "admin_users": "mail"}).start()


def metric(connection, name: str) -> int:
    text = exchange(connection, "GET", "/metrics").text
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(name + " ")))


def connect(path: str, uid: int) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    with as_user(User(uid, uid)):
        client.connect(path)
    return client


def served(d, name: str):
    """A connection of that user's that has been served. As many may have come by the other socket as
    there is room for, before it asked: then it asks again, as the library does."""
    for _ in range(5):
        connection = connect_as(d, account(name))
        with contextlib.suppress(ConnectionError):
            assert exchange(connection, "GET", "/healthz").status == 200
            return connection
        connection.close()
    raise AssertionError(f"{name} is kept out")


@pytest.mark.parametrize("say", [b"", b"GET /healthz HT", b"page 1 def"],
                         ids=["nothing", "half a request", "half a page request"])
@pytest.mark.parametrize("uids", [1, 5, MOST], ids=lambda n: f"{n} uids")
def test_others_are_served(crowded, uids, say):
    """All that there is, taken by who has so many uids, and again as often as they are closed."""
    path = crowded.path("page.sock") if say.startswith(b"page") else crowded.socket
    held = []

    def fill(count: int) -> None:
        for i in range(count):
            held.append(connect(path, SUBORDINATE + i % uids))
            with contextlib.suppress(BrokenPipeError):
                held[-1].sendall(say)

    fill(2 * MOST)
    for name in ("root", "mail", "games", "games"):
        served(crowded, name).close()
        fill(MOST // 2)

    def somebody_gave_way() -> bool:
        with contextlib.ExitStack() as stack:
            # More than may be free because others have closed theirs.
            for name in ("games", "bin", "www-data", "mail"):
                admin = stack.enter_context(contextlib.closing(served(crowded, name)))
            assert metric(admin, "gctokend_connections") <= MOST
            return metric(admin, "gctokend_connections_gave_way_total") > 0

    wait_until(somebody_gave_way, "somebody gave way")
    for client in held:
        client.close()


@pytest.mark.parametrize("crowded", ["*"], indirect=True)
@pytest.mark.parametrize("uids", [1, 5, MOST], ids=lambda n: f"{n} uids")
def test_those_who_wait_give_way(crowded, uids):
    """All taken by who waits for a token that does not come: others are served, and who gave way
    for them is told to come again."""
    waiting = [connect(crowded.socket, SUBORDINATE + i % uids) for i in range(MOST - 1)]
    for client in waiting:
        client.sendall(b"GET /v1/token?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n")
    with contextlib.closing(connect_as(crowded, account("mail"))) as admin:
        wait_until(lambda: metric(admin, 'gctokend_waiting_requests{profile="default"}') ==
                   len(waiting), "all wait")
        others = [served(crowded, name) for name in ("games", "bin", "www-data", "news")]
        assert metric(admin, "gctokend_connections_gave_way_total") > 0
    told = []
    for client in waiting:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            told.append(client.recv(4096))
    assert told
    for reply in told:
        assert reply.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in reply
    for client in (*waiting, *others):
        client.close()


@pytest.mark.parametrize("crowded", ["*"], indirect=True)
@pytest.mark.parametrize("most", [2000], indirect=True)
def test_requests_behind_others_take_little_memory(crowded, most):
    """Of a few users with many connections; one who does it on a single one is left alone."""
    first = b"GET /v1/token?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n"
    more = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 800
    modest = connect(crowded.socket, SUBORDINATE)
    modest.sendall(first + more)
    with contextlib.closing(connect_as(crowded, account("mail"))) as admin:
        greedy = [connect(crowded.socket, SUBORDINATE + 1 + i % 5) for i in range(1500)]
        for client in greedy:
            client.sendall(first + more)
        wait_until(lambda: metric(admin, 'gctokend_waiting_requests{profile="default"}') +
                   metric(admin, "gctokend_kept_cuts_total") == 1 + len(greedy), "all have asked")
        cut = metric(admin, "gctokend_kept_cuts_total")
        assert len(greedy) / 10 < cut < len(greedy) / 2
    memory = memory_kib(crowded)
    print(f"{len(more)} bytes behind each of {len(greedy)}: {cut} cut, {memory >> 10} MiB resident")
    assert memory < 100 << 10  # 0 where there is nothing to judge
    modest.setblocking(False)
    with pytest.raises(BlockingIOError):
        modest.recv(1)
    for client in (modest, *greedy):
        client.close()


def test_the_last_are_the_admins(crowded):
    """Nobody is cut for a user who has all there is, and an admin can still look."""
    games = account("games")
    waiting = []
    for _ in range(MOST - 1):
        client = connect(crowded.socket, games.uid)
        client.sendall(b"GET /v1/token?wait=5 HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting.append(client)
    admin = connect_as(crowded, account("mail"))
    wait_until(lambda: metric(admin, "gctokend_connections") == MOST, "all are there")
    refused = connect(crowded.socket, games.uid)
    refused.settimeout(20)
    assert refused.recv(4096).startswith(b"HTTP/1.1 503 ")
    assert exchange(admin, "GET", "/v1/status").status == 200
    for client in (*waiting, refused, admin):
        client.close()
