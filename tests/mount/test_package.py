"""The Debian packages: built, installed, used and removed. Long runs only.

They are installed in a mount namespace with overlays over the folders of the system,
which itself stays as it is.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import harness
from namespace import Namespace

SOURCE = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 1800
PACKAGES = ["quiverfs", "libquiver2", "libquiver-dev", "python3-quiverfs"]
CHANGED = ["usr", "etc", "var"]
USE = "import quiverfs, sys; print(quiverfs.open(sys.argv[1])[[42]][:, 24].tolist())"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    if not harness.LONG:
        pytest.skip("only with QUIVERFS_TEST_LONG")
    for tool in ("dpkg-buildpackage", "dh"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool} (packages debhelper, dpkg-dev)")
    folder = tmp_path_factory.mktemp("packages")
    build(folder)
    return [next(folder.glob(f"{name}_*.deb")) for name in PACKAGES]


def build(folder, **options):
    done = subprocess.run([SOURCE / "tools/package", folder], capture_output=True,
                          timeout=BUILD_SECONDS, check=False, **options)
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def system(packages, tmp):
    made = Namespace(tmp)
    layers = tmp / "layers"
    layers.mkdir()
    try:
        made.run("mount", "-t", "tmpfs", "tmpfs", layers)
        for name in CHANGED:
            made.run("mkdir", layers / name, layers / (name + ".work"))
            done = made.run("mount", "-t", "overlay", "overlay", "-o",
                            f"lowerdir=/{name},upperdir={layers}/{name},"
                            f"workdir={layers}/{name}.work", "/" + name, status=None)
            if done.returncode != 0:
                pytest.skip(f"no overlay over /{name}: {done.stderr.strip()}")
        made.run("dpkg", "--install", *packages)
        yield made
    finally:
        made.take_away()


def field(package, name):
    return subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, check=True,
                          text=True).stdout


def test_they_are_the_same_when_they_are_built_again(packages, tmp_path_factory):
    """Elsewhere, later, by somebody with other habits."""
    again = tmp_path_factory.mktemp("again")
    place = tmp_path_factory.mktemp("another")
    build(again, umask=0o077, env={**os.environ, "TMPDIR": str(place), "TZ": "Pacific/Auckland",
                                   "LC_ALL": "C", "LANG": "de_DE.UTF-8", "CFLAGS": "-O0"})
    names = {path.name for path in packages[0].parent.glob("*.deb")}
    assert names == {path.name for path in again.glob("*.deb")}
    assert any("-dbgsym_" in name for name in names)
    differ = [name for name in sorted(names)
              if (again / name).read_bytes() != (packages[0].parent / name).read_bytes()]
    assert differ == []


def test_lintian_accepts_them(packages):
    if not shutil.which("lintian"):
        pytest.skip("there is no lintian")
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning",
                           *packages[0].parent.glob("*.deb")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_hdf5_is_recommended_and_no_more(packages):
    """Its library comes with many others, and is loaded for files of HDF5 alone."""
    assert "hdf5" not in field(packages[0], "Depends")
    assert "libc6" in field(packages[0], "Depends")
    assert field(packages[0], "Recommends").startswith("libhdf5-")


def test_it_is_installed_used_and_removed(system, tmp):
    """With the names and places of the package alone."""
    for name in PACKAGES:
        assert "ok installed" in system.run("dpkg-query", "-W", "-f", "${Status}", name).stdout
    store, point = tmp / "store", tmp / "mnt"
    point.mkdir()
    system.run("/usr/sbin/mkfs.quiverfs", "--dim", 25, store)
    system.run("mount", "-t", "quiverfs", store, point)
    try:
        system.run("sh", "-c", 'head -c 100 /dev/zero >"$1"', "sh", point / "vectors/42")
        assert system.run("quiverfs", "status", point, "--json").stdout.count('"count": 1,') == 1
        assert system.run("/usr/bin/python3", "-c", USE, point).stdout == "[0.0]\n"
    finally:
        system.run("umount", point)
    system.run("/usr/sbin/fsck.quiverfs", store)
    # by libquiver now
    assert system.run("/usr/bin/python3", "-c", USE, store).stdout == "[0.0]\n"
    # where the unit looks for what it is to mount
    assert system.run("ls", "-A", "/etc/quiverfs").stdout == ""
    assert "quiverfs@.service" in system.run("ls", "/usr/lib/systemd/system").stdout
    system.run("sh", "-c", 'cc -o "$1/example" "$2" $(pkg-config --cflags --libs libquiver)', "sh",
               tmp, SOURCE / "tests/mount/example.c")
    assert system.run(tmp / "example", tmp / "other").stdout == "0 4 7\n"

    listed = system.run("dpkg-query", "-L", *PACKAGES).stdout.split()
    files = [path for path in listed if not os.path.isdir(path)]
    assert "/usr/bin/quiverfs" in files and len(files) > 30
    system.run("dpkg", "--purge", *reversed(PACKAGES))
    left = system.run("sh", "-c", 'for f in "$@"; do [ ! -e "$f" ] || echo "$f"; done', "sh",
                      *files).stdout
    assert left == ""
