"""What the exceptions of HTTP clients tell of an API's response."""

from __future__ import annotations

from typing import Any


def _response_of(error: BaseException) -> Any:
    """What has the status and the headers: in requests the response, elsewhere the exception."""
    response = getattr(error, "response", None)
    return error if response is None else response


def status_of(error: BaseException) -> int:
    """The HTTP status that an exception of urllib, requests, httpx or the SDK stands for, else 0."""
    response = _response_of(error)
    for name in ("status_code", "status", "code"):
        status = getattr(response, name, None)
        if isinstance(status, int):
            return status
    return 0


def retry_after_of(error: BaseException) -> float:
    """Seconds for which the API wants to be left alone; 10 if it does not say."""
    headers = getattr(_response_of(error), "headers", None) or {}
    for name in headers:
        if name.lower() == "retry-after" and headers[name].strip().isdigit():
            return float(headers[name])
    return 10.0
