"""Makes calls of requests, with the token of the client or of the configuration."""

import base64
import json

from .abstract_http_client import AbstractHttpClient
from .configuration import Configuration
from .default_http_client import DefaultHttpClient
from .http_request_options import HttpRequestOptions
from .rest import ApiException


class ApiClient:
    def __init__(self, host=None):
        self.http_client = None
        self.host = host or Configuration().host
        self.default_headers = {"User-Agent": "a stand-in of the SDK"}
        self.access_token = ""
        self.refresh_token = ""

    def get_http_client(self):
        if self.http_client is None:
            self.http_client = DefaultHttpClient()
        return self.http_client

    def set_http_client(self, http_client):
        if not isinstance(http_client, AbstractHttpClient):
            raise ValueError("this is no AbstractHttpClient")
        self.http_client = http_client

    def get_client_credentials_token(self, client_id, client_secret):
        """With credentials of its own, by the same HTTP client, at another host than the API's."""
        credentials = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
        options = HttpRequestOptions(
            url=self.host.replace("//api.", "//login.") + "/oauth/token", method="POST",
            headers={"Authorization": f"Basic {credentials}"})
        response = self.get_http_client().request(options)
        self.access_token = json.loads(response.data)["access_token"]
        return self

    def call_api(self, resource_path, method, body=None, auth_settings=None):
        """What the API sends, from JSON."""
        headers = dict(self.default_headers)
        if auth_settings:
            headers["Authorization"] = "Bearer " + (self.access_token or
                                                    Configuration().access_token)
        url = self.host + resource_path
        log = Configuration().logger
        try:
            options = HttpRequestOptions(url=url, method=method, headers=headers, body=plain(body))
            response = self.get_http_client().request(options)
            log.trace(method, url, body, response.status, headers, response.getheaders())
            log.debug(method, url, body, response.status, headers)
        except ApiException as error:
            if Configuration().should_refresh_access_token and error.status == 401 \
                    and self.refresh_token != "":
                raise AssertionError("the SDK would fetch a token itself") from error
            log.error(method, url, body, error.status, headers, error.body, error.headers)
            raise
        return json.loads(response.data)


def plain(value):
    """A model as what JSON has."""
    if not hasattr(value, "attribute_map"):
        return value
    return {name: plain(getattr(value, attribute)) for attribute, name in value.attribute_map.items()
            if getattr(value, attribute) is not None}
