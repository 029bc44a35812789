"""Small filesystems for stores of tests: on a loop device, if need be over a block
file of the tests' own that logs every write and can be told to fail."""

import os
import shutil
import subprocess

import pytest

import harness
from patience import wait_for

BLOCKFILE = os.environ.get("QUIVERFS_BLOCKFILE", "blockfile")
SHIM = os.environ.get("QUIVERFS_DISK_SHIM", "")


def need_loop_devices():
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    if not os.path.exists("/dev/loop-control") or not shutil.which("losetup"):
        pytest.skip("there are no loop devices")


def need_blockfile():
    need_loop_devices()
    if not shutil.which(BLOCKFILE):
        pytest.skip("the block file of the tests is not built (QUIVERFS_BLOCKFILE)")


def need_shim():
    if not os.path.exists(SHIM):
        pytest.skip("the shim of the tests is not built (QUIVERFS_DISK_SHIM)")
    with open(harness.QUIVERFS, "rb") as program:
        if b"__asan_init" in program.read() or os.environ.get("LD_PRELOAD"):
            pytest.skip("a sanitizer must be the first to be loaded")


def make_ext4(image, mebibytes):
    """All of it written now, so that the kernel does nothing on its own later."""
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    harness.run("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4",
                "-E", "lazy_itable_init=0,lazy_journal_init=0", image)


def make_btrfs(image, mebibytes):
    """Which writes a copy of what it changes, unless a file asks it not to."""
    need_loop_devices()
    with open("/proc/filesystems", encoding="ascii") as file:
        if not shutil.which("mkfs.btrfs") or "btrfs" not in file.read().split():
            pytest.skip("there is no btrfs")
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    harness.run("mkfs.btrfs", "-q", "-f", "-m", "single", image)


class Shim:
    """Has calls on files fail in the daemon that runs with `words` before it."""

    def __init__(self, folder):
        self.faults = folder / "faults"
        self.faults.write_text("")
        self.words = ["env", f"LD_PRELOAD={SHIM}", f"QUIVERFS_SHIM_FAULT={self.faults}"]

    def fail(self, **calls):
        """`allocate`, `punch`, `write`, `sync` with this errno, with `hold` writes wait; the
        others work."""
        new = self.faults.with_suffix(".new")
        new.write_text("".join(f"{call} {number}\n" for call, number in calls.items()))
        new.rename(self.faults)

    def held(self):
        """How many writes have been made to wait."""
        held = self.faults.with_suffix(".held")
        return held.stat().st_size if held.exists() else 0


class BlockFile:
    """The image as a file of a filesystem of the tests' own."""

    def __init__(self, image, folder, log=None):
        folder.mkdir()
        self.folder = folder
        self.path = folder / "disk"
        words = [BLOCKFILE, image, folder] + ([log] if log else [])
        self.process = subprocess.Popen(list(map(str, words)))
        try:
            harness.until(self.path.exists, "the block file is not mounted")
        except BaseException:
            self.close()
            raise

    def fail(self, what):
        """`write`, `sync`, `read` or `none`."""
        (self.folder / "fault").write_text(what)

    def forget_pages(self):
        """What has been read before is read anew."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)

    def close(self):
        # Without the filesystem above it, nobody uses it any more.
        subprocess.run(["umount", self.folder], stderr=subprocess.DEVNULL, check=False)
        try:
            wait_for(self.process, 10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            subprocess.run(["umount", "-l", self.folder], stderr=subprocess.DEVNULL, check=False)


class Disk:
    """`folder/name`, a filesystem of its own on a loop device."""

    def __init__(self, image, folder, name="disk", options="", loop=()):
        self.point = folder / name
        self.point.mkdir(exist_ok=True)
        self.device = None
        self.mounted = False
        try:
            done = harness.run("losetup", "--show", "-f", *loop, image)
            self.device = done.stdout.decode().strip()
            harness.run("mount", *(["-o", options] if options else []), self.device, self.point)
            self.mounted = True
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.mounted:
            done = subprocess.run(["umount", self.point], capture_output=True, check=False)
            if done.returncode != 0:
                subprocess.run(["umount", "-l", self.point], check=False)
            self.mounted = False
        if self.device:
            subprocess.run(["losetup", "-d", self.device], check=False)
            self.device = None


class Tmpfs:
    """A filesystem in memory: `tmpfs` with a limit, or `ramfs`, which can neither
    allocate ahead nor give a range back, and knows no limit."""

    def __init__(self, folder, kind="tmpfs", options="", name="disk"):
        self.point = folder / name
        self.point.mkdir()
        harness.run("mount", "-t", kind, *(["-o", options] if options else []), kind, self.point)

    def close(self):
        done = subprocess.run(["umount", self.point], capture_output=True, check=False)
        if done.returncode != 0:
            subprocess.run(["umount", "-l", self.point], check=False)


class Disks:
    """All of them of one test; taken away in the order in which they stand."""

    def __init__(self, folder):
        self.folder = folder
        self.made = []
        self.block = None

    def add(self, disk):
        self.made.append(disk)
        return disk

    def ext4(self, mebibytes, with_block_file=False, **options):
        image = self.folder / "image"
        make_ext4(image, mebibytes)
        return self.of_image(image, with_block_file, **options)

    def btrfs(self, mebibytes, **options):
        image = self.folder / "image"
        make_btrfs(image, mebibytes)
        return self.of_image(image, **options)

    def of_image(self, image, with_block_file=False, **options):
        if with_block_file:
            self.block = self.add(BlockFile(image, self.folder / "block"))
            image = self.block.path
        return self.add(Disk(image, self.folder, **options))

    def memory(self, kind="tmpfs", options=""):
        return self.add(Tmpfs(self.folder, kind, options))

    def again(self, disk, **options):
        """Unmount an ext4 and mount it anew: its pages and its errors are forgotten."""
        image = self.block.path if self.block else self.folder / "image"
        disk.close()
        if self.block:
            self.block.forget_pages()
        return self.add(Disk(image, self.folder, **options))

    def close(self):
        for disk in reversed(self.made):
            disk.close()
        harness.run("rm", "-rf", "--one-file-system", self.folder)
