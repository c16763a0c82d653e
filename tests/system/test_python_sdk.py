"""gctoken.genesys with a stand-in of Genesys' SDK for Python (sdk_standin says what that is worth):
the calls that its users make, on the fake API and with the real daemon."""

import os
import sys
import threading
import time

import pytest

from snippets import CONVERSATIONS, PYTHON_PATH
from waiting import PATIENCE

sys.path[:0] = [one for one in PYTHON_PATH.split(os.pathsep) if one not in sys.path]

import PureCloudPlatformClientV2 as sdk  # noqa: E402
from PureCloudPlatformClientV2.abstract_http_client import AbstractHttpClient  # noqa: E402
from PureCloudPlatformClientV2.default_http_client import DefaultHttpClient  # noqa: E402
from PureCloudPlatformClientV2.http_request_options import HttpRequestOptions  # noqa: E402
from PureCloudPlatformClientV2.rest import ApiException  # noqa: E402

import gctoken  # noqa: E402
from gctoken import Broker  # noqa: E402
from gctoken.genesys import attach  # noqa: E402


class Log:
    """In the place of the SDK's logger, which writes what it is given to a file or the terminal."""

    def __init__(self):
        self.seen = []

    def trace(self, method, url, body, status, *rest):
        self.seen.append((status, rest))

    def debug(self, *_):
        """What the one above saw, or less."""

    def error(self, method, url, body, status, *rest):
        self.seen.append((status, rest))


@pytest.fixture
def d(server, daemon):
    server.set(conversations=CONVERSATIONS)
    one = daemon(server)
    one.token(wait=20)
    sdk.configuration.ssl_ca_cert = server.ca_file
    sdk.configuration.logger = Log()
    return one


@pytest.fixture
def broker(d):
    with Broker(socket=d.socket, wait=40 * PATIENCE) as one:
        yield one


@pytest.fixture
def users(broker):
    return sdk.UsersApi(attach(sdk.ApiClient(), broker))


def calls(server):
    return [(entry["status"], entry["authorization"]) for entry in server.log("api")]


def statuses(server):
    return [status for status, _ in calls(server)]


def test_attach_sets_the_host_of_the_profile(d, broker):
    client = sdk.ApiClient()
    assert attach(client, broker) is client
    assert client.host == d.fake.api_url
    assert isinstance(client.get_http_client(), DefaultHttpClient)


def test_the_environment_names_the_broker(d, monkeypatch):
    monkeypatch.setenv("GCTOKEN_SOCKET", d.socket)
    assert sdk.UsersApi(attach(sdk.ApiClient())).get_users_me().state == "active"


def test_each_call_has_the_token_of_its_moment(d, users):
    users.get_users_me()
    d.post(f"/v1/token/reject?generation={d.token().json['generation']}")  # somebody else
    users.get_users_me()
    assert statuses(d.fake) == [200, 200]
    assert len({authorization for _, authorization in calls(d.fake)}) == 2


def test_a_revoked_token(d, users, server):
    server.revoke(all=True)
    assert users.get_users_me().state == "active"
    assert statuses(server) == [401, 200]
    counters = d.status()["counters"]
    assert (counters["rejections"], counters["fetches"]) == (1, 2)


def test_the_body_is_sent_again(d, broker, server):
    server.revoke(all=True)
    query = sdk.ConversationQuery()
    query.interval = "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z"
    query.paging = sdk.PagingSpec()
    query.paging.page_size, query.paging.page_number = 100, 3
    api = sdk.ConversationsApi(attach(sdk.ApiClient(), broker))
    assert len(api.post_analytics_conversations_details_query(query).conversations) == 50
    assert statuses(server) == [401, 200]


def test_a_login_that_throttles_and_an_api_that_learns_late(d, users, server):
    server.set(known_after=1.5)
    server.revoke(all=True)
    server.fault("token", "answer", times=1, status=429, headers={"Retry-After": "2"}, body="{}")
    assert users.get_users_me().state == "active"
    assert statuses(server)[-3:] == [401, 401, 200]


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_a_restart_in_the_middle(d, users, server, ends):
    users.get_users_me()
    server.revoke(all=True)
    getattr(d, ends)()
    found = []
    thread = threading.Thread(target=lambda: found.append(users.get_users_me().state))
    thread.start()
    time.sleep(2)
    d.start()
    thread.join()
    assert found == ["active"]


def test_many_threads(d, users, server):
    server.revoke(all=True)
    posts, found = server.posts, []
    threads = [threading.Thread(target=lambda: found.append(users.get_users_me().state))
               for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["active"] * 16 and server.posts == posts + 1


def test_refused_for_good(d, users, server):
    server.fault("api", "answer", times=-1, status=401, body='{"code": "bad.credentials"}',
                 path="/api/v2/users/me")
    with pytest.raises(ApiException) as raised:
        users.get_users_me()
    assert raised.value.status == 401 and "bad.credentials" in raised.value.body
    assert statuses(server).count(401) >= 3


def test_an_error_of_the_api_is_the_sdks(d, users, server):
    server.fault("api", "answer", status=403, body="{}")
    with pytest.raises(ApiException) as raised:
        users.get_users_me()
    assert raised.value.status == 403 and d.status()["counters"]["rejections"] == 0


def test_no_token_is_the_brokers(d, users):
    d.post("/v1/revoke")
    with pytest.raises(gctoken.ActionNeeded):
        users.get_users_me()
    with pytest.raises(gctoken.ActionNeeded):
        attach(sdk.ApiClient(), Broker(socket=d.socket))


def test_the_token_is_in_no_log_and_no_header_of_the_program(d, users, broker, server):
    server.revoke(all=True)
    users.get_users_me()
    server.fault("api", "answer", status=403, body="{}")
    with pytest.raises(ApiException):
        users.get_users_me()
    seen = sdk.configuration.logger.seen
    assert [status for status, _ in seen] == [200, 403]
    d.assert_no_leak(repr(seen), "the SDK's log")

    headers = {"Authorization": seen[0][1][0]["Authorization"], "X-Own": "kept"}
    before = dict(headers)
    users.api_client.get_http_client().request(HttpRequestOptions(
        url=server.api_url + "/api/v2/users/me", method="GET", headers=headers))
    assert headers == before


def test_other_credentials_are_left_alone(d, users, server):
    """A login of the SDK has its client's, and a call without authorization has none: neither is
    given the broker's token."""
    client = users.api_client.get_http_client()
    for headers in ({"Authorization": "Basic Zm9vOmJhcg=="}, {"Authorization": "Bearer a-guest's"},
                    {}):
        with pytest.raises(ApiException):
            client.request(HttpRequestOptions(url=server.api_url + "/api/v2/users/me", method="GET",
                                              headers=headers))
    assert statuses(server) == [401, 401, 401]
    assert d.status()["counters"]["rejections"] == 0


def test_hooks_and_time_limit_are_kept(d, broker, server):
    seen = []

    def before(options):
        seen.append(options.headers["X-Program"])
        return options

    def after(response):
        seen.append(response.status)
        return response

    client = sdk.ApiClient()
    client.default_headers["X-Program"] = "tested"
    client.get_http_client().timeout = 7
    client.get_http_client().set_pre_request_hook(before)
    attach(client, broker)
    client.get_http_client().set_post_request_hook(after)
    server.revoke(all=True)
    sdk.UsersApi(client).get_users_me()
    assert client.get_http_client().timeout == 7
    assert seen == ["tested", "tested", 200]  # the second hook is not run after a 401


def test_attached_twice_the_second_counts(server, daemon):
    d = daemon(server, profiles={"default": {}, "other": {}})
    d.token(wait=20)
    sdk.configuration.ssl_ca_cert = server.ca_file
    client = attach(sdk.ApiClient(), Broker(socket=d.socket, wait=20))
    attach(client, Broker("other", d.socket, wait=20))
    server.revoke(all=True)
    sdk.UsersApi(client).get_users_me()
    assert d.status("other")["counters"]["rejections"] == 1
    assert d.status("default")["counters"]["rejections"] == 0


class Own(AbstractHttpClient):
    """A program's own client."""

    def request(self, http_request_options):
        raise AssertionError("nobody asks here")


def test_what_cannot_be_attached(d, broker):
    with pytest.raises(TypeError, match="set_http_client.*update the SDK"):
        attach(object(), broker)
    client = sdk.ApiClient()
    client.set_http_client(Own())
    with pytest.raises(TypeError, match="Own, which would be lost"):
        attach(client, broker)
