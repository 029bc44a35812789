"""Compaction while others read and write."""

import mmap
import os
import random
import struct
import threading

import numpy
import pytest

import harness
from files import attributes, write_all
from harness import run, shell
from peer import Peer

BOTH_TRANSPORTS = True
COUNT = 12000 if harness.LONG else 4000


def content(vector, version, size):
    return struct.pack("<II", vector, version) * (size // 8)


def read_all(folder, ids, size, stop):
    """Read them over and over until `stop` exists; how many were read."""
    reads = 0
    while True:
        for vector in ids:
            with open(f"{folder}/{vector}", "rb") as file:
                data = file.read()
            number, version = struct.unpack_from("<II", data)
            assert data == content(vector, version, size), (vector, number, version)
            reads += 1
        if os.path.exists(stop):
            return reads


def overwrite(folder, ids, size, stop, seed):
    rng, versions = random.Random(seed), {}
    while True:
        vector = rng.choice(ids)
        versions[vector] = versions.get(vector, 0) + 1
        write_all(f"{folder}/{vector}", content(vector, versions[vector], size))
        if len(versions) > 50 and os.path.exists(stop):
            return versions


def put_all(mnt, ids):
    record = [vector.to_bytes(8, "little") + content(vector, 0, mnt.size) for vector in ids]
    step = 200000 // len(record[0])
    for at in range(0, len(record), step):
        mnt.control("put", b"".join(record[at:at + step]))


def test_compaction_with_a_reader_and_a_writer(stores, rng, tmp):
    mnt = stores.mount(stores.create(dim=768))
    put_all(mnt, range(COUNT))
    removed = list(range(0, COUNT, 3))
    kept = [vector for vector in range(COUNT) if vector % 3]
    touched = rng.sample(kept, 300)
    for vector in kept[:100]:
        os.utime(mnt.path(vector), ns=(1, 10**9 + vector))
    quiet = [vector for vector in kept[:100] if vector not in touched]
    before = {vector: (attributes(mnt.path(vector)), os.stat(mnt.path(vector)).st_ino)
              for vector in quiet}
    for vector in removed:
        os.unlink(mnt.path(vector))
    mnt.control("checkpoint", "1")
    on_disk = mnt.store.bytes_on_disk()
    slots = int(mnt.stats()["slots_used"])
    stop = str(tmp / "stop")
    reader, writer = Peer(), Peer()
    try:
        reader.start(read_all, str(mnt.vectors), kept, mnt.size, stop)
        writer.start(overwrite, str(mnt.vectors), touched, mnt.size, stop, rng.random())
        for _ in range(3):
            mnt.control("compact", "start")
            while not mnt.control("compact").startswith("idle"):
                count = shell(f"ls {mnt.vectors} | wc -l").stdout
                assert int(count) == len(kept)
            assert "failed" not in mnt.control("compact")
        open(stop, "w").close()
        versions = writer.result()
        reads = reader.result()
    finally:
        reader.close()
        writer.close()
    assert reads >= len(kept)
    mnt.control("compact", "start")
    mnt.finish_job("compact")
    for vector in kept:
        assert mnt.get(vector) == content(vector, versions.get(vector, 0), mnt.size)
    assert {v: (attributes(mnt.path(v)), os.stat(mnt.path(v)).st_ino) for v in quiet} == before
    assert int(mnt.stats()["slots_used"]) < slots
    mnt.control("verify", "start")
    assert " 0 mismatches" in mnt.finish_job("verify")
    mnt.unmount()
    assert mnt.store.bytes_on_disk() < on_disk * 0.8
    ids = numpy.load(mnt.store.path / "ids.npy")
    rows = numpy.load(mnt.store.path / "vectors.npy", mmap_mode="r")
    assert rows.shape == (len(ids), 768)
    live = ids != 2**64 - 1
    assert sorted(ids[live].tolist()) == kept
    for slot in numpy.flatnonzero(live)[::37]:
        vector = int(ids[slot])
        assert rows[slot].tobytes() == content(vector, versions.get(vector, 0), mnt.size)


def test_everything_deleted_leaves_nothing(stores):
    mnt = stores.mount(stores.create(dim=768))
    put_all(mnt, range(3000))
    run("find", mnt.vectors, "-type", "f", "-delete")
    assert float(mnt.stats()["fragmentation"]) > 0.9
    mnt.control("compact", "start")
    assert "failed" not in mnt.finish_job("compact")
    mnt.unmount()
    vectors = mnt.store.path / "vectors.npy"
    assert vectors.stat().st_blocks * 512 < 1 << 20


def test_open_versions_survive_a_compaction(stores, rng):
    mnt = stores.mount(stores.create(dim=768))
    put_all(mnt, range(600))
    fds = {vector: os.open(mnt.path(vector), os.O_RDONLY) for vector in range(0, 600, 7)}
    view = mmap.mmap(fds[7], mnt.size, mmap.MAP_SHARED, mmap.PROT_READ)
    for vector in range(0, 600, 7):
        os.unlink(mnt.path(vector))
    for vector in range(1, 600, 2):
        if vector % 7:
            write_all(mnt.path(vector), content(vector, 1, mnt.size))
    for _ in range(2):
        mnt.control("compact", "start")
        assert "failed" not in mnt.finish_job("compact")
        for vector, fd in fds.items():
            assert os.pread(fd, mnt.size, 0) == content(vector, 0, mnt.size)
        assert view[:] == content(7, 0, mnt.size)
    view.close()
    for fd in fds.values():
        os.close(fd)
    for vector in range(600):
        if vector % 7:
            assert mnt.get(vector) == content(vector, vector % 2, mnt.size)


def test_autocompaction(stores):
    """What is free has to be worth it: 16 MiB, a step of growth."""
    mnt = stores.mount(stores.create(dim=16384), options=["autocompact=30"])
    assert mnt.control("autocompact_percent") == "30\n"
    put_all(mnt, range(600))
    for vector in range(0, 600, 2):
        os.unlink(mnt.path(vector))
    harness.until(lambda: int(mnt.stats()["compactions"]) > 0, "no compaction by itself")
    mnt.finish_job("compact")
    assert mnt.ids() == set(range(1, 600, 2))
    assert all(mnt.get(v) == content(v, 0, mnt.size) for v in range(1, 600, 2))


@pytest.mark.parametrize("every", [2, 50])
def test_stopping_a_compaction(stores, every):
    mnt = stores.mount(stores.create(dim=768))
    put_all(mnt, range(3000))
    for vector in range(0, 3000, every):
        os.unlink(mnt.path(vector))
    stopper = threading.Thread(target=lambda: mnt.control("compact", "stop"))
    mnt.control("compact", "start")
    stopper.start()
    stopper.join()
    mnt.finish_job("compact")
    mnt.control("compact", "stop")  # none runs: nothing to do
    assert len(mnt.ids()) == 3000 - len(range(0, 3000, every))
    for vector in mnt.ids():
        assert mnt.get(vector) == content(vector, 0, mnt.size)
