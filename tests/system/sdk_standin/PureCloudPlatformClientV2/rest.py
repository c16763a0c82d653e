"""HTTP, with the standard library in the place of urllib3."""

import json
import ssl
import urllib.error
import urllib.request

from .configuration import Configuration


class ApiException(Exception):
    """A response that is not a good one."""

    def __init__(self, status=None, reason=None, http_resp=None):
        super().__init__(status if http_resp is None else http_resp.status)
        self.status = status if http_resp is None else http_resp.status
        self.reason = reason if http_resp is None else http_resp.reason
        self.body = None if http_resp is None else http_resp.data
        self.headers = None if http_resp is None else http_resp.getheaders()


class RESTResponse:
    def __init__(self, response):
        self.status = response.status
        self.reason = response.reason
        self.data = response.read().decode()
        self._headers = dict(response.headers)

    def getheaders(self):
        return self._headers


class RESTClientObject:
    def __init__(self):
        context = ssl.create_default_context(cafile=Configuration().ssl_ca_cert)
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))

    def request(self, method, url, headers, body):
        # It writes into the headers that it is given.
        headers.setdefault("Content-Type", "application/json")
        data = json.dumps(body).encode() if method in ("POST", "PUT", "PATCH") else None
        request = urllib.request.Request(url, data, dict(headers), method=method)
        try:
            with self._opener.open(request, timeout=60) as response:
                return RESTResponse(response)
        except urllib.error.HTTPError as error:
            with error:
                raise ApiException(http_resp=RESTResponse(error)) from None
