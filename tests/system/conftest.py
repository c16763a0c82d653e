import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from system_fixtures import *  # noqa: E402, F403
