"""What the kernel caches must not show: two processes, one of which changes what the
other has looked at before."""

import contextlib
import ctypes
import errno
import mmap
import os
import socket
import time

import pytest

from files import map_shared, opened, read_chunks, refused, resident, unmap, write_all
from harness import LONG, QUIVERFS, run, until

BOTH_TRANSPORTS = True
ROUNDS = 20000 if LONG else 1500


def fill(mnt, rng, count=3):
    rows = [rng.randbytes(mnt.size) for _ in range(count)]
    for vector, data in enumerate(rows):
        mnt.put(vector, data)
    return rows


# ---- attributes -----------------------------------------------------------------


def test_attributes_after_a_commit_of_another_process(mnt, rng, peer):
    data = fill(mnt, rng)
    path = str(mnt.path(1))
    for round_number in range(100):
        before = os.stat(path)
        time.sleep(0.001)  # the kernel's clock ticks slowly
        peer.write(path, data[round_number % 3])
        after = os.stat(path)
        assert after.st_mtime_ns > before.st_mtime_ns
        assert after.st_size == mnt.size
        peer.call("chmod", path, 0o600 + round_number % 8)
        assert os.stat(path).st_mode & 0o777 == 0o600 + round_number % 8
        peer.call("utime", path, ns=(5, 1000 + round_number))
        assert os.stat(path).st_mtime_ns == 1000 + round_number


def test_attributes_after_put(mnt, rng, peer):
    fill(mnt, rng)
    before = os.stat(mnt.path(1))
    data = rng.randbytes(mnt.size)
    time.sleep(0.01)
    peer.call(put, str(mnt.control_folder / "put"), (1).to_bytes(8, "little") + data)
    assert os.stat(mnt.path(1)).st_mtime_ns > before.st_mtime_ns
    assert mnt.get(1) == data


def put(path, record):
    with open(path, "wb", buffering=0) as file:
        assert file.write(record) == len(record)


def test_stat_while_a_writer_has_it_open(mnt, rng, peer):
    fill(mnt, rng)
    path = str(mnt.path(1))
    before = os.stat(path)
    there = peer.call("open", path, os.O_WRONLY | os.O_TRUNC)
    for written in range(0, mnt.size, 10):
        found = os.stat(path)
        assert (found.st_size, found.st_mtime_ns) == (mnt.size, before.st_mtime_ns)
        peer.call("write", there, bytes(10))
    assert os.stat(path).st_mtime_ns == before.st_mtime_ns
    time.sleep(0.01)
    peer.call("close", there)
    assert os.stat(path).st_mtime_ns > before.st_mtime_ns
    assert mnt.get(1) == bytes(mnt.size)


def test_fstat_of_the_writer_and_stat_of_others(mnt, peer):
    path = str(mnt.path(1))
    with opened(path, os.O_WRONLY | os.O_CREAT) as fd:
        for size in (10, 50, 100):
            os.write(fd, bytes(size - os.fstat(fd).st_size))
            assert os.fstat(fd).st_size == size
            if size < 100:
                with refused(errno.ENOENT):
                    peer.call("stat", path)
        os.close(fd)
    assert peer.call("stat", path).st_size == 100


def test_a_file_just_made_shows_what_its_writer_does(mnt):
    """The answer to a CREATE has attributes that the kernel may use for a moment."""
    for name in (*range(100), *(f".{number}" for number in range(100))):
        with opened(mnt.path(name), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640) as fd:
            assert (os.fstat(fd).st_size, os.fstat(fd).st_mode & 0o777) == (0, 0o640)
            os.write(fd, bytes(30))
            assert os.fstat(fd).st_size == 30
            os.ftruncate(fd, 20)
            assert os.fstat(fd).st_size == 20
            os.fchmod(fd, 0o604)
            assert os.fstat(fd).st_mode & 0o777 == 0o604
            os.pwrite(fd, bytes(mnt.size), 0)
            os.utime(fd, ns=(5, 77))
            assert (os.fstat(fd).st_size, os.fstat(fd).st_mtime_ns) == (mnt.size, 77)
            os.unlink(mnt.path(name))
            assert os.fstat(fd).st_nlink == 0


@pytest.mark.parametrize("how", ["rename", "put", pytest.param(
    "from another ID", marks=pytest.mark.local("renames of IDs"))])
def test_a_file_just_made_shows_what_others_do(mnt, rng, peer, how):
    """At once: the kernel is told, although it keeps what CREATE says for a moment only."""
    for vector in range(0, 100, 2):
        path = str(mnt.path(vector))
        if how == "rename":
            peer.write(str(mnt.path(".new")), rng.randbytes(mnt.size))
        elif how == "from another ID":
            peer.write(str(mnt.path(vector + 1)), rng.randbytes(mnt.size))
        with opened(path, os.O_WRONLY | os.O_CREAT) as fd:
            if how == "put":
                record = vector.to_bytes(8, "little") + rng.randbytes(mnt.size)
                peer.call(put, str(mnt.control_folder / "put"), record)
            else:
                source = ".new" if how == "rename" else vector + 1
                peer.call("rename", str(mnt.path(source)), path)
            assert os.fstat(fd).st_size == mnt.size
            assert os.fstat(fd).st_mtime_ns == peer.call("stat", path).st_mtime_ns
            assert len(peer.read(path)) == mnt.size
            os.write(fd, bytes(mnt.size))


def test_a_file_made_anew_is_none_of_those_who_know_the_one_before(mnt, rng, peer):
    """Whose node it has. They look at it without having it open, as amid a stat or an open."""
    for vector in range(50):
        path = str(mnt.path(vector))
        mnt.put(vector, rng.randbytes(mnt.size))
        with opened(path, os.O_PATH) as fd:
            peer.call("unlink", path)
            made = peer.call("open", path, os.O_WRONLY | os.O_CREAT)
            assert os.fstat(fd).st_size == mnt.size
            peer.call("write", made, bytes(mnt.size))
            peer.call("close", made)


def test_a_staged_mtime_is_that_of_the_commit(mnt, rng, peer):
    fill(mnt, rng)
    path = str(mnt.path(1))
    with opened(path, os.O_WRONLY) as fd:
        os.write(fd, bytes(mnt.size - 1))
        os.utime(fd, ns=(7, 123456789))
        os.close(fd)
    # half of it is new: the rest was there, so this is a commit
    assert os.stat(path).st_mtime_ns == 123456789
    assert peer.call("stat", path).st_mtime_ns == 123456789


def test_the_mtime_that_a_writer_sees_stays_after_close(mnt, rng, peer):
    fill(mnt, rng)
    for name in (1, 9):
        with opened(mnt.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            os.write(fd, bytes(50))
            os.write(fd, bytes(50))
            os.fsync(fd)
            inside = os.fstat(fd).st_mtime_ns
            os.close(fd)
        assert os.stat(mnt.path(name)).st_mtime_ns == inside
        assert peer.call("stat", str(mnt.path(name))).st_mtime_ns == inside


# ---- names ----------------------------------------------------------------------


def test_a_name_that_was_not_there_before(mnt, rng, peer):
    data = rng.randbytes(mnt.size)
    for vector in range(100):
        path = str(mnt.path(vector))
        with refused(errno.ENOENT):
            os.stat(path)
        peer.write(path, data)
        assert os.stat(path).st_size == mnt.size
        assert mnt.get(vector) == data
        peer.call("unlink", path)
        with refused(errno.ENOENT):
            os.stat(path)
        with refused(errno.ENOENT):
            mnt.get(vector)
    assert os.listdir(mnt.vectors) == []


@pytest.mark.local("renames of IDs")
def test_the_old_name_after_a_rename(mnt, rng, peer):
    rows = fill(mnt, rng, 2)
    names = [str(mnt.path(number)) for number in range(2)]
    os.unlink(names[1])
    for round_number in range(100):
        old, new = names[round_number % 2], names[1 - round_number % 2]
        assert os.path.exists(old)
        assert not os.path.exists(new)
        assert peer.call("stat", old).st_size == mnt.size
        inode = os.stat(old).st_ino
        run("mv", old, new) if round_number == 0 else peer.call("rename", old, new)
        for seen in (os.path.exists, lambda path: peer.call(os.path.exists, path)):
            assert not seen(old)
            assert seen(new)
        assert os.stat(new).st_ino != inode  # which comes from the ID
        assert peer.read(new) == rows[0]
        with refused(errno.ENOENT):
            os.open(old, os.O_RDONLY)


@pytest.mark.local("renames of IDs")
def test_a_new_vector_under_the_old_name_of_a_rename(mnt, rng, peer):
    """The kernel must not go on with the old node under the new name."""
    for _ in range(50):
        one, two = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
        mnt.put(1, one)
        assert mnt.get(1) == one
        os.rename(mnt.path(1), mnt.path(2))
        peer.write(mnt.path(1), two)
        assert mnt.get(2) == one
        assert mnt.get(1) == two
        assert os.stat(mnt.path(1)).st_ino != os.stat(mnt.path(2)).st_ino


def test_scratch_names_come_and_go(mnt, rng, peer):
    path = str(mnt.path(".scratch"))
    for size in range(1, 60):
        peer.write(path, bytes(size))
        assert os.stat(path).st_size == size
        assert os.path.exists(path)
        peer.write(path, bytes(size // 2))
        assert os.stat(path).st_size == size // 2
        peer.call("unlink", path)
        assert not os.path.exists(path)


def test_a_vector_removed_while_open(mnt, rng, peer):
    rows = fill(mnt, rng)
    path = mnt.path(1)
    with opened(path, os.O_RDONLY) as fd:
        assert os.fstat(fd).st_nlink == 1
        assert os.read(fd, 10) == rows[1][:10]
        peer.call("unlink", str(path))
        found = os.fstat(fd)
        assert (found.st_nlink, found.st_size) == (0, mnt.size)
        assert read_chunks(fd, 7) == rows[1][10:]
        new = rng.randbytes(mnt.size)
        peer.write(path, new)
        assert os.pread(fd, mnt.size, 0) == rows[1]
        assert mnt.get(1) == new
        assert os.stat(path).st_nlink == 1


def test_a_writer_of_a_removed_vector(mnt, rng, peer):
    rows = fill(mnt, rng)
    with opened(mnt.path(1), os.O_RDWR) as fd:
        os.pwrite(fd, b"new", 0)
        peer.call("unlink", str(mnt.path(1)))
        assert os.pread(fd, mnt.size, 0) == b"new" + rows[1][3:]
        assert os.fstat(fd).st_size == mnt.size
        os.close(fd)
    # what was removed is not brought back by a close
    assert mnt.ids() == {0, 2}
    assert not mnt.has(1)
    assert mnt.get(0) == rows[0]
    mnt.forget_errors()


def test_a_stale_node_is_looked_up_again(mnt, rng, peer):
    """The kernel of this process still knows the name; the vector is another one."""
    fill(mnt, rng)
    folder = os.open(mnt.vectors, os.O_RDONLY)
    for round_number in range(50):
        os.stat("1", dir_fd=folder)
        peer.call("unlink", str(mnt.path(1)))
        data = rng.randbytes(mnt.size)
        peer.write(mnt.path(1), data)
        os.stat("1", dir_fd=folder)
        os.chmod("1", 0o640, dir_fd=folder)
        with open(os.open("1", os.O_RDONLY, dir_fd=folder), "rb") as file:
            assert file.read() == data
    os.close(folder)


# ---- versions -------------------------------------------------------------------


@pytest.mark.local("checkpoint")
def test_a_reader_stays_with_its_version(stores, rng, peer):
    mnt = stores.mount(stores.create(dim=5000))
    rows = fill(mnt, rng)
    path = str(mnt.path(1))
    with opened(path, os.O_RDONLY) as fd:
        pieces = []
        for round_number in range(100):
            pieces.append(os.read(fd, mnt.size // 100))
            peer.write(path, rows[round_number % 3])
            with open(path, "rb") as other:
                assert other.read() == rows[round_number % 3]
        pieces.append(os.read(fd, mnt.size))
        assert b"".join(pieces) == rows[1]
        mnt.control("checkpoint", "1")
        assert os.pread(fd, mnt.size, 0) == rows[1]


@pytest.mark.local("checkpoint")
def test_many_readers_of_many_versions(stores, rng, peer):
    mnt = stores.mount(stores.create(dim=5000))
    rows = fill(mnt, rng, 8)
    path, fds = str(mnt.path(1)), []
    for data in rows:
        peer.write(path, data)
        fds.append(os.open(path, os.O_RDONLY))
    peer.call("unlink", path)
    mnt.control("checkpoint", "1")
    for _ in range(2):
        order = list(range(8))
        rng.shuffle(order)
        for number in order:
            assert os.pread(fds[number], 6000, 9000) == rows[number][9000:15000]
            assert os.pread(fds[number], mnt.size, 0) == rows[number]
    for fd in fds:
        os.close(fd)


def test_an_open_after_a_close_sees_the_new_one(mnt, rng, peer):
    path = str(mnt.path(1))
    peer.write(path, bytes(mnt.size))
    kept = None
    for number in range(ROUNDS):
        data = number.to_bytes(4, "little") * (mnt.size // 4)
        peer.write(path, data)
        with open(path, "rb") as file:
            assert file.read() == data
        if number % 5 == 0:  # a handle that holds an older version in the cache
            if kept is not None:
                os.close(kept)
            kept = os.open(path, os.O_RDONLY)
            assert os.read(kept, 8) == data[:8]
    os.close(kept)


def test_o_trunc_takes_effect_for_the_opener_alone(mnt, rng, peer):
    rows = fill(mnt, rng)
    path = str(mnt.path(1))
    with opened(path, os.O_RDONLY) as reader, opened(path, os.O_RDWR) as patcher:
        os.pwrite(patcher, b"patch", 0)
        there = peer.call("open", path, os.O_RDWR | os.O_TRUNC)
        assert os.read(reader, mnt.size) == rows[1]
        assert os.pread(patcher, mnt.size, 0) == b"patch" + rows[1][5:]
        assert peer.call("pread", there, mnt.size, 0) == b""
        assert os.stat(path).st_size == mnt.size
        assert mnt.get(1) == rows[1]
        peer.call("write", there, rows[2])
        peer.call("close", there)
        assert mnt.get(1) == rows[2]
        assert os.pread(reader, mnt.size, 0) == rows[1]
        os.close(patcher)
    assert mnt.get(1) == b"patch" + rows[1][5:]


def test_cutting_a_path_leaves_what_others_have_staged(mnt, rng, peer):
    rows = fill(mnt, rng)
    path = str(mnt.path(1))
    with opened(path, os.O_RDWR) as fd:
        os.pwrite(fd, b"patch", 0)
        with refused(errno.EINVAL):
            os.truncate(path, 0)
        with refused(errno.EINVAL):
            peer.call("truncate", path, 0)
        assert os.pread(fd, mnt.size, 0) == b"patch" + rows[1][5:]
        os.close(fd)
    assert mnt.get(1) == b"patch" + rows[1][5:]
    mnt.forget_errors()


def test_many_o_truncs_at_once(mnt, rng, peer):
    """Each opener's emptying must find its own handle."""
    fill(mnt, rng)
    path = str(mnt.path(1))
    for _ in range(300):
        here, there = rng.randbytes(mnt.size), rng.randbytes(mnt.size)
        peer.start(write_all, path, there, chunk=33)
        write_all(path, here, chunk=33)
        peer.result()
        assert mnt.get(1) in (here, there)


# ---- maps and the page cache ------------------------------------------------------


def test_maps_of_a_vector(stores, rng, peer):
    mnt = stores.mount(stores.create(dim=5000))
    rows = fill(mnt, rng)
    for flags in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
        with opened(mnt.path(1), os.O_RDONLY) as fd:
            view = mmap.mmap(fd, mnt.size, flags, mmap.PROT_READ)
            assert view[:] == rows[1]
            view.close()
    with opened(mnt.path(2), os.O_RDONLY) as fd:
        view = mmap.mmap(fd, mnt.size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        view[0] = view[0] ^ 1
        assert view[1:] == rows[2][1:]
        view.close()
    assert mnt.get(2) == rows[2]


@pytest.mark.local("checkpoint")
def test_a_map_stays_with_its_version(stores, rng, peer):
    mnt = stores.mount(stores.create(dim=5000))
    rows = fill(mnt, rng)
    path = str(mnt.path(1))
    with opened(path, os.O_RDONLY) as fd:
        view = mmap.mmap(fd, mnt.size, mmap.MAP_SHARED, mmap.PROT_READ)
    assert view[0] == rows[1][0]
    peer.write(path, rows[2])
    assert mnt.get(1) == rows[2]
    assert peer.read(path) == rows[2]
    assert view[:] == rows[1]
    peer.call("unlink", path)
    mnt.control("checkpoint", "1")
    assert view[:] == rows[1]
    view.close()


def test_a_map_while_a_stage_is_open(stores, rng, peer):
    """What fills the page cache is the committed version, never the stage."""
    mnt = stores.mount(stores.create(dim=5000))
    rows = fill(mnt, rng)
    with opened(mnt.path(1), os.O_RDWR) as fd:
        os.pwrite(fd, bytes(5000), 0)
        view = mmap.mmap(fd, mnt.size, mmap.MAP_PRIVATE, mmap.PROT_READ)
        assert view[:] == rows[1]
        assert os.pread(fd, 5000, 0) == bytes(5000)
        assert mnt.get(1) == rows[1]
        view.close()


def test_sendfile_and_splice(stores, rng, peer):
    mnt = stores.mount(stores.create(dim=3000))
    rows = fill(mnt, rng)
    ours, theirs = socket.socketpair()
    for number in range(200):
        data = rows[number % 3]
        peer.write(mnt.path(1), data)
        with opened(mnt.path(1), os.O_RDONLY) as fd:
            assert os.sendfile(ours.fileno(), fd, 0, mnt.size) == mnt.size
            got = b""
            while len(got) < mnt.size:
                got += theirs.recv(mnt.size)
        assert got == data
    ours.close()
    theirs.close()


# ---- pages that stay from one open to the next ----------------------------------------


def commit_unseen(mnt, peer, path, old, new):
    """The kernel drops the pages when a writer opens, those that it writes to, and all where it
    sees another mtime. So the old ones are brought back before the commit, and the mtime stays."""
    mtime_ns = os.stat(path).st_mtime_ns
    there = peer.call("open", path, os.O_WRONLY)
    peer.call("write", there, new[:1000])
    peer.call("write", there, new[1000:])
    peer.call("utime", there, ns=(mtime_ns, mtime_ns))
    assert mnt.get(1) == old
    peer.call("close", there)
    assert os.stat(path).st_mtime_ns == mtime_ns


def in_cache(path, size):
    """All pages, or none of them."""
    pages = resident(path, size)
    assert all(pages) or not any(pages), pages
    return pages[0]


def stays(mnt, path, data, peer):
    """Once read, the pages are there for the next who opens it; but a kernel that is short of memory
    may drop them at any time, and while it has not told of the close of an older version who opens
    the file reads past them."""
    def is_there():
        assert mnt.get(1) == data
        return in_cache(path, mnt.size) and peer.call(in_cache, path, mnt.size)

    until(is_there, "no pages stay")
    return True


@pytest.mark.local("slots, by which pages are known to be current")
def test_pages_stay_until_the_next_commit(stores, rng, peer):
    mnt = stores.mount(stores.create(dim=3072))
    rows = fill(mnt, rng)
    path = str(mnt.path(1))
    assert not in_cache(path, mnt.size)
    assert stays(mnt, path, rows[1], peer)
    mnt = stores.again(mnt)
    path = str(mnt.path(1))
    assert stays(mnt, path, rows[1], peer)
    for round_number in range(50):
        data = rows[round_number % 3]
        commit_unseen(mnt, peer, path, mnt.get(1), data)
        # The first look drops what was there, the second finds nothing.
        assert not in_cache(path, mnt.size)
        assert not in_cache(path, mnt.size)
        assert stays(mnt, path, data, peer)
        assert peer.read(path) == data


@pytest.mark.local("slots, by which pages are known to be current")
def test_pages_stay_beside_changes_of_attributes_and_other_vectors(stores, rng, peer):
    mnt = stores.mount(stores.create(dim=3072))
    rows = fill(mnt, rng)
    path = str(mnt.path(1))
    for round_number in range(3):
        assert stays(mnt, path, rows[1], peer)
        peer.write(mnt.path(2), rows[0])
        peer.call("chmod", path, 0o600 + round_number)
        peer.write(mnt.path(0), rows[0])
        peer.call("unlink", str(mnt.path(0)))
        mnt.control("checkpoint", "1")
        if in_cache(path, mnt.size):
            break
    else:
        pytest.fail("never there")
    assert mnt.get(1) == rows[1]


def ways_to_change(mnt, rng, peer, old):
    """Functions that commit a vector 1 of new bytes and return them."""
    path = str(mnt.path(1))

    def new(change, *words):
        data = rng.randbytes(mnt.size)
        change(data, *words)
        return data

    def rename(data, name):
        mtime_ns = os.stat(path).st_mtime_ns
        peer.write(mnt.path(name), data)
        peer.call("utime", str(mnt.path(name)), ns=(mtime_ns, mtime_ns))
        assert mnt.get(name) == data
        peer.call("rename", str(mnt.path(name)), path)

    def remove_and_create(data):
        peer.call("unlink", path)
        peer.write(path, data)

    def patch():
        there = peer.call("open", path, os.O_RDWR)
        peer.call("pwrite", there, b"patched", 5000)
        peer.call("close", there)
        return old[:5000] + b"patched" + old[5007:]

    def truncate():
        there = peer.call("open", path, os.O_RDWR)
        peer.call("ftruncate", there, 100)
        peer.call("ftruncate", there, mnt.size)
        peer.call("close", there)
        return old[:100] + bytes(mnt.size - 100)

    return [
        lambda: new(lambda data: peer.write(path, data)),
        lambda: new(lambda data: peer.call(write_all, path, data, chunk=1000)),
        lambda: new(lambda data: peer.call(write_all, path, data, flags=os.O_WRONLY)),
        lambda: new(lambda data: peer.call(put, str(mnt.control_folder / "put"),
                                           (1).to_bytes(8, "little") + data)),
        lambda: new(lambda data: commit_unseen(mnt, peer, path, old, data)),
        lambda: new(rename, ".new"),
        *([] if "QUIVERFS_KIND" in os.environ else [lambda: new(rename, 8)]),
        lambda: new(remove_and_create),
        patch,
        truncate,
    ]


def looks_at(path, size):
    """The same vector in every way that goes through the page cache."""
    address = map_shared(path, size)
    yield ctypes.string_at(address, size)
    unmap(address, size, path)
    with opened(path, os.O_RDONLY) as fd:
        with mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ) as view:
            yield view[:]
        yield os.pread(fd, size, 0)
        yield os.pread(fd, 5000, 4000) + os.pread(fd, size, 9000)
    with open(path, "rb") as file:
        yield file.read()


@pytest.mark.parametrize("others", ["none", "a reader", "a map", "a direct reader", "a writer"])
def test_no_change_leaves_old_pages(stores, rng, peer, others):
    """Before each change some pages are cached, and somebody may have the old vector open."""
    mnt = stores.mount(stores.create(dim=3072))
    data = fill(mnt, rng)[1]
    path = str(mnt.path(1))
    for number in range(10 * (10 if LONG else 2)):
        with contextlib.ExitStack() as stack:
            assert os.pread(stack.enter_context(opened(path, os.O_RDONLY)), 10, 0) == data[:10]
            kept = None
            if others == "none":
                stack.close()
            elif others == "a map":
                kept = stack.enter_context(opened(path, os.O_RDONLY))
                view = stack.enter_context(mmap.mmap(kept, mnt.size, mmap.MAP_SHARED,
                                                     mmap.PROT_READ))
                assert view[9000] == data[9000]
            elif others == "a direct reader":
                data = rng.randbytes(mnt.size)
                peer.write(path, data)
                kept = stack.enter_context(opened(path, os.O_RDONLY))
                assert os.pread(kept, 10, 0) == data[:10]
            elif others == "a writer":
                kept = stack.enter_context(opened(path, os.O_RDWR))
                assert os.pread(kept, 10, 0) == data[:10]
            before = data
            ways = ways_to_change(mnt, rng, peer, data)
            data = ways[number % len(ways)]()
            assert peer.read(path) == data
            assert mnt.get(1) == data
            if others == "a direct reader":
                assert os.pread(kept, mnt.size, 0) == before
        for which, seen in enumerate(looks_at(path, mnt.size)):
            what = "old" if seen[:10] == before[:10] else "mixed"
            assert seen == (data if which != 3 else data[4000:]), (which, what)
        assert peer.read(path) == data
    mnt.forget_errors()


@pytest.mark.local("compaction")
def test_pages_after_compaction(stores, rng, peer):
    mnt = stores.mount(stores.create(dim=3072))
    rows = fill(mnt, rng, 60)
    for vector in range(60):
        assert mnt.get(vector) == rows[vector]
    for vector in range(30):
        peer.call("unlink", str(mnt.path(vector)))
    run(QUIVERFS, "compact", mnt.point)
    for vector in range(30):
        peer.write(mnt.path(vector), rows[59 - vector])
    for vector in range(60):
        want = rows[59 - vector] if vector < 30 else rows[vector]
        assert mnt.get(vector) == want
        assert peer.read(mnt.path(vector)) == want
        assert mnt.get(vector) == want


def test_sendfile_of_an_older_version_leaves_nothing_behind(stores, rng, peer):
    """It fills the page cache beside pages of a newer version."""
    mnt = stores.mount(stores.create(dim=3072))
    rows = fill(mnt, rng)
    path = str(mnt.path(1))
    for _ in range(20):
        with opened(path, os.O_RDONLY) as oldest, opened(os.devnull, os.O_WRONLY) as nowhere:
            assert os.pread(oldest, mnt.size, 0) == mnt.get(1)
            peer.write(path, rows[0])
            with opened(path, os.O_RDONLY) as older:
                os.close(oldest)
                peer.write(path, rows[2])
                assert peer.call("stat", path).st_size == mnt.size
                assert mnt.get(1) == rows[2]
                drop_pages(path)
                os.sendfile(nowhere, older, 0, mnt.size)
            assert mnt.get(1) == rows[2]
            assert peer.read(path) == rows[2]


def drop_pages(path):
    """Have the kernel forget what it has cached of one file."""
    with opened(path, os.O_RDONLY) as fd:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


# ---- read-only mounts ---------------------------------------------------------------


def test_a_read_only_mount_that_never_hears_of_opens(stores, rng, peer):
    mnt = stores.mount()
    rows = fill(mnt, rng, 50)
    mnt = stores.again(mnt, options=["ro"])
    for _ in range(3):
        for vector, data in enumerate(rows):
            assert mnt.get(vector) == data
            assert peer.read(mnt.path(vector)) == data
            assert os.stat(mnt.path(vector)).st_size == mnt.size
    gets = int(mnt.stats()["gets"])
    assert mnt.get(1) == rows[1]
    assert int(mnt.stats()["gets"]) - gets <= 1
