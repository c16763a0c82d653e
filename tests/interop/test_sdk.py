"""Genesys Cloud's own SDK for JavaScript takes its tokens from the broker, by the package gctoken and the
program of docs/clients.md."""

import os
import threading
import time

import pytest

from node_program import NodeProgram, install
from snippets import CONVERSATIONS, Reader, assert_the_job_survives
from waiting import wait_until

SDK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node_modules",
                   "purecloud-platform-client-v2")

ATTACHED = """
import platformClient from "purecloud-platform-client-v2";
import {attach} from "gctoken/genesys";
const {inspect} = await import("node:util");
const everything = (value) => inspect(value, {depth: 12, showHidden: true});
const client = await attach(platformClient.ApiClient.instance);
const api = new platformClient.UsersApi();
"""


@pytest.fixture
def reader(fake, daemon, tmp_path):
    d = daemon(fake(conversations=CONVERSATIONS))
    d.token(wait=20)
    os.mkdir(tmp_path / "node_modules")
    os.symlink(SDK, tmp_path / "node_modules" / "purecloud-platform-client-v2")
    return Reader(d, tmp_path)


def start(reader, text):
    """One that is told when to go on."""
    return NodeProgram(reader.folder, ATTACHED + text, reader.daemon.socket,
                       reader.daemon.fake.ca_file)


def run(reader, text):
    lines = start(reader, text).end()
    reader.daemon.assert_no_leak("\n".join(lines), "what the program printed")
    return lines


def statuses(reader):
    return [entry["status"] for entry in reader.daemon.fake.log("api") if entry["method"] != "HEAD"]


def counters(reader):
    found = reader.daemon.status()["counters"]
    return found["rejections"], found["fetches"]


def test_the_sdk_does_the_job(reader):
    assert_the_job_survives(reader, "node", "conversations-sdk.mjs")


def test_each_call_has_the_token_of_the_moment(reader):
    """A token that somebody else had replaced in between is met by the next call without a 401."""
    assert run(reader, """
const broker = new Broker();
for (let i = 0; i < 2; i++) {
  console.log((await api.getUsersMe()).state);
  if (i === 0) await broker.reject(await broker.token());
}
""") == ["active"] * 2
    entries = reader.daemon.fake.log("api")
    assert statuses(reader) == [200] * 2
    assert len({entry["authorization"] for entry in entries}) == 2


def test_many_calls_at_once_report_one_token_once(reader):
    reader.daemon.fake.revoke(all=True)
    assert run(reader, """
const users = await Promise.all(Array.from({length: 20}, () => api.getUsersMe()));
for (const user of users) console.log(user.state);
""") == ["active"] * 20
    assert counters(reader) == (1, 2)


def test_an_api_that_learns_late(reader):
    fake = reader.daemon.fake
    fake.set(known_after=1.5)
    fake.revoke(all=True)
    assert run(reader, "console.log((await api.getUsersMe()).state);") == ["active"]
    assert statuses(reader) == [401, 401, 200] and counters(reader) == (1, 2)


def test_revoked_while_the_login_throttles(reader):
    fake = reader.daemon.fake
    fake.revoke(all=True)
    fake.set(throttle=True)
    threading.Timer(8, fake.set, kwargs={"throttle": False}).start()
    assert run(reader, "console.log((await api.getUsersMe()).state);") == ["active"]
    assert statuses(reader) == [401, 200] and counters(reader)[0] == 1


@pytest.mark.parametrize("revoked", [False, True])
def test_a_broker_that_is_killed_and_back_after_two_seconds(reader, revoked):
    """With nobody to hold its socket meanwhile; while a call waits for another token, or before one."""
    d = reader.daemon
    program = start(reader, """
console.log("attached");
await said();
console.log((await api.getUsersMe()).state);
process.stdin.destroy();
""")
    assert program.line() == "attached"
    if revoked:
        d.fake.revoke(all=True)
        d.fake.fault("token", "hang", times=-1, seconds=600)
        program.say()
        wait_until(lambda: d.status()["waiting"] == 1, "it is held")
        d.fake.clear_faults()
    d.kill()
    if not revoked:
        program.say()
    time.sleep(2)
    d.start()
    assert program.end() == ["active"]
    assert statuses(reader) == ([401, 200] if revoked else [200])


SHOWN = """
for (const extended of [false, true]) {
  client.setReturnExtendedResponses(extended);
  const error = await failure(api.getUsersMe());
  console.log(everything(error).includes("missing.permission"));
  console.log(everything(error));
}
"""


@pytest.mark.parametrize("status, tries", [(404, 1), (403, 1), (401, 3)])
def test_no_error_of_the_api_has_the_token_in_it(reader, status, tries):
    """However deeply one looks into it. 403 and 404 are no reason to reject a token, and for one that is
    refused again no other is fetched: then it is not the token that the API objects to."""
    fake = reader.daemon.fake
    fake.fault("api", "answer", times=-1, status=status, path="/api/v2/users/me",
               body='{"code": "missing.permission"}')
    lines = run(reader, SHOWN)
    assert "Authorization" in "\n".join(lines), "nothing was looked into"
    assert [line for line in lines if line in ("true", "false")] == ["true", "true"]
    assert len(statuses(reader)) == 2 * tries
    assert counters(reader)[1] == (1 if tries == 1 else 2)


def test_no_error_of_the_connection_has_the_token_in_it(reader):
    reader.daemon.fake.fault("api", "close", times=-1)
    lines = run(reader, "console.log(everything(await failure(api.getUsersMe())));")
    assert "taken-from-gctokend" in "\n".join(lines)


def test_the_log_of_the_sdk_has_no_token(reader):
    fake = reader.daemon.fake
    fake.revoke(all=True)
    lines = run(reader, """
client.config.logger.log_level = "trace";
client.config.logger.log_request_body = client.config.logger.log_response_body = true;
client.config.logger.setLogger();
await api.getUsersMe();
""")
    assert "Authorization: [REDACTED]" in "\n".join(lines)


def test_what_was_set_and_is_set_later_stays(reader):
    """Time limit, hooks and gateway are the program's; requests with other credentials are left alone;
    and who attaches twice has each refusal reported once."""
    lines = run(reader, """
client.getHttpClient().setTimeout(12345);
let hooked = 0;
client.getHttpClient().setPreHook(async (config) => {
  hooked += config.timeout === 12345 ? 1 : 100;
  return config;
});
await attach(client);
console.log((await api.getUsersMe()).state, hooked, client.getHttpClient().timeout);
console.log(client.getHttpClient() instanceof platformClient.AbstractHttpClient);
client.setAccessToken("of somebody else");
console.log((await failure(api.getUsersMe())) !== undefined);
client.setGateway({host: "gateway.example"});
await attach(client);
console.log(client.config.gateway.host);
""")
    assert lines == ["active 1 12345", "true", "true", "gateway.example"]
    assert statuses(reader) == [200, 401] and counters(reader) == (0, 1)


@pytest.mark.parametrize("what", ["{}", "undefined", "platformClient"])
def test_what_is_no_api_client_is_refused_in_words(reader, what):
    lines = run(reader, f"""
const error = await failure(attach({what}));
console.log(error.name, error.message.includes("ApiClient.instance"));
""")
    assert lines == ["TypeError true"]
