"""A log that nobody reads stops nothing: neither requests, nor the end of the mount. What is said to
whom is in test_refusals.py and test_service.py."""

import os
import pty
import shutil
import signal
import socket
import subprocess
import termios
import threading
from pathlib import Path

import pytest

import harness
from harness import Mount, is_mounted, until
from namespace import hold_namespace
from patience import HANG_SECONDS

# More than the daemon writes in a second to its log, and than a full pipe takes.
REFUSALS = 30


class Unread:
    """A standard error that takes nothing, until `read` is called."""

    def __init__(self, folder):
        self.folder = folder
        self.text = b""

    def read(self):
        """From now on read everything. The last one holds the other end."""
        self.reader = threading.Thread(target=self.read_all, daemon=True)
        self.reader.start()

    def read_all(self):
        try:
            while data := os.read(self.descriptor, 65536):
                self.text += data
        except OSError:  # EIO: nobody has the terminal any more
            pass


class Pipe(Unread):
    def __init__(self, folder):
        super().__init__(folder)
        path = folder / "pipe"
        os.mkfifo(path, 0o666)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.chmod(path, 0o666)
        self.filler = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            while True:
                os.write(self.filler, b"x" * 4096)
        except BlockingIOError:
            pass
        self.before = ["sh", "-c", f'exec "$@" 2>{path}', "sh"]

    def read(self):
        os.close(self.filler)
        os.set_blocking(self.descriptor, True)
        super().read()


class Terminal(Unread):
    """As with ^S."""

    def __init__(self, folder):
        super().__init__(folder)
        self.descriptor, self.other = pty.openpty()
        termios.tcflow(self.other, termios.TCOOFF)
        name = os.ttyname(self.other)
        os.chmod(name, 0o666)
        self.before = ["sh", "-c", f'exec "$@" 2>{name}', "sh"]

    def read(self):
        termios.tcflow(self.other, termios.TCOON)
        os.close(self.other)
        super().read()


class Socket(Unread):
    """As the journal's, which cannot be opened a second time."""
    CONNECT = """if True:
        import os, socket, sys
        to = socket.socket(socket.AF_UNIX)
        to.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        to.connect(sys.argv[1])
        to.setblocking(False)
        try:
            while True:
                to.send(b"x" * 100)
        except BlockingIOError:
            to.setblocking(True)
        os.dup2(to.fileno(), 2)
        os.execvp(sys.argv[2], sys.argv[2:])"""

    def __init__(self, folder):
        super().__init__(folder)
        path = folder / "socket"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        os.chmod(path, 0o777)
        self.listener.listen()
        self.before = ["python3", "-c", self.CONNECT, path]

    def read(self):
        self.connection, _ = self.listener.accept()
        self.descriptor = self.connection.fileno()
        super().read()


class Logged(Mount):
    def is_up(self):
        return os.path.exists(self.control_folder / "version")


@pytest.fixture(params=[Pipe, Terminal, Socket], ids=lambda kind: kind.__name__)
def unread(request, tmp):
    return request.param(tmp)


@pytest.fixture
def mounted(stores, transport, unread):
    """A mount with that standard error."""
    mnt = Logged(stores.create(), transport=transport, before=map(str, unread.before))
    stores.mounts.append(mnt)
    return mnt


def use(mnt, text):
    """Run a shell on each processor; none of them may hang."""
    for cpu in sorted(os.sched_getaffinity(0)):
        subprocess.run(["taskset", "-c", str(cpu), "sh", "-c", text], cwd="/",
                       timeout=HANG_SECONDS, check=True, stderr=subprocess.DEVNULL,
                       env={**os.environ, "V": str(mnt.vectors)})


REFUSED = f'for i in $(seq {REFUSALS}); do mkdir "$V/bad$i"; done; ! stat "$V/777"'


def test_requests_are_answered_and_the_end_comes_though_nobody_reads(mounted):
    mnt = mounted
    use(mnt, REFUSED)
    use(mnt, 'head -c 100 /dev/zero >"$V/1"; cat "$V/1" >/dev/null')
    os.kill(mnt.pid, signal.SIGTERM)
    assert mnt.ended() == []
    assert not is_mounted(mnt.point)
    mnt.store.check()


def test_what_is_read_late_was_not_lost(mounted, unread):
    mnt = mounted
    use(mnt, REFUSED)
    unread.read()
    until(lambda: b"bad1: folders cannot be made here" in unread.text, unread.text)
    os.kill(mnt.pid, signal.SIGTERM)
    assert mnt.ended() == []
    unread.reader.join(harness.PATIENCE_SECONDS)
    lines = [line for line in unread.text.decode().splitlines() if line.strip("x")]
    # The first requests may be refused before the daemon says so.
    assert any("mounted on" in line for line in lines)
    assert "unmounting" in lines[-1]


def test_the_lines_that_were_dropped_are_counted(mnt):
    """The test of the queue itself is tests/unit/test_log_queue.c."""
    assert mnt.stats()["log_lines_dropped"] == "0"
    assert "quiverfs_log_lines_dropped_total{" in mnt.control("metrics")


STANDING = """if True:
    import os, socket, subprocess, sys, time
    folder, program, store, point, transport = sys.argv[1:]
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind("/dev/log")
    subprocess.run([program, "mount", "-o", "io_uring=" + transport, store, point], check=True)
    with open(f"{point}/control/stats") as file:
        pid = int(dict(line.split(" ", 1) for line in file)["pid"])
    end = time.monotonic() + 4
    while time.monotonic() < end:  # it writes ten lines a second, and the socket takes a few
        for cpu in os.sched_getaffinity(0):
            subprocess.run(["taskset", "-c", str(cpu), "sh", "-c",
                            f"mkdir {point}/vectors/bad; ! stat {point}/vectors/777"],
                           stderr=subprocess.DEVNULL, check=True, timeout=600)
    os.kill(pid, 15)
    end = time.monotonic() + 600
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < end, "the daemon does not end"
        time.sleep(0.01)
    log.setblocking(False)
    print(log.recv(4096).decode())
"""


@pytest.mark.needs_root("makes namespaces")
def test_a_syslog_that_stands_still(stores, transport, tmp):
    """In a mount namespace of its own, with a /dev of its own."""
    for tool in ("taskset", "mknod"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    store = stores.create()
    (tmp / "mnt").mkdir()
    (tmp / "dev").mkdir()
    holder = hold_namespace()
    inside = ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt"]
    try:
        harness.run(*inside, "mount", "-t", "tmpfs", "tmpfs", tmp / "dev")
        harness.run(*inside, "sh", "-c", 'for d in null zero urandom fuse tty; do cp -a /dev/$d "$1"; '
                    'done; mount --bind "$1" /dev', "sh", tmp / "dev")
        done = harness.run(*inside, "python3", "-c", STANDING, tmp, harness.QUIVERFS, store.path,
                           tmp / "mnt", "on" if transport == "io_uring" else "off", status=None,
                           env=harness.sanitized_environment(tmp))
        assert done.returncode == 0, done.stderr.decode()
        assert "mounted on" in done.stdout.decode()
    finally:
        harness.run(*inside, "umount", "-l", tmp / "mnt", status=None)
        holder.stdin.close()
        holder.wait()
    store.check()
