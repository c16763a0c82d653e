"""meson install with a DESTDIR: what it installs, and that a program can be compiled with it."""

import os
import re
import stat
import subprocess

import pytest

from conftest import pages_missing

TRIPLET = r"/usr/lib(/[a-z0-9_-]+)?"
# What there is, each as a pattern; what comes later must be added, so that packages have it, too.
EXPECTED = [
    r"/usr/sbin/gctokend",
    r"/usr/sbin/gctokend-(add|remove)-profile",
    r"/usr/bin/gctoken",
    r"/usr/libexec/gctokend/gctoken-net",
    r"/usr/include/gctoken\.h",
    TRIPLET + r"/libgctoken\.a",
    TRIPLET + r"/libgctoken\.so",
    TRIPLET + r"/libgctoken\.so\.0",
    TRIPLET + r"/libgctoken\.so\.0\.\d+\.\d+",
    TRIPLET + r"/pkgconfig/gctoken\.pc",
    r"(/usr)?/lib/systemd/system/gctokend\.service",
    r"(/usr)?/lib/systemd/system/gctokend\.socket",
    r"(/usr)?/lib/systemd/system/gctokend-page\.socket",
    r"(/usr)?/lib/systemd/system/gctoken-file@\.service",
    r"(/usr)?/lib/systemd/system/gctoken-metrics\.(service|timer)",
    r"/usr/lib/sysusers\.d/gctokend\.conf",
    r"/usr/lib/tmpfiles\.d/gctokend\.conf",
    r"/usr/share/bash-completion/completions/gctoken",
    r"/usr/share/fish/vendor_completions\.d/gctoken\.fish",
    r"/usr/share/zsh/vendor-completions/_gctoken",
    r"/usr/share/doc/gctokend/examples/allow-units\.conf",
    r"/usr/share/doc/gctokend/examples/gctokend\.conf",
    r"/usr/share/doc/gctokend/examples/grafana-dashboard\.json",
    r"/usr/share/doc/gctokend/examples/prometheus-alerts\.yml",
    r"/usr/share/doc/gctokend/examples/proxy/(Caddyfile|envoy\.yaml|gctoken\.lua|haproxy\.cfg|nginx\.conf)",
]
PAGES = [
    r"/usr/share/man/man1/gctoken\.1",
    r"/usr/share/man/man3/libgctoken\.3",
    r"/usr/share/man/man3/gctoken_(open|get|reject|wait_change|token_wipe|close|strerror)\.3",
    r"/usr/share/man/man5/gctokend\.conf\.5",
    r"/usr/share/man/man7/gctokend-http\.7",
    r"/usr/share/man/man8/gctokend\.8",
    r"/usr/share/man/man8/gctokend-(add|remove)-profile\.8",
]


def files_below(folder: str) -> list[str]:
    return sorted(os.path.join(directory, name)[len(folder):]
                  for directory, _, names in os.walk(folder) for name in names)


def test_files(installed):
    patterns = EXPECTED + ([] if pages_missing() else PAGES)
    found = files_below(installed)
    missing = [p for p in patterns if not any(re.fullmatch(p, f) for f in found)]
    unknown = [f for f in found if not any(re.fullmatch(p, f) for p in patterns)]
    assert not missing and not unknown


def test_nothing_is_installed_below_etc(installed):
    assert not os.path.exists(installed + "/etc")


def test_modes(installed):
    for path in files_below(installed):
        mode = os.lstat(installed + path).st_mode
        if stat.S_ISREG(mode):
            runs = re.match(r"/usr/(s?bin|libexec)/", path) or re.search(r"\.so\.", path)
            assert stat.S_IMODE(mode) == (0o755 if runs else 0o644), path


def test_units_start_what_is_installed(installed):
    with open(next(installed + f for f in files_below(installed)
                   if f.endswith("/gctokend.service")), encoding="utf-8") as file:
        commands = re.findall(r"^ExecStart=(\S+)", file.read(), re.M)
    assert commands and all(os.access(installed + c, os.X_OK) for c in commands)


@pytest.mark.parametrize("link", ["shared", "static"])
def test_compile_with_pkg_config(installed, tmp_path, link):
    """The version that the header's library has is told by pkg-config, and a program that has only
    what was installed links and runs."""
    pc = next(f for f in files_below(installed) if f.endswith("gctoken.pc"))
    env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": installed,
           "PKG_CONFIG_LIBDIR": installed + os.path.dirname(pc), "PKG_CONFIG_PATH": ""}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "gctoken"], env=env, check=True,
                           capture_output=True, text=True).stdout.split()
    library = installed + os.path.dirname(os.path.dirname(pc))
    if link == "static":
        flags = [f for f in flags if f != "-lgctoken"] + [library + "/libgctoken.a"]
    source, program = tmp_path / "program.c", tmp_path / "program"
    source.write_text("#include <gctoken.h>\n#include <stdio.h>\n"
                      "int main(void) { puts(gctoken_strerror(GCTOKEN_DENIED)); return 0; }\n")
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", str(source), "-o", str(program), *flags],
                   check=True)
    run = subprocess.run([str(program)], env={**os.environ, "LD_LIBRARY_PATH": library},
                         capture_output=True, text=True, check=True)
    assert run.stdout.strip()
    needed = subprocess.run(["readelf", "--dynamic", str(program)], capture_output=True,
                            text=True, check=True).stdout
    assert ("libgctoken.so.0" in needed) == (link == "shared")


def test_library_needs_nothing_but_libc(installed):
    library = next(f for f in files_below(installed) if re.search(r"\.so\.0\.\d", f))
    dynamic = subprocess.run(["readelf", "--dynamic", installed + library], capture_output=True,
                             text=True, check=True).stdout
    assert re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic) == ["libc.so.6"]
    assert re.findall(r"\(SONAME\).*\[(.*)\]", dynamic) == ["libgctoken.so.0"]
