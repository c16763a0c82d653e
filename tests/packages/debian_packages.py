"""Builds the Debian packages from what git has of this folder, and makes systems to install them in."""

import glob
import hashlib
import os
import re
import shutil
import subprocess

import pytest

from fake import REPOSITORY

WORK = os.path.join(REPOSITORY, "build", "packages")
CONTAINER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "container.py")
CANNOT = 77
VERSION = subprocess.run([os.path.join(REPOSITORY, "version.sh")], check=True, capture_output=True,
                         text=True).stdout.strip()
# What the test itself needs in a clean system, besides what the packages depend on.
TEST_NEEDS = ["adduser", "systemd", "systemd-sysv", "passwd", "python3", "openssl", "ca-certificates"]
# `full`: as somebody who builds the packages would, with their tests and debug symbols.
FULL = os.environ.get("GCTOKEN_PACKAGES") == "full"


def run(*command: str, **options) -> str:
    """Its output; a failure shows it."""
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    assert result.returncode == 0, f"{' '.join(command)}: {result.returncode}\n{result.stdout}"
    return result.stdout


def source_files() -> list[str]:
    """What git has or would take: an export without what was built here."""
    if shutil.which("git") is None or not os.path.exists(os.path.join(REPOSITORY, ".git")):
        pytest.skip("this is not a git repository, and what is to be packed cannot be told")
    # Root may test what belongs to somebody else.
    listed = run("git", "-c", f"safe.directory={REPOSITORY}", "-C", REPOSITORY, "ls-files", "-z",
                 "--cached", "--others", "--exclude-standard")
    return [name for name in listed.split("\0")
            if name and os.path.lexists(os.path.join(REPOSITORY, name))]


def _fingerprint(files: list[str]) -> str:
    digest = hashlib.sha256((VERSION + (" full" if FULL else " quick")).encode())
    for name in files:
        path = os.path.join(REPOSITORY, name)
        digest.update(name.encode() + b"\0" + str(os.stat(path).st_mode).encode())
        with open(path, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def _build(folder: str) -> None:
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("DEB_", "CFLAGS", "LDFLAGS", "CC", "DESTDIR"))}
    jobs = f"parallel={os.cpu_count()}"
    env["DEB_BUILD_OPTIONS"] = jobs if FULL else f"{jobs} nocheck noautodbgsym"
    if not FULL:
        env["DEB_BUILD_PROFILES"] = "nocheck"
    run(os.path.join(REPOSITORY, "dev"), "package", folder, env=env)


def build_packages() -> str:
    """A folder with the packages and their .changes; not built again while the source is the same."""
    if shutil.which("dpkg-buildpackage") is None or shutil.which("dh") is None:
        pytest.skip("dpkg-buildpackage and debhelper (Debian) are not installed")
    files = source_files()
    folder = os.path.join(WORK, "debs-" + _fingerprint(files)[:16])
    if not os.path.exists(folder):
        for old in glob.glob(os.path.join(WORK, "debs-*")):
            shutil.rmtree(old)
        shutil.rmtree(folder + ".new", ignore_errors=True)
        _build(folder + ".new")
        os.rename(folder + ".new", folder)
    return folder


def package(folder: str, name: str) -> str:
    """The file of that package."""
    found = glob.glob(os.path.join(folder, f"{name}_*.deb"))
    assert len(found) == 1, f"{name}: {found}"
    return found[0]


def field(path: str, name: str) -> str:
    return run("dpkg-deb", "--field", path, name).strip()


def later_version(path: str, folder: str) -> str:
    """The same package as an upgrade of itself, in that folder."""
    unpacked = os.path.join(folder, "unpacked")
    run("dpkg-deb", "--raw-extract", path, unpacked)
    control = os.path.join(unpacked, "DEBIAN", "control")
    with open(control, encoding="utf-8") as file:
        text = file.read()
    version = field(path, "Version") + "+later"
    with open(control, "w", encoding="utf-8") as file:
        # The packages of one version want each other in that version.
        file.write(re.sub(r"^Version: .*", f"Version: {version}", text, flags=re.M))
    made = os.path.join(folder, f"{field(path, 'Package')}_{version}_amd64.deb")
    run("dpkg-deb", "--root-owner-group", "--build", unpacked, made)
    shutil.rmtree(unpacked)
    return made


def fetch_package(name: str, folder: str) -> None:
    """Debian's package of that name, into a new folder; it stays empty where none can be had."""
    os.mkdir(folder)
    subprocess.run(["apt-get", "download", "-qq", name], cwd=folder, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def clean_tree(debs: list[str]) -> str:
    """A minimal Debian of this machine's release with what the packages depend on, and not they."""
    own = {field(path, "Package") for path in debs}
    needs = set(TEST_NEEDS)
    for path in debs:
        needs |= {re.split(r"[ |(:]", one.strip())[0] for one in
                  f"{field(path, 'Depends')}, {field(path, 'Pre-Depends')}".split(",")}
    listed = ",".join(sorted(needs - own - {""}))
    tree = os.path.join(WORK, "tree-" + hashlib.sha256(listed.encode()).hexdigest()[:16])
    if not os.path.exists(tree):
        if shutil.which("debootstrap") is None:
            pytest.skip("debootstrap is not installed")
        with open("/etc/os-release", encoding="utf-8") as file:
            release = re.search(r"^VERSION_CODENAME=(\w+)", file.read(), re.M).group(1)
        shutil.rmtree(tree + ".new", ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={listed}", release, tree + ".new")
        os.rename(tree + ".new", tree)
    return tree


def boot(lower: str, out: str) -> str:
    """Runs out/run in a container; what it and the container said. Skips where that cannot be."""
    try:
        result = subprocess.run([CONTAINER, lower, out], stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
                                errors="replace")
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"the container did not end:\n{error.stdout}") from None
    if result.returncode == CANNOT:
        pytest.skip(result.stdout.strip().splitlines()[-1])
    said = f"{result.stdout}\nended with {result.returncode}"
    if not os.path.exists(os.path.join(out, "log")):
        pytest.skip("systemd-nspawn booted nothing here: " + " ".join(said.split()))
    return said
