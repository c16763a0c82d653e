"""A directory as a disk may show it after a power cut, from the system calls that were made.

What counts as promised is what POSIX promises: fsync of a file makes its bytes durable, fsync of a
directory its names. Without them a name may be the old or the new one, in the order of the calls or
not, and bytes may be there up to any place, or be zeros."""

import re
from dataclasses import dataclass, field
from itertools import combinations
from typing import Iterable, Iterator


@dataclass
class Operation:
    name: str
    fd: int = -1
    path: str = ""
    to: str = ""
    bytes: bytes = b""


def _text(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


_STRING = r'"((?:\\x[0-9a-f]{2})*)"'
_CALLS = [
    ("open", re.compile(rf"openat\((-?\d+|AT_FDCWD), {_STRING}, [^)]*O_CREAT[^)]*\)\s+= (\d+)")),
    ("open_other", re.compile(rf"openat\((-?\d+|AT_FDCWD), {_STRING}, [^)]*\)\s+= (\d+)")),
    ("write", re.compile(rf"write\((\d+), {_STRING}, \d+\)\s+= (\d+)")),
    ("fsync", re.compile(r"fsync\((\d+)\)\s+= 0")),
    ("close", re.compile(r"close\((\d+)\)\s+= 0")),
    ("rename", re.compile(rf"renameat2?\((-?\d+), {_STRING}, -?\d+, {_STRING}[^)]*\)\s+= 0")),
    ("unlink", re.compile(rf"unlinkat\((-?\d+), {_STRING}, 0\)\s+= 0")),
]


def _whole_lines(trace: Iterable[str]) -> Iterator[str]:
    """strace cuts a call in two when another thread comes between."""
    begun: dict[str, str] = {}
    for line in trace:
        thread, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest[:-len("<unfinished ...>")].rstrip()
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", rest):
            yield begun.pop(thread, "") + resumed[1]
        else:
            yield rest


def parse(trace: Iterable[str]) -> list[Operation]:
    operations = []
    for line in _whole_lines(trace):
        for name, pattern in _CALLS:
            if not (found := pattern.match(line)):
                continue
            if name in ("open", "open_other"):
                operations.append(Operation(name, int(found[3]), _text(found[2]).decode()))
            elif name == "write":
                operations.append(Operation(name, int(found[1]), bytes=_text(found[2])[:int(found[3])]))
            elif name in ("fsync", "close"):
                operations.append(Operation(name, int(found[1])))
            elif name == "rename":
                operations.append(Operation(name, path=_text(found[2]).decode(),
                                            to=_text(found[3]).decode()))
            else:
                operations.append(Operation(name, path=_text(found[2]).decode()))
            break
    return operations


@dataclass(eq=False)
class File:
    content: bytes = b""
    synced: int = 0  # bytes of it


@dataclass
class Disk:
    """Follows one file, by the end of its name."""

    suffix: str
    names: dict[str, File] = field(default_factory=dict)    # as the running system sees them
    durable: dict[str, File] = field(default_factory=dict)  # as they are at least
    pending: list[tuple[str, str, File | None]] = field(default_factory=list)
    open_files: dict[int, File] = field(default_factory=dict)
    written: list[bytes] = field(default_factory=list)  # whole contents that got the name, in order
    durable_number: int = 0                             # the latest of them that is durable for sure

    def _ours(self, path: str) -> bool:
        return path.endswith((self.suffix, self.suffix + ".tmp"))

    def apply(self, op: Operation) -> None:
        if op.name == "open" and self._ours(op.path):
            self.open_files[op.fd] = self.names[op.path] = File()
            self.pending.append(("add", op.path, self.names[op.path]))
        elif op.name == "open_other" and op.path in self.names:  # room was set aside for it
            self.open_files[op.fd] = self.names[op.path]
        elif op.name in ("open", "open_other", "close"):
            self.open_files.pop(op.fd, None)
        elif op.name == "write" and op.fd in self.open_files:
            self.open_files[op.fd].content += op.bytes
        elif op.name == "fsync" and op.fd in self.open_files:
            self.open_files[op.fd].synced = len(self.open_files[op.fd].content)
        elif op.name == "fsync":  # the directory
            self.durable = dict(self.names)
            self.pending.clear()
            self.durable_number = len(self.written)
        elif op.name == "rename" and self._ours(op.to):
            self.names[op.to] = self.names.pop(op.path)
            self.pending += [("remove", op.path, None), ("add", op.to, self.names[op.to])]
            self.written.append(self.names[op.to].content)
        elif op.name == "unlink" and self._ours(op.path):
            self.names.pop(op.path, None)
            self.pending.append(("remove", op.path, None))

    def after_power_loss(self) -> Iterator[bytes | None]:
        """Every content that the file may have, None where it is not there."""
        for count in range(len(self.pending) + 1):
            for chosen in combinations(self.pending, count):
                names = dict(self.durable)
                for what, path, file in chosen:
                    if what == "add":
                        names[path] = file
                    else:
                        names.pop(path, None)
                found = [file for path, file in names.items() if path.endswith(self.suffix)]
                if not found:
                    yield None
                for file in found:
                    whole = file.content
                    yield whole
                    for length in range(file.synced, len(whole)):
                        yield whole[:length]
                        yield whole[:length].ljust(len(whole), b"\0")
