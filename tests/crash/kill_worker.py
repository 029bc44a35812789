"""The processes that use a mount until its daemon dies, and tell what they did."""

import errno
import os
import pickle
import random
import struct
import time
import traceback

from kill_oracle import FOREVER, Disturbance, Operation, written
from versions import content

# What a call on a mount says when its daemon is gone (the last: with its ring).
DEAD = (errno.ENOTCONN, errno.ECONNABORTED, errno.ECANCELED)
OWN_VECTORS = 12
SHARED = range(900, 906)
OPERATIONS_MAX = 20000
MODES = ("always", "fsync", "flush", "none")


class Worker:
    """Owns vectors 1000 × number + …; the shared ones are everybody's."""

    def __init__(self, number, mount, base, seed, round_number, clock=time.monotonic_ns,
                 end=FOREVER):
        self.number = number
        self.clock = clock
        self.end = end
        self.point = self.place = mount.vectors
        self.put_path = mount.control_folder / "put"
        self.size = mount.size
        self.rng = random.Random(f"{seed} worker {number} round {round_number}")
        self.own = [1000 * (number + 1) + i for i in range(OWN_VECTORS)]
        self.version = (number + 1) << 48 | round_number << 24
        self.state = dict(base)
        self.operations = []
        self.shared = []

    def path(self, vector):
        return self.point / str(vector)

    def next_version(self):
        self.version += 1
        return self.version

    def do(self, name, changes, action, shared=False):
        """Do it, with its interval noted before and after."""
        op = Operation(name, changes, self.clock())
        (self.shared if shared else self.operations).append(op)
        action()
        op.ended = self.clock()
        wall_ended = time.time_ns()
        for vector, new in op.changes.items():
            if isinstance(new, tuple) and new[2] is None:
                op.changes[vector] = (*new[:2], wall_ended, new[3])
        if not shared:
            op.apply(self.state)

    def write(self, path, data, chunks=1, sync=False):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if chunks > 1 else 0), 0o666)
        try:
            step = -(-len(data) // chunks)
            for at in range(0, len(data), step):
                os.write(fd, data[at:at + step])
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)

    # ---- one of each kind -------------------------------------------------

    def overwrite(self):
        vector, version = self.rng.choice(self.own), self.next_version()
        mode = self.state[vector][3] if vector in self.state else 0o666
        chunks, sync = self.rng.choice((1, 1, 2, 7)), self.rng.random() < 0.1
        self.do(f"write {vector}", {vector: written(version, time.time_ns(), mode)},
                lambda: self.write(self.path(vector), content(version, self.size), chunks, sync))

    def replace_by_scratch(self):
        vector, version = self.rng.choice(self.own), self.next_version()
        scratch = self.point / f".{self.number}.new"
        if self.rng.random() < 0.5:
            folder = self.point / f".~{self.number}~"  # gone after each kill
            folder.mkdir(exist_ok=True)
            scratch = folder / str(vector)
        self.write(scratch, content(version, self.size))
        stamp = self.rng.randrange(1 << 60)
        os.utime(scratch, ns=(stamp, stamp))
        self.do(f"replace {vector}", {vector: (version, stamp, stamp, 0o666)},
                lambda: os.rename(scratch, self.path(vector)))

    def remove(self):
        present = [vector for vector in self.own if vector in self.state]
        if present:
            vector = self.rng.choice(present)
            self.do(f"remove {vector}", {vector: None}, lambda: os.unlink(self.path(vector)))

    def rename(self):
        present = [vector for vector in self.own if vector in self.state]
        if not present:
            return
        old, new = self.rng.choice(present), self.rng.choice(self.own)
        if old != new:
            self.do(f"rename {old} {new}", {old: None, new: self.state[old]},
                    lambda: os.rename(self.path(old), self.path(new)))

    def touch(self):
        present = [vector for vector in self.own if vector in self.state]
        if not present:
            return
        vector = self.rng.choice(present)
        version, low, high, mode = self.state[vector]
        ctime = os.stat(self.path(vector)).st_ctime_ns
        if self.rng.random() < 0.5:
            stamp = self.rng.randrange(1 << 60)
            self.do(f"touch {vector}", {vector: (version, stamp, stamp, mode)},
                    lambda: os.utime(self.path(vector), ns=(stamp, stamp)))
        else:
            mode = self.rng.randrange(0o10000) & 0o777
            if os.geteuid() != 0:
                mode |= 0o600  # or the next write would be refused
            self.do(f"chmod {vector}", {vector: (version, low, high, mode)},
                    lambda: os.chmod(self.path(vector), mode))
        after = os.stat(self.path(vector)).st_ctime_ns
        assert after > ctime, f"vector {vector}: a ctime of {after} after one of {ctime}"

    def put_batch(self):
        batch = {vector: self.next_version()
                 for vector in self.rng.sample(self.own, self.rng.randrange(2, 6))}
        now = time.time_ns()
        changes = {vector: written(version, now,
                                   self.state[vector][3] if vector in self.state else 0o666)
                   for vector, version in batch.items()}
        data = b"".join(struct.pack("<Q", vector) + content(version, self.size)
                        for vector, version in batch.items())

        def put():
            fd = os.open(self.put_path, os.O_WRONLY)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)

        self.do(f"put {sorted(batch)}", changes, put)

    def write_shared(self):
        vector, version = self.rng.choice(SHARED), self.next_version()
        self.do(f"write {vector}", {vector: written(version, time.time_ns(), 0o666)},
                lambda: self.write(self.path(vector), content(version, self.size)), shared=True)

    def remove_shared(self):
        vector = self.rng.choice(SHARED)

        def unlink():
            try:
                os.unlink(self.path(vector))
            except FileNotFoundError:
                pass  # somebody else was first; it is gone all the same

        self.do(f"remove {vector}", {vector: None}, unlink, shared=True)

    def run(self):
        os.umask(0)
        kinds = [self.overwrite] * 8 + [self.replace_by_scratch] * 2 + [self.remove] * 3 + \
            [self.rename] * 3 + [self.touch] * 4 + [self.put_batch] * 2 + \
            [self.write_shared] * 3 + [self.remove_shared]
        while len(self.operations) < OPERATIONS_MAX and time.monotonic() < self.end:
            self.rng.choice(kinds)()

    def result(self):
        return portable(self.operations), portable(self.shared)


def portable(operations):
    assert not any(callable(change) for op in operations for change in op.changes.values())
    return operations


class Disturber:
    """Checkpoints, compacts, syncs and changes the mode beside the writers."""

    def __init__(self, mount, seed, round_number, clock=time.monotonic_ns, end=FOREVER):
        self.clock = clock
        self.end = end
        self.folder = self.place = mount.control_folder
        self.rng = random.Random(f"{seed} disturber round {round_number}")
        self.events = []

    def run(self):
        while len(self.events) < OPERATIONS_MAX and time.monotonic() < self.end:
            name = self.rng.choice(("checkpoint", "flush", "compact start", "compact stop",
                                    "verify start", "reserve 2000", "durability"))
            if name == "durability":
                name += " " + self.rng.choice(MODES)
            word, _, value = name.partition(" ")
            event = Disturbance(name, self.clock())
            self.events.append(event)
            fd = os.open(self.folder / word, os.O_WRONLY)
            try:
                os.write(fd, (value or "1").encode())
            except OSError as error:
                if error.errno != errno.EBUSY:  # a job runs already
                    raise
            finally:
                os.close(fd)
            event.ended = self.clock()
            time.sleep(self.rng.random() * 0.02)

    def result(self):
        return self.events


class Process:
    """Runs a worker in a process of its own until the daemon dies under it, or its end."""

    def __init__(self, worker):
        theirs, ours = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(theirs)
            run_and_tell(worker, ours)
        os.close(ours)
        self.pipe = os.fdopen(theirs, "rb")

    def result(self, killed_ns=None, cut_off=()):
        """What it did, as soon as it is over. The daemon was killed at `killed_ns` of the
        monotonic clock, or was not; from then on it may have ended with an errno of `cut_off`."""
        with self.pipe:
            value, fault, number, ended_ns = pickle.loads(self.pipe.read())
        os.waitpid(self.pid, 0)
        by_kill = number in cut_off and killed_ns is not None and ended_ns >= killed_ns
        assert fault is None or by_kill, fault
        return value


def run_and_tell(worker, pipe):
    value, fault, number, ended_ns = None, None, None, None
    try:
        try:
            worker.run()
        except OSError as error:
            number, ended_ns = error.errno, time.monotonic_ns()
            if number not in DEAD:
                fault = traceback.format_exc()
        value = worker.result()
    except BaseException:
        fault, number = traceback.format_exc(), None
    finally:
        with os.fdopen(pipe, "wb") as out:
            out.write(pickle.dumps((value, fault, number, ended_ns)))
        os._exit(0)
