"""What the answers of trouble_cases.py cost, one after another: time, memory, and nothing else."""

import time

from raw_http import descriptors, memory_kib
from trouble_cases import TROUBLES
from waiting import PATIENCE

MIB = 1024  # KiB
USUAL = 20  # exchanges, so that what is allocated once has been


def test_no_answer_takes_long_or_keeps_memory(fake, daemon):
    f = fake()
    d = daemon(f, profile={"clock_probe": False, "mint_limit": 1000, "fetch_timeout": "1s"})
    before = d.token(wait=20).json
    for _ in range(USUAL):
        assert d.post("/v1/refresh?profile=default").status == 200
    memory, open_files = memory_kib(d), descriptors(d)
    slowest, largest = (0.0, ""), (0, "")
    for trouble in TROUBLES:
        f.fault("token", **trouble.fault)
        begun = time.monotonic()
        answer = d.post("/v1/refresh?profile=default")
        slowest = max(slowest, (time.monotonic() - begun, trouble.name))
        assert answer.status == 503, trouble.name
        assert d.token().json["generation"] >= before["generation"], trouble.name
        largest = max(largest, (memory_kib(d) - memory, trouble.name))
        f.clear_faults()
    assert d.post("/v1/refresh?profile=default").status == 200
    print(f"{len(TROUBLES)} answers: slowest {slowest[0]:.2f} s ({slowest[1]}), "
          f"at most {largest[0]} KiB more ({largest[1]})")
    assert slowest[0] < 1.5 * PATIENCE + 0.5
    assert largest[0] < MIB
    # Connections to the login server that ended well are kept, up to 16 of them.
    assert descriptors(d) <= open_files + 16
