"""docs/containers.md: the image, who is who to the broker in it, and the files of container/ at work."""

import os
import subprocess
import tempfile

import pytest

from daemon import GCTOKEN, environment
from fake import REPOSITORY
from podman import IMAGE
from waiting import wait_until

GROUP = 10001
READ_ONLY = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
             "--security-opt", "no-new-privileges"]


def text_of(name):
    with open(os.path.join(REPOSITORY, "container", name), encoding="utf-8") as file:
        return file.read()


def against(fake, text):
    """The configuration in that file, with the fake as its login server."""
    where = "region = us-west-2"
    assert text.count(where) == 1
    indent = text[:text.index(where)].rsplit("\n", 1)[1]
    text = text.replace(where, f"\n{indent}".join([
        f"token_url = {fake.token_url}", f"api_url = {fake.api_url}",
        "ca_file = /etc/gctokend/secrets/ca.pem"]))
    return text.replace("00000000-0000-0000-0000-000000000000", fake.clients[0]["id"])


class Files:
    """What is mounted: a configuration, and secrets laid out as Kubernetes does it."""

    def __init__(self, fake, folder):
        self.fake, self.folder, self.version = fake, folder, 0
        os.chmod(folder, 0o755)
        self.config = os.path.join(folder, "gctokend.conf")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(against(fake, text_of("gctokend.conf")))
        self.secrets = os.path.join(folder, "secrets")
        os.mkdir(self.secrets)
        os.chown(self.secrets, 0, GROUP)
        os.chmod(self.secrets, 0o3777)
        self.write(fake.clients[0]["secret"])
        for name in ("client_secret", "ca.pem"):
            os.symlink(f"..data/{name}", os.path.join(self.secrets, name))

    def write(self, secret):
        """All of them at once, by a link that is exchanged."""
        self.version += 1
        new = os.path.join(self.secrets, f"..{self.version}")
        os.mkdir(new, 0o755)
        with open(self.fake.ca_file, encoding="ascii") as file:
            ca = file.read()
        for name, text in (("client_secret", secret), ("ca.pem", ca)):
            with open(os.path.join(new, name), "w", encoding="ascii") as file:
                file.write(text)
            os.chown(os.path.join(new, name), 0, GROUP)
            os.chmod(os.path.join(new, name), 0o440)
        os.symlink(f"..{self.version}", os.path.join(self.secrets, "..data_tmp"))
        os.rename(os.path.join(self.secrets, "..data_tmp"), os.path.join(self.secrets, "..data"))


@pytest.fixture
def files(fake):
    with tempfile.TemporaryDirectory(prefix="gct-files-") as folder:
        yield Files(fake(), folder)


@pytest.fixture
def broker(podman, files):
    """A container of the image, its folders in volumes."""
    podman("run", "--detach", "--name", "broker", "--network", "host", *READ_ONLY,
           "--volume", "run:/run/gctokend", "--volume", "state:/var/lib/gctokend",
           "--volume", f"{files.config}:/etc/gctokend/gctokend.conf:ro",
           "--volume", f"{files.secrets}:/etc/gctokend/secrets:ro", IMAGE)
    podman.wait_log("broker", "default: token ")
    return podman


def as_a_client(podman, *arguments, user="10002", options=()):
    return podman("run", "--rm", "--network", "none", "--user", user, *options, *READ_ONLY,
                  "--volume", "run:/run/gctokend:ro", "--entrypoint", "/usr/bin/gctoken", IMAGE,
                  *arguments, check=False)


def check_on_the_host(podman, uid):
    """As a user of the host, who reaches the folder where podman keeps it, by a descriptor."""
    folder = podman("volume", "inspect", "run", "--format", "{{.Mountpoint}}").strip()
    fd = os.open(folder, os.O_PATH)
    try:
        return subprocess.run(
            ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", GCTOKEN, "check"],
            env=environment(GCTOKEN_SOCKET=f"/proc/self/fd/{fd}/gctokend.sock"), pass_fds=[fd],
            capture_output=True, text=True, check=False).stdout
    finally:
        os.close(fd)


def test_who_is_who(broker):
    """The number counts, whoever runs the container, and in a user namespace it is another one."""
    assert "OK default: fresh" in as_a_client(broker, "check")
    assert "OK default: fresh" in check_on_the_host(broker, 10002)
    assert "may not see it" in as_a_client(broker, "check", user="10003")
    assert "may not see it" in as_a_client(broker, "check", user="0"), "root_needs_rule"
    mapped = ["--uidmap", "0:200000:65536", "--gidmap", "0:200000:65536"]
    assert "may not see it" in as_a_client(broker, "check", options=mapped)
    broker("exec", "broker", "gctoken", "check")


def test_no_other_can_take_the_sockets_place(broker):
    said = broker("run", "--rm", "--network", "none", "--user", "10002", "--volume",
                  "run:/run/gctokend:ro", "--entrypoint", "/usr/bin/rm", IMAGE, "-f",
                  "/run/gctokend/gctokend.sock", check=False)
    assert "Read-only file system" in said
    assert "OK default" in as_a_client(broker, "check")


def test_clients_outlive_the_broker_and_its_upgrade(broker):
    """The folder is mounted, so that they find the new socket in it."""
    broker("run", "--detach", "--name", "app", "--network", "none", "--user", "10002",
           "--volume", "run:/run/gctokend:ro", "--entrypoint", "/usr/bin/gctoken", IMAGE, "watch")
    broker.wait_log("app", "fresh")
    broker("restart", "broker")
    broker.wait_log("app", "fresh", count=2)
    broker("rm", "--force", "broker", timeout=60)
    assert "cannot be reached" in as_a_client(broker, "check", "--min-ttl", "0")


def test_a_secret_that_changes_is_read_by_itself(broker, files):
    """Kubernetes exchanges a link; nobody tells the broker."""
    files.fake.client(files.fake.clients[0]["id"], "another-one")
    files.write("another-one")
    before = files.fake.posts
    wait_until(lambda: "new token" in broker("exec", "broker", "gctoken", "refresh", check=False),
               "the new secret is used", timeout=30, pause=0.5)
    assert files.fake.posts > before


def kube(podman, files, name, folder):
    """The manifest with what podman does not know of it (4.3: subPath, defaultMode, fsGroup, a
    DaemonSet) as Kubernetes would have made it."""
    text = text_of(name)
    changes = {
        "registry.example/gctokend:0.1.0": IMAGE,
        "configMap: {name: gctokend}": f"hostPath: {{path: {files.config}, type: File}}",
        ", subPath: gctokend.conf": "",
        "secret: {secretName: gctokend, defaultMode: 0440, optional: false}":
            f"hostPath: {{path: {files.secrets}, type: Directory}}",
    }
    if name == "daemonset.yaml":
        changes |= {"kind: DaemonSet": "kind: Deployment",
                    "  updateStrategy: {type: RollingUpdate}\n": "",
                    "{path: /run/gctokend, type: DirectoryOrCreate}":
                        f"{{path: {folder}/run, type: DirectoryOrCreate}}",
                    "{path: /var/lib/gctokend, type": f"{{path: {folder}/state, type"}
    else:
        text = text[text.index("\n---\n") + 5:]
        changes |= {"registry.example/app:1": f"{IMAGE}\n    command: [gctoken, watch]"}
    for old, new in changes.items():
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    podman("play", "kube", "--network", "host", path, timeout=120)


def test_the_configuration_of_the_sidecar_is_that_of_the_image():
    """But for comments."""
    lines = [line for line in text_of("gctokend.conf").splitlines() if line[:1] not in (";", "#")]
    given = text_of("sidecar.yaml")
    given = given[given.index("gctokend.conf: |\n") + 17:given.index("---")]
    assert [line[4:] for line in given.splitlines()] == [
        line for line in "\n".join(lines).strip("\n").splitlines()]


def test_the_sidecar(podman, files):
    kube(podman, files, "sidecar.yaml", files.folder)
    podman.wait_log("app-app", "fresh")
    podman("healthcheck", "run", "app-gctokend")
    podman("restart", "app-gctokend")
    podman.wait_log("app-app", "fresh", count=2)
    podman("healthcheck", "run", "app-gctokend")


def test_the_daemonset(podman, files):
    for name in ("run", "state"):
        os.mkdir(os.path.join(files.folder, name))
    kube(podman, files, "daemonset.yaml", files.folder)
    socket = os.path.join(files.folder, "run", "gctokend.sock")

    def says(uid):
        return subprocess.run(
            ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", GCTOKEN, "check"],
            env=environment(GCTOKEN_SOCKET=socket), capture_output=True, text=True,
            check=False).stdout
    wait_until(lambda: "OK default: fresh" in says(10002), "it serves", timeout=60, pause=0.3)
    assert "may not see it" in says(10003)
    assert os.stat(os.path.dirname(socket)).st_uid == 10001
    assert os.stat(os.path.join(files.folder, "state")).st_mode & 0o777 == 0o755
