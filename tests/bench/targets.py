"""What quiverfs is to reach, as ratios side by side; nothing fails where it does not.

Each: the work, our row and system, the peer's row and system, and the least ratio of
their rates. Where there is no peer, the last is the most that the value may be.
"""

from dataclasses import dataclass
from typing import Optional


@dataclass
class Target:
    work: str
    row: str
    ours: str
    peer: Optional[str]
    bound: float
    peer_row: Optional[str] = None


def targets(disk):
    other = "passthrough_hp"
    return [
        # Where the kernel's part of FUSE takes most of the time a mount can only come near one with
        # nothing behind it; how a folder on the disk does is in the table, for who chooses.
        *(Target(what, row, "quiverfs", "bare FUSE", 0.9) for what, row in (
            ("create + write + close, 1 client", "create x1"),
            ("create + write + close, 2 clients", "create x2"),
            ("read cached, 1 client", "read cached x1"),
            ("read cached, 2 clients", "read cached x2"),
            ("ls -l of 1,000,000, cold", "ls -l of 1,000,000 cold"),
            ("find of 1,000,000, cold", "find -newer of 1,000,000 cold"),
            ("rsync -a out", "rsync -a out cold"),
            ("rsync -a in", "rsync -a in"))),
        Target("read cold, random, 2 clients", "read cold, random x2", "quiverfs", disk, 2),
        Target("the same, ro mount", "read cold, random x2", "quiverfs ro", disk, 4),
        Target("read cached, ro mount, 1 client", "read cached x1", "quiverfs ro", disk, 0.75),
        Target("read cached, ro mount, 2 clients", "read cached x2", "quiverfs ro", disk, 1.5),
        *(Target(f"read warm, default mount, {clients}",
                 f"read cached, beside passthrough_hp x{clients[0]}", "quiverfs", other, 1)
          for clients in ("1 client", "2 clients")),
        Target("import on a live mount", "import", "quiverfs live", "cp", 0.4),
        Target("import on a stopped store", "import", "quiverfs stopped", "cp", 0.5),
        Target("matrix.npy, read", "matrix.npy, read warm", "quiverfs", "native file", 0.95),
        Target("matrix.npy, mmap", "matrix.npy, mmap warm", "quiverfs", "native file", 0.95),
        Target("bytes on disk over bytes of vectors", "bytes on disk over bytes of vectors",
               "quiverfs", None, 1.03),
        Target("get by reference, not touched", "get by reference x1", "quiverfs", "LMDB", 3),
        Target("get by reference, first 8 bytes read", "get by reference, first 8 bytes read x1",
               "quiverfs", "LMDB", 3),
        Target("get, absent", "get, absent x1", "quiverfs", "LMDB", 3),
        Target("get by reference, checksum", "get by reference, checksum x1", "quiverfs", "LMDB",
               1.3),
        Target("put, mode fsync, beside LMDB", "put x1", "quiverfs", "LMDB", 3),
        Target("put, mode fsync, beside RocksDB", "put x1", "quiverfs", "RocksDB", 3),
        Target("put, mode always, 16 writers, beside one sync each", "put, durable x16",
               "quiverfs", "bare pwrite and fdatasync", 8, "put, durable x1"),
        Target("put, mode always, 16 writers, beside bare group commit", "put, durable x16",
               "quiverfs", "bare group commit", 0.9),
        Target("batch of 1000, beside RocksDB", "batch of 1000 x1", "quiverfs", "RocksDB", 4),
        Target("batch of 1000, beside a bare pwrite", "batch of 1000 x1", "quiverfs",
               "bare pwrite", 0.5),
        *(Target(f"log replay, {how}, beside a bare read", f"log replay, {how}", "quiverfs",
                 "bare read", 0.5)
          for how in (f"{what}, {when}" for what in ("single", "batch", "durable")
                      for when in ("after a kill", "cold"))),
        Target("clean open, beside 1,000 vectors", "clean open", "quiverfs", "quiverfs", 0.5,
               "clean open, 1,000 vectors"),
        Target("open after a kill with 1 MiB of log, beside clean",
               "open after a kill, 1 MiB of log", "quiverfs", "quiverfs", 0.5,
               "clean open after that"),
        Target("the same, beside bare calls that read, write and sync as much",
               "open after a kill, 1 MiB of log", "quiverfs", "bare calls", 0.5),
        Target("memory of the engine, bytes a vector", "memory of the engine", "quiverfs", None,
               16),
        Target("memory of the daemon, bytes a vector", "memory of the daemon", "quiverfs", None,
               16),
        *(Target(f"read p99.9 during {what}, beside quiet", f"read p99.9, {what}", "quiverfs",
                 "quiverfs", 0.5, "read p99.9, quiet")
          for what in ("growth", "checkpoint", "compaction")),
    ]


def judge(results, disk):
    """A verdict for each target whose rows were measured."""
    verdicts = []
    for target in targets(disk):
        if target.peer is None:
            value = results.median(target.row, target.ours)
            if value is not None:
                verdicts.append({"work": target.work, "at_most": target.bound, "value": value,
                                 "reached": value <= target.bound})
            continue
        ratio = results.ratio(target.row, target.ours, target.peer, target.peer_row)
        if ratio is not None:
            verdicts.append({"work": target.work, "against": target.peer,
                             "at_least": target.bound, **ratio.as_json(),
                             "reached": ratio.median >= target.bound})
    return verdicts


def print_verdicts(verdicts):
    if not verdicts:
        return
    print("\ntargets")
    for one in verdicts:
        if "at_most" in one:
            got, wanted, against = f"{one['value']:.2f}", f"<= {one['at_most']:g}", ""
        else:
            got = f"{one['median']:.2f} ({one['min']:.2f}-{one['max']:.2f})"
            wanted, against = f">= {one['at_least']:g}", one["against"]
        mark = "reached" if one["reached"] else "NOT reached"
        print(f"  {one['work']:52} {got:>22}  {wanted:>7}  {mark:11}  {against}".rstrip())
