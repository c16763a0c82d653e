"""podman with images, containers and settings of its own, and the image of container/Containerfile on a
Debian that debootstrap makes here: nothing is pulled."""

import os
import re
import resource
import shutil
import subprocess
import tempfile

import pytest

from fake import REPOSITORY
from waiting import PATIENCE, wait_until

WORK = os.path.join(REPOSITORY, "build", "containers")
BASE, IMAGE = "localhost/debian-base", "localhost/gctokend"
# What the image is made of, as far as it is of this source.
SOURCES = ["meson.build", "meson_options.txt", "version.sh", "version.h.in", "daemon", "client-lib", "conf", "docs/man", "systemd",
           "container"]


def run(*command: str, check: bool = True, timeout: float = 60.0, **options) -> str:
    """Its output; a failure shows it."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                          timeout=timeout * PATIENCE, **options)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


class Podman:
    def __init__(self):
        if os.geteuid() != 0:
            pytest.skip("only root can make users' numbers as containers have them")
        for program in ("podman", "debootstrap"):
            if not shutil.which(program):
                pytest.skip(f"{program} is not installed")
        os.makedirs(WORK, exist_ok=True)
        # A short name: sockets lie there.
        self.folder = tempfile.mkdtemp(prefix="gct-podman-")
        self.environment = {**os.environ, "CONTAINERS_CONF": os.path.join(self.folder, "conf")}
        self._make_base()
        self._choose_runtime()

    def _configure(self, runtime: str) -> None:
        # No more than there is here: without CAP_SYS_RESOURCE root cannot raise a limit, either.
        most = {name: resource.getrlimit(which)[1] for name, which in (
            ("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))}
        limits = [f'"{name}={limit}:{limit}"' for name, limit in (
            (name, 4096 if hard < 0 else min(hard, 20000)) for name, hard in most.items())]
        with open(self.environment["CONTAINERS_CONF"], "w", encoding="ascii") as file:
            file.write(f"[containers]\ndefault_ulimits = [{', '.join(limits)}]\n"
                       f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\n'
                       'events_logger = "file"\n')

    def __call__(self, *arguments: str, **options) -> str:
        return run("podman", "--root", os.path.join(self.folder, "storage"),
                   "--runroot", os.path.join(self.folder, "run"), "--storage-driver", "overlay",
                   "--log-level", "fatal", *arguments, env=self.environment, **options)

    def _make_base(self) -> None:
        with open("/etc/os-release", encoding="utf-8") as file:
            release = re.search(r"^VERSION_CODENAME=(\w+)", file.read(), re.M).group(1)
        tree = os.path.join(WORK, release)
        self._configure("runc")
        if not os.path.exists(tree):
            shutil.rmtree(tree + ".new", ignore_errors=True)
            run("debootstrap", "--variant=minbase", release, tree + ".new", timeout=900)
            os.rename(tree + ".new", tree)
        file = os.path.join(self.folder, "Containerfile")
        with open(file, "w", encoding="ascii") as text:
            text.write("FROM scratch\nCOPY . /\n")
        self("build", "-q", "--isolation", "chroot", "-f", file, "-t", BASE, tree, timeout=300)

    def _choose_runtime(self) -> None:
        said = ""
        for runtime in ("crun", "runc"):
            if shutil.which(runtime):
                self._configure(runtime)
                said = self("run", "--rm", "--network", "none", BASE, "echo", "it", "runs",
                            check=False)
                if said == "it runs\n":
                    return
        pytest.skip(f"podman runs no container here: {' '.join(said.split())[-200:]}")

    def build(self) -> None:
        """The image, by its recipe."""
        context = os.path.join(self.folder, "source")
        for name in SOURCES:
            path, to = os.path.join(REPOSITORY, name), os.path.join(context, name)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, to)
        self("build", "--isolation", "chroot", "--network", "host", "--build-arg", f"BASE={BASE}",
             "-f", os.path.join(context, "container", "Containerfile"), "-t", IMAGE, context,
             timeout=1200)

    def logs(self, container: str) -> str:
        return self("logs", container, check=False)

    def clean(self) -> None:
        self("pod", "rm", "--all", "--force", check=False)
        self("rm", "--all", "--force", "--time", "5", check=False)
        self("volume", "rm", "--all", "--force", check=False)

    def close(self) -> None:
        self.clean()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait_log(self, container: str, words: str, count: int = 1) -> str:
        wait_until(lambda: self.logs(container).count(words) >= count,
                   f"{container} says {words!r}", timeout=60, pause=0.3)
        return self.logs(container)
