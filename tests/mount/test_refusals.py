"""Bad input: the errno from the very call, the line in control/errors, and what was
there before still in place."""

import contextlib
import ctypes
import errno
import mmap
import os
import re
import stat

import pytest

import harness
from files import (PR_SET_CHILD_SUBREAPER, attributes, libc, opened, refused, rename2,
                   write_all)
from harness import run, shell, until
from peer import Peer

BOTH_TRANSPORTS = True
CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@pytest.fixture
def old(mnt, rng):
    """What vector 42 holds; it must hold it still when the test is over."""
    data = rng.randbytes(mnt.size)
    mnt.put(42, data)
    before = attributes(mnt.path(42))
    yield data
    assert mnt.get(42) == data
    assert attributes(mnt.path(42)) == before
    assert [name for name in os.listdir(mnt.vectors) if not name.startswith(".")] == ["42"]


# ---- too much ----------------------------------------------------------------


@pytest.mark.parametrize("vector", [42, 43])
def test_a_write_past_the_end_is_efbig(mnt, old, vector):
    with opened(mnt.path(vector), os.O_WRONLY | os.O_CREAT) as fd:
        with refused(errno.EFBIG):
            os.write(fd, bytes(mnt.size + 1))
        mnt.expect_error(rf"vector {vector}\b.*{mnt.size}")
        with refused(errno.EFBIG):
            os.pwrite(fd, b"xx", mnt.size - 1)
        mnt.expect_error(rf"vector {vector}\b")
        with refused(errno.EFBIG):
            os.pwrite(fd, b"x", 2**62)
        mnt.expect_error(rf"vector {vector}\b")
        if vector == 43:
            with refused(errno.EINVAL):
                os.close(fd)
    if vector == 43:
        mnt.expect_error("vector 43: got 0 of 100 bytes")


def test_an_append_to_a_whole_vector_is_efbig(mnt, old):
    with opened(mnt.path(42), os.O_WRONLY | os.O_APPEND) as fd, refused(errno.EFBIG):
        os.write(fd, b"x")
    mnt.expect_error(r"vector 42\b")
    shell(f"echo -n x >> {mnt.path(42)}", status=1)
    mnt.expect_error(r"vector 42\b")


def test_ftruncate_past_the_end_is_efbig(mnt, old):
    with opened(mnt.path(42), os.O_WRONLY) as fd, refused(errno.EFBIG):
        os.ftruncate(fd, mnt.size + 1)
    mnt.expect_error(r"vector 42\b")
    with refused(errno.EFBIG, errno.EINVAL):
        os.truncate(mnt.path(42), mnt.size + 1)
    mnt.expect_error(r"vector 42\b")


def test_a_scratch_file_past_the_end_is_efbig(mnt, old):
    limit = max(mnt.size, 65536)
    with opened(mnt.path(".big"), CREATE) as fd:
        with refused(errno.EFBIG):
            os.write(fd, bytes(limit + 1))
        mnt.expect_error(str(limit))
    os.unlink(mnt.path(".big"))


def shell_to_the_end(text):
    """In a process of its own, so that it can wait for all that the tool has started: the one
    of rsync that writes outlives the one that was called, when something fails."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)
    done = shell(text, status=None)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return done.returncode, done.stderr


@pytest.mark.parametrize("tool", ["cp {0}/long {1}", "cat {0}/long > {1}",
                                  "dd if={0}/long of={1} bs=512", "rsync --inplace {0}/long {1}",
                                  "rsync {0}/long {1}"])
def test_tools_say_that_it_is_too_large(mnt, old, tmp, tool):
    # rsync without --inplace writes a scratch file, which may have 64 KiB.
    (tmp / "long").write_bytes(bytes((65536 if tool.startswith("rsync {0}") else mnt.size) + 1))
    peer = Peer()
    try:
        status, said = peer.call(shell_to_the_end, tool.format(tmp, mnt.path(42)))
    finally:
        peer.close()
    assert status != 0
    assert b"File too large" in said
    # One of the write and one of the close of what is empty then, which the kernel tells the
    # daemon of after it has returned; rsync tries twice.
    until(lambda: len(mnt.errors()) == 2, "a line for each")
    mnt.forget_errors()


# ---- too little --------------------------------------------------------------


@pytest.mark.parametrize("vector", [42, 43])
@pytest.mark.parametrize("end", ["close", "fsync"])
def test_too_few_bytes_are_einval(mnt, old, vector, end):
    with opened(mnt.path(vector), CREATE) as fd:
        os.write(fd, bytes(mnt.size - 1))
        if end == "fsync":
            with refused(errno.EINVAL):
                os.fsync(fd)
        with refused(errno.EINVAL):
            os.close(fd)
    mnt.expect_error(rf"vector {vector}: got 99 of 100 bytes")


def test_a_hole_is_too_few_bytes_until_it_is_filled(mnt, old):
    with opened(mnt.path(43), CREATE) as fd:
        os.write(fd, b"xx")
        with refused(errno.EINVAL):
            os.close(fd)
    mnt.expect_error("vector 43: got 2 of 100 bytes")


def test_an_empty_create_is_einval(mnt, old):
    with opened(mnt.path(43), os.O_WRONLY | os.O_CREAT) as fd, refused(errno.EINVAL):
        os.close(fd)
    mnt.expect_error("vector 43: got 0 of 100 bytes")
    assert not mnt.has(43)


@pytest.mark.parametrize("tool", ["touch {0}/43", "cp {1}/short {0}/43", "cp {1}/short {0}/42",
                                  "cat {1}/short > {0}/42", "dd if={1}/short of={0}/42 bs=7",
                                  "cp /dev/null {0}/42"])
def test_tools_fail_on_too_few_bytes(mnt, old, tmp, tool):
    (tmp / "short").write_bytes(bytes(50))
    done = shell(tool.format(mnt.vectors, tmp), status=None)
    if not tool.startswith("cat"):  # which does not look at what close says
        assert done.returncode != 0
        assert b"Invalid argument" in done.stderr
    mnt.expect_error(r"got (50|0) of 100 bytes")


def test_a_shell_that_only_empties_changes_nothing(mnt, old):
    shell(f": > {mnt.path(42)}", status=None)
    mnt.expect_error("vector 42: got 0 of 100 bytes")
    shell(f": > {mnt.path(43)}", status=None)
    mnt.expect_error("vector 43: got 0 of 100 bytes")


def test_a_writer_that_is_killed_changes_nothing(mnt, old, peer):
    there = peer.call("open", str(mnt.path(42)), os.O_WRONLY | os.O_TRUNC)
    peer.call("write", there, b"half")
    peer.process.kill()
    peer.process.join()
    mnt.expect_error("vector 42: got 4 of 100 bytes")


@pytest.mark.parametrize("length", [0, 1, 99])
def test_a_path_cut_short_is_einval(mnt, old, length):
    with refused(errno.EINVAL):
        os.truncate(mnt.path(42), length)
    mnt.expect_error(rf"vector 42\b.*{length}")


# ---- names -------------------------------------------------------------------

BAD_NAMES = ["abc", "042", "00", "+1", "-1", "1.0", "1e3", "0x10", " 1", "1 ", "4 2", "٣",
             str(2**64 - 2**32), str(2**64 - 1), str(2**64), str(10**30), "1" * 200, "a" * 255]


def test_a_name_that_is_no_id(mnt, old):
    for name in BAD_NAMES:
        for use in (os.stat, os.unlink, lambda path: os.open(path, os.O_RDONLY)):
            with refused(errno.ENOENT):
                use(mnt.path(name))
        mnt.forget_errors()
        with refused(errno.EINVAL):
            os.open(mnt.path(name), os.O_WRONLY | os.O_CREAT, 0o666)
        # what is not a plain character is shown as another one
        mnt.expect_error(re.sub(r"[^0-9a-zA-Z]", ".", name[:20]))
        with refused(errno.EINVAL):
            os.rename(mnt.path(42), mnt.path(name))
        mnt.expect_error("")


def test_the_largest_id_is_one(mnt, rng):
    data = rng.randbytes(mnt.size)
    mnt.put(2**64 - 2**32 - 1, data)
    assert mnt.get(2**64 - 2**32 - 1) == data


def test_a_name_longer_than_any(mnt, old):
    with refused(errno.EINVAL, errno.ENAMETOOLONG):
        os.open(mnt.path("1" * 256), CREATE)
    with refused(errno.ENAMETOOLONG):
        os.open(mnt.path("." + "a" * 255), CREATE)
    mnt.forget_errors()


@pytest.mark.skipif(harness.KERNEL_CAN_RENAME, reason="this kernel renames vectors")
def test_a_kernel_that_cannot_rename_vectors(mnt, rng):
    data = rng.randbytes(mnt.size)
    mnt.put(42, data)
    with refused(errno.EXDEV):
        os.rename(mnt.path(42), mnt.path(43))
    mnt.expect_error("vector 42: not renamed to 43, renaming needs Linux 6.16")
    assert mnt.ids() == {42} and mnt.get(42) == data
    run("mv", mnt.path(42), mnt.path(43))
    assert mnt.ids() == {43} and mnt.get(43) == data
    mnt.expect_error("vector 42: not renamed to 43, renaming needs Linux 6.16")


@pytest.mark.local("columns")
def test_nothing_can_be_made_outside_vectors(mnt, old):
    for path in (mnt.point / "1", mnt.control_folder / "1", mnt.point / ".1"):
        with refused(errno.EPERM, errno.EACCES, errno.EINVAL):
            os.open(path, os.O_WRONLY | os.O_CREAT)
        with refused(errno.EPERM, errno.EACCES, errno.EINVAL):
            os.mkdir(path)
        with refused(errno.EPERM, errno.EACCES, errno.EINVAL, errno.EXDEV):
            os.rename(mnt.path(42), path)
    for path in (mnt.point / "matrix.npy", mnt.control_folder / "dim"):
        with refused(errno.EPERM, errno.EACCES):
            os.unlink(path)
    for path in (mnt.vectors, mnt.control_folder):
        with refused(errno.EPERM, errno.EACCES, errno.ENOTEMPTY, errno.EBUSY):
            os.rmdir(path)
    mnt.forget_errors()


# ---- what there is no such thing as ------------------------------------------


def test_what_vectors_cannot_hold_is_eperm(mnt, old):
    os.mkdir(mnt.path(".folder"))
    for name in ("43", ".scratch", "name", ".folder/43", ".folder/.scratch"):
        path, name = mnt.path(name), name.rpartition("/")[2]
        if path != mnt.path(".scratch"):  # which may be a folder
            with refused(errno.EPERM):
                os.mkdir(path)
            mnt.expect_error(name)
        with refused(errno.EPERM):
            os.symlink("42", path)
        mnt.expect_error(name)
        with refused(errno.EPERM):
            os.link(mnt.path(42), path)
        mnt.expect_error(name)
        with refused(errno.EPERM):
            os.mkfifo(path)
        mnt.expect_error(name)
        with refused(errno.EPERM):
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        if os.geteuid() == 0:  # others the kernel refuses
            mnt.expect_error(name)


def test_tools_hear_of_eperm(mnt, old):
    for words in (["mkdir"], ["ln", "-s", "42"], ["ln", mnt.path(42)], ["mkfifo"]):
        done = run(*words, mnt.path(43), status=1)
        assert b"Operation not permitted" in done.stderr
        mnt.expect_error("43")


def test_a_vector_renamed_to_a_scratch_name_is_eperm(mnt, old):
    with refused(errno.EPERM):
        os.rename(mnt.path(42), mnt.path(".42"))
    mnt.expect_error("42")


@pytest.mark.parametrize("length", [0, 1, 99])
@pytest.mark.parametrize("vector", [42, 43])
def test_a_scratch_file_of_the_wrong_length_is_enodata(mnt, old, length, vector):
    write_all(mnt.path(".new"), bytes(length))
    with refused(errno.ENODATA):
        os.rename(mnt.path(".new"), mnt.path(vector))
    mnt.expect_error(rf"vector {vector}: .*{length} of 100")
    done = run("mv", mnt.path(".new"), mnt.path(vector), status=1)
    assert b"No data available" in done.stderr
    mnt.expect_error(rf"vector {vector}\b")
    os.unlink(mnt.path(".new"))


def test_rename_flags(mnt, old):
    write_all(mnt.path(".new"), bytes(mnt.size))
    with refused(errno.EINVAL):
        rename2(mnt.path(".new"), mnt.path(42), 2)
    mnt.forget_errors()
    with refused(errno.EEXIST):
        rename2(mnt.path(".new"), mnt.path(42), 1)
    mnt.forget_errors()
    os.unlink(mnt.path(".new"))


def test_a_writable_shared_mapping_is_enodev(mnt, old):
    with opened(mnt.path(42), os.O_RDWR) as fd, refused(errno.ENODEV):
        mmap.mmap(fd, mnt.size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


# ---- full ---------------------------------------------------------------------


def test_too_many_stages_are_enospc(stores, many_descriptors, rng):
    """The bound is one of bytes for large vectors."""
    mnt = stores.mount(stores.create(dim=65536, dtype="f8"))
    data = rng.randbytes(mnt.size)
    mnt.put(42, data)
    fds = []
    try:
        with refused(errno.ENOSPC):
            for vector in range(100, 3000):
                fds.append(os.open(mnt.path(vector), CREATE))
                os.write(fds[-1], b"staged")
        assert len(fds) > 16
        assert "vector" in mnt.errors()[-1]
        assert mnt.get(42) == data
        mnt.put(42, data)  # whole vectors need no stage
    finally:
        for fd in fds:
            with refused(errno.EINVAL):
                os.close(fd)
    mnt.put(43, data)
    os.unlink(mnt.path(42))
    assert mnt.ids() == {43}
    # One of each close, and of the write that was refused; the kernel tells of closes later.
    until(lambda: int(mnt.stats()["errors"]) == len(fds) + 1, "a line for each")
    mnt.forget_errors()
    write_all(mnt.path(44), data, chunk=100000)
    assert mnt.get(44) == data
    mnt.forget_errors()


@pytest.fixture
def small_disk(stores, tmp):
    """A store on a filesystem of 64 MiB."""
    disk = tmp / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=96m", "quiverfs-test", disk)
    folder, stores.folder = stores.folder, disk
    yield stores
    stores.folder = folder
    try:
        for mounted in stores.mounts:
            if mounted.open:
                mounted.unmount()
    finally:
        run("umount", "-l", disk)


@pytest.mark.local("checkpoint")
def test_a_full_disk_is_enospc_and_the_rest_goes_on(small_disk, rng):
    mnt = small_disk.mount(small_disk.create(dim=16384))
    data = [rng.randbytes(mnt.size) for _ in range(3)]
    written = 0
    with refused(errno.ENOSPC):
        for vector in range(5000):
            write_all(mnt.path(vector), data[vector % 3])
            written += 1
    assert written > 100
    assert any("vector" in line for line in mnt.errors())
    assert not mnt.has(written)
    assert len(os.listdir(mnt.vectors)) == written
    for vector in range(written):
        assert mnt.get(vector) == data[vector % 3], vector
    # chunked: the errno is that of write or close
    with refused(errno.ENOSPC):
        write_all(mnt.path(9999), data[0], chunk=4096)
    for vector in range(0, written, 2):
        os.unlink(mnt.path(vector))
    assert len(os.listdir(mnt.vectors)) == written // 2
    mnt.control("checkpoint", "1")
    for vector in range(0, written // 2, 2):
        write_all(mnt.path(vector), data[2])
    mnt.forget_errors()
    again = small_disk.again(mnt)
    assert again.ids() == set(range(1, written, 2)) | set(range(0, written // 2, 2))
    for vector in range(1, written, 2):
        assert again.get(vector) == data[vector % 3]
    # Closing may have found no room for the index, which is then told.
    assert all("index: missing; rebuilt" in line for line in again.errors())
    again.forget_errors()


@pytest.mark.local("snapshots")
def test_on_a_full_disk_no_snapshot_is_made_and_nothing_else_suffers(small_disk, rng):
    mnt = small_disk.mount(small_disk.create(dim=16384))
    data = rng.randbytes(mnt.size)
    snapshots, ballast = mnt.point / "snapshots", mnt.store.folder / "ballast"
    for vector in range(20):
        mnt.put(vector, data)
    os.mkdir(snapshots / "before")
    with refused(errno.ENOSPC), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with refused(errno.ENOSPC):
        os.mkdir(snapshots / "during")
    mnt.expect_error("snapshots/during: not made: ")
    assert os.listdir(snapshots) == ["before"]
    with refused(errno.ENOENT):
        os.stat(snapshots / "during")
    for folder in (mnt.vectors, snapshots / "before/vectors"):
        assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == \
            {str(vector): data for vector in range(20)}
    os.rmdir(snapshots / "before")
    ballast.unlink()
    os.mkdir(snapshots / "after")
    mnt.put(1, bytes(mnt.size))
    assert (snapshots / "after/vectors/1").read_bytes() == data
    mnt = small_disk.again(mnt)
    assert os.listdir(mnt.point / "snapshots") == ["after"]


# ---- damage -------------------------------------------------------------------


def test_a_wrong_checksum_is_eio(stores, rng):
    mnt = stores.mount(check=False)
    rows = [rng.randbytes(mnt.size) for _ in range(20)]
    for vector, data in enumerate(rows):
        mnt.put(vector, data)
    mnt.unmount()
    with open(mnt.store.path / "vectors.npy", "r+b") as file:
        content = file.read()
        at = content.index(rows[7])
        file.seek(at + 50)
        file.write(bytes([rows[7][50] ^ 4]))
    mnt = stores.mount(mnt.store, check=False)
    with refused(errno.EIO):
        mnt.get(7)
    assert "vector 7" in mnt.errors()[-1]
    assert int(mnt.stats()["checksum_errors"]) > 0
    mnt.forget_errors()
    for vector, data in enumerate(rows):
        if vector != 7:
            assert mnt.get(vector) == data
    assert mnt.errors() == []
    # it can be written anew, and is well then
    mnt.put(7, rows[7])
    assert mnt.get(7) == rows[7]


# ---- the list -----------------------------------------------------------------


def test_one_refusal_is_one_line_that_says_what(mnt, old):
    done = run("cp", "/etc/hostname", mnt.path(43), status=None)
    assert done.returncode == 1
    line = mnt.expect_error(r"vector 43: got \d+ of 100 bytes|vector 43: .* past the end of its 100 bytes")
    assert line.isprintable()
