#!/usr/bin/env python3
"""What each step of a store's life costs with 10^6 to 10^9 vectors of 8 bytes.

usage: scale.py --build BUILD --dir DIR [--count N] [--ops N] [--fill | --import | --made] [--sparse]
                [--compress] [--json FILE]

The store, DIR/scale-store, is written as files (make_store.c, make_index.c), or with --fill put by the
engine, or with --import imported from a pipe; with --made it is there already, and stays. --compress lets
btrfs compress what is imported (lets_compress.c). Each step is a process of its own (scale.c). Printed
are its times, the most private memory, and the bytes on disk. Removes what it has made.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

ROWS_AT_ONCE = 1 << 20  # of what is imported: 8 MiB
FREE_BYTES_MIN = 12 << 30  # below, others on the machine would suffer
STEPS = [
    # name, row of scale.c, first ID of what it puts or removes
    ("open", "open", None),
    ("get", "get", None),
    ("list", "list", None),
    ("put, overwrite, remove", "change", "count"),
    ("the same, killed", "crash", "count"),
    ("recover", "open", None),
    ("remove, compact", "compact", "zero"),
    ("open after it", "open", None),
]


def spell_ns(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def disk_bytes(folder):
    return sum(os.lstat(os.path.join(path, name)).st_blocks * 512
               for path, _, names in os.walk(folder) for name in names)


def run(command):
    """Its line of JSON, with the time of the whole process."""
    before = time.monotonic_ns()
    done = subprocess.run(["nice", "-n", "10", *map(str, command)], stdout=subprocess.PIPE,
                          check=True)
    figures = json.loads(done.stdout) if done.stdout.strip() else {}
    figures["process_ns"] = time.monotonic_ns() - before
    return figures


def import_rows(command, count, seed=29):
    """An import of so many random vectors as NPY from a pipe: its time, and its most memory."""
    import numpy as np

    before = time.monotonic_ns()
    random = np.random.default_rng(seed)
    # Where the pipe breaks the importer has said why it ended; what is left in the buffer breaks it twice.
    with contextlib.suppress(BrokenPipeError), \
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr) as importer:
        with contextlib.suppress(BrokenPipeError):
            np.lib.format.write_array_header_1_0(
                importer.stdin, {"descr": "|u1", "fortran_order": False, "shape": (count, 8)})
            for first in range(0, count, ROWS_AT_ONCE):
                importer.stdin.write(random.bytes(8 * min(ROWS_AT_ONCE, count - first)))
            importer.stdin.close()
        _, status, usage = os.wait4(importer.pid, 0)
        importer.returncode = os.waitstatus_to_exitcode(status)
    if importer.returncode != 0:
        sys.exit(f"{command[0]}: the import ended with status {importer.returncode}")
    return {"import_ns": time.monotonic_ns() - before,
            "processor_ns": int((usage.ru_utime + usage.ru_stime) * 1e9),
            "peak_bytes": usage.ru_maxrss << 10}


def tell(step, figures, count, ops):
    """One line: what ends in _ns as a time, and of many operations the time of one."""
    each = {"get_ns": ops, "absent_ns": ops, "put_ns": ops, "overwrite_ns": ops,
            "remove_ns": ops, "list_read_ns": count, "fill_ns": count,
            "import_ns": count, "processor_ns": count}
    parts = []
    for name, value in figures.items():
        if name.endswith("_ns"):
            word = name[:-3].replace("_", " ")
            parts.append(f"{word} {spell_ns(value)}"
                         + (f" ({spell_ns(value / each[name])} each)" if name in each else ""))
        elif name.endswith("_bytes"):
            parts.append(f"{name[:-6].replace('_', ' ')} {value / 1e6:.0f} MB")
        else:
            parts.append(f"{name} {value}")
    print(f"{step}: " + ", ".join(parts), flush=True)


class Run:
    def __init__(self, args):
        self.args = args
        self.workers = os.path.join(args.build, "tests", "bench")
        self.store = os.path.join(args.dir, "scale-store")
        self.steps = []

    def step(self, name, work):
        free = shutil.disk_usage(self.args.dir).free
        if free < FREE_BYTES_MIN:
            sys.exit(f"{self.args.dir}: {free >> 30} GiB are free, which is too little to go on")
        figures = work()
        figures["disk_bytes"] = disk_bytes(self.store)
        self.steps.append({"step": name, **figures})
        tell(name, figures, self.args.count, self.args.ops)

    def import_all(self):
        more = ["env", f"LD_PRELOAD={os.path.abspath(self.workers)}/lets_compress.so"]
        return import_rows([*(more if self.args.compress else []),
                            os.path.join(self.args.build, "tools", "quiverfs"), "import",
                            self.store, "--format", "npy", "-"], self.args.count)

    def scale(self, row, start):
        return lambda: run([os.path.join(self.workers, "scale"), row, self.store, "--count",
                            self.args.count, "--ops", self.args.ops, "--start", start])

    def all(self):
        if self.args.fill:
            self.step("fill", self.scale("fill", 0))
        elif self.args.imported:
            self.step("import", self.import_all)
        elif not self.args.made:
            make_store = [os.path.join(self.workers, "make_store"), self.store, self.args.count,
                          *(["sparse"] if self.args.sparse else [])]
            make_index = [os.path.join(self.workers, "make_index"), self.store]
            self.step("write the files", lambda: run(make_store))
            self.step("write the index", lambda: run(make_index))
        for name, row, start in STEPS:
            self.step(name, self.scale(row, self.args.count if start == "count" else 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--ops", type=int, default=20_000)
    parser.add_argument("--fill", action="store_true")
    parser.add_argument("--import", action="store_true", dest="imported")
    parser.add_argument("--compress", action="store_true")
    parser.add_argument("--made", action="store_true")
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--json")
    args = parser.parse_args()
    bench = Run(args)
    if not args.made:
        shutil.rmtree(bench.store, ignore_errors=True)
    try:
        bench.all()
    finally:
        if not args.made:
            shutil.rmtree(bench.store, ignore_errors=True)
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(vars(args) | {"steps": bench.steps}, file, indent=1)


if __name__ == "__main__":
    main()
