"""What a nightly update costs by each way: some of the vectors of a mount are written again.

usage: update.py [--quiverfs PROGRAM] [--count N] [--dim N] [--percent N] [--rounds N] [--dir DIR]

A store of its own is made in DIR, filled and mounted there. The ways take turns, in another order each
round, each with new values for vectors that are drawn anew. A way has ended when all is on stable storage
(control/flush). What is there then is compared with what it was to write. The medians of the rounds are
printed, in milliseconds and as a multiple of the fastest, as a table for Markdown.
"""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../tools/python"))
import quiverfs  # noqa: E402 pylint: disable=wrong-import-position


class Update:
    """A mount, and what is to be in it."""

    def __init__(self, args, folder):
        self.program = args.quiverfs
        self.folder = pathlib.Path(folder)
        self.store, self.mount = self.folder / "store", self.folder / "mnt"
        self.source = np.random.default_rng(args.seed)
        self.rows = self.source.normal(size=(args.count, args.dim)).astype("f4")
        self.some = max(1, args.count * args.percent // 100)
        self.ids = self.new = None
        np.save(self.folder / "all.npy", self.rows)
        self.run("create", self.store, "--dim", args.dim)
        self.run("import", self.store, self.folder / "all.npy")
        self.mount.mkdir()
        self.run("mount", self.store, self.mount)

    def run(self, *words):
        subprocess.run([self.program, *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    def close(self):
        for _ in range(20):
            if subprocess.run(["umount", self.mount], stderr=subprocess.DEVNULL,
                              check=False).returncode == 0:
                return
            time.sleep(0.1)
        subprocess.run(["fusermount3", "-u", "-z", self.mount], check=True)

    # ---- what the night brings ------------------------------------------------------------

    def draw(self):
        """Other vectors, in the forms in which the ways take them."""
        self.ids = np.sort(self.source.choice(len(self.rows), self.some, replace=False))
        self.new = self.source.normal(size=(self.some, self.rows.shape[1])).astype("f4")
        self.rows[self.ids] = self.new
        np.save(self.folder / "all.npy", self.rows)
        np.save(self.folder / "new.npy", self.new)
        np.save(self.folder / "ids.npy", self.ids.astype("u8"))

    def make_files(self, name, ids):
        """A folder in which these vectors are files."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for number in ids.tolist():
            self.rows[number].tofile(folder / str(number))
        return folder

    def make_copy(self):
        """A folder with all vectors, as after the last synchronization, in which some are new."""
        folder = self.folder / "copy"
        self.run("export", self.mount, f"{folder}/", "--update")
        return self.make_files("copy", self.ids)

    # ---- the ways ------------------------------------------------------------------------

    def cp_each(self):
        """cp new/ID MNT/vectors/ID, for each"""
        folder = self.make_files("new", self.ids)
        lines = "".join(f"cp {folder}/{number} {self.mount}/vectors/{number}\n"
                        for number in self.ids.tolist())
        return lambda: subprocess.run(["sh", "-e"], input=lines.encode(), check=True)

    def cp_all(self):
        """cp new/* MNT/vectors/"""
        shutil.rmtree(self.folder / "new", ignore_errors=True)
        folder = self.make_files("new", self.ids)
        return lambda: subprocess.run(["cp", "-r", f"{folder}/.", f"{self.mount}/vectors/"], check=True)

    def files(self):
        """Python: open, write, close each file"""
        def go():
            for number, row in zip(self.ids.tolist(), self.new):
                with open(f"{self.mount}/vectors/{number}", "wb", buffering=0) as file:
                    file.write(row)
        return go

    def put_each(self):
        """Python: q[ID] = vector, for each"""
        def go():
            with quiverfs.open(self.mount) as q:
                for number, row in zip(self.ids.tolist(), self.new):
                    q[number] = row
        return go

    def put(self):
        """Python: q.put(ids, vectors)"""
        def go():
            with quiverfs.open(self.mount) as q:
                q.put(self.ids, self.new)
        return go

    def imported(self):
        """quiverfs import MNT new.npy --ids ids.npy"""
        return lambda: self.run("import", self.mount, self.folder / "new.npy",
                                "--ids", self.folder / "ids.npy")

    def imported_all(self):
        """quiverfs import MNT all.npy"""
        return lambda: self.run("import", self.mount, self.folder / "all.npy")

    def folder_update(self):
        """quiverfs import MNT copy/ --update"""
        folder = self.make_copy()
        return lambda: self.run("import", self.mount, folder, "--update")

    def rsync(self):
        """rsync -a copy/ MNT/vectors/"""
        folder = self.make_copy()
        return lambda: subprocess.run(["rsync", "-a", "--modify-window=-1", f"{folder}/",
                                       f"{self.mount}/vectors/"], check=True)

    def measure(self, way):
        """Seconds until all of it is durable; then it has to be there."""
        self.draw()
        go = way(self)
        os.sync()
        begin = time.perf_counter()
        go()
        (self.mount / "control/flush").write_text("1", encoding="ascii")
        took = time.perf_counter() - begin
        with quiverfs.open(self.mount) as q:
            if not np.array_equal(q.get(np.arange(len(self.rows))), self.rows):
                sys.exit(f"{way.__doc__}: other vectors than those that were to be written")
        return took


WAYS = [Update.put, Update.imported, Update.put_each, Update.imported_all, Update.files, Update.cp_all,
        Update.folder_update, Update.rsync, Update.cp_each]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\nusage")[0])
    parser.add_argument("--quiverfs", default="quiverfs")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--percent", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which unmounts
    took = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="quiverfs-update-", dir=args.dir) as folder:
        update = Update(args, folder)
        try:
            for turn in range(args.rounds):
                for way in WAYS[turn % len(WAYS):] + WAYS[:turn % len(WAYS)]:
                    took[way].append(update.measure(way))
                    print(f"{took[way][-1] * 1000:9,.0f} ms  {way.__doc__}", file=sys.stderr)
        finally:
            update.close()
    medians = {way: float(np.median(times)) for way, times in took.items()}
    best = min(medians.values())
    print(f"{update.some} of {args.count} vectors of {args.dim} float32, "
          f"medians of {args.rounds} rounds\n\n| way | ms | times the fastest |\n| --- | --- | --- |")
    for way, median in sorted(medians.items(), key=lambda pair: pair[1]):
        print(f"| `{way.__doc__}` | {median * 1000:,.0f} | {median / best:,.1f} |")


main()
