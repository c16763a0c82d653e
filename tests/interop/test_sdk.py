"""Genesys Cloud's own SDK for JavaScript takes its tokens from the broker, by the programs of
docs/clients.md."""

import os

import pytest

from snippets import CONVERSATIONS, Reader, assert_the_job_survives

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture
def reader(fake, daemon, tmp_path):
    d = daemon(fake(conversations=CONVERSATIONS))
    d.token(wait=20)
    os.symlink(os.path.join(HERE, "node_modules"), tmp_path / "node_modules")
    return Reader(d, tmp_path)


def sdk(reader, text, code=0):
    return reader.run("node", "--input-type=module", "-e",
                      'import platformClient, {withToken} from "./genesys.mjs";' + text, code=code)


def test_the_sdk_does_the_job(reader):
    assert_the_job_survives(reader, "node", "conversations-sdk.mjs")


def test_each_call_has_the_token_of_the_moment(reader):
    """A token that somebody else had replaced in between is met by the next call without a 401."""
    d = reader.daemon
    output = sdk(reader, """
import {getToken, rejectToken} from "./gctoken.mjs";
const api = new platformClient.UsersApi();
for (let i = 0; i < 2; i++) {
  const user = await withToken(() => api.getUsersMe());
  console.log(user.state);
  if (i === 0) await rejectToken(await getToken());
}
""")
    assert output == "active\n" * 2
    entries = d.fake.log("api")
    assert [entry["status"] for entry in entries] == [200] * 2
    assert len({entry["authorization"] for entry in entries}) == 2


def test_many_calls_at_once_report_one_token_once(reader):
    d = reader.daemon
    d.fake.revoke(all=True)
    output = sdk(reader, """
const api = new platformClient.UsersApi();
const users = await Promise.all(Array.from({length: 20}, () => withToken(() => api.getUsersMe())));
console.log(users.map((user) => user.state).join(" "));
""")
    assert output.split() == ["active"] * 20
    counters = d.status()["counters"]
    assert counters["fetches"] == 2 and 1 <= counters["rejections"] <= 20


@pytest.mark.parametrize("status, words", [(404, "404"), (403, "missing.permission")])
def test_an_error_of_the_api_is_told_without_the_token(reader, status, words):
    """Reader.run looks for the token in what node writes of an error that nobody caught."""
    reader.daemon.fake.fault("api", "answer", times=-1, status=status,
                             body='{"code": "missing.permission"}')
    sdk(reader, """
await withToken(() => new platformClient.UsersApi().getUsersMe()).catch((error) => {
  console.log(error);
  process.exit(error.message.includes("%s") ? 3 : 4);
});
""" % words, code=3)
    counters = reader.daemon.status()["counters"]
    assert (counters["rejections"], counters["fetches"]) == (0, 1)


def test_a_token_that_is_refused_again_is_not_reported_twice(reader):
    """Then it is not the token that the API objects to."""
    reader.daemon.fake.fault("api", "answer", times=-1, status=401, body="{}")
    sdk(reader, "await withToken(() => new platformClient.UsersApi().getUsersMe())", code=1)
    assert [entry["status"] for entry in reader.daemon.fake.log("api")] == [401, 401]
    assert reader.daemon.status()["counters"]["rejections"] == 1
