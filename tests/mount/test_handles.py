"""File handles, with which an NFS server comes back to files that the kernel has forgotten:
name_to_handle_at(2) and open_by_handle_at(2) are what such a server does."""

import ctypes
import errno
import os

import pytest

from files import AT_FDCWD, libc, opened, refused, write_all
from harness import until
from kernel_caches import forget_names, kernel_caches
from snapshot_state import rows, seen, take

BOTH_TRANSPORTS = True
HANDLE_BYTES_MAX = 128


class FileHandle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int),
                ("handle", ctypes.c_char * HANDLE_BYTES_MAX)]


def handle_of(path):
    handle, mount_id = FileHandle(bytes=HANDLE_BYTES_MAX), ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle),
                              ctypes.byref(mount_id), 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return handle


def open_handle(mnt, handle, flags=os.O_RDONLY):
    with opened(mnt.point, os.O_RDONLY) as folder:
        fd = libc.open_by_handle_at(folder, ctypes.byref(handle), flags)
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return fd


def read_handle(mnt, handle):
    with open(open_handle(mnt, handle), "rb") as file:
        return file.read()


def is_stale(mnt, handle):
    """The kernel tells the daemon that a file was closed after close(2) has returned, and so
    long the file is there without its name."""
    try:
        os.close(open_handle(mnt, handle))
    except OSError as error:
        assert error.errno == errno.ESTALE, error
        return True
    return False


@pytest.fixture(autouse=True)
def handles_allowed(tmp):
    try:
        handle_of(tmp)
    except OSError as error:
        pytest.skip(f"no file handles here: {error}")
    with kernel_caches():
        yield


def test_vectors_are_found_again(stores, mnt, rng):
    rows = {number: rng.randbytes(mnt.size) for number in (0, 1, 42, 2**64 - 2**32 - 1)}
    for number, data in rows.items():
        mnt.put(number, data)
    handles = {number: handle_of(mnt.path(number)) for number in rows}
    for _ in range(2):
        for number, data in rows.items():
            assert read_handle(mnt, handles[number]) == data
        forget_names()
    # Also by whoever has never looked a name up, on a mount that is another one.
    for options in ([], ["ro"]):
        mnt = stores.again(mnt, options=options)
        for number, data in rows.items():
            assert read_handle(mnt, handles[number]) == data
            fd = open_handle(mnt, handles[number])
            assert os.fstat(fd).st_ino == os.stat(mnt.path(number)).st_ino
            os.close(fd)
        forget_names()


def test_a_vector_is_written_through_a_handle(mnt, rng):
    mnt.put(42, bytes(mnt.size))
    handle = handle_of(mnt.path(42))
    for _ in range(3):
        forget_names()
        data = rng.randbytes(mnt.size)
        fd = open_handle(mnt, handle, os.O_WRONLY)
        for at in range(0, mnt.size, 30):  # an NFS server writes in pieces, and syncs
            os.pwrite(fd, data[at:at + 30], at)
        os.fsync(fd)
        os.close(fd)
        assert mnt.get(42) == data == read_handle(mnt, handle)


@pytest.mark.local("renames of IDs")
def test_the_handle_of_a_vector_that_is_gone_is_stale(stores, mnt, rng):
    data = rng.randbytes(mnt.size)
    for dropped in (False, True):
        for gone in (lambda: os.unlink(mnt.path(1)), lambda: os.rename(mnt.path(1), mnt.path(2))):
            mnt.put(1, data)
            handle = handle_of(mnt.path(1))
            gone()
            if dropped:
                forget_names()
            with refused(errno.ESTALE):
                open_handle(mnt, handle)
            # A handle is one of the ID, as the inode number is.
            mnt.put(1, data)
            assert read_handle(mnt, handle) == data
    os.unlink(mnt.path(1))
    mnt = stores.again(mnt)
    with refused(errno.ESTALE):
        open_handle(mnt, handle)
    # Also while the kernel has the inode, since somebody has the file open; each time anew.
    for _ in range(3):
        mnt.put(1, data)
        os.stat(mnt.path(1))
        with opened(mnt.path(1), os.O_RDONLY):
            os.unlink(mnt.path(1))
            with refused(errno.ESTALE):
                open_handle(mnt, handle)
    handle.handle = b"\xff" * handle.bytes
    with refused(errno.ESTALE):
        open_handle(mnt, handle)


@pytest.mark.local("columns")
def test_folders_and_fixed_files_are_found_again(stores, mnt, rng):
    data = rng.randbytes(mnt.size)
    mnt.put(7, data)
    names = [".", "vectors", "control", "ids.npy", "control/count", "control/stats"]
    handles = {name: handle_of(mnt.point / name) for name in names}
    for again in (False, True):
        if again:
            mnt = stores.again(mnt)
        forget_names()
        for name, handle in handles.items():
            fd = open_handle(mnt, handle)
            # The kernel finds its way up to the root, so that a path is known again.
            assert os.readlink(f"/proc/self/fd/{fd}") == os.path.normpath(mnt.point / name) or \
                not os.path.isdir(mnt.point / name)
            assert os.fstat(fd).st_ino == os.stat(mnt.point / name).st_ino
            os.close(fd)
            forget_names()
        folder = open_handle(mnt, handles["vectors"], os.O_RDONLY | os.O_DIRECTORY)
        assert os.listdir(folder) == ["7"]
        with open(os.open("7", os.O_RDONLY, dir_fd=folder), "rb") as file:
            assert file.read() == data
        os.close(folder)
        assert read_handle(mnt, handles["control/count"]) == b"1\n"


def test_scratch_files_have_handles_for_the_life_of_the_mount(stores, mnt):
    path = mnt.vectors / ".scratch"
    write_all(path, b"abc")
    handle = handle_of(path)
    forget_names()
    assert read_handle(mnt, handle) == b"abc"
    os.unlink(path)
    until(lambda: is_stale(mnt, handle), "what has no name any more")
    write_all(path, b"def")
    handle = handle_of(path)
    # The next mount gives the same numbers to other files.
    mnt = stores.again(mnt)
    for number in range(3):
        write_all(mnt.vectors / f".other{number}", b"x")
    for _ in range(2):
        with refused(errno.ESTALE):
            open_handle(mnt, handle)
        forget_names()


def test_a_folder_of_scratch_files_and_what_is_in_it_are_found_again(stores, mnt):
    folder, path = mnt.path(".f"), mnt.path(".f") / "42"
    os.mkdir(folder)
    write_all(path, b"abc")
    handles = handle_of(folder), handle_of(path)
    for _ in range(2):
        forget_names()
        fd = open_handle(mnt, handles[0], os.O_RDONLY | os.O_DIRECTORY)
        assert os.readlink(f"/proc/self/fd/{fd}") == str(folder)
        assert os.listdir(fd) == ["42"]
        os.close(fd)
        forget_names()
        assert read_handle(mnt, handles[1]) == b"abc"
    os.unlink(path)
    os.rmdir(folder)
    until(lambda: is_stale(mnt, handles[0]), "what has no name any more")
    os.mkdir(folder)
    handle = handle_of(folder)
    mnt = stores.again(mnt)
    os.mkdir(mnt.path(".g"))
    for _ in range(2):
        with refused(errno.ESTALE):
            open_handle(mnt, handle)
        forget_names()


# ---- in snapshots -------------------------------------------------------------------------


def filled_snapshot(mnt, rng):
    """The folder of one, and {name: bytes} of the vectors in it; the live ones are others."""
    data = {str(number): rng.randbytes(mnt.size) for number in rng.sample(range(10**6), 30)}
    for name, row in data.items():
        mnt.put(name, row)
    folder = take(mnt, "a")
    for name in data:
        mnt.put(name, rng.randbytes(mnt.size))
    return folder, data


@pytest.mark.local("snapshots")
def test_what_is_in_a_snapshot_is_found_until_that_is_removed(mnt, rng):
    folder, data = filled_snapshot(mnt, rng)
    handles = {name: handle_of(folder / "vectors" / name) for name in data}
    folders = {path: handle_of(path) for path in (folder, folder / "vectors", folder / "control")}
    matrix = handle_of(folder / "matrix.npy")
    for _ in range(2):
        for name, handle in handles.items():
            assert read_handle(mnt, handle) == data[name]
        for path, handle in folders.items():
            fd = open_handle(mnt, handle, os.O_RDONLY | os.O_DIRECTORY)
            assert sorted(os.listdir(fd)) == sorted(os.listdir(path))
            os.close(fd)
        assert read_handle(mnt, matrix) == (folder / "matrix.npy").read_bytes()
        forget_names()
    os.rmdir(folder)
    for _ in range(2):
        for handle in (*handles.values(), *folders.values(), matrix):
            assert is_stale(mnt, handle)
        take(mnt, "a")
        os.rmdir(folder)


@pytest.mark.local("snapshots")
def test_of_a_snapshot_they_are_of_one_mount(stores, mnt, rng):
    folder, data = filled_snapshot(mnt, rng)
    handles = [handle_of(folder / "vectors" / name) for name in data]
    mnt = stores.again(mnt)
    for name in data:  # these get the same numbers
        assert (folder / "vectors" / name).read_bytes() == data[name]
    for handle in handles:
        assert is_stale(mnt, handle)


@pytest.mark.local("snapshots")
def test_what_the_kernel_forgets_of_a_snapshot_is_there_all_the_same(mnt, rng):
    folder, data = filled_snapshot(mnt, rng)
    for _ in range(3):
        assert {name: file[0] for name, file in seen(folder / "vectors").items()} == data
        assert rows(folder) == data
        forget_names()
