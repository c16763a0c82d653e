"""The client that is used where no other was set. Its post-request hook sees good responses only."""

from .abstract_http_client import AbstractHttpClient
from .http_request_options import HttpRequestOptions
from .rest import RESTClientObject


class DefaultHttpClient(AbstractHttpClient):
    def __init__(self, timeout=None, https_agent=None):
        super().__init__()
        if timeout is not None:
            self.timeout = timeout
        self.rest_client = RESTClientObject()

    def request(self, http_request_options):
        if not isinstance(http_request_options, HttpRequestOptions):
            raise ValueError("these are no HttpRequestOptions")
        if self.pre_hook:
            http_request_options = self.pre_hook(http_request_options)
        response = self.rest_client.request(
            http_request_options.method, http_request_options.url, http_request_options.headers,
            http_request_options.body)
        return self.post_hook(response) if self.post_hook else response
