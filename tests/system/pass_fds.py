"""pass_fds.py FD,FD... COMMAND...: becomes the command, with these descriptors as a service manager
passes them: from 3 on, and told so."""

import fcntl
import os
import sys

fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
# Out of the way first: one of them may have the number of another's place.
moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 500) for fd in fds]
for number, fd in enumerate(moved, 3):
    os.dup2(fd, number)
for fd in fds:
    if fd >= 3 + len(fds):
        os.close(fd)
if fds:
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))
os.execvp(sys.argv[2], sys.argv[2:])
