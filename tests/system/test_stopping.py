"""Requests that are held when the daemon stops are answered, and the next daemon is asked."""

import subprocess

import pytest

from daemon import GCTOKEN, environment
from raw_http import Raw
from waiting import wait_until


def held(d, requests):
    """A connection for each, once the daemon holds them all."""
    clients = {}
    for name, (method, target) in requests.items():
        clients[name] = Raw(d)
        clients[name].send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    wait_until(lambda: d.get("/v1/status").json["broker"]["waiting"] == len(clients),
               "all are held")
    return clients


def said(client, method="GET"):
    status, fields, body = client.answer(to=method.encode())
    assert fields["connection"] == "close" and "keep-alive" not in fields
    assert client.until_end() == b""
    return status, fields.get("retry-after"), body


def test_each_kind_is_answered(fake, make_daemon):
    """Whatever it waits for: another token, the first one, a refresh, a replacement, the clock."""
    good, silent = fake(), fake()
    silent.set(delay_answer=60)
    d = make_daemon(good, profiles={
        "good": {"clock_probe": False},
        "silent": {"prefetch": False, "clock_probe": False, "fetch_timeout": "60s",
                   "token_url": silent.token_url, "ca_file": silent.ca_file}}).start()
    generation = d.token("good", wait=20).json["generation"]
    good.set(delay_answer=60)
    requests = {
        "another": ("GET", f"/v1/token?profile=good&after={generation}&wait=100"),
        "another, if it is there": (
            "HEAD", f"/v1/token?profile=good&after={generation}&wait=100"),
        "the first": ("GET", "/v1/token?profile=silent&wait=100"),
        "whether there is one": ("HEAD", "/v1/token?profile=silent&wait=100"),
        "a refresh": ("POST", "/v1/refresh?profile=silent"),
        "a replacement": (
            "POST", f"/v1/token/reject?profile=good&generation={generation}&wait=100"),
    }
    clients = held(d, requests)
    # Behind the one that is held nothing is answered any more: the last answer said so.
    clients["the first"].send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    d.stop()
    for name, (method, _) in requests.items():
        status, retry_after, body = said(clients[name], method)
        if "another" in name:
            assert (status, retry_after, body) == (304, None, b""), name
        else:
            assert (status, retry_after) == (503, "1"), name
            assert (b"stopping" in body) == (method != "HEAD"), (name, body)


def test_a_measurement_is_answered(fake, make_daemon):
    f = fake()
    d = make_daemon(f, profile={"fetch_timeout": "60s"}).start()
    d.token(wait=20)
    wait_until(lambda: d.get("/v1/skew").json["samples"] >= 2, "the HEADs after the token")
    f.fault("head", "hang", times=-1, seconds=60)
    clients = held(d, {"the clock": ("POST", "/v1/skew/probe")})
    d.stop()
    assert said(clients["the clock"])[:2] == (503, "1")


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_the_command_asks_the_next_one(fake, make_daemon, ends):
    """A wait outlives the daemon that it began with."""
    f = fake()
    f.set(delay_answer=60)
    d = make_daemon(f, profile={"clock_probe": False, "fetch_timeout": "60s"}).start()
    waiting = subprocess.Popen(
        [GCTOKEN, "--socket", d.socket, "get", "--wait", "60"], text=True,
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: d.get("/v1/status").json["broker"]["waiting"], "it is held")
    getattr(d, ends)()
    # Not sooner: the one that ends would get the answer that it waits for.
    f.set(delay_answer=0)
    d.start()
    output, complaints = waiting.communicate(timeout=60)
    assert (waiting.returncode, complaints) == (0, "")
    assert output.strip() == d.token().json["access_token"]
