"""Times, modes and owners of vectors and of their folder."""

import errno
import os
import stat

import pytest

from files import GIVEN, attributes, opened, refused, write_all
from harness import run, shell
from peer import Peer
TIMES = [0, 1, 10**9 - 1, 1234567890123456789, 2**31 * 10**9, 2**33 * 10**9 + 5, -1, -10**18]


@pytest.fixture
def restarts(stores, mnt):
    """The mount, its remount, the same compacted, and that remounted."""

    def each():
        yield mnt
        again = stores.again(mnt)
        yield again
        again.control("compact", "start")
        again.finish_job("compact")
        yield again
        again.kill()
        run("umount", again.point)
        yield stores.mount(again.store)

    return each


@pytest.mark.local("checkpoint")
def test_attributes_are_kept_to_the_nanosecond(mnt, restarts, rng):
    wanted = {}
    for vector in range(40):
        mnt.put(vector, rng.randbytes(mnt.size))
    for vector in range(0, 40, 3):
        os.unlink(mnt.path(vector))  # so that compaction moves some
    for number, vector in enumerate(v for v in range(40) if v % 3):
        mtime = TIMES[number % len(TIMES)]
        mode = rng.randrange(0o10000)
        uid, gid = (rng.randrange(2**31) for _ in range(2)) if os.geteuid() == 0 else GIVEN
        os.chown(mnt.path(vector), uid, gid)
        os.chmod(mnt.path(vector), mode)
        os.utime(mnt.path(vector), ns=(mtime, mtime))
        wanted[vector] = (mtime, mode, uid, gid)
    for mounted in restarts():
        found = {vector: attributes(mounted.path(vector)) for vector in mounted.ids()}
        assert found == wanted


def test_times_that_cannot_be_kept_become_the_nearest(mnt):
    """64 bits of nanoseconds end in 1677 and in 2262; the folder too has times before 1970."""
    mnt.put(1, bytes(mnt.size))
    first, last = -2**63, 2**63 - 1
    for path in (mnt.path(1), mnt.vectors):
        for time, kept in ((16725225600 * 10**9, last), (last, last), (last + 1, last),
                           (first, first), (first - 1, first), (first + 1, first + 1),
                           (-20000000000 * 10**9, first), (-1, -1), (-10**18, -10**18)):
            os.utime(path, ns=(time, time))
            assert os.stat(path).st_mtime_ns == kept


@pytest.mark.local("checkpoint")
def test_what_stat_says(mnt, restarts):
    mnt.put(42, bytes(mnt.size))
    mnt.put(2**64 - 2**32 - 1, bytes(mnt.size))
    first = {vector: os.stat(mnt.path(vector)) for vector in mnt.ids()}
    assert len({found.st_ino for found in first.values()}) == 2
    for mounted in restarts():
        for vector, before in first.items():
            found = os.stat(mounted.path(vector))
            assert stat.S_ISREG(found.st_mode)
            assert found.st_size == mounted.size
            assert found.st_nlink == 1
            assert found.st_ino == before.st_ino
            assert found.st_atime_ns == found.st_mtime_ns <= found.st_ctime_ns
            assert found.st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("size", [4, 3072, 4096, 4100, 12288, 262144, 524288])
def test_block_size_is_the_power_of_two_above(stores, size):
    mnt = stores.mount(stores.create(dim=size // 8 if size > 262144 else size // 4,
                                     dtype="f8" if size > 262144 else "f4"))
    mnt.put(1, bytes(size))
    block = os.stat(mnt.path(1)).st_blksize
    assert size <= block
    assert block & (block - 1) == 0
    assert block < 2 * size or block <= 4096
    with open(mnt.path(2), "wb") as file:
        before = mnt.stats()["lsn"]
        file.write(bytes(size))
        file.flush()
        assert mnt.stats()["lsn"] != before  # one write(2), so one commit


def test_the_inode_depends_on_the_id_alone(stores):
    numbers = []
    for name in ("one", "two"):
        mnt = stores.mount(stores.create(name=name), name="mnt-" + name)
        for vector in (99, 5, 7) if name == "one" else (7, 99):
            mnt.put(vector, bytes(mnt.size))
        numbers.append([os.stat(mnt.path(vector)).st_ino for vector in (7, 99)])
        listed = {entry.name: entry.inode() for entry in os.scandir(mnt.vectors)}
        assert [listed["7"], listed["99"]] == numbers[-1]
    assert numbers[0] == numbers[1]


def test_an_overwrite_keeps_mode_and_owner_and_sets_the_time(mnt, rng):
    mnt.put(1, bytes(mnt.size))
    os.chmod(mnt.path(1), 0o600)
    os.chown(mnt.path(1), *GIVEN)
    for write in (lambda data: mnt.put(1, data),
                  lambda data: write_all(mnt.path(1), data, chunk=7),
                  lambda data: run("dd", f"of={mnt.path(1)}", "bs=30", "conv=notrunc",
                                   stdin=data)):
        os.utime(mnt.path(1), ns=(1, 1))
        write(rng.randbytes(mnt.size))
        mtime, *rest = attributes(mnt.path(1))
        assert rest == [0o600, *GIVEN]
        assert mtime > 10**18


def test_chmod_and_touch_leave_the_bytes_and_the_version(mnt, rng):
    data = rng.randbytes(mnt.size)
    mnt.put(1, data)
    with opened(mnt.path(1), os.O_RDONLY) as fd:
        os.chmod(mnt.path(1), 0o600)
        run("touch", "-d", "2001-02-03T04:05:06.789012345Z", mnt.path(1))
        os.fchmod(fd, 0o640)
        os.utime(fd, ns=(3, 981173106789012345))
        assert os.pread(fd, mnt.size, 0) == data
        assert os.fstat(fd).st_mtime_ns == 981173106789012345
    assert attributes(mnt.path(1))[:2] == (981173106789012345, 0o640)
    assert mnt.get(1) == data


def test_touch_of_now(mnt, peer):
    mnt.put(1, bytes(mnt.size))
    os.utime(mnt.path(1), ns=(1, 1))
    run("touch", mnt.path(1))
    assert os.stat(mnt.path(1)).st_mtime_ns > 10**18
    assert peer.call("stat", str(mnt.path(1))).st_mtime_ns > 10**18


def test_an_atime_alone_changes_nothing_but_the_ctime(mnt):
    mnt.put(1, bytes(mnt.size))
    os.utime(mnt.path(1), ns=(1, 1000))
    before = os.stat(mnt.path(1)).st_ctime_ns
    run("touch", "-a", mnt.path(1))
    found = os.stat(mnt.path(1))
    assert found.st_mtime_ns == found.st_atime_ns == 1000
    assert found.st_ctime_ns > before
    mnt.get(1)
    assert os.stat(mnt.path(1)).st_atime_ns == 1000


def test_attributes_set_through_the_writer(stores, mnt, rng):
    """As tar and rsync do it: on the descriptor, before close or after it."""
    for vector, chunk in ((1, None), (2, 30)):
        fd = os.open(mnt.path(vector), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        data = rng.randbytes(mnt.size)
        for at in range(0, mnt.size, chunk or mnt.size):
            os.write(fd, data[at:at + (chunk or mnt.size)])
        os.fchown(fd, *GIVEN)
        os.fchmod(fd, 0o4755)
        os.utime(fd, ns=(1, 123456789987654321))
        os.close(fd)
    mnt = stores.again(mnt)
    for vector in (1, 2):
        assert attributes(mnt.path(vector)) == (123456789987654321, 0o4755, *GIVEN)


@pytest.mark.parametrize("umask, mode, wanted", [(0o022, 0o666, 0o644), (0o077, 0o666, 0o600),
                                                 (0, 0o666, 0o666), (0o027, 0o640, 0o640),
                                                 (0o022, 0o755, 0o755)])
def test_the_creators_umask_counts(mnt, umask, mode, wanted):
    other = Peer(umask=umask)
    fd = other.call("open", str(mnt.path(1)), os.O_WRONLY | os.O_CREAT, mode)
    other.call("write", fd, bytes(mnt.size))
    other.call("close", fd)
    other.close()
    assert attributes(mnt.path(1))[1] == wanted


@pytest.mark.needs_root("acts as several users")
def test_a_new_vector_belongs_to_its_creator(stores):
    mnt = stores.mount(options=["allow_other"])
    os.chmod(mnt.vectors, 0o777)
    other = Peer(uid=1234, gid=4321)
    other.write(mnt.path(1), bytes(mnt.size))
    other.close()
    assert attributes(mnt.path(1))[2:] == (1234, 4321)


@pytest.mark.needs_root("acts as several users")
def test_the_options_uid_gid_and_umask(stores):
    mnt = stores.mount(options=["allow_other", "uid=1111", "gid=2222", "umask=027"])
    mnt.put(1, bytes(mnt.size))
    assert attributes(mnt.path(1))[1:] == (0o640, 1111, 2222)
    mnt.control("put", (2).to_bytes(8, "little") + bytes(mnt.size))
    assert attributes(mnt.path(2))[1:] == (0o640, 1111, 2222)
    write_all(mnt.path(".3"), bytes(mnt.size))
    os.rename(mnt.path(".3"), mnt.path(3))
    assert attributes(mnt.path(3))[1:] == (0o640, 1111, 2222)
    mnt = stores.again(mnt)
    assert attributes(mnt.path(1))[1:] == (0o640, 1111, 2222)


@pytest.mark.needs_root("gives files to others")
def test_the_options_uid_and_gid_say_who_owns_what_there_is(stores, rng):
    """A store that was copied to another user: he uses it as his, and what is stored stays."""
    mnt = stores.mount()
    mnt.put(1, bytes(mnt.size))
    mnt.put(2, bytes(mnt.size))
    os.chown(mnt.path(1), 12, 34)
    os.chown(mnt.vectors, 56, 78)
    mnt = stores.again(mnt, options=["allow_other", "uid=1111", "gid=2222"])
    other = Peer(uid=1111, gid=2222)
    for path in (mnt.vectors, mnt.path(1), mnt.path(2)):
        assert attributes(path)[2:] == (1111, 2222)
        # As with vfat: who owns it is the option's to say, of which nothing is stored.
        for owner in ((12, -1), (-1, 34), (12, 34), (1111, 34)):
            with refused(errno.EPERM):
                os.chown(path, *owner)
        os.chown(path, 1111, 2222)
        other.call("chown", str(path), 1111, -1)
    data = rng.randbytes(mnt.size)
    other.write(mnt.path(3), data)
    other.write(mnt.path(2), data)
    other.call("chmod", str(mnt.path(1)), 0o600)
    other.call("chmod", str(mnt.vectors), 0o700)
    assert sorted(other.call("listdir", str(mnt.vectors))) == ["1", "2", "3"]
    other.call("unlink", str(mnt.path(2)))
    other.close()
    mnt = stores.again(mnt)
    assert attributes(mnt.path(1))[1:] == (0o600, 12, 34)
    assert attributes(mnt.vectors)[1:] == (0o700, 56, 78)
    assert attributes(mnt.path(3))[2:] == (1111, 2222)


@pytest.mark.needs_root("acts as several users")
@pytest.mark.local("columns")
def test_the_kernel_checks_permissions(stores):
    mnt = stores.mount(options=["allow_other"])
    mnt.put(1, bytes(mnt.size))
    os.chmod(mnt.path(1), 0o600)
    other = Peer(uid=1234, gid=1234)
    try:
        with refused(errno.EACCES):
            other.read(mnt.path(1))
        with refused(errno.EACCES):
            other.write(mnt.path(1), bytes(mnt.size))
        with refused(errno.EPERM):
            other.call("chmod", str(mnt.path(1)), 0o666)
        os.chmod(mnt.vectors, 0o755)
        with refused(errno.EACCES):
            other.call("unlink", str(mnt.path(1)))
        with refused(errno.EACCES):
            other.write(mnt.path(2), bytes(mnt.size))
        os.chmod(mnt.path(1), 0o644)
        assert other.read(mnt.path(1)) == bytes(mnt.size)
        with refused(errno.EACCES):
            other.read(mnt.point / "matrix.npy")
        with refused(errno.EACCES):
            other.call("open", str(mnt.control_folder / "put"), os.O_WRONLY)
        with refused(errno.EACCES):
            other.call("open", str(mnt.control_folder / "durability"), os.O_WRONLY)
        assert other.read(mnt.control_folder / "count") == b"1\n"
        with refused(errno.EPERM):
            other.call("chown", str(mnt.path(1)), 1234, 1234)
    finally:
        other.close()


@pytest.mark.needs_root("acts as several users")
def test_the_set_user_bit_goes_with_a_write_of_another(stores, rng):
    mnt = stores.mount(options=["allow_other"])
    mnt.put(1, bytes(mnt.size))
    os.chmod(mnt.path(1), 0o4777)
    other = Peer(uid=1234, gid=1234)
    other.write(mnt.path(1), rng.randbytes(mnt.size))
    other.close()
    assert attributes(mnt.path(1))[1] == 0o777


@pytest.mark.local("checkpoint")
def test_the_folders_own_attributes(stores, mnt, restarts):
    mnt.put(1, bytes(mnt.size))
    mnt.put(2, bytes(mnt.size))
    os.chown(mnt.vectors, *GIVEN)
    os.chmod(mnt.vectors, 0o1750)
    os.utime(mnt.vectors, ns=(1, 1234567890123456789))
    for mounted in restarts():
        assert attributes(mounted.vectors) == (1234567890123456789, 0o1750, *GIVEN)


@pytest.mark.local("renames of IDs")
def test_the_folders_mtime_changes_with_its_entries(mnt, rng, peer):
    mnt.put(1, bytes(mnt.size))

    def changes(action):
        os.utime(mnt.vectors, ns=(1, 1000))
        action()
        here = os.stat(mnt.vectors).st_mtime_ns
        assert peer.call("stat", str(mnt.vectors)).st_mtime_ns == here
        return here != 1000

    assert changes(lambda: mnt.put(2, bytes(mnt.size)))
    assert changes(lambda: peer.write(mnt.path(4), bytes(mnt.size)))
    assert changes(lambda: os.unlink(mnt.path(2)))
    assert changes(lambda: os.rename(mnt.path(1), mnt.path(3)))
    assert changes(lambda: mnt.control("put", (9).to_bytes(8, "little") + bytes(mnt.size)))
    assert not changes(lambda: mnt.put(3, rng.randbytes(mnt.size)))
    assert not changes(lambda: os.chmod(mnt.path(3), 0o600))


def test_tools_set_them(mnt, tmp, rng):
    source = tmp / "source"
    source.write_bytes(rng.randbytes(mnt.size))
    source.chmod(0o751)
    os.utime(source, ns=(1, 999999999123456789))
    run("cp", "-p", source, mnt.path(1))
    run("rsync", "-a", source, mnt.path(2))
    run("cp", "--preserve=mode", source, mnt.path(3))
    shell(f"cd {tmp} && mv source 4 && tar --format=posix -cf - 4 | tar -C {mnt.vectors} -xpf -")
    for vector in (1, 2, 4):
        assert attributes(mnt.path(vector))[:2] == (999999999123456789, 0o751)
    assert attributes(mnt.path(3))[1] == 0o751
    run("chmod", "u=rw,go=", mnt.path(1))
    assert attributes(mnt.path(1))[1] == 0o600



@pytest.fixture
def group():
    """One that files may be given to: by root any, by others theirs."""
    if os.geteuid() == 0:
        return 12345
    others = set(os.getgroups()) - {os.getgid()}
    if not others:
        pytest.skip("whoever runs this is in one group alone")
    return min(others)


@pytest.fixture
def makers(stores, rng):
    """Each way in which a file comes into vectors/, by its name there."""
    def put_view(mnt, name):
        (mnt.vectors / (name + ".txt")).write_text(" ".join(["1"] * 25))

    def rename_scratch(mnt, name):
        mnt.path("." + name).write_bytes(rng.randbytes(mnt.size))
        os.rename(mnt.path("." + name), mnt.path(name))

    return {
        "1": lambda mnt, name: mnt.put(name, rng.randbytes(mnt.size)),
        "2": rename_scratch,
        "3": put_view,
        "4": lambda mnt, name: mnt.control("put", int(name).to_bytes(8, "little") + bytes(100)),
        ".5": lambda mnt, name: mnt.put(name, b"scratch"),
        ".6": lambda mnt, name: os.mknod(mnt.path(name), stat.S_IFREG | 0o600),
    }


def test_a_set_group_id_folder_gives_its_group_to_new_files(stores, makers, group):
    mnt = stores.mount()
    os.chown(mnt.vectors, -1, group)
    os.chmod(mnt.vectors, 0o2755)
    for again in (False, True):  # the bit is kept over a remount
        for name, make in makers.items():
            make(mnt, name)
            assert mnt.path(name).stat().st_gid == group, name
        os.chmod(mnt.vectors, 0o755)
        for name, make in makers.items():
            os.unlink(mnt.path(name))
            make(mnt, name)
            assert mnt.path(name).stat().st_gid == os.getgid(), name
            os.unlink(mnt.path(name))
        os.chmod(mnt.vectors, 0o2755)
        if not again:
            mnt = stores.again(mnt)


def test_the_option_gid_is_stronger_than_a_set_group_id_folder(stores, group, rng):
    mnt = stores.mount()
    os.chown(mnt.vectors, -1, group)
    os.chmod(mnt.vectors, 0o2755)
    mnt = stores.again(mnt, options=["gid=4321"])
    mnt.put(1, rng.randbytes(mnt.size))
    assert mnt.path(1).stat().st_gid == 4321


@pytest.mark.parametrize("first", ["1", "."])
def test_names_over_255_bytes_are_too_long_in_all_calls(mnt, rng, first):
    mnt.put(1, rng.randbytes(mnt.size))
    assert os.statvfs(mnt.vectors).f_namemax == 255
    for folder in (mnt.vectors, mnt.point, mnt.control_folder):
        for length in (256, 1000):
            name = folder / (first * length if first == "1" else "." + "a" * (length - 1))
            for call in (os.stat, os.unlink, os.rmdir, os.mkdir, os.mknod, os.listdir, os.readlink,
                         lambda path: os.open(path, os.O_RDONLY),
                         lambda path: os.open(path, os.O_WRONLY | os.O_CREAT),
                         lambda path: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL),
                         lambda path: os.symlink("1", path),
                         lambda path: os.link(mnt.path(1), path),
                         lambda path: os.rename(mnt.path(1), path),
                         lambda path: os.rename(path, mnt.path(1)),
                         lambda path: os.truncate(path, 0),
                         lambda path: os.chmod(path, 0o600)):
                with refused(errno.ENAMETOOLONG):
                    call(name)
    with refused(errno.ENOENT):
        os.stat(mnt.path("1" * 255))
    mnt.put("." + "a" * 254, b"scratch")
    mnt.forget_errors()
