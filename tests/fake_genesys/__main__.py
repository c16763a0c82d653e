import os
import sys

if not __package__:
    # Started as a folder: that folder is on the path, but the package's parent has to be.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from fake_genesys.cli import main  # noqa: E402  (the path comes first)

sys.exit(main())
