"""Stores of format 1, as the program that was released made them (tests/old)."""

import json
import os
import re
import struct
import sys
from pathlib import Path

import numpy
import pytest

import harness
from harness import QUIVERFS, quiverfs, run, until
from ordinary_user import NOBODY, ordinary_user_words

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "old"))
import old_stores  # noqa: E402 (its folder is known from here on)

TRUTHS = {name: old_stores.truth(name) for name in old_stores.names()}
SERVED = sorted(name for name, truth in TRUTHS.items() if truth != [("refused",)])


class OldStore(harness.Store):
    """One of the kept stores, unpacked."""

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.path = old_stores.unpack(old_stores.FOLDER / (name + ".txt"), folder)
        self.truth = TRUTHS[name]
        self.dim, self.dtype, self.size = 0, "", 0
        if name in SERVED:
            _, dim, self.dtype = self.truth[0]
            self.dim = int(dim)
            self.size = self.dim * harness.ITEM_BYTES[self.dtype]

    def version(self):
        """That of its superblock."""
        data = (self.path / "superblock").read_bytes()
        return max(struct.unpack_from("<8xI20xQ", data, at)[::-1] for at in (0, 4096))[1]

    def ids(self):
        return [int(line[1]) for line in self.truth if line[0] == "vector"]

    def assert_upgraded(self):
        assert self.version() == 2
        assert not (self.path / "meta.npy.new").exists()

    def damaged(self):
        """IDs that cannot be read."""
        return {int(line[1]) for line in self.truth if line[0] == "damaged" or "EIO" in line}


@pytest.fixture
def old(stores, tmp):
    """Unpacks a store by its name."""
    return lambda name: OldStore(tmp, name)


UPGRADED = "is upgraded to format 2"
# What the released program finds no fault in, though it was killed.
SOUND = [name for name in SERVED if not name.startswith("bad-")]
# What opening these tells.
TOLD = {"killed-torn": "cut at byte .* by a crash",
        "bad-superblock-older": "one of its two copies is damaged",
        "bad-superblock-newer": "one of its two copies is damaged",
        "without-index": "index: missing",
        "bad-row": "meta.npy: 1 rows were damaged before the upgrade"}


def mount(stores, store, **options):
    """Mount it; what that tells is of what is wrong with it, and of nothing else."""
    read_only = "ro" in options.get("options", ())
    mnt = stores.mount(store, check=not read_only and not store.damaged(), **options)
    told = mnt.errors()
    assert [line for line in told if not re.search(TOLD.get(store.name, "^$"), line)] == []
    if read_only:
        mnt.private = True  # nor can what is told be forgotten
    elif told:
        mnt.forget_errors()
    return mnt


def served(mnt):
    """What the mount serves, as the truth has it. What damage tells is looked at, too."""
    lines = old_stores.served(mnt.point, mnt.store.damaged())
    for number in mnt.store.damaged():
        # Read-only, a control file stays as it is for a while.
        until(lambda: any(f"vector {number}:" in line for line in mnt.errors()), "EIO is not told")
    if mnt.store.damaged() and not mnt.read_only:
        mnt.forget_errors()
    return lines


def ctimes(mnt):
    return {number: os.stat(mnt.path(number)).st_ctime_ns for number in mnt.store.ids()}


def mtimes(store):
    return {int(line[1]): int(line[-1]) for line in store.truth if line[0] == "vector"}


@pytest.mark.needs_root("reads vectors of all owners")
@pytest.mark.parametrize("name", SERVED)
def test_everything_is_served_as_it_was(stores, old, name):
    """Read-only, which leaves it of format 1; then upgraded, and again."""
    mnt = mount(stores, old(name), options=["ro"])
    assert served(mnt) == mnt.store.truth
    assert ctimes(mnt) == mtimes(mnt.store)
    mnt.unmount()
    assert mnt.store.version() == 1
    for _ in range(2):
        mnt = mount(stores, mnt.store)
        assert served(mnt) == mnt.store.truth
        assert ctimes(mnt) == mtimes(mnt.store)
        mnt.unmount()
        mnt.store.assert_upgraded()


@pytest.mark.parametrize("name", ["clean-holes", "killed-moves"])
def test_an_ordinary_users_store(stores, old, name):
    """In which some vectors are not his to read."""
    store = old(name)
    for options, version in ((["ro"], 1), ([], 2)):
        mnt = stores.mount(store, options=options)
        lines = old_stores.served(mnt.point)
        secret = [line[:3] + line[4:] for line in lines if "EACCES" in line]  # without its hash
        assert not secret if os.geteuid() == 0 else 3 <= len(secret) <= 20
        assert lines == [line[:3] + ("EACCES",) + line[4:] if line[:3] + line[4:] in secret
                         else line for line in store.truth]
        mnt.unmount()
        assert store.version() == version


def test_the_upgrade_is_told_once(stores, old):
    mnt = stores.mount(old("clean-f4"))
    assert UPGRADED in mnt.log_text()
    assert mnt.errors() == []
    mnt = stores.again(mnt)
    assert UPGRADED not in mnt.log_text()


@pytest.mark.needs_root("reads vectors of all owners")
@pytest.mark.parametrize("name", ["clean-f4", "killed-fsync"])
def test_it_can_be_labelled_once_it_is_upgraded(stores, old, name):
    def told(target):
        found = json.loads(quiverfs("status", target, "--json").stdout)
        assert found["format_version"] == int(mnt.stats()["format_version"]) == int(
            mnt.control("format_version"))
        assert f"format {found['format_version']}\n" in quiverfs("status", target).stdout
        return found["format_version"], found["metric"], found["label"]

    mnt = mount(stores, old(name), options=["ro"])
    assert told(mnt.point) == (1, "l2", "")
    with pytest.raises(OSError, match="Read-only"):
        mnt.control("label", "e5")
    mnt.unmount()
    mnt = mount(stores, mnt.store)
    assert told(mnt.point) == (2, "l2", "")
    mnt.control("label", "e5")
    mnt.control("metric", "cosine")
    mnt.kill()
    run("umount", mnt.point)
    mnt = mount(stores, mnt.store)
    assert told(mnt.store.path) == (2, "cosine", "e5")
    assert served(mnt) == mnt.store.truth


@pytest.mark.needs_root("reads vectors of all owners")
@pytest.mark.parametrize("name", ["clean-i1", "killed-always", "clean-f8"])
def test_a_change_moves_the_ctime(stores, old, rng, name):
    """Also of vectors whose mtime lies in the past, or far ahead."""
    mnt = mount(stores, old(name))
    before = mtimes(mnt.store)
    changed = sorted(before)[::3]
    for turn, number in enumerate(changed):
        if turn % 3 == 0:
            os.chmod(mnt.path(number), 0o604)
        elif turn % 3 == 1:
            os.utime(mnt.path(number), ns=(1, before[number]))
        else:
            mnt.put(number, rng.randbytes(mnt.size))
    found = ctimes(mnt)
    for number, mtime in before.items():
        if number not in changed or mtime == 2**63 - 1:  # no time is later than that
            assert found[number] == mtime
        else:
            assert found[number] > mtime
    mnt = stores.again(mnt)
    assert ctimes(mnt) == found
    mnt.kill()
    run("umount", mnt.point)
    assert ctimes(stores.mount(mnt.store)) == found


def test_numpy_reads_the_new_rows(stores, old):
    mnt = mount(stores, old("clean-f4"))
    mnt.unmount()
    rows = numpy.load(mnt.store.path / "meta.npy")
    ids = numpy.load(mnt.store.path / "ids.npy")
    assert rows.dtype.itemsize == 56
    found = {int(number): int(row["mtime_ns"]) for number, row in zip(ids, rows) if row["flags"]}
    assert found == mtimes(mnt.store)
    assert (rows["ctime_ns"] == rows["mtime_ns"]).all()
    assert (rows["attr_lsn"] == rows["lsn"]).all()


# ---- commands on a store that is not mounted -----------------------------------------


@pytest.mark.parametrize("name", SERVED)
def test_check_takes_it_as_it_is(old, name):
    """It says of each what the released program says, and changes nothing."""
    store = old(name)
    before = {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()}
    done = quiverfs("check", store.path, status=None)
    assert (done.returncode == 0) == (name in SOUND), done.stdout
    assert ("no faults" in done.stdout) == (name in SOUND), done.stdout
    after = {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {store.path / "LOCK"}
    assert set(before) <= set(after)


@pytest.mark.parametrize("name", ["clean-f2", "killed-slots"])
def test_what_only_looks_leaves_it(old, tmp, name):
    store = old(name)
    count = len(store.ids())
    assert f"{count}, dim {store.dim}, dtype {store.dtype}" in quiverfs("status", store.path).stdout
    quiverfs("export", store.path, tmp / "out.npy", "--ids", tmp / "ids.npy")
    assert store.version() == 1
    assert sorted(numpy.load(tmp / "ids.npy").tolist()) == sorted(store.ids())
    rows = numpy.load(tmp / "out.npy")
    wanted = [line[3] for line in store.truth if line[0] == "vector"]
    assert [old_stores.fnv1a(row.tobytes()) for row in rows] == wanted


@pytest.mark.needs_root("reads vectors of all owners")
@pytest.mark.parametrize("name", ["clean-u1", "killed-none"])
def test_import_upgrades_it(stores, old, tmp, name):
    store = old(name)
    rows = numpy.arange(3 * store.dim, dtype="u1").reshape(3, store.dim)
    numpy.save(tmp / "rows.npy", rows)
    done = quiverfs("import", store.path, tmp / "rows.npy", "--start-id", 7000)
    assert UPGRADED in done.stderr
    store.assert_upgraded()
    mnt = stores.mount(store)
    for row, number in enumerate(range(7000, 7003)):
        assert mnt.get(number) == rows[row].tobytes()
        os.unlink(mnt.path(number))
    lines = old_stores.served(mnt.point)
    assert lines[2:] == store.truth[2:]


@pytest.mark.needs_root("reads vectors of all owners")
@pytest.mark.parametrize("name", ["bad-row", "bad-vector", "bad-superblock-older",
                                  "bad-superblock-newer", "without-index", "killed-torn"])
def test_repair_of_one(stores, old, name):
    store = old(name)
    quiverfs("check", "--repair", store.path, status=None)
    store.check()
    mnt = mount(stores, store)
    assert old_stores.served(mnt.point) == [line for line in store.truth
                                            if line[0] != "damaged" and "EIO" not in line]


# ---- where it cannot be upgraded -----------------------------------------------------


@pytest.fixture
def refuse(tmp):
    """Tries to mount a store, which must not be; what is said."""
    point = tmp / "refused"
    point.mkdir()
    run("chown", f"{NOBODY}:{NOBODY}", point)
    yield lambda store, *before: run(*before, QUIVERFS, "mount", store.path, point,
                                     status=1).stderr.decode()
    run("umount", point, status=None)


def moved(store, disk):
    """The store, on a filesystem of its own."""
    run("cp", "-a", "--sparse=always", store.path, disk.point / "store")
    store.path = disk.point / "store"
    return store


@pytest.mark.parametrize("room", [0, 100])
def test_a_full_disk_leaves_it_as_it_was(disks, stores, old, refuse, room):
    """`room` KiB is less than the new rows take."""
    disk = disks.memory("tmpfs", "size=8m")
    store = moved(old("clean-holes"), disk)
    free = os.statvfs(disk.point).f_bavail * os.statvfs(disk.point).f_frsize
    (disk.point / "ballast").write_bytes(bytes(free - (room << 10)))
    said = refuse(store)
    assert "No space left" in said and str(store.path) in said
    assert "takes 228096 bytes" in said and "nothing has changed" in said
    assert store.version() == 1
    assert not (store.path / "meta.npy.new").exists()
    mnt = mount(stores, store, options=["ro"])
    assert served(mnt) == store.truth
    mnt.unmount()
    (disk.point / "ballast").unlink()
    mnt = mount(stores, store)
    assert served(mnt) == store.truth
    mnt.unmount()
    store.assert_upgraded()


@pytest.mark.parametrize("name", ["clean-f4", "killed-flush"])
def test_on_a_read_only_filesystem(disks, old, refuse, name):
    disk = disks.memory("tmpfs", "size=40m")
    store = moved(old(name), disk)
    run("mount", "-o", "remount,ro", disk.point)
    assert "Read-only file system" in refuse(store)
    run("mount", "-o", "remount,rw", disk.point)
    assert store.version() == 1


def test_in_a_folder_that_cannot_be_written(stores, old, refuse, ordinary_user):
    """The rows are a new file, so the folder of the store must be writable."""
    store = old("clean-f4")
    run("chown", "-R", f"{NOBODY}:{NOBODY}", store.path)
    store.path.chmod(0o500)
    said = refuse(store, *ordinary_user_words)
    assert "Permission denied" in said and str(store.path) in said
    assert store.version() == 1
    mnt = mount(stores, store, options=["ro"])
    assert served(mnt) == store.truth


@pytest.mark.needs_root("uses a store of somebody else as root")
def test_root_leaves_the_store_to_its_owner(stores, old):
    """Files that take the place of others: meta.npy by the upgrade, index by the close."""
    store = old("clean-f4")
    for path in (store.path, *store.path.rglob("*")):
        os.chown(path, 4711, 4712)
    for name in ("meta.npy", "ids.npy", "vectors.npy"):
        (store.path / name).chmod(0o640)
    mnt = mount(stores, store)
    mnt.put(1, bytes(store.size))
    mnt.unmount()
    for name, mode in (("meta.npy", 0o640), ("index", 0o640)):
        st = (store.path / name).stat()
        assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == (4711, 4712, mode), name
