"""The login server is in trouble: while a token lives nobody notices but for `stale`, after its end
the answer says what is wrong and when to come back, and everything mends itself.

Tokens here live for 10 s, of which the broker serves 8 and refreshes after 5. All worlds run side
by side, and a test tells what became of its one."""

import concurrent.futures
import itertools
import re
import time
from dataclasses import dataclass, field
from typing import Callable

import pytest

from daemon import Daemon, canary
from fake import Fake
from outages import LIFETIME, OUTAGES
from trouble_cases import NO_ANSWER, TROUBLES, Trouble
from unix_http import Answer, UnixConnection, exchange
from waiting import PATIENCE, wait_until

PACE = 0.1  # seconds between two looks
SERVED = 8  # seconds of a token's life


def failure_words(trouble: Trouble) -> str:
    """A pattern of the error_description that a caller without a token gets."""
    status = f"HTTP {trouble.status}" if trouble.status else "no response"
    error = f", {re.escape(trouble.error)}" if trouble.error else ""
    return rf"{trouble.kind} \({status}{error}\): .*({trouble.words})"


# One profile for each trouble, all of one daemon, and what its client saw.

@dataclass
class Look:
    begun: float
    answer: Answer
    ended: float


@dataclass
class Course:
    looks: list[Look] = field(default_factory=list)
    ended: dict = field(default_factory=dict)  # the profile in /v1/status once its token is dead
    mended: dict = field(default_factory=dict)  # and in the end
    posts: list[dict] = field(default_factory=list)  # as the server received them
    since: float = 0.0  # time.time() when the trouble was there
    failed: list[float] = field(default_factory=list)  # when an attempt had, at the latest

    def last(self) -> Answer:
        return self.looks[-1].answer

    def thrown_away(self) -> bool:
        """Was a token made each time, so that the next try comes in a quarter of an hour?"""
        return (self.ended["next_attempt_in"] or 0) > 60


@dataclass
class Troubled:
    courses: dict[str, Course]
    printed: str = ""  # by `gctoken status` once all tokens are dead
    log: str = ""


def look_at_all(connection: UnixConnection, courses: dict[str, Course]) -> None:
    for name, course in courses.items():
        begun = time.monotonic()
        answer = exchange(connection, "GET", f"/v1/token?profile={name}&wait=0")
        course.looks.append(Look(begun, answer, time.monotonic()))


def look_until(connection: UnixConnection, courses: dict[str, Course], what: str,
               done: Callable[[Course], bool]) -> None:
    def all_done() -> bool:
        look_at_all(connection, courses)
        return all(done(course) for course in courses.values())

    wait_until(all_done, what, 30.0, PACE)


def begin(connection: UnixConnection, fake: Fake, courses: dict[str, Course],
          troubles: list[Trouble]) -> None:
    """Each has a token, and then its trouble."""
    left = {one.name: one for one in troubles}

    def all_begun() -> bool:
        look_at_all(connection, courses)
        for name in [name for name in left if courses[name].last().status == 200]:
            course = courses[name]
            fake.fault("token", client=name, times=-1, **left.pop(name).fault)
            course.since, course.looks = time.time(), course.looks[-1:]
        return not left

    wait_until(all_begun, "a token of each", 30.0, PACE)


def failures(daemon: Daemon, name: str) -> list[float]:
    """When each had happened, at the latest, as the history tells it in whole seconds."""
    events = daemon.get(f"/v1/history?profile={name}").json["events"]
    now = time.monotonic()
    return [now - event["ago"] for event in events if event["event"] in ("fetch_failed", "throttled")]


def suffer(troubles: list[Trouble]) -> Troubled:
    fake = Fake([{"id": one.name, "secret": canary()} for one in troubles], lifetime=LIFETIME)
    secrets = {client["id"]: client["secret"] for client in fake.clients}
    daemon = Daemon(fake, profiles={
        one.name: {"client_id": one.name, "secret": secrets[one.name], **one.profile}
        for one in troubles})
    world = Troubled({one.name: Course() for one in troubles})
    try:
        daemon.start()
        connection = daemon.connect()
        begin(connection, fake, world.courses, troubles)
        look_until(connection, world.courses, "the end of each token", lambda course: (
            course.last().status == 503))
        for name, course in world.courses.items():
            course.ended = daemon.status(name)
        world.printed = daemon.gctoken("status").stdout
        fake.set(lifetime=3600)
        fake.clear_faults()
        for name, course in world.courses.items():
            if course.thrown_away():
                daemon.post(f"/v1/refresh?profile={name}")
        look_until(connection, world.courses, "a new token of each", lambda course: (
            course.last().status == 200))
        connection.close()
        log = fake.log("token")
        for name, course in world.courses.items():
            course.mended = daemon.status(name)
            course.failed = failures(daemon, name)
            course.posts = [entry for entry in log if entry["client"] == name]
        world.log = daemon.stderr_text()
        return world
    finally:
        try:
            daemon.close()
        finally:
            fake.stop()


@pytest.fixture(scope="module")
def pool(request):
    """Every world whose tests were chosen, running."""
    items = [item for item in request.session.items
             if item.module is request.module and hasattr(item, "callspec")]
    troubles = [item.callspec.params["trouble"] for item in items
                if "trouble" in item.callspec.params]
    worlds = [item.callspec.params["world"] for item in items if "world" in item.callspec.params]
    with concurrent.futures.ThreadPoolExecutor(len(worlds) + 1) as running:
        futures = {world.name: running.submit(world.run) for world in worlds}
        if troubles:
            futures["troubles"] = running.submit(suffer, troubles)
        yield futures


def premature(trouble: Trouble, words: str) -> bool:
    """So short a time was over, on a busy machine, before it came to the trouble."""
    return "fetch_timeout" in trouble.profile and "timed out after" in words \
        and not re.search(trouble.words, words)


def check_looks(course: Course, trouble: Trouble) -> None:
    first = course.looks[0]
    assert first.answer.json["state"] == "fresh"
    generation = first.answer.json["generation"]
    # Less the second that a token must have left to be handed out at all.
    end = first.begun + int(first.answer.headers["Gctoken-Expires-In-Ms"]) / 1000 - 1
    states = []
    for look in course.looks:
        answer = look.answer
        if answer.status == 200:
            states.append(answer.json["state"])
            if answer.json["generation"] == generation:
                assert answer.json["expires_in"] >= 1
                assert answer.json["access_token"] == first.answer.json["access_token"]
            continue
        assert look.ended >= end, f"refused before the token's end: {answer}"
        states.append("none")
        if answer.status == 504:  # just then an attempt was under way
            continue
        assert answer.status == 503
        assert answer.json["error"] == "temporarily_unavailable"
        words = answer.json["error_description"]
        assert premature(trouble, words) or re.match(failure_words(trouble), words), answer
        assert 1 <= answer.retry_after == answer.json["retry_after"] <= 60
    seen = [state for state, _ in itertools.groupby(states)]
    # On a machine so busy that nobody looked after a refresh had failed there is no `stale`.
    failed = min(at for at in course.failed if at >= first.begun)
    looked = any(failed <= look.begun and look.ended <= end - 0.1 for look in course.looks)
    assert seen == ["fresh", "stale", "none", "fresh"] or (
        not looked and seen == ["fresh", "none", "fresh"])
    assert course.last().json["generation"] > generation


def check_thrown_away(course: Course, attempts: int) -> None:
    """The refresh, two more while the token lived, and an admin's. One whose answer comes when the
    token is dead is the last of them, and that can be any on a machine that is busy."""
    failures = course.mended["counters"]["failures"]
    assert len(course.posts) == attempts
    *_, came = course.posts[:attempts - failures - 1]
    answered_in_time = [post for post in course.posts[attempts - failures - 1:]
                        if post["time"] - came["time"] <= SERVED - 0.5 * PATIENCE]
    assert min(len(answered_in_time) + 1, 3) <= failures <= 4


def check_posts(course: Course, trouble: Trouble) -> None:
    """One for each attempt, and they become rarer: 1, 2, 4, 5 ... s (8, 10 ... where the server
    says that it is too much for it), halved at most."""
    counters = course.mended["counters"]
    attempts = counters["fetches"] + counters["failures"]
    if course.thrown_away():
        check_thrown_away(course, attempts)
        return
    assert counters["failures"] >= 2
    if "fetch_timeout" in trouble.profile and len(course.posts) < attempts:
        # On a busy machine so short a time can be over before the request is sent.
        return
    assert len(course.posts) == attempts
    bound = 10 if trouble.kind == "throttled" or trouble.status == 503 else 5
    failing = [post for post in course.posts if post["time"] >= course.since]
    early = 0
    for number, (one, next) in enumerate(itertools.pairwise(failing)):
        gap, most = next["time"] - one["time"], min(2 ** number, bound)
        early += gap < most / 2
        assert gap <= most + 5 * PATIENCE, f"pause {number + 1} was {gap} s"
    # HEADs are answered here, so that once there is hope for a server that did not answer.
    assert early <= (trouble.status == NO_ANSWER)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_a_token_outlives(trouble, pool):
    problem = pool["troubles"].exception()
    if problem:
        pytest.fail(f"the world ended early: {problem!r}", pytrace=False)
    world = pool["troubles"].result()
    course = world.courses[trouble.name]
    check_looks(course, trouble)
    ended = course.ended
    assert (ended["state"], ended["generation"], ended["expires_in"]) == ("unavailable", None, None)
    last = ended["last_error"]
    if not premature(trouble, last["words"]):
        assert (last["class"], last["status"], last["error"]) == (
            trouble.kind, trouble.status, trouble.error)
        assert re.search(trouble.words, last["words"])
    # The server's own name for this request, where its answer came as far as that.
    sent = {post["correlation_id"] for post in course.posts}
    assert last["correlation_id"] in sent | {""}
    if trouble.fault["action"] in ("answer", "members", "redirect"):
        assert last["correlation_id"] in sent
    row = re.search(rf"^{trouble.name} +(\S+)", world.printed, re.M)
    assert row and row[1] == "unavailable", world.printed
    assert course.mended["state"] == "fresh" and course.mended["last_error"] is None
    check_posts(course, trouble)
    told = re.findall(rf"^<4>{trouble.name}: .*; next attempt in \d+ s$", world.log, re.M)
    assert len(told) == course.mended["counters"]["failures"]
    assert not all(premature(trouble, words) for words in told)


@pytest.mark.parametrize("world", OUTAGES, ids=lambda world: world.name)
def test_when(world, pool):
    pool[world.name].result()
