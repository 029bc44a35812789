"""Tools that copy, list and compare whole folders."""

import errno
import fcntl
import os

import numpy
import pytest

from files import attributes, opened, refused
from harness import run, shell
COUNT = 150


@pytest.fixture
def source(tmp, mnt, rng):
    """A folder of vectors of mixed modes, owners and times."""
    folder = tmp / "source"
    folder.mkdir()
    for vector in range(COUNT):
        path = folder / str(vector * 7919)
        path.write_bytes(rng.randbytes(mnt.size) if vector % 5 else bytes(mnt.size))
        path.chmod([0o644, 0o600, 0o666, 0o444, 0o751][vector % 5])
        if os.geteuid() == 0:
            os.chown(path, vector % 3 * 500, vector % 4 * 250)
        os.utime(path, ns=(1, 10**18 + vector * 1234567891))
    folder.chmod(0o750)
    os.utime(folder, ns=(1, 1500000000987654321))
    return folder


def snapshot(folder, with_folder=False):
    """{name: (bytes, attributes)} of all that is no scratch file."""
    found = {name: ((folder / name).read_bytes(), attributes(folder / name))
             for name in os.listdir(folder)}
    if with_folder:
        found["."] = attributes(folder)
    return found


def rsync(*words):
    """What --itemize-changes says of it."""
    return run("rsync", "--itemize-changes", *words).stdout.decode().splitlines()


def test_rsync_in_and_out_and_nothing_the_second_time(stores, mnt, source, tmp):
    back = tmp / "back"
    assert len(rsync("-a", f"{source}/", f"{mnt.vectors}/")) >= COUNT
    assert snapshot(mnt.vectors, True) == snapshot(source, True)
    assert rsync("-a", f"{source}/", f"{mnt.vectors}/") == []
    rsync("-a", f"{mnt.vectors}/", f"{back}/")
    assert snapshot(back, True) == snapshot(source, True)
    assert rsync("-a", f"{mnt.vectors}/", f"{back}/") == []
    mnt = stores.again(mnt)
    assert rsync("-a", f"{source}/", f"{mnt.vectors}/") == []
    assert rsync("-a", f"{mnt.vectors}/", f"{back}/") == []
    assert rsync("-ac", f"{source}/", f"{mnt.vectors}/") == []
    if "QUIVERFS_KIND" not in os.environ:
        mnt.control("compact", "start")
        mnt.finish_job("compact")
        assert rsync("-ac", f"{source}/", f"{mnt.vectors}/") == []


@pytest.mark.parametrize("option", ["--inplace", "--sparse", "-c", "--whole-file",
                                    "--no-whole-file", "--append", "--temp-dir=/tmp",
                                    "--fsync", "-H -A -X", "--preallocate", "--partial",
                                    "--inplace --no-whole-file", "--inplace --sparse"])
def test_rsync_options(mnt, source, rng, option):
    option = option.split()
    if "--fsync" in option and b"--fsync" not in run("rsync", "--help").stdout:
        pytest.skip("this rsync has no --fsync")
    done = run("rsync", "-a", *option, f"{source}/", f"{mnt.vectors}/", status=None)
    assert done.returncode == 0, done.stderr
    assert snapshot(mnt.vectors, True) == snapshot(source, True)
    # The one that may not be written only root can change.
    changed = source / str((3 if os.geteuid() == 0 else 4) * 7919)
    data = changed.read_bytes()
    changed.write_bytes(data[:10] + rng.randbytes(20) + data[30:])
    if "--append" not in option:
        changes = rsync("-a", *option, f"{source}/", f"{mnt.vectors}/")
        assert [line.split()[1] for line in changes if not line.endswith("/")] == [changed.name]
        assert mnt.get(changed.name) == changed.read_bytes()
    assert rsync("-a", *option, f"{source}/", f"{mnt.vectors}/") == []


@pytest.mark.parametrize("option", ["--delete", "--delete-before", "--delete-after"])
def test_rsync_deletes(mnt, source, option):
    rsync("-a", f"{source}/", f"{mnt.vectors}/")
    for vector in range(0, COUNT, 3):
        (source / str(vector * 7919)).unlink()
    os.utime(source, ns=(1, 1600000000123456789))
    mnt.put(1, bytes(mnt.size))
    rsync("-a", option, f"{source}/", f"{mnt.vectors}/")
    assert snapshot(mnt.vectors, True) == snapshot(source, True)
    assert rsync("-a", option, f"{source}/", f"{mnt.vectors}/") == []


def test_cp_a_in_and_out(mnt, source, tmp):
    run("cp", "-a", f"{source}/.", mnt.vectors)
    assert snapshot(mnt.vectors, True) == snapshot(source, True)
    run("cp", "-a", mnt.vectors, tmp / "back")
    assert snapshot(tmp / "back", True) == snapshot(source, True)
    run("diff", "-r", source, mnt.vectors)


@pytest.mark.parametrize("options", ["--sparse=always", "--reflink=auto", "--preserve=all -R",
                                     "--remove-destination", "--force", "-u", "--backup"])
def test_cp_options(mnt, source, options):
    path = source / "7919"
    for _ in range(2):
        done = run("cp", *options.split(), "7919", mnt.vectors, cwd=source, status=None)
        if "--backup" in options and done.returncode:
            # the backup's name is no ID
            assert b"Invalid argument" in done.stderr or b"not permitted" in done.stderr
            mnt.forget_errors()
        else:
            assert done.returncode == 0, done.stderr
        assert mnt.get(7919) == path.read_bytes()


def test_tar_in_and_out(mnt, source, tmp):
    shell(f"tar -C {source} -cf - . | tar -C {mnt.vectors} -xpf -")
    assert snapshot(mnt.vectors).keys() == snapshot(source).keys()
    for name, (data, (mtime, *rest)) in snapshot(source).items():
        found, (seconds, *others) = snapshot_of(mnt, name)
        assert (found, others) == (data, rest)
        assert seconds == mtime // 10**9 * 10**9  # all that this format holds
    (tmp / "back").mkdir()
    shell(f"tar -C {mnt.vectors} --format=posix -cf - . | tar -C {tmp}/back -xpf -")
    assert snapshot(tmp / "back", True) == snapshot(mnt.vectors, True)


def snapshot_of(mnt, name):
    return mnt.get(name), attributes(mnt.path(name))


def test_find(mnt, source):
    rsync("-a", f"{source}/", f"{mnt.vectors}/")
    assert len(shell(f"find {mnt.vectors} -type f").stdout.split()) == COUNT
    assert len(shell(f"find {mnt.vectors} -size {mnt.size}c").stdout.split()) == COUNT
    newer = shell(f"find {mnt.vectors} -newer {source / str(100 * 7919)} -type f").stdout.split()
    assert len(newer) == COUNT - 101
    assert len(shell(f"find {mnt.vectors} -perm 600").stdout.split()) == COUNT // 5
    run("find", mnt.vectors, "-type", "f", "-newer", source / str(100 * 7919), "-delete")
    assert len(os.listdir(mnt.vectors)) == 101


def test_rm_and_mv(mnt, source, tmp):
    shell(f"mv {source}/* {mnt.vectors}")
    assert os.listdir(source) == []
    assert len(mnt.ids()) == COUNT
    (tmp / "out").mkdir()
    shell(f"mv {mnt.vectors}/*9 {tmp}/out")
    assert len(mnt.ids()) + len(os.listdir(tmp / "out")) == COUNT
    shell(f"rm -r {mnt.vectors}/*")
    assert os.listdir(mnt.vectors) == []
    done = run("rm", "-rf", mnt.vectors, status=1)
    assert b"not permitted" in done.stderr or b"busy" in done.stderr or b"denied" in done.stderr
    mnt.forget_errors()


def test_rm_r_of_everything_removes_the_vectors(mnt, source):
    rsync("-a", f"{source}/", f"{mnt.vectors}/")
    run("rm", "-rf", mnt.vectors, status=1)
    assert os.listdir(mnt.vectors) == []
    assert mnt.control("count") == "0\n"
    mnt.forget_errors()


def test_cmp_md5sum_wc_head_tail_od(mnt, rng, tmp):
    data = rng.randbytes(mnt.size)
    (tmp / "file").write_bytes(data)
    mnt.put(1, data)
    run("cmp", tmp / "file", mnt.path(1))
    sums = shell(f"md5sum < {mnt.path(1)}; md5sum < {tmp}/file").stdout.split()
    assert sums[0] == sums[2]
    assert shell(f"wc -c < {mnt.path(1)}").stdout.strip() == b"100"
    assert shell(f"tail -c 30 {mnt.path(1)}").stdout == data[-30:]
    assert shell(f"head -c 30 {mnt.path(1)}").stdout == data[:30]
    text = shell(f"od -A n -t f4 -v -w4 {mnt.path(1)} | wc -l").stdout
    assert int(text) == 25


def test_copy_file_range_works_or_falls_back(mnt, rng, tmp):
    data = rng.randbytes(mnt.size)
    (tmp / "file").write_bytes(data)
    with open(tmp / "file", "rb") as file, opened(mnt.path(1), os.O_WRONLY | os.O_CREAT) as fd:
        try:
            assert os.copy_file_range(file.fileno(), fd, mnt.size) == mnt.size
        except OSError as error:
            assert error.errno in (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS)
            os.write(fd, data)
        os.close(fd)
    assert mnt.get(1) == data
    with opened(mnt.path(1), os.O_RDONLY) as one, \
            opened(mnt.path(2), os.O_WRONLY | os.O_CREAT) as two:
        try:
            assert os.copy_file_range(one, two, mnt.size) == mnt.size
        except OSError as error:
            assert error.errno in (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS)
            os.write(two, data)
        os.close(two)
    assert mnt.get(2) == data


def test_xattrs_are_not_supported(mnt):
    mnt.put(1, bytes(mnt.size))
    with refused(errno.EOPNOTSUPP):
        os.listxattr(mnt.path(1))
    with refused(errno.EOPNOTSUPP):
        os.setxattr(mnt.path(1), "user.x", b"y")
    with refused(errno.EOPNOTSUPP, errno.ENODATA):
        os.getxattr(mnt.path(1), "user.x")


def test_locks(mnt, peer):
    mnt.put(1, bytes(mnt.size))
    with opened(mnt.path(1), os.O_RDWR) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with refused(errno.EWOULDBLOCK):
            peer.call(lock_now, str(mnt.path(1)), "flock")
        fcntl.flock(fd, fcntl.LOCK_UN)
        peer.call(lock_now, str(mnt.path(1)), "flock")
        fcntl.lockf(fd, fcntl.LOCK_EX)
        with refused(errno.EAGAIN, errno.EACCES):
            peer.call(lock_now, str(mnt.path(1)), "lockf")
        fcntl.lockf(fd, fcntl.LOCK_UN)
        peer.call(lock_now, str(mnt.path(1)), "lockf")


def lock_now(path, kind):
    with open(path, "r+b") as file:
        getattr(fcntl, kind)(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_o_tmpfile_fails_so_that_tools_do_without(mnt):
    with refused(errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
        os.open(mnt.vectors, os.O_TMPFILE | os.O_WRONLY, 0o600)


def test_fallocate_works_or_falls_back(mnt, rng):
    data = rng.randbytes(mnt.size)
    with opened(mnt.path(1), os.O_WRONLY | os.O_CREAT) as fd:
        try:
            os.posix_fallocate(fd, 0, mnt.size)
        except OSError as error:
            assert error.errno in (errno.EOPNOTSUPP, errno.ENOSYS)
        os.pwrite(fd, data, 0)
        os.close(fd)
    assert mnt.get(1) == data


def test_seek_hole_and_data(mnt, rng):
    mnt.put(1, rng.randbytes(mnt.size))
    with opened(mnt.path(1), os.O_RDONLY) as fd:
        assert os.lseek(fd, 0, os.SEEK_DATA) == 0
        assert os.lseek(fd, 0, os.SEEK_HOLE) == mnt.size
        assert os.lseek(fd, 0, os.SEEK_END) == mnt.size


def test_df_tells_the_real_capacity(mnt):
    here, below = os.statvfs(mnt.vectors), os.statvfs(mnt.store.path)
    assert here.f_blocks * here.f_frsize == below.f_blocks * below.f_frsize
    assert here.f_namemax == 255
    assert run("df", mnt.vectors).returncode == 0


def test_numpy_reads_and_writes(mnt, rng):
    rows = numpy.frombuffer(rng.randbytes(mnt.size * 20), "<u4").reshape(20, 25)
    for row, values in enumerate(rows):
        values.tofile(mnt.path(row))
    for row, values in enumerate(rows):
        assert numpy.array_equal(numpy.fromfile(mnt.path(row), "<u4"), values)
        assert numpy.array_equal(numpy.memmap(mnt.path(row), "<u4", "r"), values)
