"""tools/bench --before BUILD: this engine beside that of another commit, in turns.

BUILD is a build of that commit with the benchmark (-Dbench=true --buildtype=release) and with
tests/bench as it is here, so that both are asked by the same workers.
"""

import os
import pathlib
import tempfile

import host
import inprocess
from blocks import Block
from inprocess import OURS

BEFORE = "before"
LARGE = 1_000_000  # from here on fewer operations are worth their time
DURABLE_WRITERS = 16
WORKERS = ("kv_quiver", "engine")


def workers_of(args):
    """The folder of the other build's workers."""
    folder = pathlib.Path(args.before).resolve() / "tests/bench"
    for name in WORKERS:
        if not os.access(folder / name, os.X_OK):
            raise host.BenchError(f"{folder}: there is no {name}: build that commit with "
                                  "-Dbench=true, with this folder's tests/bench")
    return folder


class Both(Block):
    """A block of inprocess.py with one more system: the same worker out of the other build."""

    mounted = False

    def __init__(self, folder, programs):
        self.programs = {BEFORE: str(folder / programs[OURS]), **programs}

    def baseline(self, bench):
        del bench
        return BEFORE

    def systems(self, bench):
        del bench
        return list(self.programs)


class Get(Both):
    """One that was loaded, or one with holes for those that are missing."""

    def __init__(self, folder, row, title):
        super().__init__(folder, {OURS: "kv_quiver", "LMDB": "kv_lmdb"})
        self.row = row
        self.rows = [title]

    def run(self, bench, system):
        program = self.programs[system]
        holes = self.row == "get-absent"
        path = bench.loaded(program, bench.count, "load-holes" if holes else "load")
        yield self.rows[0], *inprocess.kv(bench, program, self.row, path, count=bench.count,
                                          ops=bench.get_ops, workers=1)


class NewStore(Both):
    """In a store of its own each time; `peers` are limits, see inprocess.py."""

    def __init__(self, folder, row, title, mode, workers, peers=None):
        super().__init__(folder, {OURS: "kv_quiver", **(peers or {})})
        self.row = row
        self.mode = mode
        self.workers = workers
        self.rows = [title]

    def ops(self, bench):
        if self.mode == "sync":
            return bench.sync_ops * self.workers
        return bench.put_ops * (inprocess.OVERWRITES if self.row == "overwrite" else 1)

    def run(self, bench, system):
        program, ops = self.programs[system], self.ops(bench)
        os.sync()
        with tempfile.TemporaryDirectory(prefix="new-", dir=bench.work) as folder:
            path = os.path.join(folder, "store")
            if program in inprocess.LIMITS:
                row = "gather" if program == "gather" else "pwrite-sync"
                said = host.run_worker(bench.workers / program, row, path, ops=ops,
                                       bytes=bench.vector_bytes, workers=self.workers)
                yield self.rows[0], said["ns"] / said["ops"], said
                return
            more = {"count": bench.put_ops} if self.row == "overwrite" else {}
            yield self.rows[0], *inprocess.kv(bench, program, self.row, path, mode=self.mode,
                                              ops=ops, workers=self.workers, **more)


class Engine(Both):
    """A row of engine.c, in a new store."""

    def __init__(self, folder, row, title):
        super().__init__(folder, {OURS: "engine"})
        self.row = row
        self.rows = [title]

    def run(self, bench, system):
        os.sync()
        with tempfile.TemporaryDirectory(prefix="engine-", dir=bench.work) as folder:
            yield self.rows[0], *inprocess.kv(bench, self.programs[system], self.row,
                                              os.path.join(folder, "store"), count=bench.count,
                                              ops=bench.put_ops)


class BesideBefore:
    """Openings after a kill, of both builds."""

    mounted = False

    def __init__(self, folder):
        super().__init__({BEFORE: (str(folder / "kv_quiver"), str(folder / "engine")),
                          OURS: ("kv_quiver", "engine")})

    def baseline(self, bench):
        return BEFORE


class Open(BesideBefore, inprocess.OpenKilled):
    """As there."""


class OpenAmid(BesideBefore, inprocess.OpenKilledAmid):
    """As there."""


class Replay(inprocess.Recover):
    """As there, beside the other build."""

    mounted = False

    def __init__(self, folder):
        self.engines = {BEFORE: str(folder / "engine"), OURS: "engine"}

    def systems(self, bench):
        return [BEFORE, OURS, "bare read"]

    def engine(self, system):
        return self.engines.get(system, "engine")


def blocks(folder):
    return [
        Get(folder, "get-ref", "get by reference"),
        Get(folder, "get-absent", "get, absent"),
        Open(folder),
        OpenAmid(folder),
        NewStore(folder, "put", "put", "nosync", 1),
        NewStore(folder, "batch", "batch of 1000", "nosync", 1),
        NewStore(folder, "overwrite", "overwrite", "nosync", 1),
        NewStore(folder, "remove", "remove", "nosync", 1),
        NewStore(folder, "put", "put, durable, one writer", "sync", 1,
                 {"bare pwrite and fdatasync": "stream"}),
        NewStore(folder, "put", f"put, durable, {DURABLE_WRITERS} writers", "sync",
                 DURABLE_WRITERS, {"bare group commit": "gather"}),
        Engine(folder, "overwritten", "checkpoint after a tenth was overwritten"),
        Engine(folder, "compact", "compaction after 30 % deleted"),
        Engine(folder, "compact-put", "overwrite beside a compaction"),
        Replay(folder),
    ]
