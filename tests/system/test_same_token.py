"""A login server that gives a client the token that it has until that ends, and then another."""

import time

import pytest

from waiting import PATIENCE

LIFETIME = 24


@pytest.mark.parametrize("how", ["remaining", "full"])
def test_the_next_token_comes_as_the_last_one_ends(fake, daemon, how):
    f = fake(lifetime=LIFETIME, same_token=how)
    # Two tokens, and not one request that counts besides.
    d = daemon(f, profile={"mint_limit": 2})
    first = d.token(wait=10).json["generation"]
    ends = f.log("token")[0]["time"] + LIFETIME
    seen = []
    while time.time() < ends + 10 * PATIENCE:
        answer = d.token(wait=5)
        assert answer.status == 200, answer
        assert d.status()["last_error"] is None
        seen.append((answer.json["generation"], answer.json["state"]))
        if seen[-1][0] != first:
            break
        time.sleep(0.1)
    assert seen[-1] == (first + 1, "fresh")
    posts = [post["time"] for post in f.log("token")]
    assert ends - 3 * PATIENCE < posts[-1] < ends + 2 * PATIENCE
    counters = d.status()["counters"]
    assert (counters["failures"], counters["rejections"]) == (0, 0)
    # Half of what is left each time, 10 s at least, and each second once it should be over.
    assert 3 <= len(posts) <= 10
