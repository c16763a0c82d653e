"""A request on its way through an HTTP client."""


class HttpRequestOptions:
    def __init__(self, *, url, method, headers=None, query_params=None, post_params=None, body=None):
        self._headers = headers or {}
        self.url = url
        self.method = method
        self.query_params = query_params or {}
        self.post_params = post_params or {}
        self.body = body

    @property
    def headers(self):
        return self._headers

    @headers.setter
    def headers(self, headers):
        self._headers = headers
