"""NOT Genesys' SDK: a stand-in with its interface, as far as gctoken.genesys and programs of
docs/clients.md use it, for tests on machines without the SDK. It was written from the SDK's
documentation and from what its versions 183 to 257 can be seen to do: which calls there are and
where, what they accept, what they raise, when hooks run, and that request headers are changed on the
way and logged afterwards. It shows that the program does what it should with such an SDK, and
nothing about versions that differ: GCTOKEN_PYTHON_SDK=FOLDER has the same tests use the SDK itself."""

from . import rest
from .api_client import ApiClient
from .configuration import Configuration

configuration = Configuration()


class PagingSpec:
    """A model."""

    attribute_map = {"page_size": "pageSize", "page_number": "pageNumber"}
    page_size = None
    page_number = None


class ConversationQuery:
    """Another, which contains the first."""

    attribute_map = {"interval": "interval", "order": "order", "order_by": "orderBy",
                     "paging": "paging"}
    interval = None
    order = None
    order_by = None
    paging = None


class Found:
    """What a model of a response looks like: members that the API did not send are None."""

    def __init__(self, names, body):
        for attribute, name in names.items():
            setattr(self, attribute, body.get(name))


class _Api:
    def __init__(self, api_client=None):
        self.api_client = api_client or ApiClient()

    def _call(self, method, path, **options):
        return self.api_client.call_api(path, method, auth_settings=["PureCloud OAuth"], **options)


class ConversationsApi(_Api):
    """One of the many classes of calls."""

    def post_analytics_conversations_details_query(self, body):
        found = self._call("POST", "/api/v2/analytics/conversations/details/query", body=body)
        result = Found({"conversations": "conversations"}, found)
        if result.conversations is not None:
            result.conversations = [Found({"conversation_id": "conversationId"}, one)
                                    for one in result.conversations]
        return result


class UsersApi(_Api):
    """Another."""

    def get_users_me(self):
        return Found({"state": "state"}, self._call("GET", "/api/v2/users/me"))
