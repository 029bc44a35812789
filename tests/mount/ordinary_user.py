"""Mounting as a user who is not root, through fusermount3."""

import contextlib
import fcntl
import os
import pwd
import shutil

import pytest

from locks import open_lock

DEVICE = "/dev/fuse"
CONTROL = "/sys/fs/fuse/connections"
NOBODY = pwd.getpwnam("nobody").pw_uid
ordinary_user_words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


@contextlib.contextmanager
def device_mode(mode):
    """Give the FUSE device a mode (None: leave it), put back at the end. One at a time on the
    machine: the tests of other builds may be running beside these."""
    with os.fdopen(open_lock("fuse-device"), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = os.stat(DEVICE).st_mode & 0o7777
        if mode is not None:
            os.chmod(DEVICE, mode)
        try:
            yield before
        finally:
            os.chmod(DEVICE, before)
            fcntl.flock(lock, fcntl.LOCK_UN)  # which a process forked meanwhile would hold on


@pytest.fixture
def ordinary_user():
    """Options for Stores.mount. Everybody may use FUSE for as long as the test runs."""
    for tool in ("fusermount3", "setpriv"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    with device_mode(0o666):
        yield {"before": ordinary_user_words, "private": True}
