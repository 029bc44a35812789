"""A collection in RADOS beside a folder of a CephFS, one file a vector, on the same cluster."""

import contextlib
import os

import ceph
import host
from blocks import Block

OURS = "quiverfs"
THEIRS = "CephFS"
UNSYNCED = "CephFS, no fsync"
BARE = "rados bench"
CLIENTS = 16
MANY = 1_000_000
MANY_DIM = 768  # none of its bytes is on a disk
OBJECT_BYTES = 256 << 10
COLLECTION = "vectors"
READ = "read, cold"
OVERWRITE = "overwrite"
LIST_MANY = f"of {MANY:,}"


def ours(collection):
    return f"rados:{ceph.POOL}/{collection}"


@contextlib.contextmanager
def mounted(bench, system, collection=COLLECTION):
    """A mount that has seen nothing yet."""
    daemon = (ceph.OurMount(bench, collection) if system == OURS
              else ceph.TheirMount(bench, COLLECTION))
    try:
        yield daemon
    finally:
        daemon.stop()


def files(bench, system, row, folder, **options):
    """The worker's row; it syncs on CephFS, where a file that is closed is not yet safe."""
    return host.run_worker(bench.workers / "files", row, folder, **{
        "count": bench.count, "seed": bench.seed, "bytes": bench.vector_bytes,
        "mode": "fsync" if system == THEIRS else "", **options})


class CephBlock(Block):
    """The detail of each value is what it cost the cluster."""

    baseline_name = THEIRS

    def systems(self, bench):
        return [OURS, THEIRS]

    def baseline(self, bench):
        return self.baseline_name

    @staticmethod
    def of(row, said):
        return row, said["ns"] / said["ops"], said


class FileBlock(CephBlock):
    """Rows of the worker, one after another, on a mount that has seen nothing before the first."""

    def __init__(self, work, clients=1, share=1, another=None, unsynced=False):
        """`work`: our row and the worker's. `share`: this part of the operations is enough.
        `another`: what a second mount does before."""
        self.work = work
        self.rows = [row for row, _ in work]
        self.clients = clients
        self.share = share
        self.another = another
        self.unsynced = [UNSYNCED] if unsynced else []

    def systems(self, bench):
        return super().systems(bench) + self.unsynced

    def run(self, bench, system):
        ops = max(self.clients, int(bench.ceph_ops * self.share))
        with contextlib.ExitStack() as mounts:
            if self.another:
                writer = mounts.enter_context(mounted(bench, system))
                files(bench, system, self.another, writer.folder, ops=ops)
            daemon = mounts.enter_context(mounted(bench, system))
            for row, worker in self.work:
                yield self.of(row, bench.cluster.cost_of(lambda: files(
                    bench, system, worker, daemon.folder, workers=self.clients, ops=ops)))


class Import(CephBlock):
    """A .npy into a new collection, from the start of the program to its end, beside the same
    number of bytes written in objects as large as a collection's."""

    rows = ["import"]
    baseline_name = BARE

    def systems(self, bench):
        return [OURS, BARE]

    def run(self, bench, system):
        count = bench.import_count
        if system == BARE:
            objects = -(-count * bench.vector_bytes // OBJECT_BYTES)
            work, clean = lambda: ceph.rados_bench(objects, OBJECT_BYTES), ceph.rados_bench_cleanup
        else:
            target = ours("imported")
            bench.create_store(target)
            work = lambda: host.timed([bench.quiverfs, "import", target, bench.npy])
            clean = lambda: host.run([bench.quiverfs, "remove", target, "--yes"])
        try:
            yield self.of(self.rows[0],
                          bench.cluster.cost_of(lambda: {"ops": count, "ns": work()}))
        finally:
            clean()


class ListMany(CephBlock):
    """Ours alone: a CephFS takes half an hour to have as many files. With attributes it is as many
    reads, and nothing new."""

    rows = [f"list names {LIST_MANY}"]

    def systems(self, bench):
        return [OURS]

    def run(self, bench, system):
        with mounted(bench, system, bench.many()) as daemon:
            yield self.of(self.rows[0], bench.cluster.cost_of(lambda: files(
                bench, system, "list", daemon.folder, count=MANY)))


class Memory(CephBlock):
    """Resident bytes of the daemon, libraries included."""

    unit = "bytes"
    one_round = True
    rows = ["memory, at rest", "memory, all names listed",
            f"memory, {CLIENTS} clients that read", f"memory, {CLIENTS} clients that overwrite"]

    def run(self, bench, system):
        count = MANY if system == OURS else bench.count
        with mounted(bench, system, bench.many()) as daemon:
            os.stat(daemon.folder)
            yield self.rows[0], ceph.memory_bytes(daemon.process.pid), {}
            files(bench, system, "list", daemon.folder, count=count)
            yield self.rows[1], ceph.memory_bytes(daemon.process.pid, "VmHWM"), {"names": count}
        for row, worker in zip(self.rows[2:], ("read", "overwrite")):
            with mounted(bench, system) as daemon:
                files(bench, system, worker, daemon.folder, ops=bench.ceph_ops, workers=CLIENTS)
                yield row, ceph.memory_bytes(daemon.process.pid, "VmHWM"), {}


class NewFiles(CephBlock):
    """Created and removed, by one client and by many."""

    rows = [f"{what}{clients}" for clients in ("", f", {CLIENTS} clients")
            for what in ("create", "remove")]

    def systems(self, bench):
        return super().systems(bench) + [UNSYNCED]

    def run(self, bench, system):
        with mounted(bench, system) as daemon:
            for clients, rows in (1, self.rows[:2]), (CLIENTS, self.rows[2:]):
                ops = bench.ceph_ops // (4 if clients == 1 else 2)
                for row, worker in zip(rows, ("create", "delete")):
                    yield self.of(row, bench.cluster.cost_of(lambda: files(
                        bench, system, worker, daemon.folder, start=bench.count, ops=ops,
                        workers=clients)))


def all_blocks():
    return [
        Import(),
        FileBlock([(READ, "read"), ("read again", "read")]),
        FileBlock([(f"{READ}, {CLIENTS} clients", "read")], CLIENTS, 2),
        FileBlock([("read, just overwritten by another mount", "read")], share=0.5,
                  another="overwrite"),
        FileBlock([(f"{OVERWRITE} in place", "overwrite")], share=0.25, unsynced=True),
        FileBlock([(f"{OVERWRITE}, O_TRUNC", "truncate")], share=0.25),
        FileBlock([(f"{OVERWRITE}, rename", "rename")], share=0.25),
        FileBlock([(f"{OVERWRITE} in place, {CLIENTS} clients", "overwrite")], CLIENTS),
        FileBlock([("stat, cold", "stat"), ("stat again", "stat")]),
        FileBlock([("list names, cold", "list")]),
        FileBlock([("list with attributes, cold", "list-attr")]),
        NewFiles(),
        ListMany(),
        Memory(),
    ]
