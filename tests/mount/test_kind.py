"""A store of a second kind (tests/kind/remote_kind.c): any call of it may fail, and there
is not all that a local folder has."""

import errno
import os
import shutil
import struct

import pytest

from harness import quiverfs, run

pytestmark = pytest.mark.skipif("QUIVERFS_KIND" not in os.environ, reason="a local folder")


class Remote:
    """A mount, and the file by which calls of its store fail."""

    def __init__(self, stores, path, **options):
        self.faults = path
        self.files = 0
        self.mnt = stores.mount(**options)

    def fail(self, *calls, error=errno.EIO, count=1):
        """Each of them, the next `count` times."""
        self.files += 1
        new = self.faults.with_suffix(f".{self.files}")  # another inode each time
        new.write_text("".join(f"{call} {error} {count}\n" for call in calls))
        new.rename(self.faults)

    def heal(self):
        self.faults.unlink()


@pytest.fixture
def remote(stores, tmp, monkeypatch):
    monkeypatch.setenv("QUIVERFS_KIND_FAULTS", str(tmp / "faults"))
    return Remote(stores, tmp / "faults")


def vector(mnt, value):
    return bytes([value]) * mnt.size


def expect(error, call, *words):
    with pytest.raises(OSError) as caught:
        call(*words)
    assert caught.value.errno == error, caught.value


def write_at_close(mnt, name, data):
    """A vector in two pieces, so that it is committed by close(2)."""
    fd = os.open(mnt.path(name), os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(fd, data[:10])
        os.write(fd, data[10:])
    except OSError:
        os.close(fd)
        raise
    os.close(fd)


ERRORS = [errno.EIO, errno.ETIMEDOUT]


@pytest.mark.parametrize("error", ERRORS)
def test_a_read_that_fails_says_so_and_the_next_one_works(remote, error):
    mnt = remote.mnt
    for call in ("get", "verify", "read"):
        mnt.put(7, vector(mnt, 1))  # so that the kernel has no pages of it
        remote.fail(call, error=error, count=1000)  # the kernel asks again for some
        expect(error, mnt.get, 7)
        remote.heal()
        assert all(f"remote: {call}: " + os.strerror(error) in line for line in mnt.errors())
        mnt.forget_errors()
        assert mnt.get(7) == vector(mnt, 1)


@pytest.mark.parametrize("error", ERRORS)
def test_stat_and_lookup_that_fail(remote, error):
    mnt = remote.mnt
    mnt.put(7, vector(mnt, 1))
    remote.fail("stat", error=error)
    # The entry is cached: this one asks for a name that the kernel does not know.
    expect(error, os.stat, mnt.path(8))
    mnt.expect_error("remote: stat: " + os.strerror(error))
    expect(errno.ENOENT, os.stat, mnt.path(8))


@pytest.mark.parametrize("error", ERRORS)
def test_a_write_that_fails_changes_nothing(remote, error):
    mnt = remote.mnt
    mnt.put(7, vector(mnt, 1))
    for write in (mnt.put, lambda name, data: write_at_close(mnt, name, data)):
        remote.fail("put", error=error)
        expect(error, write, 7, vector(mnt, 2))
        lines = mnt.errors()
        assert any("remote: put: " + os.strerror(error) in line for line in lines), lines
        mnt.forget_errors()
        assert mnt.get(7) == vector(mnt, 1)
        write(7, vector(mnt, 3))
        assert mnt.get(7) == vector(mnt, 3)
        mnt.put(7, vector(mnt, 1))


@pytest.mark.parametrize("error", ERRORS)
def test_changes_of_names_and_attributes_that_fail(remote, error):
    mnt = remote.mnt
    mnt.put(7, vector(mnt, 1))
    for call, change in (("remove", lambda: os.unlink(mnt.path(7))),
                         ("set_attr", lambda: os.chmod(mnt.path(7), 0o600)),
                         ("set_dir_attr", lambda: os.chmod(mnt.vectors, 0o700))):
        remote.fail(call, error=error)
        expect(error, change)
        assert any(f"remote: {call}: " + os.strerror(error) in line for line in mnt.errors())
        mnt.forget_errors()
    assert mnt.get(7) == vector(mnt, 1)
    (mnt.vectors / ".new").write_bytes(vector(mnt, 5))
    remote.fail("put", error=error)
    expect(error, os.rename, mnt.vectors / ".new", mnt.path(7))
    mnt.forget_errors()
    assert mnt.get(7) == vector(mnt, 1)
    os.rename(mnt.vectors / ".new", mnt.path(7))
    assert mnt.get(7) == vector(mnt, 5)


@pytest.mark.parametrize("error", ERRORS)
def test_listings_that_fail(remote, error):
    mnt = remote.mnt
    for name in range(20):
        mnt.put(name, vector(mnt, 1))
    for call in ("list", "list_read"):
        remote.fail(call, error=error, count=1000)  # what there is may go out before
        expect(error, os.listdir, mnt.vectors)
        remote.heal()
        assert all(f"remote: {call}: " in line for line in mnt.errors())
        mnt.forget_errors()
        assert mnt.ids() == set(range(20))


@pytest.mark.parametrize("error", ERRORS)
def test_flush_and_space_that_fail(remote, error):
    mnt = remote.mnt
    remote.fail("flush", error=error)
    expect(error, mnt.control, "flush", "1\n")
    mnt.forget_errors()
    mnt.put(1, vector(mnt, 1))
    fd = os.open(mnt.path(1), os.O_WRONLY)
    remote.fail("flush", error=error)
    expect(error, os.fsync, fd)
    os.close(fd)
    mnt.forget_errors()
    remote.fail("space", error=error)
    expect(error, os.statvfs, mnt.point)
    mnt.forget_errors()
    assert os.statvfs(mnt.point).f_files > 0
    # What tells of it among other things goes without.
    remote.fail("space", error=error, count=1000)
    assert "disk_bytes" not in mnt.stats()
    remote.heal()
    mnt.forget_errors()
    assert "disk_bytes" in mnt.stats()


def test_a_batch_is_one_put_after_the_other(remote):
    mnt = remote.mnt
    records = b"".join(id.to_bytes(8, "little") + vector(mnt, id) for id in (1, 2, 3))
    mnt.control("put", records)
    assert mnt.ids() == {1, 2, 3}
    remote.fail("put")
    expect(errno.EIO, mnt.control, "put", records)
    mnt.forget_errors()
    bad = records + (2**64 - 1).to_bytes(8, "little") + vector(mnt, 9)
    expect(errno.EINVAL, mnt.control, "put", bad)
    mnt.forget_errors()


def test_what_the_store_cannot_do_is_refused(remote):
    mnt = remote.mnt
    mnt.put(1, vector(mnt, 1))
    assert not (mnt.point / "matrix.npy").exists()
    assert not (mnt.point / "ids.npy").exists()
    assert sorted(os.listdir(mnt.point)) == ["control", "nearest", "vectors"]
    for name, value in (("checkpoint", "1"), ("compact", "start"), ("compact", "stop"),
                        ("verify", "start"), ("reserve", "100"), ("autocompact_percent", "50"),
                        ("durability", "fsync")):
        expect(errno.EOPNOTSUPP, mnt.control, name, value + "\n")
        mnt.expect_error(f"control/{name}: {value}: ")
    assert mnt.control("durability") == "always\n"
    mnt.control("durability", "always\n")
    mnt.control("autocompact_percent", "0\n")
    assert mnt.control("compact") == "idle\n"


def test_a_label_that_cannot_be_set_is_refused_as_it_is(remote):
    mnt = remote.mnt
    mnt.control("label", "as it was")
    remote.fail("set_label", "set_metric", error=errno.ETIMEDOUT)
    for name, value in (("label", "another"), ("metric", "ip")):
        expect(errno.ETIMEDOUT, mnt.control, name, value)
        assert any(f"control/{name}: {value}: " in line for line in mnt.errors())
    assert (mnt.control("label"), mnt.control("metric")) == ("as it was\n", "l2\n")
    mnt.control("label", "another")
    mnt.control("metric", "ip")
    assert (mnt.control("label"), mnt.control("metric")) == ("another\n", "ip\n")
    mnt.forget_errors()


def test_a_rename_of_an_id_is_left_to_mv(remote):
    mnt = remote.mnt
    mnt.put(1, vector(mnt, 1))
    expect(errno.EXDEV, os.rename, mnt.path(1), mnt.path(2))
    mnt.expect_error("vector 1: not renamed to 2, this kind of store cannot rename")
    run("mv", mnt.path(1), mnt.path(2))
    mnt.forget_errors()
    assert mnt.ids() == {2} and mnt.get(2) == vector(mnt, 1)


def test_a_listing_that_waits_holds_nobody_up(stores, monkeypatch):
    """Each call takes 20 ms: thirty names are looked up while others read and write."""
    monkeypatch.setenv("QUIVERFS_KIND_DELAY_US", "20000")
    mnt = stores.mount()
    for name in range(30):
        mnt.put(name, vector(mnt, 1))
    assert mnt.ids() == set(range(30))
    shutil.copytree(mnt.vectors, mnt.store.folder / "copy")
    assert (mnt.store.folder / "copy/29").read_bytes() == vector(mnt, 1)


def test_commands_work_on_a_store_of_another_kind(stores, tmp):
    store = stores.create()
    row = (25).to_bytes(4, "little") + bytes(range(store.size))
    (tmp / "in.fvecs").write_bytes(row * 3)
    quiverfs("import", store.path, tmp / "in.fvecs")
    quiverfs("export", store.path, tmp / "out.fvecs")
    assert (tmp / "out.fvecs").read_bytes() == row * 3
    done = quiverfs("compact", store.path, status=1)
    assert "not supported" in done.stderr
    store.check()


def test_a_search_asks_the_store_or_its_mount(stores):
    mnt = stores.mount()
    for vector, number in ((1, 0), (2, 3), (5, 1)):
        mnt.put(vector, struct.pack("<25f", *[number] * 25))
    wanted = "5 25\n2 225\n"
    assert quiverfs("search", mnt.point, 1).stdout == wanted
    assert quiverfs("search", mnt.point, "--self", "--within", 100).stdout == "1 5 25\n2 5 100\n"
    mnt.unmount()
    assert quiverfs("search", mnt.store.path, 1).stdout == wanted
