"""The process of load.py, for a test."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field

LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py")


@dataclass
class Outcome:
    plain: dict = field(default_factory=dict)
    library: dict = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def asked(self) -> int:
        return self.plain["asked"] + self.library["asked"]

    @property
    def rate(self) -> float:
        return self.asked / self.seconds

    @property
    def failed(self) -> list[str]:
        return self.plain["failed"] + self.library["failed"]

    @property
    def slowest(self) -> float:
        return max(self.plain["slowest"], self.library["slowest"])

    @property
    def generations(self) -> set[int]:
        return {*self.plain["generations"], *self.library["generations"]}


@contextlib.contextmanager
def load(socket: str, rate: float = 500, connections: int = 8):
    """Runs during the block; what it found is in the object yielded, after it."""
    outcome = Outcome()
    process = subprocess.Popen([sys.executable, "-I", LOAD, socket, str(rate), str(connections)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield outcome
        text, _ = process.communicate(timeout=180)
        found = json.loads(text)
        outcome.plain, outcome.library = found["plain"], found["library"]
        outcome.seconds = found["seconds"]
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
