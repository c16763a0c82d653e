"""The login server's answers, with the words Genesys Cloud uses."""

import math
from email.utils import formatdate
from urllib.parse import parse_qs

from .logins import Refused
from .message import Answer, Request

# How Genesys Cloud says it; `description` is its own, `error_description` is OAuth's.
WRONG_SECRET = (401, "invalid_client", "authentication failed")
NO_SUCH_CLIENT = (400, "invalid_client", "client not found")
TOO_MANY = (400, "invalid_request", "rate limit exceeded, please try again later")

GRANTS = ("client_credentials", "authorization_code", "refresh_token")


def oauth_error(status: int, error: str, words: str, headers=None) -> Answer:
    return Answer.of_json(status, {"error": error, "description": words,
                                   "error_description": words}, headers)


class Login:
    def __init__(self, settings, clients, tokens, logins, authorize):
        self._settings = settings
        self._clients = clients
        self._tokens = tokens
        self._logins = logins
        self._authorize = authorize
        self._recent: dict[str, list[float]] = {}

    def reset(self) -> None:
        self._recent = {}

    def authenticate(self, request: Request):
        return self._clients.authenticate(request.header("Authorization"), request.body)

    def answer(self, request: Request, auth, issuer: str, now: float) -> tuple[Answer, object]:
        """The answer at `now` by the server's clock, and the token in it or None."""
        if request.path in ("/oauth/authorize", "/oauth/authorize/answer"):
            return self._authorize.answer(request, issuer, now), None
        if request.path != "/oauth/token":
            return self._page(request), None
        if request.method == "HEAD":
            return Answer(self._settings.head_status), None
        if request.method != "POST":
            return oauth_error(405, "invalid_request", "method not allowed",
                               {"Allow": "POST, HEAD"}), None
        refusal = self._refusal(request, auth, now)
        if refusal is not None:
            return refusal, None
        form = parse_qs(request.body.decode("latin-1"))
        try:
            login, refresh_token = self._login_of(form, auth[1], now)
        except Refused as error:
            return oauth_error(400, "invalid_grant", str(error)), None
        token, expires_in = self._tokens.issue(auth[1], now, login.number if login else 0)
        members = {"access_token": token.text, "token_type": "bearer", "expires_in": expires_in}
        if refresh_token:
            members["refresh_token"] = refresh_token
        return Answer.of_json(200, members, {"Cache-Control": "no-store",
                                             "Pragma": "no-cache"}), token

    def _login_of(self, form: dict, client, now: float):
        """The person's login that the request is for, None if the client asks for itself, and the
        refresh token to tell, if any."""
        one = {name: values[0] if len(values) == 1 else None for name, values in form.items()}
        if one["grant_type"] == "authorization_code":
            return self._logins.use_code(client, one.get("code") or "", one.get("redirect_uri"),
                                         one.get("code_verifier"), now)
        if one["grant_type"] == "refresh_token":
            return self._logins.use_refresh_token(client, one.get("refresh_token") or "", now)
        return None, None

    def _page(self, request: Request) -> Answer:
        if request.path != "/":
            return Answer(404, b"not found\n", {"Content-Type": "text/plain"})
        if request.method not in ("GET", "HEAD"):
            return Answer(405, b"method not allowed\n", {"Allow": "GET, HEAD",
                                                         "Content-Type": "text/plain"})
        return Answer(self._settings.head_status if request.method == "HEAD" else 200,
                      b"fake Genesys Cloud\n", {"Content-Type": "text/plain"})

    def _refusal(self, request: Request, auth, now: float) -> Answer | None:
        verdict, client, client_id = auth
        if self._settings.throttle or self._over_limit(client_id, now):
            return self._too_many(now)
        if verdict in ("wrong secret", "disabled client"):
            return oauth_error(*WRONG_SECRET)
        if verdict == "unknown client":
            return oauth_error(*NO_SUCH_CLIENT)
        if client is None:
            return oauth_error(400, "invalid_client", "client credentials are missing")
        media_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
        if media_type != "application/x-www-form-urlencoded":
            return oauth_error(400, "invalid_request", "content type not supported")
        grants = parse_qs(request.body.decode("latin-1")).get("grant_type", [])
        if len(grants) != 1:
            return oauth_error(400, "invalid_request", "grant_type is needed once")
        if grants[0] not in GRANTS:
            return oauth_error(400, "unsupported_grant_type", "grant type not supported")
        if client.secret is None and (grants[0] == "client_credentials" or (
                grants[0] == "refresh_token" and not self._settings.public_refresh)):
            return oauth_error(400, "unauthorized_client", "client has no secret")
        return None

    def _over_limit(self, client_id: str, now: float) -> bool:
        limit, window = self._settings.rate_limit, self._settings.rate_window
        if not limit:
            return False
        # A list that is replaced, never changed: no lock needed between threads, and what two
        # requests of the same instant may lose is one count in a limit that is an imitation.
        recent = [at for at in self._recent.get(client_id, []) if now - window < at <= now]
        if len(recent) >= limit:
            return True
        self._recent[client_id] = recent + [now]
        return False

    def _too_many(self, now: float) -> Answer:
        form, wait = self._settings.retry_after_form, self._settings.retry_after
        headers = {}
        if form == "seconds":
            headers["Retry-After"] = str(math.ceil(wait))
        elif form == "date":
            headers["Retry-After"] = formatdate(math.ceil(now + wait), usegmt=True)
        status = int(self._settings.throttle_status)
        return oauth_error(status, TOO_MANY[1], TOO_MANY[2], headers)
