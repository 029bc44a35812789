"""matrix.npy and ids.npy, live on the mount and on disk when it is stopped."""

import errno
import os
import re
from pathlib import Path

import numpy
import pytest

from files import attributes, opened, refused
from harness import run
from man_pages import unescape
from ordinary_user import NOBODY
from peer import Peer

BOTH_TRANSPORTS = True
FREE = 2**64 - 1
SOURCE = Path(__file__).resolve().parents[2]


def put_all(mnt, rows):
    mnt_size = mnt.size + 8
    records = b"".join(v.to_bytes(8, "little") + d for v, d in rows.items())
    step = 250000 // mnt_size * mnt_size
    for at in range(0, len(records), step):
        mnt.control("put", records[at:at + step])


def rows_of(folder):
    """{id: bytes} as NumPy finds it in matrix.npy and ids.npy of a folder."""
    names = ("matrix.npy", "ids.npy")
    if not (folder / names[0]).exists():
        names = ("vectors.npy", "ids.npy")
    matrix = numpy.load(folder / names[0], mmap_mode="r")
    ids = numpy.load(folder / names[1], mmap_mode="r")
    assert matrix.shape[0] == ids.shape[0]
    return {int(ids[slot]): matrix[slot].tobytes() for slot in range(len(ids))
            if ids[slot] != FREE}


@pytest.fixture
def filled(stores, rng):
    mnt = stores.mount(stores.create(dim=64))
    rows = {vector: rng.randbytes(mnt.size) for vector in rng.sample(range(2**62), 700)}
    put_all(mnt, rows)
    return mnt, rows


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "u1"])
def test_numpy_sees_dtype_and_dim(stores, rng, dtype):
    mnt = stores.mount(stores.create(dim=33, dtype=dtype))
    row = rng.randbytes(mnt.size)
    mnt.put(5, row)
    matrix = numpy.load(mnt.point / "matrix.npy", mmap_mode="r")
    assert matrix.shape == (int(mnt.control("slots")), 33)
    assert matrix.dtype == numpy.dtype("<" + dtype)
    del matrix
    assert rows_of(mnt.point) == {5: row}


def test_the_matrix_is_the_vectors(filled):
    mnt, rows = filled
    assert rows_of(mnt.point) == rows
    for vector in list(rows)[::3]:
        os.unlink(mnt.path(vector))
        del rows[vector]
    mnt.control("checkpoint", "1")  # until then superseded rows stay
    assert rows_of(mnt.point) == rows
    mnt.control("compact", "start")
    mnt.finish_job("compact")
    assert rows_of(mnt.point) == rows


def test_an_ordinary_read_gives_the_same(filled):
    mnt, _ = filled
    for name, below in (("matrix.npy", "vectors.npy"), ("ids.npy", "ids.npy")):
        size = os.stat(mnt.point / name).st_size
        data = (mnt.point / name).read_bytes()
        assert len(data) == size
        assert data == (mnt.store.path / below).read_bytes()
        assert run("cat", mnt.point / name).stdout == data


def test_updates_show_in_an_open_map(filled, rng):
    mnt, rows = filled
    matrix = numpy.load(mnt.point / "matrix.npy", mmap_mode="r")
    ids = numpy.load(mnt.point / "ids.npy", mmap_mode="r")
    slots = len(ids)
    for vector in list(rows)[:50]:
        rows[vector] = rng.randbytes(mnt.size)
        mnt.put(vector, rows[vector])
        found = [slot for slot in numpy.flatnonzero(numpy.array(ids) == vector)
                 if matrix[slot].tobytes() == rows[vector]]
        if int(mnt.control("slots")) == slots:
            assert len(found) == 1, "the new row is not there"


def test_a_file_opened_anew_has_every_row(filled, rng):
    """Also where the kernel has cached pages of it before."""
    mnt, rows = filled
    for _ in range(20):
        for vector in rng.sample(sorted(rows), 10):
            rows[vector] = rng.randbytes(mnt.size)
            mnt.put(vector, rows[vector])
        fresh = rng.randrange(2**61)
        rows[fresh] = rng.randbytes(mnt.size)
        mnt.put(fresh, rows[fresh])
        mnt.control("checkpoint", "1")
        assert rows_of(mnt.point) == rows


def test_it_grows_while_it_is_open(stores, rng):
    mnt = stores.mount(stores.create(dim=768))
    put_all(mnt, {1: bytes(mnt.size)})
    with opened(mnt.point / "matrix.npy", os.O_RDONLY) as fd:
        before = os.fstat(fd).st_size
        rows = {vector: rng.randbytes(mnt.size) for vector in range(8000)}
        put_all(mnt, rows)
        after = os.stat(mnt.point / "matrix.npy").st_size
        assert after > before
        assert rows_of(mnt.point) == rows


def test_it_is_not_cut_while_it_is_open(stores, rng):
    mnt = stores.mount(stores.create(dim=768))
    rows = {vector: rng.randbytes(mnt.size) for vector in range(9000)}
    put_all(mnt, rows)
    kept = dict(list(rows.items())[::9])
    names = ("matrix.npy", "ids.npy")
    for name in names:
        view = numpy.load(mnt.point / name, mmap_mode="r")
        size = os.stat(mnt.point / name).st_size
        if name == names[0]:
            for vector in rows.keys() - kept.keys():
                os.unlink(mnt.path(vector))
        mnt.control("compact", "start")
        mnt.finish_job("compact")
        assert os.stat(mnt.point / name).st_size >= size
        assert len(view[::50].tobytes()) > 0  # SIGBUS where it was cut
        del view
    mnt.control("compact", "start")
    mnt.finish_job("compact")
    mnt.control("checkpoint", "1")
    assert rows_of(mnt.point) == kept
    mnt.unmount()
    assert os.stat(mnt.store.path / "vectors.npy").st_size < size * 384
    assert rows_of(mnt.store.path) == kept


@pytest.mark.needs_root("acts as several users")
def test_only_for_whoever_mounted(stores):
    mnt = stores.mount(options=["allow_other"])
    other = Peer(uid=NOBODY, gid=NOBODY)
    for name in ("matrix.npy", "ids.npy"):
        path = mnt.point / name
        assert attributes(path)[1:] == (0o600, os.getuid(), os.getgid())
        with refused(errno.EACCES):
            other.read(path)
        with refused(errno.EACCES, errno.EROFS, errno.EPERM):
            os.open(path, os.O_WRONLY)
        with refused(errno.EACCES, errno.EROFS, errno.EPERM):
            os.open(path, os.O_RDWR)
        with refused(errno.EPERM, errno.EACCES):
            os.chmod(path, 0o644)
        with refused(errno.EPERM, errno.EACCES, errno.EINVAL):
            os.truncate(path, 0)
    other.close()
    mnt.forget_errors()


def mapped(path):
    return bytes(numpy.load(path, mmap_mode="r"))


@pytest.mark.needs_root("acts as several users")
@pytest.mark.parametrize("options", [[], ["ro"]])
def test_who_else_may_read_them_is_said_at_the_mount(stores, rng, options):
    """Everybody, or a group that uid= and gid= name; they see what modes of vectors hide."""
    mnt = stores.mount()
    mnt.put(1, rng.randbytes(mnt.size))
    os.chmod(mnt.path(1), 0o600)
    group, user = 54321, 54322
    cases = [("matrix_mode=0644", 0o644, 0, 0, {"one": True, "member": True, "owner": True}),
             (f"matrix_mode=640,gid={group}", 0o640, 0, group,
              {"one": False, "member": True, "owner": False}),
             (f"matrix_mode=0600,uid={user}", 0o600, user, 0,
              {"one": False, "member": False, "owner": True}),
             (f"uid={user},gid={group}", 0o600, user, group,
              {"one": False, "member": False, "owner": True})]
    others = {"one": Peer(uid=NOBODY, gid=NOBODY), "member": Peer(uid=NOBODY, gid=group),
              "owner": Peer(uid=user, gid=user)}
    for said, mode, uid, gid, may in cases:
        mnt = stores.again(mnt, options=["allow_other", said, *options])
        for name in ("matrix.npy", "ids.npy"):
            path = mnt.point / name
            assert attributes(path)[1:] == (mode, uid, gid)
            for who, other in others.items():
                if may[who]:
                    assert other.read(path) == path.read_bytes()
                    assert other.call(mapped, str(path)) == mapped(path)
                else:
                    with refused(errno.EACCES):
                        other.read(path)
                for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
                    with refused(errno.EACCES, errno.EROFS, errno.EPERM, errno.EINVAL):
                        other.call("open", str(path), flags)
                with refused(errno.EPERM, errno.EACCES, errno.EROFS):
                    other.call("chmod", str(path), 0o666)
        if "ro" not in options:
            mnt.forget_errors()
    # Nobody gets past the mount itself.
    mnt = stores.again(mnt, options=["matrix_mode=0644", *options])
    with refused(errno.EACCES):
        others["one"].read(mnt.point / "matrix.npy")
    for other in others.values():
        other.close()


def test_the_stopped_store_is_plain_numpy(filled):
    mnt, rows = filled
    for vector, mtime in zip(rows, range(10**18, 10**18 + 700)):
        os.utime(mnt.path(vector), ns=(mtime, mtime))
    wanted = {vector: attributes(mnt.path(vector)) for vector in rows}
    mnt.unmount()
    assert rows_of(mnt.store.path) == rows
    meta = numpy.load(mnt.store.path / "meta.npy", mmap_mode="r")
    ids = numpy.load(mnt.store.path / "ids.npy")
    assert meta.shape == ids.shape
    assert meta.dtype.itemsize == 56
    assert {"uid", "gid", "mode", "lsn"} <= set(meta.dtype.names)
    times = next(name for name in meta.dtype.names if "mtime" in name)
    for slot in numpy.flatnonzero(ids != FREE):
        row = meta[slot]
        assert (int(row[times]), int(row["mode"]) & 0o7777, int(row["uid"]),
                int(row["gid"])) == wanted[int(ids[slot])]


def safe_way(point):
    """`read` and its maps, as quiverfs(1) has them, of this mount."""
    text = (SOURCE / "tools/man/quiverfs.1").read_text()
    code = text.split(".Sh ROWS\n")[1].split(".Bd -literal -offset indent\n")[1]
    code = unescape(code.split(".Ed\n")[0])
    names = {"np": numpy}
    exec(re.sub(r"\bmnt/", lambda _: f"{point}/", code), names)  # pylint: disable=exec-used
    return names


@pytest.mark.local("rows")
def test_a_row_is_not_an_id_and_the_safe_way_is_safe(stores):
    """A table of rows made once, half removed, the rest compacted: readers of it got zeros, and
    no error. So they look at the ID once more, as the page says; also beside a writer."""
    store = stores.create(dim=25)
    mnt = stores.mount(store)

    def bytes_of(vector, version):
        return numpy.array([vector, version] + [vector] * 23, "f4").tobytes()

    count = 2000
    put_all(mnt, {vector: bytes_of(vector, 0) for vector in range(count)})
    way = safe_way(mnt.point)
    read = way["read"]
    rows = numpy.load(mnt.point / "matrix.npy", mmap_mode="r")
    ids = numpy.load(mnt.point / "ids.npy", mmap_mode="r")
    table = {int(vector): row for row, vector in enumerate(ids) if vector != FREE}
    assert len(table) == count
    left = range(count // 2, count)
    for vector in range(count // 2):
        os.unlink(mnt.path(vector))
    mnt.control("compact", "start")
    assert "failed" not in mnt.finish_job("compact")
    wrong = [vector for vector in left if rows[table[vector]].tobytes() != bytes_of(vector, 0)]
    assert len(wrong) > count // 4  # what the page warns of
    assert [vector for vector in left if read(vector).tobytes() != bytes_of(vector, 0)] == []
    assert [vector for vector in range(100) if read(vector) is not None] == []
    writer = Peer()
    writer.start(overwrite, str(mnt.vectors), list(left)[:50])
    for _ in range(20):
        for vector in left[:50]:
            found = read(vector)
            assert found is None or (found[0] == vector and set(found[2:]) == {vector})
    writer.result()
    writer.close()
    mnt.control("checkpoint", "1")  # until then an older version has its ID, too
    for vector in left[:50]:
        assert read(vector).tobytes() == bytes_of(vector, 5)
    way.clear()  # with its maps, which keep the mount busy


def overwrite(folder, vectors):
    for version in range(1, 6):
        for vector in vectors:
            data = numpy.array([vector, version] + [vector] * 23, "f4").tobytes()
            with open(os.path.join(folder, str(vector)), "wb", buffering=0) as file:
                file.write(data)


def test_a_read_only_mount_shows_it(stores, filled):
    mnt, rows = filled
    mnt = stores.again(mnt, options=["ro"])
    for _ in range(3):
        assert rows_of(mnt.point) == rows
        assert (mnt.point / "ids.npy").read_bytes() == (mnt.store.path / "ids.npy").read_bytes()
