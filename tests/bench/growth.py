"""How cost grows: time for one operation, and memory, against the number of vectors."""

import contextlib
import math
import os
import random
import subprocess
import time

import host
from host import BenchError
from places import Quiverfs
from results import Results, Spread, spell_time

FIRST = 1_000  # vectors; ten times as many each time
DIM = 128
OURS = "quiverfs"
DELETED_PERCENT = 30  # before a compaction
PIPE_BYTES = 1 << 20
POLL_SECONDS = 0.0005

# row -> (unit, what it is)
TIMES = {
    "create": "open, write and close of a new file",
    "read": "open, read and close of a file by chance",
    "list": "a name of a listing",
    "open": "the store, closed cleanly before, in process",
    "mount": "from the start of the command until the mount is there",
    "compact": f"a vector moved, after {DELETED_PERCENT} % were deleted",
}
MEMORY = {
    "memory": "of the daemon, without the page cache, after all of these",
    "memory of a vector": f"the same, less that with {FIRST:,} vectors, over all vectors",
}


def counts(most):
    """10^3, 10^4, ... and `most`."""
    steps = [FIRST * 10 ** i for i in range(int(math.log10(most / FIRST)) + 1)]
    return steps if steps[-1] == most else steps + [most]


class Growth:
    """One store, which becomes larger and larger."""

    def __init__(self, bench):
        self.bench = bench
        self.noise = random.Random(bench.seed).randbytes(PIPE_BYTES)
        bench.create_store(bench.store)
        self.place = Quiverfs(OURS, bench.store, bench, [])
        bench.cleanup.callback(self.place.stop)

    def fill(self, count):
        """IDs 0 to count - 1, those that are missing; through a pipe, into the stopped store."""
        shape = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {DIM}), }}"
        words = [self.bench.quiverfs, "import", self.bench.store, "-", "--format", "npy",
                 "--on-duplicate", "skip"]
        left = count * self.bench.vector_bytes
        with subprocess.Popen(list(map(str, words)), stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            with contextlib.suppress(BrokenPipeError), process.stdin as file:
                file.write(b"\x93NUMPY\x01\x00\x76\x00" + shape.ljust(117).encode() + b"\n")
                while left > 0:
                    left -= file.write(self.noise[:left])
            said = process.stderr.read().decode(errors="replace").strip()
            if process.wait() != 0:
                raise BenchError(f"import: {said}")

    def files(self, row, count, ops, turn=0):
        """A row of the worker `files`."""
        return host.run_worker(self.bench.workers / "files", row,
                               os.path.join(self.place.daemon.point, "vectors"), count=count,
                               start=count, ops=ops, bytes=self.bench.vector_bytes,
                               seed=self.bench.seed + turn)

    def control(self, name, value=None):
        path = os.path.join(self.place.daemon.point, "control", name)
        if value is None:
            return host.read_text(path)
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
        return None

    def moved(self):
        lines = self.control("stats").splitlines()
        return int(dict(line.split(" ", 1) for line in lines)["moved"])

    def compact(self, count, turn):
        """ns for each vector that is moved. Others are deleted each time: the last are at the
        end by now."""
        self.files("thin", count, count * DELETED_PERCENT // 100, turn)
        self.control("checkpoint", "1")
        os.sync()
        before = time.monotonic_ns()
        self.control("compact", "start")
        while not self.control("compact").startswith("idle"):
            time.sleep(POLL_SECONDS)
        ns, moved = time.monotonic_ns() - before, self.moved()
        return ns / max(1, moved), {"ns": ns, "ops": moved}

    def mounted(self, count, turn):
        """Rows of one mount; yields (row, value, detail)."""
        ops = min(count, self.bench.file_ops)
        before = time.monotonic_ns()
        self.place.start(False)
        ns = time.monotonic_ns() - before
        yield "mount", ns, {"ns": ns, "ops": 1}
        for row in ("read", "list", "create"):
            said = self.files(row, count, ops)
            yield row, said["ns"] / said["ops"], said
        self.files("delete", count, ops)
        memory = host.anonymous_bytes(self.place.daemon.process.pid)
        yield "memory", memory, {"bytes": memory}
        yield "compact", *self.compact(count, turn)

    def run(self, count, turn):
        """One round at this count."""
        self.fill(count)
        os.sync()
        said = host.run_worker(self.bench.workers / "kv_quiver", "open", self.bench.store,
                               count=count, bytes=self.bench.vector_bytes)
        yield "open", said["ns"] / said["ops"], said
        try:
            yield from self.mounted(count, turn)
        finally:
            self.place.stop()


def memory_of_each(everything):
    """Without what a store of any size needs: the daemon's with the fewest vectors."""
    least = everything[0].median("memory", OURS)
    for found in everything[1:]:
        memory = found.rows["memory"].values.get(OURS, {})
        for turn, value in memory.items():
            found.add("memory of a vector", OURS, turn, max(0, value - least) / found.count, {})


def measure(bench, rounds, most, progress):
    """A Results for each count."""
    growth = Growth(bench)
    everything = []
    for count in counts(most):
        found = Results(DIM, count)
        for row in TIMES:
            found.add_row(row, "time", None)
        for row in MEMORY:
            found.add_row(row, "bytes", None)
        everything.append(found)
        for turn in range(rounds):
            progress(f"{count:,} vectors: round {turn + 1} of {rounds}")
            for row, value, detail in growth.run(count, turn):
                found.add(row, OURS, turn, value, detail)
    memory_of_each(everything)
    return everything


def spell_bytes(value):
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} B"


def print_table(everything):
    columns = [f"{found.count:,}" for found in everything]
    print(f"\n{'':20}" + "".join(f"{column:>25}" for column in columns))
    for row in [*TIMES, *MEMORY]:
        spell = spell_time if row in TIMES else spell_bytes
        cells = []
        for found in everything:
            values = found.rows[row].values.get(OURS)
            if not values:
                cells.append("")
                continue
            spread = Spread(values.values())
            cells.append(f"{spell(spread.median)} (to {spell(spread.most)})")
        print(f"{row:20}" + "".join(f"{cell:>25}" for cell in cells))
    for row, what in {**TIMES, **MEMORY}.items():
        print(f"  {row}: {what}")
