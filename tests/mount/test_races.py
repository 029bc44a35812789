"""Opening, statting and changing by path while others remove and make the vector.

The kernel looks a name up and then asks about the node in a second request; a vector
can be gone by then, be there again for the kernel's one new try, and be gone again.
A program must see a vector or none, never the kernel's "Stale file handle".
"""

import contextlib
import os
import random
import time

from harness import LONG
from peer import Peer

BOTH_TRANSPORTS = True
SECONDS = 30 if LONG else 4


def churn(path, data, seconds):
    """Makes and removes the vector; returns how often."""
    end, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.write(fd, data)
        os.close(fd)
        os.unlink(path)
        rounds += 1
    return rounds


def touch_all(path, data, seconds, seed):
    """Returns how often there was a vector and how often none."""
    rng, end, seen = random.Random(seed), time.monotonic() + seconds, [0, 0]

    def read():
        fd = os.open(path, os.O_RDONLY)
        try:
            assert os.read(fd, len(data)) == data
        finally:
            os.close(fd)

    def write():
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | rng.choice((0, os.O_TRUNC)))
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def patch():
        fd = os.open(path, os.O_RDWR)
        try:
            os.pwrite(fd, data, 0)
        finally:
            os.close(fd)

    ways = (read, write, patch, lambda: os.stat(path), lambda: os.chmod(path, 0o640),
            lambda: os.truncate(path, len(data)), lambda: os.utime(path))
    while time.monotonic() < end:
        try:
            rng.choice(ways)()
            seen[0] += 1
        except FileNotFoundError:
            seen[1] += 1
    return seen


def test_a_vector_that_comes_and_goes_is_there_or_not(mnt, rng):
    path, data = str(mnt.path(7)), bytes(range(100))
    with contextlib.ExitStack() as leave:
        peers = [Peer() for _ in range(4)]
        for peer in peers:
            leave.callback(peer.close)
        peers[0].start(churn, path, data, SECONDS)
        for number, peer in enumerate(peers[1:]):
            peer.start(touch_all, path, data, SECONDS, rng.random())
        rounds, *seen = [peer.result() for peer in peers]
    there, gone = map(sum, zip(*seen))
    print(f"{rounds} rounds, {there} times there, {gone} times gone")
    assert min(rounds, there, gone) > 0
