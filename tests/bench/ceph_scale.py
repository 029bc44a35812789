"""tools/bench --rados --scale: what vectors and mounts cost a cluster, measured on a small one while
they become more, and from that what BIG_VECTORS and BIG_MOUNTS would cost."""

import contextlib
import json
import subprocess
import time

import blocks
import ceph
import host
from ceph_rows import OURS, files, mounted, ours

DIM = 768
SLOTS = 64  # of that dimension in one object
LEAST = 100_000
COUNT, QUICK_COUNT = 1_000_000, 200_000
CLIENTS, QUICK_CLIENTS = (1, 10, 100, 1000), (1, 10, 100)
NOTIFIES = 5
IDLE_SECONDS = 10
SMALL_LISTINGS = 16  # one takes less than a tick of the clock
READS = 500
WRITES = 200
COLLECTION, SMALL = "scale", "small"
BIG_VECTORS = 1_000_000_000
BIG_MOUNTS = 1_000
BIG_OSDS = 12
COPIES = 3
PGS = 100  # of one OSD, as Ceph advises, copies counted


def settings(args):
    args.count = args.count or (QUICK_COUNT if args.quick else COUNT)
    args.rounds, args.seconds = 1, 0


# ---- vectors ----

def whole(count):
    """About so many vectors, which fill their objects."""
    return count // SLOTS * SLOTS


def metadata_bytes(cluster):
    """What the OSDs have in their databases: rows, and what they know of each object."""
    for osd in cluster.osds:
        cluster.ask(osd, "compact")
    return cluster.over_osds(lambda osd: cluster.ask(osd, "perf dump")["bluefs"]["db_used_bytes"])


def fill(bench, collection, start, count):
    said = host.run_worker(bench.workers / "ceph_many", "fill", f"{ceph.POOL}/{collection}",
                           start=start, count=count)
    return said["ns"] / 1e9


def list_names(bench, collection, count, times=1):
    """By a mount that has seen nothing, `times` at once: of one listing seconds and OSD seconds; how
    much larger the daemon was."""
    with mounted(bench, OURS, collection) as daemon:
        before = ceph.memory_bytes(daemon.process.pid)
        said = bench.cluster.cost_of(lambda: files(bench, OURS, "list", daemon.folder, count=count,
                                                   workers=times))
        grown = ceph.memory_bytes(daemon.process.pid, "VmHWM") - before
    return said["ns"] / 1e9 / times, said["osd_seconds"] * count, grown


def one_by_one(bench, worker, ops, count):
    """Seconds and OSD seconds of one operation on one vector."""
    with mounted(bench, OURS, COLLECTION) as daemon:
        said = bench.cluster.cost_of(lambda: files(bench, OURS, worker, daemon.folder, ops=ops,
                                                   count=count))
    return said["ns"] / said["ops"] / 1e9, said["osd_seconds"]


def measure_vectors(bench, most):
    """Of LEAST vectors, and of ten times as many until there are `most`."""
    for name in (COLLECTION, SMALL):
        host.run([bench.quiverfs, "create", ours(name), "--dim", DIM])
    fill(bench, SMALL, 0, SLOTS)
    empty = metadata_bytes(bench.cluster)
    found, have, step = [], 0, LEAST
    while have < whole(most):
        want, step = whole(min(step, most)), step * 10
        blocks.progress(f"{want:,} vectors")
        fill(bench, COLLECTION, have, want - have)
        have = want
        seconds, osd_seconds, grown = list_names(bench, COLLECTION, have)
        small_seconds, small_osd_seconds, _ = list_names(bench, SMALL, SLOTS, SMALL_LISTINGS)
        found.append({
            "vectors": have, "objects": have // SLOTS,
            "metadata_bytes": metadata_bytes(bench.cluster) - empty,
            "list_seconds": seconds, "list_osd_seconds": osd_seconds, "daemon_bytes": grown,
            "small_seconds": small_seconds, "small_osd_seconds": small_osd_seconds,
            "read": one_by_one(bench, "read", READS, have),
            "write": one_by_one(bench, "overwrite", WRITES, have),
        })
    return found


# ---- clients ----

@contextlib.contextmanager
def clients(bench, count):
    """So many, as the cluster sees mounts: what they said when all were there, and a call that
    notifies them."""
    process = subprocess.Popen(
        [str(bench.workers / "ceph_many"), "clients", f"{ceph.POOL}/{COLLECTION}",
         "--count", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def notify():
        process.stdin.write(b"notify\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())["ns"] / 1e9

    try:
        yield json.loads(process.stdout.readline())["ns"] / 1e9, notify
    finally:
        process.stdin.close()
        process.wait()


def daemons_now(cluster):
    pids = [cluster.pid(osd) for osd in cluster.osds]
    return {
        "osd_bytes": sum(map(ceph.memory_bytes, pids)) / len(pids),
        "monitor_bytes": ceph.memory_bytes(cluster.pid("mon.a")),
        "threads": max(ceph.fields_of(f"/proc/{pid}/status")["Threads"] for pid in pids),
        "connections": max(map(ceph.connections, pids)),
    }


def measure_clients(bench, counts, vectors):
    found = []
    for count in counts:
        blocks.progress(f"{count:,} clients")
        before = daemons_now(bench.cluster)
        with clients(bench, count) as (connect_seconds, notify):
            bench.cluster.settle()
            idle = bench.cluster.osd_seconds()
            time.sleep(IDLE_SECONDS)
            idle = (bench.cluster.osd_seconds() - idle) / IDLE_SECONDS
            now = daemons_now(bench.cluster)
            found.append({
                "clients": count, "connect_seconds": connect_seconds / count,
                "notify_seconds": sorted(notify() for _ in range(NOTIFIES))[NOTIFIES // 2],
                "idle_share": idle, "read": one_by_one(bench, "read", READS, vectors),
                **{name: now[name] - before[name] for name in now},
            })
    return found


# ---- on paper ----

def estimate(vectors, mounts):
    """The lines of what BIG would be: what, how much, the formula."""
    last, most = vectors[-1], mounts[-1]
    metadata = last["metadata_bytes"] / last["vectors"] / COPIES
    names = last["list_seconds"] / last["vectors"]
    listed = last["daemon_bytes"] / last["vectors"]
    foreign = (last["small_osd_seconds"] - vectors[0]["small_osd_seconds"]) / max(
        1, last["objects"] - vectors[0]["objects"])
    client = most["osd_bytes"] / most["clients"]
    objects = BIG_VECTORS / SLOTS
    on_osd = COPIES / BIG_OSDS
    slot = 4096
    return [
        ("objects", f"{objects / 1e6:.1f} million", f"vectors / S, S = {SLOTS}"),
        ("objects in a PG", f"{objects * COPIES / (BIG_OSDS * PGS):,.0f}",
         f"objects x {COPIES} / ({BIG_OSDS} OSDs x {PGS} PGs)"),
        ("data on an OSD", f"{BIG_VECTORS * slot * on_osd / 1e12:.2f} TB",
         f"vectors x {slot} bytes x {COPIES} / {BIG_OSDS}"),
        ("rows and onodes on an OSD", f"{BIG_VECTORS * metadata * on_osd / 1e9:.0f} GB",
         f"vectors x {metadata:.0f} bytes x {COPIES} / {BIG_OSDS}"),
        ("rows against data", f"{metadata / slot:.1%}", f"{metadata:.0f} / {slot}"),
        ("list of all names, one mount", f"{BIG_VECTORS * names / 60:.0f} min",
         f"vectors x {names * 1e6:.2f} us"),
        ("memory of that daemon", f"{BIG_VECTORS * listed / 1e9:.0f} GB",
         f"vectors x {listed:.1f} bytes"),
        ("list of a small collection in the same pool",
         f"{objects * foreign / BIG_OSDS:.1f} s of each OSD",
         f"objects x {foreign * 1e6:.1f} us / {BIG_OSDS}"),
        ("memory for mounts, each OSD", f"{BIG_MOUNTS * client / 1e6:.0f} MB",
         f"mounts x {client / 1e3:.0f} KB"),
        ("connections of each OSD", f"{BIG_MOUNTS * most['connections'] / most['clients']:,.0f}",
         f"mounts x {most['connections'] / most['clients']:.1f}"),
        ("notify of all mounts", f"{BIG_MOUNTS * most['notify_seconds'] / most['clients']:.2f} s",
         f"mounts x {most['notify_seconds'] / most['clients'] * 1e3:.2f} ms"),
        ("reads, a core of the OSDs", f"{1 / last['read'][1]:,.0f}/s",
         f"1 / {last['read'][1] * 1e6:.0f} us"),
        ("overwrites, a core of the OSDs", f"{1 / last['write'][1]:,.0f}/s",
         f"1 / {last['write'][1] * 1e6:.0f} us"),
    ]


def print_rows(titles, rows):
    print("\n" + "".join(f"{title:>16}" for title in titles))
    for row in rows:
        print("".join(f"{value:>16}" for value in row))


def print_table(found):
    print_rows(
        ("vectors", "objects", "DB B/vector", "list s", "OSD us/name", "daemon MB",
         "small list ms", "its OSD ms", "read us", "overwrite us"),
        [(f"{one['vectors']:,}", f"{one['objects']:,}",
          f"{one['metadata_bytes'] / one['vectors'] / COPIES:.0f}", f"{one['list_seconds']:.2f}",
          f"{one['list_osd_seconds'] / one['vectors'] * 1e6:.2f}",
          f"{one['daemon_bytes'] / 1e6:.1f}", f"{one['small_seconds'] * 1e3:.0f}",
          f"{one['small_osd_seconds'] * 1e3:.0f}", f"{one['read'][0] * 1e6:.0f}",
          f"{one['write'][0] * 1e6:.0f}") for one in found["by_vectors"]])
    print_rows(
        ("clients", "connect ms", "OSD KB/client", "mon KB/client", "OSD sockets", "OSD threads",
         "idle OSDs %", "notify ms", "read us"),
        [(f"{one['clients']:,}", f"{one['connect_seconds'] * 1e3:.1f}",
          f"{one['osd_bytes'] / one['clients'] / 1e3:.0f}",
          f"{one['monitor_bytes'] / one['clients'] / 1e3:.0f}", one["connections"],
          one["threads"], f"{one['idle_share'] * 100:.1f}", f"{one['notify_seconds'] * 1e3:.1f}",
          f"{one['read'][0] * 1e6:.0f}") for one in found["by_clients"]])
    print(f"\n{BIG_VECTORS:,} vectors of {DIM} x f4 and {BIG_MOUNTS:,} mounts on {BIG_OSDS} OSDs, "
          f"each object {COPIES} times")
    for what, value, formula in found["estimate"]:
        print(f"  {what:46}{value:>22}   {formula}")


def measure(bench, args):
    try:
        blocks.progress("starting a cluster")
        bench.cluster = ceph.Cluster(bench)
        vectors = measure_vectors(bench, args.count)
        mounts = measure_clients(bench, QUICK_CLIENTS if args.quick else CLIENTS,
                                 vectors[-1]["vectors"])
        return {"by_vectors": vectors, "by_clients": mounts, "estimate": estimate(vectors, mounts)}
    finally:
        blocks.progress_end()
