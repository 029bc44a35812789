"""Stores and mount points that are not where or what they were."""

import errno
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from files import GONE, refused
from harness import QUIVERFS, Store, is_mounted, quiverfs, run, until
from namespace import hold_namespace, own_namespace
from patience import HANG_SECONDS, wait_for


def refused_mount(store, point, *says, options=()):
    done = quiverfs("mount", store, point, *options, status=1)
    for part in says:
        assert str(part) in done.stderr, done.stderr
    return done.stderr


# ---- one store, two processes -------------------------------------------------------


def test_two_processes_cannot_have_one_store(stores, tmp, rng):
    """By its path, by another path, read-only: the first one is named and goes on."""
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    other, link = tmp / "other", tmp / "link"
    other.mkdir()
    link.symlink_to(mnt.store.path)
    for store in (mnt.store.path, link):
        for options in ((), ("-o", "ro"), ("-f",)):
            refused_mount(store, other, "in use", mnt.pid, mnt.point, options=options)
            assert not is_mounted(other)
    done = quiverfs("check", mnt.store.path, status=None)
    assert done.returncode != 0 and str(mnt.point) in done.stderr
    assert mnt.get(1) and mnt.errors() == []


def test_one_of_many_that_mount_at_once_wins(stores, tmp):
    """All with one store, each on a folder of its own."""
    store = stores.create()
    points = [tmp / f"point{number}" for number in range(8)]
    for point in points:
        point.mkdir()
    tries = [subprocess.Popen([QUIVERFS, "mount", store.path, point], stderr=subprocess.PIPE)
             for point in points]
    said = [one.communicate(timeout=HANG_SECONDS)[1].decode() for one in tries]
    codes = [one.returncode for one in tries]
    try:
        assert sorted(codes) == [0] + [1] * 7, (codes, said)
        winner = points[codes.index(0)]
        assert all("in use" in text for text, code in zip(said, codes) if code)
        assert [is_mounted(point) for point in points].count(True) == 1
    finally:
        for point in points:
            subprocess.run(["umount", point], stderr=subprocess.DEVNULL, check=False)
    until(lambda: quiverfs("check", store.path, status=None).returncode == 0, winner)


def test_a_stale_lock_of_a_dead_process_holds_nobody_up(stores, rng):
    """The lock is the kernel's: the name in the file is only for messages."""
    mnt = stores.mount()
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    dead = mnt.pid
    mnt.kill()
    run("umount", mnt.point)
    assert f"pid {dead}" in (mnt.store.path / "LOCK").read_text()
    assert "not mounted" in quiverfs("status", mnt.store.path).stdout
    assert stores.mount(mnt.store).get(1) == data


def test_a_lock_file_with_the_pid_of_somebody_else_is_no_lock(stores, rng):
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    mnt.unmount()
    for text in (f"pid {os.getpid()}\nmount {mnt.point}\n", "pid -1\n", "x" * 10000, ""):
        (mnt.store.path / "LOCK").write_text(text)
        assert "not mounted" in quiverfs("status", mnt.store.path).stdout
        again = stores.mount(mnt.store)
        again.unmount()


# ---- stores that move or are copied --------------------------------------------------


def test_a_store_that_moves_while_mounted_goes_on(stores, tmp, rng):
    mnt = stores.mount(options=["durability=always"])
    data = {number: rng.randbytes(mnt.size) for number in range(500)}
    for number in range(0, 200):
        mnt.put(number, data[number])
    moved = tmp / "moved"
    mnt.store.path.rename(moved)
    for number in range(200, 500):
        mnt.put(number, data[number])
    for number in range(0, 250):
        os.unlink(mnt.path(number))
    mnt.control("checkpoint", "1")
    mnt.control("compact", "start")
    assert "failed" not in mnt.finish_job("compact")
    for target in (moved, mnt.point):
        assert f"process {mnt.pid}" in quiverfs("status", target).stdout
    quiverfs("flush", moved)
    assert str(mnt.point) in quiverfs("check", moved, status=1).stderr
    (tmp / "other").mkdir()
    refused_mount(moved, tmp / "other", "in use", mnt.pid, mnt.point)
    mnt.check = False
    mnt.unmount()
    mnt.store.path = moved
    mnt.store.check()
    again = stores.mount(mnt.store)
    assert {number: again.get(number) for number in again.ids()} == \
        {number: data[number] for number in range(250, 500)}


def test_a_new_store_in_the_place_of_a_moved_one_is_another(stores, tmp, rng):
    mnt = stores.mount()
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    place = mnt.store.path
    mnt.store.path = tmp / "moved"
    place.rename(mnt.store.path)
    new = Store(tmp)
    second = stores.mount(new, name="second")
    second.put(2, data)
    assert mnt.ids() == {1} and second.ids() == {2}
    assert str(second.point) in quiverfs("status", place).stdout or \
        f"process {second.pid}" in quiverfs("status", place).stdout


@pytest.mark.needs_root("mounts and remounts")
def test_another_name_of_a_mounted_store_is_that_store(stores, tmp, rng):
    """A bind mount, which no path tells."""
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    alias = tmp / "alias"
    alias.mkdir()
    run("mount", "--bind", mnt.store.path, alias)
    try:
        said = quiverfs("status", alias).stdout
        assert f"process {mnt.pid}" in said and str(mnt.point) in said
    finally:
        run("umount", alias)


@pytest.mark.needs_root("makes namespaces")
def test_a_store_mounted_in_another_namespace_says_so(stores, tmp):
    """Its mount point is an empty folder here. Nobody waits for it to end."""
    hold_namespace().communicate()  # whether there can be one
    mnt = stores.mount(before=["unshare", "--mount"], private=True)
    (tmp / "other").mkdir()
    assert os.listdir(mnt.point) == []
    said = quiverfs("status", mnt.store.path, status=1).stderr
    for part in (f"process {mnt.pid}", str(mnt.point), "namespace", f"nsenter -t {mnt.pid} -m"):
        assert part in said, said
    os.kill(mnt.pid, signal.SIGTERM)
    assert wait_for(mnt.daemon, 60) == 0, mnt.log_text()
    mnt.store.check()


@pytest.mark.needs_root("makes namespaces")
def test_what_tests_mount_is_in_nobody_elses_namespace(stores):
    """A namespace that another program makes has copies of the mounts it finds, and a daemon
    ends with the last copy: tests ended in "the daemon does not end" beside a container."""
    if os.environ.get("QUIVERFS_TEST_RUNNER") != "run_pytest":
        pytest.skip("not run by tests/run_pytest")
    mnt = stores.mount()
    hold_namespace().communicate()  # whether there can be one
    other = subprocess.Popen(["nsenter", f"--mount=/proc/{os.getppid()}/ns/mnt", "unshare",
                              "--mount", "--propagation", "private", "cat"],
                             stdin=subprocess.PIPE)
    until(lambda: own_namespace(other.pid) and Path(f"/proc/{other.pid}/comm").read_text() ==
          "cat\n", "no mount namespace")
    try:
        mnt.unmount()
    finally:
        other.communicate()


def test_a_copy_made_while_mounted_is_a_store_or_says_why_not(stores, tmp, rng):
    """A copy taken file by file of a store at rest, but open: it is recovered. Its lock
    file names a process that does not hold it."""
    mnt = stores.mount()
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    mnt.control("flush", "1")
    run("cp", "-a", mnt.store.path, tmp / "copy")
    copy = Store.__new__(Store)
    vars(copy).update(vars(mnt.store), path=tmp / "copy")
    assert "not mounted" in quiverfs("status", copy.path).stdout
    second = stores.mount(copy, name="second")
    mnt.put(2, data)
    second.put(3, data)
    assert mnt.ids() == {1, 2} and second.ids() == {1, 3}
    assert f"process {second.pid}" in quiverfs("status", copy.path).stdout


def test_a_store_removed_while_mounted_answers_to_the_end(stores, rng):
    """Whoever has it mounted keeps what he has open; ending it says what is wrong."""
    mnt = stores.mount(check=False)
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    shutil.rmtree(mnt.store.path)
    assert mnt.get(1) == data
    assert mnt.ids() == {1}
    run("umount", mnt.point)
    code = wait_for(mnt.daemon, 60)
    text = mnt.log_text()
    mnt.take_away()
    assert code == 1 and str(mnt.store.path) in text, (code, text)


# ---- mount points ---------------------------------------------------------------------


def test_a_mount_point_must_be_an_empty_folder(stores, tmp):
    store = stores.create()
    full, file = tmp / "full", tmp / "file"
    full.mkdir()
    (full / "precious").write_text("mine")
    file.write_text("")
    refused_mount(store.path, full, full, "empty")
    refused_mount(store.path, file, file, "folder")
    refused_mount(store.path, tmp / "nowhere", "nowhere")
    refused_mount(store.path, store.path, store.path)
    refused_mount(store.path, store.path / "wal", store.path)
    assert (full / "precious").read_text() == "mine"
    assert not is_mounted(full)
    store.check()


def test_a_stale_mount_point_says_what_to_run(stores, tmp, rng):
    """And that command makes it usable again."""
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    mnt.kill()
    with refused(*GONE):
        os.listdir(mnt.point)
    said = refused_mount(mnt.store.path, mnt.point, "run:")
    command = said.split("run: ", 1)[1].split()
    words = ["umount"] if os.geteuid() == 0 else ["fusermount3", "-u"]
    assert command == [*words, str(mnt.point)]
    run(*command)
    again = stores.mount(mnt.store)
    assert again.ids() == {1}


@pytest.mark.parametrize("transport", ["dev_fuse", "io_uring"])
def test_commands_whose_daemon_dies_say_so(stores, rng, transport):
    """What the kernel answers then differs: a request is aborted, cancelled or interrupted,
    or the connection is gone before it."""
    store = stores.create()
    for _ in range(25):
        mnt = stores.mount(store, transport=transport)
        mnt.put(1, rng.randbytes(mnt.size))
        loops = [subprocess.Popen(["bash", "-c", f"while {QUIVERFS} {command} {mnt.point}; do :; done"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                 for command in ("status", "flush", "compact", "status --json")]
        time.sleep(rng.random() * 0.05)
        mnt.kill()
        for one in loops:
            said = one.communicate(timeout=HANG_SECONDS)[1].decode()
            assert "daemon" in said and "gone" in said, said
        run("umount", mnt.point)


def test_a_mount_point_in_use_by_another_mount_is_refused(stores, tmp):
    mnt = stores.mount()
    second = stores.create(name="second")
    refused_mount(second.path, mnt.point, mnt.point)
    assert mnt.ids() == set()
    second.check()


def test_a_mount_inside_a_mounted_store_is_refused(stores):
    """The store of one mount cannot lie in the other: a vector is no folder."""
    mnt = stores.mount()
    with refused(errno.EPERM):
        os.mkdir(mnt.vectors / "1")
    mnt.forget_errors()
    done = quiverfs("create", mnt.point / "store", "--dim", 5, status=1)
    assert str(mnt.point) in done.stderr
    mnt.forget_errors()
