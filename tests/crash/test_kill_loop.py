"""The daemon is killed at random moments, over and over; nothing may be lost or torn.

Writers, batches, compaction, checkpoints and changes of the mode run when the kill
comes, and snapshots are made, read and removed. Afterwards the store is checked, mounted
again (now and then killed once more while it recovers) and compared with what its writers
know, and so is each snapshot.
"""

import os
import signal
import subprocess
import time

import harness
import kill_worker
from kill_oracle import FOREVER, check_ctimes, check_own, check_shared, firm_until
from kill_snapshots import Snapshotter, check_snapshots, limited, remove_all
from kill_worker import Disturber, Process, Worker
from versions import version_of

ROUNDS = int(os.environ.get("QUIVERFS_TEST_KILLS", "0")) or 100
LONG_SECONDS = 3600
WORKERS = 4
# Up to this long until the kill: from before the first commit to many checkpoints.
LIFE_SECONDS_MAX = 1.2


def found_on(mount):
    """{vector: (version, mtime, mode)} of a whole mount; its ctimes are noted in the mount."""
    found = {}
    mount.ctimes = {}
    for vector in mount.ids():
        status = os.stat(mount.path(vector))
        version = version_of(mount.get(vector), mount.size, f"vector {vector}")
        found[vector] = (version, status.st_mtime_ns, status.st_mode & 0o7777)
        mount.ctimes[vector] = status.st_ctime_ns
    return found


def as_state(found):
    return {vector: (version, mtime, mtime, mode)
            for vector, (version, mtime, mode) in found.items()}


def owned(number, vectors):
    """The part of a worker."""
    return {vector: state for vector, state in vectors.items()
            if vector // 1000 == number + 1}


def clear_away(mount):
    """What is left of a killed mount goes by a plain umount, once the daemon's prober, a
    process of its own that may have a file of the mount open, has ended, too."""
    def is_gone():
        if harness.is_mounted(mount.point):
            harness.run("umount", mount.point, status=None)
        return not harness.is_mounted(mount.point)

    harness.until(is_gone, "the mount stays")


def kill_in_recovery(mount, rng):
    """Start a daemon and kill it before or after it has served."""
    words = [harness.QUIVERFS, "mount", mount.store.path, mount.point, "-f"]
    daemon = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        time.sleep(rng.random() * 0.02)
    finally:
        daemon.send_signal(signal.SIGKILL)
        assert daemon.wait() == -signal.SIGKILL
    clear_away(mount)


def check_closed(store):
    """`quiverfs check` of what a kill has left."""
    done = harness.quiverfs("check", store.path, status=None)
    assert done.returncode == 0 and "no faults" in done.stdout, done.stdout + done.stderr


def one_life(mount, base, rng, round_number):
    """Let everybody work, kill the daemon; what the workers did, the disturber, and with the
    snapshots whoever made them."""
    seed = rng.random()
    processes = [Process(Worker(number, mount, owned(number, base), seed, round_number))
                 for number in range(WORKERS)]
    processes.append(Process(Disturber(mount, seed, round_number)))
    processes.append(Process(Snapshotter(mount, seed, round_number, mount.frozen)))
    time.sleep(rng.random() ** 2 * LIFE_SECONDS_MAX)
    killed_ns = time.monotonic_ns()
    mount.kill()
    results = [process.result(killed_ns, mount.cut_off()) for process in processes]
    return results[:-2], results[-2], results[-1]


def compare(base, found, results, until):
    """What is found must be allowed. The number of operations looked at."""
    shared = {vector: [] for vector in kill_worker.SHARED}
    for number, (operations, on_shared) in enumerate(results):
        check_own(f"worker {number}", owned(number, base), owned(number, found), operations,
                  until)
        for op in on_shared:
            for vector in op.changes:
                shared[vector].append(op)
    for vector, operations in shared.items():
        check_shared(vector, base.get(vector), found.get(vector), operations, until)
    known = {vector for vector in found if vector in shared}
    known.update(*(owned(number, found) for number in range(WORKERS)))
    assert set(found) == known, f"vectors that nobody wrote: {set(found) - known}"
    return sum(len(own) + len(on_shared) for own, on_shared in results)


def compare_snapshot(base, results, found, snapshot):
    """One state between its begin and its end."""
    compare(base, found, [(limited(own, snapshot), limited(shared, snapshot))
                          for own, shared in results], snapshot.began)


def took_index(mount):
    """Whether it was recovered from an index that a checkpoint has kept: then not all rows were
    looked at."""
    stats = mount.stats()
    return int(stats["rows_scanned"]) < int(stats["slots_used"])


def one_round(stores, mount, base, rng, round_number):
    """Kill, check, mount again, compare. The new mount, what is on it, operations."""
    transports = ("dev_fuse", "io_uring" if stores.has_io_uring else "dev_fuse")
    mode = mount.mode
    results, disturbances, snapshots = one_life(mount, base, rng, round_number)
    clear_away(mount)
    check_closed(mount.store)
    while rng.random() < 0.2:
        kill_in_recovery(mount, rng)
        check_closed(mount.store)
    mode_after = rng.choice(kill_worker.MODES)
    again = stores.mount(mount.store, transport=rng.choice(transports),
                         options=["durability=" + mode_after])
    again.mode = mode_after
    by_index = took_index(again)
    found = as_state(found_on(again))
    check_ctimes(base, found, mount.ctimes, again.ctimes)
    until = firm_until(mode, disturbances)
    lost_allowed = until < FOREVER
    count = compare(base, {v: (s[0], s[1], s[3]) for v, s in found.items()}, results, until)
    again.frozen, again.snapshots = mount.frozen, mount.snapshots
    again.by_index = mount.by_index + by_index
    again.snapshots += check_snapshots(
        again, snapshots, again.frozen,
        lambda found, snapshot: compare_snapshot(base, results, found, snapshot))
    return again, found, count, lost_allowed


def begin(mount):
    """Nothing is in it, and nobody has done anything yet."""
    mount.mode, mount.ctimes, mount.frozen, mount.snapshots = "fsync", {}, {}, 0
    mount.by_index = 0
    return mount


def test_killed_at_random_moments_nothing_is_lost_or_torn(stores, rng, io_uring):
    stores.has_io_uring = not io_uring
    end = time.monotonic() + LONG_SECONDS if harness.LONG else FOREVER
    mount = begin(stores.mount(stores.create(dim=300), options=["durability=fsync"]))
    base, operations, rounds, may_lose, snapshots, by_index = {}, 0, 0, 0, 0, 0
    while time.monotonic() < end if harness.LONG else rounds < ROUNDS:
        rounds += 1
        try:
            mount, base, count, lossy = one_round(stores, mount, base, rng, rounds)
        except AssertionError as error:
            raise AssertionError(f"round {rounds}: {error}") from error
        operations += count
        may_lose += lossy
        if rounds % 25 == 0:
            # Another size, so that vectors lie otherwise on sectors and pages.
            snapshots += mount.snapshots
            by_index += mount.by_index
            remove_all(mount)
            mount.unmount()
            store = stores.create(dim=rng.randrange(2, 2000), name=f"store{rounds}")
            mount = begin(stores.mount(store, name=f"mnt{rounds}",
                                       options=["durability=fsync"]))
            base = {}
        stores.mounts = [mount]
    by_index += mount.by_index
    assert by_index >= rounds // 4, f"recovered from an index {by_index} of {rounds} times"
    print(f"{rounds} kills survived, {by_index} recovered from an index, {operations} operations; in {may_lose} rounds mode none "
          f"was in force; snapshots looked at {snapshots + mount.snapshots} times")
