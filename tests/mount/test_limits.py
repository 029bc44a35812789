"""Limits under abuse: what is refused is refused, the daemon stays, its memory is
bounded as quiverfs(1) says."""

import contextlib
import errno
import os
import resource
import threading
from pathlib import Path

import pytest

import disks
from files import opened, refused, write_all
from harness import LONG, quiverfs, until
from peer import Peer

ID_MAX = 2**64 - 2**32 - 1
SCRATCH_FILES = 1_000_000 if LONG else 100_000
HANDLES = 1_000_000 if LONG else 60_000
MEBIBYTE = 1 << 20
# As quiverfs(1) has them.
SCRATCH_FILES_MAX = 16384
SCRATCH_BYTES_MAX = 256 << 20


@pytest.fixture(autouse=True)
def memory_is_its_own(request):
    if "memory" in request.node.name:
        request.getfixturevalue("no_sanitizer")


def memory_of(mnt):
    """Of the daemon's own, in bytes: what it maps of the store is the kernel's."""
    for line in Path(f"/proc/{mnt.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


# ---- both ends ---------------------------------------------------------------------


@pytest.mark.parametrize("dim,dtype", [(1, "i1"), (1, "f4"), (65536, "f4"), (65536, "f8")])
def test_smallest_and_largest_vectors_at_both_ends_of_the_ids(stores, rng, dim, dtype):
    mnt = stores.mount(stores.create(dim=dim, dtype=dtype))
    ids = [0, 1, 2**32 - 1, 2**32, 2**63, ID_MAX - 1, ID_MAX]
    data = {number: rng.randbytes(mnt.size) for number in ids}
    for number in ids:
        write_all(mnt.path(number), data[number])
    # In pieces, patched, renamed, in bulk.
    write_all(mnt.path(0), data[1], chunk=max(1, mnt.size // 3))
    data[0] = data[1]
    os.rename(mnt.path(1), mnt.path(7))
    data[7] = data.pop(1)
    record = ID_MAX.to_bytes(8, "little") + data[0]
    mnt.control("put", record)
    data[ID_MAX] = data[0]
    for number in (ID_MAX + 1, 2**64 - 1, 2**64, 10**30):
        with refused(errno.EINVAL):
            os.open(mnt.path(number), os.O_WRONLY | os.O_CREAT)
        with refused(errno.ENOENT):
            os.stat(mnt.path(number))
    with refused(errno.EINVAL):
        mnt.control("put", (ID_MAX + 1).to_bytes(8, "little") + data[0])
    assert {number: mnt.get(number) for number in mnt.ids()} == data
    mnt.forget_errors()
    again = stores.again(mnt)
    assert {number: again.get(number) for number in again.ids()} == data


@pytest.mark.parametrize("dim", [0, 65537, 2**32, -1])
def test_a_dimension_out_of_range_is_refused(tmp, dim):

    done = quiverfs("create", tmp / "store", f"--dim={dim}", status=None)
    assert done.returncode in (1, 2) and "dim" in done.stderr
    assert not (tmp / "store").exists()


# ---- too much of everything -----------------------------------------------------------


def test_memory_with_too_many_scratch_files(stores, rng):
    """They are bounded in number: ENOSPC for all that are too many, and vectors go on."""
    mnt = stores.mount(stores.create(dim=25))
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    made = 0
    for number in range(SCRATCH_FILES):
        try:
            fd = os.open(mnt.vectors / f".scratch{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            continue
        os.write(fd, data)
        os.close(fd)
        made += 1
        assert made == number + 1
    used = memory_of(mnt)
    print(f"{made} of {SCRATCH_FILES} scratch files, {used >> 20} MiB")
    assert made == SCRATCH_FILES_MAX
    assert used < 32 * MEBIBYTE
    assert len(os.listdir(mnt.vectors)) == made + 1
    mnt.put(2, data)
    assert mnt.get(1) == data
    for number in range(made):
        os.unlink(mnt.vectors / f".scratch{number}")
    write_all(mnt.vectors / ".again", data)
    os.unlink(mnt.vectors / ".again")
    assert len(mnt.errors()) == 256
    mnt.forget_errors()


def test_memory_of_large_scratch_files(stores):
    """They are bounded in bytes, too."""
    mnt = stores.mount(stores.create(dim=65536, dtype="f8"))
    data = b"s" * mnt.size
    before = memory_of(mnt)
    for number in range(2 * SCRATCH_BYTES_MAX // mnt.size):
        with contextlib.suppress(OSError):
            write_all(mnt.vectors / f".scratch{number}", data)
    used = memory_of(mnt) - before
    print(f"{used >> 20} MiB")
    assert SCRATCH_BYTES_MAX * 0.9 < used < SCRATCH_BYTES_MAX + 32 * MEBIBYTE
    mnt.put(1, data)
    assert mnt.get(1) == data
    mnt.forget_errors()


def stage_many(folder, count, part):
    """Write `part` of as many vectors as may be; their handles stay open."""
    staged = 0
    for number in range(count):
        fd = os.open(folder / str(number), os.O_WRONLY | os.O_CREAT)
        try:
            os.write(fd, part)
            staged += 1
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            break
    return staged


@pytest.mark.parametrize("dim, bound", [(1, 16384), (65536, 1024)])
def test_memory_of_stages(stores, many_descriptors, rng, dim, bound):
    """Vectors written in part, and left so: bounded in number and in bytes. Whole ones are
    written all the same."""
    mnt = stores.mount(stores.create(dim=dim, dtype="f8"))
    before, other = memory_of(mnt), Peer()
    try:
        staged = other.call(stage_many, mnt.vectors, 2 * bound, b"s" * (mnt.size - 1))
        used = memory_of(mnt) - before
        print(f"{staged} stages, {used >> 20} MiB")
        assert staged == bound
        assert used < 544 * MEBIBYTE
        data = rng.randbytes(mnt.size)
        write_all(mnt.path(99999), data)
        assert mnt.get(99999) == data
    finally:
        other.close()
    assert mnt.ids() == {99999}
    # The kernel releases what a process had open after it is gone; each has its line then,
    # and the one too many has two: its write was refused, and it was left empty.
    until(lambda: int(mnt.stats()["errors"]) == staged + 2, "a line for each vector left in part")
    until(lambda: memory_of(mnt) < before + 64 * MEBIBYTE, "stages of handles that are gone")
    mnt.forget_errors()


# ---- too much of one user --------------------------------------------------------------


NOBODY = 65534
SHARE = 4  # a user has one part in so many


@pytest.fixture
def shared(stores):
    """A mount that a user has, beside who mounted it, and a process of theirs."""
    others = []

    def make(**geometry):
        mnt = stores.mount(stores.create(**geometry), options=["allow_other"])
        os.chmod(mnt.vectors, 0o777)
        others.append(Peer(uid=NOBODY, gid=NOBODY))
        return mnt, others[-1]

    yield make
    for other in others:
        other.close()


def fill(folder, name, count, data):
    """Make files until one is refused: how many there are, and the errno."""
    for number in range(count):
        try:
            write_all(folder / f"{name}{number}", data)
        except OSError as error:
            return number, error.errno
    return count, 0


def stage_until_refused(folder, count):
    for number in range(count):
        try:
            os.write(os.open(folder / str(number), os.O_WRONLY | os.O_CREAT), b"s")
        except OSError as error:
            return number, error.errno
    return count, 0


def test_one_users_scratch_files_leave_room_for_others(shared, rng):
    mnt, user = shared()
    share = SCRATCH_FILES_MAX // SHARE
    assert user.call(fill, mnt.vectors, ".theirs", SCRATCH_FILES_MAX, b"x") == (share, errno.EDQUOT)
    assert f"user {NOBODY} may have at most {share} scratch files" in mnt.errors()[-1]
    stats = mnt.stats()
    assert stats["scratch_files"] == stats["user_max_scratch_files"] == str(share)
    write_all(mnt.vectors / ".mine", b"x")  # of root
    another = Peer(uid=NOBODY - 1, gid=NOBODY)
    try:
        assert another.call(fill, mnt.vectors, ".another", 100, b"x") == (100, 0)
    finally:
        another.close()
    # theirs are full; what they write whole goes on
    data = rng.randbytes(mnt.size)
    user.write(mnt.path(1), data)
    assert mnt.get(1) == data
    user.call("unlink", mnt.vectors / ".theirs7")
    assert user.call(fill, mnt.vectors, ".new", 2, b"x") == (1, errno.EDQUOT)
    mnt.forget_errors()


def test_one_users_stages_leave_room_for_others(shared, rng):
    mnt, user = shared(dim=65536, dtype="f8")
    share = 1024 // SHARE  # 512 KiB each
    assert user.call(stage_until_refused, mnt.vectors, 2 * share) == (share, errno.EDQUOT)
    assert f"vector {share}: user {NOBODY} may have at most" in mnt.errors()[0]
    assert mnt.stats()["staged_vectors"] == str(share)
    assert mnt.stats()["user_max_staged_bytes"] == str(share * mnt.size)
    assert f"quiverfs_user_max_staged_bytes{{mount=\"{mnt.point}\"}} {share * mnt.size}\n" in \
        mnt.control("metrics")
    data = rng.randbytes(mnt.size)
    write_all(mnt.path(5000), data, chunk=mnt.size // 2)  # of root, in part
    user.close()
    until(lambda: mnt.stats()["staged_vectors"] == "0", "stages of a process that is gone")
    assert mnt.ids() == {5000}
    mnt.forget_errors()


listings = []


def begin_listings(folder, count, between=None):
    """Open the folder so often, read a little of each and keep it: how many, and the errno."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for number in range(count):
        if between is not None:
            write_all(between / str(10**9 + number), b"s" * 8)
        try:
            listings.append(os.scandir(folder))
            next(listings[-1])
        except OSError as error:
            return number, error.errno
    return count, 0


def test_memory_of_many_listings_at_once(shared, rng):
    """They share a copy of the IDs while no ID comes or goes; one user's copies are bounded."""
    mnt, user = shared(dim=2)
    count = 400_000
    put_many(mnt, count, rng.randbytes(8))
    before = memory_of(mnt)
    assert user.call(begin_listings, mnt.vectors, 300) == (300, 0)
    assert mnt.stats()["listing_bytes"] == str(8 * count)
    assert memory_of(mnt) < before + 8 * count + 16 * MEBIBYTE
    begun, error = user.call(begin_listings, mnt.vectors, 300, mnt.vectors)
    assert error == errno.EDQUOT
    assert 0.9 * 256 * MEBIBYTE < begun * 8 * count < 256 * MEBIBYTE
    assert memory_of(mnt) < before + 272 * MEBIBYTE
    assert f"vectors/: user {NOBODY} may have at most" in mnt.errors()[-1]
    assert len(os.listdir(mnt.vectors)) == count + begun + 1  # root's
    user.close()
    until(lambda: mnt.stats()["listing_bytes"] == "0", "listings of a process that is gone")
    mnt.forget_errors()


def open_until_refused(path, count):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for number in range(count):
        try:
            os.open(path, os.O_RDONLY)
        except OSError as error:
            return number, error.errno
    return count, 0


def test_memory_of_control_files_that_are_open(shared):
    """Each holds what it read when it was opened."""
    mnt, user = shared()
    before, size = memory_of(mnt), len(mnt.control("metrics"))
    opened_, error = user.call(open_until_refused, mnt.control_folder / "metrics", 20000)
    assert error == errno.EDQUOT
    assert 8 * MEBIBYTE < opened_ * size < 17 * MEBIBYTE
    assert memory_of(mnt) < before + 32 * MEBIBYTE
    assert f"control/metrics: user {NOBODY} may have at most" in mnt.errors()[0]
    user.close()
    until(lambda: mnt.stats()["control_bytes"] == mnt.stats()["user_max_control_bytes"] == "0",
          "texts of a process that is gone")
    mnt.forget_errors()


# ---- many of everything -----------------------------------------------------------------


def open_many(folder, count):
    """In a process of its own, which keeps them open; how many it may have."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # root may have more
        most = int(Path("/proc/sys/fs/nr_open").read_text())
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        limit = most
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    for number in range(count):
        try:
            os.open(folder / str(number % 1000), os.O_RDWR if number % 3 == 0 else os.O_RDONLY)
        except OSError as error:
            assert error.errno == errno.EMFILE, error
            return number
    return count


def test_memory_with_many_open_handles(stores, rng):
    """Readers of many versions and writers with nothing staged."""
    mnt = stores.mount(stores.create(dim=25))
    data = [rng.randbytes(mnt.size) for _ in range(100)]
    for number in range(1000):
        mnt.put(number, data[number % 100])
    before, count, peers = memory_of(mnt), 0, []
    try:
        while count < HANDLES and len(peers) < 100:
            peers.append(Peer())
            count += peers[-1].call(open_many, mnt.vectors, min(HANDLES // 10, HANDLES - count))
            for number in range(1000):
                mnt.put(number, data[number % 100])
        used = memory_of(mnt) - before
        print(f"{count} handles in {len(peers)} processes, {used >> 20} MiB")
        assert count == HANDLES
        assert used < count * 260 + 32 * MEBIBYTE
        assert mnt.get(7) == data[7]
    finally:
        for one in peers:
            one.close()
    assert mnt.get(1) == data[1]
    assert mnt.errors() == []


def test_memory_of_a_write_loop_that_nobody_reads(stores, rng):
    """Overwrites, refusals and batches without end: nothing adds up."""
    mnt = stores.mount(stores.create(dim=1000))
    data = [rng.randbytes(mnt.size) for _ in range(10)]
    record = b"".join((5000 + number).to_bytes(8, "little") + data[number % 10]
                      for number in range(50))

    def storm(rounds):
        for turn in range(rounds):
            mnt.put(turn % 50, data[turn % 10])
            if turn % 5 == 0:
                mnt.control("put", record)
            with contextlib.suppress(OSError), \
                    opened(mnt.path(turn % 50), os.O_WRONLY) as fd:
                os.write(fd, bytes(mnt.size + 1))

    storm(1000)
    before = memory_of(mnt)
    threads = [threading.Thread(target=storm, args=(20000 if LONG else 2000,))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = memory_of(mnt)
    print(f"{before >> 20} MiB before, {used >> 20} MiB after")
    # Superseded slots wait for a checkpoint: 24 bytes each, and at most 262,144.
    assert used < before + 48 * MEBIBYTE
    assert len(mnt.errors()) == 256
    mnt.forget_errors()


def test_memory_of_files_that_are_only_looked_at(stores, rng):
    """No table of inodes: what the kernel caches costs the daemon nothing."""
    mnt = stores.mount(stores.create(dim=2))
    count = 200_000 if LONG else 50_000
    data = rng.randbytes(8)
    put_many(mnt, count, data)
    assert len(mnt.ids()) == count
    before = memory_of(mnt)
    for number in range(count):
        os.stat(mnt.path(number))
    assert mnt.get(count - 1) == data
    assert memory_of(mnt) < before + 16 * MEBIBYTE


class Peak:
    """The most memory that the daemon has had while this was looking."""

    def __init__(self, mnt):
        self.mnt = mnt
        self.most = memory_of(mnt)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.done.wait(0.01):
            self.most = max(self.most, memory_of(self.mnt))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def put_many(mnt, count, data):
    """IDs 0 to count - 1, in bulk."""
    for first in range(0, count, 10_000):
        mnt.control("put", b"".join(number.to_bytes(8, "little") + data
                                    for number in range(first, min(first + 10_000, count))))


def test_memory_of_a_chmod_loop(stores, rng):
    """What a mode changes is kept until a checkpoint: that comes by itself."""
    count = 1_000_000 if LONG else 200_000
    mnt = stores.mount(stores.create(dim=2))
    put_many(mnt, count, rng.randbytes(8))
    mnt.control("checkpoint", "1")
    before, checkpoints = memory_of(mnt), int(mnt.stats()["checkpoints"])

    def change(first):
        for number in range(first, count, 4):
            os.chmod(mnt.path(number), 0o640)

    with Peak(mnt) as peak:
        threads = [threading.Thread(target=change, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(f"{before >> 20} MiB before, {peak.most >> 20} MiB at most")
    assert peak.most < before + 96 * MEBIBYTE
    until(lambda: int(mnt.stats()["checkpoints"]) > checkpoints, "no checkpoint")
    assert os.stat(mnt.path(count - 1)).st_mode & 0o777 == 0o640
    again = stores.again(mnt)
    assert all(os.stat(again.path(number)).st_mode & 0o777 == 0o640
               for number in range(0, count, 997))


# As engine/commit/committer.h has it: at so many the writers wait for a checkpoint.
NONE_MAX = 1048576
NONE_BYTES = 16  # each of them, in a list that doubles


@pytest.mark.parametrize("sync_ms", [0, 400])
def test_memory_of_mode_none_with_much_to_log(stores, tmp, rng, sync_ms):
    """It logs what a checkpoint makes durable, so a checkpoint must come before that is
    too much. While it takes long, writers go on as far as they are let, and no further."""
    disks.need_shim()
    shim = disks.Shim(tmp)
    count = 4_000_000 if LONG else 1_000_000 + NONE_MAX * (sync_ms > 0)
    mnt = stores.mount(stores.create(dim=2), options=["durability=none"], before=shim.words)
    before = memory_of(mnt)
    shim.fail(slow=sync_ms)
    with Peak(mnt) as peak:
        put_many(mnt, count, rng.randbytes(8))
        shim.fail()
        mnt.control("checkpoint", "1")
    index = int(mnt.stats()["index_bytes"])
    print(f"{peak.most >> 20} MiB at most, {before >> 20} MiB before, {index >> 20} MiB of index")
    # A new index is filled beside the old.
    assert peak.most < before + 2.5 * index + NONE_MAX * NONE_BYTES + 32 * MEBIBYTE
    assert mnt.control("count").strip() == str(count)


def test_control_files_take_no_more_than_they_should(stores, rng):
    """A megabyte to each of them is refused, and nothing happens."""
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    before = {name: mnt.control(name) for name in ("durability", "autocompact_percent", "count")}
    for name in ("durability", "autocompact_percent", "reserve", "compact", "verify", "put"):
        with refused(errno.EINVAL, errno.EFBIG, errno.E2BIG), \
                opened(mnt.control_folder / name, os.O_WRONLY) as fd:
            os.write(fd, b"9" * MEBIBYTE)
    assert {name: mnt.control(name) for name in before} == before
    mnt.forget_errors()


def test_a_reserve_beyond_all_bounds_is_refused(mnt):
    for value in (2**64 - 1, 2**63, 10**15):
        with refused(errno.ENOSPC, errno.EINVAL):
            mnt.control("reserve", str(value))
    mnt.forget_errors()
    assert mnt.daemon.poll() is None and mnt.ids() == set()
