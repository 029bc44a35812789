"""A mount namespace of a test's own: what is mounted there nobody else sees."""

import os
import shutil
import subprocess

import pytest

import harness
from harness import run, until


def own_namespace(pid):
    return os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")


class Namespace:
    def __init__(self, folder):
        for tool in ("unshare", "nsenter"):
            if not shutil.which(tool):
                pytest.skip(f"there is no {tool}")
        if not os.path.exists("/dev/fuse"):
            pytest.skip("there is no /dev/fuse")
        self.folder = folder
        self.reports = folder / "sanitizer"
        self.reports.mkdir()
        self.reports.chmod(0o777)
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "cat"],
                                       stdin=subprocess.PIPE)
        until(lambda: own_namespace(self.holder.pid), "no mount namespace")
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
