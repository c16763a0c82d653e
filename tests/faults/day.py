"""One day in a daemon's life, in which one call may fail: what its clients ask and what the daemon
is told to do, and what has to hold whatever fails."""

import grp
import http.client
import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

import daemon
from daemon import Daemon
from fake import Fake
import person
from fault_page import FOREVER, Page
from logging_in import login_profile
from open_files import open_files
from unix_http import Answer, UnixConnection
from users import User, account, as_user
from waiting import PATIENCE, wait_until

ANSWER_TIMEOUT = 15.0  # longer than any of them may be held

# More groups than the daemon makes room for at first.
MANY = tuple(range(70000, 70080))

# Another uid than the daemon's must not have more than the rules say, so they are asked for by users
# who may and by users who may not.
ROOT = User(0, 0)
BY_USER = account("games")
BY_GROUP = User(account("backup").uid, account("backup").gid, (grp.getgrnam("audio").gr_gid, *MANY))
STRANGER = User(account("mail").uid, account("mail").gid, MANY)

# What an answer may be when a call has failed, besides what it would be otherwise: turned away, too
# early, or not now.
MAY_BE = {403, 429, 503, 504}


class Hung(AssertionError):
    """No answer came, and no end of the connection."""


@dataclass(frozen=True)
class Fault:
    """The calls of that name from one number to another, from 1 on, fail with that errno."""
    call: str
    error: int
    first: int
    last: int

    def __str__(self) -> str:
        which = (f"{self.first}" if self.last == self.first else
                 f"{self.first}.." if self.last == FOREVER else f"{self.first}..{self.last}")
        return f"{self.call}[{which}] {os.strerror(self.error)}"


@dataclass
class Outcome:
    """Of one day: the first thing that was wrong, and what was counted."""
    fault: Fault | None
    wrong: str = ""
    log: str = ""
    failed: int = 0
    where: str = ""
    started: bool = False  # if not, the daemon had ended with an error, as it may
    grants: int = 0
    refusals: int = 0  # of those who have no right
    descriptors: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


class Day:
    """One daemon against a fake with three clients, the last of which people log in to. `names`: index of each call by its name; `limit`:
    descriptors that may be open at its end, if known."""

    def __init__(self, fake: Fake, names: dict[str, int], fault: Fault | None, limit: int):
        fake.reset()
        self.fake = fake
        self.fault = fault
        self.limit = limit
        self.over = False  # nothing fails any more
        self.has_late = False  # the profile that a reload brings
        self.outcome = Outcome(fault)
        self.d = Daemon(fake, broker={"socket_mode": "0666"}, profiles={
            "default": {"allow_users": "games", "allow_groups": "audio", "mint_limit": 1000},
            "unit": {"allow_users": "*", "allow_units": "gctokend-nowhere.service",
                     "prefetch": "no"},
            "person": login_profile(fake, client_id=fake.clients[2]["id"],
                                    secret=fake.clients[2]["secret"], allow_users="games")})
        self.logs_opened = {1}  # the numbers of the calls of fstat64 by which it finds its log
        self.page = Page(self.d.path("faults"))
        self.d.env.update(GCTOKEN_TEST_FAULTS=self.d.path("faults"))
        if fault:
            self.page.arm(names[fault.call], fault.first, fault.last, fault.error)

    # Asking.

    def connect(self, user: User) -> UnixConnection:
        connection = UnixConnection(self.d.socket, ANSWER_TIMEOUT * PATIENCE)
        with as_user(user):
            connection.connect()
        return connection

    def answer(self, connection: UnixConnection, method: str, target: str,
               headers: dict[str, str] | None = None) -> Answer | None:
        """None: the connection ended."""
        try:
            connection.request(method, target, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        except TimeoutError:
            raise Hung(f"{method} {target} was not answered") from None
        except (OSError, http.client.HTTPException):
            return None

    def ask(self, user: User, method: str, target: str, expected: int, text: bool = False
            ) -> Answer | None:
        """One request on a connection of its own, judged."""
        try:
            connection = self.connect(user)
        except OSError:
            self.judge(user, target, None, expected)
            return None
        try:
            answer = self.answer(connection, method, target,
                                 {"Accept": "text/plain"} if text else None)
        finally:
            connection.close()
        self.judge(user, target, answer, expected)
        return answer

    def judge(self, user: User, target: str, answer: Answer | None, expected: int) -> None:
        """That this is a right answer, or while something may fail a clean one; never a wrong
        grant."""
        shown = target.partition("&state=")[0]  # what follows is secret
        said = f"user {user.uid} asked {shown}: {answer or 'the connection ended'}"
        if answer is None:
            assert self.may_fail, said
            return
        granted = answer.status == 200 and any(
            token["token"].encode() in answer.body for token in self.fake.tokens(secrets=True))
        if user == STRANGER or "profile=unit" in target and user != ROOT:
            assert not granted, f"A WRONG GRANT: {said}"
            self.outcome.refusals += expected == 403
        self.outcome.grants += granted
        gives = target.startswith(("/v1/token", "/v1/refresh"))
        assert granted == (gives and answer.status == 200), said
        # Not 200 where a 403 is expected: no fault makes that right.
        allowed = {expected} | (MAY_BE if self.may_fail else set())
        assert answer.status in allowed, f"{said}, expected {expected}"
        if answer.status >= 400:
            assert answer.json["error"], said

    @property
    def may_fail(self) -> bool:
        return self.fault is not None and not self.over

    # The day.

    def live(self) -> None:
        """All of it. Returns early if the daemon ended at its start."""
        if not self.start():
            return
        self.serve()
        self.log_in()
        self.reload()
        self.restart()
        self.end_tokens()
        self.recover()
        self.stop()
        self.outcome.counts = self.page.counts()

    def start(self) -> bool:
        """False: it ended. It is not asked whether it is healthy, which would be one more request:
        either it listens, or it has ended."""
        self.log_begin = len(self.d.stderr_text())
        self.d.start(ready=False)
        process = self.d.process
        try:
            wait_until(lambda: process.poll() is not None or self.listens(),
                       "the daemon listens or has ended", 10)
        except AssertionError as error:
            raise Hung(str(error)) from None
        # A socket that listens is not all of a start.
        end = time.monotonic() + 0.3 * PATIENCE
        while process.poll() is None and " serves " not in self.told() \
                and (self.may_fail or time.monotonic() < end):
            if time.monotonic() > end and self.ask(ROOT, "GET", "/healthz", 200):
                break
            time.sleep(0.005)
        if process.poll() is None:
            self.outcome.started = True
            return True
        return self.ended_at_start()

    def told(self) -> str:
        """What it has logged since it was started."""
        return self.d.stderr_text()[self.log_begin:]

    def listens(self) -> bool:
        """The socket gets its name only when it listens."""
        return os.path.exists(self.d.socket)

    @property
    def silent(self) -> bool:
        """Whether what fails is the log itself."""
        return self.fault is not None and (
            self.fault.call == "write" or self.fault.call == "fstat64" and self.fault.first in self.logs_opened)

    def ended_at_start(self) -> bool:
        """An error may end it then: with a status that says so, and words."""
        code = self.d.process.returncode
        self.d.process = None
        assert self.fault and self.page.failed, f"it ended with {code}"
        assert 64 <= code <= 78, f"it ended at its start with {code}"
        told = re.search(r"^<3>.", self.told(), re.M)
        assert told or self.silent, "it ended at its start without a word"
        assert not os.path.exists(self.d.socket) or self.fault.call in ("unlink", "lstat64"), \
            "its socket was left behind"
        return False

    def serve(self) -> None:
        ask = self.ask
        ask(STRANGER, "GET", "/v1/token?wait=5", 403)
        first = ask(BY_USER, "GET", "/v1/token?wait=5", 200)
        ask(BY_GROUP, "GET", "/v1/token?wait=5", 200, text=True)
        ask(BY_USER, "GET", "/v1/token?profile=unit&wait=5", 403)
        ask(ROOT, "GET", "/v1/token?min_ttl=40000", 200)
        ask(BY_USER, "GET", "/v1/token?min_ttl=999999", 400)
        ask(BY_USER, "GET", "/v1/token?profile=nobodys", 403)
        ask(ROOT, "GET", "/v1/token?profile=nobodys", 404)
        self.take_page(BY_USER, 200)
        self.take_page(STRANGER, 403)
        self.pipeline()
        generation = first.json["generation"] if first and first.status == 200 else 1
        self.hold(f"/v1/token?after={generation}&wait=5", "/v1/refresh")
        current = ask(BY_GROUP, "GET", "/v1/token", 200)
        if current and current.status == 200:
            bad = current.json["generation"]
            ask(STRANGER, "POST", f"/v1/token/reject?generation={bad}", 403)
            ask(BY_USER, "POST", f"/v1/token/reject?generation={bad}", 200)
            ask(BY_USER, "POST", f"/v1/token/reject?generation={bad}", 200)
        ask(BY_USER, "GET", "/v1/skew", 200)
        ask(BY_USER, "POST", "/v1/skew/probe", 200)
        ask(ROOT, "GET", "/v1/status", 200)
        ask(STRANGER, "GET", "/v1/status", 200)
        ask(ROOT, "GET", "/metrics", 200)
        ask(ROOT, "GET", "/v1/history", 200)
        ask(BY_USER, "GET", "/v1/history", 403)
        ask(STRANGER, "GET", "/healthz", 200)
        ask(STRANGER, "POST", "/v1/refresh", 403)
        ask(STRANGER, "POST", "/v1/revoke", 403)

    def log_in(self) -> bool:
        """Whether it worked."""
        self.ask(STRANGER, "POST", "/v1/login?profile=person", 403)
        begun = self.ask(ROOT, "POST", "/v1/login?profile=person", 200)
        if not begun or begun.status != 200:
            return False
        brought = person.allow(self.fake, begun.json["authorize_url"]).query
        finish = "/v1/login/finish?" + urlencode({"profile": "person", "state": brought["state"],
                                                  "code": brought["code"]})
        self.ask(STRANGER, "POST", finish, 403)
        finished = self.ask(ROOT, "POST", finish, 200)
        if not finished or finished.status != 200:
            return False
        self.ask(BY_USER, "GET", "/v1/token?profile=person&wait=5", 200)
        self.ask(STRANGER, "GET", "/v1/token?profile=person&wait=5", 403)
        return True

    def take_page(self, user: User, expected: int) -> None:
        """Asks for the page; a refusal of whatever kind is no harm, a page for a stranger is."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_TIMEOUT * PATIENCE)
            try:
                with as_user(user):
                    connection.connect(self.d.path("page.sock"))
                connection.sendall(b"page 1 default\n")
                answer, fds, _, _ = socket.recv_fds(connection, 16, 4)
            except TimeoutError:
                raise Hung("the page socket did not answer") from None
            except OSError:
                answer, fds = b"", []
        for fd in fds:
            os.close(fd)
        said = f"user {user.uid} asked for the page: {answer!r}, {len(fds)} descriptors"
        assert bool(fds) == (answer == b"200\n"), said
        if user == STRANGER:
            assert not fds, f"A WRONG GRANT: {said}"
            self.outcome.refusals += 1
        allowed = {b"%d\n" % expected} | ({b"", b"403\n", b"429\n", b"503\n"} if self.may_fail
                                          else set())
        assert answer in allowed, said

    def pipeline(self) -> None:
        """Several requests on one connection, and one that comes in two pieces."""
        try:
            connection = self.connect(BY_USER)
        except OSError:
            assert self.may_fail
            return
        with connection.sock as s:
            try:
                request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                s.sendall(request * 3 + request[:10])
                got = s.recv(1)
                s.sendall(request[10:-2] + b"Connection: close\r\n\r\n")
                while more := s.recv(65536):
                    got += more
            except TimeoutError:
                raise Hung("a pipeline was not answered") from None
            except OSError:
                assert self.may_fail
                return
        answered = got.count(b"HTTP/1.1 200 ")
        assert answered == 4 or self.may_fail and answered < 4, f"{answered} of 4 were answered"

    def hold(self, target: str, meanwhile: str) -> None:
        """A request that waits for what another one brings about."""
        try:
            connection = self.connect(BY_USER)
            connection.request("GET", target)
        except OSError:
            assert self.may_fail
            return
        self.ask(ROOT, "POST", meanwhile, 200)
        try:
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except TimeoutError:
            raise Hung(f"{target} was not answered") from None
        except (OSError, http.client.HTTPException):
            answer = None
        connection.close()
        # 304: what fell out was the refresh.
        if not (answer and answer.status == 304 and self.may_fail):
            self.judge(BY_USER, target, answer, 200)

    def reload(self) -> None:
        """A file with a mistake, which changes nothing; then one with a profile more."""
        d = self.d
        self.reload_with(d.config_text() + "nonsense = 1\n", refused=True)
        late = self.fake.clients[1]
        d.add_profile("late", client_id=late["id"], secret=late["secret"], allow_users="games")
        self.reload_with(d.config_text(), refused=False)
        self.ask(STRANGER, "GET", "/v1/token?profile=late&wait=5", 403)
        self.ask(BY_USER, "GET", "/v1/token?profile=late&wait=5", 200 if self.has_late else 403)
        self.ask(BY_GROUP, "GET", "/v1/token?wait=5", 200)

    def reload_with(self, text: str, refused: bool) -> bool:
        """Whether it was taken over. If not, the log says why."""
        seen = len(self.d.stderr_text())
        self.d.write_config(text)
        self.d.reload()
        try:
            told = self.d.wait_log(r"^<[35]>(reload refused.*: .|configuration reloaded)",
                                   timeout=1 if self.silent else 10, since=seen)[1]
        except AssertionError:
            assert self.silent, "nothing tells what became of a reload"
            self.has_late |= "late" in self.d.profiles
            return True
        taken = told.startswith("configuration")
        assert not (taken and refused), "a file with a mistake in it was taken over"
        assert taken != refused or self.may_fail, told
        self.has_late |= taken
        return taken

    def restart(self) -> None:
        """It finds the login on the disk. What keeps it from starting keeps it no longer than it
        fails."""
        self.stop()
        self.logs_opened.add(self.page.counts()["fstat64"] + 1)
        if not self.start():
            self.page.disarm()
            assert self.start(), "it does not start again"
        self.ask(STRANGER, "GET", "/v1/token?profile=person&wait=5", 403)
        self.ask(BY_USER, "GET", "/v1/token?profile=person&wait=5", 200)
        self.ask(ROOT, "POST", "/v1/refresh?profile=person", 200)
        self.ask(STRANGER, "POST", "/v1/logout?profile=person", 403)
        left = self.ask(ROOT, "POST", "/v1/logout?profile=person", 200)
        if left and left.status == 200:
            self.ask(BY_USER, "GET", "/v1/token?profile=person&wait=1", 503)

    def end_tokens(self) -> None:
        answer = self.ask(ROOT, "POST", "/v1/revoke", 200)
        if answer and answer.status == 200:
            self.ask(BY_USER, "GET", "/v1/token?wait=1", 503)

    def recover(self) -> None:
        """Whatever has failed, it serves again; and as before to nobody else. A fault that is yet
        to come (it may be one of the stop's) stays."""
        if self.fault and self.page.failed:
            self.page.disarm()
        wait_until(self.serves_again, "it serves again", 15, pause=0.1)
        if self.page.failed:
            self.page.disarm()
            self.over = True
        if not self.reload_with(self.d.config_text(), refused=False):
            self.page.disarm()  # that was it
            self.reload_with(self.d.config_text(), refused=False)
        self.ask(BY_USER, "GET", "/v1/token?profile=late&wait=5", 200)
        self.ask(BY_GROUP, "GET", "/v1/token?wait=5", 200)
        self.ask(STRANGER, "GET", "/v1/token?wait=5", 403)
        assert self.log_in() or self.may_fail, "nobody can log in any more"
        self.outcome.descriptors = self.settled_descriptors()
        assert self.d.process.poll() is None, f"it ended with {self.d.process.returncode}"

    def serves_again(self) -> bool:
        assert self.d.process.poll() is None, f"it ended with {self.d.process.returncode}"
        answer = self.ask(ROOT, "POST", "/v1/refresh", 200)
        return answer is not None and answer.status == 200

    def settled_descriptors(self) -> int:
        """How many are open once nobody is connected: as many as at a fault-free day's end, and no
        more, if `limit` says how many these are. Without connections to the login server, which
        libcurl keeps for later, one for each token it had to ask for."""

        def count() -> int:
            with open("/proc/net/tcp", encoding="ascii") as file:
                kept = {f"socket:[{line.split()[9]}]" for line in file}
            return sum(what not in kept for what in open_files(self.d.process.pid).values())

        least, since = count(), time.monotonic()
        while time.monotonic() - since < (3 if self.limit and least > self.limit else 0.1):
            time.sleep(0.01)
            now = count()
            if now < least:
                least, since = now, time.monotonic()
        assert not self.limit or least <= self.limit, \
            f"{least} descriptors are open, {self.limit} would be right"
        return least

    def stop(self) -> None:
        process = self.d.process
        self.d.stop()
        assert process.returncode == 0


def live(fake: Fake, names: dict[str, int], fault: Fault | None, limit: int = 0) -> Outcome:
    """One day from start to end. What was wrong is told in the outcome."""
    day = Day(fake, names, fault, limit)
    outcome = day.outcome
    try:
        day.live()
        day.d.assert_no_leak()
        assert "Sanitizer" not in day.d.stderr_text(), "a sanitizer has found something"
    except (AssertionError, OSError, ValueError, KeyError) as error:
        outcome.wrong = f"{type(error).__name__}: {error}"
        outcome.log = day.d.stderr_text()
    finally:
        outcome.failed = day.page.failed
        outcome.where = place(day.page.where) if outcome.wrong and outcome.failed else ""
        if day.d.process and day.d.process.poll() is None:
            day.d.kill()
        day.d.process = None
        outcome.names = day.page.names()
        day.d.close()
    return outcome


def place(address: int) -> str:
    """Who made the call, as function and line."""
    run = subprocess.run(["addr2line", "-fipse", daemon.GCTOKEND, hex(address - 1)],
                         capture_output=True, text=True, check=False)
    return run.stdout.strip() or hex(address)
