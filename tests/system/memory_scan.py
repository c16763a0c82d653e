"""The daemon's memory as root can read it, searched for secrets."""

import dataclasses
import re

# Of addresses that nobody uses a sanitizer maps terabytes; the daemon has nothing like it.
LARGEST = 1 << 28


@dataclasses.dataclass
class Find:
    text: str  # what was found
    where: str
    locked: bool  # in memory that cannot reach the swap


def mappings(pid: int):
    """(begin, end, rights, name, kernel flags) of each."""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        text = file.read()
    for part in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.M)[1:]:
        words = part.split("\n", 1)[0].split(maxsplit=5)
        begin, end = (int(one, 16) for one in words[0].split("-"))
        flags = re.search(r"^VmFlags: (.*)$", part, re.M).group(1).split()
        yield begin, end, words[1], words[5] if len(words) > 5 else "anonymous", flags


def piece(text: str) -> bytes:
    """What tells a text even where its ends have been written over, as a freed block's are."""
    return text.encode()[16:40] if len(text) >= 44 else text.encode()[-20:]


def find(pid: int, texts: set[str]) -> list[Find]:
    found = []
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for begin, end, rights, name, flags in mappings(pid):
            if "r" not in rights or end - begin > LARGEST:
                continue
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except (OSError, ValueError):  # the kernel's own, or gone
                continue
            for text in texts:
                found += [Find(text, name, "lo" in flags)] * data.count(piece(text))
    return found
