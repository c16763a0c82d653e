"""What the scripts of a fleet's store decide, each asked at a real redis-server."""

import glob
import os

import pytest

from redis_server import LATER, ROOT, RedisError, RedisServer
from waiting import PATIENCE, wait_until

SCRIPTS = os.path.join(ROOT, "daemon", "store")
CLIENT, REQUEST = "gct:{c0ffee}", "gct:{c0ffee}:5c09e:0"
RECORD, LEASE, CHANNEL = REQUEST + ":rec", REQUEST + ":lease", REQUEST + ":new"
MINTS, HOLD, FAILS, SEQ, ALONE = (f"{CLIENT}:{name}"
                                  for name in ("mints", "hold", "fails", "seq", "alone"))
HOUR_US = 3_600_000_000
MINTER = ("~gct:* &gct:* -@all +auth +script|load +evalsha +role +ping +subscribe +unsubscribe "
          "+pubsub|numsub +time +get +set +del +hget +hmget +hset +hincrby +incr +pexpire +pttl "
          "+zadd +zcard +zrange +zremrangebyscore +publish").split()
FOLLOWER = ("%R~gct:*:rec &gct:* -@all +auth +role +ping +subscribe +unsubscribe +pubsub|numsub "
            "+time +hmget").split()


class Host:
    """Asks as one host of the fleet. Answers are texts, a number of microseconds second."""

    def __init__(self, server: RedisServer, name: str, user: str | None = None):
        self.name = name
        self.redis = server.connect(user, "password")
        self.sha = {}
        for path in glob.glob(os.path.join(SCRIPTS, "*.lua")):
            with open(path, "rb") as file:
                self.sha[os.path.basename(path)[:-4]] = self.redis("SCRIPT", "LOAD", file.read())

    def _ask(self, script: str, keys, *arguments):
        before = self.now()
        answer = self.redis("EVALSHA", self.sha[script], len(keys), *keys, *arguments)
        assert before <= int(answer[1]) <= self.now()
        return [None if text is None else text.decode() for text in answer]

    def now(self) -> int:
        seconds, us = self.redis("TIME")
        return int(seconds) * 1_000_000 + int(us)

    def acquire(self, known=0, reject=0, floor=0, lease=5000, limit=15, window=300_000,
                cooldown=60_000, tag="tag", break_lease="", break_hold="", check=0, doubted=0):
        return self._ask("acquire", [RECORD, LEASE, MINTS, HOLD, SEQ], self.name, known, reject,
                         floor, lease, limit, window, cooldown, tag, break_lease, break_hold,
                         check, doubted)

    def check(self, reported, **arguments):
        """May it ask the API about that token?"""
        return self.acquire(known=reported, reject=reported, check=1, **arguments)

    def accept(self, fence, generation, proof="proof"):
        return self._ask("accept", [RECORD, LEASE], fence, generation, proof)[0]

    def granted(self, **arguments) -> str:
        answer = self.acquire(**arguments)
        assert answer[0] == "granted", answer
        return answer[2]

    def renew(self, fence, lease=5000):
        return self._ask("renew", [LEASE], fence, lease)[0]

    def put(self, generation, left=HOUR_US, age=0, sealed="sealed"):
        return self._ask("put", [RECORD, LEASE, HOLD, SEQ, FAILS], generation, self.now() - age,
                         left, HOUR_US, sealed, CHANNEL)

    def fail(self, fence, word="unavailable", least=0, most=60_000, permille=1000, tag="tag"):
        return self._ask("fail", [LEASE, HOLD, FAILS], fence, word, least, most, permille, tag,
                         CHANNEL)[0]

    def stop(self, generation):
        return self._ask("stop", [RECORD, LEASE, SEQ], generation, HOUR_US, HOUR_US, "stopped",
                         CHANNEL)

    def permit(self, most=3, keep=900_000):
        return self._ask("permit", [ALONE], self.name, most, keep)

    def minted(self, **arguments) -> str:
        """A token of a new generation is in the store."""
        fence = self.granted(**arguments)
        assert self.put(fence)[0] == "put"
        return fence


@pytest.fixture(scope="module", params=["", *LATER], ids=["installed", "redis-8", "valkey"])
def server(request):
    one = RedisServer(later=request.param)
    yield one
    one.stop()


@pytest.fixture
def hosts(server):
    """Two of them, at a store that has nothing."""
    server.connect()("FLUSHALL")
    return Host(server, "a"), Host(server, "b")


@pytest.fixture
def listening(server):
    connection = server.connect()
    assert connection("SUBSCRIBE", CHANNEL)[0] == b"subscribe"

    def message() -> str:
        kind, channel, text = connection.read()
        assert (kind, channel) == (b"message", CHANNEL.encode())
        return text.decode()

    return message


# --- acquire -------------------------------------------------------------------------------------


def test_one_host_is_granted_and_others_wait(hosts):
    a, b = hosts
    fence = a.granted(lease=5000)
    word, _, ms, host, identity, whole = b.acquire()
    assert (word, host, identity, whole) == ("held", "a", fence + ".0", "5000")
    assert 0 < int(ms) <= 5000


def test_a_host_that_lost_the_answer_is_granted_again(hosts):
    a, _ = hosts
    first = a.granted()
    assert int(a.granted()) > int(first)


def test_the_fence_is_above_all_that_anybody_has_seen(hosts):
    a, b = hosts
    before = a.now() // 1000
    assert int(a.granted()) > before
    known, floor = before + 10**9, before + 2 * 10**9
    a.redis("FLUSHALL")
    assert int(a.granted(known=known)) == known + 1
    a.redis("FLUSHALL")
    assert int(a.granted(known=known, floor=floor)) == floor + 1
    a.redis("DEL", LEASE)
    assert int(b.granted()) == floor + 2  # by the count


def test_what_is_newer_is_told_before_anything_else(hosts):
    a, b = hosts
    fence = a.minted()
    b.redis("SET", SEQ, fence)
    word, stamp, generation, t0, left, issued, sealed, rejected = b.acquire(known=1)
    assert (word, generation, issued, sealed, rejected) == \
        ("newer", fence, str(HOUR_US), "sealed", "0")
    assert 0 <= int(stamp) - int(t0) < 5_000_000 * PATIENCE
    assert HOUR_US - 5_000_000 < int(left) <= HOUR_US
    # Whoever has it and wants another is granted one.
    assert int(b.granted(known=fence)) > int(fence)


def test_a_lease_ends_by_itself(hosts):
    a, b = hosts
    a.granted(lease=50)
    wait_until(lambda: b.acquire()[0] == "granted", "the lease ends")


def test_a_lease_that_stood_too_long_is_broken_by_its_name_alone(hosts):
    a, b = hosts
    fence = a.granted()
    assert b.acquire(break_lease=fence)[0] == "held"
    assert b.acquire(break_lease=fence + ".1")[0] == "held"
    second = b.granted(break_lease=fence + ".0")
    assert a.renew(fence) == "late"
    assert a.put(fence, sealed="first")[0] == "put"  # a token all the same
    assert b.put(second, sealed="second")[0] == "put"
    assert a.put(fence)[0] == "newer"


def test_what_is_broken_is_gone(server, hosts):
    a, b = hosts
    fence = a.granted(lease=1000)
    assert a.renew(fence) == "kept"
    second = b.granted(break_lease=fence + ".1")
    c = Host(server, "c")
    assert c.acquire()[4] == second + ".0"
    b.fail(second, least=60_000)
    a.redis("PEXPIRE", LEASE, 1)
    third = a.granted(break_hold=second)
    assert c.acquire(break_lease=third + ".0")[0] == "granted"


def test_a_renewed_lease_is_another_one_to_those_who_wait(hosts):
    a, b = hosts
    fence = a.granted(lease=1000)
    assert a.renew(fence, lease=20_000) == "kept"
    word, _, ms, _, identity, whole = b.acquire(break_lease=fence + ".0")
    assert (word, identity, whole) == ("held", fence + ".1", "20000")
    assert int(ms) > 1000
    assert b.renew(fence + "1") == "late"
    # for so short a time it is given back
    assert a.renew(fence, lease=1) == "kept"
    wait_until(lambda: not a.redis("EXISTS", LEASE), "the lease to be over")
    assert b.acquire()[0] == "granted"
    a.redis("DEL", LEASE)
    assert a.renew(fence) == "late"


def test_mint_limit_is_the_fleets(hosts):
    a, b = hosts
    known = 0
    for _ in range(3):
        known = a.minted(known=known, limit=3)
    word, _, ms = b.acquire(known=known, limit=3)
    assert word == "limit" and 290_000 < int(ms) <= 300_001
    assert a.acquire(known=known, limit=3)[0] == "limit"
    assert 290_000 < a.redis("PTTL", MINTS) <= 300_000
    # By the first of them.
    a.redis("ZADD", MINTS, a.now() - 100_000_000, "earlier")
    assert 190_000 < int(b.acquire(known=known, limit=3)[2]) <= 200_001
    # Within another window it is not used up.
    wait_until(lambda: b.acquire(known=known, limit=3, window=20)[0] == "granted",
               "the window moves on")


def test_posts_in_the_future_are_forgotten(hosts):
    a, _ = hosts
    for i in range(3):
        a.redis("ZADD", MINTS, a.now() + HOUR_US, f"old{i}")
    a.granted(limit=3)
    assert a.redis("ZCARD", MINTS) == 1


# --- reports -------------------------------------------------------------------------------------


def test_reports_of_two_hosts_are_one_request(hosts):
    a, b = hosts
    fence = a.minted()
    successor = a.granted(known=fence, reject=fence)
    assert b.acquire(known=fence, reject=fence)[0] == "held"
    assert a.redis("HGET", RECORD, "rejected") == b"1"
    # Nobody is given the rejected one, whoever comes anew.
    assert b.acquire()[0] == "held"
    assert a.put(successor)[0] == "put"
    assert b.acquire(known=fence, reject=fence)[:3:2] == ["newer", successor]
    assert a.redis("HGET", RECORD, "forced") == b"1"


def test_cooldown_is_the_fleets(hosts):
    a, b = hosts
    fence = a.minted()
    successor = a.minted(known=fence, reject=fence)
    word, _, ms = b.acquire(known=successor, reject=successor)
    assert word == "cooldown" and 55_000 < int(ms) <= 60_000
    assert b.redis("HGET", RECORD, "rejected") == b"0"
    # Where it was rejected all the same, nobody is told to keep it.
    assert a.acquire(known=successor, reject=successor, cooldown=0)[0] == "granted"
    assert b.acquire(known=successor, reject=successor)[0] == "held"
    a.redis("HSET", RECORD, "rejected", "0")
    a.redis("DEL", LEASE)
    # A re-dated record is still one that was asked for by a report.
    assert a.put(successor, left=HOUR_US // 2)[0] == "put"
    assert b.acquire(known=successor, reject=successor)[0] == "cooldown"
    assert b.acquire(known=successor, reject=successor, cooldown=0)[0] == "granted"


def test_one_host_asks_the_api_for_all(hosts):
    a, b = hosts
    token = a.minted()
    word, _, fence = a.check(token)
    assert word == "granted"
    assert b.check(token)[0] == "held"
    assert b.acquire(known=token)[0] == "held"
    before = a.now()
    assert a.accept(fence, token) == "put"
    number, at, proof = a.redis("HGET", RECORD, "accepted").decode().split(" ")
    assert (number, proof) == (fence, "proof") and before <= int(at) <= a.now()
    assert b.check(token)[::2] == ["accepted", f"{fence} {at} proof"]
    # No request was sent, and nothing is rejected.
    assert a.redis("ZCARD", MINTS) == 1
    assert a.redis("HGET", RECORD, "rejected") == b"0"
    assert a.redis("PTTL", RECORD) > 0
    # A refresh does not care, nor does who has another reason to doubt the token.
    assert b.acquire(known=token)[0] == "granted"
    b.redis("DEL", LEASE)
    assert b.acquire(known=token, reject=token)[0] == "granted"


def test_a_verdict_is_good_for_a_cooldown(hosts):
    a, b = hosts
    token = a.minted()
    fence = a.check(token)[2]
    assert a.accept(fence, token) == "put"
    assert b.check(token)[0] == "accepted"
    assert b.check(token, doubted=int(fence) - 1)[0] == "accepted"
    assert b.check(token, doubted=fence)[0] == "granted"
    b.redis("DEL", LEASE)
    assert b.check(token, cooldown=0)[0] == "granted"
    b.redis("DEL", LEASE)
    # It is of that token, however often that is dated anew, and of no other.
    assert a.put(token, left=HOUR_US // 2)[0] == "put"
    assert b.check(token)[0] == "accepted"
    successor = a.minted(known=token)
    assert a.redis("HGET", RECORD, "accepted") is None
    assert b.check(successor)[0] == "granted"


def test_who_is_late_tells_no_verdict(hosts):
    a, b = hosts
    token = a.minted()
    fence = a.check(token)[2]
    a.redis("DEL", LEASE)
    assert a.accept(fence, token) == "late"
    fence = a.check(token)[2]
    a.redis("HSET", RECORD, "gen", int(token) + 1)
    assert a.accept(fence, token) == "late"
    assert a.redis("EXISTS", LEASE) == 0
    a.redis("FLUSHALL")
    assert a.accept(fence, token) == "late"
    assert a.redis("EXISTS", RECORD) == 0
    assert b.check(token)[0] == "granted"


def test_a_refused_token_is_asked_about_no_more(hosts):
    a, b = hosts
    token = a.minted()
    fence = a.check(token)[2]
    # The API refused it: the same host goes on.
    word, _, successor = a.acquire(known=token, reject=token)
    assert word == "granted" and int(successor) > int(fence)
    word, _, generation, *_, rejected = b.check(token)
    assert (word, generation, rejected) == ("newer", token, "1")
    assert a.put(successor)[0] == "put"
    assert b.check(token)[:3:2] == ["newer", successor]
    # What has only just replaced it is not asked about.
    assert b.check(successor)[0] == "cooldown"
    assert b.check(successor, cooldown=0)[0] == "granted"


def test_asking_the_api_waits_for_no_hold_and_no_limit(hosts):
    a, b = hosts
    token = a.minted()
    fence = a.granted(known=token)
    assert a.fail(fence, "throttled", least=60_000) == "failed"
    assert b.acquire(known=token, limit=1)[0] == "hold"
    assert b.check(token, limit=1)[0] == "granted"
    # And it ends none.
    b.redis("DEL", LEASE)
    assert b.acquire(known=token, limit=1)[0] == "hold"


def test_a_report_of_an_older_token_marks_nothing(hosts):
    a, b = hosts
    first = a.minted()
    second = a.minted(known=first)
    assert b.acquire(known=first, reject=first)[2] == second
    assert b.redis("HGET", RECORD, "rejected") == b"0"


def test_a_rejected_token_is_not_put_again(hosts):
    a, b = hosts
    fence = a.minted()
    b.granted(known=fence, reject=fence)
    answer = a.put(fence)
    assert (answer[0], answer[2], answer[7]) == ("newer", fence, "1")


# --- put -----------------------------------------------------------------------------------------


def test_the_highest_generation_wins(hosts):
    a, b = hosts
    assert a.put(100)[0] == "put"
    assert b.put(99)[:3:2] == ["newer", "100"]
    assert b.put(101)[0] == "put"
    assert a.redis("GET", SEQ) == b"101"
    assert a.redis("HGET", RECORD, "forced") == b"0"
    word, _, generation, t0, left, issued, sealed, rejected = b.put(100)
    assert (word, generation, issued, sealed, rejected) == \
        ("newer", "101", str(HOUR_US), "sealed", "0")
    assert 0 <= a.now() - int(t0) < 5_000_000 * PATIENCE
    assert HOUR_US - 5_000_000 < int(left) <= HOUR_US
    assert HOUR_US // 1000 < a.redis("PTTL", RECORD) <= HOUR_US // 1000 + 60_000


def test_what_is_put_ages_by_the_stores_clock(hosts):
    a, _ = hosts
    assert a.put(7, left=10_000_000, age=2_000_000)[0] == "put"
    left, t0 = (int(text) for text in a.redis("HMGET", RECORD, "left", "t0"))
    assert 7_000_000 < left <= 8_000_000
    assert t0 <= a.now()
    assert 60_000 < a.redis("PTTL", RECORD) <= 68_000


@pytest.mark.parametrize("age, left, word", [
    (-1_000_000, HOUR_US, "stale"),  # the clock was set back since
    (5_100_000, HOUR_US, "stale"),
    (2_000_000, 2_000_000, "dead"),
    (2_000_000, -5, "dead"),
])
def test_stamps_that_do_not_fit_and_tokens_that_are_over(hosts, age, left, word):
    a, _ = hosts
    assert a.put(7, left=left, age=age)[0] == word
    assert a.redis("EXISTS", RECORD) == 0


def test_the_date_of_a_known_token_is_put_right(hosts, listening):
    a, b = hosts
    assert a.put(7, left=HOUR_US)[0] == "put"
    assert b.put(7, left=HOUR_US - 400_000)[0] == "same"
    assert b.put(7, left=HOUR_US - 1_500_000)[0] == "put"
    assert b.put(7, left=HOUR_US - 60_000_000)[0] == "put"
    for most in (HOUR_US, HOUR_US - 1_500_000, HOUR_US - 60_000_000):
        kind, generation, _, left, issued, sealed = listening().split(" ")
        assert (kind, generation, issued, sealed) == ("T", "7", str(HOUR_US), "sealed")
        assert most - 1_000_000 < int(left) <= most


def test_a_put_ends_the_lease_it_was_minted_under_and_no_other(hosts):
    a, b = hosts
    fence = a.granted()
    assert b.put(5)[0] == "put"
    assert a.redis("EXISTS", LEASE) == 1
    assert a.put(fence)[0] == "put"
    assert a.redis("EXISTS", LEASE) == 0


# --- failures ------------------------------------------------------------------------------------


def test_a_failure_holds_everybody(hosts, listening):
    a, b = hosts
    fence = a.granted()
    assert a.fail(fence, "throttled", least=7000) == "failed"
    assert listening() == "F 7000 throttled"
    word, _, ms, kind, identity, whole = b.acquire()
    assert (word, kind, identity, whole) == ("hold", "throttled", fence, "7000")
    assert 0 < int(ms) <= 7000
    assert a.acquire()[0] == "hold"
    assert b.acquire(break_hold="1")[0] == "hold"
    b.granted(break_hold=fence)
    assert a.fail(fence) == "late"


def test_the_backoff_is_the_fleets(hosts):
    a, b = hosts
    told = []
    for i in range(9):
        host = (a, b)[i % 2]
        assert host.fail(host.granted()) == "failed"
        told.append(int(host.redis("HGET", HOLD, "ms")))
        host.redis("DEL", HOLD)
    assert told == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]
    assert 3_500_000 < a.redis("PTTL", FAILS) <= 3_600_000
    a.fail(a.granted(), most=15_000, permille=0)
    assert a.redis("HGET", HOLD, "ms") == b"7500"
    a.redis("DEL", HOLD)
    a.minted()
    a.fail(a.granted(known=2**52))
    assert a.redis("HGET", HOLD, "ms") == b"1000"  # the token ended the count


def test_a_refused_secret_holds_those_who_have_it(hosts):
    a, b = hosts
    a.fail(a.granted(tag="old"), "client_rejected", least=900_000, tag="old")
    assert b.acquire(tag="old")[0] == "hold"
    b.granted(tag="new")


def test_a_token_ends_a_hold_and_a_date_does_not(hosts):
    a, b = hosts
    fence = a.minted()
    a.fail(a.granted(known=fence), least=60_000)
    assert b.put(fence, left=HOUR_US // 2)[0] == "put"
    assert b.acquire(known=fence)[0] == "hold"
    assert b.put(int(fence) + 10)[0] == "put"
    assert b.acquire(known=int(fence) + 10)[0] == "granted"


# --- stop and permits ----------------------------------------------------------------------------


def test_stop_is_told_its_generation_and_beats_whoever_is_minting(hosts, listening):
    a, b = hosts
    fence = a.minted()
    listening()
    minting = a.granted(known=fence)
    assert b.stop(1)[:3:2] == ["newer", fence]
    word, _, generation = b.stop(fence)
    assert word == "granted" and int(generation) > int(minting)
    assert int(generation) >= b.now() // 1000 and b.redis("GET", SEQ) == generation.encode()
    assert a.renew(minting) == "late"
    assert b.stop(generation)[0] == "put"
    assert listening().split(" ")[5] == "stopped"
    word, _, there, t0, left, issued, sealed, rejected = b.stop(fence)
    assert (word, there, left, issued, sealed, rejected) == \
        ("newer", generation, str(HOUR_US), str(HOUR_US), "stopped", "0")
    assert int(t0) <= b.now() and b.redis("HGET", RECORD, "forced") == b"0"
    assert HOUR_US // 1000 < b.redis("PTTL", RECORD) <= HOUR_US // 1000 + 60_000
    assert a.put(minting)[:3:2] == ["newer", generation]
    assert a.acquire(known=fence)[:3:2] == ["newer", generation]
    assert int(a.granted(known=generation)) > int(generation)
    # Where all was lost it is put again, and counts as before.
    far = str(int(generation) + 10**9)
    a.redis("FLUSHALL")
    assert b.stop(far)[0] == "put" and b.redis("GET", SEQ) == far.encode()


def test_stop_comes_again_where_somebody_was_granted_meanwhile(hosts):
    a, b = hosts
    first = a.granted()
    generation = b.stop(1)[2]
    assert int(generation) > int(first)
    fence = a.granted()
    word, _, higher = b.stop(generation)
    assert word == "granted" and int(higher) > int(fence)
    assert b.stop(higher)[0] == "put"


def test_permits_are_so_many_and_end(server, hosts):
    a, b = hosts
    c = Host(server, "c")
    assert c.permit(most=2)[::2] == ["permit", "0"]
    assert a.permit(most=2)[::2] == ["permit", "0"]
    assert c.permit(most=2)[::2] == ["permit", "1"]
    assert b.permit(most=2)[0] == "none"
    a.redis("ZADD", ALONE, a.now() + HOUR_US, "from the future", a.now() - 20_000_000, "long gone")
    a.redis("ZREM", ALONE, "c")
    assert b.permit(most=2, keep=10_000)[::2] == ["permit", "1"]
    assert a.redis("ZRANGE", ALONE, 0, -1) == [b"a", b"b"]
    assert 9_000 < a.redis("PTTL", ALONE) <= 10_000


# --- the server ----------------------------------------------------------------------------------


def test_minters_and_followers_may_do_what_they_have_to_and_nothing_else(server):
    admin = server.connect()
    admin("FLUSHALL")
    admin("ACL", "SETUSER", "minter", "on", ">password", *MINTER)
    admin("ACL", "SETUSER", "follower", "on", ">password", *FOLLOWER)
    minter = Host(server, "a", "minter")
    fence = minter.minted()
    second = minter.granted(known=fence)
    assert minter.renew(second) == "kept" and minter.fail(second) == "failed"
    assert minter.stop(int(second) + 1)[0] == "put" and minter.permit()[0] == "permit"

    for user in ("minter", "follower"):
        redis = server.connect(user, "password")
        assert redis("HMGET", RECORD, "gen", "t0", "left", "issued", "sealed", "rejected")[4]
        assert redis("TIME") and redis("ROLE")[0] == b"master"
        assert redis("PUBSUB", "NUMSUB", CHANNEL)[0] == CHANNEL.encode()
        assert redis("SUBSCRIBE", CHANNEL)[0] == b"subscribe" and redis("PING") == [b"pong", b""]
        assert redis("UNSUBSCRIBE", CHANNEL)

    follower = server.connect("follower", "password")
    for words in (["HSET", RECORD, "gen", "1"], ["PUBLISH", CHANNEL, "T"], ["GET", SEQ],
                  ["HMGET", LEASE, "host"], ["EVALSHA", "0" * 40, 0], ["DEL", RECORD]):
        with pytest.raises(RedisError, match="^NOPERM"):
            follower(*words)
    for words in (["GET", "other"], ["HMGET", "gct", "gen"], ["SUBSCRIBE", "other"], ["KEYS", "*"],
                  ["FLUSHALL"], ["CONFIG", "GET", "*"], ["EVAL", "return 1", 0]):
        with pytest.raises(RedisError, match="^NOPERM"):
            server.connect("minter", "password")(*words)


def test_a_store_without_memory_still_serves_a_fleet(server):
    one = RedisServer("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    try:
        host = Host(one, "a")
        with pytest.raises(RedisError, match="^OOM"):
            for i in range(10_000):
                host.redis("SET", f"other{i}", "x" * 1000)
        fence = host.minted()
        assert host.put(fence, left=HOUR_US // 2)[0] == "put"
        second = host.granted(known=fence, reject=fence)
        assert host.renew(second) == "kept" and host.fail(second) == "failed"
        assert host.stop(int(second) + 1)[0] == "put" and host.permit()[0] == "permit"
    finally:
        one.stop()


def test_a_replica_refuses_what_writes():
    replica = RedisServer("--replicaof", "127.0.0.1", "1")
    try:
        host = Host(replica, "a")
        for ask in (host.acquire, lambda: host.put(5), lambda: host.stop(0), host.permit):
            with pytest.raises(RedisError, match="^READONLY"):
                ask()
    finally:
        replica.stop()


def test_a_clock_that_is_set_back_stops_nobody():
    one = RedisServer(clock=True)
    try:
        a, b = Host(one, "a"), Host(one, "b")
        first = a.minted()
        second = a.granted(known=first, lease=5000)
        stamp = a.now()
        one.clock.step(-3600)
        word, _, ms, _, identity, whole = b.acquire(known=first)
        assert word == "held" and int(ms) > 3_500_000 and whole == "5000"
        third = b.granted(known=first, break_lease=identity, limit=1)
        assert int(third) > int(second)
        # What a stamp from before would say of it is not taken for true.
        keys = [RECORD, LEASE, HOLD, SEQ, FAILS]
        assert a._ask("put", keys, third, stamp, HOUR_US, HOUR_US, "sealed", CHANNEL)[0] == "stale"
        assert b.put(third)[0] == "put"
        # A report of what was put before the step waits no longer than the cool-down.
        b.redis("HSET", RECORD, "t0", stamp, "forced", "1")
        word, _, ms = a.acquire(known=third, reject=third)
        assert word == "cooldown" and int(ms) == 60_000
    finally:
        one.stop()
