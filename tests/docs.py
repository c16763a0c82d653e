#!/usr/bin/python3
"""Holds what the documents say of this source: the files and tests that they name are there, links
lead somewhere, docs/operations.md has every metric, and docs/architecture.md has layers as in
tests/layers and, in its table of changes, names that stand in the files beside them; and ./dev says of
itself what a terminal of 80 columns takes. Silent when all is well. The tests are asked for their names, for which build/ has to be there."""

import fnmatch
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPERATIONS = "docs/operations.md"
METRICS = ("daemon/core/reply_metrics.c", "daemon/core/reply_metrics_fleet.c")
ARCHITECTURE = "docs/architecture.md"
SOURCE = re.compile(r"[\w*./-]+\.(?:c|h|py)")
# Where the tests are that pytest runs, by the word of ./dev that runs them. (Those of interop and
# browser cannot be asked before what they need is fetched.)
SUITES = {"system": "tests/system", "faults": "tests/faults", "manager": "tests/manager/inside",
          "packages": "tests/packages"}


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
             if SOURCE.fullmatch(name) and not is_there(name, files)]
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        path = os.path.normpath(os.path.join(os.path.dirname(document), link))
        if "://" not in link and not os.path.exists(path):
            wrong.append(f"{document}: a link to {link}, which is not there")
    return wrong


def tests_of(folder: str) -> list[str]:
    """file.py::test[id] of each."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", folder], text=True, check=False,
        stdout=subprocess.PIPE, env={**os.environ, "GCTOKEN_MANAGER_BUILD": "build"})
    found = [line for line in run.stdout.splitlines() if "::" in line]
    if run.returncode or not found:
        raise SystemExit(f"{folder}: pytest cannot tell its tests:\n{run.stdout[-2000:]}")
    return found


def selected(expression: str, tests: list[str]) -> bool:
    """Is there a test for each word of a -k? Documents join them by `or` alone."""
    return all(any(word in test.lower() for test in tests)
               for word in expression.lower().split(" or "))


def no_programs(names: str, files: list[str]) -> list[str]:
    """Those of them that are no names of test programs in C."""
    return [name for name in names.split() if not any(
        re.fullmatch(rf"tests/(unit|broker|edge)/test_{name}\.c", path) for path in files)]


def wrong_tests(documents: list[str], files: list[str]) -> list[str]:
    """Tests that there are none of. The other files that are named are held by wrong_names."""
    by_suite: dict[str, list[str]] = {}
    wrong = []

    def known(suite: str) -> list[str]:
        if suite in SUITES and suite not in by_suite:
            by_suite[suite] = tests_of(SUITES[suite])
        return by_suite.get(suite, [])

    for document in documents:
        for name in quoted(read(document)):
            chosen = re.search(r"(?:^| )-k (?:\"([^\"]+)\"|'([^']+)'|(\S+))", name)
            first = name.split()[0]
            if name.startswith("./dev unit "):
                missing = no_programs(name.removeprefix("./dev unit ").partition("#")[0], files)
                wrong += [f"{document}: there is no test program of {one}" for one in missing]
            elif re.fullmatch(r"test_\w+", name) and no_programs(name.removeprefix("test_"), files):
                wrong.append(f"{document}: there is no {name}")
            elif chosen:
                file = re.fullmatch(r"(?:tests/system/)?(test_\w+\.py)", first)
                suite = "system" if file else name.split()[1]
                tests = [test for test in known(suite)
                         if not file or test.startswith(f"{file[1]}::")]
                if suite in SUITES and not selected(chosen[1] or chosen[2] or chosen[3], tests):
                    wrong.append(f"{document}: {name}: one of its words selects no test")
    return wrong


def wrong_metrics() -> list[str]:
    """Metrics that the operator's guide does not have."""
    told = read(OPERATIONS)
    made = re.findall(r'"(gctokend_[a-z_]+)"', "".join(map(read, METRICS)))
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


def wide_help() -> list[str]:
    """Lines of what ./dev says of itself that a terminal would break."""
    said = subprocess.run(["./dev"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return [f"dev: its help is wider than 80 columns: {line}" for line in said.splitlines()
            if len(line) > 80] if said.startswith("Usage: ") else ["dev: it has no help"]


def main() -> int:
    """Prints what is wrong."""
    os.chdir(ROOT)
    files = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                           stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    files = [path for path in files if os.path.exists(path)]
    documents = [path for path in files
                 if path == "README.md" or re.fullmatch(r"docs/[\w-]+\.md", path)]
    wrong = []
    for document in documents:
        wrong += wrong_names(document, files)
    wrong += wrong_tests(documents, files)
    text = read(ARCHITECTURE)
    wrong += wrong_metrics() + wrong_layers(text) + wrong_changes(text) + wide_help()
    print("".join(line + "\n" for line in wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
