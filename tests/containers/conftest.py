"""The fake of the system tests, and an image that is built once."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.path.join(os.path.dirname(HERE), "system")
sys.path[:0] = [SYSTEM, HERE]

from system_fixtures import fake  # noqa: E402, F401
from podman import Podman  # noqa: E402


@pytest.fixture(scope="session")
def built():
    podman = Podman()
    podman.build()
    yield podman
    podman.close()


@pytest.fixture
def podman(built):
    """With the image, and nothing that runs."""
    yield built
    built.clean()
