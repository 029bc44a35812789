"""Folders with one file for each vector: ours, and those it is compared with.

A place is started, cold or warm, and stopped for each measurement; only one is
started at a time. `fresh` is an empty one of the same kind, for copying in.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time

import host
from host import BenchError

MOUNT_SECONDS = 60
STOP_SECONDS = 300  # an unmount ends in a checkpoint of everything


class Daemon:
    """A FUSE filesystem in the foreground, mounted on a folder of its own. In a session of its own,
    as those in the background are: by that the kernel may divide the processors (autogroup)."""

    def __init__(self, work, command, log):
        self.point = tempfile.mkdtemp(prefix="mnt-", dir=work)
        with open(log, "ab") as errors:
            self.process = subprocess.Popen([*command, self.point], stdin=subprocess.DEVNULL,
                                            stdout=errors, stderr=errors,
                                            start_new_session=True)
        deadline = time.monotonic() + MOUNT_SECONDS
        while not os.path.ismount(self.point):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise BenchError(f"{os.path.basename(command[0])} did not mount, see {log}")
            time.sleep(0.002)

    def stop(self):
        """Unmount, and wait until the daemon has ended."""
        how = ["umount"] if os.geteuid() == 0 else ["fusermount3", "-u"]
        for _ in range(50):
            if not is_mounted(self.point):
                break
            subprocess.run([*how, self.point], stderr=subprocess.DEVNULL, check=False)
            if is_mounted(self.point):
                time.sleep(0.1)
        else:
            subprocess.run([*how, "-l" if how[0] == "umount" else "-z", self.point], check=False)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.rmdir(self.point)


def is_mounted(point):
    mounts = host.read_text("/proc/self/mounts")
    return any(line.split()[1] == point for line in mounts.splitlines())


class Place:
    """A folder of a filesystem of the kernel."""

    can_write = True
    can_be_cold = True

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder

    def start(self, cold):
        """The folder with all vectors, ready for use."""
        if cold:
            host.drop_caches()
        return self.folder

    def stop(self):
        pass

    @contextlib.contextmanager
    def fresh(self):
        folder = tempfile.mkdtemp(prefix="fresh-", dir=os.path.dirname(self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


class Tmpfs(Place):
    """There is nothing that could be cold."""

    can_be_cold = False


class Mounted(Place):
    """A FUSE filesystem, whose daemon runs from start to stop."""

    def __init__(self, name, source, bench):
        super().__init__(name, source)
        self.bench = bench
        self.daemon = None

    def mount(self, source):
        """A daemon with `source` mounted."""
        raise NotImplementedError

    def vectors(self, daemon):
        """The folder of the vectors in what it has mounted."""
        return daemon.point

    def start(self, cold):
        if cold:
            host.drop_caches()
        self.daemon = self.mount(self.folder)
        return self.vectors(self.daemon)

    def stop(self):
        if self.daemon:
            daemon, self.daemon = self.daemon, None
            daemon.stop()


class Passthrough(Mounted):
    """libfuse's passthrough_hp over another place's folder."""

    def __init__(self, name, folder, bench, options):
        super().__init__(name, folder, bench)
        self.command = [bench.build / "subprojects/fuse-3.18.3/example/passthrough_hp",
                        "--foreground", *options]

    def mount(self, folder):
        command = [str(word) for word in (*self.command, folder)]
        return Daemon(self.bench.work, command, self.bench.log)

    @contextlib.contextmanager
    def fresh(self):
        with super().fresh() as folder:
            daemon = self.mount(folder)
            try:
                yield self.vectors(daemon)
            finally:
                daemon.stop()


class BareFuse(Mounted):
    """A FUSE filesystem with nothing behind it: the limit of what a mount can do here. Instead of
    a folder it has a number of files."""

    def __init__(self, name, count, size, bench, how):
        super().__init__(name, count, bench)
        self.can_write = how == "rw"
        self.room = 3 * count
        self.size = size
        self.how = how

    def mount(self, count):
        words = [self.bench.workers / "bare_fuse", count, self.room, self.size, self.how,
                 "io_uring" if self.bench.uring else "dev_fuse"]
        return Daemon(self.bench.work, [str(word) for word in words], self.bench.log)

    @contextlib.contextmanager
    def fresh(self):
        daemon = self.mount(0)
        try:
            yield self.vectors(daemon)
        finally:
            daemon.stop()


class Quiverfs(Mounted):
    """A store and its mount."""

    def __init__(self, name, store, bench, options):
        super().__init__(name, store, bench)
        self.can_write = "ro" not in options
        self.options = options

    def mount(self, store):
        command = [str(self.bench.quiverfs), "mount", "-f"]
        if self.options:
            command += ["-o", ",".join(self.options)]
        return Daemon(self.bench.work, [*command, store], self.bench.log)

    def vectors(self, daemon):
        return os.path.join(daemon.point, "vectors")

    @contextlib.contextmanager
    def fresh_mount(self):
        """An empty store, mounted: the daemon."""
        with tempfile.TemporaryDirectory(prefix="fresh-", dir=self.bench.work) as folder:
            store = os.path.join(folder, "store")
            self.bench.create_store(store)
            daemon = self.mount(store)
            try:
                yield daemon
            finally:
                daemon.stop()

    @contextlib.contextmanager
    def fresh(self):
        with self.fresh_mount() as daemon:
            yield self.vectors(daemon)
