"""Two readers and two writers on the same vectors: no read mixes two versions, and
none is older than the last close before its open.

Each version of a vector is one number, over and over. A writer raises the vector's
number in memory that all processes share once its close has returned; a reader looks
there before it opens. Half of what they do is on a few vectors, so that they meet, and
half on many, so that pages of old versions are left in the kernel's cache. Checkpoints
and compactions beside them have slots used again and vectors moved.
"""

import errno
import mmap
import os
import random
import struct
import time
from pathlib import Path

import pytest

from harness import LONG
from peer import Peer

BOTH_TRANSPORTS = True
IDS = 200
HOT_IDS = 6
# Of each size and transport: ten minutes in all, or ten seconds.
SECONDS = 600 / 4 if LONG else 10 / 4


def version_bytes(version, size):
    return struct.pack("<I", version) * (size // 4)


def read_in_chunks(fd, size, chunk, rng):
    """To the end, or with the first page left for somebody else to bring in."""
    pieces, skipped = [], b""
    if rng.random() < 0.3 and size > mmap.PAGESIZE:
        skipped = os.pread(fd, mmap.PAGESIZE, size - mmap.PAGESIZE)
    while piece := os.read(fd, chunk):
        pieces.append(piece)
    data = b"".join(pieces)
    assert data.endswith(skipped)
    return data


def read_mapped(fd, size, rng):
    """Page by page in any order. None where the kernel maps nothing, since somebody has an
    older version open."""
    try:
        view = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    except OSError as error:
        assert error.errno == errno.ENODEV
        return None
    with view:
        order = list(range(0, size, mmap.PAGESIZE))
        rng.shuffle(order)
        for at in order:
            assert view[at:at + 4] == view[at + 4:at + 8]
        return view[:]


def read_once(path, size, chunk, rng):
    fd = os.open(path, os.O_RDONLY)
    try:
        data = read_mapped(fd, size, rng) if rng.random() < 0.4 else None
        return data or read_in_chunks(fd, size, chunk, rng)
    finally:
        os.close(fd)


def pick(rng, ids):
    return rng.choice(ids[:HOT_IDS] if rng.random() < 0.5 else ids)


def read_loop(folder, shared, size, chunk, seconds, seed):
    """Returns the number of reads; raises at the first wrong one."""
    rng, end, reads = random.Random(seed), time.monotonic() + seconds, 0
    ids = list(range(IDS))
    while time.monotonic() < end:
        vector = pick(rng, ids)
        (closed,) = struct.unpack_from("<I", shared, 4 * vector)
        data = read_once(f"{folder}/{vector}", size, chunk, rng)
        assert len(data) == size, (vector, len(data))
        (version,) = struct.unpack_from("<I", data)
        assert data == version_bytes(version, size), (vector, "mixed", closed)
        assert version >= closed, (vector, "stale", version, closed)
        reads += 1
    return reads


def write_loop(folder, shared, size, chunk, seconds, seed, ids):
    """`ids` are this writer's alone, so that versions only rise."""
    rng, end, writes = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        vector = pick(rng, ids)
        (version,) = struct.unpack_from("<I", shared, 4 * vector)
        data = version_bytes(version + 1, size)
        truncate = os.O_TRUNC if rng.random() < 0.7 else 0
        fd = os.open(f"{folder}/{vector}", os.O_WRONLY | truncate)
        step = chunk if rng.random() < 0.5 else size
        for at in range(0, size, step):
            os.write(fd, data[at:at + step])
        os.close(fd)
        struct.pack_into("<I", shared, 4 * vector, version + 1)
        writes += 1
    return writes


def keep_house(control, seconds):
    """Returns the number of checkpoints."""
    end, checkpoints = time.monotonic() + seconds, 0
    # A store of another kind has no checkpoints.
    while "QUIVERFS_KIND" not in os.environ and time.monotonic() < end:
        Path(control, "checkpoint").write_text("1")
        if not Path(control, "compact").read_text().startswith("running"):
            Path(control, "compact").write_text("start")
        checkpoints += 1
        time.sleep(0.05)
    return checkpoints


@pytest.mark.parametrize("size", [3072, 12288])
def test_no_read_is_mixed_or_stale(stores, rng, size):
    mnt = stores.mount(stores.create(dim=size // 4))
    shared = mmap.mmap(-1, 4 * IDS)
    for vector in range(IDS):
        mnt.put(vector, version_bytes(0, size))
    mnt = stores.again(mnt)  # so that some versions are older than the mount
    # Forked after the mapping, so that it is theirs too.
    loops["shared"] = shared
    peers = [Peer() for _ in range(5)]
    try:
        peers[4].start(keep_house, str(mnt.control_folder), SECONDS)
        for number, other in enumerate(peers[:4]):
            words = (str(mnt.vectors), size, [1000, size, 512, 4096][number], SECONDS,
                     rng.random())
            if number < 2:
                other.start(reader, *words)
            else:
                other.start(writer, *words, list(range(number % 2, IDS, 2)))
        counts = [other.result() for other in peers]
    finally:
        for other in peers:
            other.close()
    print("reads, writes, checkpoints:", counts)
    assert min(counts[:4]) > 0
    for vector in range(IDS):
        (version,) = struct.unpack_from("<I", shared, 4 * vector)
        assert mnt.get(vector) == version_bytes(version, size)
    again = stores.again(mnt)
    for vector in range(IDS):
        (version,) = struct.unpack_from("<I", shared, 4 * vector)
        assert again.get(vector) == version_bytes(version, size)


loops = {}


def reader(folder, *words):
    return read_loop(folder, loops["shared"], *words)


def writer(folder, *words):
    return write_loop(folder, loops["shared"], *words)
