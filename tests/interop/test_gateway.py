"""Genesys Cloud's own SDK for JavaScript with nothing but its gateway setting: by way of nginx, which
puts the broker's token into its requests."""

import os
import subprocess

import pytest

from daemon import environment
from proxies import Nginx
from snippets import CONVERSATIONS, PROGRAMS
from test_sdk import SDK
from waiting import PATIENCE


@pytest.fixture
def nginx(fake, daemon):
    d = daemon(fake(conversations=CONVERSATIONS))
    d.token(wait=20)
    proxy = Nginx(d)
    yield proxy
    proxy.stop()


def test_the_sdk_lists_its_pages_over_a_revocation(nginx, tmp_path):
    d = nginx.daemon
    text = PROGRAMS["conversations-gateway.mjs"]
    assert "port: 8080" in text
    os.mkdir(tmp_path / "node_modules")
    os.symlink(SDK, tmp_path / "node_modules" / "purecloud-platform-client-v2")
    (tmp_path / "program.mjs").write_text(text.replace("port: 8080", f"port: {nginx.port}"))
    d.fake.fault("api", "revoke", after=1)
    run = subprocess.run(["node", "program.mjs"], cwd=tmp_path, text=True, capture_output=True,
                         timeout=50 * PATIENCE, env=environment(), check=False)
    assert (run.returncode, run.stderr) == (0, "")
    d.assert_no_leak(run.stdout, "what the program printed")
    lines = run.stdout.splitlines()
    assert len(lines) == len(set(lines)) == CONVERSATIONS
    assert [one["status"] for one in d.fake.log("api")] == [200, 401, 200, 200]
    counters = d.status()["counters"]
    assert (counters["rejections"], counters["fetches"]) == (1, 2)
