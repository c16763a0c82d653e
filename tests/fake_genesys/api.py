"""The API: it knows a few resources, and whether a token is good by its own clock."""

import json
import uuid

from .message import Answer, Request


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
        start = query["interval"].partition("/")[0]
        return Answer.of_json(200, {"totalHits": 1, "conversations": [{
            "conversationId": str(uuid.uuid5(uuid.NAMESPACE_DNS, "conversation")),
            "conversationStart": start, "participants": []}]})
