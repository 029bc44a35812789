"""nearest/: the neighbours of a vector as a file, and of what is written to query."""

import errno
import mmap
import os
import shutil
import stat
import time

import numpy
import pytest

import nearest_oracle as oracle
from asking import ask
from filled import fill, put_rows
from files import opened, read_chunks, refused
from harness import run, shell, until
from peer import Peer

BOTH_TRANSPORTS = True
NOBODY = 65534


@pytest.fixture(autouse=True)
def nothing_is_far(monkeypatch):
    """Each vector is asked for by itself of a store that tests/kind has as elsewhere."""
    monkeypatch.setenv("QUIVERFS_KIND_DELAY_US", "0")


def nearest_to(filled, vector, k=None, folder=None):
    name = str(vector) if k is None else f"{vector}.{k}"
    told = oracle.lines(((folder or filled.mnt.point / "nearest") / name).read_bytes())
    assert len(told) == 1
    return told[0]


def check(filled, vector, k=10, metric="l2", **options):
    at = filled.ids.tolist().index(vector)
    answer = nearest_to(filled, vector, None if k == 10 else k, **options)
    filled.check(answer, metric, filled.rows[at], k, without=vector, rounding=1e-8)


# ---- ID --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, dim", [("f4", 25), ("f2", 8), ("bf2", 8), ("f8", 3), ("i1", 64),
                                        ("u1", 40), ("b1", 128)])
def test_a_file_has_the_neighbours_of_its_vector(stores, rng, dtype, dim):
    filled = fill(stores, rng, dtype, dim, count=300)
    metrics = ["l2", "cosine", "ip"] + (["hamming"] if dtype in ("b1", "u1") else [])
    for metric in metrics:
        filled.mnt.control("metric", metric)
        for vector in map(int, filled.ids[:3]):
            for k in (10, 1, 299, 300, 100000, 1048576):
                check(filled, vector, k, metric)


def test_lines_are_for_people_and_for_awk(stores, rng):
    filled = fill(stores, rng, "u1", 8, ids=[5, 7, 9])
    put_rows(filled.mnt, [5, 7, 9], numpy.array([[0] * 8, [3] + [0] * 7, [1] * 8], "u1"))
    folder = filled.mnt.point / "nearest"
    assert (folder / "5").read_text() == "9 8\n7 9\n"
    assert (folder / "7").read_text() == "5 9\n9 11\n"
    assert shell("head -1 7; tail -n1 7; awk '{n += $2} END {print n}' 7; wc -l < 5.1",
                 cwd=folder).stdout == b"5 9\n9 11\n20\n1\n"
    filled.mnt.control("metric", "ip")
    assert (folder / "7").read_text() == "9 3\n5 0\n"
    filled.mnt.control("metric", "cosine")
    assert (folder / "9").read_text() == "7 0.646446609\n"


def test_tools_read_it(stores, rng, tmp):
    """Also those that go by a size, which is not known before it is open."""
    filled = fill(stores, rng)
    vector = int(filled.ids[3])
    path = filled.mnt.point / f"nearest/{vector}.400"
    want = path.read_bytes()
    assert want.count(b"\n") == 400
    assert os.stat(path).st_size == 400 * 40
    run("cp", path, tmp / "copy")
    assert (tmp / "copy").read_bytes() == want
    assert shell(f"cat {path} > {tmp}/cat; dd if={path} bs=7 status=none; sort -g {path} | wc -l; "
                 f"cat < {path} | tail -n +2 | head -1").stdout == want + b"400\n" + \
        want.splitlines(keepends=True)[1]
    assert (tmp / "cat").read_bytes() == want
    shutil.copyfile(path, tmp / "again")
    assert (tmp / "again").read_bytes() == want
    for told in (False, True):
        with opened(path, os.O_RDONLY) as fd, open(tmp / "sent", "wb") as out:
            if told:
                assert os.fstat(fd).st_size == len(want)
            while os.sendfile(out.fileno(), fd, None, 1 << 20):
                pass
        assert (tmp / "sent").read_bytes() == want
    with opened(path, os.O_RDONLY) as fd, \
            mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as view:
        assert view[:].rstrip(b"\0") == want
    assert shell(f"wc -c < {path}; tail -c 20 {path}").stdout == b"%d\n" % len(want) + want[-20:]
    with opened(path, os.O_RDONLY) as fd:
        assert os.pread(fd, 100, 50) == want[50:150]
        assert os.lseek(fd, 20, os.SEEK_SET) == 20
        assert read_chunks(fd, 13) == want[20:]
        assert os.pread(fd, 10, len(want) + 5) == b""
        # what is open is from when it was opened
        os.unlink(filled.mnt.path(vector))
        assert os.pread(fd, 1 << 20, 0) == want
        assert os.fstat(fd).st_nlink == 0
    with refused(errno.ENOENT):
        os.stat(path)


def test_names_that_mean_nothing(stores, rng):
    filled = fill(stores, rng, ids=[5, 7])
    folder = filled.mnt.point / "nearest"
    for name in ("6", "05", "5.", "5.0", "5.01", "5.1048577", "5.-1", "5.x", "5.10.10", ".5", "query.0",
                 "query.", "querY", "5.npy", "x", "18446744073709551615", "5 ", "5.99999999999999999"):
        with refused(errno.ENOENT):
            os.stat(folder / name)
        with refused(errno.ENOENT):
            os.open(folder / name, os.O_RDONLY)
    # until it is there, and no longer
    filled.mnt.put(6, filled.rows[0].tobytes())
    assert nearest_to(filled, 6)[0] == (5, 0)
    os.unlink(filled.mnt.path(6))
    with refused(errno.ENOENT):
        os.stat(folder / "6")


def test_they_are_found_and_not_listed(stores, rng):
    """Or whoever reads all files of the mount would search for everything."""
    filled = fill(stores, rng, count=50)
    mnt = filled.mnt
    folder = mnt.point / "nearest"
    assert os.listdir(folder) == ["query"]
    assert os.listdir(mnt.point).count("nearest") == 1
    run("find", mnt.point, "-type", "f", "-newermt", "1970-01-02", "-size", "-1000000k")
    shell(f"ls -lR {mnt.point} > /dev/null; stat {folder}/{int(filled.ids[0])}; du {folder}")
    assert mnt.stats()["nearest_questions"] == "0"
    found = os.stat(folder)
    assert stat.S_ISDIR(found.st_mode) and found.st_mode & 0o222 == 0
    assert os.stat(mnt.point).st_nlink == 2 + len([
        name for name in os.listdir(mnt.point) if os.path.isdir(mnt.point / name)])
    assert os.stat(folder / "query").st_ino == next(os.scandir(folder)).inode()


def test_nothing_can_be_made_or_changed_there(stores, rng):
    filled = fill(stores, rng, ids=[5, 7])
    mnt = filled.mnt
    folder = mnt.point / "nearest"
    for call in (lambda: os.open(folder / "new", os.O_CREAT | os.O_WRONLY), lambda: os.mkdir(folder / "d"),
                 lambda: os.unlink(folder / "5"), lambda: os.unlink(folder / "query"),
                 lambda: os.rename(folder / "5", folder / "7"), lambda: os.symlink("x", folder / "y"),
                 lambda: os.chmod(folder / "5", 0o666), lambda: os.chmod(folder / "query", 0o600),
                 lambda: os.truncate(folder / "5", 0), lambda: os.utime(folder / "5"),
                 lambda: os.open(folder / "5", os.O_RDWR), lambda: os.chmod(folder, 0o777),
                 lambda: os.rmdir(folder)):
        with refused(errno.EPERM, errno.EACCES, errno.EROFS):
            call()
    mnt.forget_errors()


@pytest.mark.parametrize("number, word", [(numpy.nan, "NaN"), (numpy.inf, "infinite with l2 or cosine")])
def test_a_vector_without_distances(stores, rng, number, word):
    filled = fill(stores, rng, ids=[5, 7, 9])
    filled.mnt.control("metric", "cosine")
    bad = filled.rows[:1].copy()
    bad[0][2] = number
    put_rows(filled.mnt, [5], bad)
    with refused(errno.EINVAL):
        nearest_to(filled, 5)
    assert word in filled.mnt.expect_error("nearest/5: a vector in the question has no distances")
    assert [vector for vector, _ in nearest_to(filled, 7)] == [9]


@pytest.mark.local("files with rows in them")
def test_a_damaged_vector_is_eio(stores, rng):
    filled = fill(stores, rng, ids=[5, 7, 9])
    mnt = filled.mnt
    mnt.unmount()
    with open(mnt.store.path / "vectors.npy", "r+b") as file:
        at = file.read().index(filled.rows[0].tobytes())
        file.seek(at)
        file.write(bytes([filled.rows[0].tobytes()[0] ^ 1]))
    filled.mnt = stores.mount(mnt.store, check=False)
    mnt.check = False
    with refused(errno.EIO):
        nearest_to(filled, 5)
    assert [vector for vector, _ in nearest_to(filled, 7)] == [9]
    filled.mnt.forget_errors()


def test_nothing_of_it_is_from_before(stores, rng, tmp):
    """Whatever the kernel has: by read(2), and by sendfile(2), which goes through its pages."""
    filled = fill(stores, rng, "u1", 8, ids=[5, 7, 9])
    mnt = filled.mnt
    path = mnt.point / "nearest/5"
    held = os.open(path, os.O_RDONLY)
    first = read_chunks(held, 100)
    for turn in range(1, 20):
        put_rows(mnt, [5, 7, 9], numpy.array([[0] * 8, [turn] * 8, [turn + 1] * 8], "u1"))
        want = b"7 %d\n9 %d\n" % (8 * turn**2, 8 * (turn + 1)**2)
        assert path.read_bytes() == want
        shutil.copyfile(path, tmp / "copy")
        assert (tmp / "copy").read_bytes() == want
        assert os.pread(held, 100, 0) == first
        mode = 0o600 if turn % 2 else 0o644
        os.chmod(mnt.path(5), mode)
        assert os.stat(path).st_mode & 0o777 == mode & 0o444
        os.utime(mnt.path(5), ns=(turn, turn))
        assert os.stat(path).st_mtime_ns == turn
    os.unlink(mnt.path(9))
    assert path.read_bytes() == b"7 %d\n" % (8 * 19**2)
    os.close(held)


# ---- query -----------------------------------------------------------------------------


def query(filled, k=None):
    return filled.mnt.point / ("nearest/query" if k is None else f"nearest/query.{k}")


def test_what_is_written_is_asked_about(stores, rng):
    filled = fill(stores, rng)
    some = oracle.random_rows(rng, "f4", 25, 7)
    for k in (None, 1, 3, 10, 600):
        with opened(query(filled, k), os.O_RDWR) as fd:
            for count in (1, 7, 2):
                told = oracle.lines(ask(fd, some[:count].tobytes(), piece=rng.choice([None, 1, 60]),
                                        chunk=rng.choice([11, 4096])))
                assert len(told) == count
                for one, answer in zip(some, told):
                    filled.check(answer, "l2", one, k or 10, rounding=1e-8)
                assert os.fstat(fd).st_size >= 0


def test_a_shell_asks(stores, rng):
    filled = fill(stores, rng, "u1", 8, ids=[5, 7])
    put_rows(filled.mnt, [5, 7], numpy.array([[65] * 8, [66] * 8], "u1"))
    done = shell("exec 3<>query; printf AAAAAAAA >&3; cat <&3; printf BBBBBBBBAAAAAAAA >&3; cat <&3; "
                 "dd bs=8 status=none if=../vectors/7 >&3; head -n1 <&3; "
                 "exec 4<>query.1; printf BBBBBBBB >&4; cat <&4", cwd=filled.mnt.point / "nearest")
    assert done.stdout == b"5 0\n7 8\n" + b"7 0\n5 8\n\n5 0\n7 8\n" + b"7 0\n" + b"7 0\n"


def test_no_whole_vectors_are_refused(stores, rng):
    filled = fill(stores, rng)
    with opened(query(filled), os.O_RDWR) as fd:
        for length in (1, 99, 101):
            os.write(fd, bytes(length))
            with refused(errno.EINVAL):
                os.read(fd, 10)
            filled.mnt.expect_error(
                f"nearest/query: got {length} bytes, expected vectors of 100 bytes each")
        assert os.read(fd, 10) == b""
        os.write(fd, bytes(100) * 5)
        assert len(oracle.lines(os.read(fd, 1 << 20))) == 5
    for flags in (os.O_RDONLY, os.O_WRONLY):
        with refused(errno.EINVAL):
            os.open(query(filled), flags)
        filled.mnt.expect_error("nearest/query: opened for (reading|writing) only")


def test_more_than_may_be_asked_at_once(stores, rng):
    filled = fill(stores, rng, "i1", 8, count=20)
    with opened(query(filled, 1048576), os.O_RDWR) as fd:
        os.write(fd, bytes(range(40)))
        with refused(errno.E2BIG):
            os.read(fd, 10)
        filled.mnt.expect_error("nearest/query: got 5 vectors with 1048576 neighbours each")
        os.write(fd, bytes(range(32)))
        assert [len(part) for part in oracle.lines(read_chunks(fd, 1 << 20))] == [20] * 4
    # the kernel tells of a close after it has returned
    until(lambda: filled.mnt.stats()["question_bytes"] == "0", "the question stays")


def test_open_files_of_one_name_are_questions_of_their_own(stores, rng):
    filled = fill(stores, rng)
    some = filled.rows[:8]
    fds = [os.open(query(filled), os.O_RDWR) for _ in some]
    for fd, one in zip(fds, some):
        os.write(fd, one.tobytes())
    for fd, one in zip(fds, some):
        filled.check(oracle.lines(read_chunks(fd, 100))[0], "l2", one, 10, rounding=1e-8)
        os.close(fd)


# ---- where it is, and where not ----------------------------------------------------------


def questions(mnt):
    """So far. On a read-only mount what control/ tells is some 200 ms old."""
    time.sleep(0.3)
    return int(mnt.stats()["nearest_questions"])


def test_on_a_read_only_mount_there_is_no_query(stores, rng, tmp):
    filled = fill(stores, rng, count=400)
    filled.mnt.control("metric", "cosine")
    mnt = filled.mnt = stores.again(filled.mnt, options=["ro"])
    folder = mnt.point / "nearest"
    assert os.listdir(folder) == []
    for name in ("query", "query.5"):
        with refused(errno.ENOENT):
            os.stat(folder / name)
    for vector in map(int, filled.ids[:70]):  # more than texts that are kept
        check(filled, vector, metric="cosine")
    asked = questions(mnt)
    for vector in map(int, filled.ids[60:70]):
        check(filled, vector, metric="cosine")
    path = folder / f"{int(filled.ids[5])}.399"
    # to tell a size nothing is searched
    assert os.stat(path).st_size == 399 * 40
    with opened(path, os.O_RDONLY) as fd:
        assert os.fstat(fd).st_size == 399 * 40
        assert questions(mnt) == asked
        want = read_chunks(fd, 4096)
        assert want.count(b"\n") == 399
        assert os.pread(fd, 50, 100) == want[100:150]
        assert os.fstat(fd).st_size == len(want)
        assert os.lseek(fd, 0, os.SEEK_END) == len(want)
    assert questions(mnt) == asked + 1
    for name in (path, f"{path}00"):
        run("cp", "--no-preserve=mode", name, tmp / "copy")
        assert (tmp / "copy").read_bytes() == want
        shutil.copyfile(name, tmp / "copied")
        assert (tmp / "copied").read_bytes() == want
    assert shell(f"cat {path}; head -1 {path}").stdout == want + want.split(b"\n")[0] + b"\n"
    with refused(errno.ENOENT):
        nearest_to(filled, 10**9)
    with refused(errno.EROFS):
        os.open(path, os.O_RDWR)


@pytest.mark.local("snapshots")
@pytest.mark.parametrize("options", [[], ["ro"]])
def test_a_snapshot_has_its_own(stores, rng, options):
    filled = fill(stores, rng, count=100)
    mnt = filled.mnt
    os.mkdir(mnt.point / "snapshots/old")
    put_rows(mnt, filled.ids, oracle.random_rows(rng, "f4", 25, 100))
    os.unlink(mnt.path(int(filled.ids[4])))
    if options:
        mnt = filled.mnt = stores.again(mnt, options=options)
    folder = mnt.point / "snapshots/old/nearest"
    assert os.listdir(folder) == []
    with refused(errno.ENOENT):
        os.stat(folder / "query")
    for turn in range(2):
        for vector in map(int, filled.ids[:20]):
            check(filled, vector, folder=folder)
            check(filled, vector, 3, folder=folder)
        # also when the kernel has let go of it
        for other in range(3 * turn):
            os.listdir(mnt.point / "snapshots")
    with refused(errno.EROFS):
        os.open(folder / "new", os.O_CREAT | os.O_WRONLY)
    stale = os.open(folder / str(int(filled.ids[3])), os.O_RDONLY) if not options else None
    if stale is not None:
        os.rmdir(mnt.point / "snapshots/old")
        assert len(oracle.lines(read_chunks(stale, 100))[0]) == 10
        os.close(stale)


@pytest.mark.local("snapshots")
def test_a_mount_of_a_snapshot_has_it(stores, rng):
    filled = fill(stores, rng, count=100)
    os.mkdir(filled.mnt.point / "snapshots/old")
    put_rows(filled.mnt, filled.ids, oracle.random_rows(rng, "f4", 25, 100))
    filled.mnt.unmount()
    store = filled.mnt.store
    store.path = store.path.parent / (store.path.name + "@old")
    filled.mnt = stores.mount(store, check=False, options=["ro"])
    for vector in map(int, filled.ids[:20]):
        check(filled, vector)


# ---- who may learn what ------------------------------------------------------------------


def read_as(path):
    with open(path, "rb") as file:
        return file.read()


def ask_as(path, question):
    with opened(path, os.O_RDWR) as fd:
        return ask(fd, question)


@pytest.fixture
def shared(stores, rng):
    """A mount that others may use, and somebody else."""
    filled = fill(stores, rng, count=100, options=["allow_other"])
    filled.other = Peer(uid=NOBODY, gid=NOBODY)
    yield filled
    filled.other.close()


def test_who_may_not_read_a_vector_learns_nothing_of_it(stores, shared):
    """Neither its neighbours nor that it is one; on a read-only mount, where the kernel keeps pages
    for all users, too."""
    order = [int(vector) for vector in shared.ids]
    hidden, seen = order[::2], order[1::2]
    for vector in hidden:
        os.chmod(shared.mnt.path(vector), 0o600)
    for options in (None, ["allow_other", "ro"]):
        if options:
            shared.mnt = stores.again(shared.mnt, options=options)
        folder = shared.mnt.point / "nearest"
        for vector in seen[:5]:
            check(shared, vector)  # the owner's pages come first
            answer = oracle.lines(shared.other.call(read_as, str(folder / str(vector))))[0]
            at = order.index(vector)
            shared.check(answer, "l2", shared.rows[at], 10, among=seen, without=vector, rounding=1e-8)
            check(shared, vector)
        with refused(errno.EACCES):
            shared.other.call(read_as, str(folder / str(hidden[0])))
        check(shared, hidden[0])
        found = os.stat(folder / str(hidden[0]))
        assert found.st_mode & 0o777 == 0o400
        if not options:
            data = shared.other.call(ask_as, str(folder / "query"), shared.rows[0].tobytes())
            shared.check(oracle.lines(data)[0], "l2", shared.rows[0], 10, among=seen, rounding=1e-8)


def test_the_folder_is_for_those_for_whom_vectors_is(shared):
    folder = shared.mnt.point / "nearest"
    path = folder / str(int(shared.ids[1]))
    shared.other.call(read_as, str(path))
    os.chmod(shared.mnt.vectors, 0o750)
    assert os.stat(folder).st_mode & 0o777 == 0o550
    for name in (path.name, "query"):
        with refused(errno.EACCES):
            shared.other.call("stat", str(folder / name))
    os.chmod(shared.mnt.vectors, 0o751)
    shared.other.call(read_as, str(path))
    with refused(errno.EACCES):
        shared.other.call("listdir", str(folder))
