"""What HTTP clients tell of an API's response, by an exception or by what they return."""

from __future__ import annotations

import re
from typing import Any


def _response_of(outcome: object) -> Any:
    """What has the status and the headers: of an exception of requests its response, else itself."""
    response = getattr(outcome, "response", None)
    return outcome if response is None else response


def status_of(error: BaseException) -> int:
    """The HTTP status that an exception of urllib, requests, httpx or the SDK stands for, else 0."""
    response = _response_of(error)
    for name in ("status_code", "status", "code"):
        status = getattr(response, name, None)
        if isinstance(status, int):
            return status
    return 0


def status_of_result(result: object) -> int:
    """The HTTP status of a response of requests or httpx that nobody has asked to raise, else 0."""
    status = getattr(result, "status_code", None)
    return status if isinstance(status, int) and hasattr(result, "raise_for_status") else 0


def retry_after_of(outcome: object) -> float:
    """Seconds for which the API wants to be left alone; 10 if it does not say."""
    try:
        headers = dict(getattr(_response_of(outcome), "headers", None) or {})
    except (TypeError, ValueError):  # none as we know them
        headers = {}
    for name, value in headers.items():
        if str(name).lower() == "retry-after" and re.fullmatch(r"\s*[0-9]+\s*", str(value)):
            return float(value)
    return 10.0
