"""Programs in Node.js that use the package gctoken."""

import os
import shutil
import subprocess

import pytest

from daemon import environment
from fake import REPOSITORY
from waiting import PATIENCE

PACKAGE = os.path.join(REPOSITORY, "client-lib", "node")


def needs_node():
    if not shutil.which("node"):
        pytest.skip("node is not there")


def install(folder, *packages):
    """As npm does it with a folder: a link. More of them by their path."""
    modules = os.path.join(folder, "node_modules")
    os.makedirs(modules, exist_ok=True)
    for name, path in [("gctoken", PACKAGE), *((os.path.basename(one), one) for one in packages)]:
        os.symlink(path, os.path.join(modules, name))


class NodeProgram:
    """Runs; `socket` is what GCTOKEN_SOCKET names. It has Broker and the errors from the start."""

    PRELUDE = """
import * as gctoken from "gctoken";
import {setTimeout as sleep} from "node:timers/promises";
const {Broker, BrokerError} = gctoken;
const seconds = () => performance.now() / 1000;
const failure = async (promise) => {
  try { await promise; } catch (error) { return error; }
  throw new Error("it did not fail");
};
const said = () => new Promise((resolve) => process.stdin.once("data", resolve));
"""

    def __init__(self, folder, text, socket, ca_file="", **options):
        self._process = subprocess.Popen(
            ["node", "--input-type=module", "-e", self.PRELUDE + text], cwd=folder, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(GCTOKEN_SOCKET=socket, NODE_EXTRA_CA_CERTS=ca_file), **options)

    def line(self):
        """The next one that it prints."""
        return self._process.stdout.readline().rstrip("\n")

    def say(self):
        """What `await said()` waits for."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self):
        """What else it printed, by lines; it succeeded, and had nothing to complain about."""
        out, err = self._process.communicate(timeout=50 * PATIENCE)
        assert (self._process.returncode, err) == (0, ""), err
        return out.splitlines()
