"""How fast each format goes in and out, beside `cp` of the same bytes."""

import os
import random
import shutil

import host
from blocks import Block

CP = "cp"
OURS = "quiverfs"
# What export writes and import reads: the name for --format, and the ending where another one
# tells more.
FORMATS = {
    "npy": "npy", "npy, gzip": "npy.gz", "npy, Zstandard": "npy.zst", "npz": "npz",
    "raw": "raw", "fvecs": "fvecs", "fbin": "fbin", "safetensors": "safetensors",
    "hdf5": "hdf5", "parquet": "parquet", "arrow": "arrow", "w2vbin": "w2vbin", "csv": "csv",
    "jsonl": "jsonl", "json": "json", "glove": "glove", "word2vec": "word2vec",
}
NOISE_WORDS = 1 << 20
ROOM_TIMES = 16  # the vectors' bytes: two stores, and text with its copy


def noise(seed, length):
    """Bytes of float32 from 0.5 to 1, either sign: as many digits and bits as vectors have."""
    block = 4 * NOISE_WORDS
    keep = int.from_bytes(b"\xff\xff\x7f\x80" * NOISE_WORDS, "little")
    half = int.from_bytes(b"\0\0\0\x3f" * NOISE_WORDS, "little")
    chance = random.Random(seed)
    while length > 0:
        number = int.from_bytes(chance.randbytes(block), "little")
        yield (number & keep | half).to_bytes(block, "little")[:length]
        length -= block


class FormatBlock(Block):
    """One format. Each system moves the same file; ns for each MB of it."""

    unit = "stream"
    mounted = False

    def __init__(self, name, work):
        self.name = name
        self.rows = [f"import {name}", f"export {name}"]
        self.file = os.path.join(work, "vectors." + FORMATS[name])
        self.copy = os.path.join(work, "copy." + FORMATS[name])
        self.words = ["--format", name.split(",")[0]]

    def systems(self, bench):
        return [CP, OURS]

    def baseline(self, bench):
        return CP

    def run(self, bench, system):
        """`cp` has its bytes on the disk when it is done, as an import and an export have."""
        if not os.path.exists(self.file):
            host.run([bench.quiverfs, "export", bench.store, self.file, *self.words])
        megabytes = os.path.getsize(self.file) / 1e6
        store = os.path.join(bench.work, "again")
        try:
            if system == CP:
                took = host.timed(["sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", self.file, self.copy])
                yield self.rows[0], took / megabytes, {}
                yield self.rows[1], took / megabytes, {}
                return
            bench.create_store(store)
            took = host.timed([bench.quiverfs, "import", store, self.file, *self.words,
                               "--start-id", 0])
            yield self.rows[0], took / megabytes, {"bytes": os.path.getsize(self.file)}
            took = host.timed([bench.quiverfs, "export", bench.store, self.copy, *self.words])
            yield self.rows[1], took / megabytes, {}
        finally:
            shutil.rmtree(store, ignore_errors=True)
            if os.path.exists(self.copy):
                os.unlink(self.copy)


    def end(self):
        if os.path.exists(self.file):
            os.unlink(self.file)


def fill(bench):
    """The store that all files are exported from."""
    source = os.path.join(bench.work, "noise.npy")
    shape = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({bench.count}, {bench.dim}), }}"
    with open(source, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + (118).to_bytes(2, "little") + f"{shape:<117}\n".encode())
        for block in noise(bench.seed, bench.count * bench.vector_bytes):
            file.write(block)
    bench.create_store(bench.store)
    host.run([bench.quiverfs, "import", bench.store, source])
    os.unlink(source)


def all_blocks(bench):
    return [FormatBlock(name, bench.work) for name in FORMATS]
