"""Many vectors: all that is done with a few is done with very many, and nothing is lost.

Ten million and a hundred million in long runs: `QUIVERFS_TEST_LONG=1`. To see the times and
the memory of each step, run pytest with -s.
"""

import os
import random
import shutil
import threading
import time

import numpy
import pytest

import harness
import many
import watchdog
from files import GONE, write_all
from harness import LONG, QUIVERFS, until

SIZES = [pytest.param(50_000, 128, "f4", id="50_thousand"),
         pytest.param(150_000, 8, "u1", id="150_thousand_small")]
if LONG:
    SIZES += [pytest.param(10_000_000, 128, "f4", id="10_million"),
              pytest.param(100_000_000, 8, "u1", id="100_million_small")]
STEP_SECONDS = 3600  # no step takes longer
ROW_BYTES = 64  # ids.npy and meta.npy
SAMPLE = 20_000 if LONG else 2_000  # files read, and files written, one by one
KILLS = 2
KILL_AFTER_SECONDS = 8.0 if LONG else 1.0
CHUNK = 1_000_000  # names at a time
BATCHES_BYTES = (8_000, 100_000)  # of vectors: logged with their bytes, and without


@pytest.fixture
def steps(capfd, monkeypatch):
    """Notes times and memory; waits as long as so many vectors may take."""
    if LONG:
        monkeypatch.setattr(harness, "PATIENCE_SECONDS", STEP_SECONDS)

    def say(line):
        with capfd.disabled():
            print(line, flush=True)

    made = many.Steps(say if LONG else print)
    yield made
    made.close()


def need_room(folder, count, size):
    """What is on disk at most: vectors, rows, room to grow, index, log."""
    need = count * (size + ROW_BYTES) * 3 // 2 + count * 8 + (1 << 30)
    if shutil.disk_usage(folder).free < need:
        pytest.skip(f"needs {need >> 30} GiB of disk")


def import_half(steps, vectors, target, store, first, count):
    """IDs from a file, vectors from a pipe: neither is ever here as a whole."""
    ids = store.folder / "ids-of-import.npy"
    numpy.save(ids, many.ids_of(numpy.arange(first, first + count)))
    descr = {"f4": "<f4", "u1": "|u1"}[store.dtype]
    many.run(steps, QUIVERFS, "import", target, "-", "--format", "npy", "--ids", ids,
             feed=lambda file: vectors.write_npy(file, first, count, store.dim, descr),
             seconds=STEP_SECONDS)
    ids.unlink()


def name_of(number):
    return str(number * many.ID_FACTOR & (1 << many.ID_BITS) - 1)


def read_some(mnt, vectors, rng, count):
    """Files by chance, there or not; the longest that one took."""
    longest = 0.0
    folder = os.open(mnt.vectors, os.O_RDONLY)
    try:
        for _ in range(count):
            number = rng.randrange(len(vectors.versions))
            version = vectors.versions[number]
            began = time.monotonic()
            try:
                fd = os.open(name_of(number), os.O_RDONLY, dir_fd=folder)
                data = os.read(fd, vectors.size + 1)
                os.close(fd)
            except FileNotFoundError:
                data = None
            longest = max(longest, time.monotonic() - began)
            assert data == (vectors.data(number, version) if version else None), number
    finally:
        os.close(folder)
    return longest


class Writer:
    """Changes vectors by chance, one by one and in batches, and knows what is acknowledged and
    what was under way when the daemon died."""

    def __init__(self, mnt, vectors, rng):
        self.mnt = mnt
        self.vectors = vectors
        self.rng = rng
        self.pending = []  # [(number, version before, version after)]: all or none
        self.done = 0

    def change(self, number):
        """Overwrite, create or remove one."""
        before = int(self.vectors.versions[number])
        if before and self.rng.random() < 0.2:
            self.pending = [(number, before, 0)]
            os.unlink(self.mnt.path(name_of(number)))
        else:
            after = before % 250 + 1
            self.pending = [(number, before, after)]
            write_all(self.mnt.path(name_of(number)), self.vectors.data(number, after))
        self.acknowledged()

    def change_together(self, numbers):
        versions = self.vectors.versions
        self.pending = [(number, int(versions[number]), int(versions[number]) % 250 + 1)
                        for number in numbers]
        ids = many.ids_of(numbers)
        rows = self.vectors.rows(ids, versions[numbers] % numpy.uint8(250) + numpy.uint8(1))
        self.mnt.control("put", numpy.hstack((ids[:, None], rows)).tobytes())
        self.acknowledged()

    def acknowledged(self):
        for number, _, after in self.pending:
            self.vectors.versions[number] = after
        self.pending = []
        self.done += 1

    def one(self):
        room = len(self.vectors.versions)
        if self.rng.random() < 0.01:
            some = self.rng.choice(BATCHES_BYTES) // self.vectors.size
            self.change_together(list({self.rng.randrange(room) for _ in range(some)}))
        else:
            self.change(self.rng.randrange(room))

    def until_killed(self):
        try:
            while True:
                self.one()
        except OSError as error:
            assert error.errno in (*GONE, *self.mnt.cut_off()), error

    def settle(self):
        """After the kill: what was under way is there wholly or not at all."""
        after = 0
        for number, old, new in self.pending:
            path = self.mnt.path(name_of(number))
            data = path.read_bytes() if path.exists() else None
            came = data == (self.vectors.data(number, new) if new else None)
            assert came or data == (self.vectors.data(number, old) if old else None), number
            self.vectors.versions[number] = new if came else old
            after += came
        assert after in (0, len(self.pending)), "half of a batch"
        self.pending = []


def kill_while_writing(stores, steps, mnt, vectors, rng):
    writer = Writer(mnt, vectors, rng)
    timer = threading.Timer(KILL_AFTER_SECONDS * (0.5 + rng.random()), mnt.kill)
    with steps.step("write until kill -9") as step:
        timer.start()
        writer.until_killed()
        timer.join()
        step.operations = writer.done
    assert writer.done > 0
    mnt.take_away()
    with steps.step("open after kill -9"):
        mnt = mount(stores, steps, mnt.store)
    mnt.forget_errors()  # how the log was torn
    writer.mnt = mnt
    writer.settle()
    return mnt


def mount(stores, steps, store):
    mnt = stores.mount(store, check=False)
    steps.pid = mnt.pid
    return mnt


def keep_watching(mnt):
    """The daemon is killed as one that hangs if this is not called for half an hour."""
    watchdog.forget(mnt.pid)
    watchdog.watch(mnt.pid)


def look_at_all(steps, mnt, vectors):
    """Nobody writes, and a checkpoint frees the rows of superseded vectors."""
    keep_watching(mnt)
    with steps.step("checkpoint"):
        mnt.control("checkpoint", "1")
    assert int(mnt.control("count")) == vectors.count()
    with steps.step("every byte of matrix.npy", vectors.count()):
        vectors.check_files(mnt.point / "matrix.npy", mnt.point / "ids.npy")


def remove_a_third(steps, mnt, vectors, count):
    numbers = numpy.arange(count, dtype="<u8")
    numbers = numbers[many.mix(numbers) % numpy.uint64(3) == 0]
    numbers = numbers[vectors.versions[numbers] > 0]
    folder = os.open(mnt.vectors, os.O_RDONLY)
    with steps.step("remove a third", len(numbers)):
        for some in numpy.array_split(numbers, len(numbers) // CHUNK + 1):
            for vector in many.ids_of(some).tolist():
                os.unlink(str(vector), dir_fd=folder)
            keep_watching(mnt)
    os.close(folder)
    vectors.versions[numbers] = 0


def compact(steps, mnt, vectors, rng):
    slots = int(mnt.stats()["slots_used"])
    moved = int(mnt.stats()["moved"])
    longest, reads = 0.0, 0
    with steps.step("compact, read meanwhile") as step:
        mnt.control("compact", "start")
        while not mnt.control("compact").startswith("idle"):
            longest = max(longest, read_some(mnt, vectors, rng, 500))
            reads += 500
            time.sleep(0.2)  # and leaves it some of the processor
        step.operations = int(mnt.stats()["moved"]) - moved
    steps.say(f"{'':44} {slots:,} slots, {mnt.stats()['slots_used']} after it; {reads:,} reads, "
              f"the longest {longest * 1e3:.1f} ms")
    # whoever read in the last slot keeps it until the kernel has told of the close
    until(lambda: int(mnt.stats()["slots_used"]) <= vectors.count() * 1.001 + 10, "slots stay used")


@pytest.mark.parametrize("count,dim,dtype", SIZES)
def test_many_vectors_in_every_respect(stores, steps, rng, tmp, count, dim, dtype):
    size = dim * harness.ITEM_BYTES[dtype]
    need_room(tmp, count, size)
    store = stores.create(dim=dim, dtype=dtype)
    vectors = many.Vectors(count + count // 100, size)
    half = count // 2
    steps.say(f"---- {count:,} vectors of {dim} x {dtype} ({size} bytes)")
    with steps.step("import, stopped", half):
        import_half(steps, vectors, store.path, store, 0, half)
    with steps.step("open after clean close"):
        mnt = mount(stores, steps, store)
    with steps.step("first write"):
        Writer(mnt, vectors, rng).change(count)
    with steps.step("import, mounted", count - half):
        import_half(steps, vectors, mnt.point, store, half, count - half)
    steps.pid = mnt.pid
    look_at_all(steps, mnt, vectors)
    with steps.step("read files", SAMPLE):
        read_some(mnt, vectors, rng, SAMPLE)
    writer = Writer(mnt, vectors, rng)
    with steps.step("write files and batches", SAMPLE):
        for _ in range(SAMPLE):
            writer.one()
    remove_a_third(steps, mnt, vectors, count)
    with steps.step("list", vectors.count()):
        vectors.check_listing(mnt.vectors)
    compact(steps, mnt, vectors, rng)
    look_at_all(steps, mnt, vectors)
    for _ in range(KILLS):
        mnt = kill_while_writing(stores, steps, mnt, vectors, rng)
        look_at_all(steps, mnt, vectors)
        with steps.step("read files", SAMPLE):
            read_some(mnt, vectors, rng, SAMPLE)
    with steps.step("close"):
        mnt.unmount()
    used = mnt.store.bytes_on_disk()
    steps.say(f"{'':44} {used / 2**20:,.0f} MiB on disk, "
              f"{used / vectors.count() / size:.2f} times the vectors")
    with steps.step("check", vectors.count()):
        many.run(steps, QUIVERFS, "check", store.path, seconds=STEP_SECONDS)
    with steps.step("open after clean close"):
        mnt = mount(stores, steps, store)
    with steps.step("read files", SAMPLE):
        read_some(mnt, vectors, rng, SAMPLE)
    mnt.unmount()
    (store.path / "index").unlink()
    with steps.step("open without a snapshot of the index"):
        mnt = mount(stores, steps, store)
    mnt.expect_error("index: missing")
    look_at_all(steps, mnt, vectors)
    mnt.unmount()
