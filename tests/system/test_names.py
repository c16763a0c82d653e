"""Users and groups that the rules name, and a name service that is slow, fails, lacks them, or comes
to say something else."""

import os
import subprocess
import time

import pytest

from daemon import GCTOKEND, environment
from manager import Manager
from names_shim import ShimmedNames
from reloading import reload, reload_refused
from users import User, needs_root
from waiting import PATIENCE, wait_until

pytestmark = needs_root

OPEN = {"socket_mode": "0666", "admin_users": "boss"}
BOSS, ANN, BOB = User(71001, 71001), User(71002, 71002), User(71003, 71003)
OPS = User(71009, 71009, (72001,))
KNOWN = {"boss": 71001, "ann": 71002, "bob": 71003, "ops": 72001}
RULES = {"a": {"allow_users": "ann"}, "b": {"allow_users": "ann bob"}, "c": {"allow_groups": "ops"}}
STALL_S = 0.05  # the reach: no caller waits longer because of a name


@pytest.fixture
def named(make_daemon, server):
    def make(**changes):
        d = make_daemon(server, broker=OPEN, profiles={name: dict(r) for name, r in RULES.items()})
        names = ShimmedNames(d)
        names.set(**{**KNOWN, **changes})
        return d, names
    return make


def status(d, user, profile):
    return d.ask_as(user.uid, "GET", f"/v1/token?profile={profile}&wait=20", gid=user.gid,
                    groups=user.groups).status


def unknown(d):
    return d.get("/v1/status").json["broker"]["unknown_names"]


def unknown_count(d):
    lines = d.get("/metrics").text.split("\n")
    return int(next(line for line in lines if line.startswith("gctokend_unknown_names ")).split()[1])


def check(d, names):
    return subprocess.run([GCTOKEND, "-c", d.config_file, "--check-config"], text=True,
                          env=environment(**d.env), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=30 * PATIENCE)


@pytest.mark.parametrize("changes, missing, denied", [
    ({"bob": "none"}, 'user "bob"', [(BOB, "b")]),
    ({"ops": "none"}, 'group "ops"', [(OPS, "c")]),
    ({"boss": "none"}, 'user "boss"', []),
    ({"ann": "none", "ops": "none"}, 'user "ann", group "ops"', [(ANN, "a"), (ANN, "b"), (OPS, "c")]),
    ({"bob": "error"}, 'user "bob"', [(BOB, "b")]),
])
def test_a_start_without_some_of_them(named, changes, missing, denied):
    """All profiles serve; who is missing is granted nothing, and so is nobody else for them."""
    d, names = named(**changes)
    d.start()
    for user, profile in [(ANN, "a"), (ANN, "b"), (BOB, "b"), (OPS, "c")]:
        expected = 403 if (user, profile) in denied else 200
        assert status(d, user, profile) == expected, (user, profile)
    assert status(d, BOB, "a") == 403
    assert unknown(d) == missing
    assert unknown_count(d) == len(changes)
    assert missing.split('"')[1] in d.gctoken("status").stdout
    for name in changes:
        assert f'"{name}"' in d.stderr_text()
    checked = check(d, names)
    assert checked.returncode == 78
    for name in changes:
        assert f'"{name}"' in checked.stdout
    problem = reload_refused(d)
    assert f'"{next(iter(changes))}"' in problem or len(changes) > 1
    names.set(**KNOWN)
    reload(d)
    assert unknown(d) is None and unknown_count(d) == 0
    for user, profile in [(ANN, "a"), (ANN, "b"), (BOB, "b"), (OPS, "c")]:
        assert status(d, user, profile) == 200


def test_a_start_while_the_service_is_slow(named):
    """The others are served meanwhile; the slow one has its right as soon as it is known, without
    anybody's doing."""
    d, names = named(bob="slow")
    d.start()
    assert status(d, ANN, "a") == 200 and status(d, ANN, "b") == 200
    assert status(d, OPS, "c") == 200
    assert status(d, BOB, "b") == 403
    assert unknown(d) == 'user "bob"'
    names.set(bob=KNOWN["bob"])
    wait_until(lambda: unknown(d) is None, "bob is known")
    assert status(d, BOB, "b") == 200


def test_many_slow_ones_do_not_hold_up_the_others(make_daemon, server):
    slow = [f"slow{n}" for n in range(7)]
    d = make_daemon(server, broker=OPEN, profile={"allow_users": " ".join([*slow, "ann"])})
    names = ShimmedNames(d)
    names.set(**KNOWN, **{name: "slow" for name in slow})
    d.start()
    assert status(d, ANN, "default") == 200
    names.set(**{name: "none" for name in slow})


def test_a_reload_waits_for_the_name_service_and_nobody_else_does(named):
    d, names = named()
    d.start()
    assert status(d, ANN, "a") == 200
    names.set(ann="slow")
    d.profiles["a"]["allow_users"] = "bob"
    d.write_config()
    seen, asked = len(d.stderr_text()), names.asked("ann")
    d.reload()
    wait_until(lambda: names.asked("ann") > asked, "the reload asks")
    took = []
    for _ in range(100):
        begun = time.monotonic()
        assert status(d, ANN, "a") == 200  # the rules before go on
        took.append(time.monotonic() - begun)
    took.sort()
    assert "reloaded" not in d.stderr_text()[seen:]
    print(f"\nduring a look-up without end: p50 {1000 * took[50]:.1f} ms, "
          f"worst of 100 {1000 * took[-1]:.1f} ms, with a new connection each")
    assert took[50] < STALL_S  # the worst is the machine's
    names.set(ann=KNOWN["ann"])
    d.wait_log(r"^<5>configuration reloaded: 3 profiles$", since=seen)
    assert status(d, ANN, "a") == 403 and status(d, BOB, "a") == 200


def test_the_manager_hears_of_the_reloads_end_when_it_ends(named):
    d, names = named()
    m = Manager(d)
    try:
        m.start()
        os.chmod(d.socket, 0o666)
        ready, reloading = m.count("READY"), m.count("RELOADING")
        names.set(ann="slow")
        d.reload()
        m.wait_notice("RELOADING", reloading + 1)
        for _ in range(20):
            assert status(d, BOB, "b") == 200
        assert m.count("READY") == ready
        d.reload()  # once more, meanwhile
        names.set(ann=KNOWN["ann"])
        m.wait_notice("READY", ready + 1)
        d.stop()
    finally:
        m.close()


def test_a_stop_does_not_wait_for_the_name_service(named):
    d, names = named()
    d.start()
    names.set(ann="slow")
    asked = names.asked("ann")
    d.reload()
    wait_until(lambda: names.asked("ann") > asked, "the reload asks")
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 2 * PATIENCE


@pytest.mark.parametrize("trouble", ["error"])
def test_a_service_that_fails_takes_no_right_away(named, trouble):
    """An error is not an answer: what was known stays, and a reload goes through with it."""
    d, names = named()
    d.start()
    assert status(d, BOB, "b") == 200
    names.set(bob=trouble, ann=trouble)
    reload(d)
    assert status(d, BOB, "b") == 200 and status(d, ANN, "a") == 200
    assert unknown(d) is None
    d.profiles["a"]["allow_users"] = "ann newcomer"
    names.set(newcomer=trouble)
    d.write_config()
    assert '"newcomer" could not be looked up' in reload_refused(d)
    assert status(d, ANN, "a") == 200


def test_a_user_made_anew_under_another_uid(named):
    """The old uid, which may be somebody else's by now, has no right from the next look on; at the
    latest with the next reload, even one that is refused."""
    d, names = named()
    d.start()
    held = d.connect()
    assert status(d, BOB, "b") == 200
    names.set(bob=71555)
    reload(d)
    assert status(d, BOB, "b") == 403
    assert status(d, User(71555, 71555), "b") == 200
    names.set(bob="none")
    assert '"bob"' in reload_refused(d)
    assert status(d, User(71555, 71555), "b") == 403
    assert status(d, ANN, "b") == 200
    held.close()


def test_an_early_hangup_while_names_are_looked_up(named):
    """The start waits a moment for the name service; a signal then is a reload like any other."""
    d, names = named(bob="slow")
    d.start(ready=False)
    wait_until(lambda: _asked(names, "bob"), "the start asks")
    d.reload()
    names.set(bob=KNOWN["bob"])
    d.wait_log(r"^<5>configuration reloaded: 3 profiles$")
    assert status(d, BOB, "b") == 200


def _asked(names, name):
    try:
        return names.asked(name)
    except FileNotFoundError:
        return 0
