"""Many clients at once: what they saw must be what one after the other could see, and what a
snapshot has what one could have seen at one moment of its mkdir."""

import os
import time

import harness
from linearizable import check

from clients import GROUP_VECTORS, GROUPS, THREADS, Client, Process, name_targets

BOTH_TRANSPORTS = True
PROCESSES = 4
SECONDS = float(os.environ.get("QUIVERFS_TEST_HISTORY_SECONDS", "0")) or (
    600 if harness.LONG else 10)
MODES = ("fsync", "always", "none", "flush")


def disturb(mount, rng, end):
    """Checkpoints, compaction and changes of the mode beside the clients."""
    while time.monotonic() < end:
        name = rng.choice(("checkpoint", "compact", "durability", "flush"))
        value = {"compact": "start", "durability": rng.choice(MODES)}.get(name, "1")
        try:
            mount.control(name, value)
        except OSError:
            assert name == "compact"  # one is running
        time.sleep(rng.random() * 0.1)


def gather(processes):
    """The operations of all clients on each group; nobody is left running."""
    groups, faults = [[] for _ in range(GROUPS)], []
    for process in processes:
        try:
            for client in process.result():
                for group, operations in enumerate(client):
                    groups[group] += operations
        except AssertionError as error:
            faults.append(str(error))
    assert not faults, "\n".join(faults)
    return groups


def test_every_history_is_linearizable(stores, rng):
    mount = stores.mount(stores.create(dim=1200, dtype="u1"))
    seed, end = rng.random(), time.monotonic() + SECONDS
    processes = [Process([Client(mount, number * THREADS + thread, seed, end)
                          for thread in range(THREADS)]) for number in range(PROCESSES)]
    try:
        disturb(mount, rng, end)
    finally:
        groups = gather(processes)
    began = time.monotonic()
    name_targets(groups, mount.size)
    count = sum(check(group, GROUP_VECTORS) for group in groups)
    kinds = {}
    for op in (op for group in groups for op in group):
        kinds[op.kind] = kinds.get(op.kind, 0) + 1
    assert kinds["snapshot"] > 0 and kinds["near"] > 0
    mount.forget_errors()  # O_EXCL lost against somebody else is reported, rightly
    print(f"{count} operations {kinds}, checked in {time.monotonic() - began:.1f} s")
