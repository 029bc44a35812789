"""Measures quiverfs beside its peers. Started by tools/bench, which builds what it needs.

Prints a table, and writes PREFIX.json, PREFIX.png and PREFIX.svg. Nothing is left behind:
no mount, no file, no tmpfs, and the page cache is dropped.
"""

import argparse
import contextlib
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time

import before
import blocks
import ceph_rows
import ceph_run
import ceph_scale
import folders
import formats
import growth
import growth_plot
import host
import inprocess
import mounted
import nearest
import nearest_goals
import plot
import results
import snapshots
import targets
from host import BenchError
from places import BareFuse, Passthrough, Place, Quiverfs, Tmpfs

COUNT_MAX = 10_000_000
NOISE_BYTES = 16 << 20
ROW_BYTES = 64  # in ids.npy and meta.npy
MANY_DIM = 2  # of vectors whose bytes nobody looks at; the workers want 8 bytes
TMPFS_FILE_BYTES = 6 << 10  # of memory, of a small one
SPARE_FILES = 1_000  # descriptors of a filesystem beside those of its files
QUICK_SECONDS = 95  # for measuring; the rest of two minutes is for making the folders


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tools/bench", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__)
    parser.add_argument("--quick", action="store_true",
                        help="a first impression in less than two minutes, without the "
                             "variants over /dev/fuse")
    parser.add_argument("--count", type=int, help=f"vectors (100,000), at most {COUNT_MAX:,}")
    parser.add_argument("--dim", default="768",
                        help="float32 in a vector (768), one or more: 128,768,1536")
    parser.add_argument("--rows", default="", metavar="PATTERN",
                        help="only rows in which this regular expression is found")
    parser.add_argument("--systems", default="", metavar="PATTERN",
                        help="only systems in whose name this regular expression is found")
    parser.add_argument("--rounds", type=int, help="how often everything is measured (5)")
    parser.add_argument("--seed", type=int, help="of the random order of IDs")
    parser.add_argument("--dir", default="/var/tmp", help="a folder on the disk to be measured")
    parser.add_argument("--output", metavar="PREFIX", help="of the files that are written")
    parser.add_argument("--growth", action="store_true",
                        help="how cost grows instead: time and memory against 1,000, 10,000 ... "
                             f"--count (1,000,000) vectors of {growth.DIM} x f4")
    parser.add_argument("--formats", action="store_true",
                        help="how fast each format is imported and exported instead, beside cp "
                             "of the same bytes")
    parser.add_argument("--folders", action="store_true",
                        help="how fast a folder of files, one a vector, goes in and out instead, "
                             "beside rsync -a into and out of a mount")
    parser.add_argument("--snapshots", action="store_true",
                        help="what snapshots cost instead, at 1,000, 10,000 ... --count (1,000,000) "
                             "vectors, and beside copies of a store; --rows chooses of: "
                             + ", ".join(snapshots.PARTS))
    parser.add_argument("--nearest", action="store_true",
                        help="nearest neighbours instead, beside faiss, hnswlib, NumPy, sqlite-vec "
                             "and only reading the bytes, in --count (1,048,576) vectors of 128 x "
                             "f4 or as many bytes, and many vectors at once; --rows chooses of: "
                             + ", ".join(nearest.PARTS))
    parser.add_argument("--rados", action="store_true",
                        help="a collection in Ceph RADOS instead, beside CephFS and `rados bench`, "
                             "on a cluster of three OSDs that is started for it: a quarter of an "
                             "hour, with --quick four minutes. Takes root")
    parser.add_argument("--scale", action="store_true",
                        help="with --rados: what --count (1,000,000) vectors and up to 1,000 "
                             "mounts cost a cluster, and what a billion would")
    parser.add_argument("--before", metavar="BUILD",
                        help="this engine beside that of another commit instead: BUILD is one of "
                             "that commit with -Dbench=true and with tests/bench as it is here")
    parser.add_argument("--plot", metavar="FILE.svg",
                        help="copy the plot to this file as well; of one dimension")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rados:
        (ceph_scale if args.scale else ceph_run).settings(args)
    else:
        args.seconds = QUICK_SECONDS if args.quick else 0
    large = args.growth or (args.snapshots and not args.quick)
    if args.nearest:
        args.count = args.count or (nearest.QUICK_COUNT if args.quick else nearest.COUNT)
    args.count = args.count or (1_000_000 if large else 5_000 if args.quick else 100_000)
    args.rounds = args.rounds or (2 if args.quick else 3 if args.growth or args.snapshots else 5)
    args.seed = random.randrange(1 << 32) if args.seed is None else args.seed
    args.output = args.output or os.path.join(args.build, "growth" if args.growth else
                                              "snapshots" if args.snapshots else
                                              "nearest" if args.nearest else
                                              "before" if args.before else "bench")
    if args.scale and not args.rados:
        parser.error("--scale goes with --rados")
    if not 1000 <= args.count <= COUNT_MAX or args.rounds < 1:
        parser.error(f"--count is from 1,000 to {COUNT_MAX:,}, --rounds at least 1")
    try:
        re.compile(args.rows)
        re.compile(args.systems)
        args.dims = [growth.DIM] if args.growth else [int(dim) for dim in args.dim.split(",")]
    except (re.error, ValueError) as error:
        parser.error(str(error))
    return args


class Bench:
    """What the rows of one dimension work on."""

    def __init__(self, args, dim, cleanup):
        self.build = pathlib.Path(args.build).resolve()
        self.workers = self.build / "tests/bench"
        self.quiverfs = self.build / "tools/quiverfs"
        self.count = args.count
        self.rounds = args.rounds
        self.seed = args.seed
        self.row_pattern = args.rows
        self.system_pattern = args.systems
        self.dim = dim
        self.vector_bytes = dim * 4
        self.file_ops = min(args.count, 1_000 if args.quick else 20_000)
        self.cold_ops = 1_000 if args.quick else 100_000
        self.put_ops = min(args.count, 100_000)
        self.get_ops = 100_000 if args.quick else 1_000_000
        self.sync_ops = 100 if args.quick else 1_000
        self.cleanup = cleanup
        self.work = tempfile.mkdtemp(prefix="quiverfs-bench-", dir=args.dir)
        cleanup.callback(shutil.rmtree, self.work, ignore_errors=True)
        self.log = os.path.join(self.work, "daemons.log")
        self.disk_name = host.filesystem_of(self.work)["type"]
        self.store = os.path.join(self.work, "store")
        self.npy = os.path.join(self.work, "vectors.npy")
        self.ext4_folder = os.path.join(self.work, "vectors")
        self.marker = os.path.join(self.work, "marker")
        self.many_marker = os.path.join(self.work, "many-marker")
        self.places = []
        self.part_places = []  # passthrough_hp, over `part_count` of the vectors
        self.part_count = 0
        self.default_place = None
        self.many = None  # places by name, of many small vectors
        self.stores = {}
        self.budget = None
        self.quick = args.quick
        self.uring = False

    def need_room(self, size):
        if host.free_bytes(self.work) < size * 1.2:
            raise BenchError(f"{self.work} has no room for {size >> 20:,} MiB more")

    def create_store(self, path):
        host.run([self.quiverfs, "create", path, "--dim", self.dim])

    def loaded(self, program, count, row="load"):
        """A store in process with `count` vectors, made when it is first asked for."""
        key = (program, count, row)
        if key not in self.stores:
            self.need_room(count * self.vector_bytes)
            path = os.path.join(self.work, f"{len(self.stores)}-{count}")
            host.run_worker(self.workers / program, row, path, count=count,
                            bytes=self.vector_bytes, seed=self.seed, mode="nosync")
            self.stores[key] = path
        return self.stores[key]

    # ---- folders and mounts ----

    def make_npy(self, path, count, dim):
        """Noise, over and over: nothing here compresses."""
        noise = random.Random(self.seed).randbytes(NOISE_BYTES)
        shape = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {dim}), }}"
        left = count * dim * 4
        with open(path, "wb") as file:
            file.write(b"\x93NUMPY\x01\x00\x76\x00" + shape.ljust(117).encode() + b"\n")
            while left > 0:
                left -= file.write(noise[:left])

    def fill(self, folder, count, size):
        os.mkdir(folder)
        host.run_worker(self.workers / "files", "create", folder, ops=count, workers=2,
                        bytes=size, seed=self.seed)

    def make_places(self, note):
        files_bytes = self.count * (-(-self.vector_bytes // 4096) * 4096 + 512)
        self.need_room(files_bytes + 3 * self.count * self.vector_bytes)
        self.make_npy(self.npy, self.count, self.dim)
        self.create_store(self.store)
        host.run([self.quiverfs, "import", self.store, self.npy])
        self.fill(self.ext4_folder, self.count, self.vector_bytes)
        self.places = self.our_places(note) + [Place(self.disk_name, self.ext4_folder)]
        self.places += self.tmpfs_place(files_bytes, note) + self.bare_places()
        self.part_places = self.passthrough_places(note)
        if self.part_count == self.count:
            self.places += self.part_places
        self.default_place = self.places[0]
        for place in {*self.places, *self.part_places}:
            self.cleanup.callback(place.stop)
        with open(self.marker, "w", encoding="ascii"):
            pass  # younger than every vector

    def many_place(self, name, count):
        """A store or a folder of vectors of MANY_DIM, made when first asked for."""
        if self.many is None:
            self.many = {}  # tried once
            self.make_many(count)
        if name not in self.many:
            raise BenchError(f"there are no {count:,} vectors")
        return self.many[name]

    def make_many(self, count):
        self.need_room(count * (4096 + 512))
        store, folder, npy = (os.path.join(self.work, f"many-{what}")
                              for what in ("store", "files", "npy"))
        self.make_npy(npy, count, MANY_DIM)
        host.run([self.quiverfs, "create", store, "--dim", MANY_DIM])
        host.run([self.quiverfs, "import", "--format", "npy", store, npy])
        self.fill(folder, count, MANY_DIM * 4)
        with open(self.many_marker, "w", encoding="ascii"):
            pass
        for place in (Quiverfs("quiverfs", store, self, []),
                      Quiverfs("quiverfs ro", store, self, ["ro"]),
                      Place(self.disk_name, folder),
                      BareFuse("bare FUSE", count, MANY_DIM * 4, self, "rw")):
            self.many[place.name] = place
            self.cleanup.callback(place.stop)
        if self.has_tmpfs(count * TMPFS_FILE_BYTES):
            self.many["tmpfs"] = self.new_tmpfs(count, MANY_DIM * 4)

    def has_uring(self):
        """Whether a default mount travels over io_uring, as status tells it."""
        place = Quiverfs("quiverfs", self.store, self, [])
        try:
            place.start(False)
            return b"io_uring" in host.run([self.quiverfs, "status", "--json", place.daemon.point])
        finally:
            place.stop()

    def our_places(self, note):
        found = [Quiverfs("quiverfs", self.store, self, []),
                 Quiverfs("quiverfs ro", self.store, self, ["ro"])]
        self.uring = self.has_uring()
        if not self.uring:
            note("no io_uring here: all mounts use /dev/fuse")
            return found
        if self.quick:
            return found
        off = ["io_uring=off"]
        return found + [Quiverfs("quiverfs /dev/fuse", self.store, self, off),
                        Quiverfs("quiverfs ro /dev/fuse", self.store, self, ["ro", *off])]

    def tmpfs_place(self, size, note):
        if not self.has_tmpfs(size):
            note("no tmpfs: too little memory for all files twice")
            return []
        return [self.new_tmpfs(self.count, self.vector_bytes)]

    @staticmethod
    def has_tmpfs(size):
        return os.path.isdir("/dev/shm") and size * 2 <= host.available_memory_bytes()

    def new_tmpfs(self, count, size):
        shm = tempfile.mkdtemp(prefix="quiverfs-bench-", dir="/dev/shm")
        self.cleanup.callback(shutil.rmtree, shm, ignore_errors=True)
        folder = os.path.join(shm, "vectors")
        self.fill(folder, count, size)
        return Tmpfs("tmpfs", folder)

    def bare_places(self):
        if self.quick:
            return []
        return [BareFuse("bare FUSE", self.count, self.vector_bytes, self, "rw"),
                BareFuse("bare FUSE ro", self.count, self.vector_bytes, self, "ro")]

    def passthrough_places(self, note):
        if not (self.build / "subprojects/fuse-3.18.3/example/passthrough_hp").exists():
            note("no passthrough_hp: libfuse is the system's")
            return []
        self.part_count = min(self.count, allow_files(self.count + SPARE_FILES) - SPARE_FILES)
        folder = self.ext4_folder
        if self.part_count < self.count:
            note(f"passthrough_hp has {self.part_count:,} of the vectors only: it needs a "
                 "descriptor for each file (a smaller --count has it in all rows)")
            folder = self.link_part(self.part_count)
        ring = ["-o", "io_uring"] if self.uring else ["--clone-fd"]
        found = [Passthrough("passthrough_hp", folder, self, ring)]
        if self.quick:
            return found
        found.append(Passthrough("passthrough_hp, copying", folder, self,
                                 ["--nopassthrough", *ring]))
        if self.uring:
            found.append(Passthrough("passthrough_hp /dev/fuse", folder, self, ["--clone-fd"]))
        return found

    def link_part(self, count):
        """A folder of the first `count` files alone: the same files under a second name."""
        folder = os.path.join(self.work, "part")
        os.mkdir(folder)
        for name in map(str, range(count)):
            os.link(os.path.join(self.ext4_folder, name), os.path.join(folder, name))
        return folder


def allow_files(count):
    """How many files a child may have open, `count` if that can be; root may raise the
    limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, count))
        except (OSError, ValueError):
            return hard
    return count


def measure(args, dim, found):
    """All chosen rows of one dimension; the name of the disk's filesystem."""
    with contextlib.ExitStack() as cleanup:
        bench = Bench(args, dim, cleanup)
        chosen = [block for block in mounted.blocks() + inprocess.blocks()
                  if blocks.matches(block, args.rows)]
        try:
            if any(block.mounted for block in chosen):
                blocks.progress("making folders and stores")
                bench.make_places(found.note)
            if not host.can_drop_caches():
                found.note("only root can drop caches: the cold rows are left out")
            bench.budget = blocks.Budget(args.seconds / len(args.dims), len(chosen))
            for block in chosen:
                if bench.budget.next_step():
                    blocks.measure_block(bench, block, found)
                else:
                    found.note(f"{block.rows[0]}: left out, no time")
        except (KeyboardInterrupt, SystemExit):
            found.note("interrupted")
        finally:
            blocks.progress_end()
        return bench.disk_name


def measure_growth(args):
    """The rows of growth.py, for each count; the vectors are on disk once, and rows of theirs."""
    with contextlib.ExitStack() as cleanup:
        bench = Bench(args, growth.DIM, cleanup)
        bench.need_room(args.count * (bench.vector_bytes + ROW_BYTES) * 3 // 2)
        try:
            return growth.measure(bench, args.rounds, args.count, blocks.progress)
        finally:
            blocks.progress_end()


def measure_formats(args, found):
    """The rows of formats.py, of one dimension."""
    with contextlib.ExitStack() as cleanup:
        bench = Bench(args, args.dims[0], cleanup)
        bench.budget = blocks.Budget(0, 1)
        bench.need_room(args.count * bench.vector_bytes * formats.ROOM_TIMES)
        formats.fill(bench)
        try:
            for block in formats.all_blocks(bench):
                if blocks.matches(block, bench.row_pattern):
                    blocks.measure_block(bench, block, found)
                block.end()
        finally:
            blocks.progress_end()


def measure_folders(args, found):
    """The rows of folders.py, of one dimension."""
    with contextlib.ExitStack() as cleanup:
        bench = Bench(args, args.dims[0], cleanup)
        bench.budget = blocks.Budget(0, 1)
        try:
            for block in folders.all_blocks(bench):
                if blocks.matches(block, bench.row_pattern):
                    blocks.measure_block(bench, block, found)
        finally:
            blocks.progress_end()


def measure_snapshots(args):
    """The rows of snapshots.py."""
    with contextlib.ExitStack() as cleanup:
        bench = Bench(args, args.dims[0], cleanup)
        try:
            return snapshots.measure(bench, args.rows, blocks.progress)
        finally:
            blocks.progress_end()


def measure_before(args, dim, found):
    """The rows of before.py."""
    with contextlib.ExitStack() as cleanup:
        bench = Bench(args, dim, cleanup)
        if args.count >= before.LARGE:
            bench.sync_ops //= 4
        bench.budget = blocks.Budget(0, 1)
        try:
            for block in before.blocks(before.workers_of(args)):
                if blocks.matches(block, args.rows):
                    blocks.measure_block(bench, block, found)
        finally:
            blocks.progress_end()


def measure_nearest(args):
    """The rows of nearest.py."""
    with contextlib.ExitStack() as cleanup:
        bench = Bench(args, args.dims[0], cleanup)
        try:
            return nearest.measure(bench, args.rows, blocks.progress)
        finally:
            blocks.progress_end()


def measure_rados(args):
    with contextlib.ExitStack() as cleanup:
        bench = Bench(args, args.dims[0], cleanup)
        return (ceph_scale if args.scale else ceph_run).measure(bench, args)


def finish(args, head, files, everything, verdicts):
    """Write the JSON and say which files there are."""
    head["host"]["load_average_after"] = os.getloadavg()[0]
    results.write_json(args.output + ".json", head, everything, verdicts)
    if args.plot and files:
        drawn = next(file for file in files if file.endswith(".svg"))
        if os.path.realpath(drawn) != os.path.realpath(args.plot):
            shutil.copyfile(drawn, args.plot)
            files.append(args.plot)
    print("".join(f"\nwrote {file}" for file in [*files, args.output + ".json"])
          + f"; load average after: {head['host']['load_average_after']:.1f}")


def print_head(head, args):
    machine = head["host"]
    disk = machine["filesystem"]
    print(f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_bytes'] >> 30} GiB; "
          f"Linux {machine['kernel']}; {args.dir} is {disk['type']} ({disk['options']})")
    print(f"FUSE over io_uring: {machine['fuse_uring']}; load average before: "
          f"{machine['load_average']:.1f}; {args.count:,} vectors, {args.rounds} rounds, "
          f"seed {args.seed}")


def run(args):
    head = {"host": host.describe(args.dir), "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "settings": {"count": args.count, "rounds": args.rounds, "seed": args.seed,
                         "quick": args.quick, "rows": args.rows, "systems": args.systems}}
    if not args.nearest and not args.before and not shutil.which("gnuplot"):
        raise BenchError("gnuplot is missing, so there would be no plot")
    print_head(head, args)
    if args.growth:
        everything = measure_growth(args)
        growth.print_table(everything)
        finish(args, head, growth_plot.draw(everything, head, args.output), everything, [])
        return 0
    if args.snapshots:
        found = measure_snapshots(args)
        results.print_table(found)
        finish(args, head, [], [found], [])
        return 130 if "interrupted" in found.notes else 0
    if args.nearest:
        found = measure_nearest(args)
        nearest_goals.print_table(found)
        verdicts = nearest_goals.judge(found)
        nearest_goals.print_verdicts(verdicts)
        finish(args, head, [], [found], verdicts)
        return 130 if "interrupted" in found.notes else 0
    if args.scale:
        found = measure_rados(args)
        ceph_scale.print_table(found)
        head["scale"] = found
        finish(args, head, [], [], [])
        return 0
    if args.rados:
        found = measure_rados(args)
        ceph_run.print_table(found)
        verdicts = ceph_run.judge(found)
        targets.print_verdicts(verdicts)
        finish(args, head, [], [found], verdicts)
        return 130 if "interrupted" in found.notes else 0
    everything, verdicts, files = [], [], []
    if args.formats or args.folders:
        found = results.Results(args.dims[0], args.count)
        (measure_formats if args.formats else measure_folders)(args, found)
        results.print_table(found)
        finish(args, head, [], [found], [])
        return 0
    if args.before:
        for dim in args.dims:
            found = results.Results(dim, args.count)
            everything.append(found)
            measure_before(args, dim, found)
            print(f"\n==== {args.count:,} vectors of {dim} x f4 ({dim * 4:,} bytes)")
            results.print_table(found)
        finish(args, head, [], everything, [])
        return 0
    for dim in args.dims:
        found = results.Results(dim, args.count)
        disk = measure(args, dim, found)
        everything.append(found)
        print(f"\n==== {args.count:,} vectors of {dim} x f4 ({dim * 4:,} bytes)")
        results.print_table(found)
        judged = targets.judge(found, disk)
        targets.print_verdicts(judged)
        verdicts += [{"dim": dim, **one} for one in judged]
        suffix = "" if len(args.dims) == 1 else f"-{dim}"
        files += plot.draw(found, head, disk, args.output + suffix)
        if "interrupted" in found.notes:
            break
    finish(args, head, files, everything, verdicts)
    return 130 if "interrupted" in everything[-1].notes else 0


def main():
    args = parse_arguments()
    if args.list:
        chosen = (ceph_rows.all_blocks() if args.rados
                  else mounted.blocks() + inprocess.blocks())
        print("\n".join(row for block in chosen for row in block.rows))
        return 0
    # So that everything is put away on SIGTERM as well.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    switched = host.switch_uring("Y")
    try:
        return run(args)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if switched:
            host.switch_uring(switched)
        if not args.nearest and host.can_drop_caches():
            host.drop_caches()


if __name__ == "__main__":
    sys.exit(main())
