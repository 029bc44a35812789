"""A vector that is opened while the kernel caches an older version of it: that open has a node of
its own, so that maps of it are as new as its reads are."""

import mmap
import os
import random
import struct
import time

import pytest

from files import opened
from harness import until
from patience import HANG_SECONDS
from peer import context
from test_handles import handle_of, read_handle

BOTH_TRANSPORTS = True
SECONDS = 60 if os.environ.get("QUIVERFS_TEST_LONG", "0") not in ("", "0") else 3


def mapped(fd, size, how=mmap.MAP_PRIVATE):
    with mmap.mmap(fd, size, how, mmap.PROT_READ) as view:
        return view[:]


@pytest.fixture
def stale(mnt):
    """A vector of three versions: the first open and cached, the third committed."""
    data = [bytes([i]) * mnt.size for i in (1, 2, 3)]
    mnt.put(42, data[0])
    fd = os.open(mnt.path(42), os.O_RDONLY)
    assert os.pread(fd, mnt.size, 0) == data[0] and mapped(fd, mnt.size) == data[0]
    mnt.put(42, data[1])
    mnt.put(42, data[2])
    yield mnt, fd, data
    os.close(fd)


def test_a_map_is_as_new_as_its_open(stale):
    mnt, fd, data = stale
    old = mmap.mmap(fd, mnt.size, mmap.MAP_PRIVATE, mmap.PROT_READ)
    for flags in (os.O_RDONLY, os.O_RDONLY | os.O_CREAT):
        with opened(mnt.path(42), flags) as new:
            assert mapped(new, mnt.size) == data[2]
            assert mapped(new, mnt.size, mmap.MAP_SHARED) == data[2]
            assert os.pread(new, mnt.size, 0) == data[2]
            assert os.fstat(new).st_ino == os.fstat(fd).st_ino == os.stat(mnt.path(42)).st_ino
            assert os.fstat(new).st_nlink == 1 and os.fstat(new).st_size == mnt.size
            assert old[:] == data[0] and os.pread(fd, mnt.size, 0) == data[0]
            mnt.put(42, bytes([9]) * mnt.size)
            assert mapped(new, mnt.size) == data[2]
            with opened(mnt.path(42), os.O_RDONLY) as newest:
                assert mapped(newest, mnt.size) == bytes([9]) * mnt.size
            mnt.put(42, data[2])
    old.close()


def test_sendfile_is_as_new(stale, tmp):
    mnt, _, data = stale
    with opened(mnt.path(42), os.O_RDONLY) as new, open(tmp / "copy", "wb") as copy:
        assert os.sendfile(copy.fileno(), new, 0, mnt.size) == mnt.size
    assert (tmp / "copy").read_bytes() == data[2]


def test_attributes_set_by_one_node_show_by_the_other(stale):
    mnt, fd, _ = stale
    path = mnt.path(42)
    with opened(path, os.O_RDONLY) as new:
        for turn, (change, look) in enumerate((a, b) for a in (fd, new, path)
                                              for b in (fd, new, path)):
            for at in (fd, new, path):
                os.stat(at)  # whatever is cached is cached
            os.chmod(change, 0o600 + turn)
            assert os.stat(look).st_mode & 0o7777 == 0o600 + turn, (turn, change, look)
            os.utime(change, ns=(0, 10**18 + turn))
            assert os.stat(look).st_mtime_ns == 10**18 + turn
        before = os.stat(new).st_ctime_ns
        mnt.put(42, bytes([7]) * mnt.size)
        assert os.stat(path).st_ctime_ns > before
        assert os.stat(new).st_ctime_ns == os.stat(path).st_ctime_ns
        assert os.stat(fd).st_ctime_ns == os.stat(path).st_ctime_ns


def test_removed_and_renamed(stale):
    mnt, fd, data = stale
    with opened(mnt.path(42), os.O_RDONLY) as new:
        os.unlink(mnt.path(42))
        assert not mnt.has(42) and "42" not in os.listdir(mnt.vectors)
        assert mapped(new, mnt.size) == data[2] and os.pread(new, mnt.size, 0) == data[2]
        assert os.fstat(new).st_nlink == 0
        assert os.pread(fd, mnt.size, 0) == data[0]
    mnt.put(42, data[1])
    with opened(mnt.path(42), os.O_RDONLY) as new:
        assert mapped(new, mnt.size) == data[1]
        mnt.put(".other", data[2])
        os.rename(mnt.path(".other"), mnt.path(42))
        assert mnt.get(42) == data[2] and mapped(new, mnt.size) == data[1]
        try:
            os.rename(mnt.path(42), mnt.path(43))
        except OSError:
            mnt.forget_errors()  # before Linux 6.16
            return
        assert not mnt.has(42) and mnt.get(43) == data[2]
        assert mapped(new, mnt.size) == data[1]


def test_by_way_of_proc(stale):
    mnt, fd, data = stale
    with opened(f"/proc/self/fd/{fd}", os.O_RDONLY) as again:
        assert os.pread(again, mnt.size, 0) == data[2]
    with opened(mnt.path(42), os.O_RDONLY) as new:
        with opened(f"/proc/self/fd/{new}", os.O_RDONLY) as again:
            assert os.pread(again, mnt.size, 0) == mapped(again, mnt.size) == data[2]
        with opened(f"/proc/self/fd/{new}", os.O_RDWR) as writer:
            os.pwrite(writer, b"\x55" * 4, 4)
        assert mnt.get(42) == data[2][:4] + b"\x55" * 4 + data[2][8:]


@pytest.mark.needs_root("opens by file handles")
def test_file_handles_mean_the_vector(stale):
    mnt, _, data = stale
    before = handle_of(mnt.path(42))
    with opened(mnt.path(42), os.O_RDONLY) as new:
        assert mapped(new, mnt.size) == data[2]
        after = handle_of(mnt.path(42))
        assert bytes(before.handle[:before.bytes]) == bytes(after.handle[:after.bytes])
        assert read_handle(mnt, before) == data[2]
    mnt.put(42, data[1])
    assert read_handle(mnt, after) == data[1]


def test_more_than_there_is_room_for(stores):
    """256 MiB of second nodes; then reads are as new as ever, and nothing is refused."""
    mnt = stores.mount(stores.create(dim=65536, dtype="f8"))
    mnt.put(1, b"\x01" * mnt.size)
    with opened(mnt.path(1), os.O_RDONLY) as old:
        assert len(os.pread(old, mnt.size, 0)) == mnt.size
        mnt.put(1, b"\x02" * mnt.size)
        held, maps = [], 0
        for _ in range(520):
            held.append(os.open(mnt.path(1), os.O_RDONLY))
            assert os.pread(held[-1], 100, 70000) == b"\x02" * 100
            maps += mapped(held[-1], mnt.size) == b"\x02" * mnt.size
        assert 500 <= maps <= 513
        for fd in held:
            os.close(fd)

    def shared():
        with opened(mnt.path(1), os.O_RDONLY) as fd:
            return mapped(fd, mnt.size) == b"\x02" * mnt.size

    until(shared, "a new map")


# ---- at the same time -------------------------------------------------------------------

SIZE = 3072
IDS = 4


def write_all_the_time(vectors, first, clock, seconds):
    """Versions that tell when their write was begun: `clock` has what was acknowledged."""
    end, version = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        version += 1
        for vector in (first, first + 1):
            fd = os.open(vectors / str(vector), os.O_WRONLY | os.O_CREAT, 0o666)
            os.write(fd, struct.pack("<Q", version) * (SIZE // 8))
            os.close(fd)
            clock[vector] = version


def map_all_the_time(vectors, clock, seconds, seed):
    rng, end, maps = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        vector = rng.randrange(IDS)
        least = clock[vector]
        if least == 0:
            continue
        fd = os.open(vectors / str(vector), os.O_RDONLY)
        if rng.randrange(2):
            os.pread(fd, 512, 0)
            time.sleep(0.001)
        seen = mapped(fd, SIZE)
        version, = struct.unpack("<Q", seen[:8])
        if seen != seen[:8] * (SIZE // 8) or version < least:
            print(f"vector {vector}: version {version} in a map, {least} was there", flush=True)
            os._exit(1)
        os.close(fd)
        maps += 1
    if maps < 10 * seconds:
        os._exit(2)


def in_child(function, *words):
    def body():
        function(*words)
        os._exit(0)

    child = context.Process(target=body, daemon=True)
    child.start()
    return child


def test_private_maps_beside_writers(stores):
    mnt = stores.mount(stores.create(dim=SIZE // 4))
    clock = context.Array("Q", IDS, lock=False)
    children = [in_child(write_all_the_time, mnt.vectors, first, clock, SECONDS)
                for first in (0, 2)]
    children += [in_child(map_all_the_time, mnt.vectors, clock, SECONDS, seed)
                 for seed in range(4)]
    for child in children:
        child.join(HANG_SECONDS)
        assert child.exitcode == 0
