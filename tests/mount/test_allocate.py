"""fallocate(2): as on other filesystems, within the length of a vector."""

import ctypes
import errno
import os

import pytest

from files import libc, opened, refused
from harness import run

BOTH_TRANSPORTS = True
N = 100
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, COLLAPSE_RANGE = 1, 2, 16, 8
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, offset, length) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@pytest.mark.parametrize("access", [os.O_WRONLY, os.O_RDWR])
@pytest.mark.parametrize("name", ["42", ".new", ".42.txt.new"])
def test_room_is_made_for_a_file_that_comes_in_pieces(mnt, rng, access, name):
    """As downloaders do, who write the pieces in any order."""
    data = rng.randbytes(N)
    with opened(mnt.path(name), access | os.O_CREAT) as fd:
        os.posix_fallocate(fd, 0, N)
        assert os.fstat(fd).st_size == N
        os.pwrite(fd, data[60:], 60)
        os.posix_fallocate(fd, 0, N // 2)
        os.pwrite(fd, data[:60], 0)
        os.close(fd)
    if name != "42":
        assert mnt.path(name).read_bytes() == data
        os.rename(mnt.path(name), mnt.path(42))
    assert mnt.get(42) == data


def test_what_is_not_written_is_zero(mnt):
    with opened(mnt.path(42), os.O_RDWR | os.O_CREAT) as fd:
        os.pwrite(fd, b"x" * 10, 0)
        fallocate(fd, KEEP_SIZE, 0, N)
        assert os.fstat(fd).st_size == 10
        fallocate(fd, 0, 20, 30)
        assert os.fstat(fd).st_size == 50
        assert os.pread(fd, N, 0) == b"x" * 10 + bytes(40)
        with refused(errno.EINVAL):
            os.fsync(fd)
        mnt.expect_error("vector 42: got 50 of 100 bytes")
        os.posix_fallocate(fd, 0, N)
        os.close(fd)
    assert mnt.get(42) == b"x" * 10 + bytes(90)


@pytest.mark.parametrize("name", ["42", "43"])
def test_past_the_end_is_efbig(mnt, name):
    mnt.put(42, b"o" * N)
    with opened(mnt.path(name), os.O_RDWR | os.O_CREAT) as fd:
        for mode in (0, KEEP_SIZE, ZERO_RANGE):
            with refused(errno.EFBIG):
                fallocate(fd, mode, 1, N)
            mnt.expect_error(rf"vector {name}\b.*past")
        os.pwrite(fd, b"n" * N, 0)
    assert mnt.get(name) == b"n" * N


def test_a_hole_is_zeros_and_one_commit(mnt):
    mnt.put(42, b"o" * N)
    lsn = int(mnt.stats()["lsn"])
    with opened(mnt.path(42), os.O_RDWR) as fd:
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 10, 5)
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 90, 5000)
        fallocate(fd, ZERO_RANGE, 50, 1)
        assert mnt.get(42) == b"o" * N
        os.close(fd)
    assert mnt.get(42) == b"o" * 10 + bytes(5) + b"o" * 35 + bytes(1) + b"o" * 39 + bytes(10)
    assert int(mnt.stats()["lsn"]) == lsn + 1


def test_nothing_changes_where_all_is_there(mnt):
    mnt.put(42, b"o" * N)
    os.utime(mnt.path(42), (5, 5))
    with opened(mnt.path(42), os.O_WRONLY) as fd:
        os.posix_fallocate(fd, 0, N)
        fallocate(fd, KEEP_SIZE, 10, 20)
        with refused(errno.EOPNOTSUPP, errno.EINVAL):
            fallocate(fd, COLLAPSE_RANGE, 0, 10)
        os.close(fd)
    assert (mnt.get(42), os.stat(mnt.path(42)).st_mtime) == (b"o" * N, 5)


def test_room_in_a_view(mnt, rng):
    mnt.put(42, rng.randbytes(N))
    data = mnt.path("42.npy").read_bytes()
    with opened(mnt.path("43.npy"), os.O_WRONLY | os.O_CREAT) as fd:
        os.posix_fallocate(fd, 0, len(data))
        os.pwrite(fd, data[50:], 50)
        os.pwrite(fd, data[:50], 0)
        os.close(fd)
    assert mnt.get(43) == mnt.get(42)


def test_a_descriptor_of_what_was_a_scratch_file(mnt):
    with opened(mnt.path(".new"), os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, b"o" * N)
        os.rename(mnt.path(".new"), mnt.path(42))
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 10)
        os.close(fd)
    assert mnt.get(42) == bytes(10) + b"o" * 90


def test_tools_that_make_room(mnt, tmp, rng):
    data = rng.randbytes(N)
    (tmp / "1").write_bytes(data)
    run("fallocate", "-l", N, mnt.path(7))
    assert mnt.get(7) == bytes(N)
    run("fallocate", "-l", N + 1, mnt.path(7), status=1)
    mnt.expect_error("vector 7")
    for words in (["--preallocate"], ["--preallocate", "--inplace"],
                  ["--preallocate", "--inplace", "--sparse"]):
        run("rsync", "-a", *words, tmp / "1", f"{mnt.vectors}/")
        assert mnt.get(1) == data
        os.unlink(mnt.path(1))
