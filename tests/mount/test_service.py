"""The daemon under a service manager: sd_notify(3), the watchdog, the journal's
priorities. The manager is the test."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import harness
from harness import QUIVERFS, Mount, Store, run, until

SECONDS = 1_000_000
PID_OF_A_SHELL = ["sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"]


class Manager:
    """The socket that a daemon reports to."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.name = name
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)

    def next(self, seconds=harness.PATIENCE_SECONDS):
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
    """Its children that have not ended."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found
            if "State:\tZ" not in Path(f"/proc/{child}/status").read_text()]


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
