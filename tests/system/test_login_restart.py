"""Logins of people over the daemon's end and start: what a run was told about one login does not hold
for the next one."""

import glob
import os
import shutil

from logging_in import log_in, login_profile


def test_a_login_after_a_refused_one_is_used_though_the_refusal_is_remembered(fake, daemon):
    """kill -9 right after the login: the client's own state still has the refusal's pause."""
    server = fake()
    d = daemon(server, profile=login_profile(server))
    assert log_in(d, server).status == 200
    server.end_logins()
    assert d.post("/v1/refresh?profile=default").status == 503
    d.stop()  # which has written all there is
    state, = glob.glob(os.path.join(d.state_dir, "*.state"))
    shutil.copy(state, d.path("refused"))
    d.start()
    assert d.token(wait=0).json["error"] == "login_required"
    posts = server.posts
    assert log_in(d, server).status == 200
    d.kill()
    shutil.copy(d.path("refused"), state)
    d.start()
    assert d.token(wait=10).status == 200
    assert server.posts == posts + 2  # the code, and the refresh of the new run
