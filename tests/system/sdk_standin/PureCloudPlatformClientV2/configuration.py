"""What is set for all clients: one object, however often it is asked for."""

import functools


class Logger:
    """Is told of each call, with the headers of its request, after it. Logs nothing unless it is set
    to."""

    def trace(self, method, url, body, status, request_headers, response_headers):
        """Of a good response."""

    def debug(self, method, url, body, status, request_headers):
        """Likewise."""

    def error(self, method, url, body, status, request_headers, response_body, response_headers):
        """Of another."""


@functools.lru_cache(maxsize=None)
class Configuration:
    def __init__(self):
        self.host = "https://api.mypurecloud.com"
        self.access_token = ""
        self.should_refresh_access_token = True
        self.ssl_ca_cert = None
        self.logger = Logger()
