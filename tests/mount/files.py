"""File operations as the tests need them: raw, with errno, in one call or in many."""

import contextlib
import ctypes
import errno
import mmap
import os
import time

import pytest

from patience import Patience

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_ubyte)]
# To whom a file may be given: by root to anybody, by others to themselves.
GIVEN = (12, 34) if os.geteuid() == 0 else (os.getuid(), os.getgid())
AT_FDCWD = -100
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
PR_SET_CHILD_SUBREAPER = 36
# What the kernel says where the daemon is gone; the last of a request that was in a
# ring when that ended.
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.ECANCELED)
# And what it says of a request whose pages, in a ring, are those of a daemon that is being
# killed and cannot be had any more; of one that it was copying to a daemon that reads
# /dev/fuse. Never before the kill.
CUT_OFF = (errno.EINTR, errno.EFAULT, errno.EAGAIN)
CUT_OFF_WHILE_READ = (errno.EIO,)


@contextlib.contextmanager
def refused(*numbers):
    """The block must end in an OSError with one of these errnos."""
    with pytest.raises(OSError) as caught:
        yield
    names = [errno.errorcode[number] for number in numbers]
    assert caught.value.errno in numbers, f"{caught.value!r}, not {' or '.join(names)}"


@contextlib.contextmanager
def opened(path, flags, mode=0o666):
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        # Whoever has closed it already wanted to see what close(2) says.
        with contextlib.suppress(OSError):
            os.close(fd)


def write_all(path, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC, chunk=None, fsync=False):
    """Write with write(2)s of `chunk` bytes and close; close's errors are raised."""
    fd = os.open(path, flags, 0o666)
    try:
        for at in range(0, len(data), chunk or len(data) or 1):
            piece = data[at:at + (chunk or len(data))]
            assert os.write(fd, piece) == len(piece)
        if fsync:
            os.fsync(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    os.close(fd)


def read_chunks(fd, chunk):
    pieces = []
    while True:
        piece = os.read(fd, chunk)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def rename2(old, new, flags):
    if libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(new))


def attributes(path):
    """(mtime in ns, permission bits, uid, gid)."""
    found = os.lstat(path)
    return found.st_mtime_ns, found.st_mode & 0o7777, found.st_uid, found.st_gid


MAP_FAILED = ctypes.c_void_p(-1).value


def map_shared(path, size):
    """The address of the whole file, for `unmap`. The kernel tells of the last close of a file some
    time after it; until then a vector that was replaced meanwhile cannot be mapped."""
    patience = Patience(30)
    while True:
        with opened(path, os.O_RDONLY) as fd:
            address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
            number = ctypes.get_errno()
        if address != MAP_FAILED:
            return address
        if number != errno.ENODEV or patience.is_over():
            raise OSError(number, os.strerror(number), str(path))
        time.sleep(0.001)


def unmap(address, size, path):
    check_call(libc.munmap(address, size), path)


def resident(path, size):
    """Which pages of a file the kernel still has once it is opened: a list of booleans.
    Nothing is read for that."""
    pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    address = map_shared(path, size)
    try:
        check_call(libc.mincore(address, size, pages), path)
    finally:
        unmap(address, size, path)
    return [bool(page & 1) for page in pages]


def check_call(result, path):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
