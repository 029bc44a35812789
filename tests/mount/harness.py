"""Stores and mounts for the tests: made, watched over, and taken away again.

The daemon runs in the foreground as a child of the test, so that its exit status,
its standard error and a sanitizer's report can be looked at when it ends.
"""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import watchdog
from files import CUT_OFF, CUT_OFF_WHILE_READ, opened
from patience import HANG_SECONDS, Patience, wait_for

QUIVERFS = os.environ.get("QUIVERFS", "quiverfs")
LONG = os.environ.get("QUIVERFS_TEST_LONG", "0") not in ("", "0")
# A sanitizer makes everything slower; nothing here measures time. See patience.py.
PATIENCE_SECONDS = 240 if LONG else 120
# For the end of a daemon whose mount could not be taken down: it will hardly come.
PATIENCE_MOUNTED_SECONDS = 20
ITEM_BYTES = {"f4": 4, "f2": 2, "f8": 8, "i1": 1, "u1": 1, "bf2": 2, "b1": 1 / 8}
# A vector to another ID: see fs->can_rename.
KERNEL_CAN_RENAME = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 16)
SANITIZERS = ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")


def run(*words, status=0, stdin=None, **options):
    """Run a tool; its exit status must be `status` (None: any)."""
    words = [str(word) for word in words]
    done = subprocess.run(words, capture_output=True, input=stdin, timeout=HANG_SECONDS,
                          check=False, **options)
    if status is not None:
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return done


def shell(text, status=0, **options):
    return run("bash", "-c", text, status=status, **options)


def most_memory_bytes(*words):
    """What a program that succeeds has of memory at most, without the files that it maps. (Its
    ru_maxrss is that of the test, too, which it was started from.)"""
    # freed memory that a sanitizer holds back is none of the program's
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"
    most = 0
    with subprocess.Popen(words, stdout=subprocess.DEVNULL,
                          env={**os.environ, "ASAN_OPTIONS": sanitizer,
                               "MALLOC_PERTURB_": "0"}) as running:  # or all of it is touched
        while running.poll() is None:
            # none where it has just begun or ended
            found = re.search(r"^RssAnon:\s*(\d+) kB$", read_status(running.pid), re.MULTILINE)
            most = max(most, int(found[1]) << 10 if found else 0)
            time.sleep(0.005)
    assert running.returncode == 0 and most > 0
    return most


def read_status(pid):
    try:
        return Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def quiverfs(*words, status=0, **options):
    done = run(QUIVERFS, *words, status=status, **options)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


def until(condition, what):
    """Wait for something that happens soon, but not within a call of ours."""
    patience = Patience(PATIENCE_SECONDS / 2)
    while not condition():
        assert not patience.is_over(), what
        time.sleep(0.005)


def wait_for_exit(pid):
    """The exit code of a child, -SIGNAL where a signal ended it."""
    status = None

    def ended():
        nonlocal status
        got, status = os.waitpid(pid, os.WNOHANG)
        return got == pid

    until(ended, f"process {pid} has not ended")
    return os.waitstatus_to_exitcode(status)


def is_mounted(point):
    """Whether something is mounted at `point`; asks the filesystem nothing."""
    text = Path("/proc/self/mountinfo").read_text()
    return any(line.split()[4] == str(point) for line in text.splitlines())


def let_go(point, status=0):
    """A lazy unmount, which of umount(8) only root gets."""
    words = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
    return run(*words, point, status=status)


def wait_for_release(store):
    """umount(8) returns before the daemon has closed the store, whose folder it has locked."""
    def is_free():
        with opened(store, os.O_RDONLY | os.O_DIRECTORY) as fd:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    until(is_free, f"{store}: who has it open does not end")


def remove_folder(folder):
    """A folder of a test, when the daemons that end write into its stores no more."""
    mounts = Path("/proc/self/mountinfo").read_text()
    if f" {folder}/" not in mounts:  # or they go on
        for superblock in folder.glob("*/superblock"):
            with contextlib.suppress(PermissionError):
                wait_for_release(superblock.parent)
    run("rm", "-rf", "--one-file-system", folder)


class Store:
    """A store on disk, in a folder of the test's own."""

    def __init__(self, folder, dim=25, dtype="f4", name="store"):
        self.folder = folder
        self.path = folder / name
        self.dim = dim
        self.dtype = dtype
        self.size = int(dim * ITEM_BYTES[dtype])
        quiverfs("create", self.path, "--dim", dim, "--dtype", dtype)

    def check(self):
        """It must be without faults, and closed."""
        done = quiverfs("check", self.path, status=None)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "no faults" in done.stdout, done.stdout

    def bytes_on_disk(self):
        return sum(file.stat().st_blocks * 512 for file in self.path.rglob("*"))


class Mount:
    """A mounted store. `before` are words to run the daemon with, `private` says that
    we may not look into the mount."""

    def __init__(self, store, name="mnt", options=(), transport=None, before=(), check=True,
                 private=False):
        self.store = store
        self.size = store.size
        self.point = store.folder / name
        self.point.mkdir(exist_ok=True)
        self.vectors = self.point / "vectors"
        self.control_folder = self.point / "control"
        self.check = check
        self.private = private
        self.reports = store.folder / "sanitizer"
        self.reports.mkdir(exist_ok=True)
        self.reports.chmod(0o777)
        self.options = list(options)
        if transport:
            self.options.append("io_uring=" + ("on" if transport == "io_uring" else "off"))
        self.read_only = "ro" in self.options
        self.log = open(store.folder / (name + ".log"), "ab")
        self.log_start = self.log.tell()
        words = [*before, QUIVERFS, "mount", store.path, self.point, "-f"]
        if self.options:
            words += ["-o", ",".join(self.options)]
        self.daemon = subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL,
                                       stdout=self.log, stderr=self.log,
                                       env=sanitized_environment(self.reports))
        self.pid = self.daemon.pid
        self.open = True
        watchdog.watch(self.pid)
        try:
            until(lambda: self.daemon.poll() is not None or self.is_up(), "no mount")
            assert self.daemon.poll() is None, self.log_text()
        except BaseException:
            self.take_away()
            raise

    def is_up(self):
        """Whether the daemon says so. Before that, its own first request is under way."""
        return " mounted on " in self.log_text()

    def log_text(self):
        """What this daemon has said so far."""
        with open(self.log.name, "rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    # ---- what is in it ----------------------------------------------------

    def path(self, vector):
        return self.vectors / str(vector)

    def put(self, vector, data):
        self.path(vector).write_bytes(data)

    def get(self, vector):
        return self.path(vector).read_bytes()

    def has(self, vector):
        return os.path.lexists(self.path(vector))

    def ids(self):
        return {int(name) for name in os.listdir(self.vectors) if not name.startswith(".")}

    def control(self, name, value=None):
        """Read a control file, or write `value` with one write(2)."""
        path = self.control_folder / name
        if value is None:
            return path.read_text(encoding="ascii")
        fd = os.open(path, os.O_WRONLY)
        try:
            data = value if isinstance(value, bytes) else value.encode()
            assert os.write(fd, data) == len(data)
        finally:
            os.close(fd)
        return None

    def stats(self):
        lines = self.control("stats").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def finish_job(self, name):
        """Wait for `compact` or `verify`; what its file reads then."""
        until(lambda: self.control(name).startswith("idle"), name + " does not end")
        return self.control(name).strip()

    # ---- refusals ---------------------------------------------------------

    def errors(self):
        return self.control("errors").splitlines()

    def forget_errors(self):
        self.control("errors", "clear\n")

    def expect_error(self, pattern):
        """One line in control/errors that fits, and no other. A refusal at close is
        told by the kernel after close(2) has returned."""
        until(self.errors, f"no line like {pattern!r} in control/errors")
        lines = self.errors()
        assert len(lines) == 1, lines
        assert re.search(pattern, lines[0]), (pattern, lines)
        self.forget_errors()
        return lines[0]

    # ---- the end ----------------------------------------------------------

    def kill(self):
        """As a crash would end it; the mount point is stale then."""
        os.kill(self.pid, signal.SIGKILL)
        watchdog.forget(self.pid)
        assert wait_for(self.daemon, PATIENCE_SECONDS) == -signal.SIGKILL
        self.open = False
        self.log.close()

    def cut_off(self):
        """What a call may say that was under way when the daemon was killed."""
        return CUT_OFF + (CUT_OFF_WHILE_READ if "io_uring=off" in self.options else ())

    def unmount(self):
        """Take it down in order; whatever is wrong with it is an error here."""
        if not self.open:
            return
        faults = []
        try:
            if not self.private:
                faults += ["control/errors: " + line for line in self.errors()]
        except OSError as error:
            faults.append(f"control/errors: {error}")
        done = run("umount", self.point, status=None)
        stays = done.returncode != 0 and is_mounted(self.point)
        if stays:
            faults.append(done.stderr.decode().strip())
        faults += self.ended(PATIENCE_MOUNTED_SECONDS if stays else PATIENCE_SECONDS)
        if self.check:
            done = quiverfs("check", self.store.path, status=None)
            if done.returncode != 0 or "no faults" not in done.stdout:
                faults.append(done.stdout + done.stderr)
        assert not faults, "\n".join(faults)

    def ended(self, patience=PATIENCE_SECONDS):
        """Wait for the end of the daemon; what was wrong with it, as lines."""
        faults = []
        try:
            code = wait_for(self.daemon, patience)
            if code != 0:
                faults.append(f"the daemon ended with {code}: {self.log_text()}")
        except subprocess.TimeoutExpired:
            faults.append("the daemon does not end" + self.who_keeps_it())
        self.take_away()
        return faults + self.take_reports()

    def who_keeps_it(self):
        """The daemon lives as long as any mount namespace has its mount. (tests/run_pytest
        runs us where nobody copies ours.)"""
        kept = []
        for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
            with contextlib.suppress(OSError):
                if f" {self.point} " in mounts.read_text(errors="replace"):
                    name = mounts.with_name("cmdline").read_text(errors="replace")
                    kept.append(f"{mounts.parent.name} ({name[:80].replace(chr(0), ' ').strip()})")
        return f": it is mounted for the processes {', '.join(kept)}" if kept else ""

    def take_reports(self):
        """What sanitizers had to say."""
        found = []
        for report in sorted(self.reports.iterdir()):
            found.append(report.read_text(errors="replace"))
            report.unlink()
        return found

    def take_away(self):
        """Leave neither a mount nor a process behind, whatever state they are in."""
        if self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        watchdog.forget(self.pid)
        let_go(self.point, status=None)
        self.open = False
        if not self.log.closed:
            self.log.close()


def sanitized_environment(reports):
    """The environment with which a sanitizer writes its reports into that folder."""
    env = dict(os.environ)
    for name in SANITIZERS:
        env[name] = ":".join(filter(None, [env.get(name), f"log_path={reports}/report"]))
    return env


class Stores:
    """All stores and mounts of one test, taken down when it ends."""

    def __init__(self, folder, transport):
        self.folder = folder
        self.transport = transport
        self.mounts = []

    def create(self, dim=25, dtype="f4", name="store"):
        return Store(self.folder, dim, dtype, name)

    def mount(self, store=None, **options):
        options.setdefault("transport", self.transport)
        mounted = Mount(store or self.create(), **options)
        self.mounts.append(mounted)
        return mounted

    def again(self, mounted, **options):
        """Unmount it and mount its store anew."""
        mounted.unmount()
        return self.mount(mounted.store, **options)

    def close(self, strict):
        faults = []
        for mounted in reversed(self.mounts):
            try:
                if strict:
                    mounted.unmount()
            except AssertionError as error:
                faults.append(str(error))
            finally:
                if mounted.open or is_mounted(mounted.point):
                    mounted.take_away()
            if not strict:
                print(mounted.log_text(), *mounted.take_reports(), sep="\n")
        assert not faults, "\n".join(faults)
