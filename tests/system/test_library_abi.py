"""Programs that were built against libgctoken go on running with the next one."""

import os
import shutil
import subprocess

import pytest

from daemon import GCTOKEND
from fake import REPOSITORY
from library import LIBRARY
from raw_http import is_sanitized

ABI = os.path.join(REPOSITORY, "tests", "abi")
PUBLIC = {"gctoken_open", "gctoken_get", "gctoken_reject", "gctoken_wait_change",
          "gctoken_token_wipe", "gctoken_close", "gctoken_strerror"}


def abi(library):
    if not shutil.which("abidiff"):
        pytest.skip("abidiff is not there (Debian: abigail-tools)")
    run = subprocess.run([ABI, library], capture_output=True, text=True, check=False)
    if run.returncode == 77:
        pytest.skip(run.stdout.strip())
    return run


@pytest.mark.skipif(is_sanitized(GCTOKEND), reason="a sanitizer adds to every library")
def test_the_library_is_the_one_that_is_recorded():
    run = abi(LIBRARY)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("change", ["a member more", "a parameter less", "a function less"])
def test_a_change_would_be_noticed(tmp_path, change):
    """In a library that has nothing but the public functions."""
    with open(os.path.join(REPOSITORY, "client-lib", "gctoken.h"), encoding="utf-8") as file:
        header = file.read()
    if change == "a member more":
        header = header.replace("unsigned char reserved[64];", "unsigned char reserved[64], more;")
    elif change == "a parameter less":
        header = header.replace("int min_ttl_s, int wait_ms);", "int min_ttl_s);")
    (tmp_path / "gctoken.h").write_text(header, encoding="utf-8")
    bodies = "".join(
        f"__typeof__({name}) {name};\n" for name in sorted(PUBLIC))
    source = tmp_path / "gctoken.c"
    get = "int min_ttl_s" + ("" if change == "a parameter less" else ", int wait_ms")
    source.write_text(f"""#include "gctoken.h"
{bodies}
int gctoken_open(struct gctoken **ret, const char *socket, const char *profile)
{{ return !ret || !socket || !profile; }}
int gctoken_get(struct gctoken *g, struct gctoken_token *ret, {get})
{{ return !g || !ret || min_ttl_s; }}
int gctoken_reject(struct gctoken *g, const struct gctoken_token *bad, struct gctoken_token *ret,
    int wait_ms) {{ return !g || !bad || !ret || wait_ms; }}
int gctoken_wait_change(struct gctoken *g, uint64_t generation, struct gctoken_token *ret,
    int wait_ms) {{ return !g || !generation || !ret || wait_ms; }}
void gctoken_token_wipe(struct gctoken_token *t) {{ (void)t; }}
{"" if change == "a function less" else "void gctoken_close(struct gctoken *g) { (void)g; }"}
const char *gctoken_strerror(int error) {{ return error ? "a" : "b"; }}
""", encoding="utf-8")
    built = tmp_path / "libgctoken.so.0"
    subprocess.run(["cc", "-shared", "-fPIC", "-g", "-Wl,-soname,libgctoken.so.0",
                    "-Wl,--version-script=" + os.path.join(REPOSITORY, "client-lib",
                                                           "gctoken.syms"),
                    "-o", built, source], check=True)
    run = abi(str(built))
    assert run.returncode == 1, run.stdout
    assert "How to go on" in run.stdout


def test_nothing_else_is_exported():
    run = subprocess.run(["nm", "--dynamic", "--defined-only", LIBRARY], capture_output=True,
                         text=True, check=True)
    names = {line.split()[-1].partition("@")[0] for line in run.stdout.splitlines()
             if line.split()[1] in "TDBRVW"}
    assert names == PUBLIC
    needed = subprocess.run(["readelf", "--dynamic", LIBRARY], capture_output=True, text=True,
                            check=True).stdout
    libraries = {line.partition("[")[2].rstrip("]") for line in needed.splitlines()
                 if "(NEEDED)" in line}
    if not is_sanitized(GCTOKEND):
        assert libraries == {"libc.so.6"}


def test_the_static_one_has_no_other_names():
    archive = LIBRARY.replace(".so.0", ".a")
    run = subprocess.run(["nm", "--defined-only", "--extern-only", archive], capture_output=True,
                         text=True, check=True)
    names = {line.split()[-1] for line in run.stdout.splitlines() if len(line.split()) == 3}
    assert PUBLIC <= names
    assert all(name.startswith(("gctoken_", "__odr_asan")) for name in names), names


@pytest.mark.skipif(is_sanitized(GCTOKEND), reason="a sanitized library wants a sanitized program")
@pytest.mark.parametrize("compiler, standard", [
    ("cc", "gnu89"), ("cc", "c99"), ("cc", "c17"), ("c++", "c++98"), ("c++", "c++20")])
def test_the_header_is_of_no_standard_in_particular(compiler, standard, tmp_path):
    """Programs that use it may be old, and take no warning."""
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not there")
    source = tmp_path / ("program.c" if compiler == "cc" else "program.cc")
    source.write_text("""#include <gctoken.h>
int main(void)
{
	struct gctoken *broker;
	return gctoken_open(&broker, "", "default") >= 0;
}
""", encoding="ascii")
    program = tmp_path / "program"
    subprocess.run([compiler, f"-std={standard}", "-pedantic-errors", "-Wall", "-Wextra", "-Werror",
                    "-I", os.path.join(REPOSITORY, "client-lib"), "-o", program, source, LIBRARY],
                   check=True)
    subprocess.run([program], check=True, env={"LD_LIBRARY_PATH": os.path.dirname(LIBRARY)})
