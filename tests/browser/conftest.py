"""The fixtures of the interop tests: a daemon, and a login server nobody here wrote."""

import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
INTEROP = os.path.join(os.path.dirname(HERE), "interop")
sys.path[:0] = [INTEROP, HERE]

_spec = importlib.util.spec_from_file_location("interop_fixtures",
                                               os.path.join(INTEROP, "conftest.py"))
_interop = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_interop)
fake, make_daemon, daemon = _interop.fake, _interop.make_daemon, _interop.daemon
pytest_runtest_call = _interop.pytest_runtest_call
pytest_configure = _interop.pytest_configure
pytest_collection_modifyitems = _interop.pytest_collection_modifyitems
