"""Work through two mounts of one collection, and an oracle outside that knows what was
acknowledged: none of that may be lost, nothing may be torn, and nothing older may be read.

Versions of a vector count up. Each is written by one thread alone: `issued` before its first call,
`acked` when close(2) has returned 0. What has failed may happen later, or never; but nothing that
was issued before an acknowledged version may come back.
"""

import errno
import os
import random
import struct
import threading
import time
from collections import Counter

from harness import until

WRITERS = 4
READERS = 3
EACH = 8  # vectors of a writer
SPREAD = 37  # between two IDs, so that they lie in many objects
COMING = 5000  # IDs that come and go
COMING_COUNT = 6
PAUSE_SECONDS = 0.02  # after an error


def content(version, size):
    return struct.pack("<Q", version) * (size // 8)


def version_of(data, size):
    """None where it is torn."""
    whole = len(data) == size and data == data[:8] * (size // 8)
    return struct.unpack("<Q", data[:8])[0] if whole else None


def write(path, data):
    """Every call must succeed; the one that commits is close(2)."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        half = len(data) // 2
        os.write(fd, data[:half])
        os.write(fd, data[half:])
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)


def error_of(call, *words):
    try:
        call(*words)
    except OSError as error:
        return error.errno
    return 0


def finish(fd, data):
    """Write the last bytes, with which a vector is whole, and close; what the first of these calls
    that commits has said."""
    wrote = error_of(os.pwrite, fd, data[-8:], len(data) - 8)
    closed = error_of(os.close, fd)
    return wrote or closed


class Load:
    """`writing` and `reading` are the folders vectors/ of two mounts."""

    def __init__(self, writing, reading, size):
        self.writing, self.reading, self.size = writing, reading, size
        self.acked = [0] * (WRITERS * EACH)
        self.issued = [0] * (WRITERS * EACH)
        self.done = Counter()  # what has succeeded, of each thread
        self.errors = Counter()  # (what, errno)
        self.wrong = []
        self.stall_seconds = 0.0
        self.stopping = False
        work = [(self.write_some, n) for n in range(WRITERS)] + \
            [(self.read_some, n) for n in range(READERS)] + [(self.come_and_go, 0)]
        self.threads = [threading.Thread(target=self.run, args=words, daemon=True)
                        for words in work]

    # ---- the threads ------------------------------------------------------

    def run(self, step, number):
        name = (step.__name__, number)
        for count in range(1 << 62):
            if self.stopping:
                return
            began = time.monotonic()
            try:
                step(number, count)
                self.done[name] += 1
            except OSError as error:
                self.errors[step.__name__, error.errno] += 1
                time.sleep(PAUSE_SECONDS)
            except BaseException as error:  # pylint: disable=broad-except
                self.wrong.append(f"{name}: {error!r}")
                return
            self.stall_seconds = max(self.stall_seconds, time.monotonic() - began)

    def path(self, folder, vector):
        return os.path.join(folder, str(vector * SPREAD))

    def write_some(self, number, count):
        vector = number * EACH + count % EACH
        self.issued[vector] += 1
        version = self.issued[vector]
        write(self.path(self.writing, vector), content(version, self.size))
        self.acked[vector] = version

    def read_some(self, _, __):
        self.look_at(random.randrange(WRITERS * EACH), self.reading)

    def look_at(self, vector, folder):
        lowest = self.acked[vector]
        try:
            with open(self.path(folder, vector), "rb", buffering=0) as file:
                data = file.read(self.size + 1)
        except FileNotFoundError:
            if lowest == 0:
                return
            if not os.path.isdir(folder):
                raise  # it is not mounted now
            self.wrong.append(f"lost: vector {vector}, whose version {lowest} was acknowledged")
            return
        version, highest = version_of(data, self.size), self.issued[vector]
        if version is None:
            self.wrong.append(f"torn: vector {vector}")
        elif version < lowest:
            self.wrong.append(f"stale: vector {vector} {version}, acknowledged {lowest}")
        elif version > highest:
            self.wrong.append(f"made up: vector {vector} {version}, written {highest}")

    def come_and_go(self, _, count):
        """What was removed stays so for a round; what was made is there."""
        vector = COMING + count % COMING_COUNT
        here, there = self.path(self.writing, vector), self.path(self.reading, vector)
        is_known = vector in self.gone or count < COMING_COUNT
        if is_known and os.path.lexists(there) and os.path.isdir(self.reading):
            self.wrong.append(f"back: vector {vector}, whose removal was acknowledged")
        self.gone.discard(vector)
        write(here, content(count + 1, self.size))
        if not os.path.exists(there):
            os.stat(there)  # another error than ENOENT is one
        os.unlink(here)
        self.gone.add(vector)

    gone = frozenset()

    # ---- what a test does -------------------------------------------------

    def start(self):
        self.gone = set()
        for thread in self.threads:
            thread.start()
        self.progress()

    def progress(self):
        """Wait until each thread has succeeded at something that began after now."""
        before = dict(self.done)
        names = [("write_some", n) for n in range(WRITERS)] + \
            [("read_some", n) for n in range(READERS)] + [("come_and_go", 0)]
        until(lambda: self.wrong or all(self.done[n] >= before.get(n, 0) + 2 for n in names),
              f"no progress: {before}, then {self.done}, {self.errors}")
        assert not self.wrong, self.wrong[:10]

    def wait_for(self, what, number):
        until(lambda: self.wrong or self.errors[what, number],
              f"no {errno.errorcode[number]} of {what}: {self.errors}")

    def stop(self, *folders, expect=()):
        """Every thread ends; then all that was acknowledged is there by each of the folders, and
        no error but those of `expect` was seen."""
        self.stopping = True
        until(lambda: not any(thread.is_alive() for thread in self.threads), "a call hangs")
        for vector in range(WRITERS * EACH):
            for folder in folders or (self.writing, self.reading):
                self.look_at(vector, folder)
        for vector in self.gone:
            for folder in folders or (self.writing, self.reading):
                if os.path.lexists(self.path(folder, vector)):
                    self.wrong.append(f"back at last: vector {vector}")
        kinds = Counter(text.partition(":")[0] for text in self.wrong)
        print(f"acknowledged {sum(self.acked)} writes, "
              f"{sum(n for (what, _), n in self.done.items() if what == 'read_some')} reads; "
              f"lost {kinds['lost']}, torn {kinds['torn']}, stale {kinds['stale']}; "
              f"longest call {self.stall_seconds:.1f} s; errors "
              f"{ {f'{what} {errno.errorcode[e]}': n for (what, e), n in self.errors.items()} }")
        assert not self.wrong, self.wrong[:10]
        assert {number for _, number in self.errors} <= set(expect), self.errors


def load_of(here, there):
    """Work through these two mounts has begun."""
    load = Load(here.vectors, there.vectors, here.size)
    load.start()
    return load
