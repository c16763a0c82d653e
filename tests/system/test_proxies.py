"""Programs that never see a token: each recipe of conf/proxy that Debian has a proxy for, over
whatever can become of a token."""

import email
import json
import socket
import subprocess
import time
import urllib.parse

import pytest

from proxies import PROXIES
from unix_http import Answer
from waiting import PATIENCE, wait_until

ME = "/api/v2/users/me"
QUERY = "/api/v2/analytics/conversations/details/query"
BODY = json.dumps({"interval": "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", "filler": "x" * 8000,
                   "paging": {"pageSize": 5, "pageNumber": 1}})


class Client:
    """A program behind a proxy: curl, and it follows where it is sent."""

    def __init__(self, proxy):
        self.proxy, self.daemon, self.fake = proxy, proxy.daemon, proxy.daemon.fake

    def call(self, path=ME, *options) -> Answer:
        run = subprocess.run(
            ["curl", "-qsSL", "-i", "--noproxy", "*", "--max-time", str(60 * PATIENCE),
             *options, self.proxy.url(path)], capture_output=True, check=True)
        self.daemon.assert_no_leak(run.stdout.decode(), "what a client was sent")
        *heads, body = run.stdout.split(b"\r\n\r\n")
        line, fields = heads[-1].decode().split("\r\n", 1)
        return Answer(int(line.split()[1]), email.message_from_string(fields), body)

    def query(self) -> Answer:
        return self.call(QUERY, "-d", BODY, "-H", "Content-Type: application/json")

    def statuses(self):
        return [one["status"] for one in self.fake.log("api") if one["method"] != "HEAD"]

    def counters(self):
        found = self.daemon.status()["counters"]
        return found["rejections"], found["fetches"]


@pytest.fixture(params=list(PROXIES))
def make_client(request, daemon):
    """What it makes is stopped before the daemon is."""
    made = []

    def make(daemon) -> Client:
        made.append(PROXIES[request.param](daemon))
        return Client(made[-1])

    yield make
    for proxy in made:
        proxy.stop()


@pytest.fixture
def client(make_client, fake, daemon):
    d = daemon(fake(conversations=7))
    d.token(wait=20)
    return make_client(d)


def test_a_program_without_a_token_calls_the_api(client):
    answer = client.call(ME, "-H", "Authorization: Bearer of-my-own")
    assert (answer.status, answer.json["state"]) == (200, "active")
    assert not [name for name in answer.headers if name.lower().startswith(("gctoken", "auth"))]
    assert len(client.query().json["conversations"]) == 5
    assert client.call(ME, "-I").status == 405  # the API's, as what follows
    assert client.call("/api/v2/nothing?expand=team&wait=soon").json["code"] == "not.found"
    assert client.call("/v1/token").status == 404
    assert len({one["authorization"] for one in client.fake.log("api")}) == 1
    assert client.counters() == (0, 1)


@pytest.mark.parametrize("body", [False, True])
def test_a_revoked_token(client, body):
    """One report and one new token; the program has nothing to do with it."""
    client.fake.revoke(all=True)
    answer = client.query() if body else client.call()
    assert answer.status == 200 and answer.json
    assert client.statuses() == [401, 200] and client.counters() == (1, 2)


def unread_of(s):
    """Of what was sent there, the bytes that are still in the other end's socket."""
    own, other = (f"{address[1]:04X}" for address in (s.getsockname(), s.getpeername()))
    with open("/proc/net/tcp", encoding="ascii") as file:
        for _, local, remote, _, queues, *_ in map(str.split, file):
            if local.endswith(":" + other) and remote.endswith(":" + own):
                return int(queues.split(":")[1], 16)
    raise AssertionError("the other end is gone")


@pytest.mark.parametrize("expect", [False, True])
def test_a_body_that_comes_after_its_head(client, expect):
    """As most programs send one, and many only once they are told to go on."""
    client.fake.revoke(all=True)
    url = urllib.parse.urlsplit(client.proxy.url(QUERY))
    with socket.create_connection((url.hostname, url.port), timeout=30 * PATIENCE) as s:
        s.sendall(f"POST {url.path} HTTP/1.1\r\nHost: {url.hostname}\r\nConnection: close\r\n"
                  "Content-Type: application/json\r\n"
                  f"{'Expect: 100-continue' if expect else 'Accept: */*'}\r\n"
                  f"Content-Length: {len(BODY)}\r\n\r\n".encode())
        if expect:
            assert s.recv(1000).startswith(b"HTTP/1.1 100 ")
        for part in (BODY[:100], BODY[100:]):
            wait_until(lambda: unread_of(s) == 0, "the proxy has read what came before")
            s.sendall(part.encode())
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    client.daemon.assert_no_leak(answer.decode(), "what a client was sent")
    statuses = [line.split()[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    again = client.proxy.program != "caddy"  # which sends its client round
    assert statuses[-1] == (b"200" if again else b"307")
    assert client.statuses() == ([401, 200] if again else [401]) and client.counters() == (1, 2)


def test_what_the_api_says_else_is_passed_on(client):
    for status, fields in ((429, {"Retry-After": "7"}), (403, {}), (500, {}), (503, {})):
        client.fake.fault("api", "answer", status=status, headers=fields, body='{"own": true}')
        answer = client.call()
        assert (answer.status, answer.json) == (status, {"own": True})
        assert answer.headers["Retry-After"] == fields.get("Retry-After")
    assert client.counters() == (0, 1)


def test_an_api_that_refuses_good_tokens(client):
    """The program is told to wait once the broker knows that the token is not the reason."""
    client.fake.fault("api", "answer", times=-1, status=401, path=ME, body='{"own": true}')
    answer = client.call()
    if client.proxy.program == "haproxy":  # which looks at the second refusal, too
        assert answer.status == 429
    else:
        assert (answer.status, answer.json) == (401, {"own": True})
    answer = client.call()
    assert answer.status == 429 and 1 <= int(answer.headers["Retry-After"]) <= 30
    assert client.counters()[1] == 2
    assert client.query().status == 200


@pytest.mark.parametrize("rejected", [False, True])
def test_no_token(make_client, fake, daemon, rejected):
    f = fake()
    f.fault("token", "answer", times=-1, status=401 if rejected else 503,
            body='{"error": "invalid_client"}')
    d = daemon(f)
    wait_until(lambda: d.status()["last_error"], "a fetch has failed")
    client = make_client(d)
    answer = client.call()
    assert answer.status == 503
    if not rejected:
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    f.clear_faults()
    if not rejected:
        wait_until(lambda: client.call().status == 200, "there is a token again", timeout=30)



def test_a_broker_that_is_killed_and_back(client):
    """With nobody to hold its socket meanwhile."""
    d = client.daemon
    assert client.call().status == 200
    d.kill()
    assert client.call().status in (502, 503)
    time.sleep(2)
    d.start()
    assert client.call().status == 200
    client.fake.revoke(all=True)
    assert client.query().status == 200
