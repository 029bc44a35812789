"""The rows of stores in process: the engine, embedded stores, and bare limits."""

import glob
import os
import tempfile
import time

import host
from blocks import Block

OURS = "quiverfs"
PROGRAMS = {OURS: "kv_quiver", "LMDB": "kv_lmdb", "RocksDB": "kv_rocksdb", "SQLite": "kv_sqlite"}
LIMITS = ("stream", "gather")
OVERWRITES = 3  # of each vector, on an average
THREADS = (1, 2)
SMALL = 1000  # vectors of a store whose opening shows what does not grow
AMID_OPS = 4_000_000  # overwrites, several checkpoints of the smallest vectors; of larger ones
AMID_BYTES = 2 << 30  # so many
LOG_OPS = 8_000  # overwrites, so that the log has 1 MiB: some with their bytes, most by slot


def kv(bench, program, row, path, **more):
    said = host.run_worker(bench.workers / program, row, path, bytes=bench.vector_bytes,
                           seed=bench.seed, **more)
    return said["ns"] / max(1, said["ops"]), said


class InProcess(Block):
    mounted = False

    def baseline(self, bench):
        return "LMDB"


class InNewStore(InProcess):
    """A row that begins with an empty store. Cases: system -> (program, mode)."""

    def __init__(self, row, title, cases, workers, ops):
        self.row = row
        self.cases = cases
        self.workers = workers
        self.ops = ops  # of the bench, how many
        self.rows = [f"{title} x{workers}"]

    def systems(self, bench):
        return list(self.cases)

    def run(self, bench, system):
        program, mode = self.cases[system]
        os.sync()
        with tempfile.TemporaryDirectory(prefix="new-", dir=bench.work) as folder:
            path = os.path.join(folder, "store")
            ops = self.ops(bench, self.workers)
            if program in LIMITS:
                yield self.rows[0], *self.limit(bench, program, mode, path, ops)
            else:
                yield self.rows[0], *kv(bench, program, self.row, path, mode=mode, ops=ops,
                                        workers=self.workers, **self.more(bench))

    def more(self, bench):
        """Further options of the worker."""
        del bench
        return {}

    def limit(self, bench, program, row, path, ops):
        """The same bytes written with no store around them."""
        together = 1000 if self.row == "batch" else 1
        said = host.run_worker(bench.workers / program, row, path, ops=ops // together,
                               bytes=bench.vector_bytes * together, workers=self.workers,
                               seed=bench.seed)
        return said["ns"] / said["ops"] / together, said


class Overwrite(InNewStore):
    """All vectors in random order, so often that what is superseded has to be freed meanwhile.
    Without SQLite, which takes minutes."""

    def __init__(self, workers):
        cases = {name: case for name, case in put_cases().items() if name != "SQLite"}
        super().__init__("overwrite", "overwrite", cases, workers, overwrite_ops)

    def more(self, bench):
        return {"count": bench.put_ops}


class Get(InProcess):
    def __init__(self, row, title, workers):
        self.row = row
        self.workers = workers
        self.rows = [f"{title} x{workers}"]
        self.cases = {name: (program, "") for name, program in PROGRAMS.items()}
        self.cases["LMDB, one snapshot"] = ("kv_lmdb", "snapshot")

    def systems(self, bench):
        return [*self.cases, *(["memcpy"] if self.row == "get-copy" else [])]

    def run(self, bench, system):
        if system == "memcpy":
            said = host.run_worker(bench.workers / "stream", "memcpy", "memory",
                                   count=bench.count, ops=bench.get_ops, seed=bench.seed,
                                   bytes=bench.vector_bytes, workers=self.workers)
            yield self.rows[0], said["ns"] / said["ops"], said
            return
        program, mode = self.cases[system]
        path = bench.loaded(program, bench.count)
        yield self.rows[0], *kv(bench, program, self.row, path, mode=mode, count=bench.count,
                                ops=bench.get_ops, workers=self.workers)


class Open(InProcess):
    rows = ["clean open", f"clean open, {SMALL:,} vectors"]

    def systems(self, bench):
        return list(PROGRAMS)

    def run(self, bench, system):
        program = PROGRAMS[system]
        for row, count in zip(self.rows, (bench.count, SMALL)):
            path = bench.loaded(program, count)
            yield row, *kv(bench, program, "open", path, count=count)


class GetAbsent(InProcess):
    """IDs that are missing, between others that are there."""

    rows = ["get, absent x1"]

    def systems(self, bench):
        return list(PROGRAMS)

    def run(self, bench, system):
        program = PROGRAMS[system]
        path = bench.loaded(program, bench.count, "load-holes")
        yield self.rows[0], *kv(bench, program, "get-absent", path, count=bench.count,
                                ops=bench.get_ops, workers=1)


class OpenKilled(InProcess):
    """After a process was killed that had written 1 MiB of log, and, once that was brought in and
    the store closed, cleanly. From memory: the files are as the killed process left them. Beside what
    bare calls take for what has to be read, written and synced."""

    rows = ["open after a kill, 1 MiB of log", "clean open after that"]

    def __init__(self, engines=None):
        # system -> (who fills the store, who opens it)
        self.engines = engines or {OURS: (PROGRAMS[OURS], "engine")}
        self.bare = [] if engines else ["bare calls"]

    def baseline(self, bench):
        return None

    def systems(self, bench):
        return [*self.engines, *self.bare]

    def run(self, bench, system):
        fills, program = self.engines.get(system, self.engines[next(iter(self.engines))])
        path = bench.loaded(fills, bench.count)
        kv(bench, program, "dirty", path, count=bench.count, ops=LOG_OPS)
        if system in self.bare:
            said = kv(bench, "bare_recover", "recover", path, count=bench.count, ops=LOG_OPS)[1]
            yield self.rows[0], said["ns"], said
            kv(bench, program, "recover", path)  # for who comes next
            return
        for row in self.rows:
            said = kv(bench, program, "recover", path)[1]
            yield row, said["ns"], said


class OpenKilledAmid(OpenKilled):
    """After a process was killed amid overwrites of random IDs, as fast as it can, whatever its
    checkpoints had come to."""

    rows = ["open after a kill amid overwrites"]

    def systems(self, bench):
        return list(self.engines)

    def run(self, bench, system):
        fills, program = self.engines[system]
        path = bench.loaded(fills, bench.count)
        ops = min(AMID_OPS, AMID_BYTES // bench.vector_bytes)
        kv(bench, program, "dirty", path, count=bench.count, ops=ops)
        said = kv(bench, program, "recover", path)[1]
        yield self.rows[0], said["ns"], said


class SpaceInProcess(InProcess):
    rows = ["bytes on disk over bytes of vectors, embedded stores"]
    unit = "ratio"
    one_round = True

    def systems(self, bench):
        return list(PROGRAMS)

    def run(self, bench, system):
        path = bench.loaded(PROGRAMS[system], bench.count)
        used = host.allocated_bytes(path)
        yield self.rows[0], used / (bench.count * bench.vector_bytes), {"bytes": used}


class Recover(InProcess):
    """Open after a crash with a full log, beside a bare read of what has to be read from the
    disk: the log, and of vectors that it only names the slots. Of durable batches it has the bytes,
    so the engine has the slots to look at besides. After a kill, much of that is in
    memory only; it is written before it is read, by both."""

    rows = [f"log replay, {what}, {when}" for what in ("single", "batch", "durable")
            for when in ("after a kill", "cold")]
    unit = "stream"

    def baseline(self, bench):
        return "bare read"

    def systems(self, bench):
        return [OURS, "bare read"]

    def engine(self, system):
        """The worker that leaves the log behind, and that reads it."""
        del system
        return "engine"

    def run(self, bench, system):
        if not host.can_drop_caches():
            return
        for row in self.rows:
            mode, when = row.split(", ")[1:]
            with tempfile.TemporaryDirectory(prefix="crash-", dir=bench.work) as folder:
                path = os.path.join(folder, "store")
                left = kv(bench, self.engine(system), "crash", path, ops=bench.count, mode=mode)[1]
                if when == "cold":
                    host.drop_caches()
                if system != "bare read":
                    ns, size = kv(bench, self.engine(system), "recover", path)[1]["ns"], left["bytes"]
                else:
                    ns, size = self.read(bench, path, left)
            yield row, ns / size * 1e6, {"ns": ns, "bytes": size}

    @staticmethod
    def read(bench, path, left):
        began = time.monotonic_ns()
        named = os.path.join(path, "vectors.npy")
        log = sorted(glob.glob(os.path.join(path, "wal", "*")))
        for file in (named, *log):
            fd = os.open(file, os.O_RDWR)
            os.fdatasync(fd)
            os.close(fd)
        ns = time.monotonic_ns() - began
        host.drop_caches()
        said = [host.run_worker(bench.workers / "stream", "read", file) for file in log]
        if sum(one["bytes"] for one in said) < left["bytes"]:
            said.append(host.run_worker(bench.workers / "stream", "read", named,
                                        ops=left["ops"], bytes=bench.vector_bytes))
        return ns + sum(one["ns"] for one in said), sum(one["bytes"] for one in said)


class EngineRow(InProcess):
    """What only our engine has."""

    def __init__(self, row, title, unit="time", one_round=False):
        self.row = row
        self.rows = [title]
        self.unit = unit
        self.one_round = one_round

    def baseline(self, bench):
        return None

    def systems(self, bench):
        return [OURS]

    def engine(self, bench):
        os.sync()
        with tempfile.TemporaryDirectory(prefix="engine-", dir=bench.work) as folder:
            return kv(bench, "engine", self.row, os.path.join(folder, "store"),
                      count=bench.count, ops=bench.put_ops)[1]

    def run(self, bench, system):
        said = self.engine(bench)
        value = said["bytes"] if self.unit == "bytes" else said["ns"]
        yield self.rows[0], value / max(1, said["ops"]), said


class Pause(EngineRow):
    """How long one read takes while something large goes on."""

    def __init__(self, row, what):
        super().__init__(row, f"read p99.9, {what}")
        self.rows = [f"read p99.9, {what}", f"read longest, {what}"]

    def run(self, bench, system):
        said = self.engine(bench)
        yield self.rows[0], said["p999"], said
        yield self.rows[1], said["max"], said


def put_cases():
    modes = {f"{OURS}, {mode}": ("kv_quiver", mode) for mode in ("none", "flush")}
    return {**{name: (program, "nosync") for name, program in PROGRAMS.items()}, **modes}


def durable_cases():
    return {name: (program, "sync") for name, program in PROGRAMS.items()}


def put_ops(bench, workers):
    del workers
    return bench.put_ops


def overwrite_ops(bench, workers):
    del workers
    return OVERWRITES * bench.put_ops


def sync_ops(bench, workers):
    return bench.sync_ops * workers  # many share one


def blocks():
    bare = {"bare pwrite": ("stream", "pwrite")}
    synced = {"bare pwrite and fdatasync": ("stream", "pwrite-sync")}
    gathered = {"bare group commit": ("gather", "gather")}
    return [
        InNewStore("put", "put", {**put_cases(), **bare}, 1, put_ops),
        InNewStore("put", "put", put_cases(), 2, put_ops),
        InNewStore("put", "put, durable", {**durable_cases(), **synced}, 1, sync_ops),
        InNewStore("put", "put, durable", durable_cases(), 2, sync_ops),
        InNewStore("put", "put, durable", {**durable_cases(), **gathered}, 16, sync_ops),
        InNewStore("batch", "batch of 1000", {**put_cases(), **bare}, 1, put_ops),
        Overwrite(1),
        InNewStore("remove", "remove", put_cases(), 1, put_ops),
        InNewStore("remove", "remove", put_cases(), 2, put_ops),
        *(Get(row, title, workers) for row, title in (
            ("get-ref", "get by reference"),
            ("get-touch", "get by reference, first 8 bytes read"),
            ("get-check", "get by reference, checksum"),
            ("get-copy", "get by copy"),
            ("get-copy-check", "get by copy, checksum"),
        ) for workers in THREADS),
        GetAbsent(),
        Open(),
        OpenKilled(),
        OpenKilledAmid(),
        Recover(),
        EngineRow("checkpoint", "checkpoint"),
        EngineRow("compact", "compaction after 30 % deleted"),
        EngineRow("compact-put", "overwrite beside a compaction"),
        EngineRow("memory", "memory of the engine", "bytes", one_round=True),
        SpaceInProcess(),
        Pause("pause-quiet", "quiet"),
        Pause("pause-growth", "growth"),
        Pause("pause-checkpoint", "checkpoint"),
        Pause("pause-compact", "compaction"),
        Pause("pause-copy", "bare copy and sync of another file"),
    ]
