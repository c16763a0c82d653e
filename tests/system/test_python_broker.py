"""The Python package gctoken: its Broker, with the real daemon."""

import contextlib
import math
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import pytest

from daemon import environment
from scripted_daemon import answering
from snippets import PYTHON_PATH
from test_clients_doc import PYTHON
from users import needs_root
from waiting import PATIENCE, wait_until

sys.path[:0] = [one for one in PYTHON_PATH.split(os.pathsep) if one not in sys.path]

import gctoken  # noqa: E402
from gctoken import Broker  # noqa: E402


@pytest.fixture
def d(server, daemon):
    one = daemon(server)
    one.token(wait=20)
    return one


@pytest.fixture
def broker(d):
    with Broker(socket=d.socket, wait=20 * PATIENCE) as one:
        yield one


def python(d, text, path=PYTHON_PATH, **options):
    """Runs it as a program of its own, in which a warning is an error."""
    run = subprocess.run([PYTHON, "-X", "dev", "-W", "error", "-c", text], text=True,
                         capture_output=True, stdin=subprocess.DEVNULL, check=False,
                         timeout=50 * PATIENCE, cwd="/",
                         env=environment(GCTOKEN_SOCKET=d.socket, PYTHONPATH=path,
                                         PYTHONDONTWRITEBYTECODE="1"), **options)
    assert run.returncode == 0 and not run.stderr, run.stderr
    d.assert_no_leak(run.stdout, "its output")
    return run.stdout


# A token.

def test_a_token_is_what_the_broker_says(d, broker):
    token, said = broker.token(), d.token().json
    assert token.access_token == said["access_token"]
    assert token.authorization == "Bearer " + token.access_token
    assert (token.generation, token.fingerprint, token.profile, token.api_url) == \
        (said["generation"], said["fingerprint"], "default", d.fake.api_url)
    assert 0 < token.refresh_in < token.expires_in
    d.assert_no_leak(f"{token} {token!r} {vars(broker)}", "what is shown of a token")


def test_the_environment_names_socket_and_profile(server, daemon, monkeypatch):
    d = daemon(server, profiles={"default": {}, "other": {}})
    monkeypatch.setenv("GCTOKEN_SOCKET", d.socket)
    monkeypatch.setenv("GCTOKEN_PROFILE", "other")
    assert Broker(wait=20).token().profile == "other"
    assert Broker("default", wait=20).token().profile == "default"
    monkeypatch.setenv("GCTOKEN_SOCKET", "/nowhere")
    assert Broker("default", pathlib.Path(d.socket), wait=20).token().profile == "default"


def test_min_ttl(d, broker, server):
    """What can be had, and what cannot."""
    server.set(lifetime=1000)
    short = broker.reject(broker.token())
    with pytest.raises(gctoken.BadRequest, match="min_ttl: .* 500 s") as raised:
        broker.token(min_ttl=501)
    assert raised.value.status == 400
    assert broker.token(min_ttl=500).generation == short.generation


def test_threads_and_forks_use_one_broker(d):
    """Forks come while other threads ask: none of the children waits for a lock, or reads what was
    meant for somebody else."""
    output = python(d, """
import os, threading
from gctoken import Broker
broker = Broker()
seen, ends = set(), threading.Event()
def ask():
    while not ends.is_set():
        seen.add(broker.token().generation)
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
children = []
for _ in range(20):
    child = os.fork()
    if not child:
        os._exit(0 if len({broker.token().generation for _ in range(20)}) == 1 else 1)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children] == [0] * 20)
ends.set()
for thread in threads: thread.join()
broker.token()
broker.close()
print(len(seen))
""")
    assert output == "True\n1\n"


def test_errors_and_brokers_pass_between_processes(d):
    """A pool of processes that cannot make an error again would end, or hold who waits for it."""
    assert python(d, """
import copy, multiprocessing
from gctoken import Broker, BrokerError
broker = Broker()
broker.token()
def ask(broker, profile):
    broker.profile = profile
    return broker.token(wait=0).generation
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.apply(ask, (broker, "default")) == copy.deepcopy(broker).token().generation)
    try:
        pool.apply(ask, (broker, "nobodys"))
    except BrokerError as error:
        print(type(error).__name__, error.status, error.error, error.profile, "nobodys" in str(error))
""") == "True\nBadRequest 404 unknown_profile nobodys True\n"


def test_few_connections_are_kept(d, broker):
    """However many threads have asked at once."""
    barrier = threading.Barrier(30)

    def ask():
        barrier.wait()
        for _ in range(5):
            broker.token()

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def connections():
        return d.get("/v1/status").json["broker"]["connections"]

    wait_until(lambda: connections() <= 9, "connections are closed")
    broker.close()
    wait_until(lambda: connections() == 1, "all are closed")


# A broker that goes and comes.

@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_restarts_are_not_noticed(d, broker, ends):
    generations, errors, over = [], [], threading.Event()

    def ask():
        while not over.is_set():
            try:
                generations.append(broker.token().generation)
            except gctoken.BrokerError as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(generations) > 20, "they ask")
    getattr(d, ends)()
    time.sleep(2)
    d.start()
    before = len(generations)
    wait_until(lambda: len(generations) > before + 20, "they ask again")
    over.set()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_a_restart_in_the_middle_of_a_rejection(d, broker, server, ends):
    token = broker.token()
    server.revoke(all=True)
    server.fault("token", "hang", times=-1, seconds=600)
    found = []
    thread = threading.Thread(target=lambda: found.append(broker.reject(token)))
    thread.start()
    wait_until(lambda: d.status()["waiting"] == 1, "it is held")
    server.clear_faults()
    getattr(d, ends)()
    time.sleep(2)
    d.start()
    thread.join()
    assert found[0].generation > token.generation
    assert server.api_status(found[0].access_token) == 200


def test_a_max_wait_below_its_own_is_no_mistake_of_the_program(server, daemon):
    """It asks for as long as it was told to, in turns that the broker accepts."""
    d = daemon(server, broker={"max_wait": "2s"})
    d.token(wait=2)
    with Broker(socket=d.socket, wait=math.inf) as broker:
        token = broker.token()
        begun = time.monotonic()
        assert broker.wait_change(token.generation, wait=3) is None
        assert time.monotonic() - begun >= 3
        assert broker.reject(token).generation > token.generation
        with pytest.raises(gctoken.BadRequest, match="min_ttl: "):
            broker.token(min_ttl=10 ** 6)


def test_wait_change(d, broker):
    token = broker.token()
    begun = time.monotonic()
    assert broker.wait_change(token.generation, wait=1) is None
    assert 1 <= time.monotonic() - begun + 0.1 and time.monotonic() - begun < 3 * PATIENCE
    assert broker.wait_change(token.generation - 1).generation == token.generation
    threading.Timer(0.3, lambda: d.post("/v1/refresh")).start()
    assert broker.wait_change(token.generation).generation > token.generation


def test_wait_change_outlasts_a_stop(d, broker):
    """The 304 of a broker that stops comes early, and is not the end."""
    token = broker.token()
    found = []
    thread = threading.Thread(target=lambda: found.append(broker.wait_change(token.generation)))
    thread.start()
    wait_until(lambda: d.status()["waiting"] == 1, "it is held")
    d.restart()
    d.post("/v1/refresh")
    thread.join()
    assert found[0].generation > token.generation


# Errors.

def told(error, *words):
    """What was wrong, where, and what to do."""
    text = str(error)
    assert error.socket in text and f"profile {error.profile}" in text and "; " in text
    for word in words:
        assert word in text, text
    return True


def test_nobody_listens(d, broker):
    d.stop()
    begun = time.monotonic()
    with pytest.raises(gctoken.BrokerUnreachable) as raised:
        broker.token(wait=0.5)
    assert time.monotonic() - begun < 2 * PATIENCE
    assert told(raised.value, "no broker listens", "GCTOKEN_SOCKET") and raised.value.status == 0
    with pytest.raises(gctoken.BrokerUnreachable):
        broker.token(wait=0)


def test_absence_ends_before_a_long_wait(tmp_path):
    begun = time.monotonic()
    with pytest.raises(gctoken.BrokerUnreachable):
        Broker(socket=str(tmp_path / "none")).token(wait=300)
    assert 9 < time.monotonic() - begun < 12 * PATIENCE


def test_a_broker_that_hangs_holds_nobody(tmp_path):
    path = str(tmp_path / "hangs")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        begun = time.monotonic()
        with pytest.raises(gctoken.BrokerUnreachable) as raised:
            Broker(socket=path).token(wait=1)
        assert time.monotonic() - begun < 3.5 * PATIENCE
    assert told(raised.value, "does not answer")


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("at_once, then", [
    (b"", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 600), (b"HTTP/1.1 200 OK\r\n", b"X: x\r\n" * 90),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n{", b" " * 600),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 30)],
    ids=["one line", "its header", "its body", "no end of beginnings"])
@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_a_reply_that_trickles_holds_nobody(tmp_path, at_once, then, kept):
    """Byte by byte, for a minute: no step of it takes long."""
    body = b'{"access_token":"t","token_type":"Bearer","expires_in":9,"refresh_in":9,"generation":1,' \
        b'"fingerprint":"f","state":"fresh","profile":"default","region":"r","api_url":"u"}'
    path = str(tmp_path / "trickles")
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve():
            connection = listener.accept()[0]
            with connection, contextlib.suppress(OSError):
                if kept:
                    connection.recv(4096)
                    connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                connection.recv(4096)
                connection.sendall(at_once)
                for byte in then:
                    if over.wait(0.1):
                        return
                    connection.sendall(bytes([byte]))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            broker = Broker(socket=path)
            if kept:
                assert broker.token(wait=10).access_token == "t"
            begun = time.monotonic()
            with pytest.raises(gctoken.BrokerUnreachable) as raised:
                broker.token(wait=1)
            assert time.monotonic() - begun < 3.5 * PATIENCE
        finally:
            over.set()
            thread.join()
    assert told(raised.value, "does not answer")


@pytest.mark.parametrize("reply", [b"", OK + b"Content-Length: 3\r\n\r\n{}x", b"what\r\n\r\n",
                                   OK + b"Content-Length: 9\r\n\r\n{}",
                                   OK + b"Content-Length: 2\r\n\r\n[]"])
def test_replies_that_are_none(tmp_path, reply):
    """Each is asked for again, and none is taken for a token."""
    path = str(tmp_path / "odd")
    with answering(path, reply) as asked, pytest.raises(gctoken.BrokerUnreachable):
        Broker(socket=path).token(wait=0.5)
    assert len(asked) > 1


@pytest.mark.parametrize("reply, status", [
    (OK + b"Content-Length: 7\r\n\r\n{\"a\":1}", 200),
    (OK + b"Content-Length: 45\r\n\r\n" + b'{"access_token":"a\\r\\nX: 1","token_type":"B"}', 200),
    (b"HTTP/1.1 503 No\r\nContent-Length: 21\r\n\r\n" + b'{"retry_after":"abc"}', 503),
    (b"HTTP/1.1 503 No\r\nContent-Length: 18\r\n\r\n" + b'{"retry_after":-9}', 503),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\n{\"a\":1}", 404)])
def test_somebody_elses_socket(tmp_path, reply, status):
    path = str(tmp_path / "other")
    with answering(path, reply), pytest.raises(gctoken.BrokerError, match="does not know") as raised:
        Broker(socket=path).token(wait=5)
    assert raised.value.status == status


@needs_root
def test_who_may_not(server, daemon):
    program = """
from gctoken import Broker, BrokerError
try:
    print(Broker(wait=5).token().generation)
except BrokerError as error:
    print(type(error).__name__, error.status, error.error, error, sep="|")
"""

    def refused(mode):
        d = daemon(server, broker={"socket_mode": mode})
        # A copy of the package where others may read it.
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            shutil.copytree(os.path.dirname(gctoken.__file__), os.path.join(folder, "gctoken"))
            said = python(d, program, folder, user=54321, group=54321)
        return said.strip().split("|")

    kind, status, error, text = refused("0660")
    assert (kind, status, error) == ("BrokerUnreachable", "0", "unreachable")
    assert "54321 may not connect" in text and "group" in text
    kind, status, error, text = refused("0666")
    assert (kind, status, error) == ("AccessDenied", "403", "access_denied")
    assert "54321" in text and "allow_users" in text


def test_where_a_person_has_to_act(d, broker, server):
    d.post("/v1/revoke")
    with pytest.raises(gctoken.ActionNeeded) as raised:
        broker.token()
    assert told(raised.value, "gctoken refresh --profile default")
    assert (raised.value.status, raised.value.error, raised.value.retry_after) == \
        (503, "revoked", None)
    with pytest.raises(gctoken.BadRequest) as raised:
        Broker("nobody", d.socket).token()
    assert told(raised.value, "gctoken status") and raised.value.error == "unknown_profile"


def test_a_login_that_throttles_is_waited_for(d, broker, server):
    """... or not, if there is no time for it: then the error says when it ends."""
    token = broker.token()
    server.revoke(all=True)
    server.fault("token", "answer", times=1, status=429, headers={"Retry-After": "4"}, body="{}")
    begun = time.monotonic()
    with pytest.raises(gctoken.TryLater) as raised:
        broker.reject(token, wait=1)
    assert time.monotonic() - begun < 3.5 * PATIENCE
    assert raised.value.retry_after >= 1 and told(raised.value, "gctoken why")
    assert broker.reject(token).generation > token.generation


# Rejections, and calls that do all of it.

def test_rejections_name_a_token_or_its_text(d, broker, server):
    first = broker.token()
    second = broker.reject(first)
    assert broker.reject(first) == second or broker.reject(first).generation == second.generation
    assert broker.reject(first.access_token).generation == second.generation
    with pytest.raises(gctoken.RejectCooldown) as raised:
        broker.reject(second)
    assert raised.value.status == 429
    assert d.status()["counters"]["fetches"] == 2


def test_the_text_of_a_token_may_come_from_a_file(d, broker):
    """With the end of its line, which is no part of it; and what is no token is not taken for one that
    was replaced long ago."""
    token = broker.token()
    assert broker.reject(token.access_token + "\n").generation > token.generation
    for text in ("", "Bearer " + token.access_token):
        with pytest.raises(ValueError, match="the text of one"):
            broker.reject(text)
    assert d.status()["counters"]["rejections"] == 1


class Api:
    """Calls the fake API with urllib, as a program would."""

    def __init__(self, server, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
        self.fingerprints = []

    def __call__(self, token):
        self.fingerprints.append(token.fingerprint)
        request = urllib.request.Request(token.api_url + "/api/v2/users/me",
                                         headers={"Authorization": token.authorization})
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status


@pytest.fixture
def api(server, monkeypatch):
    return Api(server, monkeypatch)


def statuses(server):
    return [entry["status"] for entry in server.log("api")]


def test_a_call_over_a_revocation(d, broker, server, api):
    server.revoke(all=True)
    assert broker.call(api) == 200
    assert statuses(server) == [401, 200] and len(set(api.fingerprints)) == 2


def test_a_call_over_an_api_that_learns_late(d, broker, server, api):
    server.set(known_after=1.5)
    server.revoke(all=True)
    posts = server.posts
    assert broker.call(api) == 200
    assert statuses(server)[-3:] == [401, 401, 200] and server.posts == posts + 1


def test_a_call_that_is_refused_for_good_is_made_three_times(d, broker, server, api):
    """... and what the API said reaches the program; one new token was fetched for it."""
    server.fault("api", "answer", times=-1, status=401, body="{}", path="/api/v2/users/me")
    with pytest.raises(urllib.error.HTTPError) as raised:
        broker.call(api)
    assert raised.value.code == 401
    assert len(api.fingerprints) == 3


def test_a_call_waits_as_the_api_says(d, broker, server, api):
    server.fault("api", "answer", times=2, status=429, headers={"Retry-After": "1"}, body="{}")
    begun = time.monotonic()
    assert broker.call(api) == 200
    assert time.monotonic() - begun >= 2 and len(api.fingerprints) == 3


def test_a_call_is_not_made_for_ever(d, broker, server, api):
    server.fault("api", "answer", times=-1, status=429, headers={"Retry-After": "0"}, body="{}")
    with pytest.raises(urllib.error.HTTPError) as raised:
        broker.call(api)
    assert raised.value.code == 429 and len(api.fingerprints) == 10


@pytest.mark.parametrize("status", [403, 500])
def test_what_says_nothing_about_the_token_is_raised_at_once(d, broker, server, api, status):
    server.fault("api", "answer", status=status, body="{}")
    with pytest.raises(urllib.error.HTTPError) as raised:
        broker.call(api)
    assert raised.value.code == status and len(api.fingerprints) == 1
    assert d.status()["counters"]["rejections"] == 0


class Response:
    """As the clients have it that tell of it in their exceptions."""

    def __init__(self, status, headers):
        self.status_code, self.headers = status, headers

    def __bool__(self):
        return self.status_code < 400  # like that of requests


@pytest.mark.parametrize("form", ["requests and httpx", "the SDK", "code"])
def test_exceptions_of_other_clients_are_known(d, broker, form):
    error = RuntimeError("401")
    if form == "requests and httpx":
        error.response = Response(401, {})
    elif form == "the SDK":
        error.status, error.headers = 401, None
    else:
        error.code = 401
    seen = []

    def send(token):
        seen.append(token.generation)
        if len(seen) == 1:
            raise error
        return "good"

    assert broker.call(send) == "good"
    assert seen[1] > seen[0]


class Returned(Response):
    """A response of requests or httpx that a program has not asked to raise."""

    closed = False

    def raise_for_status(self):
        raise AssertionError("that is the program's own business")

    def close(self):
        self.closed = True


@pytest.mark.parametrize("statuses", [[401, 200], [429, 401, 404], [401, 401, 401]])
def test_a_response_that_is_returned_is_known(d, broker, statuses):
    made = [Returned(status, {"Retry-After": "0"}) for status in statuses]
    left, seen = iter(made), []

    def send(token):
        seen.append(token.generation)
        return next(left)

    assert broker.call(send) is made[-1]
    assert [one.closed for one in made] == [True] * (len(made) - 1) + [False]
    assert len(set(seen)) == 2 and d.status()["counters"]["rejections"] == 1


def test_what_else_is_returned_is_not_looked_into(broker):
    class Answer:
        status_code = 429  # of its own

        @property
        def headers(self):
            raise AssertionError("they are asked for")

    answer = Answer()
    assert broker.call(lambda _: answer) is answer


def test_a_coroutine_is_not_taken_for_a_call(d):
    assert "asyncio.to_thread" in python(d, """
from gctoken import Broker
async def send(token):
    raise AssertionError("it is run")
with Broker() as broker:
    try:
        broker.call(send)
    except TypeError as error:
        print(error)
""")


@pytest.mark.parametrize("headers, pause", [
    ({"Retry-After": 0}, 0.0), ([("retry-after", " 0 ")], 0.0), ({b"Retry-After": b"0", None: 1}, 10.0),
    ({"Retry-After": "soon"}, 10.0), (7, 10.0)])
def test_headers_that_other_clients_have(broker, monkeypatch, headers, pause):
    """Whatever they are, what the API said is not replaced by an error about them."""
    slept, error = [], RuntimeError("busy")
    error.status, error.headers = 429, headers

    def send(_):
        raise error

    monkeypatch.setattr(time, "sleep", slept.append)
    with pytest.raises(RuntimeError, match="busy"):
        broker.call(send)
    assert slept == [pause] * 9


def test_an_api_that_wants_to_be_left_alone_for_long_is_told_of(d, broker, server, api):
    for seconds in ("301", "9" * 40):
        server.fault("api", "answer", status=429, headers={"Retry-After": seconds}, body="{}")
        with pytest.raises(urllib.error.HTTPError) as raised:
            broker.call(api)
        assert raised.value.code == 429
    assert len(api.fingerprints) == 2


def test_the_brokers_own_refusal_is_not_the_apis(d, broker):
    """A call that asks the broker for something else, which has a status as well."""
    seen = []

    def send(token):
        seen.append(token)
        raise gctoken.TryLater("no", socket="", profile="", status=429)

    with pytest.raises(gctoken.TryLater):
        broker.call(send)
    assert len(seen) == 1


def test_many_threads_report_one_token_once(d, broker, server, api):
    server.revoke(all=True)
    posts, good = server.posts, []
    threads = [threading.Thread(target=lambda: good.append(broker.call(api))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert good == [200] * 20
    assert server.posts == posts + 1
