"""gctoken watch: a line and a run of the command per new token, whatever happens in between."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from daemon import GCTOKEN, GCTOKEND, environment
from scripted_daemon import (FINGERPRINT, TOKEN, TOKEN_JSON, answer, folder,  # noqa: F401
                             problem, run, scripted)
from waiting import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("gctoken")  # which fails where it is not built

# Built by meson, into the same build folder.
RENAME_SHIM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(GCTOKEND))), "tests",
                           "system", "rename_shim.so")

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ default generation (\d+), fingerprint "
                  r"[0-9a-f]{16}, good for \d+ s, (fresh|stale)\n")


class Watch:
    """`gctoken watch` at work; what it writes goes to files."""

    def __init__(self, socket, folder, *arguments, **env):
        self.out, self.err = f"{folder}/watch.out", f"{folder}/watch.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                [GCTOKEN, "watch", *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env=environment(GCTOKEN_SOCKET=socket, GENESYSCLOUD_REGION="other", **env))

    def text(self, path=None):
        with open(path or self.out, encoding="utf-8") as file:
            return file.read()

    def errors(self):
        return self.text(self.err)

    def wait_lines(self, count):
        wait_until(lambda: self.text().count("\n") >= count, f"line {count}", 20)
        return self.text().splitlines(keepends=True)

    def children(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            return file.read().split()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(20 * PATIENCE)


@pytest.fixture
def watch(folder):
    started = []

    def start(socket, *arguments, **env):
        started.append(Watch(socket, folder, *arguments, **env))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def token_in(path):
    with open(path, encoding="ascii") as file:
        return file.read()


@pytest.mark.parametrize("mode, umask", [(None, 0o022), ("0640", 0o077), ("444", 0o777)])
def test_a_file_with_the_current_token(daemon, fake, watch, folder, mode, umask):
    """Whole whenever it is looked at, and there before the line is."""
    d = daemon(fake())
    path = os.path.join(folder, "token")
    before = os.umask(umask)
    try:
        w = watch(d.socket, "--file", path, *(["--mode", mode] if mode else []))
    finally:
        os.umask(before)
    seen = set()
    for count in (1, 2, 3):
        w.wait_lines(count)
        assert token_in(path) == d.token().json["access_token"] + "\n"
        seen.add(os.stat(path).st_ino)
        assert os.stat(path).st_mode & 0o7777 == int(mode or "0600", 8)
        if count < 3:
            assert d.gctoken("refresh").returncode == 0
    assert len(seen) > 1, "it was written over, not replaced"
    assert [name for name in os.listdir(folder) if name.startswith("token")] == ["token"]
    assert w.end() == -signal.SIGTERM and w.errors() == ""
    d.assert_no_leak(w.text(), "the lines")
    assert token_in(path) == d.token().json["access_token"] + "\n"


def test_a_file_follows_a_rejection_and_a_restart(daemon, fake, watch, folder):
    d = daemon(fake())
    path = os.path.join(folder, "token")
    w = watch(d.socket, "--file", path, "--exec", f"cmp {path} - <<X\n$GENESYSCLOUD_ACCESS_TOKEN\nX")
    w.wait_lines(1)
    d.fake.revoke(all=True)
    assert d.gctoken("reject", stdin=token_in(path)).returncode == 0
    w.wait_lines(2)
    d.kill()
    assert token_in(path) != "", "it stays while nobody is there"
    d.start()
    w.wait_lines(3)
    assert token_in(path) == d.token().json["access_token"] + "\n"
    assert "failed" not in w.errors()


def test_a_file_that_cannot_be_written_ends_it(daemon, fake, watch, folder):
    d = daemon(fake())
    w = watch(d.socket, "--file", os.path.join(folder, "nowhere", "token"))
    assert w.process.wait(20 * PATIENCE) == 1
    assert "nowhere/token" in w.errors() and "No such file or directory" in w.errors()
    assert w.text() == "", "no line without the file"


def test_a_later_token_is_written_once_there_is_a_place_for_it(daemon, fake, watch, folder):
    """A disk may be full or away for a while. It is said once, and the daemon is not asked in a loop."""
    d = daemon(fake())
    disk, away = os.path.join(folder, "disk"), os.path.join(folder, "away")
    os.mkdir(disk)
    path = os.path.join(disk, "token")
    w = watch(d.socket, "--file", path)
    w.wait_lines(1)
    before = token_in(path)
    os.rename(disk, away)
    assert d.gctoken("refresh").returncode == 0
    wait_until(lambda: "goes on trying" in w.errors(), "it is said")
    assert w.text().count("\n") == 1
    served, begun = d.status()["counters"]["served"], time.monotonic()
    wait_until(lambda: d.status()["counters"]["served"] >= served + 2, "it tries twice", 20)
    assert time.monotonic() - begun >= 1
    os.rename(away, disk)
    assert token_in(path) == before
    w.wait_lines(2)
    assert token_in(path) == d.token().json["access_token"] + "\n"
    assert w.errors().count("No such file or directory") == w.errors().count("trying") == 1
    assert os.listdir(disk) == ["token"] and w.end() == -signal.SIGTERM


@pytest.mark.parametrize("command, option", [("watch", "--file"), ("metrics", "--output")])
def test_what_is_more_than_a_file_is_not_replaced(folder, scripted, command, option):
    """As `--output /dev/null`, by root, would take that from everybody."""
    scripted(answer(200, TOKEN_JSON))
    path = os.path.join(folder, "path")
    make = {"a pipe": lambda: os.mkfifo(path), "a link to a device": lambda: os.symlink("/dev/null", path),
            "as /dev/stdout is": lambda: os.symlink("/proc/self/fd/1", path), "no name": None}
    for kind, place in make.items():
        if place:
            place()
            before = os.lstat(path)
        result = run(folder, command, option, path if place else "")
        assert (result.returncode, result.stdout) == (2, ""), kind
        assert "is not the path of a file" in result.stderr and option in result.stderr
        if place:
            assert os.lstat(path) == before, kind
            os.unlink(path)
    assert os.listdir(folder) == ["sock"]


def test_a_link_is_replaced_and_not_followed(daemon, fake, watch, folder):
    d = daemon(fake())
    path, other = os.path.join(folder, "link"), os.path.join(folder, "other")
    with open(other, "w") as file:
        file.write("as it was")
    os.symlink(other, path)
    w = watch(d.socket, "--file", path)
    w.wait_lines(1)
    assert not os.path.islink(path) and token_in(path) == d.token().json["access_token"] + "\n"
    with open(other) as file:
        assert file.read() == "as it was"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_signal_leaves_no_other_file_with_a_token(daemon, fake, watch, folder, number):
    """It comes while the new file is there and has not its name yet."""
    d = daemon(fake())
    path = os.path.join(folder, "token")
    w = watch(d.socket, "--file", path, LD_PRELOAD=RENAME_SHIM, GCTOKEN_TEST_SIGNAL=str(int(number)),
              ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
    assert w.process.wait(20 * PATIENCE) == -number
    assert [name for name in os.listdir(folder) if name.startswith("token")] == ["token"]
    assert token_in(path) == d.token().json["access_token"] + "\n"


@pytest.mark.parametrize("arguments, words", [
    (["--file", "f", "--mode", "rw"], "--mode: three octal digits"),
    (["--file", "f", "--mode", "0750"], "--mode: three octal digits"),
    (["--file", "f", "--mode", "4600"], "--mode: three octal digits"),
    (["--file", "f", "--mode", "6"], "--mode: three octal digits"),
    (["--mode", "0600"], "--file, which is not given"),
])
def test_a_mode_that_is_none(folder, scripted, arguments, words):
    scripted()
    result = run(folder, "watch", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr


def test_a_line_per_token(daemon, fake, watch):
    d = daemon(fake())
    w = watch(d.socket)
    first = LINE.fullmatch(w.wait_lines(1)[0])
    for count in (2, 3):
        assert d.gctoken("refresh").returncode == 0
        w.wait_lines(count)
    generations = [int(LINE.fullmatch(line).group(1)) for line in w.wait_lines(3)]
    assert generations[0] == int(first.group(1)) and generations == sorted(set(generations))
    assert w.end() == -signal.SIGTERM
    assert w.errors() == ""
    d.assert_no_leak(w.text(), "the lines")


def test_a_max_wait_below_its_own_is_no_mistake_of_the_user(daemon, fake, watch):
    d = daemon(fake(), broker={"max_wait": "2s"})
    w = watch(d.socket)
    w.wait_lines(1)
    assert d.gctoken("refresh").returncode == 0
    w.wait_lines(2)
    assert w.end() == -signal.SIGTERM
    assert w.errors() == ""


def test_json_lines_hold_no_token(daemon, fake, watch):
    d = daemon(fake())
    w = watch(d.socket, "--json")
    told = json.loads(w.wait_lines(1)[0])
    token = d.token().json
    assert {key: told[key] for key in ("profile", "generation", "fingerprint", "state")} == \
        {key: token[key] for key in ("profile", "generation", "fingerprint", "state")}
    d.assert_no_leak(w.text(), "the lines")


def test_the_command_has_the_token_and_nobody_else(daemon, fake, watch, folder):
    d = daemon(fake(), profile={"region": "us-west-2"})
    script = (f'echo "$GENESYSCLOUD_ACCESS_TOKEN $GENESYSCLOUD_REGION" >> {folder}/seen; '
              f'cat; read line < {folder}/go')
    os.mkfifo(f"{folder}/go")
    w = watch(d.socket, "--exec", script)
    w.wait_lines(1)
    wait_until(lambda: os.path.exists(f"{folder}/seen") and w.text(f"{folder}/seen"), "the command")
    assert w.text(f"{folder}/seen").split() == [d.token().json["access_token"], "us-west-2"]
    for name in ("environ", "cmdline"):
        with open(f"/proc/{w.process.pid}/{name}", "rb") as file:
            d.assert_no_leak(file.read().decode(), name)
        # The command's own line is what was given.
        with open(f"/proc/{w.children()[0]}/cmdline", "rb") as file:
            d.assert_no_leak(file.read().decode(), "the child's command line")
    # Two tokens while it runs are one run more, for the newest; never two at once.
    newest = [json.loads(d.gctoken("refresh", "--json").stdout) for _ in range(2)][1]
    wait_until(lambda: d.token().json["generation"] == newest["generation"], "the new token served")
    assert len(w.children()) == 1 and w.text().count("\n") == 1
    with open(f"{folder}/go", "w") as go:
        go.write("\n")
    w.wait_lines(2)
    wait_until(lambda: w.text(f"{folder}/seen").count("\n") == 2, "the second run")
    assert w.text(f"{folder}/seen").split()[2] == newest["access_token"]
    with open(f"{folder}/go", "w") as go:
        go.write("\n")
    wait_until(lambda: not w.children(), "the end of the command: reaped, no zombie")
    assert w.text().count("\n") == 2
    assert w.end() == -signal.SIGTERM


@pytest.mark.parametrize("script, words", [
    ("exit 3", "the command exited with 3"), ("kill -9 $$", "ended by signal 9 (Killed)"),
    ("/nowhere/command", "the command exited with 127"),
])
def test_a_command_that_fails_is_told_of_and_the_next_token_awaited(daemon, fake, watch, script,
                                                                    words):
    d = daemon(fake())
    w = watch(d.socket, "--exec", script)
    wait_until(lambda: words in w.errors(), words)
    assert d.gctoken("refresh").returncode == 0
    wait_until(lambda: w.errors().count(words) == 2, "the second run")
    assert w.process.poll() is None


def test_a_region_of_another_environment_is_not_left_in_place(folder, scripted, watch):
    scripted(answer(200, {**TOKEN_JSON, "region": None}), answer(304))
    w = watch(f"{folder}/sock", "--exec", 'echo "region ${GENESYSCLOUD_REGION-unset}"')
    assert w.wait_lines(2)[1] == "region unset\n"


# Signals

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_end_it(daemon, fake, watch, number):
    d = daemon(fake())
    w = watch(d.socket)
    w.wait_lines(1)
    assert w.end(number) == -number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_reach_the_command_first(daemon, fake, watch, folder, number):
    d = daemon(fake())
    name = signal.Signals(number).name[3:]
    w = watch(d.socket, "--exec", f"trap 'echo got {name}; exit 0' {name}; echo ready; "
              f"while :; do sleep 0.05; done")
    w.wait_lines(2)
    assert w.end(number) == -number
    assert w.text().endswith(f"ready\ngot {name}\n")


def test_an_interrupt_of_the_terminal_waits_for_the_command(daemon, fake, watch, folder):
    """The terminal sends it to both; here only one gets it, and it is not sent on."""
    d = daemon(fake())
    os.mkfifo(f"{folder}/go")
    w = watch(d.socket, "--exec", f"echo ready; read line < {folder}/go; echo done")
    w.wait_lines(2)
    w.process.send_signal(signal.SIGINT)
    with open(f"{folder}/go", "w") as go:
        go.write("\n")
    assert w.process.wait(20 * PATIENCE) == -signal.SIGINT
    assert w.text().endswith("ready\ndone\n")


def test_what_was_ignored_stays_ignored(daemon, fake, folder):
    d = daemon(fake())
    process = subprocess.Popen(
        ["sh", "-c", "trap '' HUP; exec \"$0\" watch --exec 'kill -HUP $$ $PPID; echo alive'",
         GCTOKEN], stdout=subprocess.PIPE, text=True, env=environment(GCTOKEN_SOCKET=d.socket))
    process.stdout.readline()
    assert process.stdout.readline() == "alive\n"
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_the_command_has_ordinary_signals_and_no_descriptors(daemon, fake, watch):
    d = daemon(fake())
    w = watch(d.socket, "--exec", "grep -E '^Sig(Blk|Cgt|Ign)' /proc/self/status; ls -l /proc/self/fd;"
              " echo end")
    wait_until(lambda: w.text().endswith("end\n"), "the command's end")
    text = w.text()
    for name in ("SigBlk", "SigCgt"):
        assert int(re.search(rf"{name}:\s*(\w+)", text).group(1), 16) & 0x4003 == 0
    assert "socket:" not in text


def test_nobody_reads(folder, scripted):
    scripted(answer(200, TOKEN_JSON), answer(304))
    process = subprocess.Popen([GCTOKEN, "watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment(GCTOKEN_SOCKET=f"{folder}/sock"))
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30 * PATIENCE) == -signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_full_disk_ends_it(folder, scripted):
    scripted(answer(200, TOKEN_JSON))
    with open("/dev/full", "w") as full:
        result = subprocess.run([GCTOKEN, "watch"], stdout=full, stderr=subprocess.PIPE, text=True,
                                env=environment(GCTOKEN_SOCKET=f"{folder}/sock"), timeout=30)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr


# Trouble

def test_a_restart_of_the_daemon_is_survived(daemon, fake, watch):
    d = daemon(fake())
    w = watch(d.socket)
    w.wait_lines(1)
    for count in (2, 3):
        d.kill()
        if count == 3:
            wait_until(lambda: "goes on waiting" in w.errors(), "the word that it is gone")
        d.start()
        assert d.gctoken("refresh").returncode == 0
        w.wait_lines(count)
    generations = [int(LINE.fullmatch(line).group(1)) for line in w.wait_lines(3)]
    assert generations == sorted(set(generations))


def test_a_revoked_profile_is_waited_for_and_told_of_once(daemon, fake, watch):
    d = daemon(fake())
    w = watch(d.socket)
    w.wait_lines(1)
    assert d.gctoken("revoke").returncode == 0
    wait_until(lambda: "revoked" in w.errors(), "the word of it")
    assert d.gctoken("refresh").returncode == 0
    w.wait_lines(2)
    assert w.errors().count("goes on waiting") == 1


def test_the_same_trouble_is_told_of_once(folder, scripted, watch):
    daemon = scripted(problem(503, "login_required", "log in"))
    w = watch(f"{folder}/sock")
    wait_until(lambda: len(daemon.requests) >= 3, "three requests")
    assert w.errors().count("log in") == 1
    daemon.answers = [problem(503, "client_rejected", "wrong secret")]
    wait_until(lambda: "wrong secret" in w.errors(), "the other trouble")
    # Nobody is asked in a loop: the pauses grow.
    assert len(daemon.requests) < 50


@pytest.mark.parametrize("reply, code", [
    (problem(403, "access_denied", "no rule names you"), 77),
    (problem(404, "unknown_profile", "no such profile"), 78),
    (problem(400, "invalid_request", "after: what?"), 2),
    (answer(200, "nonsense"), 1), (answer(200, {**TOKEN_JSON, "access_token": "a b"}), 1),
    (answer(200, {**TOKEN_JSON, "fingerprint": "\x1b[2J"}), 1),
    (answer(200, {**TOKEN_JSON, "generation": 0}), 1),
])
def test_what_waiting_does_not_mend_ends_it(folder, scripted, reply, code):
    scripted(reply)
    result = run(folder, "watch", "--exec", "echo ran")
    assert (result.returncode, result.stdout) == (code, "")
    assert "canary" not in result.stderr


def test_no_daemon_at_the_start(folder):
    assert run(folder, "watch").returncode == 69


def test_no_answer_without_news_is_asked_in_a_loop(folder, scripted, watch):
    """A daemon that does not hold requests, whatever the reason."""
    daemon = scripted(answer(200, TOKEN_JSON))
    w = watch(f"{folder}/sock")
    wait_until(lambda: len(daemon.requests) >= 3, "three requests")
    assert w.text().count("\n") == 1
    assert [line.split("after=")[1].split("&")[0] for line in daemon.lines()[:3]] == \
        ["0", "17", "17"]
    assert len(daemon.requests) < 20
    assert TOKEN not in w.text() and FINGERPRINT in w.text()
