"""Limits under abuse: what is refused is refused, the daemon stays, its memory is
bounded as README.md says."""

import contextlib
import errno
import os
import resource
import threading
from pathlib import Path

import pytest

from files import opened, refused, write_all
from harness import LONG, QUIVERFS, quiverfs
from peer import Peer

ID_MAX = 2**64 - 2**32 - 1
SCRATCH_FILES = 1_000_000 if LONG else 100_000
HANDLES = 1_000_000 if LONG else 60_000
MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def no_sanitizer(request):
    """They take memory of their own, in their own way."""
    if "memory" in request.node.name:
        with open(QUIVERFS, "rb") as program:
            text = program.read()
        if b"__asan_init" in text or b"__tsan_init" in text:
            pytest.skip("a sanitizer takes memory of its own")


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


def test_memory_with_a_hundred_thousand_scratch_files(stores, rng):
    """They are bounded in number: ENOSPC, and vectors go on."""
    mnt = stores.mount(stores.create(dim=25))
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    made = 0
    with contextlib.suppress(OSError):
        for number in range(SCRATCH_FILES):
            write_all(mnt.vectors / f".scratch{number}", data)
            made += 1
    with refused(errno.ENOSPC):
        write_all(mnt.vectors / ".one-too-many", data)
        write_all(mnt.vectors / f".scratch{SCRATCH_FILES}", data)
    used = memory_of(mnt)
    print(f"{made} scratch files, {used >> 20} MiB")
    assert 1000 <= made < SCRATCH_FILES
    assert used < 128 * MEBIBYTE
    assert len(os.listdir(mnt.vectors)) == made + 1
    mnt.put(2, data)
    assert mnt.get(1) == data
    for number in range(made):
        os.unlink(mnt.vectors / f".scratch{number}")
    write_all(mnt.vectors / ".again", data)
    os.unlink(mnt.vectors / ".again")
    mnt.forget_errors()


def open_many(folder, count):
    """In a process of its own, which keeps them open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in range(min(count, hard - 100)):
        os.open(folder / str(number % 1000), os.O_RDWR if number % 3 == 0 else os.O_RDONLY)
    return min(count, hard - 100)


def test_memory_with_many_open_handles(stores, rng):
    """Readers of many versions and writers with nothing staged: below 1 KiB for each."""
    mnt = stores.mount(stores.create(dim=25))
    data = [rng.randbytes(mnt.size) for _ in range(100)]
    for number in range(1000):
        mnt.put(number, data[number % 100])
    before, count, peers = memory_of(mnt), 0, []
    try:
        while count < HANDLES and len(peers) < 60:
            peers.append(Peer())
            count += peers[-1].call(open_many, mnt.vectors, HANDLES - count)
            for number in range(1000):
                mnt.put(number, data[number % 100])
        used = memory_of(mnt) - before
        print(f"{count} handles, {used >> 20} MiB")
        assert count > 10_000
        assert used < count * 1024 + 32 * MEBIBYTE
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
    for first in range(0, count, 10000):
        mnt.control("put", b"".join(number.to_bytes(8, "little") + data
                                    for number in range(first, first + 10000)))
    assert len(mnt.ids()) == count
    before = memory_of(mnt)
    for number in range(count):
        os.stat(mnt.path(number))
    assert mnt.get(count - 1) == data
    assert memory_of(mnt) < before + 16 * MEBIBYTE


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
