"""The memory that the daemon hands to its next run, as a test reads and forges it: see
daemon/core/handover.h."""

import hashlib
import os
import struct

HEAD = 64


class Copy:
    """Both places of one memfd."""

    def __init__(self, fd: int):
        self.fd = fd
        self.place_size = os.fstat(fd).st_size // 2

    def bytes(self) -> bytes:
        """All that is not a hole: whatever might be found in it."""
        found, at, end = b"", 0, 2 * self.place_size
        while at < end:
            try:
                at = os.lseek(self.fd, at, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(self.fd, at, os.SEEK_HOLE)
            found += os.pread(self.fd, hole - at, at)
            at = hole
        return found

    def places(self) -> list[int]:
        """Offsets of those that hold."""
        return [at for at in (0, self.place_size) if self.sequence(at)]

    def head(self, at: int) -> tuple[bytes, int, int, int, int]:
        """Magic, major, minor, sequence, length of the records."""
        magic, major, minor, _, sequence, length = struct.unpack(
            "<8sHHIQQ", os.pread(self.fd, 32, at + 32))
        return magic, major, minor, sequence, length

    def sequence(self, at: int) -> int:
        magic, _, _, sequence, length = self.head(at)
        whole = magic == b"gctokhnd" and length <= self.place_size - HEAD
        text = os.pread(self.fd, 32 + length, at + 32) if whole else b""
        return sequence if hashlib.sha256(text).digest() == os.pread(self.fd, 32, at) else 0

    def forge(self, change) -> None:
        """`change(head, records)` of the place that holds; what it returns is written with a hash
        that fits. `head` is a list: magic, major, minor, sequence."""
        (at,) = self.places()
        magic, major, minor, sequence, length = self.head(at)
        head = [magic, major, minor, sequence]
        records = change(head, os.pread(self.fd, length, at + HEAD))
        text = struct.pack("<8sHHIQQ", *head[:3], 0, head[3], len(records)) + records
        os.pwrite(self.fd, hashlib.sha256(text).digest() + text, at)

    def flip(self, position: int, bit: int = 0) -> None:
        """One bit of the place that holds."""
        (at,) = self.places()
        byte = os.pread(self.fd, 1, at + position)[0]
        os.pwrite(self.fd, bytes([byte ^ 1 << bit]), at + position)


def records_of(records: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(records):
        tag, length = struct.unpack_from("<II", records, at)
        found.append((tag, records[at + 8:at + 8 + length]))
        at += 8 + length
    return found


def record(tag: int, body: bytes) -> bytes:
    return struct.pack("<II", tag, len(body)) + body
