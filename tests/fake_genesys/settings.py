"""Every setting in one table: it makes the command line options, the control channel's /set and
the defaults. A change is checked whole before any of it counts."""

import math
import re
import threading
from dataclasses import dataclass
from typing import Any, Callable


class SettingError(ValueError):
    """A name or a value that is not allowed; the text says what is."""


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise SettingError("a number is wanted")
    try:
        number = float(value)
    except ValueError:
        raise SettingError("a number is wanted") from None
    if not math.isfinite(number):
        raise SettingError("a finite number is wanted")
    return number


def signed(value: Any) -> float:
    return _number(value)


def seconds(value: Any) -> float:
    number = _number(value)
    if number < 0:
        raise SettingError("0 or more is wanted")
    return number


def count(value: Any) -> int:
    number = _number(value)
    if number < 0 or number != int(number):
        raise SettingError("a whole number of 0 or more is wanted")
    return int(number)


def yes_no(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("yes", "no"):
        return value == "yes"
    raise SettingError("yes or no (in JSON: true or false) is wanted")


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise SettingError("a text is wanted")
    return value


def choice(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if str(value) not in allowed:
            raise SettingError(f"one of {', '.join(allowed)} is wanted")
        return str(value)

    return parse


def offsets(value: Any) -> list[float]:
    """A list of numbers, or text with commas between them."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not items:
        raise SettingError("at least one number is wanted, with commas between them")
    return [_number(item) for item in items]


def steps(value: Any) -> list[tuple[float, float]]:
    """Pairs of (seconds after the start, seconds to step), or text AFTER:AMOUNT,AFTER:AMOUNT."""
    if isinstance(value, str):
        items = [item.split(":") for item in value.split(",") if item]
    else:
        items = value
    if not isinstance(items, list):
        raise SettingError("AFTER:AMOUNT pairs with commas between them are wanted")
    pairs = []
    for item in items:
        if not isinstance(item, (list, tuple)) or len(item) != 2:
            raise SettingError("AFTER:AMOUNT pairs with commas between them are wanted")
        pairs.append((seconds(item[0]), _number(item[1])))
    return pairs


def claims(value: Any) -> list[str]:
    items = [item for item in value.split(",") if item] if isinstance(value, str) else value
    if not isinstance(items, list) or any(item not in ("iat", "nbf", "exp") for item in items):
        raise SettingError("a list out of iat, nbf, exp is wanted (it may be empty)")
    return items


def headers(value: Any) -> dict[str, str]:
    """A JSON object, or text `Name: value` with | between several."""
    if isinstance(value, str):
        fields = {}
        for line in filter(None, value.split("|")):
            name, colon, content = line.partition(":")
            if not colon:
                raise SettingError("`Name: value` is wanted, with | between several")
            fields[name.strip()] = content.strip()
    else:
        fields = value
    if not isinstance(fields, dict):
        raise SettingError("an object of names and values is wanted")
    for name, content in fields.items():
        if not isinstance(content, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise SettingError(f"{name!r} is no header field's name with a text as its value")
    return dict(fields)


@dataclass(frozen=True)
class Setting:
    name: str
    parse: Callable[[Any], Any]
    default: Any
    metavar: str
    help: str


@dataclass(frozen=True)
class Group:
    title: str
    settings: tuple[Setting, ...]


GROUPS = (
    Group("the server's clock", (
        Setting("clock_offset", signed, 0.0, "S", "seconds it is ahead of this machine's"),
        Setting("clock_drift", signed, 0.0, "PPM", "how much faster it runs, in parts per million"),
        Setting("clock_steps", steps, [], "AFTER:S,...",
                "steps of S seconds, AFTER seconds from the start, e.g. 60:+30,120:-5"),
        Setting("clocks", offsets, [0.0], "S,S,...",
                "a cluster: the offsets of its servers' clocks, which answer in turn"),
        Setting("clock_rotation", choice("request", "connection"), "request", "WHAT",
                "request or connection: what moves on to the cluster's next server"),
        Setting("api_clock_offset", signed, 0.0, "S", "how far the API's clock is ahead of the "
                "login server's"),
        Setting("date", choice("live", "none"), "live", "HOW", "live or none: the Date header"),
        Setting("date_stale", seconds, 0.0, "S", "the Date header is made only once every "
                "S seconds and is up to S old"),
    )),
    Group("delays of every answer, in seconds", (
        Setting("delay_request", seconds, 0.0, "S", "before the request is read"),
        Setting("delay_work", seconds, 0.0, "S", "between reading the request and deciding: the "
                "Date and the token are made after it"),
        Setting("delay_answer", seconds, 0.0, "S", "between deciding and the answer's first byte"),
        Setting("delay_body", seconds, 0.0, "S", "between the header and the body"),
    )),
    Group("tokens", (
        Setting("lifetime", count, 86400, "S", "expires_in of new tokens (a client's own lifetime "
                "comes first)"),
        Setting("known_after", seconds, 0.0, "S", "the API refuses tokens that are younger than "
                "this, as if it had not heard of them yet"),
        Setting("dies_after", seconds, 0.0, "S", "the API refuses tokens that are older than this, "
                "whatever expires_in said; 0: no"),
        Setting("idle_timeout", seconds, 0.0, "S", "the API refuses tokens not used for so long; "
                "0: no"),
        Setting("token_format", choice("opaque", "jwt"), "opaque", "FORM",
                "opaque (86 characters) or jwt (three parts; nobody can verify the signature)"),
        Setting("jwt_claims", claims, ["iat", "nbf", "exp"], "LIST", "the times a JWT names"),
        Setting("jwt_iat_offset", signed, 0.0, "S", "moves iat; -300: backdated, 5: in the future"),
        Setting("jwt_nbf_offset", signed, 0.0, "S", "moves nbf"),
        Setting("jwt_exp_offset", signed, 0.0, "S", "moves exp"),
        Setting("same_token", choice("no", "remaining", "full"), "no", "HOW",
                "a client with a live token gets that one again, with the expires_in that remains, "
                "or the full one"),
        Setting("max_live", count, 0, "N", "a client's live tokens; one more evicts its oldest; "
                "0: no limit"),
    )),
    Group("logins of people", (
        Setting("consent", choice("given", "denied", "asked"), "given", "WHAT",
                "what the person answers: given, denied, or asked: the page has two buttons"),
        Setting("consent_error", text, "access_denied", "CODE",
                "the error that goes back on a denial"),
        Setting("consent_words", text, "The user denied the request", "WORDS",
                "and its error_description"),
        Setting("state_echo", choice("same", "wrong", "none"), "same", "HOW",
                "the state that goes back: same, wrong or none"),
        Setting("answer_iss", choice("none", "right", "wrong"), "none", "HOW",
                "the iss that goes back (RFC 9207): none, right or wrong"),
        Setting("redirect_port", choice("any", "exact"), "any", "HOW",
                "whether a registered loopback redirect_uri may come with another port"),
        Setting("code_lifetime", seconds, 60.0, "S", "how long a code is good; 0: expired "
                "from the start"),
        Setting("refresh_tokens", choice("rotate", "keep", "omit", "none"), "rotate", "HOW",
                "rotate: each refresh brings a new one, and the old one used again ends the login; "
                "keep: the same one comes again; omit: a refresh brings none, the first stays good; "
                "none: there are none at all, as with an idle timeout at Genesys Cloud"),
        Setting("public_refresh", yes_no, False, "yes|no",
                "whether public clients have refresh tokens; at Genesys Cloud they do not"),
        Setting("refresh_lifetime", seconds, 0.0, "S", "refresh tokens older than this are refused; "
                "0: none is"),
    )),
    Group("refusals", (
        Setting("throttle", yes_no, False, "yes|no", "refuse every token request as too many"),
        Setting("rate_limit", count, 0, "N", "refuse a client's token requests over N in "
                "rate-window; 0: no limit"),
        Setting("rate_window", seconds, 60.0, "S", "the window of rate-limit"),
        Setting("throttle_status", choice("400", "429"), "400", "STATUS",
                "how: 400 (as Genesys Cloud's login does) or 429"),
        Setting("retry_after", seconds, 0.0, "S", "what Retry-After says"),
        Setting("retry_after_form", choice("none", "seconds", "date"), "none", "FORM",
                "none, seconds, or date (an HTTP date by the server's clock)"),
        Setting("api_rate_limit", count, 0, "N", "refuse API calls over N in 60 s with one token; "
                "0: no limit"),
        Setting("expired_code", choice("bad.credentials", "credentials.expired"),
                "bad.credentials", "CODE", "the API's code for a token that has expired"),
    )),
    Group("answers", (
        Setting("head_status", count, 200, "STATUS", "the status of HEAD at the login server"),
        Setting("keep_alive", seconds, 75.0, "S", "how long an idle connection stays open; 0: "
                "closed after each answer"),
        Setting("entities", count, 60, "N", "how many entries the API's paged lists have"),
        Setting("conversations", count, 1, "N", "how many conversations the API's query "
                "finds"),
        Setting("headers", headers, {}, "FIELDS", "more header fields for every answer, "
                "e.g. `Age: 5|Via: 1.1 proxy`"),
    )),
)

TABLE = {setting.name: setting for group in GROUPS for setting in group.settings}


class Settings:
    """The values now. Reading one is an attribute; `update` is all or nothing."""

    def __init__(self, start: dict[str, Any] | None = None):
        self._lock = threading.Lock()
        self._start = {name: setting.default for name, setting in TABLE.items()}
        self._start.update(self._checked(start or {}))
        self._now = dict(self._start)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_now"][name]
        except KeyError:
            raise AttributeError(name) from None

    @staticmethod
    def _checked(changes: dict[str, Any]) -> dict[str, Any]:
        checked = {}
        for name, value in changes.items():
            if name not in TABLE:
                raise SettingError(f"{name}: there is no such setting; there are: "
                                   + ", ".join(sorted(TABLE)))
            try:
                checked[name] = TABLE[name].parse(value)
            except SettingError as error:
                raise SettingError(f"{name}: {error}") from None
        return checked

    def update(self, changes: dict[str, Any]) -> None:
        checked = self._checked(changes)
        with self._lock:
            self._now = {**self._now, **checked}

    def reset(self) -> None:
        with self._lock:
            self._now = dict(self._start)

    def as_dict(self) -> dict[str, Any]:
        return dict(self._now)
