"""The rows of the table: what was to be reached, and what was measured."""

import sys
import threading
import time
import traceback

BEGUN = time.monotonic()


class Rows:
    def __init__(self):
        self._rows: list[tuple[bool, str, str, str]] = []
        self._lock = threading.Lock()
        self._out = sys.stdout

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - BEGUN:5.0f} s] {text}", file=self._out, flush=True)

    def add(self, name: str, reach: str, measured: str, reached: bool) -> None:
        with self._lock:
            self._rows.append((reached, name, reach, measured))
        self.say(f"{'ok  ' if reached else 'FAIL'} {name}: {measured} ({reach})")

    def broken(self, name: str, error: BaseException) -> None:
        self.say("".join(traceback.format_exception(error)))
        self.add(name, "an end", f"{type(error).__name__}", False)

    def end(self) -> int:
        """The table; the exit status."""
        failed = sum(not row[0] for row in self._rows)
        lines = ["", "| | Reach | Measured |", "|---|---|---|"]
        for reached, name, reach, measured in self._rows:
            lines.append(f"| {name} | {reach} | {'' if reached else '**NOT REACHED** '}{measured} |")
        lines += ["", f"{len(self._rows) - failed} of {len(self._rows)} reached"]
        print("\n".join(lines), file=self._out, flush=True)
        return 1 if failed or not self._rows else 0
