#!/usr/bin/python3
"""The real daemon for so many minutes under hostile users, while it is reloaded: nobody gets what is
not theirs, another user is served within a second all the while, and nothing is left over.

On a kernel that refuses descriptors by itself an odd seed has the daemon see an older one. Root only.
The same seed draws the same attacks of each user and the same reloads; how they meet is up
to the machine. Ends with a summary; exit status 1 if anything was wrong."""

import argparse
import collections
import contextlib
import io
import json
import math
import os
import random
import re
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "system"))

from attacks import Attacker  # noqa: E402
from daemon import GCTOKEND, Daemon, canary  # noqa: E402
from fake import Fake  # noqa: E402
from logging_in import log_in, login_profile  # noqa: E402
from open_files import open_files  # noqa: E402
from raw_http import memory_kib  # noqa: E402
from unix_http import ask  # noqa: E402
from users import account  # noqa: E402
from waiting import PATIENCE, wait_until  # noqa: E402

GAMES, MAIL, WATCHER = account("games"), account("mail"), account("nobody")
ATTACKERS = {"games": GAMES.uid, "mail": MAIL.uid, "a stranger": 412345, "one more": 412346}
# Who may ever have a token of each profile, by the rules that come and go.
MAY = {"open": set(ATTACKERS.values()), "mine": {GAMES.uid}, "guest": {MAIL.uid}, "closed": set(),
       "person": set()}
LATE = 1.0  # seconds in which others are to be served
MORE_KIB = 32 << 10  # for replies that nobody reads, and what the allocator keeps of a crowd
MORE_DESCRIPTORS = 1  # an exchange may be under way


def work(uid: int, run) -> tuple[int, int]:
    """A process of that user, and a pipe on which it says what `run` returned."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    try:
        os.close(read)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.chdir("/")
        with os.fdopen(write, "w", encoding="utf-8") as file:
            json.dump(run(), file)
        os._exit(0)
    except BaseException as error:  # pylint: disable=broad-except
        print(f"a user's process: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


def attack(sockets: dict[str, str], seed: str, until: float) -> dict:
    attacker = Attacker(sockets, random.Random(seed))
    while time.monotonic() < until:
        attacker.attack()
    return {"seen": sorted(attacker.seen), "done": attacker.done}


def watch(path: str, until: float) -> dict:
    """As another user, who only wants to know whether it serves."""
    waits, wrong = [], []
    while time.monotonic() < until:
        begun = time.monotonic()
        try:
            status = ask(path, "GET", "/healthz", timeout=20 * PATIENCE).status
            if status != 200:
                wrong.append(f"/healthz said {status}")
        except OSError as error:
            wrong.append(f"/healthz: {error!r}")
        waits.append(time.monotonic() - begun)
        time.sleep(0.05)
    return {"waits": waits, "wrong": wrong[:5]}


class Trouble:
    """What the administrator does meanwhile."""

    def __init__(self, d: Daemon, draw: random.Random):
        self._d, self._draw = d, draw
        self.done: collections.Counter = collections.Counter()

    def step(self) -> None:
        what = self._draw.choice([self.reload, self.reload, self.refused, self.hangups, self.refresh,
                                  self.revoke, self.reads, self.logs_in])
        what()
        self.done[what.__name__] += 1

    def reload(self) -> None:
        d = self._d
        if "guest" in d.profiles:
            del d.profiles["guest"]
        else:
            d.add_profile("guest", prefetch=False, allow_users="mail", mint_limit=1000,
                          client_id="guest", secret=secret_of(d.fake, "guest"))
        d.profiles["mine"]["allow_users"] = self._draw.choice(["games", "root", None])
        d.write_config()
        d.reload()

    def refused(self) -> None:
        text = self._d.config_text()
        at = self._draw.randrange(len(text))
        self._d.write_config(text[:at] + self._draw.choice(["[", "\0", "no_such = 1\n", "\xff"]) +
                             "\n[profile]\n" + text[at:])
        self._d.reload()
        time.sleep(0.1)
        self._d.write_config()

    def hangups(self) -> None:
        for _ in range(50):
            self._d.process.send_signal(signal.SIGHUP)

    def refresh(self) -> None:
        self._d.post(f"/v1/refresh?profile={self._draw.choice(['open', 'mine', 'closed'])}")

    def revoke(self) -> None:
        self._d.post("/v1/revoke?profile=open")
        self._d.post("/v1/refresh?profile=open")

    def logs_in(self) -> None:
        """Again, since users log out; one of them may do so just then."""
        log_in(self._d, self._d.fake, "person")

    def reads(self) -> None:
        for target in ("/v1/status", "/v1/history?profile=open", "/metrics"):
            self._d.get(target)


def secret_of(fake: Fake, client: str) -> str:
    return next(one["secret"] for one in fake.clients if one["id"] == client)


def make(fake: Fake) -> Daemon:
    keys = {"mint_limit": 1000, "reject_cooldown": "1s", "clock_probe": False}
    profiles = {"open": {"allow_users": "*"}, "mine": {"allow_users": "games"}, "closed": {},
                "person": login_profile(fake, login_users="games")}
    return Daemon(fake, profiles={name: {"client_id": name, "secret": secret_of(fake, name),
                                         **keys, **own} for name, own in profiles.items()},
                  broker={"socket_mode": "0666", "idle_timeout": "2s",
                          "request_deadline": "1s", "max_wait": "2s"})


def be_older(d: Daemon) -> None:
    """A kernel without SO_PASSRIGHTS."""
    built = os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND)))
    d.env.update(LD_PRELOAD=os.path.join(built, "tests", "system", "no_passrights.so"),
                 ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")


def descriptors_held(d: Daemon) -> list[str]:
    """What they are, without connections to the login server, which are kept for the next request."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    kept = {f"socket:[{row[9]}]" for row in rows if int(row[2].split(":")[1], 16) == d.fake.port}
    return sorted(one for one in open_files(d.process.pid).values() if one not in kept)


def held(d: Daemon, most: float = math.inf) -> tuple[int, int]:
    """Descriptors and KiB, once whoever was there is gone, and what they left behind."""
    wait_until(lambda: d.get("/v1/status").json["broker"]["connections"] == 1, "all are gone", 30)
    try:
        wait_until(lambda: len(descriptors_held(d)) <= most, f"at most {most} descriptors", 10)
    except AssertionError as error:
        raise AssertionError(f"{error}: {descriptors_held(d)}") from None
    return len(descriptors_held(d)), memory_kib(d)


def take_pages(trouble: Trouble, d: Daemon) -> None:
    """A page is made when somebody first asks for it, and then kept."""
    seen = len(d.stderr_text())
    trouble.reload()  # with the guest
    d.wait_log(r"^<5>configuration reloaded", since=seen)
    for name in d.profiles:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(d.path("page.sock"))
            client.sendall(f"page 1 {name}\n".encode())
            answer, fds, _, _ = socket.recv_fds(client, 16, 1)
            assert answer == b"200\n", f"the page of {name}: {answer!r}"
            os.close(fds[0])


def judge_tokens(fake: Fake, uid: int, seen: set[str]) -> list[str]:
    """What a user received that is not theirs."""
    wrong = []
    for token in fake.tokens(secrets=True):
        if token["token"] in seen and uid not in MAY[token["client"]]:
            wrong.append(f"uid {uid} had a token of {token['client']}: {token['fingerprint']}")
    others = {one["secret"].split(":")[0] for one in fake.clients}
    for login in fake.logins(secrets=True):
        others |= {login["code"], *(one["token"] for one in login["refresh_tokens"])}
    return wrong + [f"uid {uid} had a secret, a code or a refresh token"
                    for _ in others & seen]


def told(text: str) -> dict[str, int]:
    """How many log lines there are, and of what users caused."""
    return {words.strip() or 'all': len(re.findall(words, text)) for words in (
        "\n", "denied: ", "rejected token", "logged out", "the login of uid", "descriptor", "refused")}


def judge_log(text: str, seconds: float) -> list[str]:
    """At most a line a second for each kind and user of a profile."""
    lines = collections.Counter(
        (profile, re.sub(r"\W.*", "", words), uid) for profile, words, uid in
        re.findall(r"^<\d>(\w+): (\D*)uid (\d+)", text, re.M))
    return [f"{number} log lines of {kind} in {seconds:.0f} s" for kind, number in lines.items()
            if number > seconds + 1]


def run(seconds: float, seed: int) -> list[str]:
    """What was wrong."""
    wrong: list[str] = []
    fake = Fake([{"id": name, "secret": canary()} for name in MAY])
    d = make(fake)
    try:
        if seed % 2:
            be_older(d)
        d.start()
        for name in ("open", "mine", "closed"):
            wait_until(lambda: d.token(name).status == 200, f"a token of {name}", 20)
        assert log_in(d, fake, "person").status == 200
        trouble = Trouble(d, random.Random(f"{seed} trouble"))
        take_pages(trouble, d)
        before = held(d)
        begun = time.monotonic()
        until = begun + seconds
        sockets = {"http": d.socket, "page": d.path("page.sock")}
        workers = {uid: work(uid, lambda uid=uid: attack(sockets, f"{seed} {uid}", until))
                   for uid in ATTACKERS.values()}
        workers[WATCHER.uid] = work(WATCHER.uid, lambda: watch(d.socket, until))
        draw = random.Random(f"{seed} pauses")
        while time.monotonic() < until and d.process.poll() is None:
            trouble.step()
            time.sleep(draw.uniform(0.1, 0.8))
        said = {}
        for uid, (pid, pipe) in workers.items():
            with os.fdopen(pipe, encoding="utf-8") as file:
                text = file.read()
            if os.waitpid(pid, 0)[1]:
                wrong.append(f"the process of uid {uid} failed")
            said[uid] = json.loads(text or "{}")
        if d.process.poll() is not None:
            return wrong + [f"the daemon ended with {d.process.poll()}:\n" + d.stderr_text()[-8000:]]
        wrong += judge(d, fake, said, before, time.monotonic() - begun)
        print(f"the administrator: {dict(trouble.done)}")
        d.stop()  # with status 0, or a sanitizer has found something; and no secret in the log
    except AssertionError as error:
        wrong.append(str(error))
    finally:
        if d.process is not None:
            d.kill()
        with contextlib.redirect_stdout(sys.stdout if wrong else io.StringIO()):
            d.close()
            fake.stop()
    return wrong


def judge(d: Daemon, fake: Fake, said: dict, before: tuple[int, int], seconds: float) -> list[str]:
    """When the users are gone."""
    wrong, done, got = [], collections.Counter(), 0
    watched = said.pop(WATCHER.uid)
    wrong += watched.get("wrong", [])
    waits = watched.get("waits") or [float("inf")]
    if max(waits) > LATE * PATIENCE:
        wrong.append(f"another user waited {max(waits):.2f} s")
    tokens = {token["token"] for token in fake.tokens(secrets=True)}
    for uid, one in said.items():
        seen = set(one.get("seen", []))
        got += len(seen & tokens)
        done.update(one.get("done", {}))
        wrong += judge_tokens(fake, uid, seen)
    if not got:
        wrong.append("nobody received a token, not even who may: nothing was tried")
    wrong += judge_log(d.stderr_text(), seconds)
    # Whoever was there, it goes on: with the configuration as it is now.
    d.write_config()
    seen_log = len(d.stderr_text())
    d.reload()
    d.wait_log(r"^<5>configuration reloaded", since=seen_log)
    for name in ("open", "mine", "closed"):
        answer = d.post(f"/v1/refresh?profile={name}")
        if answer.status != 200:
            wrong.append(f"afterwards a refresh of {name} has {answer}")
    after = held(d, before[0] + MORE_DESCRIPTORS)
    if after[1] > before[1] + MORE_KIB:
        wrong.append(f"memory: {before[1]} KiB before, {after[1]} KiB after")
    print(f"{sum(done.values())} attacks of {len(said)} users in {seconds:.0f} s: {dict(done)}\n"
          f"{got} tokens received by who may have them; {len(waits)} looks by another user, the "
          f"longest took {max(waits):.3f} s\ndescriptors {before[0]} -> {after[0]}, memory "
          f"{before[1]} -> {after[1]} KiB\nlog lines: {told(d.stderr_text())}")
    return wrong


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("minutes", nargs="?", type=float, default=5)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("only root can be other users", file=sys.stderr)
        return 2
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    wrong = run(options.minutes * 60, seed)
    for one in wrong:
        print(f"WRONG: {one}")
    print(f"{len(wrong)} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
