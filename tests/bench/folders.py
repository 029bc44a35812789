"""How fast a folder of files, one a vector, goes in and out, beside what `rsync -a` does with a
mount: for the first time, and again where little or nothing has changed."""

import os
import random
import shutil

import host
from blocks import Block
from places import Quiverfs

RSYNC = "rsync -a, mount"
STORE = "quiverfs, store"
MOUNT = "quiverfs, mount"
CHANGED_SHARE = 100  # one file of so many
ROOM_TIMES = 8  # the vectors' bytes: files of one block and more, twice, and two stores
FILE_BYTES = 4096 + 512


class FolderBlock(Block):
    """All of it once, from warm or from cold files. The mount is made anew before each row, so that
    the kernel has no names and attributes of it. ns for each vector."""

    mounted = False

    def __init__(self, source, cold):
        self.source = source
        self.cold = cold
        where = ", cold" if cold else ""
        self.rows = [f"folder in{where}", f"again, nothing changed{where}",
                     f"again, 1% changed{where}", f"folder out{where}"]

    def systems(self, bench):
        return [RSYNC, STORE, MOUNT]

    def baseline(self, bench):
        return RSYNC

    def commands(self, bench, system, out):
        """Of the four rows: the words; "MNT" is the
        mount."""
        source = self.source + "/"
        if system == RSYNC:
            copy = ["rsync", "-a", source, "MNT/vectors/"]
            return [copy, copy, copy, ["rsync", "-a", "MNT/vectors/", out]]
        store = bench.store if system == STORE else "MNT"
        again = [bench.quiverfs, "import", "--update", store, source]
        return [[bench.quiverfs, "import", store, source], again, again,
                [bench.quiverfs, "export", store, out]]

    def change_some(self, bench):
        for vector in random.sample(range(bench.count), bench.count // CHANGED_SHARE):
            path = os.path.join(self.source, str(vector))
            with open(path, "r+b") as file:
                file.write(os.urandom(16))

    def timed(self, bench, system, words):
        place = Quiverfs("quiverfs", bench.store, bench, [])
        if self.cold:
            host.drop_caches()
        if system == STORE:
            return host.timed(words)
        place.start(False)
        try:
            point = place.daemon.point
            return host.timed([str(word).replace("MNT", point, 1) for word in words])
        finally:
            place.stop()

    def run(self, bench, system):
        out = os.path.join(bench.work, "out/")
        shutil.rmtree(bench.store, ignore_errors=True)
        bench.create_store(bench.store)
        try:
            host.forget_deletions()
            if not self.cold:
                for name in os.listdir(self.source):
                    with open(os.path.join(self.source, name), "rb") as file:
                        file.read()
            for row, words in zip(self.rows, self.commands(bench, system, out)):
                if row == self.rows[2]:
                    self.change_some(bench)
                yield row, self.timed(bench, system, words) / bench.count, {}
        finally:
            shutil.rmtree(out, ignore_errors=True)


def all_blocks(bench):
    """The files are made here."""
    bench.need_room(bench.count * max(bench.vector_bytes, FILE_BYTES) * ROOM_TIMES)
    source = os.path.join(bench.work, "source")
    bench.fill(source, bench.count, bench.vector_bytes)
    warm = FolderBlock(source, False)
    return [warm, FolderBlock(source, True)] if host.can_drop_caches() else [warm]
