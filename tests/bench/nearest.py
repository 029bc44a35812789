"""Nearest neighbours, beside faiss, hnswlib, NumPy, sqlite-vec and only reading the bytes; and many
vectors at once.

Everybody is a process of its own that is asked by turns, so that whatever else the machine does hits
all of them; they get one processor or all. Beside the clock stands what the processors were used.
"""

import os
import re

import host
import nearest_goals
import nearest_index
from host import BenchError
from nearest_goals import (ASKED, BYTES, CAT, FAISS, FILES, GET, LIBRARY, MANY_QUESTIONS, MANY_ROWS,
                           MAP, MODULE, MOUNT, QUIET, READER, SHAPES)
from nearest_run import NICE, Stage
from results import Results

COUNT = 1 << 20
QUICK_COUNT = 1 << 14
K = 10
TIMES = 3  # somebody is asked in a round; the middle counts
SMALL_TIMES = 50
NOISE_DIM = 128
FILE_DIM = 768  # of vectors that are read as files
FILE_COUNT = 100_000
CLIENTS = 4
CLIENT_OPS = 100_000
AGREE = 9  # of the ten nearest: single precision may change two of them


class Search:
    def __init__(self, bench, found):
        self.bench = bench
        self.found = found
        self.bytes = bench.count * NOISE_DIM * 4
        self.turn = 0
        self.failed = set()  # (row, system), which are not tried again

    def add(self, row, system, said, unit="time", baseline=None, value="ns"):
        self.found.add_row(row, unit, baseline)
        self.found.add(row, system, self.turn, said[value] if isinstance(said, dict) else said,
                       said if isinstance(said, dict) else {})

    def wants(self, system):
        return re.search(self.bench.system_pattern, system)

    def stage(self):
        return Stage(self.bench, self.found.note)

    def in_turns(self, ways, row, baseline):
        """`ways`: system -> what to call. Each is the first once."""
        systems = [system for system in ways if (row, system) not in self.failed]
        first = self.turn % max(1, len(systems))
        said = {}
        for system in systems[first:] + systems[:first]:
            try:
                said[system] = ways[system]()
                self.add(row, system, said[system], baseline=baseline)
            except BenchError as error:
                self.found.note(f"{row}, {system}: {error}")
                self.failed.add((row, system))
        self.compare_answers(row, said)

    def compare_answers(self, row, said):
        """Whoever is fast because he answers something else is found here."""
        ours = set(said.get(LIBRARY, {}).get("ids", []))
        for system, one in said.items():
            if ours and one.get("ids") and len(ours & set(one["ids"])) < min(AGREE, len(ours)):
                raise BenchError(f"{row}: {system} does not find what {LIBRARY} does")

    # ---- exact ----

    def exact(self):
        """One question and many, one processor and all."""
        for dtype, dim in SHAPES[:2] if self.bench.quick else SHAPES:
            size = dim * {"f4": 4, "f2": 2, "i1": 1}[dtype]
            with self.stage() as stage:
                stage.fill("isotropic", dtype, dim, self.bytes // size)
                self.exact_of(stage, dtype, dim)

    def exact_of(self, stage, dtype, dim):
        peers = {"f4": {FAISS: "faiss", "NumPy": "numpy", "sqlite-vec": "sqlite-vec"},
                 "f2": {"faiss, fp16": "faiss half"}, "i1": {"sqlite-vec": "sqlite-vec"}}[dtype]
        everybody = {}
        for threads in sorted({1, min(2, len(os.sched_getaffinity(0)))}):
            asked = {LIBRARY: stage.worker("library", threads, path=stage.store,
                                           vectors=stage.vectors),
                     BYTES: stage.worker("bytes", threads, vectors=stage.vectors,
                                         path=os.path.join(stage.store, "vectors.npy"))}
            asked.update((name, stage.worker(who, threads, path=stage.npy, vectors=stage.vectors))
                         for name, who in peers.items()
                         if self.wants(name) and (threads == 1 or name != "sqlite-vec"))
            everybody[threads] = asked
        mount = stage.mount(stage.another_store(), nice=NICE)
        everybody[max(everybody)][MOUNT] = stage.worker("mount", vectors=stage.vectors, **mount)
        for self.turn in range(self.bench.rounds):
            for threads, asked in everybody.items():
                for count in (1, MANY_QUESTIONS):
                    self.exact_row(asked, count, f"{dtype} x {dim}", threads)

    def exact_row(self, asked, count, shape, threads):
        alone = ("sqlite-vec",)  # it takes one question after the other
        ways = {system: (lambda worker=worker: worker.ask(count=count, k=K, times=TIMES))
                for system, worker in asked.items()
                if worker and self.wants(system) and (count == 1 or system not in alone)}
        if count == 1 and asked.get(MOUNT) and self.wants(CAT):
            ways[CAT] = lambda: asked[MOUNT].cat(vector=self.turn, times=TIMES)
        self.in_turns(ways, nearest_goals.exact_row(count, shape, threads), BYTES)

    def small(self):
        """How long one question takes in small stores, by one processor or more."""
        counts = [10 ** i for i in range(3, 8) if 10 ** i <= self.bench.count]
        for count in counts:
            with self.stage() as stage:
                stage.fill("isotropic", "f4", NOISE_DIM, count)
                self.small_of(stage, f"one question, {count:,} of f4 x {NOISE_DIM}")

    def small_of(self, stage, row):
        times = 5 if self.bench.quick else SMALL_TIMES
        asked = {LIBRARY: stage.worker("library", path=stage.store, vectors=stage.vectors)}
        asked.update((name, stage.worker(who, path=stage.npy, vectors=stage.vectors))
                     for name, who in ((FAISS, "faiss"), ("NumPy", "numpy")) if self.wants(name))
        mount = stage.mount(stage.another_store(), nice=NICE)
        asked[MOUNT] = stage.worker("mount", vectors=stage.vectors, **mount)
        ways = {system: (lambda worker=worker: worker.ask(count=1, k=K, times=times))
                for system, worker in asked.items() if worker and self.wants(system)}
        if asked[MOUNT] and self.wants(CAT):
            ways[CAT] = lambda: asked[MOUNT].cat(vector=self.turn, times=times)
        for self.turn in range(self.bench.rounds):
            self.in_turns(ways, row, LIBRARY)

    # ---- who reads files meanwhile ----

    def beside(self):
        """Four clients read files by chance, while nobody asks, while somebody asks all the time,
        and while somebody only reads memory at the same priority."""
        with self.stage() as stage:
            stage.fill("isotropic", "f4", FILE_DIM, self.bytes // (4 * FILE_DIM))
            mount = stage.mount(stage.store)
            asker = stage.worker("mount", nice=0, vectors=stage.vectors, **mount)
            reader = stage.worker("bytes", vectors=stage.vectors, path=stage.npy)
            ways = {QUIET: self.read_files}
            if asker:
                ways[ASKED] = lambda *where: self.read_beside(asker, *where)
            if reader:
                ways[READER] = lambda *where: self.read_beside(reader, *where)
            for self.turn in range(self.bench.rounds):
                for system, way in ways.items():
                    said = way(stage, mount["point"])
                    for part in ("p50", "p99", "p999"):
                        self.add(nearest_goals.beside_row(part), system, said, baseline=QUIET,
                                 value=part)
                    if "asked" in said:
                        self.add("beside: one question", system, said["asked"])

    def read_files(self, stage, point):
        ops = CLIENT_OPS // 50 if self.bench.quick else CLIENT_OPS
        return host.run_worker(self.bench.workers / "files", "read",
                               os.path.join(point, "vectors"), count=stage.count, ops=ops,
                               workers=CLIENTS, bytes=FILE_DIM * 4,
                               seed=self.bench.seed + self.turn)

    def read_beside(self, worker, stage, point):
        worker.ask_on(k=K)
        try:
            said = self.read_files(stage, point)
        finally:
            asked = worker.stop_asking()
        return {**said, "asked": asked}

    # ---- many vectors at once ----

    def many(self):
        """The vectors of a step of a training loop, by chance."""
        with self.stage() as stage:
            stage.fill("isotropic", "f4", FILE_DIM, min(FILE_COUNT, self.bytes // (4 * FILE_DIM)))
            mount = stage.mount(stage.store)
            worker = stage.worker("many", nice=0, count=stage.count, dim=FILE_DIM, **mount)
            ways = {FILES: "files", GET: "get", MODULE: "module", MAP: "unsafe_map"}
            ways = {system: way for system, way in ways.items() if worker and self.wants(system)}
            for self.turn in range(self.bench.rounds):
                for row, first in MANY_ROWS.items():
                    calls = {system: (lambda way=way, first=first:
                                      worker.run(way=way, turn=self.turn, first=first))
                             for system, way in ways.items()}
                    self.in_turns(calls, row, MAP)


# What --rows chooses from.
PARTS = {"exact": Search.exact, "small": Search.small, "beside": Search.beside, "many": Search.many,
         "approximate": nearest_index.approximate}


def measure(bench, pattern, progress):
    found = Results(bench.dim, bench.count)
    search = Search(bench, found)
    for name, part in PARTS.items():
        if not re.search(pattern, name):
            continue
        progress(name)
        try:
            part(search)
        except (BenchError, OSError) as error:
            found.note(f"{name}: {error}")
        except (KeyboardInterrupt, SystemExit):
            found.note("interrupted")
            break
    return found
