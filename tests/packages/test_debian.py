"""The Debian packages: lintian's judgement, what is in them, and their life in a system."""

import json
import os
import re
import shutil
import subprocess

import pytest

import in_container
from debian_packages import (FULL, VERSION, boot, build_packages, clean_tree, fetch_package, field,
                             later_version, package, run)
from fake import REPOSITORY

NAMES = ["gctokend", "gctoken", "libgctoken0", "libgctoken-dev", "python3-gctoken", "node-gctoken"]
# For those who write programs; the container does without a compiler and without node.
NOT_INSTALLED = {"libgctoken-dev", "node-gctoken"}
pytestmark = pytest.mark.deadline(300)


@pytest.fixture(scope="module")
def debs() -> str:
    return build_packages()


def test_lintian(debs):
    """Neither errors nor warnings, and nothing is overridden."""
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    changes = [os.path.join(debs, f) for f in os.listdir(debs) if f.endswith(".changes")]
    said = run("lintian", "--allow-root", "--fail-on", "error,warning", "--show-overrides", *changes)
    assert said.strip() == ""


def contents(path: str) -> dict[str, str]:
    """Mode by name of each file and folder."""
    listed = {}
    for line in run("dpkg-deb", "--contents", path).splitlines():
        mode, owner, _, _, _, name = line.split(maxsplit=5)
        assert owner == "root/root", line
        listed[name.partition(" -> ")[0].removeprefix(".")] = mode
    return listed


@pytest.mark.parametrize("name, files", [
    ("gctokend", ["/usr/sbin/gctokend", "/usr/sbin/gctokend-add-profile",
                  "/usr/sbin/gctokend-remove-profile",
                  "/lib/systemd/system/gctokend.service", "/lib/systemd/system/gctokend.socket",
                  "/lib/systemd/system/gctoken-metrics.service",
                  "/lib/systemd/system/gctoken-metrics.timer",
                  "/usr/lib/sysusers.d/gctokend.conf", "/usr/lib/tmpfiles.d/gctokend.conf",
                  "/usr/share/man/man8/gctokend.8.gz", "/usr/share/man/man5/gctokend.conf.5.gz",
                  "/usr/share/doc/gctokend/examples/gctokend.conf"]),
    ("gctoken", ["/usr/bin/gctoken", "/usr/share/man/man1/gctoken.1.gz",
                 "/usr/share/bash-completion/completions/gctoken"]),
    ("libgctoken0", ["/usr/share/doc/libgctoken0/copyright"]),
    ("libgctoken-dev", ["/usr/include/gctoken.h", "/usr/share/man/man3/libgctoken.3.gz",
                        "/usr/share/man/man3/gctoken_get.3.gz"]),
    ("python3-gctoken", ["/usr/lib/python3/dist-packages/gctoken/__init__.py",
                         "/usr/lib/python3/dist-packages/gctoken/genesys.py",
                         "/usr/lib/python3/dist-packages/gctoken/py.typed"]),
    ("node-gctoken", ["/usr/share/nodejs/gctoken/" + name
                      for name in os.listdir(os.path.join(REPOSITORY, "client-lib", "node"))
                      if name != "README.md"]),
])
def test_contents(debs, name, files):
    listed = contents(package(debs, name))
    # Debian 12 has its units below /lib.
    assert not set(files) - {re.sub(r"^/usr/lib/systemd", "/lib/systemd", file) for file in listed}
    # Nothing of the administrator's, and nothing that others may write.
    assert not [file for file in listed if file.startswith(("/etc", "/var", "/run", "/home"))]
    assert not [file for file, mode in listed.items() if "w" in mode[5:] and mode[0] != "l"]


def test_links_of_the_guides_work(debs, tmp_path):
    run("dpkg-deb", "--extract", package(debs, "gctokend"), str(tmp_path))
    root = tmp_path / "usr/share/doc/gctokend"
    guides = [root / "README.md", *(root / "docs").glob("*.md")]
    assert len(guides) > 10
    for guide in guides:
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", guide.read_text())
        assert [link for link in links if not (guide.parent / link).exists()] == [], guide


def test_library_is_split(debs):
    assert [f for f in contents(package(debs, "libgctoken0")) if f.endswith(".so.0")]
    dev = contents(package(debs, "libgctoken-dev"))
    for end in ("/libgctoken.so", "/libgctoken.a", "/pkgconfig/gctoken.pc"):
        assert [f for f in dev if f.endswith(end)], end


def test_all_that_is_installed_is_packed(debs, installed):
    """Whatever meson installs is in one of the packages."""
    packed = {re.sub(r"^/usr/lib/systemd", "/lib/systemd", re.sub(r"\.gz$", "", file))
              for name in NAMES for file in contents(package(debs, name))}
    for directory, _, names in os.walk(installed):
        for name in names:
            file = os.path.join(directory, name)[len(installed):]
            assert re.sub(r"^/usr/lib/systemd", "/lib/systemd", file) in packed, file


def test_dependencies(debs):
    def needs(name: str) -> set[str]:
        return {re.split(r"[ :]", one.strip())[0]
                for one in field(package(debs, name), "Depends").split(",")}

    assert needs("libgctoken0") == {"libc6"}
    assert needs("libgctoken-dev") == {"libgctoken0"}
    assert needs("python3-gctoken") == {"python3"}
    assert needs("node-gctoken") == {"nodejs"}
    of_fleets = {re.sub(r"[-0-9.t]+$", "", one) for one in needs("gctokend")}
    assert of_fleets >= {"libhiredis", "libevent-openssl"}
    # From Debian 13 on it is called after its 64 bits of time.
    assert needs("gctokend") & {"libcurl4", "libcurl4t64"} and "libgctoken0" not in needs("gctokend")


def test_dev_package_installs_what_it_builds_with():
    """On a bare Debian, where nobody has installed a compiler before: dpkg-buildpackage wants all of
    build-essential, and says which of the rest is missing, which is no help to those who only typed
    ./dev package."""
    with open(os.path.join(REPOSITORY, "debian", "control"), encoding="utf-8") as file:
        wanted = re.search(r"^Build-Depends:\n((?: .*\n)+)", file.read(), re.M).group(1)
    names = {re.split(r"[ ,]", line.strip())[0] for line in wanted.splitlines()}
    # debhelper provides these two
    names = {name for name in names if not name.startswith(("dh-sequence-", "debhelper-compat"))}
    with open(os.path.join(REPOSITORY, "dev"), encoding="utf-8") as file:
        lists = "\n".join(re.findall(r"^readonly needs_(?:build|package)='\n([^']*)'", file.read(), re.M))
    installed = {line.split()[0] for line in lists.splitlines()}
    assert not (names | {"build-essential", "debhelper", "dpkg-dev", "git"}) - installed


def test_version_is_the_sources(debs):
    """Of the packages, and of the programs in them."""
    assert {field(package(debs, name), "Version") for name in NAMES} == {VERSION}
    with open(os.path.join(REPOSITORY, "meson.build"), encoding="utf-8") as file:
        base = re.search(r"version: '([\d.]+)'", file.read()).group(1)
    assert VERSION == base or VERSION.startswith(base + "+")
    changelog = os.path.join(REPOSITORY, "debian", "changelog")
    assert run("dpkg-parsechangelog", "-l", changelog, "-S", "Version").strip() == base


def test_a_later_commit_is_a_later_version(tmp_path):
    """To dpkg. Without git it is the version alone, which all of them are later than."""
    for name in ("version.sh", "meson.build"):
        shutil.copy(os.path.join(REPOSITORY, name), tmp_path)

    def git(*arguments: str) -> None:
        run("git", "-c", "user.name=x", "-c", "user.email=x@example.invalid", *arguments, cwd=tmp_path)

    def version() -> str:
        return run(str(tmp_path / "version.sh")).strip()

    versions = [version()]
    git("init", "-q")
    git("add", ".")
    for number in range(11):
        git("commit", "-q", "--allow-empty", "-m", str(number))
        versions.append(version())
        if number == 3:
            with open(tmp_path / "meson.build", "a", encoding="utf-8") as file:
                file.write("# changed\n")
            versions.append(version())
            assert versions[-1] == versions[-2] + ".dirty"
            git("add", ".")
    for earlier, later in zip(versions, versions[1:]):
        run("dpkg", "--compare-versions", earlier, "lt", later)
    assert re.fullmatch(r"[\d.]+\+11\.g[0-9a-f]{7}", versions[-1])
    git("tag", f"v{versions[0]}")
    git("commit", "-q", "--allow-empty", "-m", "since then")
    assert version().startswith(f"{versions[0]}+1.g")
    (tmp_path / ".version").write_text("1.2.3\n")
    assert version() == "1.2.3"


@pytest.fixture(scope="module")
def life(debs, tmp_path_factory) -> tuple[dict, str]:
    """How each step in the container went, and what was said."""
    out = str(tmp_path_factory.mktemp("out"))
    paths = [package(debs, name) for name in NAMES if name not in NOT_INSTALLED]
    for path in paths:
        shutil.copy(path, out)
    os.mkdir(os.path.join(out, "later"))
    later_version(paths[0], os.path.join(out, "later"))
    fetch_package("prometheus-node-exporter", os.path.join(out, "exporter"))
    with open(os.path.join(out, "run"), "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n"
                   "exec /usr/bin/python3 /repo/tests/packages/in_container.py >/out/log 2>&1\n")
    os.chmod(file.name, 0o755)
    os.chmod(out, 0o755)  # apt reads packages as a user of its own
    said = boot(clean_tree(paths) if FULL else "/", out)
    log = os.path.join(out, "log")
    if os.path.exists(log):
        with open(log, encoding="utf-8", errors="replace") as file:
            said += "\n" + file.read()
    try:
        with open(os.path.join(out, "steps.json"), encoding="utf-8") as file:
            return {one["name"]: one for one in json.load(file)}, said
    except FileNotFoundError:
        raise AssertionError(f"the container told nothing:\n{said}") from None


@pytest.mark.parametrize("step", [function.__name__ for function in in_container.STEPS])
def test_life(life, step):
    steps, said = life
    assert step in steps, said
    print(f"{steps[step]['seconds']} s")
    if steps[step]["text"] is not None:
        pytest.fail(f"{steps[step]['text']}\n{said}", pytrace=False)
