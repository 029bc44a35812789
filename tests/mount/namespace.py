"""A mount namespace of a test's own: what is mounted there nobody else sees."""

import os
import shutil
import subprocess

import pytest

import harness
from harness import run, until


def own_namespace(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    except FileNotFoundError:
        return False


def hold_namespace():
    """A process in a private mount namespace, which ends with its standard input. In a
    chroot whose root is no mount point there can be none: the test is skipped."""
    for tool in ("unshare", "nsenter"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "cat"],
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    until(lambda: holder.poll() is not None or own_namespace(holder.pid), "no mount namespace")
    if holder.poll() is not None:
        pytest.skip("unshare can make no private mount namespace here")
    return holder


class Namespace:
    def __init__(self, folder):
        if not os.path.exists("/dev/fuse"):
            pytest.skip("there is no /dev/fuse")
        self.folder = folder
        self.holder = hold_namespace()
        self.reports = folder / "sanitizer"
        self.reports.mkdir()
        self.reports.chmod(0o777)
        # Let go of what other tests have mounted, or theirs would not end while we run.
        self.run("umount", "-a", "-t", "fuse.quiverfs", status=None)

    def run(self, *words, status=0):
        done = run("nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", *words, status=status,
                   env=harness.sanitized_environment(self.reports))
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return done

    def take_away(self):
        self.holder.stdin.close()
        self.holder.wait()
