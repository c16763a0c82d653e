#!/usr/bin/python3
"""Runs the layers of tests named on the command line and counts test cases, not programs.

Quiet where all is well: a line per layer, then the skips with their reasons. What failed is shown
whole. What failed beside others gets a second look when nothing else runs: what fails then has
failed; what passes then counts as passed, what it said at first is shown, and the line before the
last names it. The last line is `N passed, N failed, N skipped`; exit status 0 only if none failed
and some passed."""

import argparse
import functools
import glob
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass
class Case:
    """One test case; `text` is why it was skipped, or what a failed one said. `of_program`: what
    failed is a whole program, which crashed, stopped early, or told nothing that was understood."""
    name: str
    outcome: str
    text: str = ""
    of_program: bool = False


# The names of all that failed at first.
second_looks: list[str] = []


# Of a program that runs many cases, each of which has a deadline of its own: it hangs.
DEADLINE_S = 3600.0


def run_command(*command: str, env: dict[str, str] | None = None) -> tuple[int | None, str]:
    """Its exit status, None if it did not end in time, and what it wrote."""
    try:
        result = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})},
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace",
                                check=False, timeout=DEADLINE_S)
    except subprocess.TimeoutExpired as late:
        said = (late.output or b"").decode(errors="replace")
        return None, f"{said}\n{command[0]} did not end within {DEADLINE_S:g} s"
    return result.returncode, result.stdout


def command_case(name: str, *command: str, env: dict[str, str] | None = None) -> Case:
    """A command that is a test by itself: passed if it succeeds, skipped if it says so by status 77."""
    status, said = run_command(*command, env=env)
    if status == 77:
        return Case(name, SKIPPED, said.partition("skipped: ")[2].strip())
    return Case(name, PASSED if status == 0 else FAILED, said)


def run_lint(_build: str) -> list[Case]:
    """The compile commands of the clang build are what clang-tidy reads, so it comes first."""
    cases = [command_case("build with clang", "./dev", "build-clang")]
    checks = subprocess.run(["tests/lint", "--list"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                            check=True).stdout.split()
    return cases + [command_case(check, "tests/lint", check) for check in checks]


TAP_LINE = re.compile(r"(not )?ok\b *\d*(?: *- *)?(.*)")
TAP_SKIP = re.compile(r"# *skip\b:? *(.*)", re.IGNORECASE)
TAP_PLAN = re.compile(r"1\.\.(\d+)")


def tap_cases(program: str, output: str) -> list[Case]:
    """cmocka says `not ok N # SKIP name` of a skipped case, which meson takes for a failure; why it
    was skipped the test itself says, in the line before."""
    cases: list[Case] = []
    planned, said = 0, ""
    for line in output.splitlines():
        plan, result = TAP_PLAN.match(line), TAP_LINE.match(line)
        if plan:
            planned += int(plan.group(1))
        elif result:
            skip = TAP_SKIP.search(result.group(2))
            name = f"{program}: {skip.group(1) if skip else result.group(2)}"
            if skip:
                cases.append(Case(name, SKIPPED, said or "no reason given"))
            else:
                cases.append(Case(name, FAILED if result.group(1) else PASSED))
            said = ""
        else:
            comment = TAP_SKIP.match(line)
            said = comment.group(1) if comment else line.removeprefix("# ")
    if len(cases) < planned:
        cases.append(Case(f"{program}: {len(cases)} of {planned} cases ran", FAILED,
                          of_program=True))
    return cases


def program_of(record: dict) -> str:
    """meson calls it PROJECT:SUITE / NAME, later ones SUITE - PROJECT:NAME."""
    return re.split(" / | - [^:]*:", record["name"])[-1]


def program_cases(record: dict) -> list[Case]:
    """The cases of one test program; what it wrote goes to the first that failed."""
    program = program_of(record)
    output = record.get("stdout", "")
    said = output + record.get("stderr", "")
    ended_badly = record.get("returncode") != 0 or record["result"] in ("TIMEOUT", "INTERRUPT")
    cases = tap_cases(program, output)
    if ended_badly and not any(c.outcome == FAILED for c in cases):
        # It crashed, leaked, or ran out of time after cases that were fine.
        cases.append(Case(f"{program}: {record['result']}, status {record.get('returncode')}",
                          FAILED, of_program=True))
    if not cases:
        cases.append(Case(f"{program}: no TAP in what it wrote", FAILED, of_program=True))
    for case in cases:
        if case.outcome == FAILED:
            case.text = said
            break
    return cases


def second_look(layer: str, cases: list[Case], run_again: Callable[[], list[Case]],
                failed_again: Callable[[], list[Case]] | None = None) -> list[Case]:
    """The cases of one program; where some failed, what they do when it runs alone. All of it runs
    once more, or, where that can be and each case had its turn, only what failed."""
    failed = [case for case in cases if case.outcome == FAILED]
    if not failed:
        return cases
    for case in failed:
        second_looks.append(f"{layer} {case.name}")
        print(f"--- SECOND LOOK {layer}: {case.name} failed at first:")
        print(shown(case.text) + "\n---" if case.text else "---", flush=True)
    if not failed_again or any(case.of_program for case in failed):
        return run_again()
    again = {case.name: case for case in failed_again()}
    return [again.pop(case.name, case) if case.outcome == FAILED else case for case in cases] + [
        case for case in again.values() if case.outcome == FAILED]


def meson_suite(suite: str):
    """A layer whose programs meson knows."""
    def known(build: str) -> list[str]:
        told = subprocess.run(["meson", "introspect", "--tests", build], cwd=ROOT,
                              stdout=subprocess.PIPE, text=True, check=True).stdout
        return [test["name"] for test in json.loads(told) if f"gctokend:{suite}" in test["suite"]]

    def records(build: str, *programs: str) -> list[dict] | Case:
        """A meson that gives up on the way has written what it had."""
        log = os.path.join(build, "meson-logs", f"testlog-{suite}.json")
        if os.path.exists(log):
            os.unlink(log)
        status, said = run_command("meson", "test", "-C", build, "--no-rebuild", "--suite", suite,
                                   "--logbase", f"testlog-{suite}", *programs)
        if status is None:
            return Case(f"{suite}: meson hangs", FAILED, said)
        if not os.path.exists(log):
            return Case(f"{suite}: meson ran no test", FAILED, said)
        with open(log, encoding="utf-8") as file:
            found = [json.loads(line) for line in file]
        wanted = len(programs) or len(known(build))
        if len(found) != wanted:
            return Case(f"{suite}: {len(found)} of {wanted} programs ran", FAILED, said)
        return found

    def of_program(build: str, *programs: str) -> list[Case]:
        found = records(build, *programs)
        return [found] if isinstance(found, Case) else [
            case for record in found for case in program_cases(record)]

    def run(build: str) -> list[Case]:
        # Two of one name are more than meson can bear.
        names = known(build)
        if shared := sorted({name for name in names if names.count(name) > 1}):
            return [Case(f"{suite}: several programs are called {', '.join(shared)}", FAILED)]
        found = records(build)
        if isinstance(found, Case):
            return [found]
        cases = []
        for record in found:
            program = program_of(record)
            cases += second_look(suite, program_cases(record),
                                 functools.partial(of_program, build, program))
        return cases
    return run


def pytest_layer(layer: str):
    """A folder of tests for pytest. Each file gets a pytest of its own, as many at a time as there
    are processors: they mostly wait. The largest file comes first, lest it runs alone at the end."""
    def run(build: str) -> list[Case]:
        os.makedirs(os.path.join(build, layer), exist_ok=True)
        files = sorted(glob.glob(os.path.join(ROOT, "tests", layer, "test_*.py")),
                       key=os.path.getsize, reverse=True)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            parts = list(pool.map(lambda file: pytest_file(build, layer, file), files))
        return [case for file, part in zip(files, parts)
                for case in second_look(
                    layer, part, functools.partial(pytest_file, build, layer, file),
                    functools.partial(pytest_file, build, layer, file, "--last-failed"))]
    return run


def pytest_file(build: str, layer: str, file: str, *options: str) -> list[Case]:
    """pytest is told which programs to test."""
    name = os.path.basename(file)
    report = os.path.join(build, layer, name + ".xml")
    if os.path.exists(report):
        os.unlink(report)
    whole = command_case(
        f"{name}: pytest", "/usr/bin/python3", "-m", "pytest", file, "-q", "--tb=short",
        f"--junitxml={report}", "-o", f"cache_dir={os.path.join(build, layer, name)}.cache",
        "-o", "faulthandler_timeout=900",  # where a test is that hangs
        *options,
        env={"GCTOKEND": os.path.join(build, "daemon", "gctokend"),
             "GCTOKEN": os.path.join(build, "client-lib", "gctoken")})
    return pytest_cases(name, whole, report)


def pytest_cases(name: str, whole: Case, report: str) -> list[Case]:
    """The cases in pytest's report; `whole` is how the run of it ended."""
    if not os.path.exists(report):
        return [Case(f"{name}: pytest wrote no report", FAILED, whole.text, of_program=True)]
    found: dict[str, Case] = {}
    for test in ElementTree.parse(report).iter("testcase"):
        test_name = f"{test.get('classname', '').rpartition('.')[2]}: {test.get('name')}"
        # A test whose fixtures fail at its end is reported twice; it is one case.
        case = found.setdefault(test_name, Case(test_name, PASSED))
        skip = test.find("skipped")
        for failure in test.findall("failure") + test.findall("error"):
            case.outcome = FAILED
            case.text += (failure.text or failure.get("message", "")) + "\n"
        if skip is not None and case.outcome == PASSED:
            case.outcome, case.text = SKIPPED, skip.get("message", "")
    cases = list(found.values())
    if whole.outcome == FAILED and not any(c.outcome == FAILED for c in cases):
        whole.of_program = True
        cases.append(whole)
    return cases


def run_fuzz(_build: str) -> list[Case]:
    """A short run of each fuzz target. They have a build folder of their own, and need clang."""
    built = command_case("build the fuzz targets", "./dev", "build-fuzz")
    if built.outcome == FAILED:
        return [built]
    ran = command_case("fuzz", "tests/fuzz/run.py", "--short")
    return program_cases({"name": "fuzz", "stdout": ran.text, "result": ran.outcome,
                          "returncode": int(ran.outcome == FAILED)})


def run_manager(build: str) -> list[Case]:
    """One boot of a systemd with the daemon installed in it; what runs there is pytest again."""
    report = os.path.join(build, "manager", "report.xml")
    os.makedirs(os.path.dirname(report), exist_ok=True)
    if os.path.exists(report):
        os.unlink(report)

    def boot(*options: str) -> list[Case]:
        whole = command_case("manager: pytest", "tests/manager/boot.py", "--build", build,
                             "--report", report, "-q", "--tb=short", *options)
        told = whole.text.strip()
        if told.startswith("no systemd can be booted here: "):
            return [Case("manager", SKIPPED, told)]
        return pytest_cases("manager", whole, report)

    cases = boot()
    failed = [case.name.partition(": ")[2].partition("[")[0] for case in cases
              if case.outcome == FAILED and ": " in case.name]
    return second_look("manager", cases, boot, lambda: boot("-k", " or ".join(failed)))


LAYERS = {
    "lint": run_lint,
    "unit": meson_suite("unit"),
    "edge": meson_suite("edge"),
    "sim": meson_suite("sim"),
    "fuzz": run_fuzz,
    "system": pytest_layer("system"),
    "faults": pytest_layer("faults"),
    "manager": run_manager,
    "interop": pytest_layer("interop"),
    "packages": pytest_layer("packages"),
}


def shown(text: str, limit: int = 200) -> str:
    """What a failed case wrote, without the middle where that is very long."""
    lines = text.rstrip().splitlines()
    if len(lines) > limit:
        left_out = f"[... {len(lines) - limit} lines ...]"
        lines = lines[:limit // 2] + [left_out] + lines[-limit // 2:]
    return "\n".join(lines)


def count(cases: list[Case]) -> str:
    """The line that everything is about."""
    return ", ".join(f"{sum(c.outcome == outcome for c in cases)} {outcome}"
                     for outcome in (PASSED, FAILED, SKIPPED))


def main() -> int:
    """Runs the layers in the order given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", default="build", help="the folder of the programs to test")
    parser.add_argument("layers", nargs="+", choices=LAYERS, metavar="LAYER",
                        help=", ".join(LAYERS))
    options = parser.parse_args()
    build = os.path.join(ROOT, options.build)
    cases: list[Case] = []
    for layer in options.layers:
        begun = time.monotonic()
        found = LAYERS[layer](build)
        for case in found:
            if case.outcome == FAILED:
                print(f"--- FAILED {layer}: {case.name}")
                print(shown(case.text) + "\n---" if case.text else "---")
        print(f"{layer:9}{count(found)}  ({time.monotonic() - begun:.1f} s)", flush=True)
        cases += found
    for case in cases:
        if case.outcome == SKIPPED:
            print(f"skipped {case.name}: {case.text}")
    if second_looks:
        print(f"{len(second_looks)} had a second look: {', '.join(second_looks)}")
    print(count(cases))
    outcomes = {case.outcome for case in cases}
    return 0 if FAILED not in outcomes and PASSED in outcomes else 1


if __name__ == "__main__":
    sys.exit(main())
