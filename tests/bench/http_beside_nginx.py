#!/usr/bin/python3
"""How the daemon serves tokens, beside an nginx that returns the same bytes without thinking.

Both listen on a Unix socket and are asked by h2load over connections that stay. One core for the
servers, one for h2load. The two take turns in short slices, and what counts is the median of the
ratios of neighbours: what else the machine is doing then falls on both alike. Needs h2load (Debian:
nghttp2-client) and nginx (nginx-light) in PATH, and a build; see docs/performance.md."""

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

from daemon import Daemon  # noqa: E402
from fake import Fake  # noqa: E402
from unix_http import ask  # noqa: E402
from waiting import wait_until  # noqa: E402

NGINX = """
daemon off; user root; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
    uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
    server {{
        listen unix:{dir}/nginx.sock;
        location / {{
            default_type application/json; add_header Cache-Control no-store; return 200 '{body}';
        }}
    }}
}}
"""


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slice_of(socket, pid, connections, seconds):
    """Requests per second, and CPU seconds of the server for one."""
    before = cpu_seconds(pid)
    output = subprocess.run(
        ["taskset", "-c", "1", "h2load", "--h1", "-B", f"unix:{socket}", "-t", "1", "-c",
         str(connections), "-D", str(seconds), "http://localhost/v1/token"],
        capture_output=True, text=True, check=True).stdout
    spent = cpu_seconds(pid) - before
    done = int(re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", output).group(1))
    rate = float(re.search(r"finished in .*, ([\d.]+) req/s", output).group(1))
    return rate, spent / done


def compare(servers, connections, seconds, slices):
    names = list(servers)
    results = {name: [] for name in names}
    for number in range(slices):
        for name in (names, names[::-1])[number % 2]:
            results[name].append(slice_of(*servers[name], connections, seconds))
    ours, theirs = (results[name] for name in names)
    for what, index, unit, scale in (("requests/s", 0, "", 1), ("CPU a request", 1, " us", 1e6)):
        ratios = sorted(a[index] / b[index] for a, b in zip(ours, theirs))
        medians = [statistics.median(r[index] for r in results[name]) * scale for name in names]
        print(f"{connections:4} connections  {what:13}  "
              + "  ".join(f"{name} {value:.{0 if scale == 1 else 2}f}{unit}"
                          for name, value in zip(names, medians))
              + f"  ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--seconds", type=int, default=1, help="of one slice")
    parser.add_argument("--slices", type=int, default=15, help="of each server")
    options = parser.parse_args()
    for program in ("h2load", "nginx"):
        if not shutil.which(program):
            sys.exit(f"{program} is not in PATH")

    fake = Fake()
    daemon = Daemon(fake, profile={"clock_probe": False, "region": "us-west-2"},
                    wrap=["taskset", "-c", "0"])
    nginx = None
    with tempfile.TemporaryDirectory(prefix="gct-bench-") as folder:
        try:
            daemon.start()
            answer = daemon.token(wait=20)
            body = answer.text.strip().replace(answer.json["access_token"],
                                               "x" * len(answer.json["access_token"]))
            config = os.path.join(folder, "nginx.conf")
            with open(config, "w", encoding="ascii") as file:
                file.write(NGINX.format(dir=folder, body=body))
            nginx = subprocess.Popen(["taskset", "-c", "0", "nginx", "-p", folder, "-c", config],
                                     stderr=subprocess.DEVNULL)
            socket = os.path.join(folder, "nginx.sock")
            wait_until(lambda: os.path.exists(socket), "nginx")
            assert ask(socket, "GET", "/").json.keys() == answer.json.keys()
            with open(f"/proc/{nginx.pid}/task/{nginx.pid}/children", encoding="ascii") as file:
                worker = int(file.read())
            for connections in options.connections:
                compare({"gctokend": (daemon.socket, daemon.process.pid),
                         "nginx": (socket, worker)}, connections, options.seconds, options.slices)
        finally:
            if nginx:
                nginx.terminate()
                nginx.wait()
            with contextlib.redirect_stdout(None):  # where a test would show the logs
                daemon.close()
                fake.stop()


if __name__ == "__main__":
    main()
