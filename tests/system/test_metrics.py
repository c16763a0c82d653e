"""/metrics: what Prometheus' own checker thinks of it, and whether the numbers are true."""

import re
import shutil
import subprocess

import pytest

from raw_http import Raw
from unix_http import exchange
from users import account, needs_root
from waiting import PATIENCE, wait_until

NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"


class Metrics:
    """One scrape, parsed: every line has to be one that the text format knows."""

    def __init__(self, text):
        self.text = text
        self.types, self.values = {}, {}
        helped, family = set(), None
        for line in text.splitlines():
            if found := re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line):
                family = found.group(1)
                assert family not in helped, f"two HELPs of {family}"
                helped.add(family)
            elif found := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge)", line):
                assert found.group(1) == family, line
                self.types[family] = found.group(2)
            else:
                found = re.fullmatch(rf'({NAME})(?:{{(.*)}})? (-?\d+(?:\.\d+)?)', line)
                assert found and found.group(1) == family, line
                labels = re.findall(r'(\w+)="([^"\\]*)"', found.group(2) or "")
                key = (family, tuple(sorted(labels)))
                assert key not in self.values, f"twice: {line}"
                self.values[key] = float(found.group(3))
        assert text.endswith("\n")

    def get(self, name, default=None, /, **labels):
        value = self.values.get((name, tuple(sorted(labels.items()))), default)
        assert value is not None, f"{name} {labels} is not there"
        return value

    def all(self, name, **labels):
        """By the value of the one label that is not given."""
        wanted = set(labels.items())
        return {dict(set(found) - wanted).popitem()[1]: value
                for (family, found), value in self.values.items()
                if family == name and wanted < set(found)}

    def counters(self):
        return {key: value for key, value in self.values.items()
                if self.types[key[0]] == "counter"}


def scrape(d):
    answer = d.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    d.assert_no_leak(answer.text, "/metrics")
    return Metrics(answer.text)


def assert_promtool_agrees(metrics):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not there (Debian: prometheus)")
    run = subprocess.run([promtool, "check", "metrics"], input=metrics.text, capture_output=True,
                         text=True, timeout=60 * PATIENCE, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def state_of(metrics, profile):
    states = metrics.all("gctokend_token_state", profile=profile)
    assert sorted(states.values()) == [0] * (len(states) - 1) + [1], states
    return next(state for state, value in states.items() if value)


@pytest.fixture
def states(fake, daemon):
    """A daemon with a profile in each state."""
    f = fake(clients=[{"id": name, "secret": f"secret-of-{name}"} for name in
                      ("fresh", "stale", "waiting", "unavailable", "rejected", "revoked")])
    f.set(lifetime=3600)
    f.fault("token", "answer", client="unavailable", times=-1, status=503, body="{}")
    d = daemon(f, profiles={
        name: {"client_id": name, "secret": f"secret-of-{name}", "clock_probe": False, **more}
        for name, more in {"fresh": {}, "stale": {}, "waiting": {"prefetch": False},
                           "unavailable": {}, "rejected": {"secret": "not-it"},
                           "revoked": {}}.items()})
    for name in ("fresh", "stale", "revoked"):
        generation = d.token(name, wait=20).json["generation"]
        if name == "stale":  # reported, and cannot be replaced
            f.fault("token", "answer", client=name, times=-1, status=503, body="{}")
            f.revoke(all=True)
            assert d.post(f"/v1/token/reject?profile={name}&generation={generation}").status == 503
    assert d.post("/v1/revoke?profile=revoked").status == 200
    wait_until(lambda: d.status("rejected")["state"] == "client_rejected", "the rejection")
    wait_until(lambda: d.status("unavailable")["last_error"], "the failure")
    return d


def test_promtool_finds_nothing(states):
    """In every state of a profile, before and after requests of every kind of status."""
    d = states
    metrics = scrape(d)
    assert_promtool_agrees(metrics)
    for name in ("fresh", "stale", "waiting", "unavailable", "revoked"):
        assert state_of(metrics, name) == name
    assert state_of(metrics, "rejected") == "client_rejected"
    before = metrics.get("gctokend_requests_total", 0, code="404")
    assert d.get("/nothing").status == 404
    assert d.post("/v1/token").status == 405
    assert d.get("/v1/token?wait=x&profile=fresh").status == 400
    assert d.token("fresh", after=d.token("fresh").json["generation"], wait=0).status == 304
    for data in (b"\0", b"GET /" + b"a" * 9000, b"GET / HTTP/2.0\r\n",
                 b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 4000):
        with Raw(d) as client:
            client.send(data)
            client.until_end()
    metrics = scrape(d)
    assert_promtool_agrees(metrics)
    assert metrics.get("gctokend_requests_total", code="404") == before + 1
    assert {"200", "304", "400", "404", "405", "414", "431", "503", "505"} <= \
        set(metrics.all("gctokend_requests_total"))


@needs_root
def test_promtool_finds_nothing_where_there_is_nothing(make_daemon):
    """No profile that the caller may see, and no right to the daemon's own numbers: no line."""
    d = make_daemon(profile={"token_url": "https://localhost:1/oauth/token", "prefetch": False},
                    broker={"socket_mode": "0666"}).start()
    assert_promtool_agrees(scrape(d))
    assert d.ask_as(account("nobody").uid, "GET", "/metrics").text == ""


def test_tokens(states):
    d = states
    metrics = scrape(d)
    usable = {"fresh", "stale"}
    for name in d.profiles:
        assert metrics.get("gctokend_token_valid", profile=name) == (name in usable), name
        status = d.status(name)
        expires = metrics.get("gctokend_token_expires_in_seconds", profile=name)
        if name in usable:
            # margin 5 s, drift and rounding; the status was asked a moment later
            assert 3500 < expires < 3600 and 0 <= expires - status["expires_in"] < 2 * PATIENCE
            assert metrics.get("gctokend_token_generation", profile=name) == status["generation"]
            refresh = metrics.get("gctokend_token_refresh_in_seconds", profile=name)
            assert abs(refresh - status["refresh_in"]) <= 1 + PATIENCE
            assert (refresh < 0) == (name == "stale")  # overdue since it was reported
        else:
            assert expires == 0, name
            assert metrics.get("gctokend_token_refresh_in_seconds", profile=name) == 0, name
    assert 2000 < metrics.get("gctokend_token_refresh_in_seconds", profile="fresh") < 3500


def test_fetches_by_result(states):
    d = states
    metrics = scrape(d)
    posts = [entry.get("client") for entry in d.fake.log("token")]
    for name, results in {"fresh": {"token": 1}, "waiting": {}, "revoked": {"token": 1},
                          "rejected": {"client_rejected": 1}}.items():
        found = metrics.all("gctokend_fetches_total", profile=name)
        assert {result: n for result, n in found.items() if n} == results, name
        assert len(found) == 5, found  # every result is there from the start, for rate()
        assert sum(found.values()) == posts.count(name), name
    for name, tokens in (("stale", 1), ("unavailable", 0)):  # which are tried again and again
        found = metrics.all("gctokend_fetches_total", profile=name)
        assert found["token"] == tokens and found["unavailable"] >= 1, name
        assert sum(found.values()) == tokens + found["unavailable"] <= posts.count(name), name


def test_served_and_refused(states):
    d = states
    before = scrape(d)
    for _ in range(7):
        assert d.token("fresh").status == 200
    for _ in range(3):
        assert d.token("stale").json["state"] == "stale"
    for name in ("unavailable", "rejected", "revoked"):
        assert d.token(name, wait=0).status in (503, 504)
    after = scrape(d)

    def grown(name, **labels):
        return after.get(name, 0, **labels) - before.get(name, 0, **labels)

    served = "gctokend_tokens_served_total"
    assert grown(served, profile="fresh", state="fresh") == 7
    assert grown(served, profile="fresh", state="stale") == 0
    assert grown(served, profile="stale", state="stale") == 3
    for name in ("unavailable", "rejected", "revoked"):
        assert sum(after.all(served, profile=name).values()) == \
            sum(before.all(served, profile=name).values()), name
    # The scrape itself is counted once it is answered.
    assert grown("gctokend_requests_total", code="200") == 7 + 3 + 1
    assert sum(after.all("gctokend_requests_total").values()) - \
        sum(before.all("gctokend_requests_total").values()) == 7 + 3 + 3 + 1
    assert grown("gctokend_connections_accepted_total") == 7 + 3 + 3 + 1


def test_rejections(fake, daemon):
    f = fake()
    d = daemon(f)
    token = d.token(wait=20).json
    assert d.post(f"/v1/token/reject?generation={token['generation']}").status == 200
    newer = d.token().json
    assert newer["generation"] == token["generation"] + 1
    # Reported late: a newer one is there already, and nothing is wrong with that.
    assert d.post(f"/v1/token/reject?generation={token['generation']}").status == 200
    assert d.post(f"/v1/token/reject?generation={newer['generation']}").status == 429
    metrics = scrape(d)
    found = metrics.all("gctokend_rejections_total", profile="default")
    assert found == {"replaced": 1, "cooldown": 1}
    assert metrics.get("gctokend_requests_total", code="429") == 1
    assert metrics.get("gctokend_token_generation", profile="default") == newer["generation"]


def test_waiting_and_connections(fake, make_daemon):
    f = fake()
    f.fault("token", "delay", work=1.5)
    d = make_daemon(f).start()
    f.wait_for("token", 1)
    clients = [d.connect() for _ in range(5)]
    for client in clients[:3]:
        client.request("GET", "/v1/token?wait=20")
    for client in clients[3:]:
        assert exchange(client, "GET", "/healthz").status == 200
    metrics = wait_until(lambda: (m := scrape(d)).get(
        "gctokend_waiting_requests", profile="default") == 3 and m, "three are held")
    assert metrics.get("gctokend_connections") == 6  # and the one that asks
    for client in clients[:3]:
        assert client.getresponse().status == 200
    assert scrape(d).get("gctokend_waiting_requests", profile="default") == 0
    for client in clients:
        client.close()
    wait_until(lambda: scrape(d).get("gctokend_connections") == 1, "they are gone")


@pytest.mark.parametrize("offset", [-40, 0, 25.5])
def test_skew(fake, daemon, offset):
    """Local minus server: what the fake's clock is ahead of ours, with the other sign."""
    f = fake(clock_offset=offset)
    d = daemon(f)
    d.token(wait=20)
    metrics = wait_until(lambda: (m := scrape(d)).get(
        "gctokend_clock_skew_width_seconds", profile="default") < 1.3 and m, "a few probes", 15)
    skew = metrics.get("gctokend_clock_skew_seconds", profile="default")
    width = metrics.get("gctokend_clock_skew_width_seconds", profile="default")
    assert abs(skew + offset) <= width
    assert metrics.get("gctokend_clocks_seen", profile="default") == 1
    probes = metrics.get("gctokend_clock_probes_total", profile="default")
    assert 1 <= probes <= f.heads + 1 and probes <= 6
    told = d.get("/v1/skew").json
    assert abs(told["skew_seconds"] - skew) < 0.1
    assert abs(told["high"] - told["low"] - width) < 0.1


def test_before_anything_was_measured(make_daemon):
    d = make_daemon(profile={"token_url": "https://localhost:1/oauth/token", "prefetch": False})
    d.start()
    metrics = scrape(d)
    assert not metrics.all("gctokend_clock_skew_seconds")
    assert metrics.get("gctokend_clocks_seen", profile="default") == 0


def test_the_daemon_itself(server, make_daemon):
    d = make_daemon(server).start()
    d.token(wait=20)
    metrics = scrape(d)
    version = d.get("/v1/status").json["broker"]["version"]
    assert metrics.all("gctokend_build_info") == {version: 1}
    assert metrics.get("gctokend_config_reload_failed") == 0
    d.write_config("nonsense = 1\n")
    d.reload()
    wait_until(lambda: scrape(d).get("gctokend_config_reload_failed") == 1, "the refused reload")
    d.write_config()
    d.reload()
    wait_until(lambda: scrape(d).get("gctokend_config_reload_failed") == 0, "the good reload")


def test_counters_never_go_down(fake, daemon):
    """Through fetches, failures, reports, a revocation and reloads."""
    f = fake()
    d = daemon(f, profile={"reject_cooldown": "1s", "mint_limit": 100})
    d.token(wait=20)
    before = scrape(d)
    went_up = set()

    def look():
        nonlocal before
        now = scrape(d)
        for key, value in before.counters().items():
            assert now.values.get(key, -1) >= value, key
        went_up.update(key[0] for key, value in now.counters().items()
                       if value > before.values.get(key, 0))
        before = now

    def reload(**keys):
        d.profiles["default"].update(keys)
        d.write_config()
        since = len(d.stderr_text())
        d.reload()
        d.wait_log("(?i)reload", since=since)

    for act in (
            lambda: d.token(),
            lambda: d.post("/v1/token/reject?generation="
                           + str(d.post("/v1/refresh").json["generation"])),
            lambda: f.fault("token", "answer", status=500, body="{}"),
            lambda: d.post("/v1/refresh"),
            lambda: reload(use_margin="7s"),
            lambda: d.get("/nothing"),
            lambda: d.post("/v1/skew/probe"),
            lambda: d.post("/v1/revoke"),
            lambda: reload(refresh_margin="90s"),
            lambda: d.post("/v1/refresh"),
            lambda: reload(api_url=f.api_url + "/gateway"),
            lambda: d.token()):
        act()
        look()
    assert {"gctokend_fetches_total", "gctokend_tokens_served_total", "gctokend_rejections_total",
            "gctokend_clock_probes_total", "gctokend_requests_total",
            "gctokend_connections_accepted_total"} <= went_up
