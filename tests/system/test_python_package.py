"""The Python package gctoken as something to install: what it imports, which Python it needs, what it
says of itself, and what is in its wheel."""

import ast
import glob
import importlib
import inspect
import os
import re
import subprocess
import sys
import zipfile

import pytest

from daemon import environment
from fake import REPOSITORY
from test_clients_doc import PYTHON

FOLDER = os.path.join(REPOSITORY, "client-lib", "python")
SOURCES = sorted(glob.glob(os.path.join(FOLDER, "gctoken", "*.py")))
OLDEST = (3, 9)


def parsed(path):
    with open(path, encoding="utf-8") as file:
        return ast.parse(file.read(), path, feature_version=OLDEST)


def text(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("path", SOURCES, ids=os.path.basename)
def test_a_file_is_of_the_oldest_python_and_imports_the_standard_library(path):
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        foreign = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
        assert foreign <= ({"PureCloudPlatformClientV2"} if path.endswith("genesys.py") else set())


def test_what_the_oldest_python_lacks_is_not_used():
    """By name: no such Python is here to try."""
    newer = re.compile(r"\bmatch\b.*:$|TypeAlias|ParamSpec|\bslots=|kw_only=|\bzip\(.*strict="
                       r"|datetime\.UTC|ExceptionGroup", re.M)
    for path in SOURCES:
        with open(path, encoding="utf-8") as file:
            assert not newer.search(file.read()), path


def test_every_call_is_typed_and_explained():
    sys.path.insert(0, FOLDER)
    try:
        modules = [importlib.import_module("gctoken"), importlib.import_module("gctoken.genesys")]
    finally:
        sys.path.remove(FOLDER)
    seen = 0
    for module in modules:
        public = getattr(module, "__all__", ["attach"])
        for thing in [getattr(module, name) for name in public]:
            if isinstance(thing, str):
                continue
            assert inspect.getdoc(thing), thing
            functions = [thing] if inspect.isfunction(thing) else \
                [member for name, member in vars(thing).items()
                 if inspect.isfunction(member) and (name == "__init__" or name[0] != "_")]
            for function in functions:
                seen += 1
                if thing.__module__ != "gctoken.tokens":  # dataclasses write their own
                    assert inspect.getdoc(function) or function.__name__ == "__init__", function
                hints = function.__annotations__
                assert "return" in hints, function
                assert set(inspect.signature(function).parameters) - {"self"} <= set(hints), function
    assert seen >= 8


def test_one_version():
    with open(os.path.join(REPOSITORY, "meson.build"), encoding="utf-8") as file:
        version = re.search(r"version: '([\d.]+)'", file.read()).group(1)
    assert f'version = "{version}"' in text("pyproject.toml")
    assert f'requires-python = ">={OLDEST[0]}.{OLDEST[1]}"' in text("pyproject.toml")


def test_the_program_of_its_page(server, daemon):
    d = daemon(server)
    d.token(wait=20)
    program = re.search(r"^```python\n(.*?)^```$", text("README.md"), re.M | re.S).group(1)
    run = subprocess.run([PYTHON, "-X", "dev", "-W", "error", "-c",
                          program + "print(token.fingerprint)"], text=True, capture_output=True,
                         stdin=subprocess.DEVNULL, timeout=60, check=False,
                         env=environment(GCTOKEN_SOCKET=d.socket, PYTHONPATH=FOLDER,
                                         PYTHONDONTWRITEBYTECODE="1"))
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.strip() == d.token().json["fingerprint"]


def test_a_wheel(tmp_path):
    """Made without a network, as pip does it."""
    probe = subprocess.run([PYTHON, "-c", "import setuptools, pip, wheel"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("pip, setuptools and wheel are not there")
    copy = tmp_path / "source"
    subprocess.run(["cp", "-r", FOLDER, copy], check=True)
    run = subprocess.run([PYTHON, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps",
                          "--no-build-isolation", "--wheel-dir", tmp_path, copy], text=True,
                         stdin=subprocess.DEVNULL, capture_output=True, check=False,
                         env=environment(HOME=str(tmp_path)))
    assert run.returncode == 0, run.stderr
    [wheel] = glob.glob(str(tmp_path / "gctoken-*-py3-none-any.whl"))
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"gctoken/{os.path.basename(path)}" for path in SOURCES} | {"gctoken/py.typed"} <= names
    metadata = zipfile.ZipFile(wheel).read(next(name for name in names if name.endswith("/METADATA")))
    assert b"\nRequires-Python: >=3.9" in metadata and b"Requires-Dist" not in metadata
