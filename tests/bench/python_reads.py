"""What a training loop pays for a batch of random vectors: by the package for Python from a live
mount and from a snapshot in it, by files, and by a map of matrix.npy, which is not safe beside
writers.

usage: python_reads.py MNT [--batch N] [--turns N] [--seed N]

MNT is a mount that is written to by nobody; a snapshot is made in it and removed. The ways take turns
batch by batch, so that whatever else the machine does hits all of them; of each the median and the 90th
percentile are printed, in microseconds for a batch, as a line of JSON.
"""

import argparse
import json
import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../tools/python"))
import quiverfs  # noqa: E402 pylint: disable=wrong-import-position

SNAPSHOT = "python_reads"


def by_files(point, q):
    """Opened, read and closed one by one."""
    def read(ids):
        rows = np.empty((len(ids), q.dim), q.dtype)
        for row, number in enumerate(ids.tolist()):
            fd = os.open(f"{point}/vectors/{number}", os.O_RDONLY)
            os.readv(fd, [rows[row]])
            os.close(fd)
        return rows
    return read


def by_map(point):
    """Rows looked up once: another vector's by the time that it is read, where others write."""
    rows = np.load(f"{point}/matrix.npy", mmap_mode="r")
    ids = np.load(f"{point}/ids.npy")
    order = np.argsort(ids)
    ordered = ids[order]
    return lambda wanted: rows[order[np.searchsorted(ordered, wanted)]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\nusage")[0])
    parser.add_argument("mount")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    # Of overwritten vectors an older row may be in ids.npy until then.
    with open(f"{args.mount}/control/checkpoint", "w", encoding="ascii") as file:
        file.write("1")
    with quiverfs.open(args.mount) as q:
        ids = q.ids()
        source = np.random.default_rng(args.seed)
        room = np.empty((args.batch, q.dim), q.dtype)
        with q.snapshot(SNAPSHOT, create=True) as frozen:
            ways = {"map, unsafe": by_map(args.mount), "mount": q.get,
                    "mount, into an array": lambda wanted: q.get(wanted, out=room),
                    "snapshot": frozen.get, "files": by_files(args.mount, q)}
            took = measure(ways, ids, source, args)
        q.remove_snapshot(SNAPSHOT)
        for name, times in took.items():
            print(json.dumps({"way": name, "batch": args.batch, "vectors": len(ids), "dim": q.dim,
                              "median_us": round(float(np.median(times)) * 1e6, 1),
                              "p90_us": round(float(np.percentile(times, 90)) * 1e6, 1)}))


def measure(ways, ids, source, args):
    """Seconds of each batch, by each way; what they read has to be the same."""
    took = {name: [] for name in ways}
    for turn in range(args.turns):
        for name, read in ways.items():
            wanted = source.choice(ids, args.batch)
            begin = time.perf_counter()
            rows = read(wanted)
            took[name].append(time.perf_counter() - begin)
            if turn == 0 and not np.array_equal(rows, ways["files"](wanted), equal_nan=True):
                sys.exit(f"{name}: other vectors than those in the files")
    return took


main()
