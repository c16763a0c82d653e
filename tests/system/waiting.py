"""Waiting for conditions, with a deadline; never for time to pass."""

import os
import time
from typing import Callable, TypeVar

T = TypeVar("T")

# Under valgrind or on a slow machine: GCTOKEN_TEST_PATIENCE=10 makes every deadline ten times it.
PATIENCE = float(os.environ.get("GCTOKEN_TEST_PATIENCE", "1"))


def wait_until(condition: Callable[[], T], what: str, timeout: float = 10.0,
               pause: float = 0.005) -> T:
    """Its first true value. `what` completes the sentence `... did not come true in N s`."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come true in {timeout * PATIENCE:g} s")
        time.sleep(pause)
