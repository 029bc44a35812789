"""How a system mounts it: mount(8), fstab, mkfs(8), fsck(8), umount(8), ordinary users.

All of it happens in a mount namespace of the test's own, in which /sbin holds our
helpers and /etc/fstab is the test's.
"""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from harness import QUIVERFS, Store, run
from namespace import Namespace, own_namespace
from ordinary_user import ordinary_user_words

HELPERS = ["mount.quiverfs", "mount.fuse.quiverfs", "mkfs.quiverfs", "fsck.quiverfs"]
FRONT_ENDS = ["mkfs", "fsck"]  # they live in the /sbin that we cover


class System(Namespace):
    """A mount namespace with our helpers in it."""

    def __init__(self, folder):
        super().__init__(folder)
        self.point = folder / "mnt"
        self.point.mkdir()
        self.fstab = folder / "fstab"
        self.fstab.write_text("")
        self.daemons = set()
        sbin = folder / "sbin"
        sbin.mkdir()
        for name in HELPERS:
            (sbin / name).symlink_to(shutil.which(QUIVERFS))
        for name in FRONT_ENDS:
            found = shutil.which(name, path="/usr/sbin:/sbin")
            if found:
                shutil.copy(found, sbin / name)
        self.run("mount", "--bind", sbin, os.path.realpath("/sbin"))

    def mounted(self):
        """The lines of our mounts."""
        return [line for line in Path(f"/proc/{self.holder.pid}/mounts").read_text().splitlines()
                if f" {self.point} fuse.quiverfs " in line]

    def mounted_as(self, store):
        """The options of the one mount of that store; its daemon is remembered."""
        line, = self.mounted()
        source, point, _, options, _, _ = line.split(" ")
        assert (source, point) == (str(store.path), str(self.point))
        told = (store.path / "LOCK").read_text()
        if not told.strip():  # a read-only mount leaves no name
            told = self.run("cat", self.point / "control/stats").stdout
        self.daemons.add(int(re.search(r"^pid (\d+)$", told, re.MULTILINE)[1]))
        return options.split(",")

    def line(self, store, options, kind="quiverfs"):
        self.fstab.write_text(f"{store.path} {self.point} {kind} {options} 0 0\n")

    def take_away(self):
        for pid in self.daemons:
            if os.path.exists(f"/proc/{pid}/exe") and own_namespace(pid):
                os.kill(pid, signal.SIGKILL)
        super().take_away()


@pytest.fixture
def system(tmp):
    made = System(tmp)
    yield made
    made.take_away()
    assert [report.read_text() for report in made.reports.iterdir()] == []


@pytest.fixture
def store(tmp):
    return Store(tmp)


# ---- fstab ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["quiverfs", "fuse.quiverfs"])
@pytest.mark.parametrize("options, shown", [
    ("defaults", {"rw"}),
    ("rw,nofail,_netdev,noatime", {"rw", "noatime"}),
    ("ro,user,x-systemd.requires=network.target,comment=ours", {"ro", "noexec", "nosuid"}),
    ("auto,users,allow_other,durability=always,uid=1000,umask=027", {"rw", "allow_other"}),
])
def test_fstab(system, store, kind, options, shown):
    system.line(store, options, kind)
    for _ in range(2):  # the second time there is nothing to do
        assert system.run("mount", "-T", system.fstab, "-a").stderr == ""
        assert shown | {"default_permissions"} <= set(system.mounted_as(store))
    assert system.run("cat", system.point / "control/count").stdout == "0\n"
    system.run("umount", "-a", "-t", "fuse.quiverfs")
    assert system.mounted() == []
    system.run(QUIVERFS, "check", store.path)


def test_noauto_waits_to_be_asked(system, store):
    system.line(store, "noauto")
    system.run("mount", "-T", system.fstab, "-a")
    assert system.mounted() == []
    system.run("mount", "-T", system.fstab, system.point)
    assert "rw" in system.mounted_as(store)
    system.run("umount", system.point)
    system.run(QUIVERFS, "check", store.path)


def test_a_missing_store_fails_unless_nofail(system, tmp):
    missing = Store.__new__(Store)
    missing.path = tmp / "missing"
    system.line(missing, "defaults")
    done = system.run("mount", "-T", system.fstab, "-a", status=32)
    assert str(missing.path) in done.stderr and "No such file" in done.stderr
    system.line(missing, "nofail")
    assert system.run("mount", "-T", system.fstab, "-a").stderr == ""
    assert system.mounted() == []


def test_fstab_has_a_snapshot(system, store):
    """Read-only whatever is said, and beside the store itself."""
    system.run(QUIVERFS, "snapshot", "create", store.path, "v1")
    for options, told in (("defaults", "a snapshot, so it is mounted read-only"), ("ro,nofail", "")):
        system.fstab.write_text(f"{store.path}@v1 {system.point} fuse.quiverfs {options} 0 0\n")
        done = system.run("mount", "-T", system.fstab, "-a")
        assert told in done.stderr and bool(told) == bool(done.stderr)
        line, = system.mounted()
        assert line.startswith(f"{store.path}@v1 {system.point} fuse.quiverfs ro,")
        assert system.run("mount", "-T", system.fstab, "-a").stderr == ""
        system.run(QUIVERFS, "check", store.path)  # has it to itself
        told = system.run("cat", system.point / "control/stats").stdout
        system.daemons.add(int(re.search(r"^pid (\d+)$", told, re.MULTILINE)[1]))
        system.run("umount", system.point)
    system.fstab.write_text(f"{store.path}@v2 {system.point} fuse.quiverfs nofail 0 0\n")
    assert system.run("mount", "-T", system.fstab, "-a").stderr == ""
    assert system.mounted() == []


def test_nofail_hides_no_other_fault(system, store):
    os.truncate(store.path / "vectors.npy", 100)
    system.line(store, "ro,nofail")
    done = system.run("mount", "-T", system.fstab, "-a", status=32)
    assert "vectors.npy" in done.stderr


# ---- mount(8) and umount(8) -----------------------------------------------------------


def test_the_flags_of_mount(system, store):
    words = ["mount", "-t", "quiverfs", "-n", "-v", "-o", "ro"]
    system.run(*words, "-f", store.path, system.point)  # --fake
    assert system.mounted() == []
    done = system.run(*words, "-o", "unheard_of", store.path, system.point, status=32)
    assert "unheard_of" in done.stderr
    system.run(*words, "-s", "-o", "unheard_of,noatime", store.path, system.point)
    assert {"ro", "noatime"} <= set(system.mounted_as(store))
    done = system.run("mount", "-o", "remount,rw", system.point, status=32)
    assert "unmount it and mount it again" in done.stderr
    system.run("umount", system.point)


def test_read_only_by_the_flag_of_mount(system, store):
    system.run("mount", "-r", "-t", "quiverfs", store.path, system.point)
    assert "ro" in system.mounted_as(store)
    system.run("umount", system.point)


def test_wrong_usage_of_the_helper_is_that_of_mount(system, store):
    for words in ([], [store.path], [store.path, system.point, "more"]):
        done = system.run(os.path.realpath("/sbin") + "/mount.quiverfs", *words, status=1)
        assert "--help" in done.stderr


@pytest.mark.parametrize("way", [["umount"], ["fusermount3", "-u"]])
@pytest.mark.parametrize("listed", [True, False])
def test_an_ordinary_user_mounts_and_unmounts(system, store, ordinary_user, way, listed):
    """By fstab's `user`, or with `quiverfs mount` where fstab says nothing."""
    if not os.path.exists("/etc/fstab"):
        pytest.skip("there is no /etc/fstab to cover")
    run("chown", "-R", "nobody:nogroup", store.path, system.point)
    system.run("mount", "--bind", system.fstab, "/etc/fstab")
    if listed:
        system.line(store, "user,noauto")
        system.run(*ordinary_user_words, "mount", system.point)
    else:
        system.run(*ordinary_user_words, QUIVERFS, "mount", store.path, system.point)
    options = system.mounted_as(store)
    assert {"nosuid", "nodev"} <= set(options) and "user_id=65534" in options
    system.run(*ordinary_user_words, *way, system.point)
    assert system.mounted() == []
    system.run(*ordinary_user_words, QUIVERFS, "check", store.path)


# ---- mkfs(8) and fsck(8) --------------------------------------------------------------


def front_end(name):
    if not shutil.which(name, path="/usr/sbin:/sbin"):
        pytest.skip(f"there is no {name}(8)")
    return os.path.realpath("/sbin") + "/" + name


def test_mkfs(system, tmp):
    system.run(front_end("mkfs"), "-t", "quiverfs", "--dim", 8, "--dtype", "f2", tmp / "made")
    done = system.run(QUIVERFS, "status", tmp / "made", "--json")
    assert '"vector_bytes": 16' in done.stdout
    done = system.run(front_end("mkfs"), "-t", "quiverfs", "--dim", 8, tmp / "made", status=1)
    assert str(tmp / "made") in done.stderr


def test_fsck(system, store, tmp, rng):
    """Its exit codes are those of fsck(8)."""
    system.run(front_end("fsck"), "-t", "quiverfs", store.path)
    run(QUIVERFS, "mount", store.path, tmp / "mnt")
    try:
        for vector in range(10):
            (tmp / "mnt/vectors" / str(vector)).write_bytes(rng.randbytes(store.size))
        done = system.run(front_end("fsck"), "-t", "quiverfs", store.path, status=8)
        assert "mounted" in done.stderr
    finally:
        run("umount", tmp / "mnt")
    store.check()
    with open(store.path / "vectors.npy", "r+b") as file:
        file.seek(4096 + 3 * store.size)
        byte = file.read(1)[0]
        file.seek(4096 + 3 * store.size)
        file.write(bytes([byte ^ 1]))
    system.run(front_end("fsck"), "-t", "quiverfs", store.path, "--", "-n", status=4)
    system.run(front_end("fsck"), "-t", "quiverfs", "-r", store.path, status=4)
    system.run(front_end("fsck"), "-t", "quiverfs", "-a", store.path, status=1)
    system.run(front_end("fsck"), "-t", "quiverfs", "-f", "-y", store.path, status=0)
    system.run(front_end("fsck"), "-t", "quiverfs", tmp / "missing", status=8)
    system.run(os.path.realpath("/sbin") + "/fsck.quiverfs", status=16)
