"""What snapshots cost, beside the same work without one and beside copies of a store.

Unless a row says otherwise the worker `snapshots` does both by turns in one process, so that
whatever else the machine does hits both.
"""

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import time

import growth
import host
from host import BenchError
from places import Quiverfs
from results import Results

SMALL = 8  # bytes of a vector where there may be ten million
MIDDLE = 128
PAUSE_COUNT = 100_000
KEPT_COUNT = 1_000_000
COPY_COUNT = 100_000
CYCLES = 30
CYCLES_DURABLE = 60
REMOVALS = 2
DURABLE_OPS = 1_000
CHANGED_SHARE = 100  # one vector of so many
SENT_DIM = 128
SENT_SHARES = {"0.01 %": 10_000, "1 %": 100, "100 %": 1}
IMAGE_SPARE = 1 << 30  # of a filesystem, beside what is copied
MODES = {"fsync": CYCLES, "always": CYCLES_DURABLE}
POINTS = ("p50", "p99", "p999", "max")
MANY = (1, 100, 1000)


class Costs:
    """One round after the other into one Results."""

    def __init__(self, bench, found):
        self.bench = bench
        self.found = found
        self.turn = 0

    def add(self, row, system, value, unit="time", baseline=None, detail=None):
        self.found.add_row(row, unit, baseline)
        self.found.add(row, system, self.turn, value, detail or {})

    def worker(self, row, **options):
        """In a new store, which is removed."""
        path = os.path.join(self.bench.work, "costs")
        try:
            return host.run_worker(self.bench.workers / "snapshots", row, path,
                                   seed=self.bench.seed + self.turn, **options)
        finally:
            for name in os.listdir(self.bench.work):
                if name.startswith("costs"):
                    shutil.rmtree(os.path.join(self.bench.work, name))

    # ---- in process ----

    def make(self):
        """After nothing, one in a hundred, or all were overwritten."""
        sizes = [(count, SMALL) for count in growth.counts(self.bench.count)]
        if self.bench.count >= PAUSE_COUNT:
            sizes.append((PAUSE_COUNT, self.bench.vector_bytes))
        for count, size in sizes:
            for name, dirty in (("nothing", 0), ("1 %", count // 100), ("all", count)):
                said = self.worker("make", count=count, bytes=size, ops=dirty)
                row = f"make, {count:,} of {size} bytes, {name} dirty"
                self.add(row, "plain checkpoint", statistics.median(said["checkpoint"]))
                self.add(row, "snapshot", statistics.median(said["make"]))
                self.add(row, "its removal", statistics.median(said["remove"]))

    def pauses(self, row, what, ways, **options):
        for mode, cycles, workers in ways:
            said = self.worker(row, mode=mode, workers=workers, ops=cycles, **options)
            for who in ("writers", "reader"):
                for part in POINTS:
                    name = f"{what}, {mode} x{workers}: {who} {part}"
                    for kind in ("quiet", "checkpoint", "make", "remove"):
                        one = said.get(f"{who} {kind}")
                        if one:
                            self.add(name, kind, max(1, one[part]), baseline="quiet", detail=one)
            self.add(f"{what}, {mode} x{workers}: each", "snapshot",
                     statistics.median(said["took"]))

    def pauses_of_making(self):
        ways = [(mode, cycles, workers) for mode, cycles in MODES.items() for workers in (1, 4)]
        if self.bench.quick:
            ways = [(mode, 5, workers) for mode, _, workers in ways]
        self.pauses("pause-make", "while one is made", ways,
                    count=min(self.bench.count, PAUSE_COUNT), bytes=self.bench.vector_bytes)

    def pauses_of_removing(self):
        count = min(self.bench.count, KEPT_COUNT)
        self.pauses("pause-remove", f"while one with {count:,} of its own is removed",
                    [("fsync", REMOVALS, 1)], count=count, bytes=MIDDLE)

    def keep(self):
        count = min(self.bench.count, PAUSE_COUNT)
        for many in MANY:
            said = self.worker("keep", count=count, bytes=MIDDLE, ops=count, snapshots=many)
            self.add("make, one after the other", f"{many:,} of them", said["ns"] / many)
            self.add("memory of a snapshot", f"{many:,} of them",
                     max(0, said["memory with snapshots"] - said["memory"]) / many, "size")
            self.add("memory of a kept vector", f"{many:,} of them",
                     max(0, said["memory with kept"] - said["memory with snapshots"]) / count,
                     "size")
            self.add("file of a kept vector, its bytes left out", f"{many:,} of them",
                     said["versions with kept"] / count, "size")
            self.add("file of a snapshot", f"{many:,} of them",
                     said["files of snapshots"] / many, "size")

    def overwrite(self):
        count = min(self.bench.count, KEPT_COUNT)
        durable = min(count, DURABLE_OPS)
        for mode, ops in (("fsync", count), ("always", durable)):
            said = self.worker("overwrite", count=count, bytes=MIDDLE, ops=ops, mode=mode)
            for many in (0, 1, 100):
                system = f"{many} snapshots"
                self.add(f"overwrite, {mode}", system, said[f"put {many}"] / ops,
                         baseline="0 snapshots", detail=said)
                self.add(f"overwrite, {mode}, with a checkpoint", system,
                         (said[f"put {many}"] + said[f"checkpoint {many}"]) / ops,
                         baseline="0 snapshots")
                self.add(f"overwrite, {mode}: p99.9", system, said[f"each {many}"]["p999"],
                         baseline="0 snapshots")

    def read(self):
        for count in growth.counts(self.bench.count):
            said = self.worker("read", count=count, bytes=SMALL, ops=count // 10)
            row = f"list, {count:,}, a name"
            self.add(row, "live", statistics.median(said["list, live"]) / count, baseline="live")
            self.add(row, "snapshot", statistics.median(said["list, snapshot"]) / count,
                     baseline="live")
            row = f"get, {count:,}"
            self.add(row, "live", said["get, live"]["p50"], baseline="live")
            self.add(row, "snapshot, live row", said["get, of both"]["p50"], baseline="live")
            self.add(row, "snapshot, kept row", said["get, kept"]["p50"], baseline="live")
            self.add(f"open, {count:,}", "snapshot of an open store", said["open"])
            self.add(f"open, {count:,}", "STORE@NAME", statistics.median(said["alone, open"]))
            self.add("memory of STORE@NAME, a slot", f"{count:,} vectors",
                     said["alone, memory"] / count, "size")

    # ---- through a mount ----

    @contextlib.contextmanager
    def mounted(self, store, count):
        """A mount of a new store of `count` vectors."""
        host.run_worker(self.bench.workers / "kv_quiver", "load", store, count=count,
                        bytes=self.bench.vector_bytes, seed=self.bench.seed, mode="nosync")
        place = Quiverfs("quiverfs", store, self.bench, [])
        place.start(False)
        try:
            yield place.daemon.point
        finally:
            place.stop()
            shutil.rmtree(store)

    def overwrite_some(self, point, count):
        host.run_worker(self.bench.workers / "files", "overwrite", os.path.join(point, "vectors"),
                        count=count, ops=count // CHANGED_SHARE, bytes=self.bench.vector_bytes,
                        seed=self.bench.seed + self.turn)

    def list_mounted(self):
        count = min(self.bench.count, COPY_COUNT)
        with self.mounted(os.path.join(self.bench.work, "listed"), count) as point:
            snapshot = os.path.join(point, "snapshots/one")
            os.mkdir(snapshot)
            self.overwrite_some(point, count)
            for name, folder in (("live", point), ("snapshot", snapshot)):
                for row in ("list", "list-attr", "read"):
                    ops = min(count, self.bench.file_ops)
                    said = host.run_worker(self.bench.workers / "files", row,
                                           os.path.join(folder, "vectors"), count=count, ops=ops,
                                           bytes=self.bench.vector_bytes, seed=self.bench.seed)
                    self.add(f"{row} of {count:,}, mounted", name, said["ns"] / said["ops"],
                             baseline="live", detail=said)
            os.rmdir(snapshot)

    # ---- beside copies ----

    def copies(self):
        """What there is to have a state of then: the store's folder is copied, as it can be when
        those who write to it have been stopped and it has been checkpointed; they wait for all of
        that. Writers of a snapshot do not wait for it."""
        count = min(self.bench.count, COPY_COUNT)
        size = count * self.bench.vector_bytes
        for kind in ("ext4", "xfs", "btrfs"):
            try:
                with filesystem(self.bench, kind, 4 * size + IMAGE_SPARE) as folder:
                    self.copies_on(kind, folder, count)
            except BenchError as error:
                self.found.note(f"copies on {kind}: {error}")

    def copies_on(self, kind, folder, count):
        store, copy = os.path.join(folder, "store"), os.path.join(folder, "copy")
        ways = {"snapshot": None, "full copy": ["cp", "-a", "--reflink=never", store, copy]}
        if kind == "xfs":
            ways["cp --reflink"] = ["cp", "-a", "--reflink=always", store, copy]
        if kind == "btrfs":  # cp cannot: where the store's files are not copied on write, its own are
            host.run(["btrfs", "subvolume", "create", store])
            ways["btrfs snapshot"] = ["btrfs", "subvolume", "snapshot", store, copy]
        with self.mounted(store, count) as point:
            self.overwrite_some(point, count)  # the files grow
            for name, words in ways.items():
                self.copy_once(name, words, point, copy, f"on {kind}, {count:,}", count)

    def copy_once(self, name, words, point, copy, where, count):
        """One vector in a hundred is dirty when it begins, and overwritten again when it is done."""
        snapshot = os.path.join(point, "snapshots/copied")
        folder = os.path.dirname(copy)
        checkpoint = os.path.join(point, "control/checkpoint")
        write(checkpoint, "1")
        used = used_bytes(folder)
        self.overwrite_some(point, count)
        before = time.monotonic_ns()
        if words:
            write(checkpoint, "1")
            host.run(words)
            host.run(["sync", "-f", copy])
        else:
            os.mkdir(snapshot)
        self.add(f"a state {where}", name, time.monotonic_ns() - before, baseline="full copy")
        self.add(f"bytes of it {where}", name, max(0, used_bytes(folder) - used), "size")
        self.overwrite_some(point, count)
        write(checkpoint, "1")
        self.add(f"bytes when 1 % is overwritten {where}", name, max(0, used_bytes(folder) - used),
                 "size")
        if not words:
            os.rmdir(snapshot)
            return
        host.run([self.bench.quiverfs, "check", copy])  # it is one
        if name == "btrfs snapshot":
            host.run(["btrfs", "subvolume", "delete", copy])
        else:
            shutil.rmtree(copy)

    # ---- sending ----

    def transfer(self):
        """To a store that has the state of before, from one that nobody has open: rsync would copy a
        mixture of states else."""
        count = min(self.bench.count, KEPT_COUNT)
        paths = {name: os.path.join(self.bench.work, name)
                 for name in ("source", "target", "copy", "stream")}
        self.bench.need_room(8 * count * SENT_DIM * 4)
        try:
            host.run_worker(self.bench.workers / "kv_quiver", "load", paths["source"], count=count,
                            bytes=SENT_DIM * 4, seed=self.bench.seed, mode="nosync")
            self.send_once(paths, "all, first", count, None, "s0")
            for number, (name, share) in enumerate(SENT_SHARES.items()):
                host.run_worker(self.bench.workers / "snapshots", "change", paths["source"],
                                count=count, bytes=SENT_DIM * 4, ops=count // share,
                                seed=self.bench.seed + number)
                self.send_once(paths, name + " changed", count, f"s{number}", f"s{number + 1}")
        finally:
            for path in paths.values():
                shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(paths["stream"])

    def send_once(self, paths, what, count, old, new):
        program, source = self.bench.quiverfs, paths["source"]
        row = f"to another store, {count:,} of {SENT_DIM} x f4, {what}"
        host.run([program, "snapshot", "create", source, new])
        words = [program, "send", f"{source}@{new}", *(["--since", old] if old else [])]
        with open(paths["stream"], "wb") as file:
            before = time.monotonic_ns()
            if subprocess.run(list(map(str, words)), stdout=file, check=False).returncode != 0:
                raise BenchError("send failed")
            sent = time.monotonic_ns() - before
        size = os.path.getsize(paths["stream"])
        with open(paths["stream"], "rb") as file:
            received = host.timed([program, "receive", paths["target"]], stdin=file)
        os.unlink(paths["stream"])
        self.add(row, "send, to a file", sent)
        self.add(row, "receive, from it", received)
        self.add(row + ": bytes", "send", size, "size")
        for name, options in (("rsync -a", []), ("rsync -a, differences alone",
                                                 ["--no-whole-file", "--inplace"])):
            copy = paths["copy"] + str(len(options))
            paths[name] = copy
            before = time.monotonic_ns()
            said = host.run(["rsync", "-a", "--delete", "--stats", *options, source + "/", copy])
            host.run(["sync", "-f", copy])
            self.add(row, name, time.monotonic_ns() - before)
            told = re.search(rb"Total bytes sent: ([\d,]+)", said)
            self.add(row + ": bytes", name, int(told.group(1).replace(b",", b"")), "size")


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def used_bytes(folder):
    host.run(["sync", "-f", folder])
    space = os.statvfs(folder)
    return (space.f_blocks - space.f_bfree) * space.f_frsize


@contextlib.contextmanager
def filesystem(bench, kind, size):
    """A new filesystem in a file, mounted: its folder."""
    make = shutil.which(f"mkfs.{kind}", path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin")
    if not make or os.geteuid() != 0:
        raise BenchError(f"left out: takes root and mkfs.{kind}")
    bench.need_room(size)
    image, point = os.path.join(bench.work, kind + ".img"), os.path.join(bench.work, kind)
    os.mkdir(point)
    with open(image, "wb") as file:
        file.truncate(size)
    try:
        host.run([make, "-q", image])
        host.run(["mount", "-o", "loop", image, point])
        try:
            yield point
        finally:
            unmount(point)
    finally:
        os.rmdir(point)
        os.unlink(image)


def unmount(point):
    """Whoever looked in may not have left yet."""
    for _ in range(50):
        if subprocess.run(["umount", point], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return
        time.sleep(0.1)
    host.run(["umount", "-l", point])


# What --rows chooses from.
PARTS = {part.__name__: part for part in (
    Costs.make, Costs.pauses_of_making, Costs.pauses_of_removing, Costs.keep, Costs.overwrite,
    Costs.read, Costs.list_mounted, Costs.copies, Costs.transfer)}


def measure(bench, pattern, progress):
    found = Results(bench.dim, bench.count)
    costs = Costs(bench, found)
    chosen = {name: part for name, part in PARTS.items() if re.search(pattern, name)}
    for turn in range(bench.rounds):
        costs.turn = turn
        for name, part in chosen.items():
            progress(f"{name}: round {turn + 1} of {bench.rounds}")
            try:
                part(costs)
            except (BenchError, OSError) as error:
                found.note(f"{name}: {error}")
            except (KeyboardInterrupt, SystemExit):
                found.note("interrupted")
                return found
    return found
