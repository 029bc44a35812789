"""What is done to a mount from outside: bind mounts, remounts, lazy unmounts, namespaces;
and what statfs and the folders' times say of it."""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import time

import pytest

from files import opened, refused, write_all
from harness import QUIVERFS, is_mounted, let_go, quiverfs, run, shell, until
from namespace import hold_namespace
from patience import wait_for
from test_system import store, system  # noqa: F401 (fixtures)

MNT_DETACH = 2


def remount(mnt, options, status=0):
    """By the kernel alone; the helper is tried below."""
    return run("mount", "-i", "-o", "remount," + options, mnt.point, status=status)


# ---- statfs -------------------------------------------------------------------------


def test_statfs_counts_vectors_and_what_still_fits(mnt, rng):
    empty = os.statvfs(mnt.point)
    assert empty.f_files - empty.f_ffree == 0
    for vector in range(100):
        mnt.put(vector, rng.randbytes(mnt.size))
    for path in (mnt.point, mnt.vectors, mnt.path(5), mnt.control_folder / "count"):
        found = os.statvfs(path)
        assert found.f_files - found.f_ffree == 100
        assert found.f_ffree == found.f_favail > 0
    for vector in range(40):
        os.unlink(mnt.path(vector))
    found = os.statvfs(mnt.point)
    assert found.f_files - found.f_ffree == 60
    fields = run("df", "--output=itotal,iused,iavail", mnt.point).stdout.split()[-3:]
    assert int(fields[1]) == 60
    assert int(fields[0]) == int(fields[1]) + int(fields[2])
    below = os.statvfs(mnt.store.path)
    assert found.f_blocks * found.f_frsize == below.f_blocks * below.f_frsize
    # Others write to the same disk meanwhile.
    assert abs(found.f_bavail * found.f_frsize - below.f_bavail * below.f_frsize) < 1 << 30


def test_free_inodes_are_the_vectors_that_still_fit(disks, stores, rng):
    """On a disk of 64 MiB, filled to the end."""
    disk = disks.ext4(64)
    made = stores.create(dim=768)
    shutil.move(made.path, disk.point / "store")
    made.path = disk.point / "store"
    mnt = stores.mount(made)
    data = rng.randbytes(mnt.size)
    for vector in range(1000):
        mnt.put(vector, data)
    promised = os.statvfs(mnt.point).f_ffree
    fitted, full = 0, 0
    while full < 2:  # the log has room of its own, which a checkpoint gives back
        try:
            write_all(mnt.path(1000 + fitted), data)
            fitted, full = fitted + 1, 0
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            full += 1
            mnt.control("checkpoint", "1")
    print(f"{promised} promised, {fitted} fitted")
    assert 0.8 * promised <= fitted <= promised * 1.25
    assert os.statvfs(mnt.point).f_ffree < 0.02 * promised
    mnt.forget_errors()
    for vector in range(0, 1000):
        os.unlink(mnt.path(vector))
    mnt.control("checkpoint", "1")
    assert os.statvfs(mnt.point).f_ffree >= 1000
    for vector in range(0, 900):
        write_all(mnt.path(vector), data)
    mnt.forget_errors()


# ---- the folders' times ---------------------------------------------------------------


def folder_times(mnt):
    return [os.stat(path).st_mtime_ns for path in (mnt.point, mnt.vectors, mnt.control_folder)]


@pytest.mark.parametrize("options", [[], ["ro"]])
def test_times_of_folders_stay_as_long_as_their_entries_do(stores, mnt, rng, options):
    mnt.put(1, rng.randbytes(mnt.size))
    mnt = stores.again(mnt)
    times = folder_times(mnt)
    mnt.get(1)
    mnt.put(1, rng.randbytes(mnt.size))
    os.chmod(mnt.path(1), 0o600)
    mnt.control("checkpoint", "1")
    assert folder_times(mnt) == times
    mnt = stores.again(mnt, options=options)
    assert folder_times(mnt) == times
    mnt = stores.again(mnt)
    mnt.put(2, rng.randbytes(mnt.size))
    after = folder_times(mnt)
    assert after[1] > times[1]
    assert [after[0], after[2]] == [times[0], times[2]]
    again = stores.again(mnt)
    assert os.stat(again.vectors).st_mtime_ns == after[1]


# ---- bind mounts and remounts -----------------------------------------------------------


@pytest.fixture
def alias(mnt, tmp):
    """The vectors a second time, elsewhere."""
    folder = tmp / "alias"
    folder.mkdir()
    run("mount", "--bind", mnt.vectors, folder)
    yield folder
    if is_mounted(folder):
        run("umount", folder)


def test_a_bind_mount_is_the_same(mnt, alias, rng, peer):
    data = [rng.randbytes(mnt.size) for _ in range(3)]
    peer.write(alias / "1", data[0])
    assert mnt.get(1) == data[0]
    mnt.put(1, data[1])
    assert peer.read(alias / "1") == data[1]
    os.rename(alias / "1", alias / "2")
    assert not mnt.has(1)
    assert mnt.get(2) == data[1]
    with refused(errno.EXDEV):
        os.rename(alias / "2", mnt.path(3))
    assert os.stat(alias / "2").st_ino == os.stat(mnt.path(2)).st_ino
    run("mount", "-i", "-o", "remount,bind,ro", alias)
    with refused(errno.EROFS):
        (alias / "2").write_bytes(data[2])
    mnt.put(2, data[2])
    assert (alias / "2").read_bytes() == data[2]
    assert mnt.errors() == []


def test_a_bind_mount_outlives_the_first(mnt, alias, rng):
    """The daemon serves until the last of them is gone."""
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    run("umount", mnt.point)
    assert not is_mounted(mnt.point)
    (alias / "2").write_bytes(data)
    assert (alias / "1").read_bytes() == data
    assert mnt.daemon.poll() is None
    said = quiverfs("status", mnt.store.path, status=None)
    assert str(mnt.pid) in said.stdout + said.stderr
    run("umount", alias)
    assert mnt.ended() == []
    mnt.store.check()


@pytest.mark.needs_root("mounts and remounts")
def test_remount_read_only_and_writable(mnt, rng, peer):
    data = [rng.randbytes(mnt.size) for _ in range(4)]
    mnt.put(1, data[0])
    reader = os.open(mnt.path(1), os.O_RDONLY)
    remount(mnt, "ro")
    for change in (lambda: mnt.put(1, data[1]), lambda: mnt.put(2, data[1]),
                   lambda: peer.write(str(mnt.path(3)), data[1]),
                   lambda: os.unlink(mnt.path(1)), lambda: os.rename(mnt.path(1), mnt.path(2)),
                   lambda: os.chmod(mnt.path(1), 0o600), lambda: os.utime(mnt.vectors),
                   lambda: mnt.control("flush", "1"), lambda: mnt.control("put", b"x")):
        with refused(errno.EROFS):
            change()
    assert mnt.get(1) == data[0] == os.read(reader, mnt.size)
    os.close(reader)
    assert mnt.control("count") == "1\n"
    assert mnt.stats()["count"] == "1"
    # What was acknowledged goes on becoming durable.
    until(lambda: int(mnt.control("flush")) >= int(mnt.stats()["lsn"]), "nothing is synced")
    remount(mnt, "rw")
    mnt.put(2, data[2])
    peer.write(str(mnt.path(1)), data[3])
    mnt.control("flush", "1")
    assert (mnt.get(1), mnt.get(2)) == (data[3], data[2])
    assert mnt.errors() == []


@pytest.mark.needs_root("mounts and remounts")
def test_remount_read_only_waits_for_no_writer(mnt, rng):
    """Whoever has one open for writing keeps it writable: what is staged can be committed."""
    old, new = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
    mnt.put(1, old)
    with opened(mnt.path(1), os.O_WRONLY) as fd:
        os.write(fd, new[:50])
        assert b"busy" in remount(mnt, "ro", status=32).stderr
        os.write(fd, new[50:])
        os.close(fd)
    assert mnt.get(1) == new
    write_all(mnt.path(".scratch"), b"abc")
    remount(mnt, "ro")
    assert mnt.get(".scratch") == b"abc"
    with refused(errno.EROFS):
        os.rename(mnt.path(".scratch"), mnt.path(2))
    remount(mnt, "rw")
    os.unlink(mnt.path(".scratch"))


def test_remount_by_the_helper_of_mount(system, store):  # noqa: F811
    """mount(8) calls mount.fuse.quiverfs for it, with the options of fstab."""
    system.line(store, "durability=always,noatime,uid=1000")
    system.run("mount", "-T", system.fstab, "-a")
    for options, shown in (("ro", {"ro", "noatime", "nosuid"}), ("rw", {"rw", "noatime"}),
                           ("ro,noexec", {"ro", "noexec"}), ("rw,exec,relatime", {"rw", "relatime"})):
        system.run("mount", "-T", system.fstab, "-o", "remount," + options, system.point)
        assert shown <= set(system.mounted_as(store))
        done = system.run("bash", "-c", f"echo 1 > {system.point}/control/flush", status=None)
        assert (done.returncode == 0) == ("rw" in shown), done.stderr
    assert system.run("cat", system.point / "control/durability").stdout == "always\n"
    done = system.run("bash", "-c", f"exec 5>>{system.point}/vectors/.x; mount -o remount,ro "
                      f"{system.point}", status=32)
    assert "writing" in done.stderr
    system.run("umount", system.point)
    system.run(QUIVERFS, "check", store.path)


@pytest.mark.needs_root("mounts and remounts")
def test_the_type_fuse_quiverfs_needs_only_the_program(store, tmp):  # noqa: F811
    """What mount(8) runs where /sbin has no helper of ours: mount.fuse, which calls the program
    with the store, the folder and the options."""
    if not shutil.which("mount.fuse3", path="/sbin:/usr/sbin"):
        pytest.skip("there is no mount.fuse3")
    point, programs = tmp / "mnt", tmp / "bin"
    point.mkdir()
    programs.mkdir()
    (programs / "quiverfs").symlink_to(shutil.which(QUIVERFS))
    env = {"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin"}
    fuse = [shutil.which("mount.fuse3", path="/sbin:/usr/sbin"), store.path, point, "-t",
            "fuse.quiverfs", "-o"]
    try:
        run(*fuse, "rw,durability=flush", env=env)
        assert (point / "control/durability").read_text() == "flush\n"
        run(*fuse, "remount,ro", env=env)
        with refused(errno.EROFS):
            os.open(point / "vectors/1", os.O_WRONLY | os.O_CREAT)
    finally:
        run("umount", point, status=None)
    until(lambda: "no faults" in run(QUIVERFS, "check", store.path, status=None).stdout.decode(),
          "the daemon does not end")


def test_a_mount_made_read_only_stays_so(system, store):  # noqa: F811
    """The daemon was told so: the kernel alone must not make it look writable."""
    system.run("mount", "-t", "quiverfs", "-o", "ro", store.path, system.point)
    done = system.run("mount", "-o", "remount,rw", system.point, status=32)
    assert "unmount it and mount it again" in done.stderr
    assert "ro" in system.mounted_as(store)
    system.run("umount", system.point)


# ---- namespaces -------------------------------------------------------------------------


def test_a_lazy_unmount_with_files_open(mnt, rng):
    old, new = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
    mnt.put(1, old)
    reader = os.open(mnt.path(1), os.O_RDONLY)
    writer = os.open(mnt.path(1), os.O_WRONLY)
    made = os.open(mnt.path(2), os.O_WRONLY | os.O_CREAT)
    os.write(writer, new[:40])
    os.write(made, new[:40])
    let_go(mnt.point)
    assert os.listdir(mnt.point) == []
    assert os.read(reader, 10) == old[:10]
    os.write(writer, new[40:])
    os.close(writer)
    os.write(made, new[40:])
    os.fsync(made)
    os.close(made)
    assert os.read(reader, mnt.size) == old[10:]
    os.close(reader)
    assert mnt.ended() == []
    mnt.store.check()


@pytest.mark.needs_root("makes namespaces")
def test_who_keeps_what_was_unmounted_is_told(mnt, rng):
    """A copy of the mount in another namespace, and `umount` says that all is well: the log and
    `status` say why the daemon is there all the same, and what ends it."""
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    holder = hold_namespace()
    try:
        run("umount", mnt.point)
        told = f"{mnt.point}: unmounted, but still in use"
        until(lambda: told in mnt.log_text(), "no line")
        assert run("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "cat",
                   mnt.path(1)).stdout == data
        said = quiverfs("status", mnt.store.path, status=1).stderr
        for text in (mnt.log_text(), said):
            assert "another mount namespace" in text and f"'kill {mnt.pid}'" in text, text
        os.kill(mnt.pid, signal.SIGTERM)
        assert mnt.ended() == []
        assert mnt.log_text().count(told) == 1
    finally:
        holder.communicate()
    mnt.store.check()


@pytest.mark.needs_root("mounts and remounts")
def test_mounts_of_others_are_not_told(mnt, tmp):
    """The daemon looks when anything is mounted or unmounted."""
    (tmp / "other").mkdir()
    for _ in range(3):
        run("mount", "-t", "tmpfs", "other", tmp / "other")
        run("umount", tmp / "other")
        time.sleep(1)
    mnt.put(1, bytes(mnt.size))
    assert "still in use" not in mnt.log_text()


@pytest.mark.needs_root("mounts and remounts")
def test_who_keeps_it_for_a_moment_is_not_told(stores, tmp):
    """Also where something else was mounted shortly before, which the daemon is about to look
    for."""
    def unmount(path, flags=0):
        assert ctypes.CDLL(None).umount2(os.fsencode(path), flags) == 0

    (tmp / "other").mkdir()
    kept = stores.create()
    for moment in (0.9, 1.9):  # the daemon looks some whole seconds after
        held = 1
        while held > 0.5:  # this process was kept waiting
            mnt = stores.mount(kept)
            mnt.put(1, bytes(mnt.size))
            time.sleep(1.2)  # what was mounted for the test itself is past
            run("mount", "-t", "tmpfs", "other", tmp / "other")
            began = time.monotonic()
            with opened(mnt.path(1), os.O_RDONLY):
                time.sleep(moment)
                away = time.monotonic()
                unmount(mnt.point, MNT_DETACH)
                time.sleep(max(0, began + moment + 0.3 - time.monotonic()))
            held = time.monotonic() - away
            unmount(tmp / "other")
            assert mnt.ended() == []
        assert "still in use" not in mnt.log_text()


@pytest.mark.needs_root("makes namespaces")
def test_another_mount_namespace_sees_it_and_may_let_go(mnt, rng):
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    holder = hold_namespace()
    inside = ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt"]
    assert run(*inside, "cat", mnt.path(1)).stdout == data
    run(*inside, "cp", mnt.path(1), mnt.path(2))
    run(*inside, "umount", mnt.point)
    assert mnt.get(2) == data
    mnt.put(3, data)
    holder.communicate()


@pytest.fixture
def outside(stores):
    """A daemon in a pid namespace of its own: of every client the kernel tells it pid 0."""
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare")
    words = ["unshare", "--pid", "--fork", "--kill-child"]
    if run(*words, "true", status=None).returncode != 0:
        pytest.skip("unshare can make no pid namespace here")
    return stores.mount(before=words, options=["allow_other"])


def test_a_daemon_that_knows_no_client(outside, rng, peer):
    mnt = outside
    data = [rng.randbytes(mnt.size) for _ in range(4)]
    mnt.put(1, data[0])
    peer.write(mnt.path(1), data[1])
    assert mnt.get(1) == data[1]
    for chunk in (None, 30):
        for vector, row in enumerate(data):
            write_all(mnt.path(vector), row, chunk=chunk)
    assert [mnt.get(vector) for vector in range(4)] == data
    # O_TRUNC is a request of its own, which must find the handle it belongs to.
    with opened(mnt.path(1), os.O_RDWR) as reader:
        there = peer.call("open", str(mnt.path(1)), os.O_WRONLY | os.O_TRUNC)
        with opened(mnt.path(2), os.O_WRONLY | os.O_TRUNC) as here:
            for at in range(0, mnt.size, 20):
                os.write(here, data[0][at:at + 20])
                peer.call("write", there, data[3][at:at + 20])
            os.close(here)
        peer.call("close", there)
        assert os.read(reader, mnt.size) == data[1]
    assert (mnt.get(1), mnt.get(2)) == (data[3], data[0])
    # tar and cp -p: a time that is set before close, one that is set after.
    fd = os.open(mnt.path(9), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, data[0][:50])
    os.write(fd, data[0][50:])
    os.utime(fd, ns=(5, 123456789))
    os.close(fd)
    assert os.stat(mnt.path(9)).st_mtime_ns == 123456789
    os.rename(mnt.path(9), mnt.path(10))
    os.unlink(mnt.path(10))
    # The umask of whoever opens control/put cannot be asked for: the most careful is taken.
    mnt.control("put", (20).to_bytes(8, "little") + data[0])
    assert os.stat(mnt.path(20)).st_mode & 0o777 in (0o600, 0o644)
    assert mnt.errors() == []


@pytest.mark.needs_root("makes namespaces")
def test_tools_of_a_container(mnt, tmp, rng):
    """The other way about: a client in namespaces of its own."""
    words = ["unshare", "--pid", "--fork", "--mount", "--ipc", "--uts", "--mount-proc"]
    if not shutil.which("unshare") or run(*words, "true", status=None).returncode != 0:
        pytest.skip("unshare can make no namespaces here")
    source = tmp / "source"
    source.mkdir()
    for vector in range(30):
        (source / str(vector)).write_bytes(rng.randbytes(mnt.size))
    run(*words, "bash", "-c", f"cp -a {source}/. {mnt.vectors} && dd if={source}/1 "
        f"of={mnt.path(77)} bs=7 status=none && tar -C {mnt.vectors} -cf {tmp}/t.tar . && "
        f"mv {mnt.path(77)} {mnt.path(78)} && rm {mnt.path(0)}")
    assert mnt.ids() == set(range(1, 30)) | {78}
    assert mnt.get(78) == (source / "1").read_bytes()
    assert shell(f"tar -tf {tmp}/t.tar | wc -l").stdout.strip() == b"32"


def test_a_daemon_whose_namespace_ends(outside, rng):
    """The end of a container: killed with all that is in it. Nothing acknowledged is lost."""
    mnt = outside
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    os.kill(mnt.pid, signal.SIGKILL)
    wait_for(mnt.daemon, 60)
    until(lambda: subprocess.run(["ls", mnt.vectors], capture_output=True,
                                 check=False).returncode != 0, "it goes on")
    mnt.take_away()
    until(lambda: quiverfs("check", mnt.store.path, status=None).returncode == 0, "no fault")
