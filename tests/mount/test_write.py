"""Writing vectors, in every way that tools and programs do it."""

import errno
import os

import numpy
import pytest

from files import opened, read_chunks, refused, write_all
from harness import run, shell

BOTH_TRANSPORTS = True
# Two bytes and more are left after any of the small parts below; the last is more
# than one request of most tools.
SIZES = [4, 100, 3072, 12288, 262144]


@pytest.fixture(params=[4, 3072, 262144])
def size(request):
    return request.param


@pytest.fixture
def sized(size, stores):
    return stores.mount(stores.create(dim=size // 4))


@pytest.fixture
def source(sized, tmp, rng):
    path = tmp / "source"
    path.write_bytes(rng.randbytes(sized.size))
    return path


def python_at_once(mnt, source, vector):
    with open(mnt.path(vector), "wb") as file:
        file.write(source.read_bytes())


def python_in_chunks(mnt, source, vector):
    data = source.read_bytes()
    with open(mnt.path(vector), "wb") as file:
        for at in range(0, len(data), 1000):
            file.write(data[at:at + 1000])


def python_unbuffered(mnt, source, vector):
    write_all(mnt.path(vector), source.read_bytes(), chunk=max(1, mnt.size // 7))


def numpy_tofile(mnt, source, vector):
    numpy.fromfile(source, dtype="<f4").tofile(mnt.path(vector))


def backwards(mnt, source, vector):
    """The last part first: there is a gap until the end."""
    data, middle = source.read_bytes(), mnt.size // 2
    with opened(mnt.path(vector), os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
        os.pwrite(fd, data[middle:], middle)
        os.pwrite(fd, data[:middle], 0)
        os.close(fd)


def tool(text):
    def write(mnt, source, vector):
        shell(text.format(source=source, target=mnt.path(vector), size=mnt.size))

    return write


WAYS = {
    "cp": tool("cp {source} {target}"),
    "cat": tool("cat {source} > {target}"),
    "append": tool("rm -f {target}; cat {source} >> {target}"),
    "two_shell_writes": tool("{{ head -c 3 {source}; tail -c +4 {source}; }} > {target}"),
    "dd_one": tool("dd if={source} of={target} bs={size}"),
    "dd_512": tool("dd if={source} of={target} bs=512"),
    "dd_fsync": tool("dd if={source} of={target} bs=512 conv=fsync"),
    "dd_sync": tool("dd if={source} of={target} bs={size} oflag=sync"),
    "dd_notrunc": tool("dd if={source} of={target} bs=512 conv=notrunc"),
    "truncate_first": tool("truncate -s {size} {target}; dd if={source} of={target} bs=512 "
                           "conv=notrunc"),
    "rsync": tool("rsync -a --ignore-times {source} {target}"),
    "rsync_inplace": tool("rsync -a --inplace --ignore-times {source} {target}"),
    "install": tool("install -m 644 {source} {target}"),
    "tee": tool("tee {target} < {source} > /dev/null"),
    "python_at_once": python_at_once,
    "python_in_chunks": python_in_chunks,
    "python_unbuffered": python_unbuffered,
    "numpy_tofile": numpy_tofile,
    "backwards": backwards,
}


@pytest.mark.parametrize("size", SIZES)
def test_every_way_writes_a_new_vector_and_an_old_one(sized, source, rng):
    for vector, (name, write) in enumerate(WAYS.items()):
        for what in ("new", "old"):
            data = rng.randbytes(sized.size)
            source.write_bytes(data)
            write(sized, source, vector)
            assert sized.get(vector) == data, (name, what)
    if sized.size <= 3072:
        tool("dd if={source} of={target} bs=7")(sized, source, 5)
        assert sized.get(5) == source.read_bytes()
    assert sized.ids() == set(range(len(WAYS)))


def test_what_was_written_is_there_after_a_remount(stores, sized, rng):
    data = {vector: rng.randbytes(sized.size) for vector in (0, 1, 2**64 - 2**32 - 1)}
    for vector, value in data.items():
        sized.put(vector, value)
    again = stores.again(sized)
    assert again.ids() == set(data)
    for vector, value in data.items():
        assert again.get(vector) == value


def test_a_patch_leaves_the_rest(sized, source, rng):
    old = rng.randbytes(sized.size)
    sized.put(1, old)
    at, patch = rng.randrange(sized.size - 1), rng.randbytes(2)
    (source.parent / "patch").write_bytes(patch)
    run("dd", f"if={source.parent}/patch", f"of={sized.path(1)}", "bs=1", f"seek={at}",
        "conv=notrunc")
    new = old[:at] + patch + old[at + 2:]
    assert sized.get(1) == new
    with opened(sized.path(1), os.O_RDWR) as fd:
        os.pwrite(fd, b"\0", sized.size - 1)
        os.close(fd)
    assert sized.get(1) == new[:-1] + b"\0"


def test_ftruncate_fills_with_zeros(sized, rng):
    with opened(sized.path(1), os.O_RDWR | os.O_CREAT) as fd:
        os.ftruncate(fd, sized.size)
        os.close(fd)
    assert sized.get(1) == bytes(sized.size)
    data = rng.randbytes(sized.size)
    sized.put(1, data)
    # cut to the front part and lengthen again: what was cut is zero
    with opened(sized.path(1), os.O_RDWR) as fd:
        os.ftruncate(fd, 3)
        assert os.fstat(fd).st_size == sized.size
        os.ftruncate(fd, sized.size)
        os.close(fd)
    assert sized.get(1) == data[:3] + bytes(sized.size - 3)


def test_append_to_a_vector_being_made_ignores_the_offset(sized, rng):
    data = rng.randbytes(sized.size)
    with opened(sized.path(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND) as fd:
        os.write(fd, data[:1])
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, data[1:])
        os.close(fd)
    assert sized.get(1) == data


def test_a_new_vector_is_not_there_until_it_commits(sized, rng, peer):
    data = rng.randbytes(sized.size)
    path = str(sized.path(1))
    with opened(path, os.O_RDWR | os.O_CREAT) as fd:
        for part, at in ((data[:1], 0), (data[1:-1], 1)):
            os.write(fd, part)
            assert os.fstat(fd).st_size == at + len(part)
            assert os.pread(fd, sized.size, 0) == data[:at + len(part)]
            with refused(errno.ENOENT):
                peer.call("stat", path)
            with refused(errno.ENOENT):
                peer.read(path)
            assert peer.call("listdir", str(sized.vectors)) == []
            assert sized.control("count") == "0\n"
        os.write(fd, data[-1:])
        with refused(errno.ENOENT):
            peer.call("stat", path)
        os.close(fd)
    assert peer.read(path) == data
    assert peer.call("listdir", str(sized.vectors)) == ["1"]


def test_a_staged_change_is_seen_by_its_writer_alone(sized, rng, peer):
    old, new = rng.randbytes(sized.size), rng.randbytes(sized.size)
    sized.put(1, old)
    path = sized.path(1)
    with opened(path, os.O_RDWR) as fd:
        os.pwrite(fd, new[:2], 0)
        assert os.pread(fd, sized.size, 0) == new[:2] + old[2:]
        assert peer.read(path) == old
        assert sized.get(1) == old
        os.pwrite(fd, new[2:], 2)
        assert os.pread(fd, sized.size, 0) == new
        assert peer.read(path) == old
        os.close(fd)
    assert peer.read(path) == new
    assert sized.get(1) == new


def test_one_whole_write_commits_at_once(sized, rng, peer):
    one, two = rng.randbytes(sized.size), rng.randbytes(sized.size)
    with opened(sized.path(1), os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, one)
        assert peer.read(sized.path(1)) == one
        os.pwrite(fd, two, 0)
        assert peer.read(sized.path(1)) == two
        assert os.pread(fd, sized.size, 0) == two


def test_fsync_commits_what_is_complete(sized, rng, peer):
    data = rng.randbytes(sized.size)
    with opened(sized.path(1), os.O_WRONLY | os.O_CREAT) as fd:
        os.write(fd, data[:2])
        os.write(fd, data[2:])
        os.fsync(fd)
        assert peer.read(sized.path(1)) == data
        os.pwrite(fd, b"\1", 0)
        assert peer.read(sized.path(1)) == data
        os.fdatasync(fd)
        assert peer.read(sized.path(1)) == b"\1" + data[1:]


def test_o_sync_is_durable_when_it_commits(sized, rng):
    data = rng.randbytes(sized.size)
    for vector, flag in enumerate((os.O_SYNC, os.O_DSYNC)):
        write_all(sized.path(vector), data, os.O_WRONLY | os.O_CREAT | flag)
        stats = sized.stats()
        assert stats["lsn"] == stats["lsn_durable"]
        write_all(sized.path(vector), data, os.O_WRONLY | os.O_TRUNC | flag,
                  chunk=-(-sized.size // 2))
        stats = sized.stats()
        assert stats["lsn"] == stats["lsn_durable"]


def test_of_two_writers_the_last_close_wins_whole(sized, rng, peer):
    one, two = rng.randbytes(sized.size), rng.randbytes(sized.size)
    sized.put(1, bytes(sized.size))
    path = str(sized.path(1))
    for first_to_close in ("here", "there"):
        with opened(path, os.O_WRONLY | os.O_TRUNC) as fd:
            there = peer.call("open", path, os.O_WRONLY | os.O_TRUNC)
            os.write(fd, one[:3])
            peer.call("write", there, two[:2])
            os.write(fd, one[3:])
            peer.call("write", there, two[2:])
            assert sized.get(1) in (bytes(sized.size), one, two)
            if first_to_close == "here":
                os.close(fd)
                assert sized.get(1) == one
                peer.call("close", there)
                assert sized.get(1) == two
            else:
                peer.call("close", there)
                assert sized.get(1) == two
                os.close(fd)
                assert sized.get(1) == one


def test_two_writers_of_one_new_vector(sized, rng, peer):
    one, two = rng.randbytes(sized.size), rng.randbytes(sized.size)
    path = str(sized.path(1))
    with opened(path, os.O_WRONLY | os.O_CREAT) as fd:
        there = peer.call("open", path, os.O_WRONLY | os.O_CREAT)
        os.write(fd, one[:1])
        peer.call("write", there, two[:1])
        peer.call("write", there, two[1:])
        peer.call("close", there)
        assert sized.get(1) == two
        os.write(fd, one[1:])
        os.close(fd)
    assert peer.read(path) == one


def test_a_duplicate_descriptor_does_not_commit_twice_or_too_early(sized, rng):
    data = rng.randbytes(sized.size)
    with opened(sized.path(1), os.O_WRONLY | os.O_CREAT) as fd:
        os.write(fd, data[:2])
        with refused(errno.EINVAL):
            os.close(os.dup(fd))
        os.write(fd, data[2:])
        os.close(fd)
    assert sized.get(1) == data


def test_small_reads_give_the_whole(sized, rng):
    data = rng.randbytes(sized.size)
    sized.put(1, data)
    for chunk in (1 if sized.size < 5000 else 511, 4096, sized.size, 2 * sized.size):
        with opened(sized.path(1), os.O_RDONLY) as fd:
            assert read_chunks(fd, chunk) == data
    with opened(sized.path(1), os.O_RDONLY) as fd:
        assert os.pread(fd, 10, sized.size) == b""
        assert os.pread(fd, 10, sized.size - 2) == data[-2:]
        assert os.pread(fd, 10, 2**40) == b""


def test_readv_and_writev(sized, rng):
    data = rng.randbytes(sized.size)
    with opened(sized.path(1), os.O_RDWR | os.O_CREAT) as fd:
        assert os.writev(fd, [data[:1], data[1:3], data[3:]]) == sized.size
        parts = [bytearray(3), bytearray(sized.size)]
        assert os.preadv(fd, parts, 0) == sized.size
        assert (bytes(parts[0]) + bytes(parts[1]))[:sized.size] == data
        os.close(fd)
    assert sized.get(1) == data


def test_real_vectors_one_by_one(glove, stores, tmp):
    rows = numpy.load(glove)[:2000]
    mnt = stores.mount(stores.create(dim=rows.shape[1]))
    for row, values in enumerate(rows):
        values.tofile(mnt.path(row))
    assert len(os.listdir(mnt.vectors)) == len(rows)
    for row, values in enumerate(rows):
        assert numpy.array_equal(numpy.fromfile(mnt.path(row), "<f4"), values)
