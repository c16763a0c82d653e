"""The browser that `gctoken login` opens, and what it is given: a file that sends it on."""

import html.parser
import os
import re
import stat
from urllib.parse import unquote

from waiting import wait_until


def browser(folder, name: str, exit_code: int = 0) -> str:
    """A program that notes how it was called."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nprintf "%s\\n" "$@" >"{path}.new"\n'
                   f'mv "{path}.new" "{path}.args"\nexit {exit_code}\n')
    os.chmod(path, stat.S_IRWXU)
    return path


def called_with(path: str) -> list[str]:
    wait_until(lambda: os.path.exists(path + ".args"), "a browser")
    with open(path + ".args", encoding="ascii") as file:
        return file.read().splitlines()


class _Sender(html.parser.HTMLParser):
    """A page that sends a browser on: where to, at once and by its link."""

    def __init__(self, text: str):
        super().__init__()
        self.addresses: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "meta" and found.get("http-equiv") == "refresh":
            self.addresses.add(re.fullmatch("0;url=(.*)", found["content"])[1])
        elif tag == "a":
            self.addresses.add(found["href"])


def file_of(argument: str) -> str:
    """The path of the file that a browser was given."""
    assert re.fullmatch("file:///[A-Za-z0-9/._~%-]+[.]html", argument), argument
    return unquote(argument.removeprefix("file://"))


def sent_on_to(argument: str) -> str:
    """Where a browser comes by what it was given: an address that no list of processes shows."""
    path = file_of(argument)
    found = os.lstat(path)
    assert stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_uid == os.geteuid()
    with open(path, encoding="utf-8") as file:
        addresses = _Sender(file.read()).addresses
    assert len(addresses) == 1
    return addresses.pop()
