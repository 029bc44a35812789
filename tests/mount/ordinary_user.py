"""Mounting as a user who is not root, through fusermount3."""

import contextlib
import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

DEVICE = "/dev/fuse"
CONTROL = "/sys/fs/fuse/connections"
NOBODY = pwd.getpwnam("nobody").pw_uid
ordinary_user_words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


@contextlib.contextmanager
def device_mode(mode):
    """Give the FUSE device a mode (None: leave it), put back at the end. One at a time on the
    machine: the tests of other builds may be running beside these."""
    path = Path(tempfile.gettempdir()) / "quiverfs-test-fuse-device.lock"
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = os.stat(DEVICE).st_mode & 0o7777
        if mode is not None:
            os.chmod(DEVICE, mode)
        try:
            yield before
        finally:
            os.chmod(DEVICE, before)
            fcntl.flock(lock, fcntl.LOCK_UN)  # which a process forked meanwhile would hold on


@contextlib.contextmanager
def control_filesystem():
    """Have the kernel's control filesystem of FUSE mounted, as systemd does, for as long as
    anybody of the tests needs it."""
    path = Path(tempfile.gettempdir()) / "quiverfs-test-fusectl.lock"
    with open(path, "a+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.ismount(CONTROL):
            subprocess.run(["mount", "-t", "fusectl", "fusectl", CONTROL], check=True)
            lock.write("ours")
            lock.flush()
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            yield
        finally:
            with contextlib.suppress(BlockingIOError):  # somebody else needs it still
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.seek(0)
                if lock.read():
                    # A guard has it open for a second still (fs/daemon/guard.h).
                    subprocess.run(["umount", "-l", CONTROL], check=True)
                    lock.truncate(0)


@pytest.fixture
def ordinary_user(root):
    """Options for Stores.mount. Everybody may use FUSE for as long as the test runs."""
    for tool in ("fusermount3", "setpriv"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    with device_mode(0o666):
        yield {"before": ordinary_user_words, "private": True}
