"""The manual: that it renders, fits a terminal, agrees with the programs, and that its programs are
good ones."""

import glob
import os
import re
import subprocess

import pytest

from conftest import BUILD, pages_missing
from daemon import GCTOKEN, GCTOKEND, environment
from fake import REPOSITORY

pytestmark = pytest.mark.skipif(pages_missing() is not None, reason=pages_missing() or "")
PAGES = sorted(glob.glob(os.path.join(BUILD, "docs", "man", "*.[1-8]")))


def render(page: str) -> str:
    run = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-P", "cat", "-l", page], check=True,
                         capture_output=True, text=True,
                         env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8",
                              "MAN_KEEP_FORMATTING": ""})
    assert run.stderr == ""
    return run.stdout


def page(name: str) -> str:
    """groff 1.24 breaks words, whatever the page says of it; here they are whole."""
    return re.sub("\N{HYPHEN}\n +", "", render(os.path.join(BUILD, "docs", "man", name)))


def help_of(*command: str) -> str:
    return subprocess.run([*command], check=True, capture_output=True, text=True,
                          env=environment()).stdout


@pytest.mark.parametrize("path", PAGES, ids=os.path.basename)
def test_page(path):
    """No warning, no line that a terminal breaks, the usual sections."""
    text = render(path)
    assert [line for line in text.splitlines() if len(line) > 80] == []
    sections = re.findall(r"^[A-Z][A-Z ]*$", text, re.M)
    assert sections[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"]
    assert sections[-1] == "SEE ALSO"


def test_pages_point_to_pages_there_are():
    """Of ours, each that is named; of others no more than their names can be judged."""
    ours = {os.path.basename(path).rpartition(".")[::2] for path in PAGES}
    for path in PAGES:
        for name, section in re.findall(r"(l?i?b?gctoken[a-z.-]*)\((\d)\)", render(path)):
            assert (name, section) in ours, f"{path} names {name}({section})"


def test_keys_are_those_of_the_daemon():
    """gctokend.conf(5) tells of each key what --help-config does."""
    def without_breaks(text: str) -> str:
        # A line may also end behind the hyphen of a word.
        return re.sub(r"-\s+", "-", re.sub(r"\s+", " ", text))

    told = without_breaks(page("gctokend.conf.5"))
    listed = help_of(GCTOKEND, "--help-config")
    keys = re.findall(r"^  ([a-z_]+) =(.*)\n((?:      .+\n)+)", listed, re.M)
    assert len(keys) > 40
    for name, default, words in keys:
        assert without_breaks(f"{name} ={default} {words}").strip() in told, name
    regions = re.findall(r"^  ([a-z]+-[a-z-]+-\d) +(\S+)$", listed, re.M)
    assert len(regions) > 15
    for region in regions:
        assert " ".join(region) in told


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def test_gctoken_commands_and_options():
    """gctoken(1) has each command and option that the command has, and none that it has not."""
    told = page("gctoken.1")
    general = help_of(GCTOKEN, "--help")
    commands = re.findall(r"^  ([a-z]+) +[A-Z]", general, re.M)
    assert len(commands) >= 7
    options = options_in(general)
    part = told[told.index("COMMANDS FOR PROGRAMS"):told.index("EXIT STATUS")]
    # A command and its options may take more than one line. How far they are set in is groff's matter.
    margin = re.search("^ +(?=get )", part, re.M)[0]
    heads = {head.split()[0]: head for head in re.findall(
        rf"^{margin}([a-z]+(?: .*)?\n(?:{margin}\[.*\n)*){margin}    \S", part, re.M)}
    assert set(heads) == set(commands)
    for command in commands:
        own = options_in(help_of(GCTOKEN, command, "--help")) - options
        assert options_in(heads[command]) == own, command
    assert options <= options_in(told)


def test_gctokend_options():
    told, said = page("gctokend.8"), help_of(GCTOKEND, "--help")
    assert options_in(told.partition("WHO HAS")[0]) == options_in(said)


def test_library_calls_and_errors():
    with open(os.path.join(REPOSITORY, "client-lib", "gctoken.h"), encoding="utf-8") as file:
        header = file.read()
    told = page("libgctoken.3")
    calls = re.findall(r"^(?:int|void|const char \*) ?(gctoken_\w+)\(", header, re.M)
    errors = re.findall(r"^\t(GCTOKEN_[A-Z_]+)(?: = 1)?,", header, re.M)
    assert len(calls) == 7
    for name in calls + [e for e in errors if not e.startswith("GCTOKEN_STATE_")]:
        assert name in told


def programs() -> list[str]:
    with open(os.path.join(REPOSITORY, "docs", "man", "libgctoken.3.scd"),
              encoding="utf-8") as file:
        blocks = re.findall(r"^```\n(.*?)^```$", file.read(), re.M | re.S)
    return [block for block in blocks if "int main(" in block]


def compiled(installed, tmp_path, number: int) -> tuple[str, dict[str, str]]:
    library = os.path.dirname(glob.glob(installed + "/usr/lib/**/libgctoken.so",
                                        recursive=True)[0])
    source, program = tmp_path / "program.c", str(tmp_path / "program")
    source.write_text(programs()[number])
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "gctoken"], check=True, capture_output=True, text=True,
        env={**os.environ, "PKG_CONFIG_SYSROOT_DIR": installed, "PKG_CONFIG_PATH": "",
             "PKG_CONFIG_LIBDIR": library + "/pkgconfig"}).stdout.split()
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", str(source), "-o", program, *flags],
                   check=True)
    return program, environment(LD_LIBRARY_PATH=library)


def test_there_are_three_programs():
    assert len(programs()) == 3


def test_program_that_gets_a_token(installed, tmp_path, fake, daemon):
    program, env = compiled(installed, tmp_path, 0)
    d = daemon(fake())
    run = subprocess.run([program], env={**env, "GCTOKEN_SOCKET": d.socket}, capture_output=True,
                         text=True)
    assert run.returncode == 0
    assert run.stdout == f"Authorization: Bearer {d.token().json['access_token']}\n"
    d.stop()
    run = subprocess.run([program], env={**env, "GCTOKEN_SOCKET": d.socket}, capture_output=True,
                         text=True)
    assert run.returncode == 1 and run.stderr.startswith("no token: ") and run.stdout == ""


def test_program_that_reports_a_401(installed, tmp_path, fake, daemon):
    program, env = compiled(installed, tmp_path, 1)
    d = daemon(fake())
    before = d.token().json["fingerprint"]
    run = subprocess.run([program], env={**env, "GCTOKEN_SOCKET": d.socket}, capture_output=True,
                         text=True)
    after = d.token().json["fingerprint"]
    assert run.returncode == 0 and after != before
    assert run.stdout == f"200 with token {after}\n"


def test_program_that_waits_for_tokens(installed, tmp_path, fake, daemon):
    program, env = compiled(installed, tmp_path, 2)
    d = daemon(fake())
    with subprocess.Popen([program, "2"], env={**env, "GCTOKEN_SOCKET": d.socket},
                          stdout=subprocess.PIPE, text=True) as process:
        seen = []
        for _ in range(2):
            seen.append(process.stdout.readline())
            now = d.token().json
            assert seen[-1] == f"generation {now['generation']}, {now['fingerprint']}\n"
            d.post("/v1/refresh")
        assert process.wait() == 0
