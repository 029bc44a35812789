"""The Python package as a package: versions, types, pip without a network."""

import os
import re
import shutil
import sys

import pytest

from harness import run
from python_package import FOLDER, SOURCE, quiverfs

PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def has_module(name):
    return run(PYTHON, "-c", f"import {name}", status=None).returncode == 0


def test_there_is_one_version():
    version = re.search(r"version: '(.*?)'", (SOURCE / "meson.build").read_text())[1]
    assert quiverfs.__version__ == version
    assert f'\nversion = "{version}"\n' in (FOLDER / "pyproject.toml").read_text()


def test_what_it_needs_is_told_alike():
    """To pip, by its own file and by what meson installs."""
    project = (FOLDER / "pyproject.toml").read_text()
    metadata = (FOLDER / "METADATA.in").read_text()
    for ours, theirs in ((r'requires-python = "(.*)"', r"Requires-Python: (.*)"),
                         (r'dependencies = \["(.*)"\]', r"Requires-Dist: (.*)"),
                         (r'description = "(.*)"', r"Summary: (.*)")):
        assert re.search(ours, project)[1].replace(" >= ", ">=").replace(">= ", ">=") == \
            re.search(theirs, metadata)[1]


def test_all_modules_are_installed():
    listed = re.findall(r"'python/quiverfs/(\S+)'", (SOURCE / "tools/meson.build").read_text())
    there = [path.name for path in (FOLDER / "quiverfs").iterdir() if path.is_file()]
    assert sorted(listed) == sorted(there)


def test_the_types_are_right(tmp):
    """Of the package itself, and as somebody who uses it sees them."""
    if not has_module("mypy"):
        pytest.skip("there is no mypy (python3-mypy)")
    shutil.copytree(FOLDER / "quiverfs", tmp / "quiverfs")
    use = tmp / "use.py"
    use.write_text("""import numpy as np
import quiverfs
q = quiverfs.open("MNT")
one = q.get([1, 2])
pair = q.get([1, 2], "mask")
near = q.nearest(42, k=3)
q.put([1, 2], [[1.0, 2.0], [3.0, 4.0]])
reveal_type(one)
reveal_type(pair)
reveal_type(near)
""")
    run(PYTHON, "-m", "mypy", "--strict", "--python-version", "3.9", "--cache-dir", tmp / "cache",
        "quiverfs", cwd=tmp)
    told = run(PYTHON, "-m", "mypy", "--strict", "--cache-dir", tmp / "cache", use, cwd=tmp,
               status=None).stdout.decode()
    revealed = re.findall(r'Revealed type is "(.*)"', told)
    assert "error" not in told and len(revealed) == 3, told
    assert revealed[0].startswith("numpy.ndarray")
    assert revealed[1].startswith("Tuple[numpy.ndarray") and "bool_" in revealed[1]
    assert "unsignedinteger" in revealed[2] and "floating" in revealed[2]


def test_pip_installs_it_without_a_network(tmp):
    """By the lines of quiverfs-python(7), from sources that stay as they are."""
    for module in ("pip", "setuptools", "wheel", "venv"):
        if not has_module(module):
            pytest.skip(f"there is no {module} for {PYTHON}")
    page = (SOURCE / "tools/man/quiverfs-python.7").read_text().replace("\\-", "-")
    assert "python3 -m venv --system-site-packages env" in page
    assert "env/bin/pip install --no-build-isolation --no-index tools/python" in page
    shutil.copytree(FOLDER, tmp / "python", ignore=shutil.ignore_patterns("__pycache__", "build"))
    # its own pip is a package that not everybody has; that of the system is the same program
    run(PYTHON, "-m", "venv", "--system-site-packages", "--without-pip", tmp / "env")
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "HOME": str(tmp)}
    environment.pop("PYTHONPATH", None)
    run(tmp / "env/bin/python", "-m", "pip", "install", "--no-build-isolation", "--no-index",
        "--quiet", tmp / "python", env=environment)
    told = run(tmp / "env/bin/python", "-c", "import quiverfs, os, sys\n"
               "folder = os.path.dirname(quiverfs.__file__)\n"
               "print(folder.startswith(sys.prefix), os.path.exists(folder + '/py.typed'))",
               cwd=tmp, env=environment)
    assert told.stdout == b"True True\n"
