"""gctoken doctor about a fleet: each thing that can be wrong with the store, with this host's user
there or with the fleet's key is found, named, and told what to do about."""

import json
import os
import re
import secrets
import shutil
import subprocess
import threading
import time

import pytest

from daemon import GCTOKEN, GCTOKEND, environment
from fleet_hosts import fleet_host
from fleet_store import FleetStore, documented_users
from redis_server import LATER, RedisServer
from scripted_store import ScriptedStore, array, bulk
from test_cli_doctor import doctor, of, the_problem
from test_fleet import fleet, redis, settle, share, started, write_secret  # noqa: F401
from test_proxy import identity  # noqa: F401
from users import account, become, needs_root
from waiting import wait_until

pytestmark = pytest.mark.usefixtures("gctoken")


@pytest.fixture
def stores():
    made = []

    def make(*arguments, **answers):
        made.append(ScriptedStore(*arguments, **answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


def at(fleet, url, **broker):  # noqa: F811
    """A host whose store is there; it is not started."""
    [d] = fleet(1, broker={"fleet_store": url, **broker})
    return d


def told(d, **env):
    """What is told of the fleet."""
    return of(doctor(d, **env), "Fleet")


def words(checks, result="ok"):
    return "\n".join(one["words"] for one in checks if one["result"] == result)


def problem(d, expected, todo):
    the_problem(doctor(d), "Fleet", expected, todo)


# All is well

def test_a_host_that_fetches(fleet, server, redis):  # noqa: F811
    [d] = started(fleet(1))
    settle([d], server)
    clients = {key.split(b"}")[0] for key in redis.ask("KEYS", "*")}
    checks = told(d)
    assert not words(checks, "problem")
    assert re.search("""profile default: the daemon has had the store for .*, and may fetch tokens for all
the store is reached, knows this host's user, and is a primary
the store is Redis [0-9.]+
the store answers within [0-9.]+ ms, of 2000 that fleet_timeout allows
the store's clock agrees with this machine's
user gctoken has the rights of a host that fetches tokens
a lease on a key of its own was granted, kept and given back in [0-9]+ ms
profile default: the store's token \\(number [0-9]+, 86[0-9]{3} s left\\) is sealed with this host's key
profile default: hosts that hear of its new tokens, this one included: 1""", words(checks))
    assert "maxclients" in words(checks, "unknown")
    # and nothing stays in the store
    assert {key.split(b"}")[0] for key in redis.ask("KEYS", "*")} == clients
    assert server.posts == 1


def test_a_host_that_follows(fleet, server, redis):  # noqa: F811
    [d] = fleet(1, secret=None, broker={"fleet_user": "gctoken-follower"})
    d.start()
    checks = told(d)
    assert not words(checks, "problem")
    assert "follows: it fetches no token itself" in words(checks)
    assert "user gctoken-follower has the rights of a host that only follows" in words(checks)
    assert "the store has no token of it yet" in words(checks)
    assert "lease" not in words(checks)


def test_nothing_of_it_without_a_fleet(make_daemon, server):
    d = make_daemon(server)
    assert told(d) == []
    printed = subprocess.run([GCTOKEND, "-c", d.config_file, "--check-fleet"], text=True,
                             capture_output=True, env=environment(), timeout=30)
    assert (printed.returncode, json.loads(printed.stdout)) == (0, {"checks": []})
    d.write_config("[broker]\nnonsense = 1\n")
    wrong = subprocess.run([GCTOKEND, "-c", d.config_file, "--check-fleet"], text=True,
                           capture_output=True, env=environment(), timeout=30)
    assert (wrong.returncode, wrong.stdout) == (78, "")


# What the daemon says

def test_a_daemon_without_its_store(fleet, server, redis):  # noqa: F811
    [d] = started(fleet(1))
    settle([d], server)
    redis.kill()
    wait_until(lambda: share(d)["state"] == "down", "the loss to be noticed")
    found = words(told(d), "problem")
    assert "profile default: the daemon has been without the store for" in found
    assert "it cannot be connected to" in found
    [lost] = [one for one in told(d) if "has been without the store" in one["words"]]
    # What it tried itself, with the groups of today, may have worked.
    assert "systemctl restart gctokend" in lost["todo"]


def test_a_daemon_with_another_key(fleet, server, redis):  # noqa: F811
    settle(started(fleet(1)), server)
    [stranger] = fleet(1)
    write_secret(stranger, "fleet.key", secrets.token_hex(32))
    stranger.start()
    wait_until(lambda: share(stranger)["state"] == "other_key", "the key to be missed")
    found = of(doctor(stranger), "Fleet", "problem")
    assert "sealed with a key that the daemon does not have" in found[0]["words"]
    assert "the store's token is sealed with a key that this host does not have" in found[1]["words"]
    assert "fleet_old_key_files" in found[1]["todo"]


def test_a_key_that_is_changed(fleet, server, redis):  # noqa: F811
    [d] = started(fleet(1))
    settle([d], server)
    write_secret(d, "new.key", secrets.token_hex(32))
    d.broker.update(fleet_key_file=d.path("new.key"), fleet_old_key_files=d.path("fleet.key"))
    d.write_config()
    checks = told(d)
    assert not words(checks, "problem")
    assert "sealed with one of fleet_old_key_files: that is still needed" in words(checks)


def test_a_token_that_is_stopped(fleet, server, redis):  # noqa: F811
    [d] = started(fleet(1))
    settle([d], server)
    assert d.post("/v1/revoke").status == 200
    wait_until(lambda: redis.key(":rec") and share(d)["state"] == "stopped", "the stop")
    problem(d, "an administrator has stopped the token for the whole fleet", "gctoken refresh")


def test_what_is_no_token(fleet, server, redis):  # noqa: F811
    [d] = started(fleet(1))
    settle([d], server)
    key = redis.key(":rec")
    d.stop()
    redis.ask("HSET", key, "sealed", "x" * 200)
    found = words(told(d), "problem")
    assert "what the store has is no token of this profile" in found
    redis.ask("HSET", key, "gen", "soon")
    assert "what the store has is nothing that a fleet puts there" in words(told(d), "problem")


# Rights

MINTER = documented_users()["gctoken"].split()
COMMANDS = [rule for rule in MINTER if rule.startswith("+") and rule not in ("+auth", "+role")]


@pytest.mark.parametrize("rule", COMMANDS)
def test_a_right_that_is_missing(fleet, server, redis, rule):  # noqa: F811
    """Of the rights that docs/fleet.md has, each by itself; so none of them is there in vain."""
    redis.ask("ACL", "SETUSER", "gctoken", "-" + rule[1:].split("|")[0])
    d = at(fleet, redis.url)
    [found, *more] = of(doctor(d), "Fleet", "problem")
    assert found["words"] == ("user gctoken lacks rights on the store's keys, channels or commands: "
                              + rule)
    assert f"ACL SETUSER gctoken ~gct:* &gct:* {rule};" in found["todo"]
    # nothing stays for good, even where nothing can be taken away again
    assert not stays(redis)
    # a lease is not tried then
    assert not more and "lease" not in words(told(d))
    # it can be given just so
    redis.ask("ACL", "SETUSER", "gctoken", rule)
    assert not words(told(d), "problem")


def stays(redis):  # noqa: F811
    """The keys that do not end by themselves."""
    return [key for key in redis.ask("KEYS", "*") if redis.ask("PTTL", key) == -1]


def test_without_both_rights_to_clean_up(fleet, server, redis):  # noqa: F811
    redis.ask("ACL", "SETUSER", "gctoken", "-del", "-pexpire")
    [found] = of(doctor(at(fleet, redis.url)), "Fleet", "problem")
    assert found["words"].endswith(": +pexpire +del") and not stays(redis)


def test_a_lease_that_is_lost_on_the_way_ends(fleet, server, redis):  # noqa: F811
    """The connection may end before anything is taken away: what a script of it makes without an end
    gets one in the same breath."""
    monitor, seen = redis.connect("admin", redis.admin), []
    assert monitor("MONITOR") == b"OK"
    reader = threading.Thread(target=lambda: seen.extend(monitor.lines()))
    reader.start()
    assert not words(told(at(fleet, redis.url)), "problem")
    monitor.hang_up()
    reader.join()
    sent = [line.decode().split(" ")[3:] for line in seen if b" lua] " not in line]
    [acquired] = [i for i, command in enumerate(sent) if '"gctoken-doctor"' in command]
    assert sent[acquired + 1][0] == '"PEXPIRE"' and sent[acquired + 1][1].endswith(':seq"')


def test_rights_on_other_keys(fleet, server, redis):  # noqa: F811
    d = at(fleet, redis.url, fleet_prefix="staging")
    [found, *_] = of(doctor(d), "Fleet", "problem")
    assert "+hmget" in found["words"] and "~staging:* &staging:*" in found["todo"]


def test_a_follower_that_may_write(fleet, server, redis):  # noqa: F811
    [d] = fleet(1, secret=None)
    problem(d, "this host only follows, and yet user gctoken may write", "a user of their own")


# Secrets

@pytest.mark.parametrize("user, password, expected", [
    ("gctoken", "wrong", "refuses the user or the password"),
    ("nobody", None, "refuses the user or the password"),
    (None, None, "refuses the user or the password")])
def test_a_wrong_user_or_password(fleet, server, redis, user, password, expected):  # noqa: F811
    d = at(fleet, redis.url, fleet_user=user)
    if password:
        write_secret(d, "redis.password", password)
    problem(d, expected, "ACL GETUSER")


def test_no_password(fleet, server, stores):  # noqa: F811
    store = stores(ROLE=b"-NOAUTH Authentication required.\r\n")
    d = at(fleet, f"redis://127.0.0.1:{store.port}", fleet_user=None, fleet_password_file=None)
    problem(d, "it wants a password", "fleet_password_file")


def test_a_key_that_is_none(fleet, server, redis):  # noqa: F811
    """--check-config has it already; then nothing more can be looked at."""
    d = at(fleet, redis.url)
    write_secret(d, "fleet.key", "short")
    the_problem(doctor(d), "Configuration", "fleet.key", "Correct it")
    assert told(d) == []


def test_credentials_are_the_running_services(fleet, server, redis):  # noqa: F811
    d = at(fleet, redis.url, fleet_key_file=None, fleet_key_credential="fleet.key")
    [found] = told(d)
    assert found["result"] == "unknown" and "only the running service has" in found["words"]
    checks = told(d, CREDENTIALS_DIRECTORY=d.directory)
    assert "the store is reached" in words(checks) and not words(checks, "problem")


@needs_root
def test_unprivileged_it_says_what_it_could_not_look_at(fleet, server, redis):  # noqa: F811
    d = at(fleet, redis.url)
    for path in (d.directory, d.config_file):
        os.chmod(path, 0o755)
    os.mkdir(d.path("lib"), 0o755)
    for program in (GCTOKEN, os.path.join(os.path.dirname(GCTOKEN), "gctoken-net"), GCTOKEND):
        shutil.copy(program, d.path("lib"))
    printed = subprocess.run(
        [*become(account("nobody")), d.path("lib/gctokend"), "-c", d.config_file, "--check-fleet"],
        capture_output=True, text=True, cwd="/", timeout=60, env=environment())
    # the configuration's files are closed to that user, so that it is not valid
    assert (printed.returncode, printed.stdout) == (78, "")


# The way there

def test_nobody_there(fleet, server):  # noqa: F811
    problem(at(fleet, "redis://127.0.0.1:1"), "127.0.0.1: it cannot be connected to: Connection "
            "refused", "firewall")
    problem(at(fleet, "unix:/nonexistent/redis.sock"), "/nonexistent/redis.sock: it cannot be "
            "connected to", "the daemon's user may open")


def test_a_name_that_nobody_knows(fleet, server):  # noqa: F811
    problem(at(fleet, "rediss://nothing.invalid"), "nothing.invalid: its name cannot be resolved",
            "getent hosts")


def test_a_certificate_that_is_good(fleet, server, stores, identity):  # noqa: F811
    ca_file, certificate = identity
    store = stores(certificate)
    d = at(fleet, f"rediss://localhost:{store.port}", fleet_ca_file=ca_file)
    assert re.search(r"the store's certificate is trusted, and good for \d+ days", words(told(d)))


def test_a_certificate_that_is_not_trusted(fleet, server, stores, identity):  # noqa: F811
    store = stores(identity[1])
    d = at(fleet, f"rediss://localhost:{store.port}", fleet_ca_file=server.ca_file)
    problem(d, "localhost: its certificate is not trusted", "fleet_ca_file")
    assert not store.heard


def test_a_certificate_for_another_name(fleet, server, stores, identity):  # noqa: F811
    store = stores(identity[1])
    d = at(fleet, f"rediss://127.0.0.1:{store.port}", fleet_ca_file=identity[0])
    problem(d, "127.0.0.1: its certificate is not for 127.0.0.1", "the name that the certificate")


def test_tls_where_there_is_none_and_the_reverse(fleet, server, stores, identity):  # noqa: F811
    plain, tls = stores(), stores(identity[1])
    d = at(fleet, f"rediss://localhost:{plain.port}", fleet_ca_file=identity[0])
    found = of(doctor(d), "Fleet", "problem")[0]
    assert "TLS" in found["words"] and "TLS" in found["todo"]
    problem(at(fleet, f"redis://localhost:{tls.port}"), "localhost: ", "rediss://")


@pytest.mark.parametrize("answer, expected, todo", [
    (array("slave", "a", "1", "connected", "1"), "it is a replica", "name the Sentinels"),
    (b"-NOPERM this user has no permissions\r\n", "its user may not do that", "docs/fleet.md has"),
    (b"-MOVED 1 127.0.0.1:7000\r\n", "it belongs to a Redis Cluster", "not a Cluster"),
    (b"-LOADING Redis is loading the dataset in memory\r\n", "ROLE: ", "tries again by itself")])
def test_a_server_that_is_none_for_a_fleet(fleet, server, stores, answer, expected, todo):  # noqa: F811
    problem(at(fleet, f"redis://127.0.0.1:{stores(ROLE=answer).port}"), expected, todo)


# The server

@pytest.mark.parametrize("later", LATER, ids=["redis-8", "valkey"])
def test_later_servers_are_looked_at_as_well(make_daemon, server, later):
    redis = FleetStore(later=later)
    try:
        checks = told(fleet_host(make_daemon, server, redis, secrets.token_hex(32)))
        assert not words(checks, "problem")
        assert re.search("the store is (Redis|Valkey) 8[.]", words(checks))
    finally:
        redis.stop()


@pytest.mark.parametrize("modules", [
    [[]], [["MAXSEARCHRESULTS", "10000", "MAXAGGREGATERESULTS", "10000"], [], [], [], []]],
    ids=["one built in", "those of Redis Stack"])
def test_a_server_with_modules(fleet, server, stores, modules):  # noqa: F811
    """HELLO names each, and what it was loaded with."""
    each = b"".join(b"*8\r\n" + bulk("name") + bulk("module") + bulk("ver") + b":1\r\n"
                    + bulk("path") + bulk("/opt/module.so") + bulk("args") + array(*one)
                    for one in modules)
    store = stores(HELLO=b"*6\r\n" + bulk("server") + bulk("redis") + bulk("version") + bulk("8.0.2")
                   + bulk("modules") + b"*%d\r\n" % len(modules) + each)
    assert "the store is Redis 8.0.2\n" in words(told(at(fleet, f"redis://127.0.0.1:{store.port}")))


@pytest.mark.parametrize("version, mode, expected, todo", [
    ("6.0.16", "standalone", "the store is Redis 6.0.16", "6.2 or later"),
    ("5.9.9", "standalone", "the store is Redis 5.9.9", "6.2 or later"),
    ("7.2.4", "cluster", "the store is a Cluster", "Sentinels")])
def test_a_version_that_does_not_fit(fleet, server, stores, version, mode, expected,  # noqa: F811
                                     todo):
    store = stores(HELLO=array("server", "redis", "version", version, "mode", mode))
    found = of(doctor(at(fleet, f"redis://127.0.0.1:{store.port}")), "Fleet", "problem")
    assert expected in found[0]["words"] and todo in found[0]["todo"]


@pytest.mark.parametrize("server_name, shown", [("valkey", "Valkey 8.1.1"), ("x\x1b[2J", "version 8.1.1")])
def test_other_names_of_servers(fleet, server, stores, server_name, shown):  # noqa: F811
    store = stores(HELLO=array("server", server_name, "version", "8.1.1\x1b[2J"))
    assert f"the store is {shown}\n" in words(told(at(fleet, f"redis://127.0.0.1:{store.port}")))


def test_a_store_that_is_far_away(fleet, server, stores):  # noqa: F811
    def slow():
        time.sleep(0.3)
        return b"+PONG\r\n"
    d = at(fleet, f"redis://127.0.0.1:{stores(PING=slow).port}", fleet_timeout="1s")
    found = of(doctor(d), "Fleet", "problem")[0]
    assert "of 1000 that fleet_timeout allows" in found["words"]
    assert "Raise fleet_timeout" in found["todo"]


def test_a_clock_that_no_server_has(fleet, server, stores):  # noqa: F811
    store = stores(TIME=array("9223372036854775807", "9223372036854775807"))
    d = at(fleet, f"redis://127.0.0.1:{store.port}")
    found = [one["words"] for one in of(doctor(d), "Fleet", "problem")]
    assert any("the store's clock is ahead of this machine's by 2" in one for one in found), found


@needs_root
def test_root_asks_as_the_daemons_user_for_good(fleet, server, stores):  # noqa: F811
    """Whatever a store sends: the process that reads it has no way back."""
    seen = {}

    def look():
        with open(f"/proc/{printed.pid}/status", encoding="ascii") as status:
            seen.update(line.split(":", 1) for line in status)
        return b"+PONG\r\n"

    d = at(fleet, f"redis://127.0.0.1:{stores(PING=look).port}")
    shutil.copy(server.ca_file, d.path("ca.pem"))
    d.profiles["default"]["ca_file"] = d.path("ca.pem")
    d.write_config()
    user = account("nobody")
    for path in (d.directory, *(entry.path for entry in os.scandir(d.directory))):
        os.chown(path, user.uid, user.gid)
    printed = subprocess.Popen([GCTOKEND, "-c", d.config_file, "--check-fleet"],
                               stdout=subprocess.PIPE, env=environment())
    printed.communicate(timeout=60)
    assert printed.returncode == 0
    assert seen["Uid"].split() == [str(user.uid)] * 4
    assert seen["Gid"].split() == [str(user.gid)] * 4
    assert set(seen["Groups"].split()) <= {str(user.gid)}


@pytest.mark.parametrize("offset, expected", [(3600, "ahead of this machine's by 3"),
                                              (-90, "behind this machine's by ")])
def test_a_clock_that_is_wrong(fleet, server, offset, expected):  # noqa: F811
    store = RedisServer(clock=True)
    try:
        store.clock.step(offset)
        d = at(fleet, f"unix:{store.socket}", fleet_user=None, fleet_password_file=None)
        problem(d, f"the store's clock is {expected}", "NTP")
    finally:
        store.stop()


def test_what_it_may_know_of_limits(fleet, server, redis):  # noqa: F811
    redis.ask("ACL", "SETUSER", "gctoken", "+info")
    redis.ask("CONFIG", "SET", "maxmemory", "100mb")
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    d = at(fleet, redis.url)
    found = words(told(d))
    assert re.search(r"\d of the store's \d+ connections \(maxclients\) are used", found)
    assert "it goes by allkeys-lru: what it drops is put there again" in found
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    assert "the store's memory has no limit (maxmemory_policy allkeys-lru)" in words(told(d))


def test_a_store_that_is_full_of_connections(fleet, server, stores):  # noqa: F811
    store = stores(INFO=bulk("# Clients\r\nconnected_clients:9300\r\nmaxclients:10000\r\n"))
    found = of(doctor(at(fleet, f"redis://127.0.0.1:{store.port}")), "Fleet", "problem")
    assert "9300 of the store's 10000 connections" in found[0]["words"]
    assert "Raise maxclients" in found[0]["todo"]


def test_a_store_that_goes_away_meanwhile(fleet, server, stores):  # noqa: F811
    store = stores(TIME=lambda: b"nonsense\r\n")
    [found] = of(doctor(at(fleet, f"redis://127.0.0.1:{store.port}")), "Fleet", "problem")
    assert "127.0.0.1: what it answers is no answer of a Redis server" in found["words"]


# Sentinels

def sentinel(stores, port, name="127.0.0.1"):
    return stores(SENTINEL=array(name, str(port)))


def by_sentinels(fleet, *ports):  # noqa: F811
    return at(fleet, "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in ports)
              + "/mymaster", fleet_plain="yes")


def test_each_sentinel_is_asked(fleet, server, stores):  # noqa: F811
    """The daemon goes on to the next, and nobody would know of the one that is dead."""
    store = stores()
    good, other = sentinel(stores, store.port), sentinel(stores, store.port)
    found = of(doctor(by_sentinels(fleet, good.port, 1, other.port)), "Fleet")
    assert [one["result"] for one in found[:4]] == ["ok", "problem", "ok", "ok"]
    assert f"Sentinel 127.0.0.1 says that the primary is 127.0.0.1:{store.port}" == found[0]["words"]
    assert "Sentinel 127.0.0.1: it cannot be connected to" in found[1]["words"]
    assert "the store is reached: 127.0.0.1" in found[3]["words"]


def test_sentinels_that_do_not_agree(fleet, server, stores):  # noqa: F811
    store = stores()
    found = of(doctor(by_sentinels(fleet, sentinel(stores, store.port).port,
                                   sentinel(stores, 7).port)), "Fleet", "problem")
    assert "says that the primary is 127.0.0.1:7, another one 127.0.0.1:" in found[0]["words"]
    assert "do not watch the same servers" in found[0]["todo"]


def test_sentinels_that_know_no_primary(fleet, server, stores):  # noqa: F811
    problem(by_sentinels(fleet, stores(SENTINEL=b"*-1\r\n").port), "it knows no primary by the name",
            "sentinel monitor")
