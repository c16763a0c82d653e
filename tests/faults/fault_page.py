"""The page by which faults.c is steered and in which it counts: struct page there."""

import mmap
import struct

CALLS_MAX, NAME_SIZE = 128, 32
_HEAD = struct.Struct("=IIIi")
_COUNTERS = struct.Struct(f"=QQ{CALLS_MAX}Q")
_NAMES_AT = _HEAD.size + _COUNTERS.size
FOREVER = 0xFFFFFFFF


class Page:
    """In a file of its own; the daemon maps it when it starts."""

    def __init__(self, path: str):
        with open(path, "w+b") as file:
            file.truncate(_NAMES_AT + CALLS_MAX * NAME_SIZE)
            self._map = mmap.mmap(file.fileno(), 0)
        self.disarm()

    def names(self) -> list[str]:
        """Of the calls, once a daemon has run."""
        fields = [self._map[at:at + NAME_SIZE] for at in range(_NAMES_AT, len(self._map), NAME_SIZE)]
        return [field.rstrip(b"\0").decode() for field in fields if field[0]]

    def arm(self, call: int, first: int, last: int, error: int) -> None:
        """From the call with that number to the other, both from 1 on, they fail with `error`."""
        self._map[:_HEAD.size] = _HEAD.pack(call, first, last, error)

    def disarm(self) -> None:
        self.arm(CALLS_MAX, 0, 0, 0)

    def _counters(self) -> tuple[int, ...]:
        return _COUNTERS.unpack_from(self._map, _HEAD.size)

    @property
    def failed(self) -> int:
        return self._counters()[0]

    @property
    def where(self) -> int:
        """The address in the program of the latest call that failed, for addr2line."""
        return self._counters()[1]

    def counts(self) -> dict[str, int]:
        return dict(zip(self.names(), self._counters()[2:]))
