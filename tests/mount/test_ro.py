"""Read-only mounts."""

import errno
import hashlib
import mmap
import os
import stat

import pytest

from files import opened, read_chunks, refused, rename2
from harness import quiverfs, run


def checksums(store):
    """Of all files that hold vectors; not of the lock and the log."""
    return {name: hashlib.sha256((store.path / name).read_bytes()).hexdigest()
            for name in ("vectors.npy", "ids.npy", "meta.npy")}


@pytest.fixture
def filled(stores, rng):
    """A read-only mount, and what is in it."""
    mnt = stores.mount(stores.create(dim=3000))
    rows = {vector: rng.randbytes(mnt.size) for vector in rng.sample(range(10**6), 100)}
    for vector, data in rows.items():
        mnt.put(vector, data)
    return stores.again(mnt, options=["ro"]), rows


def test_everything_can_be_read_again_and_again(filled, peer):
    mnt, rows = filled
    for _ in range(3):
        assert mnt.ids() == set(rows)
        for vector, data in rows.items():
            assert mnt.get(vector) == data
            assert peer.read(mnt.path(vector)) == data
            found = os.stat(mnt.path(vector))
            assert (found.st_size, found.st_nlink) == (mnt.size, 1)
            assert stat.S_ISREG(found.st_mode)
    for vector, data in list(rows.items())[:10]:
        with opened(mnt.path(vector), os.O_RDONLY) as fd:
            assert read_chunks(fd, 700) == data
            assert os.pread(fd, 10, mnt.size) == b""
            view = mmap.mmap(fd, mnt.size, mmap.MAP_SHARED, mmap.PROT_READ)
            assert view[:] == data
            view.close()


def test_what_is_not_there_is_not_there(filled):
    mnt, _ = filled
    for name in ("1000001", "abc", "007", ".scratch"):
        for _ in range(2):
            with refused(errno.ENOENT):
                os.open(mnt.path(name), os.O_RDONLY)
            with refused(errno.ENOENT):
                os.stat(mnt.path(name))


def test_every_change_is_erofs(filled):
    mnt, rows = filled
    vector = next(iter(rows))
    path = mnt.path(vector)
    for change in (lambda: os.open(path, os.O_WRONLY),
                   lambda: os.open(path, os.O_RDWR),
                   lambda: os.open(path, os.O_RDONLY | os.O_TRUNC),
                   lambda: os.open(mnt.path(10**7), os.O_WRONLY | os.O_CREAT),
                   lambda: os.open(mnt.path(".x"), os.O_WRONLY | os.O_CREAT),
                   lambda: os.open(mnt.path("abc"), os.O_WRONLY | os.O_CREAT),
                   lambda: os.unlink(path),
                   lambda: os.rename(path, mnt.path(10**7)),
                   lambda: rename2(path, mnt.path(10**7), 1),
                   lambda: os.truncate(path, mnt.size),
                   lambda: os.chmod(path, 0o600),
                   lambda: os.utime(path),
                   lambda: os.chown(path, 1, 1),
                   lambda: os.chmod(mnt.vectors, 0o700),
                   lambda: os.mkdir(mnt.path(10**7)),
                   lambda: os.symlink("x", mnt.path(10**7)),
                   lambda: os.link(path, mnt.path(10**7))):
        with refused(errno.EROFS):
            change()
    done = run("cp", "/etc/hostname", mnt.path(10**7), status=1)
    assert b"Read-only file system" in done.stderr
    for number, data in rows.items():
        assert mnt.get(number) == data


def test_the_store_stays_as_it_is(stores, filled):
    mnt, rows = filled
    before = checksums(mnt.store)
    for vector in rows:
        mnt.get(vector)
    mnt.unmount()
    assert checksums(mnt.store) == before
    mnt = stores.mount(mnt.store)
    assert "vectors" in os.listdir(mnt.point)
    vector = next(iter(rows))
    mnt.put(vector, bytes(mnt.size))
    assert mnt.get(vector) == bytes(mnt.size)


def test_after_a_crash_it_is_recovered_first(stores, rng):
    mnt = stores.mount()
    rows = {vector: rng.randbytes(mnt.size) for vector in range(50)}
    for vector, data in rows.items():
        mnt.put(vector, data)
    mnt.kill()
    run("umount", mnt.point)
    mnt = stores.mount(mnt.store, options=["ro"])
    assert mnt.ids() == set(rows)
    for vector, data in rows.items():
        assert mnt.get(vector) == data


def test_commands_on_it(filled):
    mnt, rows = filled
    assert "read-only" in quiverfs("status", mnt.point).stdout
    quiverfs("verify", mnt.point, status=None)
    quiverfs("compact", mnt.point, status=1)
    out = mnt.store.folder / "out.npy"
    quiverfs("export", mnt.point, out)
    assert out.stat().st_size >= len(rows) * mnt.size


def test_control_files_show_the_present(filled):
    mnt, rows = filled
    first = int(mnt.stats()["gets"])
    for vector in rows:
        mnt.get(vector)
    for _ in range(100):
        assert int(mnt.stats()["gets"]) >= first
        assert mnt.control("count") == "100\n"
        assert mnt.control("errors") == ""
