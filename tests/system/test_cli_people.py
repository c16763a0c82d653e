"""What people see of the gctoken command: the status table and the drawn clock skew, in all widths,
with and without colours, and when the daemon's answer is broken."""

import json
import re

import pytest

from scripted_daemon import (FINGERPRINT, answer, folder, on_terminal,  # noqa: F401
                             problem, run, scripted)

pytestmark = pytest.mark.usefixtures("gctoken")  # which fails where it is not built


# status

def profile(name, **changes):
    return {"profile": name, "state": "fresh", "generation": 17, "fingerprint": FINGERPRINT,
            "expires_in": 3500, "refresh_in": 3100, "region": "us-west-2", "last_error": None,
            "next_attempt_in": None, "skew_seconds": 0.012, "waiting": 0,
            "counters": {"fetches": 17, "failures": 2, "rejections": 1, "served": 123456},
            **changes}


BAD = {"class": "unavailable", "status": 503, "error": None, "correlation_id": "abc-123", "ago": 12,
       "words": "the login server says that it is down for maintenance and will be back soon"}
NO_TOKEN = {"generation": None, "fingerprint": None, "expires_in": None, "refresh_in": None}
STATUS = {
    "profiles": [
        profile("default"),
        profile("billing-production", state="stale", expires_in=240, refresh_in=-5, region="mec1",
                last_error=BAD, next_attempt_in=8),
        profile("new", state="waiting", **NO_TOKEN, skew_seconds=None),
        profile("wrong", state="client_rejected", **NO_TOKEN, next_attempt_in=900,
                last_error={**BAD, "class": "client_rejected", "status": 401, "ago": 7300,
                            "words": "authentication failed", "correlation_id": None}),
        profile("old", expires_in=200000, refresh_in=36000, skew_seconds=-602.4),
    ],
    "broker": {"version": "0.1.0", "uptime": 11000, "connections": 17, "waiting": 2,
               "reload_problem": None},
    "a member of a newer daemon": [{"profile": "x"}],
}


def test_status_as_a_table(folder, scripted):
    daemon = scripted(answer(200, STATUS))
    result = run(folder, "status")
    lines = result.stdout.split("\n")
    assert (result.returncode, result.stderr) == (0, "")
    assert daemon.lines() == ["GET /v1/status HTTP/1.1"]
    assert lines[0].split() == ["PROFILE", "STATE", "EXPIRES", "REFRESH", "GEN", "REGION", "SKEW",
                                "SERVED", "FETCHES", "FAILED", "REJECTED", "FINGERPRINT"]
    assert lines[1].split() == ["default", "fresh", "58m", "51m", "17", "us-west-2", "+12", "ms",
                                "123456", "17", "2", "1", FINGERPRINT]
    assert lines[2].split()[:5] == ["billing-production", "stale", "4m", "due", "17"]
    assert lines[3] == (f"  12s ago: unavailable, HTTP 503: {BAD['words']} (correlation id abc-123); "
                        "next attempt in 8s")
    assert lines[4].split()[:6] == ["new", "waiting", "-", "-", "-", "us-west-2"]
    assert "2h01m ago: client_rejected, HTTP 401: authentication failed; next attempt in 15m" in \
        result.stdout
    assert "gctokend 0.1.0, up 3h03m, 17 connections, 2 waiting" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("columns", [40, 60, 80, 132])
def test_status_fits_the_width(folder, scripted, columns):
    scripted(answer(200, STATUS))
    result = run(folder, "status", env={"COLUMNS": str(columns)})
    widths = [len(line) for line in result.stdout.split("\n")]
    assert max(widths) <= columns
    assert "STATE" in result.stdout and "client_rejected" in result.stdout
    assert ("REGION" in result.stdout) == (columns >= 80)
    assert ("FINGERPRINT" in result.stdout) == (columns == 132)


def test_status_of_one_profile(folder, scripted):
    scripted(answer(200, STATUS))
    result = run(folder, "status", "--profile", "old")
    assert "old" in result.stdout and "wrong" not in result.stdout
    missing = run(folder, "status", "--profile", "nosuch")
    assert (missing.returncode, missing.stdout) == (78, "")
    assert "nosuch" in missing.stderr
    everything = run(folder, "status", env={"GCTOKEN_PROFILE": "old"})
    assert "wrong" in everything.stdout


def test_status_with_nothing_to_see(folder, scripted):
    daemon = scripted(answer(200, {"profiles": []}))
    assert run(folder, "status").stdout == "There is no profile that this user may see.\n"
    daemon.answers = [answer(200, {"profiles": [{}, {"profile": 5, "state": None}]})]
    assert run(folder, "status").stdout.count("unknown") == 2


def test_status_tells_of_a_refused_reload(folder, scripted):
    broker = {**STATUS["broker"], "reload_problem": "gctokend.conf:3: socket: two of them"}
    scripted(answer(200, {**STATUS, "broker": broker}))
    assert "reload was refused" in run(folder, "status").stdout
    assert "gctokend.conf:3: socket: two of them" in run(folder, "status").stdout


def test_status_tells_what_a_person_has_to_do_about_a_login(folder, scripted):
    login = {"state": "refreshed", "ends_in": None, "logged_in_at": 1, "stored": True, "problem": None}
    scripted(answer(200, {"profiles": [
        profile("fine", login=login), profile("machine"),
        profile("ending", login={**login, "state": "ends", "ends_in": 7300}),
        profile("nobody", **NO_TOKEN, state="login_required", login={**login, "state": "none"}),
        profile("damaged", login={**login, "problem": "the login's file x.login cannot be read"})]}))
    lines = run(folder, "status").stdout.split("\n")
    assert [line.split()[0] for line in lines[1:] if line] == [
        "fine", "machine", "ending", "this", "nobody", "somebody", "damaged", "the"]
    assert "  this login ends in 2h01m and cannot be refreshed: gctoken --profile ending login" in lines
    assert "  somebody has to log in: gctoken --profile nobody login" in lines
    assert "  the login's file x.login cannot be read" in lines


@pytest.mark.parametrize("number, words", [(1, "1 host;"), (2, "2 hosts;")])
def test_status_counts_the_hosts_of_a_fleet(folder, scripted, number, words):
    fleet = {"state": "up", "for": 9, "role": "minter", "hosts": number, "problem": None}
    scripted(answer(200, {"profiles": [profile("default", fleet=fleet)]}))
    assert words in run(folder, "status").stdout


def test_status_tells_how_a_revoked_profile_works_again(folder, scripted):
    """It was revoked when it was removed, perhaps, and somebody else has brought it back."""
    scripted(answer(200, {"profiles": [profile("back", **NO_TOKEN, state="revoked"),
                                       profile("fine")]}))
    lines = run(folder, "status").stdout.split("\n")
    assert [line.split()[0] for line in lines[1:] if line] == ["back", "an", "fine"]
    assert ("  an administrator revoked it; to let it work again: gctoken --profile back refresh"
            in lines)


def test_status_of_many_profiles(folder, scripted):
    scripted(answer(200, {"profiles": [profile(f"p{i}", last_error=BAD) for i in range(1000)]}))
    result = run(folder, "status")
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.split("\n") if re.match(r"p\d", line)] == \
        [f"p{i}" for i in range(1000)]


@pytest.mark.parametrize("body", ["", "{", "nonsense", '{"profiles": [}', "[" * 50])
@pytest.mark.parametrize("command", ["status", "skew", "refresh"])
def test_broken_json(folder, scripted, command, body):
    scripted(answer(200, body))
    result = run(folder, command)
    assert (result.returncode, result.stdout) == (1, "")
    assert "makes no sense" in result.stderr


def test_colours(folder, scripted):
    scripted(answer(200, STATUS))
    assert "\x1b[32mfresh" in run(folder, "status", "--color", "always").stdout
    assert "\x1b[1;31mclient_rejected" in run(folder, "status", "--color=always").stdout
    assert "\x1b" not in run(folder, "status", "--color", "auto").stdout


def test_a_terminal_gets_colours_and_its_width(folder, scripted):
    scripted(answer(200, STATUS))
    code, output, _ = on_terminal(folder, 40, "status")
    assert code == 0
    assert "\x1b[32mfresh" in output
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    assert max(len(line) for line in plain.split("\n")) <= 40
    assert "billing-produ\u2026" in plain
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": None}):
        assert "\x1b" not in on_terminal(folder, 40, "status", **variables)[1]
    assert "\x1b" not in on_terminal(folder, 40, "status", "--color=never")[1]
    assert "\x1b" in on_terminal(folder, 40, "status", "--color=always", NO_COLOR="1")[1]
    ascii_only = on_terminal(folder, 40, "status", "--color=never", LC_ALL="C")[1]
    assert ascii_only.isascii() and "billing-prod.." in ascii_only


# skew

SKEW = {"profile": "default", "skew_seconds": 0.012, "low": -0.48, "high": 0.51, "consistent": True,
        "clocks_seen": 1, "samples": 12, "rtt_min_ms": 38.123,
        "tight": {"low": -0.007, "high": 0.031}, "wall_steps": 0,
        "token": {"valid_in": 0, "dead_in": 3421.5, "evidence": ["expires_in", "exp"]},
        "advice": "The local clock agrees with the login server's as far as can be told."}


def test_skew_draws_the_interval(folder, scripted):
    daemon = scripted(answer(200, SKEW))
    result = run(folder, "skew", env={"COLUMNS": "80"})
    assert (result.returncode, result.stderr) == (0, "")
    assert daemon.lines() == ["GET /v1/skew?profile=default HTTP/1.1"]
    lines = result.stdout.split("\n")
    assert "agree as far as can be told (+12 ms)" in " ".join(lines[:2])
    labels, axis, bar, tight = lines[2:6]
    assert labels.split() == ["-400", "ms", "-200", "ms", "0", "+200", "ms", "+400", "ms"]
    assert axis.count("\u2534") == 4 and axis.count("\u253c") == 1
    assert bar.strip()[0] == "\u255e" and bar.strip()[-1] == "\u2561"
    assert tight.strip()[0] == "\u251c" and tight.strip()[-1] == "\u2524"
    # Zero stands under its label; the point a little to the right of it, in both intervals.
    zero = axis.index("\u253c")
    assert labels[zero] == "0"
    assert zero <= bar.index("\u25cf") <= zero + 2
    assert tight.index("\u251c") <= bar.index("\u25cf") <= tight.index("\u2524")
    text = " ".join(result.stdout.split())
    assert "between -480 ms and +510 ms" in text
    assert "12 exchanges, shortest round trip 38 ms" in text
    assert "good for 57m (by expires_in, exp)" in text
    assert SKEW["advice"] in text


def test_skew_in_ascii(folder, scripted):
    scripted(answer(200, SKEW))
    result = run(folder, "skew", env={"LC_ALL": "C", "COLUMNS": "80"})
    assert result.stdout.isascii()
    assert re.search(r"^ *\[=+\*=+\]$", result.stdout, re.MULTILINE)
    assert re.search(r"^ *\|-*\|$", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("point, low, high, words, arrow", [
    (600.1, 599.6, 600.6, "ahead of the login server's by 10m00s", "\u25c0"),
    (-600.1, -600.6, -599.6, "behind the login server's by 10m00s", "\u25b6"),
    (1.2, 0.7, 1.7, "ahead of the login server's by 1.20 s", "\u253c"),
    (86400.0 * 30, 86400.0 * 30 - 1, 86400.0 * 30 + 1, "ahead of the login server's by 30d",
     "\u25c0"),
    (0.0, 0.0, 0.0, "agree as far as can be told (0 ms)", "\u253c"),
    (0.3, -1.2, 1.4, "agree as far as can be told (+300 ms)", "\u253c"),
    (20.0, -20.0, 60.0, "is not known well: between -20 s and +60 s", "\u253c"),
    (-0.4, -1.6, 0.8, "is not known well: between -1.6 s and +800 ms", "\u253c"),
    (1e9, -1e9, 1e9, "is not known well", "\u253c"),
])
@pytest.mark.parametrize("columns", [20, 40, 80, 300])
def test_skew_far_and_near(folder, scripted, columns, point, low, high, words, arrow):
    scripted(answer(200, {**SKEW, "skew_seconds": point, "low": low, "high": high,
                             "tight": {"low": low, "high": high}}))
    result = run(folder, "skew", env={"COLUMNS": str(columns)})
    assert result.returncode == 0
    assert words in " ".join(result.stdout.split())
    assert arrow in result.stdout
    assert max(len(line) for line in result.stdout.split("\n")) <= max(columns, 32)


def test_skew_without_a_measurement(folder, scripted):
    scripted(answer(200, {"profile": "default", "skew_seconds": None, "low": None, "high": None,
                             "consistent": True, "clocks_seen": 0, "samples": 0,
                             "rtt_min_ms": None, "tight": None, "wall_steps": 0, "token": None,
                             "advice": "Nothing is known yet."}))
    result = run(folder, "skew")
    assert result.returncode == 0
    assert result.stdout.startswith("default: not measured yet\n")
    assert "Nothing is known yet." in result.stdout


def test_skew_tells_what_is_odd(folder, scripted):
    scripted(answer(200, {**SKEW, "consistent": False, "clocks_seen": 3, "wall_steps": 2,
                             "token": {"valid_in": 4, "dead_in": 100, "evidence": []}}))
    text = " ".join(run(folder, "skew").stdout.split())
    assert "3 clocks seen, not consistent" in text
    assert "was stepped 2 times" in text
    assert "good for 1m, from 4s on" in text


@pytest.mark.parametrize("number", [1e300, -1e300, 2e16])
def test_numbers_beyond_all_reason_are_none(folder, scripted, number):
    scripted(answer(200, {**SKEW, "samples": 5, "rtt_min_ms": number, "clocks_seen": number}))
    result = run(folder, "skew")
    assert (result.returncode, result.stderr) == (0, "")
    assert "5 exchanges\n" in result.stdout


def test_skew_probe_measures_first(folder, scripted):
    daemon = scripted(answer(200, SKEW))
    result = run(folder, "skew", "--probe", "--json")
    assert json.loads(result.stdout) == SKEW
    assert daemon.lines() == ["POST /v1/skew/probe?profile=default HTTP/1.1",
                              "GET /v1/skew?profile=default HTTP/1.1"]
    daemon.answers = [problem(429, "too_many_requests", "measured just now", retry_after=7)]
    assert run(folder, "skew", "--probe").returncode == 75
