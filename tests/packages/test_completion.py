"""Completion of gctoken: a shell that completes, as Tab would have it, and what it offers."""

import os
import shlex
import shutil
import subprocess

import pytest

from daemon import GCTOKEN, environment
from fake import REPOSITORY

FILES = os.path.join(REPOSITORY, "conf", "completion", "gctoken.")
FILE = FILES + "bash"
OF_ALL = {"--socket", "--profile", "--json", "--color", "--help", "--version"}

# COMP_WORDS is broken where readline breaks words: at "=", too. compopt is for bash's own calls.
DRIVER = r"""
. "$1"; shift
compopt() { printf 'option %s\n' "$*"; }
line=$1; read -ra words <<<"${line//=/ = }"
[[ $line != *[\ =] ]] || words+=('')
COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line}
complete -p gctoken >/dev/null && _gctoken gctoken "${words[-1]}" "${words[-2]}"
printf 'word %s\n' "${COMPREPLY[@]}"
"""


def complete(line: str, **env: str) -> set[str]:
    """What is offered for the line up to the cursor, which stands at its end."""
    folder = os.path.dirname(GCTOKEN)
    run = subprocess.run(
        ["bash", "--norc", "-c", DRIVER, "driver", FILE, line], capture_output=True, text=True,
        env=environment(PATH=f"{folder}:{os.environ['PATH']}", **env), stdin=subprocess.DEVNULL)
    assert run.returncode == 0 and run.stderr == "", run.stderr
    return {words.removeprefix("word ") for words in run.stdout.splitlines()} - {"word", ""}


def test_commands():
    said = subprocess.run([GCTOKEN, "--help"], capture_output=True, text=True).stdout
    commands = {line.split()[0] for line in said.partition("Commands:\n")[2].partition("\n\n")[0]
                .splitlines()}
    assert {"get", "status", "reject"} <= commands
    assert complete("gctoken ") == commands
    assert complete("gctoken --profile x --json ") == commands
    assert complete("gctoken re") == {c for c in commands if c.startswith("re")}


@pytest.mark.parametrize("line, offered", [
    ("gctoken --", OF_ALL),
    ("gctoken --pro", {"--profile"}),
    ("gctoken get --", OF_ALL | {"--min-ttl", "--wait"}),
    ("gctoken get --min-ttl 5 --w", {"--wait"}),
    ("gctoken --color never skew --p", {"--probe", "--profile"}),
    ("gctoken --color ", {"auto", "always", "never"}),
    ("gctoken --color=a", {"auto", "always"}),
    ("gctoken get --min-ttl ", set()),
    ("gctoken get --min-ttl=", set()),
    ("gctoken --socket ", {"option -o default"}),
    ("gctoken watch --file ", {"option -o default"}),
    ("gctoken metrics --output=", {"option -o default"}),
    ("gctoken status ", set()),
    ("gctoken help re", {"reject", "refresh", "revoke"}),
    ("gctoken help get ", set()),
    ("gctoken completion ", {"bash", "zsh", "fish"}),
    ("gctoken --socket=/nowhere --profile ", set()),  # no daemon: nothing, and no complaint
])
def test_words(line, offered):
    assert complete(line) == offered


def test_exec_completes_another_command():
    assert "cat" in complete("gctoken exec -- ca")
    assert complete("gctoken exec -- cat ") == {"option -o default"}


def test_profiles(fake, daemon):
    """Those that the daemon tells of, wherever the socket's name comes from."""
    d = daemon(fake(), profiles={"default": {}, "reports": {}, "reporters": {}})
    assert complete("gctoken --profile ", GCTOKEN_SOCKET=d.socket) == {
        "default", "reports", "reporters"}
    assert complete("gctoken get --profile rep", GCTOKEN_SOCKET=d.socket) == {
        "reports", "reporters"}
    assert complete(f"gctoken --socket {d.socket} --profile=d") == {"default"}
    assert complete(f"gctoken --socket={d.socket} status --profile ") == {
        "default", "reports", "reporters"}


def test_as_bash_calls_it(fake, daemon):
    """An interactive bash on a terminal, and its Tab."""
    script = shlex.join(["bash", "--norc", "-i"])
    keys = (f"PS1=; bind 'set enable-bracketed-paste off'; PATH={os.path.dirname(GCTOKEN)}:$PATH; "
            f". {FILE}\ngctoken ref\t--col\tnev\t--help >/dev/null; echo st''atus $?\nexit\n")
    run = subprocess.run(["script", "-qec", script, "/dev/null"], input=keys, text=True,
                         capture_output=True, env=environment(TERM="dumb"), timeout=60)
    assert "gctoken refresh --color never --help" in run.stdout
    assert "status 0" in run.stdout


# The other shells read the same help.

def offered_by_fish(line: str, **env: str) -> set[str]:
    path = f"{os.path.dirname(GCTOKEN)}:{os.environ['PATH']}"
    run = subprocess.run(["fish", "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]',
                          FILES + "fish", line], capture_output=True, text=True, timeout=60,
                         env=environment(PATH=path, **env), stdin=subprocess.DEVNULL)
    assert run.returncode == 0 and run.stderr == "", run.stderr
    return {words.partition("\t")[0] for words in run.stdout.splitlines()}


def offered_by_zsh(line: str, **env: str) -> set[str]:
    """What its functions would add: a completion itself is made on a terminal alone."""
    driver = """
        compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -l -- $@ }
        _describe() { [[ $1 != -o ]] || shift; print -l -- ${${(P)2}%%:*} }
        _files() { print option }
        _message() { }
        compset() { [[ $1 != -P || $2 != 1 ]] || PREFIX=${PREFIX#*=} }
        compdef() { }
        _command_names() { print -l ls cat }
        _normal() { print -l -- normal $words }
        . $1
        words=(${(z)2}); [[ $2 != *\\  && $2 != *' ' ]] || words+=('')
        CURRENT=$#words PREFIX=$words[-1]
        _gctoken
    """
    path = f"{os.path.dirname(GCTOKEN)}:{os.environ['PATH']}"
    run = subprocess.run(["zsh", "-f", "-c", driver, "driver", FILES + "zsh", line],
                         capture_output=True, text=True, timeout=60,
                         env=environment(PATH=path, **env), stdin=subprocess.DEVNULL)
    assert run.stderr == "", run.stderr
    return {word for word in run.stdout.splitlines()
            if word.startswith(line.rpartition(" ")[2].rpartition("=")[2])}


OTHERS = [pytest.param(function, marks=pytest.mark.skipif(
    shutil.which(shell) is None, reason=f"{shell} is not installed"))
    for shell, function in (("fish", offered_by_fish), ("zsh", offered_by_zsh))]


@pytest.mark.parametrize("offered", OTHERS)
def test_other_shells_offer_what_bash_does(offered):
    for line in ("gctoken ", "gctoken re", "gctoken --pro", "gctoken get --", "gctoken get --w",
                 "gctoken --color ", "gctoken --color=a", "gctoken --color never skew --p",
                 "gctoken api ", "gctoken get --min-ttl 5 --w", "gctoken completion ", "gctoken help "):
        said = {word.removeprefix("--color=") for word in offered(line)}
        assert said - {"-h"} == complete(line), line


@pytest.mark.parametrize("offered", OTHERS)
def test_other_shells_offer_the_profiles(offered, fake, daemon):
    d = daemon(fake(), profiles={"default": {}, "reports": {}, "reporters": {}})
    assert offered("gctoken --profile rep", GCTOKEN_SOCKET=d.socket) == {"reports", "reporters"}
    assert offered(f"gctoken --socket {d.socket} get --profile ") == {
        "default", "reports", "reporters"}


def test_zsh_on_a_terminal():
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    keys = (f"PATH={os.path.dirname(GCTOKEN)}:$PATH; autoload -Uz compinit; compinit -u -D; "
            f". {FILES}zsh\ngctoken ref\t--col\tnev\t--help >/dev/null; echo st''atus $?\nexit\n")
    run = subprocess.run(["script", "-qec", "zsh -f -i", "/dev/null"], input=keys, text=True,
                         capture_output=True, env=environment(TERM="dumb"), timeout=60)
    assert "status 0" in run.stdout, run.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_what_the_packages_install(shell):
    said = subprocess.run([GCTOKEN, "completion", shell], check=True, capture_output=True).stdout
    with open(FILES + shell, "rb") as file:
        assert said == file.read()
