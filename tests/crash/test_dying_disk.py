"""The power goes: what a real filesystem on a real block device is left with.

The store lies on ext4, on a loop device, on a file of the tests' own filesystem that
logs every write and flush. While it is worked on, the length of that log is the
clock. Afterwards the log is replayed up to many points; each image is mounted (ext4
replays its journal), the store is checked and mounted, and compared with what had
been acknowledged at that length of the log.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

import disks
import harness
from disk_log import Disk as LoggedDisk
from disk_log import choose_cuts, last_flush, read_log
from kill_oracle import FOREVER, Disturbance, Operation, firm_until
from kill_snapshots import Snapshotter, check_snapshots
from kill_worker import Disturber, Process, Worker
from test_kill_loop import as_state, compare, compare_snapshot, found_on

CUTS = int(os.environ.get("QUIVERFS_TEST_CUTS", "0")) or (400 if harness.LONG else 16)
WORK_SECONDS = 20 if harness.LONG else 2.5
WORKERS = 3
MEBIBYTES = 160
# What a power cut takes in these modes is more than what a kill takes.
LOSSY = ("none", "fsync", "flush")


@pytest.fixture
def folder():
    made = Path(tempfile.mkdtemp(prefix="quiverfs-power-"))
    yield made
    harness.run("rm", "-rf", "--one-file-system", made)


def work(stores, folder, mode, rng):
    """Work on a store on the logged disk. Its log, where the work began, and what was
    done when, by the length of the log."""
    image, log = folder / "image", folder / "log"
    disks.make_ext4(image, MEBIBYTES)
    shutil.copy(image, folder / "base")
    block = disks.BlockFile(image, folder / "block", log)
    disk = None
    try:
        disk = disks.Disk(block.path, folder)
        store = harness.Store(stores.folder, dim=300, name=disk.point / "store")
        mount = stores.mount(store, options=["durability=" + mode], name="work")
        mount.control("checkpoint", "1")
        began, seed, end = log.stat().st_size, rng.random(), time.monotonic() + WORK_SECONDS

        def clock():
            return os.stat(log).st_size

        processes = [Process(Worker(number, mount, {}, seed, 1, clock, end))
                     for number in range(WORKERS)]
        processes.append(Process(Disturber(mount, seed, 1, clock, end)))
        processes.append(Process(Snapshotter(mount, seed, 1, (), clock, end)))
        results = [process.result() for process in processes]
        mount.forget_errors()  # a job that ran already
        mount.unmount()
    finally:
        for used in stores.mounts:
            if used.open:
                used.take_away()
        if disk:
            disk.close()
        block.close()
    return log, began, results[:-2], results[-2], results[-1]


def before(cut, operations):
    """What was under way or done when the log was `cut` bytes long."""
    return [Operation(op.name, op.changes, op.began, op.ended if op.ended <= cut else FOREVER)
            for op in operations if op.began <= cut]


def check_cut(stores, image, cut, mode, results, disturbances, snapshots):
    """Mount what is left and compare. The numbers of operations and of snapshots."""
    disk = disks.Disk(image, image.parent, name="left")
    try:
        store = harness.Store.__new__(harness.Store)
        vars(store).update(folder=stores.folder, path=disk.point / "store", dim=300, dtype="f4",
                           size=1200)
        store.check()
        mount = stores.mount(store, name="left")
        found = {vector: (state[0], state[1], state[3])
                 for vector, state in as_state(found_on(mount)).items()}
        until = firm_until(mode, [
            Disturbance(event.name, event.began, event.ended if event.ended <= cut else FOREVER)
            for event in disturbances if event.began <= cut], LOSSY)
        done = [(before(cut, own), before(cut, shared)) for own, shared in results]
        count = compare({}, found, done, until)
        there = check_snapshots(
            mount, [one.as_of(cut) for one in snapshots if one.began <= cut], {},
            lambda found, snapshot: compare_snapshot({}, done, found, snapshot))
        mount.forget_errors()  # a torn tail of the log is reported
        mount.unmount()
        stores.mounts.remove(mount)
        return count, there
    finally:
        for used in stores.mounts:
            if used.open:
                used.take_away()
        disk.close()


@pytest.mark.parametrize("mode", ["always", "fsync"])
def test_what_was_acknowledged_survives_a_power_cut(stores, folder, rng, mode):
    disks.need_blockfile()
    log, began, results, disturbances, snapshots = work(stores, folder, mode, rng)
    records = read_log(log)
    first = next(number for number, record in enumerate(records) if record.end > began)
    cuts = choose_cuts(records, first, CUTS, rng)
    logged = LoggedDisk(folder / "base", log, records)
    operations, there = 0, 0
    try:
        for cut in cuts:
            flushed = last_flush(records, cut)
            logged.go_on_to(flushed)
            harness.run("cp", "--sparse=always", folder / "base", folder / "image")
            logged.write_some(folder / "image", flushed, cut, rng)
            try:
                count, seen = check_cut(stores, folder / "image", records[cut - 1].end, mode,
                                        results, disturbances, snapshots)
                operations, there = max(operations, count), there + seen
            except AssertionError as error:
                raise AssertionError(f"power cut before record {cut} of {len(records)} (flushed: "
                                     f"{flushed}): {error}") from error
    finally:
        logged.close()
    flushes = sum(not record.length for record in records)
    print(f"{len(cuts)} power cuts, {len(records)} writes and flushes ({flushes}), "
          f"{operations} operations, {len(disturbances)} checkpoints, syncs and the like, "
          f"{len(snapshots)} snapshots, of which {there} were looked at")
    assert operations > 50 and flushes > 10 and there > 0
