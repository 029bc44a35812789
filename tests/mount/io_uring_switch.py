"""FUSE talks over io_uring only where root has switched it on."""

import contextlib
import fcntl
import os
from pathlib import Path

from locks import open_lock

SWITCH = Path("/sys/module/fuse/parameters/enable_uring")
# Held by every test that has switched it on, and naming what it was before the first of them: other
# builds' tests may be running beside these. As in tests/stress/offthread_replies.c.
LOCK = "io-uring"


@contextlib.contextmanager
def on():
    """Why FUSE cannot talk over io_uring here, or "". Switched on where root may."""
    if not SWITCH.exists():
        yield "this kernel has no FUSE over io_uring"
        return
    before = SWITCH.read_text().strip()
    if not os.access(SWITCH, os.W_OK):
        yield "" if before == "Y" else f"{SWITCH} is {before}, and only root can set it"
        return
    with os.fdopen(open_lock(LOCK), "r+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        before = SWITCH.read_text().strip()
        if before != "Y":
            SWITCH.write_text("Y")
            lock.write(before)
            lock.flush()
        try:
            yield ""
        finally:
            put_back(lock)


def put_back(lock):
    """By the last of those who need it, whoever has changed it."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.seek(0)
        before = lock.read()[:1]
        if before:
            SWITCH.write_text(before)
            lock.truncate(0)
