"""The daemon under a service manager: sd_notify(3), the watchdog, the journal's
priorities. The manager is the test."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import disks
import harness
from harness import QUIVERFS, Mount, Store, let_go, run, until
from ordinary_user import CONTROL

SECONDS = 1_000_000
PID_OF_A_SHELL = ["sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"]


class Manager:
    """The socket that a daemon reports to."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.name = name
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)

    def next(self, seconds=harness.PATIENCE_SECONDS):
        """The same without what asks for more time, which depends on how long things take."""
        while True:
            lines = self.message(seconds)
            if lines is None or not lines[0].startswith("EXTEND_TIMEOUT_USEC="):
                return lines

    def message(self, seconds=harness.PATIENCE_SECONDS):
        """The lines of the next message, or None where none comes so soon."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(65536).decode().split("\n")
        except TimeoutError:
            return None

    def drain(self):
        while self.next(0.001):
            pass


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp):
    made = Manager(str(tmp / "notify") if request.param == "path" else f"@{tmp}/notify")
    yield made
    made.socket.close()


@pytest.fixture
def store(tmp):
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse")
    return Store(tmp)


def environment(**variables):
    return ["env", *(f"{name}={value}" for name, value in variables.items())]


def children(pid):
    """Its children that have not ended, but for the guard, which is there as long as it is."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = {int(child): Path(f"/proc/{child}/status").read_text() for child in found}
    return [child for child, text in status.items()
            if "State:\tZ" not in text and "Name:\tquiverfs-guard" not in text]


def test_ready_when_it_works_and_stopping_when_it_ends(manager, store):
    mnt = Mount(store, before=environment(NOTIFY_SOCKET=manager.name))
    try:
        lines = manager.next()
        assert lines[0] == "READY=1"
        assert re.fullmatch(rf"STATUS={store.path} mounted on {mnt.point} \(.*\)", lines[1])
        mnt.put(1, bytes(mnt.size))
        # without a watchdog nobody goes on asking
        until(lambda: children(mnt.pid) == [], "the prober does not end")
        assert manager.next(0.2) is None
        os.kill(mnt.pid, signal.SIGTERM)
        assert manager.next()[0] == "STOPPING=1"
        assert mnt.ended() == []
    finally:
        mnt.take_away()
    store.check()


# ---- the end, whoever wants it --------------------------------------------------------


def abort(mnt):
    """As whoever mounted it may."""
    connection = os.minor(os.stat(mnt.point).st_dev)
    control = Path(CONTROL)
    if os.geteuid() == 0:
        control = mnt.store.folder / "fusectl"
        control.mkdir()
        run("mount", "-t", "fusectl", "fusectl", control)
    elif not os.path.ismount(CONTROL):
        pytest.skip(f"{CONTROL} is not mounted")
    try:
        (control / str(connection) / "abort").write_text("1")
    finally:
        if os.geteuid() == 0:
            run("umount", control)


ENDS = {
    "SIGTERM": lambda mnt: os.kill(mnt.pid, signal.SIGTERM),
    "umount": lambda mnt: run("umount", mnt.point),
    "umount -l": lambda mnt: let_go(mnt.point),
    "fusermount3 -u": lambda mnt: run("fusermount3", "-u", mnt.point),
    "abort": abort,
}


@pytest.mark.parametrize("how", ENDS)
def test_the_manager_hears_of_every_end(manager, store, how):
    mnt = Mount(store, before=environment(NOTIFY_SOCKET=manager.name))
    try:
        assert manager.next()[0] == "READY=1"
        mnt.put(1, bytes(mnt.size))
        ENDS[how](mnt)
        assert manager.next()[0] == "STOPPING=1"
        assert mnt.ended() == []
        assert manager.next(0.1) is None  # once
    finally:
        mnt.take_away()
    store.check()


@pytest.mark.parametrize("how", ["SIGTERM", "umount"])
def test_a_long_end_is_waited_for(manager, store, how):
    """Of a store on a slow disk: the watchdog is fed, and more time asked for, up to the end."""
    disks.need_shim()
    shim = disks.Shim(store.folder)
    variables = environment(NOTIFY_SOCKET=manager.name, WATCHDOG_USEC=SECONDS // 2)
    mnt = Mount(store, before=[*shim.words, *variables, *PID_OF_A_SHELL])
    try:
        assert manager.next()[0] == "READY=1"
        mnt.put(1, bytes(mnt.size))
        shim.fail(slow=700)
        ENDS[how](mnt)
        while (lines := manager.next())[0] != "STOPPING=1":
            assert lines == ["WATCHDOG=1"]
        fed = 0
        while mnt.daemon.poll() is None:
            lines = manager.message(1)
            if lines is not None and len(lines) == 2:
                assert int(lines[0].removeprefix("EXTEND_TIMEOUT_USEC=")) >= 10 * SECONDS
                assert lines[1] == "WATCHDOG=1"
                fed += 1
        assert fed >= 3
        assert mnt.ended() == []
    finally:
        mnt.take_away()
    store.check()


def test_a_long_beginning_is_waited_for(manager, store, tmp):
    """A store that another process lets go of after a while; so it is with a long recovery."""
    (tmp / "mnt").mkdir()
    variables = environment(NOTIFY_SOCKET=manager.name, WATCHDOG_USEC=SECONDS // 2)
    with open(store.path / "LOCK", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        daemon = subprocess.Popen([*variables, *PID_OF_A_SHELL, QUIVERFS, "mount", "-f", store.path,
                                   tmp / "mnt"], stderr=subprocess.DEVNULL)
        try:
            for _ in range(3):
                lines = manager.message(30)
                assert len(lines) == 1
                assert int(lines[0].removeprefix("EXTEND_TIMEOUT_USEC=")) >= 10 * SECONDS
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert manager.next()[0] == "READY=1"
        finally:
            daemon.terminate()
            assert daemon.wait(harness.PATIENCE_SECONDS) == 0
            let_go(tmp / "mnt", status=None)
    store.check()


def test_a_manager_that_does_not_read_stops_nothing(store, tmp):
    full = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    full.bind(str(tmp / "full"))
    os.chmod(tmp / "full", 0o777)
    filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    filler.connect(str(tmp / "full"))
    filler.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            filler.send(b"WATCHDOG=1")
    mnt = Mount(store, before=environment(NOTIFY_SOCKET=tmp / "full"))
    try:
        mnt.put(1, bytes(mnt.size))
        os.kill(mnt.pid, signal.SIGTERM)
        assert mnt.ended(30) == []
    finally:
        mnt.take_away()
        filler.close()
        full.close()
    store.check()


def test_files_that_stay_open_after_the_mount_point_is_gone_are_served(manager, store, rng):
    """`umount -l`: the watchdog does not take that for a mount that hangs."""
    variables = environment(NOTIFY_SOCKET=manager.name, WATCHDOG_USEC=SECONDS // 5)
    mnt = Mount(store, before=[*variables, *PID_OF_A_SHELL])
    data = rng.randbytes(mnt.size)
    try:
        mnt.put(1, data)
        with open(mnt.path(1), "rb", buffering=0) as file:
            let_go(mnt.point)
            manager.drain()
            for _ in range(4):
                lines = manager.next(30)
                assert "WATCHDOG=1" in lines and "STOPPING=1" not in lines
            assert file.read() == data
        while (lines := manager.next())[0] != "STOPPING=1":
            assert "WATCHDOG=1" in lines
        assert mnt.ended() == []
        assert "a request failed" not in mnt.store.folder.joinpath("mnt.log").read_text()
    finally:
        mnt.take_away()
    store.check()


def test_a_mount_that_was_moved_is_tried_where_it_is(manager, store, tmp):
    (tmp / "above").mkdir()
    variables = environment(NOTIFY_SOCKET=manager.name, WATCHDOG_USEC=SECONDS // 5)
    mnt = Mount(store, name="above/mnt", before=[*variables, *PID_OF_A_SHELL])
    try:
        assert manager.next()[0] == "READY=1"
        os.rename(tmp / "above", tmp / "elsewhere")
        manager.drain()
        for _ in range(5):
            assert manager.next(30) == ["WATCHDOG=1"]
        os.kill(mnt.pid, signal.SIGTERM)
        assert mnt.ended() == []
    finally:
        mnt.take_away()
    store.check()


def test_not_ready_where_it_cannot_be_mounted(manager, store, tmp):
    (tmp / "mnt").mkdir()
    os.truncate(store.path / "vectors.npy", 100)
    run(*environment(NOTIFY_SOCKET=manager.name), QUIVERFS, "mount", "-f", store.path,
        tmp / "mnt", status=1)
    assert manager.next(0.2) is None


def test_the_watchdog_is_fed_while_the_mount_answers(manager, store):
    variables = environment(NOTIFY_SOCKET=manager.name, WATCHDOG_USEC=SECONDS // 5)
    mnt = Mount(store, before=[*variables, *PID_OF_A_SHELL])
    try:
        assert manager.next()[0] == "READY=1"
        for _ in range(5):
            assert manager.next() == ["WATCHDOG=1"]
        # where the prober gets no answers the watchdog must find out
        prober, = children(mnt.pid)
        os.kill(prober, signal.SIGSTOP)
        until(lambda: manager.next(1) is None, "the watchdog is fed")  # the last answer is told
        os.kill(prober, signal.SIGCONT)
        assert manager.next() == ["WATCHDOG=1"]
        # it is no part of the service that one could not do without
        os.kill(prober, signal.SIGKILL)
        until(lambda: "is gone" in mnt.log_text(), "nobody misses the prober")
        manager.drain()
        for _ in range(3):
            assert manager.next() == ["WATCHDOG=1"]
        mnt.put(1, bytes(mnt.size))
        os.kill(mnt.pid, signal.SIGTERM)
        assert mnt.ended() == []
    finally:
        mnt.take_away()
    store.check()


def test_a_watched_mount_ends_in_order(manager, store):
    """Though the prober asks all the time, and makes the mount busy when it does."""
    variables = environment(NOTIFY_SOCKET=manager.name, WATCHDOG_USEC=SECONDS // 300)
    for _ in range(10):
        mnt = Mount(store, before=[*variables, *PID_OF_A_SHELL])
        try:
            assert manager.next()[0] == "READY=1"
            assert manager.next() == ["WATCHDOG=1"]
            os.kill(mnt.pid, signal.SIGTERM)
            assert mnt.ended() == []
            with open(mnt.store.folder / "mnt.log", encoding="utf-8") as log:
                assert "still in use" not in log.read()
        finally:
            mnt.take_away()
        manager.drain()
    store.check()


def test_a_watchdog_for_somebody_else_is_not_fed(manager, store):
    mnt = Mount(store, before=environment(NOTIFY_SOCKET=manager.name, WATCHDOG_USEC=SECONDS // 10,
                                          WATCHDOG_PID=1))
    try:
        assert manager.next()[0] == "READY=1"
        assert manager.next(0.5) is None
    finally:
        mnt.unmount()


@pytest.mark.parametrize("name", ["nowhere", "@", "/nonexistent/socket", "x" * 200])
def test_a_manager_that_is_not_there_is_no_reason_to_fail(store, name):
    mnt = Mount(store, before=environment(NOTIFY_SOCKET=name))
    mnt.put(1, bytes(mnt.size))
    assert "NOTIFY_SOCKET" in mnt.log_text()
    mnt.unmount()


# ---- the journal ----------------------------------------------------------------------


@pytest.mark.parametrize("ours", [True, False])
def test_the_journal_gets_priorities(store, tmp, ours):
    """Only where it is really the journal that reads standard error."""
    (tmp / "mnt").mkdir()
    read, write = os.pipe()
    found = os.fstat(write)
    stream = f"{found.st_dev}:{found.st_ino + (0 if ours else 1)}"
    daemon = subprocess.Popen([QUIVERFS, "mount", "-f", store.path, tmp / "mnt"], stderr=write,
                              env={**os.environ, "JOURNAL_STREAM": stream})
    try:
        os.close(write)
        with open(read, encoding="utf-8") as journal:
            first = journal.readline()
            with pytest.raises(OSError):
                (tmp / "mnt/vectors/1").write_bytes(b"too short")
            second = journal.readline()
            os.kill(daemon.pid, signal.SIGTERM)
            journal.read()
    finally:
        until(lambda: daemon.poll() is not None, "the daemon does not end")
    assert daemon.returncode == 0
    info, warning = ("<6>", "<4>") if ours else ("", "")
    assert first.startswith(f"{info}quiverfs: {store.path} mounted on ")
    assert second.startswith(f"{warning}quiverfs: ") and "vector 1: got 9" in second


def test_the_journal_hears_why_it_was_not_mounted(store, tmp):
    with open(tmp / "log", "w+b") as log:
        found = os.fstat(log.fileno())
        done = subprocess.run([QUIVERFS, "mount", "-f", store.path, tmp / "missing"], stderr=log,
                              env={**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"},
                              check=False)
        assert done.returncode == 1
        log.seek(0)
        assert log.read().startswith(b"<3>quiverfs: ")
