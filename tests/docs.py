#!/usr/bin/python3
"""Holds what the documents say of this source: the files that they name are there, links lead
somewhere, docs/operations.md has every metric, and docs/architecture.md has layers as in tests/layers
and, in its table of changes, names that stand in the files beside them. Silent when all is well."""

import fnmatch
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPERATIONS = "docs/operations.md"
METRICS = "daemon/core/reply_metrics.c"
ARCHITECTURE = "docs/architecture.md"
SOURCE = re.compile(r"[\w*./-]+\.(?:c|h|py)")
# The name that a reader gives to an example.
FOREIGN = {"gctoken_broker.py"}


def read(path: str) -> str:
    """The whole file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def quoted(text: str) -> list[str]:
    """What stands between backticks, outside of examples."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def is_there(name: str, files: list[str]) -> bool:
    """A path of the tree, its end, or a pattern of either."""
    return any(fnmatch.fnmatch(path, name) or fnmatch.fnmatch(path, "*/" + name) for path in files)


def wrong_names(document: str, files: list[str]) -> list[str]:
    """Source files and links that lead nowhere."""
    text = read(document)
    wrong = [f"{document}: there is no {name}" for name in sorted(set(quoted(text)))
             if SOURCE.fullmatch(name) and name not in FOREIGN and not is_there(name, files)]
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        path = os.path.normpath(os.path.join(os.path.dirname(document), link))
        if "://" not in link and not os.path.exists(path):
            wrong.append(f"{document}: a link to {link}, which is not there")
    return wrong


def wrong_metrics() -> list[str]:
    """Metrics that the operator's guide does not have."""
    told = read(OPERATIONS)
    made = re.findall(r'"(gctokend_[a-z_]+)"', read(METRICS))
    return [f"{OPERATIONS}: there is no {name}" for name in made if f"`{name}`" not in told]


def rows_after(text: str, mark: str) -> list[list[str]]:
    """The cells of all rows of tables from a mark to the next heading."""
    part = re.split(r"^## ", text.partition(f"<!-- {mark}:")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in part.splitlines() if line.startswith("| ")]
    if not rows:
        raise SystemExit(f"{ARCHITECTURE}: no table behind the mark {mark}")
    return rows


def layers_of(lines: list[str]) -> set[tuple[str, str, str]]:
    """(folder, layer, file) of each file of the daemon in tests/layers."""
    found = set()
    for line in lines:
        match = re.match(r"(daemon/\w+) (\d+): (.*)", line)
        if match:
            found |= {(match[1], match[2], name) for name in match[3].split()}
    return found


def wrong_layers(text: str) -> list[str]:
    """Where the page and tests/layers differ."""
    told, folder = set(), ""
    for cells in rows_after(text, "layers"):
        if cells[0].startswith("`"):
            folder = cells[0].strip("`")
        else:
            told |= {(folder, cells[0], name) for name in quoted(cells[1])}
    held = layers_of(read("tests/layers").splitlines())
    wrong = [f"{ARCHITECTURE}: {name} is not in layer {layer} of {folder}"
             for folder, layer, name in sorted(told - held)]
    wrong += [f"{ARCHITECTURE}: {name} is missing from layer {layer} of {folder}"
              for folder, layer, name in sorted(held - told)]
    return wrong


def wrong_changes(text: str) -> list[str]:
    """Rows whose files do not hold the names beside them, or are fewer than the row counts."""
    wrong = []
    for change, where, count in rows_after(text, "changes")[1:]:
        names = [name for name in quoted(where) if "/" not in name]
        sources = {name for name in quoted(where) if SOURCE.fullmatch(name) and "/" in name}
        bodies = [read(path) for path in sorted(sources) if os.path.exists(path)]
        for name in names:
            # calls_token and its like are files, an option of a tool is neither.
            if not name.startswith(("calls_", "-", "git ")) and not any(
                    name in body for body in bodies):
                wrong.append(f"{ARCHITECTURE}, '{change}': {name} is in none of its files")
        if not 1 <= int(count.rstrip("+")) <= max(len(sources), 1):
            wrong.append(f"{ARCHITECTURE}, '{change}': {count} files, but {len(sources)} are named")
    return wrong


def main() -> int:
    """Prints what is wrong."""
    os.chdir(ROOT)
    files = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                           stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    files = [path for path in files if os.path.exists(path)]
    wrong = []
    for document in files:
        if document == "README.md" or re.fullmatch(r"docs/[\w-]+\.md", document):
            wrong += wrong_names(document, files)
    text = read(ARCHITECTURE)
    wrong += wrong_metrics() + wrong_layers(text) + wrong_changes(text)
    print("".join(line + "\n" for line in wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
