"""The API: it knows a few resources, and whether a token is good by its own clock."""

import json
import uuid
from urllib.parse import parse_qsl

from .message import Answer, Request

ENTITIES_PER_PAGE = 500
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
            "/api/v2/routing/queues": {"GET": self._queues},
            "/api/v2/routing/skillgroups": {"GET": self._skill_groups},
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

    def _entities(self, kind: str, page: range) -> list[dict]:
        return [{"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{kind}-{one}")),
                 "name": f"{kind} {one + 1}, \"Zürich\" [{{", "memberCount": one,
                 "selfUri": f"/api/v2/routing/{kind}s/{one}"} for one in page]

    def _queues(self, request: Request, token) -> Answer:
        """A list with numbered pages."""
        query = dict(parse_qsl(request.target.partition("?")[2]))
        numbers = [query.get("pageSize", "25"), query.get("pageNumber", "1")]
        if not all(one.isascii() and one.isdigit() and int(one) > 0 for one in numbers) \
                or int(numbers[0]) > ENTITIES_PER_PAGE:
            return api_error(400, "bad.request",
                             f"pageSize: 1 to {ENTITIES_PER_PAGE}, pageNumber: 1 or more.")
        size, number, total = int(numbers[0]), int(numbers[1]), self._settings.entities
        page = range((number - 1) * size, min(number * size, total))
        count = -(-total // size)

        def uri(which: int) -> str:
            return f"/api/v2/routing/queues?pageSize={size}&pageNumber={which}"

        found = {"entities": self._entities("queue", page), "pageSize": size, "pageNumber": number,
                 "total": total, "firstUri": uri(1), "lastUri": uri(max(count, 1)),
                 "selfUri": uri(number), "pageCount": count}
        if number < count:
            found["nextUri"] = uri(number + 1)
        return Answer.of_json(200, found)

    def _skill_groups(self, request: Request, token) -> Answer:
        """A list whose pages are found by a cursor."""
        query = dict(parse_qsl(request.target.partition("?")[2]))
        size, after = query.get("pageSize", "25"), query.get("after", "0=")
        if not size.isdigit() or not 1 <= int(size) <= ENTITIES_PER_PAGE \
                or not after.endswith("=") or not after[:-1].isdigit():
            return api_error(400, "bad.request", "pageSize or after is wrong.")
        total, start = self._settings.entities, int(after[:-1])
        page = range(start, min(start + int(size), total))
        found = {"entities": self._entities("skillgroup", page),
                 "selfUri": f"/api/v2/routing/skillgroups?pageSize={size}"}
        if page and page.stop < total:
            found["nextUri"] = f"{found['selfUri']}&after={page.stop}%3D"
        return Answer.of_json(200, found)

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
