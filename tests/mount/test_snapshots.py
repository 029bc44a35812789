"""Snapshots on the mount: made by mkdir, removed by rmdir, looked at, and changed by nothing."""

import errno
import os
import re
import stat
import threading
import time

import numpy
import pytest

from files import GIVEN, opened, refused, rename2
from harness import quiverfs, run, until
from snapshot_state import State, folder_of, rows, seen, take

BOTH_TRANSPORTS = True
pytestmark = pytest.mark.local("snapshots")
CONTROL = ["count", "created", "dim", "dtype", "label", "lsn", "metric", "own_bytes", "slots",
           "snapshot_uuid", "stats", "uuid"]


def fill(mnt, rng, count=60):
    for vector in rng.sample(range(10**6), count):
        mnt.put(vector, rng.randbytes(mnt.size))


def names(mnt):
    return os.listdir(mnt.point / "snapshots")


def change_much(mnt, rng, known):
    """Something of each kind that can happen to a vector; `known` names in vectors/."""
    some = rng.sample(sorted(known), 24)
    for name in some[:6]:
        mnt.put(name, rng.randbytes(mnt.size))
    for name in some[6:10]:
        os.unlink(mnt.path(name))
    for name in some[10:14]:
        os.rename(mnt.path(name), mnt.path(rng.randrange(2 * 10**6, 3 * 10**6)))
    os.rename(mnt.path(some[14]), mnt.path(some[15]))
    for name in some[16:18]:
        os.chmod(mnt.path(name), 0o604)
    os.chown(mnt.path(some[18]), *GIVEN)
    os.utime(mnt.path(some[19]), ns=(10**18, 10**18 + 7))
    for name in some[20:22]:  # away, and back with other bytes
        os.unlink(mnt.path(name))
        mnt.put(name, rng.randbytes(mnt.size))
    fill(mnt, rng, 10)
    os.chmod(mnt.vectors, 0o711)
    mnt.control("label", f"label {rng.randrange(1000)}\n")


# ---- what there is ----------------------------------------------------------------


def test_one_is_made_looked_at_and_removed(mnt, rng):
    fill(mnt, rng)
    assert names(mnt) == []
    before = time.time_ns()
    state = State(mnt)
    folder = take(mnt, "2026-11-30")
    assert names(mnt) == ["2026-11-30"]
    assert sorted(os.listdir(folder)) == ["control", "ids.npy", "matrix.npy",
                                           "nearest", "vectors"]
    assert sorted(os.listdir(folder / "control")) == CONTROL
    found = os.stat(folder)
    assert stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o755
    assert (found.st_uid, found.st_nlink) == (os.geteuid(), 5)
    assert before - 10**9 <= found.st_mtime_ns <= time.time_ns()
    assert os.stat(mnt.point / "snapshots").st_nlink == 3
    assert found.st_mtime_ns == os.stat(folder / "matrix.npy").st_mtime_ns
    state.compare(folder)
    os.rmdir(folder)
    assert names(mnt) == []
    for name in ("", "/vectors", "/matrix.npy", "/control/lsn"):
        with refused(errno.ENOENT):
            os.stat(str(folder) + name)
    assert os.stat(mnt.point / "snapshots").st_nlink == 2


def test_what_control_says_of_it(mnt, rng):
    fill(mnt, rng, 20)
    lsn = mnt.stats()["lsn"]
    folder = take(mnt, "a") / "control"
    mnt.put(1, bytes(mnt.size))
    assert (folder / "lsn").read_text() == lsn + "\n"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z\n", (folder / "created").read_text())
    assert (folder / "count").read_text() == "20\n"
    own = int((folder / "own_bytes").read_text())
    for name in os.listdir(mnt.vectors)[:5]:
        os.unlink(mnt.path(name))
    assert int((folder / "own_bytes").read_text()) >= own + 3 * mnt.size
    uuid = (folder / "snapshot_uuid").read_text()
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n", uuid)
    assert (take(mnt, "b") / "control/snapshot_uuid").read_text() != uuid
    assert mnt.stats()["snapshots"] == "2"
    assert int(mnt.stats()["slots_held"]) >= 4
    assert "quiverfs_snapshots{" in mnt.control("metrics")
    assert "lsn" not in os.listdir(mnt.control_folder)


@pytest.mark.parametrize("dtype", ["f2", "b1", "u1"])
def test_it_has_the_dtype_and_the_views(stores, rng, dtype):
    mnt = stores.mount(stores.create(dim=64, dtype=dtype))
    data = rng.randbytes(mnt.size)
    mnt.put(7, data)
    before = {form: mnt.get("7" + form) for form in (".npy", ".txt")}
    folder = take(mnt, "a")
    mnt.put(7, bytes(mnt.size))
    for form, text in before.items():
        path = folder / ("vectors/7" + form)
        for _ in range(2):
            assert path.read_bytes() == text
        assert os.stat(path).st_size == len(text)
        with refused(errno.ENOENT):
            os.stat(folder / ("vectors/8" + form))
    assert numpy.load(folder / "vectors/7.npy").tobytes() == data
    assert rows(folder) == {"7": data}


def test_an_empty_store_has_an_empty_one(mnt):
    folder = take(mnt, "none")
    mnt.put(1, bytes(mnt.size))
    assert os.listdir(folder / "vectors") == []
    assert rows(folder) == {} and rows(mnt.point)
    assert (folder / "control/count").read_text() == "0\n"


# ---- it stays as it is --------------------------------------------------------------


def test_each_stays_as_it_was_made(stores, mnt, rng):
    fill(mnt, rng, 80)
    states = {}
    for turn in range(4):
        name = f"turn{turn}"
        states[name] = State(mnt)
        take(mnt, name)
        change_much(mnt, rng, states[name].files)
        if turn == 2:
            mnt.control("compact", "start\n")
            mnt.finish_job("compact")
        for known, state in states.items():
            state.compare(folder_of(mnt, known))
    assert names(mnt) == list(states)
    last = State(mnt)
    mnt = stores.again(mnt)
    for name, state in states.items():
        state.compare(folder_of(mnt, name))
    os.rmdir(folder_of(mnt, "turn1"))
    del states["turn1"]
    mnt.control("compact", "start\n")
    mnt.finish_job("compact")
    mnt.kill()
    run("umount", mnt.point)
    mnt = stores.mount(mnt.store)
    for name, state in states.items():
        state.compare(folder_of(mnt, name))
    assert names(mnt) == list(states)
    last.compare(take(mnt, "last"))


def test_attributes_of_an_option_are_those_of_the_mount(stores, rng):
    mnt = stores.mount(options=["uid=4711", "gid=4712"] if os.geteuid() == 0 else [])
    fill(mnt, rng, 10)
    folder = take(mnt, "a")
    for name in os.listdir(mnt.vectors):
        live, then = os.stat(mnt.path(name)), os.stat(folder / "vectors" / name)
        assert (live.st_uid, live.st_gid) == (then.st_uid, then.st_gid)


def test_a_read_only_mount_shows_them(stores, mnt, rng):
    fill(mnt, rng)
    state = State(mnt)
    take(mnt, "a")
    change_much(mnt, rng, state.files)
    mnt = stores.again(mnt, options=["ro"])
    for _ in range(2):
        assert names(mnt) == ["a"]
        state.compare(folder_of(mnt, "a"))
    for change in (lambda: take(mnt, "b"), lambda: os.rmdir(folder_of(mnt, "a"))):
        with refused(errno.EROFS):
            change()


def test_a_mount_of_one_alone_shows_the_same(mnt, tmp, rng):
    fill(mnt, rng)
    state = State(mnt)
    folder = take(mnt, "a")
    change_much(mnt, rng, state.files)
    point = tmp / "alone"
    point.mkdir()
    quiverfs("mount", f"{mnt.store.path}@a", point)
    try:
        for _ in range(2):
            assert seen(point / "vectors") == state.files
            assert rows(point) == rows(point, mmap_mode="r") == rows(folder)
        for name in ("lsn", "created", "snapshot_uuid", "count", "slots", "uuid"):
            assert (point / "control" / name).read_text() == (folder / "control" / name).read_text()
        assert sorted(os.listdir(point)) == ["control", "ids.npy", "matrix.npy",
                                           "nearest", "vectors"]
        for name in ("matrix.npy", "ids.npy"):
            status, inside = os.stat(point / name), os.stat(folder / name)
            assert (status.st_size, status.st_mtime_ns) == (inside.st_size, inside.st_mtime_ns)
        with refused(errno.EBUSY):
            os.rmdir(folder)
        mnt.expect_error("snapshots/a: not removed: another process has it open")
    finally:
        run("umount", point)
    until(lambda: can_be_removed(folder), "it stays open")
    mnt.forget_errors()


def can_be_removed(folder):
    try:
        os.rmdir(folder)
    except OSError as error:
        assert error.errno == errno.EBUSY
        return False
    return True


# ---- refusals -------------------------------------------------------------------------


def test_every_change_in_one_is_erofs(mnt, rng):
    mnt.put(5, bytes(mnt.size))
    mnt.put(6, bytes(mnt.size))
    folder = take(mnt, "a")
    vectors, path = folder / "vectors", folder / "vectors/5"
    for change in (lambda: os.open(path, os.O_WRONLY),
                   lambda: os.open(path, os.O_RDWR),
                   lambda: os.open(path, os.O_WRONLY | os.O_TRUNC),
                   lambda: os.open(vectors / "7", os.O_WRONLY | os.O_CREAT),
                   lambda: os.open(vectors / ".x", os.O_WRONLY | os.O_CREAT),
                   lambda: os.open(vectors / "abc", os.O_WRONLY | os.O_CREAT),
                   lambda: os.open(vectors / "5.npy", os.O_WRONLY),
                   lambda: os.open(folder / "x", os.O_WRONLY | os.O_CREAT),
                   lambda: os.open(folder / "control/x", os.O_WRONLY | os.O_CREAT),
                   lambda: os.open(folder / "matrix.npy", os.O_RDWR),
                   lambda: os.mknod(vectors / "7"),
                   lambda: os.unlink(path),
                   lambda: os.unlink(folder / "matrix.npy"),
                   lambda: os.unlink(folder / "control/dim"),
                   lambda: os.rmdir(vectors),
                   lambda: os.rename(path, vectors / "7"),
                   lambda: rename2(path, vectors / "7", 1),
                   lambda: os.rename(path, mnt.path(7)),
                   lambda: os.rename(mnt.path(6), vectors / "7"),
                   lambda: os.rename(mnt.path(6), path),
                   lambda: os.truncate(path, mnt.size),
                   lambda: os.truncate(path, 0),
                   lambda: os.chmod(path, 0o600),
                   lambda: os.utime(path),
                   lambda: os.chown(path, *GIVEN),
                   lambda: os.chmod(vectors, 0o700),
                   lambda: os.chmod(folder, 0o700),
                   lambda: os.utime(folder / "control/dim"),
                   lambda: os.mkdir(vectors / ".x"),
                   lambda: os.mkdir(folder / "x"),
                   lambda: os.symlink("x", vectors / "7"),
                   lambda: os.link(path, vectors / "7")):
        with refused(errno.EROFS):
            change()
    with refused(errno.EROFS, errno.EACCES):  # the mode says so to all but root
        os.open(folder / "control/label", os.O_WRONLY)
    with refused(errno.EOPNOTSUPP):
        os.setxattr(path, "user.x", b"1")
    with opened(path, os.O_RDONLY) as fd:
        os.fsync(fd)
    with opened(vectors, os.O_RDONLY) as fd:
        os.fsync(fd)
    assert mnt.errors() == []
    assert mnt.get(6) == bytes(mnt.size)


@pytest.mark.parametrize("name", [".a", "a b", "a+b", "a@b", "ä", "a" * 65, "a" * 255, "a$"])
def test_a_name_that_cannot_be(mnt, name):
    with refused(errno.EINVAL):
        take(mnt, name)
    mnt.expect_error("not the name of a snapshot")
    with refused(errno.ENOENT):
        os.rmdir(folder_of(mnt, name))
    assert names(mnt) == []


def test_names_that_can_be(mnt):
    wanted = ["a", "a" * 64, "-", "2026-11-30T05:12:33Z", "_", ":", "9.9", "a.b..c"]
    for name in wanted:
        take(mnt, name)
    assert names(mnt) == wanted
    for name in wanted:
        os.rmdir(folder_of(mnt, name))
    assert names(mnt) == []


def test_what_else_is_refused(mnt):
    mnt.put(1, bytes(mnt.size))
    take(mnt, "a")
    with refused(errno.EEXIST):
        take(mnt, "a")
    assert mnt.errors() == []
    for change in (lambda: os.rename(folder_of(mnt, "a"), folder_of(mnt, "b")),
                   lambda: os.rename(folder_of(mnt, "a"), mnt.path(".b"))):
        with refused(errno.EPERM):
            change()
        mnt.expect_error("a snapshot cannot be renamed")
    with refused(errno.EPERM):
        os.open(folder_of(mnt, "file"), os.O_WRONLY | os.O_CREAT)
    mnt.expect_error("files can be made only in vectors/")
    for change in (lambda: os.chmod(mnt.point / "snapshots", 0o777),
                   lambda: os.rename(mnt.path(1), folder_of(mnt, "1")),
                   lambda: os.symlink("a", folder_of(mnt, "c"))):
        with refused(errno.EPERM):
            change()
    with refused(errno.EPERM, errno.EACCES):  # the mode says so to all but root
        os.rmdir(mnt.point / "snapshots")
    mnt.forget_errors()
    with refused(errno.ENOENT):
        os.rmdir(folder_of(mnt, "b"))
    with refused(errno.ENOTDIR):
        os.rmdir(folder_of(mnt, "a") / "matrix.npy")
    assert names(mnt) == ["a"]


def test_of_many_who_make_one_name_one_does(mnt):
    results, barrier = [], threading.Barrier(8)

    def make():
        barrier.wait()
        try:
            take(mnt, "one")
            results.append(0)
        except OSError as error:
            results.append(error.errno)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0] + 7 * [errno.EEXIST]
    assert names(mnt) == ["one"]


# ---- real tools -----------------------------------------------------------------------


def test_tools_copy_and_compare_one(mnt, plain, rng):
    fill(mnt, rng, 40)
    folder = take(mnt, "a")
    change_much(mnt, rng, os.listdir(mnt.vectors))
    data = {name: file[0] for name, file in seen(folder / "vectors").items()}
    run("cp", "-a", folder / "vectors", plain / "copy")
    run("diff", "-r", folder / "vectors", plain / "copy")
    for turn, transferred in enumerate((len(data), 0)):
        out = run("rsync", "-a", "--out-format=%n", folder / "vectors", plain / "rsync").stdout
        files = [line for line in out.splitlines() if not line.endswith(b"/")]
        assert len(files) == transferred, turn
    run("diff", "-r", folder / "vectors", plain / "rsync/vectors")
    run("tar", "-cf", plain / "a.tar", "-C", folder, "vectors")
    run("tar", "-df", plain / "a.tar", "-C", folder)
    found = run("find", folder, "-type", "f").stdout.split()
    assert len(found) == len(data) + 2 + len(CONTROL)
    assert run("find", mnt.point, "-name", "ids.npy").stdout.count(b"\n") == 2


def test_a_vector_is_brought_back_by_cp(mnt, rng):
    fill(mnt, rng, 40)
    name = os.listdir(mnt.vectors)[0]
    data, folder = mnt.get(name), take(mnt, "a")
    # Nothing to be seen but the bytes: no name has come or gone, the mtime is the old one.
    at = os.stat(mnt.path(name)).st_mtime_ns
    mnt.put(name, rng.randbytes(mnt.size))
    os.utime(mnt.path(name), ns=(at, at))
    done = run("diff", "-rq", folder / "vectors", mnt.vectors, status=1)
    assert done.stdout.count(b"differ") == 1
    run("cp", "-p", folder / "vectors" / name, mnt.path(name))
    run("diff", "-r", folder / "vectors", mnt.vectors)
    assert mnt.get(name) == data


def test_mkdir_and_rmdir_by_their_commands(mnt):
    run("mkdir", folder_of(mnt, "a"), folder_of(mnt, "b"))
    assert b"a\nb" in run("ls", mnt.point / "snapshots").stdout
    done = run("rm", "-rf", folder_of(mnt, "a"), status=None)
    assert done.returncode == 1 and b"Read-only file system" in done.stderr
    run("rmdir", folder_of(mnt, "a"), folder_of(mnt, "b"))
    assert names(mnt) == []
