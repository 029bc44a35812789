"""Clients of a mount: each does one operation after the other and notes when."""

import contextlib
import mmap
import os
import pickle
import random
import struct
import threading
import time
import traceback

import numpy

import nearest_oracle
from files import RENAME_NOREPLACE, opened, read_chunks, rename2
from linearizable import Operation
from versions import content, version_of

GROUP_VECTORS = 3
GROUPS = 5
THREADS = 2
now = time.monotonic_ns


class Client:
    """One thread of work. Groups are apart from each other; renames and batches stay
    within one."""

    def __init__(self, mount, number, seed, end):
        self.point = mount.vectors
        self.put_path = mount.control_folder / "put"
        self.snapshots = mount.point / "snapshots"
        # Of bytes the distances are exact, and tell a version.
        self.question = content(0, mount.size) if mount.store.dtype == "u1" else None
        self.nearest_path = mount.control_folder / "nearest"
        self.size = mount.size
        self.number = number
        self.rng = random.Random(f"{seed} client {number}")
        self.end = end
        self.version = (number + 1) << 40
        self.groups = [[] for _ in range(GROUPS)]

    def next_version(self):
        self.version += 1
        return self.version

    def path(self, group, vector):
        return self.point / str(100 * group + vector)

    def note(self, group, kind, began, **words):
        self.groups[group].append(Operation(kind, began, now(), client=self.number, **words))

    # ---- reading ----------------------------------------------------------

    def read(self, group, vector):
        path, began = self.path(group, vector), now()
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            self.note(group, "read", began, vector=vector)
            return
        ended = now()
        try:
            data = self.bytes_of(fd)
        finally:
            os.close(fd)
        self.groups[group].append(Operation(
            "read", began, ended, vector=vector, client=self.number,
            version=version_of(data, self.size, str(path))))

    def bytes_of(self, fd):
        way = self.rng.randrange(4)
        if way == 0:
            # ENODEV: an older version is in the page cache, so this one stays out.
            with contextlib.suppress(OSError), \
                    mmap.mmap(fd, self.size, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
                return mapped[:]
        step = self.size if way == 1 else self.rng.randrange(1, self.size)
        return b"".join(os.pread(fd, step, at) for at in range(0, self.size, step))[:self.size]

    def stat(self, group, vector):
        began = now()
        try:
            size = os.stat(self.path(group, vector)).st_size
        except FileNotFoundError:
            self.note(group, "exists", began, vector=vector, yes=False)
            return
        assert size == self.size
        self.note(group, "exists", began, vector=vector)

    def list_all(self, *_):
        began = now()
        names = [name for name in os.listdir(self.point) if not name.startswith(".")]
        ended = now()
        assert len(names) == len(set(names)), f"twice in one listing: {sorted(names)}"
        for group in range(GROUPS):
            for vector in range(GROUP_VECTORS):
                self.groups[group].append(Operation(
                    "exists", began, ended, vector=vector, client=self.number,
                    yes=str(100 * group + vector) in names))

    def frozen(self, folder):
        """The versions of all vectors that there are in a snapshot, by name."""
        found = {}
        for name in os.listdir(folder):
            if not name.startswith("."):
                path = folder / name
                found[name] = version_of(path.read_bytes(), self.size, str(path))
        return found

    def snapshot(self, *_):
        """What it has was there at one moment of its mkdir, in all groups; and stays."""
        folder, began = self.snapshots / f"{self.number}-{self.next_version():x}", now()
        os.mkdir(folder)
        ended = now()
        found = self.frozen(folder / "vectors")
        for group in range(GROUPS):
            self.groups[group].append(Operation(
                "snapshot", began, ended, client=self.number,
                versions={vector: found.get(str(100 * group + vector), 0)
                          for vector in range(GROUP_VECTORS)}))
        time.sleep(self.rng.random() * 0.02)
        again = self.frozen(folder / "vectors")
        assert again == found, f"{folder} was {found} and is {again}"
        os.rmdir(folder)

    def nearest(self, *_):
        """A question to all of them: how far each is tells its version. Who is not among the
        nearest is not there, where fewer were answered than asked for."""
        most = self.rng.choice((GROUPS * GROUP_VECTORS + 1, GROUP_VECTORS))
        began = now()
        with opened(self.nearest_path, os.O_RDWR) as fd:
            os.write(fd, nearest_oracle.request(self.question, 1, most, "l2",
                                                self.rng.choice((0, nearest_oracle.EXACT))))
            answer = read_chunks(fd, 1 << 16)
        ended = now()
        (told,) = nearest_oracle.answers(answer, 1, most)
        assert told == sorted(told, key=lambda one: (one[1], one[0])), told
        found = dict(told)
        assert len(found) == len(told), f"twice in one answer: {told}"
        for group in range(GROUPS):
            for vector in range(GROUP_VECTORS):
                distance = found.pop(100 * group + vector, None)
                if distance is not None or len(told) < most:
                    self.groups[group].append(Operation(
                        "read" if distance is None else "near", began, ended, vector=vector,
                        client=self.number, distance=distance or 0))
        assert not found, f"answers that nobody wrote: {found}"

    # ---- changing ---------------------------------------------------------

    def write(self, group, vector):
        """In one call, in pieces, or with fsync: the call that commits is noted."""
        version, flags = self.next_version(), os.O_WRONLY | os.O_CREAT
        data, way = content(version, self.size), self.rng.choice(("once", "once", "close", "sync"))
        opened = now()
        fd = os.open(self.path(group, vector),
                     flags | (os.O_TRUNC if way != "once" else self.rng.choice((0, os.O_TRUNC))))
        with contextlib.ExitStack() as leave:
            leave.callback(os.close, fd)
            if way == "once":
                began = now()
                os.write(fd, data)
            else:
                cut = self.rng.randrange(1, self.size)
                os.write(fd, data[:cut])
                os.write(fd, data[cut:])
                began = now()
                if way == "sync":
                    os.fsync(fd)
                else:
                    leave.pop_all()
                    os.close(fd)
            self.note(group, "write", began, vector=vector, version=version, opened=opened)

    def write_new(self, group, vector):
        """O_EXCL: fails at open where the vector is, at commit where it came since."""
        version, opened = self.next_version(), now()
        try:
            fd = os.open(self.path(group, vector), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            self.note(group, "exists", opened, vector=vector)
            return
        self.note(group, "exists", opened, vector=vector, yes=False)
        began = now()
        try:
            os.write(fd, content(version, self.size))
        except FileExistsError:
            self.note(group, "exists", began, vector=vector)
            with contextlib.suppress(OSError):
                os.close(fd)  # there is no vector of this handle's: EINVAL
            return
        self.note(group, "write", began, vector=vector, version=version, fresh=True,
                  opened=opened)
        os.close(fd)

    def replace(self, group, vector):
        version, scratch = self.next_version(), self.point / f".{self.number}"
        scratch.write_bytes(content(version, self.size))
        began = now()
        os.rename(scratch, self.path(group, vector))
        self.note(group, "write", began, vector=vector, version=version, replaces=True)

    def remove(self, group, vector):
        began = now()
        try:
            os.unlink(self.path(group, vector))
        except FileNotFoundError:
            self.note(group, "exists", began, vector=vector, yes=False)
            return
        self.note(group, "remove", began, vector=vector)

    def rename(self, group, vector):
        other = (vector + self.rng.randrange(1, GROUP_VECTORS)) % GROUP_VECTORS
        fresh = self.rng.random() < 0.3
        began = now()
        try:
            rename2(self.path(group, vector), self.path(group, other),
                    RENAME_NOREPLACE if fresh else 0)
        except FileNotFoundError:
            self.note(group, "exists", began, vector=vector, yes=False)
        except FileExistsError:
            self.note(group, "exists", began, vector=other)
        else:
            self.note(group, "rename", began, vector=vector, other=other, fresh=fresh)

    def put(self, group, _):
        versions = {vector: self.next_version()
                    for vector in self.rng.sample(range(GROUP_VECTORS), 2)}
        data = b"".join(struct.pack("<Q", 100 * group + vector) + content(version, self.size)
                        for vector, version in versions.items())
        fd = os.open(self.put_path, os.O_WRONLY)
        try:
            began = now()
            os.write(fd, data)
            self.note(group, "put", began, versions=versions)
        finally:
            os.close(fd)

    def run(self):
        kinds = [self.read] * 12 + [self.write] * 8 + [self.write_new] * 2 + [self.replace] * 2 + \
            [self.remove] * 3 + [self.rename] * 3 + [self.put] * 2 + [self.stat] * 4 + \
            [self.list_all] + ([self.snapshot] if self.snapshots.exists() else []) + \
            ([self.nearest] * 4 if self.question else [])
        while time.monotonic() < self.end:
            # Group 0 is the busiest, so that operations meet.
            group = min(self.rng.randrange(GROUPS), self.rng.randrange(GROUPS))
            self.rng.choice(kinds)(group, self.rng.randrange(GROUP_VECTORS))


def name_targets(groups, size):
    """Which versions are as far from the question as was answered, of all that were written."""
    versions = {version for group in groups for op in group
                for version in (op.version, *(op.versions or {}).values())} - {0}
    question = numpy.frombuffer(content(0, size), "u1").astype("i8")
    at_distance = {}
    for version in versions:
        other = numpy.frombuffer(content(version, size), "u1")
        at_distance.setdefault(int(((question - other)**2).sum()), []).append(version)
    for op in (op for group in groups for op in group if op.kind == "near"):
        op.targets = tuple(at_distance.get(op.distance, ()))
        assert op.targets, f"at a distance that no version has: {op}"


class Process:
    """Clients in the threads of one process; `result` is what each of them did."""

    def __init__(self, clients):
        self.clients = clients
        self.faults = []
        theirs, ours = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(theirs)
            self.serve(ours)
        os.close(ours)
        self.pipe = os.fdopen(theirs, "rb")

    def serve(self, pipe):
        try:
            threads = [threading.Thread(target=self.run, args=(client,))
                       for client in self.clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            with os.fdopen(pipe, "wb") as out:
                pickle.dump((self.faults, [client.groups for client in self.clients]), out)
        finally:
            os._exit(0)

    def run(self, client):
        try:
            client.run()
        except BaseException:
            self.faults.append(f"client {client.number}: {traceback.format_exc()}")

    def result(self):
        with self.pipe:
            data = self.pipe.read()
        os.waitpid(self.pid, 0)
        assert data, f"process {self.pid} told nothing"
        faults, groups = pickle.loads(data)
        assert not faults, "\n".join(faults)
        return groups
