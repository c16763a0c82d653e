"""No crash makes the daemon use a refresh token whose successor it holds, and one that is killed after
each rotation keeps its login: see rotations.py. ./dev rotations does many."""

import os

import pytest

from figures import FIGURES
from rotations import HEAD, Rotations

# So many of each kind; a short run belongs to ./dev test.
ROTATIONS = int(os.environ.get("GCTOKEN_ROTATIONS", "12"))
SEED = int(os.environ.get("GCTOKEN_ROTATIONS_SEED", "1"))

pytestmark = pytest.mark.deadline(60 + 3 * ROTATIONS)


@pytest.fixture
def rotations(make_daemon):
    one = Rotations(make_daemon, SEED)
    yield one
    one.close()


@pytest.fixture(scope="module")
def table():
    FIGURES.extend(HEAD)
    return FIGURES


def test_killed_once_the_successor_is_kept_the_login_lives_on(rotations, table):
    while rotations.rotations < ROTATIONS:
        rotations.live(rotations.once_kept)
    rotations.finish()
    counts = rotations.counts
    assert (counts.mended, counts.lost, counts.logins) == (0, 0, 1)
    table.append(counts.row("once it is kept", rotations.rotations))


def test_killed_anywhere_none_is_replayed_whose_successor_is_held(rotations, table):
    while rotations.rotations < ROTATIONS or rotations.counts.kills < ROTATIONS:
        rotations.live(rotations.anywhere)
    rotations.finish()
    counts = rotations.counts
    assert counts.kills == counts.unasked + counts.kept + counts.mended + counts.lost
    assert counts.logins == 1 + counts.lost
    table.append(counts.row("anywhere", rotations.rotations))
