"""What a process has open, while it goes on opening and closing."""

import contextlib
import os


def open_files(pid: int) -> dict[str, str]:
    """Paths in /proc to its descriptors, and what each is. One that was closed since it was listed
    is left out. Only root may look into a process that keeps secrets."""
    folder, found = f"/proc/{pid}/fd", {}
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with contextlib.suppress(FileNotFoundError):
            found[path] = os.readlink(path)
    return found
