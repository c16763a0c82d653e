"""The fake of the system tests, and an image that is built once."""

import importlib.util
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = os.path.join(os.path.dirname(HERE), "system")
sys.path[:0] = [SYSTEM, HERE]

_spec = importlib.util.spec_from_file_location("system_fixtures",
                                               os.path.join(SYSTEM, "conftest.py"))
_system = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_system)
fake = _system.fake

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
