"""Login servers and APIs behind a proxy that asks who wants what, and has a CA of its own."""

import os
import subprocess

import pytest

from connect_proxy import ConnectProxy
from daemon import canary
from waiting import wait_until

USER = "DOMAIN\\a name"


def put(path: str, text: str) -> None:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w",
              encoding="utf-8") as file:
        file.write(text + "\n")


def behind(proxy: ConnectProxy, password_file: str, **keys) -> dict:
    return {"proxy": proxy.url, "proxy_user": USER, "proxy_password_file": password_file, **keys}


@pytest.fixture
def password(tmp_path):
    """A file with one that no log can hold by chance."""
    secret = canary()
    path = str(tmp_path / "password")
    put(path, secret)
    return secret, path


@pytest.fixture
def proxies():
    made = []

    def make(*arguments, **settings):
        made.append(ConnectProxy(*arguments, **settings))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    """A CA of the proxy's own, and its certificate and key."""
    folder = tmp_path_factory.mktemp("proxy")
    path = lambda name: str(folder / name)
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run = lambda *arguments: subprocess.run(["openssl", *arguments], check=True,
                                            capture_output=True)
    run("req", "-x509", *ec, "-keyout", path("ca.key"), "-out", path("ca.pem"), "-days", "30",
        "-subj", "/CN=proxy ca")
    run("req", *ec, "-keyout", path("key.pem"), "-out", path("csr"), "-subj", "/CN=localhost")
    with open(path("names"), "w", encoding="ascii") as file:
        file.write("subjectAltName=DNS:localhost\n")
    run("x509", "-req", "-in", path("csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
        "-CAcreateserial", "-days", "30", "-extfile", path("names"), "-out", path("cert.pem"))
    return path("ca.pem"), (path("cert.pem"), path("key.pem"))


def test_everything_goes_by_way_of_the_proxy(fake, daemon, proxies, password):
    secret, path = password
    f = fake()
    proxy = proxies(USER, secret)
    d = daemon(f, profile=behind(proxy, path))
    assert d.token(wait=10).status == 200
    assert d.post("/v1/skew/probe").status == 200
    assert d.post("/v1/revoke").status == 200
    assert set(proxy.carried) == {f"localhost:{f.port}"} and proxy.refused == 0
    assert {entry["kind"] for entry in f.log()} >= {"token", "head", "me"}
    # Told to the proxy alone, and in no log.
    for entry in f.log(secrets=True):
        assert "Proxy-Authorization" not in str(entry) and secret not in str(entry)
    assert secret not in d.stderr_text() and secret not in d.get("/v1/history").text
    checks = d.gctoken("doctor", "--config", d.config_file)
    assert f"by way of {proxy.url}" in checks.stdout.replace("\n           ", " ")
    assert proxy.refused == 0 and secret not in checks.stdout


def test_a_password_that_is_refused_and_then_mended(fake, daemon, proxies, password):
    secret, path = password
    f = fake()
    proxy = proxies(USER, "another:+/%")
    d = daemon(f, profile=behind(proxy, path))
    wait_until(lambda: d.status()["last_error"], "the refusal")
    words = d.status()["last_error"]["words"]
    assert words == "the proxy answered HTTP 407: it wants another proxy_user or password"
    checks = d.gctoken("doctor", "--config", d.config_file)
    assert "407" in checks.stdout and "proxy_password_file" in checks.stdout
    assert f.posts == 0
    put(path, "another:+/%")
    wait_until(lambda: d.token(wait=0).status == 200, "a token", 15)
    assert secret not in d.stderr_text()


def test_a_ca_of_the_proxy_s_own(fake, daemon, proxies, password, identity):
    """It is trusted for the proxy, and not for what is behind it; nor the other way round."""
    secret, path = password
    ca_file, certificate = identity
    f = fake()
    proxy = proxies(USER, secret, certificate)
    d = daemon(f, profile=behind(proxy, path, proxy_ca_file=ca_file))
    assert d.token(wait=10).status == 200
    assert proxy.carried
    del d.profiles["default"]["proxy_ca_file"]
    d.write_config()
    d.reload()
    d.wait_log("configuration reloaded")
    assert d.post("/v1/refresh").status == 503
    assert d.status()["last_error"]["words"].startswith("TLS with the proxy: ")
    checks = d.gctoken("doctor", "--config", d.config_file)
    assert "proxy_ca_file" in checks.stdout
    d.profiles["default"].update(proxy_ca_file=ca_file, ca_file=ca_file)
    d.write_config()
    d.reload()
    wait_until(lambda: d.post("/v1/refresh").status == 503, "the refusal")
    assert d.status()["last_error"]["words"].startswith("TLS: ")


def test_each_profile_goes_its_own_way(fake, make_daemon, proxies, password):
    """The doctor tries each way, and says whose it is."""
    secret, path = password
    f = fake()
    good, closed = proxies(USER, secret), "http://127.0.0.1:1"
    d = make_daemon(f, profiles={
        "one": behind(good, path), "two": {"proxy": closed, "client_id": "another"}, "three": {
            "client_id": "third", "fetch_timeout": "3s"}})
    checks = d.gctoken("doctor", "--config", d.config_file)
    said = checks.stdout.replace("\n           ", " ")
    assert f"localhost:{f.port} (as profile one goes) answers and is trusted" in said
    assert f"localhost:{f.port} (as profile two goes): " in said
    assert f"localhost:{f.port} (as profile three goes) answers and is trusted" in said
    assert len(good.carried) == 1
