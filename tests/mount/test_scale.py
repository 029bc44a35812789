"""Many vectors: a store that was written as files (tests/bench/make_store.c) is one, and a listing of
more than a million, whose IDs are read as they are asked for, has each vector once whatever goes on."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

import harness

BUILD = Path(os.environ.get("QUIVERFS_BUILD") or Path(harness.QUIVERFS).resolve().parents[1])
WORKERS = BUILD / "tests/bench"
COUNT = 10_000_000 if os.environ.get("QUIVERFS_TEST_LONG") else 1_200_000
OPS = 2_000
LIST_BYTES_MAX = 16 << 20  # beside the index; a copy of all IDs would be 80 MB of ten million


@pytest.fixture
def store(stores):
    if not (WORKERS / "scale").exists():
        pytest.skip("the build folder has no workers of the benchmark")
    made = stores.create(dim=8, dtype="u1")
    harness.remove_folder(made.path)
    harness.run(WORKERS / "make_store", made.path, COUNT)
    harness.run(WORKERS / "make_index", made.path)
    return made


def step(store, row, start=1):
    """What a step of the store's life tells (tests/bench/scale.c)."""
    done = subprocess.run(list(map(str, [WORKERS / "scale", row, store.path, "--count", COUNT, "--ops",
                                         OPS, "--start", start])),
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def test_each_step_of_the_life_of_many_vectors(store):
    store.check()
    assert step(store, "open")["count"] == COUNT
    listed = step(store, "list")
    assert listed["listed"] == COUNT
    assert listed["sum"] == COUNT * (COUNT - 1) // 2
    step(store, "get")
    step(store, "change", COUNT)
    step(store, "crash", COUNT)
    recovered = step(store, "open")
    assert recovered["replayed"] == 3 * OPS
    assert recovered["count"] == COUNT
    compacted = step(store, "compact")
    assert compacted["slots"] == COUNT - OPS
    listed = step(store, "list")
    assert listed["listed"] == COUNT - OPS
    assert listed["sum"] == COUNT * (COUNT - 1) // 2 - OPS * (OPS + 1) // 2
    store.check()


def test_a_listing_does_not_copy_all_ids(store):
    opened = step(store, "open")
    listed = step(store, "list")
    assert listed["peak_bytes"] < opened["index_bytes"] + LIST_BYTES_MAX


class Writer(threading.Thread):
    """Overwrites, removes and adds until it is told to stop; checkpoints on the way, so that slots
    come to hold others."""

    def __init__(self, mounted):
        super().__init__()
        self.mounted = mounted
        self.ends = threading.Event()
        self.failure = None

    def change(self, i):
        vectors = self.mounted.vectors
        (vectors / str(COUNT - 1 - 2 * i)).write_bytes(bytes(8))
        (vectors / str(2 * i)).unlink()
        (vectors / str(COUNT + i)).write_bytes(bytes(8))
        if i % 200 == 199:
            self.mounted.control("checkpoint", "1")

    def run(self):
        i = 0
        try:
            while not self.ends.is_set():
                self.change(i)
                i += 1
        except OSError as error:
            self.failure = error
        self.changed = i


def test_a_folder_that_is_listed_has_each_vector_once(store, stores):
    mounted = stores.mount(store)
    writer = Writer(mounted)
    with os.scandir(mounted.vectors) as entries:
        names = [next(entries).name]  # from now on it is the copy of this moment
        writer.start()
        names += [entry.name for entry in entries]
    writer.ends.set()
    writer.join()
    assert writer.failure is None
    ids = set(map(int, names))
    assert len(ids) == len(names)
    assert max(ids) < COUNT
    assert writer.changed > 0
    gone = set(range(0, 2 * writer.changed, 2))
    assert ids >= set(range(COUNT)) - gone
    mounted.unmount()
    store.check()
