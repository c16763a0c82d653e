"""The clients of the soak run: good ones, odd ones, and those who mean harm."""

import http.client
import socket
import ssl
import time
from urllib.parse import urlsplit

from world import PRIVATE, STEADY, World
from raw_http import Raw
from unix_http import exchange

NOBODY = 65534
WAIT = 10

# name: the bytes, and the status that they have to get.
BAD = {
    "garbage": (b"\x00\x01\x02\x03", 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "bare-line-feed": (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400),
    "chunks": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
               400),
    "body": (b"POST /v1/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 400),
    "no-host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "nul": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n", 400),
    "other-route": (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "other-method": (b"DELETE /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "other-version": (b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "unknown-parameter": (b"GET /v1/token?profile=steady&x=1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "unknown-profile": (b"GET /v1/token?profile=nobodys HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "wait-too-long": (b"GET /v1/token?profile=steady&wait=301 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "long-target": (b"GET /" + b"a" * 20000, 414),
    "long-header": (b"GET / HTTP/1.1\r\nX: " + b"v" * 40000, 431),
}


def expect(world: World, what: str, answer, allowed: tuple[int, ...]) -> bool:
    """Whether it is a 200; every other status is an event of its own kind."""
    world.tally.asked()
    if answer.status != 200:
        world.tally.note(f"{what}: {answer.status}", answer.status in allowed, repr(answer))
    return answer.status == 200


def without(world: World, profile: str) -> tuple[int, ...]:
    return (503, 504) if world.may_be_without(profile) else ()


def api_status(world: World, token: str) -> int:
    connection = http.client.HTTPSConnection(
        "localhost", urlsplit(world.fake.api_url).port, timeout=30,
        context=ssl.create_default_context(cafile=world.fake.ca_file))
    try:
        return exchange(connection, "GET", "/api/v2/users/me",
                        {"Authorization": f"Bearer {token}"}).status
    except OSError:
        return 0  # the server is down, or closed all connections just then
    finally:
        connection.close()


def user_of(profile: str):
    """A client as it should be: it asks for each use, and tells of a 401."""
    def step(world: World, draw) -> None:
        connection = world.daemon.connect()
        try:
            for _ in range(draw.randrange(1, 20)):
                if world.paused.is_set():
                    return
                one_use(world, draw, connection)
                time.sleep(draw.random() * 0.05)
        finally:
            connection.close()

    def one_use(world: World, draw, connection) -> None:
        way = draw.choice(["json", "json", "text", "min_ttl"])
        target = f"/v1/token?profile={profile}&wait={WAIT}"
        if way == "min_ttl":
            target += f"&min_ttl={draw.randrange(1, 5)}"
        begun = time.monotonic()
        answer = exchange(connection, "GET", target,
                          {"Accept": "text/plain"} if way == "text" else {})
        if not expect(world, f"token of {'the steady one' if profile == STEADY else 'others'}",
                      answer, without(world, profile)):
            return
        token = answer.text.rstrip("\n") if way == "text" else answer.json["access_token"]
        good_until = begun + int(answer.headers["Gctoken-Expires-In-Ms"]) / 1000
        if draw.random() < 0.7:
            return
        status = api_status(world, token)
        # If the API was slow, the daemon has closed what was idle, as it had announced.
        kept_s = int(answer.headers.get("Keep-Alive", "timeout=0").removeprefix("timeout="))
        if time.monotonic() - begun > kept_s / 2:
            connection.close()
        world.tally.asked()
        if status == 0:
            world.tally.note("the API could not be reached", True)
        elif status == 401:
            generation = answer.headers["Gctoken-Generation"]
            world.judge_rejected(answer.headers["Gctoken-Fingerprint"], good_until,
                                 f"{profile}, generation {generation}, said to be good for "
                                 f"{good_until - begun:.1f} s, refused after "
                                 f"{time.monotonic() - begun:.1f} s")
            told = exchange(connection, "POST", f"/v1/token/reject?profile={profile}"
                                                f"&generation={generation}&wait={WAIT}")
            expect(world, "report of a 401", told, (429, *without(world, profile)))

    return step


def falsely_reports(world: World, draw) -> None:
    profile = draw.choice(["short", "middle", "long"])
    generation = world.daemon.status(profile)["generation"] or 1
    if draw.random() < 0.2:
        generation += 10 ** 9
    told = world.daemon.post(f"/v1/token/reject?profile={profile}&generation={generation}"
                             f"&wait={WAIT}")
    expect(world, "false report", told, (429, 400, *without(world, profile)))


def waits_for_the_next(world: World, draw) -> None:
    profile = draw.choice(["short", "brief", "middle", STEADY])
    generation = world.daemon.status(profile)["generation"] or 1
    answer = world.daemon.token(profile, after=generation, wait=draw.randrange(4))
    expect(world, "wait for the next", answer, (304, *without(world, profile)))


def looks(world: World, draw) -> None:
    connection = world.daemon.connect()
    try:
        for target in ["/v1/status", "/metrics", "/v1/skew?profile=long", "/healthz",
                       "/v1/history?profile=short"]:
            expect(world, "look", exchange(connection, "GET", target), ())
        expect(world, "readiness", exchange(connection, "GET", "/readyz"), (503,))
        if draw.random() < 0.1:
            expect(world, "probe", exchange(connection, "POST", "/v1/skew/probe?profile=long"),
                   (429, 503, 504))
    finally:
        connection.close()


def is_denied(world: World, _draw) -> None:
    """Another user gets what is for everybody, and nothing else."""
    for target, status in ((f"/v1/token?profile={PRIVATE}", 403), ("/healthz", 200),
                           ("/v1/token?profile=nobodys", 403),
                           (f"/v1/history?profile={STEADY}", 403)):
        answer = world.daemon.ask_as(NOBODY, "GET", target)
        world.tally.asked()
        if answer.status != status:
            world.tally.note(f"GRANTED {answer.status} where {status} is right", False, target)
        elif status == 403:
            world.tally.note("denied: 403", True)


def sends_nonsense(world: World, draw) -> None:
    name, (data, status) = draw.choice(list(BAD.items()))
    with Raw(world.daemon) as client:
        cut = draw.randrange(len(data))
        for piece in (data[:cut], data[cut:]):
            client.send(piece)
        got = client.answer()[0]
        world.tally.asked()
        world.tally.note(f"nonsense: {got}", got == status, name)


def is_slow(world: World, draw) -> None:
    """A byte now and then, until it is cut; half a second late at most."""
    with Raw(world.daemon) as client:
        begun = time.monotonic()
        client.send(b"G")
        client.socket.settimeout(0.1)
        while time.monotonic() < begun + 5:
            try:
                if client.more():
                    break
            except TimeoutError:
                client.send(draw.choice([b"E", b""]))
        client.socket.settimeout(20)
        status = client.answer()[0]
        world.tally.asked()
        world.tally.note(f"slow: {status}", status in (400, 408), "")


def vanishes(world: World, draw) -> None:
    for _ in range(20):
        client = socket.socket(socket.AF_UNIX)
        client.connect(world.daemon.socket)
        client.send(draw.choice([b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
                                 b"GET /v1/token?profile=short&after=1&wait=300 HTTP/1.1\r\n"
                                 b"Host: x\r\n\r\n", b"\x00"]))
        client.close()
        world.tally.asked()
    world.tally.note("vanished", True)


def is_idle(world: World, draw) -> None:
    """Connections that say nothing: each is closed by the daemon, in the end."""
    clients = [Raw(world.daemon) for _ in range(draw.randrange(1, 100))]
    try:
        for client in clients:
            assert client.until_end() == b""
        world.tally.note("idle connection closed", True)
    finally:
        for client in clients:
            client.socket.close()


def pipelines(world: World, draw) -> None:
    request = b"GET /v1/token?profile=steady&wait=10 HTTP/1.1\r\nHost: x\r\n\r\n"
    number = draw.randrange(1, 150)
    with Raw(world.daemon) as client:
        client.send(request * number)
        for _ in range(number):
            status = client.answer()[0]
            if status != 200:
                world.tally.note(f"pipelined: {status}", False)
        world.tally.asked(number)


def begin(world: World) -> list:
    """Threads of every kind."""
    kinds = [("user of steady", user_of(STEADY), 0.1), ("second user of steady", user_of(STEADY), 0.1)]
    kinds += [(f"user of {profile}", user_of(profile), 0.1)
              for profile in ("short", "brief", "middle", "long")]
    kinds += [("false report", falsely_reports, 2.0), ("wait", waits_for_the_next, 0.2),
              ("look", looks, 0.3), ("denied", is_denied, 1.0), ("nonsense", sends_nonsense, 0.1),
              ("slow", is_slow, 0.5), ("vanish", vanishes, 0.5), ("idle", is_idle, 0.5),
              ("pipeline", pipelines, 0.5)]
    return [world.work(name, step, pause) for name, step, pause in kinds]
