"""What a store of very many vectors must hold, and how long things took.

A vector is known by its number. Its ID, scattered over 32 bits, follows from the number
and its bytes follow from the ID and a version, so the oracle is one byte a vector.
"""

import os
import re
import subprocess
import threading
import time

import numpy

ID_BITS = 32
ID_FACTOR = 0x9E3779B1  # odd, so that no two numbers have one ID
ID_INVERSE = pow(ID_FACTOR, -1, 1 << ID_BITS)
ID_MASK = numpy.uint64((1 << ID_BITS) - 1)
ID_NONE = numpy.uint64(2**64 - 1)
WORD_STEP = numpy.uint64(0x9E3779B97F4A7C15)
CHUNK_BYTES = 4 << 20  # looked at at a time
NPY_HEADER_BYTES = 4096
SAMPLE_SECONDS = 0.1


def ids_of(numbers):
    return numpy.asarray(numbers, "<u8") * numpy.uint64(ID_FACTOR) & ID_MASK


def numbers_of(ids):
    return ids * numpy.uint64(ID_INVERSE) & ID_MASK


def mix(words):
    """The end of splitmix64, Steele et al. 2014."""
    words = (words ^ words >> numpy.uint64(30)) * numpy.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ words >> numpy.uint64(27)) * numpy.uint64(0x94D049BB133111EB)
    return words ^ words >> numpy.uint64(31)


class Vectors:
    """The oracle. Version 0: there is none."""

    def __init__(self, room, size):
        assert size % 8 == 0 and room <= 1 << ID_BITS
        self.size = size
        self.versions = numpy.zeros(room, "u1")

    def count(self):
        return int(numpy.count_nonzero(self.versions))

    def rows(self, ids, versions):
        """The bytes, a row for each."""
        first = mix(ids | versions.astype("<u8") << numpy.uint64(ID_BITS))
        return first[:, None] + numpy.arange(self.size // 8, dtype="<u8") * WORD_STEP

    def data(self, number, version):
        return self.rows(ids_of([number]), numpy.array([version], "u1")).tobytes()

    def chunks(self, first, count):
        """(numbers, rows) of `count` vectors, which are version 1 from now on."""
        step = max(1, CHUNK_BYTES // self.size)
        for at in range(first, first + count, step):
            numbers = numpy.arange(at, min(at + step, first + count), dtype="<u8")
            self.versions[at:at + len(numbers)] = 1
            yield numbers, self.rows(ids_of(numbers), self.versions[at:at + len(numbers)])

    def write_npy(self, file, first, count, dim, descr):
        """New vectors, as the contents of an NPY file."""
        shape = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count}, {dim}), }}"
        file.write(b"\x93NUMPY\x01\x00\x76\x00" + shape.ljust(117).encode() + b"\n")
        for _, rows in self.chunks(first, count):
            file.write(rows.data)

    def check_rows(self, seen, ids, rows):
        """Rows of the store: bytes of the version that is expected, and none twice."""
        numbers = numbers_of(ids)
        assert (ids_of(numbers) == ids).all() and (numbers < len(seen)).all(), "foreign IDs"
        before = numpy.count_nonzero(seen)
        seen[numbers] = True
        assert numpy.count_nonzero(seen) == before + len(ids), "an ID is there twice"
        wrong = (self.rows(ids, self.versions[numbers]) != rows).any(axis=1)
        assert not wrong.any(), f"vectors {ids[wrong][:10]} are not what was written"

    def check_ids(self, seen, ids):
        """Names of a listing."""
        numbers = numbers_of(ids)
        assert (ids_of(numbers) == ids).all() and (numbers < len(seen)).all(), "foreign IDs"
        before = numpy.count_nonzero(seen)
        seen[numbers] = True
        assert numpy.count_nonzero(seen) == before + len(ids), "a name is listed twice"

    def check_seen(self, seen):
        missing = numpy.flatnonzero((self.versions > 0) & ~seen)
        assert len(missing) == 0, f"{len(missing)} are missing: IDs {ids_of(missing[:10])}"
        ghosts = numpy.flatnonzero((self.versions == 0) & seen)
        assert len(ghosts) == 0, f"{len(ghosts)} were removed: IDs {ids_of(ghosts[:10])}"

    def check_files(self, matrix, ids_file):
        """All rows of matrix.npy and ids.npy, while nobody writes: free ones have no ID."""
        seen = numpy.zeros(len(self.versions), bool)
        step = max(1, CHUNK_BYTES // self.size)
        with open(ids_file, "rb") as names, open(matrix, "rb") as rows:
            names.seek(NPY_HEADER_BYTES)
            rows.seek(NPY_HEADER_BYTES)
            while True:
                ids = numpy.frombuffer(names.read(step * 8), "<u8")
                if len(ids) == 0:
                    break
                data = numpy.frombuffer(rows.read(len(ids) * self.size), "<u8")
                data = data.reshape(len(ids), self.size // 8)
                live = ids != ID_NONE
                self.check_rows(seen, ids[live], data[live])
        self.check_seen(seen)

    def check_listing(self, folder):
        """Every name, once. find(1) needs no attributes for this."""
        seen = numpy.zeros(len(self.versions), bool)
        words = ["find", folder, "-mindepth", "1", "-printf", "%f\n"]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as find:
            rest = b""
            while True:
                text = find.stdout.read(CHUNK_BYTES)
                lines, newline, rest = (rest + text).rpartition(b"\n")
                if newline:
                    self.check_ids(seen, numpy.fromstring(lines, "u8", sep="\n"))
                if not text:
                    break
            assert rest == b"" and find.wait() == 0
        self.check_seen(seen)


# ---- time and memory ------------------------------------------------------------------


def anonymous_bytes(pid):
    """Memory of a process that is not the page cache; 0 where it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            found = re.search(r"^RssAnon:\s+(\d+) kB", file.read(), re.M)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found.group(1)) << 10 if found else 0


def processor_seconds(pid):
    """What a process has used so far; 0 where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            words = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Steps:
    """Each step with its time, the time that the process which did it used of the processor, and
    the most memory that it had."""

    def __init__(self, say):
        self.say = say
        self.pid = 0  # whose memory is looked at
        self.most_bytes = 0
        self.processor = {}  # pid -> seconds
        self.done = threading.Event()
        self.sampler = threading.Thread(target=self.sample, daemon=True)
        self.sampler.start()

    def sample(self):
        while not self.done.wait(SAMPLE_SECONDS):
            self.look()

    def look(self):
        pid = self.pid
        self.processor[pid] = max(self.processor.get(pid, 0.0), processor_seconds(pid))
        self.most_bytes = max(self.most_bytes, anonymous_bytes(self.pid))

    def step(self, name, operations=0):
        return Step(self, name, operations)

    def close(self):
        self.done.set()
        self.sampler.join()


class Step:
    def __init__(self, steps, name, operations):
        self.steps = steps
        self.name = name
        self.operations = operations  # may be set on the way

    def __enter__(self):
        self.steps.most_bytes = 0
        self.steps.processor = {}
        self.steps.look()
        self.pid = self.steps.pid
        self.before = self.steps.processor[self.pid]
        self.began = time.monotonic()
        return self

    def __exit__(self, kind, error, trace):
        seconds = time.monotonic() - self.began
        self.steps.look()
        used = self.steps.processor.get(self.steps.pid, 0.0)
        used -= self.before if self.pid == self.steps.pid else 0.0
        each = f"{seconds / self.operations * 1e6:10.3f} us each" if self.operations else " " * 18
        self.steps.say(f"{self.name:38} {seconds:8.2f} s {each}, processor {used:8.2f} s, "
                       f"{self.steps.most_bytes / 2**20:7.1f} MiB"
                       + ("" if kind is None else "  failed"))


def run(steps, *words, feed=None, seconds):
    """Run a program, which must succeed. `feed` writes its standard input."""
    words = [str(word) for word in words]
    with subprocess.Popen(words, stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        steps.pid = process.pid
        killer = threading.Timer(seconds, process.kill)
        killer.start()
        try:
            if feed:
                with process.stdin as file:
                    feed(file)
            said = process.stdout.read().decode(errors="replace")
            assert process.wait() == 0, (words, said)
        finally:
            killer.cancel()
            os.sched_yield()
    return said
