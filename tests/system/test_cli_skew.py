"""gctoken skew with a real daemon: it calls no clocks in agreement of which it knows little."""

from waiting import wait_until


def test_a_wide_interval_is_no_agreement(fake, daemon):
    server = fake()
    for kind in ("token", "head"):
        server.fault(kind, "delay", work=2.5, times=-1)
    d = daemon(server, profile={"clock_probe": "no"})
    wait_until(lambda: d.status()["state"] == "fresh", "the token")
    skew = d.get("/v1/skew?profile=default").json
    assert skew["low"] < -1.5 or skew["high"] > 1.5
    assert "agree" not in skew["advice"] and "known only within" in skew["advice"]
    said = d.gctoken("skew").stdout
    assert "agree" not in said and "is not known well: between" in said
