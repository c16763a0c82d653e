#!/usr/bin/python3
"""What the recipes of conf/proxy cost: the time of a call through each proxy that puts the broker's
token in, and through the same proxy plain, with the token in the client's request.

Usage: tests/bench/proxy_cost.py [CALLS]   (2000; after ./dev build, and ./dev system once, which
unpacks the proxies)"""

import http.client
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

from daemon import Daemon  # noqa: E402
from fake import Fake  # noqa: E402
from proxies import PROXIES, Caddy, HAProxy, Nginx  # noqa: E402

ME = "/api/v2/users/me"


class PlainNginx(Nginx):
    def edit(self, name, text):
        kept = [line for line in text.splitlines()
                if "auth_request" not in line and "error_page" not in line
                and "Authorization" not in line and "intercept" not in line]
        text = "\n".join(kept)
        cut = text.index("    # The API refused the token, or there is none.")
        return text[:cut] + "}\n"


class PlainCaddy(Caddy):
    def edit(self, name, text):
        api = text[text.index("reverse_proxy https://"):].split()[1]
        return (f"http://:{self.port} {{\n\tbind 127.0.0.1\n\treverse_proxy {api} {{\n"
                "\t\theader_up Host {upstream_hostport}\n\t}\n}\n")


class PlainHAProxy(HAProxy):
    """One frontend and the API, as one would write it without a token to care for."""

    def edit(self, name, text):
        if name != "haproxy.cfg":
            return text
        before, api = text[:text.index("# A request that")], text[text.rindex("backend api"):]
        return (before.replace("lua-load", "# lua-load") +
                f"listen genesys\n    bind 127.0.0.1:{self.port}\n" + api.split("\n", 1)[1])


PLAIN = {"nginx": PlainNginx, "caddy": PlainCaddy, "haproxy": PlainHAProxy}


def one(connection, headers):
    started = time.perf_counter()
    connection.request("GET", ME, headers=headers)
    response = connection.getresponse()
    response.read()
    assert response.status == 200, response.status
    return time.perf_counter() - started


def main():
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    fake = Fake()
    daemon = Daemon(fake).start()
    token = daemon.token(wait=20).json["access_token"]
    print("| Proxy | plain: median, ms | 99 % | with the token: median, ms | 99 % | more |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in PROXIES:
        running, times = {}, {}
        for kind, proxy in (("plain", PLAIN[name]), ("token", PROXIES[name])):
            p = proxy(daemon, f"{name}-{kind}")
            headers = {"Authorization": f"Bearer {token}"} if kind == "plain" else {}
            running[kind] = (p, http.client.HTTPConnection("127.0.0.1", p.port), headers)
            times[kind] = []
        for i in range(calls + 100):  # in turns, so that both meet the same machine
            for kind, (_, connection, headers) in running.items():
                took = one(connection, headers)
                if i >= 100:
                    times[kind].append(1000 * took)
        for p, connection, _ in running.values():
            connection.close()
            p.stop()
        cells = [f(times[kind]) for kind in ("plain", "token")
                 for f in (statistics.median, lambda t: statistics.quantiles(t, n=100)[98])]
        print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) +
              f" | {cells[2] - cells[0]:.2f} |")
    daemon.close()
    fake.stop()


if __name__ == "__main__":
    main()
