#!/usr/bin/python3
"""Runs the fuzz targets, two at a time, and prints a table of what each did.

./dev fuzz [SECONDS] [TARGET...]   each for so long (60); what was learnt is kept in the build folder
./dev fuzz --coverage              the lines that seeds and kept inputs reach, per file
tests/fuzz/run.py --short          a bounded run from the seeds alone, always the same; prints TAP

Exit status 1 if there was a finding; each is shown with the file that reproduces it."""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# Per target: the longest input worth trying, and how many runs take 3 to 4 s of one core.
TARGETS = {
    "api_pages": (1024, 60000),
    "client_state": (2048, 18000),
    "config": (1500, 2600),
    "fleet_record": (1024, 20000),
    "fleet_reply": (1024, 60000),
    "handover": (4096, 30000),
    "http_date": (64, 250000),
    "jwt_claims": (1024, 150000),
    "page_request": (96, 250000),
    "redirect": (1024, 30000),
    "redis_answer": (1024, 60000),
    "request": (2048, 18000),
    "response": (1024, 38000),
    "sealed_state": (1024, 60000),
    "token_response": (1024, 75000),
    "token_source": (1024, 10000),
}
# Sources that the targets are about; what else is linked is looked at elsewhere.
SOURCES = re.compile(r"/(daemon/(core/.*|store/redis_codec)\.c|client-lib/(response_parser|cli/(api_(next|pages)|redirect(_query)?))\.c)$")
STATUS = re.compile(r"^#(\d+)\s+\w+\s.*?cov: (\d+) ft: \d+ corp: (\d+)/", re.MULTILINE)
SPEED = re.compile(r"^stat::average_exec_per_sec:\s*(\d+)", re.MULTILINE)
ARTIFACT = re.compile(r"Test unit written to (\S+)")


@dataclass
class Outcome:
    """What one target did."""
    target: str
    runs: int = 0
    speed: int = 0
    edges: int = 0
    corpus: int = 0
    findings: list[str] = field(default_factory=list)
    said: str = ""


def command(build: str, target: str) -> list[str]:
    """The part of the command line that every run has. No entropic schedule: with the thousands of
    features of the larger targets its bookkeeping takes most of the time."""
    words = [os.path.join(build, "tests", "fuzz", f"fuzz_{target}"), "-timeout=30",
             "-rss_limit_mb=3072", "-entropic=0", "-print_final_stats=1"]
    dictionary = os.path.join(HERE, "dict", f"{target}.dict")
    return words + ([f"-dict={dictionary}"] if os.path.exists(dictionary) else [])


def seed_folder(target: str) -> str:
    """Where the seeds are, in the tree."""
    return os.path.join(HERE, "corpus", target)


def seeds(target: str) -> list[str]:
    """The files there, in one order wherever they lie."""
    folder = seed_folder(target)
    return sorted(os.path.join(folder, name) for name in os.listdir(folder))


def kept(build: str, target: str) -> str:
    """The folder of what longer runs have learnt."""
    folder = os.path.join(build, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    return folder


def same_addresses() -> list[str]:
    """What to run a program with so that its addresses are always the same, where the kernel allows
    that: libFuzzer learns from comparisons, some of which are of pointers."""
    without = ["setarch", "-R"]
    try:
        subprocess.run([*without, "true"], check=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return []
    return without


def execute(words: list[str]) -> subprocess.CompletedProcess:
    """Runs a target's program, and keeps what it says."""
    env = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
    return subprocess.run(words, cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)


def run(build: str, target: str, *more: str, within: tuple[str, ...] = ()) -> Outcome:
    """One target until its end."""
    findings = os.path.join(build, "findings")
    os.makedirs(findings, exist_ok=True)
    words = [*within, *command(build, target), f"-artifact_prefix={findings}/{target}-"]
    # The seeds first, whole: -max_len cuts what is read as well.
    result = execute([*words, *seeds(target)])
    if result.returncode:
        return Outcome(target, said=result.stdout,
                       findings=re.findall(r"^Running: (\S+)", result.stdout, re.MULTILINE)[-1:])
    result = execute([*words, f"-max_len={TARGETS[target][0]}", *more])
    outcome = Outcome(target, said=result.stdout)
    for match in STATUS.finditer(result.stdout):
        outcome.runs, outcome.edges, outcome.corpus = (int(n) for n in match.groups())
    speed = SPEED.search(result.stdout)
    outcome.speed = int(speed.group(1)) if speed else 0
    outcome.findings = ARTIFACT.findall(result.stdout)
    if result.returncode and not outcome.findings:
        outcome.findings = [f"ended with status {result.returncode}"]
    return outcome


def reason(said: str) -> str:
    """The lines of the output that say what was found."""
    lines = re.findall(r"^.*(?:does not hold|runtime error|ERROR: ).*$|^SUMMARY: .*$", said,
                       re.MULTILINE)
    lines = lines or [line for line in said.splitlines()
                      if line and not line.startswith(("#", "INFO", "stat::"))][-20:]
    return "\n".join(lines)


def fuzz_short(build: str, targets: list[str]) -> list[Outcome]:
    """From the seeds alone, in one order, with one seed for the dice and a fixed number of runs."""
    within = tuple(same_addresses())

    def short(target: str) -> Outcome:
        return run(build, target, "-seed=1", f"-runs={TARGETS[target][1]}",
                   "-seed_inputs=" + ",".join(seeds(target)), within=within)

    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(short, targets))


def fuzz_long(build: str, targets: list[str], seconds: int) -> list[Outcome]:
    """For so many seconds each; new inputs go into the build folder."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda target: run(
            build, target, f"-max_total_time={seconds}", kept(build, target), seed_folder(target)),
            targets))


def print_tap(outcomes: list[Outcome]) -> None:
    """For tests/all.py."""
    print(f"1..{len(outcomes)}")
    for number, o in enumerate(outcomes, 1):
        print(f"{'not ' if o.findings else ''}ok {number} - {o.target}: {o.runs} runs, "
              f"{o.edges} edges")
        for finding in o.findings:
            print("# " + f"{reason(o.said)}\nreproducer: {finding}".replace("\n", "\n# "))


def print_table(outcomes: list[Outcome]) -> None:
    """For people."""
    print(f"{'target':14}{'runs':>10}{'runs/s':>9}{'edges':>7}{'corpus':>8}{'findings':>10}")
    for o in outcomes:
        print(f"{o.target:14}{o.runs:10}{o.speed:9}{o.edges:7}{o.corpus:8}{len(o.findings):10}")
    for o in outcomes:
        for finding in o.findings:
            print(f"\n{o.target}: {reason(o.said)}\nreproducer: {finding}")


def coverage(build: str, corpora: str) -> None:
    """Lines reached by every input there is, of the sources the targets are about."""
    programs, profiles = [], []
    for target in TARGETS:
        program = os.path.join(build, "tests", "fuzz", f"fuzz_{target}")
        profile = os.path.join(build, f"{target}.profraw")
        subprocess.run([program, "-runs=0", kept(corpora, target), seed_folder(target)], cwd=ROOT,
                       env={**os.environ, "LLVM_PROFILE_FILE": profile}, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        programs.append(program)
        profiles.append(profile)
    merged = os.path.join(build, "fuzz.profdata")
    subprocess.run(["llvm-profdata", "merge", "-o", merged, *profiles], check=True)
    objects = [word for program in programs[1:] for word in ("-object", program)]
    report = subprocess.run(["llvm-cov", "export", "-summary-only", f"-instr-profile={merged}",
                             programs[0], *objects], check=True, stdout=subprocess.PIPE)
    rows = {}
    for file in json.loads(report.stdout)["data"][0]["files"]:
        if SOURCES.search(file["filename"]):
            rows[os.path.relpath(file["filename"], ROOT)] = (
                file["summary"]["lines"], file["summary"]["branches"])
    print(f"{'file':34}{'lines':>7}{'reached':>9}{'':8}{'branches':>9}{'reached':>9}")
    totals = [0, 0, 0, 0]
    for name, (lines, branches) in sorted(rows.items()):
        row = [lines["count"], lines["covered"], branches["count"], branches["covered"]]
        totals = [a + b for a, b in zip(totals, row)]
        print_coverage(name, row)
    print_coverage("together", totals)
    core = os.path.join(ROOT, "daemon", "core")
    others = sorted(name for name in os.listdir(core)
                    if name.endswith(".c") and f"daemon/core/{name}" not in rows)
    print(f"in no target: {', '.join(others)}")


def print_coverage(name: str, row: list[int]) -> None:
    """One line of the table of coverage."""
    lines, lines_reached, branches, branches_reached = row
    print(f"{name:34}{lines:7}{lines_reached:9}{lines_reached / max(lines, 1):8.1%}"
          f"{branches:9}{branches_reached:9}{branches_reached / max(branches, 1):8.1%}")


def main() -> int:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", default="build-fuzz")
    parser.add_argument("--short", action="store_true", help="a bounded run that prints TAP")
    parser.add_argument("--coverage", metavar="BUILD", nargs="?", const="build-fuzz-coverage",
                        help="the lines reached, in place of a run")
    parser.add_argument("words", nargs="*", metavar="SECONDS | TARGET")
    options = parser.parse_args()
    build = os.path.join(ROOT, options.build)
    targets = [word for word in options.words if not word.isdigit()] or list(TARGETS)
    for target in targets:
        if target not in TARGETS:
            parser.error(f"no target {target}; there are: {', '.join(TARGETS)}")
    if options.coverage:
        coverage(os.path.join(ROOT, options.coverage), build)
        return 0
    if options.short:
        outcomes = fuzz_short(build, targets)
        print_tap(outcomes)
    else:
        seconds = [int(word) for word in options.words if word.isdigit()] or [60]
        outcomes = fuzz_long(build, targets, seconds[-1])
        print_table(outcomes)
    return 1 if any(o.findings for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
