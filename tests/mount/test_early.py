"""Who unmounts or moves a mount that has just been made, before the program that made it has
tried it."""

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest

from disks import SHIM, need_shim
from harness import QUIVERFS, Store, is_mounted, let_go, quiverfs, run, until, wait_for_release
from patience import wait_for

PATIENCE_SECONDS = 120


def prober_of(pid):
    """In the foreground the process that tries the mount is a child, beside the guard."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(child) for child in found
                if "quiverfs-guard" not in Path(f"/proc/{child}/comm").read_text())


class Untried:
    """A mount that has been made and not been tried: who would try it is stopped, which can be
    done while the store is in use."""

    def __init__(self, store, point, foreground):
        point.mkdir(parents=True)
        self.store, self.point, self.foreground = store, point, foreground
        self.log = store.folder / "early.log"
        with open(store.path / "LOCK", "r+", encoding="ascii") as lock, open(self.log, "wb") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write(f"pid {os.getpid()}\n")
            lock.truncate()
            lock.flush()
            self.started = subprocess.Popen(
                [QUIVERFS, "mount", *(["-f"] if foreground else []), store.path, point],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            until(lambda: "waiting until it ends" in self.said(), "it does not wait")
            self.prober = prober_of(self.started.pid) if foreground else self.started.pid
            os.kill(self.prober, signal.SIGSTOP)
            lock.truncate(0)
        until(lambda: is_mounted(point), "no mount")

    def said(self):
        return self.log.read_text(encoding="utf-8")

    def go_on(self):
        os.kill(self.prober, signal.SIGCONT)

    def take_away(self):
        self.go_on()
        let_go(self.point, status=None)
        wait_for(self.started, PATIENCE_SECONDS)


@pytest.fixture
def untried(tmp):
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse")
    made = []

    def make(name="mnt", foreground=True):
        made.append(Untried(Store(tmp), tmp / name, foreground))
        return made[-1]

    yield make
    for one in made:
        if one.started.poll() is None:
            one.take_away()


@pytest.mark.parametrize("how", ["umount", "umount -l"])
@pytest.mark.parametrize("foreground", [True, False])
def test_what_is_unmounted_at_once_is_told_and_no_fault(untried, foreground, how):
    """In the foreground it has ended as any mount that is unmounted; in the background there is no
    mount for who waits for one."""
    mount = untried(foreground=foreground)
    if how == "umount":
        run("fusermount3", "-u", mount.point)
    else:
        let_go(mount.point)
    mount.go_on()
    assert wait_for(mount.started, PATIENCE_SECONDS) == (0 if foreground else 1), mount.said()
    last = mount.said().splitlines()[-1]
    assert last == f"quiverfs: {mount.point}: it was unmounted before it was ready"
    quiverfs("check", mount.store.path)


@pytest.mark.parametrize("foreground", [True, False])
def test_what_is_moved_at_once_is_tried_where_it_is(untried, tmp, foreground):
    mount = untried("above/mnt", foreground)
    os.rename(tmp / "above", tmp / "moved")
    mount.point = tmp / "moved/mnt"
    mount.go_on()
    if foreground:
        until(lambda: " mounted on " in mount.said() or mount.started.poll() is not None, "no end")
        assert mount.started.poll() is None, mount.said()
    else:
        assert wait_for(mount.started, PATIENCE_SECONDS) == 0, mount.said()
    (mount.point / "vectors/1").write_bytes(bytes(mount.store.size))
    run("fusermount3", "-u", mount.point)
    assert wait_for(mount.started, PATIENCE_SECONDS) == 0, mount.said()
    quiverfs("check", mount.store.path)


@pytest.mark.needs_root("as which the daemon mounts by itself")
def test_what_is_moved_before_the_mounting_returns_is_tried_where_it_is(tmp):
    """libfuse looked for the mount point once more after mount(2), and left a dead mount."""
    need_shim()
    store, moved, point = Store(tmp), tmp / "moved", tmp / "above/mnt"
    moved.write_text("moved 1\n", encoding="ascii")
    point.mkdir(parents=True)
    run("env", f"LD_PRELOAD={SHIM}", f"QUIVERFS_SHIM_FAULT={moved}", QUIVERFS, "mount", store.path,
        point)
    point = tmp / "above.moved/mnt"
    (point / "vectors/1").write_bytes(bytes(store.size))
    run("fusermount3", "-u", point)
    wait_for_release(store.path)
    quiverfs("check", store.path)
