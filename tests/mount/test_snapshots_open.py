"""What is open in a snapshot, or cached of it, when it is removed; maps."""

import contextlib
import errno
import mmap
import os
import threading
import time

import numpy
import pytest

from files import opened, refused
from harness import quiverfs, run, until
from ordinary_user import NOBODY
from peer import Peer
from snapshot_state import State, folder_of, rows, seen, take

BOTH_TRANSPORTS = True
pytestmark = pytest.mark.local("snapshots")


def fill(mnt, rng, count):
    data = {str(vector): rng.randbytes(mnt.size) for vector in rng.sample(range(10**6), count)}
    for name, row in data.items():
        mnt.put(name, row)
    return data


def overwrite(mnt, rng, names):
    for name in names:
        mnt.put(name, rng.randbytes(mnt.size))


# ---- removed while it is open -----------------------------------------------------------


def test_what_is_open_in_a_removed_one_reads_on(mnt, rng):
    data = fill(mnt, rng, 50)
    folder = take(mnt, "a")
    names = list(data)
    overwrite(mnt, rng, names)
    fds = {name: os.open(folder / "vectors" / name, os.O_RDONLY) for name in names[:10]}
    view = os.open(folder / f"vectors/{names[0]}.npy", os.O_RDONLY)
    matrix = numpy.load(folder / "matrix.npy", mmap_mode="r")
    ids = numpy.load(folder / "ids.npy", mmap_mode="r")
    listing = os.open(folder / "vectors", os.O_RDONLY)
    os.rmdir(folder)
    # Its slots would be used again by these.
    for _ in range(4):
        overwrite(mnt, rng, names)
        mnt.control("checkpoint", "1\n")
    mnt.control("compact", "start\n")
    mnt.finish_job("compact")
    for name, fd in fds.items():
        assert os.pread(fd, 1000, 0) == data[name]
        assert os.fstat(fd).st_size == mnt.size
    assert os.pread(view, 1000, 0)[-mnt.size:] == data[names[0]]
    slot_of = {str(number): slot for slot, number in enumerate(ids)}
    for name in names:
        assert matrix[slot_of[name]].tobytes() == data[name]
    with refused(errno.ENOENT, errno.ESTALE):
        os.open(names[20], os.O_RDONLY, dir_fd=listing)
    with refused(errno.ENOENT, errno.ESTALE):
        os.stat(names[21], dir_fd=listing)
    assert int(mnt.stats()["slots_held"]) >= 10
    for fd in [*fds.values(), view, listing]:
        os.close(fd)
    del matrix, ids, slot_of
    # The kernel tells of a close after it has returned.
    until(lambda: mnt.stats()["slots_held"] == "0", "slots stay held")


def test_a_process_in_a_removed_one_finds_nothing_old(mnt, rng, peer):
    data = fill(mnt, rng, 5)
    folder = take(mnt, "a")
    peer.call("chdir", str(folder / "vectors"))
    for name in data:
        assert peer.read(name) == data[name]  # the kernel has the name and the attributes
    os.rmdir(folder)
    for name in data:
        with refused(errno.ENOENT, errno.ESTALE):
            peer.read(name)
        with refused(errno.ENOENT, errno.ESTALE):
            peer.call("stat", name)
    overwrite(mnt, rng, data)
    take(mnt, "a")
    for name in data:
        with refused(errno.ENOENT, errno.ESTALE):
            peer.read(name)
        assert peer.read(str(folder / "vectors" / name)) == mnt.get(name)
    peer.call("chdir", "/")


def test_the_same_name_again_is_another_one(mnt, rng):
    data = fill(mnt, rng, 20)
    for _ in range(6):
        folder = take(mnt, "a")
        inode = os.stat(folder).st_ino
        for _ in range(2):
            assert {name: file[0] for name, file in seen(folder / "vectors").items()} == data
            assert rows(folder) == data
            assert rows(folder, mmap_mode="r") == data
        assert (folder / "control/count").read_text() == f"{len(data)}\n"
        os.rmdir(folder)
        for name in list(data)[:10]:
            data[name] = rng.randbytes(mnt.size)
            mnt.put(name, data[name])
        gone = list(data)[10]
        del data[gone]
        os.unlink(mnt.path(gone))
        take(mnt, "a")
        assert os.stat(folder).st_ino == inode  # what makes backups goes by that
        with refused(errno.ENOENT):
            os.stat(folder / "vectors" / gone)
        os.rmdir(folder)


def test_numbers_are_its_own_and_stay(stores, mnt, rng):
    data = fill(mnt, rng, 20)
    take(mnt, "a")
    take(mnt, "b")

    def numbers(mnt):
        roots = [mnt.point, folder_of(mnt, "a"), folder_of(mnt, "b")]
        inner = ["", "vectors", "control", "matrix.npy", "ids.npy", "control/dim",
                 *(f"vectors/{name}" for name in data), f"vectors/{list(data)[0]}.npy"]
        return [os.stat(root / path).st_ino for root in roots for path in inner]

    before = numbers(mnt)
    assert len(set(before)) == len(before)
    assert numbers(mnt) == before
    assert numbers(stores.again(mnt)) == before


def test_an_unmount_with_open_snapshots(stores, mnt, rng):
    fill(mnt, rng, 20)
    state = State(mnt)
    for name in "abc":
        state.compare(take(mnt, name))
    with opened(folder_of(mnt, "a") / "matrix.npy", os.O_RDONLY):
        assert run("umount", mnt.point, status=None).returncode != 0  # it is in use
    mnt = stores.again(mnt)
    for name in "abc":
        state.compare(folder_of(mnt, name))
    fd = os.open(folder_of(mnt, "b") / "ids.npy", os.O_RDONLY)
    mnt.kill()
    with contextlib.suppress(OSError):  # of whoever could have been told
        os.close(fd)
    run("umount", mnt.point)
    mnt = stores.mount(mnt.store)
    for name in "abc":
        state.compare(folder_of(mnt, name))


def test_a_listing_that_lacks_vectors_ends_in_an_error(stores, mnt, rng, tmp):
    """Rows that only the snapshot had are lost: who copies it must not take that for all."""
    data = fill(mnt, rng, 40)
    take(mnt, "a")
    overwrite(mnt, rng, sorted(data)[:15])
    store = mnt.store
    mnt.unmount()
    os.truncate(store.path / "versions", 4096 + 10 * 96)
    for _ in range(2):  # also when the file of before is not there any more
        mnt = stores.mount(store, check=False)
        folder = folder_of(mnt, "a") / "vectors"
        found = []
        with refused(errno.EIO), os.scandir(folder) as entries:
            for entry in entries:
                found.append(entry.name)
        assert len(found) == 35 and set(found) < set(data)
        assert run("tar", "cf", tmp / "a.tar", "-C", folder, ".", status=None).returncode == 2
        assert any("found 35 vectors, expected 40" in line for line in mnt.errors())
        mnt.forget_errors()
        mnt.unmount()
    assert quiverfs("check", "--repair", store.path, status=None).returncode == 1
    mnt = stores.mount(store)
    assert sorted(os.listdir(folder_of(mnt, "a") / "vectors")) == sorted(found)


def test_damaged_ones_are_listed_and_removed(stores, mnt, rng):
    fill(mnt, rng, 5)
    state = State(mnt)
    for name in "abc":
        take(mnt, name)
    store = mnt.store
    mnt.unmount()
    for name in "ab":
        os.truncate(store.path / "snapshots" / name, 0)
    mnt = stores.mount(store)
    mnt.forget_errors()
    with os.scandir(mnt.point / "snapshots") as entries:
        numbers = {entry.name: entry.inode() for entry in entries}
    assert sorted(numbers) == ["a", "b", "c"] and len({0, *numbers.values()}) == 4
    with refused(errno.EUCLEAN):
        os.listdir(folder_of(mnt, "a"))
    mnt.expect_error("snapshots/a: cannot be opened: its file is damaged; rmdir")
    mnt.forget_errors()
    for name in "ab":
        os.rmdir(folder_of(mnt, name))
    state.compare(folder_of(mnt, "c"))


# ---- matrix.npy -------------------------------------------------------------------------


def test_its_matrix_ends_where_it_says(mnt, tmp, rng):
    data = fill(mnt, rng, 30)
    folder = take(mnt, "a")
    fill(mnt, rng, 3000)  # the store's own file is longer now
    for name in ("matrix.npy", "ids.npy"):
        path = folder / name
        size = os.stat(path).st_size
        whole = path.read_bytes()
        assert len(whole) == size < os.stat(mnt.point / name).st_size
        with opened(path, os.O_RDONLY) as fd:
            assert os.fstat(fd).st_size == os.lseek(fd, 0, os.SEEK_END) == size
            assert os.pread(fd, 10, size) == b""
            assert os.pread(fd, 10**6, size - 5) == whole[-5:]
            for at in (0, 1, 4095, 4096, size // 2):
                assert os.pread(fd, 777, at) == whole[at:at + 777]
            with mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as view:
                assert len(view) == size
                if name == "ids.npy":
                    assert view[:] == whole
        assert run("cat", path).stdout == whole
        run("cp", path, tmp / name)
        assert (tmp / name).read_bytes() == whole
        with opened(path, os.O_RDONLY) as fd, open(tmp / "sent", "wb") as file:
            while os.sendfile(file.fileno(), fd, None, 10**6) > 0:
                pass
        assert (tmp / "sent").read_bytes() == whole
    assert rows(folder, mmap_mode="r") == rows(folder) == data


def test_maps_do_not_change_beside_writers(mnt, rng):
    data = fill(mnt, rng, 200)
    folder = take(mnt, "a")
    matrix = numpy.load(folder / "matrix.npy", mmap_mode="r")
    ids = numpy.load(folder / "ids.npy", mmap_mode="r")
    slot_of = {str(number): slot for slot, number in enumerate(ids)}
    wrong, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            name = rng.choice(list(data))
            if matrix[slot_of[name]].tobytes() != data[name]:
                wrong.append(name)

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(15):
        overwrite(mnt, rng, list(data)[:100 if turn % 2 else 200])
        mnt.control("checkpoint", "1\n")
        if turn % 5 == 4:
            mnt.control("compact", "start\n")
            mnt.finish_job("compact")
    stop.set()
    reader.join()
    assert not wrong
    assert {name: matrix[slot_of[name]].tobytes() for name in data} == data


# ---- beside others ------------------------------------------------------------------------


def test_who_reads_and_writes_is_not_kept_waiting(mnt, rng):
    """Nor does anybody see half of a snapshot."""
    data = fill(mnt, rng, 100)
    stop, failures, turns = threading.Event(), [], []

    def work(act):
        count = 0
        try:
            while not stop.is_set():
                act()
                count += 1
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)
        turns.append(count)

    def write():
        name = rng.choice(list(data)[:50])
        mnt.put(name, rng.randbytes(mnt.size))

    def read():
        name = rng.choice(list(data)[50:])
        assert mnt.get(name) == data[name]

    def list_them():
        for name in os.listdir(mnt.point / "snapshots"):
            try:
                assert len(os.listdir(folder_of(mnt, name) / "vectors")) == 100
            except OSError as error:
                assert error.errno in (errno.ENOENT, errno.ESTALE), error

    threads = [threading.Thread(target=work, args=[act]) for act in (write, read, list_them)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        folder = take(mnt, f"n{turn}")
        then = {name: (folder / "vectors" / name).read_bytes() for name in data}
        assert all(then[name] == data[name] for name in list(data)[50:])
        time.sleep(0.02)
        assert {name: file[0] for name, file in seen(folder / "vectors").items()} == then
        if turn % 3 == 2:
            os.rmdir(folder_of(mnt, f"n{turn - 1}"))
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert min(turns) > 0


@pytest.mark.needs_root("acts as several users")
def test_another_user_reads_what_he_may(stores, rng):
    mnt = stores.mount(options=["allow_other"])
    data = fill(mnt, rng, 10)
    folder = take(mnt, "a")
    os.chmod(mnt.path(list(data)[0]), 0o600)
    take(mnt, "b")
    other = Peer(uid=NOBODY, gid=NOBODY)
    try:
        assert sorted(other.call("listdir", str(folder / "vectors"))) == sorted(data)
        for name in data:
            assert other.read(folder / "vectors" / name) == data[name]
        with refused(errno.EACCES):
            other.read(folder_of(mnt, "b") / "vectors" / list(data)[0])
        with refused(errno.EACCES):
            other.read(folder / "matrix.npy")
        for call in ("mkdir", "rmdir"):
            with refused(errno.EACCES):
                other.call(call, str(folder_of(mnt, "c" if call == "mkdir" else "a")))
    finally:
        other.close()
