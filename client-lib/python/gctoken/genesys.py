"""The official SDK of Genesys Cloud (PureCloudPlatformClientV2) with tokens from the broker."""

from __future__ import annotations

import copy
from typing import Any, Optional

from .broker import Broker
from .tokens import Token

# The SDK writes this where its own token would be, and nothing else does: so requests that it makes
# without a token, or with other credentials (logins, guest chats), are told from those that want one.
_MARK = "taken-from-gctokend"
_MARKED = "Bearer " + _MARK


def attach(api_client: Any, broker: Optional[Broker] = None) -> Any:
    """Makes an ``ApiClient`` of the SDK take its tokens from the broker, and returns it::

        api = PureCloudPlatformClientV2.UsersApi(attach(PureCloudPlatformClientV2.ApiClient()))

    Every request then has the token of its moment. On a 401 that token is rejected and the request
    repeated, a 429 is waited out: see Broker.call(), which says how often. ``api_client.host`` becomes
    the API that belongs to the broker's profile, if the broker knows it. The SDK's ``logger`` sees
    request headers without the token.

    Set what is in ``PureCloudPlatformClientV2.configuration`` (proxy, certificates) before, as for
    any ``ApiClient``. The time limit and hooks of the client's DefaultHttpClient are kept; hooks
    see the token. Logins by methods of the ApiClient, such as ``get_client_credentials_token()``,
    are not needed, and end the attachment.

    api_client  of a version of the SDK that has ``set_http_client``
    broker      else one made by ``Broker()``

    Raises a BrokerError if the broker has no token now, and TypeError if it is no such ApiClient.
    """
    if not hasattr(api_client, "set_http_client"):
        raise TypeError(f"gctoken.genesys.attach: {type(api_client).__name__} has no"
                        " set_http_client: it takes an ApiClient of PureCloudPlatformClientV2, of a"
                        " version that has it; update the SDK")
    # Here, because nothing else of this package needs the SDK.
    from PureCloudPlatformClientV2.default_http_client import DefaultHttpClient  # type: ignore

    before = api_client.get_http_client()
    # pylint: disable-next=unidiomatic-typecheck
    if type(before) is not DefaultHttpClient and not hasattr(before, "gctoken_broker"):
        raise TypeError(f"gctoken.genesys.attach: this ApiClient has an HTTP client of its own,"
                        f" {type(before).__name__}, which would be lost: have it call Broker.call()"
                        " itself")
    source = broker or Broker()
    token = source.token()

    class BrokerHttpClient(DefaultHttpClient):  # type: ignore
        """The SDK's own client, with a token from the broker in each request that wants one."""

        gctoken_broker = source

        def request(self, http_request_options: Any) -> Any:
            headers = http_request_options.headers or {}
            if headers.get("Authorization") != _MARKED:
                return super().request(http_request_options)

            def send(token: Token) -> Any:
                # The SDK logs its headers afterwards, and changes them on the way.
                options = copy.copy(http_request_options)
                options.headers = {**headers, "Authorization": token.authorization}
                return super(BrokerHttpClient, self).request(options)

            return source.call(send)

    client = BrokerHttpClient(before.timeout)
    for hook in ("pre_hook", "post_hook"):
        if hasattr(before, hook):  # the first versions with set_http_client have none
            setattr(client, hook, getattr(before, hook))
    api_client.set_http_client(client)
    api_client.access_token = _MARK
    api_client.refresh_token = ""  # or the SDK would refresh after a 401 by itself
    if token.api_url:
        api_client.host = token.api_url
    return api_client
