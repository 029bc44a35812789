"""Processes that are asked in turns (nearest_worker.py), and the stores and mounts they ask."""

import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import host
from host import BenchError
from places import Quiverfs

HERE = pathlib.Path(__file__).parent
NICE = 10  # that of the threads with which quiverfs compares (engine/nearest/pool.c)
DEBIAN_PYTHON = "/usr/bin/python3"
SQLITE_VEC = "subprojects/packagecache/sqlite-vec-*.so"  # tools/setup


def python():
    """One that has NumPy: Debian's package is for Debian's Python, which need not be the first."""
    return sys.executable if importlib.util.find_spec("numpy") else DEBIAN_PYTHON


class Worker:
    """Somebody who is asked, as an object: worker.ask(count=1) is its method `ask`."""

    def __init__(self, bench, who, threads=0, nice=NICE):
        cpus = sorted(os.sched_getaffinity(0))[-threads:]
        many = str(len(cpus))
        found = sorted(HERE.parent.parent.glob(SQLITE_VEC))
        env = {**os.environ, "OPENBLAS_NUM_THREADS": many, "OMP_NUM_THREADS": many,
               "QUIVERFS_PYTHON": str(HERE.parent.parent / "tools/python"),
               "READ_BYTES": str(bench.workers / "read_bytes.so"), "WORK": bench.work,
               "SQLITE_VEC": str(found[-1]) if found else "not there, see tools/setup"}
        words = [python(), HERE / "nearest_worker.py", bench.build / "engine/libquiver.so", who,
                 ",".join(map(str, cpus)), nice]
        self.who = who
        self.process = subprocess.Popen(list(map(str, words)), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=env)
        try:
            self.read()
        except BenchError:
            self.end()
            raise

    def read(self):
        line = self.process.stdout.readline()
        said = json.loads(line) if line else {"error": "it ended"}
        if "error" in said:
            raise BenchError(f"{self.who}: {said['error']}")
        return said

    def __getattr__(self, what):
        def call(**request):
            try:
                self.process.stdin.write(json.dumps({"do": what, **request}) + "\n")
                self.process.stdin.flush()
            except BrokenPipeError as error:
                raise BenchError(f"{self.who}: it ended") from error
            return self.read()
        return call

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Stage:
    """Vectors in a file and in stores, and who is asked about them; all of it ends with it."""

    def __init__(self, bench, note):
        self.bench = bench
        self.note = note
        self.cleanup = contextlib.ExitStack()
        self.folder = os.path.join(bench.work, "search")
        self.npy = os.path.join(self.folder, "vectors.npy")
        self.store = os.path.join(self.folder, "store")
        self.vectors = None
        self.count = 0

    def __enter__(self):
        os.mkdir(self.folder)
        self.cleanup.callback(shutil.rmtree, self.folder)
        return self

    def __exit__(self, *what):
        self.cleanup.close()

    def fill(self, kind, dtype="f4", dim=128, count=0):
        """The vectors as .npy and in a store."""
        self.vectors = {"kind": kind, "dtype": dtype, "dim": dim, "count": count,
                        "seed": self.bench.seed % 1000}
        self.bench.need_room(3 * count * dim * 4)
        maker = Worker(self.bench, "sets")
        try:
            made = maker.make(path=self.npy, vectors=self.vectors)
        finally:
            maker.end()
        self.count = made["count"]
        program = self.bench.quiverfs
        host.run([program, "create", self.store, "--dim", made["dim"], "--dtype", dtype])
        host.run([program, "import", self.store, self.npy])

    def another_store(self):
        """A copy, which nobody else has open."""
        path = self.store + "-copy"
        host.run(["cp", "-a", "--reflink=auto", self.store, path])
        return path

    def worker(self, who, threads=0, nice=NICE, **opened):
        """Opened with these words, or None with a note."""
        try:
            worker = Worker(self.bench, who, threads, nice)
            self.cleanup.callback(worker.end)
            if opened:
                worker.open(**opened)
            return worker
        except BenchError as error:
            self.note(f"left out: {error}")
            return None

    def mount(self, store, nice=0):
        """A mount of it: where, and its daemon's process."""
        place = Quiverfs("quiverfs", store, self.bench, [])
        place.start(False)
        self.cleanup.callback(place.stop)
        pid = place.daemon.process.pid
        for thread in map(int, os.listdir(f"/proc/{pid}/task")):
            os.setpriority(os.PRIO_PROCESS, thread, nice)
        return {"point": place.daemon.point, "pid": pid}
