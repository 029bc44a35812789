"""Two readers and two writers on the same vectors: no read mixes two versions, and
none is older than the last close before its open.

Each version of a vector is one number, over and over. A writer raises the vector's
number in memory that all processes share once its close has returned; a reader looks
there before it opens.
"""

import mmap
import os
import random
import struct
import time

import pytest

from harness import LONG
from peer import Peer

BOTH_TRANSPORTS = True
IDS = 200
SECONDS = 60 if LONG else 6 / 2  # of which each transport gets its half


def version_bytes(version, size):
    return struct.pack("<I", version) * (size // 4)


def read_loop(folder, shared, size, chunk, seconds, seed):
    """Returns the number of reads; raises at the first wrong one."""
    rng, end, reads = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        vector = rng.randrange(IDS)
        (closed,) = struct.unpack_from("<I", shared, 4 * vector)
        fd = os.open(f"{folder}/{vector}", os.O_RDONLY)
        pieces = []
        while piece := os.read(fd, chunk):
            pieces.append(piece)
        os.close(fd)
        data = b"".join(pieces)
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
        vector = rng.choice(ids)
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


@pytest.mark.parametrize("size", [3072, 12288])
def test_no_read_is_mixed_or_stale(stores, rng, size):
    mnt = stores.mount(stores.create(dim=size // 4))
    shared = mmap.mmap(-1, 4 * IDS)
    for vector in range(IDS):
        mnt.put(vector, version_bytes(0, size))
    # Forked after the mapping, so that it is theirs too.
    loops["shared"] = shared
    peers = [Peer() for _ in range(4)]
    try:
        for number, other in enumerate(peers):
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
    print("reads and writes:", counts)
    assert min(counts) > 50
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
