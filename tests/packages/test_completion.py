"""bash completion of gctoken: a bash that completes, as Tab would have it, and what it offers."""

import os
import shlex
import subprocess

import pytest

from daemon import GCTOKEN, environment
from fake import REPOSITORY

FILE = os.path.join(REPOSITORY, "conf", "completion", "gctoken.bash")
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
    ("gctoken status ", set()),
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
