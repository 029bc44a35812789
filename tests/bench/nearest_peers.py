"""Who else is asked for the nearest: faiss, hnswlib, NumPy and sqlite-vec; and what only reads the
bytes."""

import ctypes
import os
import sqlite3
import tempfile

import numpy

import nearest_sets
from nearest_worker import Asked, each, recall

IVF_LISTS = 1024
IVF_TRAINED = 64  # vectors of the sample, for each list
HNSW_LINKS = 16
HNSW_BUILT_WITH = 200
RECALL = 0.95  # to be reached with as little work as does
TUNED_WITH = 100  # questions
NUMPY_ROWS = 1 << 14  # compared at once with many questions


class Peer(Asked):
    """Who has a copy of the vectors in memory, or what it makes of it."""

    def __init__(self, _library):
        super().__init__()
        self.threads = len(self.cpus)

    def open(self, path, vectors):
        """`path`: the vectors as .npy; `vectors` as nearest_sets.of takes it."""
        self.made = nearest_sets.of(**vectors)
        self.load(numpy.load(path, mmap_mode="r"))

    def load(self, rows):
        raise NotImplementedError


class Bytes(Peer):
    """No search at all."""

    def __init__(self, library):
        super().__init__(library)
        self.reader = ctypes.CDLL(os.environ["READ_BYTES"])
        self.reader.read_bytes_sum.restype = ctypes.c_uint64
        self.map = ctypes.c_void_p()
        self.length = ctypes.c_size_t()

    def open(self, path, vectors):
        self.made = nearest_sets.of(**vectors)
        result = self.reader.read_bytes_map(os.fsencode(path), ctypes.byref(self.map),
                                            ctypes.byref(self.length))
        if result != 0:
            raise OSError(result, os.strerror(result))

    def answer(self, questions, k, **how):
        self.reader.read_bytes_sum(self.map, self.length, self.threads)
        return None, [[]]


class Numpy(Peer):
    """With its BLAS, and the squares of all vectors computed before."""

    def load(self, rows):
        self.rows = numpy.array(rows)
        self.squares = numpy.einsum("ij,ij->i", self.rows, self.rows)

    def answer(self, questions, k, **how):
        best = []
        step = NUMPY_ROWS if len(questions) > 1 else len(self.rows)
        for first in range(0, len(self.rows), step):
            last = min(first + step, len(self.rows))
            far = self.squares[first:last] - 2 * (questions @ self.rows[first:last].T)
            near = numpy.argpartition(far, min(k, last - first) - 1)[:, :k]
            best.append((numpy.take_along_axis(far, near, 1), near + first))
        far, ids = (numpy.concatenate(parts, axis=1) for parts in zip(*best))
        order = numpy.argsort(far)[:, :k]
        squares = numpy.einsum("ij,ij->i", questions, questions)[:, None]
        return numpy.take_along_axis(far, order, 1) + squares, numpy.take_along_axis(ids, order, 1)


class Faiss(Peer):
    def __init__(self, library):
        super().__init__(library)
        import faiss
        self.faiss = faiss
        self.index = None
        faiss.omp_set_num_threads(self.threads)

    def make(self, rows):
        return self.faiss.IndexFlatL2(rows.shape[1])

    def load(self, rows):
        self.index = self.make(rows)
        for first in range(0, len(rows), 1 << 16):
            self.index.add(rows[first:first + (1 << 16)].astype("f4"))

    def answer(self, questions, k, **how):
        return self.index.search(questions.astype("f4"), k)


class FaissHalf(Faiss):
    def make(self, rows):
        return self.faiss.IndexScalarQuantizer(rows.shape[1],
                                               self.faiss.ScalarQuantizer.QT_fp16)


class SqliteVec(Peer):
    """In a database in memory."""

    def load(self, rows):
        self.base = sqlite3.connect(":memory:")
        self.base.enable_load_extension(True)
        with tempfile.TemporaryDirectory(dir=os.environ["WORK"]) as folder:
            library = os.path.join(folder, "vec0.so")  # the name tells how it is to be called
            os.symlink(os.environ["SQLITE_VEC"], library)
            self.base.load_extension(library)
        kind, self.to = {"<f4": ("float", "?"), "|i1": ("int8", "vec_int8(?)")}[rows.dtype.str]
        self.base.execute(f"create virtual table v using vec0(x {kind}[{rows.shape[1]}])")
        self.base.executemany(f"insert into v(rowid, x) values (?, {self.to})",
                              ((i, row.tobytes()) for i, row in enumerate(rows)))

    def answer(self, questions, k, **how):
        found = [self.base.execute(f"select distance, rowid from v where x match {self.to} and k = ?",
                                   (row.tobytes(), k)).fetchall() for row in questions]
        return ([[one[0] for one in rows] for rows in found],
                [[one[1] for one in rows] for rows in found])


# ---- with an index ----

class Approximate(Peer):
    """Those that miss some: they get as little work as finds RECALL of them."""

    steps = ()

    def build(self, path, vectors):
        self.made = nearest_sets.of(**vectors)
        rows = numpy.array(numpy.load(path))
        return {**self.watch.once(lambda: self.load(rows)), "file_bytes": 0,
                "memory_bytes": self.size(len(rows), rows.nbytes)}

    def size(self, count, size):
        """Bytes of memory, those of the vectors left out."""
        raise NotImplementedError

    def work(self, much):
        raise NotImplementedError

    def tune(self, exact, k):
        """`exact`: the distances of the first questions."""
        rows = self.made.questions(len(exact), 1)
        for much in self.steps:
            self.work(much)
            if recall(self.answer(rows, k)[0], exact) >= RECALL:
                break
        return {"work": much}


class FaissLists(Approximate, Faiss):
    steps = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]

    def load(self, rows):
        lists = min(IVF_LISTS, len(rows) // IVF_TRAINED)
        self.middles = self.faiss.IndexFlatL2(rows.shape[1])
        self.index = self.faiss.IndexIVFFlat(self.middles, rows.shape[1], lists)
        chance = numpy.random.default_rng(1)
        self.index.train(rows[chance.choice(len(rows), lists * IVF_TRAINED, replace=False)])
        self.index.add(rows)

    def size(self, count, size):
        return count * 8 + self.index.nlist * self.index.d * 4

    def work(self, much):
        self.index.nprobe = much

    def pin(self, threads):
        self.faiss.omp_set_num_threads(super().pin(threads))

    def put(self, count, first, turn):
        del first
        rows = self.made.questions(count, turn)
        return each(self.watch.once(lambda: self.index.add(rows)), count)

    def remove(self, count, first):
        ids = numpy.arange(first, first + count)
        return each(self.watch.once(lambda: self.index.remove_ids(ids)), count)


class Hnsw(Approximate):
    steps = [10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640, 1000]

    def __init__(self, library):
        super().__init__(library)
        import hnswlib
        self.hnswlib = hnswlib
        self.index = None

    def load(self, rows):
        self.index = self.hnswlib.Index("l2", rows.shape[1])
        self.index.init_index(len(rows) * 2, M=HNSW_LINKS, ef_construction=HNSW_BUILT_WITH)
        self.index.set_num_threads(self.threads)
        self.index.add_items(rows)

    def size(self, count, size):
        del count
        with tempfile.TemporaryDirectory(dir=os.environ["WORK"]) as folder:
            path = os.path.join(folder, "index")
            self.index.save_index(path)
            return os.path.getsize(path) - size

    def work(self, much):
        self.index.set_ef(much)

    def pin(self, threads):
        self.index.set_num_threads(super().pin(threads))

    def answer(self, questions, k, **how):
        return self.index.knn_query(questions, k)[::-1]

    def put(self, count, first, turn):
        rows, ids = self.made.questions(count, turn), numpy.arange(first, first + count)
        return each(self.watch.once(lambda: self.index.add_items(rows, ids)), count)

    def remove(self, count, first):
        """Which marks it alone: what it takes in memory and in searches stays."""
        return each(self.watch.once(lambda: [self.index.mark_deleted(one)
                                             for one in range(first, first + count)]), count)


WHO = {"bytes": Bytes, "numpy": Numpy, "faiss": Faiss, "faiss half": FaissHalf,
       "sqlite-vec": SqliteVec, "faiss lists": FaissLists, "hnswlib": Hnsw}
