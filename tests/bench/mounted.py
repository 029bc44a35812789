"""The rows of folders and mounts: what a user does with files."""

import glob
import os
import shutil
import tempfile

import host
from blocks import Block
from places import Quiverfs

CLIENTS = (1, 2)

MANY = 1_000_000  # vectors of the listings that are to be many times as fast as ext4's


def files(bench, row, path, clients=1, **more):
    """A row of the worker `files`; ns for each operation, and all it said."""
    options = {"count": bench.count, "start": bench.count, "ops": bench.file_ops,
               "bytes": bench.vector_bytes, "seed": bench.seed, "workers": clients, **more}
    said = host.run_worker(bench.workers / "files", row, path, **options)
    return said["ns"] / said["ops"], said


class PlaceBlock(Block):
    """Measurements on one place, started for them and stopped again."""

    cold = False

    def baseline(self, bench):
        return bench.disk_name

    def systems(self, bench):
        return [place for place in bench.places if self.fits(place)]

    def fits(self, place):
        return not self.cold or (place.can_be_cold and host.can_drop_caches())

    def run(self, bench, place):
        folder = place.start(self.cold)
        try:
            yield from self.measure(bench, folder)
        finally:
            place.stop()

    def measure(self, bench, folder):
        raise NotImplementedError


class ReadCold(PlaceBlock):
    cold = True

    def __init__(self, order, clients):
        self.order = order
        self.clients = clients
        self.row = f"read cold, {'slot order' if order == 'list' else 'random'} x{clients}"
        self.rows = [self.row]

    def measure(self, bench, folder):
        # Each vector once: it is cold only once.
        yield self.row, *files(bench, "read", folder, self.clients, order=self.order,
                               ops=min(bench.count, bench.cold_ops))


class Warm(PlaceBlock):
    def __init__(self, clients):
        self.clients = clients
        self.rows = [f"read cached x{clients}", f"stat warm x{clients}"]

    def measure(self, bench, folder):
        files(bench, "read", folder, self.clients)
        yield self.rows[0], *files(bench, "read", folder, self.clients)
        yield self.rows[1], *files(bench, "stat", folder, self.clients)


class WarmPart(PlaceBlock):
    """As many of the vectors as passthrough_hp, which has each file open, can have; the
    others read the same ones."""

    def __init__(self, clients):
        self.clients = clients
        self.rows = [f"read cached, beside passthrough_hp x{clients}"]

    def baseline(self, bench):
        return "passthrough_hp"

    def systems(self, bench):
        if not bench.part_places:
            return []
        ours = [place for place in bench.places if isinstance(place, Quiverfs)]
        return ours + bench.part_places

    def measure(self, bench, folder):
        files(bench, "read", folder, self.clients, count=bench.part_count)
        yield self.rows[0], *files(bench, "read", folder, self.clients, count=bench.part_count)


class StatCold(PlaceBlock):
    cold = True

    def __init__(self, clients):
        self.clients = clients
        self.rows = [f"stat cold x{clients}"]

    def measure(self, bench, folder):
        yield self.rows[0], *files(bench, "stat", folder, self.clients)


class Write(PlaceBlock):
    def __init__(self, clients):
        self.clients = clients
        self.steps = {
            "create": f"create x{clients}",
            "truncate": f"overwrite, O_TRUNC x{clients}",
            "rename": f"overwrite, rename x{clients}",
            "delete": f"delete x{clients}",
        }
        self.rows = list(self.steps.values())

    def fits(self, place):
        return place.can_write

    def run(self, bench, place):
        host.forget_deletions()
        yield from super().run(bench, place)

    def measure(self, bench, folder):
        os.listdir(folder)  # as it would be without the line above
        for step, row in self.steps.items():
            # What the step before left to be written would be paid for by this one.
            os.sync()
            yield row, *files(bench, step, folder, self.clients)


class List(PlaceBlock):
    """Cold, where that is possible, and then warm."""

    def __init__(self, worker_row, title, clients):
        self.worker_row = worker_row
        self.clients = clients
        self.rows = [f"{title} cold x{clients}", f"{title} warm x{clients}"]

    def run(self, bench, place):
        cold = place.can_be_cold and host.can_drop_caches()
        folder = place.start(cold)
        try:
            first = files(bench, self.worker_row, folder, self.clients)
            if cold:
                yield self.rows[0], *first
            yield self.rows[1], *files(bench, self.worker_row, folder, self.clients)
        finally:
            place.stop()


class Command(PlaceBlock):
    """A program that goes through all vectors, cold and then warm."""

    def __init__(self, title):
        self.title = title
        self.rows = [f"{title} cold", f"{title} warm"]

    def once(self, bench, folder):
        """ns it takes."""
        raise NotImplementedError

    def run(self, bench, place):
        cold = place.can_be_cold and host.can_drop_caches()
        folder = place.start(cold)
        try:
            first = self.once(bench, folder)
            if cold:
                yield self.rows[0], first / bench.count, {"ns": first}
            second = self.once(bench, folder)
            yield self.rows[1], second / bench.count, {"ns": second}
        finally:
            place.stop()


class FindNewer(Command):
    def once(self, bench, folder):
        return host.timed(["find", folder, "-newer", bench.marker])


class ListMany(Block):
    """A million vectors, cold. They are small, since nobody looks at their bytes. On tmpfs, where
    nothing is cold, one sees what the programs and the kernel take by themselves."""

    rows = [f"ls -l of {MANY:,} cold", f"find -newer of {MANY:,} cold"]

    def baseline(self, bench):
        return bench.disk_name

    def systems(self, bench):
        if bench.quick or not host.can_drop_caches():
            return []
        return ["quiverfs", "quiverfs ro", bench.disk_name, "bare FUSE", "tmpfs"]

    def run(self, bench, system):
        place = bench.many_place(system, MANY)
        try:
            yield self.rows[0], *files(bench, "list-attr", place.start(True), count=MANY)
            place.stop()
            ns = host.timed(["find", place.start(True), "-newer", bench.many_marker])
            yield self.rows[1], ns / MANY, {"ns": ns}
        finally:
            place.stop()


class Tar(Command):
    # tar reads nothing where it sees that its output is /dev/null.
    def once(self, bench, folder):
        return host.timed(["sh", "-c", 'tar -c -C "$1" . | cat >/dev/null', "sh", folder])


class RsyncOut(Command):
    """What was copied is deleted behind both runs, and forgotten when caches are dropped for the
    next."""

    def run(self, bench, place):
        host.forget_deletions()
        try:
            yield from super().run(bench, place)
        finally:
            for target in glob.glob(os.path.join(bench.work, "out-*")):
                shutil.rmtree(target)

    def once(self, bench, folder):
        target = tempfile.mkdtemp(prefix="out-", dir=bench.work)
        return host.timed(["rsync", "-a", folder + "/", target + "/"])


class RsyncIn(PlaceBlock):
    """From a folder that is in memory, into a new place."""

    rows = ["rsync -a in"]

    def fits(self, place):
        return place.can_write

    def run(self, bench, place):
        host.forget_deletions()
        files(bench, "read", bench.ext4_folder, ops=bench.count)
        with place.fresh() as folder:
            ns = host.timed(["rsync", "-a", bench.ext4_folder + "/", folder + "/"])
            yield self.rows[0], ns / bench.count, {"ns": ns}


class Matrix(Block):
    """The whole matrix through matrix.npy, beside the native file."""

    rows = [f"matrix.npy, {how} {state}" for how in ("read", "mmap") for state in ("cold", "warm")]
    unit = "stream"

    def baseline(self, bench):
        return "native file"

    def systems(self, bench):
        return [place for place in bench.places if isinstance(place, Quiverfs)] + ["native file"]

    def run(self, bench, place):
        for how in ("read", "mmap"):
            cold = host.can_drop_caches()
            file = self.start(bench, place, cold)
            try:
                for state in ["cold", "warm"] if cold else ["warm", "warm"]:
                    said = host.run_worker(bench.workers / "stream", how, file)
                    yield f"matrix.npy, {how} {state}", said["ns"] / said["bytes"] * 1e6, said
            finally:
                if place != "native file":
                    place.stop()

    @staticmethod
    def start(bench, place, cold):
        if place != "native file":
            folder = place.start(cold)
            return os.path.join(os.path.dirname(folder), "matrix.npy")
        if cold:
            host.drop_caches()
        return os.path.join(bench.store, "vectors.npy")


class Import(Block):
    """A .npy of all vectors into a new store. An import ends on stable storage; a plain
    cp does not, so there is one with a sync as well. The processor's time is that of whoever
    stores them: of the daemon or, where there is none, of the program."""

    rows = ["import", "import, processor time"]

    def baseline(self, bench):
        return "cp"

    def systems(self, bench):
        return ["quiverfs live", "quiverfs stopped", "cp", "cp and sync"]

    def run(self, bench, system):
        with open(bench.npy, "rb") as file:  # in memory for the first, too
            while file.read(1 << 20):
                pass
        os.sync()
        with tempfile.TemporaryDirectory(prefix="import-", dir=bench.work) as folder:
            target = os.path.join(folder, "target")
            if system == "quiverfs live":
                with bench.default_place.fresh_mount() as daemon:
                    pid = daemon.process.pid
                    ns, cpu_ns = self.measure([bench.quiverfs, "import", daemon.point, bench.npy],
                                              lambda: host.cpu_ns(pid))
            elif system == "quiverfs stopped":
                bench.create_store(target)
                ns, cpu_ns = self.measure([bench.quiverfs, "import", target, bench.npy])
            elif system == "cp":
                ns, cpu_ns = self.measure(["cp", bench.npy, target])
            else:
                ns, cpu_ns = self.measure(["sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh",
                                           bench.npy, target])
        yield self.rows[0], ns / bench.count, {"ns": ns}
        yield self.rows[1], cpu_ns / bench.count, {"ns": cpu_ns}

    @staticmethod
    def measure(command, processor=host.children_cpu_ns):
        """How many ns the program takes, and of a processor."""
        before = processor()
        ns = host.timed(command)
        return ns, processor() - before


class Space(Block):
    """Bytes on disk over bytes of vectors."""

    rows = ["bytes on disk over bytes of vectors"]
    unit = "ratio"
    one_round = True

    def systems(self, bench):
        return ["quiverfs", bench.disk_name]

    def run(self, bench, system):
        folder = bench.store if system == "quiverfs" else bench.ext4_folder
        used = host.allocated_bytes(folder)
        yield self.rows[0], used / (bench.count * bench.vector_bytes), {"bytes": used}


class DaemonMemory(Block):
    """Of a daemon whose every vector was looked at, beyond one with an empty store."""

    rows = ["memory of the daemon"]
    unit = "bytes"
    one_round = True

    def systems(self, bench):
        return [place for place in bench.places if isinstance(place, Quiverfs)]

    def run(self, bench, place):
        with bench.default_place.fresh_mount() as daemon:
            os.listdir(os.path.join(daemon.point, "vectors"))
            empty = host.anonymous_bytes(daemon.process.pid)
        folder = place.start(False)
        try:
            files(bench, "list-attr", folder)
            files(bench, "read", folder)
            full = host.anonymous_bytes(place.daemon.process.pid)
        finally:
            place.stop()
        yield self.rows[0], max(0, full - empty) / bench.count, {"empty": empty, "full": full}


def blocks():
    """All of them: those that only read first, as the others move vectors about."""
    return [
        Space(),
        DaemonMemory(),
        *(ReadCold("random", clients) for clients in CLIENTS),
        *(ReadCold("list", clients) for clients in CLIENTS),
        *(Warm(clients) for clients in CLIENTS),
        *(WarmPart(clients) for clients in CLIENTS),
        *(List("list", "list names", clients) for clients in CLIENTS),
        *(List("list-attr", "list with attributes", clients) for clients in CLIENTS),
        FindNewer("find -newer"),
        Matrix(),
        Import(),
        Tar("tar c"),
        RsyncOut("rsync -a out"),
        RsyncIn(),
        *(StatCold(clients) for clients in CLIENTS),
        *(Write(clients) for clients in CLIENTS),
        ListMany(),
    ]
