"""What quiverfs is asked by: libquiver, the files of a mount, and its module for Python."""

import ctypes
import errno
import os
import statistics
import struct
import sys
import time

import numpy

import nearest_sets
from nearest_worker import Asked, Watch, each

EXACT = 1
OF_STORE = -1
POLL_SECONDS = 0.05
BATCH = 256  # vectors of one step of a training loop
STEPS = 40


# ---- libquiver (engine/quiver.h) ----

class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("read_only", ctypes.c_bool),
                ("durability", ctypes.c_int), ("commit_interval_ms", ctypes.c_uint32),
                ("autocompact_percent", ctypes.c_uint32), ("lock_wait_ms", ctypes.c_uint32),
                ("mount_point", ctypes.c_char_p), ("io", ctypes.c_void_p),
                ("on_report", ctypes.c_void_p), ("on_report_arg", ctypes.c_void_p),
                ("on_note", ctypes.c_void_p), ("access", ctypes.c_char_p)]


class Question(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("metric", ctypes.c_int), ("flags", ctypes.c_uint),
                ("vectors", ctypes.c_void_p), ("count", ctypes.c_size_t), ("k", ctypes.c_uint32),
                ("within", ctypes.c_double), ("ids", ctypes.c_void_p),
                ("id_count", ctypes.c_size_t), ("except_ids", ctypes.c_void_p)]


class Status(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("state", ctypes.c_int), ("building", ctypes.c_bool),
                ("done", ctypes.c_uint64), ("total", ctypes.c_uint64), ("result", ctypes.c_int),
                ("started_ns", ctypes.c_int64), ("duration_ns", ctypes.c_int64),
                ("metric", ctypes.c_int), ("lists", ctypes.c_uint64), ("probes", ctypes.c_uint64),
                ("assigned", ctypes.c_uint64), ("pending", ctypes.c_uint64),
                ("recall", ctypes.c_double), ("exact_ms", ctypes.c_double),
                ("index_ms", ctypes.c_double), ("memory_bytes", ctypes.c_uint64),
                ("file_bytes", ctypes.c_uint64)]


READY = 2
STATES = ("none", "building", "ready", "no help")
NEIGHBOUR = numpy.dtype([("id", "<u8"), ("distance", "<f8")])
ERROR_BYTES = 768
ATTRIBUTES_BYTES = 256  # at least struct quiver_attr


def checked(what, result):
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


class Library(Asked):
    """A store, in this process."""

    def __init__(self, library):
        super().__init__()
        self.quiver = ctypes.CDLL(library)
        self.store = ctypes.c_void_p()

    def open(self, path, vectors, read_only=True):
        """`vectors`: what is in it, as nearest_sets.of takes it."""
        error = ctypes.create_string_buffer(ERROR_BYTES)
        options = Options(size=ctypes.sizeof(Options), read_only=read_only)
        result = self.quiver.quiver_open(os.fsencode(path), ctypes.byref(options),
                                         ctypes.byref(self.store), error)
        if result < 0:
            raise OSError(-result, error.value.decode())
        self.made = nearest_sets.of(**vectors)

    def close(self):
        store, self.store = self.store, ctypes.c_void_p()
        checked("close", self.quiver.quiver_close(store))

    def answer(self, questions, k, flags=EXACT):
        question = Question(size=ctypes.sizeof(Question), metric=OF_STORE, flags=flags, k=k,
                            vectors=questions.ctypes.data, count=len(questions))
        answers = numpy.empty((len(questions), k), NEIGHBOUR)
        found = numpy.empty(len(questions), "<u4")
        checked("nearest", self.quiver.quiver_nearest(
            self.store, ctypes.byref(question), ctypes.c_void_p(answers.ctypes.data),
            ctypes.c_void_p(found.ctypes.data)))
        return answers["distance"], answers["id"]

    # ---- with an index ----

    def status(self):
        status = Status(size=ctypes.sizeof(Status))
        self.quiver.quiver_nearest_status(self.store, ctypes.byref(status))
        return {name: getattr(status, name) for name, _ in Status._fields_}

    def wait_while(self, busy):
        while busy(self.status()):
            time.sleep(POLL_SECONDS)

    def build(self):
        """The index, until it stands or is given up."""
        def start():
            checked("start", self.quiver.quiver_nearest_index_start(self.store))
            self.wait_while(lambda status: status["building"])
        took = self.watch.once(start)
        said = self.status()
        checked("build", said["result"])
        return {**took, **said, "state": STATES[said["state"]]}

    def put(self, count, first, turn):
        """New ones, until each is in a list where there are lists."""
        rows = self.made.questions(count, turn)
        attributes = ctypes.create_string_buffer(ATTRIBUTES_BYTES)  # of which none is meant
        def put_all():
            for i, row in enumerate(rows):
                checked("put", self.quiver.quiver_put(
                    self.store, ctypes.c_uint64(first + i), ctypes.c_void_p(row.ctypes.data),
                    ctypes.byref(attributes), 0, 0, None))
            self.wait_while(lambda status: status["state"] == READY and status["pending"] > 0)
        return each(self.watch.once(put_all), count)

    def remove(self, count, first):
        def remove_all():
            for vector in range(first, first + count):
                checked("remove", self.quiver.quiver_remove(
                    self.store, ctypes.c_uint64(vector), 0, None))
        return each(self.watch.once(remove_all), count)


# ---- files of a mount ----

HEADER = struct.Struct("<8sIIiIdQQQQ")


class Mount(Asked):
    def __init__(self, _library):
        super().__init__()
        self.point = None
        self.control = None

    def open(self, point, pid, vectors):
        self.point = point
        self.made = nearest_sets.of(**vectors)
        self.watch = Watch([pid])
        self.control = os.open(os.path.join(point, "control/nearest"), os.O_RDWR)

    def answer(self, questions, k, flags=EXACT):
        """By control/nearest."""
        count = len(questions)
        question = HEADER.pack(b"QUIVERNQ", 1, k, OF_STORE, flags, 0, count, 0, 0, 0)
        os.write(self.control, question + questions.tobytes())
        found = -(-4 * count // 8) * 8
        answer = read_all(self.control, found + count * k * NEIGHBOUR.itemsize)
        answers = numpy.frombuffer(answer, NEIGHBOUR, offset=found).reshape(count, k)
        return answers["distance"], answers["id"]

    def cat(self, vector, times):
        """nearest/ID, opened, read and closed."""
        path = os.path.join(self.point, "nearest", str(vector))
        return self.watch.time(lambda: read_file(path), times)


def read_all(fd, length):
    parts = []
    while length > 0:
        part = os.read(fd, length)
        if not part:
            raise OSError(errno.EIO, "the answer is too short")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def read_file(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(fd, 1 << 20), b""))
    finally:
        os.close(fd)


# ---- many vectors at once ----

class Many:
    """Vectors by chance, as a training loop takes them: all IDs in random order, some at a time."""

    def __init__(self, _library):
        self.point = None
        self.count = 0
        self.row = None
        self.control = None
        self.map = None
        self.opened = None
        self.watch = None

    def open(self, point, pid, count, dim):
        self.point = point
        self.count = count
        self.row = numpy.empty(dim, "<f4")
        self.control = os.open(os.path.join(point, "control/get"), os.O_RDWR)
        self.open_map()
        self.map.sum()  # the kernel has all of it from here on
        self.watch = Watch([pid])

    def open_map(self):
        self.map = numpy.load(os.path.join(self.point, "matrix.npy"), mmap_mode="r")

    def files(self, ids):
        rows = numpy.empty((len(ids), len(self.row)), "<f4")
        for i, vector in enumerate(ids):
            fd = os.open(f"{self.point}/vectors/{vector}", os.O_RDONLY)
            os.preadv(fd, [rows[i]], 0)
            os.close(fd)
        return rows

    def get(self, ids):
        """control/get, by hand."""
        size = len(ids) * self.row.nbytes
        os.write(self.control, ids.astype("<u8").tobytes())
        answer = read_all(self.control, size + len(ids))
        if answer[size:] != b"\1" * len(ids):
            raise OSError(errno.ENOENT, "some are missing")
        return numpy.frombuffer(answer, "<f4", len(ids) * len(self.row)).reshape(len(ids), -1)

    def unsafe_map(self, ids):
        """Nobody says that a row is whole, or that it is still the vector's."""
        return self.map[ids]

    def module(self, ids):
        """quiverfs for Python."""
        if self.opened is None:
            sys.path.insert(0, os.environ["QUIVERFS_PYTHON"])
            import quiverfs
            self.opened = quiverfs.open(self.point)
        return self.opened[ids]

    def run(self, way, turn, first):
        """A step of the loop: its vectors, and their sum, as somebody does something with them. In
        the first epoch the pages of a map have not been touched."""
        take = getattr(self, way)
        self.open_map()
        if not first:
            self.map.sum()
        order = numpy.random.default_rng(turn).permutation(self.count)
        batches = [order[at:at + BATCH] for at in range(0, self.count, BATCH)][:STEPS]
        take(batches[0])
        took = [self.watch.once(lambda: take(batch).sum()) for batch in batches]
        return {clock: statistics.median(one[clock] for one in took) for clock in took[0]}


WHO = {"library": Library, "mount": Mount, "many": Many}
