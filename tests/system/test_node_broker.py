"""The package gctoken for Node.js: its Broker, with the real daemon."""

import contextlib
import json
import os
import re
import shutil
import socket
import tempfile
import threading
import time

import pytest

from fake import REPOSITORY
from node_program import PACKAGE, NodeProgram, install, needs_node
from scripted_daemon import answering
from users import needs_root
from waiting import PATIENCE, wait_until


@pytest.fixture
def d(server, daemon):
    needs_node()
    one = daemon(server)
    one.token(wait=20)
    return one


@pytest.fixture
def start(d, tmp_path):
    install(tmp_path)
    return lambda text: NodeProgram(tmp_path, text, d.socket, d.fake.ca_file)


@pytest.fixture
def run(d, start):
    def to_its_end(text):
        lines = start(text).end()
        d.assert_no_leak("\n".join(lines), "what it printed")
        return lines

    return to_its_end


@pytest.fixture
def run_alone(tmp_path):
    needs_node()
    install(tmp_path)
    return lambda text, path: NodeProgram(tmp_path, text, str(path)).end()


# A token.

def test_a_token_is_what_the_broker_says(d, run):
    """And whatever shows one leaves the token itself out."""
    said = d.token().json
    lines = run("""
const token = await new Broker().token();
const {createHash} = await import("node:crypto");
console.log(createHash("sha256").update(token.access_token).digest("hex").slice(0, 16));
console.log(token.authorization === "Bearer " + token.access_token,
            0 < token.refresh_in && token.refresh_in < token.expires_in);
console.log(JSON.stringify(token));
const {inspect} = await import("node:util");
console.log(inspect(token), `${token}`, inspect({...token}));
""")
    assert lines[0] == said["fingerprint"] and lines[1] == "true true"
    shown = json.loads(lines[2])
    assert "access_token" not in shown
    for name in ("generation", "fingerprint", "profile", "region", "api_url", "token_type"):
        assert shown[name] == said[name]


def test_the_environment_and_the_program_name_socket_and_profile(server, daemon, tmp_path):
    needs_node()
    d = daemon(server, profiles={"default": {}, "other": {}})
    install(tmp_path)
    text = """
process.env.GCTOKEN_PROFILE = "other";
const profile = async (broker) => console.log((await broker.token()).profile);
await profile(new Broker({wait: 20}));
await profile(new Broker({profile: "default", wait: 20}));
"""
    assert NodeProgram(tmp_path, text, d.socket).end() == ["other", "default"]


def test_min_ttl(run, server):
    """What can be had, and what cannot."""
    server.set(lifetime=1000)
    lines = run("""
const broker = new Broker();
const short = await broker.reject(await broker.token());
const error = await failure(broker.token({min_ttl: 501}));
console.log(error instanceof gctoken.BadRequest, error.status, error.message);
console.log((await broker.token({min_ttl: 500})).generation === short.generation);
""")
    assert re.match(r"true 400 .*min_ttl: .* 500 s", lines[0]) and lines[1] == "true"


def test_many_who_ask_at_once_are_one_request(d, start):
    program = start("""
const broker = new Broker();
const tokens = await Promise.all(Array.from({length: 5000}, () => broker.token()));
console.log(new Set(tokens.map((token) => token.generation)).size);
await Promise.all(Array.from({length: 30}, (_, i) => broker.token({min_ttl: i})));
console.log("all");
await said();
broker.close();
await broker.token();
console.log("closed");
await said();
process.stdin.destroy();
""")

    def connections():
        return d.get("/v1/status").json["broker"]["connections"]

    assert program.line() == "1" and program.line() == "all"
    # It asks once, and 30 that ask for different things keep 8 connections; one is our own.
    wait_until(lambda: 2 <= connections() <= 9, "few connections are kept")
    program.say()
    assert program.line() == "closed"
    wait_until(lambda: connections() == 2, "one is opened again")
    program.say()
    # A connection that is kept does not hold up the end.
    assert program.end() == []


# A broker that goes and comes.

@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_restarts_are_not_noticed(d, start, ends):
    program = start("""
const broker = new Broker();
let over = false, count = 0;
const ask = async () => {
  while (!over) {
    await broker.token();
    count++;
    await sleep(1);
  }
};
const asking = [ask(), ask()];
while (count < 20) await sleep(5);
console.log("asks");
await said();
const before = count;
while (count < before + 20) await sleep(5);
over = true;
await Promise.all(asking);
console.log("done");
process.stdin.destroy();
""")
    assert program.line() == "asks"
    getattr(d, ends)()
    time.sleep(2)
    d.start()
    program.say()
    assert program.end() == ["done"]


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_a_restart_in_the_middle_of_a_rejection(d, start, server, ends):
    program = start("""
const broker = new Broker();
const token = await broker.token();
console.log("ready");
await said();
const next = await broker.reject(token);
console.log(next.generation > token.generation);
console.log((await fetch(next.api_url + "/api/v2/users/me",
                         {headers: {Authorization: next.authorization}})).status);
process.stdin.destroy();
""")
    assert program.line() == "ready"
    server.revoke(all=True)
    server.fault("token", "hang", times=-1, seconds=600)
    program.say()
    wait_until(lambda: d.status()["waiting"] == 1, "it is held")
    server.clear_faults()
    getattr(d, ends)()
    time.sleep(2)
    d.start()
    assert program.end() == ["true", "200"]


def test_a_max_wait_below_its_own_is_no_mistake_of_the_program(server, daemon, tmp_path):
    """It asks for as long as it was told to, in turns that the broker accepts."""
    needs_node()
    install(tmp_path)
    d = daemon(server, broker={"max_wait": "2s"})
    d.token(wait=2)
    assert NodeProgram(tmp_path, """
const broker = new Broker({wait: Infinity});
const token = await broker.token();
const begun = seconds();
console.log(await broker.waitChange(token.generation, {wait: "3"}), seconds() - begun >= 2.9);
console.log((await broker.reject(token)).generation > token.generation);
console.log((await failure(broker.token({min_ttl: 1e6}))).message.includes("min_ttl: "));
""", d.socket).end() == ["null true", "true", "true"]


def test_wait_change(d, start):
    """It outlasts a stop: the 304 of a broker that stops comes early, and is not the end."""
    program = start("""
const broker = new Broker();
const {generation} = await broker.token();
let begun = seconds();
console.log(await broker.waitChange(generation, {wait: 1}), seconds() - begun > 0.9);
console.log((await broker.waitChange(generation - 1)).generation === generation);
console.log("waits");
console.log((await broker.waitChange(generation)).generation > generation);
""")
    assert [program.line() for _ in range(3)] == ["null true", "true", "waits"]
    wait_until(lambda: d.status()["waiting"] == 1, "it is held")
    d.restart()
    d.post("/v1/refresh")
    assert program.end() == ["true"]


# Errors: what was wrong, where, and what to do.

def told(line, kind, *words):
    assert line.startswith(kind), line
    assert " from /" in line and "no token of profile " in line and "; " in line
    for word in words:
        assert word in line, line


SHOW = "console.log(error.constructor.name, error.status, error.error, error.message);\n"


def test_nobody_listens(tmp_path, run_alone):
    lines = run_alone("""
let begun = seconds();
const error = await failure(new Broker().token({wait: 0.5}));
console.log(seconds() - begun < 2);
""" + SHOW + """
console.log((await failure(new Broker().token({wait: 0}))).name);
""", tmp_path / "none")
    assert lines[0] == "true" and lines[2] == "BrokerUnreachable"
    told(lines[1], "BrokerUnreachable 0 unreachable", "no broker listens", "GCTOKEN_SOCKET")


def test_absence_ends_before_a_long_wait(tmp_path, run_alone):
    lines = run_alone("""
const begun = seconds();
await failure(new Broker().token({wait: 300}));
console.log(seconds() - begun);
""", tmp_path / "none")
    assert 9 < float(lines[0]) < 12 * PATIENCE


@pytest.mark.parametrize("trickles", [b"", b" "], ids=["", "byte by byte"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nX: x",
                                  b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"],
                         ids=["silent", "header", "body"])
def test_a_broker_that_hangs_holds_nobody(tmp_path, run_alone, sent, trickles):
    """Before its reply, or in the middle of it."""
    path = tmp_path / "hangs"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        kept = []

        def accept():
            kept.append(listener.accept()[0])
            kept[0].sendall(sent)
            with contextlib.suppress(OSError):
                while sent and trickles:
                    time.sleep(0.1)
                    kept[0].sendall(trickles)

        threading.Thread(target=accept, daemon=True).start()
        lines = run_alone("""
const begun = seconds();
const error = await failure(new Broker().token({wait: 1}));
console.log(seconds() - begun);
""" + SHOW, path)
    assert float(lines[0]) < 3.5 * PATIENCE
    told(lines[1], "BrokerUnreachable", "does not answer")


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}x",
                                   b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"what\r\n\r\n"])
def test_replies_that_are_none(tmp_path, run_alone, reply):
    """Each is asked for again, and none is taken for a token."""
    path = tmp_path / "odd"
    with answering(path, reply) as asked:
        lines = run_alone("console.log((await failure(new Broker().token({wait: 0.5}))).name)", path)
    assert lines == ["BrokerUnreachable"] and len(asked) > 1


@pytest.mark.parametrize("status, body", [
    ("200 OK", "{}"), ("200 OK", "[]"), ("200 OK", "null"),
    ("200 OK", json.dumps({"access_token": "a\r\nX: 1", "token_type": "Bearer"})),
    ("503 No", json.dumps({"retry_after": "abc"})), ("503 No", json.dumps({"retry_after": -1e9})),
    ("404 No", "null")])
def test_somebody_elses_socket(tmp_path, run_alone, status, body):
    """What is said there is no token and no time to wait."""
    path = tmp_path / "other"
    reply = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with answering(path, reply.encode()):
        lines = run_alone("const error = await failure(new Broker().token({wait: 5}));" + SHOW, path)
    kind = "TryLater" if status.startswith("503") else "BadRequest"
    assert lines[0].startswith(f"{kind} {status[:3]} unexpected_reply") and "does not know" in lines[0]


@needs_root
def test_who_may_not(server, daemon):
    needs_node()
    text = "const error = await failure(new Broker().token({wait: 5}));\n" + SHOW

    def refused(mode):
        d = daemon(server, broker={"socket_mode": mode})
        # A copy of the package where others may read it.
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            shutil.copytree(PACKAGE, os.path.join(folder, "node_modules", "gctoken"))
            return NodeProgram(folder, text, d.socket, user=54321, group=54321).end()[0]

    told(refused("0660"), "BrokerUnreachable 0 unreachable", "54321 may not connect", "group")
    told(refused("0666"), "AccessDenied 403 access_denied", "54321", "allow_users")


def test_where_a_person_has_to_act(d, run):
    d.post("/v1/revoke")
    lines = run("let error = await failure(new Broker().token());\n" + SHOW +
                "console.log(error.retry_after);\n"
                'error = await failure(new Broker({profile: "nobody"}).token());\n' + SHOW)
    told(lines[0], "ActionNeeded 503 revoked", "gctoken refresh --profile default")
    assert lines[1] == "undefined"
    told(lines[2], "BadRequest 404 unknown_profile", "gctoken status")


def test_a_login_that_throttles_is_waited_for(start, server):
    """... or not, if there is no time for it: then the error says when it ends."""
    program = start("""
const broker = new Broker();
const token = await broker.token();
console.log("ready");
await said();
const begun = seconds();
const error = await failure(broker.reject(token, {wait: 1}));
console.log(seconds() - begun);
console.log(error.retry_after >= 1);
""" + SHOW + """
console.log((await broker.reject(token)).generation > token.generation);
process.stdin.destroy();
""")
    assert program.line() == "ready"
    server.revoke(all=True)
    server.fault("token", "answer", times=1, status=429, headers={"Retry-After": "4"}, body="{}")
    program.say()
    lines = program.end()
    assert float(lines[0]) < 3.5 * PATIENCE and lines[1] == "true" and lines[3] == "true"
    told(lines[2], "TryLater 503 temporarily_unavailable", "gctoken why")


# Rejections, and calls that do all of it.

def test_rejections_name_a_token_or_its_text(d, run):
    lines = run("""
const broker = new Broker();
const first = await broker.token();
const second = await broker.reject(first);
for (const again of [first, first.access_token])
  console.log((await broker.reject(again)).generation === second.generation);
const error = await failure(broker.reject(second));
""" + SHOW + "console.log(error instanceof gctoken.TryLater);")
    assert lines[:2] + lines[3:] == ["true"] * 3
    assert lines[2].startswith("RejectCooldown 429 reject_cooldown no token of profile default from /")
    assert d.status()["counters"]["fetches"] == 2


def test_the_text_of_a_token_may_come_from_a_file(d, run):
    """With the end of its line, which is no part of it; and what is no token is not taken for one that
    was replaced long ago."""
    lines = run("""
const broker = new Broker();
const token = await broker.token();
console.log((await broker.reject(token.access_token + "\\n")).generation > token.generation);
for (const text of ["", token.authorization]) console.log((await failure(broker.reject(text))).message);
""")
    assert lines[0] == "true" and len(lines) == 3
    assert all("the text of one" in line for line in lines[1:])
    assert d.status()["counters"]["rejections"] == 1


CALL = """
const broker = new Broker();
const used = [];
const me = (token) => {
  used.push(token.fingerprint);
  return fetch(token.api_url + "/api/v2/users/me", {headers: {Authorization: token.authorization}});
};
"""
REPORT = "console.log((await broker.call(me)).status, used.length, new Set(used).size);"


def statuses(server):
    return [entry["status"] for entry in server.log("api")]


def test_a_call_over_a_revocation(run, server):
    server.revoke(all=True)
    assert run(CALL + REPORT) == ["200 2 2"] and statuses(server) == [401, 200]


def test_a_call_over_an_api_that_learns_late(run, server):
    server.set(known_after=1.5)
    server.revoke(all=True)
    posts = server.posts
    assert run(CALL + REPORT) == ["200 3 2"]
    assert statuses(server)[-3:] == [401, 401, 200] and server.posts == posts + 1


def test_a_call_that_is_refused_for_good_is_made_three_times(run, server):
    """... and what the API said reaches the program; one new token was fetched for it."""
    server.fault("api", "answer", times=-1, status=401, body="{}", path="/api/v2/users/me")
    assert run(CALL + REPORT) == ["401 3 2"]


def test_a_call_waits_as_the_api_says(run, server):
    server.fault("api", "answer", times=2, status=429, headers={"Retry-After": "1"}, body="{}")
    lines = run(CALL + "const begun = seconds();" + REPORT + "console.log(seconds() - begun > 1.9);")
    assert lines == ["200 3 1", "true"]


def test_a_call_is_not_made_for_ever(run, server):
    server.fault("api", "answer", times=-1, status=429, headers={"Retry-After": "0"}, body="{}")
    assert run(CALL + REPORT) == ["429 10 1"]


@pytest.mark.parametrize("seconds", ["301", "3000000"])  # more milliseconds than a timer of Node takes
def test_an_api_that_wants_to_be_left_alone_for_long_is_told_of(run, server, seconds):
    server.fault("api", "answer", status=429, headers={"Retry-After": seconds}, body="{}")
    assert run(CALL + REPORT) == ["429 1 1"]


@pytest.mark.parametrize("status", [403, 500])
def test_what_says_nothing_about_the_token_is_returned_at_once(d, run, server, status):
    server.fault("api", "answer", status=status, body="{}")
    assert run(CALL + REPORT) == [f"{status} 1 1"]
    assert d.status()["counters"]["rejections"] == 0


@pytest.mark.parametrize("refusal", [
    "{response: {status: 401, headers: {}}}",  # of axios
    "{status: 401, headers: {}}", "{statusCode: 401}"])
def test_what_other_clients_throw_is_known(d, run, refusal):
    assert run(f"""
const generations = [];
console.log(await new Broker().call((token) => {{
  generations.push(token.generation);
  if (generations.length === 1) throw Object.assign(new Error("refused"), {refusal});
  return "done";
}}), generations[1] > generations[0]);
""") == ["done true"]
    assert d.status()["counters"]["rejections"] == 1


@pytest.mark.parametrize("returned", [
    "{status: 401}", "{status: 429, headers: {}}", "undefined", "null",
    "{status: 200, headers: {get() { throw new Error('asked for'); }}}",
    "{get headers() { throw new Error('looked at'); }}"])
def test_data_with_a_status_of_its_own_is_no_response(d, run, returned):
    assert run(f"""
const returned = {returned};
let count = 0;
console.log(await new Broker().call(() => {{ count++; return returned; }}) === returned, count);
""") == ["true 1"]


def test_a_response_that_was_read_is_known(d, run, server):
    """Its body is locked then."""
    server.revoke(all=True)
    assert run(CALL + """
const read = async (token) => {
  const response = await me(token);
  response.body.getReader();
  return response;
};
console.log((await broker.call(read)).status, used.length);
""") == ["200 2"]


@pytest.mark.parametrize("thrown", ["new Error('no')", "undefined", "{status: 404}",
                                    "await failure(new Broker({profile: 'x'}).token())"])
def test_what_else_is_thrown_reaches_the_program(run, thrown):
    assert run(f"""
const thrown = {thrown};
let count = 0, found;
try {{ await new Broker().call(() => {{ count++; throw thrown; }}); }} catch (error) {{ found = [error]; }}
console.log(found?.[0] === thrown, count);
""") == ["true 1"]


# The package.

def test_the_package_has_the_projects_version_and_all_its_files():
    with open(os.path.join(PACKAGE, "package.json"), encoding="utf-8") as file:
        package = json.load(file)
    with open(os.path.join(REPOSITORY, "meson.build"), encoding="utf-8") as file:
        assert f"version: '{package['version']}'" in file.read()
    assert "dependencies" not in package
    for target in (path for entry in package["exports"].values() for path in entry.values()):
        assert os.path.exists(os.path.join(PACKAGE, target))


def test_what_is_exported_is_described(run):
    """By index.d.ts and genesys.d.ts, which nothing here reads: each name is in them."""
    names = run("""
const genesys = await import("gctoken/genesys");
console.log(Object.keys(gctoken).join("\\n"));
console.log(Object.keys(genesys).join("\\n"));
for (const kind of [Broker, gctoken.Token])
  console.log(Object.getOwnPropertyNames(kind.prototype).join("\\n"));
console.log(Object.getOwnPropertyNames(await new Broker().token()).join("\\n"));
""")
    described = ""
    for name in ("index.d.ts", "genesys.d.ts"):
        with open(os.path.join(PACKAGE, name), encoding="utf-8") as file:
            described += file.read()
    declared = set(re.findall(r"^(?:export (?:class|const|function|interface)|  readonly|  get|  )"
                              r" ?(\w+)", described, re.M))
    assert len(names) > 25 and set(names) <= declared, set(names) - declared
