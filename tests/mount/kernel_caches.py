"""The kernel's caches of names and inodes, which are the machine's and not a mount's."""

import contextlib
import fcntl
import os
from pathlib import Path

from locks import open_lock


@contextlib.contextmanager
def kernel_caches(exclusive=True):
    """Nobody else of the tests has the kernel forget meanwhile, as those of other builds may do
    beside these. Exclusive for whoever calls forget_names, shared for whoever counts on what
    the kernel knows."""
    with os.fdopen(open_lock("kernel-caches"), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        try:
            yield
        finally:
            # A process forked meanwhile would hold it on.
            fcntl.flock(lock, fcntl.LOCK_UN)


def forget_names():
    """Have the kernel drop the inodes and names that nobody uses, of the whole machine."""
    Path("/proc/sys/vm/drop_caches").write_text("2")
