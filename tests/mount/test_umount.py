"""quiverfs umount: what is unmounted, what is not and why, and that the store is free then."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import re
import signal
import subprocess

import pytest

from files import opened
from harness import QUIVERFS, is_mounted, let_go, quiverfs, run
from namespace import hold_namespace
from ordinary_user import ordinary_user_words
from patience import HANG_SECONDS


def umount(mnt, *words, **options):
    """Unmount it; then the store is nobody's, at once."""
    done = quiverfs("umount", *(words or [mnt.point]), **options)
    assert not is_mounted(mnt.point)
    with opened(mnt.store.path, os.O_RDONLY | os.O_DIRECTORY) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert mnt.ended() == []
    mnt.store.check()
    return done


def refused(*words):
    """What is said of mounts that stay."""
    done = quiverfs("umount", *words, status=1)
    assert done.stdout == ""
    assert all(line.startswith("quiverfs: ") for line in done.stderr.splitlines())
    return done.stderr


@contextlib.contextmanager
def stopped(mnt):
    """While its daemon does nothing."""
    os.kill(mnt.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(mnt.pid, signal.SIGCONT)


@contextlib.contextmanager
def waiting(mnt):
    """A command that has unmounted and waits for the daemon."""
    with subprocess.Popen([QUIVERFS, "umount", mnt.point], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as command:
        line = command.stderr.readline().decode()
        assert re.search(rf"{mnt.point}: note: unmounted; process {mnt.pid} still writes to "
                         rf"{mnt.store.path}; waiting until it ends", line)
        assert command.poll() is None and not is_mounted(mnt.point)
        yield command


# ---- what is unmounted ----------------------------------------------------------------


def test_the_store_is_free_when_it_returns(stores, rng):
    mnt = stores.mount(options=["durability=none"])
    data = rng.randbytes(mnt.size)
    for vector in range(500):
        mnt.put(vector, data)
    done = umount(mnt)
    assert done.stdout == f"{mnt.point}: unmounted; the daemon has closed {mnt.store.path}\n"
    assert done.stderr == ""
    assert stores.mount(mnt.store).get(499) == data


def test_a_daemon_that_takes_long_is_waited_for(mnt):
    with stopped(mnt), waiting(mnt) as command:
        os.kill(mnt.pid, signal.SIGCONT)
        assert command.wait(HANG_SECONDS) == 0
    assert mnt.ended() == []


def test_a_signal_ends_the_waiting_alone(mnt):
    with stopped(mnt), waiting(mnt) as command:
        command.send_signal(signal.SIGINT)
        assert command.wait(HANG_SECONDS) == 1
        assert f"the waiting was ended: process {mnt.pid} still writes" in command.stderr.read().decode()
    assert mnt.ended() == []


def test_a_stale_mount_is_taken_away(stores, rng):
    mnt = stores.mount()
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    mnt.kill()
    link = stores.folder / "link"
    link.symlink_to("mnt")
    done = quiverfs("umount", link)
    assert "its daemon was gone" in done.stdout and "recovers" in done.stdout
    assert not is_mounted(mnt.point)
    assert stores.mount(mnt.store).get(1) == data


def test_several_are_unmounted_and_others_told_of(stores):
    one = stores.mount(stores.create(name="one"), name="first")
    other = stores.mount(stores.create(name="other"), name="second")
    done = quiverfs("umount", one.point, stores.folder / "absent", other.point, status=1)
    assert len(done.stdout.splitlines()) == 2 and not is_mounted(other.point)
    assert f"{stores.folder}/absent: there is no such folder" in done.stderr
    assert one.ended() == [] and other.ended() == []


def test_a_place_may_be_named_in_any_way(stores):
    mnt = stores.mount()
    umount(mnt, "mnt/", cwd=stores.folder)
    mnt = stores.mount(mnt.store)
    (stores.folder / "link").symlink_to(mnt.point)
    (stores.folder / "again").symlink_to("link")
    umount(mnt, stores.folder / "again/.." / "again")
    point = "with a blank, and\na line"
    mnt = stores.mount(mnt.store)
    quiverfs("umount", mnt.point)
    assert mnt.ended() == []
    (stores.folder / point).mkdir()
    quiverfs("mount", mnt.store.path, stores.folder / point)
    quiverfs("umount", stores.folder / point)
    mnt.store.check()


def test_one_of_several_readers_is_unmounted(stores):
    store = stores.create()
    one = stores.mount(store, name="one", options=["ro"])
    other = stores.mount(store, name="other", options=["ro"])
    assert "has closed" in quiverfs("umount", one.point).stdout
    assert one.ended() == [] and is_mounted(other.point)
    umount(other)


def test_a_snapshot_is_unmounted(stores):
    store = stores.create()
    quiverfs("snapshot", "create", store.path, "old")
    point = stores.folder / "old"
    point.mkdir()
    quiverfs("mount", f"{store.path}@old", point)
    done = quiverfs("umount", point)
    assert done.stdout == f"{point}: unmounted; the daemon has closed {store.path}@old\n"
    quiverfs("snapshot", "remove", store.path, "old")


# ---- what is in use -------------------------------------------------------------------


def test_who_has_a_file_open_is_named(mnt, rng):
    mnt.put(1, rng.randbytes(mnt.size))
    with open(mnt.path(1), "rb"):
        text = refused(mnt.point)
        assert re.search(rf"{mnt.point}: busy: process {os.getpid()} \(.+\) has vectors/1 open; "
                         "end that process", text)
        assert is_mounted(mnt.point)
    umount(mnt)


def test_who_has_a_file_mapped_is_named(mnt, rng):
    for vector in range(3):
        mnt.put(vector, rng.randbytes(mnt.size))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    with open(mnt.point / "matrix.npy", "rb") as file:  # which Python's own mmap keeps open
        mapped = libc.mmap(None, ctypes.c_size_t(4096), mmap.PROT_READ, mmap.MAP_SHARED,
                           file.fileno(), ctypes.c_long(0))
    try:
        assert re.search(rf"process {os.getpid()} \(.+\) has matrix.npy mapped",
                         refused(mnt.point))
    finally:
        assert libc.munmap(ctypes.c_void_p(mapped), ctypes.c_size_t(4096)) == 0
    umount(mnt)


def test_who_is_in_the_folder_is_named(mnt):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=mnt.vectors) as other:
        text = refused(mnt.point)
        assert f"process {other.pid} (cat) works in the folder" in text
        assert "quiverfs)" not in text  # neither the daemon nor the command
        other.stdin.close()
        other.wait()
    umount(mnt)


def test_a_file_that_is_just_being_closed_is_waited_for(mnt, rng):
    mnt.put(1, rng.randbytes(mnt.size))
    holder = subprocess.Popen(["sleep", "1000"], stdin=open(mnt.path(1), "rb"))
    holder.kill()  # and it ends some time soon
    done = quiverfs("umount", mnt.point, status=None)
    holder.wait()
    if done.returncode:  # it was seen before its end
        assert f"process {holder.pid} (sleep) has vectors/1 open" in done.stderr
        quiverfs("umount", mnt.point)
    assert mnt.ended() == []


def test_many_closes_at_the_very_end_are_no_fault(stores):
    """The kernel tells a thread that is taking one of them when the last mount goes that the
    connection was aborted."""
    store, files = stores.create(), 900
    for _ in range(30):
        mnt = stores.mount(store, transport=None, options=["io_uring=off"], check=False)
        mnt.put(1, bytes(mnt.size))
        handles = [os.open(mnt.path(1), os.O_RDONLY) for _ in range(files)]
        let_go(mnt.point)
        for handle in handles:
            os.close(handle)
        assert mnt.ended() == []


@pytest.mark.needs_root("mounts and remounts")
def test_what_is_mounted_within_is_named(mnt):
    run("mount", "-t", "tmpfs", "none", mnt.vectors)
    try:
        assert f"busy: {mnt.vectors} is mounted within it" in refused(mnt.point)
    finally:
        run("umount", mnt.vectors)
    umount(mnt)


# ---- what goes on elsewhere -------------------------------------------------------------


@pytest.mark.needs_root("mounts and remounts")
def test_a_second_place_keeps_the_store(mnt, tmp):
    alias = tmp / "alias"
    alias.mkdir()
    run("mount", "--bind", mnt.vectors, alias)
    assert f"unmounted here, but also mounted at {alias}" in refused(mnt.point)
    done = quiverfs("umount", alias)
    assert "has closed" in done.stdout or done.stdout == f"{alias}: unmounted\n"
    assert mnt.ended() == []


@pytest.mark.needs_root("makes namespaces")
def test_another_namespace_keeps_the_store(mnt):
    holder = hold_namespace()
    try:
        text = refused(mnt.point)
        assert f"process {mnt.pid} keeps the store open" in text
        assert f"mount namespace of process {holder.pid}" in text
    finally:
        holder.stdin.close()
        holder.wait()
    assert mnt.ended() == []


# ---- whose it is ------------------------------------------------------------------------


def mount_as_user(stores, ordinary_user):
    store = stores.create()
    (stores.folder / "mnt").mkdir()
    run("chown", "-R", "nobody", stores.folder)
    return stores.mount(store, **ordinary_user)


def test_root_unmounts_what_a_user_has_mounted(stores, ordinary_user):
    mnt = mount_as_user(stores, ordinary_user)
    assert "the daemon has closed" in quiverfs("umount", mnt.point).stdout
    assert mnt.ended() == []


def test_a_user_unmounts_his_own(stores, ordinary_user):
    mnt = mount_as_user(stores, ordinary_user)
    done = run(*ordinary_user_words, QUIVERFS, "umount", mnt.point)
    assert b"the daemon has closed" in done.stdout
    assert mnt.ended() == []


def test_a_user_cannot_unmount_another_users(stores, ordinary_user):
    mnt = stores.mount()
    done = run(*ordinary_user_words, QUIVERFS, "umount", mnt.point, status=1)
    assert b"mounted by user number 0; that user or root can" in done.stderr
    assert is_mounted(mnt.point)
    umount(mnt)


# ---- what is no mount -------------------------------------------------------------------


def test_what_is_no_mount_is_told_what_it_is(stores):
    mnt = stores.mount()
    free = stores.create(name="free")
    point = re.escape(f"{mnt.point}")
    for given, says in [
            (mnt.store.path, rf"this is a store, not a mount; it is mounted at {point}; "
                             rf"'quiverfs umount {point}' unmounts it"),
            (free.path, "this is a store, not a mount; it is not mounted here"),
            (mnt.vectors, rf"lies within the mount at {point}; 'quiverfs umount {point}'"),
            (stores.folder, "nothing is mounted here"),
            ("/proc", "a filesystem of the type proc is mounted here; 'umount /proc'"),
            (stores.folder / "absent", "there is no such folder; 'findmnt -t fuse.quiverfs'"),
            ("rados:pool/name", "a collection in Ceph, not a mount; give the folder")]:
        assert re.fullmatch(rf"quiverfs: {re.escape(str(given))}: .*{says}.*\n", refused(given))
    assert is_mounted(mnt.point)


def test_words_are_needed():
    done = quiverfs("umount", status=2)
    assert "MNT is missing" in done.stderr
