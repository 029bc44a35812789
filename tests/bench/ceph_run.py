"""tools/bench --rados: what ceph_rows.py measures, as a table and as goals."""

import os
import re
import statistics

import blocks
import ceph
import ceph_rows
import host
import results
from ceph_rows import BARE, OURS, OVERWRITE, READ, THEIRS
from host import BenchError

COUNT, QUICK_COUNT = 20_000, 5_000
IMPORT_COUNT, QUICK_IMPORT_COUNT = 100_000, 20_000
OPS, QUICK_OPS = 2_000, 600
ROUNDS, QUICK_ROUNDS = 3, 2
SECONDS, QUICK_SECONDS = 700, 170  # for measuring; the rest is for the cluster and what is on it
IMPORT_BYTES_TIMES = 6  # three copies of it twice: what is removed goes away later
CLUSTER_BYTES = 2 << 30  # empty
# Of each operation: title, counter, unit.
COSTS = (("OSD us", "osd_seconds", 1e-6), ("disk KB", "disk_bytes", 1e3), ("reads", "reads", 1),
         ("writes", "writes", 1), ("MDS us", "metadata_seconds", 1e-6))
READS_MAX = 1.02  # of RADOS, for open, read and close: now and then a watch asks something, too
# The row, the peer, the least ratio of the rates.
GOALS = (("import", BARE, 0.6), (READ, THEIRS, 2), (f"{OVERWRITE} in place", THEIRS, 1.5),
         (f"{OVERWRITE}, O_TRUNC", THEIRS, 1.5), (f"{OVERWRITE}, rename", THEIRS, 1.5))


def settings(args):
    """What --quick and --count mean here."""
    args.count = args.count or (QUICK_COUNT if args.quick else COUNT)
    args.rounds = args.rounds or (QUICK_ROUNDS if args.quick else ROUNDS)
    args.seconds = QUICK_SECONDS if args.quick else SECONDS


def prepare(bench, args):
    """The cluster, a collection, and a folder of as many files."""
    if os.geteuid() != 0:
        raise BenchError("a CephFS is mounted by root")
    bench.ceph_ops = min(bench.count, QUICK_OPS if args.quick else OPS)
    bench.import_count = QUICK_IMPORT_COUNT if args.quick else IMPORT_COUNT
    bench.need_room(bench.import_count * bench.vector_bytes * IMPORT_BYTES_TIMES + CLUSTER_BYTES)
    blocks.progress("starting a cluster")
    bench.cluster = ceph.Cluster(bench)
    bench.collections = set()
    bench.many = lambda: many(bench)
    blocks.progress("making vectors and files")
    if re.search(args.systems, OURS):
        make_collection(bench)
    if re.search(args.systems, THEIRS):
        make_files(bench)


def make_collection(bench):
    vectors = os.path.join(bench.work, "few.npy")
    bench.make_npy(vectors, bench.count, bench.dim)
    bench.make_npy(bench.npy, bench.import_count, bench.dim)
    bench.create_store(ceph_rows.ours(ceph_rows.COLLECTION))
    host.run([bench.quiverfs, "import", ceph_rows.ours(ceph_rows.COLLECTION), vectors])


def make_files(bench):
    """By a mount that is gone afterwards, and holds nothing that others have to ask for."""
    daemon = ceph.TheirMount(bench)
    try:
        folder = os.path.join(daemon.point, ceph_rows.COLLECTION)
        os.mkdir(folder)
        host.run_worker(bench.workers / "files", "create", folder, ops=bench.count,
                        workers=ceph_rows.CLIENTS, bytes=bench.vector_bytes, seed=bench.seed)
    finally:
        daemon.stop()


def many(bench, name="many", start=0, count=ceph_rows.MANY, dim=ceph_rows.MANY_DIM):
    """The name of a collection of many vectors, all zeros, made when it is first asked for."""
    if name not in bench.collections:
        host.run([bench.quiverfs, "create", ceph_rows.ours(name), "--dim", dim])
        host.run_worker(bench.workers / "ceph_many", "fill", f"{ceph.POOL}/{name}",
                        start=start, count=count)
        bench.collections.add(name)
    return name


def measure(bench, args):
    found = results.Results(bench.dim, bench.count)
    try:
        prepare(bench, args)
        chosen = [block for block in ceph_rows.all_blocks()
                  if blocks.matches(block, args.rows)]
        bench.budget = blocks.Budget(args.seconds, len(chosen))
        for block in chosen:
            if bench.budget.next_step():
                blocks.measure_block(bench, block, found)
            else:
                found.note(f"{block.rows[0]}: left out, no time")
    except (KeyboardInterrupt, SystemExit):
        found.note("interrupted")
    finally:
        blocks.progress_end()
    return found


def cost_of(found, row, system, counter):
    """The median of what an operation cost; None where it was not counted."""
    values = [detail[counter] for detail in found.rows[row].details.get(system, {}).values()
              if counter in detail]
    return statistics.median(values) if values else None


def print_table(found):
    titles = "".join(f"{title:>9}" for title, _, _ in COSTS)
    print(f"\n{'':60}{'median':>9}{'rate':>12}{'times':>20}{titles}")
    for name, row in found.rows.items():
        for system, values in row.values.items():
            print(f"{name:42}{system:18}{columns(found, name, system, list(values.values()))}")


def columns(found, name, system, values):
    row = found.rows[name]
    middle = statistics.median(values)
    if row.unit == "bytes":
        return f"{middle / 1e6:6,.0f} MB"
    each, rate = results.spell("time", middle)
    ratio = None if system == row.baseline else found.ratio(name, system, row.baseline)
    costs = (cost_of(found, name, system, counter) for _, counter, _ in COSTS)
    return f"{each:>9}{rate:>12}{str(ratio or ''):>20}" + "".join(
        f"{'' if cost is None else format(cost / unit, spell_cost(cost / unit)):>9}"
        for cost, (_, _, unit) in zip(costs, COSTS))


def spell_cost(value):
    return ",.0f" if value >= 100 else ".2f"


def judge(found):
    """As of targets.py."""
    verdicts = []
    for row, peer, bound in GOALS:
        ratio = found.ratio(row, OURS, peer)
        if ratio is not None:
            verdicts.append({"work": row, "against": peer, "at_least": bound, **ratio.as_json(),
                             "reached": ratio.median >= bound})
    reads = cost_of(found, READ, OURS, "reads") if READ in found.rows else None
    if reads is not None:
        verdicts.append({"work": "reads of RADOS for open, read and close", "at_most": READS_MAX,
                         "value": reads, "reached": reads <= READS_MAX})
    return verdicts
