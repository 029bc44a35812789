"""A reader who maps matrix.npy and ids.npy of snapshots and looks at their rows, beside writers,
compaction, and snapshots that come and go: no byte but those of then.

Each vector says its ID and its version, over and over. Versions of an ID go up: of one that is
there they are even, and its removal is the odd one above. So a row tells whether it is whole, whose
it is, and whether it is of the moment when the snapshot was made.
"""

import contextlib
import mmap
import os
import random
import struct
import time

import numpy
import pytest

from files import write_all
from harness import LONG, shell
from peer import Peer
from stacked import on_overlay

BOTH_TRANSPORTS = True
pytestmark = pytest.mark.local("snapshots")
SECONDS = 600 if LONG else 3
WORDS = 32  # of 8 bytes, in a vector
WRITERS = 2
EACH = 600  # IDs of a writer
COUNT = WRITERS * EACH
AWAY = 10**6  # what is added to an ID whose vector has another name
BATCH = 40
KEPT = 4  # snapshots there at a time
ROWS_AT_ONCE = 64
FREE = 2**64 - 1

NEEDS_ROOT = pytest.mark.needs_root("has files passed through to the kernel")
KINDS = [pytest.param(name, marks=NEEDS_ROOT) for name in ("passed", "served")]
if os.geteuid() != 0:
    KINDS.append("user")


def content(vector, version):
    return struct.pack("<QQ", vector, version) * (WORDS // 2)


class Shared:
    """Versions, seen by all processes that are forked later."""

    def __init__(self):
        self.begun = self.array()  # the last that somebody has begun to write
        self.done = self.array()  # ... and that has returned

    @staticmethod
    def array():
        return numpy.frombuffer(mmap.mmap(-1, COUNT * 8), dtype="<u8")


shared = Shared()  # of all tests: they begin with it anew


# ---- writers --------------------------------------------------------------------------


class Writer:
    def __init__(self, point, number, seed):
        self.point = point
        self.mine = range(number * EACH, (number + 1) * EACH)
        self.rng = random.Random(seed)
        self.away = set()

    def path(self, vector):
        return self.point / "vectors" / str(vector + AWAY * (vector in self.away))

    @contextlib.contextmanager
    def to(self, vectors, odd):
        """Versions that are begun here, and done at the end."""
        versions = [int(shared.begun[v]) // 2 * 2 + (1 if odd else 2) for v in vectors]
        for vector, version in zip(vectors, versions):
            shared.begun[vector] = version
        yield versions
        for vector, version in zip(vectors, versions):
            shared.done[vector] = version

    def overwrite(self, vector):
        with self.to([vector], False) as versions:
            write_all(self.path(vector), content(vector, versions[0]))

    def batch(self):
        some = self.rng.sample([v for v in self.mine if v not in self.away], BATCH)
        with self.to(some, False) as versions:
            write_all(self.point / "control/put",
                      b"".join(struct.pack("<Q", vector) + content(vector, version)
                               for vector, version in zip(some, versions)), os.O_WRONLY)

    def remove(self, vector):
        if shared.done[vector] % 2 == 0:
            with self.to([vector], True):
                os.unlink(self.path(vector))

    def rename(self, vector):
        if shared.done[vector] % 2 == 0:
            path = self.path(vector)
            self.away ^= {vector}
            os.rename(path, self.path(vector))

    def run(self, stop):
        ops = 0
        while not stop.exists():
            vector = self.rng.choice(self.mine)
            chance = self.rng.random()
            if chance < 0.6:
                self.overwrite(vector)
            elif chance < 0.7:
                self.batch()
            elif chance < 0.85:
                self.remove(vector)
            else:
                self.rename(vector)
            ops += 1
        return ops


def write_on(*words, stop):
    return Writer(*words).run(stop)


# ---- the reader -----------------------------------------------------------------------


class Seen:
    """A snapshot whose two files are mapped."""

    def __init__(self, folder):
        self.ids = numpy.load(folder / "ids.npy", mmap_mode="r")
        self.matrix = numpy.load(folder / "matrix.npy", mmap_mode="r").view("<u8")
        assert self.matrix.shape == (len(self.ids), WORDS)
        self.slots = numpy.flatnonzero(self.ids != FREE)
        self.names = self.ids[self.slots]
        self.rows = self.matrix[self.slots]  # a copy

    def versions(self):
        """{ID: version} of rows that must all be whole, of their own ID, and there once."""
        assert (self.rows[:, 0] == self.names % AWAY).all()
        assert (self.rows[:, 0::2] == self.rows[:, :1]).all()
        assert (self.rows[:, 1::2] == self.rows[:, 1:2]).all()
        found = dict(zip(self.rows[:, 0].tolist(), self.rows[:, 1].tolist()))
        assert len(found) == len(self.rows)
        return found

    def look(self, rng):
        """How many of some rows are not what they were."""
        some = numpy.array(rng.choices(range(len(self.slots)), k=ROWS_AT_ONCE))
        slots = self.slots[some]
        right = (self.matrix[slots] == self.rows[some]).all(axis=1)
        return int((~(right & (self.ids[slots] == self.names[some]))).sum())


def names_in(folder):
    return {name for name in os.listdir(folder) if not name.startswith(".")}


def read_on(point, seed, stop):
    """Rows read, wrong ones, snapshots, and rows read of those that had been removed."""
    rng, known, gone = random.Random(seed), {}, {}
    rows = wrong = snapshots = rows_of_gone = 0
    while not stop.exists():
        there = names_in(point / "snapshots")
        for name in there - known.keys():
            with contextlib.suppress(FileNotFoundError):  # removed while it is being opened
                known[name] = Seen(point / "snapshots" / name)
                known[name].versions()
                snapshots += 1
        for name in known.keys() - there:
            gone[name] = known.pop(name)
        for name in sorted(gone)[:-2]:  # their maps end here
            del gone[name]
        for _ in range(20):
            for one in [*known.values(), *gone.values()]:
                wrong += one.look(rng)
            rows += ROWS_AT_ONCE * (len(known) + len(gone))
            rows_of_gone += ROWS_AT_ONCE * len(gone)
    return rows, wrong, snapshots, rows_of_gone


# ---- all of it ------------------------------------------------------------------------


@pytest.fixture(params=KINDS)
def mounted(request, tmp, transport):
    with contextlib.ExitStack() as cleanup:
        store = request.getfixturevalue("stores").create(dim=WORDS * 2)
        if request.param == "served":
            folder = cleanup.enter_context(on_overlay(tmp))
            shell(f"mv {store.path} {folder}/store")
            store.path = folder / "store"
        mnt = request.getfixturevalue("stores").mount(store)
        yield mnt, request.param
        mnt.unmount()


def take_one(mnt, name):
    """Make a snapshot, and compare it with what had been written, and what was being."""
    least = shared.done.copy()
    os.mkdir(mnt.point / "snapshots" / name)
    most = shared.begun.copy()
    found = Seen(mnt.point / "snapshots" / name).versions()
    for vector in range(COUNT):
        version = found.get(vector)
        if version is not None:
            assert least[vector] <= version <= most[vector], (name, vector)
        else:  # removed before, or meanwhile
            assert least[vector] % 2 == 1 or most[vector] > least[vector], (name, vector)


def test_rows_of_snapshots_stay_what_they_are(mounted, rng, tmp):
    mnt, kind = mounted
    stop, made = tmp / "stop", []
    shared.begun[:] = shared.done[:] = 0
    for vector in range(COUNT):
        mnt.put(vector, content(vector, 0))
    os.mkdir(mnt.point / "snapshots/first")  # stays
    peers = [Peer() for _ in range(WRITERS + 1)]
    end = time.monotonic() + SECONDS
    try:
        for number, peer in enumerate(peers[:WRITERS]):
            peer.start(write_on, mnt.point, number, rng.random(), stop=stop)
        peers[-1].start(read_on, mnt.point, rng.random(), stop)
        while time.monotonic() < end or len(made) < 2 * KEPT:
            made.append(f"s{len(made):06}")
            take_one(mnt, made[-1])
            if len(made) > KEPT:
                os.rmdir(mnt.point / "snapshots" / made[-KEPT - 1])
            if len(made) % 3 == 0:
                mnt.control("compact", "start")
                assert "failed" not in mnt.finish_job("compact")
        stop.touch()
        ops = [peer.result() for peer in peers[:WRITERS]]
        rows, wrong, snapshots, rows_of_gone = peers[-1].result()
    finally:
        stop.touch()
        for peer in peers:
            peer.close()
    assert mnt.stats()["passthrough"] == ("yes" if kind == "passed" else "no")
    print(f"\n{kind}: {rows:,} rows of {snapshots} snapshots read, {rows_of_gone:,} of them after the "
          f"snapshot was removed; {wrong} wrong; {len(made)} made; {sum(ops):,} commits, "
          f"{mnt.stats()['moved']} moved by compaction")
    assert wrong == 0
    assert min(rows, rows_of_gone, snapshots, *ops) > 0
    assert Seen(mnt.point / "snapshots/first").versions() == {v: 0 for v in range(COUNT)}
