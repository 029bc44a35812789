"""Locks between all tests of the machine: those of other builds and users run beside these."""

import contextlib
import os


def open_lock(name):
    """A lock file, opened to write where that can be; flock(2) does not mind. Who made it may be
    root or an ordinary user, and of what somebody else has put into /tmp O_CREAT may be refused
    to root too (fs.protected_regular)."""
    path = f"/tmp/quiverfs-test-{name}.lock"
    while True:
        for flags in (os.O_RDWR, os.O_RDONLY):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                return os.open(path, flags)
        with contextlib.suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
