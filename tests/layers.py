#!/usr/bin/python3
"""Holds what tests/layers says: layers, no circles, a header to each file of the daemon, and no
header that most of a folder includes. Who calls whom is read with nm off the objects in build/.
Silent when all is well."""

import collections
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = "tests/layers"
PARTS = ["daemon", "client-lib"]
# The one .c file of the daemon that nobody calls.
HEADERLESS = {"daemon/main.c"}
SHOWN = 4


def named(path: str) -> str:
    """A file as the table names it."""
    return os.path.splitext(os.path.basename(path))[0]


def read_table() -> tuple[dict[str, dict[str, int]], set[str]]:
    """The layer of each file by folder, and the headers that may be included widely."""
    layers: dict[str, dict[str, int]] = collections.defaultdict(dict)
    wide = set()
    with open(TABLE, encoding="utf-8") as file:
        for line in file:
            words = line.partition("#")[0].replace(":", " ").split()
            if not words:
                continue
            if words[0] == "wide":
                wide.add(words[1])
            else:
                for name in words[2:]:
                    layers[words[0]][name] = int(words[1])
    return layers, wide


def sources() -> list[str]:
    """What git knows, or would if it were told, of both parts."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--",
         *(f"{part}/*.[ch]" for part in PARTS)], stdout=subprocess.PIPE, text=True, check=True)
    return sorted({path for path in listed.stdout.splitlines() if os.path.exists(path)})


def object_of(source: str) -> str | None:
    """The newest object made of a file: some are compiled for more than one program."""
    part, _, inside = source.partition("/")
    made = glob.glob(f"build/{part}/*.p/{inside.replace('/', '_')}.o")
    return max(made, key=os.path.getmtime, default=None)


def calls(objects: dict[str, str]) -> dict[str, dict[str, set[str]]]:
    """By file: the files it calls, with the names called."""
    source_of = {path: source for source, path in objects.items()}
    listed = subprocess.run(["nm", "-A", "-g", *source_of], stdout=subprocess.PIPE, text=True,
                            check=True)
    defined, wanted = collections.defaultdict(set), collections.defaultdict(set)
    for line in listed.stdout.splitlines():
        path, _, rest = line.partition(":")
        kind, name = rest.split()[-2:]
        (wanted if kind == "U" else defined)[name].add(source_of[path])
    graph: dict[str, dict[str, set[str]]] = {source: {} for source in objects}
    for name, callers in wanted.items():
        for caller in callers:
            for callee in defined.get(name, ()):
                if callee != caller:
                    graph[caller].setdefault(callee, set()).add(name)
    return graph


def circles(graph: dict[str, list[str]]) -> list[list[str]]:
    """The largest sets of files in which each reaches each, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in graph[node]:
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            members = []
            while not members or members[-1] != node:
                members.append(stack.pop())
            if len(members) > 1:
                found.append(sorted(members))

    for node in graph:
        if node not in order:
            visit(node)
    return found


def some(names: set[str]) -> str:
    """Not all of many names."""
    shown = ", ".join(sorted(names)[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def wrong_calls(files: list[str], layers: dict[str, dict[str, int]]) -> list[str]:
    """Calls upwards, and circles."""
    objects = {source: object_of(source) for source in files}
    wrong = [f"{source}: not built" for source, made in objects.items() if made is None]
    graph = calls({source: made for source, made in objects.items() if made is not None})
    by_folder = collections.defaultdict(list)
    for source in graph:
        by_folder[os.path.dirname(source)].append(source)
    for folder, inside in by_folder.items():
        layer = layers.get(folder, {})
        if layer:
            names = {named(source) for source in inside}
            wrong += [f"{folder}/{name}.c: has no layer in {TABLE}" for name in names - set(layer)]
            wrong += [f"{TABLE}: {folder} has no {name}.c" for name in set(layer) - names]
        for source in inside:
            for other, symbols in graph[source].items():
                own, others = layer.get(named(source)), layer.get(named(other))
                if os.path.dirname(other) == folder and own and others and own < others:
                    wrong.append(f"{source} (layer {own}): calls upwards, "
                                 f"{named(other)} ({others}): {some(symbols)}")
        for members in circles({source: [other for other in graph[source] if other in inside]
                                for source in inside}):
            wrong.append(f"{folder}: a circle of {len(members)} files")
            wrong += [f"  {named(source)} -> {named(other)}: {some(symbols)}"
                      for source in members for other, symbols in sorted(graph[source].items())
                      if other in members]
    return wrong


def included(source: str, files: list[str]) -> set[str]:
    """The headers of the project that a file includes itself."""
    with open(source, encoding="utf-8") as file:
        names = re.findall(r'^#\s*include "([^"]+)"', file.read(), re.MULTILINE)
    roots = {os.path.dirname(source), *PARTS}
    return {os.path.join(root, name) for name in names for root in roots} & set(files)


def reached(source: str, direct: dict[str, set[str]], wide: set[str]) -> set[str]:
    """All that a file includes, by way of other headers too, but for those that may be wide: what
    such a header needs comes with it."""
    found: set[str] = set()
    left = {source}
    while left:
        new = direct[left.pop()] - found
        found |= new
        left |= new - wide
    return found


def wrong_headers(files: list[str], wide: set[str]) -> list[str]:
    """Files without a header of their own, and headers that most of a folder includes."""
    wrong = [f"{source}: has no header of its own" for source in files
             if source.startswith("daemon/") and source.endswith(".c")
             and source not in HEADERLESS and source[:-1] + "h" not in files]
    folder_of = {source: os.path.dirname(source) for source in files}
    total = collections.Counter(folder_of[source] for source in files if source.endswith(".c"))
    direct = {source: included(source, files) for source in files}
    used: dict[str, set[str]] = collections.defaultdict(set)
    for source in files:
        if source.endswith(".c"):
            for header in reached(source, direct, wide):
                if folder_of[header] == folder_of[source] and header != source[:-1] + "h":
                    used[header].add(source)
    most = {header for header, by in used.items() if 2 * len(by) > total[folder_of[header]]}
    wrong += [f"{header}: included by {len(used[header])} of the {total[folder_of[header]]} files "
              f"of its folder, itself or by way of other headers" for header in sorted(most - wide)]
    wrong += [f"{TABLE}: {header} is not included by most" for header in sorted(wide - most)]
    return wrong


def main() -> int:
    """Prints what is wrong."""
    os.chdir(ROOT)
    layers, wide = read_table()
    files = sources()
    wrong = wrong_calls([source for source in files if source.endswith(".c")], layers)
    wrong += wrong_headers(files, wide)
    print("\n".join(wrong) + "\n" if wrong else "", end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
