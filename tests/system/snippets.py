"""The programs of docs/clients.md, by the file name that stands behind each one's language."""

import os
import re
import subprocess

from daemon import environment
import node_program
from fake import REPOSITORY
from waiting import PATIENCE

with open(os.path.join(REPOSITORY, "docs", "clients.md"), encoding="utf-8") as page:
    DOCUMENT = page.read()

PROGRAMS = {m.group(1): m.group(2) for m in
            re.finditer(r"^```\w+ ([\w.-]+)\n(.*?)^```$", DOCUMENT, re.M | re.S)}

# Where Python finds the package and Genesys' SDK: a stand-in, unless GCTOKEN_PYTHON_SDK says where the
# SDK and what it needs are, in folders with : between them.
PYTHON_PATH = os.pathsep.join([
    os.path.join(REPOSITORY, "client-lib", "python"),
    os.environ.get("GCTOKEN_PYTHON_SDK") or os.path.join(REPOSITORY, "tests", "system",
                                                         "sdk_standin")])

# Where Go finds a stand-in of Genesys' SDK.
GO_STANDIN = os.path.join(REPOSITORY, "tests", "system", "sdk_standin_go")

CONVERSATIONS = 250  # three pages of them


class Reader:
    """Somebody who copied the programs into a folder and runs them there. What they print is shown
    in no failure: it could be a token."""

    def __init__(self, daemon, folder):
        self.daemon = daemon
        self.folder = str(folder)
        for name, text in PROGRAMS.items():
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        node_program.install(self.folder)

    def run(self, *command, code=0, **env):
        """Its output, in which there is no token and no secret; nor is there one in its errors."""
        ca_file = self.daemon.fake.ca_file
        run = subprocess.run(
            command, cwd=self.folder, text=True, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=50 * PATIENCE, check=False, env=environment(**{
                "GCTOKEN_SOCKET": self.daemon.socket, "HOME": self.folder,
                "CURL_CA_BUNDLE": ca_file, "SSL_CERT_FILE": ca_file, "GCTOKEN_CA_FILE": ca_file,
                "NODE_EXTRA_CA_CERTS": ca_file, "PYTHONPATH": PYTHON_PATH,
                "PYTHONDONTWRITEBYTECODE": "1", **env}))
        self.daemon.assert_no_leak(run.stdout, f"what {command[0]} printed")
        self.daemon.assert_no_leak(run.stderr, f"the errors of {command[0]}")
        assert run.returncode == code, f"{command[0]} ended with {run.returncode}: {run.stderr}"
        return run.stdout


def assert_the_job_survives(reader, *command):
    """All conversations once and in order, although the token ends before the second page and the
    API is too busy for the third; with one report and one new token."""
    d = reader.daemon
    fetches = d.status()["counters"]["fetches"]
    before = len(d.fake.log("api"))
    d.fake.fault("api", "revoke", after=1)
    d.fake.fault("api", "answer", after=2, status=429, headers={"Retry-After": "1"}, body="{}")
    lines = reader.run(*command).splitlines()
    assert len(lines) == len(set(lines)) == CONVERSATIONS
    statuses = [entry["status"] for entry in d.fake.log("api")[before:]]
    assert statuses == [200, 401, 200, 429, 200]
    counters = d.status()["counters"]
    assert (counters["rejections"], counters["fetches"]) == (1, fetches + 1)
