"""Snapshots that are made, read and removed until the daemon dies, and what must be found of them:
each is what the writers had made between the begin and the end of its mkdir, and stays that."""

import os
import random
import time
from dataclasses import dataclass

from harness import until
from kill_oracle import FOREVER
from kill_worker import OPERATIONS_MAX
from versions import version_of

KEPT_MAX = 5


@dataclass
class Snapshot:
    """`began`, `ended` of its mkdir, and of its rmdir."""
    name: str
    began: float
    ended: float = FOREVER
    removal_began: float = FOREVER
    removal_ended: float = FOREVER

    def as_of(self, time_then):
        """What was known of it at an earlier time."""
        times = (at if at <= time_then else FOREVER
                 for at in (self.ended, self.removal_began, self.removal_ended))
        return Snapshot(self.name, self.began, *times)

    def must_be_there(self):
        return self.ended < FOREVER and self.removal_began == FOREVER

    def may_be_there(self):
        return self.removal_ended == FOREVER


def vectors_in(folder, size):
    """{vector: (version, mtime, mode)}, and their ctimes."""
    found, ctimes = {}, {}
    for name in os.listdir(folder):
        if name.startswith("."):
            continue
        path = f"{folder}/{name}"
        with open(path, "rb") as file:
            data = file.read()
        status = os.stat(path)
        found[int(name)] = (version_of(data, size, path), status.st_mtime_ns,
                            status.st_mode & 0o7777)
        ctimes[int(name)] = status.st_ctime_ns
    return found, ctimes


class Snapshotter:
    """Makes, reads and removes them, in a process of its own. `kept`: names from earlier lives."""

    def __init__(self, mount, seed, round_number, kept=(), clock=time.monotonic_ns, end=FOREVER):
        self.folder = self.place = mount.point / "snapshots"
        self.size = mount.size
        self.clock = clock
        self.end = end
        self.rng = random.Random(f"{seed} snapshots round {round_number}")
        self.prefix = f"r{round_number}"
        self.snapshots = [Snapshot(name, -FOREVER, -FOREVER) for name in kept]
        self.seen = {}

    def make(self):
        snapshot = Snapshot(f"{self.prefix}.{len(self.snapshots)}", self.clock())
        self.snapshots.append(snapshot)
        os.mkdir(self.folder / snapshot.name)
        snapshot.ended = self.clock()

    def read(self, snapshot):
        now = vectors_in(self.folder / snapshot.name / "vectors", self.size)
        before = self.seen.setdefault(snapshot.name, now)
        assert now == before, f"snapshot {snapshot.name} was {before} and is {now}"

    def remove(self, snapshot):
        snapshot.removal_began = self.clock()
        os.rmdir(self.folder / snapshot.name)
        snapshot.removal_ended = self.clock()

    def run(self):
        os.umask(0)
        while len(self.snapshots) < OPERATIONS_MAX and time.monotonic() < self.end:
            kept = [one for one in self.snapshots if one.removal_began == FOREVER]
            way = self.rng.random()
            if not kept or (way < 0.4 and len(kept) < KEPT_MAX):
                self.make()
            elif way < 0.7:
                self.read(self.rng.choice(kept))
            else:
                self.remove(self.rng.choice(kept))
            time.sleep(self.rng.random() * 0.03)

    def result(self):
        return self.snapshots


def limited(operations, snapshot):
    """Those that can be in it."""
    return [op for op in operations if op.began <= snapshot.ended]


def check_snapshots(mount, snapshots, frozen, compare):
    """What a mount has of them. `frozen`: the content of those that were looked at before, which
    is brought up to date; `compare(found, snapshot)`: of one that was not. How many there are."""
    folder = mount.point / "snapshots"
    names = set(os.listdir(folder))
    known = {snapshot.name: snapshot for snapshot in snapshots}
    assert names <= known.keys(), f"snapshots that nobody made: {names - known.keys()}"
    for snapshot in snapshots:
        there = snapshot.name in names
        assert there or not snapshot.must_be_there(), f"{snapshot} is lost"
        assert not there or snapshot.may_be_there(), f"{snapshot} has come back"
        if not there:
            frozen.pop(snapshot.name, None)
            continue
        found = vectors_in(folder / snapshot.name / "vectors", mount.size)
        if snapshot.name in frozen:
            assert found == frozen[snapshot.name], (
                f"{snapshot} was {frozen[snapshot.name]} and is {found}")
        else:
            try:
                compare(found[0], snapshot)
            except AssertionError as error:
                raise AssertionError(f"{snapshot}: {error}") from error
        frozen[snapshot.name] = found
    return len(names)


def remove_all(mount):
    """All of them: then nothing is held."""
    folder = mount.point / "snapshots"
    for name in os.listdir(folder):
        os.rmdir(folder / name)

    def nothing_is_held():
        """The kernel lets go of what it had of a snapshot a moment after the rmdir, and until then the
        snapshot is in use."""
        mount.control("checkpoint", "1")
        return mount.stats()["slots_held"] == "0"

    until(nothing_is_held, "slots that no snapshot has stay held")
