"""Nearest neighbours with an index: what it costs, and how much it finds."""

from host import BenchError
from nearest_goals import INDEX, ONE
from nearest_run import HERE
from nearest_worker import recall

K = 10
DIM = 128
FRESH = 200  # questions of which the recall is told
TUNED = 100  # others, with which the peers are set; ours sets itself
CHANGED = 2_000
SMALL_SHARE = 10  # hnswlib gets a set that is so many times smaller: it is slow to build
LEAST = 12_000  # below there is no index
EXACT = "quiverfs, exact"
GLOVE = "../shared/data/glove-twitter-25d.npy"


def approximate(search):
    """Sets with and without clusters, as large as was asked for and smaller; and words."""
    count = search.bench.count
    small = min(count, max(count // SMALL_SHARE, LEAST))
    sets = [(kind, many) for kind in ("isotropic", "clustered", "duplicates")
            for many in sorted({small, count})]
    glove = HERE.parent.parent / GLOVE
    if glove.exists():
        sets.append((str(glove.resolve()), 0))
    else:
        search.found.note("GloVe left out: there is no ../shared/data")
    search.turn = 0
    for kind, many in sets:
        with search.stage() as stage:
            stage.fill(kind, "f4", DIM, many)
            name = kind if many else "GloVe"
            measured = Measured(search, stage, f"{name}, {stage.count:,} vectors")
            try:
                few = stage.count <= small and (kind == "clustered" or not search.bench.quick)
                measured.run(["faiss IVF"] + ["hnswlib"] * few)
            except BenchError as error:
                search.found.note(f"{measured.what}: {error}")


class Measured:
    """One set."""

    def __init__(self, search, stage, what):
        self.search = search
        self.stage = stage
        self.what = what
        self.tuning = None  # exact distances
        self.exact = None

    def add(self, row, system, said, unit="time", value="ns"):
        self.search.add(f"{self.what}: {row}", system, said, unit, value=value)

    def run(self, peers):
        ours = self.stage.worker("library", path=self.stage.store, vectors=self.stage.vectors,
                                 read_only=False)
        if not ours:
            return
        self.changes(ours, EXACT)
        self.tuning = ours.ask_each(count=TUNED, k=K, turn=1)["distances"]
        ours.pin(threads=1)
        said = ours.ask_each(count=FRESH, k=K, turn=2)
        self.exact = said["distances"]
        self.add(ONE, EXACT, without_distances(said))
        ours.pin(threads=0)
        self.finish(ours, INDEX, lambda: ours.build(), flags=0)
        for system in peers:
            if self.search.wants(system):
                self.their(system)

    def their(self, system):
        worker = self.stage.worker({"faiss IVF": "faiss lists"}.get(system, system))
        if not worker:
            return
        def build():
            said = worker.build(path=self.stage.npy, vectors=self.stage.vectors)
            worker.tune(exact=self.tuning, k=K)
            return said
        self.finish(worker, system, build)
        worker.end()

    def finish(self, worker, system, build, **how):
        """From the build on; what fails is left out, and the next goes on."""
        try:
            self.index(worker, system, build(), how)
        except BenchError as error:
            self.search.found.note(f"{self.what}, {system}: {error}")

    def index(self, worker, system, built, how):
        count = self.stage.count
        self.add("build", system, built)
        size = built["memory_bytes"] + built["file_bytes"]
        self.add("bytes of a vector", system, size / count, "bytes")  # its own left out
        if built.get("state", "ready") != "ready":
            self.search.found.note(f"{self.what}, {system}: {built['state']}: all are compared")
        worker.pin(threads=1)
        said = worker.ask_each(count=FRESH, k=K, turn=2, **how)
        self.add("recall", system, recall(said["distances"], self.exact), "share")
        self.add(ONE, system, without_distances(said))
        worker.pin(threads=0)
        self.changes(worker, system)

    def changes(self, worker, system):
        """New ones, and they are removed again."""
        first = self.stage.count
        self.add("put", system, worker.put(count=CHANGED, first=first, turn=3))
        self.add("remove", system, worker.remove(count=CHANGED, first=first))


def without_distances(said):
    return {clock: said[clock] for clock in ("ns", "cpu")}
