"""The API: it knows a few resources, and whether a token is good by its own clock."""

import json
import uuid

from .message import Answer, Request

CONVERSATIONS_PER_PAGE = 100


def api_error(status: int, code: str, words: str, headers=None) -> Answer:
    return Answer.of_json(status, {"message": words, "code": code, "status": status,
                                   "contextId": str(uuid.uuid4()), "details": [], "errors": []},
                          headers)


class Api:
    def __init__(self, settings, tokens):
        self._settings = settings
        self._tokens = tokens

    def answer(self, request: Request, now: float) -> tuple[Answer, str, object]:
        """The answer at `now` by the API's clock, the verdict on the token, and the token."""
        scheme, _, text = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            return api_error(401, "authentication.required",
                             "No authentication bearer token specified in authorization header."
                             ), "missing", None
        verdict, token = self._tokens.use(text.strip(), now)
        if verdict == "too many calls":
            return api_error(429, "too.many.requests", "Rate limit exceeded the maximum.",
                             {"Retry-After": "60"}), verdict, token
        if verdict == "expired":
            return api_error(401, self._settings.expired_code, "Invalid login credentials."
                             ), verdict, token
        if verdict != "ok":
            return api_error(401, "bad.credentials", "Invalid login credentials."), verdict, token
        return self._resource(request, token), verdict, token

    def _resource(self, request: Request, token) -> Answer:
        routes = {
            "/api/v2/tokens/me": {"GET": self._token_me, "HEAD": self._token_me,
                                  "DELETE": self._token_delete},
            "/api/v2/users/me": {"GET": self._user_me},
            "/api/v2/analytics/conversations/details/query": {"POST": self._conversations},
        }
        methods = routes.get(request.path)
        if methods is None:
            return api_error(404, "not.found", "The requested resource was not found.")
        if request.method not in methods:
            return api_error(405, "method.not.allowed", "The method is not allowed here.",
                             {"Allow": ", ".join(methods)})
        return methods[request.method](request, token)

    def _token_me(self, request: Request, token) -> Answer:
        organization = {"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, "organization")), "name": "fake"}
        return Answer.of_json(200, {"organization": organization, "homeOrganization": organization,
                                    "authorizedScope": [], "OAuthClient": {
                                        "id": token.client_id, "organization": organization}})

    def _token_delete(self, request: Request, token) -> Answer:
        self._tokens.revoke(text=token.text)
        return Answer(200)

    def _user_me(self, request: Request, token) -> Answer:
        return Answer.of_json(200, {
            "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, token.client_id)), "name": "Fake User",
            "email": "fake.user@example.invalid", "state": "active", "version": 1,
            "selfUri": "/api/v2/users/me"})

    def _conversations(self, request: Request, token) -> Answer:
        try:
            query = json.loads(request.body)
        except ValueError:
            query = None
        if not isinstance(query, dict):
            return api_error(400, "bad.request", "The request body is not a JSON object.")
        if not isinstance(query.get("interval"), str) or "/" not in query["interval"]:
            return api_error(400, "bad.request", "interval: START/END is needed.")
        paging = query.get("paging", {})
        size, number = (paging.get(name, default) if isinstance(paging, dict) else None
                        for name, default in (("pageSize", 25), ("pageNumber", 1)))
        if type(size) is not int or not 1 <= size <= CONVERSATIONS_PER_PAGE:
            return api_error(400, "bad.request",
                             f"paging.pageSize: 1 to {CONVERSATIONS_PER_PAGE} is allowed.")
        if type(number) is not int or number < 1:
            return api_error(400, "bad.request", "paging.pageNumber: 1 or more is wanted.")
        start, total = query["interval"].partition("/")[0], self._settings.conversations
        found: dict = {"totalHits": total}
        page = range((number - 1) * size, min(number * size, total))
        if page:  # behind the last one there is no such member, not an empty one
            found["conversations"] = [{
                "conversationId": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"conversation-{one}")),
                "conversationStart": start, "participants": []} for one in page]
        return Answer.of_json(200, found)
