"""However tokens are asked for, and however often the daemon dies: no more requests than mint_limit
allows, no sooner than the server said, and no generation twice."""

import os
import random
import re
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon import canary
from fake_calls import ID
from waiting import PATIENCE, wait_until

WINDOW = 300
NOBODY = 65534


def limited(answer) -> bool:
    """Is it the refusal that tells of the limit, and when there is room again?"""
    if answer.status != 503 or "mint_limit" not in answer.json["error_description"]:
        return False
    assert answer.json["error"] == "temporarily_unavailable", answer
    assert WINDOW - 60 * PATIENCE < answer.next_attempt <= WINDOW
    return True


def generation_of(answer) -> int:
    assert answer.status == 200, answer
    return answer.json["generation"]


def state_file(daemon) -> str:
    names = [name for name in os.listdir(daemon.state_dir) if not name.startswith(".")]
    assert len(names) == 1, names
    return os.path.join(daemon.state_dir, names[0])


def wait_written(daemon, pattern: str) -> None:
    """Until the state on the disk says so: what was learnt is written after it was answered."""
    def there() -> bool:
        try:
            with open(state_file(daemon), encoding="ascii") as file:
                return bool(re.search(pattern, file.read(), re.M))
        except FileNotFoundError:
            return False

    wait_until(there, f"{pattern!r} in the state file")


# ---- Whatever asks ----

def admin_refreshes(daemon, profile):
    return daemon.post(f"/v1/refresh?profile={profile}")


def client_needs_a_long_life(daemon, profile):
    """Half of a whole life, the most that can be asked for."""
    return daemon.token(profile, min_ttl=5)


def client_reports_every_token(daemon, profile):
    answer = daemon.token(profile)
    if answer.status != 200:
        return answer
    return daemon.post(f"/v1/token/reject?profile={profile}&generation={generation_of(answer)}")


def client_waits_for_the_next(daemon, profile):
    answer = daemon.token(profile)
    if answer.status != 200:
        return answer
    return daemon.token(profile, after=generation_of(answer), wait=1)


def test_whatever_asks(daemon, server):
    server.set(lifetime=10)
    askers = {"admin": (admin_refreshes, 3), "long": (client_needs_a_long_life, 2),
              "reporter": (client_reports_every_token, 3), "patient": (client_waits_for_the_next, 2)}
    profiles = {}
    for name, (_, limit) in askers.items():
        profiles[name] = {"client_id": name, "secret": canary(), "mint_limit": limit,
                          "reject_cooldown": "100ms"}
        server.client(name, profiles[name]["secret"])
    one = daemon(server, profiles=profiles)

    def ask(name: str) -> None:
        asks, _ = askers[name]
        one.token(name)
        wait_until(lambda: limited(asks(one, name)), "an end of the tokens", timeout=30)
        # What there is serves on; when it is gone, everybody hears why.
        wait_until(lambda: limited(one.token(name)), "the end of the last token", timeout=30)
        for _ in range(5):
            assert limited(asks(one, name))

    with ThreadPoolExecutor(len(askers)) as pool:
        for done in [pool.submit(ask, name) for name in askers]:
            done.result()
    log = server.log("token")
    assert {name: sum(entry["client"] == name for entry in log) for name in askers} \
        == {name: limit for name, (_, limit) in askers.items()}


def test_two_profiles_of_one_client_share_its_limit(daemon, server):
    one = daemon(server, profiles={"a": {}, "b": {}}, profile={"mint_limit": 4})
    one.token("a"), one.token("b")
    names = ["a", "b"]
    wait_until(lambda: limited(admin_refreshes(one, random.choice(names))), "an end of the tokens")
    assert all(limited(admin_refreshes(one, name)) for name in names)
    assert server.posts == 4
    # And their generations: a client may hold both next to each other.
    assert len({generation_of(one.token(name)) for name in names}) == 2


def test_many_profiles_of_one_client_have_a_token_each(daemon, server):
    """Unless somebody has set a limit: each needs one at the start, however long tokens live."""
    names = [f"p{number}" for number in range(20)]
    one = daemon(server, profiles={name: {} for name in names})
    for name in names:
        assert generation_of(one.token(name, wait=60))
    assert server.posts == len(names)


def test_a_report_beyond_the_limit_leaves_the_token_to_everybody(daemon, server):
    one = daemon(server, profile={"mint_limit": 1})
    generation = generation_of(one.token())
    assert limited(one.post(f"/v1/token/reject?generation={generation}"))
    answer = one.token()
    assert generation_of(answer) == generation and answer.json["state"] == "stale"
    assert server.posts == 1


@pytest.mark.parametrize("fault", [
    {"action": "answer", "status": 500, "body": "no"},
    {"action": "answer", "status": 400, "body": '{"error":"slow_down"}'},
], ids=["500", "slow-down"])
def test_refusals_use_up_nothing(daemon, server, fault):
    """Neither in an outage nor over a restart in it."""
    server.fault("token", times=-1, **fault)
    one = daemon(server, profile={"mint_limit": 2})

    def ask(posts: int) -> bool:
        return one.token(wait=0).status == 503 and server.posts >= posts

    def is_idle() -> bool:
        """And will be for more than a second."""
        said = one.status()
        return said["counters"]["failures"] == server.posts and (said["next_attempt_in"] or 0) > 2

    wait_until(lambda: ask(4), "more attempts than the limit has room for", timeout=60)
    wait_until(is_idle, "no request under way: the daemon would not live to see it refused")
    one.kill()
    one.start()
    wait_until(lambda: ask(6), "more attempts", timeout=60)
    server.clear_faults()
    wait_until(lambda: one.token(wait=1).status == 200, "the token", timeout=30)
    # And for two tokens, as always.
    assert one.post("/v1/refresh").status == 200
    assert limited(one.post("/v1/refresh"))


def test_requests_that_nobody_answers_are_counted(daemon, server):
    """They may have minted a token each."""
    server.fault("token", "hang", times=-1)
    one = daemon(server, profile={"mint_limit": 2, "fetch_timeout": "1s"})
    wait_until(lambda: limited(one.token(wait=0)), "an end of the attempts")
    answer = one.token(wait=0)
    assert limited(answer) and "no response" in answer.json["error_description"]
    assert server.posts == 2


@pytest.mark.parametrize("body", [
    '{"access_token":"@TOKEN@","token_type":"bearer","expires_in":"3600"}',
    '{"access_token":"@TOKEN@","token_type":"mac","expires_in":3600}',
    '\ufeff{"access_token":"@TOKEN@","token_type":"bearer","expires_in":3600}',
], ids=["lifetime-a-text", "other-type", "byte-order-mark"])
def test_tokens_of_no_use_are_not_made_one_after_the_other(daemon, server, body):
    """Each would evict one that somebody uses. The next would be no better."""
    server.fault("token", "answer", status=200, times=-1, body=body)
    one = daemon(server)
    wait_until(lambda: one.status()["last_error"], "the first")
    for _ in range(30):
        answer = one.token(wait=0)
        assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
        assert 800 < one.status()["next_attempt_in"] <= 900
        time.sleep(0.1)
    assert server.posts == 1
    # Nor when a token lives, before half of what is left of it.
    server.clear_faults()
    assert one.post("/v1/refresh").status == 200
    server.fault("token", "answer", status=200, times=-1, body=body)
    report = f"/v1/token/reject?generation={generation_of(one.token())}&wait=0"
    server.revoke(all=True)
    wait_until(lambda: one.post(report).status == 503 and one.status()["last_error"], "another")
    for _ in range(30):
        assert one.post(report).status == 503 and one.token(wait=0).status == 200
        time.sleep(0.1)
    assert server.posts == 3


def test_what_never_reaches_the_server_is_not_counted(daemon, server):
    server.listen(False)
    one = daemon(server, profile={"mint_limit": 2})

    def failed() -> int:
        return one.token(wait=0) and one.status()["counters"]["failures"]

    wait_until(lambda: failed() >= 4, "more attempts than the limit has room for", timeout=60)
    server.listen(True)
    wait_until(lambda: one.token(wait=1).status == 200, "the token", timeout=30)
    assert one.post("/v1/refresh").status == 200
    assert limited(one.post("/v1/refresh"))


# ---- Over restarts ----

def end(daemon, how: str) -> None:
    {"stop": daemon.stop, "kill": daemon.kill}[how]()


def test_restarts_and_kills_stay_within_the_limit(make_daemon, server):
    one = make_daemon(server, profile={"mint_limit": 5})
    generations = []
    for number in range(12):
        one.start()
        answer = one.token()
        if answer.status == 200:
            generations.append(generation_of(answer))
        else:
            assert limited(answer)
        end(one, ["kill", "stop"][number % 2])
    assert generations == sorted(set(generations)) and len(generations) == 5
    assert server.posts == 5


def test_a_crash_loop_at_any_moment_stays_within_the_limit(make_daemon, server):
    """Killed while its request is on its way; then while it starts or writes its state, too."""
    chance = random.Random(14)
    one = make_daemon(server, profile={"mint_limit": 12})
    server.set(delay_answer=0.05)
    for number in range(6):
        one.start(ready=False)
        server.wait_for("token", number + 1)
        one.kill()
    for _ in range(34):
        one.start(ready=False)
        time.sleep(chance.uniform(0, 0.04))
        one.kill()
    # Counted before it is sent: of those that were killed in between there is none to be seen.
    assert 6 <= server.posts <= 12
    one.start()
    wait_until(lambda: limited(one.post("/v1/refresh")), "an end of the tokens")
    assert 6 <= server.posts <= 12


def test_generations_never_repeat(make_daemon, server):
    one = make_daemon(server, profile={"mint_limit": 1000})
    generations = []
    for number in range(10):
        one.start()
        generations.append(generation_of(one.token()))
        for _ in range(number % 3):
            generations.append(generation_of(one.post("/v1/refresh")))
        end(one, ["kill", "kill", "stop"][number % 3])
    assert generations == sorted(set(generations))
    assert server.posts == len(generations)


def test_generations_never_repeat_when_a_profile_changes_its_client(make_daemon, server):
    secrets = {name: canary() for name in ("first", "second", "third")}
    for name, secret in secrets.items():
        server.client(name, secret)
    one = make_daemon(server, profile={"mint_limit": 1000, "client_id": "first",
                                       "secret": secrets["first"]})
    one.start()
    seen = [one.token().json]

    def change(client: str) -> None:
        one.profiles["default"]["client_id"] = client
        one.set_secret("default", secrets[client])
        one.write_config()

    def served() -> bool:
        answer = one.token()
        return answer.status == 200 and answer.json["fingerprint"] != seen[-1]["fingerprint"]

    for client in ("second", "first", "third", "second"):
        change(client)
        one.reload()
        wait_until(served, "the other client's token")
        seen.append(one.token().json)
    for client in ("first", "third"):
        one.stop()
        change(client)
        one.start()
        seen.append(one.token().json)
    generations = [token["generation"] for token in seen]
    assert generations == sorted(set(generations))
    # A late report about a token of the client before it harms the one of now in no way.
    for old in seen[:-1]:
        answer = one.post(f"/v1/token/reject?generation={old['generation']}")
        assert answer.json["generation"] == generations[-1], answer
    assert server.posts == len(seen)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_each_restart_asks_once_for_a_rejected_client(daemon, server, how):
    """It may have been mended; but one request tells."""
    right = server.clients[0]["secret"]
    one = daemon(server, profile={"secret": canary()})
    for number in range(1, 4):
        answer = one.token()
        assert server.posts == number
        assert answer.status == 503 and answer.json["error"] == "client_rejected"
        assert 900 - 60 * PATIENCE < answer.next_attempt <= 901
        assert "authentication failed" in answer.json["error_description"]
        assert one.status()["state"] == "client_rejected"
        wait_written(one, "^not_before ")
        end(one, how)
        # More often than every 2 s no loop of crashes may do it.
        time.sleep(2)
        one.start()
    wait_until(lambda: server.posts == 4, "one more")
    end(one, how)
    one.set_secret("default", right)
    one.start()
    assert one.token().status == 200
    assert server.posts == 5


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_retry_after_holds_over_a_restart(daemon, server, how, form):
    server.set(throttle=True, throttle_status="429", retry_after=120, retry_after_form=form)
    one = daemon(server)
    for _ in range(3):
        answer = one.token()
        assert answer.status == 503 and answer.json["error"] == "temporarily_unavailable"
        assert 120 - 60 * PATIENCE < answer.next_attempt <= 122
        assert "HTTP 429" in answer.json["error_description"]
        wait_written(one, "^not_before ")
        end(one, how)
        server.set(throttle=False)
        one.start()
    assert server.posts == 1
    # What was said to one credential says nothing to another.
    end(one, how)
    other = canary()
    server.client(ID, other)
    one.set_secret("default", other)
    one.start()
    assert one.token().status == 200
    assert server.posts == 2


# ---- The files ----

def truncated(path):
    os.truncate(path, os.path.getsize(path) // 2)


def emptied(path):
    os.truncate(path, 0)


def one_digit_changed(path):
    with open(path, "r+b") as file:
        text = file.read()
        at = re.search(rb"^generation \d+ \d", text, re.M).end() - 1
        file.seek(at)
        file.write(bytes([text[at] ^ 1]))


def all_zeros(path):
    with open(path, "r+b") as file:
        file.write(bytes(os.path.getsize(path)))


def much_too_long(path):
    os.truncate(path, 8 * 1024 * 1024)


def a_directory(path):
    if not os.path.isdir(path):
        os.unlink(path)
        os.mkdir(path)


@pytest.mark.parametrize("damaged", [truncated, emptied, one_digit_changed, all_zeros,
                                     much_too_long, a_directory])
def test_a_damaged_state_file_is_survived(make_daemon, server, damaged):
    one = make_daemon(server)
    generations = []
    for _ in range(2):
        # Each start takes a block of generations; the damage must not bring them back.
        for _ in range(3):
            one.start()
            generations.append(generation_of(one.token()))
            one.stop()
        path = state_file(one)
        damaged(path)
        told = len(one.stderr_text())
        one.start()
        one.wait_log(rf"^<3>{re.escape(path)}: .*generations go on from \d+", since=told)
        generations.append(generation_of(one.token()))
        one.stop()
        if damaged is a_directory:
            one.wait_log(rf"^<3>{re.escape(path)} cannot be written", since=told)
    assert generations == sorted(set(generations))
    assert generations[-1] < 2 ** 53


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start it as another user")
def test_a_state_dir_that_cannot_be_written_is_an_error_at_the_start(make_daemon):
    one = make_daemon(profile={"token_url": "https://localhost:1/oauth/token",
                               "api_url": "https://localhost:1"})
    # It runs as somebody who may do everything here but write to its state_dir.
    os.chmod(one.directory, 0o755)
    os.chown(one.directory, NOBODY, NOBODY)
    os.chown(one.path("default.secret"), NOBODY, NOBODY)
    one.wrap += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    a_file = one.path("file")
    open(a_file, "w").close()
    os.chmod(one.state_dir, 0o755)
    for state_dir, words in ((one.state_dir, "Permission denied"), ("/proc", "Permission denied"),
                             (a_file, "Not a directory"), (a_file + "/state", "Not a directory"),
                             (one.path("no/state"), "No such file or directory")):
        one.broker["state_dir"] = state_dir
        one.write_config()
        told = len(one.stderr_text())
        one.start(ready=False)
        assert one.wait_exit() == 78, state_dir
        text = one.stderr_text()[told:]
        assert re.search(rf"^<3>state_dir {re.escape(state_dir)}: {words}\..*write", text, re.M)
        assert not os.path.exists(one.socket)
    os.chown(one.state_dir, NOBODY, NOBODY)
    one.broker["state_dir"] = one.state_dir
    one.write_config()
    one.start()


def test_state_files_are_private_and_hold_no_secret(make_daemon, server):
    one = make_daemon(server, profile={"reject_cooldown": "100ms"})
    one.broker["state_dir"] = one.path("made")
    one.state_dir = one.path("made")
    one.write_config()
    before = os.umask(0)
    try:
        one.start()
    finally:
        os.umask(before)
    one.token()
    one.post("/v1/refresh")
    server.fault("token", "answer", status=401, body='{"error":"invalid_client"}')
    assert one.post("/v1/refresh").status == 503
    wait_written(one, "^failure ")
    assert stat.S_IMODE(os.stat(one.state_dir).st_mode) == 0o700
    one.stop()
    names = sorted(os.listdir(one.state_dir))
    assert names == [".lock", os.path.basename(state_file(one))], "a temporary file was left"
    status = os.stat(state_file(one))
    assert stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
    with open(state_file(one), encoding="ascii") as file:
        one.assert_no_leak(file.read(), "the state file")
