"""tests/all.py: what failed beside others runs once more, and the last lines tell of it."""

import importlib.util
import json
import os

import pytest

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "all.py")


@pytest.fixture(name="runner")
def load_runner():
    spec = importlib.util.spec_from_file_location("run_all", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record(output: str, status: int = 0, name: str = "gctokend:edge / wheel") -> dict:
    return {"name": name, "stdout": output, "returncode": status,
            "result": "FAIL" if status else "OK"}


WHOLE = record("1..3\nok 1 - turns\nok 2 - stops\nok 3 - squeaks\n")
FAILS = record("1..3\nok 1 - turns\nnot ok 2 - stops\nok 3 - squeaks\n", 1)
STOPPED = record("1..3\nok 1 - turns\n", 134)
STOPPED_FAILING = record("1..3\nok 1 - turns\nnot ok 2 - stops\n", 134)
SILENT = record("", 127)
LEAKS = record(WHOLE["stdout"], 1)


@pytest.mark.parametrize("first, then, counts", [
    (FAILS, WHOLE, "3 passed, 0 failed, 0 skipped"),
    (STOPPED, WHOLE, "3 passed, 0 failed, 0 skipped"),
    (STOPPED_FAILING, WHOLE, "3 passed, 0 failed, 0 skipped"),
    (SILENT, WHOLE, "3 passed, 0 failed, 0 skipped"),
    (LEAKS, FAILS, "2 passed, 1 failed, 0 skipped"),
    (FAILS, STOPPED, "1 passed, 1 failed, 0 skipped"),
    (STOPPED, SILENT, "0 passed, 1 failed, 0 skipped"),
    (STOPPED, LEAKS, "3 passed, 1 failed, 0 skipped"),
])
def test_a_program_that_runs_again_counts_as_it_then_ends(runner, first, then, counts):
    cases = runner.second_look("edge", runner.program_cases(first),
                               lambda: runner.program_cases(then))
    assert runner.count(cases) == counts


@pytest.mark.parametrize("name", ["gctokend:edge / a wheel", "edge - gctokend:a wheel"])
def test_a_program_is_called_by_its_name_whatever_meson_calls_it(runner, name):
    [case] = runner.program_cases(record("1..1\nok 1 - turns\n", name=name))
    assert case.name == "a wheel: turns"


def test_what_passed_has_no_second_look(runner):
    cases = runner.program_cases(WHOLE)
    assert runner.second_look("edge", cases, lambda: pytest.fail("it ran again")) == cases
    assert not runner.second_looks


def test_where_it_can_be_only_what_failed_runs_again(runner):
    def failed_again(*cases):
        return runner.second_look("system", [
            runner.Case("a", runner.PASSED), runner.Case("b", runner.FAILED, "first"),
            runner.Case("c", runner.FAILED)], lambda: pytest.fail("all ran again"),
            lambda: list(cases))

    passed = failed_again(runner.Case("b", runner.PASSED), runner.Case("c", runner.SKIPPED))
    assert runner.count(passed) == "2 passed, 0 failed, 1 skipped"
    # One that had no second turn has failed still, and what else fails then has failed.
    lost = failed_again(runner.Case("c", runner.PASSED), runner.Case("d", runner.FAILED))
    assert {case.name: case.outcome for case in lost} == {
        "a": runner.PASSED, "b": runner.FAILED, "c": runner.PASSED, "d": runner.FAILED}


def test_all_runs_again_where_no_report_was_written(runner, tmp_path):
    whole = runner.Case("test_x.py: pytest", runner.FAILED, "killed")
    cases = runner.pytest_cases("test_x.py", whole, str(tmp_path / "none.xml"))
    found = runner.second_look("system", cases, lambda: [runner.Case("a", runner.PASSED)],
                               lambda: pytest.fail("there is nothing to go by"))
    assert runner.count(found) == "1 passed, 0 failed, 0 skipped"


@pytest.fixture(name="meson")
def make_meson(monkeypatch, tmp_path):
    """meson(LISTED, RAN, THEN): one that lists these programs and writes what those did, and then?"""
    def make(listed: list[str], ran: list[str], then: str) -> str:
        (tmp_path / "meson-logs").mkdir()
        (tmp_path / "listed").write_text(json.dumps(
            [{"name": name, "suite": ["gctokend:edge"]} for name in listed]
            + [{"name": "other", "suite": ["gctokend:sim"]}]))
        (tmp_path / "written").write_text("".join(
            json.dumps({**WHOLE, "name": f"gctokend:edge / {name}"}) + "\n" for name in ran))
        (tmp_path / "meson").write_text(f"""#!/bin/sh
case "$*" in
introspect*) cat {tmp_path}/listed ;;
*) cp {tmp_path}/written {tmp_path}/meson-logs/testlog-edge.json; {then} ;;
esac
""")
        (tmp_path / "meson").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        return str(tmp_path)
    return make


@pytest.mark.parametrize("ran, counts", [
    (["wheel", "brake"], "6 passed, 0 failed, 0 skipped"),
    (["wheel"], "0 passed, 1 failed, 0 skipped"),
])
def test_a_program_that_did_not_run_has_failed(runner, meson, ran, counts):
    """meson gave up on the way, and had written what it had by then."""
    build = meson(["wheel", "brake"], ran, "exit 1")
    assert runner.count(runner.meson_suite("edge")(build)) == counts


def test_two_programs_of_one_name_are_not_even_tried(runner, meson):
    """They are more than meson can bear: it gives up on the way, or hangs."""
    build = meson(["wheel", "brake", "wheel"], ["wheel", "brake", "wheel"], "exit 0")
    [case] = runner.meson_suite("edge")(build)
    assert (case.outcome, case.name) == (runner.FAILED, "edge: several programs are called wheel")


def test_a_meson_that_hangs_has_failed(runner, meson, monkeypatch):
    monkeypatch.setattr(runner, "DEADLINE_S", 0.5)
    build = meson(["wheel"], ["wheel"], "echo turning; exec sleep 1000")
    [case] = runner.meson_suite("edge")(build)
    assert (case.outcome, case.name, case.text) == (
        runner.FAILED, "edge: meson hangs", "turning\n\nmeson did not end within 0.5 s")


def test_so_has_any_other_command(runner, monkeypatch):
    monkeypatch.setattr(runner, "DEADLINE_S", 0.5)
    case = runner.command_case("test_x.py: pytest", "sh", "-c", "echo turning; exec sleep 1000")
    assert (case.outcome, case.text) == (runner.FAILED, "turning\n\nsh did not end within 0.5 s")


def test_a_check_that_is_for_another_release_is_skipped_and_says_so(runner):
    case = runner.command_case("format", "sh", "-c", "echo tests/lint: format skipped: why; exit 77")
    assert (case.outcome, case.text) == (runner.SKIPPED, "why")
    assert runner.command_case("format", "false").outcome == runner.FAILED


@pytest.mark.parametrize("first, line", [
    (WHOLE, "edge     3 passed, 0 failed, 0 skipped"),
    (FAILS, "1 had a second look: edge wheel: stops"),
    (STOPPED, "1 had a second look: edge wheel: 1 of 3 cases ran"),
])
def test_the_line_before_the_last_tells_of_it(runner, monkeypatch, capsys, first, line):
    monkeypatch.setitem(runner.LAYERS, "edge", lambda _build: runner.second_look(
        "edge", runner.program_cases(first), lambda: runner.program_cases(WHOLE)))
    monkeypatch.setattr("sys.argv", ["all.py", "edge"])
    assert runner.main() == 0
    *_, before, last = capsys.readouterr().out.splitlines()
    assert before.startswith(line) and last == "3 passed, 0 failed, 0 skipped"
