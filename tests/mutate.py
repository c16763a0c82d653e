#!/usr/bin/python3
"""Would the tests notice? Breaks the code that decides, one place at a time, and runs the unit tests
and the simulation on it.

A comparison is moved by one or turned round, a condition negated, `&&` is made `||`, a call or a step
of a counter deleted, a number changed by one, `+` made `-`, true made false. All that is done to a
copy in build/mutate. What makes no other machine code, or the same as another mutant, does not
count; what was looked at by hand and means the same stands in tests/mutate.same with its reason.
Printed are the survivors, and how many were caught, per file. Exit status 0: enough of them."""

import argparse
import collections
import glob
import hashlib
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COPY = os.path.join(ROOT, "build", "mutate", "source")
BUILD = os.path.join(ROOT, "build", "mutate", "build")
SAME = os.path.join(ROOT, "tests", "mutate.same")
SURVIVED = os.path.join(ROOT, "build", "mutate", "survived")
SUITES = ("unit", "sim")
MEMORY = 4 << 30  # bytes: some mutants never stop asking for more

# Where decisions are made.
FILES = """
daemon/core/access.c daemon/core/fleet.c daemon/core/fleet_check.c daemon/core/fleet_decide.c
daemon/core/fleet_judge.c daemon/core/fleet_look.c daemon/core/fleet_record.c
daemon/core/fleet_reply.c daemon/core/lifetime.c daemon/core/probe.c daemon/core/retry.c
daemon/core/server_clock.c daemon/core/skew.c daemon/core/token_ask.c daemon/core/token_decide.c
daemon/core/token_failure.c daemon/core/token_fetch.c daemon/core/token_judge.c
daemon/core/token_login.c daemon/core/token_next.c daemon/core/token_page.c
daemon/core/token_past.c daemon/core/token_sibling.c daemon/core/token_source.c
daemon/broker/endpoint.c daemon/broker/fleet_link.c daemon/broker/fleet_member.c
daemon/broker/fleet_news.c daemon/broker/fleet_operation.c daemon/broker/fleet_story.c
daemon/broker/login.c daemon/broker/login_code.c daemon/broker/profile.c
daemon/broker/reload.c daemon/broker/rights.c daemon/broker/token_exchange.c daemon/broker/turn.c
daemon/broker/waiter.c
""".split()

# Deleted, these leak or leave bytes behind, which the sanitizers and test_leaks.py are for.
NOT_DELETED = re.compile(r"assert|free|.*_(free|fini|empty|wipe|cleanse)|explicit_bzero|va_(start|end)")

TOKEN = re.compile(r"""
    (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<hash>^[ \t]*\#(?:[^\n\\]|\\.|\\\n)*)
  | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<number>(?:0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*(?![\w.]))
  | (?P<word>[A-Za-z_]\w*)
  | (?P<mark>\+\+|--|->|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\.\.\.|[^\s\w])
""", re.VERBOSE | re.MULTILINE | re.DOTALL)
SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||",
         "||": "&&", "+=": "-=", "-=": "+=", "true": "false", "false": "true"}
DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+\w+[ \t]+")


@dataclass
class Token:
    """A piece of C, where it begins."""
    kind: str
    text: str
    at: int


@dataclass
class Mutant:
    """`text` in place of what is at `begin` up to `end`."""
    file: str
    begin: int
    end: int
    text: str
    what: str
    line: int
    source: str  # that line
    nth: int  # of those that are alike but for their place

    def key(self) -> str:
        """What tests/mutate.same names it by; holds when lines move."""
        return f"{self.file}: {self.what}{f' ({self.nth})' if self.nth > 1 else ''}: {self.source}"


def tokens_of(text: str, start: int = 0) -> list[Token]:
    """What the compiler sees, without comments."""
    return [Token(match.lastgroup, match.group(), start + match.start())
            for match in TOKEN.finditer(text) if match.lastgroup != "comment"]


def closing(tokens: list[Token], opening: int) -> int:
    """The index of the parenthesis that ends what begins at `opening`."""
    depth = 0
    for i in range(opening, len(tokens)):
        depth += (tokens[i].text == "(") - (tokens[i].text == ")")
        if depth == 0:
            return i
    return len(tokens) - 1


def number_changed(text: str) -> tuple[str, ...]:
    """One more, and one less where that is no negative number."""
    digits = re.match(r"0[xX][0-9a-fA-F]+|[0-9]+", text).group()
    value, suffix = int(digits, 16 if digits[:2].lower() == "0x" else 10), text[len(digits):]
    return (f"{value + 1}{suffix}",) + ((f"{value - 1}{suffix}",) if value > 1 else ())


def is_size(tokens: list[Token], i: int) -> bool:
    """A number that says how large an array, a field of bits or an empty initialiser is."""
    before = tokens[max(0, i - 3):i]
    if [t.text for t in before[-1:]] == ["{"] and tokens[i].text == "0":
        return True
    if [t.text for t in before[-1:]] == ["["] and len(before) == 3:
        return before[1].kind == "word" and (before[0].kind == "word" or before[0].text == "*") \
            and before[0].text != "return"
    return False


def mutants_at(tokens: list[Token], i: int, controls: set[int], in_for: bool):
    """What can be done at a token: begin, end, replacement, words."""
    token, text = tokens[i], tokens[i].text
    previous = tokens[i - 1] if i else Token("mark", ";", 0)
    following = tokens[i + 1].text if i + 1 < len(tokens) else ""
    end = token.at + len(text)
    binary = previous.kind in ("word", "number") and previous.text != "return" or \
        previous.text in (")", "]")
    if text in SWAPS and (token.kind == "word" or binary):
        yield token.at, end, SWAPS[text], f"{text} to {SWAPS[text]}"
    if text in "+-" and binary:
        yield token.at, end, "-+"["+-".index(text)], f"{text} to {'-+'['+-'.index(text)]}"
    if text == "!":
        yield token.at, end, "", "! deleted"
    if text in ("++", "--") and not in_for:
        yield token.at, end, "", f"{text} deleted"
    if token.kind == "number" and not is_size(tokens, i):
        for changed in number_changed(text):
            yield token.at, end, changed, f"{text} to {changed}"
    if text == "if" and following == "(":
        last = tokens[closing(tokens, i + 1)].at
        yield tokens[i + 1].at, last + 1, None, "negated"
    starts = previous.text in (";", "{", "}", "else", ":") or i - 1 in controls
    if token.kind == "word" and starts and following == "(" and text not in (
            "if", "for", "while", "switch", "return", "sizeof") and not NOT_DELETED.fullmatch(text):
        last = closing(tokens, i + 1)
        if last + 1 < len(tokens) and tokens[last + 1].text == ";":
            yield token.at, tokens[last].at + 1, "", f"{text}() deleted"


def text_of(file: str, root: str) -> str:
    """Of the tree, or of the copy, which stays as it is while people go on with the tree."""
    with open(os.path.join(root, file), encoding="utf-8") as opened:
        return opened.read()


def mutants_of(file: str, whole: str) -> list[Mutant]:
    """All that can be done to a file, in its order."""
    found: list[Mutant] = []
    alike: collections.Counter = collections.Counter()

    def add(begin: int, end: int, text: str | None, what: str) -> None:
        if text is None:
            text = f"(!{whole[begin:end]})"
        line_begin = whole.rfind("\n", 0, begin) + 1
        source = whole[line_begin:whole.find("\n", begin)].strip()
        alike[what, source] += 1
        found.append(Mutant(file, begin, end, text, what, whole.count("\n", 0, begin) + 1, source,
                            alike[what, source]))

    tokens, depth, controls, for_end = [], 0, set(), -1
    for token in tokens_of(whole):
        name = DEFINE.match(token.text) if token.kind == "hash" else None
        if name:
            inside = tokens_of(token.text[name.end():], token.at + name.end())
            for i, one in enumerate(inside):
                if one.kind == "number":
                    for change in mutants_at(inside, i, set(), False):
                        add(*change)
        elif token.kind != "hash":
            tokens.append(token)
    for i, token in enumerate(tokens):
        depth += (token.text == "{") - (token.text == "}")
        if token.text in ("if", "for", "while", "switch") and tokens[i + 1].text == "(":
            controls.add(closing(tokens, i + 1))
        if token.text == "for":
            for_end = closing(tokens, i + 1)
        if depth > 0 and token.kind != "text":
            for change in mutants_at(tokens, i, controls, i < for_end):
                add(*change)
    return found


def copy_sources() -> None:
    """The copy is as the tree is; what has not changed keeps its time, and is not built again."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                            cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    files = {path for path in listed.stdout.splitlines()
             if os.path.isfile(os.path.join(ROOT, path))}
    for folder, _, names in os.walk(COPY):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, COPY) not in files:
                os.unlink(path)
    for path in files:
        source, target = os.path.join(ROOT, path), os.path.join(COPY, path)
        with open(source, "rb") as opened:
            content = opened.read()
        if os.path.exists(target):
            with open(target, "rb") as opened:
                if opened.read() == content:
                    continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as opened:
            opened.write(content)
        shutil.copymode(source, target)


def ninja(*targets: str) -> bool:
    """Whether that could be built."""
    return subprocess.run(["ninja", "-C", BUILD, *targets], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


@dataclass
class Test:
    """A program of the tests."""
    name: str
    command: list[str]
    environment: dict[str, str]
    seconds: float = 0.0  # what it takes on code that is whole
    caught: collections.Counter = field(default_factory=collections.Counter)

    def passes(self) -> bool:
        """False also where it takes far longer than it should."""
        begun = time.monotonic()
        try:
            ended = subprocess.run(
                self.command, cwd=BUILD, env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                timeout=10 + 8 * self.seconds if self.seconds else 600, check=False,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)))
        except subprocess.TimeoutExpired:
            return False
        if not self.seconds:
            self.seconds = time.monotonic() - begun
        return ended.returncode == 0


def prepare() -> list[Test]:
    """The copy, built and tested."""
    copy_sources()
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        subprocess.run(["meson", "setup", "-Ddebug=false", "-Doptimization=2", "-Dman=disabled",
                        BUILD, COPY], stdout=subprocess.DEVNULL, check=True)
    if not ninja("build.ninja"):
        sys.exit("mutate: the copy in build/mutate cannot be configured")
    listed = json.loads(subprocess.run(["meson", "introspect", "--tests", BUILD], check=True,
                                       stdout=subprocess.PIPE, text=True).stdout)
    tests = [Test(one["name"], one["cmd"], one["env"]) for one in listed
             if set(one["suite"]) & {f"gctokend:{suite}" for suite in SUITES} |
             set(one["suite"]) & set(SUITES)]
    if not ninja(*programs(tests)):
        sys.exit("mutate: the copy in build/mutate cannot be built")
    for test in tests:
        if not test.passes():
            sys.exit(f"mutate: {test.name} fails although nothing is broken")
    return tests


def programs(tests: list[Test]) -> list[str]:
    """What has to be built for them."""
    return sorted({os.path.relpath(test.command[0], BUILD) for test in tests})


def object_of(file: str) -> str:
    """What is made of a file, as ninja names it."""
    part, _, inside = file.partition("/")
    made = glob.glob(os.path.join(BUILD, part, "*.p", inside.replace("/", "_") + ".o"))
    return os.path.relpath(max(made, key=os.path.getmtime), BUILD)


def content_of(path: str) -> str:
    """A hash of a file in the build folder."""
    with open(os.path.join(BUILD, path), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def judge(mutant: Mutant, whole: str, made: str, seen: set[str], tests: list[Test]) -> str:
    """caught, survived, or why it does not count."""
    with open(os.path.join(COPY, mutant.file), "w", encoding="utf-8") as file:
        file.write(whole[:mutant.begin] + mutant.text + whole[mutant.end:])
    if not ninja(made):
        return "not C"
    content = content_of(made)
    if content in seen:
        return "same code"
    seen.add(content)
    # The programs of the file's own name and those that caught its last ones come first, and most
    # of the others need not even be linked.
    own = os.path.splitext(os.path.basename(mutant.file))[0]
    queue = sorted(tests, key=lambda t: (-t.caught[mutant.file], own not in t.name, t.seconds))
    for some in (queue[:2], queue[2:6], queue[6:]):
        if not ninja(*programs(some)):
            return "not C"
        for test in some:
            if not test.passes():
                test.caught[mutant.file] += 1
                return "caught"
    return "survived"


def chosen(options: argparse.Namespace, root: str) -> list[Mutant]:
    """In the order of files, since each file has to be built anew when it is left."""
    found = [mutant for file in options.files or FILES
             for mutant in mutants_of(file, text_of(file, root))]
    if options.survived:
        with open(SURVIVED, encoding="utf-8") as file:
            keys = set(file.read().splitlines())
        found = [mutant for mutant in found if mutant.key() in keys]
    if options.sample and options.sample < len(found):
        kept = set(random.Random(options.seed).sample(range(len(found)), options.sample))
        found = [mutant for i, mutant in enumerate(found) if i in kept]
    return found


def same_by_hand() -> set[str]:
    """Those that mean the same. A line names one, the next, indented, says why."""
    with open(SAME, encoding="utf-8") as file:
        return {line.rstrip("\n") for line in file if line.strip() and line[0] not in "# \t"}


def run(mutants: list[Mutant], tests: list[Test]) -> dict[str, collections.Counter]:
    """Tells of each that survived, as soon as it has."""
    same, result = same_by_hand(), collections.defaultdict(collections.Counter)
    begun = time.monotonic()
    with open(SURVIVED, "w", encoding="utf-8") as survived:
        for file in dict.fromkeys(mutant.file for mutant in mutants):
            whole = text_of(file, COPY)
            made = object_of(file)
            seen = {content_of(made)}
            for mutant in (mutant for mutant in mutants if mutant.file == file):
                verdict = "the same" if mutant.key() in same else \
                    judge(mutant, whole, made, seen, tests)
                result[file][verdict] += 1
                if verdict == "survived":
                    print(f"{file}:{mutant.line}: {mutant.key().partition(': ')[2]}", flush=True)
                    survived.write(mutant.key() + "\n")
                    survived.flush()
            with open(os.path.join(COPY, file), "w", encoding="utf-8") as opened:
                opened.write(whole)
            ninja(made)
    print(f"{len(mutants)} mutants in {(time.monotonic() - begun) / 60:.0f} minutes")
    return result


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="./dev mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=400, help="so many (400); 0: all")
    parser.add_argument("--seed", type=int, default=1, help="of the choice (1)")
    parser.add_argument("--survived", action="store_true", help="those of the last run alone")
    parser.add_argument("--list", action="store_true", help="print what would be done")
    parser.add_argument("--least", type=float, default=90.0, help="per cent to be caught (90)")
    parser.add_argument("files", nargs="*", metavar="FILE", help="all that decide, or these")
    options = parser.parse_args()
    if options.list:
        for mutant in chosen(options, ROOT):
            print(f"{mutant.file}:{mutant.line}: {mutant.key().partition(': ')[2]}")
        return 0
    os.nice(10)
    tests = prepare()
    result = run(chosen(options, COPY), tests)
    total: collections.Counter = collections.Counter()
    for file, counts in [*result.items(), ("all", total)]:
        total.update(counts if file != "all" else {})
        counted = counts["caught"] + counts["survived"]
        share = 100 * counts["caught"] / counted if counted else 100.0
        print(f"{file:34} {counts['caught']:4} of {counted:4} caught {share:5.1f} %")
    return 0 if share >= options.least else 1


if __name__ == "__main__":
    sys.exit(main())
