"""What is set for all clients: one object, however often it is asked for."""

import functools


class Logger:
    """Sees each call, with the headers of its request, after it. Here it remembers them."""

    def __init__(self):
        self.seen = []

    def trace(self, method, url, body, status, request_headers, response_headers):
        self.seen.append((method, url, status, dict(request_headers)))

    def error(self, method, url, body, status, request_headers, response_body, response_headers):
        self.seen.append((method, url, status, dict(request_headers)))


@functools.lru_cache(maxsize=None)
class Configuration:
    def __init__(self):
        self.host = "https://api.mypurecloud.com"
        self.access_token = ""
        self.should_refresh_access_token = True
        self.ssl_ca_cert = None
        self.logger = Logger()
